"""Two steps give values at step 0: exact where the bias is a pure power, with the right error."""

from __future__ import annotations

import math

import numpy as np
import pytest
from runs import SEED, check_band

from nnft.analysis.step_bias import extrapolate_step, significance_limit, significant_bias
from nnft.errors import UsageError


@pytest.mark.parametrize("ratio", [2.0, 3.0])
@pytest.mark.parametrize(("algorithm", "order"), [("langevin", 1), ("underdamped", 2)])
def test_a_pure_power_is_removed(algorithm: str, order: int, ratio: float) -> None:
    truth, slope = np.array([1.0, -2.0, 0.0]), np.array([0.5, 3.0, -1.0])
    small, large = truth + slope * 0.1**order, truth + slope * (0.1 * ratio) ** order
    found = extrapolate_step((small, np.zeros(3)), (large, np.zeros(3)), algorithm=algorithm, ratio=ratio)
    assert found.order == order
    np.testing.assert_allclose(found.value, truth, atol=1e-14)
    np.testing.assert_allclose(found.bias, slope * 0.1**order, atol=1e-14)


def test_langevin_on_a_quadratic_energy() -> None:
    """Variance 1/(1 - h/2) of Euler-Maruyama at unit curvature: the error left is of order h^2."""
    variance = [1 / (1 - h / 2) for h in (0.05, 0.1)]
    found = extrapolate_step((variance[0], 0.0), (variance[1], 0.0), algorithm="langevin")
    assert abs(float(found.value) - 1) < 2 * 0.05**2
    assert float(found.bias) == pytest.approx(0.025, rel=0.1)


@pytest.mark.parametrize(
    ("algorithm", "value", "bias"),
    [("langevin", math.hypot(2, 1), math.sqrt(2)), ("underdamped", math.hypot(4, 1) / 3, math.sqrt(2) / 3)],
)
def test_errors(algorithm: str, value: float, bias: float) -> None:
    rng = np.random.default_rng(SEED)
    small, large = rng.normal(size=(2, 400))
    ones = np.ones(400)
    found = extrapolate_step((small, ones), (large, ones), algorithm=algorithm)
    np.testing.assert_allclose(found.error, value, rtol=1e-14)
    np.testing.assert_allclose(found.bias_error, bias, rtol=1e-14)
    for pulls in (found.value / found.error, found.bias / found.bias_error, found.z):
        check_band(pulls)  # sees errors wrong by a factor 1.4


def test_significance() -> None:
    rng = np.random.default_rng(SEED)
    ones, quiet = np.ones(100), rng.normal(size=(2, 100))
    found = extrapolate_step((quiet[0], ones), (quiet[1], ones), algorithm="langevin")
    assert not significant_bias(found).any()
    quiet[1, 17] += 12
    found = extrapolate_step((quiet[0], ones), (quiet[1], ones), algorithm="langevin")
    assert np.flatnonzero(significant_bias(found)).tolist() == [17]
    assert significance_limit(1) == pytest.approx(2.5758, abs=1e-4)
    assert significance_limit(100) == pytest.approx(3.8906, abs=1e-4)


def test_no_error_and_no_number() -> None:
    none, some = np.zeros(3), np.array([1.0, 2.0, math.nan])
    found = extrapolate_step((some, none), (np.array([1.0, 3.0, 1.0]), none), algorithm="langevin")
    assert significant_bias(found).tolist() == [False, True, False]


def test_what_is_refused() -> None:
    pair = (np.zeros(2), np.ones(2))
    for algorithm in ("hmc", "mala", "gd", "exact"):
        with pytest.raises(UsageError, match="no step-size bias"):
            extrapolate_step(pair, pair, algorithm=algorithm)
    for ratio in (1.0, 0.5, math.inf, math.nan):
        with pytest.raises(UsageError, match="wrong ratio"):
            extrapolate_step(pair, pair, algorithm="langevin", ratio=ratio)
    with pytest.raises(UsageError, match="differ in shape"):
        extrapolate_step(pair, (np.zeros(3), np.ones(3)), algorithm="langevin")
    with pytest.raises(UsageError, match="negative standard error"):
        extrapolate_step(pair, (np.zeros(2), -np.ones(2)), algorithm="langevin")
