"""Kernel scaling: the posterior of wide networks with many training points, one hidden layer.

At width N and P points, both large, the posterior is that of a Gaussian process whose kernel K is multiplied
by one number u, the minimum of

``S(u) = N/2 (u - ln u) + 1/2 ln det A_u + 1/2 y^T A_u^-1 y``,  ``A_u = u K + ridge``,

exact for linear networks in this limit and an assumption for others (Li and Sompolinsky, PRX 11, 031059
(2021); Ariosto et al., Nature Machine Intelligence 5, 1497 (2023); Ringel et al., arXiv:2502.18553,
equations 3.24-3.33). `data_averages` has the same averaged over training sets.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nnft.errors import NumericalError, UsageError
from nnft.theory.activations import Array
from nnft.theory.product_chi_square import check_widths
from nnft.theory.training_modes import TrainingModes

_SCAN_POINTS = 200_000


@dataclass(frozen=True)
class KernelScaling:
    """Posterior with a scaled kernel.

    Attributes
    ----------
    scale : float
        u at the minimum of the action.
    saddles : tuple of float
        All stationary points of the action, increasing; more than one near a first-order transition.
    action : float
        S at the minimum.
    curvature : float
        S''(u) > 0 at the minimum.
    mean : ndarray, shape (E,)
        Predictor ``u K_* A_u^-1 y``.
    fixed_covariance : ndarray, shape (E, E)
        ``u (K_** - u K_* A_u^-1 K_*^T)``, the scale held fixed.
    mean_slope : ndarray, shape (E,)
        d mean / du.
    """

    scale: float
    saddles: tuple[float, ...]
    action: float
    curvature: float
    mean: Array
    fixed_covariance: Array
    mean_slope: Array

    @property
    def covariance(self) -> Array:
        """Posterior covariance with the fluctuation of the scale, ``+ (d mean / du)^2 / S''``."""
        spread = np.outer(self.mean_slope, self.mean_slope) / self.curvature
        return np.asarray(self.fixed_covariance + spread, dtype=np.float64)

    def generalisation_error(self, targets: Array) -> float:
        """Mean over the evaluation points of ``(mean - target)^2 + variance``, one network of the posterior.

        Parameters
        ----------
        targets : ndarray, shape (E,)
            True values at the evaluation points.
        """
        bias = self.mean - np.asarray(targets, dtype=np.float64).reshape(self.mean.shape)
        return float(np.mean(bias**2 + np.diagonal(self.covariance)))


def one_hidden_width(widths: Sequence[int]) -> int:
    """The width of a network with one hidden layer.

    Raises
    ------
    UsageError
        For other numbers of hidden layers: each layer would have a scale of its own.
    """
    hidden = check_widths(widths)
    if len(hidden) != 1:
        raise UsageError(
            f"hidden layers of kernel scaling: got {len(hidden)}; the theory here has one hidden layer only"
        )
    return hidden[0]


def kernel_scaling(
    train_kernel: Array,
    cross_kernel: Array,
    test_kernel: Array,
    targets: Array,
    ridge: float,
    widths: Sequence[int],
) -> KernelScaling:
    """Saddle point of the kernel scale on a training set.

    Parameters
    ----------
    train_kernel, cross_kernel, test_kernel : ndarray, shapes (P, P), (E, P), (E, E)
        Infinite-width kernel; rows of `cross_kernel` are evaluation points. The kernel of the readout bias,
        which is not scaled, must be 0.
    targets : ndarray, shape (P,) or (P, 1)
        Targets of the one output.
    ridge : float
        Variance of the label noise.
    widths : sequence of int
        The width of the one hidden layer.

    Returns
    -------
    KernelScaling

    Raises
    ------
    UsageError
        If shapes do not fit, for several outputs or several hidden layers.
    NumericalError
        If the ridge is 0 and the kernel singular.
    """
    width = one_hidden_width(widths)
    modes = TrainingModes.from_kernels(train_kernel, cross_kernel, test_kernel, targets, ridge)
    roots = stationary_scales(lambda u: _scale_equation(modes, width, u), *_bracket(modes, width))
    actions = _action(modes, width, np.array(roots))
    u = roots[int(np.argmin(actions))]
    scale = np.array([u])
    shifted = modes.shifted(scale)[0]
    ratio = modes.eigenvalues / shifted
    curvature = 0.5 * width / u**2 + float(np.sum(ratio**2 * (modes.targets**2 / shifted - 0.5)))
    removed = (modes.cross * modes.variance_coefficients(scale)) @ modes.cross.T
    return KernelScaling(
        scale=u,
        saddles=tuple(roots),
        action=float(np.min(actions)),
        curvature=curvature,
        mean=modes.cross @ modes.mean_coefficients(scale)[0],
        fixed_covariance=u * modes.test_kernel - 0.5 * (removed + removed.T),
        mean_slope=modes.cross @ (modes.ridge * modes.targets / shifted**2),
    )


def _scale_equation(modes: TrainingModes, width: int, scales: Array) -> Array:
    """``2 u S'(u)``: the saddle equation of the scale times u, shape (G,)."""
    shifted = modes.shifted(scales)
    learned = scales[:, None] * modes.eigenvalues / shifted
    terms = learned * (1.0 - modes.targets**2 / shifted)
    return np.asarray(width * (scales - 1.0) + np.sum(terms, axis=1), dtype=np.float64)


def _action(modes: TrainingModes, width: int, scales: Array) -> Array:
    constant = 0.5 * len(modes.targets) * math.log(2.0 * math.pi)
    prior = 0.5 * width * (scales - np.log(scales))
    return np.asarray(prior - modes.log_likelihood(scales) - constant, dtype=np.float64)


def _bracket(modes: TrainingModes, width: int) -> tuple[float, float]:
    """Bounds of all saddles: the trace pulls u below 1, the targets above."""
    values, ridge, squares = modes.eigenvalues, modes.ridge, modes.targets**2
    present = values > 0.0
    pull = np.minimum(0.25 / ridge if ridge > 0.0 else math.inf, 1.0 / values[present]) @ squares[present]
    if ridge > 0.0:
        low = width / (width + float(np.sum(values)) / ridge)
    else:
        low = min(1.0, float(np.sum(squares / values)) / len(values))
    return 0.999 * low, 1.001 * (1.0 + float(pull) / width)


def stationary_scales(
    equation: Callable[[Array], Array], low: float, high: float, step: float = 0.01
) -> list[float]:
    """All roots u of an equation between two bounds.

    Parameters
    ----------
    equation : callable
        Maps an array of u to values of opposite signs at the bounds.
    low, high : float
        Bounds, > 0.
    step : float
        Step in log u of the scan for changes of sign, which Brent's method then refines.

    Returns
    -------
    list of float
        Increasing.

    Raises
    ------
    NumericalError
        If there is no root.
    """
    from scipy.optimize import brentq

    first, last = math.log(low), math.log(high)
    count = min(max(math.ceil((last - first) / step), 64), _SCAN_POINTS)
    grid = np.linspace(first, last, count + 1)
    values = np.concatenate([equation(np.exp(piece)) for piece in np.array_split(grid, 1 + count // 512)])
    roots = np.exp(grid[values == 0.0]).tolist()
    for k in np.flatnonzero(values[:-1] * values[1:] < 0.0):
        root = brentq(
            lambda log_u: float(equation(np.exp(np.array([log_u])))[0]),
            float(grid[k]),
            float(grid[k + 1]),
            xtol=1e-15,
            rtol=1e-15,
        )
        roots.append(math.exp(root))
    if not roots:
        raise NumericalError(f"kernel scale: got no saddle between {low:.3g} and {high:.3g}; check the ridge")
    return sorted(roots)


def ridgeless_scale(width: int, points: float, target_norm: float) -> float:
    """Kernel scale without a ridge: the positive root of ``N u^2 - (N - P) u - t = 0``.

    Parameters
    ----------
    width : int
        N.
    points : float
        P, the rank of the kernel on the training points.
    target_norm : float
        ``t = y^T K^-1 y`` > 0.
    """
    excess = width - points
    root = math.hypot(excess, 2.0 * math.sqrt(width * target_norm))
    if excess < 0:  # no cancellation
        return 2.0 * target_norm / (root - excess)
    return (excess + root) / (2.0 * width)
