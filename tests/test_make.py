"""`make` on a machine that lacks something: one line that says what, before anything is installed.

And the tests of `make test` on the processors that were granted.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
GRANTED = sorted(os.sched_getaffinity(0))


def make(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run make in the project's folder, free of the settings of a surrounding make."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    inherited.pop("CC", None)
    command = ["make", "--no-print-directory", "-C", str(ROOT), *arguments]
    settings = inherited | environment
    return subprocess.run(command, env=settings, capture_output=True, text=True, timeout=60, check=False)


def own_lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What the Makefile itself printed on standard error, without make's own epilogue."""
    return [line for line in done.stderr.splitlines() if not line.startswith("make")]


def wrapper(folder: Path, pattern: str) -> Path:
    """An interpreter that fails when its ``-c`` text contains `pattern`."""
    path = folder / "python"
    path.write_text(f'#!/bin/sh\ncase "$2" in *{pattern}*) exit 1 ;; esac\nexec "{sys.executable}" "$@"\n')
    path.chmod(0o755)
    return path


def test_complete_machine_passes() -> None:
    done = make("preflight", f"PYTHON={sys.executable}")
    assert (done.returncode, own_lines(done)) == (0, [])


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("CC=/nowhere/cc", "no C compiler"),
        ("CC=false", "cannot compile"),
        ("PYTHON=/nowhere/python", "not a Python >= 3.11"),
        ("PYTHON=false", "not a Python >= 3.11"),
        ("PYTHON=", "no Python >= 3.11"),
    ],
)
def test_missing_tools_are_named(setting: str, words: str) -> None:
    done = make("preflight", setting)
    assert done.returncode != 0
    assert len(own_lines(done)) == 1
    assert words in own_lines(done)[0]


@pytest.mark.parametrize(("pattern", "words"), [("ensurepip", "venv package"), ("Python.h", "python3-dev")])
def test_incomplete_python_is_named(pattern: str, words: str, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    done = make(f"{venv}/bin/python", f"PYTHON={wrapper(tmp_path, pattern)}", f"VENV={venv}")
    assert done.returncode != 0
    assert len(own_lines(done)) == 1
    assert words in own_lines(done)[0]
    assert not venv.exists()


@pytest.mark.parametrize("target", ["test", "test-long"])
def test_tests_run_in_workers(target: str) -> None:
    """Files are handed out whole, for the fixtures of a file are made once; in one process on request."""
    workers = "-m pytest -n auto --dist loadfile"
    assert workers in make("-n", target).stdout
    assert workers not in make("-n", target, "WORKERS=").stdout


@pytest.mark.parametrize("processors", range(1, 1 + min(2, len(GRANTED))))
def test_a_worker_for_each_granted_processor(processors: int) -> None:
    test = f"{ROOT / 'tests' / 'test_streams.py'}::test_small_seeds_have_different_keys"
    words = ["-n", "auto", "--dist", "loadfile", "-p", "no:cacheprovider", test]
    code = (
        f"import os, pytest; os.sched_setaffinity(0, {GRANTED[:processors]}); "
        f"raise SystemExit(pytest.main({words}))"
    )
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=inherited, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
    assert (f"{processors} workers" in done.stdout) == (processors > 1)
    assert ("worker" in done.stdout) == (processors > 1)
