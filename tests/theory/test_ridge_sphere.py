"""Kernels on the sphere: multiplicities, polynomials, eigenvalues, networks of any depth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from nnft.errors import NumericalError, UsageError
from nnft.theory.averaged_predictor import Remainder, averaged_predictor
from nnft.theory.data_averages import Spectrum
from nnft.theory.dot_product_kernels import SphereNetwork
from nnft.theory.equivalent_kernel import equivalent_kernel
from nnft.theory.nngp import nngp_kernel, tangent_kernel
from nnft.theory.sphere_spectrum import (
    SphereSpectrum,
    harmonic_multiplicity,
    legendre_polynomials,
    sphere_spectrum,
)
from nnft.theory.training_kernel import training_kernel

Array = NDArray[np.float64]
SEED = 20240601
DEEP = SphereNetwork("erf", (1.5, 2.0, 1.2), (0.1, 0.2, 0.05))


def _points(count: int, dimension: int, radius_square: float = 1.0) -> Array:
    x = np.random.default_rng(SEED).standard_normal((count, dimension))
    return x * math.sqrt(radius_square * dimension) / np.linalg.norm(x, axis=1, keepdims=True)


def _binomial_multiplicity(dimension: int, degree: int) -> int:
    """Harmonic polynomials: homogeneous ones of degree l less those of degree l - 2."""
    below = math.comb(degree + dimension - 3, dimension - 1) if degree >= 2 else 0
    return math.comb(degree + dimension - 1, dimension - 1) - below


@pytest.mark.parametrize("dimension", [2, 3, 4, 10, 784])
def test_multiplicities_count_harmonic_polynomials(dimension: int) -> None:
    for degree in range(30):
        assert harmonic_multiplicity(dimension, degree) == _binomial_multiplicity(dimension, degree)


@pytest.mark.parametrize("dimension", [2, 3, 5, 40])
def test_polynomials_are_orthogonal(dimension: int) -> None:
    nodes, weights = np.polynomial.legendre.leggauss(400)
    angle = 0.5 * math.pi * (1.0 + nodes)
    measure = weights * np.sin(angle) ** (dimension - 2)
    found = legendre_polynomials(dimension, 12, np.cos(angle))
    gram = (found * measure / measure.sum()) @ found.T
    expected = [1.0 / harmonic_multiplicity(dimension, degree) for degree in range(13)]
    np.testing.assert_allclose(gram, np.diag(expected), atol=1e-13)
    np.testing.assert_allclose(legendre_polynomials(dimension, 12, np.ones(1)), 1.0, rtol=1e-12)
    if dimension == 2:
        np.testing.assert_allclose(found[7], np.cos(7 * angle), atol=1e-12)


@pytest.mark.parametrize("network", [DEEP, SphereNetwork("relu", (2.0,) * 4, (0.0, 0.1, 0.0, 0.0))])
@pytest.mark.parametrize("tangent", [False, True])
def test_kernels_of_any_depth_are_those_of_points(network: SphereNetwork, tangent: bool) -> None:
    points = _points(7, 4)
    cosine = np.clip(points @ points.T / 4.0, -1.0, 1.0)
    variances = network.weight_variances, network.bias_variances
    if tangent:  # weights of unit scale: rates equal to the variances
        expected = training_kernel(points, network.activation, *variances, (), *variances)
        found = network.tangent(cosine)
    else:
        expected = nngp_kernel(points, network.activation, *variances)[-1]
        found = network.nngp(cosine)
    np.testing.assert_allclose(found, expected, rtol=2e-7)  # the diagonal: 1 - t of order 1e-16


def test_rates_and_radius_of_the_tangent_kernel() -> None:
    points = _points(5, 3, radius_square=0.4)
    cosine = np.clip(points @ points.T / 1.2, -1.0, 1.0)
    network = SphereNetwork(
        "tanh", (1.5, 2.0), (0.1, 0.2), weight_rates=(1.0, 1.0), bias_rates=(0.5, 0.5), radius_square=0.4
    )
    expected = tangent_kernel(points, "tanh", (1.5, 2.0), (0.1, 0.2), weight_rate=1.0, bias_rate=0.5)[-1]
    np.testing.assert_allclose(network.tangent(cosine), expected, rtol=1e-9)
    frozen = SphereNetwork("tanh", (1.5, 2.0), (0.0, 0.0), weight_rates=(0.0, 2.0))
    np.testing.assert_allclose(frozen.tangent(cosine), frozen.nngp(cosine), rtol=1e-12)


@pytest.mark.parametrize("dimension", [2, 3, 8, 100])
def test_levels_sum_to_the_kernel(dimension: int) -> None:
    """Mercer's sum at several angles; the network's kernel is analytic, so the sum ends soon."""
    found = sphere_spectrum(DEEP.nngp, dimension, 40)
    t = np.array([-0.9, -0.2, 0.0, 0.4, 0.8])
    polynomials = legendre_polynomials(dimension, 40, t)
    rebuilt = (found.multiplicities * found.eigenvalues) @ polynomials
    # Polynomials are at most 1 in size, so that what is missing is at most the tail.
    np.testing.assert_allclose(rebuilt, DEEP.nngp(t), rtol=0.0, atol=found.tail + 1e-10)
    assert found.trace == pytest.approx(float(DEEP.nngp(np.ones(1))[0]))
    assert 0.0 <= found.tail < (1e-3 if dimension > 50 else 1e-4) * found.trace
    short = sphere_spectrum(DEEP.nngp, dimension, 3)
    np.testing.assert_array_equal(short.eigenvalues, found.eigenvalues[:4])
    assert short.tail == pytest.approx(short.trace - short.multiplicities @ short.eigenvalues)


def test_circle_against_a_fourier_transform() -> None:
    count = 4096
    angle = 2.0 * math.pi * np.arange(count) / count
    fourier = np.fft.rfft(DEEP.tangent(np.cos(angle))).real[:8] / count
    found = sphere_spectrum(DEEP.tangent, 2, 7)
    np.testing.assert_allclose(found.eigenvalues, fourier, rtol=1e-10)


def test_polynomial_kernels_exactly() -> None:
    """(x.x')^2 with |x| = 1: 2 / (d (d + 2)) in degree 2 and 1 / d in degree 0."""
    for dimension in (3, 50, 10**6):
        found = sphere_spectrum(lambda t: t**2, dimension, 4)
        expected = [1.0 / dimension, 0.0, 2.0 / (dimension * (dimension + 2.0)), 0.0, 0.0]
        np.testing.assert_allclose(found.eigenvalues, expected, rtol=1e-9, atol=0.0)
    linear = sphere_spectrum(lambda t: 3.0 * t, 7, 2)
    np.testing.assert_allclose(linear.eigenvalues, [0.0, 3.0 / 7.0, 0.0], rtol=1e-12)


def test_eigenvalues_of_a_kernel_matrix_on_random_points() -> None:
    """The three levels of degree 1 of a kernel matrix over its size; its error is of order 1/sqrt(points)."""
    points = _points(1500, 3)
    network = SphereNetwork("erf", (1.0, 1.0), (0.0, 0.0))
    matrix = nngp_kernel(points, "erf", (1.0, 1.0), (0.0, 0.0))[-1] / len(points)
    largest = np.linalg.eigvalsh(matrix)[::-1][:3]
    level = sphere_spectrum(network.nngp, 3, 1).eigenvalues[1]
    assert largest.mean() == pytest.approx(level, rel=0.01)
    assert np.all(np.abs(largest / level - 1.0) < 6.0 / math.sqrt(len(points)))


def test_what_is_no_kernel_is_refused() -> None:
    with pytest.raises(NumericalError, match="semidefinite"):
        sphere_spectrum(lambda t: -t, 5, 3)
    with pytest.raises(NumericalError, match="finite"):
        sphere_spectrum(lambda t: np.where(t > 0.5, np.inf, 1.0), 5, 3)
    with pytest.raises(NumericalError, match="finite"):
        SphereNetwork("exp", (1e3, 1.0), (0.0, 0.0)).nngp(np.ones(2))
    for dimension, degree in ((1, 3), (10**6 + 1, 3), (3, -1), (3, 201)):
        with pytest.raises(UsageError, match="sphere"):
            sphere_spectrum(lambda t: t, dimension, degree)
    for arguments in (((1.0,), (0.0, 0.0)), ((), ()), ((-1.0,), (0.0,)), ((1.0,), (math.nan,))):
        with pytest.raises(UsageError, match="layers"):
            SphereNetwork("erf", *arguments)
    with pytest.raises(UsageError, match="norm"):
        SphereNetwork("erf", (1.0,), (0.0,), radius_square=0.0)


def test_tail_is_never_negative() -> None:
    assert SphereSpectrum(3, np.array([1.0]), np.ones(1), 1.0 - 1e-16).tail == 0.0


def test_direct_regression_on_the_sphere() -> None:
    """A deep erf network's kernel and a target of degrees 1 and 3: features are not Gaussian, but many.

    Deviations of order 1/P are far below the standard errors of 2 %; theories without the data's
    fluctuations are off by a factor of two.
    """
    network, ridge, noise = SphereNetwork("erf", (1.5,) * 3, (0.0,) * 3), 0.05, 0.05
    found = sphere_spectrum(network.nngp, 10, 12)
    power = np.zeros(13)
    power[[1, 3]] = 0.8, 0.2
    kept = found.eigenvalues > 0.0
    spectrum = Spectrum(found.eigenvalues[kept], found.multiplicities[kept], power[kept], noise)
    generator = np.random.default_rng(SEED + 1)

    def draw(count: int) -> tuple[Array, Array]:
        x = generator.standard_normal((count, 10))
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        third = legendre_polynomials(10, 3, x[:, 1])[3]
        return x, math.sqrt(0.8 * 10) * x[:, 0] + math.sqrt(0.2 * 210) * third

    for points in (30, 100):
        errors = []
        for _ in range(100):
            (x, y), (test, clean) = draw(points), draw(200)
            y = y + math.sqrt(noise) * generator.standard_normal(points)
            gram, cross = (network.nngp(np.clip(a @ x.T, -1.0, 1.0)) for a in (x, test))
            mean = cross @ np.linalg.solve(gram + ridge * np.eye(points), y)
            errors.append(np.mean((mean - clean) ** 2))
        stderr = np.std(errors, ddof=1) / math.sqrt(len(errors))
        theory = averaged_predictor(spectrum, points, ridge, Remainder(found.tail, 0.0))
        assert abs(np.mean(errors) - theory.clean_error) / stderr < 5.85
        assert (5.85 + 4.75) * stderr < 0.3 * theory.clean_error
        plain = equivalent_kernel(spectrum, points, ridge, Remainder(found.tail, 0.0))
        for wrong in (plain.bias, theory.bias, theory.square_error):
            assert abs(np.mean(errors) - wrong) / stderr > 5.85
