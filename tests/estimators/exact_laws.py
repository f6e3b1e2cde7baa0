"""Discrete laws of one network and exact expectations under them, in rational arithmetic.

A law is a list of (probability, network); a network is a function from (output, point) tuples to the
number that it contributes to a product of fields.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from itertools import permutations, product
from math import factorial

Slots = tuple[tuple[int, int], ...]
Network = Callable[[Slots], Fraction]
Law = list[tuple[Fraction, Network]]
FIELD_VALUES = ((1, -2, 3), (2, 1, -1), (0, 3, 1), (-1, 1, 2))
METRICS = (
    ((2, -1, 1), (-1, 3, 0), (1, 0, 1)),
    ((1, 2, 0), (2, 5, 1), (0, 1, 4)),
    ((4, 1, -2), (1, 1, 0), (-2, 0, 3)),
)


def hafnian(metric: Sequence[Sequence[Fraction]], slots: Slots) -> Fraction:
    """Moment of outputs that are independent Gaussians with covariance `metric` over points."""
    if not slots:
        return Fraction(1)
    (label, point), *others = slots
    total = Fraction(0)
    for position, (other_label, other_point) in enumerate(others):
        if other_label == label:
            rest = (*others[:position], *others[position + 1 :])
            total += metric[point][other_point] * hafnian(metric, rest)
    return total


def conditional_law() -> Law:
    """Three metrics on three points, with unequal probabilities."""
    weights = (Fraction(1, 2), Fraction(1, 3), Fraction(1, 6))
    laws: Law = []
    for weight, metric in zip(weights, METRICS, strict=True):
        exact = [[Fraction(entry) for entry in row] for row in metric]
        laws.append((weight, lambda slots, exact=exact: hafnian(exact, slots)))  # type: ignore[misc]
    return laws


def field_tables(outputs: int) -> list[tuple[tuple[int, ...], ...]]:
    """All networks of the direct law: `outputs` rows of values, permuted, every sign of each row."""
    rows = FIELD_VALUES[:outputs]
    return [
        tuple(tuple(sign * value for value in rows[row]) for sign, row in zip(signs, order, strict=True))
        for order in permutations(range(outputs))
        for signs in product((1, -1), repeat=outputs)
    ]


def direct_law(outputs: int) -> Law:
    """Equally probable tables of fields: exchangeable outputs, every output even."""
    tables = field_tables(outputs)
    laws: Law = []
    for table in tables:

        def contribution(slots: Slots, table: tuple[tuple[int, ...], ...] = table) -> Fraction:
            value = 1
            for label, point in slots:
                value *= table[label][point]
            return Fraction(value)

        laws.append((Fraction(1, len(tables)), contribution))
    return laws


@cache
def partitions(size: int) -> list[list[list[int]]]:
    """All set partitions of ``range(size)``."""
    if size == 0:
        return [[]]
    found = []
    for smaller in partitions(size - 1):
        found.append([*smaller, [size - 1]])
        for position, block in enumerate(smaller):
            found.append([*smaller[:position], [*block, size - 1], *smaller[position + 1 :]])
    return found


def exact_moment(law: Law, slots: Slots) -> Fraction:
    """Expectation of a product of fields."""
    return sum((weight * network(slots) for weight, network in law), Fraction(0))


def exact_cumulant(law: Law, slots: Slots) -> Fraction:
    """Joint cumulant of fields, from moments of all orders and the definition."""
    by_points: dict[Slots, Fraction] = {}
    moments: dict[tuple[int, ...], Fraction] = {}
    total = Fraction(0)
    for blocks in partitions(len(slots)):
        value = Fraction((-1) ** (len(blocks) - 1) * factorial(len(blocks) - 1))
        for block in map(tuple, blocks):
            if block not in moments:
                key = tuple(sorted(slots[slot] for slot in block))
                if key not in by_points:
                    by_points[key] = exact_moment(law, key)
                moments[block] = by_points[key]
            if moments[block] == 0:
                break
            value *= moments[block]
        else:
            total += value
    return total
