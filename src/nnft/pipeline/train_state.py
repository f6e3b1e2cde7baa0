"""What is known of a training at any time: the sums of the networks that are done, and the wave on its
way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from nnft.estimators.correlators import CorrelatorEstimator
from nnft.estimators.flow import FlowEstimator
from nnft.estimators.layout import SumLayout, sum_layout
from nnft.estimators.observables import MatrixFlow, ObservableEstimator
from nnft.pipeline.flow_state import FlowState
from nnft.pipeline.memory import available_bytes, require_members
from nnft.pipeline.train_names import SAMPLERS, observable_names
from nnft.pipeline.train_setup import make_ensemble, resolved
from nnft.samplers.renormalized import Flowed
from nnft.samplers.trained import TrainedEnsemble, Wave
from nnft.spec.plan import FEWEST_IN_WAVE, MOST_IN_WAVE, WAVE_MEMORY, RunPlan
from nnft.spec.run import RunSpec

FloatArray = npt.NDArray[np.float64]

PILOT_NETWORKS = FEWEST_IN_WAVE


@dataclass
class Progress:
    """What was recorded of the wave so far.

    Attributes
    ----------
    moments, draws : int
        Snapshots and draws done.
    seen : ndarray of float64, shape (snapshots, members, numbers)
    drawn : ndarray of float64, shape (draws, members, numbers)
    flowed : list of Flowed
        Flows of the first members, one part after the other; in no file.
    """

    seen: FloatArray
    drawn: FloatArray
    moments: int = 0
    draws: int = 0
    flowed: list[Flowed] = field(default_factory=list)


class TrainingState:
    """State of a training.

    Parameters
    ----------
    spec : RunSpec
    plan : RunPlan
        With a training.
    threads : int
    step : float
        Step size, decided.

    Attributes
    ----------
    estimator : CorrelatorEstimator
        Of the networks that are done, at the end of the training or over its draws.
    flow : FlowEstimator or None
        The same at every snapshot.
    renormalized : FlowState or None
        The same at every cutoff of a flow.
    adapted : dict of str to float
        Smallest and largest step of the chains that are done, where each has found its own.
    networks_done : int
        Networks that are done, those that diverged included.
    replaying : bool
        Whether blocks are trained again to be compared: the shifts of the sums are given then.
    """

    def __init__(self, spec: RunSpec, plan: RunPlan, threads: int, step: float) -> None:
        self.spec, self.plan = spec, plan
        self.training = resolved(plan)
        self.keeps_fields = plan.fields_networks > 0
        self.kept_outputs = 1
        self.members = self.training.chains
        exact = self.training.algorithm == "exact"
        self.ensemble = None if exact else make_ensemble(spec, plan, threads, step)
        self.conditional = self.training.estimator == "trained-conditional"
        layout = self._layout("trained-conditional" if self.conditional else "trained")
        samples = self.training.draws * self.training.chains
        self.estimator = CorrelatorEstimator(
            layout, plan.bins, draws=1 if exact and self.conditional else samples
        )
        self.names = observable_names(plan)
        self.flow: FlowEstimator | None = None
        self.observables = self.kernel = self.tangent = None
        snapshots = self.training.snapshot_count
        if snapshots:
            pairs = plan.points * (plan.points + 1) // 2
            self.flow = FlowEstimator(
                self._layout("trained"), plan.bins, snapshots, draws=self.training.chains
            )
            self.observables = ObservableEstimator(self.names.moving, plan.bins, snapshots)
            self.kernel, self.tangent = (MatrixFlow(plan.bins, snapshots, pairs) for _ in range(2))
        self.renormalized: FlowState | None = None
        if spec.flow_resolution is not None and self.ensemble is not None:
            fill = spec.flow_resolution.fill
            layout = self._layout("trained-conditional" if fill == "conditional" else "trained")
            self.renormalized = FlowState(
                spec, spec.flow_resolution, self.ensemble, layout, plan.bins, self.members
            )
        self.equilibrium = ObservableEstimator(self.names.averaged, plan.bins, 1)
        self.traces: list[FloatArray] = []
        self.diverged = {"members": 0, "networks": 0, "first": -1}
        self.adapted = {"smallest": np.inf, "largest": 0.0}
        self.networks_done = 0
        self.replaying = False
        self.wave: Wave | None = None
        self.progress: Progress | None = None

    def _layout(self, kind: Any) -> SumLayout:
        return sum_layout(self.plan.points, kind, self.spec.estimate.correlators)

    @property
    def sampler(self) -> TrainedEnsemble:
        """The sampler of an algorithm that trains."""
        if self.ensemble is None:
            raise ValueError("exact posteriors have no sampler")
        return self.ensemble

    @property
    def on_the_way(self) -> tuple[Wave, Progress]:
        """The wave and what was recorded of it."""
        if self.wave is None or self.progress is None:
            raise ValueError("no networks on their way")
        return self.wave, self.progress

    @property
    def adapts(self) -> bool:
        """Whether every chain finds a step of its own."""
        return bool(self.training.adapt and self.training.burn_in)

    @property
    def blocks_done(self) -> int:
        """Blocks that are done; the last of a complete run may be short."""
        return -(-self.networks_done // self.plan.block_size)

    @property
    def share(self) -> float:
        """Share of its way that the wave has done."""
        if self.wave is None:
            return 0.0
        if self.training.total_steps == 0:
            return self.wave.time / (self.training.total_time or 1.0)
        return self.wave.step / self.training.total_steps

    @property
    def draw_steps(self) -> npt.NDArray[np.int64]:
        """Steps at which chains are drawn from; for a descent the last one."""
        t = self.training
        if t.temperature > 0.0 and t.algorithm in SAMPLERS:
            return t.burn_in + t.thinning * np.arange(t.draws)
        return np.array([t.total_steps])

    def wave_networks(self) -> int:
        """Networks of a wave: whole blocks, at least the pilot networks.

        Raises
        ------
        EnvironmentRefusal
            The smallest wave does not fit into memory.
        """
        block = self.plan.block_size
        smallest = -(-PILOT_NETWORKS // block) * block
        per_network = self.network_bytes()
        most = available_bytes() // 2
        require_members(smallest, self.members, per_network)
        fitting = int(min(WAVE_MEMORY, most) // per_network)
        return max(smallest, min(MOST_IN_WAVE, fitting) // block * block)

    def network_bytes(self) -> int:
        """Return the memory of one network on its way: states and what is recorded of its members."""
        ensemble = self.sampler
        numbers = ensemble.problem.size + ensemble.extra_size()
        numbers += self.training.train_points**2 if ensemble.dual else 0
        drawn = self.drawn_size() + len(self.names.traced)
        recorded = len(self.draw_steps) * drawn + self.training.snapshot_count * self.seen_size()
        flow = 0 if self.renormalized is None else self.renormalized.member_bytes()
        own = 0 if ensemble.points_of is None else ensemble.sets.nbytes
        return self.members * (8 * (numbers + recorded) + flow) + own

    def drawn_size(self) -> int:
        """Return the numbers recorded of a member at a draw: values, outputs of traces, scalars."""
        points = self.plan.points
        values = points + points * (points + 1) // 2 if self.conditional else points
        return values + (points if self.conditional else 0) + 3 + 2 * self.plan.layers

    def seen_size(self) -> int:
        """Return the numbers recorded of a member at a snapshot: outputs, scalars, movements, two kernels."""
        points = self.plan.points
        return points + 3 + 2 * self.plan.layers + 2 + points * (points + 1)
