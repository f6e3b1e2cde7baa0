"""Kernels that are singular by right, networks that overflow, empty sums: exact, not repaired."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from laws import compiled, network_law, sampled, unpacked

from nnft.errors import NumericalError
from nnft.samplers.initial import ACTIVATION_KINDS, EPSILON, InitialEnsemble

METHODS = ["collapsed", "explicit"]
PRECISIONS = ["float64", "float32"]

Array = npt.NDArray[Any]


def mesh(points: int, dimension: int) -> Array:
    """Random points whose coordinates float32 holds exactly."""
    rng = np.random.default_rng(20240601)
    return rng.standard_normal((points, dimension)).astype(np.float32).astype(np.float64)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("activation", ACTIVATION_KINDS)
def test_repeated_inputs_give_equal_bits(activation: str, precision: str, method: str) -> None:
    x = mesh(4, 3)
    x = x[[0, 1, 0, 2, 3, 1, 0]]
    first = [0, 1, 0, 3, 4, 1, 0]
    law = network_law(x, [5, 70, 3], activation, weight=0.2, bias=0.1, outputs=3, precision=precision)
    for network in range(20):
        metrics, fields = sampled(law, method, network)
        assert np.array_equal(fields, fields[:, first])
        assert np.array_equal(metrics, metrics[:, first][:, :, first])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("width", "points", "dimension"), [(1, 3, 8), (2, 7, 8), (3, 16, 20), (6, 17, 2)])
def test_rank_is_at_most_the_width(width: int, points: int, dimension: int, method: str) -> None:
    """A linear layer of n neurons without bias leaves n directions to any number of outputs."""
    rank = min(width, dimension)
    law = network_law(mesh(points, dimension), [width], "linear", outputs=points + 2)
    for network in range(20):
        metrics, fields = sampled(law, method, network)
        scale = np.linalg.norm(fields)
        assert np.linalg.matrix_rank(metrics[1], tol=1e-12 * metrics[1].max(), hermitian=True) == rank
        assert np.linalg.svd(fields, compute_uv=False)[rank:].max() < 1e-7 * scale


def test_more_points_than_dimensions_is_an_exact_linear_relation() -> None:
    """Points on a line through the origin: outputs of a linear network scale with them."""
    x = np.outer([1.0, 2.0, -4.0, 0.5], [0.5, -1.0, 0.25])
    for method in METHODS:
        for network in range(50):
            _, fields = sampled(network_law(x, [7], "linear", outputs=2), method, network)
            assert np.allclose(fields, np.outer(fields[:, 0], [1.0, 2.0, -4.0, 0.5]), rtol=1e-12, atol=0.0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_dead_relu_layers_are_exactly_zero(precision: str, method: str) -> None:
    """One input, no biases: some networks die, none of them is almost dead."""
    law = network_law(np.array([[1.0, 2.0]]), [1, 2], "relu", weight=2.0, precision=precision)
    values = compiled(law, method).values(0, 2000, draw=True)
    second, third, field = values[:, 1], values[:, 2], values[:, 3]
    assert np.all(third[second == 0.0] == 0.0)
    assert np.all(field[third == 0.0] == 0.0)
    assert np.all((third == 0.0) | (third > 1e-12))
    dead = np.count_nonzero(third == 0.0) / 2000
    probability = 1 - (1 - 1 / 2) * (1 - 1 / 4)
    assert abs(dead - probability) < 5.85 * np.sqrt(probability * (1 - probability) / 2000)


@pytest.mark.parametrize("method", METHODS)
def test_zero_input_without_biases_is_zero(method: str) -> None:
    x = np.vstack([np.zeros((1, 3)), mesh(2, 3), np.zeros((1, 3))])
    for activation in ("tanh", "relu", "linear", "sin", "gelu"):
        metrics, fields = sampled(network_law(x, [4, 9], activation, outputs=2), method, 3)
        assert np.all(metrics[:, [0, 3]] == 0.0)
        assert np.all(fields[:, [0, 3]] == 0.0)
        assert np.all(fields[:, [1, 2]] != 0.0)


@pytest.mark.parametrize("method", METHODS)
def test_zero_variances_leave_constants(method: str) -> None:
    """Weights without variance: the metric is the bias variance, the outputs agree at all inputs."""
    x = mesh(3, 2)
    zero = InitialEnsemble(x, [4], "tanh", (), [0.0, 0.0], [0.0, 0.0], 2, 1, method, "float64")
    assert not zero.values(0, 5, draw=True).any()
    biased = InitialEnsemble(x, [4], "tanh", (), [0.0, 0.0], [0.5, 0.25], 2, 1, method, "float64")
    assert np.all(biased.metrics(0, 5) == np.array([0.5, 0.25])[None, :, None])
    fields = biased.fields(0, 5)
    assert np.all(fields == fields[:, :, :1])
    assert len(np.unique(fields)) == 10


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("method", METHODS)
def test_no_hidden_layer_is_a_gaussian(method: str, precision: str) -> None:
    law = network_law(mesh(5, 3), [], "tanh", bias=0.2, outputs=4, precision=precision)
    values = compiled(law, method).values(0, 4, draw=True)
    metrics = unpacked(values[:, :15].reshape(4, 1, 15), 5)
    assert np.all(metrics == law.first_metric())
    assert len(np.unique(values[:, 15:])) == 4 * 20


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_overflow_names_network_and_layer(precision: str, method: str) -> None:
    """exp of wide normals: layer 2 is finite, layer 3 overflows at the latest."""
    x = np.array([[1.0], [0.5]])
    weights = [25.0, 1e8, 1.0, 1.0]
    ensemble = InitialEnsemble(x, [8] * 3, "exp", (), weights, [0.0] * 4, 1, 7, method, precision)
    with pytest.raises(NumericalError, match=r"not finite in network 4\d, layer 3") as caught:
        ensemble.values(40, 10)
    assert caught.value.exit_code == 5
    tame = InitialEnsemble(x, [8] * 3, "exp", (), [0.1] * 4, [0.0] * 4, 1, 7, method, precision)
    assert np.isfinite(tame.values(40, 10, draw=True)).all()


@pytest.mark.parametrize("method", ["collapsed", "explicit"])
@pytest.mark.parametrize("bad", [np.nan, 1e200])
def test_a_first_kernel_that_is_no_number_is_refused(method: str, bad: float) -> None:
    """The square of 1e200 overflows."""
    x = np.array([[1.0, bad], [0.5, 0.5]])
    with pytest.raises(NumericalError, match="first layer"):
        InitialEnsemble(x, [8], "tanh", (), [1.0, 1.0], [0.0, 0.0], 1, 7, method, "float64")


def test_epsilon_of_the_precisions() -> None:
    assert {name: np.finfo(name).eps for name in EPSILON} == EPSILON
