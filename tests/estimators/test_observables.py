"""Numbers of networks along a training: means, spreads and errors, shards, files."""

from __future__ import annotations

import numpy as np
import pytest

from nnft.errors import DataFileError, UsageError
from nnft.estimators.observables import MatrixFlow, ObservableEstimator

SEED = 20240601
SIGMA = 5.85
NAMES = ("train_loss", "norm")


def numbers(networks: int, seed: int = 0) -> np.ndarray:
    """Numbers (S, M, 2): exponentials of mean exp(-s), and constants."""
    rng = np.random.default_rng(SEED + seed)
    decay = np.exp(-np.arange(3.0))[:, None]
    loss = decay * rng.exponential(size=networks)
    return np.stack([loss, np.full_like(loss, 2.5)], axis=-1)


def filled(values: np.ndarray, bins: int) -> ObservableEstimator:
    estimator = ObservableEstimator(NAMES, bins, len(values))
    for snapshot, rows in enumerate(values):
        for b in range(bins):
            estimator.push(snapshot, b, rows[b::bins])
    return estimator


def test_means_spreads_and_errors() -> None:
    """Exponentials: the spread is the mean. The mean of 40000 is known to 0.5 %, the spread to 1 %."""
    values = numbers(40_000)
    estimator = filled(values, 50)
    result = estimator.result("train_loss")
    exact = np.exp(-np.arange(3.0))
    np.testing.assert_allclose(result.mean, values[:, :, 0].mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(result.spread, values[:, :, 0].std(axis=1, ddof=1), rtol=1e-10)
    assert np.all(abs(result.mean - exact) < SIGMA * result.stderr)
    assert np.all(abs(result.spread - exact) < SIGMA * exact * np.sqrt(2.0 / 40_000))
    np.testing.assert_allclose(result.stderr, exact / 200.0, rtol=5.85 / np.sqrt(2 * 49))
    assert result.networks.tolist() == [40_000] * 3
    constant = estimator.result("norm")
    np.testing.assert_allclose(constant.mean, 2.5, rtol=1e-13)
    np.testing.assert_allclose(constant.spread, 0.0, atol=1e-6)
    np.testing.assert_allclose(constant.stderr, 0.0, atol=1e-13)


def test_the_error_is_that_of_the_bins() -> None:
    """Bins of unequal size: the error of a mean is the spread of the bins' deviations."""
    rng = np.random.default_rng(SEED)
    sizes = [3, 5, 9, 4]
    groups = [rng.normal(size=(size, 2)) for size in sizes]
    estimator = ObservableEstimator(NAMES, 6, 1)
    for b, rows in enumerate(groups):
        estimator.push(0, b, rows)
    total = sum(sizes)
    mean = np.concatenate(groups).mean(axis=0)
    ratios = total / np.array(sizes)
    without = [(total * mean - rows.sum(axis=0)) / (total - len(rows)) for rows in groups]
    pseudo = ratios[:, None] * mean - (ratios - 1.0)[:, None] * np.array(without)
    centre = (pseudo / ratios[:, None]).sum(axis=0)
    variance = ((pseudo - centre) ** 2 / (ratios - 1.0)[:, None]).mean(axis=0)
    for column, name in enumerate(NAMES):
        assert estimator.result(name).stderr[0] == pytest.approx(np.sqrt(variance[column]), rel=1e-12)


def test_replicates_are_the_means_without_a_bin() -> None:
    values = numbers(30)
    rows = filled(values, 5).replicates("train_loss")
    assert rows.values.shape == (6, 3)
    for b in range(5):
        keep = np.arange(30) % 5 != b
        np.testing.assert_allclose(rows.values[1 + b], values[:, keep, 0].mean(axis=1), rtol=1e-12)
    result = filled(values, 5).result("train_loss")
    np.testing.assert_allclose(rows.stderr(), result.stderr, rtol=1e-12)
    np.testing.assert_array_equal(rows.value, result.mean)


def test_matrices_have_means_only() -> None:
    rng = np.random.default_rng(SEED)
    values = rng.normal(size=(2, 24, 3)) + np.array([1.0, 0.0, 2.0])
    flow = MatrixFlow(4, 2, 3)
    for snapshot in range(2):
        for b in range(4):
            flow.push(snapshot, b, values[snapshot, b::4])
    np.testing.assert_allclose(flow.mean(), values.mean(axis=1), rtol=1e-12)
    assert flow.replicates().values.shape == (5, 2, 3)
    np.testing.assert_allclose(flow.replicates().stderr(), flow.stderr(), rtol=1e-12)
    again = MatrixFlow.from_arrays(flow.to_arrays("kernel"), "kernel")
    np.testing.assert_array_equal(again.stderr(), flow.stderr())
    again.merge(flow)
    np.testing.assert_allclose(again.mean(), flow.mean(), rtol=1e-13)
    assert again.counts.sum() == 2 * flow.counts.sum()
    with pytest.raises(UsageError, match=r"got shapes \(2, 4, 3\), \(2, 4, 1\)"):
        flow.merge(MatrixFlow(4, 2, 1))
    with pytest.raises(DataFileError, match="tangent/sums"):
        MatrixFlow.from_arrays(flow.to_arrays("kernel"), "tangent")
    with pytest.raises(DataFileError, match="wrong shape of kernel/count"):
        MatrixFlow.from_arrays({"kernel/sums": flow.sums, "kernel/count": flow.counts[0]}, "kernel")


def test_shards_and_arrays() -> None:
    values = np.round(8.0 * numbers(40)) / 8.0
    whole, estimator = filled(values, 4), filled(values[:, :16], 4)
    estimator.merge(filled(values[:, 16:], 4))
    arrays = estimator.to_arrays()
    again = ObservableEstimator.from_arrays(dict(sorted(arrays.items())), NAMES)
    for name in NAMES:
        for one in (estimator.result(name), again.result(name)):
            np.testing.assert_array_equal(one.mean, whole.result(name).mean)
            np.testing.assert_array_equal(one.stderr, whole.result(name).stderr)
            np.testing.assert_array_equal(one.spread, whole.result(name).spread)
    assert set(ObservableEstimator.from_arrays(arrays).names) == set(NAMES)
    again.merge(estimator)
    assert again.result("norm").networks.tolist() == [80] * 3
    assert estimator.result("norm").networks.tolist() == [40] * 3
    with pytest.raises(UsageError, match="do not belong together"):
        estimator.merge(ObservableEstimator(NAMES[::-1], 4, 3))
    with pytest.raises(DataFileError, match="wrong shape of observables/squares/norm"):
        ObservableEstimator.from_arrays(arrays | {"observables/squares/norm": np.zeros((3, 3))})
    with pytest.raises(DataFileError, match="observables/count"):
        ObservableEstimator.from_arrays({})


def test_empty_results_and_infinite_numbers() -> None:
    estimator = ObservableEstimator(NAMES, 4, 2)
    result = estimator.result("norm")
    assert np.isnan([result.mean, result.stderr, result.spread]).all()
    assert np.isnan(estimator.replicates("norm").values).all()
    estimator.push(0, 1, [[1.0, 2.0]])
    single = estimator.result("norm")
    assert single.mean[0] == 2.0
    assert np.isnan(single.stderr).all()
    assert np.isnan(single.spread).all()
    with pytest.raises(UsageError, match="networks differ along the training"):
        estimator.replicates("norm")
    estimator.push(0, 2, [[np.inf, 1e200], [1.0, 2.0]])
    assert estimator.result("train_loss").mean[0] == np.inf
    assert np.isnan(estimator.result("train_loss").stderr[0])


def test_refusals() -> None:
    estimator = ObservableEstimator(NAMES, 4, 2)
    for snapshot, b, rows in (
        (2, 0, [[1.0, 2.0]]),
        (0, 4, [[1.0, 2.0]]),
        (0, 0, [[1.0]]),
        (0, 0, [1.0, 2.0]),
    ):
        with pytest.raises(UsageError, match="values do not fit the flow"):
            estimator.push(snapshot, b, rows)
    assert estimator.values.counts.sum() == 0
    with pytest.raises(UsageError, match="no observable 'loss': use one of train_loss, norm"):
        estimator.result("loss")
    for names in (("a", "a"), ("a/b",), ("",)):
        with pytest.raises(UsageError, match="unusable name of an observable"):
            ObservableEstimator(names, 4, 2)
    with pytest.raises(UsageError, match="nothing to average"):
        ObservableEstimator((), 4, 2)
    with pytest.raises(UsageError, match="nothing to average"):
        MatrixFlow(4, 0, 3)


def test_numbers_whose_squares_overflow_have_a_mean() -> None:
    """As <exp(-dH/T)> of a trajectory that fell from a great height: a mean, no spread, no warning."""
    estimator = filled(np.stack([np.full((4, 2), 1e200)]), 2)
    result = estimator.result("norm")
    assert result.mean[0] == pytest.approx(1e200)
    assert not np.isfinite(result.spread[0])
