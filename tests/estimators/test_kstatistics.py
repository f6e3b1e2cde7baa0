"""Coefficients of unbiased cumulants: reference rationals, explicit formulas, exact expectations."""

from __future__ import annotations

import json
from collections import Counter
from fractions import Fraction
from functools import cache
from itertools import product
from math import prod
from pathlib import Path

import numpy as np
import pytest
from exact_laws import Law, Slots, conditional_law, direct_law, exact_cumulant, partitions

from nnft.errors import UsageError
from nnft.estimators.index_table import SectorTable, canonical_sectors
from nnft.estimators.kstatistics import Factor, Kind, cumulant_terms, samples_needed, set_partitions
from nnft.estimators.replicates import arrange_factor

REFERENCE = json.loads(
    (Path(__file__).parents[1] / "reference" / "kstatistics.json").read_text(encoding="utf-8")
)["entries"]


@pytest.mark.parametrize(
    "entry", [e for e in REFERENCE if e["id"].startswith("kstat-")], ids=lambda e: e["id"]
)
def test_reference_rationals(entry: dict) -> None:
    data = [[Fraction(x) for x in row] for row in entry["inputs"]["data"]]
    index = entry["inputs"]["index"]
    kind: Kind = "direct" if entry["id"].startswith("kstat-zero-odd") else "general"
    total, approximate = Fraction(0), 0.0
    for term in cumulant_terms(kind, (0,) * len(index)):
        sums = Fraction(1)
        for ((group,),) in term.factors:
            sums *= sum(prod([row[index[slot]] for slot in group]) for row in data)
        total += term.coefficient(len(data)) * sums
        means = float(sums / len(data) ** len(term.factors))
        approximate += means * term.mean_coefficients(np.array([len(data)]))[0]
    assert total == Fraction(entry["values"]["k"]["exact"])
    assert approximate == pytest.approx(entry["values"]["k"]["value"], rel=1e-12)


def test_every_reference_rational_was_checked() -> None:
    assert sum(entry["id"].startswith("kstat-") for entry in REFERENCE) == 9


@pytest.mark.parametrize("count", [4, 5, 17, 1000])
def test_conditional_coefficients_against_k_statistics(count: int) -> None:
    m = Fraction(count)
    two, three = m * (m - 1), m * (m - 1) * (m - 2)
    four = three * (m - 3)
    expected = {
        2: {(2,): 1 / m},
        4: {(4,): m / two, (2, 2): -1 / two},
        6: {(6,): m**2 / three, (4, 2): -m / three, (2, 2, 2): 2 / three},
        8: {
            (8,): m**2 * (m + 1) / four,
            (6, 2): -m * (m + 1) / four,
            (4, 4): -m * (m - 1) / four,
            (4, 2, 2): 2 * m / four,
            (2, 2, 2, 2): -6 / four,
        },
    }
    numbers = {(2, 2): 3, (4, 2): 15, (2, 2, 2): 15, (6, 2): 28, (4, 4): 35, (4, 2, 2): 210, (2,) * 4: 105}
    for order, coefficients in expected.items():
        found: Counter[tuple[int, ...]] = Counter()
        for term in cumulant_terms("conditional", (0,) * order):
            sizes = tuple(sorted((sum(map(len, piece)) for (piece,) in term.factors), reverse=True))
            assert term.coefficient(count) == coefficients[sizes]
            found[sizes] += 1
        assert found == {sizes: numbers.get(sizes, 1) for sizes in coefficients}


def random_variable(factor: Factor, points: tuple[int, ...], n_points: int) -> Slots:
    """The stored component that a factor reads, as output and point of every field."""
    arranged, pattern = arrange_factor(factor, np.array([points], dtype=np.int32), n_points)
    table = SectorTable(n_points, pattern)
    stored = table.points[table.locate(arranged)[0]].tolist()
    return tuple(zip(pattern, stored, strict=True))


def exact_expectation(
    kind: Kind, pattern: tuple[int, ...], points: tuple[int, ...], law: Law, count: int
) -> Fraction:
    """Expectation of the estimator over `count` independent networks, in rational arithmetic."""

    @cache
    def joint(factors: tuple[Slots, ...]) -> Fraction:
        return sum((w * prod([network(f) for f in factors]) for w, network in law), Fraction(0))

    total = Fraction(0)
    for term in cumulant_terms(kind, pattern):
        variables = [random_variable(factor, points, 1 + max(points)) for factor in term.factors]
        product_of_sums = Fraction(0)
        for blocks in partitions(len(variables)):
            value = Fraction(1)
            for step, block in enumerate(blocks):
                value *= (count - step) * joint(tuple(sorted(variables[k] for k in block)))
            product_of_sums += value
        total += term.coefficient(count) * product_of_sums
    return total


def components(pattern: tuple[int, ...]) -> list[tuple[int, ...]]:
    """A few canonical components on two or three points."""
    n_points = 3 if len(pattern) < 8 else 2
    rows = [tuple(row) for row in SectorTable(n_points, pattern).points.tolist()]
    return rows[len(rows) // 7 :: max(1, len(rows) // (4 if len(pattern) < 8 else 2))]


@pytest.mark.parametrize("kind", ["conditional", "direct"])
@pytest.mark.parametrize("pattern", [p for order in (2, 4, 6, 8) for p in canonical_sectors(order, 4)])
def test_estimators_are_unbiased(kind: Kind, pattern: tuple[int, ...]) -> None:
    law = conditional_law() if kind == "conditional" else direct_law(1 + max(pattern[-1], 1))
    needed = samples_needed(kind, len(pattern))
    for points in components(pattern):
        exact = exact_cumulant(law, tuple(zip(pattern, points, strict=True)))
        for count in (needed, needed + 3) if len(pattern) < 8 else (needed + 1,):
            assert exact_expectation(kind, pattern, points, law, count) == exact


def test_a_wrong_coefficient_would_be_seen() -> None:
    law = conditional_law()
    points, pattern = (0, 0, 1, 1), (0, 0, 0, 0)
    exact = exact_cumulant(law, tuple(zip(pattern, points, strict=True)))
    raw = exact_expectation("direct", pattern, points, law, 5)
    assert exact != 0
    assert raw != exact


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5, 6])
def test_general_k_statistics_by_enumeration_of_all_samples(order: int) -> None:
    atoms = {(0, 3): Fraction(1, 2), (1, -1): Fraction(1, 3), (-2, 2): Fraction(1, 6)}
    if order == 6:
        atoms = {(0, 3): Fraction(2, 5), (-1, 1): Fraction(3, 5)}
    law: Law = [
        (w, lambda slots, x=x: Fraction(int(prod([x[a] for _, a in slots])))) for x, w in atoms.items()
    ]  # type: ignore[misc]
    index = [slot % 2 for slot in range(order)]
    count = samples_needed("general", order)
    terms = [
        (term.coefficient(count), [group for ((group,),) in term.factors])
        for term in cumulant_terms("general", (0,) * order)
    ]
    expectation = Fraction(0)
    for sample in product(atoms, repeat=count):
        weight = prod([atoms[x] for x in sample])
        powers = {
            group: sum(int(prod([x[index[slot]] for slot in group])) for x in sample)
            for _, groups in terms
            for group in groups
        }
        expectation += weight * sum(c * int(prod([powers[g] for g in groups])) for c, groups in terms)
    assert expectation == exact_cumulant(law, tuple((0, a) for a in index))


def test_set_partitions_are_counted_by_bell_numbers() -> None:
    assert [len(set(set_partitions(size))) for size in range(8)] == [1, 1, 2, 5, 15, 52, 203, 877]


def test_unknown_kinds_and_orders_are_refused() -> None:
    with pytest.raises(UsageError, match="order 7"):
        cumulant_terms("general", (0,) * 7)
    with pytest.raises(UsageError, match="median"):
        cumulant_terms("median", (0, 0))  # type: ignore[arg-type]
