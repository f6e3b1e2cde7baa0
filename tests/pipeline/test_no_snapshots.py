"""Trainings that record nothing on their way: the same end, no flow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnft.analysis.comparison import compare
from nnft.analysis.run import Run
from nnft.analysis.trained_run import TrainedRun
from nnft.errors import UsageError
from nnft.pipeline.recompute import recompute_bin
from nnft.pipeline.train import train
from nnft.pipeline.training_curves import loss_curves
from nnft.spec.run import RunSpec

ALGORITHMS: dict[str, dict[str, Any]] = {
    "gd": {"step": 0.1, "steps": 8},
    "gradient-flow": {"time": 0.8},
    "hmc": {"ridge": 0.2, "burn_in": 10, "draws": 4},
}


def trained(folder: Path, algorithm: str, snapshots: int) -> Run:
    card = {
        "network": {"widths": [6], "activation": "erf", "weight_variance": 1.5},
        "inputs": {"points": [[0.4, 0.6], [-0.8, 0.1]]},
        "ensemble": {"networks": 32, "seed": 20240601},
        "estimate": {"correlators": [2], "bins": 32},
        "training": {
            "loss": "half-sum",
            "algorithm": algorithm,
            "snapshots": snapshots,
            **ALGORITHMS[algorithm],
            "data": {"teacher": "linear", "points": 3, "dimension": 2},
        },
    }
    return train(RunSpec.from_dict(card), folder / f"{snapshots}.h5", threads=1)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_without_snapshots_there_is_the_end_alone(algorithm: str, tmp_path: Path) -> None:
    with trained(tmp_path, algorithm, 0) as run, trained(tmp_path, algorithm, 1) as two:
        assert run.flow is None
        assert two.flow is not None
        assert two.flow.snapshots == 2
        assert not any(path.startswith(("moment", "flow")) for path in run.stored.training)
        for order in (1, 2):
            np.testing.assert_array_equal(run.connected(order).value, two.connected(order).value)
        with pytest.raises(UsageError, match=r"set training\.snapshots above 0"):
            loss_curves(run)
        found, other = compare(TrainedRun(run)), compare(TrainedRun(two))
        assert found.flow == ()
        assert found.theory_mean == pytest.approx(other.theory_mean)
    assert "bit for bit" in recompute_bin(tmp_path / "0.h5")
