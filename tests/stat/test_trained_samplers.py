"""Laws that samplers of trained networks reach, against exact values; errors from independent networks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from runs import LIMIT, SEED
from trained_chains import TRAINED, agree, averages, layers, pulls, weights
from training_twins import Case, training

from nnft.samplers.trained import Schedule, TrainedEnsemble, Wave
from nnft.theory.readout_training import LinearModel

Array = npt.NDArray[Any]
SAMPLERS = ["langevin", "mala", "hmc", "underdamped"]


def hmc(step: float, temperature: float, leaps: int = 5, **options: Any) -> Schedule:
    """Hamiltonian Monte Carlo for half the sum of squares."""
    given = {"jitter": 0.2} | options
    return Schedule("hmc", step, 1.0, temperature=temperature, leapfrog_steps=leaps, **given)


# ---------------------------------------------------------------------------------------------------------
# no data: an odd network without biases vanishes at x = 0, whatever its weights


@pytest.mark.parametrize("algorithm", SAMPLERS)
def test_without_data_the_prior_comes_back(algorithm: str) -> None:
    """Variances of every layer; nothing of a layer, a chain or a neighbour in another one.

    Langevin dynamics has the variance of its step, s^2 / (1 - step T / 2 C_W).
    """
    temperature, variances = 0.5, np.array([1.0, 1.5, 0.8])
    case = training(
        np.zeros((1, 6)), np.full((1, 6), 0.7), (6, 6), "erf", weight=variances.tolist(), bias=0.0,
        temperature=temperature, seed=SEED + 2000,
    )  # fmt: skip
    schedule = {
        "langevin": Schedule("langevin", 0.4, 1.0, temperature=temperature, chains=2),
        "mala": Schedule("mala", 0.4, 1.0, temperature=temperature, chains=2),
        "hmc": hmc(0.7, temperature, 3, chains=2),
        "underdamped": Schedule("underdamped", 0.8, 1.0, temperature=temperature, chains=2),
    }[algorithm]
    expected = variances / 6
    if algorithm == "langevin":
        expected = expected / (1.0 - 0.2 * temperature / variances)

    def measure(ensemble: TrainedEnsemble, wave: Wave) -> Array:
        w = [part / math.sqrt(v) for part, v in zip(layers(case, wave), expected, strict=True)]
        squares = [(part**2).mean(axis=(1, 2)) for part in w]
        other = [part.reshape(-1, 2, 6, 6)[:, ::-1].reshape(-1, 6, 6) for part in w]
        zeros = [w[0] * w[1], w[0] * w[2], w[1] * w[2]]
        zeros += [a * b for a in w for b in other]
        zeros += [part[:, 1:] * part[:, :-1] for part in w] + [part[:, :, 1:] * part[:, :, :-1] for part in w]
        zeros += [part * np.roll(part, 2, axis=0) for part in w]  # the next network
        return np.array(squares + [zero.mean(axis=(1, 2)) for zero in zeros]).T

    found = averages(case, schedule, measure, networks=300, start=70, draws=6, thinning=15, seed=SEED + 2000)
    agree(found, np.repeat([1.0, 0.0], [3, found.shape[1] - 3]), 0.06)
    if algorithm == "langevin":
        assert abs(pulls(found[:, :3], variances / 6 / expected)).min() > 2 * LIMIT


def test_noise_is_white_and_different_everywhere() -> None:
    """With a flat energy weights move by their noise alone: increments of variance 2 step T m, uncorrelated.

    Sees correlations of 0.01 between steps, layers, chains, and networks.
    """
    case = training(
        np.zeros((1, 7)), np.zeros((1, 7)), (7, 7), "linear", weight=1.0, bias=0.0, seed=SEED + 2001
    )
    schedule = Schedule("langevin", 0.1, 1.0, temperature=0.7, chains=2)
    ensemble = case.ensemble(schedule, seed=SEED + 2001)
    wave = ensemble.start(0, 500)
    kept = [weights(case, wave)]
    for step in range(1, 25):
        ensemble.advance(wave, step)
        kept.append(weights(case, wave))
    moves = np.diff(np.array(kept), axis=0) / math.sqrt(2.0 * 0.1 * 0.7 / 7)
    moves = moves.reshape(24, 500, 2, 3, 49)
    pairs = [moves[lag:] * moves[:-lag] for lag in (1, 2, 5)]
    pairs += [moves[..., i, :] * moves[..., j, :] for i, j in ((0, 1), (0, 2), (1, 2))]
    pairs += [
        moves[:, :, 0] * moves[:, :, 1],
        moves[..., 1:] * moves[..., :-1],
        moves[1:, ..., 1, :] * moves[:-1, ..., 0, :],
    ]
    found = [np.moveaxis(pair, 1, 0).reshape(500, -1).mean(axis=1) for pair in pairs]
    found += [(moves[:, ::2] * moves[:, 1::2]).mean(axis=(0, 2, 3, 4)).repeat(2)]
    agree(np.array(found[:-1]).T, 0.0, 0.012)
    agree(found[-1][::2, None], 0.0, 0.012)
    squares = (moves**2).mean(axis=(0, 2, 3, 4))
    agree(squares[:, None], 1.0, 0.02)
    fourth = (moves**4).mean(axis=(0, 2, 3, 4))
    agree(fourth[:, None], 3.0, 0.1)


# ---------------------------------------------------------------------------------------------------------
# one weight: f = w x at one point, an oscillator of stiffness k


def oscillator(k: float, temperature: float, mass: float = 1.0) -> Case:
    """Energy 1/4 k (w - 0.4)^2 + 1/4 k w^2: stiffness k, mean 0.2; mobility 1 / mass."""
    case = training(
        np.ones((1, 1)), np.full((1, 1), 0.4), (), "linear", weight=2.0 * temperature / k, bias=0.0,
        factor=0.5 * k, temperature=temperature,
    )  # fmt: skip
    case.problem.columns[0, 0], case.problem.columns[3, 0] = 1.0 / mass, math.sqrt(1.0 / mass)
    return case


def one_weight(case: Case, schedule: Schedule, seed: int, **options: Any) -> Array:
    """Averages of displacement and its square, and product with that one step before; of each network."""
    last: list[Array] = []

    def measure(ensemble: TrainedEnsemble, wave: Wave) -> Array:
        before = wave.theta[:, 0] - 0.2
        ensemble.advance(wave, wave.step + 1)
        now = wave.theta[:, 0] - 0.2
        last[:] = [wave.control.copy()]
        momentum = wave.extra[:, 0] if wave.extra.shape[1] else 0.0 * now
        return np.stack([now, now**2, now * before, momentum**2, momentum * now], axis=1)

    given = {"networks": 3000, "start": 60, "draws": 20, "thinning": 25} | options
    found = averages(case, schedule, measure, seed=seed, **given)
    return np.concatenate([found, last[0][:, [5, 7]] / np.maximum(last[0][:, 6:7], 1.0)], axis=1)


@pytest.mark.parametrize("name", ["ula-harmonic-k1.0-T1.0-eta0.1", "ula-harmonic-k4.0-T0.5-eta0.2"])
def test_variance_of_langevin_dynamics_is_that_of_its_step(name: str) -> None:
    """Variance and correlation with the step before; the variance without a step is rejected."""
    given, exact = TRAINED[name]["inputs"], TRAINED[name]["values"]
    k, temperature, step = given["k"], given["T"], given["eta"]
    case = oscillator(k, temperature)
    schedule = Schedule("langevin", step, 0.5 * k, temperature=temperature)
    found = one_weight(case, schedule, SEED + 2010, networks=4500)
    variance = exact["stationary_var"]
    agree(found[:, :3], [0.0, variance, variance * exact["lag1_autocorr"]], 0.06 * math.sqrt(variance))
    assert abs(pulls(found[:, 1:2], exact["exact_var"])[0]) > LIMIT


@pytest.mark.first(2)
@pytest.mark.parametrize(
    "name", ["hmc-harmonic-k1.0-h0.5-L10", "hmc-harmonic-k2.0-h0.8-L7", "hmc-harmonic-k1.0-h1.5-L3",
             "mala-harmonic-eta0.1", "mala-harmonic-eta0.5", "mala-harmonic-eta1.0"],
)  # fmt: skip
def test_acceptance_of_an_oscillator(name: str) -> None:
    """Mean acceptance, mean of exp(-dH/T), and the variance without any bias of the step."""
    given, exact = TRAINED[name]["inputs"], TRAINED[name]["values"]
    k, temperature = given["k"], given["T"]
    options = {"burn_in": 60, "temperature": temperature}
    if "L" in given:
        schedule = Schedule("hmc", given["h"], 0.5 * k, leapfrog_steps=given["L"], **options)
    else:
        schedule = Schedule("mala", given["eta"], 0.5 * k, **options)
    found = one_weight(
        oscillator(k, temperature), schedule, SEED + 2011, networks=1500, draws=10, thinning=12
    )
    variance = temperature / k
    agree(found[:, :2], [0.0, variance], [0.2 * math.sqrt(variance), 0.2 * variance])
    agree(found[:, 5:], [exact["mean_acceptance"], 1.0], [0.01, 0.05])


def test_underdamped_oscillator() -> None:
    """Variances of place and momentum, which BAOAB has exactly at every step size."""
    given, exact = TRAINED["baoab-harmonic"]["inputs"], TRAINED["baoab-harmonic"]["values"]
    k, mass, temperature = given["k"], given["mass"], given["T"]
    schedule = Schedule(
        "underdamped", given["h"], 0.5 * k, temperature=temperature, friction=given["friction"]
    )
    found = one_weight(oscillator(k, temperature, mass), schedule, SEED + 2012, networks=6000, thinning=12)
    expected = [0.0, exact["var_q"], exact["var_p"] / mass, exact["cov_qp"]]
    agree(found[:, [0, 1, 3, 4]], expected, [0.02, 0.02, 0.035, 0.02])
    assert abs(pulls(found[:, 3:4], temperature)[0]) > LIMIT  # that of the momentum has the step in it


# ---------------------------------------------------------------------------------------------------------
# readout alone: given the hidden layers the outputs are Gaussian


def test_last_layer_of_given_features() -> None:
    """Descent of one readout, all its steps in one entry; one cyclic epoch of single points."""
    case, start = last_layer(0.0)
    exact = TRAINED["lastlayer-gd-and-ula"]["values"]
    descent = place_readouts(case, Schedule("gd", 0.3, 1.0), start[None])
    descent[0].advance(descent[1], 25)
    found = readouts(case, descent[1])[0]
    assert found == pytest.approx(np.array(exact["a_after_gd"]), rel=1e-9)
    outputs = descent[0].observe(descent[1])[0][0]
    assert outputs == pytest.approx(exact["f_train_after_gd"] + exact["f_test_after_gd"], rel=1e-9)
    cyclic = place_readouts(case, Schedule("sgd", 0.3, 1.0, batch_size=1, batches=5), start[None])
    cyclic[0].advance(cyclic[1], 5)
    expected = TRAINED["lastlayer-sgd"]["values"]["one_cyclic_epoch_a"]
    assert readouts(case, cyclic[1])[0] == pytest.approx(np.array(expected), rel=1e-9)


def last_layer(temperature: float) -> tuple[Case, Array]:
    """The features of the entries, and their unit-scale readout at the start."""
    given = TRAINED["lastlayer-posterior"]["inputs"]
    inputs, targets = np.array(given["X"]), np.array(given["y"])[:, None]
    case = training(
        inputs, targets, (4,), "erf", weight=1.0, bias=0.0, trainable=(2,), temperature=temperature
    )
    return case, np.array(TRAINED["lastlayer-gd-and-ula"]["inputs"]["a0"])


def place_readouts(case: Case, schedule: Schedule, readout: Array) -> tuple[TrainedEnsemble, Wave]:
    """Members with the hidden layer of the entries and given unit-scale readouts, (members, 4)."""
    given = TRAINED["lastlayer-posterior"]["inputs"]
    mesh = np.concatenate([case.problem.inputs, np.array(given["X_test"])])
    ensemble = case.ensemble(schedule, mesh, seed=SEED + 2020)
    ensemble.dual = False
    wave = ensemble.start(0, len(readout))
    hidden = (np.array(given["W"]) / math.sqrt(3.0)).ravel()
    wave.theta[:] = [case.padded(np.concatenate([hidden, a / 2.0])) for a in readout]
    return ensemble, wave


def readouts(case: Case, wave: Wave) -> Array:
    """Unit-scale readouts of all members, (members, 4)."""
    return 2.0 * weights(case, wave)[:, -4:]


def moments(values: Array) -> Array:
    """Values and their products with each other, (members, K + K (K + 1) / 2)."""
    upper = np.triu_indices(values.shape[1])
    return np.concatenate([values, values[:, upper[0]] * values[:, upper[1]]], axis=1)


def moments_of(mean: Array, covariance: Array) -> Array:
    """Expectation of `moments`."""
    return np.concatenate([mean, (covariance + np.outer(mean, mean))[np.triu_indices(len(mean))]])


def test_stochastic_descent_of_given_features() -> None:
    """Mean and covariance over the draws of the points after twelve steps of one random point."""
    case, start = last_layer(0.0)
    exact = TRAINED["lastlayer-sgd"]["values"]
    schedule = Schedule("sgd", 0.3, 1.0, batch_size=1, batches=5, order="random")
    ensemble, wave = place_readouts(case, schedule, np.tile(start, (20_000, 1)))
    ensemble.advance(wave, 12)
    found = readouts(case, wave)
    mean = np.array(exact["mean_a"])
    agree(moments(found - mean), moments_of(np.zeros(4), np.array(exact["cov_a"])), 0.02)


def test_langevin_dynamics_of_given_features() -> None:
    """Mean and covariance with the bias of the step; the posterior is rejected."""
    case, start = last_layer(0.1)
    exact = TRAINED["lastlayer-gd-and-ula"]["values"]
    posterior = TRAINED["lastlayer-posterior"]["values"]
    schedule = Schedule("langevin", 0.3, 1.0, temperature=0.1)
    ensemble, wave = place_readouts(case, schedule, np.tile(start, (4000, 1)))
    found = []
    for draw in range(12):
        ensemble.advance(wave, 400 + 60 * draw)
        found.append(moments(readouts(case, wave) - np.array(posterior["mean_a"])))
    averaged = np.mean(found, axis=0)
    agree(averaged, moments_of(np.zeros(4), np.array(exact["ula_stationary_cov"])), 0.06)
    wrong = pulls(averaged, moments_of(np.zeros(4), np.array(posterior["cov_a"])))
    assert abs(wrong).max() > LIMIT


@pytest.mark.first(2)
@pytest.mark.parametrize("algorithm", SAMPLERS)
def test_posterior_of_readouts(algorithm: str) -> None:
    """Outputs of networks with hidden layers of their own, against the law of each network.

    Langevin dynamics has T H^-1 (1 - step H / 2)^-1; the others the exact posterior.
    """
    temperature, width = 0.3, 7
    rng = np.random.default_rng(SEED + 2030)
    inputs, mesh = rng.standard_normal((6, 3)), rng.standard_normal((2, 3))
    case = training(
        inputs, np.sin(2.0 * inputs[:, :1]), (width,), "gelu", weight=(1.5, 1.2), bias=(0.1, 0.4),
        trainable=(2,), temperature=temperature, seed=SEED + 2030,
    )  # fmt: skip
    size = 0.08
    schedule = {
        "langevin": Schedule("langevin", size, 1.0, temperature=temperature),
        "mala": Schedule("mala", 0.05, 1.0, temperature=temperature),
        "hmc": hmc(0.3, temperature, 6, burn_in=150),
        "underdamped": Schedule("underdamped", 0.4, 1.0, temperature=temperature, friction=0.7),
    }[algorithm]
    mobilities = np.array([1.0 / width] * width + [1.0])
    priors = np.array([1.2 / width] * width + [0.4]) / mobilities
    posterior, biased = [], []
    for network in range(400):
        features = case.law.inputs_and_slopes(case.law.start(network), np.concatenate([inputs, mesh]))[0][-1]
        phi = features.T * np.sqrt(mobilities)
        model = LinearModel(phi[:6], case.law.targets, priors, 1.0, temperature)
        for kept, step in ((posterior, 0.0), (biased, size)):
            mean, covariance = model.stationary(step).outputs(phi[6:])
            kept.append(np.concatenate([mean[:, 0], moments_of(np.zeros(2), covariance)[2:]]))
    laws = [np.array(biased), np.array(posterior)] if algorithm == "langevin" else [np.array(posterior)]
    last: list[Array] = []

    def measure(ensemble: TrainedEnsemble, wave: Wave) -> Array:
        outputs = ensemble.observe(wave)[0]
        last[:] = [wave.control]
        found = [moments(outputs - law[:, :2]) - np.pad(law[:, 2:], ((0, 0), (2, 0))) for law in laws]
        return np.concatenate(found, axis=1)

    thinning = 10 if algorithm == "hmc" else 80
    found = averages(
        case, schedule, measure, networks=400, start=5 * thinning + 150, draws=25, thinning=thinning,
        seed=SEED + 2030, mesh=mesh,
    )  # fmt: skip
    variances = laws[0][:, [2, 4]].mean(axis=0)
    scales = np.sqrt(
        np.array([variances[0], variances[1], variances[0] ** 2, variances.prod(), variances[1] ** 2])
    )
    agree(found[:, :5], 0.0, 0.2 * scales)
    if algorithm == "langevin":
        assert abs(pulls(found[:, 5:], 0.0)).max() > LIMIT
    if algorithm == "hmc":
        agree(last[0][:, 7:8] / last[0][:, 6:7], 1.0, 0.1)
