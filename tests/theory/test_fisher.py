"""Fisher information: scores by Monte Carlo, layers against their derivatives, what inputs cannot see."""

from __future__ import annotations

import numpy as np
import pytest

from nnft.errors import UsageError
from nnft.theory.activations import Array
from nnft.theory.fisher import (
    dense_fisher,
    fisher_diagonal,
    fisher_modes,
    kronecker_factors,
    layer_diagonal,
)

LIMIT = 5.85
P, D, IN, OUT = 7, 2, 3, 4
RNG = np.random.default_rng(20240601 + 500)
INPUTS, DELTAS = RNG.normal(size=(P, IN)), RNG.normal(size=(P, D, OUT))
JACOBIAN = np.einsum("pdi,pj->pdij", DELTAS, INPUTS).reshape(P, D, OUT * IN)


def test_information_is_the_covariance_of_the_score() -> None:
    """Detects errors of 2 % in any entry, so a wrong power of the noise variance."""
    noise, count = 0.3, 400_000
    rng = np.random.default_rng(20240601 + 501)
    jacobian = JACOBIAN[:, :, :3]
    errors = rng.normal(size=(count, D)) * np.sqrt(noise)
    scores = np.einsum("mdk,md->mk", jacobian[rng.integers(0, P, count)], errors) / noise
    products = np.einsum("mk,ml->mkl", scores, scores)
    spread = products.std(axis=0) / np.sqrt(count)
    z = (products.mean(axis=0) - dense_fisher(jacobian, noise)) / spread
    assert np.max(np.abs(z)) < LIMIT
    assert np.max(spread / np.diagonal(dense_fisher(jacobian, noise)).max()) < 0.02 / 4


@pytest.mark.parametrize("points", [3, P])
def test_forms_agree(points: int) -> None:
    rows = JACOBIAN[:points]
    dense, modes = dense_fisher(rows, 0.3), fisher_modes(rows, 0.3)
    np.testing.assert_allclose((modes.vectors * modes.values) @ modes.vectors.T, dense, atol=1e-13)
    np.testing.assert_allclose(fisher_diagonal(rows, 0.3).values, np.diagonal(dense), rtol=1e-13)
    assert np.all(np.diff(modes.values) >= 0.0)
    rank = min(points * D, OUT * IN)
    assert np.count_nonzero(modes.values) == rank
    assert np.all(modes.values[: OUT * IN - rank] == 0.0)
    np.testing.assert_allclose(modes.vectors.T @ modes.vectors, np.eye(OUT * IN), atol=1e-13)


def test_layer_diagonal_needs_no_derivatives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnft.theory.fisher._NUMBERS", 2 * INPUTS.size)  # two rows of weights at a time
    found, known = layer_diagonal(INPUTS, DELTAS, 0.3), fisher_diagonal(JACOBIAN, 0.3)
    np.testing.assert_allclose(found.values, known.values, rtol=1e-13)
    np.testing.assert_allclose(found.standard_errors, known.standard_errors, rtol=1e-13)
    assert (found.zero_fraction, found.inputs) == (0.0, P)


def test_scalar_product_has_a_flat_direction() -> None:
    """f = a w x: eigenvalues 0, along a -> c a, w -> w / c, and <x^2> (a^2 + w^2) / kappa."""
    a, w, x = 0.8, -1.7, np.array([0.5, -1.0, 2.0])
    modes = fisher_modes(np.column_stack([w * x, a * x]), 0.25)
    np.testing.assert_allclose(modes.values, [0.0, np.mean(x**2) * (a**2 + w**2) / 0.25], atol=1e-15)
    np.testing.assert_allclose(abs(modes.vectors[:, 0] @ [a, -w]) / np.hypot(a, w), 1.0, rtol=1e-14)


def test_errors_over_inputs() -> None:
    """Features x ~ N(0, 1): mean 1 / kappa, variance of the mean 2 / (kappa^2 P), both unbiased."""
    noise, points, batches = 0.5, 10, 20_000
    x = np.random.default_rng(20240601 + 502).normal(size=(points, batches))
    found = fisher_diagonal(x, noise)
    z = (found.values.mean() - 1.0 / noise) / (found.values.std() / np.sqrt(batches))
    squares = found.standard_errors**2
    z_error = (squares.mean() - 2.0 / (noise**2 * points)) / (squares.std() / np.sqrt(batches))
    assert max(abs(z), abs(z_error)) < LIMIT
    assert squares.std() / np.sqrt(batches) < 0.02 * squares.mean()
    assert np.isnan(fisher_diagonal(x[:1], noise).standard_errors).all()


def test_silent_features_are_counted() -> None:
    """A feature that is zero on all inputs has information 0 and error 0, though others may see it."""
    x = np.array([[0.5, 0.0, 1.0], [0.2, 0.0, 0.0]])
    few = fisher_diagonal(x, 1.0)
    assert few.zero_fraction == pytest.approx(1.0 / 3.0)
    assert (few.values[1], few.standard_errors[1]) == (0.0, 0.0)
    assert fisher_diagonal(np.vstack([x, [0.0, 0.3, 0.0]]), 1.0).zero_fraction == 0.0


def kronecker_error(inputs: Array, deltas: Array) -> float:
    jacobian = np.einsum("pi,pj->pij", deltas, inputs).reshape(len(inputs), -1)
    return float(np.max(np.abs(kronecker_factors(inputs, deltas, 0.3).dense() - dense_fisher(jacobian, 0.3))))


def test_kronecker_factors_where_they_are_exact_and_where_not() -> None:
    deltas = DELTAS[:, 0]
    assert kronecker_error(INPUTS[:1], deltas[:1]) < 1e-14
    assert kronecker_error(INPUTS, np.ones((P, 1))) < 1e-14  # a readout
    # inputs 1, 3 with deltas 1, 3: <delta^2 a^2> = 41, <delta^2> <a^2> = 25
    pair = np.array([[1.0], [3.0]])
    factors = kronecker_factors(pair, pair, 1.0)
    assert dense_fisher(pair * pair, 1.0)[0, 0] == pytest.approx(41.0)
    assert factors.dense()[0, 0] == pytest.approx(25.0)


def test_kronecker_modes_and_diagonal() -> None:
    factors = kronecker_factors(INPUTS, DELTAS, 0.3)
    values, left, right = factors.modes()
    vectors = np.einsum("ai,bj->abij", left, right).reshape(OUT * IN, OUT * IN)
    np.testing.assert_allclose((vectors * values.ravel()) @ vectors.T, factors.dense(), atol=1e-13)
    np.testing.assert_allclose(factors.diagonal(), np.diagonal(factors.dense()), rtol=1e-14)
    assert np.trace(factors.dense()) == pytest.approx(
        np.mean(np.sum(INPUTS**2, 1)) * np.mean(np.sum(DELTAS**2, (1, 2))) / 0.3
    )


def test_kronecker_factors_of_independent_inputs_and_deltas() -> None:
    """Where deltas do not depend on the inputs the approximation is the truth, up to sampling."""
    rng, count = np.random.default_rng(20240601 + 503), 200_000
    a, delta = rng.normal(size=(count, 2)) + 1.0, rng.normal(size=(count, 2))
    each = np.einsum("pi,pj,pk,pl->pijkl", delta, a, delta, a).reshape(count, 4, 4)
    spread = each.std(axis=0) / np.sqrt(count)
    z = (each.mean(axis=0) - kronecker_factors(a, delta, 1.0).dense()) / spread
    assert np.max(np.abs(z)) < LIMIT


def test_refusals() -> None:
    with pytest.raises(UsageError, match="noise variance of a likelihood: got 0"):
        fisher_diagonal(JACOBIAN, 0.0)
    with pytest.raises(UsageError, match="got shape"):
        dense_fisher(np.full((2, 2), np.nan), 1.0)
    with pytest.raises(UsageError, match="layer of a Fisher information"):
        kronecker_factors(INPUTS, DELTAS[:3], 1.0)
