"""Exact finite-width results: relations between independent formulas, densities and sampling."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from nnft.errors import UsageError
from nnft.theory import deep_linear_density as density
from nnft.theory import deep_relu, one_hidden_layer, orthogonal
from nnft.theory.activations import activation
from nnft.theory.deep_linear import LinearMetric, count_loops, single_input_moment
from nnft.theory.nngp import first_layer_kernel
from nnft.theory.vertex import second_layer_sextic, second_layer_vertex

POINTS = np.array([[1.0, 0.2], [-0.4, 0.8], [0.5, -0.7]])


def test_loops() -> None:
    assert count_loops(((0, 1), (2, 3)), ((0, 1), (2, 3))) == 2
    assert count_loops(((0, 1), (2, 3)), ((0, 2), (1, 3))) == 1
    assert count_loops(((0, 1), (2, 3), (4, 5)), ((1, 2), (3, 4), (5, 0))) == 1


def test_two_point_closed_form_of_linear_networks() -> None:
    """E[G12 G34] as a symmetric part with factors 1 + 2/n and a rest with factors 1 - 1/n."""
    gram = [[Fraction(1), Fraction(1, 3), Fraction(-1, 2)], [Fraction(1, 3), Fraction(2), Fraction(1, 5)]]
    gram.append([Fraction(-1, 2), Fraction(1, 5), Fraction(3, 4)])
    widths, weight = [3, 5, 2], Fraction(6, 5)
    metric = LinearMetric(gram, widths, [weight] * 4, [Fraction(0)] * 4)
    for a, b, c, d in itertools.product(range(3), repeat=4):
        symmetric = (gram[a][b] * gram[c][d] + gram[a][c] * gram[b][d] + gram[a][d] * gram[b][c]) / 3
        rest = gram[a][b] * gram[c][d] - symmetric
        for n in widths:
            symmetric, rest = symmetric * Fraction(n + 2, n), rest * Fraction(n - 1, n)
        assert metric.moment([(a, b), (c, d)]) == weight**8 * (symmetric + rest)


def test_several_inputs_reduce_to_one() -> None:
    widths, weights = [2, 7], [Fraction(1), Fraction(3, 2), Fraction(2)]
    biases = [Fraction(1, 10), Fraction(1, 5), Fraction(3, 10)]
    metric = LinearMetric([[Fraction(2)]], widths, weights, biases)
    single = deep_relu.metric_moments(
        Fraction(2), widths, weights, biases, slopes=(Fraction(1), Fraction(1)), highest=4
    )
    assert [metric.moment([(0, 0)] * k) for k in range(5)] == single
    for order in (2, 4, 6):
        assert metric.connected_correlator([0] * order) == deep_relu.output_cumulant(single, order)
    assert single_input_moment(Fraction(3), widths, 2) == 9 * Fraction(2) * Fraction(9, 7)


def test_output_labels_select_pairings() -> None:
    metric = LinearMetric([[Fraction(1)]], [4], [Fraction(1)] * 2, [Fraction(0)] * 2)
    assert metric.connected_correlator([0] * 4, [0, 0, 1, 1]) == Fraction(1, 2)
    assert metric.connected_correlator([0] * 4) == Fraction(3, 2)
    assert metric.connected_correlator([0] * 4, [0, 1, 2, 2]) == 0


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_mean_square_moments_of_relu_by_binomial_mixture(order: int) -> None:
    """n S_n is chi-squared with a binomial number of degrees of freedom."""
    n = 5
    exact = Fraction(0)
    for active in range(n + 1):
        chi = math.prod(active + 2 * j for j in range(order))
        exact += Fraction(math.comb(n, active) * chi, 2**n * n**order)
    assert deep_relu.mean_square_moment(n, order, (Fraction(1), Fraction(0))) == exact


def test_layer_counts_are_checked() -> None:
    with pytest.raises(UsageError, match="variances of 2 layers"):
        deep_relu.metric_moments(1.0, [3], [1.0], [0.0], slopes=(1.0, 0.0))
    with pytest.raises(UsageError, match="variances of 2 layers"):
        LinearMetric([[1.0]], [3], [1.0], [0.0])
    with pytest.raises(UsageError, match="order"):
        deep_relu.output_cumulant([1.0, 1.0], 4)


@pytest.mark.parametrize("name", ["linear", "relu", "tanh", "sin", "gelu"])
def test_one_hidden_layer_equals_second_layer_vertices(name: str) -> None:
    """The same cumulants from moments of one neuron and from the exact vertices of layer 2."""
    sigma, weight, width = activation(name), 1.4, 9
    kernel = first_layer_kernel(POINTS, 1.4, 0.1)
    readout = one_hidden_layer.Readout.gaussian(width, weight)
    moment = one_hidden_layer.mlp_moment(sigma, kernel)
    vertex = second_layer_vertex(sigma, kernel, weight)
    packed = {pair: i for i, pair in enumerate(itertools.combinations_with_replacement(range(3), 2))}
    for a, b, c, d in [(0, 1, 2, 2), (0, 0, 1, 1), (1, 1, 1, 1)]:
        pairs = [((a, b), (c, d)), ((a, c), (b, d)), ((a, d), (b, c))]
        total = sum(vertex[packed[p], packed[q]] for p, q in pairs) / width
        found = one_hidden_layer.connected_correlator(readout, moment, (a, b, c, d))
        assert found == pytest.approx(total, rel=1e-10)
    sextic = second_layer_sextic(sigma, kernel[:1, :1], weight, [(0, 0)] * 3)
    found = one_hidden_layer.connected_correlator(readout, moment, (0,) * 6)
    assert found == pytest.approx(15.0 * sextic / width**2, rel=1e-10)


def test_one_hidden_linear_layer_equals_wishart_moments() -> None:
    kernel = first_layer_kernel(POINTS, 1.0, 0.0)
    metric = LinearMetric(kernel.tolist(), [6], [1.0, 0.7], [0.0, 0.0])
    readout = one_hidden_layer.Readout.gaussian(6, 0.7)
    moment = one_hidden_layer.mlp_moment(activation("linear"), kernel)
    for labels in [(0, 1), (0, 0, 1, 2), (0, 0, 1, 1, 2, 2), (0, 1, 1, 2, 2, 2)]:
        found = one_hidden_layer.connected_correlator(readout, moment, labels)
        assert found == pytest.approx(metric.connected_correlator(labels), rel=1e-12)
    with pytest.raises(UsageError, match="order"):
        one_hidden_layer.connected_correlator(readout, moment, (0,) * 8)


@pytest.mark.parametrize("widths", [[3], [4, 5], [2, 3, 4], []])
def test_density_is_normalised_and_has_the_exact_moments(widths: list[int]) -> None:
    """Integrate over z = exp(x) in two output dimensions."""
    metric = 1.3
    x = np.arange(-18.0, 5.5, 0.05)
    values = np.array([density.output_density(math.exp(2.0 * y), 2, metric, widths) for y in x])
    measure = 2.0 * math.pi * np.exp(2.0 * x) * 0.05
    assert np.sum(values * measure) == pytest.approx(1.0, rel=1e-9)
    assert np.sum(values * np.exp(2.0 * x) * measure) == pytest.approx(2.0 * metric, rel=1e-9)
    fourth = 8.0 * single_input_moment(metric, widths, 2)
    assert np.sum(values * np.exp(4.0 * x) * measure) == pytest.approx(fourth, rel=1e-7)


def test_characteristic_function_closed_forms() -> None:
    found = density.characteristic_function(1.3, 0.8, [5])
    assert found == pytest.approx((1.0 + 1.3**2 * 0.8 / 5.0) ** -2.5, rel=1e-12)
    assert density.characteristic_function(1.3, 0.8, []) == math.exp(-0.4 * 1.3**2)
    assert density.characteristic_function(0.0, 0.8, [3, 3]) == 1.0
    with pytest.raises(UsageError, match="density"):
        density.output_density(0.0, 1, 1.0, [3])


def test_orthogonal_square_layers_do_not_depend_on_depth() -> None:
    shallow = orthogonal.component_moment([7, 7], Fraction(1), Fraction(1), 3)
    assert shallow == orthogonal.component_moment([7] * 9, Fraction(1), Fraction(1), 3)
    assert orthogonal.connected_coefficient([7] * 3, Fraction(1), Fraction(1)) == Fraction(-2, 9)


def test_relu_moments_by_sampling() -> None:
    """Forward sampling of a small network, one input; z against the exact moment and its exact error."""
    rng = np.random.default_rng(20240602)
    count, widths = 40_000, [4, 3]
    squares = np.ones(count)
    for width in widths:
        squares = 0.1 + 1.7 * squares * np.mean(np.maximum(rng.normal(size=(count, width)), 0.0) ** 2, axis=1)
    exact = deep_relu.metric_moments(
        1.0, widths, [1.0, 1.7, 1.7], [0.0, 0.1, 0.1], slopes=(1.0, 0.0), highest=2
    )
    error = math.sqrt((exact[2] - exact[1] ** 2) / count)
    assert abs(np.mean(squares) - exact[1]) / error < 5.85
    assert 10.6 * error < 0.1 * exact[1]  # a change of ten per cent would be seen
