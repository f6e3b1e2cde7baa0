"""Robust averages beside plain ones: values by hand, errors by the bootstrap and of the normal law."""

from __future__ import annotations

import numpy as np
import pytest

from nnft.analysis.flow_robust import TRIMMED, robust_means

SEED = 20240601


def test_median_error_is_that_of_the_bootstrap() -> None:
    """An odd number of losses with heavy tails: 40000 samples drawn, by hand."""
    generator = np.random.default_rng(SEED)
    losses = np.exp(generator.normal(size=(31, 2)) * [0.3, 1.5])
    found = robust_means(losses)
    assert found is not None
    drawn = losses[generator.integers(0, 31, size=(40000, 31))]
    assert found.median.tolist() == np.median(losses, axis=0).tolist()
    assert found.median_error == pytest.approx(np.median(drawn, axis=1).std(axis=0), rel=0.03)


def test_errors_cover_what_they_should() -> None:
    """Of 4000 sets of 60 normal losses: the spread of each average over the sets is its mean error."""
    losses = 10.0 + np.random.default_rng(SEED).normal(size=(60, 4000))
    found = robust_means(losses)
    assert found is not None
    for value, error in (
        (found.mean, found.mean_error),
        (found.median, found.median_error),
        (found.trimmed, found.trimmed_error),
    ):
        assert np.sqrt((error**2).mean()) == pytest.approx(value.std(), rel=0.08)
    assert found.median.std() > 1.15 * found.mean.std()


def test_one_extreme_network() -> None:
    losses = np.linspace(1.0, 2.0, 20)[:, None] * np.ones(2)
    losses[3, 1] = 1e6
    found = robust_means(losses)
    assert found is not None
    assert found.extreme.tolist() == [0, 1]
    assert found.mean[1] > 1e4
    assert found.trimmed[1] == pytest.approx(found.trimmed[0], rel=0.1)
    assert found.median[1] == pytest.approx(found.median[0], rel=0.05)
    cut = int(TRIMMED * 20)
    assert found.trimmed[0] == pytest.approx(np.sort(losses[:, 0])[cut:-cut].mean())
    assert found.largest[1] > 0.99
    assert found.networks == 20


def test_few_networks() -> None:
    one = robust_means(np.array([[3.0, 4.0]]))
    assert one is not None
    assert one.median.tolist() == one.trimmed.tolist() == [3.0, 4.0]
    assert np.isnan([one.mean_error, one.median_error, one.trimmed_error]).all()
    assert robust_means(np.zeros((0, 3))) is None
    assert robust_means(np.array([[1.0], [np.nan]])) is None
