"""Products of four smooth activations at four linearly independent inputs.

In Cholesky order the last argument is z_4 = m + c u_4 with m fixed by the first three variables, so the
innermost average is a function g(m) of one variable. It is tabulated once with its Taylor
coefficients, and the remaining three integrals are trapezoid sums.
"""

from __future__ import annotations

import math

import numpy as np

from nnft.theory.activations import Activation, Array
from nnft.theory.quadrature import half_range, trapezoid_rule, trapezoid_step

_SPACING = 0.1
_TAYLOR_ORDER = 12


def _smoothed_taylor(sigma: Activation, centers: Array, spread: float, step: float) -> Array:
    """Taylor coefficients of g(m) = <sigma(m + spread u)> at the centers, shape (order + 1, len)."""
    nodes, weights = trapezoid_rule(step, half_range(1))
    argument = centers[:, None] + spread * nodes
    rows = [
        np.einsum("mu,u->m", sigma.derivative(argument, order), weights) / math.factorial(order)
        for order in range(_TAYLOR_ORDER + 1)
    ]
    return np.stack(rows)


def nested_four_point_average(sigma: Activation, covariance: Array) -> float:
    """Average of sigma(z_1) sigma(z_2) sigma(z_3) sigma(z_4) over z ~ N(0, covariance).

    Parameters
    ----------
    sigma : Activation
        Smooth activation.
    covariance : ndarray, shape (4, 4)
        Positive definite.

    Returns
    -------
    float
        Accurate to about 1e-14 of the product of standard deviations of the factors.
    """
    factor = np.linalg.cholesky(covariance)
    largest = float(np.max(np.diagonal(covariance)))
    step = trapezoid_step(sigma, largest, 4)
    nodes, weights = trapezoid_rule(step, half_range(3))
    reach = float(nodes[-1] * np.sum(np.abs(factor[3, :3])))
    count = math.ceil(reach / _SPACING)
    centers = _SPACING * np.arange(-count, count + 1, dtype=np.float64)
    finer = trapezoid_step(sigma, largest, 2 + _TAYLOR_ORDER)
    taylor = _smoothed_taylor(sigma, centers, float(factor[3, 3]), finer)
    u2, u3 = nodes[:, None], nodes[None, :]
    total = 0.0
    for u1, weight in zip(nodes.tolist(), weights.tolist(), strict=True):
        second = sigma(factor[1, 0] * u1 + factor[1, 1] * nodes) * weights
        third = sigma(factor[2, 0] * u1 + factor[2, 1] * u2 + factor[2, 2] * u3) * weights
        mean = factor[3, 0] * u1 + factor[3, 1] * u2 + factor[3, 2] * u3
        index = np.rint(mean / _SPACING).astype(np.intp)
        offset = mean - _SPACING * index
        last = taylor[_TAYLOR_ORDER][index + count]
        for order in range(_TAYLOR_ORDER - 1, -1, -1):
            last = last * offset + taylor[order][index + count]
        first = float(sigma(np.array(factor[0, 0] * u1)))
        total += weight * first * float(np.sum(second[:, None] * third * last))
    return total
