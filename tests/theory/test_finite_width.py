"""Posteriors at first order in 1/width by averages over kernels, against closed forms and tensors."""

from __future__ import annotations

import numpy as np
import pytest

from nnft.errors import NumericalError, UsageError
from nnft.theory.activations import activation
from nnft.theory.finite_width import FiniteWidthShift, finite_width_shift
from nnft.theory.first_order_posterior import (
    FirstOrderPosterior,
    deep_linear_mean_shift,
    first_order_prior,
    first_order_shift,
)
from nnft.theory.nngp import first_layer_kernel, nngp_kernel

LIMIT = 5.85
DETECTABLE = LIMIT + 4.75
RIDGE = 0.3
RNG = np.random.default_rng(20240601)
POINTS = RNG.normal(size=(9, 3))
TARGETS = RNG.normal(size=5)


def both(
    name: str, widths: tuple[int, ...], bias: float, points: int, train: int
) -> tuple[FiniteWidthShift, FirstOrderPosterior]:
    """The sampled shift and the one of the four-point function."""
    x, y = POINTS[:points], TARGETS[:train]
    layers = len(widths) + 1
    weights, biases = (1.5,) * layers, (bias,) * layers
    sigma = activation(name, ())
    kernels = nngp_kernel(x, name, weights, biases)
    prior = first_order_prior(sigma, first_layer_kernel(x, 1.5, bias), widths, weights, biases)
    exact = first_order_shift(prior.kernel, prior.four_point, train, y, RIDGE, prior.correction)
    asked = slice(train, points)
    return finite_width_shift(sigma, kernels, widths, weights, y, RIDGE, frozen=False, asked=asked), exact


@pytest.mark.parametrize(
    ("name", "widths", "bias", "points", "train"),
    [("sin", (40,), 0.0, 8, 5), ("sin", (40, 30), 0.1, 8, 5), ("relu", (40, 30), 0.0, 5, 3)],
)
def test_averages_over_kernels_are_contractions_of_the_four_point_function(
    name: str, widths: tuple[int, ...], bias: float, points: int, train: int
) -> None:
    found, exact = both(name, widths, bias, points, train)
    assert np.abs((found.mean - exact.mean) / found.mean_error).max() < LIMIT
    assert np.abs((found.covariance - exact.covariance) / found.covariance_error).max() < LIMIT
    # sees a change by a half of the largest component
    assert DETECTABLE * np.linalg.norm(found.mean_error) < 0.9 * np.linalg.norm(exact.mean)
    assert DETECTABLE * np.median(found.covariance_error) < 0.5 * np.abs(exact.covariance).max()
    part = slice(train, points)
    third, fourth = exact.third[part, part, part], exact.fourth[part, part, part, part]
    assert found.third is not None
    assert found.fourth is not None
    assert np.abs(found.third - third).max() < 0.15 * np.abs(third).max()
    assert np.abs(found.fourth - fourth).max() < 0.1 * np.abs(fourth).max()


def test_deep_linear_network() -> None:
    widths = (30, 40)
    kernels = nngp_kernel(POINTS[:7], "linear", (1.5,) * 3, (0.0,) * 3)
    kernel = kernels[-1]
    exact = deep_linear_mean_shift(kernel[:5, :5], kernel[5:, :5], TARGETS, RIDGE, widths)
    found = finite_width_shift(
        activation("linear", ()), kernels, widths, (1.5,) * 3, TARGETS, RIDGE, frozen=False
    )
    assert np.abs((found.mean[5:] - exact) / found.mean_error[5:]).max() < LIMIT
    assert DETECTABLE * np.linalg.norm(found.mean_error[5:]) < 0.2 * np.linalg.norm(exact)
    assert found.third is None


def test_frozen_linear_layer_has_the_moments_of_a_wishart_matrix() -> None:
    # <d_ab d_cd> = (K_ac K_bd + K_ad K_bc) / n for the kernel of n neurons of a linear layer
    width, train = 25, 5
    kernels = nngp_kernel(POINTS, "linear", (1.5, 2.0), (0.0, 0.0))
    kernel = kernels[-1]
    inverse = np.zeros_like(kernel)
    inverse[:train, :train] = np.linalg.inv(kernel[:train, :train] + RIDGE * np.eye(train))
    alpha = inverse[:, :train] @ TARGETS
    response = np.eye(len(kernel)) - kernel @ inverse
    pressed = (kernel @ inverse @ kernel + kernel * np.trace(inverse @ kernel)) / width
    moved = (np.outer(kernel @ alpha, kernel @ alpha) + kernel * (alpha @ kernel @ alpha)) / width
    mean, covariance = -response @ pressed @ alpha, response @ (moved - pressed) @ response.T
    found = finite_width_shift(
        activation("linear", ()), kernels, (width,), (1.5, 2.0), TARGETS, RIDGE, frozen=True
    )
    assert np.abs((found.mean - mean) / found.mean_error).max() < LIMIT
    assert np.abs((found.covariance - covariance) / found.covariance_error).max() < LIMIT
    assert DETECTABLE * np.linalg.norm(found.mean_error) < 0.3 * np.linalg.norm(mean)


def test_other_outputs_weigh_on_all_layers_and_not_on_frozen_ones() -> None:
    kernels = nngp_kernel(POINTS, "linear", (1.5, 2.0), (0.0, 0.0))
    targets = np.column_stack([3.0 * TARGETS[::-1], TARGETS])
    arguments = activation("linear", ()), kernels, (25,), (1.5, 2.0)
    for frozen in (True, False):
        alone = finite_width_shift(*arguments, TARGETS, RIDGE, frozen=frozen)
        beside = finite_width_shift(*arguments, targets, RIDGE, frozen=frozen, observe=1)
        assert np.allclose(alone.mean, beside.mean, rtol=1e-10) == frozen


def test_what_cannot_be_done_is_refused() -> None:
    kernels = nngp_kernel(POINTS, "relu", (1.5,) * 2, (0.0,) * 2)
    arguments = activation("relu", ()), kernels, (8,), (1.5,) * 2
    with pytest.raises(UsageError, match="targets at finite width"):
        finite_width_shift(*arguments, np.ones(10), RIDGE, frozen=False)
    for depth, most in ((1, 160), (2, 64)):
        variances = (1.5,) * (depth + 1)
        many = nngp_kernel(RNG.normal(size=(most + 1, 3)), "relu", variances, (0.0,) * (depth + 1))
        with pytest.raises(UsageError, match=f"at most {most}"):
            finite_width_shift(arguments[0], many, (8,) * depth, variances, TARGETS, RIDGE, frozen=False)
    same = nngp_kernel(POINTS[[0, 0, 1]], "relu", (1.5,) * 2, (0.0,) * 2)
    with pytest.raises(NumericalError, match="singular"):
        finite_width_shift(arguments[0], same, (8,), (1.5,) * 2, TARGETS[:2], 0.0, frozen=False)
    deep = nngp_kernel(np.array([[1.0, 0.0], [2.0, 0.0]]), "relu", (1.5,) * 3, (0.0,) * 3)
    with pytest.raises(NumericalError, match="parallel"):
        finite_width_shift(arguments[0], deep, (8, 8), (1.5,) * 3, TARGETS[:1], RIDGE, frozen=False)
