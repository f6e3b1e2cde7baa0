"""A training in memory, advanced step by step: waves of networks, and their sums."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from nnft.errors import NumericalError
from nnft.pipeline.train_exact import ExactPosterior
from nnft.pipeline.train_record import restore
from nnft.pipeline.train_samples import SampleSums, network_numbers
from nnft.pipeline.train_state import PILOT_NETWORKS, Progress, TrainingState
from nnft.samplers.renormalized import joined
from nnft.samplers.trained import Wave
from nnft.spec.plan import RunPlan
from nnft.spec.run import RunSpec

FloatArray = npt.NDArray[np.float64]

TRACED_MEMBERS = 128
STEPS_OF_A_RECORD = 4
STEPS_OF_A_FLOW = 64
REPLAYED_STEPS = 1 << 40


class TrainEngine(TrainingState):
    """A training that can be advanced; see `TrainingState`.

    Parameters
    ----------
    spec : RunSpec
    plan : RunPlan
        With a training.
    threads : int
    step : float
        Step size, decided.
    stored : mapping, optional
        What a file holds of the run that is gone on with; see `nnft.pipeline.train_record.restore`.
    """

    def __init__(
        self, spec: RunSpec, plan: RunPlan, threads: int, step: float, stored: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(spec, plan, threads, step)
        self.exact = ExactPosterior(spec, plan) if self.ensemble is None else None
        if stored is not None:
            restore(self, stored)
        else:
            self.wave_networks()  # refuses what does not fit before anything is written

    def network_bytes(self) -> int:
        """Return the memory of one network on its way."""
        return self.exact.network_bytes if self.exact is not None else super().network_bytes()

    def advance(self, steps: int) -> tuple[int, FloatArray]:
        """Advance the wave by up to `steps` steps, or find so many blocks of exact posteriors.

        A call that starts a wave does nothing else. Returns first kept network and kept outputs where a
        wave ends.
        """
        nothing = self.networks_done, np.zeros((0, 1, self.plan.points))
        if self.exact is not None:
            return self._exact_wave(self.exact, steps)
        if self.wave is None:
            self._start_wave(self.networks_done, self._next_networks())
            return nothing
        if not self._towards(steps) or not self._renormalize(steps):
            return nothing
        return self._finish_wave()

    def _next_networks(self) -> int:
        """Networks of the next wave; the first one has the pilot networks, though there may be fewer."""
        least = PILOT_NETWORKS if self.networks_done == 0 else 1
        return max(least, min(self.wave_networks(), self.plan.networks - self.networks_done))

    def replay_block(self, block: int, networks: int) -> tuple[int, FloatArray]:
        """Train one block of a run of `networks` networks, whatever was done before, and add it to the sums.

        The shifts of the sums are left as they are. Returns first kept network and kept outputs (n, 1, P).
        """
        first = block * self.plan.block_size
        count = min(self.plan.block_size, networks - first)
        self.replaying = True
        if self.exact is not None:
            return first, self.exact.add(self, first, count)
        self._start_wave(first, count)
        while not self._towards(REPLAYED_STEPS) or not self._renormalize(REPLAYED_STEPS):
            pass
        return self._finish_wave()

    def _start_wave(self, first: int, count: int) -> None:
        self.wave = self.sampler.start(first, count)
        members = count * self.members
        seen = np.zeros((self.training.snapshot_count, members, self.seen_size()))
        self.progress = Progress(seen, np.zeros((len(self.draw_steps), members, self.drawn_size())))

    def _towards(self, steps: int) -> bool:
        """Go on by some steps, of which a record counts for a few; True once there is nothing left."""
        (wave, progress), ensemble = self.on_the_way, self.sampler
        if self.training.algorithm == "gradient-flow":
            return self._towards_time(wave, progress)
        left = steps
        moments, draws = self.training.snapshots, self.draw_steps
        while True:
            if progress.moments < len(moments) and wave.step == moments[progress.moments]:
                self._record_moment()
                left -= STEPS_OF_A_RECORD
            if progress.draws < len(draws) and wave.step == draws[progress.draws]:
                self._record_draw()
                left -= 1
            ahead = [int(m) for m in moments[progress.moments : progress.moments + 1]]
            ahead += [int(d) for d in draws[progress.draws : progress.draws + 1]]
            if not ahead:
                return True
            if left <= 0:
                return False
            target = min(*ahead, wave.step + left)
            left -= target - wave.step
            ensemble.advance(wave, target)

    def _towards_time(self, wave: Wave, progress: Progress) -> bool:
        """One call of the gradient flow towards the next snapshot."""
        times = self.training.snapshot_times or (self.training.total_time,)
        if progress.moments >= len(times):
            return True
        if self.sampler.follow(wave, times[progress.moments]):
            if self.training.snapshot_times:
                self._record_moment()
            else:
                progress.moments += 1
            if progress.moments == len(times):
                self._record_draw()
                return True
        return False

    def _record_moment(self) -> None:
        """Record outputs, scalars and kernels of all members."""
        (wave, progress), ensemble = self.on_the_way, self.sampler
        outputs, scalars = ensemble.observe(wave)
        kernels, movement = ensemble.kernels(wave)
        progress.seen[progress.moments] = np.concatenate([outputs, scalars, movement, kernels], axis=1)
        progress.moments += 1

    def _record_draw(self) -> None:
        """Record what a sample contributes, and scalars."""
        (wave, progress), ensemble = self.on_the_way, self.sampler
        outputs, scalars = ensemble.observe(wave)
        parts = [outputs, scalars]
        if self.conditional:
            parts = [*ensemble.readouts(wave, self.training.ridge), *parts]
        progress.drawn[progress.draws] = np.concatenate(parts, axis=1)
        progress.draws += 1

    def _renormalize(self, steps: int) -> bool:
        """Flow of some members of a wave that is trained; True once there is nothing left."""
        if self.renormalized is None:
            return True
        (wave, progress), state = self.on_the_way, self.renormalized
        theta = self.sampler.weights(wave)
        if wave.first == 0 and not state.cutoffs:
            state.find_cutoffs(theta[: PILOT_NETWORKS * self.members])
            return False
        done = sum(len(part.zeros) for part in progress.flowed)
        stop = min(len(theta), done + max(1, steps // STEPS_OF_A_FLOW))
        if stop > done:
            part = state.follow(theta[done:stop], wave.first * self.members + done)
            progress.flowed.append(part)
        return stop == len(theta)

    def _finish_wave(self) -> tuple[int, FloatArray]:
        """Add the networks of the wave to the sums; those with a member that diverged are counted, not
        added.
        """
        wave, progress = self.on_the_way
        sums = SampleSums(self, wave, progress)
        pilots = sums.pilots(PILOT_NETWORKS)
        if wave.first == 0 and not self.replaying:
            self._set_shifts(sums)
        networks = sums.leave_out_pilots()
        status = wave.status[: networks * self.members]
        self.diverged["members"] += int((status != 0).sum())
        self.diverged["networks"] += int((~sums.alive[:networks]).sum())
        lost = np.flatnonzero(status)
        if len(lost) and self.diverged["first"] < 0:
            self.diverged["first"] = wave.first * self.members + int(lost[0])
        sums.add()
        if self.renormalized is not None:
            flowed = joined(progress.flowed)
            if wave.first == 0 and not self.replaying:
                self.renormalized.set_shifts(flowed, pilots)
            size = self.plan.block_size
            self.renormalized.add(flowed, wave.first, networks, sums.alive, size)
        self._trace(progress, networks * self.members)
        kept = sums.kept_outputs()
        first, self.networks_done = wave.first, wave.first + networks
        self.wave = self.progress = None
        return first, kept

    def _set_shifts(self, sums: SampleSums) -> None:
        """Shift the fields by their means over the first networks, before anything is added."""
        shift, moving = sums.pilot_means(PILOT_NETWORKS)
        self.estimator.shift = shift
        if self.flow is not None:
            self.flow.shifts[:] = moving

    def _trace(self, progress: Progress, members: int) -> None:
        """Keep the draws of the first members: a few outputs and the scalars that chains are judged by."""
        have = sum(len(part) for part in self.traces)
        room = (
            TRACED_MEMBERS // self.members * self.members if self.members < TRACED_MEMBERS else self.members
        )
        count = max(0, min(room - have, members))
        if len(progress.drawn) > 1 and count:
            self.traces.append(network_numbers(self, progress.drawn[:, :count]).transpose(1, 0, 2))

    def _exact_wave(self, exact: ExactPosterior, blocks: int) -> tuple[int, FloatArray]:
        """Networks whose readout posterior is known: no training at all."""
        first = self.networks_done
        count = min(blocks * self.plan.block_size, self.wave_networks(), self.plan.networks - first)
        kept = exact.add(self, first, count)
        self.networks_done += count
        return first, kept

    def check_finite(self) -> None:
        """Raise NumericalError if any sum overflowed."""
        tables = dict(self.estimator.sums)
        if self.renormalized is not None and self.renormalized.cutoffs:
            sums = self.renormalized.flow.sums
            tables |= {f"the flow over cutoffs, {name}": table for name, table in sums.items()}
        if self.flow is not None:
            tables |= {f"the flow, {name}": table for name, table in self.flow.sums.items()}
        for name, table in tables.items():
            if not np.isfinite(table).all():
                raise NumericalError(
                    f"sums of {name} are not finite: got overflow; lower training.step, the highest order "
                    "or the scale of the data"
                )
