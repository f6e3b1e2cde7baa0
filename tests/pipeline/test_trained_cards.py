"""From a card to the sampler: loss, batches, decay and largest step of a network without hidden layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from nnft.pipeline.train_engine import TrainEngine
from nnft.pipeline.train_samples import scaled
from nnft.pipeline.train_setup import decide_step, make_ensemble
from nnft.samplers.trained import TrainedEnsemble
from nnft.spec.plan import plan_run
from nnft.spec.run import RunSpec

Array = npt.NDArray[Any]

POINTS, DIMENSION, VARIANCE = 5, 3, 1.7
FACTORS = {"half-sum": 0.5, "sum": 1.0, "half-mean": 0.5 / POINTS, "mean": 1.0 / POINTS}
OF_A_POINT = {"half-sum": 0.5, "sum": 1.0, "half-mean": 0.5, "mean": 1.0}
"""c of the loss of all points, and of a batch of one point."""


def spec_of(**training: Any) -> RunSpec:
    """f(x) = w x, three weights and five points."""
    data = {"teacher": "linear", "points": POINTS, "dimension": DIMENSION, "noise_variance": 0.1, "seed": 4}
    return RunSpec.from_dict(
        {
            "network": {"widths": [], "activation": "linear", "weight_variance": VARIANCE},
            "inputs": {"points": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]},
            "ensemble": {"networks": 4, "seed": 20240601},
            "training": {**training, "data": data},
        }
    )


def tangent(spec: RunSpec) -> Array:
    """Tangent kernel x . x' / d of all networks."""
    x = spec.dataset().train_inputs
    return np.asarray(x @ x.T / DIMENSION)


def ensemble_of(spec: RunSpec, step: float) -> TrainedEnsemble:
    return make_ensemble(spec, plan_run(spec), 1, step)


@pytest.mark.parametrize("decays", [False, True])
@pytest.mark.parametrize("loss", FACTORS)
def test_largest_step_of_a_descent(loss: str, decays: bool) -> None:
    """2 / (2c lambda + T / C_W): the loss falls below it and grows above it."""
    warm = {"weight_decay": "prior", "temperature": 0.3} if decays else {}
    spec = spec_of(loss=loss, algorithm="gd", step=1e-3, steps=9, **warm)
    step, limit = decide_step(spec, plan_run(spec))
    curvature = 2.0 * FACTORS[loss] * np.linalg.eigvalsh(tangent(spec))[-1] + 0.3 / VARIANCE * decays
    assert step == 1e-3
    assert limit == pytest.approx(2.0 / curvature, rel=1e-12)
    for share, grows in ((0.98, False), (1.02, True)):
        ensemble = ensemble_of(spec, share * limit)
        wave = ensemble.start(0, 4)
        energies = []
        for end in (50, 100):
            ensemble.advance(wave, end)
            energies.append(ensemble.observe(wave)[1][:, 2])
        assert np.all((energies[1] > 2.0 * energies[0]) == grows)


@pytest.mark.parametrize("algorithm", ["langevin", "mala", "underdamped", "hmc"])
@pytest.mark.parametrize("loss", FACTORS)
def test_largest_step_of_a_sampler(loss: str, algorithm: str) -> None:
    """2 / curvature, of the second-order ones 2 / sqrt(curvature); a ridge is a decay of 2c ridge / C_W."""
    step = {} if algorithm in ("mala", "hmc") else {"step": 1e-3}
    spec = spec_of(loss=loss, algorithm=algorithm, ridge=0.2, draws=5, **step)
    _, limit = decide_step(spec, plan_run(spec))
    curvature = 2.0 * FACTORS[loss] * (np.linalg.eigvalsh(tangent(spec))[-1] + 0.2 / VARIANCE)
    power = 0.5 if algorithm in ("underdamped", "hmc") else 1.0
    assert limit == pytest.approx(2.0 / curvature**power, rel=1e-12)


@pytest.mark.parametrize("loss", FACTORS)
def test_largest_step_of_single_points(loss: str) -> None:
    """That of the largest kernel of a point; a mean over one point has all of the decay, a sum a fifth."""
    spec = spec_of(
        loss=loss, algorithm="sgd", step=1e-3, steps=9, batch_size=1, weight_decay="prior", temperature=0.3
    )
    _, limit = decide_step(spec, plan_run(spec))
    largest = min(float(tangent(spec).diagonal().max()), float(np.linalg.eigvalsh(tangent(spec))[-1]))
    decay = 0.3 / VARIANCE * (1.0 if loss.endswith("mean") else 1.0 / POINTS)
    assert limit == pytest.approx(2.0 / (2.0 * OF_A_POINT[loss] * largest + decay), rel=1e-12)


@pytest.mark.parametrize("algorithm", ["gd", "sgd"])
@pytest.mark.parametrize("loss", FACTORS)
def test_descent_of_a_card_by_hand(loss: str, algorithm: str) -> None:
    """Weights after two epochs and a step: sums and means over the points of a batch, the third one short."""
    batches = {"batch_size": 2, "order": "cyclic"} if algorithm == "sgd" else {}
    step, steps = 0.07, 7
    spec = spec_of(loss=loss, algorithm=algorithm, step=step, steps=steps, **batches)
    data = spec.dataset()
    ensemble = ensemble_of(spec, step)
    wave = ensemble.start(0, 4)
    w = [ensemble.problem.layers(row)[0][0][0].copy() for row in ensemble.weights(wave)]
    ensemble.advance(wave, steps)
    found = [ensemble.problem.layers(row)[0][0][0] for row in ensemble.weights(wave)]
    parts = [[0, 1], [2, 3], [4]] if algorithm == "sgd" else [list(range(POINTS))]
    for k in range(steps):
        chosen = parts[k % len(parts)]
        x, y = data.train_inputs[chosen], data.train_targets[chosen, 0]
        factor = (1.0 if loss.startswith("half") else 2.0) / (len(chosen) if loss.endswith("mean") else 1)
        w = [one - step / DIMENSION * factor * (x @ one - y) @ x for one in w]
    for one, other in zip(found, w, strict=True):
        assert one == pytest.approx(other, rel=1e-11, abs=1e-13)


def test_numbers_of_layers_with_biases() -> None:
    """Weight scales: means of W^2 over its prior variance. Virials: means over weights and biases, over T."""
    card = spec_of(loss="sum", algorithm="langevin", ridge=0.2, step=1e-3, draws=2).model_dump(
        exclude_none=True
    )
    card["network"] = {
        "widths": [4], "activation": "tanh", "weight_variance": [VARIANCE, 0.6], "bias_variance": [0.3, 0.0]
    }  # fmt: skip
    spec = RunSpec.from_dict(card)
    engine = TrainEngine(spec, plan_run(spec), 1, 1e-3)
    wave = engine.sampler.start(0, 3)
    scalars = engine.sampler.observe(wave)[1]
    found = scaled(engine, scalars)
    temperature = 0.2 * 2.0 * FACTORS["sum"]
    for row, theta, plain in zip(found, wave.theta, scalars, strict=True):
        (first, _), (last, _) = engine.sampler.problem.layers(theta)
        scales = [(first**2).mean() * DIMENSION / VARIANCE, (last**2).mean() * 4 / 0.6]
        assert row[3:5] == pytest.approx(scales, rel=1e-12)
        assert row[5:] == pytest.approx(
            plain[5:] / (temperature * np.array([4 * (DIMENSION + 1), 4])), rel=1e-14
        )
        assert np.array_equal(row[:3], plain[:3], equal_nan=True)


def test_averages_are_over_networks_chains_and_draws() -> None:
    """Four networks of three chains: moments at two snapshots and over two draws, from the outputs."""
    spec = spec_of(
        loss="sum", algorithm="langevin", ridge=0.2, step=0.05, burn_in=3, draws=2, thinning=4, chains=3,
        snapshots=[2],
    )  # fmt: skip
    plan = plan_run(spec)
    engine, ensemble = TrainEngine(spec, plan, 1, 0.05), ensemble_of(spec, 0.05)
    while engine.networks_done < plan.networks:
        engine.advance(100)
    wave, outputs = ensemble.start(0, 4), {}
    for step in (0, 2, 3, 7):
        ensemble.advance(wave, step)
        outputs[step] = ensemble.observe(wave)[0]
    assert engine.flow is not None
    pairs = np.triu_indices(2)
    for estimator, steps in ((engine.flow.at(0), [0]), (engine.flow.at(1), [2]), (engine.estimator, [3, 7])):
        rows = np.concatenate([outputs[step] for step in steps])
        assert estimator.moment(1).value == pytest.approx(rows.mean(axis=0), rel=1e-11)
        assert estimator.moment(2).value == pytest.approx((rows.T @ rows / len(rows))[pairs], rel=1e-11)
