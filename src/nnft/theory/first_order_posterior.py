"""Posterior of networks of finite width to first order in 1/width.

A prior with covariance ``K + G`` and connected four-point function kappa_4, both corrections of order
1/width, has the density ``exp(1/2 G_ab d_a d_b + 1/24 kappa_abcd d_a d_b d_c d_d) N(0, K)``. With a Gaussian
likelihood, partial integration turns the derivatives into Hermite polynomials of
``beta(J) = A^-1 y + R^T J``, with J the source of the outputs and ``R = 1 - K A^-1`` (A^-1 on the training
points): the generating function of all posterior cumulants changes by
``1/2 G_ab H_ab(beta) + 1/24 kappa_abcd H_abcd(beta)``, which holds for any number of points. The mean is the
on-data form of equations 3.16-3.18 of Ringel et al., arXiv:2502.18553; see also Yaida, arXiv:1910.00019;
Roberts, Yaida, Hanin, *Principles of Deep Learning Theory*, section 6.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nnft.errors import NumericalError, UsageError
from nnft.theory.activations import Activation, Array
from nnft.theory.gaussian_process import as_targets, kernel_eigenvalues
from nnft.theory.product_averages import pair_indices
from nnft.theory.product_chi_square import check_widths
from nnft.theory.training_modes import TrainingModes
from nnft.theory.vertex import layer_predictions

POINT_LIMIT = 24


@dataclass(frozen=True)
class FirstOrderPrior:
    """Prior of one output at J points to first order in 1/width.

    Attributes
    ----------
    kernel : ndarray, shape (J, J)
        Covariance at infinite width.
    correction : ndarray, shape (J, J)
        First-order change of the covariance at these widths; 0 for one hidden layer.
    four_point : ndarray, shape (J, J, J, J)
        Connected four-point function at these widths; exact for one hidden layer.
    """

    kernel: Array
    correction: Array
    four_point: Array


@dataclass(frozen=True)
class FirstOrderPosterior:
    """First-order changes of the posterior at J points, the training points first.

    The prediction for a quantity is its value for the Gaussian process plus the change here; the third and
    fourth cumulants of the process vanish. All are of order 1/width.

    Attributes
    ----------
    mean : ndarray, shape (J,)
        Change of the posterior mean.
    covariance : ndarray, shape (J, J)
        Change of the posterior covariance.
    third : ndarray, shape (J, J, J)
        Connected three-point function.
    fourth : ndarray, shape (J, J, J, J)
        Connected four-point function.
    log_evidence : float
        Change of the log evidence.
    """

    mean: Array
    covariance: Array
    third: Array
    fourth: Array
    log_evidence: float


def _check_points(points: int) -> None:
    if points > POINT_LIMIT:
        raise UsageError(
            f"joint points of a first-order posterior: got {points} training and evaluation points; at most "
            f"{POINT_LIMIT} (the four-point function has their fourth power of entries)"
        )


def first_order_prior(
    sigma: Activation,
    first_kernel: Array,
    widths: Sequence[int],
    weight_variances: Sequence[float],
    bias_variances: Sequence[float],
) -> FirstOrderPrior:
    """Kernel, its correction and the connected four-point function of a fully connected network.

    Parameters
    ----------
    sigma : Activation
        The activation.
    first_kernel : ndarray, shape (J, J)
        Kernel of layer 1 at the joint points, `nngp.first_layer_kernel`.
    widths : sequence of int
        Hidden widths n_1..n_{L-1}, at least one.
    weight_variances, bias_variances : sequence of float
        C_W and C_b of the affine layers 1..L.

    Returns
    -------
    FirstOrderPrior
        ``(V_(ab)(cd) + V_(ac)(bd) + V_(ad)(bc)) / n`` and ``G1 / n`` with V and G1 of the last of
        `vertex.layer_predictions` and n the last hidden width.

    Raises
    ------
    UsageError
        For more than 24 points, or if the numbers of layers do not fit.
    """
    hidden = check_widths(widths)
    _check_points(len(first_kernel))
    last = layer_predictions(sigma, first_kernel, hidden, weight_variances, bias_variances)[-1]
    points = len(last.kernel)
    first, second = pair_indices(points)
    packed = np.empty((points, points), dtype=np.intp)
    packed[first, second] = packed[second, first] = np.arange(len(first))
    vertex = last.vertex[packed[:, :, None, None], packed] / hidden[-1]
    four_point = vertex + vertex.transpose(0, 2, 1, 3) + vertex.transpose(0, 2, 3, 1)
    return FirstOrderPrior(last.kernel, last.correction / hidden[-1], four_point)


def first_order_shift(
    kernel: Array,
    four_point: Array,
    training_points: int,
    targets: Array,
    ridge: float,
    correction: Array | None = None,
) -> FirstOrderPosterior:
    """Changes of posterior mean, covariance, cumulants and evidence at first order in 1/width.

    Parameters
    ----------
    kernel : ndarray, shape (J, J)
        Infinite-width kernel at the joint points: P training points, then evaluation points.
    four_point : ndarray, shape (J, J, J, J)
        Connected four-point function kappa_4 of the prior, symmetric.
    training_points : int
        P, from 1 to J.
    targets : ndarray, shape (P,) or (P, 1)
        Targets of the one output.
    ridge : float
        Variance of the label noise, > 0, or 0 if K is regular.
    correction : ndarray, shape (J, J), optional
        Change G of the covariance of the prior; none for one hidden layer.

    Returns
    -------
    FirstOrderPosterior
        With ``alpha = A^-1 y`` and ``R = 1 - K_{.,train} A^-1``,
        ``mean_x = R_xa [G_ab alpha_b + 1/6 kappa_abcd (alpha_b alpha_c alpha_d - 3 alpha_b A^-1_cd)]``,
        ``covariance_xy = R_xa R_yb [G_ab + 1/2 kappa_abcd (alpha_c alpha_d - A^-1_cd)]``,
        ``third = R R R kappa alpha``, ``fourth = R R R R kappa``.

    Raises
    ------
    UsageError
        If shapes do not fit, there are several outputs or more than 24 points.
    NumericalError
        If the ridge is 0 and the kernel of the training points singular.

    Notes
    -----
    The expansion needs the changes to be small: they grow with P / width and y^T K^-1 y / width.
    """
    kernel, four_point = np.asarray(kernel, dtype=np.float64), np.asarray(four_point, dtype=np.float64)
    joint = len(kernel)
    _check_points(joint)
    change = np.zeros((joint, joint)) if correction is None else np.asarray(correction, dtype=np.float64)
    if kernel.shape != (joint, joint) or four_point.shape != (joint,) * 4 or change.shape != kernel.shape:
        raise UsageError(
            f"prior at {joint} points: got shapes {kernel.shape}, {four_point.shape}, {change.shape}; "
            "give (J, J), (J, J, J, J), (J, J)"
        )
    if not 1 <= training_points <= joint:
        raise UsageError(f"training points: got {training_points}; give 1 to {joint}, the joint points")
    inverse = _padded_inverse(kernel, training_points, ridge)
    y = as_targets(targets, training_points)
    if y.shape[1] != 1:
        raise UsageError(f"outputs at finite width: got {y.shape[1]} columns of targets; give one output")
    alpha = inverse[:, :training_points] @ y[:, 0]
    second = np.outer(alpha, alpha) - inverse
    pair = np.einsum("abcd,cd->ab", four_point, second)
    single = pair @ alpha - 2.0 * np.einsum("abcd,bc,d->a", four_point, inverse, alpha, optimize=True)
    response = np.eye(joint) - kernel @ inverse
    fourth = four_point
    for _ in range(4):  # each step moves the first index to the end, contracted
        fourth = np.tensordot(fourth, response, axes=(0, 1))
    third = np.tensordot(four_point, alpha, axes=(3, 0))
    for _ in range(3):
        third = np.tensordot(third, response, axes=(0, 1))
    quartic = single @ alpha - 3.0 * np.sum(pair * inverse)
    return FirstOrderPosterior(
        mean=response @ (change @ alpha + single / 6.0),
        covariance=response @ (change + 0.5 * pair) @ response.T,
        third=third,
        fourth=fourth,
        log_evidence=float(0.5 * np.sum(change * second) + quartic / 24.0),
    )


def _padded_inverse(kernel: Array, training_points: int, ridge: float) -> Array:
    """``A^-1`` on the training points, 0 elsewhere, shape (J, J)."""
    if not ridge >= 0.0 or not np.isfinite(ridge):
        raise UsageError(f"ridge of a regression: got {ridge}; give a finite number >= 0")
    values, vectors = kernel_eigenvalues(kernel[:training_points, :training_points])
    shifted = values + ridge
    if shifted[0] <= training_points * np.finfo(np.float64).eps * shifted[-1]:
        raise NumericalError(
            f"kernel of the training points is singular: got smallest eigenvalue {shifted[0]:.3g} next to "
            f"{shifted[-1]:.3g}; use a larger ridge or drop repeated points"
        )
    result = np.zeros_like(kernel)
    result[:training_points, :training_points] = (vectors / shifted) @ vectors.T
    return result


def deep_linear_mean_shift(
    train_kernel: Array, cross_kernel: Array, targets: Array, ridge: float, widths: Sequence[int]
) -> Array:
    """First-order change of the posterior mean of a deep linear network, in closed form.

    Parameters
    ----------
    train_kernel : ndarray, shape (P, P)
        Infinite-width kernel of the training points.
    cross_kernel : ndarray, shape (E, P)
        The same between evaluation points (rows) and training points.
    targets : ndarray, shape (P,) or (P, 1)
        Targets of the one output.
    ridge : float
        Variance of the label noise.
    widths : sequence of int
        Hidden widths; only ``sum_l 1 / N_l`` counts.

    Returns
    -------
    ndarray, shape (E,)
        ``sum_l (1/N_l) ridge {[alpha^T K alpha - tr K A^-1] K_* A^-1 alpha - 2 K_* A^-1 K A^-1 alpha}``.
    """
    cross = np.asarray(cross_kernel, dtype=np.float64)
    prior = np.zeros((len(cross), len(cross)))  # the mean does not depend on it
    modes = TrainingModes.from_kernels(train_kernel, cross, prior, targets, ridge)
    shifted = modes.eigenvalues + modes.ridge
    learned = modes.eigenvalues / shifted
    alpha = modes.targets / shifted
    bracket = float(np.sum(modes.eigenvalues * alpha**2 - learned)) - 2.0 * learned
    inverse_width = sum(1.0 / n for n in check_widths(widths))
    return np.asarray(
        inverse_width * modes.ridge * (modes.cross @ (bracket * alpha / shifted)), dtype=np.float64
    )
