"""Laws of readouts given their features: matrices and steps written out, known modules."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from nnft.errors import NumericalError, UsageError
from nnft.theory.normalisation import loss_factor
from nnft.theory.readout_laws import (
    cyclic_law,
    descent_law,
    ordered_law,
    posterior_law,
    random_order_moments,
)
from nnft.theory.readout_training import LinearModel, WeightLaw
from nnft.theory.stochastic_descent import StochasticDescent

RNG = np.random.default_rng(20240601 + 520)
N, D = 5, 2
VARIANCES = np.array([0.5, 0.5, 2.0, 1.0, 1.0])
DATA = {count: (RNG.normal(size=(count, N)), RNG.normal(size=(count, D))) for count in (3, 5, 8)}
POINTS = pytest.mark.parametrize("points", DATA)
LOSSES = pytest.mark.parametrize("loss", ["half-sum", "sum", "half-mean", "mean"])


def same(law: WeightLaw, other: WeightLaw) -> None:
    np.testing.assert_allclose(law.mean, other.mean, atol=1e-12)
    np.testing.assert_allclose(law.covariance, other.covariance, atol=1e-12)


@POINTS
def test_posterior_is_conjugate(points: int) -> None:
    phi, y = DATA[points]
    spread = np.asarray(np.linalg.inv(phi.T @ phi / 0.3 + np.diag(1.0 / VARIANCES)), dtype=np.float64)
    law = posterior_law(phi, y, VARIANCES, 0.3)
    same(law, WeightLaw(spread @ phi.T @ y / 0.3, spread))
    same(law, LinearModel(phi, y, VARIANCES, 1.0, 0.3).posterior)


@POINTS
@LOSSES
def test_descent_step_by_step(points: int, loss: str) -> None:
    phi, y = DATA[points]
    rate, step, count = 2.0 * loss_factor(loss, points), 0.03, 40
    matrix, mean = np.eye(N), np.zeros((N, D))
    for _ in range(count):
        matrix = matrix - step * rate * phi.T @ (phi @ matrix)
        mean = mean - step * rate * phi.T @ (phi @ mean - y)
    law = descent_law(phi, y, VARIANCES, step, count, loss)
    same(law, WeightLaw(mean, matrix @ np.diag(VARIANCES) @ matrix.T))
    same(law, LinearModel(phi, y, VARIANCES, rate).descent(count, step))


@POINTS
@LOSSES
def test_single_points_in_a_given_order(points: int, loss: str) -> None:
    phi, y = DATA[points]
    order, step = np.random.default_rng(20240601 + 521).integers(0, points, 50), 0.05
    gain = {"half-sum": 1.0, "sum": 2.0, "half-mean": 1.0, "mean": 2.0}[loss]
    matrix, mean = np.eye(N), np.zeros((N, D))
    for point in order:
        row = phi[point : point + 1]
        matrix = matrix - step * gain * row.T @ (row @ matrix)
        mean = mean - step * gain * row.T @ (row @ mean - y[point])
    law = ordered_law(phi, y, VARIANCES, step, order.tolist(), loss)
    same(law, WeightLaw(mean, matrix @ np.diag(VARIANCES) @ matrix.T))


@POINTS
def test_epochs_in_the_order_of_the_data(points: int) -> None:
    phi, y = DATA[points]
    start = WeightLaw(np.zeros((N, D)), np.diag(VARIANCES))
    known = StochasticDescent.of_features(phi, y, start).cyclic_epochs([3], 0.05, 1)[0]
    law = ordered_law(phi, y, VARIANCES, 0.05, [*range(points)] * 3)
    same(law, WeightLaw(known.mean, known.covariance[0]))
    nothing = ordered_law(phi, y, VARIANCES, 0.05, [])
    same(nothing, WeightLaw(np.zeros((N, D)), np.diag(VARIANCES)))


@POINTS
@LOSSES
@pytest.mark.parametrize("epochs", [0, 1, 2, 7, 12])
def test_epochs_are_powers_of_one(points: int, loss: str, epochs: int) -> None:
    """Steps one after the other, written out and by `ordered_law`, for odd and even powers."""
    phi, y = DATA[points]
    gain = 0.05 * {"half-sum": 1.0, "sum": 2.0, "half-mean": 1.0, "mean": 2.0}[loss]
    matrix, mean = np.eye(N), np.zeros((N, D))
    for point in [*range(points)] * epochs:
        row = phi[point : point + 1]
        matrix = matrix - gain * row.T @ (row @ matrix)
        mean = mean - gain * row.T @ (row @ mean - y[point])
    law = cyclic_law(phi, y, VARIANCES, 0.05, epochs, loss)
    same(law, WeightLaw(mean, matrix @ np.diag(VARIANCES) @ matrix.T))
    same(law, ordered_law(phi, y, VARIANCES, 0.05, [*range(points)] * epochs, loss))


@POINTS
def test_one_variance_for_all_is_a_list_of_it(points: int) -> None:
    """The shorter way to the covariance; the other one begins where variances differ in the last place."""
    phi, y = DATA[points]
    alike = np.full(N, 0.7)
    other = alike.copy()
    other[2] = np.nextafter(0.7, 1.0)
    same(descent_law(phi, y, alike, 0.03, 20), descent_law(phi, y, other, 0.03, 20))
    same(descent_law(phi, y, alike, 0.03, 20), descent_law(phi, y, 0.7, 0.03, 20))
    same(cyclic_law(phi, y, alike, 0.05, 3), cyclic_law(phi, y, other, 0.05, 3))
    order = [*range(points)] * 3
    same(ordered_law(phi, y, alike, 0.05, order), ordered_law(phi, y, other, 0.05, order))


def test_many_epochs_forget_the_start_and_learn() -> None:
    """As many points as weights and exact targets: after enough epochs every draw is the teacher."""
    phi, _ = DATA[8]
    teacher = np.random.default_rng(20240601 + 522).normal(size=(N, D))
    law = cyclic_law(phi, phi @ teacher, VARIANCES, 0.05, 10**9)
    np.testing.assert_allclose(law.mean, teacher, atol=1e-12)
    assert abs(law.covariance).max() < 1e-20


def test_epochs_of_drawn_weights() -> None:
    """20 000 draws descend point by point; every mean and covariance, 25 numbers an output: |z| < 5.85.

    Sees deviations of 4 % of a standard deviation of the start.
    """
    phi, y = DATA[3]
    rng, draws = np.random.default_rng(20240601 + 523), 20_000
    weights = rng.normal(size=(draws, N)) * np.sqrt(VARIANCES)
    for point in [*range(3)] * 4:
        weights -= 0.05 * (weights @ phi[point] - y[point, 0])[:, None] * phi[point]
    law = cyclic_law(phi, y, VARIANCES, 0.05, 4)
    away = weights - law.mean[:, 0]
    assert abs(away.mean(axis=0) / away.std(axis=0) * draws**0.5).max() < 5.85
    products = away[:, :, None] * away[:, None]
    z = (products.mean(axis=0) - law.covariance) / products.std(axis=0) * draws**0.5
    assert abs(z).max() < 5.85


@POINTS
def test_random_order_is_the_average_over_all_orders(points: int) -> None:
    phi, y = DATA[points]
    step, steps, variance = 0.1, 3, 0.7
    laws = [
        ordered_law(phi, y, variance, step, order) for order in itertools.product(range(points), repeat=steps)
    ]
    mean = np.mean([law.mean for law in laws], axis=0)
    found = random_order_moments(phi, y, variance, step, steps)
    np.testing.assert_allclose(found.mean, mean, atol=1e-12)
    for output in range(D):
        second = np.mean([law.covariance + np.outer(m := law.mean[:, output], m) for law in laws], axis=0)
        spread = second - np.outer(mean[:, output], mean[:, output])
        np.testing.assert_allclose(found.covariance[output], spread, atol=1e-12)


def test_refusals() -> None:
    phi, y = DATA[3]
    with pytest.raises(UsageError, match="noise variance of a posterior: got 0"):
        posterior_law(phi, y, 1.0, 0.0)
    with pytest.raises(UsageError, match="order of single points: got numbers from 0 to 3"):
        ordered_law(phi, y, 1.0, 0.1, [0, 3])
    with pytest.raises(NumericalError, match="descent on single points diverges"):
        ordered_law(phi, y, 1.0, 1e3, [0] * 2000)
    with pytest.raises(NumericalError, match="descent on single points diverges: got step 1000;"):
        cyclic_law(phi, y, 1.0, 1e3, 2000)
    with pytest.raises(NumericalError, match="gradient descent diverges"):
        descent_law(phi, y, 1.0, 1e3, 2000)
    with pytest.raises(UsageError, match="linear model"):
        posterior_law(phi, y, -1.0, 0.1)
