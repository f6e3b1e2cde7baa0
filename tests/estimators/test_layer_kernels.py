"""Mean and covariance of the conditional metric of each layer."""

from __future__ import annotations

import numpy as np
import pytest

from ensembles import block_sums, estimate_metrics, packed, wishart_metrics
from nnft.errors import NumericalError, UsageError
from nnft.estimators.correlators import CorrelatorEstimator
from nnft.estimators.layout import LayerPairs, sum_layout
from nnft.estimators.program import build_program


@pytest.mark.parametrize("layer_pairs", ["all", "diagonal"])
@pytest.mark.parametrize("outputs", [1, 2])
def test_mean_and_covariance_of_every_layer(layer_pairs: LayerPairs, outputs: int) -> None:
    layout = sum_layout(
        3, "conditional", [4], outputs=outputs, last_layer=3, layers=(2, 3), layer_pairs=layer_pairs
    )
    metrics = {layer: wishart_metrics(500, 3, 8, seed=20240630 + layer) for layer in (2, 3)}
    shifts = {layer: packed(m[:50].mean(axis=0)) for layer, m in metrics.items()}
    estimator = estimate_metrics(layout, metrics, 40, shifts)
    for layer, samples in metrics.items():
        kernel = estimator.layer_kernel(layer)
        np.testing.assert_allclose(kernel.value, samples.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(kernel.stderr, samples.std(axis=0) / np.sqrt(500), rtol=0.5)
        assert not kernel.unreliable.any()
        points = kernel.vertex.indices
        assert len(points) == (21 if layer_pairs == "all" else 6)
        left, right = samples[:, points[:, 0], points[:, 1]], samples[:, points[:, 2], points[:, 3]]
        expected = ((left - left.mean(axis=0)) * (right - right.mean(axis=0))).sum(axis=0) / 499
        np.testing.assert_allclose(kernel.vertex.value, expected, rtol=1e-10, atol=1e-13)
        vertex, error = kernel.four_point_vertex(8)
        np.testing.assert_allclose(vertex, 8 * expected, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(error, 8 * kernel.vertex.stderr)


def test_vertex_is_exact_within_errors() -> None:
    """Wishart: n Cov(Ghat_12, Ghat_34) = G_13 G_24 + G_14 G_23."""
    layout = sum_layout(2, "direct", [2], last_layer=2, layers=(2,))
    metrics = wishart_metrics(20_000, 2, 3, seed=20240632)
    shift = {2: np.array([1.1, 0.0, 1.1])}
    program = build_program(layout)
    estimator = CorrelatorEstimator(layout, 100, layer_shifts=shift)
    for b in range(100):
        part = metrics[b::100]
        base = {"kernel_2": packed(part) - shift[2], "fields": np.zeros((len(part), 2))}
        estimator.push(b, len(part), block_sums(program, base))
    kernel = estimator.layer_kernel(2)
    mean = np.array([[1.1, np.exp(-4.0)], [np.exp(-4.0), 1.1]])
    assert np.all(np.abs(kernel.value - mean) < 5.85 * kernel.stderr)
    a, b_, c, d = kernel.vertex.indices.T
    exact = mean[a, c] * mean[b_, d] + mean[a, d] * mean[b_, c]
    vertex, error = kernel.four_point_vertex(3)
    assert np.all(np.abs(vertex - exact) < 5.85 * error)
    assert 10.6 * error[0] < 0.5 * exact[0]


def test_misuse_is_refused() -> None:
    layout = sum_layout(2, "conditional", [2], last_layer=3, layers=(3,))
    estimator = estimate_metrics(layout, {3: wishart_metrics(5, 2, 3, seed=20240633)}, 5, {})
    with pytest.raises(UsageError, match="layer"):
        estimator.layer_kernel(2)
    with pytest.raises(UsageError, match="width"):
        estimator.layer_kernel(3).four_point_vertex(0)
    single = estimate_metrics(layout, {3: wishart_metrics(1, 2, 3, seed=20240634)}, 5, {})
    with pytest.raises(NumericalError, match="needed 2"):
        single.layer_kernel(3)
