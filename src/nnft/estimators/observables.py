"""Numbers that every network has at every snapshot of a training: their means, errors and spreads.

Losses, norms, acceptances and kernels are averaged as they are; networks lie in bins as those of the
correlators do, and errors are by the jackknife over bins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nnft.errors import UsageError, shorten
from nnft.estimators.index_table import RankArray
from nnft.estimators.jackknife import Jackknife
from nnft.estimators.replicated import Replicated
from nnft.estimators.replicates import ReplicateMeans
from nnft.estimators.stored_layout import unusable

FloatArray = npt.NDArray[np.float64]
Arrays = dict[str, npt.NDArray[Any]]


class MatrixFlow:
    """Means of some components at every snapshot, such as a packed kernel.

    Parameters
    ----------
    bins : int
    snapshots : int
        Number S of snapshots.
    components : int
        Number Q of components.

    Attributes
    ----------
    sums : ndarray of float64, shape (S, bins, Q)
    counts : ndarray of int64, shape (S, bins)
        Networks in each sum.

    Raises
    ------
    UsageError
        If there is no bin, snapshot or component.
    """

    def __init__(self, bins: int, snapshots: int, components: int) -> None:
        if min(bins, snapshots, components) < 1:
            raise UsageError(
                f"nothing to average along a training: got {bins} bins, {snapshots} snapshots, "
                f"{components} components; use 1 or more of each"
            )
        self.sums: FloatArray = np.zeros((snapshots, bins, components))
        self.counts = np.zeros((snapshots, bins), dtype=np.int64)

    def push(self, snapshot: int, bin_index: int, values: npt.ArrayLike) -> None:
        """Add the values of some networks to one bin of one snapshot.

        Parameters
        ----------
        snapshot, bin_index : int
            From 0.
        values : array_like, shape (m, Q)
            One row for each network.

        Raises
        ------
        UsageError
            If there is no such place, or the shape is wrong.
        """
        rows = np.asarray(values, dtype=np.float64)
        snapshots, bins, components = self.sums.shape
        if (
            rows.ndim != 2
            or rows.shape[1] != components
            or not (0 <= snapshot < snapshots and 0 <= bin_index < bins)
        ):
            raise UsageError(
                f"values do not fit the flow: got snapshot {snapshot}, bin {bin_index}, shape {rows.shape}; "
                f"use {snapshots} snapshots, {bins} bins, rows of {components}"
            )
        self.sums[snapshot, bin_index] += rows.sum(axis=0)
        self.counts[snapshot, bin_index] += len(rows)

    def mean(self) -> FloatArray:
        """Return the means, shape (S, Q); NaN where there is no network."""
        totals = self.counts.sum(axis=1)
        means: FloatArray = self.sums.sum(axis=1) / np.where(totals, totals, np.nan)[:, None]
        return means

    def stderr(self) -> FloatArray:
        """Return the standard errors of the means, shape (S, Q); NaN with fewer than two filled bins."""
        errors = np.full((len(self.sums), self.sums.shape[2]), np.nan)
        for snapshot, means in enumerate(self.replicate_means()):
            if means is None:
                continue
            with np.errstate(invalid="ignore", over="ignore"):  # where a number is infinite there is no error
                columns = means.table("sum")
                jackknife = Jackknife(columns[:, 0], columns[:, 1:], means.bin_counts)
                errors[snapshot] = jackknife.standard_error()
        return errors

    def replicates(self) -> Replicated:
        """Return the means for all bins and without each of them, values of shape (1 + B, S, Q).

        Raises
        ------
        UsageError
            If not all snapshots have the same networks.
        """
        if (self.counts != self.counts[0]).any():
            raise UsageError(
                "networks differ along the training: got different counts at the snapshots; "
                "add every network at each of them"
            )
        found = [means for means in self.replicate_means() if means is not None]
        if not found:
            empty = np.full((1, len(self.sums), self.sums.shape[2]), np.nan)
            return Replicated(empty, np.zeros(0, dtype=np.int64), 0)
        values = np.stack([means.table("sum").T for means in found], axis=1)
        return Replicated(values, found[0].bin_counts, int(self.counts[0].sum()))

    def replicate_means(self) -> list[ReplicateMeans | None]:
        """Return the means of the table "sum" of every snapshot; None where there is no network."""
        return [
            ReplicateMeans({"sum": sums}, counts) if counts.any() else None
            for sums, counts in zip(self.sums, self.counts, strict=True)
        ]

    def merge(self, other: MatrixFlow) -> None:
        """Add the bins of another flow of the same ensemble to these.

        Raises
        ------
        UsageError
            If the shapes differ.
        """
        if self.sums.shape != other.sums.shape:
            raise UsageError(
                f"flows do not belong together in merge: got shapes {self.sums.shape}, {other.sums.shape}; "
                "merge only shards of one specification"
            )
        self.sums += other.sums
        self.counts += other.counts

    def to_arrays(self, name: str) -> Arrays:
        """Return the arrays ``<name>/sums`` float64 (S, bins, Q) and ``<name>/count`` int64 (S, bins)."""
        return {f"{name}/sums": self.sums, f"{name}/count": self.counts}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]], name: str) -> MatrixFlow:
        """Return the flow that `to_arrays` described, with arrays of its own.

        Raises
        ------
        DataFileError
            If an array is missing or has the wrong shape.
        """
        try:
            sums = np.array(arrays[f"{name}/sums"], dtype=np.float64, order="C")
            counts = np.array(arrays[f"{name}/count"], dtype=np.int64, order="C")
            snapshots, bins, components = sums.shape
            flow = cls(bins, snapshots, components)
            if counts.shape != flow.counts.shape:
                raise UsageError(f"wrong shape of {name}/count: got {counts.shape}")
        except (KeyError, ValueError, TypeError, UsageError) as error:
            raise unusable(error) from error
        flow.sums, flow.counts = sums, counts
        return flow


@dataclass(frozen=True, eq=False)
class ObservableFlow:
    """One number of the networks along a training.

    Attributes
    ----------
    mean : ndarray of float64, shape (S,)
        Over networks; NaN where there is none.
    stderr : ndarray of float64, shape (S,)
        Standard error of the mean; NaN with fewer than two filled bins.
    spread : ndarray of float64, shape (S,)
        Standard deviation over networks; NaN with fewer than two.
    networks : ndarray of int64, shape (S,)
    """

    mean: FloatArray
    stderr: FloatArray
    spread: FloatArray
    networks: npt.NDArray[np.int64]


class ObservableEstimator:
    """Means and spreads of named numbers of the networks at every snapshot.

    Parameters
    ----------
    names : sequence of str
        What the numbers are called, different words without a slash.
    bins : int
    snapshots : int
        Number S of snapshots.

    Attributes
    ----------
    names : tuple of str
    values, squares : MatrixFlow
        Sums of the numbers and of their squares, a component for each name.

    Raises
    ------
    UsageError
        If a name is unusable, or there is no name, bin or snapshot.
    """

    def __init__(self, names: Sequence[str], bins: int, snapshots: int) -> None:
        wrong = [name for name in names if not name or "/" in name or list(names).count(name) > 1]
        if wrong:
            raise UsageError(
                f"unusable name of an observable: got {shorten(wrong[0])}; use different words without /"
            )
        self.names = tuple(names)
        self.values = MatrixFlow(bins, snapshots, len(self.names))
        self.squares = MatrixFlow(bins, snapshots, len(self.names))

    def push(self, snapshot: int, bin_index: int, values: npt.ArrayLike) -> None:
        """Add the numbers of some networks, shape (m, number of names), to one bin of one snapshot.

        Raises
        ------
        UsageError
            If there is no such place, or the shape is wrong.
        """
        rows = np.asarray(values, dtype=np.float64)
        self.values.push(snapshot, bin_index, rows)
        with np.errstate(over="ignore"):
            self.squares.push(snapshot, bin_index, rows**2)

    def result(self, name: str) -> ObservableFlow:
        """Return the mean, its error and the spread over networks of one number along the snapshots.

        Raises
        ------
        UsageError
            If there is no such name.
        """
        values, squares = self._chosen(name)
        networks = values.counts.sum(axis=1)
        mean = values.mean()[:, 0]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # inf - inf, nothing to divide by
            variance = (squares.mean()[:, 0] - mean**2) * (networks / (networks - 1.0))
            spread = np.where(networks > 1, np.sqrt(np.maximum(variance, 0.0)), np.nan)
        return ObservableFlow(mean, values.stderr()[:, 0], spread, networks)

    def replicates(self, name: str) -> Replicated:
        """Return the means of one number for all bins and without each, values of shape (1 + B, S).

        Raises
        ------
        UsageError
            If there is no such name, or not all snapshots have the same networks.
        """
        found = self._chosen(name)[0].replicates()
        return Replicated(found.values[:, :, 0], found.bin_counts, found.n_networks)

    def _chosen(self, name: str) -> list[MatrixFlow]:
        """Return the values and the squares of one name."""
        if name not in self.names:
            raise UsageError(f"no observable {shorten(name)}: use one of {', '.join(self.names)}")
        column: RankArray = np.array([self.names.index(name)])
        chosen = []
        for flow in (self.values, self.squares):
            snapshots, bins, _ = flow.sums.shape
            single = MatrixFlow(bins, snapshots, 1)
            single.sums, single.counts = flow.sums[:, :, column], flow.counts
            chosen.append(single)
        return chosen

    def merge(self, other: ObservableEstimator) -> None:
        """Add the bins of other networks of the same ensemble to these.

        Raises
        ------
        UsageError
            If the names, the snapshots or the bins differ.
        """
        if self.names != other.names:
            raise UsageError(
                f"observables do not belong together in merge: got {list(self.names)}, {list(other.names)}; "
                "merge only shards of one specification"
            )
        self.values.merge(other.values)
        self.squares.merge(other.squares)

    def to_arrays(self) -> Arrays:
        """Return everything that `from_arrays` needs, as named arrays.

        Returns
        -------
        dict of str to ndarray
            ``observables/count`` int64 (S, bins); for each name ``observables/sums/<name>`` and
            ``observables/squares/<name>`` float64 (S, bins), of numbers and their squares.
        """
        arrays: Arrays = {"observables/count": self.values.counts}
        for column, name in enumerate(self.names):
            arrays[f"observables/sums/{name}"] = self.values.sums[:, :, column]
            arrays[f"observables/squares/{name}"] = self.squares.sums[:, :, column]
        return arrays

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, npt.NDArray[Any]], names: Sequence[str] | None = None
    ) -> ObservableEstimator:
        """Return the estimator that `to_arrays` described, with arrays of its own.

        Parameters
        ----------
        arrays : mapping of str to ndarray
        names : sequence of str, optional
            In this order; if not given, in the order in which they are found.

        Raises
        ------
        DataFileError
            If an array is missing or has the wrong shape.
        """
        start = "observables/sums/"
        found = [key.removeprefix(start) for key in arrays if key.startswith(start)]
        try:
            counts = np.array(arrays["observables/count"], dtype=np.int64, order="C")
            snapshots, bins = counts.shape
            estimator = cls(found if names is None else names, bins, snapshots)
            for column, name in enumerate(estimator.names):
                for flow, kind in ((estimator.values, "sums"), (estimator.squares, "squares")):
                    stored = np.asarray(arrays[f"observables/{kind}/{name}"], dtype=np.float64)
                    if stored.shape != counts.shape:
                        raise UsageError(f"wrong shape of observables/{kind}/{name}: got {stored.shape}")
                    flow.sums[:, :, column] = stored
        except (KeyError, ValueError, TypeError, UsageError) as error:
            raise unusable(error) from error
        estimator.values.counts, estimator.squares.counts = counts, counts.copy()
        return estimator
