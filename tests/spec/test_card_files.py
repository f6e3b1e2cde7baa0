"""Faults of a card as a file and as text: where it is, what it holds, whether it is TOML."""

from __future__ import annotations

import os
import socket
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nnft.errors import CardError
from nnft.spec import RunSpec
from nnft.spec.card import LARGEST_CARD, parse_card

PREFIX = "nnft: error: "

GOOD = """
[network]
widths = [8, 4]
activation = "tanh"
[inputs]
points = [[1.0, 2.0], [0.5, -1.0]]
[ensemble]
networks = 1000
seed = 7
"""


def only_refusal(text: str) -> str:
    """Return the one line with which a text is refused."""
    with pytest.raises(CardError) as caught:
        RunSpec.from_text(text, name="run.toml")
    assert caught.value.exit_code == 2
    (line,) = caught.value.problems
    assert len(PREFIX + line) <= 200
    assert line.isprintable()
    return line


def test_missing_file_names_path_and_working_directory(tmp_path: Path) -> None:
    with pytest.raises(CardError, match=r"no such card.*nothing\.toml.*working directory"):
        RunSpec.from_card(tmp_path / "nothing.toml")


def test_directory(tmp_path: Path) -> None:
    with pytest.raises(CardError, match="a directory"):
        RunSpec.from_card(tmp_path)


def test_fifo_does_not_block(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo.toml"
    os.mkfifo(fifo)
    started = time.monotonic()
    with pytest.raises(CardError, match="a FIFO"):
        RunSpec.from_card(fifo)
    assert time.monotonic() - started < 2.0


def test_socket_and_device_and_link_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s.toml")
        with pytest.raises(CardError, match="a socket"):
            RunSpec.from_card("s.toml")
    with pytest.raises(CardError, match="a device"):
        RunSpec.from_card("/dev/zero")
    Path("loop.toml").symlink_to("loop.toml")
    with pytest.raises(CardError, match="a loop of links"):
        RunSpec.from_card("loop.toml")


@pytest.mark.parametrize("name", ["a\0b.toml", "x" * 300 + ".toml", "d/" * 3000 + "x.toml"])
def test_impossible_paths(name: str) -> None:
    with pytest.raises(CardError) as caught:
        RunSpec.from_card(name)
    assert len(PREFIX + str(caught.value)) <= 200


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Root reads every file: become somebody else for a moment."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_unreadable_file() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        card = Path(folder) / "card.toml"
        card.write_text(GOOD)
        assert RunSpec.from_card(card).ensemble.networks > 0
        card.chmod(0)
        with pytest.raises(CardError, match="not readable"), ordinary_user():
            RunSpec.from_card(card)


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "\ufeff"])
def test_empty_card_lists_the_required_keys(text: str) -> None:
    line = only_refusal(text)
    assert "empty configuration" in line
    for key in ("network.widths", "network.activation", "inputs.points", "ensemble.networks"):
        assert key in line


def test_not_utf8(tmp_path: Path) -> None:
    card = tmp_path / "card.toml"
    card.write_bytes(GOOD.encode() + b"# \xe9\n")
    position = len(GOOD.encode()) + 2
    with pytest.raises(CardError, match=f"position {position}; save the card as UTF-8"):
        RunSpec.from_card(card)


def test_byte_order_mark_is_stripped(tmp_path: Path) -> None:
    card = tmp_path / "card.toml"
    card.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert RunSpec.from_card(card).digest() == RunSpec.from_text(GOOD).digest()


@pytest.mark.parametrize(
    ("text", "row", "column", "offending"),
    [
        ("[network]\nwidths = [8,, 4]\n", 2, 13, "widths = [8,, 4]"),
        ("[network\n", 1, 9, "[network"),
        ('[network]\nactivation = "tanh\n', 2, 19, "tanh"),
        ("a = 1 b = 2\n", 1, 7, "a = 1 b = 2"),
        ("a = 1\n= 3\n", 2, 1, "= 3"),
        ("a = 1\n\x00\n", 2, 1, "x00"),
    ],
)
def test_syntax_error_has_line_column_and_text(text: str, row: int, column: int, offending: str) -> None:
    line = only_refusal(text)
    assert f"line {row}, column {column}" in line
    assert offending in line


def test_duplicate_key_and_table() -> None:
    assert "overwrite" in only_refusal("a = 1\na = 2\n")
    assert "line 3" in only_refusal("[network]\nkind='mlp'\n[network]\n")


def test_integer_of_5000_digits() -> None:
    line = only_refusal("a = 1\n[ensemble]\nnetworks = " + "9" * 5000 + "\n")
    assert "line 3, column 12" in line
    assert "5000 digits" in line


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 5000 + "]" * 5000,
        "a = " + "{b = " * 5000,
        "a." * 5000 + "a = 1",
        "[" + "a." * 300_000 + "a]\n",
        '"a" . ' * 300 + "a = 1",
    ],
)
def test_nesting_is_refused_quickly(text: str) -> None:
    started = time.monotonic()
    assert "nested too deeply" in only_refusal(text)
    assert time.monotonic() - started < 2.0


def test_brackets_in_text_and_comments_do_not_nest() -> None:
    card = GOOD.replace("seed = 7", "seed = 7 # " + "[" * 100)
    assert RunSpec.from_text(card).ensemble.seed == 7
    line = only_refusal(GOOD + 'method = "' + "[" * 100 + '"\n')
    assert "unknown value" in line


def test_large_card_is_refused_before_reading(tmp_path: Path) -> None:
    card = tmp_path / "card.toml"
    with card.open("wb") as file:
        file.truncate(2**30)
    tracemalloc.start()
    with pytest.raises(CardError, match=f"too large: got {2**30} bytes; at most {LARGEST_CARD}"):
        RunSpec.from_card(card)
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()


def test_card_of_a_newer_version() -> None:
    assert "got 2; supported: 1" in only_refusal("version = 2\n" + GOOD)
    assert RunSpec.from_text("version = 1\n" + GOOD).digest() == RunSpec.from_text(GOOD).digest()


@pytest.mark.parametrize(
    "text",
    [
        "9" * 10**6,
        "a." * 10**5 + "=",
        ("a" * 900 + " ") * 1000,
        '"' + '\\"' * 500_000,
        '"\\' + '""\\' * 300_000,
        'x = """' + '"" ' * 300_000,
        "x = '''" + "'' " * 300_000,
        "-" * 10**6,
    ],
)
def test_hostile_text_takes_linear_time(text: str) -> None:
    started = time.process_time()
    with pytest.raises(CardError):
        parse_card(text.encode(), "run.toml")
    assert time.process_time() - started < 20.0
