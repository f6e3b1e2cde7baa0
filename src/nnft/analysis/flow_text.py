"""Numbers and columns of the tables of a flow over cutoffs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nnft.estimators.notation import number_with_error

ROUNDING = 1e-14


def plain(number: float) -> float | None:
    """Return a number for JSON: None where it is not finite."""
    return float(number) if np.isfinite(number) else None


def plain_list(numbers: Any) -> Any:
    """Return an array as nested lists for JSON; None where a number is not finite."""
    if np.ndim(numbers):
        return [plain_list(part) for part in numbers]
    return plain(float(numbers))


def plain_cutoffs(cutoffs: Any) -> list[float | str]:
    """Return cutoffs for JSON; infinity as "inf"."""
    return [float(cutoff) if np.isfinite(cutoff) else "inf" for cutoff in cutoffs]


def cutoff_text(cutoff: float | str) -> str:
    """Return a cutoff as it is printed."""
    return cutoff if isinstance(cutoff, str) else f"{cutoff:.4g}"


def number_text(number: Mapping[str, Any]) -> str:
    """Return ``value`` with ``stderr`` as it is printed; an error that is rounding counts as none."""
    value, error = number["value"], number["stderr"]
    nothing = float("nan")
    if value is not None and error is not None and error < ROUNDING * abs(value):
        error = 0.0
    flag = bool(number.get("unreliable")) and error is not None
    return number_with_error(nothing if value is None else value, nothing if error is None else error, flag)


def cells_text(table: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table whose columns end on the right."""
    widths = [max(len(line[k]) for line in table) for k in range(len(table[0]))]
    return ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in table]
