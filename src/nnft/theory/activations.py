"""Activation functions and all their derivatives, in the reference (oracle) version."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

from nnft.errors import UsageError, shorten

Array = NDArray[np.float64]
_Derivative = Callable[[Array, int, tuple[float, ...]], Array]


@dataclass(frozen=True)
class Activation:
    """One activation function.

    Attributes
    ----------
    name : str
        Name as in a run card.
    parameters : tuple of float
        Parameters, see `DEFAULT_PARAMETERS`.
    strip : float
        Half width of the strip around the real axis in which the function is analytic
        (infinite for entire functions, 0 for kinked ones).
    gaussian_growth : float
        The constant c in ``|sigma(x + i y)| <= polynomial * exp(c y**2)``.
    """

    name: str
    parameters: tuple[float, ...]
    strip: float
    gaussian_growth: float

    @property
    def kinked(self) -> bool:
        """Whether the slope jumps at zero."""
        return self.strip == 0.0

    @property
    def slopes(self) -> tuple[float, float]:
        """Slopes (a_plus, a_minus) of a piecewise linear activation.

        Raises
        ------
        UsageError
            If the activation is not linear on both sides of zero.
        """
        if self.name == "relu":
            return 1.0, 0.0
        if self.name == "linear":
            return 1.0, 1.0
        if self.name != "leaky_relu":
            raise UsageError(f"slopes of activation: got {self.name}; use linear, relu or leaky_relu")
        return self.parameters[0], self.parameters[1]

    def derivative(self, z: Array, order: int) -> Array:
        """Return the derivative of the given order (0: the function itself) at `z`, shape kept.

        For kinked activations the slope at 0 follows the convention
        ``sigma'(0) = a_minus`` and derivatives of order 2 and more are 0: the delta function at the
        origin must be added by the caller where it counts.
        """
        return _TABLE[self.name][0](np.asarray(z, dtype=np.float64), order, self.parameters)

    def __call__(self, z: Array) -> Array:
        """Return sigma(z)."""
        return self.derivative(z, 0)


def _map(function: Callable[[float], float], z: Array) -> Array:
    flat = np.fromiter(map(function, z.ravel().tolist()), dtype=np.float64, count=z.size)
    return flat.reshape(z.shape)


def _polynomial(coefficients: tuple[float, ...], z: Array, order: int) -> Array:
    polynomial = Polynomial(coefficients).deriv(order) if order else Polynomial(coefficients)
    return np.asarray(polynomial(z) + np.zeros_like(z), dtype=np.float64)


def _linear(z: Array, order: int, _: tuple[float, ...]) -> Array:
    return _polynomial((0.0, 1.0), z, order)


def _quadratic(z: Array, order: int, parameters: tuple[float, ...]) -> Array:
    return _polynomial(parameters, z, order)


def _leaky_relu(z: Array, order: int, parameters: tuple[float, ...]) -> Array:
    plus, minus = parameters
    slope = np.where(z > 0.0, plus, minus)
    if order == 0:
        return np.asarray(slope * z, dtype=np.float64)
    return slope if order == 1 else np.zeros_like(z)


def _relu(z: Array, order: int, _: tuple[float, ...]) -> Array:
    return _leaky_relu(z, order, (1.0, 0.0))


def _sin(z: Array, order: int, _: tuple[float, ...]) -> Array:
    base = np.sin(z) if order % 2 == 0 else np.cos(z)
    return np.asarray(-base if order % 4 in (2, 3) else base, dtype=np.float64)


def _cos(z: Array, order: int, _: tuple[float, ...]) -> Array:
    return _sin(z, order + 1, ())


def _exp(z: Array, _order: int, _: tuple[float, ...]) -> Array:
    return np.exp(z)


def _tanh(z: Array, order: int, _: tuple[float, ...]) -> Array:
    if order == 0:
        return np.tanh(z)
    slope = 1.0 / np.cosh(np.minimum(np.abs(z), 350.0)) ** 2
    cofactor = Polynomial([1.0])
    for _step in range(order - 1):
        cofactor = cofactor.deriv() * Polynomial([1.0, 0.0, -1.0]) + cofactor * Polynomial([0.0, -2.0])
    return np.asarray(slope * cofactor(np.tanh(z)), dtype=np.float64)


def _logistic(z: Array) -> Array:
    small = np.exp(-np.abs(z))
    return np.asarray(np.where(z >= 0.0, 1.0, small) / (1.0 + small), dtype=np.float64)


def _sigmoid(z: Array, order: int, _: tuple[float, ...]) -> Array:
    value = _logistic(z)
    if order == 0:
        return value
    cofactor = Polynomial([1.0])
    for _step in range(order - 1):
        cofactor = cofactor.deriv() * Polynomial([0.0, 1.0, -1.0]) + cofactor * Polynomial([1.0, -2.0])
    return np.asarray(value * _logistic(-z) * cofactor(value), dtype=np.float64)


def _softplus(z: Array, order: int, _: tuple[float, ...]) -> Array:
    return np.logaddexp(0.0, z) if order == 0 else _sigmoid(z, order - 1, ())


def _silu(z: Array, order: int, _: tuple[float, ...]) -> Array:
    value = z * _sigmoid(z, order, ())
    return value if order == 0 else value + order * _sigmoid(z, order - 1, ())


def _erf(z: Array, order: int, _: tuple[float, ...]) -> Array:
    if order == 0:
        return _map(math.erf, z)
    cofactor = Polynomial([2.0 / math.sqrt(math.pi)])
    for _step in range(order - 1):
        cofactor = cofactor.deriv() - cofactor * Polynomial([0.0, 2.0])
    return np.asarray(cofactor(z) * np.exp(-(z**2)), dtype=np.float64)


def _normal_cdf(z: Array, order: int) -> Array:
    if order == 0:
        return 0.5 * _map(math.erfc, -z / math.sqrt(2.0))
    return _erf(z / math.sqrt(2.0), order, ()) / (2.0 * math.sqrt(2.0) ** order)


def _gelu(z: Array, order: int, _: tuple[float, ...]) -> Array:
    value = z * _normal_cdf(z, order)
    return value if order == 0 else value + order * _normal_cdf(z, order - 1)


_TABLE: dict[str, tuple[_Derivative, tuple[float, ...], float, float]] = {
    "linear": (_linear, (), math.inf, 0.0),
    "relu": (_relu, (), 0.0, 0.0),
    "leaky_relu": (_leaky_relu, (1.0, 0.01), 0.0, 0.0),
    "tanh": (_tanh, (), math.pi / 2.0, 0.0),
    "erf": (_erf, (), math.inf, 1.0),
    "sin": (_sin, (), math.inf, 0.0),
    "cos": (_cos, (), math.inf, 0.0),
    "gelu": (_gelu, (), math.inf, 0.5),
    "silu": (_silu, (), math.pi, 0.0),
    "softplus": (_softplus, (), math.pi, 0.0),
    "sigmoid": (_sigmoid, (), math.pi, 0.0),
    "quadratic": (_quadratic, (0.0, 0.0, 1.0), math.inf, 0.0),
    "exp": (_exp, (), math.inf, 0.0),
}

ACTIVATION_NAMES: tuple[str, ...] = tuple(_TABLE)
DEFAULT_PARAMETERS: dict[str, tuple[float, ...]] = {name: row[1] for name, row in _TABLE.items()}


def activation(name: str, parameters: tuple[float, ...] = ()) -> Activation:
    """Return the activation called `name`.

    Parameters
    ----------
    name : str
        One of `ACTIVATION_NAMES`.
    parameters : tuple of float, optional
        Parameters of the activation; empty means the defaults in `DEFAULT_PARAMETERS`.

    Raises
    ------
    UsageError
        If the name is unknown or the number of parameters is wrong.
    """
    if name not in _TABLE:
        raise UsageError(f"unknown activation: got {shorten(name)}; use one of {', '.join(ACTIVATION_NAMES)}")
    _, defaults, strip, growth = _TABLE[name]
    if parameters and len(parameters) != len(defaults):
        raise UsageError(
            f"wrong number of parameters of activation {name}: got {len(parameters)}; give {len(defaults)}"
        )
    chosen = tuple(float(p) for p in parameters) or defaults
    if name == "leaky_relu" and chosen[0] == chosen[1]:
        return Activation(name, chosen, math.inf, 0.0)
    return Activation(name, chosen, strip, growth)
