"""The fits of an extrapolation on made-up members: exact algebra, coverage, chi-squares, refusals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from runs import LIMIT, SEED, binomial_pull, check_band

from nnft.analysis.extrapolate_data import Sampled
from nnft.analysis.extrapolate_fit import (
    Support,
    covariance_of,
    fit_jointly,
    fit_power_law,
    fit_powers,
    groups_of,
    p_value,
    whitening,
)
from nnft.errors import NumericalError, UsageError
from nnft.estimators.jackknife import weighted_deviations

Array = npt.NDArray[np.float64]
X = np.linspace(1 / 32, 1 / 4, 6)
TRUTH = 2.0 * X + 3.0 * X**2
MIX = np.eye(3) + 0.5


def member(values: Array, seed: int, name: str = "run") -> Sampled:
    """A member from pseudo-values, shape (m, B)."""
    counts = np.full(values.shape[1], 10, dtype=np.int64)
    return Sampled(
        name,
        np.arange(len(values), dtype=np.int32)[:, None],
        values.mean(axis=1),
        weighted_deviations(values, counts),
        np.zeros(len(values), dtype=np.bool_),
        seed,
        (1, len(counts), int(counts.sum()), counts.tobytes()),
    )


def family(rng: np.random.Generator, bins: int, common: float) -> list[Sampled]:
    """Members around `TRUTH` in three correlated components; `common` is the weight of shared noise."""
    shared = MIX @ rng.normal(size=(3, bins))
    noise = [MIX @ rng.normal(size=(3, bins)) + common * shared for _ in X]
    values = [truth * (1.0 + 0.3 * part) for truth, part in zip(TRUTH, noise, strict=True)]
    return [member(value, SEED if common else SEED + number) for number, value in enumerate(values)]


def column(members: Sequence[Sampled], component: int = 0) -> Array:
    return np.array([one.value[component] for one in members])


def test_generalised_least_squares_is_the_textbook_formula() -> None:
    members = family(np.random.default_rng(SEED), 64, 1.0)
    groups = groups_of(members)
    assert groups == [list(range(len(X)))]
    covariance = covariance_of(members, groups, 1)
    y, design = column(members, 1), np.stack([X, X**2], axis=1)
    inverse = np.linalg.inv(covariance)
    exact = np.linalg.inv(design.T @ inverse @ design)
    fit = fit_powers(X, y, whitening(covariance), (1, 2), Support(10**9, 1, len(X)))
    np.testing.assert_allclose(fit.coefficients, exact @ design.T @ inverse @ y, rtol=1e-9)
    np.testing.assert_allclose(fit.covariance, exact, rtol=1e-6)
    residual = y - design @ fit.coefficients
    assert fit.chi_square == pytest.approx(residual @ inverse @ residual, rel=1e-9)


def test_exact_curves_are_found_exactly() -> None:
    white = np.diag(1.0 / (0.01 * TRUTH))
    support = Support(100, len(X), 1)
    fit = fit_powers(X, TRUTH, white, (1, 2), support)
    np.testing.assert_allclose(fit.coefficients, [2.0, 3.0], rtol=1e-10)
    assert fit.chi_square < 1e-18
    assert fit.p_value == 1.0
    for exponent in (-2.0, 0.5, 3.0):
        slope, error, chi_square = fit_power_law(X, -7.0 * X**exponent, white, support)
        assert slope == pytest.approx(exponent, rel=1e-8)
        assert chi_square < 1e-9
        assert 0 < error < 0.1 * abs(exponent)


def test_two_members_and_one_bin_of_every_size_scale() -> None:
    """Units of x and y do not matter: coefficients and errors scale with them."""
    members = family(np.random.default_rng(SEED + 1), 40, 0.0)
    y, support = column(members), Support(40, len(X), 1)
    white = whitening(covariance_of(members, groups_of(members), 0))
    plain = fit_powers(X, y, white, (1, 2), support)
    scaled = fit_powers(1e6 * X, 1e-30 * y, 1e30 * white, (1, 2), support)
    factors = 1e-30 / np.array([1e6, 1e12])
    np.testing.assert_allclose(scaled.coefficients, plain.coefficients * factors, rtol=1e-9)
    np.testing.assert_allclose(scaled.covariance, plain.covariance * np.outer(factors, factors), rtol=1e-9)
    assert scaled.chi_square == pytest.approx(plain.chi_square, rel=1e-9)


@pytest.mark.parametrize("common", [0.0, 1.5], ids=["independent", "one-seed"])
@pytest.mark.parametrize("bins", [32, 100])
def test_errors_cover_and_chi_squares_are_fair(bins: int, common: float) -> None:
    """400 families: intervals of 95 % cover, p-values below 5 % and 50 % occur as often as they say."""
    rng = np.random.default_rng(SEED + 2)
    pulls, slopes, single, joint = [], [], [], []
    for _ in range(400):
        members = family(rng, bins, common)
        groups = groups_of(members)
        support = Support.of(members, groups)
        white = whitening(covariance_of(members, groups, 0))
        fit = fit_powers(X, column(members), white, (1, 2), support)
        pulls.append(float((fit.coefficients[0] - 2.0) / np.sqrt(fit.covariance[0, 0])))
        single.append(fit.p_value)
        joint.append(fit_jointly(X, members, groups, (1, 2), [0, 1, 2]).p_value)
        ratio = TRUTH / X**1.5
        slope, error, _ = fit_power_law(X, column(members) / ratio, white * ratio, support)
        slopes.append((slope - 1.5) / error)
    for values in (pulls, slopes):
        check_band(values)
        inside = sum(abs(value) < 1.959964 for value in values)
        assert abs(binomial_pull(inside, len(values), 0.95)) < LIMIT
    for chances in (single, joint):
        for level in (0.05, 0.5):
            below = sum(chance < level for chance in chances)
            assert abs(binomial_pull(below, len(chances), level)) < LIMIT


def test_common_noise_taken_for_independent_is_noticed() -> None:
    """The same families with the correlation between members left out: chi-squares become far too small."""
    rng = np.random.default_rng(SEED + 3)
    chances = []
    for _ in range(200):
        members = family(rng, 100, 1.5)
        apart = [[number] for number in range(len(members))]
        white = whitening(covariance_of(members, apart, 0))
        support = Support.of(members, apart)
        chances.append(fit_powers(X, column(members), white, (1, 2), support).p_value)
    assert sum(chance < 0.5 for chance in chances) < 20


def test_joint_fit_takes_as_many_components_as_the_bins_allow() -> None:
    rng = np.random.default_rng(SEED + 4)
    members = [
        member(truth + 0.1 * rng.normal(size=(40, 32)), SEED + number) for number, truth in enumerate(TRUTH)
    ]
    joint = fit_jointly(X, members, groups_of(members), (1, 2), list(range(40)))
    assert (joint.components, joint.offered) == (8, 40)
    assert joint.dof == 8 * (len(X) - 2)
    assert 1e-7 < joint.p_value < 1 - 1e-7


def test_repeated_components_count_once() -> None:
    """A component that is a multiple of another adds nothing to chi-square and no degree of freedom."""
    members = family(np.random.default_rng(SEED + 5), 100, 0.0)
    both_of = np.array([[1.0], [2.0]])
    twins = [
        member(both_of * (10.0 * one.deviations[:1] + one.value[0]), number)
        for number, one in enumerate(members)
    ]
    groups = groups_of(twins)
    alone, both = (fit_jointly(X, twins, groups, (1, 2), good) for good in ([0], [0, 1]))
    assert both.dof == alone.dof == len(X) - 2
    assert both.chi_square == pytest.approx(alone.chi_square, rel=1e-6)


def test_p_values_tend_to_those_of_chi_square() -> None:
    # upper 5 % points of chi-square
    for dof, point in ((1, 3.841459), (9, 16.918978)):
        assert p_value(point, dof, Support(10**7, dof, 1)) == pytest.approx(0.05, rel=1e-4)
        assert p_value(point, dof, Support(32, dof, 1)) > 0.05
    assert np.isnan(p_value(0.0, 0, Support(100, 3, 1)))


def test_refusals() -> None:
    members = family(np.random.default_rng(SEED + 6), 40, 0.0)
    white = whitening(covariance_of(members, groups_of(members), 0))
    with pytest.raises(UsageError, match="too few different abscissas for 2 powers: got 1"):
        fit_powers(np.full(len(X), 0.5), column(members), white, (1, 2), Support(40, len(X), 1))
    values = np.random.default_rng(SEED).normal(size=(1, 40))
    twins = [member(values, 5), member(3.0 * values, 5)]
    with pytest.raises(NumericalError, match="covariance of the members is singular"):
        whitening(covariance_of(twins, groups_of(twins), 0))
    many = [member(values, 5) for _ in range(11)]
    with pytest.raises(NumericalError, match="got 11 with 40 bins, allowed 10"):
        groups_of(many)


def test_no_power_law_where_nothing_stands_out() -> None:
    white, support = np.eye(len(X)), Support(100, len(X), 1)
    assert np.isnan(fit_power_law(X, 0.1 * TRUTH, white, support)).all()
    assert np.isnan(fit_power_law(X - X[0], TRUTH, 1e4 * white, support)).all()
