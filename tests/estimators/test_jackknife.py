"""Error bars from bins: textbook cases, coverage, covariance, and the heavy-tail flag."""

from __future__ import annotations

import numpy as np
import pytest

from nnft.estimators.jackknife import Jackknife, covariance
from nnft.estimators.layer_kernels import MetricReplicates, VertexReplicates
from nnft.estimators.replicates import ReplicateMeans

STUDENT_99 = 1.9842169515864164  # two-sided 95 % quantile, 99 degrees of freedom
LIMIT = 5.85


def jackknives(samples: np.ndarray, counts: np.ndarray) -> tuple[Jackknife, Jackknife]:
    """Mean and unbiased variance of every column, `counts` consecutive rows to a bin."""
    starts = np.cumsum(counts) - counts
    sums = {"x": np.add.reduceat(samples, starts), "xx": np.add.reduceat(samples**2, starts)}
    means = ReplicateMeans(sums, counts, 2)
    columns = np.arange(samples.shape[1])
    mean = MetricReplicates(means, "x", np.zeros(len(columns)))(columns)
    spread = VertexReplicates(means, "x", "xx", np.stack([columns, columns], axis=1))(columns)
    return tuple(Jackknife(r[:, 0], r[:, 1:], means.bin_counts) for r in (mean, spread))  # type: ignore[return-value]


def test_bins_of_one_network_give_the_textbook_error_of_the_mean() -> None:
    samples = np.random.default_rng(20240601).standard_normal((40, 7))
    mean, _ = jackknives(samples, np.ones(40, dtype=np.int64))
    np.testing.assert_allclose(mean.estimate, samples.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(mean.standard_error(), samples.std(axis=0, ddof=1) / np.sqrt(40), rtol=1e-12)
    np.testing.assert_allclose(mean.pseudo_values(), samples.T, atol=1e-12)
    np.testing.assert_allclose(
        covariance(mean.pseudo_values(), mean.counts), np.cov(samples.T) / 40, atol=1e-14
    )


def test_unequal_bins_against_the_published_formula() -> None:
    rng = np.random.default_rng(20240602)
    counts = np.array([3, 10, 1, 6, 6])
    mean, spread = jackknives(rng.standard_normal((26, 2)), counts)
    for jackknife in (mean, spread):
        ratio = 26 / counts
        pseudo = ratio * jackknife.estimate[:, None] - (ratio - 1) * jackknife.replicates
        centre = 5 * jackknife.estimate - ((1 - counts / 26) * jackknife.replicates).sum(axis=1)
        variance = ((pseudo - centre[:, None]) ** 2 / (ratio - 1)).mean(axis=1)
        np.testing.assert_allclose(jackknife.standard_error(), np.sqrt(variance), rtol=1e-12)


@pytest.mark.parametrize("unequal", [False, True])
def test_coverage_and_size_of_error_bars(unequal: bool) -> None:
    rng = np.random.default_rng(20240603 + unequal)
    counts = rng.integers(5, 36, 100) if unequal else np.full(100, 20)
    repetitions = 2000
    samples = rng.standard_normal((int(counts.sum()), repetitions))
    for jackknife, exact in zip(jackknives(samples, counts), (0.0, 1.0), strict=True):
        error = jackknife.standard_error()
        covered = int((np.abs(jackknife.estimate - exact) < STUDENT_99 * error).sum())
        sigma = np.sqrt(repetitions * 0.95 * 0.05)
        assert abs(covered - 0.95 * repetitions) / sigma < LIMIT
        spread = np.sqrt(np.mean((jackknife.estimate - exact) ** 2))
        resolution = np.sqrt(1 / (2 * repetitions) + 1 / (2 * 99 * repetitions))
        assert abs(np.sqrt(np.mean(error**2)) / spread - 1) / resolution < LIMIT
        assert (LIMIT + 4.75) * resolution < 0.2


def test_flag_is_raised_for_heavy_tails() -> None:
    rng = np.random.default_rng(20240605)
    samples = np.exp(4 * rng.standard_normal((100 * 50, 400)))
    for jackknife in jackknives(samples, np.full(100, 50)):
        assert jackknife.heavy_tailed().mean() > 0.9


def test_flag_is_not_raised_for_normal_data() -> None:
    rng = np.random.default_rng(20240606)
    for bins in (32, 100):
        samples = rng.standard_normal((bins * 50, 1000))
        mean, spread = jackknives(samples, np.full(bins, 50))
        assert not mean.heavy_tailed().any()
        assert spread.heavy_tailed().sum() <= 5


def test_flag_is_raised_for_a_single_wild_bin_and_not_without_spread() -> None:
    replicates = np.zeros((2, 50))
    replicates[0, 17] = 1.0
    flags = Jackknife(np.zeros(2), replicates, np.full(50, 3)).heavy_tailed()
    assert flags.tolist() == [True, False]


def test_one_bin_has_no_error() -> None:
    jackknife = Jackknife(np.ones(3), np.empty((3, 0)), np.zeros(0, dtype=np.int64))
    assert np.isnan(jackknife.standard_error()).all()
    assert jackknife.heavy_tailed().all()
    assert np.isnan(covariance(np.empty((3, 0)), np.zeros(0, dtype=np.int64))).all()


def test_infinite_sums_are_flagged() -> None:
    replicates = np.full((1, 40), np.nan)
    assert Jackknife(np.array([np.nan]), replicates, np.full(40, 3)).heavy_tailed().all()
