"""Trainings that are stopped in the middle of a wave, kindly or not, go on to the same bytes."""

from __future__ import annotations

import random
import shlex
import signal
import subprocess
import time
from pathlib import Path

import h5py
import pytest
from command_line import SEED, Nnft, Outcome, everything, finish, networks_done, refused
from training_cards import training_text

from nnft.store.lock import lock_holder
from nnft.store.verify import verify_file

CHAIN = "ridge = 0.1\ndraws = 4\nsnapshots = 3"
SECONDS: dict[str, tuple[int, str]] = {
    "gd": (270, "step = 0.1\nsteps = 15000\nsnapshots = 4"),
    "sgd": (270, 'step = 0.05\nepochs = 6000\nbatch_size = 2\norder = "shuffled"\nsnapshots = 4'),
    "gradient-flow": (270, "time = 500.0\nsnapshots = 4"),
    "langevin": (40, f"{CHAIN}\nstep = 0.02\nburn_in = 15000\nthinning = 2000\nchains = 3"),
    "mala": (40, f"{CHAIN}\nburn_in = 15000\nthinning = 2000"),
    "underdamped": (270, f"{CHAIN}\nstep = 0.1\nburn_in = 4000\nthinning = 500"),
    "hmc": (40, f"{CHAIN}\nleapfrog_steps = 3\nburn_in = 5000\nthinning = 500"),
    "exact": (20_000, 'trainable = "readout"\nridge = 0.1\ndraws = 2'),
}
"""Trainings of seconds: networks (more than 256 are trained in waves) and the lines of the table."""
NOWHERE = (0, 0, 0.0)
ENDLESS = "step = 0.1\nsteps = 1000000000\nsnapshots = 2"


def some(*names: str) -> list[object]:
    """All these trainings, those that are not named in the long run only."""
    return [name if name in names else pytest.param(name, marks=pytest.mark.long) for name in SECONDS]


def write_card(nnft: Nnft, name: str = "gd", lines: str | None = None, card: str = "card.toml") -> None:
    """Write the card of such a training, or of 32 networks with other lines and no checkpoint by itself."""
    networks, usual = SECONDS[name]
    text = training_text(
        name,
        lines or usual,
        networks=networks if lines is None else 32,
        widths="[4]",
        fields=30,
        checkpoint_seconds=0.1 if lines is None else 1000.0,
        ensemble=f"block_size = {4 if lines is None else 1}",
    )
    (nnft.folder / card).write_text(text, encoding="utf-8")


def place(run: Path) -> tuple[int, int, float]:
    """Return the networks that are done in a file, and step and time of those on their way.

    A gradient flow has times instead of steps.
    """
    with h5py.File(run, "r") as file:
        done = int(file.attrs["networks_done"])
        if "wave" not in file["training"]:
            return done, 0, 0.0
        wave = file["training/wave"]
        return done, int(wave["position"][2]), float(wave["time"][()])


def holds(run: Path, process: subprocess.Popen[str]) -> bool:
    """Whether a process holds the lock of a run."""
    holder = lock_holder(run)
    return holder is not None and holder.pid == process.pid


def wait_for_step(run: Path, process: subprocess.Popen[str], above: int = 0) -> int:
    """Ask for checkpoints until a file holds a wave beyond a step; returns its step."""
    end = time.monotonic() + 60.0
    while time.monotonic() < end:
        if run.exists() and place(run)[1] > above:
            return place(run)[1]
        assert process.poll() is None
        if run.exists() and holds(run, process):
            process.send_signal(signal.SIGUSR1)
        time.sleep(0.1)
    raise TimeoutError("no checkpoint within a wave")


def kill_at_random(nnft: Nnft, chance: random.Random) -> bool:
    """Start or resume a run, kill it some time after its first new checkpoint; False if it ended before."""
    run = nnft.folder / "run.h5"
    before = place(run) if run.exists() else NOWHERE
    flags = ["--resume"] if run.exists() else []
    threads = str(chance.choice([1, 2]))
    process = nnft.start("train", "card.toml", "-o", "run.h5", "--threads", threads, "--quiet", *flags)
    while process.poll() is None and not (run.exists() and place(run) > before):
        if run.exists() and holds(run, process):
            process.send_signal(signal.SIGUSR1)
        time.sleep(0.05)
    time.sleep(chance.uniform(0.0, 0.3))
    process.kill()
    outcome: Outcome = finish(process)
    assert outcome.code in (0, -signal.SIGKILL), outcome
    return outcome.code != 0


def kill_and_compare(nnft: Nnft, name: str, kills: int) -> None:
    write_card(nnft, name)
    run, before, chance = nnft.folder / "run.h5", NOWHERE, random.Random(SEED)
    killed, within = 0, 0
    for _ in range(kills):
        if not kill_at_random(nnft, chance):
            break
        killed += 1
        if run.exists():
            assert verify_file(run) == []
            after = place(run)
            assert after >= before
            within += after[1:] > (0, 0.0)
            before = after
    flags = ["--resume"] if run.exists() else []
    assert nnft("train", "card.toml", "-o", "run.h5", "--quiet", *flags).code == 0
    assert nnft("train", "card.toml", "-o", "whole.h5", "--quiet").code == 0
    assert everything(run) == everything(nnft.folder / "whole.h5")
    assert killed > 0
    assert within > 0 or name == "exact"
    names = {f"{stem}{end}" for stem in ("run.h5", "whole.h5") for end in ("", ".fields")}
    assert {entry.name for entry in nnft.folder.iterdir()} == names | {"card.toml"}


@pytest.mark.first(1)
@pytest.mark.parametrize("name", ["gd", "hmc", "gradient-flow", "exact"])
def test_killed_trainings_end_with_the_same_bytes(nnft: Nnft, name: str) -> None:
    kill_and_compare(nnft, name, kills=2)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["underdamped"])
def test_20_kills(nnft: Nnft, name: str) -> None:
    kill_and_compare(nnft, name, kills=20)


@pytest.mark.long
@pytest.mark.parametrize("name", ["sgd", "mala", "langevin"])
def test_time_budget_and_resume(nnft: Nnft, name: str) -> None:
    write_card(nnft, name)
    run, places, budget = nnft.folder / "run.h5", [NOWHERE], 0.0
    while max(places) == NOWHERE and budget < 60.0:
        flags = ["--resume"] if run.exists() else []
        threads = str(len(places) % 2 + 1)
        words = ["train", "card.toml", "-o", "run.h5", "--max-time", str(budget), "--threads", threads]
        end = nnft(*words, *flags)
        assert (end.code, end.out) == (75, ""), end
        assert end.lines[-1].endswith("go on with: nnft train card.toml -o run.h5 --resume")
        places.append(place(run))
        budget = max(1.4 * budget, 0.5)
    assert places[1] == NOWHERE
    assert places[-1] > NOWHERE
    assert nnft("train", "card.toml", "-o", "run.h5", "--resume", "--quiet").code == 0
    assert nnft("train", "card.toml", "-o", "whole.h5", "--quiet").code == 0
    assert everything(run) == everything(nnft.folder / "whole.h5")
    assert nnft("verify", "run.h5").code == 0


@pytest.mark.first(1)
@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, 130),
        (signal.SIGTERM, 143),
        pytest.param(signal.SIGHUP, 129, marks=pytest.mark.long),
        pytest.param(signal.SIGXCPU, 152, marks=pytest.mark.long),
    ],
)
def test_signal_within_a_wave(nnft: Nnft, number: int, code: int) -> None:
    write_card(nnft, lines=ENDLESS, card="a card.toml")
    run = nnft.folder / "run.h5"
    process = nnft.start("train", "a card.toml", "-o", "run.h5")
    seen = wait_for_step(run, process)
    sent = time.monotonic()
    process.send_signal(number)
    end = finish(process, sent)
    assert end.code == code, end
    assert end.seconds < 10
    assert end.out == ""
    done, step, _ = place(run)
    assert done == 0
    assert seen <= step < 10**9
    again = shlex.join(["nnft", "train", "a card.toml", "-o", "run.h5", "--resume"])
    where = f"0 of 32 networks committed, 32 on their way at step {step}"
    assert end.lines[-1] == f"nnft: stopped, {where}; go on with: {again}"
    assert set(end.lines[:-1]) == {"nnft: 0 of 32 networks committed on request"}
    assert not (nnft.folder / "run.h5.lock").exists()
    assert f"32 networks on their way, at step {step} of 1000000000" in nnft("status", "run.h5").out
    assert nnft("verify", "run.h5").code == 0
    onward = nnft.start("train", "a card.toml", "-o", "run.h5", "--resume", "--quiet")
    wait_for_step(run, onward, above=step)
    onward.send_signal(signal.SIGTERM)
    assert finish(onward).code == 143


@pytest.mark.long
def test_second_writer_is_refused_and_readers_are_not(nnft: Nnft) -> None:
    """And a checkpoint on request, which says so."""
    write_card(nnft, lines=ENDLESS)
    run = nnft.folder / "run.h5"
    process = nnft.start("train", "card.toml", "-o", "run.h5", "--threads", "1")
    seen = wait_for_step(run, process)
    for flag in ("--overwrite", "--resume"):
        second = nnft("train", "card.toml", "-o", "run.h5", flag, "--quiet")
        refused(second, 4, f"process {process.pid}", "since")
    assert f"running (process {process.pid}" in nnft("status", "run.h5").out
    assert wait_for_step(run, process, above=seen) > seen
    process.send_signal(signal.SIGTERM)
    end = finish(process)
    assert end.code == 143
    assert set(end.lines[:-1]) == {"nnft: 0 of 32 networks committed on request"}
    assert networks_done(run) == 0


@pytest.mark.long
def test_stop_before_the_first_checkpoint_leaves_nothing(nnft: Nnft) -> None:
    """While the engine is made: libraries, the first curvature, kernels."""
    write_card(nnft, lines=ENDLESS)
    process = nnft.start("train", "card.toml", "-o", "run.h5")
    while not (nnft.folder / "run.h5.lock").exists():
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    end = finish(process)
    assert end.code == 143
    left = sorted(entry.name for entry in nnft.folder.iterdir())
    if "run.h5" in left:  # the signal came after the first checkpoint
        assert nnft("verify", "run.h5").code == 0
    else:
        assert left == ["card.toml"]
        assert end.lines == [
            "nnft: stopped before anything was written; start again: nnft train card.toml -o run.h5"
        ]
