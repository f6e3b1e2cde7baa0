"""Fits over runs of trained networks: the mean of the output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnft.analysis.extrapolate import extrapolate
from nnft.analysis.extrapolate_data import Observable, Selection, sampled
from nnft.errors import UsageError
from nnft.pipeline.sample import sample
from nnft.pipeline.train import train
from nnft.spec.run import RunSpec

TRAINING = {
    "loss": "half-sum",
    "algorithm": "gd",
    "step": 0.1,
    "steps": 5,
    "snapshots": 0,
    "data": {"teacher": "linear", "points": 3, "dimension": 2},
}


def spec(width: int, **tables: Any) -> RunSpec:
    """Networks of one hidden layer."""
    return RunSpec.from_dict(
        {
            "network": {"widths": [width], "activation": "erf"},
            "inputs": {"points": [[0.4, 0.6], [-0.8, 0.1]]},
            "ensemble": {"networks": 64, "seed": width},
            "estimate": {"correlators": [2], "bins": 32},
            **tables,
        }
    )


def test_the_mean_of_trained_outputs_is_fitted(tmp_path: Path) -> None:
    runs = [train(spec(n, training=TRAINING), tmp_path / f"{n}.h5", threads=1) for n in (8, 16)]
    means = [run.connected(1) for run in runs]
    for run, mean in zip(runs, means, strict=True):
        found = sampled(run, Observable.parse("mean"), Selection(), 4)
        np.testing.assert_array_equal(found.indices, mean.indices)
        np.testing.assert_array_equal(found.value, mean.value)
        np.testing.assert_allclose((found.deviations**2).sum(axis=1), mean.stderr**2, rtol=1e-10)
    fitted = extrapolate(runs, "mean")
    assert fitted.powers == (0, 1)
    line = [2.0 * means[1].value - means[0].value, 16.0 * (means[0].value - means[1].value)]
    np.testing.assert_allclose(fitted.coefficients, np.transpose(line), rtol=1e-8)
    for run in runs:
        run.close()


def test_outputs_that_were_not_trained_have_no_mean(tmp_path: Path) -> None:
    runs = [sample(spec(n), tmp_path / f"{n}.h5", threads=1) for n in (8, 16)]
    with pytest.raises(UsageError, match=r"no mean of outputs in .*without training"):
        extrapolate(runs, "mean")
