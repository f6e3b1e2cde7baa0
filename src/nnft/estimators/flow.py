"""Sums of products of outputs at every snapshot along a training, in the memory that kernels add to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from nnft.errors import UsageError
from nnft.estimators.correlators import CorrelatorEstimator
from nnft.estimators.layout import SumLayout
from nnft.estimators.stored_layout import layout_arrays, read_layout, unusable

FloatArray = npt.NDArray[np.float64]


class FlowEstimator:
    """Binned sums over trained networks, one set for each snapshot; the networks are the same at all.

    Parameters
    ----------
    layout : SumLayout
        Of the kind "trained" or "trained-conditional".
    bins : int
        Number of bins.
    snapshots : int
        Number S of snapshots.
    shifts : ndarray of float64, shape (S, P), optional
        Subtracted from the field, or its mean given the network, before summing; zero if not given.
    draws : int
        Samples of one network at a snapshot.

    Attributes
    ----------
    buffer : ndarray of float64, shape (S, bins * layout.n_sums)
        Row s holds the tables of snapshot s one after the other, each of shape (bins, size).
    sums : dict of str to ndarray of float64, shape (S, bins, size)
        The same by name: views of `buffer`.
    counts : ndarray of int64, shape (bins,)
        Networks in each bin; whoever adds to the sums of all snapshots adds to it once.

    Raises
    ------
    UsageError
        If the networks have no mean in this layout, there is no snapshot, bin or sample, or the shifts
        have the wrong shape.
    """

    def __init__(
        self,
        layout: SumLayout,
        bins: int,
        snapshots: int,
        shifts: npt.ArrayLike | None = None,
        draws: int = 1,
    ) -> None:
        if not layout.has_mean or snapshots < 1 or bins < 1 or draws < 1:
            raise UsageError(
                f"impossible flow of correlators: got {layout.kind}, {snapshots} snapshots, {bins} bins, "
                f"{draws} draws; use trained networks and 1 or more of each"
            )
        shape = (snapshots, layout.n_points)
        self.shifts = np.zeros(shape) if shifts is None else np.array(shifts, dtype=np.float64)
        if self.shifts.shape != shape:
            raise UsageError(
                f"wrong shape of the shifts of the flow: got {self.shifts.shape}; give {shape}: "
                "snapshots, points"
            )
        self.layout = layout
        self.draws = int(draws)
        self.counts = np.zeros(bins, dtype=np.int64)
        self.buffer: FloatArray = np.zeros((snapshots, bins * layout.n_sums))
        self.sums: dict[str, FloatArray] = {}
        for name in layout.sizes:
            place = layout.slices[name]
            table = self.buffer[:, bins * place.start : bins * place.stop]
            self.sums[name] = table.reshape(snapshots, bins, -1)  # splits an axis: a view

    @property
    def snapshots(self) -> int:
        """Number S of snapshots."""
        return len(self.buffer)

    @property
    def n_networks(self) -> int:
        """Number of networks in all bins."""
        return int(self.counts.sum())

    def at(self, snapshot: int) -> CorrelatorEstimator:
        """Return the estimator of one snapshot, on the same memory; it sees what is added here later.

        Where something is added to the estimator itself it goes to a copy of its own.

        Raises
        ------
        UsageError
            If there is no such snapshot.
        """
        if not 0 <= snapshot < self.snapshots:
            raise UsageError(f"no such snapshot: got {snapshot!r}; allowed: 0 to {self.snapshots - 1}")
        estimator = CorrelatorEstimator(
            self.layout, len(self.counts), self.shifts[snapshot], draws=self.draws
        )
        estimator.borrow(self.counts, {name: table[snapshot] for name, table in self.sums.items()})
        return estimator

    def merge(self, other: FlowEstimator) -> None:
        """Add the bins of another flow of the same ensemble to these.

        Raises
        ------
        UsageError
            If the layouts, the snapshots, the numbers of bins, the shifts or the draws differ.
        """
        same = self.layout == other.layout and self.buffer.shape == other.buffer.shape
        if not same or self.draws != other.draws or not np.array_equal(self.shifts, other.shifts):
            raise UsageError(
                "flows do not belong together in merge: got different layouts, snapshots, bins, shifts or "
                "draws; merge only shards of one specification"
            )
        self.counts += other.counts
        self.buffer += other.buffer

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return everything that `from_arrays` needs, as named arrays.

        Returns
        -------
        dict of str to ndarray
            ``flow/count`` int64 (bins,); ``flow/shift`` float64 (S, P); ``flow/draws`` int64 ();
            ``flow/layout`` int64 (5,) and ``flow/orders`` int64, as in `layout_arrays`;
            ``flow/sums/<name>`` float64 (S, bins, m), the flow's own arrays, not copies.
        """
        described = layout_arrays(self.layout)
        return {
            "flow/count": self.counts,
            "flow/shift": self.shifts,
            "flow/draws": np.array(self.draws, dtype=np.int64),
            "flow/layout": described["layout"],
            "flow/orders": described["orders"],
            **{f"flow/sums/{name}": table for name, table in self.sums.items()},
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> FlowEstimator:
        """Return the flow that `to_arrays` described, with sums of its own.

        Raises
        ------
        DataFileError
            If an array is missing or does not fit the layout.
        """
        try:
            described = {"layout": arrays["flow/layout"], "orders": arrays["flow/orders"]}
            layout = read_layout(described | {"layers": np.zeros(0)})
            counts = np.array(arrays["flow/count"], dtype=np.int64)
            shifts = np.asarray(arrays["flow/shift"])
            flow = cls(layout, len(counts), len(shifts), shifts, int(arrays["flow/draws"]))
            flow.counts = counts
            for name, table in flow.sums.items():
                stored = np.asarray(arrays[f"flow/sums/{name}"], dtype=np.float64)
                if stored.shape != table.shape:
                    raise UsageError(f"wrong shape of flow/sums/{name}: got {stored.shape}")
                table[:] = stored
        except (KeyError, ValueError, TypeError, IndexError, UsageError) as error:
            raise unusable(error) from error
        return flow
