"""Every algorithm step by step against its NumPy twin, the gradient flow against an integrator of SciPy."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.integrate import solve_ivp
from scipy.special import gammaincc
from training_twins import SEED, Case, data, training

from nnft._kernels import reference_training as twin
from nnft._kernels import training_batches
from nnft.samplers.trained import ORDERS, Schedule, TrainedEnsemble, Wave

Array = npt.NDArray[Any]

FIRST, NETWORKS, CHAINS = 3, 2, 2
MEMBERS = range(FIRST * CHAINS, (FIRST + NETWORKS) * CHAINS)
LAYERS: list[tuple[int, ...]] = [(1, 2, 3), (1, 3), (2,)]
TOLERANCE = 1e-12


def case_of(trainable: tuple[int, ...] = (1, 2, 3), temperature: float = 0.0, **options: Any) -> Case:
    """Two hidden layers, two outputs, eight points."""
    given = {"widths": (6, 9), "activation": "tanh", "factor": 0.8} | options
    return training(*data(8, 3, 2), trainable=trainable, temperature=temperature, **given)


def begin(case: Case, schedule: Schedule, **options: Any) -> tuple[TrainedEnsemble, Wave, list[Array]]:
    """Sampler, a wave at its start, weights of its members in the twin."""
    ensemble = case.ensemble(schedule, **options)
    chains = schedule.chains
    starts = [case.law.start(m // chains, m % chains, chains) for m in MEMBERS]
    return ensemble, ensemble.start(MEMBERS[0] // chains, len(MEMBERS) // chains), starts


def check(case: Case, found: Array, expected: list[Array], tolerance: float = TOLERANCE) -> None:
    """Weights of all members, and zeros in the padding."""
    for row, flat in zip(found, expected, strict=True):
        assert abs(case.flat(row) - flat).max() < tolerance * abs(flat).max()
        assert np.all(row[case.is_padding()] == 0.0)


@pytest.mark.parametrize("temperature", [0.0, 0.4])
@pytest.mark.parametrize("trainable", LAYERS)
def test_gradient_descent(trainable: tuple[int, ...], temperature: float) -> None:
    case = case_of(trainable, temperature)
    ensemble, wave, thetas = begin(case, Schedule("gd", 0.07, 0.8, chains=CHAINS))
    for step in range(1, 6):
        ensemble.advance(wave, step)
        thetas = [twin.descend(case.law, theta, 0.07) for theta in thetas]
        check(case, wave.theta, thetas)
    frozen = case.law.live == 0.0
    for m, row in zip(MEMBERS, wave.theta, strict=True):
        start = case.law.start(m // CHAINS, m % CHAINS, CHAINS)
        assert case.flat(row)[frozen] == pytest.approx(start[frozen], rel=1e-14, abs=0.0)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("mean_loss", [False, True])
@pytest.mark.parametrize(("batch", "temperature"), [(3, 0.4), (8, 0.0), (1, 0.1)])
def test_stochastic_gradient_descent(order: str, batch: int, temperature: float, mean_loss: bool) -> None:
    """Over the end of an epoch; with batches of three of eight points the last one is short."""
    case = case_of((1, 3), temperature)
    batches = -(-8 // batch)
    schedule = Schedule(
        "sgd", 0.05, 0.8, mean_loss, batch_size=batch, batches=batches, order=order, chains=CHAINS
    )
    ensemble, wave, thetas = begin(case, schedule)
    for step in range(batches + 3):
        ensemble.advance(wave, step + 1)
        epoch, at = divmod(step, batches)
        for k, member in enumerate(MEMBERS):
            taken = twin.epoch_order(case.law, member, order, epoch, 8, batches * batch)
            chosen = taken[at * batch : (at + 1) * batch]
            thetas[k] = twin.descend(case.law, thetas[k], 0.05, chosen, mean_loss)
        check(case, wave.theta, thetas)


def test_orders_of_points() -> None:
    """Orders of the twin; permutations where they have to be; every member and epoch has its own."""
    law = case_of().law
    key = int(np.array([law.network.key], dtype=np.uint64).view(np.int64)[0])
    for points, batch in itertools.product((1, 2, 7, 31, 32, 33, 100), (1, 3, 4, 30)):
        if batch > points:
            continue
        taken = -(-points // batch) * batch
        seen = []
        for order, member, epoch in itertools.product(ORDERS, (0, 5), (0, 1, 9)):
            found = np.full(max(points, taken), -1)
            training_batches.fill_order(key, member, ORDERS[order], epoch, points, taken, found)
            expected = twin.epoch_order(law, member, order, epoch, points, taken)
            assert np.array_equal(found[: len(expected)], expected)
            if order == "random":
                assert len(expected) == taken
                assert found.min() >= 0
                assert found.max() < points
            else:
                assert np.array_equal(np.sort(found[:points]), np.arange(points))
            if order != "cyclic":
                seen.append(found.tolist())
        if points > 30:
            assert len({tuple(one) for one in seen}) == len(seen)


def test_permutations_are_equally_likely() -> None:
    """Chi-square of the 24 orders of four points over members, and of pairs of random points."""
    counts = {"shuffled": np.zeros(24), "random": np.zeros(16)}
    numbers = {p: k for k, p in enumerate(itertools.permutations(range(4)))}
    for member in range(12_000):
        found = np.arange(4)
        training_batches.fill_order(SEED, member, ORDERS["shuffled"], 2, 4, 4, found)
        counts["shuffled"][numbers[tuple(found.tolist())]] += 1
        training_batches.fill_order(SEED, member, ORDERS["random"], 2, 4, 4, found)
        counts["random"][4 * found[0] + found[3]] += 1
    for count in counts.values():
        mean = 12_000 / len(count)
        assert gammaincc((len(count) - 1) / 2, float(np.sum((count - mean) ** 2) / mean) / 2) > 5e-9
        assert 10.6 / math.sqrt(mean) < 0.5  # the share of one order is known to a half


@pytest.mark.parametrize("trainable", LAYERS)
def test_langevin(trainable: tuple[int, ...]) -> None:
    case = case_of(trainable, 0.4)
    schedule = Schedule("langevin", 0.05, 0.8, temperature=0.4, chains=CHAINS)
    ensemble, wave, thetas = begin(case, schedule)
    for step in range(5):
        ensemble.advance(wave, step + 1)
        thetas = [
            twin.langevin(case.law, t, 0.05, 0.4, m, step) for m, t in zip(MEMBERS, thetas, strict=True)
        ]
        check(case, wave.theta, thetas)


def test_langevin_without_temperature_is_gradient_descent() -> None:
    """To the last bit."""
    case = case_of((1, 2, 3), 0.3)
    found = []
    for algorithm in ("langevin", "gd"):
        ensemble, wave, _ = begin(case, Schedule(algorithm, 0.05, 0.8, chains=CHAINS))
        ensemble.advance(wave, 20)
        found.append(wave.theta)
    assert np.array_equal(*found)


@pytest.mark.parametrize("trainable", LAYERS)
def test_underdamped(trainable: tuple[int, ...]) -> None:
    case = case_of(trainable, 0.4)
    schedule = Schedule("underdamped", 0.2, 0.8, temperature=0.4, friction=1.7, chains=CHAINS)
    ensemble, wave, thetas = begin(case, schedule)
    states = [(t, twin.momenta(case.law, 0.4, m, 0)) for m, t in zip(MEMBERS, thetas, strict=True)]
    check(case, wave.extra, [momentum for _, momentum in states])
    for step in range(5):
        ensemble.advance(wave, step + 1)
        states = [
            twin.underdamped(case.law, state, 0.2, 0.4, 1.7, m, step)
            for m, state in zip(MEMBERS, states, strict=True)
        ]
        check(case, wave.theta, [theta for theta, _ in states])
        check(case, wave.extra, [momentum for _, momentum in states])


@pytest.mark.parametrize("trainable", LAYERS)
@pytest.mark.parametrize("algorithm", ["hmc", "mala"])
def test_hamiltonian(algorithm: str, trainable: tuple[int, ...]) -> None:
    """Proposals, acceptance, adaptation in the first steps, sums of what follows."""
    case = case_of(trainable, 0.4)
    mala = algorithm == "mala"
    step, target, leaps, jitter = (0.5, 0.57, 1, 0.0) if mala else (0.45, 0.8, 4, 0.2)
    schedule = Schedule(
        algorithm, step, 0.8, temperature=0.4, leapfrog_steps=4, jitter=0.2, burn_in=4, adapt=True,
        target_acceptance=target, chains=CHAINS,
    )  # fmt: skip
    ensemble, wave, thetas = begin(case, schedule)
    first = math.sqrt(2.0 * step) if mala else step
    chains = [
        twin.HamiltonianChain(case.law, m, 0.4, leaps, theta, first, jitter, target, burn_in=4)
        for m, theta in zip(MEMBERS, thetas, strict=True)
    ]
    for index in range(9):
        ensemble.advance(wave, index + 1)
        for chain in chains:
            chain.step()
        check(case, wave.theta, [chain.theta for chain in chains], 1e-11)
        assert wave.control[:, 2] == pytest.approx([chain.size for chain in chains], rel=1e-10)
        assert wave.control[:, 0] == pytest.approx([case.law.squares(c.theta) for c in chains], rel=1e-11)
    weights = np.exp(-np.array([chain.changes[4:] for chain in chains]))
    expected = [
        np.minimum(weights, 1.0).sum(1),
        np.full(len(chains), 5.0),
        weights.sum(1),
        (weights**2).sum(1),
    ]
    assert pytest.approx(np.array(expected), rel=1e-10) == wave.control[:, 5:9].T
    moved = [np.any(chain.theta != theta) for chain, theta in zip(chains, thetas, strict=True)]
    assert all(moved)
    assert 0.05 < np.mean([np.array(chain.changes) > 0.3 for chain in chains]) < 0.9  # some are rejected


def test_mala_is_hmc_with_one_leapfrog_step() -> None:
    case = case_of((1, 2, 3), 0.4)
    found = []
    for algorithm, step in (("mala", 0.02), ("hmc", math.sqrt(0.04))):
        ensemble, wave, _ = begin(case, Schedule(algorithm, step, 0.8, temperature=0.4, chains=CHAINS))
        ensemble.advance(wave, 30)
        found.append((wave.theta, wave.control))
    assert np.array_equal(found[0][0], found[1][0])
    assert np.array_equal(found[0][1], found[1][1])
    assert 0.2 < found[0][1][:, 5].sum() / found[0][1][:, 6].sum() < 0.98


def test_a_langevin_proposal_is_the_one_of_mala() -> None:
    """Acceptance of MALA as it is written for proposals with noise sqrt(2 eta T) (Roberts, Tweedie 1996)."""
    law = case_of((1, 2, 3), 0.4).law
    eta, temperature = 0.3, 0.4
    theta = law.start(FIRST)
    chain = twin.HamiltonianChain(law, 6, temperature, 1, theta, math.sqrt(2.0 * eta))
    chain.step()
    noise = twin.momenta(law, 1.0, 6, 0)
    mobility = law.mobility
    place = (
        theta
        - eta * mobility * law.energy_gradient(theta)
        + np.sqrt(2.0 * eta * temperature * mobility) * noise
    )

    def exponent(there: Array, here: Array) -> float:
        off = there - here + eta * mobility * law.energy_gradient(here)
        return float(np.sum(off**2 / mobility)) / (4.0 * eta * temperature)

    ratio = (
        (law.energy(place) - law.energy(theta)) / temperature
        + exponent(theta, place)
        - exponent(place, theta)
    )
    assert chain.changes[0] == pytest.approx(ratio, rel=1e-10)


@pytest.mark.parametrize("temperature", [0.0, 0.3])
@pytest.mark.parametrize("trainable", [(1, 2, 3), (1, 3), (3,)])
def test_gradient_flow(trainable: tuple[int, ...], temperature: float) -> None:
    case = case_of(trainable, temperature)
    ensemble, wave, thetas = begin(case, Schedule("gradient-flow", 1e-3, 0.8, tolerance=1e-10))
    for time in (0.7, 3.0):
        while not ensemble.follow(wave, time):
            pass
        for row, theta in zip(ensemble.weights(wave)[:2], thetas[:2], strict=True):
            flow = solve_ivp(
                lambda _, now: -case.law.mobility * case.law.energy_gradient(now), (0.0, time), theta,
                method="DOP853", rtol=1e-12, atol=1e-13,
            )  # fmt: skip
            assert abs(case.flat(row) - flow.y[:, -1]).max() < 1e-8 * abs(theta).max()
    assert wave.time == 3.0
    assert np.all(wave.control[:, 9] == 3.0)


def test_error_of_the_flow_follows_its_tolerance() -> None:
    case = case_of()
    found = {}
    for tolerance in (1e-10, 1e-8, 1e-6, 1e-4):
        ensemble, wave, _ = begin(case, Schedule("gradient-flow", 1e-3, 0.8, tolerance=tolerance))
        while not ensemble.follow(wave, 4.0):
            pass
        found[tolerance] = wave.theta
    errors = [abs(found[t] - found[1e-10]).max() for t in (1e-8, 1e-6, 1e-4)]
    assert errors[0] < 1e-7
    assert errors[0] < 0.1 * errors[1]
    assert errors[1] < 0.1 * errors[2]
    assert errors[2] < 1e-2


def test_flow_leaves_weights_that_start_at_zero() -> None:
    """A readout without variance: errors are measured by the scale of its fan-in, not by zero."""
    case = case_of(widths=(5,), weight=(1.4, 0.0), trainable=(1, 2))
    ensemble, wave, thetas = begin(case, Schedule("gradient-flow", 1e-3, 0.8, tolerance=1e-9))
    assert all(np.all(case.law.matrices(theta)[1][:, :-1] == 0.0) for theta in thetas)
    calls = 0
    while not ensemble.follow(wave, 2.0):
        calls += 1
        assert calls < 50
    rate = case.law.mobility
    flow = solve_ivp(
        lambda _, now: -rate * case.law.factor * case.law.squares_gradient(now), (0.0, 2.0), thetas[0],
        method="DOP853", rtol=1e-12, atol=1e-13,
    )  # fmt: skip
    assert abs(case.flat(wave.theta[0]) - flow.y[:, -1]).max() < 1e-7


@pytest.mark.parametrize(("bias", "mean_loss"), [(0.0, False), (0.2, True)])
@pytest.mark.parametrize(("order", "batch"), [("all", 8), *itertools.product(ORDERS, (3, 1))])
def test_residual_variables_are_plain_descent(order: str, batch: int, bias: float, mean_loss: bool) -> None:
    """Descent of the readout in the variables of the points, to 1e-11 of plain descent after 200 steps.

    Batches of three of eight points, the last one short, and single points that see those before them.
    """
    case = case_of((3,), bias=bias)
    options: dict[str, Any] = {"chains": CHAINS, "mean_loss": mean_loss}
    if order != "all":
        options |= {"batch_size": batch, "batches": -(-8 // batch), "order": order}
    schedule = Schedule("gd" if order == "all" else "sgd", 0.2, 0.8, **options)
    found = []
    for dual in (True, False):
        ensemble, _, _ = begin(case, schedule)
        assert ensemble.dual
        ensemble.dual = dual
        wave = ensemble.start(FIRST, NETWORKS)
        for step in (7, 200):
            ensemble.advance(wave, step)
        found.append((ensemble.weights(wave), wave.control, *ensemble.observe(wave)))
        check(case, found[-1][0], [case.flat(row) for row in found[0][0]], 1e-11)
    for one, other in zip(*found, strict=True):
        assert one == pytest.approx(other, rel=1e-11, abs=1e-13, nan_ok=True)
    start = case.ensemble(schedule).start(FIRST, NETWORKS).theta
    assert abs(found[0][0] - start).max() > 0.1


@pytest.mark.parametrize(
    "schedule",
    [
        Schedule("gd", 0.1, 0.8),
        Schedule("sgd", 0.1, 0.8, batch_size=3, batches=3, order="shuffled"),
        Schedule("langevin", 0.1, 0.8, temperature=0.4),
        Schedule("underdamped", 0.3, 0.8, temperature=0.4),
        Schedule("mala", 0.2, 0.8, temperature=0.4, burn_in=10, adapt=True),
        Schedule("hmc", 0.3, 0.8, temperature=0.4, leapfrog_steps=3, jitter=0.2, burn_in=10, adapt=True),
    ],
    ids=lambda schedule: schedule.algorithm,
)
def test_readout_on_fixed_features_is_the_whole_network(schedule: Schedule) -> None:
    """The path on features that are worked out once, and the whole network with frozen layers."""
    case = case_of((3,), 0.4)
    found = []
    for readout in (True, False):
        ensemble = case.ensemble(schedule)
        assert ensemble.readout_only
        assert not ensemble.dual
        ensemble.readout_only = readout
        wave = ensemble.start(FIRST, NETWORKS)
        ensemble.advance(wave, 20)
        found.append((wave.theta, wave.extra, wave.control))
    for one, other in zip(*found, strict=True):
        assert one == pytest.approx(other, rel=1e-11, abs=1e-12)
