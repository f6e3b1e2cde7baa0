"""Estimator of connected correlators, moments and layer kernels from binned sums over networks.

Networks are divided into bins; each bin holds its number of networks and the sums of an accumulation
program. Everything else is computed from these when asked: unbiased cumulants by k-statistics, errors
by the jackknife over bins. Two estimators of one ensemble are merged by adding their bins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nnft.errors import UsageError
from nnft.estimators.evaluation import Replicates, estimate, replicate_rows
from nnft.estimators.index_table import IndexArray, SectorTable
from nnft.estimators.kstatistics import samples_needed
from nnft.estimators.layer_kernels import MetricReplicates, VertexReplicates
from nnft.estimators.layout import SumLayout
from nnft.estimators.replicated import Replicated
from nnft.estimators.replicates import (
    CumulantReplicates,
    ExcessKurtosisReplicates,
    MomentReplicates,
    ReplicateMeans,
)
from nnft.estimators.results import Correlator, Estimate, LayerKernel
from nnft.estimators.reweighting import (
    EffectiveSampleSize,
    WeightedMeans,
    WithoutBias,
    effective_sample_size,
)
from nnft.estimators.stored_layout import StoredSums, read_sums, unusable
from nnft.estimators.trained import BetweenReplicates, SampleMeans

FloatArray = npt.NDArray[np.float64]


class CorrelatorEstimator:
    """Binned sums over networks and everything that follows from them.

    Parameters
    ----------
    layout : SumLayout
        Names and places of the sums, e.g. ``program.layout``.
    bins : int
        Number of bins.
    shift : ndarray of float64, shape (Q,), optional
        Subtracted from the packed last metric before summing (conditional estimator); zero if not given.
        For trained networks shape (P,), subtracted from the field or its mean given the network.
    layer_shifts : mapping of int to ndarray of float64, shape (Q,), optional
        The same for the layers with statistics; zero where not given. For the conditional estimator
        the last layer has `shift`.
    weight_shift : float
        Weights are exp(weight_shift - V); 0 without weights.
    draws : int
        Samples that every trained network contributes, not independent of each other; 1 for others.

    Raises
    ------
    UsageError
        If there is no bin or sample, or a shift has the wrong shape.
    """

    def __init__(
        self,
        layout: SumLayout,
        bins: int,
        shift: npt.ArrayLike | None = None,
        layer_shifts: Mapping[int, npt.ArrayLike] | None = None,
        weight_shift: float = 0.0,
        draws: int = 1,
    ) -> None:
        if bins < 1:
            raise UsageError(f"no bins in the estimator: got {bins!r}; use 32 or more")
        if draws < 1 or (draws > 1 and not layout.has_mean):
            raise UsageError(
                f"impossible samples of a network in the estimator: got {draws!r}; "
                "use 1 or more for trained networks, 1 for others"
            )
        self.layout = layout
        self.draws = int(draws)
        self.counts = np.zeros(bins, dtype=np.int64)
        self.sums: dict[str, FloatArray] = {n: np.zeros((bins, size)) for n, size in layout.sizes.items()}
        self._borrowed = False
        self.weight_shift = float(weight_shift)
        self.shift = self._checked_shift(shift, layout.n_points if layout.has_mean else layout.n_pairs)
        given = dict(layer_shifts or {})
        if layout.kind == "conditional":
            given[layout.last_layer] = self.shift
        pairs = layout.n_pairs
        self.layer_shifts = {layer: self._checked_shift(given.get(layer), pairs) for layer in layout.layers}

    def _checked_shift(self, shift: npt.ArrayLike | None, size: int) -> FloatArray:
        """Return a shift as an own array of the right shape."""
        array = np.zeros(size) if shift is None else np.array(shift, dtype=np.float64)
        if array.shape != (size,):
            what = "points" if self.layout.has_mean else "packed pairs"
            raise UsageError(
                f"wrong shape of the shift of the estimator: got {array.shape}; give {size} {what}"
            )
        return array

    @property
    def n_networks(self) -> int:
        """Number of networks in all bins."""
        return int(self.counts.sum())

    def push(self, bin_index: int, count: int, sums: npt.NDArray[np.float64]) -> None:
        """Add the sums of a block of networks to one bin.

        Parameters
        ----------
        bin_index : int
            Bin of the block, from 0.
        count : int
            Networks in the block.
        sums : ndarray of float64, shape (layout.n_sums,)
            Sums over the block, in the places of ``layout.slices``.

        Raises
        ------
        UsageError
            If the bin, the count or the shape is impossible.
        """
        if sums.shape != (self.layout.n_sums,) or not 0 <= bin_index < len(self.counts) or count < 0:
            raise UsageError(
                f"block does not fit the estimator: got bin {bin_index}, count {count}, shape {sums.shape}; "
                f"use {len(self.counts)} bins of {self.layout.n_sums} sums"
            )
        self._own()
        self.counts[bin_index] += count
        for name, stored in self.sums.items():
            stored[bin_index] += sums[self.layout.slices[name]]

    def _own(self) -> None:
        """Copy counts and sums that belong to someone else, before they are written to."""
        if self._borrowed:
            self.counts = self.counts.copy()
            self.sums = {name: stored.copy() for name, stored in self.sums.items()}
            self._borrowed = False

    def merge(self, other: CorrelatorEstimator) -> None:
        """Add the bins of another estimator of the same ensemble to these.

        Raises
        ------
        UsageError
            If the layouts, the numbers of bins or the shifts differ.
        """
        same_shifts = np.array_equal(self.shift, other.shift) and all(
            np.array_equal(shift, other.layer_shifts.get(layer, ()))
            for layer, shift in self.layer_shifts.items()
        )
        same_shifts = same_shifts and self.weight_shift == other.weight_shift and self.draws == other.draws
        if self.layout != other.layout or len(self.counts) != len(other.counts) or not same_shifts:
            raise UsageError(
                "estimators do not belong together in merge: got different layouts, bins, shifts or draws; "
                "merge only shards of one specification"
            )
        self._own()
        self.counts += other.counts
        for name, added in other.sums.items():
            self.sums[name] += added

    def result(self, order: int, pattern: Sequence[int] | str | None = None) -> Correlator:
        """Return the connected correlator of one sector: unbiased, or nearly so if networks have weights.

        Parameters
        ----------
        order : int
            Number of fields.
        pattern : sequence of int or str, optional
            Output label of each field, e.g. ``"0011"``; all equal if not given.

        Returns
        -------
        Correlator

        Raises
        ------
        UsageError
            If the sector was not accumulated.
        NumericalError
            If there are some networks, but too few for an unbiased estimate, or the effective sample size
            of networks with weights is below 100.
        """
        table = self._table(order, pattern)
        needed = samples_needed(self.layout.kind, order)
        found = self._estimate(
            table.points,
            needed,
            lambda means: CumulantReplicates(means, self.layout.kind, table, self.shift),
        )
        return Correlator(**vars(found), table=table, variety="connected")

    def replicates(
        self, order: int, pattern: Sequence[int] | str | None = None, components: IndexArray | None = None
    ) -> Replicated:
        """Return the connected correlator of one sector for all bins and without each of them.

        Parameters and errors are those of `result`; `components`, shape (m, order), are the points of the
        wanted components. The values have shape (1 + B, m), by default all in the order of
        ``result(order, pattern).indices``.
        """
        table = self._table(order, pattern)
        means = self._means(samples_needed(self.layout.kind, order))
        maker = self._unbiased(CumulantReplicates(means, self.layout.kind, table, self.shift), means)
        chosen = np.arange(len(table)) if components is None else table.locate(components)
        values = replicate_rows(maker, means, chosen)
        return Replicated(values, means.error_counts, self.n_networks)

    def moment(self, order: int, pattern: Sequence[int] | str | None = None) -> Correlator:
        """Return the unbiased moment of one sector; parameters and errors as for `result`."""
        table = self._table(order, pattern)
        found = self._estimate(
            table.points, 1, lambda means: MomentReplicates(means, self.layout.kind, table, self.shift)
        )
        return Correlator(**vars(found), table=table, variety="moment")

    def excess_kurtosis(self) -> Estimate:
        """Return kappa_4(a,a,a,a) / G_2(a,a)^2 for every input point a; NaN where G_2 vanishes.

        The ratio of two unbiased estimates, with a bias of order one over the number of networks.

        Raises
        ------
        UsageError
            If order 4 was not accumulated.
        NumericalError
            If there are some networks, but fewer than two.
        """
        four, two = self._table(4, None), self._table(2, None)
        points = np.arange(self.layout.n_points, dtype=np.int32)[:, None]

        def maker(means: ReplicateMeans) -> Replicates:
            kind = self.layout.kind
            return ExcessKurtosisReplicates(
                CumulantReplicates(means, kind, four, self.shift),
                CumulantReplicates(means, kind, two, self.shift),
            )

        return self._estimate(points, samples_needed(self.layout.kind, 4), maker)

    def layer_kernel(self, layer: int) -> LayerKernel:
        """Return the two-point function and the metric fluctuations of one layer.

        Parameters
        ----------
        layer : int
            Affine layer l with statistics.

        Raises
        ------
        UsageError
            If the layer has no statistics.
        NumericalError
            If there is exactly one network.
        """
        if layer not in self.layout.layers:
            raise UsageError(
                f"layer without statistics in the estimator: got {layer!r}; "
                f"use one of {list(self.layout.layers)}"
            )
        mean_name, product_name = (
            self.layout.aliases.get(name, name) for name in (f"layer{layer}:mean", f"layer{layer}:product")
        )
        shift, products = self.layer_shifts[layer], self.layout.product_pairs
        metric = self._estimate(self.layout.pairs, 1, lambda means: MetricReplicates(means, mean_name, shift))
        vertex = self._estimate(
            self.layout.indices(product_name),
            2,
            lambda means: VertexReplicates(means, mean_name, product_name, products),
        )
        return LayerKernel.of(layer, metric, vertex, self.layout.n_points)

    def effective_sample_size(self) -> EffectiveSampleSize | None:
        """Return how many networks of equal weight the ensemble is worth; None if it has no weights."""
        if self.layout.kind != "reweighted":
            return None
        return effective_sample_size(self.sums, self.counts)

    def within(self) -> Estimate:
        """Return E[C_ab], the mean over networks of the covariance that the output has given the network.

        Raises
        ------
        UsageError
            If the networks have no such covariance; only those of the kind "trained-conditional" have.
        """
        self._require_within()
        pairs = np.ascontiguousarray(self.layout.pairs)
        shift = np.zeros(len(pairs))
        return self._estimate(pairs, 1, lambda means: MetricReplicates(means, "within", shift))

    def between(self) -> Estimate:
        """Return Cov(m_a, m_b), the covariance over networks of the mean that the output has given each.

        It is what `within` leaves of the connected two-point function (law of total covariance). Errors are
        those of `within`, and of `result`.
        """
        self._require_within()
        two = self._table(2, None)

        def maker(means: ReplicateMeans) -> Replicates:
            return BetweenReplicates(means, CumulantReplicates(means, self.layout.kind, two, self.shift))

        return self._estimate(two.points, samples_needed(self.layout.kind, 2), maker)

    def _require_within(self) -> None:
        if self.layout.kind != "trained-conditional":
            raise UsageError(
                f"no covariance given the network in the estimator: got the kind {self.layout.kind}; "
                "needed trained-conditional"
            )

    def _means(self, needed: int) -> ReplicateMeans:
        """Return means over networks, or ratios of weighted sums if enough networks carry the weight."""
        if self.layout.has_mean:
            return SampleMeans(self.sums, self.counts, self.draws, needed)
        size = self.effective_sample_size()
        if size is None:
            return ReplicateMeans(self.sums, self.counts, needed)
        size.require()
        return WeightedMeans(self.sums, self.counts, needed)

    def _unbiased(self, replicates: Replicates, means: ReplicateMeans) -> Replicates:
        """Return replicates that are unbiased, or have no bias of order one over the number of networks."""
        ratios = self.layout.has_mean or self.layout.kind == "reweighted"
        return WithoutBias(replicates, means) if ratios else replicates

    def _table(self, order: int, pattern: Sequence[int] | str | None) -> SectorTable:
        """Return the table of a sector."""
        labels = "0" * order if pattern is None else "".join(str(label) for label in pattern)
        name = f"S{order}:{labels}"
        if name not in self.layout.tables:
            raise UsageError(
                f"sector not in the estimator: got {name}; use one of " + " ".join(self.layout.tables)
            )
        return self.layout.tables[name]

    def _estimate(
        self, indices: IndexArray, needed: int, maker: Callable[[ReplicateMeans], Replicates]
    ) -> Estimate:
        """Evaluate all components with their errors, a few at a time."""

        def replicates() -> tuple[Replicates, ReplicateMeans]:
            means = self._means(needed)
            return self._unbiased(maker(means), means), means

        return estimate(indices, replicates, lambda: self.n_networks)

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return everything that `from_arrays` needs, as named arrays.

        Returns
        -------
        dict of str to ndarray
            ``count`` int64 (bins,); ``sums/<name>`` float64 (bins, m); ``indices/<name>`` int32
            (m, slots), not for sums of weights; ``shift`` float64 (Q,), or ``field_shift`` (P,) for trained
            networks; ``layer_shift/<l>`` float64 (Q,); ``weight_shift`` float64 () if there are weights;
            ``draws`` int64 () for trained networks; those of `layout_arrays`. The sums are the estimator's
            own arrays, not copies.
        """
        stored = StoredSums(
            self.layout, self.counts, self.sums, self.shift, self.layer_shifts, self.weight_shift, self.draws
        )
        return stored.to_arrays()

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> CorrelatorEstimator:
        """Return the estimator that `to_arrays` described; sums are copied only when written to.

        Raises
        ------
        DataFileError
            If an array is missing or does not fit the layout.
        """
        stored = read_sums(arrays)
        try:
            estimator = cls(
                stored.layout,
                len(stored.counts),
                stored.shift,
                stored.layer_shifts,
                stored.weight_shift,
                stored.draws,
            )
        except (ValueError, UsageError) as error:
            raise unusable(error) from error
        estimator.borrow(stored.counts, stored.sums)
        return estimator

    def borrow(self, counts: npt.NDArray[np.int64], sums: dict[str, FloatArray]) -> None:
        """Take counts and sums that lie elsewhere; they are copied before anything is added."""
        self.counts, self.sums, self._borrowed = counts, sums, True
