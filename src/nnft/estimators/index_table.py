"""Which components of a correlator are independent, and where each one is stored.

A correlator of order r carries r points and r output labels. With outputs that are exchangeable and
even, only label patterns with even multiplicities survive, and only their partition of r matters: a
*sector*. Inside a sector the points of one label may be permuted, and so may labels of equal
multiplicity. A sector therefore stores one component per multiset, in lexicographic order, and finds
any component by arithmetic on binomial coefficients, with no dictionary and no loop over components.

A field that has a mean has odd correlators as well; they are kept for one output label, whose points may
be permuted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import comb

import numpy as np
import numpy.typing as npt

from nnft.errors import UsageError

IndexArray = npt.NDArray[np.int32]
RankArray = npt.NDArray[np.int64]
Pattern = tuple[int, ...]

ORDERS = (2, 4, 6, 8)
ORDERS_WITH_MEAN = (1, 2, 3, 4, 5, 6)


def multisets(n_values: int, size: int) -> IndexArray:
    """Return all sorted tuples of `size` values below `n_values`, lexicographically.

    Parameters
    ----------
    n_values : int
        Number of different values, at least 1.
    size : int
        Length of a tuple, at least 1.

    Returns
    -------
    ndarray of int32, shape (comb(n_values + size - 1, size), size)
    """
    rows = np.arange(n_values, dtype=np.int32)[:, None]
    for _ in range(size - 1):
        last = rows[:, -1]
        repeats = n_values - last
        starts = np.cumsum(repeats, dtype=np.int64) - repeats
        step = np.arange(int(repeats.sum()), dtype=np.int64) - np.repeat(starts, repeats)
        added = (step + np.repeat(last, repeats)).astype(np.int32)
        rows = np.concatenate([np.repeat(rows, repeats, axis=0), added[:, None]], axis=1)
    return np.ascontiguousarray(rows)


@lru_cache(maxsize=256)
def _rank_steps(n_values: int, size: int) -> RankArray:
    """Return the table (size, n_values) whose entries, picked by a sorted tuple, add up to its rank."""
    skipped = np.zeros((size + 1, n_values), dtype=np.int64)
    for position in range(size):
        tail = size - 1 - position
        behind = [comb(n_values - value + tail - 1, tail) if tail else 1 for value in range(n_values)]
        skipped[position, 1:] = np.cumsum(behind[:-1])
    steps: RankArray = skipped[:-1] - skipped[1:]
    return steps


def multiset_rank(rows: npt.NDArray[np.integer], n_values: int) -> RankArray:
    """Return the lexicographic rank of sorted tuples among all of their length.

    Parameters
    ----------
    rows : ndarray of integers, shape (m, size)
        Sorted along the last axis, values below `n_values`.
    n_values : int
        Number of different values.

    Returns
    -------
    ndarray of int64, shape (m,)
    """
    steps = _rank_steps(n_values, rows.shape[1])
    rank: RankArray = steps[0][rows[:, 0]]
    for position in range(1, rows.shape[1]):
        rank = rank + steps[position][rows[:, position]]
    return rank


def pair_index(n_points: int, first: npt.ArrayLike, second: npt.ArrayLike) -> RankArray:
    """Return the packed index of the pairs (a, b), a and b in any order.

    Pairs with a <= b are packed as (0,0), (0,1), ..., (0,P-1), (1,1), ...

    Parameters
    ----------
    n_points : int
        Number of points P.
    first, second : array_like of int
        Points a and b, broadcast against each other.

    Returns
    -------
    ndarray of int64
    """
    low = np.minimum(first, second).astype(np.int64)
    high = np.maximum(first, second).astype(np.int64)
    packed: RankArray = low * n_points - (low * (low - 1)) // 2 + high - low
    return packed


def canonical_sectors(order: int, outputs: int) -> list[Pattern]:
    """Return the label patterns of one order, most equal labels first.

    Parameters
    ----------
    order : int
        2, 4, 6 or 8.
    outputs : int
        Largest number of different labels.

    Returns
    -------
    list of tuple of int
        For order 6 and three outputs 000000, 000011, 001122.

    Raises
    ------
    UsageError
        If the order is not 2, 4, 6 or 8, or `outputs` is below 1.
    """
    if order not in ORDERS:
        raise UsageError(f"unknown order in correlators: got {order!r}; use 2, 4, 6 or 8")
    if outputs < 1:
        raise UsageError(f"too few outputs in correlators: got {outputs!r}; use 1 or more")
    return [
        tuple(label for label, half in enumerate(parts) for _ in range(2 * half))
        for parts in _partitions(order // 2, order // 2)
        if len(parts) <= outputs
    ]


def _partitions(total: int, largest: int) -> Iterator[tuple[int, ...]]:
    """Yield the partitions of `total` into nonincreasing parts of at most `largest`."""
    if total == 0:
        yield ()
    for part in range(min(total, largest), 0, -1):
        for rest in _partitions(total - part, part):
            yield (part, *rest)


def pattern_of(multiplicities: Sequence[int]) -> Pattern:
    """Return the pattern with the given label multiplicities, e.g. (4, 2) -> 0,0,0,0,1,1."""
    return tuple(label for label, count in enumerate(multiplicities) for _ in range(count))


def sector_name(pattern: Sequence[int]) -> str:
    """Return the name of a sector's sums, e.g. ``S4:0011``."""
    return f"S{len(pattern)}:" + "".join(str(label) for label in pattern)


@dataclass(frozen=True)
class SectorTable:
    """Components of one sector in canonical order.

    A component is canonical when the points of each label are sorted and the groups of labels of
    equal multiplicity are sorted among themselves; components are ordered lexicographically.

    Attributes
    ----------
    n_points : int
        Number of input points P.
    pattern : tuple of int
        Output label of each slot: 0,...,0,1,...,1,... with nonincreasing multiplicities, even ones unless
        the field has a mean.
    """

    n_points: int
    pattern: Pattern

    @property
    def order(self) -> int:
        """Number of slots r."""
        return len(self.pattern)

    @property
    def name(self) -> str:
        """Name of the sums of this sector, e.g. ``S4:0011``."""
        return sector_name(self.pattern)

    @cached_property
    def multiplicities(self) -> tuple[int, ...]:
        """Number of slots of each label, nonincreasing."""
        return tuple(self.pattern.count(label) for label in range(max(self.pattern) + 1))

    @cached_property
    def _classes(self) -> tuple[tuple[int, int, int], ...]:
        """Return (multiplicity, number of labels with it, number of point multisets) per class."""
        sizes = sorted(set(self.multiplicities), reverse=True)
        return tuple(
            (size, self.multiplicities.count(size), comb(self.n_points + size - 1, size)) for size in sizes
        )

    def __len__(self) -> int:
        """Return the number of components."""
        length = 1
        for _, n_groups, n_multisets in self._classes:
            length *= comb(n_multisets + n_groups - 1, n_groups)
        return length

    @cached_property
    def points(self) -> IndexArray:
        """Points of every component: ndarray of int32, shape (len(self), order)."""
        table = np.zeros((1, 0), dtype=np.int32)
        for size, n_groups, n_multisets in self._classes:
            group = multisets(self.n_points, size)
            block = group[multisets(n_multisets, n_groups)].reshape(-1, size * n_groups)
            table = np.concatenate(
                [np.repeat(table, len(block), axis=0), np.tile(block, (len(table), 1))], axis=1
            )
        table.flags.writeable = False
        return table

    def locate(self, points: npt.NDArray[np.integer]) -> RankArray:
        """Return the row of components given with their points in any equivalent order.

        Parameters
        ----------
        points : ndarray of integers, shape (k, order)
            Point of every slot of `pattern`.

        Returns
        -------
        ndarray of int64, shape (k,)
        """
        rank = np.zeros(len(points), dtype=np.int64)
        start = 0
        for size, n_groups, n_multisets in self._classes:
            ranks = self._group_ranks(points[:, start : start + size * n_groups], size, n_groups)
            within = multiset_rank(np.sort(ranks, axis=1), n_multisets) if n_groups > 1 else ranks[:, 0]
            rank = rank * comb(n_multisets + n_groups - 1, n_groups) + within
            start += size * n_groups
        return rank

    def _group_ranks(self, points: npt.NDArray[np.integer], size: int, n_groups: int) -> RankArray:
        """Return the rank of each group's multiset of points, shape (k, n_groups)."""
        ranks = np.empty((len(points), n_groups), dtype=np.int64)
        for group in range(n_groups):
            members = points[:, group * size : (group + 1) * size]
            if size == 2:
                ranks[:, group] = pair_index(self.n_points, members[:, 0], members[:, 1])
            else:
                ranks[:, group] = multiset_rank(np.sort(members, axis=1), self.n_points)
        return ranks


def sector_tables(n_points: int, orders: Sequence[int], outputs: int) -> dict[str, SectorTable]:
    """Return the tables of all sectors that the given orders need, by name.

    Every even order below the largest one is included, because a cumulant needs the moments of all
    lower orders.

    Parameters
    ----------
    n_points : int
        Number of input points P, at least 1.
    orders : sequence of int
        Orders asked for, from 2, 4, 6, 8.
    outputs : int
        Largest number of different output labels in one correlator.

    Returns
    -------
    dict of str to SectorTable
        In increasing order; the key is `SectorTable.name`.

    Raises
    ------
    UsageError
        If there is no point or no order, or an order is not allowed.
    """
    if n_points < 1 or not orders:
        raise UsageError(
            f"nothing to estimate in correlators: got {n_points} points, orders {list(orders)}; give both"
        )
    for order in orders:
        canonical_sectors(order, outputs)
    tables = [
        SectorTable(n_points, pattern)
        for order in range(2, max(orders) + 1, 2)
        for pattern in canonical_sectors(order, outputs)
    ]
    return {table.name: table for table in tables}


def tables_with_mean(n_points: int, orders: Sequence[int]) -> dict[str, SectorTable]:
    """Return the tables of every order up to the largest, of one output label, by name.

    Parameters
    ----------
    n_points : int
        Number of input points P, at least 1.
    orders : sequence of int
        Orders asked for, from 1 to 6; those below the largest are always included.

    Returns
    -------
    dict of str to SectorTable
        In increasing order; the key is `SectorTable.name`.

    Raises
    ------
    UsageError
        If there is no point or no order, or an order is not allowed.
    """
    if n_points < 1 or not orders:
        raise UsageError(
            f"nothing to estimate in correlators: got {n_points} points, orders {list(orders)}; give both"
        )
    wrong = [order for order in orders if order not in ORDERS_WITH_MEAN]
    if wrong:
        raise UsageError(f"unknown order in correlators: got {wrong[0]!r}; use 1 to {ORDERS_WITH_MEAN[-1]}")
    tables = [SectorTable(n_points, (0,) * order) for order in range(1, max(orders) + 1)]
    return {table.name: table for table in tables}
