"""Input points from a data set of any HDF5 file, read with the same care as a damaged run file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from nnft.errors import DataFileError, shorten
from nnft.store.guard import check_dataset, data_file_errors, open_hdf5, open_member

_EXACT_INTEGER = 1 << 53


def read_h5_points(path: str | os.PathLike[str], dataset: str) -> NDArray[np.float64]:
    """Read input points from an HDF5 file.

    Parameters
    ----------
    path : str or path
        HDF5 file.
    dataset : str
        Path of a data set inside it, shape (P, d): one row for each point; or (P,).

    Returns
    -------
    ndarray, shape (P, d) or (P,), float64
        The numbers, exactly converted; not checked for NaN or infinity.

    Raises
    ------
    DataFileError
        Not an HDF5 file, damaged, no such data set, reached through a link out of the file, stored virtually,
        externally or with an unknown filter, not real numbers, not one or two axes, or
        changed while it was read.
    """
    target = Path(path)
    with open_hdf5(target) as file, data_file_errors(target, dataset):
        before = target.stat()
        item = open_member(file, dataset, target)
        if not isinstance(item, h5py.Dataset):
            raise DataFileError(f"{shorten(dataset)} of {shorten(target.name)} is a group; name a data set")
        check_dataset(item, dataset, target)
        if item.ndim not in (1, 2) or item.dtype.kind not in "fiu" or item.dtype.itemsize > 8:
            raise DataFileError(
                f"wrong type of {shorten(dataset)} in {shorten(target.name)}: got {shorten(item.dtype)} "
                f"{item.shape}, wanted real numbers of shape (points, features)"
            )
        points = _exact(np.asarray(item[()]), dataset, target)
        after = target.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise DataFileError(f"file changed while it was read: got {shorten(str(path))}; try again")
    return points


def _exact(array: NDArray[Any], dataset: str, path: Path) -> NDArray[np.float64]:
    """Convert to float64; refuse integers that float64 cannot hold."""
    if (
        array.dtype.kind in "iu"
        and array.size > 0
        and max(abs(int(array.min())), int(array.max())) > _EXACT_INTEGER
    ):
        raise DataFileError(
            f"integers beyond 2^53 in {shorten(dataset)} of {shorten(path.name)}; store them as float64"
        )
    return np.ascontiguousarray(array, dtype=np.float64)
