"""Writing of run files: one snapshot, one new file, published in one step."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from nnft.store.atomic import FileIdentity, publish
from nnft.store.digest import array_digest, describe_form, header_digest, little_endian, result_digest
from nnft.store.encode import create_array, create_axis, create_group, encode_text, write_attribute
from nnft.store.layout import axis_paths, find_entry, required_members
from nnft.store.schema import COMMIT_COUNTERS, CONVENTIONS, FORMAT_VERSION, RUN_FILETYPE, SCHEMA
from nnft.store.schema_entry import SchemaEntry
from nnft.store.snapshot import RunSnapshot

_SEED_LIMIT = 1 << 128


def write_snapshot(
    path: str | os.PathLike[str], snapshot: RunSnapshot, *, expected: FileIdentity | None = None
) -> FileIdentity:
    """Publish `snapshot` as the run file `path`; the file it replaces stays as ``<path>.previous``.

    The caller holds the `RunLock` of `path`. Arrays are written one after the other without a copy if they
    are C-contiguous and little-endian. The same snapshot gives the same bytes.

    Parameters
    ----------
    path : str or path
        Run file.
    snapshot : RunSnapshot
        Content.
    expected : FileIdentity, optional
        What the last call returned: refuses if another file stands there by now.

    Returns
    -------
    FileIdentity
        Identity of the new file.

    Raises
    ------
    ValueError
        The snapshot does not fit the schema: names the path, got and wanted.
    EnvironmentRefusal
        Disk, quota or permissions refuse; the file at `path` is intact.
    """
    content = _Content(snapshot)
    return publish(path, content.write, expected=expected)


class _Content:
    """A snapshot turned into schema-checked attributes, axes and arrays."""

    def __init__(self, snapshot: RunSnapshot) -> None:
        self.attributes = _root_attributes(snapshot)
        self.arrays: dict[str, NDArray[Any]] = {}
        self.entries: dict[str, SchemaEntry] = {}
        self.axes: dict[str, int] = {}
        self.scales: dict[str, tuple[str, ...]] = {}
        for path, value in snapshot.datasets():
            self._add_array(path, value)
        for path, value in snapshot.attributes():
            self.attributes[path] = _checked_attribute(path, value)
        counted = int(self.arrays["/accumulators/count"].sum()) if "/accumulators/count" in self.arrays else 0
        if counted != snapshot.networks_done:
            raise ValueError(f"/accumulators/count: got {counted} in all, wanted {snapshot.networks_done}")
        self.groups = self._groups()
        members = [*self.attributes, *self.arrays, *self.groups]
        missing = set(required_members(members)) - {"/@result_digest", "/@header_sha256"}
        if missing:
            raise ValueError(f"snapshot lacks {', '.join(sorted(missing))}")

    def _add_array(self, path: str, value: Any) -> None:
        found = find_entry(path)
        if found is None or found[0].kind != "dataset":
            raise ValueError(f"schema has no data set {path}")
        entry, name = found
        array = encode_text(value) if entry.dtype == "text" else _checked_array(path, entry.dtype, value)
        if array.ndim != len(entry.dims):
            raise ValueError(f"{path}: got shape {array.shape}, wanted axes ({', '.join(entry.dims)})")
        self.arrays[path] = array
        self.entries[path] = entry
        self.scales[path] = axis_paths(path, entry, name)
        for axis, length in zip(self.scales[path], array.shape, strict=True):
            if self.axes.setdefault(axis, length) != length:
                raise ValueError(f"{path}: got length {length} for axis {axis}, wanted {self.axes[axis]}")

    def _groups(self) -> list[str]:
        groups = {entry.path for entry in SCHEMA if entry.kind == "group" and entry.required}
        for path in [*self.arrays, *self.attributes]:
            parent = path.rpartition("@" if "@" in path else "/")[0]
            while parent:
                groups.add(parent)
                parent = parent.rpartition("/")[0]
        return sorted(groups - {"/"})

    def write(self, file: h5py.File) -> None:
        """Fill an empty file: groups, axes, arrays, attributes, commit counters, header digest."""
        for group in self.groups:
            create_group(file, group)
        for axis, length in sorted(self.axes.items()):
            create_axis(file, axis, length)
        forms: dict[str, tuple[str, str]] = {}
        for path, array in self.arrays.items():
            entry = self.entries[path]
            digest = array_digest([array])
            forms[path] = (describe_form(array.dtype, array.shape), digest)
            dataset = create_array(file, path, array, self.scales[path])
            for name, text in (("units", entry.units), ("long_name", entry.long_name), ("sha256", digest)):
                if text:
                    write_attribute(dataset, name, text)
        self._write_attributes(file, forms)

    def _write_attributes(self, file: h5py.File, forms: Mapping[str, tuple[str, str]]) -> None:
        attributes = self.attributes | {"/@result_digest": result_digest(self.attributes, forms)}
        attributes["/@header_sha256"] = header_digest(attributes, forms)
        last = [f"/@{name}" for name in (*COMMIT_COUNTERS, "header_sha256")]
        for path in [*(path for path in attributes if path not in last), *last]:
            parent, _, name = path.rpartition("@")
            write_attribute(file[parent], name, attributes[path])


def _root_attributes(snapshot: RunSnapshot) -> dict[str, Any]:
    if not 0 <= snapshot.seed < _SEED_LIMIT:
        raise ValueError(f"/@seed: got {snapshot.seed}, wanted 0 to 2^128 - 1")
    if snapshot.block_size < 1 or not 0 <= snapshot.networks_done <= snapshot.networks_planned:
        raise ValueError(
            f"counters: got block_size {snapshot.block_size}, networks_done {snapshot.networks_done} of "
            f"{snapshot.networks_planned}, wanted block_size >= 1 and 0 <= networks_done <= networks_planned"
        )
    texts = ("nnft_version", "run_id", "digest", "created_at", "updated_at")
    numbers = ("block_size", "networks_planned", "blocks_planned", "networks_done", "blocks_done", "complete")
    values: dict[str, Any] = {
        "filetype": RUN_FILETYPE,
        "format_version": FORMAT_VERSION,
        "Conventions": CONVENTIONS,
        "seed": str(snapshot.seed),
        **{name: getattr(snapshot, name) for name in texts},
        **{name: int(getattr(snapshot, name)) for name in numbers},
    }
    return {f"/@{name}": value for name, value in values.items()}


def _checked_attribute(path: str, value: str | int) -> str | int:
    found = find_entry(path)
    if found is None or found[0].kind != "attribute":
        raise ValueError(f"schema has no attribute {path}")
    wanted = str if found[0].dtype == "text" else int
    if not isinstance(value, wanted) or isinstance(value, bool):
        raise ValueError(f"{path}: got {value!r}, wanted {found[0].dtype}")
    return value


def _checked_array(path: str, wanted: str, value: Any) -> NDArray[Any]:
    """Convert without loss to the number type of the schema; refuse what would lose something."""
    array = np.asarray(value)
    target = np.dtype(wanted).newbyteorder("<")
    if array.dtype == target:
        return little_endian(array)
    if target.kind == "f" and np.can_cast(array.dtype, target, "safe"):
        return little_endian(array.astype(target))
    if target.kind == "i" and array.dtype.kind in "iub":
        converted = array.astype(target)
        if np.array_equal(converted, array):
            return little_endian(converted)
    raise ValueError(f"{path}: got {array.dtype}, wanted {wanted}")
