"""Trained networks against theory: posteriors, descent, stochastic descent, Langevin dynamics at its step.

Theory of infinite width is wrong at the widths here: the tests also demand that it is rejected, so that a
test that accepts everything fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs import DETECTABLE, LIMIT, SEED, SMALLEST_P, Array

from nnft.analysis.comparison import Comparison, Stage, compare
from nnft.analysis.comparison_table import Column, Row
from nnft.analysis.run import open_run
from nnft.analysis.trained_dynamics import linear_readout
from nnft.analysis.trained_kernels import JointKernels
from nnft.analysis.trained_run import TrainedRun
from nnft.pipeline.train import train
from nnft.spec.run import RunSpec

POINTS = [[0.4, 0.6, -0.9], [-0.8, 0.1, 0.5], [1.1, -0.3, 0.2]]


def compared(
    folder: Path, seed: int, networks: int, widths: list[int], training: dict[str, Any], **changes: Any
) -> Comparison:
    """A run of trained networks beside theory."""
    data = {
        "teacher": "single-index", "link": "tanh", "points": 5, "dimension": 3, **changes.pop("data", {})
    }  # fmt: skip
    network = {"activation": "erf", "weight_variance": 1.5, "widths": widths, **changes.pop("network", {})}
    estimate = {"correlators": changes.pop("correlators", [2]), "bins": 64, **changes.pop("estimate", {})}
    spec = RunSpec.from_dict(
        {
            "network": network,
            "inputs": {"points": POINTS},
            "ensemble": {"networks": networks, "seed": seed},
            "estimate": estimate,
            "training": {"loss": "half-sum", **training, "data": data},
        }
    )
    path = folder / "run.h5"
    train(spec, path, overwrite=True).close()
    with open_run(path) as run:
        return compare(TrainedRun(run))


def columns(found: Comparison, name: str, stage: Stage | None = None) -> Iterator[tuple[int, Column]]:
    """Orders and columns of a theory."""
    place = [prediction.name for prediction in found.predictions].index(name)
    for table in (stage or found.final).tables:
        column = table.columns[place]
        if column is not None:
            yield table.order, column


def follows(found: Comparison, name: str, orders: tuple[int, ...] = (1, 2)) -> None:
    """Correlators at the end agree with a theory, one by one and all at once."""
    for order, column in columns(found, name):
        if order in orders:
            assert np.abs(column.pull).max() < LIMIT, (name, order)
            assert column.test is not None
            assert column.test.p_value > SMALLEST_P, (name, order)


def is_rejected(found: Comparison, name: str) -> bool:
    """Whether some correlator of order 1 or 2 disagrees with a theory beyond chance."""
    tests = [column.test for order, column in columns(found, name) if order < 3]
    return any(test is not None and test.p_value < SMALLEST_P for test in tests)


def number(rows: tuple[Row, ...], name: str) -> Row:
    """A row by its name."""
    return next(row for row in rows if row.name == name)


def sees(found: Comparison, share: float) -> None:
    """Errors of mean and variance are small against this share of a standard deviation and variance of 1."""
    assert DETECTABLE * float(np.median(found.mean_stderr)) < share
    assert DETECTABLE * float(np.median(found.variance_stderr)) < share


def test_exact_readouts_follow_the_first_order_in_one_over_width(tmp_path: Path) -> None:
    training = {"algorithm": "exact", "trainable": "readout", "ridge": 0.1}
    found = compared(tmp_path, SEED + 700, 6000, [48], training, data={"points": 6})
    follows(found, "first order")
    assert is_rejected(found, "gaussian process")
    error = number(found.final.numbers, "train_error")
    assert abs(error.pull[1] or 0.0) < LIMIT
    sees(found, 0.02)


def test_deep_linear_chains_follow_the_exact_integral(tmp_path: Path) -> None:
    training = {"algorithm": "hmc", "ridge": 0.2, "burn_in": 200, "draws": 40, "thinning": 2}
    found = compared(
        tmp_path, SEED + 701, 256, [8], training, network={"activation": "linear"}, correlators=[2, 4]
    )
    follows(found, "deep linear", (1, 2, 3, 4))
    assert is_rejected(found, "gaussian process")
    numbers = [row for row in found.final.numbers if row.pull[0] is not None]
    assert [row.name for row in numbers] == ["train_error", "weight_scale_1", "weight_scale_2"]
    assert max(abs(row.pull[0] or 0.0) for row in numbers) < LIMIT
    identities = [row for row in found.identities if not row.name.startswith("exponential")]
    assert max(abs(row.pull[0] or 0.0) for row in identities) < LIMIT
    scale = numbers[-1]
    assert DETECTABLE * scale.stderr < 0.3 * abs(1.0 - scale.value)  # sees the kernel scale leave its prior
    sees(found, 0.1)


def test_descent_follows_the_linearised_mean_and_covariance(tmp_path: Path) -> None:
    training = {"algorithm": "gd", "step": 0.2, "steps": 60, "snapshots": 6}
    found = compared(tmp_path, SEED + 702, 1000, [256], training)
    for stage in found.flow:
        for _, column in columns(found, "linearised descent", stage):
            assert np.abs(column.pull).max() < LIMIT, stage.step
            assert column.test is not None
            assert column.test.p_value > SMALLEST_P, stage.step
    sees(found, 0.2)
    for here, later in ((0, 1), (1, 2), (2, 3)):  # a snapshot is told from the theory of the next one
        table, other = found.flow[here].table(2), found.flow[later].table(2).columns[0]
        assert other is not None
        assert np.abs((table.value - other.value) / table.stderr).max() > LIMIT


def quiet_errors(found: Comparison) -> Array:
    """Mean squared errors of descent with all points at once, at the rate of the batches."""
    training = found.trained.training
    model, _ = linear_readout(JointKernels(found.trained))
    step = training["step"] * training["batch_size"] / training["train_points"]
    laws = [model.descent(stage.step, step) for stage in found.flow]
    return np.array([2.0 * model.loss(law) / training["train_points"] for law in laws])


def test_stochastic_descent_of_readouts_follows_its_recursion(tmp_path: Path) -> None:
    training = {
        "algorithm": "sgd", "trainable": "readout", "step": 0.6, "epochs": 8, "batch_size": 1,
        "order": "random", "snapshots": [4, 12],
    }  # fmt: skip
    found = compared(tmp_path, SEED + 703, 1500, [256], training)
    errors = [number(stage.numbers, "train_error") for stage in found.flow]
    for stage, error in zip(found.flow, errors, strict=True):
        assert abs(error.pull[0] or 0.0) < LIMIT
        for _, column in columns(found, "stochastic descent", stage):
            assert np.abs(column.pull).max() < LIMIT, stage.step
    follows(found, "stochastic descent")
    quiet = quiet_errors(found)
    pulls = [(row.value - value) / row.stderr for row, value in zip(errors, quiet, strict=True)]
    assert max(pulls) > LIMIT  # the noise of the batches is seen


def test_batches_in_cyclic_order_on_all_layers(tmp_path: Path) -> None:
    training = {
        "algorithm": "sgd", "step": 0.1, "epochs": 10, "batch_size": 2, "order": "cyclic", "snapshots": [1, 7]
    }  # fmt: skip
    found = compared(tmp_path, SEED + 704, 800, [256], training)
    for stage in found.flow:
        for _, column in columns(found, "stochastic descent", stage):
            assert np.abs(column.pull).max() < LIMIT, stage.step
    follows(found, "stochastic descent")
    sees(found, 0.3)


def test_langevin_dynamics_has_the_bias_of_its_step(tmp_path: Path) -> None:
    training = {
        "algorithm": "langevin", "ridge": 0.2, "step": 0.1, "burn_in": 200, "draws": 20, "thinning": 10
    }  # fmt: skip
    found = compared(tmp_path, SEED + 705, 256, [64], training)
    assert found.predictions[0].name == "langevin at this step"
    follows(found, "first order")
    error = number(found.final.numbers, "train_error")
    pulls = dict(zip([prediction.name for prediction in found.predictions], error.pull, strict=True))
    assert abs(pulls["first order"] or 0.0) < LIMIT
    assert abs(pulls["gaussian process"] or 0.0) > LIMIT  # a law without the step is told apart


def test_langevin_dynamics_of_a_linear_model_is_exact_at_every_step(tmp_path: Path) -> None:
    training = {
        "algorithm": "langevin", "ridge": 0.2, "step": 0.1, "burn_in": 100, "draws": 50, "thinning": 5,
        "snapshots": [1, 3, 10],
    }  # fmt: skip
    found = compared(tmp_path, SEED + 706, 1000, [], training)
    assert found.predictions[0].exact
    follows(found, "langevin at this step")
    for stage in found.flow:
        for _, column in columns(found, "langevin at this step", stage):
            assert np.abs(column.pull).max() < LIMIT, stage.step
    assert is_rejected(found, "gaussian process")


@pytest.mark.long
@pytest.mark.parametrize("activation", ["erf", "relu"])
@pytest.mark.parametrize("widths", [[32], [48, 48]])
def test_chains_follow_the_first_order(tmp_path: Path, activation: str, widths: list[int]) -> None:
    """Single draws: averaged readouts see the second order of relu at these widths, of 1/width^2."""
    training = {"algorithm": "hmc", "ridge": 0.1, "burn_in": 200, "draws": 60, "thinning": 2}
    network, estimate = {"activation": activation}, {"estimator": "direct"}
    found = compared(tmp_path, SEED + 707, 500, widths, training, network=network, estimate=estimate)
    follows(found, "first order")
    assert is_rejected(found, "gaussian process")
    identities = [row for row in found.identities if not row.name.startswith("exponential")]
    assert max(abs(row.pull[0] or 0.0) for row in identities) < LIMIT
    sees(found, 0.05)


@pytest.mark.long
def test_chains_of_several_outputs_follow_the_first_order(tmp_path: Path) -> None:
    training = {"algorithm": "hmc", "ridge": 0.2, "burn_in": 200, "draws": 60, "thinning": 2, "observe": 1}
    found = compared(
        tmp_path, SEED + 711, 500, [24], training, network={"outputs": 3}, data={"outputs": 3},
        estimate={"estimator": "direct"},
    )  # fmt: skip
    follows(found, "first order")
    assert is_rejected(found, "gaussian process")


@pytest.mark.long
def test_deeper_linear_chains_follow_the_exact_integral(tmp_path: Path) -> None:
    training = {"algorithm": "hmc", "ridge": 0.2, "burn_in": 500, "draws": 60, "thinning": 4}
    found = compared(
        tmp_path, SEED + 712, 512, [8, 4], training, network={"activation": "linear"}, correlators=[2, 4]
    )
    follows(found, "deep linear", (1, 2, 3, 4))
    assert is_rejected(found, "first order")
    rows = [row for row in found.identities if not row.name.startswith("exponential")]
    assert max(abs(row.pull[0] or 0.0) for row in rows) < LIMIT


@pytest.mark.long
def test_departures_of_a_descent_shrink_with_the_width(tmp_path: Path) -> None:
    training = {"algorithm": "gd", "step": 0.2, "steps": 8, "snapshots": [1, 3]}
    scaled, errors = [], []
    for k, (width, networks) in enumerate(((16, 20_000), (32, 20_000), (64, 20_000))):
        found = compared(tmp_path, SEED + 713 + k, networks, [width], training)
        row = number(found.flow[2].numbers, "train_error")
        theory = row.theory[0] or np.nan
        scaled.append(width * (row.value / theory - 1.0))
        errors.append(width * row.stderr / theory)
    values, weights = np.array(scaled), 1.0 / np.array(errors) ** 2
    # n times the departure is one number up to the next order: linear in 1 / n
    design = np.column_stack([np.ones(3), 1.0 / np.array([16.0, 32.0, 64.0])])
    covariance = np.linalg.inv(design.T @ (design * weights[:, None]))
    fit = covariance @ design.T @ (weights * values)
    misfit = float(np.sum(weights * (values - design @ fit) ** 2))
    assert misfit**0.5 < LIMIT
    assert abs(fit[0]) > LIMIT * covariance[0, 0] ** 0.5
