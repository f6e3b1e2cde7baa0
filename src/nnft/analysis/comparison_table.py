"""Estimates with theory beside them: pulls, and one chi-square for all components of a correlator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from nnft.analysis.trained_law import Law
from nnft.errors import NumericalError
from nnft.estimators.correlators import CorrelatorEstimator
from nnft.estimators.joint_test import (
    FEWEST_BINS,
    ROUNDING,
    JointTest,
    joint_test,
    judged_components,
)
from nnft.estimators.observables import ObservableEstimator
from nnft.estimators.results import Estimate

FloatArray = npt.NDArray[np.float64]

MOST_COMPONENTS = 20_000
SPREAD_COMPONENTS = 5_000


@dataclass(frozen=True, eq=False)
class Column:
    """One theory of the components of a table.

    Attributes
    ----------
    value, pull : ndarray, shape (m,)
        Theory, and (estimate - theory) / error.
    departure : ndarray or None, shape (m,)
        Expected size of what the theory leaves out.
    test : JointTest or None
        All components that have an error at once; None without, or with fewer than 16 bins.
    """

    value: FloatArray
    pull: FloatArray
    departure: FloatArray | None
    test: JointTest | None


@dataclass(frozen=True, eq=False)
class Table:
    """A connected correlator of one output with theories.

    Attributes
    ----------
    order : int
        1 for the mean.
    offered : int
        Components that there are; of more than 20000 an evenly spread part is here.
    indices : ndarray of int32, shape (m, order)
    value, stderr : ndarray, shape (m,)
    unreliable : ndarray of bool, shape (m,)
    columns : tuple of Column or None
        One for each theory.
    """

    order: int
    offered: int
    indices: npt.NDArray[np.int32]
    value: FloatArray
    stderr: FloatArray
    unreliable: npt.NDArray[np.bool_]
    columns: tuple[Column | None, ...]


@dataclass(frozen=True)
class Row:
    """A number with theories.

    Attributes
    ----------
    name : str
    value, stderr : float
    theory, pull : tuple of float or None
        One for each theory; None where it says nothing.
    departure : tuple of float or None
        Expected size of what each theory leaves out; None where it is unknown.
    note : str
    """

    name: str
    value: float
    stderr: float
    theory: tuple[float | None, ...]
    pull: tuple[float | None, ...]
    departure: tuple[float | None, ...] = ()
    note: str = ""


def pulls(value: FloatArray, stderr: FloatArray, theory: FloatArray) -> FloatArray:
    """Return (estimate - theory) / error; not a number where there is no error."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found: FloatArray = np.where(has_error(value, stderr), (value - theory) / stderr, np.nan)
    return found


def has_error(value: FloatArray, stderr: FloatArray) -> npt.NDArray[np.bool_]:
    """Return where there is an error beyond rounding: not where all networks agree, or are too few."""
    with np.errstate(invalid="ignore"):
        found: npt.NDArray[np.bool_] = np.isfinite(stderr) & (stderr > ROUNDING * np.abs(value))
    return found


def compare_table(estimator: CorrelatorEstimator, order: int, laws: Sequence[Law | None]) -> Table:
    """Return a connected correlator with one column for each law; no values where networks are too few."""
    found, offered = _estimate(estimator, order)
    judged = np.flatnonzero(has_error(found.value, found.stderr))
    rows = judged[judged_components(len(judged), len(found.bin_counts))]
    deviations = None
    if len(found.bin_counts) >= FEWEST_BINS and len(rows):
        deviations = estimator.replicates(order, components=found.indices[rows]).deviations()
    columns: list[Column | None] = []
    for law in laws:
        theory = None if law is None else law.values(order, found.indices)
        if law is None or theory is None:
            columns.append(None)
            continue
        test = None
        if deviations is not None:
            scale = np.maximum(np.abs(theory[rows]), np.abs(found.value[rows]))
            test = joint_test(found.value[rows] - theory[rows], deviations, scale)
            test = replace(test, offered=offered)
        pull = pulls(found.value, found.stderr, theory)
        columns.append(Column(theory, pull, law.departures(order, found.indices), test))
    return Table(order, offered, found.indices, found.value, found.stderr, found.unreliable, tuple(columns))


def _estimate(estimator: CorrelatorEstimator, order: int) -> tuple[Estimate, int]:
    """Return a connected correlator, or a part of it, and how many components there are."""
    points = estimator.layout.tables["S" + str(order) + ":" + "0" * order].points
    if len(points) <= MOST_COMPONENTS:
        return estimate_or_nothing(estimator, order), len(points)
    rows = np.linspace(0, len(points) - 1, SPREAD_COMPONENTS).round().astype(np.int64)
    chosen = np.ascontiguousarray(points[rows])
    return estimate_or_nothing(estimator, order, chosen), len(points)


def estimate_or_nothing(
    estimator: CorrelatorEstimator, order: int, components: npt.NDArray[np.int32] | None = None
) -> Estimate:
    """Return a connected correlator of one output, without values where networks are too few for it.

    Parameters
    ----------
    estimator : CorrelatorEstimator
    order : int
    components : ndarray of int32, shape (m, order), optional
        Points of the wanted components; all of them if not given.
    """
    try:
        if components is None:
            return estimator.result(order)
        return estimator.replicates(order, components=components).estimate(components)
    except NumericalError:
        every = estimator.layout.tables["S" + str(order) + ":" + "0" * order].points
        return _nothing(every if components is None else components)


def _nothing(indices: npt.NDArray[np.int32]) -> Estimate:
    """Return components without values, not flagged: an absent number misleads nobody."""
    absent = np.full(len(indices), np.nan)
    flags, bins = np.zeros(len(indices), dtype=np.bool_), np.zeros(0, dtype=np.int64)
    return Estimate(indices, absent, absent.copy(), flags, 0, bins, lambda: np.empty((0, len(indices))))


def compare_number(
    observables: ObservableEstimator, name: str, place: int, laws: Sequence[Law | None]
) -> Row:
    """Return a number of the networks at one snapshot with one theory for each law."""
    found = observables.result(name)
    value, stderr = float(found.mean[place]), float(found.stderr[place])
    theory = tuple(None if law is None else law.numbers.get(name) for law in laws)
    departure = tuple(None if law is None else law.number_departures.get(name) for law in laws)
    return Row(name, value, stderr, theory, tuple(number_pull(value, stderr, t) for t in theory), departure)


def number_pull(value: float, stderr: float, theory: float | None) -> float | None:
    """Return (estimate - theory) / error, None where there is no theory or error."""
    if theory is None or not bool(has_error(np.array(value), np.array(stderr))):
        return None
    return (value - theory) / stderr
