"""Gaussian averages of smooth functions by the whitened trapezoid rule.

For a function analytic in a strip the trapezoid rule on the whole line converges exponentially, and
much faster than Gauss-Hermite rules whose nodes spread over a needlessly wide range (Trefethen and
Weideman, SIAM Review 56, 385 (2014)).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from nnft.errors import NumericalError, UsageError
from nnft.theory.activations import Activation, Array

MAX_DIMENSION = 3
_ERROR_EXPONENT = 42.0
_RANK_TOLERANCE = 1e-14
_CHUNK = 1 << 19


def trapezoid_step(activation: Activation, variance: float, factors: int) -> float:
    """Step that makes the trapezoid error of a product of activations smaller than exp(-42).

    Shifting the contour by y multiplies the Gaussian by exp(y**2/2), the product by
    exp(factors * c * variance * y**2) with c the Gaussian growth, and the error is exp(-2 pi y/step);
    y is bounded by the strip of analyticity divided by the standard deviation. At the edge of the
    strip a product of m poles has a residue of the order of (2 pi / step)**(m-1) / (m-1)!, for which
    the exponent is raised by 2 m.

    Parameters
    ----------
    activation : Activation
        Smooth activation.
    variance : float
        Largest variance of an argument.
    factors : int
        Number of factors sigma in the integrand, each derivative counted as one more.

    Returns
    -------
    float
        Step in units of the whitened variable.

    Raises
    ------
    UsageError
        If the activation has a kink: no trapezoid rule is accurate there.
    """
    if activation.kinked:
        raise UsageError(f"trapezoid rule for a kinked activation: got {activation.name}; use angular nodes")
    curvature = 0.5 + factors * activation.gaussian_growth * variance
    exponent = _ERROR_EXPONENT + (0.0 if math.isinf(activation.strip) else 2.0 * factors)
    best = math.sqrt(exponent / curvature)
    strip = activation.strip / math.sqrt(variance) if variance > 0.0 else math.inf
    shift = min(best, strip)
    linear = factors * math.sqrt(variance) if activation.name in {"sin", "cos"} else 0.0
    return 2.0 * math.pi / (exponent / shift + curvature * shift + linear)


def half_range(dimension: int) -> float:
    """Cut of the whitened variable: the neglected mass is below exp(-50), or exp(-40) from dimension 3."""
    return 10.0 if dimension <= 2 else 9.0


def trapezoid_rule(step: float, cut: float) -> tuple[Array, Array]:
    """Return nodes and weights (sum 1 up to the cut) of the rule for a standard normal variable."""
    count = math.ceil(cut / step)
    nodes = step * np.arange(-count, count + 1, dtype=np.float64)
    return nodes, np.exp(-0.5 * nodes**2) * (step / math.sqrt(2.0 * math.pi))


def range_factor(covariance: Array) -> Array:
    """Return A of shape (k, rank) with ``A @ A.T == covariance``; null directions are dropped.

    Raises
    ------
    UsageError
        If the matrix is not square or has an eigenvalue below -1e-12 of the largest one.
    """
    matrix = np.atleast_2d(np.asarray(covariance, dtype=np.float64))
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise UsageError(f"covariance is not a square matrix: got shape {matrix.shape}; give (k, k)")
    if not np.all(np.isfinite(matrix)):
        raise NumericalError("covariance contains a value that is not finite; check the variances")
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    largest = float(values[-1]) if values.size else 0.0
    if values.size and float(values[0]) < -1e-12 * max(abs(largest), np.finfo(float).tiny):
        raise UsageError(f"covariance has a negative eigenvalue: got {values[0]:.3g}; give a kernel")
    kept = values > _RANK_TOLERANCE * largest
    return np.asarray(vectors[:, kept] * np.sqrt(values[kept]), dtype=np.float64)


def trapezoid_nodes(factor: Array, step: float) -> Iterator[tuple[Array, Array]]:
    """Yield pieces (z of shape (k, N), weights of shape (N,)) of the tensor rule for z = factor @ u.

    Parameters
    ----------
    factor : ndarray, shape (k, r)
        Square root of the covariance, r at most `MAX_DIMENSION`; r = 0 gives the point z = 0.
    step : float
        Step of every whitened coordinate.
    """
    size, rank = factor.shape
    if rank > MAX_DIMENSION:
        raise UsageError(f"too many dimensions for quadrature: got {rank}; at most {MAX_DIMENSION}")
    if rank == 0:
        yield np.zeros((size, 1)), np.ones(1)
        return
    nodes, weights = trapezoid_rule(step, half_range(rank))
    inner = min(rank, 2)
    grids = np.meshgrid(*([nodes] * inner), indexing="ij")
    base = factor[:, rank - inner :] @ np.stack([g.ravel() for g in grids])
    base_weights = weights if inner == 1 else np.outer(weights, weights).ravel()
    if rank < MAX_DIMENSION:
        yield base, base_weights
        return
    group = max(1, _CHUNK // base_weights.size)
    for start in range(0, nodes.size, group):
        part = slice(start, start + group)
        z = (np.outer(factor[:, 0], nodes[part])[:, :, None] + base[:, None, :]).reshape(size, -1)
        yield z, np.outer(weights[part], base_weights).ravel()


def gaussian_average(function: Callable[[Array], Array], covariance: Array, step: float) -> Array:
    """Average of a smooth function over z ~ N(0, covariance).

    Parameters
    ----------
    function : callable
        Maps z of shape (k, N) to an array of shape (..., N); must be analytic near the real axis.
    covariance : ndarray, shape (k, k)
        Positive semidefinite; its rank may be at most 3, null directions are not integrated.
    step : float
        Step of the whitened variable, for instance from `trapezoid_step`.

    Returns
    -------
    ndarray, shape (...)
        The average; accurate to rounding when the step fits the function.
    """
    total: Array | None = None
    for z, weights in trapezoid_nodes(range_factor(covariance), step):
        part = np.asarray(np.sum(function(z) * weights, axis=-1), dtype=np.float64)
        total = part if total is None else total + part
    if total is None:
        raise NumericalError("no quadrature nodes; the step is too large")
    return total
