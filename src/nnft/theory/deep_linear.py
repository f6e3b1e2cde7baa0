"""Exact correlators of deep linear networks with any widths, several inputs and biases.

Given layer l - 1, the metric of the next layer is a Wishart matrix, whose moments are sums over
pairings: ``E[prod_m Ghat'] = C_W**k sum_{m'} n**(loops(m, m') - k) prod_{m'} Ghat`` (the loops of the
union of two pairings; Graczyk, Letac and Massam, Ann. Statist. 31, 287 (2003)). For a single input
without biases this is the product formula of Roberts, Yaida, Hanin, *Principles of Deep Learning
Theory*, chapter 3.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Generic

from nnft.errors import UsageError
from nnft.theory.cumulants import Number, Pair, conditional_gaussian_cumulant, pairings

Matching = tuple[Pair, ...]


def count_loops(first: Matching, second: Matching) -> int:
    """Number of closed loops in the union of two pairings of the same slots."""
    partner = [{a: b for p in m for a, b in (p, p[::-1])} for m in (first, second)]
    unseen = set(partner[0])
    loops = 0
    while unseen:
        loops += 1
        start = slot = min(unseen)
        while True:
            middle = partner[0][slot]
            unseen -= {slot, middle}
            slot = partner[1][middle]
            if slot == start:
                break
    return loops


class LinearMetric(Generic[Number]):
    """Moments of the conditional metric of the last layer of a deep linear network.

    Parameters
    ----------
    gram : sequence of sequences
        x_a . x_b / d of the inputs; Fractions give exact results.
    widths : sequence of int
        Hidden widths n_1..n_{L-1}.
    weight_variances, bias_variances : sequence
        C_W and C_b of the affine layers 1..L.

    Raises
    ------
    UsageError
        If the numbers of layers do not fit.
    """

    def __init__(
        self,
        gram: Sequence[Sequence[Number]],
        widths: Sequence[int],
        weight_variances: Sequence[Number],
        bias_variances: Sequence[Number],
    ) -> None:
        if len(weight_variances) != len(widths) + 1 or len(bias_variances) != len(widths) + 1:
            raise UsageError(
                f"variances of {len(widths) + 1} layers: got {len(weight_variances)} weight and "
                f"{len(bias_variances)} bias variances; give one of each for every layer"
            )
        self._widths = tuple(widths)
        self._weights: tuple[Number, ...] = tuple(weight_variances)
        self._biases: tuple[Number, ...] = tuple(bias_variances)
        self._start: list[list[Number]] = [
            [self._biases[0] + self._weights[0] * q for q in row] for row in gram
        ]
        self._known: dict[tuple[int, tuple[tuple[int, ...], ...]], Number] = {}
        self.one: Number = self._weights[0] ** 0

    def moment(self, pairs: Sequence[Pair]) -> Number:
        """Expectation of a product of metric entries, given as pairs of input indices."""
        labels = tuple(a for pair in pairs for a in pair)
        matching = tuple((2 * i, 2 * i + 1) for i in range(len(pairs)))
        return self._moment(len(self._widths), matching, labels)

    def product_moment(self, inputs: Sequence[int]) -> Number:
        """Moment E[z_a z_b ...] of one output neuron at the given inputs."""
        total = self.one - self.one
        for pairing in pairings(tuple(range(len(inputs)))):
            total = total + self.moment([(inputs[a], inputs[b]) for a, b in pairing])
        return total

    def connected_correlator(self, inputs: Sequence[int], outputs: Sequence[int] | None = None) -> Number:
        """Exact connected correlator of output fields.

        Parameters
        ----------
        inputs : sequence of int
            Input index of every field; an even number, at most 8 in practice.
        outputs : sequence of int, optional
            Output neuron of every field; default: all the same.
        """

        def metric_moment(pairs: tuple[Pair, ...]) -> Number:
            return self.moment([(inputs[a], inputs[b]) for a, b in pairs])

        return conditional_gaussian_cumulant(metric_moment, len(inputs), self.one, outputs)

    def _moment(self, layer: int, matching: Matching, labels: tuple[int, ...]) -> Number:
        if layer == 0:
            result = self.one
            for a, b in matching:
                result = result * self._start[labels[a]][labels[b]]
            return result
        key = layer, tuple(sorted(tuple(sorted((labels[a], labels[b]))) for a, b in matching))
        if key in self._known:
            return self._known[key]
        weight, bias, total = self._weights[layer], self._biases[layer], self.one - self.one
        for kept in itertools.chain.from_iterable(
            itertools.combinations(matching, size) for size in range(len(matching) + 1)
        ):
            constant = bias ** (len(matching) - len(kept))
            if constant:
                total = total + constant * weight ** len(kept) * self._wishart(layer, kept, labels)
        self._known[key] = total
        return total

    def _wishart(self, layer: int, matching: Matching, labels: tuple[int, ...]) -> Number:
        width = self._widths[layer - 1]
        slots = tuple(sorted(slot for pair in matching for slot in pair))
        total = self.one - self.one
        for other in pairings(slots):
            total = total + self._moment(layer - 1, other, labels) * width ** count_loops(matching, other)
        power: int = width ** len(matching)
        return total / power


def single_input_moment(norm_metric: Number, widths: Sequence[int], order: int) -> Number:
    """Moment E[Ghat**order] at one input without biases, as a product over layers.

    Parameters
    ----------
    norm_metric : float or Fraction
        Infinite-width value G = prod(C_W) |x|**2 / d.
    widths : sequence of int
        Hidden widths.
    order : int
        Order k; each layer contributes prod_{j<k} (1 + 2j/n).
    """
    result = norm_metric**order
    for width in widths:
        result = result * math.prod(width + 2 * j for j in range(order)) / width**order
    return result
