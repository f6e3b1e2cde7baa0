"""Products of four activations and the recursions in 1/n."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from nnft.errors import UsageError
from nnft.theory.absolute_moments import four_point_average, mean_of_four_signs
from nnft.theory.activations import activation
from nnft.theory.angular import angular_nodes
from nnft.theory.deep_linear import LinearMetric
from nnft.theory.gaussian_averages import kernel_average
from nnft.theory.nested_averages import nested_four_point_average
from nnft.theory.nngp import first_layer_kernel
from nnft.theory.product_averages import pair_product_average, product_average
from nnft.theory.single_input import single_input_flow
from nnft.theory.vertex import layer_predictions, second_layer_sextic, second_layer_vertex

FACTOR = np.array([[0.9, 0.1, -0.2], [0.4, 0.8, 0.3], [-0.5, 0.6, 0.4], [0.2, -0.3, 1.1]])
BLOCKS = np.array([[1.0, 0.3, 0, 0], [0.3, 2.0, 0, 0], [0, 0, 1.5, -0.4], [0, 0, -0.4, 0.7]])


def test_arc_cosine_kernel_of_degree_two() -> None:
    """<relu^2 relu^2> in closed form (Cho and Saul), alone and next to a third and fourth input."""
    k11, k12, k22 = 1.3, -0.5, 0.8
    theta = math.acos(k12 / math.sqrt(k11 * k22))
    bracket = 3 * math.sin(theta) * math.cos(theta) + (math.pi - theta) * (1 + 2 * math.cos(theta) ** 2)
    expected = k11 * k22 * bracket / (2 * math.pi)
    relu = activation("relu")
    flat = product_average(relu, np.array([[k11, k12], [k12, k22]])[np.ix_([0, 0, 1, 1], [0, 0, 1, 1])])
    assert flat == pytest.approx(expected, rel=1e-13)
    wide = np.array([[k11, k12, 0.3], [k12, k22, -0.2], [0.3, -0.2, 0.9]])
    packed = pair_product_average(relu, wide)
    assert packed[0, 3] == pytest.approx(expected, rel=1e-12)


def test_angular_rule_in_three_dimensions() -> None:
    relu = activation("relu")
    kernel = np.array([[1.3, -0.5, 0.0], [-0.5, 0.8, 0.0], [0.0, 0.0, 2.0]])
    packed = pair_product_average(relu, kernel)
    pair = kernel_average(relu, kernel)[0, 1]
    assert packed[1, 5] == pytest.approx(pair * 1.0, rel=1e-12)  # <s0 s1 s2^2>, K22 / 2 = 1
    _, weights = angular_nodes(FACTOR, 4)
    assert np.sum(weights) == pytest.approx(15.0, rel=1e-13)
    with pytest.raises(UsageError, match="odd"):
        angular_nodes(FACTOR, 3)
    with pytest.raises(UsageError, match="too many dimensions"):
        angular_nodes(np.eye(4), 4)


@pytest.mark.parametrize("name", ["relu", "tanh", "gelu", "quadratic"])
def test_four_independent_inputs_factorise(name: str) -> None:
    sigma = activation(name)
    pairs = kernel_average(sigma, BLOCKS)
    assert product_average(sigma, BLOCKS) == pytest.approx(pairs[0, 1] * pairs[2, 3], rel=1e-12)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "silu"])
def test_four_inputs_join_three_dimensions(name: str) -> None:
    """A fourth direction of size e changes the average by O(e**2) with a smooth coefficient."""
    sigma = activation(name, (1.0, -0.4) if name == "leaky_relu" else ())
    evaluate = four_point_average if sigma.kinked else nested_four_point_average
    base = FACTOR @ FACTOR.T
    limit = product_average(sigma, base)
    order = [2, 0, 3, 1]
    small, smaller = (evaluate(sigma, base + e * np.eye(4)) - limit for e in (2e-4, 1e-4))
    assert smaller / small == pytest.approx(0.5, rel=0.02)
    permuted = (base + 0.3 * np.eye(4))[np.ix_(order, order)]
    assert evaluate(sigma, permuted) == pytest.approx(evaluate(sigma, base + 0.3 * np.eye(4)), rel=1e-12)


def test_mean_of_four_signs() -> None:
    """Equal correlations 1/2: every orthant of k variables of one sign has probability 1/(k+1)."""
    pair = 2.0 / math.pi * math.asin(0.5)
    exact = 16.0 / 5.0 - 1.0 - 6.0 * pair
    assert mean_of_four_signs(0.5 * np.eye(4) + 0.5) == pytest.approx(exact, rel=1e-13)
    assert mean_of_four_signs(np.diag([1.0, 2.0, 3.0, 4.0])) == 0.0


@pytest.mark.parametrize("name", ["tanh", "relu", "exp", "cos"])
def test_one_input_of_many_equals_the_single_input_flow(name: str) -> None:
    sigma = activation(name)
    kernel = 0.3 * first_layer_kernel(np.array([[1.0, 0.2], [-0.4, 0.8], [0.7, 0.7]]), 1.0, 0.2)
    variances = ([0.9] * 4, [0.1] * 4)
    layers = layer_predictions(sigma, kernel, [10, 20, 15], *variances)
    for point, packed in enumerate([0, 3, 5]):
        flow = single_input_flow(sigma, float(kernel[point, point]), [10, 20, 15], *variances)
        for index, layer in enumerate(layers):
            assert layer.kernel[point, point] == pytest.approx(flow.kernel[index], rel=1e-12)
            assert layer.vertex[packed, packed] == pytest.approx(flow.vertex[index], rel=1e-11)
            assert layer.correction[point, point] == pytest.approx(
                flow.correction[index], rel=1e-10, abs=1e-15
            )
    sextic = second_layer_sextic(sigma, kernel, 0.9, [(0, 0)] * 3)
    flow = single_input_flow(sigma, float(kernel[0, 0]), [10], [0.9] * 2, [0.1] * 2)
    assert sextic == pytest.approx(flow.sextic[1], rel=1e-10)


def test_linear_network_is_the_limit_of_the_exact_covariance() -> None:
    """n Cov(Ghat, Ghat) at width 10**9 from exact Wishart moments, three inputs, with biases."""
    gram = [[1.0, 0.3, -0.2], [0.3, 2.0, 0.4], [-0.2, 0.4, 0.8]]
    exact_gram = [[Fraction(q) for q in row] for row in gram]
    weights, biases, n = [1.0, 1.25, 0.75, 1.5], [0.25, 0.125, 0.5, 0.0], 10**9
    widths = [n, 2 * n, n]
    metric = LinearMetric(exact_gram, widths, [Fraction(w) for w in weights], [Fraction(b) for b in biases])
    first = biases[0] + weights[0] * np.array(gram)
    last = layer_predictions(activation("linear"), first, widths, weights, biases)[-1]
    pairs = list(itertools.combinations_with_replacement(range(3), 2))
    for i, j in itertools.combinations_with_replacement(range(len(pairs)), 2):
        product = metric.moment([pairs[i], pairs[j]])
        exact = n * (product - metric.moment([pairs[i]]) * metric.moment([pairs[j]]))
        assert last.vertex[i, j] == pytest.approx(float(exact), rel=1e-7)
    assert np.all(last.correction == 0.0)


def test_repeated_inputs_give_repeated_components() -> None:
    points = np.array([[1.0, 0.2], [-0.4, 0.8], [1.0, 0.2]])
    kernel = first_layer_kernel(points, 1.3, 0.2)
    layer = layer_predictions(activation("tanh"), kernel, [8, 8], [1.3] * 3, [0.2] * 3)[-1]
    np.testing.assert_allclose(layer.correction[0], layer.correction[2], rtol=1e-9)
    assert layer.vertex[0, 0] == pytest.approx(layer.vertex[2, 2], rel=1e-11)
    assert layer.vertex[1, 4] == pytest.approx(layer.vertex[1, 1], rel=1e-11)


def test_relu_vertex_by_sampling() -> None:
    """Exact V of layer 2 for four inputs against 200,000 neurons, in units of the sampling error."""
    rng = np.random.default_rng(20240603)
    kernel = FACTOR @ FACTOR.T + 0.2 * np.eye(4)
    relu = activation("relu")
    fields = np.maximum(np.linalg.cholesky(kernel) @ rng.normal(size=(4, 200_000)), 0.0)
    product = np.prod(fields, axis=0)
    error = float(np.std(product)) / math.sqrt(product.size)
    exact = product_average(relu, kernel)
    assert abs(float(np.mean(product)) - exact) / error < 5.85
    assert 10.6 * error < 0.3 * exact  # a wrong factor of two would be seen
    vertex = second_layer_vertex(relu, kernel, 2.0)
    assert np.array_equal(vertex, vertex.T)
    assert np.linalg.eigvalsh(vertex)[0] > 0.0


def test_refusals() -> None:
    with pytest.raises(UsageError, match="pairs"):
        second_layer_sextic(activation("tanh"), np.eye(2), 1.0, [(0, 0)])
    with pytest.raises(UsageError, match="variances of 3 layers"):
        layer_predictions(activation("tanh"), np.eye(2), [4, 4], [1.0], [0.0])
    with pytest.raises(UsageError, match="variances of 3 layers"):
        single_input_flow(activation("tanh"), 1.0, [4, 4], [1.0], [0.0])
