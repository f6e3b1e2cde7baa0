"""Sample an ensemble into a result file: start, resume, extend, stop."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nnft._kernels.compile_time import compile_seconds
from nnft._kernels.library import build_record, most_threads, set_threads
from nnft.analysis.run import Run, open_run
from nnft.errors import CardError, EnvironmentRefusal, NumericalError, StoppedEarly
from nnft.estimators.correlators import CorrelatorEstimator
from nnft.pipeline.checkpoint import Checkpoints
from nnft.pipeline.engine import Engine
from nnft.pipeline.machine import choose_threads, provenance
from nnft.pipeline.memory import require_room_for_libraries
from nnft.pipeline.prior_theory import prior_kernels
from nnft.pipeline.progress import Progress, make_progress
from nnft.pipeline.stop import StopFlag
from nnft.pipeline.target import Start, check_target, make_start, outputs_folder, read_card, segment_rows
from nnft.pipeline.worker import Worker
from nnft.spec.run import RunSpec
from nnft.store.lock import RunLock
from nnft.store.segments import FieldWriter

SLICE_SECONDS = 0.3
PATIENCE_SECONDS = 7.0
COMPILE_PATIENCE_SECONDS = 0.2
COMMIT_SHARE = 0.05
ERROR_SECONDS = 1.0


def sample(
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
    prior: bool = False,
) -> Run:
    """Sample an ensemble and write its correlators with errors to a result file.

    Parameters
    ----------
    card : RunSpec, str or path
        The specification, or a card file.
    output : str or path
        Result file (HDF5).
    overwrite, resume : bool
        What to do with an existing file. Resuming a complete file with a larger ``ensemble.networks``
        extends it.
    threads : int, optional
        All that the process was granted if not given. Results do not depend on it.
    max_seconds : float, optional
        Wall time after which the run commits and ends.
    progress : bool
        Whether to show progress on standard error.
    break_lock : bool
        Take over the lock of another host's run.
    stop : StopFlag, optional
        Lets a host program or a signal handler end the run.
    command : str
        For the file's provenance.
    tell : callable, optional
        Receives one-line remarks, such as a lock taken over.
    prior : bool
        Leave out a table [training] of the card; without this a card that has one is refused.

    Returns
    -------
    Run
        The opened result.

    Raises
    ------
    CardError, UsageError
        The card or the call is wrong.
    DataFileError
        A file that is to be read cannot be used.
    EnvironmentRefusal
        Lock, disk or permissions refuse.
    NumericalError
        A network or a sum overflowed; what was committed stays.
    StoppedEarly
        The run was stopped with everything committed.
    """
    spec = card if isinstance(card, RunSpec) else read_card(card)
    if prior and spec.training is not None:
        spec = spec.without_training()
    if spec.training is not None:
        raise CardError(
            ["training in the card: got a table [training]; use nnft train, or --prior to leave it out"]
        )
    source = None if isinstance(card, RunSpec) else Path(card)
    text = None if source is None else source.read_text(encoding="utf-8-sig")
    path = Path(output)
    flag = stop or StopFlag()
    say = tell or (lambda remark: None)
    count = choose_threads(threads)
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
            return open_run(path)
        for note in start.plan.notes:
            say(note)
        set_threads(min(count, most_threads()))
        words = ["nnft", "sample", _word(source) if source is not None else "CARD", "-o", _word(path)]
        session = Session(path, start, flag, lock, shlex.join(words))
        session.run(text, provenance(command, count, build_record()), max_seconds, progress)
    return open_run(path)


class Session:
    """One process's share of a run: slices of blocks between checkpoints.

    Parameters
    ----------
    path : Path
    start : Start
    flag : StopFlag
    lock : RunLock
    command : str
        The command of this run without its flags, for the user to repeat.
    """

    _checkpoints: type[Checkpoints] = Checkpoints
    _on_the_way: str = ""

    def __init__(self, path: Path, start: Start, flag: StopFlag, lock: RunLock, command: str) -> None:
        self._path, self._start, self._flag, self._lock = path, start, flag, lock
        self._command = command
        self._committed = None if start.earlier is None else start.earlier.networks_done
        self._sampling = 0.0
        self._slice = 1
        self._relative_error: float | None = None
        self._error_time = time.monotonic()

    def run(self, card: str | None, records: dict[str, str], max_seconds: float | None, show: bool) -> None:
        """Sample until the ensemble is complete or a stop is asked for."""
        begun = time.monotonic()
        start = self._start
        engine = self._engine_in_worker()
        if self._flag.stopping:
            raise self._stopped()
        fields = self._field_writer(engine)
        checkpoints = self._checkpoints(
            self._path, engine, fields, records, card, start.earlier, start.action
        )
        if start.earlier is None:
            self._commit(checkpoints)
            if fields is not None:
                fields.remove_beyond()
            elif outputs_folder(self._path).is_dir():
                remove_outputs(outputs_folder(self._path))
        display = make_progress(start.plan.networks, self._shown_networks(engine), show)
        try:
            self._loop(engine, fields, checkpoints, display, begun, max_seconds)
        finally:
            display.close()
        checkpoints.commit(self._sampling, final=True, theory=self._theory())
        previous = self._path.with_name(self._path.name + ".previous")
        previous.unlink(missing_ok=True)

    def _loop(
        self,
        engine: Any,
        fields: FieldWriter | None,
        checkpoints: Checkpoints,
        display: Progress,
        begun: float,
        max_seconds: float | None,
    ) -> None:
        """Slices and checkpoints until the last block."""
        last_commit = time.monotonic()
        while engine.networks_done < engine.plan.networks:
            if max_seconds is not None and time.monotonic() - begun > max_seconds:
                self._flag.request(75)
            if self._flag.stopping:
                self._commit(checkpoints)
                raise self._stopped()
            first, kept = self._next_slice(engine)
            if fields is not None and len(kept):
                fields.append(first, kept.astype(start_dtype(engine), copy=False))
            now = time.monotonic()
            interval = max(engine.spec.store.checkpoint_seconds, checkpoints.seconds / COMMIT_SHARE)
            asked = self._flag.take_commit()
            if asked or now - last_commit > interval:
                if not self._lock.still_held():
                    raise EnvironmentRefusal(
                        f"lock of {self._path.name} is gone: got no lock of this process; "
                        "another run may be writing"
                    )
                self._commit(checkpoints)
                last_commit = time.monotonic()
            if asked:
                done = f"{engine.networks_done} of {engine.plan.networks}"
                display.note(f"{done} networks committed on request")
            self._note_error(engine)
            display.update(self._shown_networks(engine), self._relative_error)

    def _next_slice(self, engine: Any) -> tuple[int, np.ndarray[Any, Any]]:
        """Advance by about SLICE_SECONDS of work in the worker thread."""
        blocks = min(self._slice, self._most_units(engine))
        result, seconds = self._timed_slice(lambda: engine.advance(blocks))
        self._slice = max(1, min(4 * self._slice, int(blocks * SLICE_SECONDS / max(seconds, 1e-6))))
        return result

    def _timed_slice(self, work: Callable[[], Any]) -> tuple[tuple[int, np.ndarray[Any, Any]], float]:
        """Run `work` in slices; return what it returns and its seconds, without those of compiling."""
        begun, compiling = time.monotonic(), compile_seconds()
        result: tuple[int, np.ndarray[Any, Any]] = self._in_slices(work)
        seconds = time.monotonic() - begun - (compile_seconds() - compiling)
        self._sampling += seconds
        return result, seconds

    def _engine_in_worker(self) -> Any:
        """Make the engine, which compiles kernels, while signals are served."""
        require_room_for_libraries()
        return self._in_slices(self._make_engine, COMPILE_PATIENCE_SECONDS)

    def _make_engine(self) -> Any:
        """Return an engine in the state of the file."""
        start = self._start
        estimator = None
        if start.earlier is not None:
            arrays = {"layers": np.zeros(0)} | dict(start.earlier.accumulators)
            estimator = CorrelatorEstimator.from_arrays(arrays)
        return Engine(start.spec, start.plan, estimator)

    def _most_units(self, engine: Any) -> int:
        """Return how many blocks one slice may have."""
        most: int = min(engine.plan.bins, engine.plan.blocks - engine.blocks_done)
        return most

    def _shown_networks(self, engine: Any) -> float:
        """Return how many networks the display shows as done."""
        done: float = engine.networks_done
        return done

    def _theory(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return what is computed beside the results of a finished run."""
        return prior_kernels(self._start.spec)

    def _in_slices(self, work: Callable[[], Any], patience: float = PATIENCE_SECONDS) -> Any:
        """Run `work` in a thread, so that the main thread can answer signals meanwhile.

        If a stop was asked for and the work does not end soon, it is abandoned: nothing of it was
        committed.
        """
        worker = Worker(work)
        asked_at: float | None = None
        ended = False
        while not ended:
            ended = worker.wait(0.05)
            if self._flag.stopping and not ended:
                asked_at = asked_at or time.monotonic()
                if time.monotonic() - asked_at > patience:
                    raise self._stopped()
        return worker.result()

    def _commit(self, checkpoints: Checkpoints) -> None:
        """Publish the state of the run."""
        checkpoints.commit(self._sampling)
        self._committed = checkpoints.engine.networks_done

    def _stopped(self) -> StoppedEarly:
        """Say what is in the file, and the command that goes on from there."""
        code = self._flag.exit_code or 75
        if self._committed is None:
            again = self._command + (" --overwrite" if self._path.exists() else "")
            return StoppedEarly(f"stopped before anything was written; start again: {again}", code)
        done = f"{self._committed} of {self._start.plan.networks} networks committed{self._on_the_way}"
        return StoppedEarly(f"stopped, {done}; go on with: {self._command} --resume", code)

    def _field_writer(self, engine: Any) -> FieldWriter | None:
        if not engine.keeps_fields:
            return None
        earlier = self._start.earlier
        manifest = earlier.fields if earlier is not None else None
        rows = manifest.rows_per_segment if manifest is not None else segment_rows(engine.plan)
        writer = FieldWriter(
            outputs_folder(self._path), rows, engine.kept_outputs, engine.plan.points, start_dtype(engine)
        )
        if manifest is not None:
            writer.restore(manifest)
        return writer

    def _note_error(self, engine: Any) -> None:
        """Relative error of the connected four-point function at one point, for the display."""
        now = time.monotonic()
        if "S4:0000" not in engine.estimator.layout.tables or now - self._error_time < ERROR_SECONDS:
            return
        if engine.networks_done < 2 * engine.plan.block_size:
            return
        try:
            estimate = engine.estimator.excess_kurtosis()
        except NumericalError:  # so far too few networks carry the weight
            return
        with np.errstate(all="ignore"):
            relative = np.abs(estimate.stderr / estimate.value)
        finite = relative[np.isfinite(relative)]
        self._relative_error = float(np.median(finite)) if len(finite) else None
        self._error_time = now + 20 * (time.monotonic() - now)


def _word(path: Path) -> str:
    """Return a path as a word of a command line that is not taken for an option."""
    return f"./{path}" if str(path).startswith("-") else str(path)


def start_dtype(engine: Any) -> str:
    """Return the number type of kept outputs."""
    return "float32" if engine.plan.precision == "float32" else "float64"


def remove_outputs(folder: Path) -> None:
    """Remove the kept outputs of a run that was overwritten by one without."""
    for path in folder.glob("segment-[0-9]*.h5"):
        path.unlink()
    try:
        folder.rmdir()
    except OSError:
        sys.stderr.write(f"nnft: folder {folder} holds other files; left as it is\n")
