"""Flows of wide networks beside those of infinitely wide ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnft.analysis.renormalized_run import RenormalizedRun
from nnft.errors import UsageError
from nnft.pipeline.flow_infinite import InfiniteFlow, infinite_flow, infinite_record, infinite_text
from nnft.pipeline.train import train
from nnft.spec.run import RunSpec
from nnft.theory.gaussian_process import posterior
from nnft.theory.nngp import nngp_kernel

WIDTH = 256


def spec(fill: dict[str, Any], bias: float = 0.0, **training: Any) -> RunSpec:
    """Readouts of erf networks by langevin steps so small and so many that they are in equilibrium."""
    return RunSpec.from_dict(
        {
            "network": {"widths": [WIDTH], "activation": "erf", "bias_variance": [0.0, bias]},
            "inputs": {"points": [[0.4, 0.6], [-1.0, 0.3]]},
            "ensemble": {"networks": 400, "seed": 20240611},
            "estimate": {"correlators": [2]},
            "training": {
                "loss": "half-sum",
                "algorithm": "hmc",
                "trainable": "readout",
                "ridge": 0.3,
                "burn_in": 40,
                "draws": 2,
                "snapshots": [40],
                "data": {"teacher": "linear", "points": 6, "dimension": 2, "test": 5},
                **training,
            },
            "flow": {"cutoffs": "quantiles:4", "noise_variance": 0.5, "tangents": False, **fill},
        }
    )


def followed(folder: Path, fill: dict[str, Any]) -> tuple[RenormalizedRun, InfiniteFlow]:
    run = train(spec(fill), folder / "run.h5", threads=1)
    flow = RenormalizedRun(run)
    return flow, infinite_flow(flow)


@pytest.mark.first(1)
@pytest.mark.parametrize("fill", [{"fill": "prior"}, {"fill": "zero"}, {"fill": "gaussian", "width": 2.0}])
def test_wide_networks_follow_those_of_infinite_width(fill: dict[str, Any], tmp_path: Path) -> None:
    """Departures of relative order P / n = 2 % lie below the errors of 400 networks, 5 to 7 %."""
    flow, infinite = followed(tmp_path, fill)
    record = infinite_record(flow, infinite, 1)
    for row, cutoff in zip(record["rows"], flow.cutoffs, strict=True):
        for name in ("mean", "variance", "train_error", "test_error", "sloppy_share"):
            value, error, limit = (row[name][key] for key in ("value", "stderr", "infinite"))
            sampling = 0.02 * abs(limit) + 1e-14  # of the neurons, of order 1 / width; rounding
            assert abs(value - limit) <= 4.5 * error + sampling, (name, cutoff, value, error, limit)
    shares = infinite.sloppy_share
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert (np.diff(shares) > 0.05).all()
    assert f"variance f({record['point']})" in infinite_text(record)
    flow.run.close()


def test_ends_are_posterior_and_prior(tmp_path: Path) -> None:
    flow, infinite = followed(tmp_path, {"fill": "prior"})
    data, points = flow.run.stored.training, flow.run.points
    joint = np.concatenate([data["data/train_inputs"], points])
    kernel = nngp_kernel(joint, "erf", (1.0, 1.0), (0.0, 0.0))[-1]
    p = len(data["data/train_inputs"])
    exact = posterior(kernel[:p, :p], kernel[p:, :p], kernel[p:, p:], data["data/train_targets"], 0.3)
    for position, mean, covariance in (
        (0, exact.mean[:, 0], exact.covariance),
        (-1, np.zeros(2), kernel[p:, p:]),
    ):
        off = np.abs(infinite.mean[position] - mean) - 5.0 * infinite.mean_error[position]
        assert (off < 1e-12).all()
        off = np.abs(infinite.variance[position] - np.diagonal(covariance))
        assert (off < 5.0 * infinite.variance_error[position] + 1e-12).all()
    flow.run.close()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"algorithm": "gd", "step": 0.01, "steps": 5}, "algorithm gd"),
        ({"trainable": "all"}, "layers beside the readout"),
        ({"bias": 0.5}, "a bias of the readout"),
    ],
)
def test_flows_without_a_known_limit_are_refused(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    keys = {"burn_in": 2, "snapshots": 2} | changes
    if keys.get("algorithm") == "gd":
        keys |= {"ridge": None, "burn_in": None, "draws": None}
    card = spec({"fill": "prior"}, **keys)
    small = card.model_copy(update={"ensemble": card.ensemble.model_copy(update={"networks": 8})})
    refused = pytest.raises(UsageError, match="no flow of infinite width: got .*" + words)
    with train(small, tmp_path / "run.h5", threads=1) as run, refused:
        infinite_flow(RenormalizedRun(run))
