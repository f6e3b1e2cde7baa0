"""``nnft axioms`` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import Nnft, everything, refused

import nnft as package

GRID = 'generator = "grid"\ncount = 3\ndimension = 2\nlow = -1.0\nhigh = 1.0'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, kernel_cache: Path) -> Path:
    """A run with outputs, one without, and one of too few networks."""
    place = tmp_path_factory.mktemp("axioms")
    command = Nnft(place, kernel_cache)
    network = "outputs = 2\nbias_variance = 0.2"
    cards = {
        "kept": {"points": GRID, "networks": 4000, "network": network, "fields": '"all"'},
        "plain": {"points": GRID, "networks": 4000, "correlators": "[2]"},
        "few": {"points": GRID, "networks": 8, "ensemble": "block_size = 1"},
    }
    for name, keys in cards.items():
        package.sample(command.card(f"{name}.toml", **keys), place / f"{name}.h5", progress=False).close()
    return place


@pytest.fixture
def nnft(folder: Path, kernel_cache: Path) -> Nnft:
    """The command beside the runs."""
    return Nnft(folder, kernel_cache)


def test_table(nnft: Nnft) -> None:
    before = everything(nnft.folder / "kept.h5")
    done = nnft("axioms", "kept.h5")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "kept.h5: 4000 networks in 100 bins, outputs of 4000 kept"
    assert lines[2].split() == ["check", "order", "compared", "statistic", "p", "effect", "verdict"]
    verdicts = {line[:30].strip(): line for line in lines[3:-2]}
    assert len(verdicts) == 15
    rotations = next(line for line in lines if line.startswith("rotations") and "kappa_4" in line)
    translations = next(line for line in lines if line.startswith("translations") and "kappa_4" in line)
    assert rotations.rstrip().endswith("holds")
    assert translations.rstrip().endswith("broken")
    assert len([line for line in lines if line.startswith("holds:")]) == 1
    assert everything(nnft.folder / "kept.h5") == before


def test_json_and_options(nnft: Nnft) -> None:
    done = nnft(
        "axioms",
        "kept.h5",
        "--order",
        "2",
        "--axis",
        "1",
        "--plane",
        "middle",
        "--tolerance",
        "1e-6",
        "--json",
    )
    assert (done.code, done.err) == (0, "")
    report = json.loads(done.out)
    assert report["networks"] == report["fields"] == 4000
    checks = {(check["name"], check["order"]): check for check in report["checks"]}
    positivity = checks["reflection positivity", 2]
    assert positivity["details"]["axis"] == 1
    assert positivity["details"]["plane"] == 0.0
    assert ("reflection positivity", 4) not in checks
    assert checks["translations", 2]["verdict"] == "broken"
    assert checks["translations", 2]["details"]["components"] > 5


def test_what_is_not_there_is_said(nnft: Nnft) -> None:
    done = nnft("axioms", "plain.h5", "--plane", "0.4")
    assert done.code == 0
    assert "not testable: the file keeps no outputs; sample with store.fields above 0" in done.out
    assert "not testable: no point above coordinate 0 = 0.4 has its mirror image on the mesh" in done.out
    assert "not testable: one output" in done.out


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (("nothing.h5",), 3, ("no such file",)),
        (("few.h5",), 5, ("got 8", "needed 16")),
        (("kept.h5", "--order", "6"), 3, ("order 6",)),
        (("kept.h5", "--order", "3"), 2, ("got 3", "2, 4, 6")),
        (("kept.h5", "--order", "2;4"), 2, ("'2;4'",)),
        (("kept.h5", "--axis", "2"), 2, ("got 2", "0 to 1")),
        (("kept.h5", "--axis", "-1"), 2, ("got -1",)),
        (("kept.h5", "--plane", "up"), 2, ("'up'", "middle")),
        (("kept.h5", "--plane", "inf"), 2, ("got inf",)),
        (("kept.h5", "--tolerance", "-1"), 2, ("got -1.0",)),
        (("kept.h5", "--axis", "0", "--axis", "1"), 2, ("--axis", "twice")),
        ((), 2, ("RUN",)),
    ],
)
def test_refusals(nnft: Nnft, words: tuple[str, ...], code: int, expected: tuple[str, ...]) -> None:
    refused(nnft("axioms", *words), code, *expected)


def test_a_run_without_networks(nnft: Nnft) -> None:
    card = nnft.card("none.toml", points=GRID, networks=10**7)
    assert nnft("sample", card, "-o", "none.h5", "--max-time", "0s", "--quiet").code == 75
    refused(nnft("axioms", "none.h5"), 5, "no networks", "--resume")
