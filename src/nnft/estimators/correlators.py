"""Estimator of connected correlators, moments and layer kernels from binned sums over networks.

Networks are divided into bins; each bin holds its number of networks and the sums of an accumulation
program. Everything else is computed from these when asked: unbiased cumulants by k-statistics, errors
by the jackknife over bins. Two estimators of one ensemble are merged by adding their bins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from nnft.errors import DataFileError, UsageError, shorten
from nnft.estimators.evaluation import Replicates, jackknives, replicate_rows
from nnft.estimators.index_table import IndexArray, SectorTable, pair_index
from nnft.estimators.kstatistics import samples_needed
from nnft.estimators.layer_kernels import MetricReplicates, VertexReplicates
from nnft.estimators.layout import WEIGHT_SUMS, SumLayout
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
from nnft.estimators.stored_layout import layout_arrays, read_layout

FloatArray = npt.NDArray[np.float64]
Scalar = TypeVar("Scalar", bound=np.generic)


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
    layer_shifts : mapping of int to ndarray of float64, shape (Q,), optional
        The same for the layers with statistics; zero where not given. For the conditional estimator
        the last layer has `shift`.
    weight_shift : float
        Weights are exp(weight_shift - V); 0 without weights.

    Raises
    ------
    UsageError
        If there is no bin or a shift has the wrong shape.
    """

    def __init__(
        self,
        layout: SumLayout,
        bins: int,
        shift: npt.ArrayLike | None = None,
        layer_shifts: Mapping[int, npt.ArrayLike] | None = None,
        weight_shift: float = 0.0,
    ) -> None:
        if bins < 1:
            raise UsageError(f"no bins in the estimator: got {bins!r}; use 32 or more")
        self.layout = layout
        self.counts = np.zeros(bins, dtype=np.int64)
        self.sums: dict[str, FloatArray] = {n: np.zeros((bins, size)) for n, size in layout.sizes.items()}
        self._borrowed = False
        self.weight_shift = float(weight_shift)
        self.shift = self._checked_shift(shift)
        given = dict(layer_shifts or {})
        if layout.kind == "conditional":
            given[layout.last_layer] = self.shift
        self.layer_shifts = {layer: self._checked_shift(given.get(layer)) for layer in layout.layers}

    def _checked_shift(self, shift: npt.ArrayLike | None) -> FloatArray:
        """Return a shift as an own array of the right shape."""
        array = np.zeros(self.layout.n_pairs) if shift is None else np.array(shift, dtype=np.float64)
        if array.shape != (self.layout.n_pairs,):
            raise UsageError(
                f"wrong shape of the shift of the estimator: got {array.shape}; "
                f"give {self.layout.n_pairs} packed pairs"
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
        self.counts[bin_index] += count
        self._own_sums()
        for name, stored in self.sums.items():
            stored[bin_index] += sums[self.layout.slices[name]]

    def _own_sums(self) -> None:
        """Copy sums that belong to someone else, before they are written to."""
        if self._borrowed:
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
        same_shifts = same_shifts and self.weight_shift == other.weight_shift
        if self.layout != other.layout or len(self.counts) != len(other.counts) or not same_shifts:
            raise UsageError(
                "estimators do not belong together in merge: got different layouts, bins or shifts; "
                "merge only shards of one specification"
            )
        self.counts += other.counts
        self._own_sums()
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
        estimate = self._estimate(
            table.points,
            needed,
            lambda means: CumulantReplicates(means, self.layout.kind, table, self.shift),
        )
        return Correlator(**vars(estimate), table=table, variety="connected")

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
        return Replicated(values, means.bin_counts, self.n_networks)

    def moment(self, order: int, pattern: Sequence[int] | str | None = None) -> Correlator:
        """Return the unbiased moment of one sector; parameters and errors as for `result`."""
        table = self._table(order, pattern)
        estimate = self._estimate(
            table.points, 1, lambda means: MomentReplicates(means, self.layout.kind, table, self.shift)
        )
        return Correlator(**vars(estimate), table=table, variety="moment")

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
        return LayerKernel(
            layer,
            self._symmetric(metric.value),
            self._symmetric(metric.stderr),
            self._symmetric(metric.unreliable),
            metric,
            vertex,
        )

    def effective_sample_size(self) -> EffectiveSampleSize | None:
        """Return how many networks of equal weight the ensemble is worth; None if it has no weights."""
        if self.layout.kind != "reweighted":
            return None
        return effective_sample_size(self.sums, self.counts)

    def _means(self, needed: int) -> ReplicateMeans:
        """Return means over networks, or ratios of weighted sums if enough networks carry the weight."""
        size = self.effective_sample_size()
        if size is None:
            return ReplicateMeans(self.sums, self.counts, needed)
        size.require()
        return WeightedMeans(self.sums, self.counts, needed)

    def _unbiased(self, replicates: Replicates, means: ReplicateMeans) -> Replicates:
        """Return replicates that are unbiased, or have no bias of order one over the number of networks."""
        return WithoutBias(replicates, means) if self.layout.kind == "reweighted" else replicates

    def _symmetric(self, packed: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
        """Return packed pairs as a symmetric matrix."""
        points = np.arange(self.layout.n_points)
        return packed[pair_index(self.layout.n_points, points[:, None], points[None, :])]

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
        total, length = self.n_networks, len(indices)
        if total == 0:
            nothing = np.full(length, np.nan)
            flags = np.ones(length, dtype=np.bool_)
            bins = np.zeros(0, dtype=np.int64)
            return Estimate(indices, nothing, nothing.copy(), flags, 0, bins, lambda: np.empty((0, length)))
        value, stderr = np.empty(length), np.empty(length)
        unreliable = np.empty(length, dtype=np.bool_)
        means = self._means(needed)
        with np.errstate(over="ignore", invalid="ignore"):  # an overflow is flagged as unreliable
            for rows, jackknife in jackknives(self._unbiased(maker(means), means), means, length):
                value[rows] = jackknife.estimate
                stderr[rows] = jackknife.standard_error()
                unreliable[rows] = jackknife.heavy_tailed()

        def pseudo_values() -> FloatArray:
            if self.n_networks != total:
                raise UsageError(
                    f"bins of an old result: got {self.n_networks} networks, result has {total}; "
                    "ask the estimator again"
                )
            fresh = self._means(needed)
            values = np.empty((len(fresh.bin_counts), length))
            for rows, jackknife in jackknives(self._unbiased(maker(fresh), fresh), fresh, length):
                values[:, rows] = jackknife.pseudo_values().T
            return values

        return Estimate(indices, value, stderr, unreliable, total, means.bin_counts, pseudo_values)

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return everything that `from_arrays` needs, as named arrays.

        Returns
        -------
        dict of str to ndarray
            ``count`` int64 (bins,); ``sums/<name>`` float64 (bins, m); ``indices/<name>`` int32
            (m, slots), not for sums of weights; ``shift`` float64 (Q,); ``layer_shift/<l>`` float64 (Q,);
            ``weight_shift`` float64 () if there are weights; those of `layout_arrays`. The sums are the
            estimator's own arrays, not copies.
        """
        arrays: dict[str, npt.NDArray[Any]] = {"count": self.counts, "shift": self.shift}
        arrays |= layout_arrays(self.layout)
        if self.layout.kind == "reweighted":
            arrays["weight_shift"] = np.array(self.weight_shift)
        arrays |= {f"layer_shift/{layer}": shift for layer, shift in self.layer_shifts.items()}
        arrays |= {f"sums/{name}": stored for name, stored in self.sums.items()}
        with_points = [name for name in self.sums if name not in WEIGHT_SUMS]
        return arrays | {f"indices/{name}": self.layout.indices(name) for name in with_points}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> CorrelatorEstimator:
        """Return the estimator that `to_arrays` described; sums are copied only when written to.

        Raises
        ------
        DataFileError
            If an array is missing or does not fit the layout.
        """
        try:
            layout = read_layout(arrays)
            counts = np.array(arrays["count"], dtype=np.int64)
            layer_shifts = {layer: arrays[f"layer_shift/{layer}"] for layer in layout.layers}
            weight_shift = float(arrays["weight_shift"]) if layout.kind == "reweighted" else 0.0
            estimator = cls(layout, len(counts), arrays["shift"], layer_shifts, weight_shift)
            for name, size in layout.sizes.items():
                stored = np.asarray(arrays[f"sums/{name}"], dtype=np.float64)
                if stored.shape != (len(counts), size):
                    raise UsageError(f"wrong shape of sums/{name}: got {stored.shape}")
                estimator.sums[name] = stored
        except (KeyError, ValueError, IndexError, UsageError) as error:
            raise DataFileError(
                f"unusable estimator in the result file: got {shorten(str(error), 100)}; restore the file"
            ) from error
        estimator.counts = counts
        estimator._borrowed = True
        return estimator
