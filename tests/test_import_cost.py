"""What an import drags in: the help page stays quick, the reading side needs NumPy and h5py only.

The slow packages are named one by one; each costs between 0.3 and 5 seconds on a laptop.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import nnft

SLOW_FOR_HELP = {"numba", "llvmlite", "h5py", "scipy", "pydantic", "xarray", "matplotlib"}
SLOW_FOR_READING = {"numba", "llvmlite", "scipy", "pydantic", "click", "xarray", "matplotlib", "tqdm"}
# Numba itself loads scipy.linalg, where it finds BLAS.
SLOW_FOR_SAMPLING = {"scipy.stats", "scipy.special", "scipy.optimize", "xarray", "matplotlib", "mpmath"}
HELP = "import sys\nfrom nnft.cli import main\nsys.argv = ['nnft', '--help']\nmain()\n"

CARD = """
[network]
widths = [4]
activation = "tanh"
weight_variance = 1.0
[inputs]
points = [[1.0, 0.0], [0.5, 0.5]]
[ensemble]
networks = 400
seed = 1
[estimate]
correlators = [2, 4]
"""


def packages_after(code: str, folder: Path) -> set[str]:
    """Packages, and their modules one level down, that a fresh interpreter imports while it runs `code`."""
    command = [sys.executable, "-P", "-X", "importtime", "-c", code]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    assert len(lines) > 10
    modules = [line.rpartition("|")[2].strip().split(".") for line in lines]
    return {".".join(parts[:depth]) for parts in modules for depth in (1, 2)}


@pytest.fixture(scope="module")
def run_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[str]]:
    """A folder with a small result file, and the packages that sampling it needed."""
    folder = tmp_path_factory.mktemp("import_cost")
    (folder / "card.toml").write_text(CARD, encoding="utf-8")
    packages = packages_after("import nnft\nnnft.sample('card.toml', 'run.h5')\n", folder)
    return folder, packages


def test_help_imports_nothing_slow(tmp_path: Path) -> None:
    assert packages_after(HELP, tmp_path) & SLOW_FOR_HELP == set()


def test_plain_import_is_light(tmp_path: Path) -> None:
    assert packages_after("import nnft\n", tmp_path) & (SLOW_FOR_HELP | {"click"}) == set()


def test_the_version_is_the_one_installed() -> None:
    assert nnft.__version__ == version("nnft")


def test_reading_needs_numpy_and_h5py_only(run_file: tuple[Path, set[str]]) -> None:
    code = "import nnft\nrun = nnft.open('run.h5')\nrun.connected(4).stderr\nrun.moment(4)\nrun.kernel(2)\n"
    packages = packages_after(code, run_file[0])
    assert packages & SLOW_FOR_READING == set()
    assert {"numpy", "h5py"} <= packages


def test_sampling_imports_no_slow_part_of_scipy(run_file: tuple[Path, set[str]]) -> None:
    assert run_file[1] & SLOW_FOR_SAMPLING == set()
    assert {"numba", "pydantic", "h5py"} <= run_file[1]


@pytest.mark.parametrize("package", ["numba", "h5py", "pydantic", "scipy.special"])
def test_a_slow_import_is_seen(package: str, tmp_path: Path) -> None:
    assert packages_after(f"import {package}\n", tmp_path) & (SLOW_FOR_HELP | SLOW_FOR_SAMPLING)
