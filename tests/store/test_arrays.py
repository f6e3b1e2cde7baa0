"""Arrays by name from foreign HDF5 files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from nnft.errors import DataFileError
from nnft.store import arrays
from nnft.store.arrays import read_h5_arrays


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights.h5"


@pytest.mark.parametrize("group", ["/", "/posterior", "posterior/"])
def test_arrays_of_a_group(path: Path, group: str) -> None:
    with h5py.File(path, "x") as file:
        place = file if group == "/" else file.create_group("posterior")
        place["W1"] = np.float32([[[1.0, 0.1]]])
        place.create_dataset("b1", data=[[3, 4]], chunks=(1, 2), compression="gzip")
    found = read_h5_arrays(path, group, 4)
    assert list(found) == ["W1", "b1"]
    assert found["W1"].dtype == np.float32
    assert found["W1"].tolist() == [[[1.0, float(np.float32(0.1))]]]
    assert found["b1"].tolist() == [[3, 4]]
    with pytest.raises(DataFileError, match=r"too many numbers in 'weights\.h5': got 4; at most 3"):
        read_h5_arrays(path, group, 3)


def scalar(file: h5py.File) -> None:
    file["W1"] = 1.0


def words(file: h5py.File) -> None:
    file["W1"] = ["a", "b"]


def deep(file: h5py.File) -> None:
    file["W1"] = np.ones((1, 1, 1, 1))


def group(file: h5py.File) -> None:
    file["posterior/W1"] = [1.0]


def link(file: h5py.File) -> None:
    file["W1"] = h5py.ExternalLink("other.h5", "/W1")


def nothing(file: h5py.File) -> None:
    del file


def bomb(file: h5py.File) -> None:
    file.create_dataset("W1", shape=(2**30, 2), dtype="f8", chunks=(2**10, 2))


FAULTS: dict[Callable[[h5py.File], None], str] = {
    scalar: "wrong type of '/W1'",
    words: "wrong type of '/W1'",
    deep: "wrong type of '/W1'",
    group: "got a group '/posterior'",
    link: "an external link",
    nothing: "wrong number of data sets",
    bomb: "declares 17179869184 bytes",
}


@pytest.mark.parametrize("make", FAULTS, ids=lambda make: make.__name__)
def test_everything_else_is_refused(path: Path, make: Callable[[h5py.File], None]) -> None:
    with h5py.File(path, "x") as file:
        make(file)
    with pytest.raises(DataFileError) as error:
        read_h5_arrays(path, "/", 1000)
    assert FAULTS[make] in str(error.value), error.value
    assert "weights.h5" in str(error.value)


def test_groups_that_are_none(path: Path) -> None:
    with h5py.File(path, "x") as file:
        file["W1"] = [1.0]
    with pytest.raises(DataFileError, match=r"no '/none' in 'weights\.h5'"):
        read_h5_arrays(path, "/none", 10)
    with pytest.raises(DataFileError, match=r"no group '/W1' in 'weights\.h5': got a data set"):
        read_h5_arrays(path, "/W1", 10)
    path.write_bytes(b"no HDF5")
    with pytest.raises(DataFileError, match="without HDF5 signature"):
        read_h5_arrays(path, "/", 10)


def test_file_that_changes_while_it_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File(path, "x") as file:
        file["W1"] = [1.0]
    check = arrays.check_dataset

    def slow(dataset: h5py.Dataset, where: str, name: Path) -> None:
        check(dataset, where, name)
        with path.open("ab") as longer:
            longer.write(b"x")

    monkeypatch.setattr(arrays, "check_dataset", slow)
    with pytest.raises(DataFileError, match="file changed while it was read"):
        read_h5_arrays(path, "/", 10)
