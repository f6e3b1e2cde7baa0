"""The content of a file held against its schema, and its writing in one fixed order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from nnft.store.digest import array_digest, describe_form, header_digest, little_endian, result_digest
from nnft.store.encode import create_array, create_axis, create_group, encode_text, write_attribute
from nnft.store.file_kind import FileKind
from nnft.store.guard import ATTRIBUTE_LIMIT
from nnft.store.layout import axis_paths, find_entry, required_members
from nnft.store.schema_entry import SchemaEntry


class CheckedContent:
    """Attributes, axes and arrays of a file, all of them in the schema of its kind.

    Arrays are kept without a copy if they are C-contiguous, little-endian and of the schema's type.

    Parameters
    ----------
    kind : FileKind
        Kind of file.
    root : mapping
        Attributes of the root, by name; file type, version and conventions are added.
    datasets : iterable of (path, value)
        Every data set: a text, a tuple of texts, a number or an array.
    attributes : iterable of (path, value)
        Every attribute of a group.

    Raises
    ------
    ValueError
        Something does not fit the schema: names the path, got and wanted.
    """

    def __init__(
        self,
        kind: FileKind,
        root: Mapping[str, Any],
        datasets: Iterable[tuple[str, Any]],
        attributes: Iterable[tuple[str, str | int]],
    ) -> None:
        self.kind = kind
        self.attributes: dict[str, Any] = {
            "/@filetype": kind.filetype,
            "/@format_version": kind.version,
            "/@Conventions": kind.conventions,
        }
        self.attributes |= {f"/@{name}": value for name, value in root.items()}
        below_root = {path: self._checked_attribute(path, value) for path, value in attributes}
        self.arrays: dict[str, NDArray[Any]] = {}
        self._entries: dict[str, SchemaEntry] = {}
        self._axes: dict[str, int] = {}
        self._scales: dict[str, tuple[str, ...]] = {}
        for path, value in datasets:
            self._add_array(path, value, below_root)
        self.attributes |= below_root
        self._groups = self._needed_groups()
        members = [*self.attributes, *self.arrays, *self._groups]
        missing = set(required_members(kind, members)) - {"/@result_digest", "/@header_sha256"}
        if missing:
            raise ValueError(f"content lacks {', '.join(sorted(missing))}")

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self.arrays.values())

    def _add_array(self, path: str, value: Any, attributes: Mapping[str, Any]) -> None:
        found = find_entry(self.kind, path)
        if found is None or found[0].kind != "dataset":
            raise ValueError(f"schema has no data set {path}")
        entry, _ = found
        array = encode_text(value) if entry.dtype == "text" else _checked_array(path, entry.dtype, value)
        scales = axis_paths(self.kind, path, attributes)
        if array.ndim != len(scales):
            raise ValueError(f"{path}: got shape {array.shape}, wanted axes ({', '.join(entry.dims)})")
        self.arrays[path] = array
        self._entries[path] = entry
        self._scales[path] = scales
        for axis, length in zip(scales, array.shape, strict=True):
            if self._axes.setdefault(axis, length) != length:
                raise ValueError(f"{path}: got length {length} for axis {axis}, wanted {self._axes[axis]}")

    def _needed_groups(self) -> list[str]:
        groups = {entry.path for entry in self.kind.schema if entry.kind == "group" and entry.required}
        for path in [*self.arrays, *self.attributes]:
            parent = path.rpartition("@" if "@" in path else "/")[0]
            while parent:
                groups.add(parent)
                parent = parent.rpartition("/")[0]
        return sorted(groups - {"/"})

    def write(self, file: h5py.File) -> None:
        """Fill an empty file: groups, axes, arrays, attributes, commit counters, header digest."""
        for group in self._groups:
            create_group(file, group)
        for axis, length in sorted(self._axes.items()):
            create_axis(file, axis, length)
        forms: dict[str, tuple[str, str]] = {}
        for path, array in self.arrays.items():
            digest = array_digest([array])
            forms[path] = (describe_form(array.dtype, array.shape), digest)
            dataset = create_array(file, path, array, self._scales[path])
            entry = self._entries[path]
            units, long_name = (self._label(path, text) for text in (entry.units, entry.long_name))
            for name, text in (("units", units), ("long_name", long_name), ("sha256", digest)):
                if text:
                    write_attribute(dataset, name, text)
        self._write_attributes(file, forms)

    def _label(self, path: str, text: str) -> str:
        """Return a label of the schema, or the attribute of the data set's group that it stands for."""
        group = path.rpartition("/")[0]
        return str(self.attributes[f"{group}@{text[1:-1]}"]) if text.startswith("<") else text

    def _write_attributes(self, file: h5py.File, forms: Mapping[str, tuple[str, str]]) -> None:
        digest = result_digest(self.kind, self.attributes, forms)
        attributes = self.attributes | {"/@result_digest": digest}
        attributes["/@header_sha256"] = header_digest(attributes, forms)
        last = [f"/@{name}" for name in (*self.kind.written_last, "header_sha256")]
        for path in [*(path for path in attributes if path not in last), *last]:
            parent, _, name = path.rpartition("@")
            write_attribute(file[parent], name, attributes[path])

    def _checked_attribute(self, path: str, value: str | int) -> str | int:
        found = find_entry(self.kind, path)
        if found is None or found[0].kind != "attribute":
            raise ValueError(f"schema has no attribute {path}")
        wanted = str if found[0].dtype == "text" else int
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise ValueError(f"{path}: got {value!r}, wanted {found[0].dtype}")
        if isinstance(value, str) and len(value.encode()) > ATTRIBUTE_LIMIT:
            raise ValueError(f"{path}: got a text of {len(value)} characters, limit {ATTRIBUTE_LIMIT} bytes")
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
