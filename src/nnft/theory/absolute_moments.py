"""Products of four piecewise linear activations at four linearly independent inputs.

``sigma(z) = alpha z + beta |z|``; integration by parts reduces every mixed moment of z, |z| and
sign(z) to arcsines and to the mean of four signs (Nabeya, Ann. Inst. Statist. Math. 13, 131 (1961)),
and that mean is one smooth integral along a path of covariances (Plackett, Biometrika 41, 351 (1954)).
"""

from __future__ import annotations

import functools
import itertools
import math

import numpy as np

from nnft.errors import UsageError
from nnft.theory.activations import Activation, Array

_LINEAR, _ABSOLUTE, _SIGN = "linear", "absolute", "sign"
_STEP = 1.0 / 16.0
_REACH = 4.0


@functools.cache
def _path() -> tuple[Array, Array, Array]:
    """Double-exponential nodes t, complements 1 - t and weights on (0, 1)."""
    x = _STEP * np.arange(-round(_REACH / _STEP), round(_REACH / _STEP) + 1)
    height = math.pi * np.sinh(x)
    complement = 1.0 / (1.0 + np.exp(height))
    t = 1.0 / (1.0 + np.exp(-height))
    return t, complement, _STEP * math.pi * np.cosh(x) * t * complement


def mean_of_four_signs(covariance: Array) -> float:
    """Mean of sign(z_1) sign(z_2) sign(z_3) sign(z_4) for z ~ N(0, covariance).

    The covariances are switched on along t K_ab, 0 <= t <= 1; the derivative is a sum over pairs of
    the density of the pair at zero times an arcsine for the other two.

    Parameters
    ----------
    covariance : ndarray, shape (4, 4)
        Positive definite.
    """
    deviation = np.sqrt(np.diagonal(covariance))
    rho = covariance / np.outer(deviation, deviation)
    t, complement, weights = _path()
    total = np.zeros_like(t)
    for a, b in itertools.combinations(range(4), 2):
        c, d = (i for i in range(4) if i not in (a, b))
        pair = (1.0 - rho[a, b]) * (1.0 + rho[a, b]) + complement * (1.0 + t) * rho[a, b] ** 2

        def residual(i: int, j: int, a: int = a, b: int = b, pair: Array = pair) -> Array:
            own = 1.0 if i == j else t * rho[i, j]
            cross = t * rho[a, b] * (rho[a, i] * rho[b, j] + rho[b, i] * rho[a, j])
            return np.asarray(
                own - t**2 * (rho[a, i] * rho[a, j] + rho[b, i] * rho[b, j] - cross) / pair, dtype=np.float64
            )

        size = np.sqrt(np.maximum(residual(c, c) * residual(d, d), np.finfo(float).tiny))
        angle = np.arcsin(np.clip(residual(c, d) / size, -1.0, 1.0))
        total += 4.0 * rho[a, b] / (math.pi**2 * np.sqrt(pair)) * angle
    return float(np.sum(total * weights))


def _mean_of_signs(covariance: Array) -> float:
    size = covariance.shape[0]
    if size == 0:
        return 1.0
    if size == 2:
        remainder = max(covariance[0, 0] * covariance[1, 1] - covariance[0, 1] ** 2, 0.0)
        return 2.0 / math.pi * math.atan2(float(covariance[0, 1]), math.sqrt(remainder))
    return mean_of_four_signs(covariance)


def _at_zero(covariance: Array, kinds: tuple[str, ...], index: int) -> float:
    """Mixed moment with factor `index` replaced by two delta functions at zero."""
    variance = float(covariance[index, index])
    if variance <= 0.0:
        return 0.0
    rest = [i for i in range(len(kinds)) if i != index]
    column = covariance[rest, index]
    conditional = covariance[np.ix_(rest, rest)] - np.outer(column, column) / variance
    moment = mixed_moment(conditional, tuple(kinds[i] for i in rest))
    return 2.0 / math.sqrt(2.0 * math.pi * variance) * moment


def _differentiated(covariance: Array, kinds: tuple[str, ...], index: int) -> float:
    """Mixed moment with factor `index` replaced by its derivative."""
    if kinds[index] == _SIGN:
        return _at_zero(covariance, kinds, index)
    if kinds[index] == _ABSOLUTE:
        return mixed_moment(covariance, (*kinds[:index], _SIGN, *kinds[index + 1 :]))
    rest = [i for i in range(len(kinds)) if i != index]
    return mixed_moment(covariance[np.ix_(rest, rest)], tuple(kinds[i] for i in rest))


def mixed_moment(covariance: Array, kinds: tuple[str, ...]) -> float:
    """Average of a product of factors z_a, |z_a| and sign(z_a), one for every variable.

    Parameters
    ----------
    covariance : ndarray, shape (k, k)
        Covariance of the k <= 4 variables.
    kinds : tuple of str
        "linear", "absolute" or "sign" for every variable.
    """
    if sum(kind != _ABSOLUTE for kind in kinds) % 2:
        return 0.0
    if all(kind == _SIGN for kind in kinds):
        return _mean_of_signs(covariance)
    chosen = next(i for i, kind in enumerate(kinds) if kind != _SIGN)
    others = [i for i in range(len(kinds)) if i != chosen]
    if kinds[chosen] == _LINEAR:
        # z_a X averages to sum_b K_ab <d_b X>; factor a itself is gone
        reduced = covariance[np.ix_(others, others)]
        left = tuple(kinds[i] for i in others)
        terms = [
            float(covariance[chosen, b]) * _differentiated(reduced, left, i) for i, b in enumerate(others)
        ]
        return math.fsum(terms)
    signed = (*kinds[:chosen], _SIGN, *kinds[chosen + 1 :])
    terms = [float(covariance[chosen, b]) * _differentiated(covariance, signed, b) for b in range(len(kinds))]
    return math.fsum(terms)


def four_point_average(sigma: Activation, covariance: Array) -> float:
    """Average of sigma(z_1) sigma(z_2) sigma(z_3) sigma(z_4) for a piecewise linear activation.

    Parameters
    ----------
    sigma : Activation
        relu or leaky_relu.
    covariance : ndarray, shape (4, 4)
        Positive definite.

    Raises
    ------
    UsageError
        If the shape is another one.
    """
    if covariance.shape != (4, 4):
        raise UsageError(f"four-point average: got covariance of shape {covariance.shape}; give (4, 4)")
    plus, minus = sigma.slopes
    total = 0.0
    for kinds in itertools.product((_LINEAR, _ABSOLUTE), repeat=4):
        odd = kinds.count(_LINEAR)
        factor = (0.5 * (plus + minus)) ** odd * (0.5 * (plus - minus)) ** (4 - odd)
        if factor != 0.0:
            total += factor * mixed_moment(covariance, kinds)
    return total
