"""From what was recorded of the members of a wave to the sums over networks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nnft._kernels.training_steps import ACCEPTED, EXPONENTIAL, PROPOSED, SIZE
from nnft.pipeline.sample_adder import Adder
from nnft.pipeline.train_names import ADJUSTED, TRACED_POINTS
from nnft.pipeline.train_state import Progress, TrainingState
from nnft.samplers.trained import Wave

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def network_numbers(engine: TrainingState, drawn: FloatArray) -> FloatArray:
    """Return the traced numbers of draws (draws, members, recorded), in the order of the names."""
    points, layers = engine.plan.points, engine.plan.layers
    scalars = drawn[:, :, -(3 + 2 * layers) :]
    outputs = drawn[:, :, -(3 + 2 * layers) - points :][:, :, : min(points, TRACED_POINTS)]
    chosen = scaled(engine, scalars)[:, :, [0, 2, 2 + layers]]
    return np.concatenate([outputs, chosen], axis=2)


def scaled(engine: TrainingState, scalars: FloatArray) -> FloatArray:
    """Return scalars with sums of squares over their prior values, and virials per weight.

    A weight scale is sum W^2 fan-in / (C_W count): 1 for a network at the start. A virial is the sum of
    theta dE/dtheta over the weights and biases of a layer, over their number and the temperature: 1 in
    equilibrium.
    """
    spec, training = engine.spec, engine.training
    network, layers = spec.network, engine.plan.layers
    dimension = spec.mesh().points.shape[1]
    fans, rows = (dimension, *network.widths), (*network.widths, network.outputs)
    out = scalars.copy()
    for level in range(layers):
        variance, count = network.layer_variances(dimension)[level], rows[level] * fans[level]
        out[..., 3 + level] /= variance * rows[level] if variance > 0.0 else 1.0
        numbers = count + (rows[level] if network.bias_variances[level] > 0.0 else 0)
        out[..., 3 + layers + level] /= numbers * (training.temperature or 1.0)
    return out


class SampleSums:
    """The members of a wave that is done, to be added to the sums of an engine.

    Parameters
    ----------
    engine : TrainingState
    wave : Wave
    progress : Progress
    """

    def __init__(self, engine: TrainingState, wave: Wave, progress: Progress) -> None:
        self._engine, self._wave, self._progress = engine, wave, progress
        self._chains = engine.members
        finite = np.isfinite(progress.drawn[:, :, : self._values]).all(axis=(0, 2))
        self.alive = wave.alive & finite.reshape(wave.networks, -1).all(axis=1)

    @property
    def _values(self) -> int:
        """Numbers of a sample: outputs, or mean and covariance of the readout."""
        points = self._engine.plan.points
        return points + points * (points + 1) // 2 if self._engine.conditional else points

    def pilot_means(self, networks: int) -> tuple[FloatArray, FloatArray]:
        """Return the mean outputs of the first networks over their draws (P,), and at the snapshots (S,
        P).
        """
        points, members = self._engine.plan.points, self.pilots(networks)
        if len(members) == 0:
            return np.zeros(points), np.zeros((len(self._progress.seen), points))
        drawn = self._progress.drawn[:, members, :points].mean(axis=(0, 1))
        seen = self._progress.seen[:, members, :points].mean(axis=1)
        return drawn, seen

    def pilots(self, networks: int) -> IntArray:
        """Return the members of those of the first networks that did not diverge."""
        chosen = np.flatnonzero(self.alive)
        return self._members(chosen[chosen < networks])

    def leave_out_pilots(self) -> int:
        """Leave networks out that the ensemble does not have; returns the number of the others.

        The first wave has the pilot networks even where the ensemble is smaller.
        """
        networks = min(self._wave.networks, self._engine.plan.networks - self._wave.first)
        self.alive[networks:] = False
        return networks

    def _members(self, networks: IntArray) -> IntArray:
        """Return the members of some networks of the wave, network after network."""
        members: IntArray = (networks[:, None] * self._chains + np.arange(self._chains)).ravel()
        return members

    def add(self) -> None:
        """Add every network that did not diverge to the sums of its bin."""
        engine, wave = self._engine, self._wave
        size, bins = engine.plan.block_size, engine.plan.bins
        final = Adder(engine.estimator.layout, engine.estimator.shift, engine.estimator.sums, bins)
        flow = engine.flow
        moving = [] if flow is None else [
            Adder(flow.layout, flow.shifts[s], {n: t[s] for n, t in flow.sums.items()}, bins)
            for s in range(flow.snapshots)
        ]  # fmt: skip
        for first in range(0, wave.networks, size):
            chosen = np.arange(first, min(first + size, wave.networks))
            chosen = chosen[self.alive[chosen]]
            bin_index = (wave.first + first) // size % bins
            members = self._members(chosen)
            self._add_draws(final, bin_index, chosen, members)
            for s, adder in enumerate(moving):
                adder.add(self._progress.seen[s], members, bin_index)
            self._add_numbers(bin_index, chosen, members)
        final.finish()
        for adder in moving:
            adder.finish()

    def _add_draws(self, adder: Adder, bin_index: int, chosen: IntArray, members: IntArray) -> None:
        drawn = self._progress.drawn
        flat = drawn.reshape(-1, drawn.shape[2])
        rows = (members[:, None] + np.arange(len(drawn)) * drawn.shape[1]).ravel()
        adder.add(flat, rows, bin_index)
        self._engine.estimator.counts[bin_index] += len(chosen)
        if self._engine.flow is not None:
            self._engine.flow.counts[bin_index] += len(chosen)

    def _add_numbers(self, bin_index: int, chosen: IntArray, members: IntArray) -> None:
        """Add scalars, movements and kernels, averaged over the chains of a network."""
        engine, layers, points = self._engine, self._engine.plan.layers, self._engine.plan.points
        count, named = 3 + 2 * layers, len(engine.names.scalars)
        draws = scaled(engine, self._progress.drawn[:, members, -count:]).mean(axis=0)
        averaged = [self._per_network(draws[:, :named])]
        if engine.training.algorithm in ADJUSTED:
            averaged.append(self._acceptance(members))
        engine.equilibrium.push(0, bin_index, np.concatenate(averaged, axis=1))
        if engine.observables is None or engine.kernel is None or engine.tangent is None:
            return
        for s, seen in enumerate(self._progress.seen):
            numbers = scaled(engine, seen[members, points : points + count])[:, :named]
            numbers = np.concatenate([numbers, seen[members, points + count : points + count + 2]], axis=1)
            engine.observables.push(s, bin_index, self._per_network(numbers))
            kernels = self._per_network(seen[members, points + count + 2 :])
            pairs = kernels.shape[1] // 2
            engine.kernel.push(s, bin_index, kernels[:, :pairs])
            engine.tangent.push(s, bin_index, kernels[:, pairs:])

    def _per_network(self, values: FloatArray) -> FloatArray:
        mean: FloatArray = values.reshape(-1, self._chains, values.shape[1]).mean(axis=1)
        return mean

    def _acceptance(self, members: IntArray) -> FloatArray:
        control = self._wave.control[members]
        proposed = np.maximum(control[:, PROPOSED], 1.0)
        found = self._engine.adapted
        found["smallest"] = min(found["smallest"], float(control[:, SIZE].min(initial=np.inf)))
        found["largest"] = max(found["largest"], float(control[:, SIZE].max(initial=0.0)))
        numbers = [control[:, ACCEPTED] / proposed, control[:, EXPONENTIAL] / proposed, control[:, SIZE]]
        return self._per_network(np.stack(numbers, axis=1))

    def kept_outputs(self) -> FloatArray:
        """Return the outputs at the last draw of the first chain of the networks that are kept, (n, 1, P).

        Those of a network that diverged are NaN.
        """
        engine, wave, points = self._engine, self._wave, self._engine.plan.points
        count = max(0, min(wave.networks, engine.plan.fields_networks - wave.first))
        numbers = 3 + 2 * engine.plan.layers
        last = self._progress.drawn[-1, :: self._chains]
        outputs = last[:count, last.shape[1] - numbers - points : last.shape[1] - numbers].copy()
        outputs[~self.alive[:count]] = np.nan
        return outputs[:, None, :]
