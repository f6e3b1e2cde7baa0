"""Tests on several processors: as many workers as were granted, which do not get into each other's way.

A worker of pytest-xdist leaves the linear algebra one thread and lets idle threads sleep, so that workers
do not take processors from each other; kernels and commands may still use all that were granted. All workers
have one folder of compiled kernels, so that what one has compiled the others load.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WORKER = os.environ.get("PYTEST_XDIST_WORKER")


def kernel_folder() -> Path:
    """Folder of the compiled kernels; other sources of kernels have another one."""
    digest = hashlib.sha256()
    for source in sorted((ROOT / "src" / "nnft" / "_kernels").glob("*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return ROOT / "build" / "kernels" / digest.hexdigest()[:16]


if WORKER is not None:  # before anything imports NumPy or Numba, and for the processes that tests start
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("NNFT_CACHE_DIR", str(kernel_folder()))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Meaning of ``-n auto``: a worker for each granted processor; with one processor no worker at all."""
    if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return None
    granted = len(os.sched_getaffinity(0))
    return granted if granted > 1 else 0


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the cases of a test beyond the first ones as long, where the test says so."""
    seen: Counter[str] = Counter()
    for item in items:
        marker = item.get_closest_marker("first")
        if marker is not None:
            name = item.nodeid.partition("[")[0]
            seen[name] += 1
            if seen[name] > marker.args[0]:
                item.add_marker(pytest.mark.long)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter; nobody else may enter `tmp_path`, or a folder above it."""
    folder = Path(tempfile.mkdtemp(prefix="nnft-open-"))
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)
