"""Couplings of random networks against the couplings of their exact cumulants.

At one hidden layer, for linear networks and for ReLU networks on one input the cumulants are known at
every width; the action is a fixed function of them. Its value at the estimated cumulants has a bias of
order 1/M, far below its error at these M. Deeper networks are held to the 1/n expansion.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from runs import DETECTABLE, LIMIT, SEED, SMALLEST_P, Array, check_band, estimate
from sources import EstimatorSource

from nnft.actions.action import Action, action
from nnft.actions.expansion import expand
from nnft.actions.symmetric import components, dense, pack
from nnft.estimators.joint_test import joint_test
from nnft.theory.activations import activation
from nnft.theory.deep_linear import LinearMetric
from nnft.theory.deep_relu import metric_moments, output_cumulant
from nnft.theory.nngp import first_layer_kernel, nngp_kernel
from nnft.theory.one_hidden_layer import Readout, connected_correlator, mlp_moment
from nnft.theory.vertex import layer_predictions

POINTS = np.array([[1.0, 0.2], [-0.4, 0.8], [0.5, -0.7]])
WEIGHTS, BIASES = (1.5, 1.3), (0.1, 0.2)


def expected(cumulant: dict[int, Array], size: int) -> dict[str, Array]:
    """Every table of an action, from exact packed cumulants; the leading ones written out as sums."""
    square = np.empty((size, size))
    first, second = np.triu_indices(size)
    square[first, second] = square[second, first] = cumulant[2]
    orders = expand(square, cumulant[4], cumulant.get(6))
    inverse = np.linalg.inv(square)
    four = dense(cumulant[4], size, 4)
    lowered = np.einsum("abcd,ai,bj,ck,dl->ijkl", four, inverse, inverse, inverse, inverse)
    tadpole = 0.5 * np.einsum("ijkl,kl->ij", lowered, square)
    upper = [part.quadratic[first, second] for part in orders]
    tables = {
        "free": inverse[first, second],
        "quadratic_leading": (inverse + tadpole)[first, second],
        "quartic_leading": pack(-lowered),
    }
    if len(orders) > 2:
        tables |= {
            "quadratic_next": sum(upper),
            "quartic_next": orders[1].quartic + orders[2].quartic,
            "sextic": orders[2].sextic,
        }
    return tables


def check(found: Action, tables: dict[str, Array], sees: float) -> list[float]:
    """All components of every table at once, and one by one; returns the pulls of lambda_0000."""
    for name, exact in tables.items():
        table = found.replicated(name)
        test = joint_test(table.value - exact, table.deviations())
        assert test.p_value > SMALLEST_P, name
        pulls = (table.value - exact) / table.stderr()
        assert np.all(np.abs(pulls) < LIMIT), (name, pulls)
    quartic = found.replicated("quartic_leading")
    exact = tables["quartic_leading"]
    assert DETECTABLE * quartic.stderr()[0] < sees * abs(exact[0])
    return [float((quartic.value[0] - exact[0]) / quartic.stderr()[0])]


def one_hidden_layer(name: str, width: int, orders: Sequence[int], points: Array) -> dict[int, Array]:
    """Exact packed cumulants of a network with one hidden layer."""
    moment = mlp_moment(activation(name), first_layer_kernel(points, WEIGHTS[0], BIASES[0]))
    readout = Readout.gaussian(width, WEIGHTS[1], BIASES[1])
    return {
        order: np.array(
            [
                connected_correlator(readout, moment, where)
                for where in components(len(points), order).tolist()
            ]
        )
        for order in orders
    }


@pytest.mark.parametrize("name", ["relu", "erf", "tanh"])
def test_one_hidden_layer_at_widths_8_to_1024(name: str) -> None:
    """Leading order on three points; the coupling is exactly proportional to 1/n."""
    unit = one_hidden_layer(name, 1, (2, 4), POINTS)
    pulls: list[float] = []
    for place, width in enumerate((8, 32, 128, 1024)):
        index = ["relu", "erf", "tanh"].index(name) * 4 + place
        estimator = estimate(POINTS, [width], name, SEED + 3000 + index, 30_000, weight=WEIGHTS, bias=BIASES)
        found = action(EstimatorSource(estimator, POINTS))
        exact = {2: unit[2], 4: unit[4] / width}
        pulls += check(found, expected(exact, len(POINTS)), sees=0.5)
    check_band(pulls)


@pytest.mark.parametrize("name", ["relu", "erf", "tanh"])
def test_next_order_at_one_hidden_layer(name: str) -> None:
    """Orders 2, 4, 6 on two points: tadpoles, quartic and sextic couplings through 1/N^2."""
    unit = one_hidden_layer(name, 1, (2, 4, 6), POINTS[:2])
    for place, width in enumerate((16, 128)):
        index = ["relu", "erf", "tanh"].index(name) * 2 + place
        estimator = estimate(
            POINTS[:2], [width], name, SEED + 3020 + index, 200_000, weight=WEIGHTS, bias=BIASES, orders=(6,)
        )
        found = action(EstimatorSource(estimator, POINTS[:2]))
        exact = {2: unit[2], 4: unit[4] / width, 6: unit[6] / width**2}
        check(found, expected(exact, 2), sees=0.3)


def test_a_wrong_factor_is_seen() -> None:
    """The control: five per cent more vertex, or the tadpole with the other sign, is rejected."""
    unit = one_hidden_layer("tanh", 1, (2, 4), POINTS)
    estimator = estimate(POINTS, [32], "tanh", SEED + 3005, 30_000, weight=WEIGHTS, bias=BIASES)
    found = action(EstimatorSource(estimator, POINTS))
    right = expected({2: unit[2], 4: unit[4] / 32}, 3)
    quartic, quadratic = found.replicated("quartic_leading"), found.replicated("quadratic_leading")
    more = joint_test(quartic.value - 1.08 * right["quartic_leading"], quartic.deviations())
    assert more.p_value < SMALLEST_P
    flipped = 2.0 * right["free"] - right["quadratic_leading"]
    assert joint_test(quadratic.value - flipped, quadratic.deviations()).p_value < SMALLEST_P


@pytest.mark.parametrize("widths", [(12, 7), (6, 17, 9), (64, 64, 64)])
def test_deep_linear(widths: tuple[int, ...]) -> None:
    """Several inputs, exact at every width (rank two: two points in the plane)."""
    points = np.array([[1.0, 0.5], [0.2, -1.0]])
    layers = len(widths) + 1
    weights, biases = [1.0 + 0.1 * k for k in range(layers)], [0.1] * layers
    metric = LinearMetric((points @ points.T / 2).tolist(), widths, weights, biases)
    exact = {
        order: np.array(
            [metric.connected_correlator(where, [0] * order) for where in components(2, order).tolist()]
        )
        for order in (2, 4)
    }
    estimator = estimate(points, widths, "linear", SEED + 3030 + layers, 100_000, weight=weights, bias=biases)
    check(action(EstimatorSource(estimator, points)), expected(exact, 2), sees=0.6)


@pytest.mark.parametrize("width", [8, 64, 1024])
def test_deep_relu_on_one_input(width: int) -> None:
    widths, weights, biases = (width,) * 3, [2.0, 1.7, 1.9, 1.5], [0.1] * 4
    moments = metric_moments(0.485, widths, weights, biases, slopes=(1.0, 0.0))
    exact = {order: np.array([float(output_cumulant(moments, order))]) for order in (2, 4)}
    networks = 200_000 if width < 1024 else 20_000
    estimator = estimate(
        [[0.9, -0.4]], widths, "relu", SEED + 3040 + width, networks, weight=weights, bias=biases
    )
    check(action(EstimatorSource(estimator, [[0.9, -0.4]])), expected(exact, 1), sees=0.4)


@pytest.mark.parametrize("name", ["erf", "tanh", "relu"])
def test_deep_networks_follow_the_recursion(name: str) -> None:
    """n lambda_4 at three hidden layers, extrapolated from n and 2n, is that of the vertex recursion.

    2 (2n lambda(2n)) - n lambda(n) = limit + O((L/n)^2), about 0.1 % here, below its error.
    """
    points, width = POINTS[:2], 192
    weights, biases = [1.5] * 4, [0.1] * 4
    first = first_layer_kernel(points, weights[0], biases[0])
    layers = layer_predictions(activation(name), first, [width] * 3, weights, biases)
    vertex, kernel = layers[-1].vertex, nngp_kernel(points, name, weights, biases)[-1]
    place = {(0, 0): 0, (0, 1): 1, (1, 0): 1, (1, 1): 2}
    four = np.array(
        [
            vertex[place[a, b], place[c, d]]
            + vertex[place[a, c], place[b, d]]
            + vertex[place[a, d], place[b, c]]
            for a, b, c, d in components(2, 4).tolist()
        ]
    )
    limit = expected({2: kernel[np.triu_indices(2)], 4: four}, 2)["quartic_leading"]
    index = ["erf", "tanh", "relu"].index(name) * 2
    values, deviations = [], []
    for k, n in enumerate((width, 2 * width)):
        estimator = estimate(
            points, [n] * 3, name, SEED + 3050 + index + k, 40_000, weight=weights, bias=biases
        )
        table = action(EstimatorSource(estimator, points)).replicated("quartic_leading")
        values.append(n * table.value)
        deviations.append(n * table.deviations())
    difference = 2.0 * values[1] - values[0] - limit
    spread = np.concatenate([2.0 * deviations[1], -deviations[0]], axis=1)
    error = np.sqrt((spread**2).sum(axis=1))
    assert np.all(np.abs(difference) < LIMIT * error), difference / error
    assert DETECTABLE * error[0] < 0.5 * abs(limit[0])
