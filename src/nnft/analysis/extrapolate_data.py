"""What a fit over runs needs of each: an observable with its jackknife deviations, and the abscissa."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nnft.analysis.run import Run
from nnft.errors import DataFileError, NumericalError, UsageError, shorten
from nnft.estimators.index_table import IndexArray
from nnft.estimators.jackknife import weighted_deviations
from nnft.estimators.replicated import Replicated
from nnft.estimators.results import Estimate

FloatArray = npt.NDArray[np.float64]

FEWEST_BINS = 16
MOST_COMPONENTS = 500

POWERS = {
    "mean": (0, 1),
    "g2": (0, 1),
    "g4": (1, 2),
    "g6": (2, 3),
    "kurtosis": (1, 2),
    "relative-g4": (1, 2),
    "relative-g6": (2, 3),
    "vertex": (1, 2),
    "lambda4": (1, 2),
    "lambda6": (2, 3),
    "lambda4-modes": (1, 2),
    "lambda6-modes": (2, 3),
}
"""Observables, and the powers of 1/n or (L - 1)/n with which their series begins."""

_TITLES = {
    "mean": "mean of trained outputs",
    "g2": "two-point function G2",
    "g4": "connected four-point function G4",
    "g6": "connected six-point function G6",
    "kurtosis": "excess kurtosis G4(aaaa) / G2(aa)^2",
    "relative-g4": "G4(aaaa) / (3 G2(aa)^2)",
    "relative-g6": "G6(aaaaaa) / (15 G2(aa)^3)",
    "vertex": "covariance of the metric of layer",
    "lambda4": "quartic coupling lambda_4",
    "lambda6": "sextic coupling lambda_6",
    "lambda4-modes": "quartic coupling lambda_4 in modes",
    "lambda6-modes": "sextic coupling lambda_6 in modes",
}
_ORDERS = {"mean": 1, "g2": 2, "g4": 4, "g6": 6, "kurtosis": 4, "relative-g4": 4, "relative-g6": 6}


@dataclass(frozen=True)
class Observable:
    """An observable by name.

    Attributes
    ----------
    name : str
        A key of `POWERS`.
    layer : int
        Of a vertex; 0 otherwise.
    """

    name: str
    layer: int = 0

    @classmethod
    def parse(cls, text: str) -> Observable:
        """Read ``g4`` or ``vertex:2``.

        Raises
        ------
        UsageError
            Unknown; lists what there is.
        """
        name, colon, layer = text.partition(":")
        vertex = name == "vertex" and layer.isdigit() and 2 <= int(layer[:6]) <= 4001
        if name not in POWERS or bool(colon) != vertex or (name == "vertex" and not vertex):
            known = ", ".join(name if name != "vertex" else "vertex:LAYER" for name in POWERS)
            raise UsageError(f"unknown observable: got {shorten(text, 40)}; use one of {known}")
        return cls(name, int(layer) if vertex else 0)

    @property
    def title(self) -> str:
        """What it is."""
        return _TITLES[self.name] + (f" {self.layer}" if self.layer else "")

    @property
    def fields(self) -> int:
        """Number of points that a component has."""
        one = self.name in ("mean", "kurtosis") or self.name.startswith("relative")
        six = self.name in ("g6", "lambda6", "lambda6-modes")
        return 1 if one else 2 if self.name == "g2" else 6 if six else 4


@dataclass(frozen=True)
class Selection:
    """Which components are fitted.

    Attributes
    ----------
    points : tuple of int or None
        Coincident components of these points.
    component : tuple of int or None
        This one.
    """

    points: tuple[int, ...] | None = None
    component: tuple[int, ...] | None = None


@dataclass(frozen=True, eq=False)
class Sampled:
    """An observable of one run.

    Attributes
    ----------
    name : str
    indices : ndarray of int32, shape (m, r)
    value : ndarray of float64, shape (m,)
    deviations : ndarray of float64, shape (m, B)
        ``deviations @ deviations.T`` is the covariance.
    unreliable : ndarray of bool, shape (m,)
    seed : int
    layout : tuple
        Block size, bins, networks, and networks of each bin: equal for runs whose bins correspond.
    """

    name: str
    indices: IndexArray
    value: FloatArray
    deviations: FloatArray
    unreliable: npt.NDArray[np.bool_]
    seed: int
    layout: tuple[int | bytes, ...]

    @property
    def stderr(self) -> FloatArray:
        """Standard errors, shape (m,)."""
        error: FloatArray = np.sqrt(np.einsum("mb,mb->m", self.deviations, self.deviations))
        return error


def sampled(run: Run, observable: Observable, selection: Selection, order: int) -> Sampled:
    """Return an observable of a run.

    Parameters
    ----------
    run : Run
    observable : Observable
    selection : Selection
    order : int
        Of the action, for its couplings.

    Raises
    ------
    DataFileError
        If the file has not the correlators.
    UsageError
        If there are no such components.
    NumericalError
        If there are too few networks or bins.
    """
    if observable.name in _ORDERS:
        _require_order(run, _ORDERS[observable.name])
    estimate, deviations = _estimate(run, observable, order, selection)
    if len(estimate.bin_counts) < FEWEST_BINS:
        raise NumericalError(
            f"too few bins in {shorten(run.path.name)}: got {len(estimate.bin_counts)} filled bins, "
            f"needed {FEWEST_BINS}; run more networks"
        )
    stored = run.stored
    return Sampled(
        name=run.path.stem,
        indices=estimate.indices,
        value=estimate.value,
        deviations=deviations,
        unreliable=estimate.unreliable,
        seed=int(stored.text("seed")),
        layout=(
            stored.counter("block_size"),
            len(estimate.bin_counts),
            run.networks,
            estimate.bin_counts.tobytes(),
        ),
    )


def _require_order(run: Run, order: int) -> None:
    orders = run.orders
    if order not in orders and order == 1:
        raise UsageError(
            f"no mean of outputs in {shorten(run.path.name)}: got networks without training, whose outputs "
            "have none; choose another observable"
        )
    if order not in orders:
        raise DataFileError(
            f"no correlator of order {order} in {shorten(run.path.name)}: got orders {list(orders)}; "
            f"{'sample' if run.training is None else 'train'} with it in estimate.correlators"
        )


def _estimate(
    run: Run, observable: Observable, order: int, selection: Selection
) -> tuple[Estimate, FloatArray]:
    """Return the chosen components of an observable, and their deviations."""
    name, file = observable.name, run.path.name
    if name == "vertex":
        if observable.layer not in run.estimator.layout.layers:
            advice = "sample with estimate.layers = true"
            if run.training is not None:
                advice = "trained networks have none: sample them before their training"
            raise DataFileError(
                f"no statistics of layer {observable.layer} in {shorten(run.path.name)}: got layers "
                f"{list(run.estimator.layout.layers)}; {advice}"
            )
        vertex = run.kernel(observable.layer).vertex
        rows = chosen_rows(vertex.indices, selection, file)
        chosen = dataclasses.replace(
            vertex,
            indices=vertex.indices[rows],
            value=vertex.value[rows],
            stderr=vertex.stderr[rows],
            unreliable=vertex.unreliable[rows],
            pseudo_values=lambda: vertex.bins[:, rows],
        )
        few = len(vertex.bin_counts) < 2
        empty = np.zeros((len(rows), 0))
        return chosen, empty if few else weighted_deviations(chosen.bins.T, vertex.bin_counts)
    if name in ("mean", "g2", "g4", "g6"):
        indices = run.estimator.layout.tables[f"S{_ORDERS[name]}:{'0' * _ORDERS[name]}"].points
        indices = indices[chosen_rows(indices, selection, file)]
        replicated = run.replicates(_ORDERS[name], None, indices)
    else:
        every, indices = _couplings(run, name, order) if name.startswith("lambda") else _ratio(run, name)
        rows = chosen_rows(indices, selection, file)
        indices = indices[rows]
        replicated = Replicated(every.values[:, rows], every.bin_counts, every.n_networks)
    if len(replicated.bin_counts) < 2:
        return replicated.estimate(indices), np.zeros((len(indices), 0))
    return replicated.estimate(indices), replicated.deviations()


def _ratio(run: Run, name: str) -> tuple[Replicated, IndexArray]:
    """Return a ratio of coincident components to a power of G2, formed in every replicate."""
    points = np.arange(len(run.points), dtype=np.int32)[:, None]
    fields = _ORDERS[name]
    above = run.replicates(fields, None, np.repeat(points, fields, axis=1))
    below = run.replicates(2, None, np.repeat(points, 2, axis=1))
    factor = {"kurtosis": 1.0, "relative-g4": 3.0, "relative-g6": 15.0}[name]
    rows = len(above.values)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = above.values / (factor * below.values[:rows] ** (fields // 2))
    return Replicated(ratio, above.bin_counts, above.n_networks), points


def _couplings(run: Run, name: str, order: int) -> tuple[Replicated, IndexArray]:
    """Return couplings of the action with their replicates."""
    from nnft.actions.action import action

    computed = action(run, order)
    table = {"lambda4": "quartic", "lambda6": "sextic"}[name.removesuffix("-modes")]
    if table == "quartic":
        table += f"_{computed.levels[-1]}"
    table += "_modes" if name.endswith("-modes") else ""
    return computed.tables[table], computed.indices(table)


def chosen_rows(indices: IndexArray, selection: Selection, file: str) -> npt.NDArray[np.int64]:
    """Return the rows of the chosen components; of very many, those with all points equal.

    Raises
    ------
    UsageError
        If there are none.
    """
    same = np.flatnonzero((indices == indices[:, :1]).all(axis=1))
    if selection.component is not None:
        if len(selection.component) != indices.shape[1]:
            raise UsageError(
                f"wrong number of points in --component: got {len(selection.component)}; "
                f"give {indices.shape[1]}"
            )
        wanted = np.sort(np.array(selection.component))
        rows = np.flatnonzero((np.sort(indices, axis=1) == wanted).all(axis=1))[:1]
        exact = np.flatnonzero((indices == np.array(selection.component)).all(axis=1))
        rows = exact if len(exact) else rows
    elif selection.points is not None:
        found = {int(indices[row, 0]): row for row in same}
        missing = [point for point in selection.points if point not in found]
        rows = np.array([found[point] for point in selection.points if point in found], dtype=np.int64)
        if missing:
            rows = rows[:0]
    else:
        rows = np.arange(len(indices)) if len(indices) <= MOST_COMPONENTS else same
    if not len(rows):
        chosen = selection.points if selection.component is None else selection.component
        raise UsageError(f"no such component in {shorten(file)}: got points {shorten(chosen, 40)}")
    return rows


def check_same_components(members: Sequence[Sampled]) -> None:
    """Refuse runs whose components are not the same.

    Raises
    ------
    UsageError
        Names two runs.
    """
    first = members[0]
    for member in members[1:]:
        if not np.array_equal(first.indices, member.indices):
            raise UsageError(
                f"runs of different components: got {len(first.value)} in {shorten(first.name, 40)} and "
                f"{len(member.value)} in {shorten(member.name, 40)}; choose some with --points"
            )
