"""Checksums of the files of nnft: of one array, of all results, of the header (types, shapes, attributes)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnft.store.file_kind import FileKind


def little_endian(array: NDArray[Any]) -> NDArray[Any]:
    """Return `array` C-contiguous and little-endian; no copy if it already is."""
    return np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")


def array_digest(slabs: Iterable[NDArray[Any]]) -> str:
    """SHA-256 (hexadecimal) of the raw little-endian bytes of an array given in slabs of leading rows."""
    digest = hashlib.sha256()
    for slab in slabs:
        digest.update(little_endian(slab).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def result_digest(
    kind: FileKind, attributes: Mapping[str, Any], arrays: Mapping[str, tuple[str, str]]
) -> str:
    """SHA-256 of the results in a file.

    Parameters
    ----------
    kind : FileKind
        Says which attributes and data sets are results.
    attributes : mapping
        Attributes of the file; those of the root named in ``kind.identity`` count, for a run "/@digest",
        "/@seed", "/@block_size" and "/@networks_done".
    arrays : mapping of path to (shape and type, array digest)
        All data sets of the file; those outside of ``kind.result_paths`` are left out.

    Returns
    -------
    str
        Hexadecimal digest of one line ``name=value`` for each attribute in the order above, then one line
        ``path type shape sha256`` for each result data set in order of the paths.
    """
    lines = [f"{name}={attributes[f'/@{name}']}" for name in kind.identity]
    below = tuple(f"{path}/" for path in kind.result_paths)
    lines += [
        f"{path} {form} {digest}"
        for path, (form, digest) in sorted(arrays.items())
        if path in kind.result_paths or path.startswith(below)
    ]
    return _digest_lines(lines)


def header_digest(attributes: Mapping[str, Any], arrays: Mapping[str, tuple[str, str]]) -> str:
    """SHA-256 of all attributes (but the header digest itself) and of type and shape of every data set."""
    lines = [f"{path}={value}" for path, value in sorted(attributes.items()) if path != "/@header_sha256"]
    lines += [f"{path} {form} {digest}" for path, (form, digest) in sorted(arrays.items())]
    return _digest_lines(lines)


def describe_form(dtype: np.dtype[Any], shape: tuple[int, ...]) -> str:
    """Name type and shape for a digest line, independent of the byte order: ``float64 (100, 35)``."""
    return f"{dtype.newbyteorder('=').name if dtype.kind != 'S' else dtype.str} {shape}"


def _digest_lines(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
