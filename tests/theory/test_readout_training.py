"""Linear models: recursions step by step, all sequences of batches, equivalent models."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from nnft.errors import NumericalError, UsageError
from nnft.theory.gaussian_process import posterior
from nnft.theory.normalisation import loss_factor
from nnft.theory.readout_training import LinearModel, WeightLaw
from nnft.theory.stochastic_descent import Moments, StochasticDescent

P, E, N, D = 4, 3, 6, 2
RNG = np.random.default_rng(20240601)
FEATURES, EVALUATION = RNG.normal(size=(P, N)), RNG.normal(size=(E, N))
TARGETS, VARIANCES = RNG.normal(size=(P, D)), np.array([0.5, 0.5, 0.5, 0.5, 2.0, 2.0])
MODEL = LinearModel(FEATURES, TARGETS, VARIANCES, 0.7, 0.2)
START = WeightLaw(RNG.normal(size=(N, D)), np.diag(np.linspace(0.1, 0.6, N)))


def test_posterior_is_conjugate() -> None:
    precision = FEATURES.T @ FEATURES * (0.7 / 0.2) + np.diag(1.0 / VARIANCES)
    np.testing.assert_allclose(MODEL.posterior.covariance, np.linalg.inv(precision), atol=1e-12)
    kernel, cross = (FEATURES * VARIANCES) @ FEATURES.T, (EVALUATION * VARIANCES) @ FEATURES.T
    known = posterior(kernel, cross, (EVALUATION * VARIANCES) @ EVALUATION.T, TARGETS, 0.2 / 0.7)
    mean, covariance = MODEL.posterior.outputs(EVALUATION)
    np.testing.assert_allclose(mean, known.mean, atol=1e-12)
    np.testing.assert_allclose(covariance, known.covariance, atol=1e-12)
    assert MODEL.loss(MODEL.posterior) == pytest.approx(known.train_loss, rel=1e-12)


@pytest.mark.parametrize("start", [None, START])
def test_descent_and_langevin_step_by_step(start: WeightLaw | None) -> None:
    step, count = 0.05, 30
    begin = start or MODEL.prior
    mean, plain, noisy = begin.mean, begin.covariance, begin.covariance
    move = np.eye(N) - step * (0.7 * FEATURES.T @ FEATURES + np.diag(0.2 / VARIANCES))
    for _ in range(count):
        mean = move @ mean + step * 0.7 * FEATURES.T @ TARGETS
        plain = move @ plain @ move.T
        noisy = move @ noisy @ move.T + 2.0 * step * 0.2 * np.eye(N)
    descent, langevin = MODEL.descent(count, step, start), MODEL.langevin(count, step, start)
    np.testing.assert_allclose(descent.mean, mean, atol=1e-12)
    np.testing.assert_allclose(langevin.mean, mean, atol=1e-12)
    np.testing.assert_allclose(descent.covariance, plain, atol=1e-12)
    np.testing.assert_allclose(langevin.covariance, noisy, atol=1e-12)


def test_small_steps_become_continuous() -> None:
    for discrete, continuous in ((MODEL.descent, MODEL.flow), (MODEL.langevin, MODEL.diffusion)):
        exact = continuous(2.0)
        gaps = [np.max(np.abs(discrete(k, 2.0 / k).covariance - exact.covariance)) for k in (2000, 4000)]
        assert gaps[0] / gaps[1] == pytest.approx(2.0, rel=0.02)
        assert gaps[1] < 1e-3


def test_stationary_law_with_its_bias() -> None:
    late = MODEL.langevin(20000, 0.1)
    known = MODEL.stationary(0.1)
    np.testing.assert_allclose(late.covariance, known.covariance, atol=1e-12)
    np.testing.assert_allclose(late.mean, known.mean, atol=1e-12)
    assert np.max(np.abs(known.covariance - MODEL.posterior.covariance)) > 1e-3


def test_fixed_start_has_no_spread_and_null_directions_keep_the_prior() -> None:
    free = LinearModel(FEATURES, TARGETS, VARIANCES)
    law = free.flow(1e6)
    outside = np.eye(N) - np.linalg.pinv(FEATURES) @ FEATURES
    np.testing.assert_allclose(law.covariance, outside @ np.diag(VARIANCES) @ outside, atol=1e-9)
    np.testing.assert_allclose(law.outputs(FEATURES)[0], TARGETS, atol=1e-9)
    fixed = free.descent(20, 0.05, free.starting_at(START.mean))
    np.testing.assert_array_equal(fixed.covariance, np.zeros((N, N)))


@pytest.mark.parametrize("count", [N, 200])
def test_reduced_model_has_the_same_outputs(count: int) -> None:
    features, evaluation = RNG.normal(size=(P, count)), RNG.normal(size=(E, count))
    variances = np.where(np.arange(count) % 3 == 0, 2.0, 0.5)
    model = LinearModel(features / np.sqrt(count), TARGETS, variances, 0.7, 0.2)
    small, fewer = model.reduced(evaluation)
    assert small.features.shape[1] == min(count, 2 * (P + E))
    for name in ("prior", "posterior"):
        one, two = getattr(model, name).outputs(evaluation), getattr(small, name).outputs(fewer)
        np.testing.assert_allclose(one[0], two[0], atol=1e-11)
        np.testing.assert_allclose(one[1], two[1], atol=1e-10)
    one, two = model.langevin(9, 0.1), small.langevin(9, 0.1)
    np.testing.assert_allclose(one.outputs(evaluation)[1], two.outputs(fewer)[1], atol=1e-10)
    assert model.loss(one) == pytest.approx(small.loss(two), rel=1e-11)


def one_batch(
    matrix: np.ndarray, shift: np.ndarray, batch: tuple[int, ...], step: float, loss: str
) -> tuple[np.ndarray, np.ndarray]:
    """The affine map ``a -> matrix a + shift`` followed by one step on a batch, with weight decay."""
    factor, full = loss_factor(loss, len(batch)), loss_factor(loss, P)
    share = factor * len(batch) / (full * P)
    gradient = np.diag(share * MODEL.decay) @ np.eye(N)
    force = np.zeros((N, D))
    for mu in batch:
        gradient = gradient + 2.0 * factor * np.outer(FEATURES[mu], FEATURES[mu])
        force = force + 2.0 * factor * np.outer(FEATURES[mu], TARGETS[mu])
    move = np.eye(N) - step * gradient
    return move @ matrix, move @ shift + step * force


@pytest.mark.parametrize(
    ("batch_size", "loss", "steps"), [(1, "half-sum", 4), (2, "half-mean", 2), (2, "sum", 2)]
)
def test_random_batches_by_enumeration(batch_size: int, loss: str, steps: int) -> None:
    """All equally likely sequences of batches, one by one."""
    step = 0.04
    batches = list(itertools.product(range(P), repeat=batch_size))
    means, seconds = [], []
    for sequence in itertools.product(batches, repeat=steps):
        matrix, shift = np.eye(N), np.zeros((N, D))
        for batch in sequence:
            matrix, shift = one_batch(matrix, shift, batch, step, loss)
        mean = matrix @ START.mean + shift
        means.append(mean)
        spread = matrix @ START.covariance @ matrix.T
        seconds.append(np.array([spread + np.outer(mean[:, d], mean[:, d]) for d in range(D)]))
    mean = np.mean(means, axis=0)
    known = np.mean(seconds, axis=0) - np.array([np.outer(mean[:, d], mean[:, d]) for d in range(D)])
    descent = StochasticDescent.of_features(FEATURES, TARGETS, START, MODEL.decay)
    _, found = descent.random_batches([1, steps], step, batch_size, loss)
    np.testing.assert_allclose(found.mean, mean, atol=1e-12)
    np.testing.assert_allclose(found.covariance, known, atol=1e-12)
    residual = FEATURES @ found.mean - TARGETS
    loss_value = 0.5 * np.sum(residual**2) + 0.5 * np.einsum("pi,dij,pj->", FEATURES, known, FEATURES)
    assert descent.loss(found) == pytest.approx(loss_value, rel=1e-12)


@pytest.mark.parametrize("loss", ["sum", "mean"])
def test_cyclic_epochs_batch_by_batch(loss: str) -> None:
    """Batches of 3 of 4 points: the last one is short."""
    matrix, shift = np.eye(N), np.zeros((N, D))
    for batch in ((0, 1, 2), (3,)) * 2:
        matrix, shift = one_batch(matrix, shift, batch, 0.05, loss)
    descent = StochasticDescent.of_features(FEATURES, TARGETS, START, MODEL.decay)
    begin, found = descent.cyclic_epochs([0, 2], 0.05, 3, loss)
    np.testing.assert_allclose(found.mean, matrix @ START.mean + shift, atol=1e-12)
    for covariance in found.covariance:
        np.testing.assert_allclose(covariance, matrix @ START.covariance @ matrix.T, atol=1e-12)
    np.testing.assert_array_equal(begin.mean, START.mean)


def test_one_batch_of_all_points_is_gradient_descent() -> None:
    descent = StochasticDescent.of_features(FEATURES, TARGETS, START, MODEL.decay)
    (found,) = descent.cyclic_epochs([25], 0.03, P)
    known = LinearModel(FEATURES, TARGETS, VARIANCES, 1.0, 0.2).descent(25, 0.03, START)
    np.testing.assert_allclose(found.mean, known.mean, atol=1e-12)
    np.testing.assert_allclose(found.covariance[0], known.covariance, atol=1e-12)


@pytest.mark.parametrize("order", ["random", "cyclic"])
def test_outputs_by_kernels_are_outputs_by_weights(order: str) -> None:
    variance, temperature = 0.8, 0.3
    joint = np.concatenate([FEATURES, EVALUATION])
    tangent = joint @ joint.T
    prior = WeightLaw(np.zeros((N, D)), variance * np.eye(N))
    weights = StochasticDescent.of_features(FEATURES, TARGETS, prior, temperature / variance)
    outputs = StochasticDescent.of_kernels(variance * tangent, tangent, TARGETS, temperature / variance)

    def run(descent: StochasticDescent) -> Moments:
        if order == "random":
            return descent.random_batches([2, 15], 0.03, 2, "mean")[1]
        return descent.cyclic_epochs([5], 0.03, 3, "mean")[0]

    one, two = run(weights), run(outputs)
    np.testing.assert_allclose(joint @ one.mean, two.mean, atol=1e-12)
    np.testing.assert_allclose(joint @ one.covariance @ joint.T, two.covariance, atol=1e-12)
    assert weights.loss(one) == pytest.approx(outputs.loss(two), rel=1e-12)


def test_refusals() -> None:
    with pytest.raises(UsageError, match="linear model"):
        LinearModel(FEATURES, TARGETS, VARIANCES[:2])
    with pytest.raises(UsageError, match="prior variance"):
        LinearModel(FEATURES, TARGETS, 0.0 * VARIANCES)
    with pytest.raises(NumericalError, match="Langevin step is unstable"):
        MODEL.langevin(3, 10.0)
    with pytest.raises(NumericalError, match="singular"):
        LinearModel(FEATURES, TARGETS, VARIANCES).stationary()
    descent = StochasticDescent.of_features(FEATURES, TARGETS, START)
    with pytest.raises(UsageError, match="increasing"):
        descent.random_batches([3, 2], 0.1, 1)
    with np.errstate(all="ignore"), pytest.raises(NumericalError, match="diverges"):
        descent.random_batches([3000], 50.0, 1)
    with pytest.raises(UsageError, match="kernels of all points"):
        StochasticDescent.of_kernels(np.eye(3), np.eye(4), TARGETS)
