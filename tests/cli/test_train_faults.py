"""What ``nnft train`` refuses: one clear line, the exit code of its kind, and no file left."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import Nnft, refused
from training_cards import TEACHER, training_text

X = np.array([[0.3, -1.0], [1.2, 0.4], [-0.7, 0.9], [0.1, 0.2], [2.0, -0.5], [-1.1, 1.4]])
Y = X @ [1.0, -1.0]
CSV = 'targets = ["t"]'
NPY = 'file = "x.npy"\ntargets = "y.npy"'


def table(header: str = "a,b,t", **changes: str) -> bytes:
    """Return a table of X and Y; ``r4="1,2"`` changes the fourth line of numbers."""
    lines = [",".join(map(str, [*x, y])) for x, y in zip(X, Y, strict=True)]
    for place, line in changes.items():
        lines[int(place[1:]) - 1] = line
    return "\n".join([header, *lines, ""]).encode()


def column(number: int, value: float) -> bytes:
    """Return the table with one column of equal numbers."""
    full = np.column_stack([X, Y])
    full[:, number] = value
    return "\n".join(["a,b,t", *(",".join(map(str, row)) for row in full), ""]).encode()


def npy(array: np.ndarray[Any, Any]) -> bytes:
    stream = BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def with_nan(row: int) -> np.ndarray[Any, Any]:
    changed = Y.copy()
    changed[row] = np.nan
    return changed


Files = dict[str, bytes]
DATA: dict[str, tuple[Files, str, int, tuple[str, ...]]] = {
    "nan in a csv": (
        {"d.csv": table(r3="1,2,nan")},
        CSV,
        3,
        ("d.csv, row 4, column 3", "got 'nan'", "give finite numbers"),
    ),
    "infinity in a csv": ({"d.csv": table(r3="1,-inf,2")}, CSV, 3, ("d.csv, row 4, column 2", "got '-inf'")),
    "gap in a csv": ({"d.csv": table(r4="1,2,")}, CSV, 3, ("empty cell in d.csv, row 5, column 3",)),
    "word in a csv": ({"d.csv": table(r4="1,2,many")}, CSV, 3, ("d.csv, row 5, column 3", "'many'")),
    "short row of a csv": ({"d.csv": table(r4="1,2")}, CSV, 3, ("ragged table in d.csv, row 5",)),
    "nan in a npy": (
        {"x.npy": npy(X), "y.npy": npy(with_nan(4))},
        NPY,
        3,
        ("y.npy, row 5, column 1", "got nan"),
    ),
    "targets too short": (
        {"x.npy": npy(X), "y.npy": npy(Y[:5])},
        NPY,
        3,
        (
            "another number of rows in training.data.targets",
            "got 5 rows in 'y.npy'",
            "training.data.file has 6",
        ),
    ),
    "torn file": (
        {"x.npy": npy(X)[:-8], "y.npy": npy(Y)},
        NPY,
        3,
        ("truncated in x.npy", "got 88 bytes", "expected 96"),
    ),
    "python objects": (
        {"x.npy": npy(X), "y.npy": npy(np.array([None] * 6, dtype=object))},
        NPY,
        3,
        ("Python objects in y.npy",),
    ),
    "no such file": ({}, CSV, 3, ("no such data file", "d.csv", "working directory is")),
    "empty file": ({"d.csv": b""}, CSV, 3, ("no points in d.csv",)),
    "constant input": (
        {"d.csv": column(1, 1.5)},
        CSV,
        3,
        ("constant input in d.csv, column 2", "got 1.5 in all 6 rows", "training.data.allow_constant = true"),
    ),
    "constant input to be scaled": (
        {"d.csv": column(1, 1.5)},
        f'{CSV}\nallow_constant = true\nscale = "standardize"',
        2,
        ("impossible scale in training.data.scale", "d.csv", "use none or unit-norm"),
    ),
    "constant targets to be scaled": (
        {"d.csv": column(2, 2.5)},
        f'{CSV}\ntarget_scale = "unit-variance"',
        2,
        ("impossible scale in training.data.target_scale", "d.csv", "use none"),
    ),
    "another dimension": (
        {"d.csv": table()},
        f'{CSV}\ninputs = ["a"]',
        2,
        ("in inputs: got points of dimension 2; the data have 1",),
    ),
    "no file of targets": (
        {"d.csv": table()},
        'inputs = ["a", "b"]\ntargets = "y.csv"',
        3,
        ("no such", "y.csv"),
    ),
    "missing column": ({"d.csv": table()}, 'targets = ["u"]', 2, ("got 'u'; names in the file: a, b, t",)),
    "column beyond the last": ({"d.csv": table()}, "targets = [4]", 2, ("got 4; allowed: 1 to 3",)),
    "two columns of one name": (
        {"d.csv": table(header="t,b,t")},
        CSV,
        2,
        ("column name given twice in training.data.targets[0]: got 't'",),
    ),
    "all held out": (
        {"d.csv": table()},
        f"{CSV}\ntest = 6",
        2,
        ("training.data.test", "6 of 6 rows held out"),
    ),
    "other data": (
        {"d.csv": table()},
        f'{CSV}\nsha256 = "0123456789ab"',
        3,
        ("other data in training.data", "sha256 says 0123456789ab"),
    ),
}
CARDS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "gd step": ({"lines": "step = 50.0\nsteps = 20"}, ("in training.step: got 50; allowed: below 0.5945,",)),
    "langevin step": (
        {"name": "langevin", "lines": "ridge = 0.1\nstep = 50.0\ndraws = 20"},
        ("step above the stability limit", "got 50; allowed: below 0.5773, the stability limit at curvature"),
    ),
    "underdamped step": (
        {"name": "underdamped", "lines": "ridge = 0.1\nstep = 50.0\ndraws = 20"},
        ("step above the stability limit", "allowed: below 1.075"),
    ),
    "no heat": (
        {"name": "hmc", "lines": "temperature = 0.0\ndraws = 20"},
        ("training.temperature: got 0.0; allowed: above 0", "use gd or gradient-flow"),
    ),
    "no ridge": (
        {"name": "exact", "lines": 'trainable = "readout"\nridge = 0.0'},
        ("training.ridge: got 0.0", "use gd or gradient-flow"),
    ),
    "neither": (
        {"name": "mala", "lines": "draws = 20"},
        ("training.temperature: got nothing", "mala needs training.temperature or training.ridge"),
    ),
    "exact on all layers": (
        {"name": "exact", "lines": "ridge = 0.1"},
        ("training.trainable: got 'all'; exact needs trainable = \"readout\"",),
    ),
    "large batch": (
        {"name": "sgd", "lines": "step = 0.1\nsteps = 3\nbatch_size = 6"},
        ("training.batch_size: got 6; allowed: at most 5, the training points",),
    ),
    "too many chains": (
        {"name": "hmc", "lines": "ridge = 0.1\ndraws = 3\nchains = 1025"},
        ("training.chains: got 1025; allowed: a whole number from 1 to 1024",),
    ),
    "key twice": (
        {"lines": "step = 0.1\nstep = 0.2\nsteps = 3"},
        ("syntax error in card.toml, line 22", "cannot overwrite a value"),
    ),
    "key of another algorithm": (
        {"lines": "step = 0.1\nsteps = 3\nchains = 2"},
        ("training.chains: got 2; leave it out: training.algorithm is gd",),
    ),
    "no such layer": (
        {"lines": "step = 0.1\nsteps = 3\ntrainable = [3]"},
        ("training.trainable[0]: got 3; allowed: 1 to 2",),
    ),
    "no such output": (
        {"lines": "step = 0.1\nsteps = 3\nobserve = 1"},
        ("training.observe: got 1; allowed: 0 to 0",),
    ),
    "late snapshot": (
        {"lines": "step = 0.1\nsteps = 3\nsnapshots = [5]"},
        ("training.snapshots[0]: got 5; allowed: at most 3",),
    ),
    "two targets": (
        {"data": f"{TEACHER}\noutputs = 2"},
        ("in network.outputs: got 1; allowed: 2, the targets of",),
    ),
    "two sources": (
        {"data": f'{TEACHER}\nfile = "d.csv"'},
        ("training.data: got file and teacher; give exactly one",),
    ),
    "single precision": ({"ensemble": 'precision = "float32"'}, ("got ensemble.precision float32",)),
}
LINES: dict[str, tuple[tuple[str, str], tuple[str, ...]]] = {
    "no loss": (('loss = "half-sum"\n', ""), ("missing key in card.toml, training.loss", "no default")),
    "loss of another program": (('"half-sum"', '"mse"'), ("training.loss: got 'mse'; did you mean 'mean'?",)),
    "algorithm": (('"gd"', '"adam"'), ("training.algorithm: got 'adam'; allowed: one of gd, sgd,",)),
    "table twice": (("[training.data]", "[training]\n[training.data]"), ("syntax error", "twice")),
    "no data": (("[training.data]\n" + TEACHER, ""), ("training.data: got nothing; give a table",)),
}


def nothing_left(nnft: Nnft, before: set[Path]) -> None:
    """Assert that a refusal left no file."""
    assert set(nnft.folder.iterdir()) == before


def refused_card(nnft: Nnft, text: str, code: int, words: tuple[str, ...]) -> None:
    (nnft.folder / "card.toml").write_text(text, encoding="utf-8")
    before = set(nnft.folder.iterdir())
    refused(nnft("train", "card.toml", "-o", "run.h5"), code, *words)
    nothing_left(nnft, before)


@pytest.mark.first(5)
@pytest.mark.parametrize("fault", list(DATA))
def test_every_fault_of_the_data(nnft: Nnft, fault: str) -> None:
    files, data, code, words = DATA[fault]
    for name, content in files.items():
        (nnft.folder / name).write_bytes(content)
    source = "" if "file = " in data else 'file = "d.csv"\n'
    refused_card(nnft, training_text(data=source + data), code, words)


def test_good_data_are_not_refused(nnft: Nnft) -> None:
    """The tables that the faults above are put into; constant targets are no fault."""
    contents = {"d.csv": table(), "x.npy": npy(X), "y.npy": npy(Y), "level.csv": column(2, 2.5)}
    for name, content in contents.items():
        (nnft.folder / name).write_bytes(content)
    digests = []
    for data in (f'file = "d.csv"\n{CSV}', NPY, f'file = "level.csv"\n{CSV}'):
        (nnft.folder / "card.toml").write_text(training_text(data=data), encoding="utf-8")
        checked = nnft("check", "card.toml")
        assert (checked.code, checked.err) == (0, ""), checked
        digests.append([line for line in checked.out.splitlines() if "sha256" in line])
    assert digests[0]
    assert [line[-12:] for line in digests[0]] == [line[-12:] for line in digests[1]]
    assert digests[2] != digests[0]


@pytest.mark.first(5)
@pytest.mark.parametrize("fault", list(CARDS))
def test_every_fault_of_the_training(nnft: Nnft, fault: str) -> None:
    keys, words = CARDS[fault]
    refused_card(nnft, training_text(**keys), 2, words)


@pytest.mark.first(2)
@pytest.mark.parametrize("fault", list(LINES))
def test_every_fault_of_the_lines(nnft: Nnft, fault: str) -> None:
    (old, new), words = LINES[fault]
    text = training_text()
    assert old in text
    refused_card(nnft, text.replace(old, new), 2, words)


def test_data_files_that_are_no_files(nnft: Nnft) -> None:
    makers: dict[str, Callable[[Path], None]] = {
        "folder.csv": Path.mkdir,
        "fifo.csv": os.mkfifo,
        "loop.csv": lambda path: path.symlink_to(path),
    }
    for name, make in makers.items():
        make(nnft.folder / name)
        refused_card(nnft, training_text(data=f'file = "{name}"\n{CSV}'), 3, (name,))
    words = ("'x.pt'", "pickles and archives are never opened")
    refused_card(nnft, training_text(data=f'file = "x.pt"\n{CSV}'), 3, words)


def test_output_that_is_a_file_of_the_data(nnft: Nnft) -> None:
    for name, content in {"x.npy": npy(X), "y.npy": npy(Y)}.items():
        (nnft.folder / name).write_bytes(content)
    (nnft.folder / "card.toml").write_text(training_text(data=NPY), encoding="utf-8")
    for name in ("x.npy", "y.npy"):
        before = (nnft.folder / name).read_bytes()
        refused(nnft("train", "card.toml", "-o", name, "--overwrite"), 2, "is the input file", name)
        assert (nnft.folder / name).read_bytes() == before


def test_more_chains_than_memory_says_how_many_fit(nnft: Nnft) -> None:
    lines = "ridge = 0.1\nstep = 0.01\nburn_in = 1\ndraws = 3000\nchains = 1024"
    (nnft.folder / "card.toml").write_text(training_text("langevin", lines), encoding="utf-8")
    few = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))}
    end = nnft("train", "card.toml", "-o", "run.h5", "--threads", "1", **few)
    refused(end, 4, "too little memory", "got 8192 members", "MiB;", "fit: lower training.chains")
    each, fit = end.err.split("members of ")[1].split(" fit:")[0].split(" MiB; ")
    assert 0.1 * 2**30 < int(fit) * float(each) * 2**20 < 2**30
    assert [entry.name for entry in nnft.folder.iterdir()] == ["card.toml"]


def test_card_without_a_training(nnft: Nnft) -> None:
    text = training_text()
    refused_card(nnft, text[: text.index("[training]")], 2, ("no training in card.toml", "use nnft sample"))


def test_samples_of_a_training_card_are_those_before_the_training(nnft: Nnft) -> None:
    (nnft.folder / "card.toml").write_text(training_text(), encoding="utf-8")
    refused(nnft("sample", "card.toml", "-o", "run.h5"), 2, "[training]", "use nnft train, or --prior")
    assert not (nnft.folder / "run.h5").exists()
    prior = nnft("sample", "card.toml", "-o", "run.h5", "--prior", "--quiet")
    assert prior.code == 0, prior
    assert "training" not in nnft("show", "run.h5").out
    other = nnft("train", "card.toml", "-o", "run.h5", "--resume")
    assert other.code == 2
    assert "another value in training.algorithm: got gd; the file has none" in other.err
    assert "another value in estimate.layer_pairs" in other.err
    assert len(other.lines) == 2  # one key stands for a table
