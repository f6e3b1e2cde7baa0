"""Mean and covariance of the weights of a trained readout, given the features: the input of its flow.

All laws start from independent normal weights of given prior variances. The affine maps of descent differ
from the identity in the span of the features of the data only, of rank r = min(P, n), so that n weights cost
n^2 r operations and n^2 numbers of memory. Weight decay: `LinearModel` and `StochasticDescent`.
Bishop, *Pattern Recognition and Machine Learning* (2006), 3.49-3.51; Lee et al., arXiv:1902.06720; stochastic
steps: Bach and Moulines, NIPS 2013, arXiv:1306.2119.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nnft.errors import NumericalError, UsageError
from nnft.theory.activations import Array
from nnft.theory.normalisation import loss_factor
from nnft.theory.readout_training import LinearModel, WeightLaw
from nnft.theory.relaxation import descent_factors
from nnft.theory.stochastic_descent import Moments, StochasticDescent
from nnft.theory.stochastic_powers import random_moments


def _model(
    features: Array, targets: Array, prior_variances: Array | float, noise: float = 0.0
) -> LinearModel:
    """Checked arrays; one prior variance may stand for all."""
    phi = np.asarray(features, dtype=np.float64)
    variances = np.asarray(prior_variances, dtype=np.float64)
    if variances.ndim == 0:
        variances = np.full(phi.shape[-1:], float(variances))
    return LinearModel(phi, targets, variances, temperature=noise)


def _beside_identity(vectors: Array, inner: Array) -> Array:
    """``1 + V (inner - 1) V^T`` for orthonormal columns V, shape (n, r), and a matrix or a diagonal."""
    rows, rank = vectors.shape
    if inner.ndim == 1:
        inner = np.diag(inner)
    if rank == rows:
        return np.asarray(vectors @ inner @ vectors.T)
    found = vectors @ (inner - np.eye(rank)) @ vectors.T
    found[np.diag_indices(rows)] += 1.0
    return np.asarray(found)


def _spread(vectors: Array, inner: Array, variances: Array) -> Array:
    """Covariance ``A diag(v) A^T`` of independent weights after the map ``A = 1 + V (inner - 1) V^T``.

    With one variance for all, n^2 r operations instead of n^3.
    """
    if np.ptp(variances) == 0.0:
        square = inner**2 if inner.ndim == 1 else inner @ inner.T
        return np.asarray(variances[0] * _beside_identity(vectors, square))
    root = _beside_identity(vectors, inner) * np.sqrt(variances)
    return np.asarray(root @ root.T)


def posterior_law(
    features: Array, targets: Array, prior_variances: Array | float, noise_variance: float
) -> WeightLaw:
    """Bayes posterior of the weights under a Gaussian likelihood.

    Parameters
    ----------
    features : ndarray, shape (P, n)
        Features of the data, everything included (the 1/sqrt(n) of a readout).
    targets : ndarray, shape (P, D) or (P,)
        Targets.
    prior_variances : float or ndarray, shape (n,)
        Prior variances v.
    noise_variance : float
        Noise variance kappa > 0 of the likelihood.

    Raises
    ------
    UsageError
        If shapes or variances do not fit.
    """
    model = _model(features, targets, prior_variances, noise_variance)
    if not noise_variance > 0.0:
        raise UsageError(f"noise variance of a posterior: got {noise_variance}; give a number > 0")
    scale = np.sqrt(model.prior_variances)
    left, singular, right = np.linalg.svd(model.features * scale, full_matrices=False)
    squares = singular**2 + noise_variance
    mean = (right.T * (singular / squares)) @ (left.T @ model.targets)
    covariance = _beside_identity(right.T, noise_variance / squares)
    return WeightLaw(scale[:, None] * mean, scale[:, None] * covariance * scale)


def descent_law(
    features: Array,
    targets: Array,
    prior_variances: Array | float,
    step: float,
    steps: int,
    loss: str = "half-sum",
) -> WeightLaw:
    """Law after gradient descent on all data from the prior: ``Cov = A diag(v) A^T``, ``A = (1 - eta H)^k``.

    Parameters
    ----------
    features, targets, prior_variances
        As in `posterior_law`; features that no data see keep their prior.
    step : float
        Learning rate eta.
    steps : int
        Number of steps k.
    loss : str
        Word for the loss; H is ``2 c Phi^T Phi``.

    Raises
    ------
    NumericalError
        If the descent diverges beyond the range of numbers.
    """
    model = _model(features, targets, prior_variances)
    rate = 2.0 * loss_factor(loss, len(model.features))
    left, singular, right = np.linalg.svd(model.features, full_matrices=False)
    decay, gain = descent_factors(rate * singular**2, step, steps)
    mean = (right.T * (rate * gain * singular)) @ (left.T @ model.targets)
    return WeightLaw(mean, _spread(right.T, decay, model.prior_variances))


def ordered_law(
    features: Array,
    targets: Array,
    prior_variances: Array | float,
    step: float,
    order: Sequence[int],
    loss: str = "half-sum",
) -> WeightLaw:
    """Law after steps on single data points in a given order, from the prior: ``a -= eta (phi.a - y) phi``.

    Parameters
    ----------
    features, targets, prior_variances
        As in `posterior_law`.
    step : float
        Learning rate eta.
    order : sequence of int
        Data point of every step; points may repeat.
    loss : str
        Word for the loss; sums and means of one point have the factor c of one point.

    Raises
    ------
    UsageError
        If a number in the order is not that of a point.
    NumericalError
        If the descent diverges beyond the range of numbers.
    """
    model = _model(features, targets, prior_variances)
    points = np.asarray(order, dtype=np.int64)
    if points.ndim != 1 or np.any((points < 0) | (points >= len(model.features))):
        raise UsageError(
            f"order of single points: got numbers from {points.min()} to {points.max()}; "
            f"give a sequence of 0..{len(model.features) - 1}"
        )
    basis, triangle = np.linalg.qr(model.features.T)
    rows, size = triangle.T, 2.0 * step * loss_factor(loss, 1)
    matrix, shift = np.eye(rows.shape[1]), np.zeros((rows.shape[1], model.targets.shape[1]))
    with np.errstate(over="ignore", invalid="ignore"):
        for point in points:
            row = rows[point]
            matrix -= size * np.outer(row, row @ matrix)
            shift -= size * np.outer(row, row @ shift - model.targets[point])
    if not (np.isfinite(matrix).all() and np.isfinite(shift).all()):
        raise NumericalError(f"descent on single points diverges: got step {step:.6g}; use a smaller step")
    return WeightLaw(basis @ shift, _spread(basis, matrix, model.prior_variances))


def random_order_moments(
    features: Array,
    targets: Array,
    prior_variance: float,
    step: float,
    steps: int,
    loss: str = "half-sum",
) -> Moments:
    """Moments after steps on single points drawn with replacement, over the draws and over the prior.

    Parameters are those of `ordered_law`, with one prior variance for all weights and a number of steps. The
    covariance differs from output to output, and the law is not Gaussian.

    Raises
    ------
    UsageError
        If min(P, n) numbers and so many steps are too much work.
    NumericalError
        If the descent diverges beyond the range of numbers.
    """
    model = _model(features, targets, prior_variance)
    basis, triangle = np.linalg.qr(model.features.T)
    rank, outputs = basis.shape[1], model.targets.shape[1]
    start = WeightLaw(np.zeros((rank, outputs)), prior_variance * np.eye(rank))
    descent = StochasticDescent.of_features(triangle.T, model.targets, start)
    inner = random_moments(descent, [steps], step, 1, loss)[0]
    spreads = [
        prior_variance * _beside_identity(basis, covariance / prior_variance)
        for covariance in inner.covariance
    ]
    return Moments(basis @ inner.mean, np.stack(spreads))


def cyclic_law(
    features: Array,
    targets: Array,
    prior_variances: Array | float,
    step: float,
    epochs: int,
    loss: str = "half-sum",
) -> WeightLaw:
    """Law after whole epochs of steps on single data points in their order, from the prior.

    Parameters are those of `ordered_law`, with a number of epochs. The affine map of one epoch is raised to
    its power by squaring, so that P + log2(epochs) matrices of size min(P, n) are worked out.

    Raises
    ------
    NumericalError
        If the descent diverges beyond the range of numbers.
    """
    model = _model(features, targets, prior_variances)
    basis, triangle = np.linalg.qr(model.features.T)
    rows, size = triangle.T, 2.0 * step * loss_factor(loss, 1)
    power, drift = np.eye(rows.shape[1]), np.zeros((rows.shape[1], model.targets.shape[1]))
    matrix, shift = power, drift
    with np.errstate(over="ignore", invalid="ignore"):
        for row, target in zip(rows, model.targets, strict=True):
            power = power - size * np.outer(row, row @ power)
            drift = drift - size * np.outer(row, row @ drift - target)
        left = epochs
        while left:
            if left % 2:
                matrix, shift = power @ matrix, power @ shift + drift
            power, drift = power @ power, power @ drift + drift
            left //= 2
    if not (np.isfinite(matrix).all() and np.isfinite(shift).all()):
        raise NumericalError(f"descent on single points diverges: got step {step:.6g}; use a smaller step")
    return WeightLaw(basis @ shift, _spread(basis, matrix, model.prior_variances))
