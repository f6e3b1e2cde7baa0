"""Many estimates at once: the law of the p-value, what is seen, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from nnft.errors import NumericalError
from nnft.estimators.joint_test import BINS_PER_COMPONENT, joint_test, judged_components
from nnft.estimators.replicated import Replicated

SEED = 20240601 + 3600
SMALLEST_P = 5e-9


def sample(generator: np.random.Generator, bins: int, components: int) -> tuple[np.ndarray, np.ndarray]:
    """Means of correlated normals and their deviations."""
    mixing = np.eye(components) + 0.5 * np.tri(components)
    values = generator.normal(size=(bins, components)) @ mixing
    mean = values.mean(axis=0)
    return mean, (values - mean).T / np.sqrt(bins * (bins - 1.0))


@pytest.mark.parametrize(("bins", "components"), [(20, 5), (40, 10), (100, 25), (100, 1)])
def test_p_values_are_uniform(bins: int, components: int) -> None:
    generator = np.random.default_rng(SEED + bins + components)
    found = [joint_test(*sample(generator, bins, components)).p_value for _ in range(4000)]
    assert kstest(found, "uniform").pvalue > SMALLEST_P
    assert abs(np.mean(found) - 0.5) < 5.85 / np.sqrt(12.0 * 4000)


def test_a_shift_is_seen_in_any_direction() -> None:
    generator = np.random.default_rng(SEED)
    for component in range(4):
        mean, deviations = sample(generator, 100, 4)
        error = np.sqrt((deviations[component] ** 2).sum())
        mean[component] += 15.0 * error
        assert joint_test(mean, deviations).p_value < SMALLEST_P


def test_components_are_chosen_by_place() -> None:
    rows = judged_components(1000, 100)
    assert len(rows) == 100 // BINS_PER_COMPONENT
    assert rows[0] == 0
    assert rows[-1] == 999
    assert np.array_equal(judged_components(7, 100), np.arange(7))
    mean, deviations = sample(np.random.default_rng(SEED + 1), 40, 200)
    found = joint_test(mean, deviations)
    assert (found.offered, found.components, found.bins) == (200, 10, 40)


def test_dependent_components_are_counted_once() -> None:
    mean, deviations = sample(np.random.default_rng(SEED + 2), 100, 3)
    twice = joint_test(np.concatenate([mean, 2.0 * mean]), np.concatenate([deviations, 2.0 * deviations]))
    once = joint_test(mean, deviations)
    assert twice.components == 3
    assert twice.chi_square == pytest.approx(once.chi_square, rel=1e-6)


def test_components_without_spread() -> None:
    mean, deviations = sample(np.random.default_rng(SEED + 3), 100, 2)
    exact = np.zeros((1, 100))
    quiet = joint_test(np.append(mean, 0.0), np.concatenate([deviations, exact]), np.ones(3))
    assert quiet.p_value == joint_test(mean, deviations, np.ones(2)).p_value
    broken = joint_test(np.append(mean, 1.0), np.concatenate([deviations, exact]), np.ones(3))
    assert broken.p_value == 0.0
    nothing = joint_test(np.zeros(2), np.zeros((2, 100)))
    assert (nothing.components, nothing.p_value) == (0, 1.0)


def test_too_few_bins() -> None:
    with pytest.raises(NumericalError, match="got 15 filled bins, needed 16"):
        joint_test(np.zeros(1), np.ones((1, 15)))


def test_replicates_have_the_errors_of_the_jackknife() -> None:
    """A mean of equal bins: the textbook error and covariance; a function of it: the chain rule."""
    generator = np.random.default_rng(SEED + 4)
    bins = generator.normal(size=(50, 3)) + 4.0
    mean = bins.mean(axis=0)
    without = (bins.sum(axis=0) - bins) / 49.0
    found = Replicated(np.concatenate([mean[None], without]), np.full(50, 10), 500)
    np.testing.assert_allclose(found.stderr(), bins.std(axis=0, ddof=1) / np.sqrt(50), rtol=1e-12)
    np.testing.assert_allclose(found.covariance(), np.cov(bins.T) / 50, rtol=1e-12)
    np.testing.assert_allclose(found.estimate(np.zeros((3, 0), np.int32)).bins, bins, rtol=1e-11)
    square = found.map(lambda row: row**2)
    np.testing.assert_allclose(square.stderr(), 2.0 * mean * found.stderr(), rtol=0.02)
    np.testing.assert_allclose(found.chosen([2, 0]).value, mean[[2, 0]])
