"""Training of infinitely wide networks: ensembles of outputs whose tangent kernel stays constant.

From an initial ensemble ``f ~ N(0, K)`` the flow of the loss ``c sum (f - y)^2`` is
``f'(x) = -2 c sum_mu Theta(x, x_mu) (f(x_mu) - y_mu)``. Jacot, Gabriel, Hongler, arXiv:1806.07572; Lee
et al., arXiv:1902.06720, equations 8-16. The limit of infinite width is exact at fixed time and number
of points, corrections are of order (number of points) / width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nnft.errors import UsageError
from nnft.theory.activations import Array
from nnft.theory.gaussian_process import as_targets, half_square_loss, kernel_eigenvalues
from nnft.theory.relaxation import descent_factors, flow_factors


@dataclass(frozen=True)
class TrainedEnsemble:
    """Gaussian ensemble of outputs at several times of a training.

    Attributes
    ----------
    times : ndarray, shape (T,)
        Flow times, or numbers of steps.
    train_mean : ndarray, shape (T, P, D)
        Mean at the training points.
    train_variance : ndarray, shape (T, P)
        Variance of one output at the training points.
    mean : ndarray, shape (T, E, D)
        Mean at the evaluation points.
    covariance : ndarray, shape (T, E, E)
        Covariance of one output at the evaluation points, the same for all outputs. Training points
        repeated among the evaluation points give their covariances as well.
    train_loss : ndarray, shape (T,)
        Mean of ``1/2 sum_{mu, i} (f - y)^2`` over the training points.
    """

    times: Array
    train_mean: Array
    train_variance: Array
    mean: Array
    covariance: Array
    train_loss: Array


def _joint(kernel: Array, tangent: Array, targets: Array) -> tuple[Array, Array, Array]:
    kernel, tangent = (np.asarray(k, dtype=np.float64) for k in (kernel, tangent))
    targets = np.asarray(targets, dtype=np.float64)
    targets = as_targets(targets, targets.shape[0] if targets.ndim else 0)
    square = kernel.ndim == 2 and kernel.shape[0] == kernel.shape[1]
    if not square or tangent.shape != kernel.shape or not 1 <= len(targets) <= len(kernel):
        raise UsageError(
            f"kernels of all points: got shapes {kernel.shape}, {tangent.shape} with {len(targets)} targets; "
            "give two (P + E, P + E), training points first, and P targets"
        )
    return kernel, tangent, targets


def _evolve(
    kernel: Array,
    tangent: Array,
    targets: Array,
    times: Array,
    factors: Callable[[Array, float], tuple[Array, Array]],
    rate: float,
) -> TrainedEnsemble:
    kernel, tangent, y = _joint(kernel, tangent, targets)
    points = len(y)
    values, vectors = kernel_eigenvalues(tangent[:points, :points])
    train, cross = kernel[:points, :points], kernel[points:, :points]
    rotated_targets = vectors.T @ y
    rotated_train = vectors.T @ train @ vectors
    rotated_cross = cross @ vectors
    push = rate * tangent[points:, :points] @ vectors
    means, variances, evaluation, covariances, losses = [], [], [], [], []
    for time in times:
        decay, gain = factors(rate * values, time)
        means.append(vectors @ ((1.0 - decay)[:, None] * rotated_targets))
        kept = vectors * decay
        variances.append(np.einsum("pi,ij,pj->p", kept, rotated_train, kept, optimize=True))
        moved = push * gain
        evaluation.append(moved @ rotated_targets)
        half = moved @ (0.5 * rotated_train @ moved.T - rotated_cross.T)
        covariances.append(kernel[points:, points:] + half + half.T)
        losses.append(half_square_loss(means[-1], variances[-1], y))
    return TrainedEnsemble(
        np.asarray(times, dtype=np.float64),
        np.array(means),
        np.array(variances),
        np.array(evaluation),
        np.array(covariances),
        np.array(losses),
    )


def linearised_flow(
    kernel: Array, tangent: Array, targets: Array, times: Sequence[float], rate: float = 1.0
) -> TrainedEnsemble:
    """Ensemble after gradient flow without weight decay, initial ensemble N(0, kernel).

    ``f_t = f_0 + M_t (y - f_0)`` with ``M_t = Theta_* Theta^-1 (1 - exp(-rate Theta t))``; zero
    eigenvalues of Theta are allowed.

    Parameters
    ----------
    kernel : ndarray, shape (P + E, P + E)
        NNGP kernel of the P training points followed by the E evaluation points.
    tangent : ndarray, shape (P + E, P + E)
        Tangent kernel with the rates of the layers.
    targets : ndarray, shape (P, D) or (P,)
        Targets.
    times : sequence of float
        Flow times >= 0.
    rate : float
        Twice the factor c of the loss; 1 for half the sum of squares.

    Returns
    -------
    TrainedEnsemble

    Raises
    ------
    UsageError
        If shapes do not fit or a time is negative.
    NumericalError
        If the tangent kernel is not positive semidefinite.
    """
    return _evolve(kernel, tangent, targets, np.asarray(times, dtype=np.float64), flow_factors, rate)


def linearised_descent(
    kernel: Array, tangent: Array, targets: Array, steps: Sequence[int], step: float, rate: float = 1.0
) -> TrainedEnsemble:
    """Ensemble after full-batch gradient descent without weight decay, initial ensemble N(0, kernel).

    As `linearised_flow` with ``(1 - step rate Theta)^k`` in place of the exponential: exact at every step
    size for a model linear in its weights, and for wide networks below ``2 / (rate lambda_max)``.

    Parameters
    ----------
    steps : sequence of int
        Numbers k of steps; the other parameters are as in `linearised_flow`.
    step : float
        Learning rate.

    Raises
    ------
    UsageError
        If shapes do not fit or a number is negative.
    NumericalError
        If the descent diverges beyond the range of numbers.
    """

    def factors(rates: Array, count: float) -> tuple[Array, Array]:
        return descent_factors(rates, step, int(count))

    return _evolve(kernel, tangent, targets, np.asarray(steps, dtype=np.int64), factors, rate)


def missing_theory(readout_only: bool, decay: bool, noise: bool) -> str:
    """Why a training has no closed form at infinite width and finite time; empty if it has one.

    Parameters
    ----------
    readout_only : bool
        Whether only the readout is trained.
    decay, noise : bool
        Whether weights decay towards zero, and whether thermal noise acts on them.

    Notes
    -----
    Decay and noise change the weights of hidden layers by amounts of order one, so that both kernels
    depend on time; the mean then obeys an integral equation (Avidan, Li, Sompolinsky, arXiv:2309.04522).
    Its stationary law is the posterior of `gaussian_process` in all cases.
    """
    if readout_only or not (decay or noise):
        return ""
    cause = "thermal noise" if noise else "weight decay"
    return f"{cause} acts on hidden layers, so the kernels change in time; train the readout alone"
