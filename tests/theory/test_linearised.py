"""Ensembles with a constant tangent kernel against recursions, matrix exponentials and limits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import expm

from nnft.errors import NumericalError, UsageError
from nnft.theory.activations import activation
from nnft.theory.gaussian_averages import kernel_average
from nnft.theory.gaussian_process import half_square_loss, posterior
from nnft.theory.linearised import linearised_descent, linearised_flow, missing_theory
from nnft.theory.nngp import first_layer_kernel, nngp_kernel
from nnft.theory.relaxation import descent_factors, flow_factors
from nnft.theory.training_kernel import training_kernel
from nnft.theory.wide_readout import readout_ensemble, readout_model

P, E, D = 5, 4, 2
RNG = np.random.default_rng(20240601)
POINTS = RNG.normal(size=(P + E, 3))
POINTS[P] = POINTS[1]  # one evaluation point is a training point
TARGETS = RNG.normal(size=(P, D))
WEIGHTS, BIASES = [1.4, 0.9], [0.1, 0.25]
KERNEL = nngp_kernel(POINTS, "erf", WEIGHTS, BIASES)[-1]
TANGENT = training_kernel(POINTS, "erf", WEIGHTS, BIASES, (), [1.0, 0.7], [0.4, 1.0])
AVERAGE = kernel_average(activation("erf"), first_layer_kernel(POINTS, WEIGHTS[0], BIASES[0]))


def generator(tangent: np.ndarray) -> np.ndarray:
    """Matrix G of the joint flow ``f' = -G f + ...``: only training outputs push."""
    matrix = np.zeros_like(tangent)
    matrix[:, :P] = tangent[:, :P]
    return matrix


def affine(matrix: np.ndarray, start: np.ndarray, drive: np.ndarray) -> np.ndarray:
    """Solution at time 1 of ``f' = -matrix f + drive``."""
    n = len(matrix)
    block = np.zeros((n + D, n + D))
    block[:n, :n], block[:n, n:] = -matrix, drive
    return (expm(block) @ np.concatenate([start, np.eye(D)]))[:n]


@pytest.mark.parametrize("rate", [1.0, 2.0 / P])
def test_flow_is_the_matrix_exponential(rate: float) -> None:
    times = [0.0, 0.3, 4.0]
    found = linearised_flow(KERNEL, TANGENT, TARGETS, times, rate)
    for i, time in enumerate(times):
        matrix = rate * time * generator(TANGENT)
        drive = rate * time * TANGENT[:, :P] @ TARGETS
        mean, propagator = affine(matrix, np.zeros((P + E, D)), drive), expm(-matrix)
        covariance = propagator @ KERNEL @ propagator.T
        np.testing.assert_allclose(found.train_mean[i], mean[:P], atol=1e-12)
        np.testing.assert_allclose(found.mean[i], mean[P:], atol=1e-12)
        np.testing.assert_allclose(found.covariance[i], covariance[P:, P:], atol=1e-12)
        np.testing.assert_allclose(found.train_variance[i], np.diagonal(covariance)[:P], atol=1e-12)
        loss = half_square_loss(mean[:P], np.diagonal(covariance)[:P], TARGETS)
        assert found.train_loss[i] == pytest.approx(loss, rel=1e-11)
    assert found.times.tolist() == times


@pytest.mark.parametrize("step", [0.04, 0.15])
def test_descent_is_the_recursion(step: float) -> None:
    counts, rate = [0, 1, 7, 40], 1.6
    assert (step * rate * np.linalg.eigvalsh(TANGENT[:P, :P])[-1] > 1.0) == (step > 0.1)
    found = linearised_descent(KERNEL, TANGENT, TARGETS, counts, step, rate)
    mean, covariance, move = np.zeros((P + E, D)), KERNEL, np.eye(P + E) - step * rate * generator(TANGENT)
    for count in range(counts[-1] + 1):
        if count in counts:
            i = counts.index(count)
            np.testing.assert_allclose(found.mean[i], mean[P:], atol=1e-11)
            np.testing.assert_allclose(found.train_mean[i], mean[:P], atol=1e-11)
            np.testing.assert_allclose(found.covariance[i], covariance[P:, P:], atol=1e-11)
            np.testing.assert_allclose(found.train_variance[i], np.diagonal(covariance)[:P], atol=1e-11)
        mean = mean - step * rate * TANGENT[:, :P] @ (mean[:P] - TARGETS)
        covariance = move @ covariance @ move.T


def test_repeated_training_points_and_tiny_eigenvalues() -> None:
    """Zero eigenvalues move nothing: outputs at a point repeated in the data relax to its mean target."""
    again = [*range(P), 0, *range(P, P + E)]
    targets = np.concatenate([TARGETS, TARGETS[:1] + 1.0])
    joint = np.ix_(again, again)
    found = linearised_flow(KERNEL[joint], TANGENT[joint], targets, [1e9])
    np.testing.assert_allclose(found.train_mean[0, 0], TARGETS[0] + 0.5, atol=1e-6)
    np.testing.assert_allclose(found.train_mean[0, 0], found.train_mean[0, -1], atol=1e-6)
    slow = np.array([0.0, 1e-20, 1e-9])
    np.testing.assert_allclose(flow_factors(slow, 50.0)[1], 50.0, rtol=1e-7)
    np.testing.assert_allclose(descent_factors(slow, 5.0, 10)[1], 50.0, rtol=1e-7)
    exact = (1.0 - 0.999**1000) / 1.0
    assert descent_factors(np.array([1.0]), 1e-3, 1000)[1][0] == pytest.approx(exact, rel=1e-12)


def test_late_times() -> None:
    """Means of regression with the tangent kernel; a trained readout keeps the posterior's covariance."""
    late = linearised_flow(KERNEL, TANGENT, TARGETS, [1e7])
    known = posterior(TANGENT[:P, :P], TANGENT[P:, :P], TANGENT[P:, P:], TARGETS, 0.0)
    np.testing.assert_allclose(late.mean[0], known.mean, atol=1e-8)
    assert np.max(np.abs(late.covariance[0] - known.covariance)) > 1e-2
    readout = linearised_flow(0.9 * AVERAGE, 1.3 * AVERAGE, TARGETS, [1e9])
    law = posterior(0.9 * AVERAGE[:P, :P], 0.9 * AVERAGE[P:, :P], 0.9 * AVERAGE[P:, P:], TARGETS, 0.0)
    np.testing.assert_allclose(readout.mean[0], law.mean, atol=1e-7)
    np.testing.assert_allclose(readout.covariance[0], law.covariance, atol=1e-7)
    np.testing.assert_allclose(late.covariance[0, 0], 0.0, atol=1e-8)  # a training point


READOUT = {"weight_variance": 0.9, "bias_variance": 0.25, "weight_rate": 1.3, "bias_rate": 0.5}


def test_readout_model_without_decay_is_the_linearised_network() -> None:
    """Two ways to the same ensemble, biases included, where both kernels are not proportional."""
    kernel, tangent = 0.9 * AVERAGE + 0.25, 1.3 * AVERAGE + 0.5
    model, evaluation = readout_model(AVERAGE, TARGETS, **READOUT, rate=0.8)
    steps = [0, 3, 50]
    known = linearised_descent(kernel, tangent, TARGETS, steps, 0.2, 0.8)
    found = readout_ensemble(model, evaluation, steps, (model.descent(k, 0.2) for k in steps))
    flow = linearised_flow(kernel, tangent, TARGETS, [0.7, 9.0], 0.8)
    flown = readout_ensemble(model, evaluation, [0.7, 9.0], (model.flow(t) for t in (0.7, 9.0)))
    for one, two in ((found, known), (flown, flow)):
        for name in ("times", "mean", "covariance", "train_mean", "train_variance", "train_loss"):
            np.testing.assert_allclose(getattr(one, name), getattr(two, name), atol=1e-11)


def test_langevin_of_a_readout_reaches_the_posterior() -> None:
    temperature, rate = 0.3, 0.8
    model, evaluation = readout_model(AVERAGE, TARGETS, **READOUT, rate=rate, temperature=temperature)
    kernel = 0.9 * AVERAGE + 0.25
    known = posterior(kernel[:P, :P], kernel[P:, :P], kernel[P:, P:], TARGETS, temperature / rate)
    laws = [model.posterior, model.diffusion(200.0), model.langevin(200000, 1e-3)]
    found = readout_ensemble(model, evaluation, [0, 1, 2], laws)
    for i, tolerance in enumerate((1e-11, 1e-11, 2e-3)):
        np.testing.assert_allclose(found.mean[i], known.mean, atol=min(tolerance, 1e-9))
        np.testing.assert_allclose(found.covariance[i], known.covariance, atol=tolerance)
        assert found.train_loss[i] == pytest.approx(known.train_loss, rel=tolerance)
    biased = readout_ensemble(model, evaluation, [0], [model.stationary(0.5)])
    assert np.max(biased.covariance[0] - known.covariance) > 0.01


def test_descent_with_decay_reaches_the_ridge_solution() -> None:
    model, evaluation = readout_model(AVERAGE, TARGETS, **READOUT, temperature=0.3)
    found = readout_ensemble(model, evaluation, [1], [model.descent(20000, 0.1)])
    kernel = 0.9 * AVERAGE + 0.25
    known = posterior(kernel[:P, :P], kernel[P:, :P], kernel[P:, P:], TARGETS, 0.3)
    np.testing.assert_allclose(found.mean[0], known.mean, atol=1e-10)
    np.testing.assert_allclose(found.covariance[0], 0.0, atol=1e-12)


def test_reasons() -> None:
    assert missing_theory(readout_only=True, decay=True, noise=True) == ""
    assert missing_theory(readout_only=False, decay=False, noise=False) == ""
    assert "weight decay" in missing_theory(readout_only=False, decay=True, noise=False)
    assert "thermal noise" in missing_theory(readout_only=False, decay=True, noise=True)


def test_refusals() -> None:
    with pytest.raises(UsageError, match="kernels of all points"):
        linearised_flow(KERNEL, TANGENT[:P, :P], TARGETS, [1.0])
    with pytest.raises(UsageError, match="targets"):
        linearised_flow(KERNEL, TANGENT, np.float64(1.0), [1.0])
    with pytest.raises(UsageError, match="time of a flow"):
        linearised_flow(KERNEL, TANGENT, TARGETS, [-1.0])
    with pytest.raises(UsageError, match="negative"):
        linearised_descent(KERNEL, TANGENT, TARGETS, [-1], 0.1)
    with pytest.raises(NumericalError, match="use a step below"):
        linearised_descent(KERNEL, TANGENT, TARGETS, [10**6], 50.0)
    with pytest.raises(NumericalError, match="not positive semidefinite"):
        linearised_flow(KERNEL, -TANGENT, TARGETS, [1.0])
    with pytest.raises(UsageError, match="rates of a readout"):
        readout_model(AVERAGE, TARGETS, **{**READOUT, "bias_rate": 0.0})
