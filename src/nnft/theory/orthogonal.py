"""Linear networks with Haar-distributed orthogonal weights and no biases: exact moments.

Square layers preserve the norm, so the output is uniform on a sphere; a layer that reduces the
dimension multiplies the squared norm by a beta variable (Day, Kahn, Roberts, arXiv:2310.07765).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from nnft.theory.cumulants import Number


def rising_factor(width: int, order: int, one: Number) -> Number:
    """Product prod_{j<order} (1 + 2 j / width), the moment E[(chi2_n / n)**order]."""
    power: int = width**order
    return one * math.prod(width + 2 * j for j in range(order)) / power


def norm_moment(dimensions: Sequence[int], start: Number, weight_variance: Number, order: int) -> Number:
    """Moment E[(|z|**2 / n_L)**order] after the layers n_0 -> n_1 -> ... -> n_L.

    Parameters
    ----------
    dimensions : sequence of int
        n_0..n_L; variances of weights are normalised as E[W_ij**2] = C_W / n_in for all shapes.
    start : float or Fraction
        |x|**2 / n_0.
    weight_variance : float or Fraction
        C_W of every layer.
    order : int
        Order of the moment.
    """
    one = start**0
    result = start**order
    for n_in, n_out in itertools.pairwise(dimensions):
        result = result * weight_variance**order
        if n_out < n_in:
            result = result * rising_factor(n_out, order, one) / rising_factor(n_in, order, one)
    return result


def component_moment(dimensions: Sequence[int], start: Number, weight_variance: Number, order: int) -> Number:
    """Moment E[z_i**(2 order)] of one output; parameters as in `norm_moment`."""
    double_factorial = math.prod(range(1, 2 * order, 2))
    norm = norm_moment(dimensions, start, weight_variance, order)
    return norm * double_factorial / rising_factor(dimensions[-1], order, start**0)


def mixed_moment(dimensions: Sequence[int], start: Number, weight_variance: Number) -> Number:
    """Moment E[z_i**2 z_j**2] of two different outputs, one third of E[z_i**4]."""
    return component_moment(dimensions, start, weight_variance, 2) / 3


def connected_coefficient(dimensions: Sequence[int], start: Number, weight_variance: Number) -> Number:
    """Coefficient of the three pairings of output indices in the connected four-point correlator."""
    two_point = component_moment(dimensions, start, weight_variance, 1)
    return mixed_moment(dimensions, start, weight_variance) - two_point**2
