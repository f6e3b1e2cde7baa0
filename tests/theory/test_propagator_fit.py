"""Fits of propagators: exact values, correlated noise, fields of drawn networks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import roots_legendre

from nnft.errors import NumericalError, UsageError
from nnft.theory.activations import Array
from nnft.theory.cos_network import free_momentum_propagator, free_propagator
from nnft.theory.propagator_fit import (
    PropagatorFit,
    fit_momentum_propagator,
    fit_position_propagator,
    fit_shell_propagator,
    shell_averages,
)

LIMIT = 5.85
MASS, FACTOR, CUTOFF = 0.8, 1.7, 5.0
PLACES = np.linspace(0.1, 3.0, 8)
INDEX = np.arange(8)
CORRELATION = 0.6 ** np.abs(INDEX[:, None] - INDEX)


def values(space: str, mass: float = MASS) -> Array:
    if space == "momentum":
        return FACTOR * free_momentum_propagator(PLACES, mass)
    return FACTOR * free_propagator(PLACES, 2, mass, CUTOFF)


def fit(space: str, measured: Array, covariance: Array) -> PropagatorFit:
    if space == "momentum":
        return fit_momentum_propagator(PLACES, measured, covariance)
    return fit_position_propagator(PLACES, measured, covariance, 2, CUTOFF)


@pytest.mark.parametrize("space", ["momentum", "position"])
def test_exact_values_give_exact_parameters(space: str) -> None:
    exact = values(space)
    found = fit(space, exact, (0.02 * exact) ** 2)
    assert found.mass == pytest.approx(MASS, rel=1e-7)
    assert found.normalisation == pytest.approx(FACTOR, rel=1e-7)
    assert found.chi_square < 1e-12
    assert found.freedom == 6
    assert found.p_value == pytest.approx(1.0)
    # covariance by derivatives taken as differences
    h = 1e-5
    slope = (values(space, MASS + h) - values(space, MASS - h)) / (2.0 * h)
    rows = np.stack([slope, exact / FACTOR]) / (0.02 * exact)
    np.testing.assert_allclose(found.covariance, np.linalg.inv(rows @ rows.T), rtol=1e-5)
    assert found.mass_error == pytest.approx(math.sqrt(found.covariance[0, 0]))
    assert found.normalisation_error == pytest.approx(math.sqrt(found.covariance[1, 1]))


@pytest.mark.parametrize(("space", "repeats"), [("momentum", 400), ("position", 80)])
def test_errors_and_chi_square(space: str, repeats: int) -> None:
    """Pulls of mass and factor have mean 0 and variance 1, chi-square its mean; noise of 1 %, correlated."""
    exact = values(space)
    covariance = CORRELATION * np.outer(exact, exact) * 1e-4
    root = np.linalg.cholesky(covariance)
    rng = np.random.default_rng(20240601 + 560)
    pulls, squares, probabilities = np.empty((repeats, 2)), np.empty(repeats), np.empty(repeats)
    for k in range(repeats):
        found = fit(space, exact + root @ rng.normal(size=8), covariance)
        pulls[k] = [
            (found.mass - MASS) / found.mass_error,
            (found.normalisation - FACTOR) / found.normalisation_error,
        ]
        squares[k], probabilities[k] = found.chi_square, found.p_value
    scale = 1.0 / math.sqrt(repeats)
    assert np.max(np.abs(pulls.mean(axis=0))) < LIMIT * scale
    assert np.max(np.abs(np.mean(pulls**2, axis=0) - 1.0)) < LIMIT * math.sqrt(2.0) * scale
    assert abs(squares.mean() - 6.0) < LIMIT * math.sqrt(12.0) * scale
    assert abs(probabilities.mean() - 0.5) < LIMIT * math.sqrt(1.0 / 12.0) * scale


def test_leaving_out_correlations_shows() -> None:
    """The same noise fitted with variances only: chi-square is not that of 6 degrees of freedom."""
    exact = values("momentum")
    root = np.linalg.cholesky(CORRELATION * np.outer(exact, exact) * 1e-4)
    rng = np.random.default_rng(20240601 + 561)
    squares = [
        fit("momentum", exact + root @ rng.normal(size=8), (0.01 * exact) ** 2).chi_square for _ in range(300)
    ]
    assert abs(np.mean(squares) - 6.0) > LIMIT * math.sqrt(12.0 / 300.0)


def test_fields_of_drawn_networks() -> None:
    """Free scalar of 20 cosines in one dimension, 60000 networks: mass and factor within errors below 3 %."""
    rng, count, width = np.random.default_rng(20240601 + 562), 60_000, 20
    x = np.linspace(0.0, 2.5, 7)
    b, phase = rng.uniform(-CUTOFF, CUTOFF, (count, width)), rng.uniform(-math.pi, math.pi, (count, width))
    variance = 2.0 * (2.0 * CUTOFF) / (2.0 * math.pi) / width
    a = rng.normal(size=(count, width)) * np.sqrt(variance * FACTOR / (b**2 + MASS**2))
    fields = np.stack([np.sum(a * np.cos(b * place + phase), axis=1) for place in x], axis=1)
    products = fields[:, :1] * fields
    found = fit_position_propagator(x, products.mean(axis=0), np.cov(products.T) / count, 1, CUTOFF)
    assert abs(found.mass - MASS) / found.mass_error < LIMIT
    assert abs(found.normalisation - FACTOR) / found.normalisation_error < LIMIT
    assert found.mass_error < 0.03 * MASS
    assert found.normalisation_error < 0.03 * FACTOR
    assert 5e-9 < found.p_value < 1.0 - 5e-9


def test_a_wrong_cutoff_is_refuted() -> None:
    exact = values("position")
    found = fit_position_propagator(PLACES, exact, (0.005 * exact) ** 2, 2, 0.6 * CUTOFF)
    assert found.p_value < 1e-6


def test_refusals() -> None:
    exact = values("momentum")
    small = (0.01 * exact) ** 2
    with pytest.raises(NumericalError, match="covariance of a propagator is not positive definite"):
        fit("momentum", exact, np.ones((8, 8)))
    with pytest.raises(NumericalError, match="prefer an arbitrarily large one"):
        fit("momentum", np.ones(8), small)
    with pytest.raises(NumericalError, match="prefer an arbitrarily small one"):
        fit("momentum", PLACES**-2.5, small)
    with pytest.raises(UsageError, match="two or more different places"):
        fit_momentum_propagator(np.ones(3), np.ones(3), np.ones(3))
    with pytest.raises(UsageError, match="covariance of 8 values"):
        fit("momentum", exact, small[:3])
    with pytest.raises(UsageError, match="got NaN or infinity"):
        fit("momentum", np.where(INDEX == 1, np.nan, exact), small)
    two = fit_momentum_propagator(PLACES[:2], exact[:2], small[:2])
    assert two.freedom == 0
    assert math.isnan(two.p_value)
    assert two.mass == pytest.approx(MASS, rel=1e-6)


@pytest.mark.parametrize("dimension", [1, 2, 3, 5])
def test_averages_over_shells(dimension: int) -> None:
    """Against closed forms in d = 1, 2, 3, and a fine sum; thin shells near the middle of each."""
    edges, m = np.array([0.0, 0.4, 1.0, 5.0]), 0.3
    first, second = shell_averages(edges, dimension, m**2)
    p, w = roots_legendre(4000)
    for k in range(3):
        low, high = edges[k], edges[k + 1]
        x = 0.5 * (high + low) + 0.5 * (high - low) * p
        weights = w * x ** (dimension - 1)
        inverse = 1.0 / (x**2 + m**2)
        assert first[k] == pytest.approx(weights @ inverse / weights.sum(), rel=1e-12)
        assert second[k] == pytest.approx(weights @ inverse**2 / weights.sum(), rel=1e-12)
    if dimension == 1:
        assert first[2] == pytest.approx((math.atan(5.0 / m) - math.atan(1.0 / m)) / (4.0 * m), rel=1e-13)


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_thick_shells_do_not_bias_the_fit(dimension: int) -> None:
    """Exact averages over four shells give mass and normalisation back; the middles of the shells do not."""
    edges = np.array([0.0, 0.7, 1.5, 2.5, 4.0])
    values = 1.7 * shell_averages(edges, dimension, 0.8**2)[0]
    found = fit_shell_propagator(edges, dimension, values, (0.01 * values) ** 2)
    assert found.mass == pytest.approx(0.8, rel=1e-7)
    assert found.normalisation == pytest.approx(1.7, rel=1e-7)
    middle = fit_momentum_propagator(0.5 * (edges[1:] + edges[:-1]), values, (0.01 * values) ** 2)
    assert abs(middle.mass / 0.8 - 1.0) > 1e-3
    with pytest.raises(UsageError, match="ascending"):
        fit_shell_propagator(edges[::-1], dimension, values, values)
