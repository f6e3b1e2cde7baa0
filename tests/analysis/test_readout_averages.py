"""Readouts averaged exactly at every draw of a sampler that accepts or rejects: the law of its draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnft.analysis.run import Run
from nnft.estimators.replicated import Replicated
from nnft.pipeline.train import train
from nnft.spec.run import RunSpec

SIGMA = 5.85
POINTS = [[0.4, 0.6], [-0.8, 0.1], [1.0, -1.0]]


def posterior(folder: Path, estimator: str, training: dict[str, Any], bias: float) -> Run:
    """Networks with two outputs, of which the second is looked at."""
    card = {
        "network": {"widths": [5], "activation": "tanh", "outputs": 2, "bias_variance": bias},
        "inputs": {"points": POINTS},
        "ensemble": {"networks": 300, "seed": 20240601},
        "estimate": {"correlators": [2, 4], "estimator": estimator},
        "training": {
            "loss": "sum",
            "ridge": 0.3,
            "observe": 1,
            "snapshots": 0,
            **training,
            "data": {"teacher": "linear", "points": 4, "dimension": 2, "outputs": 2, "amplitude": 3.0},
        },
    }
    return train(RunSpec.from_dict(card), folder / f"{estimator}.h5", threads=1)


@pytest.mark.first(1)
@pytest.mark.parametrize(
    ("training", "bias"),
    [
        ({"algorithm": "hmc", "burn_in": 100, "draws": 10, "thinning": 4}, 0.0),
        ({"algorithm": "mala", "burn_in": 400, "draws": 10, "thinning": 20}, 0.4),
        ({"algorithm": "hmc", "burn_in": 100, "draws": 10, "thinning": 4, "trainable": "readout"}, 0.4),
    ],
    ids=["hmc", "mala", "frozen"],
)
def test_averaged_readouts_have_the_moments_of_the_draws(
    training: dict[str, Any], bias: float, tmp_path: Path
) -> None:
    """Two ways from the same chains.

    Sees a sixth of the width of the output in a mean, a third of a variance; the other output is further off.
    """
    with (
        posterior(tmp_path, "direct", training, bias) as direct,
        posterior(tmp_path, "auto", training, bias) as exact,
    ):
        assert exact.plan["estimator"] == "trained-conditional"
        width = np.sqrt(np.diagonal(exact.connected(2).dense()).max())
        for order, seen in ((1, 0.17), (2, 0.35)):
            rows = direct.replicates(order)
            differences = rows.values - exact.replicates(order).values
            error = Replicated(differences, rows.bin_counts, rows.n_networks).stderr()
            assert np.all(error < seen * width**order / 7.0)
            assert np.all(abs(differences[0]) < SIGMA * error)
        if training.get("trainable") is None:
            assert np.all(exact.connected(1).stderr < 0.7 * direct.connected(1).stderr)
