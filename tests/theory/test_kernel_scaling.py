"""Kernel scaling on data and averaged over data: reference values, exact linear networks, transitions."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nnft.errors import NumericalError, UsageError
from nnft.theory import data_averages
from nnft.theory.data_averages import Spectrum, averaged_kernel_scaling, averaged_regression, effective_ridge
from nnft.theory.deep_linear_posterior import deep_linear_posterior
from nnft.theory.kernel_scaling import kernel_scaling, ridgeless_scale
from nnft.theory.nngp import nngp_kernel

FILE = Path(__file__).resolve().parents[1] / "reference" / "training.json"
ENTRIES: dict[str, dict[str, Any]] = {
    entry["id"]: entry for entry in json.loads(FILE.read_text(encoding="utf-8"))["entries"]
}
SAFETY = 4.0  # times the stated relative precision of an entry
Array = NDArray[np.float64]


def _spectrum(values: list[float], counts: list[int], power: list[float], noise: float = 0.0) -> Spectrum:
    return Spectrum(np.array(values), np.array(counts), np.array(power), noise)


def _entries(prefix: str, key: str = "") -> list[str]:
    found = [
        name
        for name, entry in ENTRIES.items()
        if name.startswith(prefix) and (not key or key in entry["values"])
    ]
    assert found
    return found


@pytest.mark.parametrize("name", _entries("deep-linear-exact", "saddle_u"))
def test_reference_saddles(name: str) -> None:
    inputs, values = ENTRIES[name]["inputs"], ENTRIES[name]["values"]
    rel = SAFETY * ENTRIES[name]["rel_tol"]
    x, test = np.array(inputs["X"]), np.array([inputs["x_test"]])
    kernels = x @ x.T / 3.0, test @ x.T / 3.0, test @ test.T / 3.0
    result = kernel_scaling(*kernels, inputs["y"], inputs["kappa"], inputs["widths"])
    assert result.scale == pytest.approx(values["saddle_u"], rel=rel)
    assert result.mean[0] == pytest.approx(values["saddle_mean"], rel=rel)


def test_reference_without_a_ridge() -> None:
    entry = ENTRIES["kernel-scaling-ridgeless-N20"]
    inputs, values, rel = entry["inputs"], entry["values"], SAFETY * entry["rel_tol"]
    y = np.array(inputs["y"])
    kernel = nngp_kernel(np.array(inputs["X"]), "erf", [1.0, 1.0], [0.0, 0.0])[-1]
    norm = float(y @ np.linalg.solve(kernel, y))
    assert norm == pytest.approx(values["yKinvy"], rel=rel)
    scale = ridgeless_scale(inputs["N"], len(y), norm)
    assert scale == pytest.approx(values["u"], rel=rel)
    assert 1.0 / scale == pytest.approx(values["q"], rel=rel)
    result = kernel_scaling(kernel, kernel, kernel, y, inputs["kappa"], [inputs["N"]])
    assert result.scale == pytest.approx(values["saddle_check"], rel=SAFETY * 1e-6)
    assert result.scale == pytest.approx(scale, rel=1e-12)
    np.testing.assert_allclose(result.mean, y, rtol=1e-11)  # the mean does not depend on the scale
    np.testing.assert_allclose(result.mean_slope, 0.0, atol=1e-13)


@pytest.mark.parametrize("name", _entries("kernel-scaling-P"))
def test_reference_averages(name: str) -> None:
    entry = ENTRIES[name]
    inputs, values, rel = entry["inputs"], entry["values"], SAFETY * entry["rel_tol"]
    spectrum = Spectrum(inputs["eigenvalues"], inputs["multiplicities"], inputs["target_power"])
    result = averaged_kernel_scaling(spectrum, inputs["P"], inputs["kappa"], [inputs["N"]])
    assert len(result.saddles) == len(values["solutions"]) == 1
    solution = values["solutions"][0]
    scaled = result.regression
    assert result.scale == pytest.approx(solution["u"], rel=rel)
    assert 1.0 / result.scale == pytest.approx(solution["q"], rel=rel)
    assert scaled.effective_ridge == pytest.approx(solution["kappa_eff"], rel=rel)
    assert scaled.learnability == pytest.approx(solution["learnability"], rel=rel)
    assert scaled.square_error == pytest.approx(solution["m2"], rel=rel)
    assert scaled.clean_error == pytest.approx(solution["test_mse"], rel=rel)
    process = averaged_regression(spectrum, inputs["P"], inputs["kappa"])
    assert process.effective_ridge == pytest.approx(values["gp"]["kappa_eff"], rel=rel)
    assert process.clean_error == pytest.approx(values["gp"]["test_mse_clean"], rel=rel)
    assert process.learnability == pytest.approx(values["gp"]["learnability"], rel=rel)


@pytest.mark.parametrize("name", _entries("kernel-scaling-sim"))
def test_reference_simulations(name: str) -> None:
    """Exact posteriors of other data sets, and the averaged theory, against means over 60 data sets."""
    inputs, values = ENTRIES[name]["inputs"], ENTRIES[name]["values"]
    errors = ENTRIES[name]["standard_error"]
    d, points, norm = inputs["d"], inputs["P"], inputs["w_norm2"]
    rng = np.random.default_rng(20240601)
    target = np.zeros(d)
    target[0] = math.sqrt(norm)
    rows = []
    for _ in range(32):
        x = rng.normal(size=(points, d))
        kernels = x @ x.T / d, x.T / d, np.eye(d) / d
        exact = deep_linear_posterior(*kernels, x @ target, inputs["kappa"], [inputs["N"]])
        weights = exact.mean  # of the unit vectors
        rows.append([weights[0] / target[0], exact.scale_mean, np.sum((weights - target) ** 2)])
    mean, error = np.mean(rows, axis=0), np.std(rows, axis=0, ddof=1) / math.sqrt(32)
    spectrum = Spectrum(np.array([1.0 / d]), np.array([d]), np.array([norm]))
    theory = averaged_kernel_scaling(spectrum, points, inputs["kappa"], [inputs["N"]])
    predicted = theory.regression.learnability[0], theory.scale, theory.regression.clean_error
    for k, key in enumerate(("learnability", "u", "test_mse")):
        assert abs(mean[k] - values[key]) < 5.85 * math.hypot(error[k], errors[key])
        assert abs(predicted[k] - values[key]) < 5.85 * errors[key]  # bias O(1/d) of the theory is smaller
    if norm > 1.0:  # seen: the process of infinite width has scale 1 and another learnability
        process = averaged_regression(spectrum, points, inputs["kappa"])
        assert abs(process.learnability[0] - values["learnability"]) > 10.6 * errors["learnability"]


def test_saddle_becomes_exact_for_wide_linear_networks() -> None:
    """N and P grow with a size: the errors of scale and mean fall as 1/size, that of the variance as its
    square, but only with the fluctuation of the scale."""
    gaps = []
    for size in (1, 4, 16):
        rng = np.random.default_rng(20240602)
        x = rng.normal(size=(10, 6))
        values = np.repeat(np.linalg.eigvalsh(x @ x.T / 6.0), size)  # the same spectrum, more points
        y = 2.0 * np.sqrt(np.maximum(values, 0.0)) + 0.3
        cross = np.zeros((1, 10 * size))
        cross[0, -size:] = 0.5 / size
        prior = np.array([[0.25 / (size * values[-1])]])  # no variance beyond that of the last modes
        arguments = (np.diag(values), cross, prior, y, 0.2, [12 * size])
        exact, saddle = deep_linear_posterior(*arguments), kernel_scaling(*arguments)
        gaps.append(
            [
                exact.scale_mean - saddle.scale,
                exact.mean[0] - saddle.mean[0],
                exact.covariance[0, 0] - saddle.covariance[0, 0],
                exact.covariance[0, 0] - saddle.fixed_covariance[0, 0],
            ]
        )
        assert exact.scale_variance * saddle.curvature == pytest.approx(1.0, abs=0.3 / size)
    ratios = np.abs(np.array(gaps[:-1]) / np.array(gaps[1:]))[1]
    assert ratios == pytest.approx([4.0, 4.0, 16.0, 4.0], rel=0.15)


def test_saddle_is_a_stationary_point_of_the_action() -> None:
    """The formulas of the action, its first and second derivative, the slope of the mean: by differences."""
    rng = np.random.default_rng(20240603)
    x, test = rng.normal(size=(12, 4)), rng.normal(size=(3, 4))
    y = x @ np.array([3.0, -1.0, 0.5, 0.0]) + 0.4 * rng.normal(size=12)
    kernel, ridge, width = x @ x.T / 4.0, 0.3, 7
    result = kernel_scaling(kernel, test @ x.T / 4.0, test @ test.T / 4.0, y, ridge, [width])

    def action(u: float) -> float:
        shifted = u * kernel + ridge * np.eye(12)
        quadratic = y @ np.linalg.solve(shifted, y)
        return float(0.5 * (width * (u - math.log(u)) + np.linalg.slogdet(shifted)[1] + quadratic))

    def mean(u: float) -> Array:
        solved = np.linalg.solve(u * kernel + ridge * np.eye(12), y)
        return np.asarray(u * test @ x.T / 4.0 @ solved)

    u, h = result.scale, 1e-3
    low, middle, high = (action(u + k * h) for k in (-1, 0, 1))
    assert result.action == pytest.approx(middle, rel=1e-12)
    assert (high - low) / (2.0 * h) == pytest.approx(0.0, abs=1e-5)
    assert (high - 2.0 * middle + low) / h**2 == pytest.approx(result.curvature, rel=1e-5)
    np.testing.assert_allclose(result.mean, mean(u), rtol=1e-10)
    np.testing.assert_allclose(result.mean_slope, (mean(u + h) - mean(u - h)) / (2 * h), rtol=1e-5)
    spread = np.outer(result.mean_slope, result.mean_slope) / result.curvature
    np.testing.assert_allclose(result.covariance - result.fixed_covariance, spread, rtol=1e-9, atol=1e-14)
    error = float(np.mean((result.mean - 1.0) ** 2 + np.diagonal(result.covariance)))
    assert result.generalisation_error(np.ones(3)) == pytest.approx(error, rel=1e-13)


@pytest.mark.parametrize("target", [1.6, 2.4])
def test_two_minima_and_the_deeper_one(target: float) -> None:
    """Many empty modes pull the scale down, one weak mode with a target up: a first-order transition."""
    values = np.array([1.0] * 50 + [0.01])
    y = np.array([0.0] * 50 + [target])
    ridge, width = 0.01, 10
    result = kernel_scaling(np.diag(values), np.zeros((1, 51)), np.eye(1), y, ridge, [width])
    assert len(result.saddles) == 3
    grid = np.exp(np.linspace(math.log(1e-5), math.log(1e3), 40_001))
    shifted = np.multiply.outer(grid, values) + ridge
    action = 0.5 * (width * (grid - np.log(grid)) + np.sum(np.log(shifted) + y**2 / shifted, axis=1))
    assert result.scale == pytest.approx(grid[np.argmin(action)], rel=1e-3)
    assert result.action == pytest.approx(np.min(action), abs=1e-4)
    assert result.scale == result.saddles[0 if target < 2.0 else 2]
    assert result.curvature > 0.0


def test_averaged_action_belongs_to_its_equation() -> None:
    """With label noise: d S / d log u by differences is the saddle equation."""
    spectrum = _spectrum([0.3, 0.02, 0.0005], [1, 20, 400], [5.0, 4.0, 1.0], 0.4)
    arguments = (spectrum, 100, 0.05, 50)
    for u in (0.2, 1.0, 3.0):
        h = 1e-3
        slope = [
            data_averages._averaged_action(*arguments, u * math.exp(k * h))
            - data_averages._averaged_action(*arguments, u * math.exp(-k * h))
            for k in (1, 2)
        ]
        derivative = (8.0 * slope[0] - slope[1]) / (12.0 * h)
        exact = data_averages._averaged_equation(*arguments, u)
        assert 2.0 * derivative == pytest.approx(exact, rel=1e-8, abs=1e-6)


def test_averaged_action_by_sampling() -> None:
    """The action of 32 training sets of normal inputs with a linear target and label noise."""
    rng = np.random.default_rng(20240604)
    d, points, width, ridge, u = 100, 80, 30, 0.3, 1.7
    actions = []
    for _ in range(32):
        x = rng.normal(size=(points, d))
        y = 3.0 * x[:, 0] + math.sqrt(0.5) * rng.normal(size=points)
        shifted = u * x @ x.T / d + ridge * np.eye(points)
        exponent = np.linalg.slogdet(shifted)[1] + y @ np.linalg.solve(shifted, y)
        actions.append(0.5 * (width * (u - math.log(u)) + exponent))
    spectrum = _spectrum([1.0 / d], [d], [9.0], 0.5)
    exact = data_averages._averaged_action(spectrum, points, ridge, width, u)
    error = float(np.std(actions, ddof=1)) / math.sqrt(32)
    assert abs(float(np.mean(actions)) - exact) < 5.85 * error
    assert 10.6 * error < 0.5 * points  # a constant P / 2 would be seen


def test_averaged_scale_without_a_ridge() -> None:
    """The limit of a small ridge, below and above the number of modes."""
    spectrum = _spectrum([0.5, 0.1], [4, 20], [3.0, 6.0], 0.2)
    for points in (15, 60):
        plain = averaged_kernel_scaling(spectrum, points, 0.0, [12])
        small = averaged_kernel_scaling(spectrum, points, 1e-7, [12])
        assert small.scale == pytest.approx(plain.scale, rel=1e-4)
        assert small.regression.clean_error == pytest.approx(plain.regression.clean_error, rel=1e-4)
    for excess in (-30, 0, 40):
        u = ridgeless_scale(50, 50 - excess, 7.0)
        assert 50.0 * u**2 - excess * u == pytest.approx(7.0, rel=1e-13)


def test_regression_of_matched_targets() -> None:
    """Targets drawn from the prior with the noise of the ridge: the error is kappa_e - kappa."""
    values, counts = np.array([0.7, 0.05, 0.002]), np.array([2, 30, 500])
    spectrum = Spectrum(values, counts, counts * values, 0.1)
    result = averaged_regression(spectrum, 80, 0.1)
    assert result.clean_error == pytest.approx(result.effective_ridge - 0.1, rel=1e-12)
    assert result.gibbs_error == pytest.approx(2.0 * result.clean_error, rel=1e-12)
    assert result.square_error == pytest.approx(result.clean_error + 0.1, rel=1e-12)
    root = effective_ridge(spectrum, 80, 0.1)
    assert root == pytest.approx(
        0.1 + float(np.sum(counts * values * root / (80 * values + root))), rel=1e-13
    )
    assert effective_ridge(spectrum, 1000, 0.0) == 0.0


def test_refusals() -> None:
    kernels = np.eye(2), np.eye(2), np.eye(2)
    with pytest.raises(UsageError, match="got 2; the theory here has one hidden layer only"):
        kernel_scaling(*kernels, np.ones(2), 0.1, [4, 4])
    with pytest.raises(UsageError, match="give one output"):
        kernel_scaling(*kernels, np.ones((2, 2)), 0.1, [4])
    with pytest.raises(NumericalError, match="singular"):
        kernel_scaling(np.ones((2, 2)), np.eye(2), np.eye(2), np.ones(2), 0.0, [4])
    spectrum = _spectrum([1.0], [5], [1.0])
    with pytest.raises(UsageError, match="one hidden layer only"):
        averaged_kernel_scaling(spectrum, 10, 0.1, [4, 4])
    with pytest.raises(UsageError, match="got 5 points and modes"):
        averaged_regression(spectrum, 5, 0.0)
    with pytest.raises(UsageError, match="ridge >= 0"):
        averaged_regression(spectrum, 5, -0.1)
    with pytest.raises(UsageError, match="equal length"):
        _spectrum([1.0], [1, 2], [1.0])
    with pytest.raises(UsageError, match="eigenvalues and counts are > 0"):
        _spectrum([0.0], [1], [1.0])
    with pytest.raises(UsageError, match="noise variance: got -1"):
        _spectrum([1.0], [1], [1.0], -1.0)
