"""Tables of numbers from .csv, .npy and HDF5 files: one row for each point."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nnft.errors import CardError, DataFileError
from nnft.spec.csv_points import parse_csv_table
from nnft.spec.fields import MOST_POINTS
from nnft.spec.inputs import LARGEST_COORDINATE
from nnft.spec.npy_points import as_points, parse_npy
from nnft.spec.problems import line, shown
from nnft.spec.regular_file import open_regular, read_regular

LARGEST_FILE = 2**27

ReadDataset = Callable[[Path, str], ArrayLike]
"""Reads one dataset of an HDF5 file: (path, name of the dataset) -> array."""

_DATASET = re.compile(r"(?P<path>.+\.(?:h5|hdf5|hdf)):(?P<dataset>/.+)", re.DOTALL | re.IGNORECASE)
_FOREIGN = (
    (b"PK\x03\x04", "a zip archive"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy array file"),
)


@dataclass(frozen=True, eq=False)
class PointFile:
    """The numbers of a file.

    Attributes
    ----------
    numbers : ndarray of float64, shape (P, d)
        All finite.
    header : tuple of str
        Names of the columns; empty if the file has none.
    sha256 : str
        Digest of the file.
    """

    numbers: NDArray[np.float64]
    header: tuple[str, ...]
    sha256: str


def read_point_file(
    file: str, key: str, folder: Path, read_dataset: ReadDataset | None, *, vector: bool = False
) -> PointFile:
    """Read a table of numbers.

    Parameters
    ----------
    file : str
        Name as the card gives it.
    key : str
        Key of the card that holds the name.
    folder : Path
        Where relative names start from.
    read_dataset : callable or None
        Reader of HDF5 datasets; without one these are refused.
    vector : bool, optional
        Take an array of one dimension as one column.

    Raises
    ------
    CardError
        There is no reader, or no dataset is named.
    DataFileError
        The file cannot be used.
    """
    if found := _DATASET.fullmatch(file):
        return _read_h5(folder / found["path"], found["dataset"], key, read_dataset, vector)
    path = folder / file
    suffix = path.suffix.lower()
    if suffix in (".h5", ".hdf5", ".hdf"):
        raise CardError(line("no dataset", key, shown(file), 'write "name.h5:/dataset"'))
    if suffix not in (".csv", ".txt", ".tsv", ".dat", ".npy"):
        advice = "use .csv, .npy (numpy.save) or name.h5:/dataset; pickles and archives are never opened"
        raise DataFileError(line("unknown kind of file", key, shown(file), advice))
    data = read_regular(path, LARGEST_FILE, DataFileError, "data file")
    header: tuple[str, ...] = ()
    if suffix == ".npy":
        numbers = parse_npy(data, path.name, vector=vector)
    else:
        for magic, kind in _FOREIGN:
            if data.startswith(magic):
                raise DataFileError(line("no text", "", kind, "give a text table", path.name))
        header, numbers = parse_csv_table(data, path.name)
    return PointFile(numbers, header, hashlib.sha256(data).hexdigest())


def _read_h5(path: Path, dataset: str, key: str, read_dataset: ReadDataset | None, vector: bool) -> PointFile:
    if read_dataset is None:
        got = shown(f"{path.name}:{dataset}")
        raise CardError(line("no reader for HDF5", key, got, "give points, .csv or .npy here"))
    with open_regular(path, DataFileError, "data file") as (file, _):
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        array = np.asarray(read_dataset(path, dataset))
    return PointFile(as_points(array, f"{path.name}:{dataset}", vector=vector), (), digest)


def check_numbers(numbers: NDArray[np.float64], file: str) -> None:
    """Refuse more rows than points are allowed, and numbers out of range.

    Parameters
    ----------
    numbers : ndarray, shape (P, d)
    file : str
        Name of the file in messages, quoted.

    Raises
    ------
    DataFileError
        Names the file and the place.
    """
    if len(numbers) > MOST_POINTS:
        raise DataFileError(f"too many points in {file}: got {len(numbers)}; at most {MOST_POINTS}")
    if np.abs(numbers).max() > LARGEST_COORDINATE:
        row, column = np.unravel_index(int(np.abs(numbers).argmax()), numbers.shape)
        value = float(numbers[row, column])
        raise DataFileError(
            f"number out of range in {file}, point {row}, coordinate {column}: got {value!r}; "
            "allowed: up to 1e100"
        )
