"""One run in memory: sampler, accumulation program and estimator, advanced block by block."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nnft.errors import NumericalError
from nnft.estimators.correlators import CorrelatorEstimator
from nnft.estimators.layout import EstimatorKind, sum_layout
from nnft.estimators.program import AccumulationProgram, build_program
from nnft.samplers.initial import (
    Accumulation,
    BlockRange,
    InitialEnsemble,
    WeightedReadouts,
    lowest_energy,
)
from nnft.samplers.networks import network_ensemble
from nnft.spec.plan import RunPlan
from nnft.spec.run import RunSpec

FloatArray = npt.NDArray[np.float64]

PILOT_NETWORKS = 8


class Engine:
    """State of a run.

    Parameters
    ----------
    spec : RunSpec
    plan : RunPlan
    estimator : CorrelatorEstimator, optional
        What was accumulated before; empty if not given.

    Attributes
    ----------
    ensemble : InitialEnsemble
    estimator : CorrelatorEstimator
        Sums and counts of all blocks done.
    kept_outputs : int
        Outputs of a network that are stored where outputs are kept; the readouts of a deformed ensemble
        have as many each.
    networks_done : int
    """

    def __init__(self, spec: RunSpec, plan: RunPlan, estimator: CorrelatorEstimator | None = None) -> None:
        self.spec = spec
        self.plan = plan
        self.keeps_fields = plan.fields_networks > 0
        self.kept_outputs = spec.network.outputs if plan.readouts or self.keeps_fields else plan.outputs
        self.ensemble = make_ensemble(spec, plan)
        layers = range(2, plan.layers + 1) if spec.estimate.layers else range(0)
        kinds: dict[str, EstimatorKind] = {"direct": "direct", "reweighted": "reweighted"}
        layout = sum_layout(
            plan.points,
            kinds.get(plan.estimator, "conditional"),
            spec.estimate.correlators,
            outputs=plan.outputs,
            last_layer=plan.layers,
            layers=tuple(layers),
            layer_pairs="all" if plan.layer_pairs == "all" else "diagonal",
        )
        program = build_program(layout)
        if estimator is None:
            shifts = self._pilot()
            estimator = CorrelatorEstimator(
                layout,
                plan.bins,
                shifts[-1] if layout.kind == "conditional" else None,
                {layer: shifts[layer - 1] for layer in layout.layers},
                self._lowest_energy(),
            )
        self._sums = np.zeros(plan.bins * layout.n_sums)
        for name in layout.sizes:
            table = layout.slices[name]
            block = self._sums[plan.bins * table.start : plan.bins * table.stop].reshape(plan.bins, -1)
            block[:] = estimator.sums[name]
            estimator.sums[name] = block
        self.estimator = estimator
        self.accumulation = self._accumulation(program)

    @property
    def networks_done(self) -> int:
        """Networks in the sums."""
        return self.estimator.n_networks

    @property
    def blocks_done(self) -> int:
        """Blocks in the sums; the last of a complete run may be short."""
        return -(-self.networks_done // self.plan.block_size)

    def _pilot(self) -> FloatArray:
        """Shifts of the metrics: their mean over the first networks, shape (L, Q)."""
        count = min(PILOT_NETWORKS, self.plan.networks)
        mean: FloatArray = self.ensemble.metrics(0, count).mean(axis=0)
        return mean

    def _lowest_energy(self) -> float:
        """Shift of the energies in the weights: the lowest one of the first networks; 0 without weights."""
        interaction = self.spec.interaction()
        if interaction is None:
            return 0.0
        count = min(PILOT_NETWORKS, self.plan.networks)
        fields = self.ensemble.fields(0, count).reshape(-1, self.kept_outputs, self.plan.points)
        lowest = float(lowest_energy(fields, interaction.coefficients, interaction.invariance == "total"))
        return lowest if np.isfinite(lowest) else 0.0

    def _accumulation(self, program: AccumulationProgram) -> Accumulation:
        """The program with its bases and shifts, as the kernel takes it."""
        ensemble, layout, points = self.ensemble, program.layout, self.plan.points
        pairs, outputs = ensemble.n_pairs, ensemble.layers * ensemble.n_pairs
        behind, last = ensemble.n_values, ensemble.n_values + self.plan.readouts
        sources = {
            "fields": (outputs, layout.outputs * points),
            "weight": (behind, 1),
            "network weight": (last, 1),
            "cut": (last + 1, 1),
        }
        shift = np.zeros(ensemble.n_values + (self.plan.readouts + 2 if self.plan.readouts else 0))
        bases = []
        for name, slot in program.base_slots.items():
            if name.startswith("kernel_"):
                layer = int(name.removeprefix("kernel_"))
                source = (layer - 1) * pairs
                shift[source : source + pairs] = self.estimator.layer_shifts.get(layer, self.estimator.shift)
                bases.append((slot, source, pairs))
            else:
                bases.append((slot, *sources[name]))
            if name == "weight":
                bases.append((slot, *sources["network weight"]))
        table = np.array(bases, dtype=np.int64)
        weighted = self._weighted(program)
        return Accumulation(
            program.stages, program.index, table, shift, program.n_slots, self.plan.bins, weighted
        )

    def _weighted(self, program: AccumulationProgram) -> WeightedReadouts | None:
        """What the kernel needs to know of the weights; the first two bases are those of a readout."""
        interaction = self.spec.interaction()
        if interaction is None:
            return None
        return WeightedReadouts(
            self.plan.readouts,
            self.kept_outputs,
            interaction.coefficients,
            interaction.invariance == "total",
            self.estimator.weight_shift,
            stages=program.readout_stages,
            bases=2,
            strides=np.array([self.kept_outputs * self.plan.points, 1], dtype=np.int64),
        )

    def advance(self, blocks: int) -> tuple[int, FloatArray]:
        """Sample the next blocks; returns the first kept network of them and the kept outputs.

        Parameters
        ----------
        blocks : int
            At most the number of bins.

        Raises
        ------
        NumericalError
            If a network overflows; the sums are then spoilt and must not be stored.
        """
        size, total = self.plan.block_size, self.plan.networks
        first = self.blocks_done
        start, stop = first * size, min((first + blocks) * size, total)
        keep_to = min(stop, self.plan.fields_networks)
        kept = np.zeros((max(0, keep_to - start), self.kept_outputs, self.plan.points))
        span = BlockRange(first, -(-(stop - start) // size), size, total, start, max(start, keep_to))
        self.ensemble.run_blocks(
            span, self.accumulation, self._sums, kept, draw=self.estimator.layout.kind == "direct"
        )
        for block in range(first, first + span.count):
            self.estimator.counts[block % self.plan.bins] += min(size, total - block * size)
        return start, kept

    def replay_block(self, block: int, networks: int) -> None:
        """Add one block of a run of `networks` networks, whatever was done before; keeps no outputs."""
        span = BlockRange(block, 1, self.plan.block_size, networks)
        nothing = np.zeros((0, self.kept_outputs, self.plan.points))
        draw = self.estimator.layout.kind == "direct"
        self.ensemble.run_blocks(span, self.accumulation, self._sums, nothing, draw=draw)

    def check_finite(self) -> None:
        """Raise NumericalError if any sum overflowed."""
        for name, table in self.estimator.sums.items():
            if not np.isfinite(table.sum()):
                raise NumericalError(
                    f"sums of {name} are not finite: got overflow; lower the weight variance, the depth, "
                    "the highest correlator or the scale of the inputs"
                )


def make_ensemble(spec: RunSpec, plan: RunPlan) -> InitialEnsemble:
    """Return the sampler of a specification; it draws all outputs if fields are kept, or weighted."""
    network = spec.network
    outputs = network.outputs if plan.fields_networks > 0 else plan.outputs
    outputs = plan.readouts * network.outputs if plan.readouts else outputs
    seed = spec.ensemble.seed
    return network_ensemble(network, spec.mesh().points, outputs, seed, plan.method, plan.precision)
