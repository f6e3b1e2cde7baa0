"""Critical initialisations and their constants.

A network is critical when both susceptibilities are one at a fixed point K* of the kernel
(Roberts, Yaida, Hanin, *Principles of Deep Learning Theory*, chapter 5). Three classes are known:
scale-invariant activations, activations with K* = 0, and half-stable ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nnft.errors import NumericalError, UsageError
from nnft.theory.activations import Activation
from nnft.theory.single_input import single_input_averages


def scale_invariant_constants(slopes: tuple[float, float]) -> tuple[float, float]:
    """Critical C_W and slope nu of V / (n K**2) per layer for slopes (a_plus, a_minus); C_b = 0.

    Returns
    -------
    tuple of float
        C_W = 1 / A_2 and nu = 3 A_4 / A_2**2 - 1 with A_m half the sum of m-th powers of the slopes.
    """
    second, fourth = (0.5 * (slopes[0] ** m + slopes[1] ** m) for m in (2, 4))
    return 1.0 / second, 3.0 * fourth / second**2 - 1.0


@dataclass(frozen=True)
class VanishingFixedPoint:
    """Constants of the class K* = 0 at C_b = 0, C_W = 1 / sigma'(0)**2.

    Attributes
    ----------
    weight_variance : float
        Critical C_W.
    first, second : float
        a_1 and a_2 of K' = K + a_1 K**2 + a_2 K**3 + ...
    perpendicular : float
        b_1 of chi_perp = 1 + b_1 K + ...
    exponent : float
        Critical exponent p_perp = b_1 / a_1 of angles between inputs.
    vertex_slope : float
        Limit of V / (l K**2) at equal widths.
    """

    weight_variance: float
    first: float
    second: float
    perpendicular: float
    exponent: float
    vertex_slope: float


def vanishing_fixed_point(sigma: Activation) -> VanishingFixedPoint:
    """Constants of an activation with sigma(0) = 0, sigma'(0) != 0 from its Taylor series.

    Raises
    ------
    UsageError
        If the activation is not of this class.
    """
    origin = np.zeros(1)
    taylor = [float(sigma.derivative(origin, p)[0]) / math.factorial(p) for p in range(6)]
    if sigma.kinked or taylor[0] != 0.0 or taylor[1] == 0.0:
        raise UsageError(f"no fixed point at K = 0: got activation {sigma.name}; use tanh, erf or sin")
    slope = taylor[1]
    fourth = 2.0 * taylor[1] * taylor[3] + taylor[2] ** 2
    sixth = 2.0 * taylor[1] * taylor[5] + 2.0 * taylor[2] * taylor[4] + taylor[3] ** 2
    first, second = 3.0 * fourth / slope**2, 15.0 * sixth / slope**2
    perpendicular = (6.0 * taylor[1] * taylor[3] + 4.0 * taylor[2] ** 2) / slope**2
    if first >= 0.0:
        raise UsageError(f"unstable fixed point at K = 0: got activation {sigma.name}; use tanh, erf or sin")
    # V = c K**2 l with K = 1 / (-a_1 l) in V' = 2 K**2 + (1 + 4 a_1 K) V gives -c = 2 - 4 c
    return VanishingFixedPoint(1.0 / slope**2, first, second, perpendicular, perpendicular / first, 2.0 / 3.0)


@dataclass(frozen=True)
class HalfStablePoint:
    """Half-stable critical point.

    Attributes
    ----------
    kernel : float
        Fixed point K*.
    bias_variance, weight_variance : float
        Critical C_b and C_W.
    parallel, perpendicular : float
        Susceptibilities at K*, both 1 up to rounding.
    parallel_slope, perpendicular_slope : float
        Their derivatives with respect to K.
    """

    kernel: float
    bias_variance: float
    weight_variance: float
    parallel: float
    perpendicular: float
    parallel_slope: float
    perpendicular_slope: float


def half_stable_point(sigma: Activation, low: float, high: float) -> HalfStablePoint:
    """Find K* in [low, high] with <sigma sigma''> = 0 by bisection, and the variances that fix it.

    Raises
    ------
    NumericalError
        If <sigma sigma''> has the same sign at both ends, or the bias variance would be negative.
    """
    sign = single_input_averages(sigma, low).sdd
    if sign * single_input_averages(sigma, high).sdd >= 0.0:
        raise NumericalError(
            f"no half-stable point of {sigma.name} between {low} and {high}; widen the bracket"
        )
    while high - low > 2.0 * math.ulp(high):
        middle = 0.5 * (low + high)
        same = single_input_averages(sigma, middle).sdd * sign > 0.0
        low, high = (middle, high) if same else (low, middle)
    kernel = 0.5 * (low + high)
    mean = single_input_averages(sigma, kernel)
    weight = 1.0 / mean.d2
    bias = kernel - weight * mean.s2
    if bias < 0.0:
        raise NumericalError(f"critical bias variance of {sigma.name} is negative: got {bias:.3g}")
    return HalfStablePoint(
        kernel,
        bias,
        weight,
        weight * mean.s2_slope,
        weight * mean.d2,
        0.25 * weight * mean.s2_fourth,
        weight * mean.d2_slope,
    )
