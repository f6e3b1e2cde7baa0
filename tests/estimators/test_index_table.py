"""Tables of components: every component once, in canonical order, and found again by arithmetic."""

from __future__ import annotations

from itertools import combinations_with_replacement, product

import numpy as np
import pytest

from nnft.errors import UsageError
from nnft.estimators.index_table import (
    SectorTable,
    canonical_sectors,
    multiset_rank,
    multisets,
    pair_index,
    sector_tables,
)


def canonical(pattern: tuple[int, ...], points: tuple[int, ...]) -> tuple[int, ...]:
    groups: dict[int, list[int]] = {}
    for label, point in zip(pattern, points, strict=True):
        groups.setdefault(label, []).append(point)
    ordered = sorted((tuple(sorted(group)) for group in groups.values()), key=lambda g: (-len(g), g))
    return tuple(point for group in ordered for point in group)


@pytest.mark.parametrize(("n_values", "size"), [(1, 4), (2, 1), (5, 3), (7, 4), (3, 8)])
def test_multisets_are_lexicographic_and_ranked(n_values: int, size: int) -> None:
    rows = multisets(n_values, size)
    expected = list(combinations_with_replacement(range(n_values), size))
    assert [tuple(row) for row in rows.tolist()] == expected
    assert multiset_rank(rows, n_values).tolist() == list(range(len(expected)))


def test_pair_index_packs_rows_of_the_upper_triangle() -> None:
    expected = {pair: k for k, pair in enumerate(combinations_with_replacement(range(6), 2))}
    for a, b in product(range(6), repeat=2):
        assert pair_index(6, a, b) == expected[min(a, b), max(a, b)]


def test_sectors_of_each_order() -> None:
    names = ["".join(map(str, p)) for order in (2, 4, 6, 8) for p in canonical_sectors(order, 4)]
    assert names == [
        *("00", "0000", "0011", "000000", "000011", "001122"),
        *("00000000", "00000011", "00001111", "00001122", "00112233"),
    ]
    assert canonical_sectors(8, 2) == [(0,) * 8, (0,) * 6 + (1,) * 2, (0,) * 4 + (1,) * 4]


@pytest.mark.parametrize("n_points", [1, 2, 3])
@pytest.mark.parametrize("pattern", [p for order in (2, 4, 6, 8) for p in canonical_sectors(order, 4)])
def test_table_against_enumeration(n_points: int, pattern: tuple[int, ...]) -> None:
    table = SectorTable(n_points, pattern)
    everything = list(product(range(n_points), repeat=table.order))
    if len(everything) > 1000:
        everything = everything[:: len(everything) // 700]
    else:
        expected = sorted({canonical(pattern, points) for points in everything})
        assert [tuple(row) for row in table.points.tolist()] == expected
    assert len(table) == len(table.points)
    assert table.locate(table.points).tolist() == list(range(len(table)))
    found = table.points[table.locate(np.array(everything))]
    assert [tuple(row) for row in found.tolist()] == [canonical(pattern, points) for points in everything]


def test_lower_orders_are_included() -> None:
    assert list(sector_tables(2, [6], 2)) == ["S2:00", "S4:0000", "S4:0011", "S6:000000", "S6:000011"]


def test_sizes_of_large_tables() -> None:
    assert len(SectorTable(64, (0,) * 4)) == 766_480
    assert len(SectorTable(16, (0,) * 6)) == 54_264
    rows = np.array([[63, 63, 63, 63], [0, 0, 0, 0]])
    assert SectorTable(64, (0,) * 4).locate(rows).tolist() == [766_479, 0]


@pytest.mark.parametrize(
    ("n_points", "orders", "outputs"), [(0, [2], 1), (2, [], 1), (2, [3], 1), (2, [10], 1), (2, [4], 0)]
)
def test_impossible_tables_are_refused(n_points: int, orders: list[int], outputs: int) -> None:
    with pytest.raises(UsageError):
        sector_tables(n_points, orders, outputs)
