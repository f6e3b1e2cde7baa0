"""The row type of the schema, and short names for the kinds of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["group", "dimension", "dataset", "attribute"]
# `dims` of a data set whose axes are named by the attribute "axes" of its group, separated by blanks.
FREE_AXES = ("<axes>",)


@dataclass(frozen=True)
class SchemaEntry:
    """One row of the schema.

    Attributes
    ----------
    path : str
        Path pattern in the file.
    kind : {"group", "dimension", "dataset", "attribute"}
        What stands there.
    dtype : str
        "text" (UTF-8, fixed length), "float64", "int64", "int32", "int8", "int64[2]"; "" for a group.
    dims : tuple of str
        Names of the axes; empty for a scalar; `FREE_AXES` where the file names them.
    required : bool
        Whether every file has it (inside a ``<word>`` group: every such group).
    units : str
        "1" for a pure number, "" where units make no sense, "<units>" for the attribute of that name of the
        data set's group.
    long_name : str
        Short name, also stored as attribute of a data set; "<long_name>" as for units.
    description : str
        Meaning, conventions, normalisation.
    """

    path: str
    kind: Kind
    dtype: str
    dims: tuple[str, ...]
    required: bool
    units: str
    long_name: str
    description: str


def group(path: str, long_name: str, description: str, *, required: bool = True) -> SchemaEntry:
    """Return the row of a group."""
    return SchemaEntry(path, "group", "", (), required, "", long_name, description)


def axis(path: str, long_name: str, description: str) -> SchemaEntry:
    """Return the row of an axis: a dimension scale without values."""
    return SchemaEntry(path, "dimension", "int8", (), False, "", long_name, description)


def attribute(
    path: str, dtype: str, long_name: str, description: str, *, required: bool = True
) -> SchemaEntry:
    """Return the row of an attribute."""
    return SchemaEntry(path, "attribute", dtype, (), required, "", long_name, description)


def text(path: str, long_name: str, description: str, *, required: bool = True) -> SchemaEntry:
    """Return the row of a single text."""
    return SchemaEntry(path, "dataset", "text", (), required, "", long_name, description)


def array(
    path: str,
    dtype: str,
    dims: str,
    long_name: str,
    description: str,
    *,
    required: bool = True,
    units: str = "1",
) -> SchemaEntry:
    """Return the row of an array (or number) of one type; `dims` names the axes, separated by blanks."""
    return SchemaEntry(path, "dataset", dtype, tuple(dims.split()), required, units, long_name, description)
