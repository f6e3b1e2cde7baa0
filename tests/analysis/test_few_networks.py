"""Runs of one, two or three trained networks: what is there is shown, what is not is left out."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from nnft.analysis.comparison import compare
from nnft.analysis.comparison_record import comparison_record
from nnft.analysis.comparison_text import comparison_text
from nnft.analysis.run import Run
from nnft.analysis.status import run_status, status_text
from nnft.analysis.summary import summary, table_text
from nnft.analysis.trained_run import TrainedRun
from nnft.errors import NumericalError
from nnft.pipeline.diagnose_output import diagnosis_of_file
from nnft.pipeline.train import train
from nnft.pipeline.training_curves import flow_curves
from nnft.pipeline.training_outcome import trained_predictor
from nnft.spec.run import RunSpec

TRAININGS = {
    "gd": {"algorithm": "gd", "step": 0.1, "steps": 8, "snapshots": [4]},
    "hmc": {"algorithm": "hmc", "ridge": 0.2, "burn_in": 10, "draws": 4, "snapshots": [4]},
    "exact": {"algorithm": "exact", "ridge": 0.2, "trainable": "readout"},
}


def few(folder: Path, name: str, networks: int) -> Run:
    """A trained run of so many networks."""
    card = {
        "network": {"widths": [6], "activation": "erf", "weight_variance": 1.5},
        "inputs": {"points": [[0.4, 0.6], [-0.8, 0.1]]},
        "ensemble": {"networks": networks, "seed": 20240601},
        "estimate": {"correlators": [2, 4]},
        "training": {
            "loss": "half-sum",
            **TRAININGS[name],
            "data": {"teacher": "linear", "points": 3, "dimension": 2},
        },
    }
    return train(RunSpec.from_dict(card), folder / f"{name}-{networks}.h5", threads=1)


@pytest.mark.parametrize("name", TRAININGS)
def test_one_network_is_shown_without_errors(name: str, tmp_path: Path) -> None:
    with few(tmp_path, name, 1) as run:
        state = summary(run)
        assert all("G2" not in point and "G4" not in point for point in state["points"])
        assert all(math.isfinite(point["G1"]["value"]) for point in state["points"])
        assert all(point["G1"]["stderr"] is None for point in state["points"])
        text = table_text(state)
        assert "prior G2 at n = inf" in text
        assert "G2(aa)" not in text
        assert "(?)" in text
        assert "test error" not in text
        assert status_text(run_status(run.path)).splitlines()[1].startswith("networks   1 of 1")
        assert diagnosis_of_file(run.path).text
        found = comparison_record(compare(TrainedRun(run)))
        assert all(theory["verdict"] == "" for theory in found["theories"])
        for table in found["final"]["tables"][1:]:
            assert set(table["value"]) == {None}
            assert not any(table["unreliable"])
        words = comparison_text(found, "run")
        assert "too few networks for G2, G3, G4: got 1 network" in words
        assert "too few networks for an error of the mean: got 1 network" in words
        predictor = trained_predictor(run)
        assert np.isfinite(predictor.mean).all()
        assert np.isnan(predictor.variance).all()
        if name != "exact":
            curves = flow_curves(run)
            assert np.isnan(curves.correlators[2][0].series.value).all()
            assert np.isfinite(curves.correlators[1][0].series.value).all()


@pytest.mark.parametrize("networks", [2, 3])
def test_no_error_is_made_of_rounding(networks: int, tmp_path: Path) -> None:
    """G2 of two networks and G3 of three have values; their errors would be differences of equal numbers."""
    with few(tmp_path, "gd", networks) as run:
        for order in (1, 2, 3):
            if order > networks:
                continue
            found = run.connected(order)
            assert np.isfinite(found.value).all()
            assert np.isfinite(found.stderr).all() == (order < networks)
        name = {2: "G2", 3: "G3"}[networks]
        assert summary(run)["points"][0][name]["stderr"] is None
        words = comparison_text(comparison_record(compare(TrainedRun(run))), "run")
        assert f"too few networks for an error of the {name}: got {networks} networks" in words


def test_status_of_trained_networks_tells_what_matters(tmp_path: Path) -> None:
    """The relative error of a fourth cumulant that may be zero says nothing about the run."""
    with few(tmp_path, "gd", 16) as run:
        state = run_status(run.path)
        mean, second = run.connected(1), run.connected(2)
    assert state["relative_error_g4"] is None
    same = [0, 2]
    shares = mean.stderr / np.sqrt(second.value[same])
    assert state["training"]["mean_error_of_width"] == pytest.approx(float(np.median(shares)))
    relative = second.stderr[same] / second.value[same]
    assert state["training"]["relative_error_g2"] == pytest.approx(float(np.median(relative)))
    text = status_text(state)
    errors = f"{np.median(shares):.2g} of the width in the mean, {np.median(relative):.2g} of G2"
    assert f"errors     {errors}" in text
    assert "G4" not in text


def test_a_run_without_networks_is_not_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the words, and with the exit code, of an action without networks."""
    with few(tmp_path, "gd", 2) as run:
        monkeypatch.setattr(Run, "networks", 0)
        with pytest.raises(
            NumericalError, match=r"^no networks in 'gd-2\.h5': got 0; go on with nnft train"
        ) as refusal:
            compare(TrainedRun(run))
    assert refusal.value.exit_code == 5
