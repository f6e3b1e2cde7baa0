"""Packed results as tensors, and the size of large ones."""

from __future__ import annotations

import time
from itertools import permutations

import numpy as np
import pytest

from ensembles import estimate_metrics, wishart_metrics
from nnft.errors import UsageError
from nnft.estimators.correlators import CorrelatorEstimator
from nnft.estimators.layout import sum_layout


def test_dense_tensor_has_the_symmetry_of_its_labels() -> None:
    layout = sum_layout(3, "conditional", [6], outputs=2)
    estimator = estimate_metrics(layout, {2: wishart_metrics(40, 3, 5, seed=20240640)}, 8, {})
    full = estimator.result(4).dense()
    for axes in permutations(range(4)):
        np.testing.assert_array_equal(full, full.transpose(axes))
    mixed = estimator.result(4, "0011").dense()
    np.testing.assert_array_equal(mixed, mixed.transpose(2, 3, 1, 0))
    assert not np.array_equal(mixed, mixed.transpose(0, 2, 1, 3))
    total = mixed + mixed.transpose(0, 2, 1, 3) + mixed.transpose(0, 3, 2, 1)
    np.testing.assert_allclose(full, total, rtol=1e-10, atol=1e-13)
    six = estimator.result(6, "000011")
    for row, value in zip(six.indices.tolist(), six.value, strict=True):
        assert six.dense()[tuple(row)] == value
    assert (six.order, six.pattern, six.variety) == (6, (0, 0, 0, 0, 1, 1), "connected")


def test_dense_tensors_of_absurd_size_are_refused() -> None:
    estimator = CorrelatorEstimator(sum_layout(128, "conditional", [4]), 1)
    with pytest.raises(UsageError, match="dense"):
        estimator.result(4).dense()


@pytest.mark.parametrize(("n_points", "order", "bins"), [(64, 4, 32), (16, 6, 100)])
def test_large_results_are_quick(n_points: int, order: int, bins: int) -> None:
    rng = np.random.default_rng(20240641)
    layout = sum_layout(n_points, "conditional", [order])
    estimator = CorrelatorEstimator(layout, bins)
    for b in range(bins):
        estimator.push(b, 1000, rng.standard_normal(layout.n_sums))
    start = time.process_time()
    result = estimator.result(order)
    assert time.process_time() - start < 20
    assert np.isfinite(result.stderr).all()
