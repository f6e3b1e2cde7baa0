"""The sampler of networks of cosines: its NumPy twin, its law, its bits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import gammaincc

from nnft._kernels.library import set_threads
from nnft._kernels.reference_waves import WaveLaw, cosine_features
from nnft.samplers.initial import InitialEnsemble
from nnft.samplers.networks import network_ensemble
from nnft.samplers.trained import Schedule, TrainedEnsemble
from nnft.samplers.training_problem import Moving, TrainingProblem
from nnft.spec.cosines import CosineNetwork, CosNetSpec, FreeScalarSpec
from nnft.spec.network_kinds import AnyNetwork
from nnft.streams import stream_key

SEED = 20240601
LIMIT, SMALLEST_P = 5.85, 5e-9

Array = npt.NDArray[Any]


def mesh(points: int, dimension: int) -> Array:
    return np.random.default_rng(SEED).normal(size=(points, dimension))


def spec(kind: str, width: int, outputs: int = 2) -> CosNetSpec | FreeScalarSpec:
    """One of four laws."""
    if kind == "free-scalar":
        return FreeScalarSpec(
            kind="free-scalar", width=width, cutoff=3.0, mass=0.7, amplitude_variance=2.5, outputs=outputs
        )
    amplitudes: Any = "fixed" if kind.startswith("fixed") else "gaussian"
    given: dict[str, Any] = {"momenta": "ball", "cutoff": 2.0, "mass": 1.3}
    if kind.endswith("normal"):
        given = {"momenta": "normal", "momentum_variance": 1.7}
    return CosNetSpec(
        kind="cos-net", width=width, amplitudes=amplitudes, amplitude_variance=0.6, outputs=outputs, **given
    )


def twin(network: CosineNetwork, points: Array, outputs: int = 2) -> WaveLaw:
    """The same network for the reference, its numbers written anew."""
    dimension = points.shape[1]
    fixed, variance = network.amplitude_law == "fixed", network.readout_variance
    if network.law == "normal":
        deviation = math.sqrt(network.momentum_scale[0] / dimension)
        numbers: tuple[Any, ...] = (1.0, -1.0, deviation, False)
    else:
        cutoff, mass = network.momentum_scale
        factor = 1.0
        if isinstance(network, FreeScalarSpec):
            volume = math.pi ** (dimension / 2) * cutoff**dimension / math.gamma(dimension / 2 + 1)
            factor = math.sqrt(2 * volume / ((2 * math.pi) ** dimension * variance))
        numbers = (factor, mass**2, cutoff, True)
    return WaveLaw(points, network.width, outputs, *numbers, fixed, variance, stream_key(SEED))


def sampler(network: AnyNetwork, points: Array, outputs: int = 2) -> InitialEnsemble:
    return network_ensemble(network, points, outputs, SEED, "explicit", "float64")


@pytest.mark.parametrize("kind", ["gaussian-ball", "gaussian-normal", "fixed-normal", "free-scalar"])
def test_twin(kind: str) -> None:
    for index, (width, points, dimension) in enumerate(
        [(1, 1, 1), (7, 3, 1), (8, 2, 2), (17, 5, 3), (64, 4, 2), (130, 9, 5), (1000, 2, 12)]
    ):
        network, x = spec(kind, width), mesh(points, dimension)
        first = (1 << 33) + 10 * index
        ensemble = sampler(network, x)
        metrics, fields = ensemble.metrics(first, 3)[:, 1], ensemble.fields(first, 3)
        pairs = np.triu_indices(points)
        for k in range(3):
            expected, outputs = twin(network, x).network(first + k)
            scale = abs(expected).max()
            assert np.all(abs(metrics[k] - expected[pairs]) <= 2e-13 * scale)
            assert np.all(abs(fields[k] - outputs) <= 1e-11 * math.sqrt(scale * width))


@pytest.mark.parametrize("dimension", [1, 2, 3, 6])
def test_momenta_and_phases_are_uniform(dimension: int) -> None:
    """A shift by 4e-3 of the unit interval is seen almost surely in 2^20 numbers."""
    count = 1 << 20
    law = twin(spec("gaussian-ball", count, 1), np.zeros((1, dimension)), 1)
    momenta, phases, _ = law.draws(0)
    shares = (np.linalg.norm(momenta, axis=1) / 2.0) ** dimension
    for values in (shares, phases / (2.0 * math.pi) + 0.5):
        assert values.min() >= 0.0
        assert values.max() <= 1.0
        counts = np.histogram(values, 64, (0.0, 1.0))[0]
        square = float(np.sum((counts - count / 64) ** 2) / (count / 64))
        assert SMALLEST_P < gammaincc(31.5, square / 2) < 1.0 - SMALLEST_P
    second = np.mean(momenta**2, axis=0) * (dimension + 2) / 4.0
    spread = math.sqrt((3 * (dimension + 2) / (dimension + 4) - 1) / count)
    assert np.all(abs(second - 1.0) < LIMIT * spread)
    mixed = momenta[:, 0] * phases
    assert abs(mixed.mean()) < LIMIT * mixed.std() / math.sqrt(count)


def test_bits_do_not_depend_on_threads_or_on_the_call() -> None:
    ensemble = sampler(spec("free-scalar", 33), mesh(5, 3))
    set_threads(1)
    whole = ensemble.values(0, 64, draw=True)
    set_threads(2)
    parts = [ensemble.values(first, 16, draw=True) for first in range(0, 64, 16)]
    assert np.array_equal(whole, np.concatenate(parts))


def test_outputs_do_not_change_with_their_number() -> None:
    network, x = spec("gaussian-ball", 20, 3), mesh(4, 2)
    assert np.array_equal(sampler(network, x, 3).fields(0, 5)[:, :2], sampler(network, x, 2).fields(0, 5))


@pytest.mark.parametrize("kind", ["gaussian-ball", "gaussian-normal", "free-scalar"])
@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_training_starts_from_the_sampled_networks(kind: str, dimension: int) -> None:
    network, x = spec(kind, 37, 1), mesh(9, dimension)
    problem = TrainingProblem(network, x, np.zeros((9, 1)), Moving((2,), (0.0, 1.0), (0.0, 0.0)))
    trained = TrainedEnsemble(problem, Schedule("gd", 0.1, 1.0, chains=2), x, None, SEED)
    wave = trained.start(5, 3)
    expected = sampler(network, x, 1).fields(5, 3)[:, 0]
    outputs, _ = trained.observe(wave)
    assert np.allclose(outputs[::2], expected, rtol=0.0, atol=1e-12 * abs(expected).max())
    assert not np.allclose(outputs[1::2], expected)  # further chains have amplitudes of their own
    hidden = problem.layers(wave.theta[0])[0]
    again = problem.layers(wave.theta[1])[0]
    assert np.array_equal(hidden[0], again[0])
    momenta, phases, amplitudes = twin(network, x, 1).draws(5)
    assert np.allclose(hidden[0], momenta, rtol=1e-13)
    assert np.allclose(hidden[1], phases, rtol=1e-13)
    assert np.allclose(problem.layers(wave.theta[0])[1][0], amplitudes, rtol=1e-13)


def test_training_sees_the_features() -> None:
    """Kernel, tangent kernel and gradient of a network of cosines against plain NumPy."""
    network, x = spec("free-scalar", 21, 1), mesh(6, 2)
    targets = np.arange(6.0)[:, None]
    problem = TrainingProblem(network, x, targets, Moving((2,), (0.0, 0.25), (0.0, 0.0)))
    trained = TrainedEnsemble(problem, Schedule("langevin", 1e-3, 1.0), x, None, SEED)
    wave = trained.start(0, 1)
    law = twin(network, x, 1)
    momenta, phases, amplitudes = law.draws(0)
    features = cosine_features(momenta, phases, x, law.factor, law.mass_square)
    kernels, _ = trained.kernels(wave)
    expected = (features.T @ features)[np.triu_indices(6)]
    size = abs(expected).max()
    assert np.allclose(kernels[0, 21:], 0.25 * expected, rtol=0.0, atol=1e-13 * size)
    assert np.allclose(kernels[0, :21], law.variance / 21 * expected, rtol=0.0, atol=1e-13 * size)
    _, scalars = trained.observe(wave)
    errors = amplitudes @ features - targets.T
    assert scalars[0, 0] == pytest.approx(np.mean(errors**2), rel=1e-12)
