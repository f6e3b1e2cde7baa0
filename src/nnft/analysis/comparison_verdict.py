"""What a comparison says of a theory: within errors, off by what its order leaves out, or by more."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nnft.analysis.comparison_table import Column, Row, Table, has_error
from nnft.analysis.trained_law import Prediction

FloatArray = npt.NDArray[np.float64]

SMALLEST_P = 1e-3
MOST_TIMES = 3.0
"""Times the expected departure that a theory may be off before it is said to be."""

LEAST_ERRORS = 3.0
"""Standard errors that a component may be off by chance; only what is beyond is set beside a departure."""

LEAST_SHOWN = 0.05
"""Times the expected departure below which no number is shown."""

JUDGED = (1, 2)
LEAST_P = 1e-99
"""Below this p-values are not told apart."""


def verdict(place: int, prediction: Prediction, tables: Sequence[Table], numbers: Sequence[Row]) -> str:
    """Return what the numbers at the end say of a theory.

    Parameters
    ----------
    place : int
        Column of the theory.
    prediction : Prediction
    tables, numbers : sequence of Table, Row
        Mean and two-point function are judged, and the numbers of the networks.

    Returns
    -------
    str
        Empty where nothing can be judged. Starts with ``!`` where the theory fails.
    """
    columns = [(table, table.columns[place]) for table in tables if table.order in JUDGED]
    judged = [(table, column) for table, column in columns if column is not None]
    p_values = [column.test.p_value for _, column in judged if column.test is not None]
    rows = [row for row in numbers if prediction.exact or _known(row.departure, place)]
    pulls = [row.pull[place] for row in rows]
    p_values += [math.erfc(abs(pull) / math.sqrt(2.0)) for pull in pulls if pull is not None]
    if not p_values:
        return ""
    p = min(1.0, len(p_values) * min(p_values))
    if p >= SMALLEST_P:
        return f"at the end: agrees within errors ({_chance(p)})"
    if prediction.exact:
        question = "equilibrium reached, step small enough?"
        return f"! at the end: disagrees ({_chance(p)}), though exact: {question}"
    differs = f"at the end: differs by more than its errors ({_chance(p)})"
    beyond = [_beyond(table, column) for table, column in judged] + [
        _number_beyond(row, place) for row in rows
    ]
    if not any(np.any(excess > 0.0) for excess, _ in beyond):
        return f"{differs}, but no single component by more than {LEAST_ERRORS:.0f} errors"
    return _judged(
        differs, [np.max(excess[size > 0.0] / size[size > 0.0], initial=0.0) for excess, size in beyond]
    )


def _judged(differs: str, ratios: Sequence[float]) -> str:
    """Say whether the largest of the ratios to the expected departures is within their order of magnitude."""
    worst = max(ratios)
    if worst == 0.0:
        return differs
    if worst < LEAST_SHOWN:
        return f"{differs}, by less than {LEAST_SHOWN} times the departure expected above"
    share = f"{worst:.1f} times the departure expected above"
    if worst <= MOST_TIMES:
        return f"{differs}, by {share}: what its approximation leaves out explains that"
    return f"! {differs}, by {share}: what its approximation leaves out does not explain that"


def _chance(p: float) -> str:
    return f"p = {p:.2g}" if p >= LEAST_P else f"p < {LEAST_P:.0e}"


def _known(values: tuple[float | None, ...], place: int) -> bool:
    return place < len(values) and values[place] is not None


def _excess(difference: FloatArray, stderr: FloatArray) -> FloatArray:
    """Size of a difference beyond what its error explains."""
    excess: FloatArray = np.maximum(np.abs(difference) - LEAST_ERRORS * stderr, 0.0)
    return excess


def _number_beyond(row: Row, place: int) -> tuple[FloatArray, FloatArray]:
    """What is beyond the error of a number, and its expected size; 0 where that is unknown."""
    theory, departure = row.theory[place], row.departure[place] if _known(row.departure, place) else None
    if theory is None or row.pull[place] is None:
        return np.zeros(1), np.zeros(1)
    return _excess(np.array([row.value - theory]), np.array([row.stderr])), np.array([departure or 0.0])


def _beyond(table: Table, column: Column) -> tuple[FloatArray, FloatArray]:
    """The same for every component of a table that has an error.

    Expected sizes are orders of magnitude and pass through zero where they change sign: none counts as
    smaller than the root mean square of its table.
    """
    known = has_error(table.value, table.stderr)
    excess = _excess((table.value - column.value)[known], table.stderr[known])
    if column.departure is None or not len(excess):
        return excess, np.zeros(len(excess))
    size = column.departure[known]
    return excess, np.maximum(size, np.sqrt(np.mean(size**2)))
