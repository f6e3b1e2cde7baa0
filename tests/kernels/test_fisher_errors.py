"""Factors of derivatives and sampling errors of the information, against their NumPy twins."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from training_twins import Case, data, training

from nnft._kernels import fisher_errors
from nnft._kernels.reference_renormalization import factors_reference, relative_errors_reference
from nnft.samplers.renormalized import FlowSchedule, Renormalization, marked
from nnft.samplers.trained import Schedule
from nnft.samplers.training_problem import on_cache_lines

Array = npt.NDArray[Any]


def case_of(widths: tuple[int, ...], activation: str, outputs: int = 2) -> Case:
    return training(*data(5, 3, outputs), widths=widths, activation=activation)


def weights(case: Case) -> Array:
    return case.ensemble(Schedule("gd", 0.02, 1.0)).start(3, 1).theta[0]


@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu"])
@pytest.mark.parametrize("widths", [(), (5,), (6, 9)])
@pytest.mark.parametrize("points", [1, 7, 70])
def test_factors_of_every_layer(widths: tuple[int, ...], activation: str, points: int) -> None:
    """Layers that are not marked take no room."""
    case, inputs = case_of(widths, activation), data(points, 3, seed=4)[0]
    theta, count = weights(case), len(widths) + 1
    wanted = factors_reference(case.law, case.flat(theta), inputs)
    for layers in (tuple(range(1, count + 1)), (count,), (1,)):
        header, numbers = marked(case.problem, layers, inputs)
        found = np.full(fisher_errors.factors_size(header), np.nan)
        work = on_cache_lines(np.full(case.problem.work_size(header, kernels=False), np.nan))
        fisher_errors.factors(case.problem.arrays, (header, numbers), theta, work, found)
        parts = [part.ravel() for layer in layers for part in wanted[layer - 1]]
        expected = np.concatenate(parts)
        assert found.shape == expected.shape
        assert abs(found - expected).max() < 1e-12 * abs(expected).max()


@pytest.mark.parametrize(("widths", "activation"), [((6, 9), "tanh"), ((40,), "relu"), ((), "linear")])
def test_relative_errors_of_the_information(widths: tuple[int, ...], activation: str) -> None:
    """Spread over the inputs of what each tells, over sqrt(X): median and mean where there is information."""
    case, inputs = case_of(widths, activation), data(6, 3, seed=4)[0]
    ensemble, layers = case.ensemble(Schedule("gd", 0.02, 1.0)), tuple(range(1, len(widths) + 2))
    rates = [1.0 / fan_in for _, fan_in, _ in case.law.shapes]
    schedule = FlowSchedule((0.0, 1.0), layers, 0.3, rates, [1.0] * len(rates))
    wave = ensemble.start(3, 2)
    found = Renormalization(ensemble, schedule, inputs, inputs[:1]).run(wave.theta, 3)
    for theta, pair in zip(wave.theta, found.uncertainty, strict=True):
        wanted = relative_errors_reference(case.law, case.flat(theta), inputs)
        wanted = wanted[np.isfinite(wanted)]
        assert pair == pytest.approx([np.median(wanted), np.mean(wanted)], rel=1e-9)
    alone = Renormalization(ensemble, schedule, inputs[:1], inputs[:1]).run(wave.theta, 3)
    assert np.isnan(alone.uncertainty).all()
