"""Law of u = prod_l chi2_{N_l} / N_l, the random kernel scale of a deep linear network.

The density of log u is an inverse Mellin transform of gamma functions. Every node of the quadrature has its
contour through its own saddle point, so that the density is accurate relative to itself far out in both
tails, where a likelihood may put the weight (Daniels, Ann. Math. Stat. 25, 631 (1954); for networks
Zavatone-Veth and Pehlevan, arXiv:2104.11734; Hanin and Zlokapa, arXiv:2212.14457).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnft.errors import UsageError
from nnft.theory.activations import Array

_EXPONENT = 45.0  # what is below exp(-45) of the largest value is left out
_WINDOW = 60.0
_SHAPE_RANGE = (0.005, 1e12)  # of the smallest shape on the saddle: u from exp(-200) to beyond all use
_SHAPE_FLOOR = 0.25  # contours stay this far from the poles
_CHUNK = 64


def check_widths(widths: Sequence[int]) -> tuple[int, ...]:
    """Hidden widths as a tuple.

    Raises
    ------
    UsageError
        If there is none or one is not a positive integer.
    """
    if not widths or any(n < 1 or n != int(n) for n in widths):
        raise UsageError(f"hidden widths: got {list(widths)}; give positive integers, at least one")
    return tuple(int(n) for n in widths)


def scale_quadrature(
    widths: Sequence[int], log_factor: Callable[[Array], Array], nodes: int = 1025
) -> tuple[Array, Array]:
    """Quadrature over u with the weight ``p(u) exp(log_factor(u))``.

    Parameters
    ----------
    widths : sequence of int
        N_l, the degrees of freedom.
    log_factor : callable
        Logarithm of a smooth positive factor at an array of u, bounded from above for large u.
    nodes : int
        Number of nodes.

    Returns
    -------
    scales : ndarray, shape (G,)
        Nodes u, increasing.
    log_weights : ndarray, shape (G,)
        Logarithm of the weights; for ``log_factor = 0`` the weights have the sum 1.

    Raises
    ------
    UsageError
        If the widths are not positive integers.

    Notes
    -----
    The trapezoid rule in the logarithm of the smallest shape N/2 + s on the saddle s(u), on the window
    outside of which the weight is below exp(-60) of its maximum.
    """
    halves = 0.5 * np.array(check_widths(widths), dtype=np.float64)
    low, high = math.log(_SHAPE_RANGE[0]), math.log(_SHAPE_RANGE[1])
    for _ in range(40):
        grid = np.linspace(low, high, nodes)
        log_scale, log_weight = _saddle_weights(halves, grid)
        log_weight = log_weight + log_factor(np.exp(log_scale))
        kept = np.flatnonzero(log_weight > np.max(log_weight) - _WINDOW)
        first, last = max(int(kept[0]) - 1, 0), min(int(kept[-1]) + 1, nodes - 1)
        low, high = float(grid[first]), float(grid[last])
        if last - first > nodes // 2:
            break
    grid = np.linspace(low, high, nodes)
    log_scale, log_weight = _saddle_weights(halves, grid)
    scales = np.exp(log_scale)
    return scales, log_weight + np.log(_saddle_ratio(halves, grid)) + log_factor(scales)


def _shapes(halves: Array, grid: Array) -> Array:
    """Shapes N_l / 2 + s, shape (G, layers), for the logarithm of the smallest one."""
    return np.asarray(np.exp(grid)[:, None] + (halves - np.min(halves)), dtype=np.float64)


def _stirling(shape: Array) -> Array:
    """``log Gamma(a) - (a - 1/2) log a + a`` without cancellation at large a."""
    from scipy.special import gammaln

    small = np.minimum(shape, 16.0)
    large = np.maximum(shape, 16.0)
    exact = gammaln(small) - (small - 0.5) * np.log(small) + small
    series = 0.5 * math.log(2.0 * math.pi) + _stirling_series(large)
    return np.asarray(np.where(shape < 16.0, exact, series), dtype=np.float64)


def _stirling_series(shape: Any) -> Any:
    inverse = 1.0 / shape**2
    return (1 / 12 - inverse * (1 / 360 - inverse * (1 / 1260 - inverse / 1680))) / shape


def _saddle_weights(halves: Array, grid: Array) -> tuple[Array, Array]:
    """log u and the logarithm of (saddle-point density of log u) x (step of log u) at the nodes."""
    from scipy.special import digamma, polygamma

    shapes = _shapes(halves, grid)
    shift = (shapes[:, 0] - halves[0])[:, None]
    excess = np.log(shapes) - digamma(shapes)
    ratio = np.log1p(shift / halves)
    log_scale = np.sum(ratio - excess, axis=1)
    exponent = (halves - 0.5) * ratio - shift + shift * excess + _stirling(shapes) - _stirling(halves)
    variance = np.sum(polygamma(1, shapes), axis=1)
    log_step = grid + 0.5 * np.log(variance / (2.0 * math.pi)) + math.log(grid[1] - grid[0])
    return log_scale, np.sum(exponent, axis=1) + log_step


def _saddle_ratio(halves: Array, grid: Array) -> Array:
    """Density of log u divided by its saddle-point value."""
    from scipy.special import polygamma

    shapes = _shapes(halves, grid)
    if halves.size == 1:
        exponent = 0.5 * np.log(shapes * polygamma(1, shapes))[:, 0] + _one_layer(shapes[:, 0])
        return np.asarray(np.exp(exponent), dtype=np.float64)
    parts = [_contour(shapes[k : k + _CHUNK]) for k in range(0, len(grid), _CHUNK)]
    return np.concatenate(parts)


def _one_layer(shape: Array) -> Array:
    """``log[a^-1/2 Gamma(a)^-1 sqrt(2 pi) e^{a psi(a) - e^psi(a)}]``, the exact density of one layer."""
    from scipy.special import digamma

    excess = np.log(shape) - digamma(shape)
    exponent = -_stirling(shape) - shape * (excess + np.expm1(-excess))
    return np.asarray(0.5 * math.log(2.0 * math.pi) + exponent, dtype=np.float64)


def _contour(shapes: Array) -> Array:
    """Integral of the characteristic function of the tilted law over its Gaussian value, for some nodes."""
    from scipy.special import digamma, loggamma, polygamma

    centre = np.sum(digamma(shapes), axis=1)
    tilted = shapes + np.maximum(_SHAPE_FLOOR - np.min(shapes, axis=1), 0.0)[:, None]
    offset = centre - np.sum(digamma(tilted), axis=1)
    tilt = np.sum(loggamma(tilted) - loggamma(shapes), axis=1) - (tilted - shapes)[:, 0] * centre
    period = np.sum(2.0 * np.sqrt(2.0 * _EXPONENT / tilted) + _EXPONENT / tilted, axis=1) + np.abs(offset)
    reach = _reach(tilted)
    count = int(np.max(np.ceil(reach * period / (2.0 * math.pi)))) + 1
    step = reach / count
    wave = step[:, None] * np.arange(count + 1)
    phase = np.zeros(wave.shape, dtype=np.complex128)
    for layer in range(shapes.shape[1]):
        phase += _log_characteristic(tilted[:, layer, None], wave)
    values = np.exp(phase - 1j * wave * offset[:, None] + tilt[:, None]).real
    integral = 2.0 * np.sum(values, axis=1) - values[:, 0]
    ratio = integral * step * np.sqrt(np.sum(polygamma(1, shapes), axis=1) / (2.0 * math.pi))
    floor = np.finfo(np.float64).tiny  # rounding may win where there is no weight
    return np.asarray(np.maximum(ratio, floor), dtype=np.float64)


def _log_characteristic(shape: Array, wave: Array) -> NDArray[np.complex128]:
    """``log Gamma(a + i t) - log Gamma(a) - i t psi(a)`` without cancellation at large a."""
    from scipy.special import digamma, loggamma

    if np.min(shape) < 16.0:
        return np.asarray(loggamma(shape + 1j * wave) - loggamma(shape) - 1j * wave * digamma(shape))
    turn = wave / shape
    log_turn = 0.5 * np.log1p(turn**2) + 1j * np.arctan(turn)
    leading = (shape - 0.5 + 1j * wave) * log_turn - 1j * wave * (1.0 + digamma(shape) - np.log(shape))
    remainder = _stirling_series(shape + 1j * wave) - _stirling_series(shape)
    return np.asarray(leading + remainder, dtype=np.complex128)


def _reach(shapes: Array) -> Array:
    """Wave number beyond which the characteristic function is below exp(-45), for every node."""
    from scipy.special import loggamma

    start = np.sum(loggamma(shapes), axis=1)
    low, high = np.zeros(len(shapes)), 1.0 / np.sqrt(np.sum(1.0 / shapes, axis=1))
    while True:
        decay = start - np.sum(loggamma(shapes + 1j * high[:, None]).real, axis=1)
        if np.all(decay > _EXPONENT):
            break
        high = np.where(decay > _EXPONENT, high, 2.0 * high)
    for _ in range(6):
        middle = 0.5 * (low + high)
        decay = start - np.sum(loggamma(shapes + 1j * middle[:, None]).real, axis=1)
        low, high = np.where(decay > _EXPONENT, low, middle), np.where(decay > _EXPONENT, middle, high)
    return np.asarray(high, dtype=np.float64)
