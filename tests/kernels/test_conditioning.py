"""Gaussian readouts integrated out: laws of the outputs against plain linear algebra, draws from them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from laws import unpacked
from training_twins import SEED, Case, data, training

from nnft._kernels import conditioning
from nnft._kernels.reference_random import Stream, normals_reference
from nnft.samplers.trained import Schedule
from nnft.streams import stream_key
from nnft.theory.gaussian_process import posterior

Array = npt.NDArray[Any]

RIDGE = 0.3
RESTART = 9


def packed(matrix: Array) -> Array:
    """Pairs a <= b of symmetric matrices along the last two axes."""
    return np.ascontiguousarray(matrix[..., *np.triu_indices(matrix.shape[-1])])


def gram(points: int, rank: int, seed: int) -> Array:
    """A positive semidefinite matrix of this rank."""
    factor = np.random.default_rng(SEED + seed).standard_normal((points, rank))
    return factor @ factor.T / rank


def conditioned(kernel: Array, targets: Array, ridge: float) -> tuple[Array, Array]:
    """Mean and covariance of the last points given the first ones, by the textbook."""
    count = len(targets)
    a = kernel[:count, :count] + ridge * np.eye(count)
    cross = kernel[count:, :count]
    covariance = kernel[count:, count:] - cross @ np.linalg.solve(a, cross.T)
    return cross @ np.linalg.solve(a, targets), covariance


@pytest.mark.parametrize(("points", "extra"), [(1, 1), (1, 4), (3, 1), (7, 9), (20, 3)])
def test_laws_of_many_networks(points: int, extra: int) -> None:
    kernels = np.stack([gram(points + extra, 30, 10 * points + m) for m in range(4)])
    targets = np.random.default_rng(SEED).standard_normal(points)
    mean, covariance = np.full((4, extra), np.nan), np.full((4, extra * (extra + 1) // 2), np.nan)
    status = np.full(4, -1)
    conditioning.condition_all(packed(kernels), targets, RIDGE, mean, covariance, status)
    assert np.all(status == 0)
    for m in range(4):
        expected = conditioned(kernels[m], targets, RIDGE)
        assert mean[m] == pytest.approx(expected[0], rel=1e-11, abs=1e-13)
        assert unpacked(covariance[m], extra) == pytest.approx(expected[1], rel=1e-11, abs=1e-13)


def test_singular_kernels_are_told() -> None:
    """Without a ridge a kernel whose rank is below the number of points has no law; others do."""
    kernels = np.stack([gram(6, 30, 1), np.ones((6, 6)), gram(6, 30, 2), np.full((6, 6), np.nan)])
    mean, covariance = np.zeros((4, 2)), np.zeros((4, 3))
    status = np.zeros(4, dtype=np.int64)
    targets = np.arange(4.0)
    conditioning.condition_all(packed(kernels), targets, 0.0, mean, covariance, status)
    assert status.tolist() == [0, 1, 0, 1]
    for m in (0, 2):
        assert mean[m] == pytest.approx(conditioned(kernels[m], targets, 0.0)[0], rel=1e-9)


@pytest.mark.parametrize("bias", [0.0, 0.2])
@pytest.mark.parametrize("observe", [0, 1])
def test_laws_of_trained_members(bias: float, observe: int) -> None:
    """After some steps, from the kernel of each member's own hidden layers."""
    inputs, targets = data(7, 3, 2)
    mesh = data(5, 3, seed=3)[0]
    case = training(inputs, targets, (6, 9), "erf", weight=(1.4, 1.2, 1.7), bias=bias, temperature=0.2,
                    observe=observe)  # fmt: skip
    ensemble = case.ensemble(Schedule("langevin", 0.05, 1.0, temperature=0.2, chains=2), mesh)
    wave = ensemble.start(4, 2)
    ensemble.advance(wave, 5)
    mean, covariance = ensemble.readouts(wave, RIDGE)
    for m in range(4):
        kernel = case.law.readout_kernel(case.flat(wave.theta[m]), np.concatenate([inputs, mesh]))
        expected = conditioned(kernel, targets[:, observe], RIDGE)
        assert mean[m] == pytest.approx(expected[0], rel=1e-11)
        assert unpacked(covariance[m], 5) == pytest.approx(expected[1], rel=1e-10, abs=1e-13)


def test_members_without_a_law_are_not_numbers() -> None:
    """Nine points, no ridge and three features: neither mean nor covariance."""
    inputs, targets = data(9, 3, 1)
    ensemble = training(inputs, targets, (3,), "linear", bias=0.0).ensemble(Schedule("gd", 0.1, 1.0))
    mean, covariance = ensemble.readouts(ensemble.start(0, 3), 0.0)
    lost = np.isnan(mean).all(axis=1)
    assert np.isnan(covariance).all(axis=1).tolist() == lost.tolist()
    good = ensemble.readouts(ensemble.start(0, 3), 1e-6)
    assert np.isfinite(good[0]).all()
    assert np.isfinite(good[1]).all()


def test_readouts_of_a_linear_model_are_a_gaussian_process() -> None:
    """Without hidden layers every network has one law, that of regression with the inputs' kernel."""
    inputs, targets = data(6, 4, 1)
    mesh = data(3, 4, seed=5)[0]
    case = training(inputs, targets, (), "linear", weight=1.7, bias=0.4)
    ensemble = case.ensemble(Schedule("gd", 0.1, 1.0), mesh)
    mean, covariance = ensemble.readouts(ensemble.start(0, 3), RIDGE)

    def kernel(left: Array, right: Array) -> Array:
        return 0.4 + 1.7 / 4 * left @ right.T

    exact = posterior(kernel(inputs, inputs), kernel(mesh, inputs), kernel(mesh, mesh), targets, RIDGE)
    for m in range(3):
        assert mean[m] == pytest.approx(exact.mean.ravel(), rel=1e-11)
        assert unpacked(covariance[m], 3) == pytest.approx(exact.covariance, rel=1e-10, abs=1e-13)


def drawn(mean: Array, covariance: Array, draws: int, first: int = 0) -> Array:
    key = int(np.array([stream_key(SEED)], dtype=np.uint64).view(np.int64)[0])
    out = np.full((len(mean), draws, mean.shape[1]), np.nan)
    conditioning.posterior_draws(mean, packed(covariance), key, first, draws, out)
    return out


def test_draws_are_those_of_the_streams() -> None:
    """Draw d of a network: normals from group d * ceil(E/16) on, times the upper factor of the covariance."""
    covariance = np.stack([gram(17, 40, m) for m in range(2)])
    mean = np.random.default_rng(1).standard_normal((2, 17))
    found = drawn(mean, covariance, 3, first=5)
    for m in range(2):
        stream = Stream(stream_key(SEED), 5 + m, RESTART << 12)
        normals = normals_reference(stream, 0, 6, "float64").reshape(3, 32)[:, :17]
        expected = mean[m] + normals @ np.linalg.cholesky(covariance[m]).T
        assert found[m] == pytest.approx(expected, rel=1e-10, abs=1e-12)
    assert np.array_equal(drawn(mean[1:], covariance[1:], 2, first=6)[0], found[1, :2])


def test_moments_of_draws() -> None:
    """Mean and covariance of 40,000 draws of one law, and no correlation between neighbouring draws.

    Sees shifts of 0.053 standard deviations, and of 0.075 in a variance.
    """
    covariance, mean, count = gram(4, 9, 3), np.array([0.3, -1.0, 0.0, 2.0]), 40_000
    found = drawn(mean[None], covariance[None], count)[0] - mean
    deviations = np.sqrt(np.diagonal(covariance))
    assert (abs(found.mean(0)) / deviations * math.sqrt(count)).max() < 5.85
    products = found[:, :, None] * found[:, None, :]
    spread = np.sqrt((np.outer(deviations, deviations) ** 2 + covariance**2) / count)
    assert (abs(products.mean(0) - covariance) / spread).max() < 5.85
    neighbours = (found[1:, :, None] * found[:-1, None, :]).mean(0) / np.outer(deviations, deviations)
    assert abs(neighbours).max() * math.sqrt(count) < 5.85


def test_draws_of_singular_laws() -> None:
    """A point that repeats another one has its value; a point without variance has its mean."""
    base = gram(3, 9, 7)
    covariance = np.zeros((5, 5))
    places = [0, 1, 2, 1]
    covariance[:4, :4] = base[np.ix_(places, places)]
    rounding = 1e-17 * np.random.default_rng(2).standard_normal((5, 5))
    mean = np.array([[0.0, 0.0, 0.0, 0.0, 2.5]])
    found = drawn(mean, (covariance + rounding + rounding.T)[None], 2000)[0]
    assert abs(found[:, 1] - found[:, 3]).max() < 1e-6
    assert abs(found[:, 4] - 2.5).max() < 1e-6
    assert np.all(found[:, :3].std(0) > 0.1)


def test_laws_without_variance_are_their_means() -> None:
    found = drawn(np.array([[1.0, -2.0]]), np.zeros((1, 2, 2)), 3)
    assert np.array_equal(found[0], np.tile([1.0, -2.0], (3, 1)))


def test_a_case_is_what_it_claims() -> None:
    """The padding helpers are inverse to each other."""
    case: Case = training(*data(3, 3, 2), (5, 4), "tanh")
    flat = np.arange(case.law.live.size, dtype=float)
    assert np.array_equal(case.flat(case.padded(flat, np.nan)), flat)
    assert np.isnan(case.padded(flat, np.nan)).sum() == case.is_padding().sum() > 0
