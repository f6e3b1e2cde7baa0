"""Fields drawn from the Edgeworth density: weights, effective sample size, rejection."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scale_mixtures import LIMIT, SEED, SMALLEST_P, THREE_POINTS, mixture

from nnft.actions.density import EdgeworthDensity
from nnft.actions.density_random import Purpose, generator
from nnft.actions.density_sampling import WeightedSample, require_effective_size
from nnft.actions.symmetric import components
from nnft.errors import NumericalError, UsageError


@pytest.mark.parametrize("order", [0, 1, 2])
def test_weighted_moments_are_those_of_the_density(order: int) -> None:
    """The mixture at width 20 has next to no negative mass, so its positive part is the density."""
    density = mixture(THREE_POINTS, 20.0, order)
    assert density.positivity().negative_mass < 1e-6
    sample = density.sample(200_000, SEED + order)
    assert abs(sample.weights.mean() - 1.0) < LIMIT * sample.weights.std() / np.sqrt(sample.count) + 1e-6
    for rank in (2, 4):
        table = components(3, rank)
        products = sample.fields[:, table].prod(axis=2)
        mean, error = sample.average(products)
        pulls = (mean - density.moment(rank)) / error
        assert np.abs(pulls).max() < LIMIT
        # and it would see the difference to the Gaussian, where there is one
        if rank == 4 and order:
            assert np.abs((mean - density.truncated(0).moment(4)) / error).max() > LIMIT


def test_errors_of_averages_are_right() -> None:
    """Pulls of independent samples have variance 1: the sum of squares lies in its band."""
    from scipy.stats import chi2

    density = mixture([[1.0]], 20.0, 1)
    pulls = []
    for seed in range(200):
        sample = density.sample(2_000, SEED + seed)
        mean, error = sample.average(sample.fields[:, 0] ** 2)
        pulls.append((float(mean) - 1.0) / float(error))
    total = float(np.sum(np.square(pulls)))
    assert chi2.sf(total, len(pulls)) > SMALLEST_P
    assert chi2.cdf(total, len(pulls)) > SMALLEST_P


def test_effective_sample_size() -> None:
    sample = mixture(THREE_POINTS, 20.0, 2).sample(5_000, 1)
    weights = sample.weights
    assert sample.effective_sample_size == pytest.approx(weights.sum() ** 2 / (weights**2).sum(), rel=1e-13)
    assert 0.5 * sample.count < sample.effective_sample_size < sample.count
    gaussian = EdgeworthDensity(THREE_POINTS).sample(50, 1)
    assert gaussian.effective_sample_size == pytest.approx(50.0, rel=1e-13)
    assert "effective sample size    50 (100.0%)" in gaussian.text()
    assert gaussian.warning == ""


def test_negative_weights_are_cut_and_reported() -> None:
    density = EdgeworthDensity([[1.0]], [-1.0])
    sample = density.sample(100_000, SEED)
    ratio = density.correction(sample.fields)
    np.testing.assert_array_equal(sample.weights, np.maximum(ratio, 0.0))
    assert sample.clipped == np.count_nonzero(ratio < 0.0) > 0
    assert sample.negative_mass == pytest.approx(-ratio[ratio < 0.0].sum() / sample.count, rel=1e-12)
    exact = density.positivity().negative_mass
    error = np.maximum(-ratio, 0.0).std() / np.sqrt(sample.count)
    assert abs(sample.negative_mass - exact) < LIMIT * error
    assert f"{sample.clipped} negative weights of 100000" in sample.warning


def test_collapse_of_the_effective_sample_size_is_refused() -> None:
    density = mixture(np.eye(8), 2.0, 1)
    with pytest.raises(
        NumericalError, match=r"effective sample size.*got .* of 2000 draws, floor 1000;"
    ) as caught:
        density.sample(2_000, 1)
    assert caught.value.exit_code == 5
    size = density.sample(2_000, 1, floor=0.0).effective_sample_size
    assert f"got {size:.4g} of" in str(caught.value)
    with pytest.raises(NumericalError, match="floor 1800"):
        density.sample(2_000, 1, floor=0.9)


@pytest.mark.parametrize(("count", "floor"), [(400, 100), (100_000, 100), (100, 50)])
def test_there_is_an_absolute_floor(count: int, floor: int) -> None:
    """100 draws, whatever the share asked for; half of them if fewer than 200 are drawn."""
    for equal in (floor - 1, floor):
        weights = np.zeros(count)
        weights[:equal] = 3.0
        sample = WeightedSample(np.zeros((count, 1)), weights, 0.0, 0, 1)
        if equal == floor:
            require_effective_size(sample, 0.0)
        else:
            with pytest.raises(NumericalError, match=f"got {equal} of {count} draws, floor {floor};"):
                require_effective_size(sample, 0.0)


def test_seeds() -> None:
    density = mixture(THREE_POINTS, 30.0)
    for draw in (lambda seed: density.sample(100, seed).fields, lambda seed: density.resampled(100, seed)):
        np.testing.assert_array_equal(draw(7), draw(7))
        assert not np.any(draw(7) == draw(8))
        assert not np.any(draw(7) == draw(7 + 2**64))
    assert not np.any(density.sample(100, 7).fields == density.resampled(100, 7))
    # the first draws of a longer sample are those of a shorter one
    np.testing.assert_array_equal(density.sample(300, 7).fields[:100], density.sample(100, 7).fields)
    streams = [tuple(generator(1, purpose).random(3)) for purpose in Purpose]
    assert len(set(streams)) == len(Purpose)


@pytest.mark.parametrize("seed", [-1, 2**128, 1.5, True, None])
def test_unusable_seeds(seed: Any) -> None:
    for draw in (EdgeworthDensity([[1.0]]).sample, EdgeworthDensity([[1.0]]).resampled):
        with pytest.raises(UsageError, match="unusable seed"):
            draw(10, seed)


@pytest.mark.parametrize("count", [0, -3, 2.5, True])
def test_impossible_counts(count: Any) -> None:
    for draw in (EdgeworthDensity([[1.0]]).sample, EdgeworthDensity([[1.0]]).resampled):
        with pytest.raises(UsageError, match="number of draws"):
            draw(count, 1)
    with pytest.raises(UsageError, match="floor"):
        EdgeworthDensity([[1.0]]).sample(10, 1, floor=1.5)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_draws_without_weights_follow_the_density(order: int) -> None:
    """Moments, and in one dimension the whole distribution function, of the positive part."""
    from scipy.stats import kstest, norm

    density = mixture(THREE_POINTS, 40.0, order)
    fields = density.resampled(50_000, SEED)
    assert fields.shape == (50_000, 3)
    assert len(np.unique(fields[:, 0])) == len(fields)
    for rank in (2, 4):
        products = fields[:, components(3, rank)].prod(axis=2)
        error = products.std(axis=0) / np.sqrt(len(fields))
        assert np.abs((products.mean(axis=0) - density.moment(rank)) / error).max() < LIMIT
    # int_-inf^x He_r phi = -He_(r-1)(x) phi(x), so the distribution function is known
    one = mixture([[1.0]], 12.0, order)
    assert one.positivity().negative_mass < 2e-3
    coefficients = np.zeros(9)
    if order:
        coefficients[4] = one.four[0] / 24
    if order == 2:
        coefficients[6], coefficients[8] = one.six[0] / 720, one.four[0] ** 2 / 1152
    tail = np.polynomial.hermite_e.HermiteE(np.append(coefficients[1:], 0.0))
    result = kstest(one.resampled(50_000, SEED)[:, 0], lambda x: norm.cdf(x) - tail(x) * norm.pdf(x))
    assert result.pvalue > SMALLEST_P


def test_draws_of_a_cut_density_are_those_of_its_positive_part() -> None:
    density = EdgeworthDensity([[1.0]], [-1.5])
    fields = density.resampled(50_000, SEED)[:, 0]
    edge = density.positivity().radius
    assert np.abs(fields).max() <= edge
    axis = np.linspace(-edge, edge, 20_001)
    mass = density.density(axis[:, None])
    second = float(np.sum(mass * axis**2) / mass.sum())
    error = np.std(fields**2) / np.sqrt(len(fields))
    assert abs(np.mean(fields**2) - second) < LIMIT * error
    assert abs(second - 1.0) > 2 * LIMIT * error  # what is cut off is seen


def test_hopeless_rejection_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnft.actions.density_sampling.MOST_PROPOSALS", 1 << 15)
    with pytest.raises(NumericalError, match="too few draws accepted"):
        mixture(np.eye(8), 1.0, 1).resampled(30_000, 1)
