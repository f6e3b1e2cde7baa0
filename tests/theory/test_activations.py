"""Activations and their derivatives against arbitrary-precision differentiation."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest

from nnft.errors import UsageError
from nnft.theory.activations import ACTIVATION_NAMES, DEFAULT_PARAMETERS, activation

EXACT = {
    "linear": lambda z: z,
    "tanh": mpmath.tanh,
    "erf": mpmath.erf,
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "gelu": lambda z: z * mpmath.erfc(-z / mpmath.sqrt(2)) / 2,
    "silu": lambda z: z / (1 + mpmath.exp(-z)),
    "softplus": lambda z: mpmath.log(1 + mpmath.exp(z)),
    "sigmoid": lambda z: 1 / (1 + mpmath.exp(-z)),
    "quadratic": lambda z: mpmath.mpf("0.5") - z + 2 * z**2,
    "exp": mpmath.exp,
}
POINTS = [-3.25, -0.75, 0.0, 0.125, 1.5, 4.0]


@pytest.mark.parametrize("name", sorted(EXACT))
@pytest.mark.parametrize("order", range(6))
def test_smooth_derivatives(name: str, order: int) -> None:
    sigma = activation(name, (0.5, -1.0, 2.0) if name == "quadratic" else ())
    with mpmath.workdps(40):
        exact = [float(mpmath.diff(EXACT[name], mpmath.mpf(z), order)) for z in POINTS]
    found = sigma.derivative(np.array(POINTS), order)
    np.testing.assert_allclose(found, exact, rtol=2e-13, atol=1e-14)


def test_every_activation_is_covered() -> None:
    assert set(EXACT) | {"relu", "leaky_relu"} == set(ACTIVATION_NAMES)


def test_piecewise_linear() -> None:
    z = np.array([-2.0, 0.0, 3.0])
    assert activation("relu")(z).tolist() == [0.0, 0.0, 3.0]
    assert activation("relu").derivative(z, 1).tolist() == [0.0, 0.0, 1.0]
    leaky = activation("leaky_relu", (2.0, -0.5))
    assert leaky(z).tolist() == [1.0, 0.0, 6.0]
    assert leaky.derivative(z, 1).tolist() == [-0.5, -0.5, 2.0]
    assert activation("leaky_relu").slopes == DEFAULT_PARAMETERS["leaky_relu"]
    assert not activation("leaky_relu", (0.5, 0.5)).kinked


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "softplus", "silu", "gelu", "erf"])
def test_large_arguments_stay_finite(name: str) -> None:
    z = np.array([-1e4, -800.0, 800.0, 1e4])
    for order in range(4):
        assert np.all(np.isfinite(activation(name).derivative(z, order)))


def test_tail_keeps_relative_accuracy() -> None:
    assert float(activation("gelu")(np.array(-8.0))) == pytest.approx(-4.976768e-15, rel=1e-6)
    assert float(activation("sigmoid")(np.array(-40.0))) == pytest.approx(math.exp(-40.0), rel=1e-15)


def test_mistakes_are_named() -> None:
    with pytest.raises(UsageError, match="unknown activation"):
        activation("rleu")
    with pytest.raises(UsageError, match="parameters"):
        activation("relu", (1.0,))
    with pytest.raises(UsageError, match="slopes"):
        _ = activation("tanh").slopes
