"""Train an ensemble into a result file: start, resume, extend, stop."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nnft._kernels.library import build_record, most_threads, set_threads
from nnft.analysis.run import Run, open_run
from nnft.errors import CardError, NumericalError
from nnft.pipeline.checkpoint import Checkpoints
from nnft.pipeline.machine import choose_threads, provenance
from nnft.pipeline.prior_theory import prior_kernels
from nnft.pipeline.sample import SLICE_SECONDS, Session, _word
from nnft.pipeline.stop import StopFlag
from nnft.pipeline.target import check_target, make_start, read_card
from nnft.pipeline.train_engine import TrainEngine
from nnft.pipeline.train_record import training_arrays
from nnft.pipeline.train_setup import decide_step
from nnft.spec.run import RunSpec
from nnft.store.lock import RunLock

MOST_STEPS = 1 << 40
LONGER = 3.0
"""Seconds of a slice for each second that a call costs by itself."""


def train(
    card: RunSpec | str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    resume: bool = False,
    threads: int | None = None,
    max_seconds: float | None = None,
    progress: bool = False,
    break_lock: bool = False,
    stop: StopFlag | None = None,
    command: str = "",
    tell: Callable[[str], None] | None = None,
    again: Sequence[str] = (),
) -> Run:
    """Train an ensemble of networks and write the correlators of their outputs to a result file.

    Parameters and errors are those of `nnft.sample`; the card has a table [training]. `again`: words of the
    command that a stopped run names, to which ``--resume`` is added; those of ``nnft train`` if left out.

    Raises
    ------
    CardError
        The card has no [training], or its step is above the stability limit.
    NumericalError
        All networks diverged, or a sum overflowed.
    """
    spec = card if isinstance(card, RunSpec) else read_card(card)
    source = None if isinstance(card, RunSpec) else Path(card)
    if spec.training is None:
        name = "the card" if source is None else source.name
        raise CardError([f"no training in {name}: got no table [training]; add one, or use nnft sample"])
    text = None if source is None else source.read_text(encoding="utf-8-sig")
    path = Path(output)
    flag, say, count = stop or StopFlag(), tell or (lambda remark: None), choose_threads(threads)
    check_target(path, spec, source, overwrite, resume)
    if not resume:
        make_start(path, spec, resume=False)
    lock = RunLock(path, break_lock=break_lock)
    with lock:
        for message in lock.messages:
            say(message)
        check_target(path, spec, source, overwrite, resume)
        start = make_start(path, spec, resume)
        if start.action == "nothing":
            say(f"already complete: {path} holds all {start.plan.networks} networks")
            return _opened(path, say)
        for note in start.plan.notes:
            say(note)
        set_threads(min(count, most_threads()))
        words = ["nnft", "train", _word(source) if source is not None else "CARD", "-o", _word(path)]
        session = TrainSession(path, start, flag, lock, shlex.join(again or words))
        session.threads, session.say = count, say
        session.run(text, provenance(command, count, build_record()), max_seconds, progress)
    return _opened(path, say)


class TrainCheckpoints(Checkpoints):
    """Publishes snapshots of a training."""

    def _further(self, evaluated: bool) -> dict[str, Any]:
        data = self.engine.spec.dataset()
        return {
            "training": training_arrays(self.engine, evaluated),
            "data_sha256": data.sha256,
            "data_source": data.source,
        }


class TrainSession(Session):
    """One process's share of a training; see `Session`."""

    _checkpoints = TrainCheckpoints
    threads: int = 1
    _least: float = 10.0
    say: Callable[[str], None] = staticmethod(lambda remark: None)

    def _make_engine(self) -> TrainEngine:
        start = self._start
        step, limit = decide_step(start.spec, start.plan)
        if start.plan.training is not None and start.plan.training.step == 0.0 and step > 0.0:
            self.say(f"step size: {step:.4g} to begin with (stability limit {limit:.4g})")
        stored = None
        if start.earlier is not None:
            earlier = start.earlier
            stored = {
                "accumulators": earlier.accumulators,
                "training": earlier.training,
                "networks_done": earlier.networks_done,
            }
        return TrainEngine(start.spec, start.plan, self.threads, step, stored)

    def _next_slice(self, engine: TrainEngine) -> tuple[int, np.ndarray[Any, Any]]:
        """Advance by about SLICE_SECONDS, or longer where a call costs more than its steps do."""
        steps = self._slice
        result, seconds = self._timed_slice(lambda: engine.advance(steps))
        self._least = min(self._least, seconds)
        wanted = SLICE_SECONDS + LONGER * self._least
        grown = int(steps * wanted / max(seconds, 1e-6))
        self._slice = max(1, min(4 * steps, grown))
        return result

    def _commit(self, checkpoints: Checkpoints) -> None:
        super()._commit(checkpoints)
        wave = checkpoints.engine.wave
        self._on_the_way = ""
        if wave is not None:
            where = f" at step {wave.step}" if wave.step else ""
            self._on_the_way = f", {wave.networks} on their way{where}"

    def _most_units(self, engine: TrainEngine) -> int:
        del engine
        return MOST_STEPS

    def _shown_networks(self, engine: TrainEngine) -> float:
        wave = engine.wave.networks if engine.wave is not None else 0
        return min(engine.plan.networks, engine.networks_done + engine.share * wave)

    def _note_error(self, engine: TrainEngine) -> None:
        """Show no error: what matters of trained networks is not their kurtosis."""
        del engine

    def _theory(self) -> dict[str, np.ndarray[Any, Any]]:
        """The infinite-width kernel of every layer on the mesh: that of the networks at the start."""
        return prior_kernels(self._start.spec)


def _opened(path: Path, say: Callable[[str], None]) -> Run:
    """Open a run that is done, and say which share of its networks diverged.

    Raises
    ------
    NumericalError
        If all of them did.
    """
    run = open_run(path)
    lost = int(run.stored.training["diverged/networks"])
    if not lost:
        return run
    first = int(run.stored.training["diverged/first"])
    text = (
        f"{lost} of {run.networks} networks diverged ({lost / run.networks:.3g} of all; first member {first})"
    )
    if lost == run.networks:
        run.close()
        raise NumericalError(f"all networks diverged: got {text}; lower training.step")
    say(f"{text}: they are in no average; lower training.step")
    return run
