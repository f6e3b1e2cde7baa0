"""nnft compare and nnft propagator for networks of cosines: text, JSON, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import Nnft, refused

CARD = """
[network]
kind = "free-scalar"
width = 12
cutoff = 3.0
mass = 1.0
[inputs]
points = [[0.0], [0.5], [1.5]]
[ensemble]
networks = 4000
seed = 20240601
"""


@pytest.fixture
def run(tmp_path: Path, kernel_cache: Path) -> Nnft:
    command = Nnft(tmp_path, kernel_cache)
    (tmp_path / "card.toml").write_text(CARD, encoding="utf-8")
    assert command("sample", "card.toml", "-o", "run.h5", "--quiet").code == 0
    return command


def test_exact_values_and_the_propagator(run: Nnft) -> None:
    compared = run("compare", "run.h5")
    assert (compared.code, compared.err) == (0, "")
    assert "exact at every width" in compared.out
    record = json.loads(run("compare", "run.h5", "--json").out)
    assert [table["order"] for table in record["final"]["tables"]] == [2, 4]
    shown = run("show", "run.h5").out
    assert "exact G2" in shown
    assert "exact G4" in shown
    found = run("propagator", "run.h5", "--networks", "500", "--shells", "5")
    assert (found.code, found.err) == (0, "")
    assert "mass m" in found.out
    numbers = json.loads(run("propagator", "run.h5", "--networks", "500", "--shells", "5", "--json").out)
    assert len(numbers["momentum"]["rows"]) == 5
    assert numbers["momentum"]["fit"]["mass_stderr"] < 0.1
    refused(run("propagator", "run.h5", "--shells", "0"), 2)
    refused(run("propagator", "none.h5"), 3)
    refused(run("compare", "run.h5", "--plot", "x.svg"), 2)
