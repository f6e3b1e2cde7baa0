"""Deep networks: exact families at small widths, the 1/n expansion at large ones."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from runs import DETECTABLE, ENTRIES, LIMIT, SEED, SMALLEST_P, component, estimate, joint_p, pull

from nnft.theory.deep_linear import LinearMetric
from nnft.theory.deep_relu import metric_moments, output_cumulant

POINTS = np.array([[1.0, 0.5, -0.3], [0.2, -1.0, 0.8], [-0.6, 0.4, 1.1]])
GRAM = (POINTS @ POINTS.T / 3).tolist()


@pytest.mark.parametrize("method", ["collapsed", "explicit"])
@pytest.mark.parametrize("bias", [0.0, 0.15])
@pytest.mark.parametrize("widths", [(9,), (12, 7), (6, 17, 9)])
def test_deep_linear_with_unequal_widths(widths: tuple[int, ...], bias: float, method: str) -> None:
    layers = len(widths) + 1
    weights = [1.0 + 0.1 * layer for layer in range(layers)]
    biases = [bias * (1 + layer) for layer in range(layers)]
    index = 2 * len(widths) + (bias > 0) + 10 * (method == "explicit")
    estimator = estimate(
        POINTS, widths, "linear", SEED + 1200 + index, 100_000,
        weight=weights, bias=biases, outputs=2, method=method,
    )  # fmt: skip
    metric = LinearMetric(GRAM, widths, weights, biases)
    for order, pattern in ((2, "00"), (4, "0000"), (4, "0011")):
        found = estimator.result(order, pattern)
        labels = [int(c) for c in pattern]
        exact = [metric.connected_correlator(points, labels) for points in found.indices.tolist()]
        assert joint_p(found, exact) > SMALLEST_P
        row = component(found, [0] * order)
        assert DETECTABLE * found.stderr[row] < 0.3 * exact[row]


@pytest.mark.parametrize("kind", ["conditional", "direct"])
@pytest.mark.parametrize("bias", [0.0, 0.2])
@pytest.mark.parametrize(("activation", "slopes"), [("relu", (1.0, 0.0)), ("leaky_relu", (1.0, -0.3))])
def test_deep_relu(activation: str, slopes: tuple[float, float], bias: float, kind: str) -> None:
    widths, weights, biases = (14, 9, 20), [2.0, 1.7, 1.9, 1.5], [bias] * 4
    index = (activation == "relu") + 2 * (bias > 0) + 4 * (kind == "direct")
    estimator = estimate(
        [[0.9, -0.4]], widths, activation, SEED + 1230 + index, 400_000, weight=weights, bias=biases,
        parameters=slopes if activation == "leaky_relu" else None, estimator=kind,
    )  # fmt: skip
    moments = metric_moments(0.485, widths, weights, biases, slopes=slopes)
    for order in (2, 4):
        exact = output_cumulant(moments, order)
        sees = 0.05 if order == 2 else 0.3 if kind == "conditional" else 0.6
        assert abs(pull(estimator.result(order), [0] * order, exact, sees)) < LIMIT


def extrapolated(key: str, scale: int, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Twice the value at doubled widths minus the value: n Cov and n (G - K) without their 1/n term."""
    given = ENTRIES[key]["inputs"]
    points = given.get("X") or [[math.sqrt(given["x2"] / given["widths"][0])] * given["widths"][0]]
    found, errors = {}, {}
    kernel = np.array(ENTRIES[key]["values"]["K"])
    if "X" not in given:
        kernel = kernel[-1:]
    runs = []
    for step, factor in enumerate((scale, 2 * scale)):
        widths = [factor * n for n in given["widths"][1:]]
        estimator = estimate(
            points, widths, given["activation"], seed + step, 20_000,
            weight=given["C_W"], bias=given["C_b"], layers=True,
        )  # fmt: skip
        layer = estimator.layer_kernel(given["L"])
        runs.append((layer.four_point_vertex(widths[-1]), layer.metric, widths[-1], layer.vertex.indices))
    (small, small_metric, n, indices), (large, large_metric, m, _) = runs
    for row, labels in enumerate(indices.tolist()):
        name = "".join(str(a + 1) for a in labels)
        found[name] = 2 * large[0][row] - small[0][row]
        errors[name] = math.hypot(2 * large[1][row], small[1][row])
    for row in range(len(kernel)):
        shift = 2 * m * (large_metric.value[row] - kernel[row]) - n * (small_metric.value[row] - kernel[row])
        found[f"G1 {row}"] = shift
        errors[f"G1 {row}"] = math.hypot(2 * m * large_metric.stderr[row], n * small_metric.stderr[row])
    return found, errors


DEEP = [key for key in ENTRIES if key.startswith(("single-input-", "two-input-"))]


@pytest.mark.parametrize("key", DEEP)
def test_first_order_in_one_over_width(key: str) -> None:
    """Widths 10 and 20 times those of the entry; what is left of the expansion is below the error."""
    found, errors = extrapolated(key, 10, SEED + 1300 + 10 * DEEP.index(key))
    values = ENTRIES[key]["values"]
    expected = {"1111": values["V"][-1]} if "X" not in ENTRIES[key]["inputs"] else dict(values["V"])
    for name, value in expected.items():
        assert abs(found[name] - value) < LIMIT * errors[name], name
    assert DETECTABLE * errors["1111"] < 0.5 * expected["1111"]
    corrections = [values["G1"][-1]] if "X" not in ENTRIES[key]["inputs"] else values["G1"]
    for row, value in enumerate(corrections):
        assert abs(found[f"G1 {row}"] - value) < LIMIT * errors[f"G1 {row}"]
