"""How groups, axes, arrays, texts and attributes are laid down in HDF5, for run files and segments alike.

No time stamps, no variable-length data, no compression: equal content gives equal bytes, every byte of an
array is under a checksum, and every HDF5 library since 1.8 reads the file.
"""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5g, h5p, h5s, h5t
from numpy.typing import NDArray

# The NAME that netCDF-4 gives to the scale of an axis without coordinate values.
_AXIS_WITHOUT_VALUES = "This is a netCDF dimension but not a netCDF variable.%10d"
_CHUNK_BYTES = 1 << 20
_CHUNK_COLUMNS = 16384


def encode_text(value: str | tuple[str, ...]) -> NDArray[Any]:
    """Turn a text, or a tuple of texts, into an array of fixed-length UTF-8.

    Raises
    ------
    ValueError
        A text contains the character NUL, which fixed-length strings cannot hold.
    """
    texts = (value,) if isinstance(value, str) else value
    encoded = [text.encode("utf-8") for text in texts]
    if any(b"\0" in text for text in encoded):
        raise ValueError("text contains the character NUL")
    length = max([1, *(len(text) for text in encoded)])
    array = np.array(encoded, dtype=h5py.string_dtype("utf-8", length))
    return array.reshape(()) if isinstance(value, str) else array


def create_group(file: h5py.File, path: str) -> None:
    """Create a group without time stamps."""
    properties = h5p.create(h5p.GROUP_CREATE)
    properties.set_obj_track_times(False)
    h5g.create(file.id, path.encode(), gcpl=properties)


def create_axis(file: h5py.File, path: str, length: int) -> None:
    """Create a dimension scale without values: it names an axis and takes no space."""
    scale = file.create_dataset(path, shape=(length,), dtype=np.int8, track_times=False)
    scale.make_scale(_AXIS_WITHOUT_VALUES % length)


def create_array(
    file: h5py.File, path: str, array: NDArray[Any], scales: tuple[str, ...], *, checksum: bool = True
) -> h5py.Dataset:
    """Create and write a data set and attach the scales of all its axes.

    Parameters
    ----------
    file : h5py.File
        Open file.
    path : str
        Path of the data set.
    array : ndarray
        Content; written as it is.
    scales : tuple of str
        Path of the dimension scale of every axis.
    checksum : bool
        Store in chunks with the Fletcher-32 filter; otherwise in one contiguous piece. Scalars and empty
        arrays are always contiguous.
    """
    chunked = checksum and array.ndim > 0 and array.size > 0
    dataset = file.create_dataset(
        path,
        data=array,
        chunks=_chunk_shape(array.shape, array.itemsize) if chunked else None,
        fletcher32=chunked,
        track_times=False,
    )
    for axis, scale in enumerate(scales):
        dataset.dims[axis].attach_scale(file[scale])
    return dataset


def write_attribute(target: h5py.HLObject, name: str, value: str | int | tuple[int, ...]) -> None:
    """Write a text (fixed-length UTF-8) or 64-bit integers as a new attribute."""
    data = encode_text(value) if isinstance(value, str) else np.array(value, "<i8")
    space = h5s.create_simple(data.shape) if data.ndim > 0 else h5s.create(h5s.SCALAR)
    h5a.create(target.id, name.encode(), h5t.py_create(data.dtype, logical=True), space).write(data)


def _chunk_shape(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Chunks of about 1 MiB: a stretch of the last axis by as much of the axes before it as fits."""
    columns = min(shape[-1], _CHUNK_COLUMNS if len(shape) > 1 else _CHUNK_BYTES // itemsize)
    if len(shape) == 1:
        return (max(1, columns),)
    chunk = [columns]
    left = _CHUNK_BYTES // (columns * itemsize)
    for length in reversed(shape[:-1]):
        chunk.insert(0, min(length, max(1, left)))
        left //= chunk[0]
    return tuple(chunk)
