"""Trained ensembles as objects: bits that depend on a member alone, streams, starts, refusals."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from training_twins import SEED, Case, data, training

from nnft._kernels import training_problem
from nnft._kernels.threads import MemberThreads
from nnft.errors import UsageError
from nnft.samplers.initial import InitialEnsemble
from nnft.samplers.trained import Schedule, TrainedEnsemble, Wave

Array = npt.NDArray[Any]

HOT = {"temperature": 0.3, "chains": 2}
ADAPTS = HOT | {"burn_in": 6, "adapt": True}
SCHEDULES = {
    "gd": Schedule("gd", 0.1, 1.0, chains=2),
    "sgd": Schedule("sgd", 0.1, 1.0, batch_size=3, batches=3, order="shuffled", chains=2),
    "gradient-flow": Schedule("gradient-flow", 1e-3, 1.0, tolerance=1e-8, chains=2),
    "langevin": Schedule("langevin", 0.05, 1.0, **HOT),
    "underdamped": Schedule("underdamped", 0.2, 1.0, **HOT),
    "mala": Schedule("mala", 0.02, 1.0, target_acceptance=0.57, **ADAPTS),
    "hmc": Schedule("hmc", 0.1, 1.0, leapfrog_steps=3, jitter=0.2, **ADAPTS),
}
STEPS = 10
TIMES = (1.0, 2.0)


def case_of(algorithm: str, layers: str) -> Case:
    """Eight points, two outputs, all layers or the readout alone; weight decay with a temperature."""
    trainable = (1, 2, 3) if layers == "all" else (3,)
    temperature = SCHEDULES[algorithm].temperature
    return training(*data(8, 3, 2), (7, 5), "tanh", trainable=trainable, temperature=temperature)


def run(
    ensemble: TrainedEnsemble, first: int, networks: int, cuts: tuple[int, ...] = (STEPS,)
) -> list[Array]:
    """Everything that members have at the end: weights, momenta or moves, control, status, observables."""
    wave = ensemble.start(first, networks)
    if ensemble.schedule.algorithm == "gradient-flow":
        for time in TIMES:
            while not ensemble.follow(wave, time):
                pass
    for step in cuts if ensemble.schedule.algorithm != "gradient-flow" else ():
        ensemble.advance(wave, step)
    laws = ensemble.readouts(wave, 0.3)
    observed = (*ensemble.observe(wave), *ensemble.kernels(wave), *laws)
    return [ensemble.weights(wave), wave.extra, wave.control, wave.status, *observed]


def same(left: list[Array], right: list[Array]) -> bool:
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize("layers", ["all", "readout"])
@pytest.mark.parametrize("algorithm", SCHEDULES)
def test_bits_depend_on_the_member_alone(algorithm: str, layers: str) -> None:
    """Not on threads, nor on the cutting into calls, nor on who else is in the wave."""
    case, schedule = case_of(algorithm, layers), SCHEDULES[algorithm]
    ensemble = case.ensemble(schedule)
    assert ensemble.dual == (layers == "readout" and algorithm in ("gd", "sgd"))
    whole = run(ensemble, 3, 5)
    for threads in (2, 3):
        assert same(whole, run(case.ensemble(schedule, threads=threads), 3, 5))
    assert same(whole, run(ensemble, 3, 5, (3, STEPS)))
    assert same(whole, run(ensemble, 3, 5, (1, 2, 5, 6, 7, STEPS)))
    for network in (3, 5, 7):
        members = slice(2 * (network - 3), 2 * (network - 2))
        assert same([part[members] for part in whole], run(ensemble, network, 1))
    assert whole[0].shape == (10, case.problem.size)
    assert np.all(whole[3] == 0)
    assert not same(whole, run(case.ensemble(schedule, seed=SEED + 1), 3, 5))
    rows = {row.tobytes() for row in whole[0]}
    assert len(rows) == 10


def test_flow_does_not_depend_on_how_often_it_is_asked() -> None:
    """A network that is there early waits for the others without a change."""
    case = case_of("gradient-flow", "all")
    ensemble = case.ensemble(SCHEDULES["gradient-flow"])
    wave = ensemble.start(0, 2)
    while not ensemble.follow(wave, 1.0):
        pass
    kept = wave.theta.copy(), wave.control.copy()
    assert ensemble.follow(wave, 1.0)
    assert ensemble.follow(wave, 0.5)
    assert np.array_equal(wave.theta, kept[0])
    assert np.array_equal(wave.control, kept[1])


def test_no_two_normals_are_the_same() -> None:
    """Layers of one shape, members, steps and purposes: 200,000 normals, none of them twice."""
    case = training(*data(4, 8, 8), (8, 8, 8), "tanh")
    problem = case.problem.arrays
    drawn = []
    for member, step, purpose in itertools.product((0, 1, 7, 2**33), range(20), (5, 6)):
        out = training_problem.aligned(case.problem.size)
        training_problem.fill_noise(problem, SEED, member, purpose, step, out)
        drawn.append(out[~case.is_padding()])
    for network, chain in itertools.product((0, 1, 2, 5), range(4)):
        out = training_problem.aligned(case.problem.size)
        training_problem.draw_start(problem, SEED, network, chain, 4, out)
        weights = [matrix / np.sqrt(1.4 / 8) for matrix, _ in case.problem.layers(out)]
        drawn += [matrix.ravel() for matrix in weights]
    values = np.concatenate(drawn)
    assert len(values) > 40_000
    assert len(np.unique(values)) == len(values)


def test_layers_and_chains_start_apart() -> None:
    """Chains of a network have one frozen part, and trained layers of their own."""
    case = training(*data(4, 3, 1), (5, 6), "tanh", trainable=(2, 3))
    ensemble = case.ensemble(Schedule("hmc", 0.1, 1.0, temperature=0.2, chains=3))
    theta = ensemble.start(4, 2).theta
    layers = [case.problem.layers(row) for row in theta]
    for network in (0, 3):
        for k in (1, 2):
            assert np.array_equal(layers[network][0][0], layers[network + k][0][0])
            assert np.array_equal(layers[network][0][1], layers[network + k][0][1])
        for one, other in ((0, 1), (0, 2), (1, 2)):
            for layer in (1, 2):
                pair = layers[network + one][layer], layers[network + other][layer]
                assert not np.any(pair[0][0] == pair[1][0])
                assert not np.any(pair[0][1] == pair[1][1])
    assert not np.any(layers[0][0][0] == layers[3][0][0])
    alone = case.ensemble(Schedule("hmc", 0.1, 1.0, temperature=0.2)).start(4, 2).theta
    assert np.array_equal(alone, theta[::3])  # the first chain is the network itself


@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu", "quadratic", "exp"])
@pytest.mark.parametrize("widths", [(), (7,), (16, 33, 5)])
def test_networks_at_the_start_are_those_of_the_explicit_sampler(activation: str, widths: Any) -> None:
    inputs, targets = data(6, 5, 3)
    weight = [0.5 + 0.1 * k for k in range(len(widths) + 1)]
    bias = [0.1 * k for k in range(len(widths) + 1)]
    for observe in range(3):
        case = training(inputs, targets, widths, activation, weight=weight, bias=bias, observe=observe)
        ensemble = case.ensemble(Schedule("gd", 0.1, 1.0), inputs)
        network = case.law.network
        untrained = InitialEnsemble(
            inputs, widths, activation, network.parameters, weight, bias, 3, SEED, "explicit", "float64"
        )
        expected = untrained.fields(11, 4)[:, observe]
        found = ensemble.observe(ensemble.start(11, 4))[0]
        assert abs(found - expected).max() < 1e-12 * abs(expected).max()


def test_members_that_diverge_are_told_and_left_alone() -> None:
    """With a step that only some networks stand, the others end where they end without them."""
    case = training(*data(8, 3, 1), (6,), "relu", weight=2.0, bias=0.0)
    for schedule in (
        Schedule("gd", 0.5, 1.0, divergence=10.0),
        Schedule("sgd", 0.5, 1.0, divergence=10.0, batch_size=8, order="cyclic"),
        Schedule("langevin", 0.5, 1.0, temperature=1e-6, divergence=10.0),
        Schedule("underdamped", 1.0, 1.0, temperature=1e-6, divergence=10.0),
    ):
        ensemble = case.ensemble(schedule)
        wave = ensemble.start(0, 40)
        ensemble.advance(wave, 60)
        lost = wave.status != 0
        assert 3 < lost.sum() < 37, schedule.algorithm
        assert np.array_equal(wave.alive, ~lost)
        for network in (int(np.flatnonzero(lost)[0]), int(np.flatnonzero(~lost)[0])):
            alone = ensemble.start(network, 1)
            for step in range(1, 61):
                ensemble.advance(alone, step)
            assert alone.status[0] == wave.status[network]
            assert np.array_equal(alone.theta[0], wave.theta[network])


@pytest.mark.parametrize("algorithm", ["gd", "sgd"])
def test_both_paths_of_the_readout_diverge_at_one_step(algorithm: str) -> None:
    case = training(*data(8, 3, 1), (6,), "relu", trainable=(2,), weight=2.0)
    schedule = Schedule(algorithm, 0.18, 1.0, divergence=100.0, batch_size=8 * (algorithm == "sgd"))
    found = []
    for dual in (True, False):
        ensemble = case.ensemble(schedule)
        ensemble.dual = dual
        wave = ensemble.start(0, 30)
        ensemble.advance(wave, 40)
        found.append(wave.status)
    assert 0 < np.count_nonzero(found[0]) < 30
    assert np.array_equal(*found)


def test_first_loss_is_that_of_the_start() -> None:
    """Growth of the loss is measured from the start, not from the end of the first epoch."""
    case = training(*data(8, 3, 1), (6,), "tanh")
    for algorithm in ("gd", "sgd", "langevin", "underdamped", "hmc"):
        options = {"batch_size": 2, "batches": 4} if algorithm == "sgd" else {"temperature": 0.1}
        ensemble = case.ensemble(Schedule(algorithm, 0.05, 1.0, **options))
        wave = ensemble.start(0, 3)
        ensemble.advance(wave, 8)
        first = [case.law.squares(case.law.start(m)) for m in range(3)]
        assert wave.control[:, 1] == pytest.approx(first, rel=1e-12)
        last = [case.law.squares(case.flat(row)) for row in wave.theta]
        assert wave.control[:, 0] == pytest.approx(last, rel=1e-11)


def test_weights_come_as_matrices() -> None:
    case = training(*data(4, 3, 2), (5,), "tanh", bias=[0.0, 0.3])
    ensemble = case.ensemble(Schedule("gd", 0.1, 1.0))
    (first, none), (second, biases) = case.problem.layers(ensemble.start(2, 1).theta[0])
    assert (first.shape, none.shape, second.shape, biases.shape) == ((5, 3), (0,), (2, 5), (2,))
    expected = case.law.matrices(case.law.start(2))
    assert np.hstack([second, biases[:, None]]) == pytest.approx(expected[1], rel=1e-13)
    assert first == pytest.approx(expected[0], rel=1e-13)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7])
def test_threads_share_members(count: int) -> None:
    """Every member once, also where there are fewer of them than parts; an error of any part is raised."""
    threads = MemberThreads(count)
    for members in (1, 2, 5, 29, 100):
        done = np.zeros(members, dtype=int)

        def part(start: int, stop: int, done: Array = done) -> None:
            done[start:stop] += 1

        threads.run(members, part)
        assert np.all(done == 1)

    def fails(start: int, stop: int) -> None:
        if start <= 40 < stop:
            raise ValueError("member 40")

    with pytest.raises(ValueError, match="member 40"):
        threads.run(50, fails)


def test_refusals() -> None:
    case = training(*data(4, 3), (5,), "tanh")
    with pytest.raises(UsageError, match=r"in training\.algorithm: got 'adam'; use one of gd, "):
        case.ensemble(Schedule("adam", 0.1, 1.0))
    with pytest.raises(UsageError, match=r"in network\.widths: got 64 hidden layers; allowed: at most 63"):
        training(*data(4, 3), (1,) * 64, "tanh")
    deep = training(*data(4, 3), (1,) * 63, "linear")
    wave: Wave = deep.ensemble(Schedule("gd", 0.1, 1.0)).start(0, 1)
    assert wave.alive.tolist() == [True]
