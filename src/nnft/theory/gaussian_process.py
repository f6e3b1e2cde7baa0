"""Regression with a Gaussian process: the posterior of infinitely wide networks.

Trained at temperature T with the loss ``c sum (f - y)^2`` and weight decay towards the prior, a network
of infinite width samples the posterior of the process with kernel K (the NNGP kernel) and noise variance
``kappa = T / 2c``. Neal, *Bayesian Learning for Neural Networks* (1996); Williams, NIPS 1996; Lee et
al., ICLR 2018 (arXiv:1711.00165); Rasmussen and Williams, *Gaussian Processes for Machine Learning*
(2006), equations 2.22-2.24 and 2.30.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nnft.errors import NumericalError, UsageError
from nnft.theory.activations import Array

CLOSED_FORM_ROUNDING = 2e-8
"""Relative size of rounding in a kernel in closed form.

Angles between inputs that are nearly parallel come from the root of a difference that vanishes, so that
half of the digits are lost: errors are of the order of the root of the machine precision, 1.5e-8."""


@dataclass(frozen=True)
class GaussianProcessPosterior:
    """Posterior of a Gaussian process with independent outputs of one kernel.

    Attributes
    ----------
    mean : ndarray, shape (E, D)
        Mean of every output at the evaluation points.
    covariance : ndarray, shape (E, E)
        Covariance of one output, without label noise; the same for every output.
    log_evidence : float
        Logarithm of the normalised density of all targets, summed over the outputs.
    train_loss : float
        Posterior mean of ``1/2 sum_{mu, i} (f_i(x_mu) - y_{mu, i})^2``.
    train_mean : ndarray, shape (P, D)
        Mean at the training points.
    train_covariance : ndarray, shape (P, P)
        Covariance of one output at the training points.
    """

    mean: Array
    covariance: Array
    log_evidence: float
    train_loss: float
    train_mean: Array
    train_covariance: Array


def as_targets(targets: Array, points: int) -> Array:
    """Targets as a matrix of shape (points, D); a vector is one output.

    Raises
    ------
    UsageError
        If there is not one row of targets for every point.
    """
    result = np.asarray(targets, dtype=np.float64)
    if result.ndim == 1:
        result = result[:, None]
    if result.ndim != 2 or result.shape[0] != points:
        raise UsageError(f"targets of {points} points: got shape {result.shape}; give ({points}, D)")
    return result


def half_square_loss(mean: Array, variance: Array, targets: Array) -> float:
    """Mean of ``1/2 sum_{mu, i} (f - y)^2`` over Gaussian outputs.

    Parameters
    ----------
    mean : ndarray, shape (P, D)
        Mean of the outputs.
    variance : ndarray, shape (P,)
        Variance of every output at each point, the same for all outputs.
    targets : ndarray, shape (P, D)
        Targets y; the loss with factor c is 2 c times the result.
    """
    return float(0.5 * np.sum((mean - targets) ** 2) + 0.5 * mean.shape[1] * np.sum(variance))


def kernel_eigenvalues(kernel: Array) -> tuple[Array, Array]:
    """Eigenvalues (ascending, rounding below zero removed) and eigenvectors of a kernel.

    Parameters
    ----------
    kernel : ndarray, shape (P, P)
        A negative eigenvalue above -2e-8 of the largest is taken as rounding and set to zero.

    Raises
    ------
    NumericalError
        If the matrix is not finite, or not positive semidefinite beyond that.
    """
    kernel = np.asarray(kernel, dtype=np.float64)
    if not np.all(np.isfinite(kernel)):
        raise NumericalError("kernel is not finite: got NaN or infinity; check variances and inputs")
    values, vectors = np.linalg.eigh(0.5 * (kernel + kernel.T))
    floor = max(CLOSED_FORM_ROUNDING, 100.0 * values.size * np.finfo(np.float64).eps) * max(
        float(values[-1]), 0.0
    )
    if values[0] < -floor:
        raise NumericalError(
            f"kernel is not positive semidefinite: got eigenvalue {values[0]:.3g} next to {values[-1]:.3g}; "
            "give a covariance"
        )
    return np.maximum(values, 0.0), vectors


def _shapes(train_kernel: Array, cross_kernel: Array, test_kernel: Array) -> None:
    p, e = len(train_kernel), len(test_kernel)
    if train_kernel.shape != (p, p) or test_kernel.shape != (e, e) or cross_kernel.shape != (e, p) or p == 0:
        raise UsageError(
            f"kernel blocks: got shapes {train_kernel.shape}, {cross_kernel.shape}, {test_kernel.shape}; "
            "give (P, P), (E, P), (E, E) with P >= 1"
        )


def posterior(
    train_kernel: Array, cross_kernel: Array, test_kernel: Array, targets: Array, ridge: float
) -> GaussianProcessPosterior:
    """Posterior of a Gaussian process given noisy values at the training points.

    ``mean = K_* A^-1 y``, ``covariance = K_** - K_* A^-1 K_*^T``, ``A = K + ridge``.

    Parameters
    ----------
    train_kernel : ndarray, shape (P, P)
        Prior covariance K of one output at the training points.
    cross_kernel : ndarray, shape (E, P)
        Prior covariance K_* between evaluation points (rows) and training points.
    test_kernel : ndarray, shape (E, E)
        Prior covariance K_** at the evaluation points.
    targets : ndarray, shape (P, D) or (P,)
        Targets y of D independent outputs.
    ridge : float
        Variance of the label noise, >= 0; 0 interpolates.

    Returns
    -------
    GaussianProcessPosterior

    Raises
    ------
    UsageError
        If shapes do not fit or the ridge is negative.
    NumericalError
        If K + ridge is singular to working precision; the message has its smallest eigenvalue.
    """
    train_kernel, cross_kernel, test_kernel = (
        np.asarray(k, dtype=np.float64) for k in (train_kernel, cross_kernel, test_kernel)
    )
    _shapes(train_kernel, cross_kernel, test_kernel)
    y = as_targets(targets, len(train_kernel))
    if not ridge >= 0.0 or not math.isfinite(ridge):
        raise UsageError(f"ridge of a regression: got {ridge}; give a finite number >= 0")
    values, vectors = kernel_eigenvalues(train_kernel)
    shifted = values + ridge
    if shifted[0] <= len(values) * np.finfo(np.float64).eps * shifted[-1]:
        raise NumericalError(
            f"kernel of the training points is singular: got smallest eigenvalue {shifted[0]:.3g} next to "
            f"{shifted[-1]:.3g}; use a larger ridge or drop repeated points"
        )
    rotated = vectors.T @ y
    weighted = rotated / shifted[:, None]
    cross = cross_kernel @ vectors
    whitened = cross / np.sqrt(shifted)
    covariance = test_kernel - whitened @ whitened.T
    train_spread = ridge * values / shifted
    misfit = ridge * weighted
    outputs = y.shape[1]
    log_determinant = float(np.sum(np.log(2.0 * math.pi * shifted)))
    return GaussianProcessPosterior(
        mean=cross @ weighted,
        covariance=0.5 * (covariance + covariance.T),
        log_evidence=-0.5 * (float(np.sum(rotated * weighted)) + outputs * log_determinant),
        train_loss=0.5 * float(np.sum(misfit**2) + outputs * np.sum(train_spread)),
        train_mean=y - vectors @ misfit,
        train_covariance=(vectors * train_spread) @ vectors.T,
    )
