"""``kill -9`` at random moments: every checkpoint is whole, every resume ends with the same bytes."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from command_line import (
    SEED,
    Nnft,
    Outcome,
    card_text,
    everything,
    fields_bytes,
    finish,
    networks_done,
    refused,
)

from nnft.store.lock import lock_holder
from nnft.store.verify import verify_file

BLOCK = 64
CARD = card_text(
    networks=400_000,
    fields="200000",
    checkpoint_seconds=0.1,
    ensemble=f"block_size = {BLOCK}",
)


def lock_owner(run: Path) -> int | None:
    """Return the process that the lock of a run names."""
    holder = lock_holder(run)
    return None if holder is None else holder.pid


def kill_at_random(nnft: Nnft, name: str, chance: random.Random) -> bool:
    """Start or resume a run, ask it for checkpoints all the time, kill it; False if it ended before."""
    run = nnft.folder / name
    flags = ["--resume"] if run.exists() else []
    threads = str(chance.choice([1, 2]))
    process = nnft.start("sample", "card.toml", "-o", name, "--threads", threads, "--quiet", *flags)
    while lock_owner(run) != process.pid and process.poll() is None:
        time.sleep(0.01)
    deadline = time.monotonic() + chance.uniform(0.0, 1.2)
    while time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
        if run.exists():
            process.send_signal(signal.SIGUSR1)
    process.kill()
    outcome: Outcome = finish(process)
    assert outcome.code in (0, -signal.SIGKILL), outcome
    return outcome.code != 0


def chain(nnft: Nnft, number: int, kills: int) -> int:
    """Kill one run `kills` times, look at what is left each time, and resume it to the end."""
    name, chance, killed = f"run{number}.h5", random.Random(SEED + number), 0
    run, before = nnft.folder / name, 0
    for _ in range(kills):
        killed += kill_at_random(nnft, name, chance)
        if run.exists():
            assert verify_file(run) == []
            done = networks_done(run)
            assert done >= before
            before = done
    flags = ["--resume"] if run.exists() else []
    end = nnft("sample", "card.toml", "-o", name, "--quiet", *flags)
    assert end.code == 0, end
    return killed


def kill_and_compare(nnft: Nnft, chains: int, kills: int) -> None:
    (nnft.folder / "card.toml").write_text(CARD, encoding="utf-8")
    assert nnft("sample", "card.toml", "-o", "whole.h5", "--quiet").code == 0
    with ThreadPoolExecutor(2) as pool:
        killed = sum(pool.map(lambda number: chain(nnft, number, kills), range(chains)))
    assert killed >= chains * kills * 0.8
    whole = everything(nnft.folder / "whole.h5")
    assert len(fields_bytes(nnft.folder / "whole.h5")) >= 1
    for number in range(chains):
        assert everything(nnft.folder / f"run{number}.h5") == whole
    names = {entry.name for entry in nnft.folder.iterdir()}
    wanted = {f"run{number}.h5" for number in range(chains)} | {"whole.h5"}
    assert names == wanted | {f"{name}.fields" for name in wanted} | {"card.toml"}


@pytest.mark.long
def test_20_kills(nnft: Nnft) -> None:
    kill_and_compare(nnft, chains=5, kills=4)


@pytest.mark.long
@pytest.mark.timeout(480)
def test_100_kills(nnft: Nnft) -> None:
    kill_and_compare(nnft, chains=20, kills=5)


def test_a_killed_run_is_taken_over_and_says_so(nnft: Nnft) -> None:
    """And the comparison of the tests above sees another seed, and a segment that lost its end."""
    (nnft.folder / "card.toml").write_text(CARD, encoding="utf-8")
    (nnft.folder / "other.toml").write_text(CARD.replace(str(SEED), "5"), encoding="utf-8")
    process = nnft.start("sample", "card.toml", "-o", "run.h5")
    while not (nnft.folder / "run.h5.fields").exists():
        process.send_signal(signal.SIGUSR1) if (nnft.folder / "run.h5").exists() else None
        time.sleep(0.05)
    process.kill()
    assert finish(process).code == -signal.SIGKILL
    segment = next((nnft.folder / "run.h5.fields").glob("segment-0*.h5"))
    if networks_done(nnft.folder / "run.h5") > 0:
        content = segment.read_bytes()
        segment.write_bytes(content[: len(content) // 2])
        refused(nnft("sample", "card.toml", "-o", "run.h5", "--resume", "--quiet"), 3, segment.name, lines=2)
        segment.write_bytes(content)
    end = nnft("sample", "card.toml", "-o", "run.h5", "--resume", "--quiet")
    assert end.code == 0
    assert nnft("sample", "other.toml", "-o", "other.h5", "--quiet").code == 0
    assert everything(nnft.folder / "other.h5")[0] != everything(nnft.folder / "run.h5")[0]
    assert everything(nnft.folder / "other.h5")[1] != everything(nnft.folder / "run.h5")[1]


def test_second_writer_is_refused_and_readers_are_not(nnft: Nnft) -> None:
    nnft.card(networks=50_000_000, checkpoint_seconds=0.1)
    run = nnft.folder / "run.h5"
    process = nnft.start("sample", "card.toml", "-o", "run.h5", "--threads", "1")
    while not run.exists():
        time.sleep(0.02)
    for flag, env in (("--overwrite", {}), ("--resume", {"HDF5_USE_FILE_LOCKING": "FALSE"})):
        second = nnft("sample", "card.toml", "-o", "run.h5", flag, "--quiet", env=env)
        refused(second, 4, f"process {process.pid}", "since")
    status = nnft("status", "run.h5")
    assert "running (process" in status.out
    counts, slowest = poll(run, process)
    assert counts == sorted(counts)
    assert len(set(counts)) > 2
    assert slowest < 1.0
    process.send_signal(signal.SIGTERM)
    assert finish(process).code == 143


def poll(run: Path, process: subprocess.Popen[str]) -> tuple[list[int], float]:
    """Read a run, asked for another checkpoint after each, until it was written three times meanwhile.

    The counts seen, and the longest wait.
    """
    counts: list[int] = []
    slowest, end = 0.0, time.monotonic() + 40.0
    while len(set(counts)) < 4 and time.monotonic() < end:
        begun = time.monotonic()
        counts.append(networks_done(run))
        if counts[-1] not in counts[:-1]:
            process.send_signal(signal.SIGUSR1)
        slowest = max(slowest, time.monotonic() - begun)
        assert process.poll() is None
    return counts, slowest
