"""Two-point averages, quadrature and their derivatives with respect to the kernel."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nnft.errors import NumericalError, UsageError
from nnft.theory.activations import ACTIVATION_NAMES, activation
from nnft.theory.gaussian_averages import kernel_average, pair_average
from nnft.theory.gaussian_derivatives import pair_curvature, pair_jacobian
from nnft.theory.product_averages import pair_indices
from nnft.theory.quadrature import gaussian_average, range_factor, trapezoid_rule, trapezoid_step
from nnft.theory.single_input import single_input_averages

SMOOTH = [name for name in ACTIVATION_NAMES if "relu" not in name]
KERNEL = np.array([[1.1, 0.4, -0.3], [0.4, 0.7, 0.2], [-0.3, 0.2, 1.6]])


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("orders", [(0, 0), (1, 1), (0, 2), (2, 2), (1, 3), (4, 0)])
def test_pair_averages_against_plain_quadrature(name: str, orders: tuple[int, int]) -> None:
    sigma = activation(name)
    kernel = KERNEL[:2, :2]

    def product(z: np.ndarray) -> np.ndarray:
        return sigma.derivative(z[0], orders[0]) * sigma.derivative(z[1], orders[1])

    expected = float(gaussian_average(product, kernel, 0.05))
    found = float(pair_average(sigma, kernel[0, 0], kernel[0, 1], kernel[1, 1], orders))
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("name", ACTIVATION_NAMES)
def test_coincident_points_equal_one_argument(name: str) -> None:
    sigma = activation(name)
    for variance in (1e-3, 0.8, 2.5):
        kernel = np.full((2, 2), variance)
        mean = single_input_averages(sigma, variance)
        np.testing.assert_allclose(kernel_average(sigma, kernel), mean.s2, rtol=4e-14)
        np.testing.assert_allclose(kernel_average(sigma, kernel, (1, 1)), mean.d2, rtol=4e-14)


@pytest.mark.parametrize("name", ACTIVATION_NAMES)
def test_zero_kernel_and_nearly_equal_points(name: str) -> None:
    sigma = activation(name)
    origin = float(sigma(np.zeros(1))[0])
    assert np.all(np.abs(kernel_average(sigma, np.zeros((2, 2))) - origin**2) < 1e-15)
    near = np.array([[1.0, 1.0 - 1e-12], [1.0 - 1e-12, 1.0]])
    values = kernel_average(sigma, near)
    assert abs(values[0, 1] / values[0, 0] - 1.0) < 1e-11
    opposite = kernel_average(sigma, np.array([[1.0, -1.0], [-1.0, 1.0]]))
    u, weights = trapezoid_rule(0.01, 12.0)
    expected = float(np.sum(sigma(u) * sigma(-u) * weights))
    assert opposite[0, 1] == pytest.approx(expected, rel=2e-4 if sigma.kinked else 1e-12, abs=1e-14)


def test_kernel_average_is_symmetric_and_psd() -> None:
    points = np.random.default_rng(20240601).normal(size=(12, 3))
    points[5] = points[2]
    gram = np.einsum("ai,bi->ab", points, points)
    for name in ACTIVATION_NAMES:
        result = kernel_average(activation(name), 0.3 * gram)
        assert np.array_equal(result, result.T)
        np.testing.assert_allclose(result[2], result[5], rtol=1e-14, atol=1e-15)
        assert np.linalg.eigvalsh(result)[0] > -1e-12 * np.trace(result)


@pytest.mark.parametrize("name", ["tanh", "silu", "gelu", "erf"])
def test_step_is_fine_enough(name: str) -> None:
    sigma = activation(name)
    for variance in (0.3, 1.7, 6.0):
        step = trapezoid_step(sigma, variance, 4)
        kernel = variance * np.array([[1.0, 0.4], [0.4, 0.9]])
        averages = [
            gaussian_average(lambda z: (sigma(z[0]) * sigma(z[1])) ** 2, kernel, h) for h in (step, step / 2)
        ]
        assert averages[0] == pytest.approx(averages[1], rel=1e-14)
        coarse = gaussian_average(lambda z: (sigma(z[0]) * sigma(z[1])) ** 2, kernel, 4.0 * step)
        assert abs(coarse / averages[1] - 1.0) > 1e-13


def test_quadrature_over_the_range_of_a_singular_covariance() -> None:
    factor = np.array([[1.0, 0.5], [-0.3, 0.8], [0.7, 1.3]])
    covariance = factor @ factor.T
    assert range_factor(covariance).shape == (3, 2)
    moment = gaussian_average(lambda z: z[0] ** 2 * z[1] * z[2], covariance, 0.5)
    c = covariance
    assert moment == pytest.approx(c[0, 0] * c[1, 2] + 2 * c[0, 1] * c[0, 2], rel=1e-13)
    assert gaussian_average(lambda z: np.cos(z[0]), np.zeros((1, 1)), 0.5) == 1.0


def test_quadrature_in_three_dimensions() -> None:
    signs = np.array([1.0, -1.0, 2.0])
    wave = gaussian_average(lambda z: np.cos(signs @ z), KERNEL, 0.3)
    assert wave == pytest.approx(math.exp(-0.5 * signs @ KERNEL @ signs), rel=1e-12)


def test_refusals() -> None:
    with pytest.raises(UsageError, match="kinked"):
        trapezoid_step(activation("relu"), 1.0, 2)
    with pytest.raises(UsageError, match="too many dimensions"):
        gaussian_average(lambda z: z[0], np.eye(4), 0.5)
    with pytest.raises(UsageError, match="negative eigenvalue"):
        range_factor(np.array([[1.0, 2.0], [2.0, 1.0]]))
    with pytest.raises(UsageError, match="square"):
        range_factor(np.ones((2, 3)))
    with pytest.raises(NumericalError, match="finite"):
        range_factor(np.array([[math.nan]]))
    with pytest.raises(UsageError, match="kinked"):
        pair_average(activation("relu"), np.ones(1), np.zeros(1), np.ones(1), (2, 2))
    with pytest.raises(NumericalError, match="parallel"):
        pair_curvature(activation("relu"), np.ones((2, 2)), np.ones((3, 3)))


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "tanh", "gelu", "quadratic", "cos"])
def test_jacobian_and_curvature_against_differences(name: str) -> None:
    """Central differences of the averages themselves, in every direction of the kernel."""
    sigma = activation(name, (1.0, -0.2) if name == "leaky_relu" else ())
    first, second = pair_indices(3)
    jacobian, h = pair_jacobian(sigma, KERNEL), 1e-4

    def averages(shift: np.ndarray) -> np.ndarray:
        kernel = KERNEL.copy()
        kernel[first, second] += shift
        kernel[second, first] = kernel[first, second]
        return kernel_average(sigma, kernel)[first, second]

    unit = np.eye(first.size)
    numerical = np.stack([(averages(h * e) - averages(-h * e)) / (2 * h) for e in unit], axis=1)
    np.testing.assert_allclose(jacobian, numerical, atol=2e-7)
    direction = np.array([0.3, -0.5, 0.2, 0.7, 0.1, -0.4])
    bend = (averages(h * direction) - 2 * averages(0 * direction) + averages(-h * direction)) / h**2
    curvature = pair_curvature(sigma, KERNEL, np.outer(direction, direction))
    np.testing.assert_allclose(curvature, bend, atol=2e-6)
