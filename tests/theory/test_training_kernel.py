"""Tangent kernel with a rate for each layer: special cases, additivity, and gradients of drawn networks."""

from __future__ import annotations

import numpy as np
import pytest

from nnft.errors import UsageError
from nnft.theory.activations import activation
from nnft.theory.gaussian_averages import kernel_average
from nnft.theory.nngp import nngp_kernel, tangent_kernel
from nnft.theory.training_kernel import layer_rates, training_kernel

POINTS = np.array([[1.0, 0.0, -0.5], [0.3, 0.8, 0.4], [1.0, 0.0, -0.5], [0.0, 0.0, 0.0]])
WEIGHTS, BIASES = [1.5, 0.7, 1.2, 2.0], [0.1, 0.0, 0.3, 0.2]
LIMIT = 5.85


@pytest.mark.parametrize("name", ["relu", "erf", "tanh", "linear"])
@pytest.mark.parametrize("layers", [1, 2, 4])
def test_equal_rates_give_the_frozen_tangent_kernel(name: str, layers: int) -> None:
    variances = WEIGHTS[:layers], BIASES[:layers]
    known = tangent_kernel(POINTS, name, *variances, weight_rate=1.3, bias_rate=0.4)[-1]
    found = training_kernel(POINTS, name, *variances, (), [1.3] * layers, [0.4] * layers)
    np.testing.assert_allclose(found, known, rtol=1e-14)
    assert np.array_equal(found, found.T)


@pytest.mark.parametrize("name", ["relu", "erf"])
def test_readout_alone_has_the_kernel_of_the_last_layer(name: str) -> None:
    found = training_kernel(POINTS, name, WEIGHTS, BIASES, (), [0.0, 0.0, 0.0, 2.5], [0.0, 0.0, 0.0, 0.6])
    below = nngp_kernel(POINTS, name, WEIGHTS, BIASES)[-2]
    np.testing.assert_allclose(found, 0.6 + 2.5 * kernel_average(activation(name), below), rtol=1e-14)


def test_first_layer_alone_is_a_product_of_slopes() -> None:
    found = training_kernel(POINTS, "erf", WEIGHTS[:3], BIASES[:3], (), [2.0, 0.0, 0.0], [0.0, 0.0, 0.0])
    first, second, _ = nngp_kernel(POINTS, "erf", WEIGHTS[:3], BIASES[:3])
    slopes = [kernel_average(activation("erf"), kernel, (1, 1)) for kernel in (first, second)]
    known = WEIGHTS[1] * WEIGHTS[2] * slopes[0] * slopes[1] * (POINTS @ POINTS.T) * 2.0 / 3.0
    np.testing.assert_allclose(found, known, rtol=1e-13)


def test_contributions_of_layers_add() -> None:
    def kernel(weights: list[float], biases: list[float]) -> np.ndarray:
        return training_kernel(POINTS, "leaky_relu", WEIGHTS, BIASES, (1.0, 0.2), weights, biases)

    parts = [kernel([0.3 * (i == j) for j in range(4)], [0.7 * (i == j) for j in range(4)]) for i in range(4)]
    np.testing.assert_allclose(sum(parts), kernel([0.3] * 4, [0.7] * 4), rtol=1e-14)
    assert min(np.trace(part) for part in parts) > 0.01


def test_mobilities_become_rates() -> None:
    bias = (1.0, 0.0, 1.0)
    assert layer_rates([4, 5], 3, [1.0 / 3.0, 0.0, 0.2], bias) == ((1.0, 0.0, 1.0), bias)
    assert layer_rates([4], 3, [1.0, 1.0], [1.0, 0.0]) == ((3.0, 4.0), (1.0, 0.0))


def test_gradients_of_drawn_networks() -> None:
    """One hidden layer: the mean of sum m_p df/dp df'/dp over networks is the kernel at every width.

    100 groups of 500 neurons; the limit sees shifts of 10.6 standard errors, below 6 % of an entry here.
    """
    rng = np.random.default_rng(20240601)
    x, width, groups = POINTS[:2], 500, 100
    mobilities = [0.4, 1.0 / width], [0.25, 1.5]
    rates = layer_rates([width], 3, *mobilities)
    known = training_kernel(x, "tanh", WEIGHTS[:2], BIASES[::3], (), *rates)
    found = np.empty((groups, 2, 2))
    for group in range(groups):
        w = rng.normal(0.0, np.sqrt(WEIGHTS[0] / 3.0), (width, 3))
        b = rng.normal(0.0, np.sqrt(BIASES[0]), width)
        a = rng.normal(0.0, np.sqrt(WEIGHTS[1] / width), width)
        z = x @ w.T + b
        hidden, back = np.tanh(z), a / np.cosh(z) ** 2
        first = (back @ back.T) * (mobilities[0][0] * x @ x.T + mobilities[1][0])
        found[group] = first + mobilities[0][1] * hidden @ hidden.T + mobilities[1][1]
    error = found.std(axis=0, ddof=1) / np.sqrt(groups)
    assert np.max(np.abs(found.mean(axis=0) - known) / error) < LIMIT
    assert np.max(10.6 * error / known) < 0.06


def test_refusals() -> None:
    with pytest.raises(UsageError, match="weight rates"):
        training_kernel(POINTS, "erf", WEIGHTS, BIASES, (), [1.0], [1.0] * 4)
    with pytest.raises(UsageError, match="bias rates"):
        training_kernel(POINTS, "erf", WEIGHTS, BIASES, (), [1.0] * 4, [1.0, 1.0, 1.0, -1.0])
    with pytest.raises(UsageError, match="mobilities"):
        layer_rates([4], 3, [1.0], [1.0, 0.0])
