"""Trainings from Python: the same bits however they are cut into pieces, and wrong numbers are found."""

from __future__ import annotations

import _thread
import dataclasses
import json
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stops import StopAfter
from training_cards import TRAININGS, training_spec, write_changed

import nnft
from nnft.analysis.summary import summary
from nnft.errors import CardError, DataFileError, EnvironmentRefusal, NumericalError, StoppedEarly, UsageError
from nnft.pipeline import memory, train_setup, train_state
from nnft.pipeline.recompute import recompute_bin
from nnft.pipeline.train import TrainSession, train
from nnft.pipeline.train_engine import TrainEngine
from nnft.pipeline.train_setup import decide_step, largest_curvature
from nnft.pipeline.worker import Worker
from nnft.spec.plan import plan_run
from nnft.store.reader import read_run

QUICK = ("gd", "sgd-readout", "langevin", "hmc", "exact")
EVERY = [name if name in QUICK else pytest.param(name, marks=pytest.mark.long) for name in TRAININGS]
NUMBERS = ("/accumulators", "/training", "/estimates", "/theory", "/mesh")
Whole = Callable[[str], nnft.Run]


def numbers(run: nnft.Run) -> dict[str, bytes]:
    """Every number of a run that must not depend on how it came about."""
    stored = run.stored
    found = {path: stored.read(path).tobytes() for path in stored.forms if path.startswith(NUMBERS)}
    found["digest"] = stored.text("result_digest").encode()
    if stored.fields is not None:
        found["fields"] = run.fields().tobytes()
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """Function that returns the finished run of a training, by one thread and in one go."""
    folder, runs = tmp_path_factory.mktemp("whole"), dict[str, nnft.Run]()

    def run_of(name: str) -> nnft.Run:
        if name not in runs:
            runs[name] = train(training_spec(name, fields=20), folder / f"{name}.h5", threads=1)
        return runs[name]

    return run_of


def one_step(session: TrainSession, engine: TrainEngine) -> Any:
    """Slices of one step."""
    return session._in_slices(lambda: engine.advance(1))


def in_pieces(patch: pytest.MonkeyPatch, path: Path, name: str, looks: list[int]) -> tuple[nnft.Run, int]:
    """Train in waves of eight networks and slices of one step, stopped after some looks at the flag each
    time; returns the run and the number of stops.
    """
    patch.setattr(TrainSession, "_next_slice", one_step)
    patch.setattr(TrainEngine, "wave_networks", lambda engine: 8)
    spec, stops = training_spec(name, fields=20), 0
    for count in [*looks, 10**9]:
        options: dict[str, Any] = {"stop": StopAfter(count), "threads": 1 + stops % 2}
        try:
            return train(spec, path, resume=path.exists(), **options), stops
        except StoppedEarly:
            stops += 1
    raise TimeoutError("never done")


@pytest.mark.first(3)
@pytest.mark.parametrize("name", EVERY)
def test_stops_waves_and_threads_do_not_change_a_bit(
    whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    run, stops = in_pieces(monkeypatch, tmp_path / "run.h5", name, [2, 7, 24])
    assert stops == 3
    assert numbers(run) == numbers(whole(name))


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["gd", "sgd-readout", "gradient-flow", "langevin", "hmc", "exact"])
def test_many_stops_do_not_change_a_bit(
    whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    run, stops = in_pieces(monkeypatch, tmp_path / "run.h5", name, [2 + k % 5 for k in range(30)])
    assert stops >= 5
    assert numbers(run) == numbers(whole(name))


def test_a_second_run_in_the_process_gives_the_same_bits(whole: Whole, tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
    train(training_spec("gd", seed=1), tmp_path / "other.h5")
    again = train(training_spec("gd", fields=20), tmp_path / "run.h5", threads=2)
    assert numbers(again) == numbers(whole("gd"))
    other = train(training_spec("gd", fields=20, seed=1), tmp_path / "seed.h5")
    assert numbers(other)["digest"] != numbers(again)["digest"]
    assert numbers(other)["fields"] != numbers(again)["fields"]
    after = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
    assert after == before


def test_requests_in_mid_wave(tmp_path: Path) -> None:
    """A host program asks for a commit, then for a stop, from another thread."""
    flag, path = nnft.StopFlag(), tmp_path / "run.h5"
    spec = training_spec("gd", "step = 0.1\nsteps = 1000000000\nsnapshots = 2")
    ended: list[BaseException] = []

    def work() -> None:
        try:
            train(spec, path, stop=flag, threads=1)
        except StoppedEarly as error:
            ended.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        first = _step_on_disk(flag, path, 0)
        second = _step_on_disk(flag, path, first)
    finally:
        flag.request(99)
        worker.join(60)
    assert 0 < first < second < 10**9
    assert isinstance(ended[0], StoppedEarly)
    assert ended[0].exit_code == 99
    assert "0 of 32 networks committed, 32 on their way at step" in str(ended[0])
    assert str(ended[0]).endswith("--resume")


def _step_on_disk(flag: nnft.StopFlag, path: Path, above: int) -> int:
    """Ask for commits until the wave in the file is beyond a step; returns its step."""
    for _ in range(2000):
        flag.request_commit()
        threading.Event().wait(0.02)
        if path.exists():
            with read_run(path) as stored:
                if "wave/position" in stored.training and stored.training["wave/position"][2] > above:
                    return int(stored.training["wave/position"][2])
    raise TimeoutError("no checkpoint")


@pytest.mark.parametrize("name", ["hmc", "exact"])
def test_extended_run_is_the_long_run(tmp_path: Path, name: str) -> None:
    """Also from fewer networks than the eight whose mean shifts the sums."""
    for networks in (3, 12, 32):
        spec = training_spec(name, networks=networks, fields=3)
        run = train(spec, tmp_path / "run.h5", resume=networks > 3)
        assert (run.networks, run.complete) == (networks, True)
    assert numbers(run) == numbers(train(training_spec(name, fields=3), tmp_path / "whole.h5"))


def test_extension_that_was_stopped_goes_on_with_its_bins(tmp_path: Path) -> None:
    """A run of few networks has fewer bins than its card asks for, and keeps them."""
    path = tmp_path / "run.h5"
    short, long = (training_spec("gd", networks=networks, estimate="bins = 50") for networks in (32, 64))
    assert len(train(short, path).estimator.counts) == 32
    with pytest.raises(StoppedEarly):
        train(long, path, resume=True, stop=StopAfter(4))
    run = train(long, path, resume=True)
    assert (run.networks, len(run.estimator.counts)) == (64, 32)


def test_a_wave_may_have_more_networks_than_are_wanted_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run is stopped in its first wave, and goes on with fewer networks than that wave has."""
    short, long = (
        training_spec("gd", networks=networks, fields=5, ensemble="block_size = 2") for networks in (10, 64)
    )
    flag = nnft.StopFlag()

    def one_step_and_look(session: TrainSession, engine: TrainEngine) -> Any:
        if engine.wave is not None and engine.wave.step == 4:
            flag.request()
        return engine.advance(1)

    monkeypatch.setattr(TrainSession, "_next_slice", one_step_and_look)
    with pytest.raises(StoppedEarly, match="0 of 64 networks committed, 64 on their way at step 5;"):
        train(long, tmp_path / "run.h5", stop=flag)
    run = train(short, tmp_path / "run.h5", resume=True)
    assert (run.networks, run.complete) == (10, True)
    assert numbers(run) == numbers(train(short, tmp_path / "whole.h5"))


@pytest.mark.parametrize("name", EVERY)
def test_one_bin_is_trained_again(whole: Whole, name: str) -> None:
    said = recompute_bin(whole(name).path)
    assert said.startswith("trained 1 networks of bin 0 again: sums")
    assert said.endswith("1 stored outputs are bit for bit the same")
    assert ("traces" in said) == (name in ("langevin", "mala", "underdamped", "hmc"))


@pytest.mark.first(1)
@pytest.mark.parametrize("name", ["langevin", "exact"])
def test_a_wrong_number_with_a_right_checksum_is_found(whole: Whole, tmp_path: Path, name: str) -> None:
    """One unit in the last place of a sum of the bin that is trained again, a table of every kind, or of the
    first trace.
    """
    stored, path = whole(name).stored, tmp_path / "run.h5"
    kinds = {key.rpartition("/")[0]: key for key in stored.training if _is_sum(key)}
    assert len(kinds) == (8 if name == "langevin" else 2)
    for group, keys in (("accumulators", ["sums/S1:0", "sums/S4:0000"]), ("training", kinds.values())):
        for key in keys:
            wrong = getattr(stored, group)[key].copy()
            place = (0, 0) if group == "accumulators" or key == "traces/values" else (-1, 0)
            wrong[place] = np.nextafter(wrong[place], np.inf)
            changed: dict[str, Any] = {group: {key: wrong}}
            write_changed(whole(name).path, path, **changed)
            with pytest.raises(DataFileError, match="recomputed") as caught:
                recompute_bin(path)
            assert f"/{group}/{key}" in str(caught.value)
    write_changed(whole(name).path, path, accumulators={"field_shift": np.zeros(2)})
    with pytest.raises(DataFileError, match="recomputed sums differ in /accumulators/sums"):
        recompute_bin(path)


def _is_sum(key: str) -> bool:
    return "sums" in key or "squares" in key or key == "traces/values"


def test_other_data_with_right_checksums_are_found(whole: Whole, tmp_path: Path) -> None:
    targets = whole("gd").stored.training["data/train_targets"] + 1e-9
    write_changed(whole("gd").path, tmp_path / "run.h5", {"data/train_targets": targets})
    with pytest.raises(DataFileError, match="recomputed digest differs"):
        recompute_bin(tmp_path / "run.h5")


def test_run_without_networks_has_nothing_to_recompute(tmp_path: Path) -> None:
    with pytest.raises(StoppedEarly):
        train(training_spec("gd"), tmp_path / "run.h5", stop=StopAfter(2))
    assert recompute_bin(tmp_path / "run.h5").startswith("no block to recompute")


def test_networks_that_diverge_are_counted_and_have_no_outputs(tmp_path: Path) -> None:
    lines = "step = 0.59\nsteps = 60\nbatch_size = 2\nsnapshots = 3\ndivergence = 1.0001"
    said: list[str] = []
    run = train(training_spec("sgd", lines, fields=32), tmp_path / "run.h5", tell=said.append)
    lost = int(run.stored.training["diverged/networks"])
    assert 0 < lost < 32
    assert f"{lost} of 32 networks diverged" in said[-1]
    assert run.estimator.n_networks == 32 - lost
    gone = np.isnan(run.fields()).all(axis=(1, 2))
    assert (np.isnan(run.fields()).any(axis=(1, 2)) == gone).all()
    assert int(gone.sum()) == lost
    assert int(run.stored.training["diverged/first"]) == int(np.flatnonzero(gone)[0])
    assert "bit for bit" in recompute_bin(run.path)


def test_ensemble_that_diverges_as_a_whole(tmp_path: Path) -> None:
    data = 'teacher = "linear"\npoints = 5\ndimension = 2\namplitude = 1e8'
    spec, path = training_spec("gd", data=data, activation="relu", fields=5), tmp_path / "run.h5"
    for resume in (False, True):
        with pytest.raises(
            NumericalError, match=r"all networks diverged: got 32 of 32 .*lower training\.step"
        ):
            train(spec, path, resume=resume)
    with nnft.open(path) as run:
        assert (run.complete, run.networks, run.estimator.n_networks) == (True, 32, 0)
        assert np.isnan(run.fields()).all()
        assert summary(run)["training"]["diverged"]["share"] == 1.0
    assert "bit for bit" in recompute_bin(path)


def test_memory_that_is_too_small_says_how_many_chains_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (memory, train_state):
        monkeypatch.setattr(module, "available_bytes", lambda: 1 << 20)
    lines = "ridge = 0.1\nstep = 0.01\ndraws = 200\nchains = 64"
    with pytest.raises(EnvironmentRefusal, match=r"got 512 members of .* MiB; \d+ fit") as caught:
        train(training_spec("langevin", lines), tmp_path / "run.h5")
    per_member, fit = str(caught.value).split("members of ")[1].split(": lower")[0].split(" MiB; ")
    assert int(fit.split()[0]) == pytest.approx(0.5 / float(per_member), rel=0.1)
    assert list(tmp_path.iterdir()) == []


def test_memory_is_the_smallest_of_what_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert 1 << 20 < memory.available_bytes() < 1 << 50
    group = tmp_path / "batch" / "job"
    group.mkdir(parents=True)
    for folder, most in ((group, "max"), (group.parent, "5000000")):
        (folder / "memory.max").write_text(f"{most}\n", encoding="ascii")
        (folder / "memory.current").write_text("3000000\n", encoding="ascii")
        (folder / "memory.stat").write_text("anon 7\ninactive_file 1000000\n", encoding="ascii")
    lines = memory._lines
    monkeypatch.setattr(memory, "GROUPS", tmp_path)
    monkeypatch.setattr(
        memory, "_lines", lambda path: ["0::/batch/job"] if path.name == "cgroup" else lines(path)
    )
    assert memory.available_bytes() == 3_000_000


def test_threads_that_die_before_they_begin_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _result(Worker(lambda: 7)) == 7
    with pytest.raises(ZeroDivisionError):
        _result(Worker(lambda: 1 / 0))
    start = _thread.start_new_thread
    monkeypatch.setattr(_thread, "start_new_thread", lambda function, arguments: start(len, ([],)))
    with pytest.raises(MemoryError, match="died"):
        _result(Worker(lambda: 7))


def _result(worker: Worker) -> Any:
    """Wait as a session does, but not for ever."""
    assert any(worker.wait(0.05) for _ in range(200))
    return worker.result()


def test_steps_that_are_found_do_not_depend_on_networks_or_chains() -> None:
    lines = "ridge = 0.1\nburn_in = 5\ndraws = 5"
    steps = set()
    for networks, chains in ((4, 1), (32, 1), (32, 3)):
        spec = training_spec("mala", f"{lines}\nchains = {chains}", networks=networks)
        steps.add(decide_step(spec, plan_run(spec))[0])
    (step,) = steps
    assert step == float(f"{step:.6g}") > 0.0


def test_many_points_are_judged_by_the_first_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest eigenvalue of a kernel grows with the number of points."""
    data = 'teacher = "linear"\npoints = 400\ndimension = 2'
    for name, lines in (("gd", None), ("sgd", "step = 1e-4\nsteps = 9\nbatch_size = 300")):
        spec = training_spec(name, lines, data=data)
        training = plan_run(spec).training
        assert training is not None
        exact = largest_curvature(spec, training)
        with monkeypatch.context() as patched:
            patched.setattr(train_setup, "MOST_PILOT_POINTS", 100)
            few = largest_curvature(spec, training)
        assert few == pytest.approx(exact, rel=0.25)
        assert few != exact


def test_refusals_are_exceptions_and_leave_nothing(whole: Whole, tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    prior = training_spec("gd").without_training()
    with pytest.raises(CardError, match="no training"):
        train(prior, path)
    with pytest.raises(CardError, match="--prior"):
        nnft.sample(training_spec("gd"), path)
    with pytest.raises(CardError, match=r"stability limit .*training\.step: got 50; allowed: below 0\.\d+"):
        train(training_spec("gd", "step = 50.0\nsteps = 20"), path)
    with pytest.raises(DataFileError, match="nothing to resume"):
        train(training_spec("gd"), path, resume=True)
    with pytest.raises(UsageError, match="result file exists"):
        train(training_spec("gd", fields=20), whole("gd").path)
    with pytest.raises(CardError, match=r"training\.step"):
        train(
            training_spec("gd", "step = 0.2\nsteps = 20\nsnapshots = 4", fields=20),
            whole("gd").path,
            resume=True,
        )
    assert list(tmp_path.iterdir()) == []


def test_plan_knows_the_networks_that_are_trained_together() -> None:
    """Memory and space on the disk are refused by these numbers before anything is written."""
    small = plan_run(training_spec("langevin"))
    many = plan_run(training_spec("langevin", "ridge = 0.1\nstep = 0.01\ndraws = 1000\nchains = 1024"))
    engine = TrainEngine(training_spec("langevin"), small, 1, 0.02)
    assert small.wave_bytes == pytest.approx(engine.network_bytes() * 32, rel=0.5)
    assert many.wave_bytes > 8 * 1024 * 1000 * 8 * 8
    assert many.memory_bytes > many.wave_bytes
    assert json.loads(json.dumps(dataclasses.asdict(many)))["wave_bytes"] == many.wave_bytes
    assert plan_run(training_spec("exact")).wave_bytes == 0
