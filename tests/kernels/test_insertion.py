"""Weighted readouts: the compiled kernels against their NumPy twins."""

from __future__ import annotations

import numpy as np
import pytest

from nnft._kernels.insertion import EXPONENTIAL, LARGEST_EXPONENT, energies, weigh
from nnft._kernels.reference_insertion import energies_reference, weights_reference
from nnft.estimators.insertion import deformation_energies
from nnft.samplers.initial import ACTIVATION_KINDS

SEED = 20240601
SHAPES = [(1, 1, 1), (3, 2, 4), (8, 1, 16), (5, 3, 7)]


def potential(points: int, seed: int) -> np.ndarray:
    """Couplings phi2, phi4, phi6 at every point, of either sign but the last."""
    rng = np.random.default_rng(SEED + seed)
    return np.stack([rng.normal(size=points), rng.normal(size=points), rng.uniform(0.1, 1.0, points)])


@pytest.mark.parametrize("total", [False, True])
@pytest.mark.parametrize(("readouts", "outputs", "points"), SHAPES)
def test_energies_are_those_of_the_twins(readouts: int, outputs: int, points: int, total: bool) -> None:
    fields = np.random.default_rng(SEED).normal(size=(readouts, outputs, points)) * 1.5
    couplings = potential(points, points)
    coefficients = couplings * 0.7 / np.array([[2.0], [24.0], [720.0]])
    found = energies(fields, coefficients, total)
    np.testing.assert_allclose(found, energies_reference(fields, coefficients, total), rtol=1e-12, atol=1e-13)
    options = dict(zip(("phi2", "phi4", "phi6"), couplings, strict=True))
    public = deformation_energies(fields, **options, cell=0.7, invariance="total" if total else "each")
    np.testing.assert_allclose(found, public, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("total", [False, True])
@pytest.mark.parametrize(("readouts", "outputs", "points"), SHAPES)
def test_weights_are_those_of_the_twin(readouts: int, outputs: int, points: int, total: bool) -> None:
    rng = np.random.default_rng(SEED + 1)
    first, size = 5, readouts * outputs * points
    coefficients = potential(points, 9)
    values = np.full((4, first + size + readouts + 2), np.nan)
    values[:, first : first + size] = rng.normal(size=(4, size))
    expected = weights_reference(values[:, : first + size], first, readouts, coefficients, total, 0.3)
    numbers = np.array([readouts, outputs, total, 0, 0])
    for row in values:
        weigh(row, first, numbers, coefficients, 0.3, np.zeros(readouts))
    np.testing.assert_allclose(values[:, first + size :], expected, rtol=1e-12)
    assert np.isnan(values[:, :first]).all()


def test_extreme_exponents_neither_overflow_nor_stop_the_others() -> None:
    """V from far below the shift to infinity: cut above exp(300), zero where V is infinite."""
    values = np.array([0.0, 1.0, 1e20, 1e200, 40.0, np.nan, np.nan, np.nan, np.nan, np.nan, np.nan, np.nan])
    coefficients = np.array([[0.0], [0.0], [1.0]])
    weigh(values, 0, np.array([5, 1, 0, 0, 0]), coefficients, 1e6, np.zeros(5))
    assert values[5:10].tolist() == pytest.approx([np.exp(300.0) / 5, np.exp(300.0) / 5, 0.0, 0.0, 0.0])
    assert values[11] == 2
    assert np.isfinite(values[10] ** 2)
    assert LARGEST_EXPONENT == 300.0


def test_number_of_the_exponential() -> None:
    assert ACTIVATION_KINDS["exp"] == EXPONENTIAL
