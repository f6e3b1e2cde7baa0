"""Deliberate faults fit the code: their text stands in it once, and their tests are there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def faults() -> Iterator[list[Any]]:
    """The faults, from a folder of scripts that is no package."""
    before = set(sys.modules)
    sys.path.insert(0, str(TESTS / "mutants"))
    try:
        from faults import FAULTS  # type: ignore[import-not-found]

        yield list(FAULTS)
    finally:
        sys.path.remove(str(TESTS / "mutants"))
        for name in set(sys.modules) - before:
            if name.endswith(("faults", "fault")):
                del sys.modules[name]


def test_the_text_of_every_fault_stands_in_its_file_once(faults: list[Any]) -> None:
    assert len(faults) > 100
    source = TESTS.parent / "src" / "nnft"
    texts = {fault.file: (source / fault.file).read_text(encoding="utf-8") for fault in faults}
    counts = {fault.name: texts[fault.file].count(fault.old) for fault in faults}
    assert {name: count for name, count in counts.items() if count != 1} == {}
    assert all(fault.old != fault.new for fault in faults)


def test_the_test_of_every_fault_is_there(faults: list[Any]) -> None:
    for fault in faults:
        file, _, function = fault.test.partition("::")
        text = (TESTS / file).read_text(encoding="utf-8")
        assert f"def {function.partition('[')[0]}(" in text, fault.test
