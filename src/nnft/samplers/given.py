"""Ensembles of networks whose weights are given: they stand where a training would end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from nnft._kernels.given import draw_given
from nnft._kernels.training_steps import CONTROLS
from nnft.samplers.trained import Schedule, TrainedEnsemble, Wave
from nnft.samplers.training_problem import TrainingProblem, on_cache_lines
from nnft.spec.given_weights import GivenWeights

FloatArray = npt.NDArray[np.float64]


class GivenEnsemble(TrainedEnsemble):
    """Networks of given weights, looked at as trained ones are; no step is ever taken.

    Parameters
    ----------
    problem, schedule, mesh, test, seed, threads
        See `TrainedEnsemble`.
    given : GivenWeights
        Where it has weights of M networks, network k has those of number k mod M.
    """

    def __init__(
        self,
        problem: TrainingProblem,
        schedule: Schedule,
        mesh: FloatArray,
        test: tuple[FloatArray, FloatArray] | None,
        seed: int,
        given: GivenWeights,
        threads: int = 1,
    ) -> None:
        self.given = given
        super().__init__(problem, replace(schedule, algorithm="gd"), mesh, test, seed, threads)

    def _on_residuals(self) -> bool:
        return False

    def start(self, first: int, networks: int) -> Wave:
        """Return networks first .. first + networks - 1."""
        theta = on_cache_lines(np.zeros((networks, self.problem.size)))

        def part(start: int, stop: int) -> None:
            for place in range(start, stop):
                self._fill(first + place, theta[place])

        self.threads.run(networks, part)
        extra = on_cache_lines(np.zeros((networks, 0)))
        return Wave(
            first, networks, theta, extra, np.zeros((networks, CONTROLS)), np.zeros(networks, dtype=np.int64)
        )

    def _fill(self, network: int, theta: FloatArray) -> None:
        """Put the weights of one network into the numbers of one member."""
        given, problem = self.given, self.problem
        drawn = np.empty(given.mean.shape[1])
        if len(drawn):
            draw_given(_row(given.mean, network), _row(given.root, network), self.key, network, drawn)
        used = 0
        for level, layer in enumerate(given.layers):
            rows, fan_in, columns, stride, offset = (
                int(number) for number in problem.header[5 + 6 * level : 10 + 6 * level]
            )
            matrix = theta[offset : offset + rows * stride].reshape(rows, stride)
            if layer is not None:
                weights, biases = _row(layer[0], network), _row(layer[1], network)
            else:
                weights = drawn[used : used + rows * fan_in].reshape(rows, fan_in)
                used += rows * fan_in
                biases = drawn[used : used + rows * (columns - fan_in)]
                used += len(biases)
            matrix[:, :fan_in] = weights
            matrix[:, fan_in:columns] = biases[:, None] if columns > fan_in else 0.0

    def kernels(self, wave: Wave) -> tuple[FloatArray, FloatArray]:
        """Return kernels as `TrainedEnsemble.kernels` does; nothing has moved."""
        kernels, movement = super().kernels(wave)
        return kernels, np.zeros_like(movement)


def _row(array: FloatArray, network: int) -> FloatArray:
    row: FloatArray = array[network % len(array)]
    return row
