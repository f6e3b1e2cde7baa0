"""Reading a run card: TOML text from a file, with every fault told in one line."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from nnft.errors import CardError
from nnft.spec.problems import line, shown
from nnft.spec.regular_file import read_regular

LARGEST_CARD = 2**20
DEEPEST_NESTING = 32
MOST_DIGITS = 4000
REQUIRED = (
    "network.widths, network.activation, one of inputs.points, .file, .generator, and ensemble.networks"
)

# Every branch takes an unclosed rest as well and no quantifier gives back: the time is linear in the text.
_QUOTED = re.compile(
    r'"""(?:\\.|[^"\\]|"(?!""))*+(?:""")?|"(?:\\.|[^"\\\n])*+"?|'
    r"'''(?:[^']|'(?!''))*+(?:''')?|'[^'\n]*+'?|#[^\n]*+",
    re.DOTALL,
)
_LONG_NUMBER = re.compile(rf"[0-9_]{{{MOST_DIGITS},}}+")
_DOTTED = re.compile(rf"(?<![A-Za-z0-9_\"-])(?:[A-Za-z0-9_\"-]++[ \t]*+\.[ \t]*+){{{DEEPEST_NESTING},}}+")
_POSITION = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)


def read_card(path: Path) -> dict[str, Any]:
    """Read a card.

    Parameters
    ----------
    path : Path
        A regular file of at most 1 MiB, UTF-8, with or without a byte-order mark.

    Returns
    -------
    dict
        The tables, not yet validated.

    Raises
    ------
    CardError
        The file is missing, no regular file, too large, not UTF-8, empty, or not TOML.
    """
    return parse_card(read_regular(path, LARGEST_CARD, CardError, "card"), path.name)


def parse_card(data: bytes, name: str) -> dict[str, Any]:
    """Parse the bytes of a card called `name` in messages.

    Raises
    ------
    CardError
        Not UTF-8, empty, nested too deeply, or not TOML.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        got = f"byte 0x{data[error.start]:02x} at position {error.start}"
        raise CardError(line("text not UTF-8", "", got, "save the card as UTF-8", name)) from None
    _refuse_monsters(text, name)
    try:
        card = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CardError(_syntax_error(str(error), text, name)) from None
    except (RecursionError, ValueError) as error:
        raise CardError(line("unreadable TOML", "", shown(str(error)), "write plain tables", name)) from None
    if not card:
        raise CardError(line("empty configuration", "", "no keys", f"required: {REQUIRED}", name))
    return card


def _refuse_monsters(text: str, name: str) -> None:
    """Refuse what makes the parser slow or lets it fail without a position: depth and endless numbers."""
    bare = _QUOTED.sub(_blank, text)
    depth = 0
    for bracket in re.finditer(r"[\[\]{}]", bare):
        depth += 1 if bracket.group() in "[{" else -1
        if depth > DEEPEST_NESTING:
            raise CardError(_at("nested too deeply", bare, bracket.start(), f"{depth} levels", name))
    if found := _DOTTED.search(bare):
        raise CardError(_at("nested too deeply", bare, found.start(), "a key of very many parts", name))
    if found := _LONG_NUMBER.search(bare):
        raise CardError(_at("number too long", bare, found.start(), f"{len(found.group())} digits", name))


def _blank(quoted: re.Match[str]) -> str:
    """Return text of the same length and lines: blanks for a comment, quotation marks for a string."""
    return re.sub(r"[^\n]", " " if quoted.group().startswith("#") else '"', quoted.group())


def _at(what: str, text: str, position: int, got: str, name: str) -> str:
    row = text.count("\n", 0, position) + 1
    column = position - (text.rfind("\n", 0, position) + 1) + 1
    return line(what, f"line {row}, column {column}", got, "see `nnft card --example`", name)


def _syntax_error(message: str, text: str, name: str) -> str:
    rows = text.splitlines() or [""]
    found = _POSITION.fullmatch(message)
    reason, row, column = found.groups() if found else (message, None, None)
    if row is None:
        row, column = str(len(rows)), str(len(rows[-1]) + 1)
    offending = rows[min(int(row), len(rows)) - 1]
    advice = f"{reason[:1].lower()}{reason[1:]}"
    return line("syntax error", f"line {row}, column {column}", shown(offending.strip()), advice, name)
