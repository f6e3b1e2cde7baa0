"""``nnft flow`` by directions and with the conditional fill: what it prints, keeps and refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from command_line import Nnft, everything, refused
from training_cards import training_text

HMC = 'trainable = "readout"\nridge = 0.1\nburn_in = 20\ndraws = 1\nleapfrog_steps = 5'
WORDS = ("--cutoffs", "0.01,0.3,3")


def trained(nnft: Nnft, run: str, name: str, lines: str | None = None, **keys: Any) -> None:
    """Write a card and train its networks."""
    (nnft.folder / "card.toml").write_text(training_text(name, lines, **keys), encoding="utf-8")
    end = nnft("train", "card.toml", "-o", run, "--quiet", "--threads", "1")
    assert end.code == 0, end.err


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, kernel_cache: Path) -> Path:
    """A folder with readouts of a posterior and of a descent."""
    nnft = Nnft(tmp_path_factory.mktemp("bases"), kernel_cache)
    trained(nnft, "hmc.h5", "hmc", HMC, networks=40, estimate="bins = 40")
    trained(nnft, "gd.h5", "gd-readout")
    return nnft.folder


@pytest.fixture
def finished(nnft: Nnft, folder: Path) -> Nnft:
    """The command in a folder of its own with these runs."""
    for name in ("hmc.h5", "gd.h5"):
        shutil.copy(folder / name, nnft.folder / name)
    return nnft


@pytest.mark.long
def test_conditional_flow_of_a_posterior(finished: Nnft) -> None:
    """Expected losses do not flow; infinity is the posterior itself; a card gives the same bytes."""
    words = ("--basis", "eigenbasis", "--fill", "conditional", *WORDS)
    end = finished("flow", "hmc.h5", "-o", "one.h5", *words, "--theory", "40", "--threads", "2")
    assert end.code == 0, end.err
    assert "averaged over in the posterior given the others" in end.out
    assert "of the directions; relative error over the inputs" in end.out
    record = json.loads(finished("flow", "one.h5", "--json", "--theory", "40").out)
    rows = record["rows"]
    assert (record["basis"], record["fill"]) == ("eigenbasis", "conditional")
    expected = [row["expected_test"] for row in rows]
    assert expected == pytest.approx([expected[0]] * len(rows), rel=1e-9)
    assert rows[-1]["test_error"]["value"] == pytest.approx(expected[0], rel=1e-9)
    assert all(abs(row["pull_test"]) < 4.5 for row in rows[:-1])
    assert 0.0 < record["information_error"]["median"]["value"] < 1.0
    again = finished("flow", "hmc.h5", "-o", "two.h5", *words, "--quiet", "--threads", "1")
    assert again.code == 0, again.err
    assert everything(finished.folder / "one.h5") == everything(finished.folder / "two.h5")
    assert finished("verify", "one.h5").code == 0


@pytest.mark.parametrize("basis", ["layer-eigenbasis", pytest.param("kronecker", marks=pytest.mark.long)])
def test_flow_by_directions(finished: Nnft, basis: str) -> None:
    words = ("--basis", basis, "--layers", "all", *WORDS, "--noise-variance", "0.5", "--no-tangents")
    end = finished("flow", "gd.h5", "-o", "flow.h5", *words)
    assert end.code == 0, end.err
    assert "directions (" in end.out
    record = json.loads(finished("flow", "flow.h5", "--json").out)
    assert (record["information_error"]["mean"]["value"] is None) == (basis == "kronecker")
    with h5py.File(finished.folder / "flow.h5") as file:
        group = file["training/renormalization"]
        assert "tangent" not in group
        assert group["uncertainty"].shape == (2, 3)
        assert group["uncertainty"][0, 2] == (0 if basis == "kronecker" else 32)
        assert np.isfinite(group["losses"][:]).all()


CONDITIONAL = ("--fill", "conditional")
NOISE = ("--noise-variance", "1")
REFUSED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "a basis": (("gd.h5", *NOISE, "--basis", "dense"), ("--basis", "'dense'")),
    "descent": (("gd.h5", *NOISE, *CONDITIONAL), ("flow.fill: got 'conditional'", "gd has none")),
    "layers": (("hmc.h5", *CONDITIONAL, "--layers", "all"), ("flow.layers: got 'all'", "Gaussian")),
    "refills": (("hmc.h5", *CONDITIONAL, "--refills", "3"), ("flow.refills: got 3", "draws nothing")),
    "fresh": (("hmc.h5", *CONDITIONAL, "--fresh"), ("flow.anew: got true", "draws nothing")),
    "theory": (
        ("gd.h5", *NOISE, "--basis", "eigenbasis", "--layers", "all", "--theory", "3"),
        ("not known in closed form",),
    ),
}  # fmt: skip
"""Words of the command, and what its one line says."""


@pytest.mark.first(2)
@pytest.mark.parametrize("name", list(REFUSED))
def test_refusals(finished: Nnft, name: str) -> None:
    words, said = REFUSED[name]
    refused(finished("flow", words[0], "-o", "x.h5", *WORDS, *words[1:]), 2, *said)
    assert not (finished.folder / "x.h5").exists()


def test_options_without_cutoffs(finished: Nnft) -> None:
    refused(finished("flow", "gd.h5", "--basis", "eigenbasis"), 2, "--cutoffs", "got --basis")
    refused(finished("flow", "gd.h5", "--no-tangents"), 2, "--cutoffs", "got --no-tangents")
