"""Exact density and characteristic function of the output of a deep linear network at one input.

The output is Gaussian with the random variance G prod_l chi2_{n_l} / n_l, so both functions are
Mellin-Barnes integrals of gamma functions, that is Meijer G functions (Zavatone-Veth and Pehlevan,
arXiv:2104.11734; Hanin and Zlokapa, arXiv:2212.14457). On a vertical line the integrand decays
exponentially and is analytic, so the trapezoid rule is accurate to rounding. No biases.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from nnft.errors import UsageError
from nnft.theory.activations import Array

_DECAY = 42.0


def _barnes_integral(rising: Array, falling: Array, argument: float, line: float) -> float:
    """Return (1/2 pi i) int prod Gamma(b + s) prod Gamma(a - s) argument**-s ds / prod Gamma(a).

    The line is Re s = `line`, to the right of all -b and to the left of all a.
    """
    from scipy.special import gammaln, loggamma

    factors = rising.size + falling.size
    distance: float = min([line + float(np.min(rising)), *(falling - line).tolist()])
    reach = 2.0 * (_DECAY + 10.0) / (math.pi * factors) + 12.0
    step = 2.0 * math.pi * min(distance, 1.0) / (_DECAY + abs(math.log(argument)) + 10.0)
    t = step * np.arange(-math.ceil(reach / step), math.ceil(reach / step) + 1)
    s = line + 1j * t
    exponent = -s * math.log(argument)
    exponent = exponent + np.sum(loggamma(rising[:, None] + s), axis=0)
    exponent = exponent + np.sum(loggamma(falling[:, None] - s) - gammaln(falling)[:, None], axis=0)
    values: list[float] = np.exp(exponent).real.tolist()
    return math.fsum(values) * step / (2.0 * math.pi)


def output_density(squared_radius: float, outputs: int, metric: float, widths: Sequence[int]) -> float:
    """Probability density of the D-dimensional output at a point with |z|**2 = `squared_radius`.

    Parameters
    ----------
    squared_radius : float
        |z|**2 > 0.
    outputs : int
        Number D of output neurons.
    metric : float
        G = prod(C_W) |x|**2 / d, the variance of one output.
    widths : sequence of int
        Hidden widths; empty gives the normal density.

    Raises
    ------
    UsageError
        If the radius or the metric is not positive.
    """
    if squared_radius <= 0.0 or metric <= 0.0:
        raise UsageError(f"density of a linear network: got |z|^2 {squared_radius}, G {metric}; both above 0")
    if not widths:
        norm = math.pow(2.0 * math.pi * metric, -0.5 * outputs)
        return norm * math.exp(-0.5 * squared_radius / metric)
    scale = math.prod(0.5 * n for n in widths) / (2.0 * metric)
    lower = np.array([0.0, *(0.5 * (n - outputs) for n in widths)])
    line = max(0.0, -float(np.min(lower))) + 1.0
    log_norm = sum(math.lgamma(0.5 * n) for n in widths)
    integral = _barnes_integral(lower, np.empty(0), scale * squared_radius, line)
    return math.pow(scale / math.pi, 0.5 * outputs) * integral * math.exp(-log_norm)


def one_hidden_layer_density(squared_radius: float, outputs: int, metric: float, width: int) -> float:
    """Density for one hidden layer: a modified Bessel function of order (n - D) / 2.

    Parameters are those of `output_density`.
    """
    from scipy.special import kve

    scale = 0.25 * width / metric
    argument = scale * squared_radius
    order = 0.5 * (width - outputs)
    root = 2.0 * math.sqrt(argument)
    bessel = 2.0 * math.pow(argument, 0.5 * order) * float(kve(order, root)) * math.exp(-root)
    return math.pow(scale / math.pi, 0.5 * outputs) * bessel / math.gamma(0.5 * width)


def characteristic_function(wave_number: float, metric: float, widths: Sequence[int]) -> float:
    """Characteristic function E[exp(i p z)] of one output.

    Parameters
    ----------
    wave_number : float
        p; the function is even.
    metric : float
        G, the variance of the output.
    widths : sequence of int
        Hidden widths; one width gives ``(1 + p**2 G / n)**(-n/2)``.
    """
    argument = 0.5 * wave_number**2 * metric * math.prod(2.0 / n for n in widths)
    if argument == 0.0 or not widths:
        return math.exp(-argument)
    upper = np.array([0.5 * n for n in widths])
    return _barnes_integral(np.zeros(1), upper, argument, 0.5 * float(np.min(upper)))
