"""A comparison with theory as plain numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from nnft.analysis.comparison import Comparison, Stage
from nnft.analysis.comparison_table import Column, Row, Table, has_error
from nnft.analysis.trained_law import Prediction

LISTED_COMPONENTS = 5000
"""Components up to which JSON lists a table whole."""


def comparison_record(found: Comparison) -> dict[str, Any]:
    """Return a comparison as plain numbers, ready for JSON; None where there is no number.

    Parameters
    ----------
    found : Comparison

    Returns
    -------
    dict
        What was trained; ``theories``; ``final`` and ``flow``: step, time, tables and numbers at the end and
        at every snapshot; ``identities``. Columns of theory are in the order of ``theories``.
    """
    trained = found.trained
    return {
        "algorithm": trained.algorithm,
        "trainable": list(trained.trainable),
        "layers": trained.layers,
        "widths": list(trained.widths),
        "activation": trained.activation[0],
        "train_points": int(trained.training["train_points"]),
        "temperature": trained.temperature,
        "ridge": trained.ridge,
        "step": float(trained.training["step"]),
        "networks": found.networks,
        "diverged": found.diverged,
        "bins": int(np.count_nonzero(trained.run.estimator.counts)),
        "points": found.points.tolist(),
        "theories": [_theory(*pair) for pair in zip(found.predictions, found.verdicts, strict=True)],
        "reason": found.reason,
        "final": _stage(found.final),
        "flow": [_stage(stage) for stage in found.flow],
        "identities": [_row(row) for row in found.identities],
    }


def _theory(prediction: Prediction, verdict: str) -> dict[str, Any]:
    names = ("name", "validity", "exact", "departure")
    return {name: getattr(prediction, name) for name in names} | {"verdict": verdict}


def _stage(stage: Stage) -> dict[str, Any]:
    return {
        "step": None if stage.step < 0 else stage.step,
        "time": plain(stage.time),
        "tables": [table_record(table) for table in stage.tables],
        "numbers": [_row(row) for row in stage.numbers],
    }


def table_record(table: Table) -> dict[str, Any]:
    """Return a table as plain numbers."""
    listed = slice(LISTED_COMPONENTS)
    return {
        "order": table.order,
        "components": table.offered,
        "indices": table.indices[listed].tolist(),
        "value": numbers(table.value[listed]),
        "stderr": numbers(table.stderr[listed]),
        "unreliable": table.unreliable[listed].tolist(),
        "without_error": _rigid(table),
        "theory": [None if column is None else _column(column, listed) for column in table.columns],
    }


def _rigid(table: Table) -> int:
    """Components in which all networks agree."""
    return int(np.count_nonzero(np.isfinite(table.stderr) & ~has_error(table.value, table.stderr)))


def _column(column: Column, listed: slice) -> dict[str, Any]:
    test = column.test
    finite = np.abs(column.pull[np.isfinite(column.pull)])
    return {
        "value": numbers(column.value[listed]),
        "pull": numbers(column.pull[listed]),
        "departure": None if column.departure is None else numbers(column.departure[listed]),
        "largest_pull": float(finite.max()) if len(finite) else None,
        "chi_square": None if test is None else plain(test.chi_square),
        "judged": None if test is None else test.components,
        "p_value": None if test is None else plain(test.p_value),
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        "value": plain(row.value),
        "stderr": plain(row.stderr),
        "theory": [plain(value) for value in row.theory],
        "pull": [plain(value) for value in row.pull],
        "departure": [plain(value) for value in row.departure],
        "note": row.note,
    }


def plain(value: float | None) -> float | None:
    """Return a number, or None where there is none."""
    return float(value) if value is not None and math.isfinite(value) else None


def numbers(values: npt.NDArray[np.float64]) -> list[float | None]:
    """Return numbers, with None where there is none."""
    return [plain(value) for value in values.tolist()]
