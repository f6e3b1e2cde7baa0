"""Seconds of compiling: those of new kernels, once, and none for a kernel that is there."""

from __future__ import annotations

import time

import numba
import pytest

from nnft._kernels.compile_time import compile_seconds


def test_only_compiling_counts() -> None:
    @numba.njit
    def inner(number: float) -> float:
        return 2.0 * number

    @numba.njit
    def outer(number: float) -> float:
        return float(inner(number)) + 1.0

    before, begun = compile_seconds(), time.perf_counter()
    assert outer(1.0) == 3.0
    passed, counted = time.perf_counter() - begun, compile_seconds() - before
    assert 0.0 < counted <= passed  # nested kernels are not counted twice
    after = compile_seconds()
    assert outer(2.0) == 5.0
    assert compile_seconds() == after


def test_a_failed_compilation_ends_its_count() -> None:
    @numba.njit
    def refused(number: float) -> float:
        return number.no_such_thing  # type: ignore[attr-defined,no-any-return]

    with pytest.raises(numba.TypingError):
        refused(1.0)
    after = compile_seconds()
    time.sleep(0.01)
    assert compile_seconds() == after
