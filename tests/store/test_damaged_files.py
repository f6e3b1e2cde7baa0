"""Damaged run files: every read gives the original numbers or one clear error, never anything else."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nnft.errors import MESSAGE_LIMIT, DataFileError
from nnft.store.reader import read_run
from nnft.store.snapshot import RunSnapshot
from nnft.store.verify import verify_file
from nnft.store.writer import write_snapshot

Make = Callable[..., RunSnapshot]


def read_everything(path: Path) -> dict[str, Any]:
    """Load all data sets and attributes of a run file."""
    with read_run(path) as run:
        content: dict[str, Any] = {name: run.read(name).tobytes() for name in run.forms}
        return content | run.attributes | {"history": run.history, "fields": run.fields}


@pytest.fixture
def original(tmp_path: Path, make_snapshot: Make) -> tuple[bytes, dict[str, Any]]:
    """Bytes and content of a good run file."""
    path = tmp_path / "good.h5"
    write_snapshot(path, make_snapshot(theory={}, runtime={}, provenance={}))
    return path.read_bytes(), read_everything(path)


def test_truncation_at_200_lengths(run_path: Path, original: tuple[bytes, dict[str, Any]]) -> None:
    data, _ = original
    rng = random.Random(20240601)
    lengths = [0, 1, 8, 48, 96, len(data) - 1, *(rng.randrange(len(data)) for _ in range(194))]
    for length in lengths:
        run_path.write_bytes(data[:length])
        with pytest.raises(DataFileError, match=r"truncated|not an nnft result file") as caught:
            read_everything(run_path)
        assert len(str(caught.value)) <= MESSAGE_LIMIT
        assert "\n" not in str(caught.value)


def test_150_single_bit_flips(run_path: Path, original: tuple[bytes, dict[str, Any]]) -> None:
    data, content = original
    rng = random.Random(20240602)
    complaints: list[str] = []
    for _ in range(150):
        damaged = bytearray(data)
        damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        run_path.write_bytes(damaged)
        try:
            assert read_everything(run_path) == content
        except DataFileError as error:
            complaints.append(str(error))
    assert max(map(len, complaints)) <= MESSAGE_LIMIT
    assert len(complaints) > 15  # most bytes of this small file are unused space; the rest must be noticed


def test_every_bit_flip_in_numbers_is_noticed(run_path: Path, original: tuple[bytes, dict[str, Any]]) -> None:
    data, _ = original
    stored = np.random.default_rng([20240601, 5]).normal(size=(3, 2)).tobytes()
    place = data.index(stored)
    for bit in range(0, 8 * len(stored), 43):
        damaged = bytearray(data)
        damaged[place + bit // 8] ^= 1 << bit % 8
        run_path.write_bytes(damaged)
        with read_run(run_path) as run, pytest.raises(DataFileError, match="checksum error in /mesh/points"):
            run.read("/mesh/points")
        assert any("/mesh/points" in finding for finding in verify_file(run_path))


def test_numbers_are_checked_beyond_fletcher32(run_path: Path, make_snapshot: Make) -> None:
    write_snapshot(run_path, make_snapshot())
    with h5py.File(run_path, "r+") as file:
        file["estimates/connected_4_0011/value"][3] = 0.0
    with read_run(run_path) as run, pytest.raises(DataFileError, match="checksum error in /estimates"):
        run.estimate("connected_4_0011")


@pytest.mark.parametrize(
    ("name", "value"),
    [("networks_done", 48), ("complete", 1), ("seed", np.bytes_(b"8")), ("block_size", 4), ("added", 1)],
)
def test_changed_attributes_are_noticed(run_path: Path, make_snapshot: Make, name: str, value: Any) -> None:
    write_snapshot(run_path, make_snapshot())
    with h5py.File(run_path, "r+") as file:
        file.attrs[name] = value
    with pytest.raises(DataFileError, match="checksum error in the header"):
        read_run(run_path)


def test_good_previous_snapshot_is_named(run_path: Path, make_snapshot: Make) -> None:
    write_snapshot(run_path, make_snapshot(blocks_done=2))
    write_snapshot(run_path, make_snapshot(blocks_done=3))
    run_path.write_bytes(run_path.read_bytes()[:-500])
    with pytest.raises(
        DataFileError, match=r"truncated file.*; \.previous is good \(16 networks\)"
    ) as caught:
        read_run(run_path)
    assert len(str(caught.value)) <= MESSAGE_LIMIT
    assert verify_file(run_path) == [str(caught.value)]


def test_bad_previous_snapshot_is_not_named(run_path: Path, make_snapshot: Make) -> None:
    write_snapshot(run_path, make_snapshot(blocks_done=2))
    write_snapshot(run_path, make_snapshot(blocks_done=3))
    previous = run_path.with_name("run.h5.previous")
    for path in (run_path, previous):
        path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(DataFileError) as caught:
        read_run(run_path)
    assert "previous" not in str(caught.value)


def test_verify_notices_a_wrong_result_digest_and_axes(
    run_path: Path, make_snapshot: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nnft.store.content.result_digest", lambda *_: "00")
    write_snapshot(run_path, make_snapshot(fields=None))
    with h5py.File(run_path, "r+") as file:
        file["mesh/points"].dims[1].detach_scale(file["mesh/feature"])
    assert verify_file(run_path) == [
        "axes of /mesh/points: got /mesh/point, , wanted /mesh/point, /mesh/feature",
        "result digest does not match the results",
    ]
