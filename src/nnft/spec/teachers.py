"""Random teachers: inputs drawn from a law, and targets that are functions of them.

Sums over the components of an input go in order, without the linear-algebra library, so that the numbers do
not depend on the machine's number of threads.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from nnft.errors import CardError
from nnft.spec.data import DataSpec
from nnft.spec.generators import unit_norm
from nnft.spec.problems import line

FloatArray = NDArray[np.float64]
Link = Callable[[FloatArray], FloatArray]


class Stream(IntEnum):
    """What the random numbers of a set of data are for; each has a stream of its own."""

    INPUTS = 1
    TEST_INPUTS = 2
    TEACHER = 3
    NOISE = 4
    SPLIT = 5
    FISHER = 6


def random_stream(seed: int, stream: Stream, network: int = 0) -> np.random.Generator:
    """Return NumPy's Philox generator with the key `seed`; its counter begins at `stream` 2^192 + `network`
    2^128.
    """
    return np.random.Generator(np.random.Philox(key=seed, counter=(int(stream) << 192) + (network << 128)))


def _erf(values: FloatArray) -> FloatArray:
    flat = [math.erf(value) for value in values.ravel().tolist()]
    return np.array(flat, dtype=np.float64).reshape(values.shape)


LINK_FUNCTIONS: dict[str, Link] = {
    "linear": lambda z: z,
    "relu": lambda z: np.maximum(z, 0.0),
    "tanh": np.tanh,
    "sin": np.sin,
    "cos": np.cos,
    "erf": _erf,
    "exp": np.exp,
    "quadratic": np.square,
}
"""The activations that a teacher may have, by name."""


def draw_inputs(data: DataSpec, count: int, stream: Stream, network: int = 0) -> FloatArray:
    """Return `count` inputs of the law of a teacher's data, shape (count, dimension)."""
    generator = random_stream(data.seed, stream, network)
    dimension = data.dimension or 1
    if data.law == "uniform":
        return generator.uniform(-1.0, 1.0, (count, dimension))
    points = generator.standard_normal((count, dimension))
    return unit_norm(points) * math.sqrt(dimension) if data.law == "sphere" else points


def draw_teacher(data: DataSpec) -> Link:
    """Draw a teacher.

    Parameters
    ----------
    data : DataSpec
        With a teacher.

    Returns
    -------
    callable
        From inputs of shape (P, d) to targets of shape (P, outputs).

    Raises
    ------
    CardError
        By the returned function: its values are beyond float64.
    """
    draw = {
        "linear": _linear,
        "single-index": _single_index,
        "polynomial": _polynomial,
        "network": _network,
    }[data.teacher or "linear"]
    function = draw(data, random_stream(data.seed, Stream.TEACHER))
    amplitude = 1.0 if data.amplitude is None else data.amplitude

    def targets(inputs: FloatArray) -> FloatArray:
        with np.errstate(over="ignore", invalid="ignore"):
            values = amplitude * function(inputs)
        if not np.isfinite(values).all():
            advice = "take another link, activation or degree"
            raise CardError(line("targets not finite", "training.data.teacher", str(data.teacher), advice))
        return values

    return targets


def _sizes(data: DataSpec) -> tuple[int, int]:
    return data.outputs or 1, data.dimension or 1


def _product(inputs: FloatArray, weights: FloatArray) -> FloatArray:
    """Return inputs (P, d) times the transpose of weights (n, d), added up in the order of components."""
    result = np.zeros((len(inputs), len(weights)))
    for values, row in zip(inputs.T, weights.T, strict=True):
        result += values[:, None] * row
    return result


def _linear(data: DataSpec, generator: np.random.Generator) -> Link:
    weights = generator.standard_normal(_sizes(data)) / math.sqrt(data.dimension or 1)
    return lambda inputs: _product(inputs, weights)


def _single_index(data: DataSpec, generator: np.random.Generator) -> Link:
    weights = unit_norm(generator.standard_normal(_sizes(data)))
    link = LINK_FUNCTIONS[data.link or "linear"]
    return lambda inputs: link(_product(inputs, weights))


def _polynomial(data: DataSpec, generator: np.random.Generator) -> Link:
    degrees = range(1, (data.degree or 1) + 1)
    coefficients = generator.standard_normal((len(degrees), data.outputs or 1))
    directions = [unit_norm(generator.standard_normal(_sizes(data))) for _ in degrees]

    def values(inputs: FloatArray) -> FloatArray:
        total = np.zeros((len(inputs), data.outputs or 1))
        for degree, row, weights in zip(degrees, coefficients, directions, strict=True):
            total += row * _product(inputs, weights) ** degree / math.sqrt(math.factorial(degree))
        return total

    return values


def _network(data: DataSpec, generator: np.random.Generator) -> Link:
    sizes = (data.dimension or 1, *(data.widths or ()), data.outputs or 1)
    layers = [
        generator.standard_normal((after, before)) / math.sqrt(before)
        for before, after in itertools.pairwise(sizes)
    ]
    activation = LINK_FUNCTIONS[data.activation or "linear"]

    def values(inputs: FloatArray) -> FloatArray:
        result = _product(inputs, layers[0])
        for weights in layers[1:]:
            result = _product(activation(result), weights)
        return result

    return values
