"""Small networks in the two forms that tests compare: compiled sampler and NumPy twin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nnft._kernels.reference_networks import NetworkLaw
from nnft.samplers.initial import InitialEnsemble
from nnft.streams import stream_key

Array = npt.NDArray[Any]

PARAMETERS: dict[str, tuple[float, ...]] = {"leaky_relu": (0.75, -0.25), "quadratic": (0.3, 1.0, -0.2)}


def network_law(
    points: Array,
    widths: Sequence[int],
    activation: str,
    *,
    weight: float = 1.0,
    bias: float = 0.0,
    outputs: int = 1,
    seed: int = 20240601,
    precision: str = "float64",
) -> NetworkLaw:
    """A network whose layers have slightly different variances."""
    layers = len(widths) + 1
    weights = tuple(weight * (1.0 + 0.1 * layer) for layer in range(layers))
    biases = tuple(bias * (1.0 - 0.1 * layer) for layer in range(layers))
    parameters = PARAMETERS.get(activation, ())
    return NetworkLaw(
        points, tuple(widths), activation, parameters, weights, biases, outputs, stream_key(seed), precision
    )


def compiled(law: NetworkLaw, method: str, seed: int = 20240601) -> InitialEnsemble:
    """The compiled sampler of a law made with this seed."""
    return InitialEnsemble(
        law.points, law.widths, law.activation, law.parameters, law.weight_variances, law.bias_variances,
        law.outputs, seed, method, law.precision,
    )  # fmt: skip


def sampled(law: NetworkLaw, method: str, network: int, seed: int = 20240601) -> tuple[Array, Array]:
    """Metrics (L, P, P) and outputs (D, P) of one network from the compiled sampler."""
    ensemble = compiled(law, method, seed)
    values = ensemble.values(network, 1, draw=True)[0]
    packed = values[: law.layers * ensemble.n_pairs].reshape(law.layers, -1)
    return unpacked(packed, len(law.points)), values[packed.size :].reshape(law.outputs, -1)


def unpacked(packed: Array, points: int) -> Array:
    """Symmetric matrices from packed pairs along the last axis."""
    matrix = np.zeros((*packed.shape[:-1], points, points))
    rows, columns = np.triu_indices(points)
    matrix[..., rows, columns] = packed
    matrix[..., columns, rows] = packed
    return matrix


def deviation(found: Array, expected: Array) -> float:
    """Largest error of metrics, relative to the largest entry of each.

    A neuron near zero has the absolute rounding error of its terms, not a relative one of its own.
    """
    scale = abs(expected).max(axis=(-2, -1), keepdims=True)
    return float((abs(found - expected) / np.where(scale > 0.0, scale, 1.0)).max())
