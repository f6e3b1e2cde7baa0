"""Data files with input points: what is read, and every way in which a file is refused."""

from __future__ import annotations

import io
import os
import pickle
import socket
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from nnft.errors import CardError, DataFileError
from nnft.spec import InputsSpec, Mesh, RunSpec
from nnft.spec.csv_points import parse_csv
from nnft.spec.mesh import make_mesh, resolve_mesh
from nnft.spec.npy_points import parse_npy

POINTS = np.array([[1.0, -2.5], [3.0, 4.0], [0.0, 1e-3]])


def mesh_of(path: Path, read_dataset: Callable[[Path, str], ArrayLike] | None = None) -> Mesh:
    return resolve_mesh(InputsSpec(file=path.name), path.parent, read_dataset)


def npy_bytes(array: NDArray[np.generic]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def npy_with_header(header: str, data: bytes = b"") -> bytes:
    text = header.encode("latin1")
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def refused(path: Path) -> str:
    """Return the line with which a file is refused."""
    with pytest.raises(DataFileError) as caught:
        mesh_of(path)
    line = str(caught.value)
    assert caught.value.exit_code == 3
    assert len("nnft: error: " + line) <= 200
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    "text",
    [
        "1,-2.5\n3,4\n0,1e-3\n",
        "1,-2.5\r\n3,4\r\n0,1e-3",
        "# comment, with 3 commas, here\n\nx,y\n1.0,-2.5\n  # more\n3.,4.0\n0,.001\n\n",
        "a;b\n1;-2.5\n3;4\n0;1E-3\n",
        "1\t-2.5\n3\t4\n0\t0.001\n",
        "1 -2.5\n  3   4\n0 0.001\n",
        '"1","-2.5"\n"3","4"\n"0","0.001"\n',
        "\ufeff1, -2.5\n3 ,4\n 0,1e-3\n",
    ],
)
def test_csv_dialects(tmp_path: Path, text: str) -> None:
    path = tmp_path / "points.csv"
    path.write_bytes(text.encode())
    np.testing.assert_array_equal(mesh_of(path).points, POINTS)


@given(st.lists(st.lists(st.floats(-1e100, 1e100), min_size=3, max_size=3), min_size=1, max_size=6))
def test_csv_keeps_every_bit(rows: list[list[float]]) -> None:
    text = "\n".join(",".join(map(repr, row)) for row in rows)
    assert parse_csv(text.encode(), "x.csv").tobytes() == np.array(rows).tobytes()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,2\n3\n", "row 2: got 1 columns; expected 2"),
        ("# c\n1,2\n\n3,4,5\n", "row 4: got 3 columns; expected 2"),
        ("1,2\n3,x\n", "row 2, column 2: got 'x'"),
        ("1,2\n3,\n", "empty cell in points.csv, row 2, column 2"),
        ("1,5;2,5\n", "decimal comma in points.csv, row 1, column 1: got '1,5'"),
        ('"1,5","2,5"\n', "decimal comma in points.csv, row 1, column 1"),
        ("1,2\n3,nan\n", "number not finite in points.csv, row 2, column 2"),
        ("1,-inf\n", "number not finite in points.csv, row 1, column 2"),
        ("1,1e999\n", "number not finite in points.csv, row 1, column 2"),
        ("1,1_000\n", "row 1, column 2: got '1_000'"),
        ("1,0x10\n", "row 1, column 2"),
        ("1,\u0663\n", "row 1, column 2"),
        ("1,True\n", "row 1, column 2"),
        ("x,y\na,b\n", "row 2, column 1: got 'a'"),
        ("x,1\n2,3\n", "row 1, column 1: got 'x'"),
        ('1,"2\n', "open quotation mark in points.csv, row 1"),
        ("1," + "9" * 5000 + "\n", "row 1, column 2"),
        ("", "no row of numbers"),
        ("# nothing\n", "no row of numbers"),
        ("x,y\n", "no row of numbers"),
        ("1,1e101\n", "allowed: up to 1e100"),
    ],
)
def test_csv_faults_name_row_and_column(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "points.csv"
    path.write_text(text)
    assert expected in refused(path)


def test_csv_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    path.write_bytes(b"1,2\n\xff\xfe,3\n")
    assert "position 4; save the file as UTF-8" in refused(path)


def test_one_row_is_a_mesh(tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    path.write_text("1,2\n")
    assert mesh_of(path).points.shape == (1, 2)


def test_npy_truncated_at_every_length(tmp_path: Path) -> None:
    data = npy_bytes(POINTS)
    for length in range(len(data)):
        with pytest.raises(DataFileError, match=r"truncated|not a NumPy array file") as caught:
            parse_npy(data[:length], "x.npy")
        if length >= 128:
            assert f"got {length - 128} bytes of data; expected 48 bytes" in str(caught.value)
    np.testing.assert_array_equal(parse_npy(data, "x.npy"), POINTS)
    with pytest.raises(DataFileError, match="more data than declared"):
        parse_npy(data + b"\0", "x.npy")


@pytest.mark.filterwarnings("error")
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=200)
@given(st.integers(0, 127), st.integers(0, 7))
def test_npy_with_a_flipped_bit_in_the_header_never_crashes(position: int, bit: int) -> None:
    data = bytearray(npy_bytes(POINTS))
    data[position] ^= 1 << bit
    try:
        points = parse_npy(bytes(data), "x.npy")
    except DataFileError:
        return
    assert points.ndim == 2


def test_npy_with_objects_is_never_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    path = tmp_path / "objects.npy"
    array = np.empty((1, 1), dtype=object)
    array[0, 0] = Trap()
    np.save(path, array, allow_pickle=True)
    assert "Python objects" in refused(path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["a.pkl", "a.pt", "a.joblib", "a.npz", "a.mat", "noending", "a.json"])
def test_foreign_endings_are_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("1,2\n")
    assert "unknown kind of file" in refused(tmp_path / name)


def test_foreign_content_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    path.write_bytes(pickle.dumps(POINTS))
    assert refused(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x", "1,2")
    assert "a zip archive" in refused(path)
    path.write_bytes(npy_bytes(POINTS))
    assert "a NumPy array file" in refused(path)
    path = tmp_path / "points.npy"
    path.write_bytes(pickle.dumps(POINTS))
    assert "not a NumPy array file" in refused(path)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("(1152921504606846976, 1)", "too many numbers"),
        ("(1073741824, 1073741824)", "too many numbers"),
        ("(3, -1)", "wrong shape"),
        ("(-3, -2)", "wrong shape"),
        ("(0, 2)", "wrong shape"),
        ("(6,)", "wrong shape"),
        ("()", "wrong shape"),
        ("(1, 2, 3)", "wrong shape"),
        ("(True, 6)", "wrong shape"),
        ("(2.0, 3)", "wrong shape"),
        ("'ab'", "wrong shape"),
        ("(0x" + "f" * 9000 + ", 1)", "wrong shape"),
        ("(" * 4000, "header"),
        ("9" * 5000, "header"),
    ],
)
def test_npy_impossible_shapes_are_refused_before_allocating(shape: str, expected: str) -> None:
    data = npy_with_header(f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}", b"\0" * 8)
    tracemalloc.start()
    with pytest.raises(DataFileError, match=expected):
        parse_npy(data, "x.npy")
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


def test_npy_header_of_many_megabytes() -> None:
    data = b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**25) + b"{" * 2**25
    with pytest.raises(DataFileError, match="header"):
        parse_npy(data, "x.npy")


@pytest.mark.parametrize("dtype", ["c16", "U3", "S3", "M8[s]", "m8[s]", [("a", "f8")], "V8"])
def test_npy_of_other_dtypes(dtype: str | list[tuple[str, str]]) -> None:
    with pytest.raises(DataFileError, match="wrong dtype"):
        parse_npy(npy_bytes(np.zeros((2, 2), dtype=dtype)), "x.npy")


@pytest.mark.parametrize("dtype", [">f8", "<f4", ">f4", "<f2", ">i4", "<i8", "u1", "?", "g"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_byte_orders_and_dtypes_give_one_digest(tmp_path: Path, dtype: str, order: str) -> None:
    values = np.array([[1, 0], [1, 1], [0, 1]])
    path = tmp_path / "points.npy"
    path.write_bytes(npy_bytes(np.asarray(values, dtype=dtype, order="F" if order == "F" else "C")))
    assert mesh_of(path).sha256 == make_mesh(values, "here").sha256


def test_npy_integers_and_floats_that_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "points.npy"
    np.save(path, np.array([[2**53 + 1, 1]], dtype=np.int64))
    assert "integer too large" in refused(path)
    np.save(path, np.array([[2**64 - 1, 1]], dtype=np.uint64))
    assert "integer too large" in refused(path)
    np.save(path, np.array([[1, -(2**63)]], dtype=np.int64))
    assert "integer too large" in refused(path)
    np.save(path, np.array([[1.0, 2.0], [np.nan, np.inf]]))
    assert "number not finite in points.npy, row 2, column 1: got nan" in refused(path)


@pytest.mark.skipif(
    np.finfo(np.longdouble).nmant == np.finfo(np.float64).nmant, reason="no longer doubles here"
)
def test_npy_long_doubles_beyond_float64(tmp_path: Path) -> None:
    path = tmp_path / "points.npy"
    np.save(path, np.array([[np.finfo(np.longdouble).max]]))
    assert "number not finite" in refused(path)


def test_files_that_are_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    started = time.monotonic()
    os.mkfifo("fifo.csv")
    assert "a FIFO" in refused(tmp_path / "fifo.csv")
    Path("folder.csv").mkdir()
    assert "a directory" in refused(tmp_path / "folder.csv")
    Path("loop.npy").symlink_to("loop.npy")
    assert "a loop of links" in refused(tmp_path / "loop.npy")
    Path("device.csv").symlink_to("/dev/zero")
    assert "a device" in refused(tmp_path / "device.csv")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.csv")
        assert "a socket" in refused(Path("socket.csv").absolute())
    assert "no such data file" in refused(tmp_path / "nothing.csv")
    assert time.monotonic() - started < 2.0


def test_huge_file_is_refused_before_reading(tmp_path: Path) -> None:
    for name in ("huge.csv", "huge.npy"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(2**40)
        assert f"got {2**40} bytes" in refused(tmp_path / name)


def test_file_that_changes_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "points.h5"
    path.write_bytes(b"before")

    def read_and_change(file: Path, dataset: str) -> NDArray[np.float64]:
        file.write_bytes(b"after that")
        return POINTS

    with pytest.raises(DataFileError, match="changed while it was read"):
        resolve_mesh(InputsSpec(file="points.h5:/x"), tmp_path, read_and_change)


def test_dataset_reader(tmp_path: Path) -> None:
    path = tmp_path / "points.h5"
    path.write_bytes(b"content")
    asked: list[tuple[Path, str]] = []

    def read(file: Path, dataset: str) -> NDArray[np.float64]:
        asked.append((file, dataset))
        return POINTS

    mesh = resolve_mesh(InputsSpec(file="points.h5:/group/x"), tmp_path, read)
    assert asked == [(path, "/group/x")]
    np.testing.assert_array_equal(mesh.points, POINTS)
    assert mesh.file_sha256 is not None
    with pytest.raises(CardError, match="no reader for HDF5"):
        resolve_mesh(InputsSpec(file="points.h5:/x"), tmp_path)
    with pytest.raises(CardError, match=r"write .name\.h5:/dataset"):
        resolve_mesh(InputsSpec(file="points.h5"), tmp_path, read)
    with pytest.raises(DataFileError, match="wrong shape"):
        resolve_mesh(InputsSpec(file="points.h5:/x"), tmp_path, lambda file, dataset: [1.0])
    with pytest.raises(DataFileError, match="wrong dtype"):
        resolve_mesh(InputsSpec(file="points.h5:/x"), tmp_path, lambda file, dataset: [["a"]])


def test_file_names_start_from_the_folder_of_the_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cards = tmp_path / "cards"
    cards.mkdir()
    (tmp_path / "points.csv").write_text("1,2\n")
    (cards / "card.toml").write_text(
        '[network]\nwidths=[3]\nactivation="tanh"\n[inputs]\nfile="../points.csv"\n[ensemble]\nnetworks=10\nseed=1\n'
    )
    monkeypatch.chdir(cards)
    spec = RunSpec.from_card("card.toml")
    monkeypatch.chdir("/")
    assert spec.mesh().points.tolist() == [[1.0, 2.0]]


def test_another_file_than_the_digest_says(tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    path.write_text("1,2\n")
    digest = mesh_of(path).file_sha256
    assert resolve_mesh(InputsSpec(file="points.csv", sha256=digest), tmp_path).points.shape == (1, 2)
    path.write_text("1,3\n")
    with pytest.raises(DataFileError, match=r"another file in inputs\.file 'points\.csv'"):
        resolve_mesh(InputsSpec(file="points.csv", sha256=digest), tmp_path)
