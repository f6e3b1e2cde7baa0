"""Averages over data against direct ridge regression, exact enumeration, quadrature and limits."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom, chi2, poisson

from nnft.errors import UsageError
from nnft.theory.averaged_predictor import (
    AveragedPredictor,
    Remainder,
    averaged_predictor,
    learning_curve,
    prior_target,
)
from nnft.theory.data_averages import Spectrum, averaged_regression
from nnft.theory.equivalent_kernel import FiniteMeasure, equivalent_kernel, equivalent_process
from nnft.theory.replica_correction import first_correction, gaussian_feature_correction

Array = NDArray[np.float64]
SEED = 20240601
LIMIT = 5.85
MEASURE = FiniteMeasure(
    np.array([0.5, 0.3, 0.2]),
    np.array([[1.0, 0.4, 0.1], [0.4, 0.8, 0.3], [0.1, 0.3, 1.2]]),
    np.array([1.0, -0.5, 0.8]),
)
LEVELS = Spectrum(
    np.array([0.05, 0.3, 0.002]), np.array([30.0, 2.0, 400.0]), np.array([0.6, 0.5, 0.2]), noise_variance=0.3
)


class RidgeRegression:
    """Direct ridge regression on Gaussian features; the target lies in the first mode of each level."""

    def __init__(self, spectrum: Spectrum, points: int, ridge: float, draws: int, seed: int) -> None:
        counts = spectrum.multiplicities.astype(int)
        values = np.repeat(spectrum.eigenvalues, counts)
        first = np.concatenate([[0], np.cumsum(counts)[:-1]])
        target = np.zeros(len(values))
        target[first] = np.sqrt(spectrum.target_power)
        generator = np.random.default_rng(seed)
        found = []
        for _ in range(draws):
            features = generator.standard_normal((points, len(values)))
            labels = features @ target
            labels = labels + math.sqrt(spectrum.noise_variance) * generator.standard_normal(points)
            weighted = features * values
            gram = weighted @ features.T + ridge * np.eye(points)
            solved = np.linalg.solve(gram, np.column_stack([labels, weighted]))
            coefficients = weighted.T @ solved[:, 0]
            variance = float(values.sum() - np.sum(weighted * solved[:, 1:]))
            found.append([*coefficients[first], float(np.sum((coefficients - target) ** 2)), variance])
        self.target = target[first]
        self.rows = np.array(found)

    def pulls(self, theory: AveragedPredictor) -> Array:
        """Deviations of mean coefficients, test error, posterior variance, in standard errors."""
        expected = [*(theory.learnability * self.target), theory.clean_error, theory.posterior_variance]
        errors = self.rows.std(axis=0, ddof=1) / math.sqrt(len(self.rows))
        return (self.rows.mean(axis=0) - expected) / errors


POINTS, DRAWS = 240, 160


@pytest.fixture(scope="module")
def regression() -> RidgeRegression:
    return RidgeRegression(LEVELS, POINTS, 0.05, DRAWS, SEED)


def test_direct_ridge_regression(regression: RidgeRegression) -> None:
    # Finite-size errors are of order 1/P = 0.4 %, standard errors below are larger.
    theory = averaged_predictor(LEVELS, POINTS, 0.05)
    assert np.abs(regression.pulls(theory)).max() < LIMIT
    error = regression.rows[:, 3].std(ddof=1) / math.sqrt(DRAWS) / theory.clean_error
    detectable = (LIMIT + 4.75) * error
    assert theory.gamma > 0.1 > detectable  # a factor 1 / (1 - gamma) that is missing would be seen


def test_direct_ridge_regression_without_a_ridge() -> None:
    quiet = replace(LEVELS, noise_variance=0.0)
    theory = averaged_predictor(quiet, POINTS, 0.0)
    assert theory.gamma > 0.4
    assert np.abs(RidgeRegression(quiet, POINTS, 0.0, DRAWS, SEED + 1).pulls(theory)).max() < LIMIT


def test_regression_rejects_wrong_theories(regression: RidgeRegression) -> None:
    theory = averaged_predictor(LEVELS, POINTS, 0.05)
    first = equivalent_kernel(LEVELS, POINTS, 0.05)
    without_noise = averaged_predictor(replace(LEVELS, noise_variance=0.0), POINTS, 0.05)
    for wrong in (
        replace(theory, learnability=first.learnability),
        replace(theory, clean_error=theory.bias),
        replace(theory, clean_error=theory.square_error),
        replace(theory, clean_error=without_noise.clean_error),
        replace(theory, posterior_variance=first.posterior_variance),
    ):
        assert np.abs(regression.pulls(wrong)).max() > LIMIT


def test_data_variance_mode_by_mode(regression: RidgeRegression) -> None:
    theory = averaged_predictor(LEVELS, POINTS, 0.05)
    per_mode = theory.data_variances()
    assert LEVELS.multiplicities @ per_mode == pytest.approx(theory.data_variance, rel=1e-12)
    assert theory.data_variance + theory.bias == pytest.approx(theory.clean_error, rel=1e-12)
    assert theory.total_variance == pytest.approx(theory.posterior_variance + theory.data_variance)
    total = LEVELS.multiplicities @ theory.posterior_variances(LEVELS)
    assert total == pytest.approx(theory.effective_ridge - 0.05, rel=1e-12)
    # A mode without target: its sample variance is chi-square distributed, relative error sqrt(2 / draws).
    quiet = replace(LEVELS, target_power=np.array([0.6, 0.5, 0.0]))
    rows = RidgeRegression(quiet, POINTS, 0.05, DRAWS, SEED + 2).rows[:, 2]
    expected = averaged_predictor(quiet, POINTS, 0.05).data_variances()[2]
    ratio = float(rows.var(ddof=1) / expected)
    assert abs(ratio - 1.0) / math.sqrt(2.0 / DRAWS) < LIMIT
    assert (LIMIT + 4.75) * math.sqrt(2.0 / DRAWS) < 1.2  # a factor of 2.2 is seen


def test_agrees_with_the_averages_of_kernel_scaling() -> None:
    for points in (20.0, 431.0, 433.0, 3000.0):
        for ridge in (0.0, 1e-3, 2.0):
            mine, other = (
                averaged_predictor(LEVELS, points, ridge),
                averaged_regression(LEVELS, points, ridge),
            )
            assert mine.effective_ridge == other.effective_ridge
            assert mine.square_error == pytest.approx(other.square_error, rel=1e-12)
            assert mine.clean_error == pytest.approx(other.clean_error, rel=1e-9)
            assert mine.gibbs_error == pytest.approx(other.gibbs_error, rel=1e-9)


def test_without_a_ridge_at_and_above_the_number_of_modes() -> None:
    spectrum = Spectrum(np.array([1.0, 0.1]), np.array([4.0, 6.0]), np.array([1.0, 0.5]), 0.2)
    peak = averaged_predictor(spectrum, 10, 0.0)
    assert (peak.effective_ridge, peak.gamma) == (0.0, 1.0)
    assert peak.clean_error == peak.square_error == math.inf
    near = averaged_predictor(spectrum, 10.001, 0.0)
    assert near.clean_error == pytest.approx(0.2 * 10 / 0.001, rel=1e-9)
    beyond = averaged_predictor(spectrum, 40, 0.0)
    assert (beyond.effective_ridge, beyond.bias, beyond.posterior_variance) == (0.0, 0.0, 0.0)
    assert beyond.clean_error == pytest.approx(0.2 * 10 / 30)  # Gaussian features: noise M / (P - M)
    assert averaged_predictor(replace(spectrum, noise_variance=0.0), 10, 0.0).clean_error == 0.0


def test_identity_of_a_target_from_the_prior() -> None:
    for ridge in (0.01, 0.3, 10.0):
        spectrum = prior_target(replace(LEVELS, noise_variance=ridge))
        for found in learning_curve(spectrum, [1.0, 30.0, 1000.0], ridge):
            assert found.clean_error == pytest.approx(found.effective_ridge - ridge, rel=1e-12)


def test_modes_far_below_the_ridge_are_a_remainder() -> None:
    tiny = Spectrum(np.array([0.3, 0.05, 1e-9]), np.array([2.0, 30.0, 2e8]), np.array([0.5, 0.6, 0.2]), 0.1)
    short = Spectrum(tiny.eigenvalues[:2], tiny.multiplicities[:2], tiny.target_power[:2], 0.1)
    full = averaged_predictor(tiny, 50, 0.05)
    cut = averaged_predictor(short, 50, 0.05, Remainder(0.2, 0.2))
    for name in ("effective_ridge", "clean_error", "square_error", "posterior_variance", "data_variance"):
        assert getattr(cut, name) == pytest.approx(getattr(full, name), rel=1e-6), name
    first, listed = equivalent_kernel(short, 50, 5.0, Remainder(0.2, 0.2)), equivalent_kernel(tiny, 50, 5.2)
    assert first.bias == pytest.approx(listed.bias, rel=1e-6)


def test_equivalent_kernel_is_the_limit_of_a_large_ridge() -> None:
    missed = []
    for points in (1e4, 2e4):  # P / kappa fixed
        ridge = points / 50.0
        full, first = averaged_predictor(LEVELS, points, ridge), equivalent_kernel(LEVELS, points, ridge)
        missed.append(np.abs(full.learnability - first.learnability))
    assert 0.0 < missed[0].max() < 1e-2
    np.testing.assert_allclose(missed[0] / missed[1], 2.0, rtol=0.02)


def test_equivalent_process_in_its_eigenbasis() -> None:
    points, ridge = 80.0, 20.0
    mean, covariance = equivalent_process(MEASURE, points, ridge)
    spectrum = MEASURE.spectrum()
    first = equivalent_kernel(spectrum, points, ridge)
    assert MEASURE.weights @ covariance.diagonal() == pytest.approx(first.posterior_variance, rel=1e-12)
    assert MEASURE.weights @ (mean - MEASURE.target) ** 2 == pytest.approx(first.bias, rel=1e-12)
    assert spectrum.eigenvalues.sum() == pytest.approx(MEASURE.weights @ MEASURE.kernel.diagonal())


def _posterior_means(counts: Array, ridge: float) -> Array:
    """Means at the three points for given numbers of training points on each, shape (C, 3)."""
    inner = ridge * np.eye(3) + counts[:, :, None] * MEASURE.kernel
    return np.einsum(
        "ab,cb->ca", MEASURE.kernel, np.linalg.solve(inner, (counts * MEASURE.target)[..., None])[..., 0]
    )


def _exact_poisson(points: float, ridge: float) -> Array:
    rates = points * MEASURE.weights
    ranges = [np.arange(max(0, int(r - 9 * math.sqrt(r))), int(r + 10 * math.sqrt(r)) + 4) for r in rates]
    grids = np.meshgrid(*ranges, indexing="ij")
    counts = np.stack([grid.ravel() for grid in grids], axis=1).astype(float)
    weights = np.prod([poisson.pmf(counts[:, k], rates[k]) for k in range(3)], axis=0)
    assert abs(weights.sum() - 1.0) < 1e-12
    return np.asarray(weights @ _posterior_means(counts, ridge))


def _exact_fixed(points: int, ridge: float) -> Array:
    first, second = (grid.ravel() for grid in np.meshgrid(*[np.arange(points + 1)] * 2, indexing="ij"))
    kept = first + second <= points
    first, second = first[kept], second[kept]
    p, q, r = MEASURE.weights
    weights = binom.pmf(first, points, p) * binom.pmf(second, points - first, q / (q + r))
    counts = np.stack([first, second, points - first - second], axis=1).astype(float)
    return np.asarray(weights @ _posterior_means(counts, ridge))


@pytest.mark.parametrize("fixed", [False, True], ids=["poisson", "fixed"])
def test_first_correction_against_exact_enumeration(fixed: bool) -> None:
    """The correction is of order 1/P, what it misses of order 1/P^2: a quarter when P and kappa double."""
    missed = []
    for points, ridge in ((40, 10.0), (80, 20.0)):
        mean = equivalent_process(MEASURE, points, ridge)[0]
        found = first_correction(MEASURE, points, ridge)
        exact = _exact_fixed(points, ridge) if fixed else _exact_poisson(points, ridge)
        correction = found.fixed if fixed else found.poisson
        other = found.poisson if fixed else found.fixed
        missed.append(np.abs(exact - mean - correction))
        assert missed[-1].max() < 0.1 * np.abs(correction).max()
        assert np.abs(exact - mean - other).max() > 0.2 * np.abs(correction).max()
    np.testing.assert_allclose(missed[0] / missed[1], 4.0, rtol=0.15)


def test_gaussian_features_against_quadrature() -> None:
    """One Gaussian feature: the learnability is <lambda S / (lambda S + kappa)>, S a sum of squares."""
    value = 0.7
    one = Spectrum(np.array([value]), np.ones(1), np.ones(1))
    nodes, weights = np.polynomial.legendre.leggauss(400)
    missed = []
    for points, ridge in ((400, 240.0), (800, 480.0)):
        counts = np.arange(points // 2, 2 * points)  # all but 1e-24 of the weight

        def average(degrees: Array | int, ridge: float = ridge) -> Array:
            low, high = (chi2.ppf(level, degrees) for level in (1e-14, 1.0 - 1e-14))
            s = 0.5 * (high + low) + 0.5 * (high - low) * nodes[:, None]
            return np.asarray(
                weights @ (chi2.pdf(s, degrees) * value * s / (value * s + ridge)) * 0.5 * (high - low)
            )

        exact = np.array([poisson.pmf(counts, points) @ average(counts), average(np.array([points]))[0]])
        plain = equivalent_kernel(one, points, ridge).learnability[0]
        found = gaussian_feature_correction(one, points, ridge)
        correction = np.array([found.poisson[0], found.fixed[0]])
        assert correction[0] == pytest.approx(1.5 * correction[1])
        missed.append(np.abs(exact - plain - correction))
        assert np.all(missed[-1] < 0.1 * np.abs(correction))
    np.testing.assert_allclose(missed[0] / missed[1], 4.0, rtol=0.1)


def test_gaussian_features_with_many_modes_are_a_larger_ridge() -> None:
    many = Spectrum(np.array([0.3, 0.001]), np.array([5.0, 5000.0]), np.ones(2))
    points, ridge = 1e6, 1e4
    change = averaged_predictor(many, points, ridge).learnability
    plain = equivalent_kernel(many, points, ridge).learnability
    found = gaussian_feature_correction(many, points, ridge)
    np.testing.assert_allclose(found.poisson, change - plain, rtol=0.05)


@pytest.mark.parametrize(
    ("points", "ridge"), [(0.0, 1.0), (-1.0, 1.0), (math.nan, 1.0), (5.0, -1.0), (5.0, math.nan)]
)
def test_impossible_numbers_are_refused(points: float, ridge: float) -> None:
    for call in (averaged_predictor, equivalent_kernel, gaussian_feature_correction):
        with pytest.raises(UsageError):
            call(LEVELS, points, ridge)
    with pytest.raises(UsageError):
        first_correction(MEASURE, points, ridge)


def test_impossible_measures_and_remainders_are_refused() -> None:
    with pytest.raises(UsageError, match="sum"):
        FiniteMeasure(np.array([0.5, 0.4]), np.eye(2), np.ones(2))
    with pytest.raises(UsageError, match="shapes"):
        FiniteMeasure(np.array([0.5, 0.5]), np.eye(3), np.ones(2))
    with pytest.raises(UsageError, match="variance"):
        Remainder(-1.0, 0.0)
    for points in (math.inf, math.nan):
        with pytest.raises(UsageError):
            averaged_predictor(LEVELS, points, 1.0)
