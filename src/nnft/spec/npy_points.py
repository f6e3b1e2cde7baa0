"""Input points from a NumPy array file: the header is judged before anything is allocated."""

from __future__ import annotations

import io
import math

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from nnft.errors import DataFileError
from nnft.spec.fields import EXACT_INTEGERS, MOST_COORDINATES
from nnft.spec.problems import line, shown

LARGEST_HEADER = 10_000


def parse_npy(data: bytes, name: str) -> NDArray[np.float64]:
    """Parse a ``.npy`` file of real numbers in two dimensions.

    Parameters
    ----------
    data : bytes
        Format versions 1 to 3 (NumPy enhancement proposal 1), either byte order, C or Fortran order.
    name : str
        Name of the file in messages.

    Returns
    -------
    ndarray of float64, shape (P, d)

    Raises
    ------
    DataFileError
        Foreign, truncated, holding Python objects or anything but real numbers, of an impossible shape, with
        integers above 2^53, or with values that are not finite.
    """
    shape, fortran_order, dtype, offset = _header(data, name)
    if dtype.hasobject:
        raise DataFileError(
            line(
                "Python objects",
                "",
                f"dtype {shown(str(dtype))}",
                "save real numbers; nothing is unpickled",
                name,
            )
        )
    if dtype.kind not in "biuf":
        raise DataFileError(line("wrong dtype", "", shown(str(dtype)), "save real numbers", name))
    if len(shape) != 2 or any(not isinstance(length, int) or length < 1 for length in shape):
        advice = "save a two-dimensional array, one row for each point"
        raise DataFileError(line("wrong shape", "", shown(str(shape)), advice, name))
    count = math.prod(shape)
    if count > MOST_COORDINATES:
        raise DataFileError(line("too many numbers", "", shown(count), f"at most {MOST_COORDINATES}", name))
    expected, found = count * dtype.itemsize, len(data) - offset
    if found != expected:
        what = "truncated" if found < expected else "more data than declared"
        got = f"{found} bytes of data"
        raise DataFileError(line(what, "", got, f"expected {expected} bytes; copy the file again", name))
    array = np.frombuffer(data, dtype=dtype, count=count, offset=offset)
    array = array.reshape(shape, order="F" if fortran_order else "C")
    return as_points(array, name)


def as_points(array: NDArray[np.generic], name: str) -> NDArray[np.float64]:
    """Convert a two-dimensional array of real numbers to float64, refusing whatever would change its value.

    Raises
    ------
    DataFileError
        Wrong dtype or shape, integers above 2^53, values that are not finite.
    """
    if array.dtype.kind not in "biuf":
        raise DataFileError(line("wrong dtype", "", shown(str(array.dtype)), "give real numbers", name))
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


def _header(data: bytes, name: str) -> tuple[tuple[int, ...], bool, np.dtype[np.generic], int]:
    file = io.BytesIO(data)
    try:
        version = npy_format.read_magic(file)
        read = {
            (1, 0): npy_format.read_array_header_1_0,
            (2, 0): npy_format.read_array_header_2_0,
        }[version if version != (3, 0) else (2, 0)]
        shape, fortran_order, dtype = read(file, max_header_size=LARGEST_HEADER)
    except KeyError:
        raise DataFileError(
            line("unknown format version", "", shown(str(version)), "save it with numpy.save", name)
        ) from None
    except (ValueError, EOFError, OSError, TypeError, SyntaxError, RecursionError, MemoryError):
        what = (
            "not a NumPy array file" if data[:6] != npy_format.MAGIC_PREFIX else "damaged or truncated header"
        )
        got = f"{len(data)} bytes beginning {data[:8].hex() or 'with nothing'}"
        raise DataFileError(line(what, "", got, "save it with numpy.save", name)) from None
    return shape, fortran_order, dtype, file.tell()
