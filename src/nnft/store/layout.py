"""Look-ups in the schema of run files: which row a concrete path belongs to, where its axes stand."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from nnft.store.schema import SCHEMA
from nnft.store.schema_entry import SchemaEntry

_NAME = r"[A-Za-z0-9_.:+=,-]+"


@lru_cache(maxsize=4096)
def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"<\w+>", lambda _: f"({_NAME})", re.escape(path)) + r"\Z")


@lru_cache(maxsize=4096)
def find_entry(path: str) -> tuple[SchemaEntry, str] | None:
    """Find the row of the run-file schema for a concrete path.

    A row without ``<word>`` wins over one with it.

    Parameters
    ----------
    path : str
        Such as ``/accumulators/sums/S4:0011`` or ``/@seed``.

    Returns
    -------
    tuple of SchemaEntry and str, or None
        The row and the name that stands for ``<word>`` ("" if there is none).
    """
    for entry in sorted(SCHEMA, key=lambda row: "<" in row.path):
        match = _pattern(entry.path).match(path)
        if match:
            return entry, (match.group(1) if match.groups() else "")
    return None


def axis_paths(path: str, entry: SchemaEntry, name: str) -> tuple[str, ...]:
    """Return the path of the dimension scale of every axis of a concrete data set.

    The scale stands in the data set's own group or in the nearest group above it.
    """
    return tuple(_axis_path(path, dim.replace("<name>", name)) for dim in entry.dims)


def _axis_path(path: str, dim: str) -> str:
    group = path
    while group:
        group = group.rpartition("/")[0]
        found = find_entry(f"{group}/{dim}")
        if found is not None and found[0].kind == "dimension":
            return f"{group}/{dim}"
    raise ValueError(f"schema has no axis {dim} for {path}")


def required_members(paths: Iterable[str]) -> list[str]:
    """Return the required concrete paths that are missing among `paths`.

    Rows inside a group that is absent (or inside a ``<word>`` group) are required only where it is present.
    """
    present = set(paths)
    missing = []
    for entry in SCHEMA:
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
