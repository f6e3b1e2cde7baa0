"""What a comparison says of a theory: within errors, off by what its order leaves out, or by more."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from nnft.analysis.comparison_table import Column, Row, Table
from nnft.analysis.trained_law import Prediction

SMALLEST_P = 1e-3
MOST_TIMES = 3.0
"""Times the expected departure that a theory may be off before it is said to be."""

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
    ratios = [_times_expected(table, column) for table, column in judged]
    ratios += [_times(row, place) for row in rows]
    worst = max((ratio for ratio in ratios if ratio is not None), default=None)
    differs = f"at the end: differs by more than its errors ({_chance(p)})"
    if worst is None:
        return differs
    share = f"{worst:.1f} times the departure expected above"
    if worst <= MOST_TIMES:
        return f"{differs}, by {share}: what its approximation leaves out explains that"
    return f"! {differs}, by {share}: what its approximation leaves out does not explain that"


def _chance(p: float) -> str:
    return f"p = {p:.2g}" if p >= LEAST_P else f"p < {LEAST_P:.0e}"


def _known(values: tuple[float | None, ...], place: int) -> bool:
    return place < len(values) and values[place] is not None


def _times(row: Row, place: int) -> float | None:
    """Size of what is beyond the error of a number over the expected size."""
    theory, departure = row.theory[place], row.departure[place] if row.departure else None
    if theory is None or not departure:
        return None
    return math.sqrt(max(0.0, (row.value - theory) ** 2 - row.stderr**2)) / departure


def _times_expected(table: Table, column: Column) -> float | None:
    """The same for all components of a table together; None where the expected size is unknown."""
    if column.departure is None:
        return None
    known = np.isfinite(table.value) & np.isfinite(table.stderr)
    beyond = (table.value - column.value)[known] ** 2 - table.stderr[known] ** 2
    expected = float(np.sum(column.departure[known] ** 2))
    return math.sqrt(max(0.0, float(np.sum(beyond))) / expected) if expected > 0.0 else None
