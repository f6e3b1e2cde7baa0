"""Two-point Gaussian averages of activations and of their derivatives.

Closed forms: arcsine kernel (Williams, NIPS 1996), arc-cosine kernels (Cho and Saul, NIPS 2009),
trigonometric, exponential and polynomial activations by completing the square, and GELU; tanh,
sigmoid, softplus and SiLU by the whitened trapezoid rule.
"""

from __future__ import annotations

import math

import numpy as np

from nnft.errors import UsageError
from nnft.theory.activations import Activation, Array
from nnft.theory.quadrature import half_range, trapezoid_rule, trapezoid_step

_CHUNK = 1 << 21


def _relu_average(
    slopes: tuple[float, float], k11: Array, k12: Array, k22: Array, orders: tuple[int, int]
) -> Array:
    plus, minus = slopes
    even, jump = 0.5 * (plus**2 + minus**2), (plus - minus) ** 2 / (2.0 * math.pi)
    root = np.sqrt(np.maximum(k11 * k22 - k12**2, 0.0))
    theta = np.where((k11 > 0.0) & (k22 > 0.0), np.arctan2(root, k12), 0.5 * math.pi)
    if orders == (0, 0):
        return np.asarray(even * k12 + jump * (root - theta * k12), dtype=np.float64)
    if orders == (1, 1):
        return np.asarray(even - jump * theta, dtype=np.float64)
    if orders in {(2, 0), (0, 2)}:
        variance = k11 if orders == (2, 0) else k22
        ratio = np.divide(root, variance, out=np.zeros_like(root), where=variance > 0.0)
        return np.asarray(jump * ratio, dtype=np.float64)
    raise UsageError(f"average of derivatives of a kinked activation: got orders {orders}; no finite form")


def _erf_average(k11: Array, k12: Array, k22: Array, orders: tuple[int, int]) -> Array:
    q = (1.0 + 2.0 * k11) * (1.0 + 2.0 * k22)
    rest = 1.0 + 2.0 * k11 + 2.0 * k22 + 4.0 * (k11 * k22 - k12**2)
    if orders == (0, 0):
        return np.asarray(2.0 / math.pi * np.arcsin(2.0 * k12 / np.sqrt(q)), dtype=np.float64)
    return np.asarray(4.0 / math.pi / np.sqrt(rest), dtype=np.float64)


def _sine_average(k11: Array, k12: Array, k22: Array, orders: tuple[int, int]) -> Array:
    """Average of sin(z1 + i pi/2) sin(z2 + j pi/2)."""
    first, second = orders
    if (first - second) % 2:
        return np.zeros_like(k12)
    difference = 1.0 if (first - second) % 4 == 0 else -1.0
    total = 1.0 if (first + second) % 4 == 0 else -1.0
    mean = 0.5 * (k11 + k22)
    if difference == total:
        size = -0.5 * np.exp(np.abs(k12) - mean) * np.expm1(-2.0 * np.abs(k12))
        return np.asarray(difference * np.sign(k12) * size, dtype=np.float64)
    return np.asarray(0.5 * difference * (np.exp(k12 - mean) + np.exp(-k12 - mean)), dtype=np.float64)


def _quadratic_average(
    coefficients: tuple[float, ...], k11: Array, k12: Array, k22: Array, orders: tuple[int, int]
) -> Array:
    def differentiate(order: int) -> tuple[float, float, float]:
        a0, a1, a2 = coefficients
        for _ in range(order):
            a0, a1, a2 = a1, 2.0 * a2, 0.0
        return a0, a1, a2

    p0, p1, p2 = differentiate(orders[0])
    q0, q1, q2 = differentiate(orders[1])
    average = (p0 + p2 * k11) * (q0 + q2 * k22) + p1 * q1 * k12 + 2.0 * p2 * q2 * k12**2
    return np.asarray(average, dtype=np.float64)


def _gelu_average(k11: Array, k12: Array, k22: Array, orders: tuple[int, int]) -> Array:
    one, two = 1.0 + k11, 1.0 + k22
    determinant = 1.0 + k11 + k22 + (k11 * k22 - k12**2)
    density = 1.0 / (2.0 * math.pi * np.sqrt(determinant))
    quadrant = 0.25 + np.arctan2(k12, np.sqrt(determinant)) / (2.0 * math.pi)
    if orders == (0, 0):
        bracket = k11 * k22 + k12**2 * (1.0 - k11 / one - k22 / two)
        return np.asarray(k12 * quadrant + density * bracket, dtype=np.float64)
    return np.asarray(
        quadrant + density * k12 * (1.0 / one + 1.0 / two + 1.0 / determinant), dtype=np.float64
    )


def _quadrature_average(
    sigma: Activation, k11: Array, k12: Array, k22: Array, orders: tuple[int, int]
) -> Array:
    """Trapezoid rule for many pairs: z1 depends on u1 only, z2 on u1 and u2."""
    scale = float(max(np.max(k11, initial=0.0), np.max(k22, initial=0.0)))
    nodes, weights = trapezoid_rule(trapezoid_step(sigma, scale, 2 + sum(orders)), half_range(2))
    deviation = np.sqrt(k11)
    slope = np.divide(k12, deviation, out=np.zeros_like(k12), where=deviation > 0.0)
    remainder = np.maximum(k11 * k22 - k12**2, 0.0)
    spread = np.sqrt(np.divide(remainder, k11, out=k22.copy(), where=k11 > 0.0))
    result = np.empty_like(k12)
    piece = max(1, _CHUNK // nodes.size**2)
    for start in range(0, k12.size, piece):
        part = slice(start, start + piece)
        first = sigma.derivative(deviation[part, None] * nodes, orders[0]) * weights
        argument = slope[part, None, None] * nodes[:, None] + spread[part, None, None] * nodes
        inner = np.einsum("nij,j->ni", sigma.derivative(argument, orders[1]), weights)
        result[part] = np.einsum("ni,ni->n", first, inner)
    return result


def _closed_average(
    sigma: Activation, k11: Array, k12: Array, k22: Array, orders: tuple[int, int]
) -> Array | None:
    plain = orders in {(0, 0), (1, 1)}
    result: Array | None = None
    if sigma.kinked:
        result = _relu_average(sigma.slopes, k11, k12, k22, orders)
    elif sigma.name == "erf" and plain:
        result = _erf_average(k11, k12, k22, orders)
    elif sigma.name == "gelu" and plain:
        result = _gelu_average(k11, k12, k22, orders)
    elif sigma.name in {"sin", "cos"}:
        shift = 1 if sigma.name == "cos" else 0
        result = _sine_average(k11, k12, k22, (orders[0] + shift, orders[1] + shift))
    elif sigma.name == "exp":
        result = np.exp(0.5 * (k11 + k22) + k12)
    elif sigma.name == "quadratic":
        result = _quadratic_average(sigma.parameters, k11, k12, k22, orders)
    elif sigma.name in {"linear", "leaky_relu"}:
        slope = sigma.slopes[0]
        result = _quadratic_average((0.0, slope, 0.0), k11, k12, k22, orders)
    return result


def pair_average(
    sigma: Activation, k11: Array, k12: Array, k22: Array, orders: tuple[int, int] = (0, 0)
) -> Array:
    """Average of sigma^(i)(z1) sigma^(j)(z2) over Gaussian pairs, elementwise.

    Parameters
    ----------
    sigma : Activation
        The activation.
    k11, k12, k22 : ndarray, equal shapes
        Variance of z1, covariance, variance of z2; the 2 x 2 matrix may be singular.
    orders : tuple of two int
        Orders (i, j) of the derivatives.

    Returns
    -------
    ndarray
        Same shape as `k12`.

    Raises
    ------
    UsageError
        For derivatives of a kinked activation beyond (0,0), (1,1), (2,0), (0,2).
    """
    k11, k12, k22 = (np.asarray(k, dtype=np.float64) for k in (k11, k12, k22))
    closed = _closed_average(sigma, k11, k12, k22, orders)
    if closed is not None:
        return closed
    flat = _quadrature_average(sigma, k11.ravel(), k12.ravel(), k22.ravel(), orders)
    return flat.reshape(k12.shape)


def kernel_average(sigma: Activation, kernel: Array, orders: tuple[int, int] = (0, 0)) -> Array:
    """Matrix of averages of sigma^(i)(z_a) sigma^(i)(z_b) for z ~ N(0, kernel), equal orders.

    Parameters
    ----------
    kernel : ndarray, shape (P, P)
        Positive semidefinite covariance; repeated points are allowed.
    orders : tuple of two int
        (0, 0) for the activation itself, (1, 1) for its slope.

    Returns
    -------
    ndarray, shape (P, P)
        Exactly symmetric.
    """
    kernel = np.asarray(kernel, dtype=np.float64)
    first, second = np.triu_indices(kernel.shape[0])
    diagonal = np.diagonal(kernel)
    values = pair_average(sigma, diagonal[first], kernel[first, second], diagonal[second], orders)
    result = np.empty_like(kernel)
    result[first, second] = values
    result[second, first] = values
    return result
