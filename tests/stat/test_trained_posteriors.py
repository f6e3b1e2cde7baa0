"""Posteriors of networks whose layers all move: identities of equilibrium, exact laws, quadrature."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from runs import SEED
from trained_chains import TRAINED, agree, averages, layers, weights
from training_twins import Case, data, training

from nnft._kernels import training_problem
from nnft.samplers.trained import Schedule, TrainedEnsemble, Wave
from nnft.samplers.training_problem import on_cache_lines
from nnft.theory.deep_linear_posterior import deep_linear_posterior

Array = npt.NDArray[Any]


def hmc(step: float, temperature: float, leaps: int = 8, **options: Any) -> Schedule:
    """Hamiltonian Monte Carlo for half the sum of squares, its step adapted at the start."""
    given = {"jitter": 0.2, "burn_in": 100, "adapt": True} | options
    return Schedule("hmc", step, 1.0, temperature=temperature, leapfrog_steps=leaps, **given)


class Slope:
    """Compiled gradient of the energy of one member, without the padding."""

    def __init__(self, case: Case) -> None:
        self.case, self.real = case, np.flatnonzero(~case.is_padding())
        self.live, self.decay = case.law.live, case.law.decay
        self.out = on_cache_lines(np.zeros(case.problem.size))
        self.work = on_cache_lines(np.zeros(case.problem.work_size()))

    def __call__(self, theta: Array) -> Array:
        training_problem.gradient(self.case.problem.arrays, theta, self.work, self.out)
        force = self.case.law.factor * self.out[self.real] + self.decay * theta[self.real]
        return np.asarray(self.live * force)


SMALL = {"widths": (3,), "activation": "tanh", "weight": (1.5, 2.0), "bias": (0.3, 0.2)}
SCHEDULES = {
    "hmc": hmc(0.3, 0.2),
    "mala": Schedule("mala", 0.05, 1.0, temperature=0.2, burn_in=100, adapt=True, target_acceptance=0.57),
}


@pytest.mark.first(2)
@pytest.mark.parametrize("standard", [False, True])
@pytest.mark.parametrize("algorithm", SCHEDULES)
def test_virial_of_every_layer_and_configurational_temperature(algorithm: str, standard: bool) -> None:
    """<theta dE/dtheta> = T for every number, and T <d2E/dtheta2> = <(dE/dtheta)^2>, the curvature from
    differences of the gradient. Sees a temperature that is wrong by a factor of 1.5; the next test sees more.
    """
    temperature = 0.2
    case = training(*data(5, 2), **SMALL, standard=standard, temperature=temperature, seed=SEED + 2050)
    slope = Slope(case)

    def measure(ensemble: TrainedEnsemble, wave: Wave) -> Array:
        virial = ensemble.observe(wave)[1][:, 5:] / (temperature * np.array([9.0, 4.0]))
        rows = []
        for theta in wave.theta:
            place, curvature = on_cache_lines(theta), []
            for k, at in enumerate(slope.real):
                place[at] = theta[at] + 1e-4
                above = slope(place)[k]
                place[at] = theta[at] - 1e-4
                curvature.append((above - slope(place)[k]) / 2e-4)
                place[at] = theta[at]
            difference = slope(place) ** 2 / temperature - np.array(curvature)
            rows.append([difference[:9].sum(), difference[9:].sum(), sum(curvature)])
        return np.concatenate([virial, np.array(rows)], axis=1)

    found = averages(
        case, SCHEDULES[algorithm], measure, networks=200, start=300, draws=8, thinning=60, seed=SEED + 2050
    )
    agree(found[:, :2], 1.0, 0.5)
    agree(found[:, 2:4], 0.0, 0.4 * found[:, 4].mean())


MANY = {
    "hmc": (hmc(0.4, 0.3), 20, 0.08),
    "mala": (SCHEDULES["mala"], 60, 0.13),
    "underdamped": (Schedule("underdamped", 0.08, 1.0), 100, 0.13),
    "langevin": (Schedule("langevin", 0.002, 1.0), 400, 0.16),
}
"""Schedule, steps between draws, what is seen; steps without Metropolis are too short for their bias."""


@pytest.mark.parametrize(
    "algorithm", ["hmc", *(pytest.param(a, marks=pytest.mark.long) for a in list(MANY)[1:])]
)
def test_virial_of_every_layer_over_many_draws(algorithm: str) -> None:
    """In a network with two hidden layers and two outputs."""
    temperature = 0.3
    case = training(
        *data(7, 3, 2), (6, 4), "erf", weight=1.6, bias=0.2, temperature=temperature, seed=SEED + 2051
    )
    schedule, thinning, sees = MANY[algorithm]
    schedule = replace(schedule, temperature=temperature)
    numbers = np.array([6 * 4, 4 * 7, 2 * 5])

    def measure(ensemble: TrainedEnsemble, wave: Wave) -> Array:
        return ensemble.observe(wave)[1][:, 6:] / (temperature * numbers)

    found = averages(
        case, schedule, measure, networks=200, start=5 * thinning + 100, draws=30, thinning=thinning,
        seed=SEED + 2051,
    )  # fmt: skip
    agree(found, 1.0, sees)


@pytest.mark.parametrize("name", ["layer-balance-linear-N6"])
def test_layers_of_a_linear_network_are_balanced(name: str) -> None:
    """Squares of the layers over their prior variances, mean and variance of an output, of the entries."""
    given, exact = TRAINED[name]["inputs"], TRAINED[name]["values"]
    outputs = TRAINED["deep-linear-exact-6-k0.5"]
    inputs, targets = np.array(given["X"]), np.array(given["y"])[:, None]
    mesh = np.array([outputs["inputs"]["x_test"]])
    case = training(
        inputs, targets, (given["N"],), "linear", weight=1.0, bias=0.0, temperature=given["kappa"],
        seed=SEED + 2052,
    )  # fmt: skip
    mean = outputs["values"]["f_mean"]

    def measure(ensemble: TrainedEnsemble, wave: Wave) -> Array:
        first, last = layers(case, wave)
        f = ensemble.observe(wave)[0][:, 0]
        a2, w2 = 6.0 * (last**2).sum(axis=(1, 2)), 3.0 * (first**2).sum(axis=(1, 2))
        return np.stack([a2, w2, w2 - a2, f, (f - mean) ** 2, ensemble.observe(wave)[1][:, 0]], axis=1)

    found = averages(
        case, hmc(0.5, given["kappa"]), measure, networks=500, start=200, draws=40, thinning=8,
        seed=SEED + 2052, mesh=mesh,
    )  # fmt: skip
    expected = [exact["sum_a2"], exact["sum_w2"], 12.0, mean, outputs["values"]["f_var"]]
    agree(found[:, :5], expected, [0.3, 0.6, 0.6, 0.03, 0.02])
    law = deep_linear_posterior(
        inputs @ inputs.T / 3, mesh @ inputs.T / 3, mesh @ mesh.T / 3, targets, given["kappa"], (6,)
    )
    agree(found[:, 5:] * 2.5, law.train_loss, 0.05)
    assert law.scale_mean == pytest.approx(exact["sum_a2"] / 6.0, rel=1e-7)


def test_layers_of_a_relu_network_are_balanced() -> None:
    """Squares over prior variances minus numbers of weights have one mean in all layers, at any width."""
    inputs, targets = data(6, 3, 1, seed=8)
    targets = 3.0 * targets
    variances, sizes = np.array([2.0, 1.5, 1.0]), np.array([15.0, 20.0, 4.0])
    case = training(
        inputs,
        targets,
        (5, 4),
        "relu",
        weight=variances.tolist(),
        bias=0.0,
        temperature=0.4,
        seed=SEED + 2053,
    )

    def measure(ensemble: TrainedEnsemble, wave: Wave) -> Array:
        squares = ensemble.observe(wave)[1][:, 3:6]
        reduced = squares * np.array([3.0, 5.0, 4.0]) / variances - sizes
        return np.stack([reduced[:, 0] - reduced[:, 1], reduced[:, 1] - reduced[:, 2], reduced[:, 0]], axis=1)

    found = averages(
        case, hmc(0.3, 0.4), measure, networks=400, start=250, draws=40, thinning=8, seed=SEED + 2053
    )
    agree(found[:, :2], 0.0, 1.0)
    assert found[:, 2].mean() > 3.0  # the data do move the norms


def test_scalar_product_network() -> None:
    """f = a w x: moments of both factors and of their product; chains of the wrong sign cross over."""
    given, exact = TRAINED["scalar-product-net"]["inputs"], TRAINED["scalar-product-net"]["values"]
    case = training(
        np.array(given["x"])[:, None], np.array(given["y"])[:, None], (1,), "linear",
        weight=(given["sigma_w2"], given["sigma_a2"]), bias=0.0, temperature=given["kappa"], seed=SEED + 2054,
    )  # fmt: skip

    def measure(ensemble: TrainedEnsemble, wave: Wave) -> Array:
        w, a = weights(case, wave).T
        return np.stack([a * w, (a * w - exact["mean_aw"]) ** 2, a**2, w**2, a, w], axis=1)

    found = averages(
        case,
        hmc(0.3, given["kappa"]),
        measure,
        networks=800,
        start=250,
        draws=30,
        thinning=6,
        seed=SEED + 2054,
    )
    expected = [exact["mean_aw"], exact["var_aw"], exact["mean_a2"], exact["mean_w2"], 0.0, 0.0]
    agree(found, expected, [0.02, 0.006, 0.1, 0.3, 0.25, 0.35])


@pytest.mark.first(1)
@pytest.mark.parametrize("algorithm", ["hmc", "mala", "underdamped"])
def test_nonlinear_network_by_quadrature(algorithm: str) -> None:
    """f = a tanh(w x): moments of the exact posterior from sums over a fine grid of both weights."""
    inputs, targets = np.array([[0.5], [1.0], [-2.0]]), np.array([[0.6], [0.5], [-1.0]])
    temperature, mesh = 0.15, np.array([[1.5]])
    case = training(
        inputs, targets, (1,), "tanh", weight=(2.0, 1.5), bias=0.0, temperature=temperature, seed=SEED + 2055
    )
    w, a = np.meshgrid(np.linspace(-12.0, 12.0, 801), np.linspace(-9.0, 9.0, 601), indexing="ij")
    residual = sum((a * np.tanh(w * x) - y) ** 2 for x, y in zip(inputs[:, 0], targets[:, 0], strict=True))
    density = np.exp(-residual / (2.0 * temperature) - w**2 / 4.0 - a**2 / 3.0)
    f = a * np.tanh(1.5 * w)
    exact = np.array([np.sum(density * value) for value in (f, f**2, a**2, w**2, a * w)]) / density.sum()
    schedule = {
        "hmc": hmc(0.3, temperature),
        "mala": Schedule(
            "mala", 0.05, 1.0, temperature=temperature, burn_in=100, adapt=True, target_acceptance=0.57
        ),
        "underdamped": Schedule("underdamped", 0.1, 1.0, temperature=temperature),
    }[algorithm]

    def measure(ensemble: TrainedEnsemble, wave: Wave) -> Array:
        first, last = weights(case, wave).T
        out = ensemble.observe(wave)[0][:, 0]
        return np.stack([out, out**2, last**2, first**2, first * last], axis=1)

    thinning = {"hmc": 8, "mala": 60, "underdamped": 100}[algorithm]
    found = averages(
        case, schedule, measure, networks=500, start=200 + 5 * thinning, draws=15, thinning=thinning,
        seed=SEED + 2055, mesh=mesh,
    )  # fmt: skip
    agree(found, exact, 0.25 * abs(exact))


@pytest.mark.long
@pytest.mark.parametrize("name", ["deep-linear-exact-10-10-k0.2", "deep-linear-exact-50-k0.1"])
def test_deep_linear_posteriors(name: str) -> None:
    """Mean and variance of an output of deeper and wider linear networks; sees an eighth of a deviation."""
    given, exact = TRAINED[name]["inputs"], TRAINED[name]["values"]
    inputs, targets = np.array(given["X"]), np.array(given["y"])[:, None]
    case = training(
        inputs, targets, given["widths"], "linear", weight=1.0, bias=0.0, temperature=given["kappa"],
        seed=SEED + 2060,
    )  # fmt: skip

    def measure(ensemble: TrainedEnsemble, wave: Wave) -> Array:
        f = ensemble.observe(wave)[0][:, 0]
        return np.stack([f, (f - exact["f_mean"]) ** 2], axis=1)

    found = averages(
        case, hmc(0.5, given["kappa"], 12), measure, networks=800, start=200, draws=60, thinning=6,
        seed=SEED + 2060, mesh=np.array([given["x_test"]]),
    )  # fmt: skip
    deviation = math.sqrt(exact["f_var"])
    agree(found, [exact["f_mean"], exact["f_var"]], [0.12 * deviation, 0.16 * deviation**2])
