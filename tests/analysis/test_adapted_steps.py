"""Steps that chains find by themselves: in the file, in the tables, and in the times of the snapshots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnft.analysis.run import Run
from nnft.analysis.summary import summary, table_text
from nnft.pipeline.diagnose_output import diagnosis_of_file
from nnft.pipeline.train import train
from nnft.spec.plan import plan_run
from nnft.spec.run import RunSpec

CHAIN = {"ridge": 0.2, "burn_in": 40, "draws": 4, "snapshots": [10]}


def spec(**training: Any) -> RunSpec:
    """A small sampler."""
    return RunSpec.from_dict(
        {
            "network": {"widths": [4], "activation": "tanh"},
            "inputs": {"points": [[0.4, 0.6]]},
            "ensemble": {"networks": 16, "seed": 20240601},
            "estimate": {"correlators": [2]},
            "training": {
                "loss": "half-sum",
                **CHAIN,
                **training,
                "data": {"teacher": "linear", "points": 3, "dimension": 2},
            },
        }
    )


def trained(folder: Path, **training: Any) -> Run:
    return train(spec(**training), folder / "run.h5", threads=1)


@pytest.mark.parametrize(("algorithm", "length"), [("hmc", 3), ("mala", 1)])
def test_adapted_steps_are_shown_and_give_the_times(algorithm: str, length: int, tmp_path: Path) -> None:
    """A first step far from the adapted one does not show in the times."""
    extra = {"leapfrog_steps": 3} if algorithm == "hmc" else {}
    with trained(tmp_path, algorithm=algorithm, step=1e-3, chains=2, **extra) as run:
        adapted = summary(run)["training"]["adapted_step"]
        assert 5e-3 < adapted["smallest"] < adapted["mean"] < adapted["largest"]
        assert adapted["mean"] == pytest.approx(summary(run)["training"]["numbers"]["step_size"]["value"])
        steps, times = (run.stored.training[f"moment/{name}"] for name in ("step", "time"))
        assert steps.tolist() == [0, 10, 43]
        np.testing.assert_allclose(times, adapted["mean"] * length * steps, rtol=1e-12)
        words = f"{adapted['mean']:.4g} on average, {adapted['smallest']:.4g} to {adapted['largest']:.4g}"
        assert f"adapted step {words} over the chains" in table_text(summary(run))
    found = diagnosis_of_file(tmp_path / "run.h5")
    assert f"step       {words}" in found.text
    assert found.record["adapted_step"] == adapted


def test_a_fixed_step_gives_the_times_of_the_plan(tmp_path: Path) -> None:
    fixed = {"algorithm": "hmc", "step": 0.05, "adapt": False, "leapfrog_steps": 4}
    planned = plan_run(spec(**fixed)).training
    assert planned is not None
    assert planned.snapshot_times == pytest.approx((0.0, 2.0, 8.6))
    assert plan_run(spec(algorithm="hmc", step=0.05)).training.snapshot_times == ()  # type: ignore[union-attr]
    with trained(tmp_path, **fixed) as run:
        assert run.stored.training["moment/time"].tolist() == list(planned.snapshot_times)
        assert "adapted/smallest" not in run.stored.training
        assert summary(run)["training"]["adapted_step"] is None
        assert "adapted" not in table_text(summary(run)) + diagnosis_of_file(run.path).text
