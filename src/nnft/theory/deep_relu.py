"""Exact moments of the conditional metric for one input: deep linear, ReLU and leaky ReLU networks.

For a positively homogeneous activation the metric of a single input obeys, exactly at finite width,
``Ghat' = C_b + C_W Ghat S_n`` with ``S_n = mean of sigma(xi)**2`` over n independent normal xi.
Moments of S_n are polynomials in 1/n (see Zavatone-Veth and Pehlevan, arXiv:2104.11734; Hanin and
Zlokapa, arXiv:2212.14457, for the densities).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from nnft.errors import UsageError
from nnft.theory.cumulants import Number, joint_cumulant, set_partitions


def slope_moment(slopes: tuple[Number, Number], order: int) -> Number:
    """Half of a_plus**order + a_minus**order."""
    plus, minus = slopes
    return (plus**order + minus**order) / 2


def mean_square_moment(width: int, order: int, slopes: tuple[Number, Number]) -> Number:
    """Moment E[S_n**order] of ``S_n = (1/n) sum_j sigma(xi_j)**2``.

    Parameters
    ----------
    width : int
        Number n of neurons.
    order : int
        Order of the moment, any non-negative integer.
    slopes : tuple
        Slopes (a_plus, a_minus); (1, 0) is ReLU and (1, 1) linear. Fractions give exact results.
    """
    one = slope_moment(slopes, 0)
    total = one - one
    for partition in set_partitions(tuple(range(order))):
        term = one * math.perm(width, len(partition))
        for block in partition:
            size = len(block)
            term = term * (math.prod(range(1, 2 * size, 2)) * slope_moment(slopes, 2 * size))
        total = total + term
    power: int = width**order
    return total / power


def metric_moments(
    squared_norm: Number,
    widths: Sequence[int],
    weight_variances: Sequence[Number],
    bias_variances: Sequence[Number],
    *,
    slopes: tuple[Number, Number],
    highest: int = 3,
) -> list[Number]:
    """Moments E[(Ghat^(L))**k] for k = 0..highest at one input.

    Parameters
    ----------
    squared_norm : float or Fraction
        |x|**2 / d.
    widths : sequence of int
        Hidden widths n_1..n_{L-1}; may be empty.
    weight_variances, bias_variances : sequence
        C_W and C_b of the affine layers 1..L.
    slopes : tuple
        Slopes (a_plus, a_minus).
    highest : int
        Highest moment.

    Returns
    -------
    list
        The output satisfies E[z**(2k)] = (2k-1)!! times entry k.

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
    start = bias_variances[0] + weight_variances[0] * squared_norm
    moments = [start**k for k in range(highest + 1)]
    for width, weight, bias in zip(widths, weight_variances[1:], bias_variances[1:], strict=True):
        factors = [mean_square_moment(width, j, slopes) * weight**j for j in range(highest + 1)]
        moments = [_affine_moment(k, bias, factors, moments) for k in range(highest + 1)]
    return moments


def _affine_moment(order: int, bias: Number, factors: list[Number], moments: list[Number]) -> Number:
    total = factors[0] - factors[0]
    for j in range(order + 1):
        total = total + math.comb(order, j) * bias ** (order - j) * factors[j] * moments[j]
    return total


def output_cumulant(moments: Sequence[Number], order: int) -> Number:
    """Cumulant of even order of one output from the metric moments.

    ``kappa_2k[z] = (2k-1)!! kappa_k[Ghat]`` (the output is Gaussian given the metric).

    Parameters
    ----------
    moments : sequence
        Metric moments 0..k, as from `metric_moments`.
    order : int
        Even order 2k.
    """
    half = order // 2
    if order % 2 or not 0 < half < len(moments):
        raise UsageError(f"order of output cumulant: got {order}; even, at most {2 * len(moments) - 2}")
    cumulant = joint_cumulant(lambda block: moments[len(block)], half, moments[0])
    return cumulant * math.prod(range(1, order, 2))


def dead_output_probability(widths: Sequence[int]) -> Fraction:
    """Probability that a bias-free ReLU network vanishes on the whole ray of a nonzero input.

    ``1 - prod_l (1 - 2**-n_l)``: some hidden layer has all its neurons off.
    """
    alive = math.prod((1 - Fraction(1, 2**width) for width in widths), start=Fraction(1))
    return 1 - alive
