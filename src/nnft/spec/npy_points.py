"""Input points from a NumPy array file: the header is judged before anything is allocated."""

from __future__ import annotations

import ast
import math
import re
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from nnft.errors import DataFileError, shorten
from nnft.spec.fields import EXACT_INTEGERS, MOST_COORDINATES
from nnft.spec.problems import line, shown

LARGEST_HEADER = 10_000

_MAGIC = b"\x93NUMPY"
_VERSIONS = (b"\x01\x00", b"\x02\x00", b"\x03\x00")
_ROWS = "save a two-dimensional array, one row for each point"
_REAL = re.compile(r"[<>=|]?[biuf]\d{1,2}")


def parse_npy(data: bytes, name: str, *, vector: bool = False) -> NDArray[np.float64]:
    """Parse a ``.npy`` file of real numbers in two dimensions.

    Parameters
    ----------
    data : bytes
        Format versions 1 to 3 (NumPy enhancement proposal 1), either byte order, C or Fortran order.
    name : str
        Name of the file in messages.
    vector : bool, optional
        Take one dimension as well, as one column.

    Returns
    -------
    ndarray of float64, shape (P, d)

    Raises
    ------
    DataFileError
        Foreign, truncated, holding Python objects or anything but real numbers, of an impossible shape, with
        integers above 2^53, or with values that are not finite.
    """
    array = npy_array(data, name, (1, 2) if vector else (2,), MOST_COORDINATES, _ROWS)
    return as_points(array, name, vector=vector)


def npy_array(data: bytes, name: str, axes: tuple[int, ...], most: int, advice: str) -> NDArray[np.generic]:
    """Return the real numbers of a ``.npy`` file as they are stored.

    Parameters
    ----------
    data, name
        See `parse_npy`.
    axes : tuple of int
        Allowed numbers of dimensions.
    most : int
        Allowed number of numbers.
    advice : str
        What to do about a wrong shape.

    Raises
    ------
    DataFileError
        Foreign, truncated, holding Python objects or anything but real numbers, or of an impossible shape.
    """
    header, offset = _header(data, name)
    dtype, shape = _dtype(header["descr"], name), header["shape"]
    if not _is_shape(shape, axes):
        raise DataFileError(line("wrong shape", "", _text(shape), advice, name))
    count = math.prod(shape)
    if count > most:
        raise DataFileError(line("too many numbers", "", shown(count), f"at most {most}", name))
    expected, found = count * dtype.itemsize, len(data) - offset
    if found != expected:
        what = "truncated" if found < expected else "more data than declared"
        got = f"{found} bytes of data"
        raise DataFileError(line(what, "", got, f"expected {expected} bytes; copy the file again", name))
    array = np.frombuffer(data, dtype=dtype, count=count, offset=offset)
    return array.reshape(shape, order="F" if header["fortran_order"] is True else "C")


def as_points(array: NDArray[np.generic], name: str, *, vector: bool = False) -> NDArray[np.float64]:
    """Convert a two-dimensional array of real numbers to float64, refusing whatever would change its value.

    With `vector` an array of one dimension is taken as one column.

    Raises
    ------
    DataFileError
        Wrong dtype or shape, integers above 2^53, values that are not finite.
    """
    if array.dtype.kind not in "biuf":
        raise DataFileError(line("wrong dtype", "", shown(str(array.dtype)), "give real numbers", name))
    if vector and array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or 0 in array.shape:
        advice = "give a two-dimensional array, one row for each point"
        raise DataFileError(line("wrong shape", "", shown(str(array.shape)), advice, name))
    if array.dtype.kind in "iu":
        largest = max(int(array.max()), -int(array.min()))
        if largest > EXACT_INTEGERS:
            raise DataFileError(line("integer too large", "", shown(largest), "allowed: up to 2^53", name))
    with np.errstate(over="ignore"):
        points = array.astype(np.float64, order="C")
    finite = np.isfinite(points)
    if not finite.all():
        row, column = (int(index) for index in np.argwhere(~finite)[0])
        value = repr(float(points[row, column]))
        place = f"row {row + 1}, column {column + 1}"
        raise DataFileError(line("number not finite", place, value, "give finite numbers", name))
    return points


def _header(data: bytes, name: str) -> tuple[dict[str, object], int]:
    """Return the header's dictionary and the number of bytes before the data."""
    width = 2 if data[6:7] == b"\x01" else 4
    start = len(_MAGIC) + 2 + width
    length = int.from_bytes(data[start - width : start], "little")
    text = data[start : start + length]
    if data[: len(_MAGIC)] != _MAGIC or len(data) < start:
        what = "not a NumPy array file"
    elif data[6:8] not in _VERSIONS:
        what = "unknown format version"
    elif length > LARGEST_HEADER or len(text) < length:
        what = "damaged or truncated header"
    else:
        try:
            header = ast.literal_eval(text.decode("utf-8").strip())
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            header = None
        if isinstance(header, dict) and set(header) == {"descr", "fortran_order", "shape"}:
            return header, start + length
        what = "damaged header"
    got = f"{len(data)} bytes beginning {data[:8].hex() or 'with nothing'}"
    raise DataFileError(line(what, "", got, "save the array with numpy.save", name))


def _dtype(description: object, name: str) -> np.dtype[np.generic]:
    if isinstance(description, str) and _REAL.fullmatch(description):
        try:
            return np.dtype(description)
        except TypeError:
            pass
    if "O" in _text(description):
        what, advice = "Python objects", "save real numbers; nothing is ever unpickled"
    else:
        what, advice = "wrong dtype", "save real numbers"
    raise DataFileError(line(what, "", f"dtype {_text(description)}", advice, name))


def _is_shape(shape: object, axes: tuple[int, ...]) -> TypeGuard[tuple[int, ...]]:
    return (
        isinstance(shape, tuple)
        and len(shape) in axes
        and all(type(length) is int and 1 <= length < 2**63 for length in shape)
    )


def _text(value: object) -> str:
    """Return a header value as text; only a hexadecimal number can be too long for that."""
    try:
        return shorten(value, 40)
    except ValueError:
        return "a number of thousands of digits"
