"""Means over networks with every bin left out in turn, and the cumulants and moments made of them.

Column 0 of every array belongs to all bins, column 1 + j to all bins but the j-th non-empty one.
Components are rows, so that all replicates of one component lie together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from itertools import combinations

import numpy as np
import numpy.typing as npt

from nnft.errors import NumericalError
from nnft.estimators.index_table import (
    IndexArray,
    Pattern,
    RankArray,
    SectorTable,
    multiset_rank,
    pair_index,
    pattern_of,
    sector_name,
)
from nnft.estimators.kstatistics import CumulantTerm, Factor, Kind, cumulant_terms

FloatArray = npt.NDArray[np.float64]
FIELDS_WITH_MEAN = ("trained", "trained-conditional")


class ReplicateMeans:
    """Means of the named sums for the full sample and for every sample without one bin.

    If a sample without one bin would be too small, there are no replicates, only column 0.

    Parameters
    ----------
    sums : mapping of str to ndarray of float64, shape (bins, m)
        Sums over the networks of each bin.
    counts : ndarray of int64, shape (bins,)
        Networks in each bin; empty bins are left out.
    needed : int
        Networks that every sample must have.
    left : int, optional
        Networks that must be left without a bin, where they may be fewer.

    Attributes
    ----------
    bin_counts : ndarray of int64, shape (B,)
        Networks in the bins that have a replicate.
    error_counts : ndarray of int64, shape (B,) or (0,)
        The same where errors can be made of the replicates; empty where a replicate rests on fewer than
        `needed` networks, which is good for the bias alone.
    sample_counts : ndarray of int64, shape (1 + B,)
        Networks behind each column.
    divisors : ndarray of float64, shape (1 + B,)
        What the sums of each column are divided by.

    Raises
    ------
    NumericalError
        If all bins together have fewer than `needed` networks.
    """

    def __init__(
        self,
        sums: Mapping[str, FloatArray],
        counts: npt.NDArray[np.int64],
        needed: int = 1,
        left: int | None = None,
    ) -> None:
        self._sums = sums
        self._live = np.flatnonzero(counts > 0)
        self._whole_tables: dict[str, FloatArray] = {}
        live_counts = counts[self._live]
        total = int(live_counts.sum())
        if total < needed:
            raise NumericalError(
                f"too few networks in the ensemble for an unbiased estimate: got {total}, needed {needed}; "
                "run more networks"
            )
        without = total - live_counts
        replicated = len(self._live) > 1 and int(without.min()) >= (needed if left is None else left)
        self.bin_counts = live_counts if replicated else live_counts[:0]
        enough = replicated and int(without.min()) >= needed
        self.error_counts = live_counts if enough else live_counts[:0]
        self.sample_counts = np.concatenate([[total], without[: len(self.bin_counts)]]).astype(np.int64)
        self.divisors: FloatArray = self.sample_counts.astype(np.float64)

    def variance_factor(self) -> FloatArray:
        """Return n / (n - 1) for every column: it makes covariances of n networks unbiased."""
        factor: FloatArray = self.sample_counts / (self.sample_counts - 1.0)
        return factor

    def rows(self, name: str, rows: RankArray) -> FloatArray:
        """Return the means of some components of a sum, shape (len(rows), 1 + B)."""
        stored = self._sums[name]
        every_bin = len(self._live) == len(stored)
        picked = np.take(stored, rows, axis=1) if every_bin else stored[np.ix_(self._live, rows)]
        binned = np.ascontiguousarray(picked.T)
        means = np.empty((len(rows), len(self.sample_counts)))
        means[:, 0] = binned.sum(axis=1)
        if len(self.bin_counts):
            np.subtract(means[:, :1], binned, out=means[:, 1:])
        means /= self.divisors
        return means

    def table(self, name: str) -> FloatArray:
        """Return the means of all components of a sum, kept for further use; shape (m, 1 + B)."""
        if name not in self._whole_tables:
            self._whole_tables[name] = self.rows(name, np.arange(self._sums[name].shape[1]))
        return self._whole_tables[name]


class CumulantReplicates:
    """Unbiased connected correlators of one sector, for the full sample and every replicate.

    Parameters
    ----------
    means : ReplicateMeans
    kind : {'conditional', 'direct', 'reweighted', 'trained', 'trained-conditional'}
        What the sums contain.
    table : SectorTable
        Components of the sector.
    shift : ndarray of float64, shape (Q,) or (P,)
        Subtracted from the metric before summing; it drops out above order 2. Of a field with a mean,
        subtracted from the field; it drops out above order 1.
    """

    def __init__(self, means: ReplicateMeans, kind: Kind, table: SectorTable, shift: FloatArray) -> None:
        self._means = means
        self.table = table
        self._shift = shift
        self._shifted_order = 1 if kind in FIELDS_WITH_MEAN else 2
        alike: dict[tuple[object, int], list[CumulantTerm]] = {}
        for term in cumulant_terms(kind, table.pattern):
            alike.setdefault((term.weights, len(term.factors)), []).append(term)
        self._sums_of_products = [
            (terms[0].mean_coefficients(means.sample_counts), [term.factors for term in terms])
            for terms in alike.values()
        ]
        distinct = {f for _, products in self._sums_of_products for factors in products for f in factors}
        self.row_bytes = 8 * (len(distinct) + 4) * len(means.sample_counts)

    def __call__(self, rows: RankArray) -> FloatArray:
        """Return the estimates of some components, shape (len(rows), 1 + B)."""
        points = self.table.points[rows]
        columns: dict[Factor, FloatArray] = {}
        total = np.zeros((len(rows), len(self._means.sample_counts)))
        for coefficient, products in self._sums_of_products:
            subtotal = np.zeros_like(total)
            for factors in products:
                for factor in factors:
                    if factor not in columns:
                        columns[factor] = self._factor_means(factor, points)
                subtotal += reduce(np.multiply, [columns[factor] for factor in factors])
            subtotal *= coefficient
            total += subtotal
        if self.table.order == self._shifted_order:
            total += self._shift[rows, None]
        return total

    def _factor_means(self, factor: Factor, points: IndexArray) -> FloatArray:
        """Return the means of one factor for the given components."""
        arranged, pattern = arrange_factor(factor, points, self.table.n_points)
        ranks = SectorTable(self.table.n_points, pattern).locate(arranged)
        name = sector_name(pattern)
        if len(pattern) < self.table.order:
            return np.take(self._means.table(name), ranks, axis=0)
        return self._means.rows(name, ranks)


def arrange_factor(factor: Factor, points: IndexArray, n_points: int) -> tuple[IndexArray, Pattern]:
    """Return the points of a factor, arranged by output label, and its label pattern.

    Parameters
    ----------
    factor : Factor
        One power sum of a cumulant term.
    points : ndarray of int32, shape (m, r)
        Points of the components whose cumulant is wanted.
    n_points : int
        Number of input points P.

    Returns
    -------
    arranged : ndarray of int32, shape (m, number of slots of the factor)
    pattern : tuple of int
    """
    pieces = [[points[:, list(group)] for group in piece] for piece in factor]
    if len(pieces) > 1:
        pieces = [_sort_equal_groups(groups, n_points) for groups in pieces]
    depth = max(len(groups) for groups in pieces)
    by_label = [
        np.concatenate([groups[label] for groups in pieces if label < len(groups)], axis=1)
        for label in range(depth)
    ]
    return np.concatenate(by_label, axis=1), pattern_of([group.shape[1] for group in by_label])


def _sort_equal_groups(groups: list[IndexArray], n_points: int) -> list[IndexArray]:
    """Return the groups of one stored component in its canonical order, component by component."""
    ordered: list[IndexArray] = []
    for size in sorted({group.shape[1] for group in groups}, reverse=True):
        equal = np.stack([group for group in groups if group.shape[1] == size], axis=1)
        ranks = np.stack([multiset_rank(equal[:, k], n_points) for k in range(equal.shape[1])], axis=1)
        equal = np.take_along_axis(equal, np.argsort(ranks, axis=1, kind="stable")[:, :, None], axis=1)
        ordered += [equal[:, k] for k in range(equal.shape[1])]
    return ordered


class ExcessKurtosisReplicates:
    """Ratio kappa_4(a,a,a,a) / G_2(a,a)^2 per point, for the full sample and every replicate.

    Parameters
    ----------
    four, two : CumulantReplicates
        Correlators of orders 4 and 2 with equal output labels.
    """

    def __init__(self, four: CumulantReplicates, two: CumulantReplicates) -> None:
        self._four = four
        self._two = two
        self.row_bytes = four.row_bytes + two.row_bytes

    def __call__(self, rows: RankArray) -> FloatArray:
        """Return the ratios of some points, shape (len(rows), 1 + B); NaN where G_2 vanishes."""
        points = np.repeat(rows[:, None], 4, axis=1)
        four = self._four(self._four.table.locate(points))
        two = self._two(self._two.table.locate(points[:, :2]))
        return np.divide(four, two**2, out=np.full_like(four, np.nan), where=two != 0.0)


class MomentReplicates:
    """Unbiased moments of one sector, for the full sample and every replicate.

    With the metric Ghat = shift + g, the moment given the network is a sum over even subsets A of the
    slots: (moment of g on A) times (moment of the shift on the other slots). It is linear in the sums. With
    the field f = shift + g it is a sum over all subsets, with products of the shift on the other slots.

    Parameters
    ----------
    means, kind, table, shift
        As for `CumulantReplicates`.
    """

    def __init__(self, means: ReplicateMeans, kind: Kind, table: SectorTable, shift: FloatArray) -> None:
        self._means = means
        self._table = table
        self._shift = shift
        everything = tuple(range(table.order))
        self._of_fields = kind in FIELDS_WITH_MEAN
        if self._of_fields:
            subsets = [s for size in range(table.order + 1) for s in combinations(everything, size)]
        else:
            subsets = even_subsets(table.pattern) if kind == "conditional" else [everything]
        self._subsets = [(inside, [s for s in everything if s not in inside]) for inside in subsets]
        self.row_bytes = 8 * 4 * len(means.sample_counts)

    def __call__(self, rows: RankArray) -> FloatArray:
        """Return the estimates of some components, shape (len(rows), 1 + B)."""
        table = self._table
        points = table.points[rows]
        total = np.zeros((len(rows), len(self._means.sample_counts)))
        for inside, outside in self._subsets:
            weight = self._outside(points, outside)[:, None]
            if not inside:
                total += weight
                continue
            pattern = tuple(table.pattern[slot] for slot in inside)
            ordered = sorted(inside, key=lambda slot: (-pattern.count(table.pattern[slot]), slot))
            sizes = [pattern.count(label) for label in dict.fromkeys(table.pattern[s] for s in ordered)]
            sector = SectorTable(table.n_points, pattern_of(sizes))
            total += weight * self._rows(sector, sector.locate(points[:, ordered]))
        return total

    def _rows(self, sector: SectorTable, ranks: RankArray) -> FloatArray:
        """Return means of sums; those of lower orders of a field are kept, they serve many components."""
        if self._of_fields and sector.order < self._table.order:
            return np.take(self._means.table(sector.name), ranks, axis=0)
        return self._means.rows(sector.name, ranks)

    def _outside(self, points: IndexArray, slots: list[int]) -> FloatArray:
        """Return what the shift contributes on some slots, shape (m,)."""
        if self._of_fields:
            product: FloatArray = self._shift[points[:, slots]].prod(axis=1)
            return product
        return _shift_moment(self._shift, self._table, points, slots)


def even_subsets(pattern: Pattern) -> list[tuple[int, ...]]:
    """Return the subsets of slots in which every label occurs an even number of times."""
    return [
        subset
        for size in range(0, len(pattern) + 1, 2)
        for subset in combinations(range(len(pattern)), size)
        if all(sum(pattern[slot] == label for slot in subset) % 2 == 0 for label in set(pattern))
    ]


def label_pairings(slots: Sequence[int], pattern: Pattern) -> Iterator[tuple[tuple[int, int], ...]]:
    """Yield the pairings of the slots that join equal labels only."""
    if not slots:
        yield ()
        return
    first, *others = slots
    for partner in others:
        if pattern[partner] == pattern[first]:
            rest = [slot for slot in others if slot != partner]
            for pairing in label_pairings(rest, pattern):
                yield ((first, partner), *pairing)


def _shift_moment(shift: FloatArray, table: SectorTable, points: IndexArray, slots: list[int]) -> FloatArray:
    """Return the moment of a Gaussian with covariance `shift` on some slots, shape (m,)."""
    moment = np.zeros(len(points))
    for pairing in label_pairings(slots, table.pattern):
        product = np.ones(len(points))
        for a, b in pairing:
            product *= shift[pair_index(table.n_points, points[:, a], points[:, b])]
        moment += product
    return moment
