"""One hidden layer of every activation: all components at once against quadrature.

For the second layer the two-point function and the four-point vertex are exact at every width
(Yaida, arXiv:1910.00019); with several outputs the connected four-point function is
V_(12)(34) for outputs 0011 and the sum of the three pairings for outputs 0000.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from runs import DETECTABLE, LIMIT, SEED, SMALLEST_P, Array, component, estimate, hotelling_p, joint_p

from nnft.theory.activations import ACTIVATION_NAMES, activation
from nnft.theory.nngp import first_layer_kernel, nngp_kernel
from nnft.theory.one_hidden_layer import Readout, connected_correlator, mlp_moment
from nnft.theory.vertex import second_layer_vertex

POINTS = np.array([[1.0, 0.2], [-0.4, 0.8], [0.5, -0.7]])
WIDTH = 8
WEIGHTS, BIASES = (1.0, 1.3), (0.1, 0.2)
# products of eight log-normal neurons have errors that can be trusted only where these are narrow
NARROW = {"exp": ((0.15, 1.3), (0.03, 0.2))}
PAIRS = list(itertools.combinations_with_replacement(range(3), 2))


def exact_vertex(name: str) -> Array:
    """V over packed pairs."""
    weights, biases = NARROW.get(name, (WEIGHTS, BIASES))
    first = first_layer_kernel(POINTS, weights[0], biases[0])
    return second_layer_vertex(activation(name), first, weights[1])


def sector_values(vertex: Array, pattern: str, indices: Array) -> list[float]:
    """Connected four-point function of the sector 0011 or 0000 at the given points."""
    place = {pair: q for q, pair in enumerate(PAIRS)}

    def entry(a: int, b: int, c: int, d: int) -> float:
        return float(vertex[place[min(a, b), max(a, b)], place[min(c, d), max(c, d)]]) / WIDTH

    values = []
    for a, b, c, d in indices.tolist():
        value = entry(a, b, c, d)
        if pattern == "0000":
            value += entry(a, c, b, d) + entry(a, d, b, c)
        values.append(value)
    return values


@pytest.mark.parametrize(("kind", "method"), [("conditional", "collapsed"), ("direct", "explicit")])
@pytest.mark.parametrize("name", ACTIVATION_NAMES)
def test_two_and_four_points(name: str, kind: str, method: str) -> None:
    index = 2 * ACTIVATION_NAMES.index(name) + (kind == "direct")
    networks = 60_000 if kind == "conditional" else 150_000
    weights, biases = NARROW.get(name, (WEIGHTS, BIASES))
    estimator = estimate(
        POINTS, [WIDTH], name, SEED + 1000 + index, networks,
        weight=weights, bias=biases, outputs=2, estimator=kind, method=method,
    )  # fmt: skip
    kernel = nngp_kernel(POINTS, name, weights, biases)[-1]
    two = estimator.result(2)
    assert joint_p(two, [kernel[a, b] for a, b in PAIRS]) > SMALLEST_P
    assert DETECTABLE * two.stderr[0] < 0.2 * kernel[0, 0]
    vertex = exact_vertex(name)
    for pattern in ("0000", "0011"):
        four = estimator.result(4, pattern)
        exact = sector_values(vertex, pattern, four.indices)
        assert joint_p(four, exact) > SMALLEST_P
        row = component(four, [0, 0, 0, 0])
        if kind == "conditional":
            assert DETECTABLE * four.stderr[row] < 0.35 * exact[row]
        assert abs(four.value[row] - exact[row]) < LIMIT * four.stderr[row]


def test_outputs_do_not_mix() -> None:
    """A vertex with its two pairs exchanged for the crossed ones is rejected."""
    estimator = estimate(
        POINTS, [WIDTH], "tanh", SEED + 1100, 60_000, weight=WEIGHTS, bias=BIASES, outputs=2
    )
    four = estimator.result(4, "0011")
    exact = np.array(sector_values(exact_vertex("tanh"), "0011", four.indices))
    crossed = np.array(sector_values(exact_vertex("tanh"), "0011", four.indices[:, [0, 2, 1, 3]]))
    assert joint_p(four, exact) > SMALLEST_P
    assert joint_p(four, crossed) < 1e-30


@pytest.mark.parametrize("name", ["tanh", "relu", "sin", "quadratic"])
def test_six_points(name: str) -> None:
    """kappa_6 of one output and of two outputs, all points equal or different."""
    sigma = activation(name)
    index = ["tanh", "relu", "sin", "quadratic"].index(name)
    moment = mlp_moment(sigma, first_layer_kernel(POINTS, WEIGHTS[0], BIASES[0]))
    readout = Readout.gaussian(WIDTH, WEIGHTS[1], BIASES[1])
    estimator = estimate(
        POINTS[:2], [WIDTH], name, SEED + 1110 + index, 400_000, weight=WEIGHTS, bias=BIASES, orders=(6,)
    )
    six = estimator.result(6)
    exact = [connected_correlator(readout, moment, points) for points in six.indices.tolist()]
    assert joint_p(six, exact) > SMALLEST_P


def test_vertex_of_the_layer_is_that_of_the_correlator() -> None:
    """Layer statistics, all pairs: n Cov of the metric is V."""
    estimator = estimate(
        POINTS, [WIDTH], "gelu", SEED + 1120, 60_000, weight=WEIGHTS, bias=BIASES, layers=True
    )
    kernel = estimator.layer_kernel(2)
    vertex = exact_vertex("gelu")
    rows, columns = np.triu_indices(len(PAIRS))
    value, _ = kernel.four_point_vertex(WIDTH)
    covariance = WIDTH**2 * kernel.vertex.covariance()
    assert hotelling_p(value - vertex[rows, columns], covariance, len(kernel.vertex.bin_counts)) > SMALLEST_P
    wrong = vertex[rows, columns] * (1.0 + 1.0 / WIDTH)
    assert hotelling_p(value - wrong, covariance, len(kernel.vertex.bin_counts)) < SMALLEST_P
