"""What the checks look at: the correlators of a run, its stored outputs, or outputs of another program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from nnft.actions.source import FEWEST_BINS, CumulantSource
from nnft.errors import NumericalError, UsageError
from nnft.estimators.correlators import CorrelatorEstimator
from nnft.estimators.index_table import IndexArray, SectorTable, sector_name
from nnft.estimators.layout import SumLayout, sum_layout
from nnft.estimators.replicated import Replicated
from nnft.store.reader import StoredRun

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

FEWEST_PER_BIN = 32
MOST_NUMBERS = 1 << 25
"""Stored outputs are read up to so many numbers (256 MiB)."""


class StoredEnsemble(CumulantSource, Protocol):
    """A run: its correlators and, where they were kept, the outputs of its first networks."""

    @property
    def stored(self) -> StoredRun:
        """The file."""

    @property
    def estimator(self) -> CorrelatorEstimator:
        """The binned sums."""

    def fields(self, start: int = 0, stop: int | None = None) -> npt.NDArray[Any]:
        """Return stored outputs of networks start .. stop-1, shape (networks, D, P)."""


@dataclass(frozen=True, eq=False)
class FieldSample:
    """Outputs of independent networks in groups of nearly equal size.

    Attributes
    ----------
    fields : ndarray of float64, shape (M, D, P)
    bins : int
        Number of groups of consecutive networks.
    """

    fields: FloatArray
    bins: int

    def slices(self) -> list[slice]:
        """Return the networks of every group."""
        edges = np.linspace(0, len(self.fields), self.bins + 1).round().astype(int).tolist()
        return [slice(low, high) for low, high in pairwise(edges)]

    def moments(self, labels: IndexArray, points: IndexArray) -> Replicated:
        """Return moments of outputs for all groups and without each of them.

        Parameters
        ----------
        labels, points : ndarray of int, shape (m, r)
            Output and point of every factor.

        Returns
        -------
        Replicated
            Values of shape (1 + bins, m).
        """
        flat = self.fields.reshape(len(self.fields), -1)
        columns = labels * self.fields.shape[2] + points
        groups = self.slices()
        counts = np.array([group.stop - group.start for group in groups], dtype=np.int64)
        sums = np.empty((self.bins, len(columns)))
        with np.errstate(over="ignore", invalid="ignore"):
            for row, group in zip(sums, groups, strict=True):
                product = flat[group][:, columns[:, 0]]
                for slot in range(1, columns.shape[1]):
                    product = product * flat[group][:, columns[:, slot]]
                row[:] = product.sum(axis=0)
            total = sums.sum(axis=0)
            means = np.concatenate(
                [[total / counts.sum()], (total - sums) / (counts.sum() - counts)[:, None]]
            )
        return Replicated(means, counts, len(self.fields))


@dataclass(frozen=True, eq=False)
class FieldEnsemble:
    """Outputs from another program with the correlators made of them; a `CumulantSource`."""

    points: FloatArray
    estimator: CorrelatorEstimator
    path: Path = Path("fields")

    @property
    def networks(self) -> int:
        """Networks in the estimates."""
        return self.estimator.n_networks

    @property
    def orders(self) -> tuple[int, ...]:
        """Orders of the correlators."""
        return tuple(sorted({table.order for table in self.estimator.layout.tables.values()}))

    @property
    def card(self) -> dict[str, Any]:
        """No card: the networks are somebody else's."""
        return {}

    def replicates(
        self, order: int, outputs: str | None = None, components: IndexArray | None = None
    ) -> Replicated:
        """Return a connected correlator for all bins and without each of them."""
        return self.estimator.replicates(order, outputs, components)


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Everything that the checks may use.

    Attributes
    ----------
    correlators : CumulantSource
        Correlators of the outputs as they are.
    centred : CumulantSource
        The same after the mean output has been subtracted; the same object for networks of nnft, whose
        outputs have no mean.
    kind : str
        How correlators were estimated: conditional, direct or reweighted.
    outputs : int
        Number D of outputs.
    sectors : frozenset of str
        Names of the correlators, such as ``S4:0011``.
    bins : int
        Filled bins.
    sample : FieldSample or None
        Outputs, where there are enough.
    no_sample : str
        Why there are none.
    """

    correlators: CumulantSource
    centred: CumulantSource
    kind: str
    outputs: int
    sectors: frozenset[str]
    bins: int
    sample: FieldSample | None
    no_sample: str

    def has(self, pattern: str) -> bool:
        """Tell whether the correlator with these output labels was estimated."""
        return sector_name([int(label) for label in pattern]) in self.sectors


def ensemble_of_run(run: StoredEnsemble, bins: int = 100) -> Ensemble:
    """Return what a run offers.

    Raises
    ------
    NumericalError
        If fewer than 16 bins are filled.
    """
    layout = run.estimator.layout
    filled = int(np.count_nonzero(run.estimator.counts))
    _require_bins(filled)
    deformed = layout.kind == "reweighted" or "deformation" in run.card
    sample, why = (
        (None, "stored outputs of a deformed ensemble belong to its base")
        if deformed
        else _stored_sample(run, bins)
    )
    outputs = int(run.card["network"].get("outputs", 1))
    kind = "reweighted" if deformed else layout.kind
    return Ensemble(run, run, kind, outputs, frozenset(layout.tables), filled, sample, why)


def ensemble_of_fields(
    points: npt.ArrayLike, fields: npt.ArrayLike, orders: Sequence[int], bins: int
) -> Ensemble:
    """Return what outputs of other networks offer.

    Parameters
    ----------
    points : array_like, shape (P, d)
    fields : array_like, shape (M, D, P)
        Outputs of M independent networks.
    orders : sequence of int
        Orders of the correlators.
    bins : int
        Groups of consecutive networks behind the errors.

    Raises
    ------
    UsageError
        If the arrays have the wrong shape or hold numbers that are not finite.
    NumericalError
        If there are fewer than 16 groups of 32 networks.
    """
    mesh, outputs = _checked_arrays(points, fields)
    sample = _grouped(outputs, bins)
    if sample is None:
        raise NumericalError(
            f"too few networks in fields: got {len(outputs)}, needed {FEWEST_BINS * FEWEST_PER_BIN}; "
            "sample more"
        )
    labels = min(outputs.shape[1], 2)
    layout = sum_layout(len(mesh), "direct", orders, outputs=labels)
    correlators = FieldEnsemble(mesh, _direct_estimator(sample, layout))
    middle = FieldSample(outputs - outputs.mean(axis=0), sample.bins)
    low = sum_layout(len(mesh), "direct", [order for order in orders if order <= 4] or [2])
    centred = FieldEnsemble(mesh, _direct_estimator(middle, low))
    sectors = frozenset(layout.tables)
    return Ensemble(correlators, centred, "direct", outputs.shape[1], sectors, sample.bins, sample, "")


def _checked_arrays(points: npt.ArrayLike, fields: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    mesh, outputs = np.asarray(points), np.asarray(fields)
    if mesh.ndim != 2 or outputs.ndim != 3 or outputs.shape[2] != len(mesh) or outputs.size == 0:
        raise UsageError(
            f"wrong shapes in axioms_of_fields: got points {mesh.shape}, fields {outputs.shape}; "
            "give (P, d) and (M, D, P)"
        )
    if mesh.dtype.kind not in "fiu" or outputs.dtype.kind not in "fiu":
        raise UsageError(
            f"not real numbers in axioms_of_fields: got {mesh.dtype} and {outputs.dtype}; give float64"
        )
    for name, array in (("points", mesh), ("fields", outputs)):
        if not np.isfinite(array).all():
            place = np.argwhere(~np.isfinite(array))[0].tolist()
            raise UsageError(f"not finite in axioms_of_fields: got {name} at {place}; give finite numbers")
    return np.array(mesh, dtype=np.float64, order="C"), np.array(outputs, dtype=np.float64, order="C")


def _require_bins(filled: int) -> None:
    if filled < FEWEST_BINS:
        raise NumericalError(
            f"too few filled bins for the checks of axioms: got {filled}, needed {FEWEST_BINS}; "
            "run more networks"
        )


def _stored_sample(run: StoredEnsemble, bins: int) -> tuple[FieldSample | None, str]:
    """Return the stored outputs in groups, or the reason why there are none."""
    manifest = run.stored.fields
    if manifest is None or manifest.rows == 0:
        return None, "the file keeps no outputs; sample with store.fields above 0"
    used = min(manifest.rows, MOST_NUMBERS // (manifest.outputs * manifest.points))
    if used < FEWEST_BINS * FEWEST_PER_BIN:
        least = FEWEST_BINS * FEWEST_PER_BIN
        return None, f"the file keeps outputs of {used} networks; store.fields must be at least {least}"
    return _grouped(run.fields(0, used).astype(np.float64), bins), ""


def _grouped(fields: FloatArray, bins: int) -> FieldSample | None:
    """Return outputs in at most `bins` groups of 32 networks or more; None if that is too few groups."""
    groups = min(bins, len(fields) // FEWEST_PER_BIN)
    return FieldSample(fields, groups) if groups >= FEWEST_BINS else None


def _direct_estimator(sample: FieldSample, layout: SumLayout) -> CorrelatorEstimator:
    """Return the binned sums of products of outputs: products of half the factors, times each other."""
    estimator = CorrelatorEstimator(layout, sample.bins)
    halves = {name: _halves(table, layout.n_points) for name, table in layout.tables.items()}
    for number, group in enumerate(sample.slices()):
        rows = sample.fields[group].reshape(group.stop - group.start, -1)
        sums = np.empty(layout.n_sums)
        for name, ((left, place), (right, other)) in halves.items():
            products = _products(rows, left).T @ _products(rows, right)
            sums[layout.slices[name]] = products[place, other]
        estimator.push(number, len(rows), sums)
    return estimator


def _halves(table: SectorTable, n_points: int) -> list[tuple[IntArray, IntArray]]:
    """Return the different halves of the components as columns of the outputs, and where each stands."""
    columns = np.asarray(table.pattern) * n_points + table.points
    parts = np.split(columns.astype(np.int64), 2, axis=1)
    found = (np.unique(part, axis=0, return_inverse=True) for part in parts)
    return [(different, place.ravel().astype(np.int64)) for different, place in found]


def _products(rows: FloatArray, columns: IntArray) -> FloatArray:
    """Return products of the given columns, shape (networks, number of products)."""
    product: FloatArray = rows[:, columns[:, 0]]
    for slot in range(1, columns.shape[1]):
        product = product * rows[:, columns[:, slot]]
    return product
