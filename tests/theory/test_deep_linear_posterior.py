"""Deep linear networks: law of the kernel scale, posterior as a mixture, reference values, sampling."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nnft.errors import NumericalError, UsageError
from nnft.theory import gaussian_process
from nnft.theory.cumulants import joint_cumulant, pairings
from nnft.theory.deep_linear_posterior import DeepLinearPosterior, deep_linear_posterior
from nnft.theory.product_chi_square import scale_quadrature

FILE = Path(__file__).resolve().parents[1] / "reference" / "training.json"
ENTRIES: dict[str, dict[str, Any]] = {
    entry["id"]: entry for entry in json.loads(FILE.read_text(encoding="utf-8"))["entries"]
}
SAFETY = 4.0  # times the stated relative precision of an entry
POINTS = np.array(ENTRIES["deep-linear-exact-6-k0.5"]["inputs"]["X"])
TARGETS = np.array(ENTRIES["deep-linear-exact-6-k0.5"]["inputs"]["y"])
TEST = np.array([[0.4, 0.6, -0.9], [-0.8, 0.1, 0.5], [1.3, 0.2, 0.1]])
Array = NDArray[np.float64]


def _posterior(
    x: Array, test: Array, y: Array, ridge: float, widths: list[int], variance: float = 1.0
) -> DeepLinearPosterior:
    scale = variance / x.shape[1]
    return deep_linear_posterior(scale * x @ x.T, scale * test @ x.T, scale * test @ test.T, y, ridge, widths)


def _entries(prefix: str) -> list[str]:
    found = [name for name in ENTRIES if name.startswith(prefix)]
    assert found
    return found


@pytest.mark.parametrize("name", _entries("deep-linear-exact"))
def test_reference_posteriors(name: str) -> None:
    inputs, values = ENTRIES[name]["inputs"], ENTRIES[name]["values"]
    rel = SAFETY * ENTRIES[name]["rel_tol"]
    x, test = np.array(inputs["X"]), np.array([inputs["x_test"]])
    result = _posterior(x, test, inputs["y"], inputs["kappa"], inputs["widths"])
    assert result.scale_mean == pytest.approx(values["u_mean"], rel=rel)
    assert result.scale_variance == pytest.approx(values["u_var"], rel=rel)
    assert result.mean[0] == pytest.approx(values["f_mean"], rel=rel)
    assert result.covariance[0, 0] == pytest.approx(values["f_var"], rel=rel)
    assert result.log_evidence == pytest.approx(values["log_evidence"], rel=rel)


def test_reference_scalar_network() -> None:
    """f = a w x has the smallest hidden layer that there is."""
    entry = ENTRIES["scalar-product-net"]
    inputs, values, rel = entry["inputs"], entry["values"], SAFETY * entry["rel_tol"]
    x = np.array(inputs["x"])[:, None]
    variance = inputs["sigma_a2"] * inputs["sigma_w2"]
    result = _posterior(x, np.ones((1, 1)), inputs["y"], inputs["kappa"], [1], variance)
    hidden, readout = result.weight_norms(1)
    assert result.mean[0] == pytest.approx(values["mean_aw"], rel=rel)
    assert result.covariance[0, 0] == pytest.approx(values["var_aw"], rel=rel)
    assert inputs["sigma_a2"] * readout == pytest.approx(values["mean_a2"], rel=rel)
    assert inputs["sigma_w2"] * hidden == pytest.approx(values["mean_w2"], rel=rel)
    assert result.log_evidence == pytest.approx(values["log_evidence"], rel=rel)


def test_reference_layer_balance() -> None:
    entry = ENTRIES["layer-balance-linear-N6"]
    inputs, values, rel = entry["inputs"], entry["values"], SAFETY * entry["rel_tol"]
    x = np.array(inputs["X"])
    result = _posterior(x, TEST, inputs["y"], inputs["kappa"], [inputs["N"]], inputs["prior_variances"])
    assert result.weight_norms(x.shape[1]) == pytest.approx((values["sum_w2"], values["sum_a2"]), rel=rel)
    assert inputs["N"] * (result.scale_mean - 1.0) == pytest.approx(result.norm_excess, rel=1e-11)


@pytest.mark.parametrize("name", _entries("deep-linear-prior"))
def test_reference_prior_moments(name: str) -> None:
    """Moments of a Gaussian of variance u by the quadrature without data."""
    entry = ENTRIES[name]
    rel = SAFETY * entry["rel_tol"]
    u, log_weights = scale_quadrature(entry["inputs"]["widths"], np.zeros_like)
    second, fourth = (float(np.exp(log_weights) @ u**k) for k in (1, 2))
    assert second == pytest.approx(entry["values"]["f2"], rel=rel)
    assert 3.0 * fourth == pytest.approx(entry["values"]["f4"], rel=rel)
    assert 3.0 * (fourth - second**2) == pytest.approx(entry["values"]["excess_kurtosis"], rel=rel)


@pytest.mark.parametrize(
    "widths", [[1], [2], [10], [10**5], [1, 1], [1, 10_000], [3, 3, 3, 3], [2, 40, 3000], [1000] * 3]
)
def test_moments_of_the_scale(widths: list[int]) -> None:
    """E u^k = prod_l prod_{j<k} (1 + 2 j / N_l), and E u^(-1/4) by gamma functions."""
    u, log_weights = scale_quadrature(widths, np.zeros_like)
    weights = np.exp(log_weights)
    assert np.all(np.diff(u) > 0.0)
    for k in range(4):
        exact = math.prod(1.0 + 2.0 * j / n for n in widths for j in range(k))
        assert weights @ u**k == pytest.approx(exact, rel=1e-11)
    inverse = math.exp(
        sum(math.lgamma(n / 2 - 0.25) - math.lgamma(n / 2) + 0.25 * math.log(n / 2) for n in widths)
    )
    assert weights @ u**-0.25 == pytest.approx(inverse, rel=1e-10)


@pytest.mark.parametrize("power", [-40.0, 300.0])
def test_far_tails_of_two_layers(power: float) -> None:
    """A factor u^power moves the weight to where the density is exp(-100) and less; exact by gammas."""
    halves = (50.0, 120.0)
    _, log_weights = scale_quadrature([100, 240], lambda u: power * np.log(u))
    total = float(np.logaddexp.reduce(log_weights))
    exact = sum(math.lgamma(a + power) - math.lgamma(a) - power * math.log(a) for a in halves)
    assert total == pytest.approx(exact, rel=1e-11)


def test_two_layers_by_a_plain_double_sum() -> None:
    """Mixture over a grid in (log u_1, log u_2), with a likelihood that pulls u far above 1."""
    widths, y, ridge = (3, 8), 6.0 * TARGETS, 0.02
    result = _posterior(POINTS, TEST, y, ridge, list(widths))
    kernel, cross = POINTS @ POINTS.T / 3.0, TEST @ POINTS.T / 3.0
    logs = np.linspace(-14.0, 4.0, 721)
    law = [0.5 * n * (logs - np.exp(logs)) for n in widths]
    values, vectors = np.linalg.eigh(kernel)
    rotated = vectors.T @ y
    total, first, mean = 0.0, 0.0, np.zeros(3)
    for position, log_u in enumerate(logs):
        u = np.exp(log_u + logs)
        shifted = np.maximum(values, 0.0) * u[:, None] + ridge
        exponent = -0.5 * np.sum(np.log(shifted) + rotated**2 / shifted, axis=1)
        weights = np.exp(law[0][position] + law[1] + exponent)
        total += float(np.sum(weights))
        first += float(weights @ u)
        mean += cross @ vectors @ (rotated * np.sum((weights * u)[:, None] / shifted, axis=0))
    assert first / total > 3.0
    assert result.scale_mean == pytest.approx(first / total, rel=1e-10)
    np.testing.assert_allclose(result.mean, mean / total, rtol=1e-10)


def test_train_loss_is_a_derivative_of_the_evidence() -> None:
    """<1/2 sum (f - y)^2> = kappa^2 d/dkappa log Z with Z without the normalisation of the noise."""
    ridge, step = 0.3, 1e-4

    def log_z(kappa: float) -> float:
        result = _posterior(POINTS, TEST, TARGETS, kappa, [4, 7])
        return result.log_evidence + 0.5 * len(TARGETS) * math.log(kappa)

    near, far = (log_z(ridge + h) - log_z(ridge - h) for h in (step, 2.0 * step))
    slope = (8.0 * near - far) / (12.0 * step)
    assert _posterior(POINTS, TEST, TARGETS, ridge, [4, 7]).train_loss == pytest.approx(
        ridge**2 * slope, rel=1e-8
    )


def test_wide_networks_are_the_gaussian_process() -> None:
    blocks = POINTS @ POINTS.T / 3.0, TEST @ POINTS.T / 3.0, TEST @ TEST.T / 3.0
    process = gaussian_process.posterior(*blocks, TARGETS, 0.1)
    wide = [deep_linear_posterior(*blocks, TARGETS, 0.1, [n, n]) for n in (10**4, 2 * 10**4)]
    for name in ("mean", "covariance", "log_evidence", "train_loss"):
        limit = 2.0 * np.asarray(getattr(wide[1], name)) - np.asarray(getattr(wide[0], name))
        np.testing.assert_allclose(
            limit.ravel(), np.asarray(getattr(process, name)).ravel(), rtol=0.0, atol=3e-7
        )


def test_connected_correlators_are_those_of_the_mixture() -> None:
    """Against moments of the mixture by Wick's theorem at every node and the general formula of cumulants."""
    result = _posterior(POINTS, TEST, 3.0 * TARGETS, 0.1, [3])
    kernel, cross, test = POINTS @ POINTS.T / 3.0, TEST @ POINTS.T / 3.0, TEST @ TEST.T / 3.0
    nodes = []
    for u in result.scales:
        inverse = np.linalg.inv(u * kernel + 0.1 * np.eye(5))
        mean = u * cross @ inverse @ (3.0 * TARGETS)
        nodes.append((mean, u * test - u**2 * cross @ inverse @ cross.T))

    def gaussian_moment(mean: Array, covariance: Array, labels: tuple[int, ...]) -> float:
        total = 0.0
        for mask in range(1 << len(labels)):
            paired = [a for k, a in enumerate(labels) if mask >> k & 1]
            if len(paired) % 2:
                continue
            single = math.prod(float(mean[a]) for k, a in enumerate(labels) if not mask >> k & 1)
            slots = tuple(range(len(paired)))
            wick = sum(
                math.prod(float(covariance[paired[i], paired[j]]) for i, j in p) for p in pairings(slots)
            )
            total += single * wick
        return total

    for component in [(1,), (0, 2), (0, 0, 1), (0, 1, 2), (1, 1, 1, 1), (0, 0, 1, 2), (2, 0, 2, 0)]:

        def moment(block: tuple[int, ...], component: tuple[int, ...] = component) -> float:
            labels = tuple(component[k] for k in block)
            values = [gaussian_moment(m, v, labels) for m, v in nodes[::8]]
            return float(result.weights[::8] @ values / np.sum(result.weights[::8]))

        exact = joint_cumulant(moment, len(component), 1.0)
        assert result.correlator([component])[0] == pytest.approx(exact, rel=1e-9, abs=1e-10)
    np.testing.assert_allclose(result.correlator([[0], [1], [2]]), result.mean, rtol=1e-13)
    pairs = [(a, b) for a in range(3) for b in range(3)]
    np.testing.assert_allclose(result.correlator(pairs).reshape(3, 3), result.covariance, rtol=1e-12)


def test_posterior_by_importance_sampling() -> None:
    """Prior networks of widths 3 and 4, weighted with the likelihood; 64 groups give the error."""
    rng = np.random.default_rng(20240601)
    widths, ridge, draws = (3, 4), 0.3, 400_000
    first = rng.normal(size=(draws, widths[0], 3)) / math.sqrt(3)
    second = rng.normal(size=(draws, widths[1], widths[0])) / math.sqrt(widths[0])
    readout = rng.normal(size=(draws, 1, widths[1])) / math.sqrt(widths[1])
    vector = (readout @ second @ first)[:, 0, :]
    residual = vector @ POINTS.T - TARGETS
    weights = np.exp(-0.5 * np.sum(residual**2, axis=1) / ridge)
    result = _posterior(POINTS, TEST, TARGETS, ridge, list(widths))
    output = vector @ TEST.T
    norms = [widths[0] * np.sum(second**2, axis=(1, 2)), widths[1] * np.sum(readout**2, axis=(1, 2))]
    columns = [
        output[:, 0],
        output[:, 1],
        output[:, 0] * output[:, 1],
        0.5 * np.sum(residual**2, axis=1),
        *norms,
    ]
    exact = [
        result.mean[0],
        result.mean[1],
        result.covariance[0, 1] + result.mean[0] * result.mean[1],
        result.train_loss,
        *result.weight_norms(3)[1:],
    ]
    process = gaussian_process.posterior(
        POINTS @ POINTS.T / 3.0, TEST @ POINTS.T / 3.0, TEST @ TEST.T / 3.0, TARGETS, ridge
    )
    wide = [process.mean[0, 0], process.mean[1, 0]]
    wide += [process.covariance[0, 1] + wide[0] * wide[1], process.train_loss]
    seen = []
    for column, value, limit in itertools.zip_longest(columns, exact, wide):
        error = np.sum((weights * (column - value)).reshape(64, -1), axis=1)
        spread = float(np.std(error, ddof=1)) / 8.0
        assert abs(float(np.mean(error))) < 5.85 * spread
        if limit is not None:
            seen.append(abs(limit - value) * np.sum(weights) / 64.0 / spread)
    assert max(seen) > 10.6  # the test tells these widths from infinite ones
    evidence = weights.reshape(64, -1).mean(axis=1) * (2.0 * math.pi * ridge) ** -2.5
    spread = float(np.std(evidence, ddof=1)) / 8.0
    assert abs(float(np.mean(evidence)) - math.exp(result.log_evidence)) < 5.85 * spread


def test_many_points_do_not_overflow() -> None:
    rng = np.random.default_rng(20240602)
    x = rng.normal(size=(400, 20))
    y = 30.0 * x @ rng.normal(size=20) + rng.normal(size=400)
    result = _posterior(x, x[:2], y, 1e-3, [2000, 500])
    assert math.isfinite(result.log_evidence)
    assert result.log_evidence < -1e4
    np.testing.assert_allclose(result.covariance, result.covariance.T, rtol=0.0)
    assert np.linalg.eigvalsh(result.covariance)[0] > 0.0
    assert result.scale_mean > 10.0


def test_without_a_ridge_the_mean_interpolates() -> None:
    x = np.array([[1.0, 0.2, -0.5], [-0.3, 0.9, 0.4]])
    result = _posterior(x, x, np.array([1.0, -0.5]), 0.0, [5])
    np.testing.assert_allclose(result.mean, [1.0, -0.5], rtol=1e-12)
    assert result.train_loss == 0.0


def test_refusals() -> None:
    with pytest.raises(UsageError, match="hidden widths: got \\[\\]"):
        _posterior(POINTS, TEST, TARGETS, 0.1, [])
    with pytest.raises(UsageError, match="hidden widths: got \\[3, 0\\]"):
        _posterior(POINTS, TEST, TARGETS, 0.1, [3, 0])
    with pytest.raises(UsageError, match="2 columns of targets; give one output"):
        _posterior(POINTS, TEST, np.ones((5, 2)), 0.1, [3])
    with pytest.raises(UsageError, match="targets of 5 points"):
        _posterior(POINTS, TEST, np.ones(4), 0.1, [3])
    with pytest.raises(UsageError, match="ridge of a regression: got -1"):
        _posterior(POINTS, TEST, TARGETS, -1.0, [3])
    with pytest.raises(NumericalError, match="singular"):
        _posterior(POINTS, TEST, TARGETS, 0.0, [3])
    with pytest.raises(NumericalError, match="got 0 everywhere"):
        _posterior(POINTS[:2], TEST, np.zeros(2), 0.0, [3])
    with pytest.raises(UsageError, match="kernel blocks"):
        deep_linear_posterior(np.eye(2), np.ones((2, 1)), np.eye(1), np.ones(2), 0.1, [3])
    result = _posterior(POINTS, TEST, TARGETS, 0.1, [3])
    with pytest.raises(UsageError, match="order of connected correlator: got 5"):
        result.correlator([[0] * 5])
    with pytest.raises(UsageError, match="there are 3"):
        result.correlator([[0, 3]])
