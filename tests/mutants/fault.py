"""What a deliberate fault is."""

from __future__ import annotations

from typing import NamedTuple


class Fault(NamedTuple):
    """A fault: its name, file below src/nnft, text there and its replacement, test below tests."""

    name: str
    file: str
    old: str
    new: str
    test: str
