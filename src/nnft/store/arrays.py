"""Arrays by name from a group of any HDF5 file, read with the same care as a damaged run file."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from nnft.errors import DataFileError, shorten
from nnft.store.guard import check_dataset, data_file_errors, open_hdf5, open_member

MOST_MEMBERS = 1000


def read_h5_arrays(path: Path, group: str, most: int) -> dict[str, NDArray[np.generic]]:
    """Read all data sets of a group.

    Parameters
    ----------
    path : Path
        HDF5 file.
    group : str
        Path of the group, ``"/"`` for the root.
    most : int
        Allowed number of numbers of all data sets together.

    Returns
    -------
    dict
        Arrays as they are stored.

    Raises
    ------
    DataFileError
        Not an HDF5 file, damaged, no such group, links, members that are no data sets of real numbers, too
        many numbers, or changed while it was read.
    """
    name = shorten(path.name)
    with open_hdf5(path) as file, data_file_errors(path, group):
        before = path.stat()
        item = file if group.strip("/") == "" else open_member(file, group, path)
        if not isinstance(item, h5py.Group):
            raise DataFileError(
                f"no group {shorten(group)} in {name}: got a data set; name the group above it"
            )
        if not 1 <= len(item) <= MOST_MEMBERS:
            raise DataFileError(f"wrong number of data sets in {name}: got {len(item)}; allowed: 1 to 1000")
        found = {key: _dataset(file, f"{group.rstrip('/')}/{key}", path) for key in item}
        total = sum(int(dataset.size) for dataset in found.values())
        if total > most:
            raise DataFileError(f"too many numbers in {name}: got {total}; at most {most}")
        arrays = {key: np.asarray(dataset[()]) for key, dataset in found.items()}
        after = path.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise DataFileError(f"file changed while it was read: got {name}; try again")
    return arrays


def _dataset(file: h5py.File, member: str, path: Path) -> h5py.Dataset:
    item = open_member(file, member, path)
    name = f"{shorten(member)} in {shorten(path.name)}"
    if not isinstance(item, h5py.Dataset):
        raise DataFileError(f"no array: got a group {name}; name the group of the arrays: file.h5:/group")
    check_dataset(item, member, path)
    if item.shape is None or item.dtype.kind not in "fiub" or not 1 <= item.ndim <= 3:
        raise DataFileError(
            f"wrong type of {name}: got {shorten(item.dtype)} {item.shape}, wanted numbers of 1 to 3 axes"
        )
    return item
