"""Plain NumPy twins of the compiled kernels: obvious before fast, used to check the fast ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from nnft.errors import UsageError


class StageList(Protocol):
    """What the accumulation kernel reads of an accumulation program."""

    @property
    def stages(self) -> npt.NDArray[np.int64]:
        """Rows [n_components, n_terms, out_slot, sum_offset, index_offset, n_runs], shape (n_stages, 6)."""

    @property
    def index(self) -> npt.NDArray[np.int32]:
        """Runs: length, then left and right slot of every term."""


def accumulate_reference(
    program: StageList, lanes: npt.NDArray[np.float64], sums: npt.NDArray[np.float64]
) -> None:
    """Run the stages of an accumulation program on one lane buffer, in place.

    Parameters
    ----------
    program : StageList
        Stages and index of the program.
    lanes : ndarray of float64, shape (n_slots, LANES)
        Lane buffer with slot 0 and the base slots filled; kept slots are overwritten.
    sums : ndarray of float64, shape (n_sums,)
        Sums over networks, increased by those of the live lanes.
    """
    for _, n_terms, out_slot, sum_offset, offset, n_runs in program.stages.tolist():
        record = 1 + 2 * n_terms
        component = 0
        for run in program.index[offset : offset + n_runs * record].reshape(n_runs, record).tolist():
            for i in range(run[0]):
                value = np.zeros(lanes.shape[1])
                for left, right in zip(run[1::2], run[2::2], strict=True):
                    value += lanes[left + i] * lanes[right]
                if out_slot >= 0:
                    lanes[out_slot + component] = value
                if sum_offset >= 0:
                    sums[sum_offset + component] += value.sum()
                component += 1


FloatArray = npt.NDArray[np.float64]

_erf = np.vectorize(math.erf, otypes=[np.float64])
_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def _logistic(z: FloatArray) -> FloatArray:
    decay = np.exp(-np.abs(z))
    return np.where(z < 0.0, decay, 1.0) / (1.0 + decay)


def _normal_below(z: FloatArray) -> FloatArray:
    return np.asarray(0.5 * _erfc(-z / math.sqrt(2.0)))


def _normal_density(z: FloatArray) -> FloatArray:
    return np.asarray(np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi))


def _sigmoid_slope(z: FloatArray) -> FloatArray:
    return _logistic(z) * _logistic(-z)


_Rule = Callable[[FloatArray, Sequence[float]], FloatArray]

_VALUES: dict[str, _Rule] = {
    "linear": lambda z, p: z.copy(),
    "relu": lambda z, p: np.where(z <= 0.0, 0.0, z),
    "leaky_relu": lambda z, p: np.where(z > 0.0, p[0] * z, p[1] * z),
    "tanh": lambda z, p: np.tanh(z),
    "erf": lambda z, p: np.asarray(_erf(z)),
    "sin": lambda z, p: np.sin(z),
    "cos": lambda z, p: np.cos(z),
    "gelu": lambda z, p: z * _normal_below(z),
    "silu": lambda z, p: z * _logistic(z),
    "softplus": lambda z, p: np.maximum(z, 0.0) + np.log1p(np.exp(-np.abs(z))),
    "sigmoid": lambda z, p: _logistic(z),
    "quadratic": lambda z, p: p[0] + z * (p[1] + p[2] * z),
    "exp": lambda z, p: np.exp(z),
}

_SLOPES: dict[str, _Rule] = {
    "linear": lambda z, p: np.ones_like(z),
    "relu": lambda z, p: np.where(z > 0.0, 1.0, 0.0),
    "leaky_relu": lambda z, p: np.where(z > 0.0, p[0], p[1]),
    "tanh": lambda z, p: 4.0 * _sigmoid_slope(2.0 * z),
    "erf": lambda z, p: np.exp(-z * z) * (2.0 / math.sqrt(math.pi)),
    "sin": lambda z, p: np.cos(z),
    "cos": lambda z, p: -np.sin(z),
    "gelu": lambda z, p: _normal_below(z) + z * _normal_density(z),
    "silu": lambda z, p: _logistic(z) + z * _sigmoid_slope(z),
    "softplus": lambda z, p: _logistic(z),
    "sigmoid": lambda z, p: _sigmoid_slope(z),
    "quadratic": lambda z, p: p[1] + 2.0 * p[2] * z,
    "exp": lambda z, p: np.exp(z),
}


def _apply(rules: dict[str, _Rule], name: str, parameters: Sequence[float], z: npt.ArrayLike) -> FloatArray:
    if name not in rules:
        raise UsageError(f"activation: got {name!r}; allowed {', '.join(rules)}")
    return rules[name](np.array(z, dtype=np.float64), parameters)


def activation_reference(name: str, parameters: Sequence[float], z: npt.ArrayLike) -> FloatArray:
    """Return an activation by its textbook formula in float64.

    Parameters
    ----------
    name : str
        ``linear``, ``relu``, ``leaky_relu``, ``tanh``, ``erf``, ``sin``, ``cos``, ``gelu`` (z Phi(z)),
        ``silu``, ``softplus``, ``sigmoid``, ``quadratic`` or ``exp``.
    parameters : sequence of float
        Slopes above and below zero of ``leaky_relu``; a0, a1, a2 of ``quadratic``; unused otherwise.
    z : array_like
        Finite preactivations, any shape.

    Returns
    -------
    ndarray of float64
        Values, shape of `z`.

    Raises
    ------
    UsageError
        If the name is unknown.
    """
    return _apply(_VALUES, name, parameters, z)


def activation_derivative_reference(name: str, parameters: Sequence[float], z: npt.ArrayLike) -> FloatArray:
    """Return the derivative of an activation by its textbook formula in float64.

    The derivative at the kink of ``relu`` and ``leaky_relu`` is that from below.

    Parameters
    ----------
    name, parameters, z
        See `activation_reference`.

    Returns
    -------
    ndarray of float64
        Slopes, shape of `z`.

    Raises
    ------
    UsageError
        If the name is unknown.
    """
    return _apply(_SLOPES, name, parameters, z)
