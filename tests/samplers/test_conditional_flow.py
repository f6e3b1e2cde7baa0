"""Flows whose sloppy coordinates are averaged over, against the dense Gaussian law of the weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from threadpoolctl import threadpool_limits
from training_twins import Case, data, training

from nnft._kernels.reference_renormalization import factors_reference
from nnft.errors import UsageError
from nnft.samplers.conditional_flow import ConditionalFlow
from nnft.samplers.direction_flow import DirectionFlow
from nnft.samplers.renormalized import FlowSchedule
from nnft.samplers.trained import Schedule, TrainedEnsemble, Wave

Array = npt.NDArray[Any]

CUTOFFS = (0.0, 1e-7, 0.02, 0.2, 0.6, 2.0, np.inf)
NOISE, RIDGE, FIRST, MEMBERS = 0.3, 0.25, 2, 3
BASES = ("diagonal", "eigenbasis", "layer-eigenbasis", "kronecker")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small matrices in one thread of BLAS, as runs do it."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield


def case_of(points: int = 5, **options: Any) -> Case:
    """A readout with biases of another prior variance than the weights: not isotropic."""
    usual = {"widths": (6, 9), "bias": (0.1, 0.2, 0.7), "trainable": (3,), "temperature": RIDGE}
    return training(*data(points, 3, 2), **(usual | options))


def started(case: Case, mesh: Array, test: Any = None, threads: int = 1) -> tuple[TrainedEnsemble, Wave]:
    schedule = Schedule("hmc", 0.1, 1.0, temperature=RIDGE, leapfrog_steps=5)
    ensemble = case.ensemble(schedule, mesh, test=test, threads=threads)
    wave = ensemble.start(FIRST, MEMBERS)
    ensemble.advance(wave, 3)
    return ensemble, wave


def schedule_of(case: Case, **options: Any) -> FlowSchedule:
    rates = [1.0 / fan_in for _, fan_in, _ in case.law.shapes]
    usual = {"fill": "conditional", "ridge": RIDGE}
    return FlowSchedule(CUTOFFS, (3,), NOISE, rates, [1.0] * len(rates), **(usual | options))


def law_by_hand(
    case: Case, basis: str, theta: Array, fisher: Array, points: Array, cutoff: float
) -> tuple[Array, Array]:
    """Mean (J, D) and covariance (J, J) of the outputs given the stiff coordinates, from dense matrices."""
    rows, fan_in, _ = case.law.shapes[-1]
    roots = np.sqrt([1.0 / fan_in] * fan_in + [1.0])
    numbers = case.law.matrices(theta)[-1].T / roots[:, None]
    variances = case.law.variances[-rows * (fan_in + 1) :][: fan_in + 1] / roots**2

    def features(inputs: Array) -> Array:
        found: Array = factors_reference(case.law, theta, inputs)[-1][0].T * roots
        return found

    seen = features(case.problem.inputs)
    precision = seen.T @ seen / RIDGE + np.diag(1.0 / variances)
    mean = np.linalg.solve(precision, seen.T @ case.problem.targets / RIDGE)
    matrix = features(fisher).T @ features(fisher) / (NOISE * len(fisher))
    if basis == "diagonal":
        values, vectors = np.diag(matrix), np.eye(len(matrix))
    else:
        values, vectors = np.linalg.eigh(matrix)
        values = np.where(values < 1e-13 * values[-1], 0.0, values)
    sloppy, stiff = vectors[:, values < cutoff], vectors[:, values >= cutoff]
    kept, on = stiff @ (stiff.T @ numbers), features(points)
    inner = np.linalg.inv(sloppy.T @ precision @ sloppy)
    beside = mean - sloppy @ (inner @ (sloppy.T @ precision @ (kept - stiff @ (stiff.T @ mean))))
    filled = kept + sloppy @ (sloppy.T @ beside)
    return on @ filled, on @ sloppy @ inner @ sloppy.T @ on.T


@pytest.mark.parametrize("points", [5, 30])
@pytest.mark.parametrize("basis", BASES)
def test_flow_is_that_of_the_dense_law(basis: str, points: int) -> None:
    """Fewer and more training points than features; fewer and more Fisher inputs."""
    case = case_of(points)
    mesh, test = data(4, 3, seed=1)[0], data(7, 3, 2, seed=2)
    ensemble, wave = started(case, mesh, test)
    pairs = np.triu_indices(4)
    for fisher in (data(4, 3, seed=3)[0], data(25, 3, seed=3)[0]):
        found = ConditionalFlow(ensemble, schedule_of(case, basis=basis), fisher, mesh, test)
        flow = found.run(wave.theta, FIRST)
        assert flow.outputs.shape == (MEMBERS, 1, len(CUTOFFS), 4 + 10)
        for m, (c, cutoff) in ((m, pair) for m in (0, 2) for pair in enumerate(CUTOFFS)):
            theta = case.flat(wave.theta[m])
            mean, covariance = law_by_hand(case, basis, theta, fisher, mesh, cutoff)
            assert flow.outputs[m, 0, c, :4] == pytest.approx(mean[:, 0], rel=1e-7, abs=1e-8)
            assert flow.outputs[m, 0, c, 4:] == pytest.approx(covariance[pairs], rel=1e-7, abs=1e-9)
            for part, (inputs, targets) in enumerate(((case.problem.inputs, case.problem.targets), test)):
                mean, covariance = law_by_hand(case, basis, theta, fisher, inputs, cutoff)
                wanted = np.mean((mean - targets) ** 2) + np.mean(np.diag(covariance))
                assert flow.errors[m, 0, c, part] == pytest.approx(wanted, rel=1e-7)


@pytest.mark.parametrize("basis", ["diagonal", "eigenbasis"])
def test_ends_are_the_network_and_its_posterior(basis: str) -> None:
    """Cutoff 0 bit for bit, without a covariance; infinity the law given the hidden layers alone."""
    case, mesh = case_of(), data(4, 3, seed=1)[0]
    ensemble, wave = started(case, mesh)
    flow = ConditionalFlow(ensemble, schedule_of(case, basis=basis), mesh, mesh).run(wave.theta, FIRST)
    assert np.array_equal(flow.outputs[:, 0, 0, :4], ensemble.observe(wave)[0])
    assert (flow.outputs[:, 0, 0, 4:] == 0.0).all()
    mean, covariance = ensemble.readouts(wave, RIDGE)
    assert flow.outputs[:, 0, -1, :4] == pytest.approx(mean, rel=1e-10, abs=1e-12)
    assert flow.outputs[:, 0, -1, 4:] == pytest.approx(covariance, rel=1e-10, abs=1e-12)
    kernels = ensemble.kernels(wave)[0]
    for c in range(len(CUTOFFS)):
        assert np.array_equal(flow.tangents[:, c], kernels[:, kernels.shape[1] // 2 :])


def test_shares_are_those_of_directions() -> None:
    case, mesh = case_of(), data(4, 3, seed=1)[0]
    ensemble, wave = started(case, mesh)
    found = ConditionalFlow(ensemble, schedule_of(case, basis="eigenbasis"), mesh, mesh).run(wave.theta, 2)
    schedule = schedule_of(case, basis="eigenbasis", fill="prior")
    wanted = DirectionFlow(ensemble, schedule, mesh, mesh).run(wave.theta, 2)
    for name in ("shares", "zeros"):
        assert getattr(found, name) == pytest.approx(getattr(wanted, name), rel=1e-14)
    assert found.uncertainty == pytest.approx(wanted.uncertainty, rel=1e-10)


@pytest.mark.parametrize("basis", ["diagonal", "eigenbasis"])
def test_bits_do_not_depend_on_threads_or_neighbours(basis: str) -> None:
    case, mesh = case_of(30, widths=(6, 20)), data(4, 3, seed=1)[0]
    one, wave = started(case, mesh)
    two, _ = started(case, mesh, threads=2)
    runs = [ConditionalFlow(e, schedule_of(case, basis=basis), case.problem.inputs, mesh) for e in (one, two)]
    whole, shared = (run.run(wave.theta, FIRST) for run in runs)
    alone = runs[0].run(wave.theta[1:2].copy(), FIRST + 1)
    for name in vars(whole):
        a, b, c = (getattr(flow, name) for flow in (whole, shared, alone))
        if a is None:  # nothing is drawn: there are no squares of readout weights
            assert (name, b, c) == ("squares", None, None)
            continue
        assert a.tobytes() == b.tobytes(), name
        assert a[1:2].tobytes() == c.tobytes(), name


@pytest.mark.parametrize(
    ("case", "changes", "words"),
    [
        ({}, {"ridge": 0.0}, "no conditional law: got layers"),
        ({}, {"layers": (2, 3)}, "no conditional law: got layers"),
        ({}, {"refills": 2}, "2 refills"),
        ({}, {"fill": "prior"}, "unknown fill or basis"),
        ({"trainable": (1, 2, 3)}, {}, "no tangent kernel"),
    ],
)
def test_flows_without_a_conditional_law(case: dict[str, Any], changes: dict[str, Any], words: str) -> None:
    made, mesh = case_of(**case), data(2, 3)[0]
    ensemble, _ = started(made, mesh)
    with pytest.raises(UsageError, match=words):
        ConditionalFlow(ensemble, replace(schedule_of(made), **changes), mesh, mesh)
