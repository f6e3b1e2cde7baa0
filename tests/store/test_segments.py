"""Stored fields: appended in segments, continued after a stop, checked when read."""

from __future__ import annotations

import os
import shutil
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray
from numpy.typing import NDArray

from nnft.errors import MESSAGE_LIMIT, DataFileError, EnvironmentRefusal
from nnft.store.reader import read_run
from nnft.store.segment_files import fields_folder
from nnft.store.segments import FieldWriter, read_fields
from nnft.store.snapshot import FieldManifest, RunSnapshot, SegmentRecord
from nnft.store.verify import verify_file
from nnft.store.writer import write_snapshot

Make = Callable[..., RunSnapshot]
ROWS = 8


def fields(networks: int, dtype: str = "float64") -> NDArray[Any]:
    """Outputs of some networks, D = 2, P = 3."""
    return np.random.default_rng(20240601).normal(size=(networks, 2, 3)).astype(dtype)


def new_writer(run_path: Path, **options: Any) -> FieldWriter:
    return FieldWriter(fields_folder(run_path), ROWS, 2, 3, **options)


def segment_bytes(run_path: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(fields_folder(run_path).iterdir())}


@pytest.fixture
def stored(run_path: Path, make_snapshot: Make) -> Path:
    """A run file with 20 networks in two complete segments and an unfinished one."""
    writer = new_writer(run_path)
    writer.append(0, fields(20))
    writer.flush()
    write_snapshot(run_path, make_snapshot(fields=writer.manifest()))
    return run_path


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("steps", [[20], [1] * 20, [3, 5, 12], [8, 8, 4], [7, 9, 4]])
def test_segments_do_not_depend_on_how_they_were_appended(
    tmp_path: Path, make_snapshot: Make, steps: list[int], dtype: str
) -> None:
    at_once, piecewise = (
        new_writer(tmp_path / "a.h5", dtype=dtype),
        new_writer(tmp_path / "b.h5", dtype=dtype),
    )
    outputs = fields(20, dtype)
    at_once.append(0, outputs)
    for step in steps:
        start = piecewise.next_network
        piecewise.append(start, outputs[start : start + step])
    for writer in (at_once, piecewise):
        writer.flush()
    assert segment_bytes(tmp_path / "a.h5") == segment_bytes(tmp_path / "b.h5")
    assert at_once.manifest() == piecewise.manifest()
    write_snapshot(tmp_path / "b.h5", make_snapshot(fields=piecewise.manifest()))
    assert np.array_equal(read_fields(tmp_path / "b.h5"), outputs)
    assert read_fields(tmp_path / "b.h5").dtype == dtype


@pytest.mark.parametrize(("start", "stop"), [(0, 20), (0, 1), (7, 9), (8, 16), (19, 20), (5, 5), (3, None)])
def test_any_range_is_read(stored: Path, start: int, stop: int | None) -> None:
    assert np.array_equal(read_fields(stored, start, stop), fields(20)[start:stop])


@pytest.mark.parametrize(("start", "stop"), [(-1, 3), (0, 21), (5, 4), (30, 31)])
def test_networks_that_are_not_stored(stored: Path, start: int, stop: int) -> None:
    with pytest.raises(DataFileError, match=r"not stored .*got 0 to 20"):
        read_fields(stored, start, stop)


@pytest.mark.parametrize("committed", [0, 3, 8, 11, 16, 19])
def test_resume_drops_what_was_not_committed(run_path: Path, committed: int) -> None:
    outputs = fields(24)
    whole = new_writer(run_path.with_name("whole.h5"))
    whole.append(0, outputs)
    whole.flush()
    writer = new_writer(run_path)
    writer.append(0, outputs[:committed])
    writer.flush()
    manifest = writer.manifest()
    writer.append(committed, outputs[committed:21])  # reaches the disk, but no manifest names it
    writer.flush()
    (fields_folder(run_path) / ".segment-000000.h5.nnft-partial-00").write_bytes(b"x")
    resumed = new_writer(run_path)
    resumed.restore(manifest)
    assert resumed.next_network == committed
    assert set(segment_bytes(run_path)) == {record.name for record in manifest.segments}
    resumed.append(committed, outputs[committed:])
    resumed.flush()
    assert segment_bytes(run_path) == segment_bytes(run_path.with_name("whole.h5"))
    assert resumed.manifest() == whole.manifest()


def test_rows_beyond_the_manifest_are_not_part_of_the_run(stored: Path) -> None:
    writer = new_writer(stored)
    with read_run(stored) as run:
        assert run.fields is not None
        writer.restore(run.fields)
        writer.append(20, fields(4))
        writer.flush()
        assert np.array_equal(run.read_fields(), fields(20))
    with pytest.raises(DataFileError, match="not stored"):
        read_fields(stored, 0, 21)
    assert verify_file(stored) == []


def test_flush_writes_only_what_is_new(run_path: Path) -> None:
    writer = new_writer(run_path)
    writer.append(0, fields(3))
    writer.flush()
    segment = fields_folder(run_path) / "segment-000000.h5"
    inode = segment.stat().st_ino
    writer.flush()
    assert segment.stat().st_ino == inode
    writer.append(3, fields(1))
    writer.flush()
    assert segment.stat().st_ino != inode
    assert [record.rows for record in writer.manifest().segments] == [4]


def test_flush_leaves_nothing_unsynced(run_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr("nnft.store.atomic.os.fsync", lambda number: synced.append(os.fstat(number).st_ino))
    writer = new_writer(run_path)
    writer.append(0, fields(20))
    writer.flush()
    folder = fields_folder(run_path)
    everything = [folder.stat().st_ino, *(path.stat().st_ino for path in folder.iterdir())]
    assert sorted(synced) == sorted(everything)
    synced.clear()
    writer.append(20, fields(4))  # replaces a committed segment: synced before it takes its name
    assert (folder / "segment-000002.h5").stat().st_ino in synced


def test_segments_may_start_at_any_network(run_path: Path, make_snapshot: Make) -> None:
    writer = new_writer(run_path, first_network=1000)
    writer.append(1000, fields(10))
    writer.flush()
    write_snapshot(run_path, make_snapshot(fields=writer.manifest()))
    assert np.array_equal(read_fields(run_path, 1000, 1010), fields(10))
    with pytest.raises(DataFileError, match="got 1000 to 1010"):
        read_fields(run_path, 0, 1)


def test_missing_segment_is_named(stored: Path) -> None:
    (fields_folder(stored) / "segment-000001.h5").unlink()
    assert np.array_equal(read_fields(stored, 0, 8), fields(8))
    with pytest.raises(DataFileError, match=r"segment-000001.h5 in .*move the folder") as caught:
        read_fields(stored)
    assert len(str(caught.value)) <= MESSAGE_LIMIT
    assert verify_file(stored) == [str(caught.value)]
    with read_run(stored) as run:
        manifest = run.fields
    assert manifest is not None
    with pytest.raises(DataFileError, match=r"segment-000001.h5"):
        new_writer(stored).restore(manifest)


def test_moved_run_needs_its_folder(stored: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved.h5"
    stored.rename(moved)
    with pytest.raises(DataFileError, match="move the folder"):
        read_fields(moved)
    fields_folder(stored).rename(fields_folder(moved))
    assert np.array_equal(read_fields(moved), fields(20))


def test_every_damage_of_a_segment_is_noticed(stored: Path) -> None:
    segment = fields_folder(stored) / "segment-000001.h5"
    data = segment.read_bytes()
    place = data.index(fields(20)[8:16].tobytes())
    rng = np.random.default_rng(20240602)
    with read_run(stored) as run:
        for byte in [*range(place, place + 384, 31), *rng.integers(0, len(data), 60).tolist()]:
            damaged = bytearray(data)
            damaged[byte] ^= 1 << int(rng.integers(8))
            segment.write_bytes(damaged)
            try:
                assert np.array_equal(run.read_fields(8, 16), fields(20)[8:16])
                assert not place <= byte < place + 384
            except DataFileError:
                continue
        for length in (0, 100, len(data) // 2, len(data) - 1):
            segment.write_bytes(data[:length])
            with pytest.raises(DataFileError):
                run.read_fields(8, 16)
        shutil.copy(fields_folder(stored) / "segment-000000.h5", segment)
        with pytest.raises(DataFileError, match="checksum error in the stored fields"):
            run.read_fields(8, 16)


def test_segment_names_cannot_lead_elsewhere(stored: Path, make_snapshot: Make) -> None:
    record = SegmentRecord("../run.h5", 0, 4, 0)
    write_snapshot(stored, make_snapshot(fields=FieldManifest(2, 3, "float64", ROWS, (record,))))
    with pytest.raises(DataFileError, match="not the name of a segment"):
        read_fields(stored)


def test_links_in_a_segment_are_refused(stored: Path) -> None:
    segment = fields_folder(stored) / "segment-000000.h5"
    with h5py.File(segment, "r+") as file:
        del file["outputs"]
        file["outputs"] = h5py.ExternalLink(str(segment.with_name("segment-000001.h5")), "/outputs")
    with pytest.raises(DataFileError, match="links are refused"):
        read_fields(stored)


def test_restore_refuses_another_shape(stored: Path) -> None:
    with read_run(stored) as run:
        manifest = run.fields
    assert manifest is not None
    for options in ((ROWS + 1, 2, 3), (ROWS, 3, 2), (ROWS, 2, 3, "float32")):
        with pytest.raises(DataFileError, match="another shape"):
            FieldWriter(fields_folder(stored), *options).restore(manifest)


def test_append_refuses_what_does_not_fit(run_path: Path) -> None:
    writer = new_writer(run_path)
    for first, array in (
        (1, fields(2)),
        (0, fields(2)[:, :1]),
        (0, fields(2)[0]),
        (0, fields(2, "float32")),
    ):
        with pytest.raises(ValueError, match="wanted"):
            writer.append(first, array)
    with pytest.raises(ValueError, match="wanted counts"):
        FieldWriter(run_path, 0, 1, 1)
    assert not fields_folder(run_path).exists()


def test_disk_full_leaves_older_segments(run_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = new_writer(run_path)
    writer.append(0, fields(12))
    writer.flush()
    before = segment_bytes(run_path)

    def refuse(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nnft.store.atomic.os.pwrite", refuse)
    with pytest.raises(EnvironmentRefusal, match="ENOSPC"):
        writer.append(12, fields(10))
    assert segment_bytes(run_path) == before


def test_xarray_opens_a_segment(stored: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with xarray.open_dataset(fields_folder(stored) / "segment-000002.h5") as segment:
            segment.load()
    assert segment["outputs"].dims == ("network", "output", "point")
    assert segment.attrs["first_network"] == 16
    assert segment.attrs["crc32"] == zlib.crc32(fields(20)[16:].tobytes())
