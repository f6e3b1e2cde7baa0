"""One input: Gaussian averages of one argument and the recursions for K, V, G1 and U.

Equations: Yaida, arXiv:1910.00019; Roberts, Yaida, Hanin, *Principles of Deep Learning Theory*,
chapters 4 and 5. V and G1 are normalised by the width below the layer, U by its square.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nnft.errors import UsageError
from nnft.theory.activations import Activation, Array
from nnft.theory.quadrature import half_range, trapezoid_rule, trapezoid_step


@dataclass(frozen=True)
class SingleInputAverages:
    """Averages over z ~ N(0, K); s = sigma(z), d = sigma'(z), dd = sigma''(z), ' = d/dK.

    Attributes
    ----------
    s2, s4, s6, d2, d4 : float
        Averages of powers of s and d.
    s2d2, zsd, sdd, sddd2 : float
        Averages of s**2 d**2, z s d, s dd and s dd d**2.
    s2_slope, s4_slope, d2_slope : float
        Derivatives of s2, s4 and d2 with respect to K.
    s2_fourth, d2_fourth : float
        Averages of the fourth derivatives of s**2 and d**2 with respect to z; 4 times the second
        derivative of s2 and d2 with respect to K.
    """

    s2: float
    s4: float
    s6: float
    d2: float
    d4: float
    s2d2: float
    zsd: float
    sdd: float
    sddd2: float
    s2_slope: float
    s4_slope: float
    d2_slope: float
    s2_fourth: float
    d2_fourth: float


def single_input_averages(sigma: Activation, variance: float) -> SingleInputAverages:
    """Averages of one Gaussian argument of the given variance.

    Parameters
    ----------
    sigma : Activation
        Any activation; delta functions at a kink are multiplied by sigma(0) = 0 and drop out.
    variance : float
        K >= 0.
    """
    if sigma.kinked:
        return _kinked_averages(sigma, variance)
    if sigma.name == "exp":
        return _exponential_averages(variance)
    step = trapezoid_step(sigma, variance, 8)
    nodes, weights = trapezoid_rule(step, half_range(1))
    z = math.sqrt(variance) * nodes
    s, d, dd, d3, d4, d5 = (sigma.derivative(z, order) for order in range(6))

    def mean(values: Array) -> float:
        return math.fsum((values * weights).tolist())

    slope2 = mean(d * d + s * dd)
    bend = _gelu_bend(variance) if sigma.name == "gelu" else mean(2.0 * s * d4 + 8.0 * d * d3 + 6.0 * dd**2)
    return SingleInputAverages(
        s2=mean(s**2),
        s4=mean(s**4),
        s6=mean(s**6),
        d2=mean(d**2),
        d4=mean(d**4),
        s2d2=mean(s**2 * d**2),
        zsd=variance * slope2,
        sdd=mean(s * dd),
        sddd2=mean(s * dd * d**2),
        s2_slope=slope2,
        s4_slope=mean(6.0 * s**2 * d**2 + 2.0 * s**3 * dd),
        d2_slope=mean(dd**2 + d * d3),
        s2_fourth=bend,
        d2_fourth=mean(2.0 * d * d5 + 8.0 * dd * d4 + 6.0 * d3**2),
    )


def _gelu_bend(variance: float) -> float:
    """Average of the fourth derivative of GELU squared, 4 d2<s**2>/dK2 in closed form.

    Near the half-stable critical point the average is a thousand times smaller than its integrand.
    """
    numerator = 6.0 + variance * (18.0 + variance * (11.0 - 5.0 * variance))
    return 2.0 * numerator / (math.pi * (1.0 + variance) ** 3 * math.pow(1.0 + 2.0 * variance, 2.5))


def _kinked_averages(sigma: Activation, variance: float) -> SingleInputAverages:
    plus, minus = sigma.slopes
    second, fourth, sixth = (0.5 * (plus**m + minus**m) for m in (2, 4, 6))
    return SingleInputAverages(
        s2=second * variance,
        s4=3.0 * fourth * variance**2,
        s6=15.0 * sixth * variance**3,
        d2=second,
        d4=fourth,
        s2d2=fourth * variance,
        zsd=second * variance,
        sdd=0.0,
        sddd2=0.0,
        s2_slope=second,
        s4_slope=6.0 * fourth * variance,
        d2_slope=0.0,
        s2_fourth=0.0,
        d2_fourth=0.0,
    )


def _exponential_averages(variance: float) -> SingleInputAverages:
    two, four, six = (math.exp(0.5 * k**2 * variance) for k in (2, 4, 6))
    return SingleInputAverages(
        s2=two,
        s4=four,
        s6=six,
        d2=two,
        d4=four,
        s2d2=four,
        zsd=2.0 * variance * two,
        sdd=two,
        sddd2=four,
        s2_slope=2.0 * two,
        s4_slope=8.0 * four,
        d2_slope=2.0 * two,
        s2_fourth=16.0 * two,
        d2_fourth=16.0 * two,
    )


@dataclass(frozen=True)
class SingleInputFlow:
    """Layers 1..L at one input; every array has shape (L,).

    Attributes
    ----------
    kernel : ndarray
        K, infinite width.
    vertex : ndarray
        V, leading order; exact at layer 2.
    correction : ndarray
        G1, leading order.
    sextic : ndarray
        U, leading order; exact at layer 2.
    """

    kernel: Array
    vertex: Array
    correction: Array
    sextic: Array


def single_input_flow(
    sigma: Activation,
    first_kernel: float,
    widths: Sequence[int],
    weight_variances: Sequence[float],
    bias_variances: Sequence[float],
) -> SingleInputFlow:
    """Iterate the recursions for K, V, G1 and U.

    Parameters
    ----------
    sigma : Activation
        The activation.
    first_kernel : float
        K of layer 1, C_b + C_W |x|**2 / d.
    widths : sequence of int
        Hidden widths n_1..n_{L-1}.
    weight_variances, bias_variances : sequence of float
        C_W and C_b of the affine layers 1..L.

    Raises
    ------
    UsageError
        If the numbers of layers do not fit.
    """
    if len(weight_variances) != len(widths) + 1 or len(bias_variances) != len(widths) + 1:
        raise UsageError(
            f"variances of {len(widths) + 1} layers: got {len(weight_variances)} weight and "
            f"{len(bias_variances)} bias variances; give one of each for every layer"
        )
    rows = [(first_kernel, 0.0, 0.0, 0.0)]
    for step in range(len(widths)):
        ratio = widths[step] / widths[step - 1] if step else 0.0
        rows.append(_next_row(sigma, rows[-1], ratio, weight_variances[step + 1], bias_variances[step + 1]))
    table = np.array(rows, dtype=np.float64)
    return SingleInputFlow(table[:, 0], table[:, 1], table[:, 2], table[:, 3])


def _next_row(
    sigma: Activation, row: tuple[float, float, float, float], ratio: float, weight: float, bias: float
) -> tuple[float, float, float, float]:
    kernel, vertex, correction, sextic = row
    mean = single_input_averages(sigma, kernel)
    parallel = weight * mean.s2_slope
    parallel_slope = 0.25 * weight * mean.s2_fourth
    source = weight**2 * (mean.s4 - mean.s2**2)
    source_slope = weight**2 * (mean.s4_slope - 2.0 * mean.s2 * mean.s2_slope)
    third = weight**3 * (mean.s6 - 3.0 * mean.s4 * mean.s2 + 2.0 * mean.s2**3)
    return (
        bias + weight * mean.s2,
        source + ratio * parallel**2 * vertex,
        ratio * (parallel * correction + 0.125 * weight * mean.s2_fourth * vertex),
        third
        + 3.0 * ratio * parallel * source_slope * vertex
        + ratio**2 * (parallel**3 * sextic + 3.0 * parallel**2 * parallel_slope * vertex**2),
    )
