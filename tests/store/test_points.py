"""Input points from foreign HDF5 files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nnft.errors import DataFileError
from nnft.store import points
from nnft.store.points import read_h5_points

NUMBERS = np.arange(6.0).reshape(3, 2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data.h5"


@pytest.mark.parametrize("dtype", ["f8", ">f8", "f4", "f2", "i8", ">i4", "u1", "u8"])
@pytest.mark.parametrize("layout", [{}, {"chunks": (2, 2), "compression": "gzip", "shuffle": True}])
@pytest.mark.parametrize("userblock", [0, 1024])
def test_real_numbers_are_read_exactly(
    path: Path, dtype: str, layout: dict[str, Any], userblock: int
) -> None:
    with h5py.File(path, "x", userblock_size=userblock) as file:
        file.create_dataset("set/train", data=NUMBERS.astype(dtype), **layout)
    for name in ("/set/train", "set/train"):
        read = read_h5_points(path, name)
        assert read.dtype == np.float64
        assert read.flags.c_contiguous
        assert np.array_equal(read, NUMBERS)


@pytest.mark.parametrize(
    ("data", "pattern"),
    [
        (NUMBERS.astype(complex), "wrong type"),
        (NUMBERS.astype("g"), "wrong type"),
        (NUMBERS[0, 0], "wrong type"),
        (NUMBERS[None], "wrong type"),
        (NUMBERS > 1, "wrong type"),
        (np.array([["a", "b"]], "S1"), "wrong type"),
        (np.zeros((2, 2), "i4,f8"), "wrong type"),
        (np.full((2, 2), 2**53 + 1), "beyond 2\\^53"),
        (np.full((2, 2), -(2**63)), "beyond 2\\^53"),
        (h5py.Empty("f8"), "wrong type|damaged"),
    ],
)
def test_everything_else_is_refused(path: Path, data: Any, pattern: str) -> None:
    with h5py.File(path, "x") as file:
        file["points"] = data
    with pytest.raises(DataFileError, match=pattern):
        read_h5_points(path, "/points")


@pytest.mark.parametrize(
    "name", ["/none", "/set/none", "/set/train/deeper", "/", "", "..", "/set/../set/train"]
)
def test_missing_data_set(path: Path, name: str) -> None:
    with h5py.File(path, "x") as file:
        file["set/train"] = NUMBERS
    with pytest.raises(DataFileError, match=r"no '.*in 'data.h5'"):
        read_h5_points(path, name)


def test_group_is_no_data_set(path: Path) -> None:
    with h5py.File(path, "x") as file:
        file["set/train"] = NUMBERS
    with pytest.raises(DataFileError, match="is a group"):
        read_h5_points(path, "/set")


def test_links_storage_and_bombs_are_refused(path: Path, tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(NUMBERS.tobytes())
    with h5py.File(path, "x") as file:
        file["real"] = NUMBERS
        file["soft"] = h5py.SoftLink("/real")
        file["away"] = h5py.ExternalLink("other.h5", "/real")
        file.create_dataset("raw", (3, 2), "f8", external=[(str(tmp_path / "raw"), 0, 48)])
        file.create_dataset("bomb", (1 << 40, 2), "f8", chunks=(1 << 10, 2))
        layout = h5py.VirtualLayout((3, 2), "f8")
        layout[:] = h5py.VirtualSource(path, "real", (3, 2))
        file.create_virtual_dataset("virtual", layout)
    for name, pattern in (
        ("soft", "soft link"),
        ("away", "external link"),
        ("raw", "external storage"),
        ("bomb", "declares"),
        ("virtual", "virtual"),
    ):
        with pytest.raises(DataFileError, match=pattern):
            read_h5_points(path, f"/{name}")


def test_file_that_changes_while_it_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File(path, "x") as file:
        file["points"] = NUMBERS
    check = points.check_dataset

    def check_and_change(*arguments: Any) -> None:
        check(*arguments)
        with path.open("ab") as file:
            file.write(b"x")

    monkeypatch.setattr(points, "check_dataset", check_and_change)
    with pytest.raises(DataFileError, match="changed while it was read"):
        read_h5_points(path, "/points")


def test_damaged_file(path: Path) -> None:
    with h5py.File(path, "x") as file:
        file.create_dataset("points", data=NUMBERS, chunks=(3, 2), fletcher32=True)
    data = bytearray(path.read_bytes())
    data[bytes(data).index(NUMBERS.tobytes()) + 20] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataFileError, match="checksum error in /points"):
        read_h5_points(path, "/points")
    path.write_bytes(data[:-100])
    with pytest.raises(DataFileError, match="truncated"):
        read_h5_points(path, "/points")
