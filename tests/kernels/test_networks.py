"""The compiled samplers against their NumPy twins, network by network and layer by layer."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from laws import PARAMETERS, deviation, network_law, sampled

from nnft._kernels import ensemble
from nnft._kernels.reference_networks import (
    NetworkLaw,
    collapsed_layer_reference,
    collapsed_network_reference,
    collapsed_outputs_reference,
    explicit_network_reference,
    upper_factor_reference,
)
from nnft.samplers.initial import ACTIVATION_KINDS

POINTS = [1, 2, 3, 4, 5, 7, 16, 17]
WIDTHS = [1, 2, 3, 8, 15, 64, 65, 300]
TOLERANCE = {"float64": 1e-12, "float32": 1e-5}
PRECISIONS = ["float64", "float32"]

Array = npt.NDArray[Any]


def mesh(points: int, dimension: int, precision: str, seed: int = 0) -> Array:
    """Random points whose coordinates float32 holds exactly."""
    rng = np.random.default_rng(20240601 + seed)
    return rng.standard_normal((points, dimension)).astype(precision).astype(np.float64)


def check_collapsed(law: NetworkLaw, network: int) -> None:
    """Every layer given the compiled metric of the layer before, so that rounding does not pile up."""
    metrics, fields = sampled(law, "collapsed", network)
    assert np.array_equal(metrics[0], law.first_metric())
    limit = TOLERANCE[law.precision]
    for layer in range(1, law.layers):
        expected = collapsed_layer_reference(law, network, layer, metrics[layer - 1])
        assert deviation(metrics[layer], expected) < limit
    expected = collapsed_outputs_reference(law, network, metrics[-1])
    scale = np.sqrt(metrics[-1].max())
    assert np.all(abs(fields - expected) <= limit * 10 * scale)


def check_explicit(law: NetworkLaw, network: int) -> None:
    """Metrics and outputs of the whole network."""
    metrics, fields = sampled(law, "explicit", network)
    expected_metrics, expected_fields = explicit_network_reference(law, network)
    limit = TOLERANCE[law.precision]
    assert np.array_equal(metrics[0], law.first_metric())
    for found, expected in zip(metrics[1:], expected_metrics[1:], strict=True):
        assert deviation(found, expected) < limit
    scale = np.sqrt(expected_metrics[-1].max())
    assert np.all(abs(fields - expected_fields) <= limit * 10 * scale)


CHECKS = {"collapsed": check_collapsed, "explicit": check_explicit}
METHODS = list(CHECKS)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("points", POINTS)
def test_every_width_and_number_of_points(points: int, precision: str, method: str) -> None:
    x = mesh(points, 3, precision)
    for index, width in enumerate(WIDTHS):
        bias, outputs = 0.2 * (index % 2), 1 + index % 3
        law = network_law(x, [width], "tanh", bias=bias, outputs=outputs, precision=precision)
        CHECKS[method](law, 1000 + index)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("widths", [[], [8], [3, 17], [65, 15, 40], [16, 16, 16], [300, 5, 64]])
def test_depth_and_unequal_widths(widths: list[int], precision: str, method: str) -> None:
    for bias, outputs in itertools.product((0.0, 0.3), (1, 5)):
        law = network_law(
            mesh(4, 6, precision), widths, "gelu", weight=1.5, bias=bias, outputs=outputs, precision=precision
        )
        CHECKS[method](law, (1 << 33) + 5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("activation", ACTIVATION_KINDS)
def test_every_activation(activation: str, precision: str, method: str) -> None:
    law = network_law(
        mesh(3, 2, precision), [20, 33], activation, weight=0.4, bias=0.1, outputs=2, precision=precision
    )
    CHECKS[method](law, 7)


@pytest.mark.parametrize("dimension", [1, 15, 16, 17, 63, 64, 65, 130])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_input_dimension(dimension: int, precision: str) -> None:
    law = network_law(mesh(5, dimension, precision), [9], "sin", outputs=4, bias=0.5, precision=precision)
    check_explicit(law, 3)
    check_collapsed(law, 3)


def test_many_points_and_tiles() -> None:
    """More strips than one tile holds, and a last tile that is not full."""
    check_collapsed(network_law(mesh(2, 2, "float64"), [1037, 2100], "relu", weight=2.0), 1)
    check_collapsed(network_law(mesh(33, 40, "float64"), [515], "erf", weight=2.0), 1)
    check_collapsed(network_law(mesh(2, 2, "float32"), [4099], "relu", weight=2.0, precision="float32"), 1)


def test_a_whole_collapsed_network_from_its_address_alone() -> None:
    """Well-conditioned kernels: nothing is taken from the compiled sampler."""
    for activation in ("linear", "relu", "tanh"):
        law = network_law(mesh(3, 8, "float64"), [64, 96, 80], activation, weight=1.5, outputs=3)
        metrics, fields = sampled(law, "collapsed", 12345)
        expected_metrics, expected_fields = collapsed_network_reference(law, 12345)
        assert deviation(metrics, expected_metrics) < 1e-12
        assert abs(fields - expected_fields).max() < 1e-11 * np.sqrt(expected_metrics[-1].max())


def test_networks_and_seeds_differ() -> None:
    law = network_law(mesh(2, 2, "float64"), [4, 4], "tanh", outputs=2)
    fields = [sampled(law, method, n, s)[1] for method in METHODS for n in (0, 1, 1 << 40) for s in (1, 2)]
    assert len({f.tobytes() for f in fields}) == len(fields)


# ---- factors ----


def kernel_of_rank(points: int, rank: int, seed: int) -> Array:
    """A kernel whose entries are small whole numbers."""
    columns = np.random.default_rng(20240601 + seed).integers(-3, 4, size=(rank, points)).astype(np.float64)
    return columns.T @ columns


@pytest.mark.parametrize("points", [1, 2, 3, 5, 8, 17, 64])
def test_factor_is_that_of_its_twin(points: int) -> None:
    for seed, rank in itertools.product(range(3), {1, max(1, points // 2), points, 2 * points}):
        kernel = kernel_of_rank(points, rank, seed)
        tolerance = 8 * points * 2.0**-52
        factor = ensemble.upper_factor(kernel, tolerance)
        assert np.array_equal(factor, upper_factor_reference(kernel, tolerance))
        assert abs(factor.T @ factor - kernel).max() <= 64 * points * 2.0**-52 * kernel.max()
        assert np.array_equal(factor, np.triu(factor))


def test_a_factor_keeps_what_is_small_but_real() -> None:
    """Rank is judged against rounding, not against a ridge: 1e-13 of the diagonal survives."""
    kernel = np.array([[1.0, 1.0], [1.0, 1.0 + 1e-13]])
    factor = ensemble.upper_factor(kernel, 16 * 2.0**-52)
    assert factor[1, 1] == pytest.approx(np.sqrt(1e-13), rel=1e-2)
    kernel[1, 1] = 1.0 + 2.0**-52
    assert ensemble.upper_factor(kernel, 16 * 2.0**-52)[1, 1] == 0.0


def test_every_activation_is_covered() -> None:
    assert len(ACTIVATION_KINDS) == 13
    assert set(PARAMETERS) <= set(ACTIVATION_KINDS)
