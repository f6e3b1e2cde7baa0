"""What the command refuses: cards, command lines, data files; one clear line and an exit code each."""

from __future__ import annotations

import hashlib
import os
import pickle
import socket
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
from command_line import Nnft, Outcome, card_text, finish, refused

GOOD = card_text()
CARDS: dict[str, tuple[str | bytes, tuple[str, ...]]] = {
    "empty": ("", ("empty configuration", "network.widths")),
    "not utf-8": (GOOD.encode() + b"# \xff", ("byte 0xff", "save the card as UTF-8")),
    "syntax": (GOOD.replace("[network]", "[network"), ("syntax error", "line 2")),
    "unknown key": (GOOD.replace("widths", "widhts"), ("network.widhts", "did you mean 'widths'?")),
    "key twice": (GOOD.replace('"tanh"', '"tanh"\nactivation = "erf"'), ("syntax error", "line 5")),
    "text": (GOOD.replace("= 400", '= "400"'), ("ensemble.networks", "got '400'")),
    "truth": (GOOD.replace("= 400", "= true"), ("ensemble.networks", "got true")),
    "zero width": (GOOD.replace("[8, 8]", "[8, 0]"), ("network.widths", "got 0")),
    "negative": (GOOD.replace("= 400", "= -1"), ("ensemble.networks", "got -1")),
    "fraction": (GOOD.replace("= 400", "= 1000.5"), ("ensemble.networks", "got 1000.5")),
    "nan": (GOOD.replace("= 30.0", "= nan"), ("store.checkpoint_seconds", "got nan")),
    "infinity": (GOOD.replace("0.2", "inf"), ("inputs.points", "inf")),
    "beyond 64 bits": (GOOD.replace("= 400", f"= {2**63}"), ("ensemble.networks", str(2**63))),
    "5000 digits": (GOOD.replace("= 400", "= " + "9" * 5000), ("number too long", "5000 digits")),
    "nested": (GOOD.replace("[8, 8]", "[" * 5000 + "]" * 5000), ("nested too deeply",)),
    "yaml": ("network: {widths: [8]}", ("syntax error", "line 1")),
    "contradiction": (GOOD.replace("fields = 0", "fields = 401"), ("store.fields", "ensemble.networks")),
    "seed": (GOOD.replace("seed = ", "seed = -"), ("ensemble.seed",)),
    "seed of 129 bits": (GOOD.replace("seed = 20240601", f"seed = {2**128}"), ("ensemble.seed",)),
    "newer version": ("version = 99\n" + GOOD, ("newer version", "got 99", "supported: 1")),
    "activation": (GOOD.replace('"tanh"', '"tahn"'), ("network.activation", "did you mean 'tanh'?")),
    "no memory for it": (
        GOOD.replace("[[1.0, 0.5], [0.2, -1.0]]", str([[float(k)] for k in range(64)])).replace(
            "[2, 4]", "[6]"
        ),
        ("estimate.correlators",),
    ),
}


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _npy(array: np.ndarray) -> bytes:
    from io import BytesIO

    stream = BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def _header(shape: str) -> bytes:
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + bytes(64)


def _bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("points.npy", _header("(1000, 1000)") + bytes(8_000_000))


def _socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path.name)
    finally:
        os.chdir(here)


FILES: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "missing.npy": (lambda path: None, ("no such",)),
    "short.npy": (
        lambda path: _write(path, _npy(np.ones((2, 2)))[:-8]),
        ("truncated", "got 24 bytes", "expected 32"),
    ),
    "objects.npy": (lambda path: _write(path, _npy(np.array([[None]], dtype=object))), ("Python objects",)),
    "large.npy": (
        lambda path: _write(path, _npy(np.ones((2, 2))).replace(b"(2, 2)", b"(2, 9**9)")),
        ("header",),
    ),
    "huge.npy": (
        lambda path: _write(path, _header("(1152921504606846976, 4)")),
        ("too many numbers", "got 4611686018427387904"),
    ),
    "negative.npy": (lambda path: _write(path, _header("(-2, 2)")), ("(-2, 2)",)),
    "model.pt": (lambda path: _write(path, pickle.dumps([[1.0]])), (".pt",)),
    "model.pkl": (lambda path: _write(path, pickle.dumps([[1.0]])), (".pkl",)),
    "pickle.npy": (lambda path: _write(path, pickle.dumps([[1.0]])), ("npy",)),
    "bomb.npz": (_bomb, (".npz",)),
    "ragged.csv": (lambda path: _write(path, b"1,2\n3\n"), ("row 2",)),
    "words.csv": (lambda path: _write(path, b"1,2\n3,four\n"), ("row 2, column 2", "four")),
    "commas.csv": (lambda path: _write(path, b"1,5;2\n3,4;1\n"), ("row 1",)),
    "empty.csv": (lambda path: _write(path, b""), ("empty.csv",)),
    "fifo.csv": (os.mkfifo, ("a FIFO",)),
    "folder.csv": (Path.mkdir, ("a directory",)),
    "loop.csv": (lambda path: path.symlink_to(path), ("loop",)),
    "socket.csv": (_socket, ("a socket",)),
    "text.h5:/points": (lambda path: _write(path, b"no HDF5"), ("text.h5",)),
}


def all_of(commands: list[Callable[[], Outcome]]) -> list[Outcome]:
    """Run commands two at a time."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda command: command(), commands))


def test_every_fault_of_a_card(nnft: Nnft) -> None:
    names = list(CARDS)
    for name, (text, _) in CARDS.items():
        content = text if isinstance(text, bytes) else text.encode()
        (nnft.folder / f"{name}.toml").write_bytes(content)
    ends = all_of([lambda name=name: nnft("check", f"{name}.toml") for name in names])
    for name, end in zip(names, ends, strict=True):
        lines = 2 if name == "unknown key" else 1
        refused(end, 2, *CARDS[name][1], lines=lines)
        assert end.seconds < 20, name
    assert sorted(entry.suffix for entry in nnft.folder.iterdir()) == [".toml"] * len(names)


def test_cards_that_look_faulty_and_are_not(nnft: Nnft) -> None:
    texts = ["\ufeff" + GOOD, GOOD.replace("= 400", "= 4e2"), GOOD.replace("\n", "\r\n")]
    for number, text in enumerate(texts):
        (nnft.folder / f"{number}.toml").write_bytes(text.encode())
    ends = all_of([lambda number=number: nnft("check", f"{number}.toml") for number in range(3)])
    assert [(end.code, end.err) for end in ends] == [(0, "")] * 3


def test_card_files_that_are_no_cards(nnft: Nnft) -> None:
    os.mkfifo(nnft.folder / "fifo.toml")
    (nnft.folder / "folder.toml").mkdir()
    with (nnft.folder / "large.toml").open("wb") as file:
        file.truncate(1 << 30)
    wanted = {
        "none.toml": ("no such card", "working directory is"),
        "fifo.toml": ("a FIFO",),
        "folder.toml": ("a directory",),
        "large.toml": ("too large",),
    }
    ends = all_of([lambda name=name: nnft("sample", name, "-o", "run.h5") for name in wanted])
    for end, (name, words) in zip(ends, wanted.items(), strict=True):
        refused(end, 2, name, *words)
    assert not (nnft.folder / "run.h5").exists()


def test_all_mistakes_of_a_card_come_at_once(nnft: Nnft) -> None:
    text = GOOD.replace('"tanh"', '"tahn"').replace("= 400", "= 0").replace("[2, 4]", "[3]")
    (nnft.folder / "card.toml").write_text(text, encoding="utf-8")
    refused(nnft("sample", "card.toml", "-o", "run.h5"), 2, "activation", "networks", "correlators", lines=3)


def test_every_fault_of_a_points_file(nnft: Nnft) -> None:
    for number, (name, (make, _)) in enumerate(FILES.items()):
        make(nnft.folder / name.partition(":")[0])
        nnft.card(f"{number}.toml", points=f'file = "{name}"')
    ends = all_of([lambda number=number: nnft("check", f"{number}.toml") for number in range(len(FILES))])
    for end, (name, (_, words)) in zip(ends, FILES.items(), strict=True):
        refused(end, 3, name.partition(":")[0], *words)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("samlpe",), ("'samlpe'", "Did you mean sample?")),
        (("sample", "card.toml", "--ouptut", "x"), ("--ouptut", "--output")),
        (("sample", "card.toml"), ("--output",)),
        (("sample", "card.toml", "-o", "run.h5", "--threads", "1", "--threads", "2"), ("--threads", "twice")),
        (("sample", "card.toml", "-o", "a.h5", "-o", "b.h5"), ("--output", "twice")),
        (("sample", "card.toml", "-o", "run.h5", "--threads", "abc"), ("--threads", "'abc'")),
        (("sample", "card.toml", "-o", "run.h5", "--max-time", "-3"), ("--max-time", "'-3'")),
        (("show",), ("RUN",)),
        (("show", "a.h5", "b.h5"), ("b.h5",)),
        (("card", "--example", "deep-rleu"), ("deep-rleu", "deep-relu")),
    ],
)
def test_command_lines_that_mean_nothing(
    nnft: Nnft, words: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    nnft.card()
    refused(nnft(*words), 2, *expected)
    assert [entry.name for entry in nnft.folder.iterdir()] == ["card.toml"]


def test_no_arguments_print_the_usage_on_standard_error(nnft: Nnft) -> None:
    end = nnft()
    assert (end.code, end.out) == (2, "")
    assert end.err.startswith("Usage: nnft")


def test_threads_beyond_what_was_granted(nnft: Nnft) -> None:
    nnft.card()
    for count in ("0", "999999"):
        refused(
            nnft("sample", "card.toml", "-o", "run.h5", "--threads", count),
            2,
            f"got {count};",
            "allowed 1 to",
        )
    one = {"SLURM_CPUS_PER_TASK": "1"}
    refused(nnft("sample", "card.toml", "-o", "run.h5", "--threads", "2", env=one), 2, "allowed 1 to 1")
    refused(
        nnft("sample", "card.toml", "-o", "run.h5", env={"SLURM_CPUS_PER_TASK": "x"}),
        2,
        "SLURM_CPUS_PER_TASK",
    )
    assert not (nnft.folder / "run.h5").exists()


def test_output_that_must_not_be_written(nnft: Nnft) -> None:
    card = nnft.card()
    precious = b"years of work"
    (nnft.folder / "run.h5").write_bytes(precious)
    (nnft.folder / "link.toml").symlink_to(card)
    (nnft.folder / "folder").mkdir()
    os.link(card, nnft.folder / "hard.toml")
    before = hashlib.sha256(card.read_bytes()).digest()
    cases: list[tuple[tuple[str, ...], int, tuple[str, ...]]] = [
        (("run.h5",), 2, ("'run.h5'", "--overwrite or --resume")),
        (("run.h5", "--resume", "--overwrite"), 2, ("--overwrite and --resume",)),
        (("run.h5", "--resume"), 3, ("run.h5",)),
        (("none.h5", "--resume"), 3, ("nothing to resume", "none.h5")),
        (("none/run.h5",), 2, ("folder", "'none'")),
        (("folder", "--overwrite"), 2, ("not a regular file", "'folder'")),
        (("card.toml", "--overwrite"), 2, ("is the card",)),
        (("link.toml", "--overwrite"), 2, ("is the card",)),
        (("hard.toml", "--overwrite"), 2, ("is the card",)),
        (("n" * 300,), 2, ("nnn",)),
        (("d/" * 2500 + "run.h5",), 2, ("d/d/",)),
    ]
    ends = all_of([lambda words=words: nnft("sample", "card.toml", "-o", *words) for words, _, _ in cases])
    for end, (_, code, expected) in zip(ends, cases, strict=True):
        refused(end, code, *expected)
    assert (nnft.folder / "run.h5").read_bytes() == precious
    assert hashlib.sha256(card.read_bytes()).digest() == before
    names = sorted(entry.name for entry in nnft.folder.iterdir())
    assert names == ["card.toml", "folder", "hard.toml", "link.toml", "run.h5"]


def test_output_that_is_the_file_of_the_points(nnft: Nnft) -> None:
    with h5py.File(nnft.folder / "points.h5", "w") as file:
        file["x"] = np.eye(2)
    before = (nnft.folder / "points.h5").read_bytes()
    nnft.card(points='file = "points.h5:/x"')
    refused(nnft("sample", "card.toml", "-o", "points.h5", "--overwrite"), 2, "is the input file")
    assert (nnft.folder / "points.h5").read_bytes() == before


def test_strange_paths_work_or_are_quoted(nnft: Nnft) -> None:
    nnft.card()
    for name in ("with blank.h5", "quote'\".h5", "new\nline.h5", "-dash.h5", os.fsdecode(b"byte\xff.h5")):
        done = nnft("sample", "card.toml", "-o", name, "--quiet", "--max-time", "0")
        if done.code == 2:
            refused(done, 2)
        else:
            assert done.code == 75, done
            assert (nnft.folder / name).exists()
            assert len(done.lines) == 1
    assert [
        entry.name for entry in nnft.folder.iterdir() if "partial" in entry.name or "lock" in entry.name
    ] == []


def test_resume_with_another_card_names_every_changed_key(nnft: Nnft) -> None:
    stopped = nnft("sample", nnft.card(networks=100_000), "-o", "run.h5", "--max-time", "0", "--quiet")
    assert stopped.code == 75
    before = (nnft.folder / "run.h5").read_bytes()
    nnft.card("width.toml", networks=100_000, widths="[8, 9]", seed=7)
    nnft.card("points.toml", networks=100_000, points="points = [[1.0, 0.5], [0.2, -1.5]]")
    nnft.card("precision.toml", networks=100_000, activation="erf", ensemble='precision = "float32"')
    wanted = {
        "width.toml": ("network.widths: got [8, 9]; the file has [8, 8]", "ensemble.seed"),
        "points.toml": ("inputs",),
        "precision.toml": ("network.activation: got erf; the file has tanh", "ensemble.precision"),
    }
    for name, keys in wanted.items():
        refused(nnft("sample", name, "-o", "run.h5", "--resume"), 2, *keys, lines=len(keys))
    assert (nnft.folder / "run.h5").read_bytes() == before
    nnft.card("same.toml", networks=100_000, checkpoint_seconds=5)
    assert nnft("sample", "same.toml", "-o", "run.h5", "--resume", "--quiet").code == 0


def test_reading_commands_refuse_what_is_no_result(nnft: Nnft) -> None:
    (nnft.folder / "text.h5").write_text("no HDF5", encoding="utf-8")
    (nnft.folder / "empty.h5").touch()
    with h5py.File(nnft.folder / "foreign.h5", "w") as file:
        file["x"] = 1.0
    (nnft.folder / "folder.h5").mkdir()
    os.mkfifo(nnft.folder / "fifo.h5")
    names = ("text.h5", "empty.h5", "foreign.h5", "folder.h5", "fifo.h5", "none.h5")
    cases = [("show", name) for name in names] + [("status", "none.h5"), ("verify", "fifo.h5")]
    ends = all_of([lambda words=words: nnft(*words) for words in cases])
    for end, (_, name) in zip(ends, cases, strict=True):
        refused(end, 3, name)


def test_closed_and_full_standard_output(nnft: Nnft) -> None:
    nnft.card()
    with Path("/dev/full").open("w") as full:
        ended = nnft("sample", "card.toml", "-o", "run.h5", stdout=full)
    assert ended.code == 4
    assert len(ended.lines) == 1
    shown = nnft("show", "run.h5", "--json")
    assert '"complete": true' in shown.out
    closed = nnft("show", "run.h5", prefix=("sh", "-c", 'exec nnft "$@" >&-', "sh"), env=_with_path())
    assert (closed.code, closed.err) == (0, "")
    head = nnft.start("show", "run.h5", prefix=("sh", "-c", 'nnft "$@" | head -1', "sh"), env=_with_path())
    end = finish(head)
    assert (end.code, end.err, end.out.count("\n")) == (0, "", 1)


def _with_path() -> dict[str, str]:
    from command_line import SCRIPT

    return {"PATH": f"{SCRIPT.parent}{os.pathsep}{os.environ['PATH']}"}
