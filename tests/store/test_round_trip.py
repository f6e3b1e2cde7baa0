"""What is written is read back, equal content gives equal bytes, and xarray opens the file."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray

from nnft.errors import DataFileError
from nnft.store.layout import axis_paths, find_entry
from nnft.store.reader import read_run
from nnft.store.schema import RUN_FILE
from nnft.store.snapshot import RunSnapshot
from nnft.store.verify import verify_file
from nnft.store.writer import write_snapshot

Make = Callable[..., RunSnapshot]


def assert_equal(got: Any, wanted: Any) -> None:
    """Compare nested mappings, dataclasses and arrays bit for bit."""
    if dataclasses.is_dataclass(wanted) and not isinstance(wanted, type):
        assert_equal(vars(got), vars(wanted))
    elif isinstance(wanted, dict):
        assert sorted(got) == sorted(wanted)
        for key, value in wanted.items():
            assert_equal(got[key], value)
    elif isinstance(wanted, np.ndarray):
        assert got.shape == wanted.shape
        assert np.array_equal(got, wanted, equal_nan=wanted.dtype.kind == "f")
    else:
        assert got == wanted


def test_snapshot_comes_back_unchanged(run_path: Path, make_snapshot: Make) -> None:
    snapshot = make_snapshot()
    write_snapshot(run_path, snapshot)
    with read_run(run_path) as run:
        assert_equal(run.snapshot(), snapshot)
        assert (run.networks_done, run.complete, run.newer_minor) == (40, False, False)


def test_not_a_number_and_infinity_survive(run_path: Path, make_snapshot: Make) -> None:
    estimate = dict(make_snapshot().estimates["connected_4_0011"])
    estimate["value"] = np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324, *range(31)])
    write_snapshot(run_path, make_snapshot(estimates={"connected_4_0011": estimate}))
    with read_run(run_path) as run:
        value = run.estimate("connected_4_0011")["value"]
    assert value.tobytes() == estimate["value"].tobytes()


def test_smallest_run(run_path: Path, make_snapshot: Make) -> None:
    bare = make_snapshot(
        blocks_done=0,
        fields=None,
        theory={},
        estimates={},
        provenance={},
        history=(),
        runtime={},
        config={"resolved": "", "plan": "{}"},
        accumulators={"count": np.zeros(4, int)},
    )
    write_snapshot(run_path, bare)
    with read_run(run_path) as run:
        assert run.snapshot().config == {"resolved": "", "plan": "{}"}
        assert run.fields is None
        assert run.history == ()
        with pytest.raises(DataFileError, match="no stored fields"):
            run.read_fields()


def test_equal_content_gives_equal_bytes(tmp_path: Path, make_snapshot: Make) -> None:
    write_snapshot(tmp_path / "a.h5", make_snapshot())
    time.sleep(1.1)  # time stamps in HDF5 count seconds
    write_snapshot(tmp_path / "b.h5", make_snapshot())
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_result_digest_leaves_volatile_things_out(tmp_path: Path, make_snapshot: Make) -> None:
    def digest(**changes: Any) -> str:
        write_snapshot(tmp_path / "x.h5", make_snapshot(**changes))
        with read_run(tmp_path / "x.h5") as run:
            return run.text("result_digest")

    volatile = {
        "run_id": "other",
        "updated_at": "2031-01-01T00:00:00+00:00",
        "nnft_version": "0.2.0",
        "provenance": {"host": "elsewhere"},
        "runtime": {"seconds_sampling": 9.0},
        "history": (),
        "networks_planned": 8000,
    }
    assert digest(**volatile) == digest()
    other_points = make_snapshot().points + 1e-16
    assert np.any(other_points != make_snapshot().points)
    assert digest(points=other_points) != digest()
    assert digest(seed=1) != digest()
    assert digest(fields=None) != digest()


@pytest.mark.parametrize("order", [">f8", "F", "strided"])
def test_any_memory_layout_gives_the_same_bytes(tmp_path: Path, make_snapshot: Make, order: str) -> None:
    points = make_snapshot().points
    other = {
        ">f8": points.astype(">f8"),
        "F": np.asfortranarray(points),
        "strided": np.repeat(points, 2, axis=1)[:, ::2],
    }[order]
    write_snapshot(tmp_path / "a.h5", make_snapshot())
    write_snapshot(tmp_path / "b.h5", make_snapshot(points=other))
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"points": np.zeros(3)}, "/mesh/points: got shape"),
        ({"points": np.zeros((3, 2), complex)}, "got complex128, wanted float64"),
        ({"points": np.zeros((3, 2), np.longdouble)}, "wanted float64"),
        ({"accumulators": {"count": np.full(4, 11)}}, "got 44 in all, wanted 40"),
        ({"accumulators": {"count": np.full(4, 10.0)}}, "got float64, wanted int64"),
        ({"accumulators": {"count": np.full(4, 10), "totals": np.zeros(3)}}, "no data set"),
        ({"accumulators": {"count": np.full(4, 10), "sums/S2:00": np.zeros((5, 6))}}, "accumulators/bin"),
        ({"estimates": {"moment_2": {"value": np.zeros(2)}}}, "lacks /estimates/moment_2/indices"),
        ({"estimates": {"moment_2": {"order": True}}}, "wanted int64"),
        ({"provenance": {"host": "a\0b"}}, "NUL"),
        ({"config": {"plan": "{}"}}, "lacks /config/resolved"),
        ({"seed": 2**128}, "2\\^128"),
        ({"networks_done": 81}, "networks_done"),
    ],
)
def test_what_does_not_fit_the_schema_is_not_written(
    run_path: Path, make_snapshot: Make, changes: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        write_snapshot(run_path, make_snapshot(**changes))
    assert list(run_path.parent.iterdir()) == []


def test_xarray_opens_the_tree(run_path: Path, make_snapshot: Make) -> None:
    snapshot = make_snapshot()
    write_snapshot(run_path, snapshot)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with xarray.open_datatree(run_path) as tree:
            tree.load()
    assert tree.attrs["filetype"] == "nnft-run"
    assert tree["accumulators/sums"].to_dataset()["S4:0011"].dims == ("bin", "component_S4:0011")
    value = tree["estimates/connected_4_0011/value"]
    assert np.array_equal(value, snapshot.estimates["connected_4_0011"]["value"])
    for node in tree.subtree:
        assert not any("phony" in str(dim) for dim in node.dims)


def test_every_axis_is_named_as_in_the_schema(run_path: Path, make_snapshot: Make) -> None:
    write_snapshot(run_path, make_snapshot())
    with read_run(run_path) as run:
        for path in run.forms:
            assert find_entry(RUN_FILE, path) is not None
            assert run.axes(path) == axis_paths(RUN_FILE, path)


def test_arrays_carry_fletcher32_and_no_compression(run_path: Path, make_snapshot: Make) -> None:
    write_snapshot(run_path, make_snapshot())
    with h5py.File(run_path) as file:
        array, text = file["accumulators/sums/S2:00"], file["config/resolved"]
        assert array.fletcher32
        assert array.compression is None
        assert array.attrs["units"] == b"1"
        assert text[()].decode() == "# Größe\nwidths = [2]\n"
        assert file["estimates/connected_4_0011/unreliable"].dtype == np.int8


def test_large_accumulators_are_streamed(run_path: Path, make_snapshot: Make) -> None:
    sums = np.random.default_rng(20240601).normal(size=(4, 200_000))
    accumulators = {"count": np.full(4, 10), "sums/S4:0000": sums}
    write_snapshot(run_path, make_snapshot(accumulators=accumulators))
    with read_run(run_path) as run:
        assert run.accumulators.shape("sums/S4:0000") == (4, 200_000)
        slabs = list(run.slabs("/accumulators/sums/S4:0000"))
        assert np.array_equal(np.concatenate(slabs), sums)
        assert np.array_equal(run.accumulators["sums/S4:0000"], sums)
    with h5py.File(run_path) as file:
        assert file["accumulators/sums/S4:0000"].chunks == (4, 16384)


def test_same_file_may_be_open_elsewhere_in_the_process(run_path: Path, make_snapshot: Make) -> None:
    write_snapshot(run_path, make_snapshot())
    with h5py.File(run_path) as other, read_run(run_path) as run:
        assert run.networks_done == other.attrs["networks_done"]
        write_snapshot(run_path, make_snapshot(blocks_done=6))
        assert run.networks_done == 40


def test_closed_run_says_so(run_path: Path, make_snapshot: Make) -> None:
    write_snapshot(run_path, make_snapshot())
    run = read_run(run_path)
    points = run.points
    run.close()
    assert points.shape == (3, 2)
    with pytest.raises(DataFileError, match="closed"):
        run.read("/mesh/points")


def test_missing_estimate_names_those_there(run_path: Path, make_snapshot: Make) -> None:
    write_snapshot(run_path, make_snapshot())
    with read_run(run_path) as run, pytest.raises(DataFileError, match="connected_4_0011"):
        run.estimate("connected_4")


def test_verify_finds_nothing_in_a_good_file(run_path: Path, make_snapshot: Make) -> None:
    write_snapshot(run_path, make_snapshot(fields=None))
    assert verify_file(run_path) == []
