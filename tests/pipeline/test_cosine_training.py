"""Networks of cosines whose amplitudes are trained: algorithms, theory, flows and their readings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnft.analysis.comparison import compare
from nnft.analysis.flow_readings import flow_readings, readings_lines
from nnft.analysis.flow_table import flow_numbers
from nnft.analysis.renormalized_run import RenormalizedRun
from nnft.analysis.report_flow import cutoffs
from nnft.analysis.run import open_run
from nnft.analysis.trained_kernels import JointKernels
from nnft.analysis.trained_run import TrainedRun
from nnft.pipeline.flow_expectation import expected_losses
from nnft.pipeline.flow_run import flow_of_file
from nnft.pipeline.train import train
from nnft.spec import RunSpec
from nnft.theory.cos_network import free_scalar
from nnft.theory.effective_readout import effective_variance_ratio

SEED = 20240601
LIMIT = 4.5
HEAT = "ridge = 0.05\ndraws = 4\nthinning = 5\nburn_in = 60"

CARD = """
[network]
kind = "free-scalar"
width = {width}
cutoff = 4.0
mass = 1.0
amplitude_variance = 2.0
[inputs]
points = [[-1.0], [0.2], [0.9]]
[ensemble]
networks = {networks}
seed = 20240601
[training]
loss = "half-sum"
trainable = "readout"
{training}
[training.data]
teacher = "polynomial"
degree = 3
points = 6
dimension = 1
law = "uniform"
test = 4
{flow}
"""
FLOW = '[flow]\ncutoffs = "log:1e-2:1e3:6"\nnoise_variance = 0.05\n'


def card(training: str, networks: int = 200, width: int = 30, flow: str = FLOW) -> RunSpec:
    return RunSpec.from_text(CARD.format(training=training, networks=networks, width=width, flow=flow))


@pytest.mark.parametrize(
    "training",
    [
        'algorithm = "gd"\nstep = 0.2\nsteps = 150',
        'algorithm = "sgd"\nstep = 0.2\nepochs = 20\nbatch_size = 1\norder = "cyclic"',
        f'algorithm = "hmc"\n{HEAT}',
    ],
)
def test_flow_of_the_amplitudes(training: str, tmp_path: Path) -> None:
    """Losses at every cutoff beside exact expectations given the same features."""
    train(card(training), tmp_path / "run.h5").close()
    with open_run(tmp_path / "run.h5") as run:
        flow = RenormalizedRun(run)
        found = expected_losses(flow, 200)
        readings, ratios = flow_readings(flow), flow.observables.result("readout_square")
    pulls = found.pulls()
    assert np.isfinite(pulls).all()
    assert abs(pulls).max() < LIMIT
    assert found.measured[:, -1].mean() > 3.0 * found.measured[:, 0].mean()
    assert readings["rows"][-1]["ratio"]["value"] == ratios.mean[-1] / 2.0
    last = readings["rows"][-1]["ratio"]  # all amplitudes are drawn anew: the prior
    assert abs(last["value"] - 1.0) < LIMIT * last["stderr"]
    assert abs(last["stderr"] * np.sqrt(200 * 15) - 1.0) < 0.3  # the variance of chi^2 of 30 normals


@pytest.mark.parametrize(
    "training", [f'algorithm = "langevin"\nstep = 0.2\n{HEAT}', 'algorithm = "exact"\nridge = 0.05']
)
def test_other_algorithms_and_the_wide_limit(training: str, tmp_path: Path) -> None:
    """At width 3000 the Gaussian process with the exact propagator of the free scalar is right."""
    steps = training.replace("burn_in = 60", "burn_in = 400")
    train(card(steps, networks=64, width=3000, flow=""), tmp_path / "run.h5").close()
    with open_run(tmp_path / "run.h5") as run:
        trained = TrainedRun(run)
        joint = JointKernels(trained)
        law = free_scalar(1, 1.0, 4.0, 3000)
        distances = abs(joint.points[:, None, 0] - joint.points[None, :, 0])
        assert np.allclose(joint.prior, law.two_point(distances), rtol=1e-12)
        found = compare(trained)
    assert found.predictions
    exact = found.predictions[0].final
    assert exact is not None
    assert np.all(abs(found.mean - exact.mean) < 0.05 * np.sqrt(np.diagonal(joint.prior)[:3]))


def test_effective_variance_of_the_posterior(tmp_path: Path) -> None:
    """tr Sigma + |mu|^2 at cutoff 0 against its exact value for the kernel of each network's features."""
    train(card(f'algorithm = "hmc"\n{HEAT}', networks=400), tmp_path / "run.h5").close()
    from nnft.pipeline.flow_expectation import _Setup

    with open_run(tmp_path / "run.h5") as run:
        flow = RenormalizedRun(run)
        setup = _Setup(flow)
        targets, expected = setup.data.train_targets, []
        for network in range(400):
            hidden = setup.ensemble.problem.layers(setup.ensemble.start(network, 1).theta[0])[:-1]
            features = setup._features(hidden, setup.data.train_inputs)
            kernel = 2.0 / 30.0 * features @ features.T
            expected.append(effective_variance_ratio(kernel, targets, 0.05, 30))
        readings = flow_readings(flow)
        text = "\n".join(readings_lines(readings))
        section = cutoffs(flow_numbers(flow) | {"readings": readings})
    ratio, mass = readings["rows"][0]["ratio"], readings["rows"][0]["mass"]
    assert abs(ratio["value"] - np.mean(expected)) < LIMIT * ratio["stderr"]
    assert mass["value"] == pytest.approx(ratio["value"] ** -0.5, rel=1e-12)
    assert mass["stderr"] == pytest.approx(0.5 * ratio["stderr"] / ratio["value"] ** 1.5, rel=1e-12)
    assert readings["rows"][0]["cutoff_radius"]["value"] == pytest.approx(4.0 / ratio["value"], rel=1e-12)
    assert "reparametrisation" in text
    assert any("sigma^2 ratio" in table.header for table in section.tables)
    record: dict[str, Any] = flow_of_file(tmp_path / "run.h5").record
    assert record["readings"]["rows"][0]["ratio"] == ratio
