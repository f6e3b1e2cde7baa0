"""Combinatorics of moments and cumulants: pairings, set partitions, and reference estimators.

The estimators here enumerate every choice of distinct samples, so they are slow and obviously
unbiased; they are the standard against which fast ones are judged (McCullagh, *Tensor Methods in
Statistics*, chapters 3 and 4).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import TypeVar

from nnft.errors import NumericalError, UsageError

Number = TypeVar("Number", float, Fraction)
Pair = tuple[int, int]


def pairings(slots: Sequence[int]) -> Iterator[tuple[Pair, ...]]:
    """Yield all (2k-1)!! ways to group an even number of slots into pairs.

    Raises
    ------
    UsageError
        If the number of slots is odd.
    """
    if len(slots) % 2:
        raise UsageError(f"pairings of an odd number of slots: got {len(slots)}; give an even number")
    if not slots:
        yield ()
        return
    first, rest = slots[0], slots[1:]
    for position, partner in enumerate(rest):
        for others in pairings((*rest[:position], *rest[position + 1 :])):
            yield ((first, partner), *others)


def set_partitions(items: Sequence[int]) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Yield all partitions of `items` into non-empty blocks."""
    if not items:
        yield ()
        return
    first, rest = items[0], items[1:]
    for smaller in set_partitions(rest):
        yield ((first,), *smaller)
        for position, block in enumerate(smaller):
            yield (*smaller[:position], (first, *block), *smaller[position + 1 :])


def joint_cumulant(moment: Callable[[tuple[int, ...]], Number], order: int, one: Number) -> Number:
    """Joint cumulant of variables 0..order-1 from their joint moments.

    ``kappa = sum over partitions of (-1)**(blocks-1) (blocks-1)! prod E[block]``.

    Parameters
    ----------
    moment : callable
        Expectation of the product of the variables of a block (increasing tuple of labels).
    order : int
        Number of variables.
    one : float or Fraction
        The number 1 in the arithmetic to use.
    """
    total = one - one
    for partition in set_partitions(tuple(range(order))):
        term = one * ((-1) ** (len(partition) - 1) * math.factorial(len(partition) - 1))
        for block in partition:
            term = term * moment(tuple(sorted(block)))
        total = total + term
    return total


def conditional_gaussian_cumulant(
    metric_moment: Callable[[tuple[Pair, ...]], Number],
    order: int,
    one: Number,
    outputs: Sequence[int] | None = None,
) -> Number:
    """Joint cumulant of variables that are Gaussian given a random covariance matrix.

    ``kappa_2k = sum over pairings of the k-th cumulant of the covariance entries``; only pairs with
    equal output label count.

    Parameters
    ----------
    metric_moment : callable
        Expectation of a product of entries of the covariance, given as pairs of slots.
    order : int
        Even number of variables, called slots 0..order-1.
    one : float or Fraction
        The number 1 in the arithmetic to use.
    outputs : sequence of int, optional
        Label of the output neuron of every slot; default: one neuron.
    """
    total = one - one
    pairing: tuple[Pair, ...]
    for pairing in pairings(tuple(range(order))):
        if outputs is not None and any(outputs[a] != outputs[b] for a, b in pairing):
            continue

        def moment(block: tuple[int, ...], chosen: tuple[Pair, ...] = pairing) -> Number:
            return metric_moment(tuple(chosen[i] for i in block))

        total = total + joint_cumulant(moment, len(pairing), one)
    return total


def unbiased_cumulant(
    samples: Sequence[Sequence[Fraction]], variables: Sequence[int], odd_moments_vanish: bool = False
) -> Fraction:
    """Unbiased estimate of a joint cumulant by enumeration of distinct samples, in exact arithmetic.

    Every product of moments is replaced by the mean over all choices of distinct samples, one for
    each factor; with `odd_moments_vanish` partitions with a block of odd size are left out.

    Parameters
    ----------
    samples : sequence of sequences
        M samples of several variables; the cost grows like 2**M, so M is at most about 15.
    variables : sequence of int
        Variables in the cumulant, repeated ones allowed.

    Raises
    ------
    NumericalError
        If there are fewer samples than blocks.
    """
    slots = tuple(range(len(variables)))
    total = Fraction(0)
    for partition in set_partitions(slots):
        if odd_moments_vanish and any(len(block) % 2 for block in partition):
            continue
        if len(partition) > len(samples):
            raise NumericalError(f"too few samples: got {len(samples)}; need {len(partition)}")
        columns = [
            [math.prod((row[variables[s]] for s in block), start=Fraction(1)) for row in samples]
            for block in partition
        ]
        mean = _mean_over_distinct(columns)
        total += (-1) ** (len(partition) - 1) * math.factorial(len(partition) - 1) * mean
    return total


def _mean_over_distinct(columns: list[list[Fraction]]) -> Fraction:
    """Mean of the product of one entry of each column over all choices of distinct rows.

    The sum is the permanent of the rectangular table, built row set by row set.
    """
    count = len(columns[0])
    sums = {0: Fraction(1)}
    for column in columns:
        larger: dict[int, Fraction] = {}
        for used, value in sums.items():
            for row, entry in enumerate(column):
                if not used >> row & 1:
                    larger[used | 1 << row] = larger.get(used | 1 << row, Fraction(0)) + value * entry
        sums = larger
    return sum(sums.values(), start=Fraction(0)) / math.perm(count, len(columns))
