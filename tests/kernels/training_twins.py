"""Trainings in the two forms that tests compare: compiled sampler and NumPy twin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from laws import PARAMETERS

from nnft._kernels.reference_networks import NetworkLaw
from nnft._kernels.reference_training import TrainingLaw
from nnft.samplers.trained import Schedule, TrainedEnsemble
from nnft.samplers.training_problem import Moving, TrainingProblem, on_cache_lines
from nnft.spec.network import NetworkSpec
from nnft.streams import stream_key

Array = npt.NDArray[Any]
SEED = 20240601


@dataclass(frozen=True)
class Case:
    """One training: the problem as the kernels take it, and its twin."""

    problem: TrainingProblem
    law: TrainingLaw

    def flat(self, theta: Array) -> Array:
        """Numbers of the twin from those of the kernels (one member)."""
        parts = []
        for rows, _, columns, stride, offset, _ in self.layers:
            parts.append(theta[offset : offset + rows * stride].reshape(rows, stride)[:, :columns].ravel())
        return np.concatenate(parts)

    def padded(self, flat: Array, fill: float = 0.0) -> Array:
        """Numbers of the kernels from those of the twin, `fill` between them."""
        theta = on_cache_lines(np.full(self.problem.size, fill))
        parts = np.split(flat, np.cumsum([rows * columns for rows, _, columns, *_ in self.layers])[:-1])
        for (rows, _, columns, stride, offset, _), part in zip(self.layers, parts, strict=True):
            theta[offset : offset + rows * stride].reshape(rows, stride)[:, :columns] = part.reshape(
                rows, columns
            )
        return theta

    def is_padding(self) -> Array:
        """Which numbers of the kernels belong to no weight."""
        return np.isnan(self.padded(np.zeros(self.law.live.size), np.nan))

    @property
    def layers(self) -> list[tuple[int, ...]]:
        """Rows, fan-in, columns, stride, offset, trained of every layer."""
        count = self.problem.network.layers
        return [tuple(row) for row in self.problem.header[5 : 5 + 6 * count].reshape(count, 6).tolist()]

    def ensemble(self, schedule: Schedule, mesh: Array | None = None, **options: Any) -> TrainedEnsemble:
        """The compiled sampler."""
        points = self.problem.inputs[:2] if mesh is None else mesh
        given = {"test": None, "seed": SEED, "threads": 1} | options
        return TrainedEnsemble(self.problem, schedule, points, **given)


def data(points: int, dimension: int, outputs: int = 1, seed: int = 0) -> tuple[Array, Array]:
    """Inputs (P, d) and targets (P, D)."""
    rng = np.random.default_rng(SEED + seed)
    inputs = rng.standard_normal((points, dimension))
    return inputs, np.sin(inputs @ rng.standard_normal((dimension, outputs))) + 0.1


def training(
    inputs: Array,
    targets: Array,
    widths: Sequence[int],
    activation: str = "tanh",
    *,
    weight: float | Sequence[float] = 1.4,
    bias: float | Sequence[float] = 0.1,
    trainable: Sequence[int] | None = None,
    standard: bool = False,
    factor: float = 1.0,
    temperature: float = 0.0,
    observe: int = 0,
    seed: int = SEED,
) -> Case:
    """A training with the mobilities of a parametrization.

    Weights move with 1/fan-in and biases with 1, or all with 1 (`standard`); frozen layers do not move.
    """
    outputs, fans = targets.shape[1], (inputs.shape[1], *widths)
    layers = range(1, len(fans) + 1)
    chosen = tuple(layers if trainable is None else trainable)
    weights = tuple(weight) if isinstance(weight, Sequence) else (weight,) * len(fans)
    biases = tuple(bias) if isinstance(bias, Sequence) else (bias,) * len(fans)
    parameters = PARAMETERS.get(activation, ())
    spec = NetworkSpec(
        widths=tuple(widths), activation=activation, activation_parameters=parameters,
        weight_variance=weights, bias_variance=biases, outputs=outputs,
    )  # fmt: skip
    moves = [float(layer in chosen) for layer in layers]
    weight_rates = [m / (1.0 if standard else fan_in) for m, fan_in in zip(moves, fans, strict=True)]
    bias_rates = [m * (variance > 0.0) for m, variance in zip(moves, biases, strict=True)]
    network = NetworkLaw(
        inputs, tuple(widths), activation, parameters, weights, biases, outputs, stream_key(seed), "float64"
    )
    law = TrainingLaw(network, targets, chosen, weight_rates, bias_rates, factor, temperature)
    moving = Moving(chosen, weight_rates, bias_rates, temperature, observe)
    return Case(TrainingProblem(spec, inputs, targets, moving), law)
