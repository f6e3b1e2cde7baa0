"""Look-ups in the schema of a kind of file: which row a concrete path belongs to, where its axes stand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from nnft.store.file_kind import FileKind
from nnft.store.schema_entry import FREE_AXES, SchemaEntry

_NAME = r"[A-Za-z0-9_.:+=,-]+"


@lru_cache(maxsize=4096)
def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"<\w+>", lambda _: f"({_NAME})", re.escape(path)) + r"\Z")


@lru_cache(maxsize=4096)
def find_entry(kind: FileKind, path: str) -> tuple[SchemaEntry, str] | None:
    """Find the row of the schema for a concrete path.

    A row without ``<word>`` wins over one with it.

    Parameters
    ----------
    kind : FileKind
        Whose schema.
    path : str
        Such as ``/accumulators/sums/S4:0011`` or ``/@seed``.

    Returns
    -------
    tuple of SchemaEntry and str, or None
        The row and the name that stands for ``<word>`` ("" if there is none).
    """
    for entry in sorted(kind.schema, key=lambda row: "<" in row.path):
        match = _pattern(entry.path).match(path)
        if match:
            return entry, (match.group(1) if match.groups() else "")
    return None


def axis_paths(kind: FileKind, path: str, attributes: Mapping[str, Any] | None = None) -> tuple[str, ...]:
    """Return the path of the dimension scale of every axis of a concrete data set of the schema.

    The scale stands in the data set's own group or in the nearest group above it.

    Parameters
    ----------
    kind : FileKind
        Whose schema.
    path : str
        Data set.
    attributes : mapping, optional
        Attributes of the file, for data sets whose axes are named by an attribute of their group.

    Raises
    ------
    ValueError
        The schema has no such data set or no such axis.
    """
    found = find_entry(kind, path)
    if found is None:
        raise ValueError(f"schema has no data set {path}")
    entry, name = found
    if entry.dims == FREE_AXES:
        dims = str((attributes or {}).get(f"{path.rpartition('/')[0]}@axes", "")).split()
    else:
        dims = [dim.replace("<name>", name) for dim in entry.dims]
    return tuple(_axis_path(kind, path, dim) for dim in dims)


def _axis_path(kind: FileKind, path: str, dim: str) -> str:
    group = path
    while group:
        group = group.rpartition("/")[0]
        found = find_entry(kind, f"{group}/{dim}")
        if found is not None and found[0].kind == "dimension":
            return f"{group}/{dim}"
    raise ValueError(f"schema has no axis {dim} for {path}")


def required_members(kind: FileKind, paths: Iterable[str]) -> list[str]:
    """Return the required concrete paths that are missing among `paths`.

    Rows inside a group that is absent (or inside a ``<word>`` group) are required only where it is present.
    """
    present = set(paths)
    missing = []
    for entry in kind.schema:
        if not entry.required:
            continue
        parent = entry.path.rpartition("@" if entry.kind == "attribute" else "/")[0]
        member = entry.path[len(parent) :]
        if "<" in parent:
            groups = [group for group in present if _pattern(parent).match(group)]
        else:
            groups = [parent] if parent in present or parent in ("", "/") else []
        missing += [group + member for group in groups if group + member not in present]
    return sorted(missing)
