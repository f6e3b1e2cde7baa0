"""The data of a training: columns of files, teachers, what is held out, scaled, added, and refused."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from nnft.errors import CardError, DataFileError, NnftError
from nnft.spec import DataSpec, RunSpec, plan_run
from nnft.spec.dataset import Dataset, load_dataset, make_dataset
from nnft.store.points import read_h5_points

TABLE = np.array([[0.0, 10.0, -1.0, 5.0], [1.0, 20.0, -2.0, 6.0], [2.0, 35.0, 4.0, 8.0]])
OPTIONS: dict[str, dict[str, Any]] = {
    "linear": {},
    "single-index": {"link": "tanh"},
    "polynomial": {"degree": 3},
    "network": {"widths": [5, 4], "activation": "erf"},
}


def teacher_data(teacher: str = "linear", **keys: Any) -> Dataset:
    given = {"points": 20, "dimension": 3} | OPTIONS[teacher] | keys
    return load_dataset(DataSpec(teacher=teacher, **given), Path())


def file_data(folder: Path, content: str | ArrayLike = TABLE, name: str = "x.csv", **keys: Any) -> Dataset:
    """Write a file and load it."""
    if isinstance(content, str):
        (folder / name).write_text(content)
    elif name.endswith(".npy"):
        np.save(folder / name, np.asarray(content))
    else:
        np.savetxt(folder / name, np.asarray(content), delimiter=",")
    return load_dataset(DataSpec.model_validate({"file": name, "targets": [4]} | keys), folder)


def refused(kind: type[NnftError], folder: Path, content: str | ArrayLike = TABLE, **keys: Any) -> str:
    with pytest.raises(kind) as caught:
        file_data(folder, content, **keys)
    line = str(caught.value)
    assert len("nnft: error: " + line) <= 200
    assert "\n" not in line
    assert caught.value.exit_code == (3 if kind is DataFileError else 2)
    return line


# ---- files ----


def test_columns_by_number_and_by_name(tmp_path: Path) -> None:
    plain = file_data(tmp_path)
    np.testing.assert_array_equal(plain.train_inputs, TABLE[:, :3])
    np.testing.assert_array_equal(plain.train_targets, TABLE[:, 3:])
    assert plain.test_inputs.shape == (0, 3)
    assert plain.test_targets.shape == (0, 1)
    assert plain.shape == (3, 0, 3, 1)
    rows = "\n".join(",".join(map(repr, row)) for row in TABLE.tolist())
    named = file_data(tmp_path, "a,b,c,y\n" + rows, targets=["y"])
    assert named.sha256 == plain.sha256
    chosen = file_data(tmp_path, "a,b,c,y\n" + rows, targets=["c", 1], inputs=["y", 2])
    np.testing.assert_array_equal(chosen.train_inputs, TABLE[:, [3, 1]])
    np.testing.assert_array_equal(chosen.train_targets, TABLE[:, [2, 0]])


def test_npy_and_h5_give_the_same_data(tmp_path: Path) -> None:
    plain = file_data(tmp_path)
    assert file_data(tmp_path, name="x.npy").sha256 == plain.sha256
    (tmp_path / "x.h5").write_bytes(b"content")
    spec = DataSpec(file="x.h5:/set/x", targets=(4,))
    assert load_dataset(spec, tmp_path, lambda path, dataset: TABLE).sha256 == plain.sha256
    with pytest.raises(CardError, match=r"no reader for HDF5 in training\.data\.file"):
        load_dataset(spec, tmp_path)


def test_targets_from_a_file_of_their_own(tmp_path: Path) -> None:
    np.save(tmp_path / "y.npy", TABLE[:, 3])
    both = file_data(tmp_path, TABLE[:, :3], targets="y.npy")
    assert both.sha256 == file_data(tmp_path).sha256
    np.save(tmp_path / "y.npy", TABLE[:, 3:])
    assert file_data(tmp_path, TABLE[:, :3], targets="y.npy").sha256 == both.sha256
    (tmp_path / "f.h5").write_bytes(b"content")
    sets = {"/x": TABLE[:, :3], "/y": TABLE[:, 3]}
    spec = DataSpec(file="f.h5:/x", targets="f.h5:/y")
    assert load_dataset(spec, tmp_path, lambda path, dataset: sets[dataset]).sha256 == both.sha256


def test_real_h5_files_with_targets_of_one_axis(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["x"], file["y"] = TABLE[:, :3], TABLE[:, 3]
    data = load_dataset(DataSpec(file="f.h5:/x", targets="f.h5:/y"), tmp_path, read_h5_points)
    np.testing.assert_array_equal(data.train_targets, TABLE[:, 3:])
    with pytest.raises(DataFileError, match="wrong shape"):
        load_dataset(DataSpec(file="f.h5:/y", targets="f.h5:/y"), tmp_path, read_h5_points)


@pytest.mark.parametrize(
    ("content", "keys", "expected"),
    [
        ("1,2\n3,nan\n", {"targets": [2]}, "number not finite in x.csv, row 2, column 2: got 'nan'"),
        ("1,2\ninf,4\n", {"targets": [2]}, "number not finite in x.csv, row 2, column 1"),
        ("1,2\n3\n", {"targets": [2]}, "ragged table in x.csv, row 2: got 1 columns"),
        ("a,b\n1,2\n3,x\n", {"targets": ["b"]}, "not a number in x.csv, row 3, column 2: got 'x'"),
        ("a,b\n", {"targets": ["b"]}, "no points in x.csv: got no row of numbers"),
        ("", {}, "no row of numbers"),
        ("1,7,3\n2,7,4\n", {"targets": [1]}, "constant input in x.csv, column 2: got 7.0 in all 2 rows"),
        ("1,1e101\n2,3\n", {"targets": [2]}, "number out of range in 'x.csv'"),
        ("a,b\n1,2,3\n4,5,6\n", {"targets": ["b"]}, "ragged table in x.csv, header: got 2 names"),
    ],
)
def test_faults_of_files_name_row_and_column(
    tmp_path: Path, content: str, keys: dict[str, Any], expected: str
) -> None:
    assert expected in refused(DataFileError, tmp_path, content, **keys)


def test_faults_of_arrays_and_of_two_files(tmp_path: Path) -> None:
    broken = TABLE.copy()
    broken[1, 3] = np.nan
    assert "in x.npy, row 2, column 4: got nan" in refused(DataFileError, tmp_path, broken, name="x.npy")
    np.save(tmp_path / "y.npy", np.array([1.0, np.inf, 2.0]))
    assert "in y.npy, row 2, column 1: got inf" in refused(DataFileError, tmp_path, targets="y.npy")
    np.save(tmp_path / "y.npy", np.ones(2))
    problem = refused(DataFileError, tmp_path, targets="y.npy")
    assert "in training.data.targets: got 2 rows in 'y.npy'; training.data.file has 3" in problem
    assert "no such data file" in refused(DataFileError, tmp_path, targets="z.npy")
    assert "unknown kind of file in training.data.targets" in refused(
        DataFileError, tmp_path, targets="y.pkl"
    )
    assert "give columns as a list" in refused(CardError, tmp_path, targets="y")
    assert "in training.data.file: got 'x.h5'" in refused(CardError, tmp_path, name="x.h5")


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"targets": [5]}, "no such column in training.data.targets[0]: got 5; allowed: 1 to 4"),
        ({"inputs": [1, 7]}, "no such column in training.data.inputs[1]: got 7"),
        ({"targets": ["q"]}, "no such column in training.data.targets[0]: got 'q'; names in the file: a, b,"),
        ({"targets": ["b"]}, "column name given twice in training.data.targets[0]: got 'b'"),
        ({"targets": [1, 2, 3, 4]}, "got all 4 columns as targets"),
        ({"inputs": [1, "a"]}, "got column 1 twice"),
        ({"inputs": ["a", 2], "targets": [1]}, "got column 1 twice"),
        ({"test": 3}, "no training point in training.data.test: got 3 of 3 rows held out"),
        ({"test": 0.9}, "no training point in training.data.test"),
        ({"scale": "unit-norm"}, "impossible scale in training.data.scale: got training point 0 of x.csv"),
        (
            {"inputs": [2, 3], "allow_constant": True, "scale": "standardize"},
            "got component 2 of x.csv equal in all training points",
        ),
        (
            {"targets": [3], "inputs": [1, 2], "target_scale": "unit-variance"},
            "in training.data.target_scale: got target 1 of x.csv equal",
        ),
    ],
)
def test_columns_and_scales_that_do_not_fit(tmp_path: Path, keys: dict[str, Any], expected: str) -> None:
    content = "a,b,c,b\n0,0,0,5\n1,20,0,6\n2,35,0,8\n"
    assert expected in refused(CardError, tmp_path, content, **({"allow_constant": True} | keys))


def test_names_need_a_header(tmp_path: Path) -> None:
    assert "the file has no header; give numbers" in refused(CardError, tmp_path, targets=["y"])


def test_constant_inputs_are_taken_when_asked_for(tmp_path: Path) -> None:
    content = "1,7,3\n2,7,4\n"
    assert file_data(tmp_path, content, targets=[1], allow_constant=True).shape == (2, 0, 2, 1)
    assert file_data(tmp_path, content, targets=[1], inputs=[3]).shape == (2, 0, 1, 1)
    assert file_data(tmp_path, content, targets=[1], inputs=[2]).shape == (2, 0, 1, 1)
    assert file_data(tmp_path, "1,7,3\n", targets=[1]).shape == (1, 0, 2, 1)


def test_digest_is_that_of_the_four_arrays(tmp_path: Path) -> None:
    data = file_data(tmp_path, test=1)
    arrays = (data.train_inputs, data.train_targets, data.test_inputs, data.test_targets)
    plain = b"".join(array.astype("<f8").tobytes() for array in arrays)
    assert data.sha256 == hashlib.sha256(plain).hexdigest()
    assert all(array.flags.c_contiguous and not array.flags.writeable for array in arrays)
    assert make_dataset(*arrays).sha256 == data.sha256
    assert make_dataset([[-0.0]], [[0.0]], np.zeros((0, 1)), np.zeros((0, 1))).train_inputs[0, 0] == 0.0
    for length in (12, 40, 64):
        assert file_data(tmp_path, test=1, sha256=data.sha256[:length]).sha256 == data.sha256
    problem = refused(DataFileError, tmp_path, test=1, sha256="0" * 12)
    assert f"other data in training.data: got sha256 {data.sha256[:12]} from 'x.csv'" in problem


@pytest.mark.parametrize(
    "arrays",
    [
        ([[1.0]], [[1.0], [2.0]], np.zeros((0, 1)), np.zeros((0, 1))),
        ([[1.0]], [[1.0]], np.zeros((0, 2)), np.zeros((0, 1))),
        ([[1.0]], [1.0], np.zeros((0, 1)), np.zeros((0, 1))),
        (np.zeros((0, 1)), np.zeros((0, 1)), [[1.0]], [[1.0]]),
        ([[1.0]], [[np.nan]], np.zeros((0, 1)), np.zeros((0, 1))),
    ],
)
def test_arrays_that_are_no_data(arrays: tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike]) -> None:
    with pytest.raises(DataFileError):
        make_dataset(*arrays)


# ---- held out, scaled, noisy ----


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(st.integers(2, 40), st.data())
def test_held_out_rows_are_a_part_of_the_file(tmp_path: Path, rows: int, draw: st.DataObject) -> None:
    test = draw.draw(st.integers(0, rows - 1) | st.floats(0.01, 0.5))
    seed = draw.draw(st.integers(0, 2**128 - 1))
    table = np.arange(2.0 * rows).reshape(rows, 2)
    data = file_data(tmp_path, table, name="x.npy", targets=[2], test=test, seed=seed)
    count = test if isinstance(test, int) else int(test * rows + 0.5)
    assert data.shape == (rows - count, count, 1, 1)
    np.testing.assert_array_equal(data.train_targets - data.train_inputs, 1.0)
    np.testing.assert_array_equal(data.test_targets - data.test_inputs, 1.0)
    assert np.all(np.diff(data.train_inputs[:, 0]) > 0)
    assert np.all(np.diff(data.test_inputs[:, 0]) > 0)
    everything = np.concatenate([data.train_inputs, data.test_inputs])[:, 0]
    assert sorted(everything) == table[:, 0].tolist()


def test_the_split_is_uniform(tmp_path: Path) -> None:
    """2 of 5 rows from 2000 seeds: 800(22) each; a row held out with 0.3 or 0.5 instead is 9 sigma away."""
    table = np.arange(10.0).reshape(5, 2)
    np.save(tmp_path / "x.npy", table)
    counts = np.zeros(5)
    for seed in range(2000):
        spec = DataSpec(file="x.npy", targets=(2,), test=2, seed=20240601 + seed)
        counts[(load_dataset(spec, tmp_path).test_inputs[:, 0] / 2).astype(int)] += 1
    assert np.all(np.abs(counts - 800.0) < 5.85 * math.sqrt(2000 * 0.4 * 0.6))


def test_more_test_points_leave_the_others_as_they_are() -> None:
    for teacher in OPTIONS:
        few, many = teacher_data(teacher, test=2, noise_variance=0.1), teacher_data(teacher, test=0.5)
        assert few.shape == (20, 2, 3, 1)
        assert many.shape == (20, 10, 3, 1)
        np.testing.assert_array_equal(few.train_inputs, many.train_inputs)
        np.testing.assert_array_equal(few.test_inputs, many.test_inputs[:2])
        np.testing.assert_array_equal(few.test_targets, many.test_targets[:2])  # test targets have no noise


def test_means_and_deviations_are_those_of_the_training_points() -> None:
    plain = teacher_data(test=7, outputs=2)
    mean, deviation = plain.train_inputs.mean(axis=0), plain.train_inputs.std(axis=0)
    scaled = teacher_data(test=7, outputs=2, scale="standardize")
    np.testing.assert_allclose(scaled.test_inputs, (plain.test_inputs - mean) / deviation, rtol=1e-13)
    np.testing.assert_allclose(scaled.train_inputs.std(axis=0), 1.0, rtol=1e-14)
    np.testing.assert_array_equal(scaled.train_targets, plain.train_targets)
    centred = teacher_data(test=7, outputs=2, center=True)
    np.testing.assert_allclose(centred.test_inputs, plain.test_inputs - mean, rtol=1e-13, atol=1e-15)
    unit = teacher_data(test=7, outputs=2, center=True, scale="unit-norm")
    np.testing.assert_allclose(np.linalg.norm(unit.test_inputs, axis=1), 1.0, rtol=1e-15)
    shift, width = plain.train_targets.mean(axis=0), plain.train_targets.std(axis=0)
    both = teacher_data(test=7, outputs=2, target_center=True, target_scale="unit-variance")
    np.testing.assert_allclose(both.test_targets, (plain.test_targets - shift) / width, rtol=1e-12)
    only = teacher_data(test=7, outputs=2, target_scale="unit-variance")
    np.testing.assert_allclose(only.train_targets, plain.train_targets / width, rtol=1e-13)


def test_scaling_of_large_and_small_numbers() -> None:
    for amplitude in (1e-12, 1e12):
        data = teacher_data(amplitude=amplitude, target_center=True, target_scale="unit-variance")
        np.testing.assert_allclose(data.train_targets.std(), 1.0, rtol=1e-12)


def test_noise_is_added_at_last_and_to_training_targets_only() -> None:
    """40 000 normals: mean 0(1)/200, variance 1(1)/141; a variance of 0.93 or 1.07 is seen."""
    keys: dict[str, Any] = {"points": 40_000, "test": 10, "target_scale": "unit-variance", "seed": 20240601}
    plain, noisy = teacher_data(**keys), teacher_data(noise_variance=0.04, **keys)
    noise = (noisy.train_targets - plain.train_targets).ravel() / 0.2
    assert abs(noise.mean()) * 200 < 5.85
    assert abs(noise.var() - 1.0) * math.sqrt(40_000 / 2) < 5.85
    assert abs((noise**3).mean()) * math.sqrt(40_000 / 15) < 5.85
    np.testing.assert_array_equal(noisy.test_targets, plain.test_targets)
    np.testing.assert_array_equal(noisy.train_inputs, plain.train_inputs)


# ---- refusals of the table ----


def problem_of(**keys: Any) -> str:
    with pytest.raises(CardError) as caught:
        DataSpec(**keys)
    assert len(caught.value.problems) == 1, caught.value.problems
    assert len("nnft: error: " + caught.value.problems[0]) <= 200
    return caught.value.problems[0]


LINEAR: dict[str, Any] = {"teacher": "linear", "points": 4, "dimension": 2}


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({}, ("give exactly one of file, teacher",)),
        (LINEAR | {"file": "x.csv"}, ("file and teacher",)),
        ({"file": "x.csv"}, ("missing key in .targets",)),
        ({"file": "x.csv", "targets": [1], "points": 3}, (".points: got 3", "training.data.file")),
        ({"file": "x.csv", "targets": [1], "link": "tanh"}, (".link: got 'tanh'",)),
        ({"file": "x.csv", "targets": [1], "amplitude": 2}, (".amplitude: got 2.0",)),
        ({"file": "x.csv", "targets": []}, ("too few values",)),
        ({"file": "x.csv", "targets": [0]}, ("targets[0]: got 0", "counted from 1")),
        ({"file": "x.csv", "targets": [1, 1]}, ("repeated column in .targets[1]: got 1",)),
        ({"file": "x.csv", "targets": [2], "inputs": [1, 2]}, ("repeated column in .targets[0]",)),
        ({"file": "x.csv", "targets": [1], "sha256": "abc"}, ("hexadecimal",)),
        (LINEAR | {"inputs": [1]}, (".inputs", "training.data.teacher")),
        (LINEAR | {"targets": [1]}, (".targets",)),
        (LINEAR | {"allow_constant": True}, (".allow_constant: got true",)),
        (LINEAR | {"sha256": "0" * 64}, (".sha256",)),
        (LINEAR | {"link": "tanh"}, (".link: got 'tanh'", "teacher is linear")),
        (LINEAR | {"degree": 2}, (".degree: got 2", "teacher is linear")),
        (LINEAR | {"teacher": "polynomial"}, ("missing key in .degree", "'polynomial' needs it")),
        (LINEAR | {"teacher": "single-index"}, ("missing key in .link",)),
        (LINEAR | {"teacher": "single-index", "link": "gelu"}, ("got 'gelu'", "relu, tanh")),
        (LINEAR | {"teacher": "network", "widths": [3]}, ("missing key in .activation",)),
        (LINEAR | {"teacher": "network", "widths": [3], "activation": "silu"}, ("got 'silu'",)),
        ({"teacher": "linear", "points": 4}, ("missing key in .dimension",)),
        ({"teacher": "linear", "dimension": 4}, ("missing key in .points",)),
        (LINEAR | {"teacher": "lineer"}, ("did you mean 'linear'?",)),
        (LINEAR | {"law": "gauss"}, ("law", "normal, uniform or sphere")),
        (LINEAR | {"test": 1.5}, ("test: got 1.5", "fraction")),
        (LINEAR | {"test": -1}, ("test",)),
        (LINEAR | {"noise_variance": -0.1}, ("out of range in noise_variance",)),
        (LINEAR | {"points": 10**5, "test": 1}, ("too many points", "100001 points")),
        (LINEAR | {"points": 10**5, "dimension": 100}, ("too many points",)),
        (
            LINEAR | {"teacher": "network", "widths": [10**4, 10**4], "activation": "tanh"},
            ("teacher too large",),
        ),
        (
            LINEAR | {"teacher": "network", "points": 10**5, "widths": [1000] * 3, "activation": "tanh"},
            ("teacher too slow",),
        ),
    ],
)
def test_impossible_tables_are_refused(keys: dict[str, Any], words: tuple[str, ...]) -> None:
    problem = problem_of(**keys)
    assert all(word in problem for word in words), problem


# ---- in a run ----


def run_card(**data: Any) -> dict[str, Any]:
    return {
        "network": {"widths": [4], "activation": "tanh"},
        "inputs": {"generator": "grid", "count": 3, "dimension": 3},
        "ensemble": {"networks": 10, "seed": 1},
        "training": {"loss": "sum", "algorithm": "gd", "step": 0.1, "steps": 5, "data": data},
    }


def test_stored_data_stand_in_for_the_file(tmp_path: Path) -> None:
    np.savetxt(tmp_path / "x.csv", TABLE, delimiter=",")
    spec = RunSpec.from_dict(run_card(file="x.csv", targets=[4], test=1), folder=tmp_path)
    text, data = spec.to_toml(), spec.dataset()
    assert spec.dataset() is data
    assert f'sha256 = "{data.sha256}"' in text
    again = RunSpec.from_text(text, folder=tmp_path)
    assert again.digest() == spec.digest()
    assert again.to_toml() == text
    (tmp_path / "x.csv").unlink()
    arrays = (data.train_inputs, data.train_targets, data.test_inputs, data.test_targets)
    stored = RunSpec.from_text(text, points=spec.mesh().points, dataset=make_dataset(*arrays))
    assert stored.digest() == spec.digest()
    assert stored.to_toml() == text
    assert plan_run(stored).training == plan_run(spec).training
    with pytest.raises(DataFileError, match="no such data file"):
        RunSpec.from_text(text, folder=tmp_path).dataset()


def test_file_that_was_changed(tmp_path: Path) -> None:
    np.savetxt(tmp_path / "x.csv", TABLE, delimiter=",")
    spec = RunSpec.from_dict(run_card(file="x.csv", targets=[4]), folder=tmp_path)
    text = spec.to_toml()
    np.savetxt(tmp_path / "x.csv", TABLE + 1.0, delimiter=",")
    with pytest.raises(DataFileError, match=r"other data in training\.data"):
        plan_run(RunSpec.from_text(text, folder=tmp_path))
