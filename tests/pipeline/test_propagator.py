"""``nnft propagator``: shells of momenta, distances, fits, refusals, pictures."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from nnft.analysis.propagator import shell_powers
from nnft.errors import NumericalError, UsageError
from nnft.pipeline.propagator_output import propagator_of_file
from nnft.pipeline.sample import sample
from nnft.pipeline.train import train
from nnft.spec import RunSpec

LIMIT = 4.5
CARD = """
[network]
kind = "{kind}"
width = 40
cutoff = 3.0
mass = 0.9
{more}
[inputs]
points = [[0.0, 0.0], [0.5, 0.0], [0.5, 1.0], [2.0, 0.0]]
[ensemble]
networks = {networks}
seed = 20240601
{rest}
"""
TRAINING = """
[training]
loss = "half-sum"
trainable = "readout"
{}
[training.data]
teacher = "linear"
points = 4
dimension = 2
law = "uniform"
"""


def card(kind: str = "free-scalar", more: str = "", networks: int = 20_000, rest: str = "") -> RunSpec:
    return RunSpec.from_text(CARD.format(kind=kind, more=more, networks=networks, rest=rest))


@pytest.mark.parametrize(
    ("kind", "more", "prefactor"),
    [
        ("free-scalar", "amplitude_variance = 5.0\noutputs = 2", 1.0),
        ("cos-net", 'momenta = "ball"\namplitude_variance = 5.0', (2 * math.pi) ** 2 * 5.0 / (18 * math.pi)),
        ("free-scalar", 'amplitudes = "fixed"', 1.0),
    ],
)
def test_mass_and_normalisation(kind: str, more: str, prefactor: float, tmp_path: Path) -> None:
    """Within errors in both spaces, with errors small enough to see a shift by a twentieth."""
    sample(card(kind, more), tmp_path / "run.h5").close()
    found = propagator_of_file(tmp_path / "run.h5", networks=1500, shells=8)
    json.dumps(found.record)
    for space in ("momentum", "position"):
        part = found.record[space]
        fit = part["fit"]
        assert part["p_value"] > 1e-5
        assert abs(fit["mass_pull"]) < LIMIT
        assert abs(fit["normalisation_pull"]) < LIMIT
        assert fit["mass_exact"] == 0.9
        assert fit["normalisation_exact"] == pytest.approx(prefactor, rel=1e-12)
        assert fit["mass_stderr"] < 0.05
        assert max(abs(row["pull"]) for row in part["rows"]) < LIMIT
    assert "chi-square against the exact propagator" in found.text


def test_power_of_a_shell_by_hand() -> None:
    """One network of three neurons in two dimensions, two shells."""
    momenta = np.array([[[0.3, 0.4], [1.2, 0.0], [0.0, 1.6]]])
    squares = np.array([[2.0, 3.0, 5.0]])
    found = shell_powers(momenta, squares, np.array([0.0, 1.0, 2.0]), 0.25, 3.0)
    volumes = math.pi, 3.0 * math.pi
    inner = 0.5 * 9.0 * 2.0 / (0.25 + 0.25)
    outer = 0.5 * 9.0 * (3.0 / (1.44 + 0.25) + 5.0 / (2.56 + 0.25))
    expected = (2.0 * math.pi) ** 2 * np.array([inner / volumes[0], outer / volumes[1]])
    assert found[0] == pytest.approx(expected, rel=1e-14)


def test_training_raises_the_power_where_the_data_are(tmp_path: Path) -> None:
    steps = 'algorithm = "gd"\nstep = 0.1\nsteps = 200'
    train(card(networks=200, rest=TRAINING.format(steps)), tmp_path / "run.h5").close()
    found = propagator_of_file(tmp_path / "run.h5", shells=4)
    assert "reason" in found.record["position"]
    assert found.record["momentum"]["networks"] == 200
    rows = found.record["momentum"]["rows"]
    assert max(row["pull"] for row in rows) > 0.0
    assert "before the training" in found.text
    again = propagator_of_file(tmp_path / "run.h5", shells=4)
    assert again.record == found.record
    train(
        card(networks=50, rest=TRAINING.format('algorithm = "exact"\nridge = 0.1')), tmp_path / "exact.h5"
    ).close()
    with pytest.raises(UsageError, match="--networks 0"):
        propagator_of_file(tmp_path / "exact.h5")
    assert "reason" in propagator_of_file(tmp_path / "exact.h5", networks=0).record["momentum"]


def test_refusals_and_picture(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    sample(card(networks=2000), path).close()
    for options, part in (({"shells": 1}, "--shells"), ({"networks": -1}, "--networks")):
        with pytest.raises(UsageError, match=part):
            propagator_of_file(path, **options)
    with pytest.raises(NumericalError, match="fewer shells"):
        propagator_of_file(path, networks=10, shells=12)
    propagator_of_file(path, networks=200, plot=tmp_path / "picture.svg")
    text = (tmp_path / "picture.svg").read_text(encoding="utf-8")
    assert text.count("<path") > 50
    propagator_of_file(path, networks=200, plot=tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_bytes() == (tmp_path / "picture.svg").read_bytes()
    normal = CARD.format(
        kind="cos-net", more='momenta = "normal"\nmomentum_variance = 1.0', networks=100, rest=""
    )
    rows = [row for row in normal.splitlines() if not row.startswith(("cutoff", "mass"))]
    sample(RunSpec.from_text("\n".join(rows)), tmp_path / "normal.h5").close()
    with pytest.raises(UsageError, match="normal momenta"):
        propagator_of_file(tmp_path / "normal.h5")
    mlp = '[network]\nwidths = [4]\nactivation = "cos"\n[inputs]\npoints = [[0.0]]\n[ensemble]\n'
    sample(RunSpec.from_text(mlp + "networks = 64\nseed = 1\n"), tmp_path / "mlp.h5").close()
    with pytest.raises(UsageError, match="free-scalar"):
        propagator_of_file(tmp_path / "mlp.h5")
