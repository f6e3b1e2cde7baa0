"""Analysis files: what is written is read back, equal content gives equal bytes, xarray opens the file."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray

from nnft.errors import DataFileError
from nnft.pipeline.analysis_output import save_analysis
from nnft.store.analysis_content import AnalysisArray, AnalysisFile, AnalysisTable, SourceRun, StoredArray
from nnft.store.analysis_reader import StoredAnalysis, read_analysis
from nnft.store.analysis_schema import ANALYSIS_FILE
from nnft.store.analysis_writer import write_analysis
from nnft.store.layout import axis_paths, find_entry
from nnft.store.verify import verify_file

Make = Callable[..., AnalysisFile]


def assert_same(got: AnalysisFile, wanted: AnalysisFile) -> None:
    """Compare two contents bit by bit."""
    for part in ("kind", "created_at", "nnft_version", "conventions", "command", "sources", "parameters"):
        assert getattr(got, part) == getattr(wanted, part), part
    for part in ("points", "point_numbers", "bin_counts"):
        assert getattr(got, part).tobytes() == getattr(wanted, part).tobytes(), part
    assert sorted(got.arrays) == sorted(wanted.arrays)
    for name, array in wanted.arrays.items():
        assert got.arrays[name].values.tobytes() == array.values.tobytes()
        assert (got.arrays[name].axes, got.arrays[name].units) == (array.axes, array.units)
        assert got.arrays[name].long_name == array.long_name
    assert [table.name for table in got.tables] == sorted(table.name for table in wanted.tables)
    for table in wanted.tables:
        same = got.table(table.name)
        for part in ("order", "long_name", "units", "description", "indexed_by"):
            assert getattr(same, part) == getattr(table, part), part
        for part in ("indices", "value", "stderr", "unreliable"):
            assert getattr(same, part).dtype == getattr(table, part).dtype
            assert getattr(same, part).tobytes() == getattr(table, part).tobytes(), part
        assert (same.pseudo_values is None) == (table.pseudo_values is None)
        if table.pseudo_values is not None:
            assert same.pseudo_values is not None
            assert same.pseudo_values.shape == table.pseudo_values.shape
            assert np.asarray(same.pseudo_values).tobytes() == np.asarray(table.pseudo_values).tobytes()


@pytest.mark.parametrize("loaded", [False, True])
def test_content_comes_back_unchanged(analysis_path: Path, make_analysis: Make, loaded: bool) -> None:
    content = make_analysis()
    save_analysis(analysis_path, content)
    got = read_analysis(analysis_path, pseudo_values=loaded)
    assert_same(got, content)
    assert isinstance(got.table("quartic").pseudo_values, np.ndarray if loaded else StoredArray)
    assert got.table("free").pseudo_values is None
    assert list(analysis_path.parent.iterdir()) == [analysis_path]
    assert verify_file(analysis_path) == []


def test_smallest_analysis(analysis_path: Path) -> None:
    content = AnalysisFile("action", "", "", np.zeros((0, 0)), np.zeros(0, np.int32))
    write_analysis(analysis_path, content)
    assert_same(read_analysis(analysis_path), content)
    assert verify_file(analysis_path) == []


def test_special_numbers_and_odd_texts_survive(analysis_path: Path, make_analysis: Make) -> None:
    value = np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324, 1.0])
    table = replace(make_analysis().table("free"), value=value, description="λφ⁴x" * 8192)
    changes: dict[str, Any] = {"tables": (table,), "parameters": {"cut": '{"σ": 1}', "empty": ""}}
    write_analysis(analysis_path, make_analysis(**changes))
    got = read_analysis(analysis_path)
    assert got.table("free").value.tobytes() == value.tobytes()
    assert got.table("free").description == table.description  # 65,536 bytes, the limit
    assert got.parameters == changes["parameters"]


def test_file_names_that_are_no_utf_8_are_escaped(analysis_path: Path, make_analysis: Make) -> None:
    odd = os.fsdecode(b"run-\xff.h5")
    write_analysis(analysis_path, make_analysis(sources=(SourceRun(odd, "r", "d", 5),), command=odd))
    got = read_analysis(analysis_path)
    assert (got.sources[0].path, got.command) == ("run-\\xff.h5", "run-\\xff.h5")


def test_equal_content_gives_equal_bytes(tmp_path: Path, make_analysis: Make) -> None:
    write_analysis(tmp_path / "a.h5", make_analysis())
    time.sleep(1.1)  # time stamps in HDF5 count seconds
    table = make_analysis().table("quartic")
    other = replace(
        table,
        value=table.value.astype(">f8"),
        unreliable=table.unreliable.astype(np.int8),
        indices=table.indices.astype(np.int64),
        pseudo_values=np.asfortranarray(np.asarray(table.pseudo_values)),
    )
    rest = [each for each in make_analysis().tables if each.name != "quartic"]
    assert make_analysis().tables[1].name == "quartic"
    write_analysis(tmp_path / "b.h5", make_analysis(tables=(rest[0], other, *rest[1:])))
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_result_digest_is_about_the_numbers(tmp_path: Path, make_analysis: Make) -> None:
    def digest(**changes: Any) -> str:
        path = tmp_path / "x.h5"
        write_analysis(path, make_analysis(**changes), overwrite=path.exists())
        with StoredAnalysis(path) as file:
            return file.text("result_digest")

    source = make_analysis().sources[0]
    volatile: dict[str, Any] = {
        "created_at": "2031-01-01T00:00:00+00:00",
        "nnft_version": "9.0",
        "command": "another",
        "sources": (replace(source, path="elsewhere.h5", run_id="other"),),
    }
    assert digest(**volatile) == digest()
    assert digest(kind="flow") != digest()
    assert digest(parameters={}) != digest()
    assert digest(sources=(replace(source, result_digest="00"),)) != digest()
    assert digest(points=np.nextafter(make_analysis().points, 9.0)) != digest()
    table = make_analysis().tables[0]
    assert digest(tables=(replace(table, stderr=table.stderr * 2), *make_analysis().tables[1:])) != digest()


TABLE = {
    "name": "t",
    "indices": np.zeros((1, 2), np.int32),
    "value": np.zeros(1),
    "stderr": np.zeros(1),
    "unreliable": np.zeros(1, bool),
    "order": 2,
}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"points": np.zeros(3)}, "/mesh/points: got shape"),
        ({"point_numbers": np.zeros(2, int)}, "/mesh/number: got length 2 for axis /point, wanted 3"),
        ({"point_numbers": np.array([0, 1, 2**31])}, "/mesh/number: got int64, wanted int32"),
        ({"tables": [TABLE | {"value": np.zeros(2)}]}, "length 2 for axis /tables/t/component, wanted 1"),
        ({"tables": [TABLE | {"value": np.zeros(1, complex)}]}, "got complex128, wanted float64"),
        ({"tables": [TABLE | {"pseudo_values": np.zeros((5, 1))}]}, "length 5 for axis /bin, wanted 4"),
        ({"tables": [TABLE | {"indices": np.full((1, 2), 3)}]}, "got 3 to 3, wanted 0 to 2, the length of p"),
        ({"tables": [TABLE | {"indices": np.full((1, 2), -1)}]}, "got -1 to -1"),
        ({"tables": [TABLE | {"indexed_by": "mode", "indices": np.full((1, 2), 2)}]}, "the length of mode"),
        ({"tables": [TABLE, TABLE]}, "wanted different ones"),
        ({"tables": [TABLE | {"name": "a/b"}]}, "schema has no"),
        ({"tables": [TABLE | {"order": True}]}, "wanted int64"),
        ({"tables": [TABLE | {"description": "x" * 65537}]}, "limit 65536 bytes"),
        ({"arrays": {"k": AnalysisArray(np.zeros(2), ("a", "b"))}}, "/arrays/k/values: got shape"),
        ({"arrays": {"k": AnalysisArray(np.zeros((2, 2)), ("a", "a"))}}, "different names"),
        ({"arrays": {"k": AnalysisArray(np.zeros(2), ("mesh",))}}, "other than"),
        ({"arrays": {"k": AnalysisArray(np.zeros(2), ("component",))}}, "other than"),
        ({"arrays": {"k": AnalysisArray(np.zeros(2), ("a b",))}}, "letters"),
        ({"arrays": {"k": AnalysisArray(np.zeros(2), ("point",))}}, "axis /point"),
        (
            {"arrays": {n: AnalysisArray(np.zeros(k), ("a",)) for k, n in enumerate("xy")}},
            "axis /a, wanted 0",
        ),
        ({"command": "a\0b"}, "NUL"),
    ],
)
def test_what_does_not_fit_is_not_written(
    analysis_path: Path, make_analysis: Make, changes: dict[str, Any], complaint: str
) -> None:
    if "tables" in changes:
        changes = {"tables": tuple(AnalysisTable(**table) for table in changes["tables"])}
    with pytest.raises(ValueError, match=complaint):
        write_analysis(analysis_path, make_analysis(**changes))
    assert list(analysis_path.parent.iterdir()) == []


def test_xarray_opens_the_tree(analysis_path: Path, make_analysis: Make) -> None:
    content = make_analysis()
    write_analysis(analysis_path, content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with xarray.open_datatree(analysis_path) as tree:
            tree.load()
    assert tree.attrs["filetype"] == "nnft-analysis"
    quartic = tree["tables/quartic"]
    assert quartic["pseudo_values"].dims == ("bin", "component")
    assert np.array_equal(quartic["value"], content.table("quartic").value)
    assert quartic["value"].attrs["units"] == content.table("quartic").units
    assert tree["arrays/eigenvectors/values"].dims == ("mode", "point")
    assert tree["arrays/eigenvectors/values"].attrs["long_name"] == "eigenvectors of the kernel"
    assert tree["arrays/temperature/values"].dims == ()
    for node in tree.subtree:
        assert not any("phony" in str(dim) for dim in node.dims)


def test_every_axis_is_named_as_in_the_schema(analysis_path: Path, make_analysis: Make) -> None:
    write_analysis(analysis_path, make_analysis())
    with StoredAnalysis(analysis_path) as file:
        for path in file.forms:
            assert find_entry(ANALYSIS_FILE, path) is not None
            assert file.axes(path) == axis_paths(ANALYSIS_FILE, path, file.attributes)
        assert file.axes("/arrays/eigenvectors/values") == ("/mode", "/point")


def test_arrays_carry_fletcher32_and_old_bounds(analysis_path: Path, make_analysis: Make) -> None:
    write_analysis(analysis_path, make_analysis())
    assert analysis_path.read_bytes()[8] == 2  # superblock version of HDF5 1.8
    with h5py.File(analysis_path) as file:
        paths: list[str] = []
        file.visititems(lambda name, item: paths.append(name) if "sha256" in item.attrs else None)
        assert len(paths) > 20
        for path in paths:
            item = file[path]
            assert item.fletcher32 == (item.ndim > 0 and item.size > 0), path
            assert item.compression is None


def test_pseudo_values_stay_on_disk_until_asked_for(
    analysis_path: Path, make_analysis: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    content = make_analysis()
    write_analysis(analysis_path, content)
    monkeypatch.chdir(analysis_path.parent)
    stored = read_analysis(analysis_path.name).table("quartic").pseudo_values
    monkeypatch.chdir(tmp_path.parent)
    assert isinstance(stored, StoredArray)
    with pytest.raises(ValueError, match="copy"):
        np.array(stored, copy=False)
    assert np.array_equal(stored.load(), np.asarray(content.table("quartic").pseudo_values))
    write_analysis(analysis_path, make_analysis(created_at="later"), overwrite=True)
    assert np.array_equal(stored.load(), np.asarray(content.table("quartic").pseudo_values))
    write_analysis(analysis_path, make_analysis(number=2), overwrite=True)
    with pytest.raises(DataFileError, match="file was replaced since it was read"):
        np.asarray(stored)
    analysis_path.unlink()
    with pytest.raises(DataFileError, match="no such file"):
        stored.load()


def test_what_was_read_can_be_written(tmp_path: Path, make_analysis: Make) -> None:
    """Tables come back sorted, so the second generation equals the third; its arrays are read from disk."""
    write_analysis(tmp_path / "a.h5", make_analysis())
    write_analysis(tmp_path / "b.h5", read_analysis(tmp_path / "a.h5"))
    write_analysis(tmp_path / "b.h5", read_analysis(tmp_path / "b.h5"), overwrite=True)
    assert_same(read_analysis(tmp_path / "b.h5"), make_analysis())


def test_unknown_table_names_those_there(make_analysis: Make) -> None:
    with pytest.raises(DataFileError, match=r"no table 'sextic' in the action: it has .*quartic"):
        make_analysis().table("sextic")


MEMORY = """
import re, sys
sys.path[:0] = sys.argv[1].split(":")
import numpy as np
from nnft.store.analysis_content import AnalysisFile, AnalysisTable
from nnft.store.analysis_reader import read_analysis
from nnft.store.analysis_writer import write_analysis
from nnft.store.verify import verify_file

def peak():  # of this program alone; ru_maxrss starts from that of the process that started it
    return int(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1]) // 1024

bins, m = 100, 200_000
pseudo = np.ones((bins, m))
table = AnalysisTable("t", np.zeros((m, 4), np.int32), np.ones(m), np.ones(m), np.zeros(m, bool), 4,
                      pseudo_values=pseudo)
content = AnalysisFile("action", "", "", np.zeros((1, 1)), np.zeros(1, np.int32),
                       bin_counts=np.ones(bins, int), tables=(table,))
before = peak()
write_analysis(sys.argv[2], content)
written = peak()
read = read_analysis(sys.argv[2])
verified = verify_file(sys.argv[2])
print(before, written, peak(), verified)
"""


def test_pseudo_values_are_written_read_and_verified_without_a_copy(analysis_path: Path) -> None:
    """160 MB of pseudo-values; writing, opening and verifying take a fraction of that on top."""
    command = [sys.executable, "-c", MEMORY, os.pathsep.join(sys.path), str(analysis_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    before, written, end, findings = done.stdout.split(maxsplit=3)
    assert int(written) - int(before) < 60, done.stdout
    assert int(end) - int(before) < 110, done.stdout
    assert findings.strip() == "[]"
