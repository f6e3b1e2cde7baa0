"""One run in memory: sampler, accumulation program and estimator, advanced block by block."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nnft.errors import NumericalError
from nnft.estimators.correlators import CorrelatorEstimator
from nnft.estimators.layout import sum_layout
from nnft.estimators.program import AccumulationProgram, build_program
from nnft.samplers.initial import Accumulation, BlockRange, InitialEnsemble
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
    networks_done : int
    """

    def __init__(self, spec: RunSpec, plan: RunPlan, estimator: CorrelatorEstimator | None = None) -> None:
        self.spec = spec
        self.plan = plan
        self.keeps_fields = plan.fields_networks > 0
        self.ensemble = make_ensemble(spec, plan)
        layers = range(2, plan.layers + 1) if spec.estimate.layers else range(0)
        layout = sum_layout(
            plan.points,
            "direct" if plan.estimator == "direct" else "conditional",
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

    def _accumulation(self, program: AccumulationProgram) -> Accumulation:
        """The program with its bases and shifts, as the kernel takes it."""
        pairs, layers = self.ensemble.n_pairs, self.ensemble.layers
        shift = np.zeros(self.ensemble.n_values)
        bases = []
        for name, slot in program.base_slots.items():
            if name == "fields":
                bases.append((slot, layers * pairs, program.layout.outputs * self.plan.points))
                continue
            layer = int(name.removeprefix("kernel_"))
            source = (layer - 1) * pairs
            known = self.estimator.layer_shifts.get(layer, self.estimator.shift)
            shift[source : source + pairs] = known
            bases.append((slot, source, pairs))
        table = np.array(bases, dtype=np.int64)
        return Accumulation(program.stages, program.index, table, shift, program.n_slots, self.plan.bins)

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
        kept = np.zeros((max(0, keep_to - start), self.ensemble.outputs, self.plan.points))
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
        nothing = np.zeros((0, self.ensemble.outputs, self.plan.points))
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
    """Return the sampler of a specification; it draws all outputs if fields are kept."""
    network = spec.network
    return InitialEnsemble(
        spec.mesh().points,
        network.widths,
        network.activation,
        network.activation_parameters,
        network.weight_variances,
        network.bias_variances,
        network.outputs if plan.fields_networks > 0 else plan.outputs,
        spec.ensemble.seed,
        plan.method,
        plan.precision,
    )
