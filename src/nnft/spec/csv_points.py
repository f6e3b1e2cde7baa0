"""Input points from text: one point a line, with the row and the column of every fault."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from nnft.errors import DataFileError
from nnft.spec.problems import line, shown

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)


def parse_csv(data: bytes, name: str) -> NDArray[np.float64]:
    """Parse delimited text into points.

    Parameters
    ----------
    data : bytes
        UTF-8 text. Empty lines and lines that begin with ``#`` are skipped; the first remaining line may be a
        header without any number. Columns are divided by semicolons, tabs, commas or blanks: the first of
        these that the first line holds. Numbers have decimal points.
    name : str
        Name of the file in messages.

    Returns
    -------
    ndarray of float64, shape (P, d)

    Raises
    ------
    DataFileError
        Not UTF-8, no rows, ragged rows, or a cell that is no finite number; names row and column,
        counted from 1.
    """
    return parse_csv_table(data, name)[1]


def parse_csv_table(data: bytes, name: str) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Parse delimited text into the names in its header, none without one, and its rows; see `parse_csv`.

    Raises
    ------
    DataFileError
        As `parse_csv`.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        got = f"byte 0x{data[error.start]:02x} at position {error.start}"
        raise DataFileError(line("text not UTF-8", "", got, "save the file as UTF-8", name)) from None
    rows: list[list[float]] = []
    header: tuple[str, ...] = ()
    first = True
    for number, cells in _rows(text, name):
        if first and not any(_looks_numeric(cell) for cell in cells):
            first = False
            header = tuple(cells)
            continue
        first = False
        if rows and len(cells) != len(rows[0]):
            advice = f"expected {len(rows[0])} as in the rows before"
            raise DataFileError(line("ragged table", f"row {number}", f"{len(cells)} columns", advice, name))
        rows.append([_number(cell, number, column, name) for column, cell in enumerate(cells, start=1)])
    if not rows:
        raise DataFileError(line("no points", "", "no row of numbers", "give one point a line", name))
    return header, np.array(rows, dtype=np.float64)


def _rows(text: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line number and the cells of every line that is neither empty nor a comment."""
    delimiter: str | None = ""
    for number, row in enumerate(text.split("\n"), start=1):
        content = row.strip()
        if not content or content.startswith("#"):
            continue
        if delimiter == "":
            delimiter = next((mark for mark in ";\t," if mark in content), None)
        if delimiter is None:
            cells = content.split()
        elif '"' in content:
            cells = _quoted_cells(content, delimiter, number, name)
        else:
            cells = [cell.strip() for cell in row.strip("\r").split(delimiter)]
        yield number, cells


def _quoted_cells(content: str, delimiter: str, number: int, name: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([content], delimiter=delimiter, strict=True))]
    except csv.Error:
        raise DataFileError(
            line("open quotation mark", f"row {number}", shown(content), "close it or leave it out", name)
        ) from None


def _looks_numeric(cell: str) -> bool:
    return any(form.fullmatch(cell) for form in (_NUMBER, _DECIMAL_COMMA, _NOT_FINITE))


def _number(cell: str, row: int, column: int, name: str) -> float:
    value = float(cell) if len(cell) < 1000 and _NUMBER.fullmatch(cell) else math.nan
    if math.isfinite(value):
        return value
    what, advice = "not a number", "give a number such as 0.5 or 1e-3"
    if _DECIMAL_COMMA.fullmatch(cell):
        what, advice = "decimal comma", "write decimal points"
    elif not cell:
        what = "empty cell"
    elif _NOT_FINITE.fullmatch(cell) or math.isinf(value):
        what, advice = "number not finite", "give finite numbers"
    raise DataFileError(line(what, f"row {row}, column {column}", shown(cell), advice, name))
