"""Checks of a file's structure against the schema of its kind, before any array is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nnft.errors import DataFileError, shorten
from nnft.store.analysis_schema import ANALYSIS_FILE
from nnft.store.digest import describe_form, header_digest
from nnft.store.file_kind import FileKind
from nnft.store.guard import AttributeValue, FileContent, check_dataset, checksum_error
from nnft.store.layout import axis_paths, find_entry, required_members
from nnft.store.schema import RUN_FILE

KINDS = {kind.filetype: kind for kind in (RUN_FILE, ANALYSIS_FILE)}


def check_identity(kind: FileKind, attributes: dict[str, AttributeValue], path: Path) -> None:
    """Refuse a file of another kind or of another major version of the format."""
    filetype = attributes.get("/@filetype")
    if filetype != kind.filetype:
        raise _other_kind(kind, attributes, path)
    version = attributes.get("/@format_version")
    if not isinstance(version, tuple) or len(version) != 2 or version[0] != kind.version[0]:
        raise DataFileError(
            f"format version of {shorten(path.name)}: got {shorten(version)}, this nnft reads "
            f"{kind.version[0]}.x; use the nnft that wrote it or a newer one"
        )


def _other_kind(kind: FileKind, attributes: dict[str, AttributeValue], path: Path) -> DataFileError:
    """Return the error for a file of another kind: one of nnft's own kinds is named, and what opens it."""
    filetype = attributes.get("/@filetype")
    other = KINDS.get(filetype) if isinstance(filetype, str) else None
    if other is None:
        found = "no file type" if filetype is None else f"file type {shorten(filetype)}"
        return DataFileError(f"not {kind.label}: got {found} in {shorten(path.name)}")
    detail = attributes.get("/@kind")
    described = f"{other.short_label} ({shorten(detail, 20)[1:-1]})" if detail else other.short_label
    return DataFileError(f"not {kind.label}: {shorten(path.name, 40)} is {described}; use {other.used_with}")


def check_structure(kind: FileKind, content: FileContent, path: Path) -> dict[str, tuple[str, str]]:
    """Compare all data sets and attributes with the schema and the header digest.

    Returns
    -------
    dict
        For every checksummed data set its form (type and shape) and its SHA-256.

    Raises
    ------
    DataFileError
        Something is missing, has another type or shape, is unsafe to read, or was changed.
    """
    version = kind.version_text
    forms: dict[str, tuple[str, str]] = {}
    axes: dict[str, int] = {}
    for member in sorted(content.datasets):
        dataset = content.datasets[member]
        found = find_entry(kind, member)
        known = found is not None and found[0].kind == "dataset"
        if member not in content.digests:
            if known:
                raise DataFileError(f"missing in {shorten(path.name)}: {member}@sha256 of schema {version}")
            continue
        check_dataset(dataset, member, path)
        form = describe_form(dataset.dtype, dataset.shape)
        forms[member] = (form, content.digests[member])
        if found is None or not known:
            continue
        entry, _ = found
        scales = axis_paths(kind, member, content.attributes)
        if not _matches(dataset.dtype, entry.dtype) or dataset.ndim != len(scales):
            raise DataFileError(
                f"wrong type in {shorten(member)}: got {shorten(form)}, schema {version} wants "
                f"{entry.dtype} ({', '.join(entry.dims)})"
            )
        for axis, length in zip(scales, dataset.shape, strict=True):
            if axes.setdefault(axis, length) != length:
                raise DataFileError(
                    f"wrong shape in {shorten(member)}: got {length} along {shorten(axis)}, "
                    f"wanted {axes[axis]} (schema {version})"
                )
    missing = required_members(kind, [*forms, *content.attributes, *content.groups])
    if missing:
        raise DataFileError(f"missing in {shorten(path.name)}: {missing[0]} of schema {version}")
    _check_attribute_types(kind, content.attributes, path)
    if content.attributes["/@header_sha256"] != header_digest(content.attributes, forms):
        raise checksum_error(path, "the header")
    return forms


def _check_attribute_types(kind: FileKind, attributes: dict[str, AttributeValue], path: Path) -> None:
    for name, value in attributes.items():
        found = find_entry(kind, name)
        if found is None:
            continue
        wanted = {"text": str, "int64": int, "int64[2]": tuple}[found[0].dtype]
        if type(value) is not wanted:
            raise DataFileError(
                f"wrong type of attribute {shorten(name)} in {shorten(path.name)}: got {shorten(value)}, "
                f"schema {kind.version_text} wants {found[0].dtype}"
            )


def _matches(dtype: np.dtype[Any], wanted: str) -> bool:
    """Whether a stored type is the one of the schema, in either byte order."""
    if wanted == "text":
        return dtype.kind == "S"
    return dtype.newbyteorder("=") == np.dtype(wanted)
