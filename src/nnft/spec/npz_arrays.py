"""Arrays by name from a NumPy archive: entries are judged before they are unpacked, nothing is unpickled."""

from __future__ import annotations

import struct
import zipfile
import zlib
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from nnft.errors import DataFileError
from nnft.spec.npy_points import npy_array
from nnft.spec.problems import line, shown

MOST_ENTRIES = 1000
LARGEST_ENTRY_HEADER = 2**16

_PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, NotImplementedError)
"""What zipfile raises for archives that are damaged, or of kinds that it cannot read (the last one)."""


def parse_npz(data: bytes, name: str, most: int) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of a ``.npz`` file of one to three dimensions, as they are stored.

    Parameters
    ----------
    data : bytes
        A zip archive as `numpy.savez` and `numpy.savez_compressed` write it.
    name : str
        Name of the file in messages.
    most : int
        Allowed number of numbers of all arrays together.

    Raises
    ------
    DataFileError
        No archive, damaged, too large, an entry given twice or encrypted, Python objects, or arrays of other
        things than real numbers.
    """
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            entries = archive.infolist()
            _check_entries(entries, name, most)
            return {
                entry.filename.removesuffix(".npy"): _array(archive, entry, name, most) for entry in entries
            }
    except _DAMAGE as error:
        got = shown(str(error) or type(error).__name__, 60)
        raise DataFileError(
            line("damaged archive", "", got, "save it again with numpy.savez", name)
        ) from None


def _check_entries(entries: list[zipfile.ZipInfo], name: str, most: int) -> None:
    if not 1 <= len(entries) <= MOST_ENTRIES:
        advice = f"allowed: 1 to {MOST_ENTRIES} arrays"
        raise DataFileError(line("wrong number of arrays", "", str(len(entries)), advice, name))
    seen: set[str] = set()
    for entry in entries:
        key = shown(entry.filename)
        if not entry.filename.endswith(".npy"):
            raise DataFileError(line("no array", "", key, "save arrays with numpy.savez", name))
        if entry.filename in seen:
            raise DataFileError(line("array given twice", "", key, "save every array once", name))
        if entry.flag_bits & 1 or entry.compress_type not in _PLAIN:
            what = "encrypted" if entry.flag_bits & 1 else f"compression number {entry.compress_type}"
            raise DataFileError(line("unreadable array", key, what, "save it with numpy.savez", name))
        seen.add(entry.filename)
    total = sum(entry.file_size for entry in entries)
    if total > 8 * most + len(entries) * LARGEST_ENTRY_HEADER:
        raise DataFileError(line("archive too large", "", f"{total} bytes", f"at most {8 * most}", name))


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str, most: int) -> NDArray[np.generic]:
    with archive.open(entry) as file:
        data = file.read(entry.file_size + 1)
    advice = "save arrays of one to three dimensions"
    return npy_array(data, f"{name}:{entry.filename.removesuffix('.npy')}", (1, 2, 3), most, advice)
