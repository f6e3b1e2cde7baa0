"""The command under test, with one cache of compiled kernels for the whole session."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import SCRIPT, Nnft
from forks import Forks


@pytest.fixture(scope="session")
def kernel_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that holds the compiled kernels of a small run; that of this worker if there are several."""
    named = os.environ.get("NNFT_CACHE_DIR") if "PYTEST_XDIST_WORKER" in os.environ else None
    folder = Path(named) if named else tmp_path_factory.mktemp("kernels")
    nnft = Nnft(tmp_path_factory.mktemp("first_run"), folder)
    first = nnft("sample", nnft.card(fields="100"), "-o", "run.h5")
    assert first.code == 0, first.err
    assert json.loads(nnft("info", "--json").out)["kernel_cache"] == str(folder)
    assert any(folder.rglob("*.nbc"))
    forks = Forks(SCRIPT, nnft.environment({}))
    Nnft.forks = (str(folder), forks)
    yield folder
    Nnft.forks = None
    forks.close()


@pytest.fixture
def nnft(tmp_path: Path, kernel_cache: Path) -> Nnft:
    """The command in an empty folder."""
    return Nnft(tmp_path, kernel_cache)
