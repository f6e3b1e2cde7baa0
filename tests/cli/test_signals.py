"""Signals end a run within seconds, with a checkpoint and the command that goes on."""

from __future__ import annotations

import os
import pty
import select
import shlex
import signal
import time
from pathlib import Path

import pytest
from command_line import SCRIPT, Nnft, everything, finish, networks_done, refused, wait_for

ENDLESS = 50_000_000
WHOLE = 60_000


def stopped_line(words: list[str], networks: int, planned: int) -> list[str]:
    return [
        f"nnft: stopped, {networks} of {planned} networks committed; go on with: {shlex.join(words)} --resume"
    ]


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, 130),
        (signal.SIGTERM, 143),
        pytest.param(signal.SIGHUP, 129, marks=pytest.mark.long),
        pytest.param(signal.SIGXCPU, 152, marks=pytest.mark.long),
    ],
)
def test_signal_commits_and_prints_the_resume_command(nnft: Nnft, number: int, code: int) -> None:
    nnft.card("a card.toml", networks=ENDLESS, fields="2000", checkpoint_seconds=1000)
    run = nnft.folder / "run.h5"
    process = nnft.start("sample", "a card.toml", "-o", "run.h5")
    wait_for(run, process)
    time.sleep(0.7)
    sent = time.monotonic()
    process.send_signal(number)
    end = finish(process, sent)
    assert end.code == code, end
    assert end.seconds < 10
    done = networks_done(run)
    assert 0 < done < ENDLESS
    assert end.lines == stopped_line(["nnft", "sample", "a card.toml", "-o", "run.h5"], done, ENDLESS)
    assert not (nnft.folder / "run.h5.lock").exists()


def test_stopped_run_goes_on_to_the_same_bytes(nnft: Nnft) -> None:
    nnft.card(networks=WHOLE, fields="50000", checkpoint_seconds=0.1, ensemble="block_size = 64")
    stops = [
        ("--max-time", "0"),
        ("--resume", "--max-time", "0"),
        ("--resume", "--max-time", "0", "--threads", "1"),
    ]
    done = [-1]
    for flags in stops:
        end = nnft("sample", "card.toml", "-o", "run.h5", *flags)
        assert end.code == 75, end
        done.append(networks_done(nnft.folder / "run.h5"))
    process = nnft.start("sample", "card.toml", "-o", "run.h5", "--resume", "--threads", "1")
    wait_for(nnft.folder / "run.h5", process, at_least=64)
    process.send_signal(signal.SIGTERM)
    assert finish(process).code in (0, 143)
    assert nnft("sample", "card.toml", "-o", "run.h5", "--resume", "--quiet").code == 0
    assert nnft("sample", "card.toml", "-o", "whole.h5", "--quiet").code == 0
    assert everything(nnft.folder / "run.h5") == everything(nnft.folder / "whole.h5")
    assert nnft("verify", "run.h5").code == 0


def test_usr1_commits_and_goes_on(nnft: Nnft) -> None:
    nnft.card(networks=ENDLESS, checkpoint_seconds=1000)
    process = nnft.start("sample", "card.toml", "-o", "run.h5")
    run = nnft.folder / "run.h5"
    wait_for(run, process)
    for _ in range(2):
        before = networks_done(run)
        time.sleep(0.3)
        assert networks_done(run) == before
        process.send_signal(signal.SIGUSR1)
        wait_for(run, process, at_least=before + 1)
    process.send_signal(signal.SIGTERM)
    end = finish(process)
    assert end.code == 143
    assert [line.split(" of ")[1] for line in end.lines[:-1]] == [
        f"{ENDLESS} networks committed on request"
    ] * 2


def test_second_interrupt_leaves_at_once(nnft: Nnft) -> None:
    nnft.card(networks=ENDLESS, checkpoint_seconds=1000)
    process = nnft.start("sample", "card.toml", "-o", "run.h5")
    wait_for(nnft.folder / "run.h5", process)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    end = finish(process)
    assert end.code == 130
    assert end.seconds < 2
    assert nnft("verify", "run.h5", "--checksums-only").code == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("delay", [pytest.param(0.3, marks=pytest.mark.long), 1.0])
def test_signal_during_import_or_compilation_creates_no_file(nnft: Nnft, number: int, delay: float) -> None:
    nnft.card(networks=ENDLESS)
    (nnft.folder / "empty-cache").mkdir()
    process = nnft.start(
        "sample", "card.toml", "-o", "run.h5", env={"NNFT_CACHE_DIR": str(nnft.folder / "empty-cache")}
    )
    time.sleep(delay)
    process.send_signal(number)
    sent = time.monotonic()
    end_code = process.wait(timeout=60)
    assert time.monotonic() - sent < 10
    error = process.communicate()[1]
    assert end_code in (128 + number, -signal.SIGTERM), (end_code, error)
    assert "Traceback" not in error
    assert len(error.split("\n")) <= 3
    assert sorted(entry.name for entry in nnft.folder.iterdir()) == ["card.toml", "empty-cache"]


def test_run_under_nohup_outlives_its_terminal(nnft: Nnft) -> None:
    nnft.card(networks=ENDLESS)
    process = nnft.start("sample", "card.toml", "-o", "run.h5", prefix=("nohup", SCRIPT))
    wait_for(nnft.folder / "run.h5", process)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 143
    process.communicate()


@pytest.mark.long
def test_stopped_and_continued_process_goes_on(nnft: Nnft) -> None:
    nnft.card(networks=WHOLE, ensemble="block_size = 64")
    process = nnft.start("sample", "card.toml", "-o", "run.h5", "--quiet")
    wait_for(nnft.folder / "run.h5", process)
    process.send_signal(signal.SIGSTOP)
    time.sleep(1)
    process.send_signal(signal.SIGCONT)
    assert finish(process).code == 0


def test_time_budget_ends_the_run(nnft: Nnft) -> None:
    nnft.card(networks=ENDLESS)
    end = nnft("sample", "card.toml", "-o", "run.h5", "--max-time", "4", "--threads", "1")
    assert end.code == 75
    done = networks_done(nnft.folder / "run.h5")
    assert done > 0
    assert end.lines == stopped_line(["nnft", "sample", "card.toml", "-o", "run.h5"], done, ENDLESS)
    status = nnft("status", "run.h5")
    again = "nnft sample card.toml -o run.h5 --max-time 4 --threads 1 --resume"
    assert f"stopped; go on with {again}" in status.out
    assert f"{done} of {ENDLESS}" in status.out
    busy = nnft("sample", "card.toml", "-o", "run.h5")
    refused(busy, 2, "run.h5", "--resume")


def on_terminal(nnft: Nnft, size: tuple[int, int], *words: str) -> tuple[int, str]:
    """Run a command on a terminal of (rows, columns), press Ctrl-C after a second of progress."""
    import fcntl
    import struct
    import termios

    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))

    def own_terminal() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    streams = {"stdin": follower, "stdout": follower, "stderr": follower, "preexec_fn": own_terminal}
    process = nnft.start(*words, env={"TERM": "xterm"}, **streams)
    os.close(follower)
    shown, pressed, since = b"", False, time.monotonic()
    while time.monotonic() - since < 60:
        ready, _, _ = select.select([leader], [], [], 0.1)
        try:
            shown += os.read(leader, 65536) if ready else b""
        except OSError:
            break
        if not pressed and (nnft.folder / "run.h5").exists() and networks_done(nnft.folder / "run.h5") > 0:
            time.sleep(0.5)
            os.write(leader, b"\x03")
            pressed = True
    os.close(leader)
    return process.wait(timeout=20), shown.decode()


def test_bar_on_a_terminal_and_the_interrupt_key(nnft: Nnft) -> None:
    nnft.card(networks=ENDLESS, checkpoint_seconds=0.5)
    code, shown = on_terminal(nnft, (40, 100), "sample", "card.toml", "-o", "run.h5")
    assert code == 130, shown
    assert "networks/s" in shown
    assert "G4 error" in shown
    assert max(len(part) for line in shown.splitlines() for part in line.split("\r")) <= 200
    assert shown.rstrip().endswith("go on with: nnft sample card.toml -o run.h5 --resume")
    assert "error:" not in shown


@pytest.mark.long
def test_terminal_without_a_size_shows_no_bar(nnft: Nnft) -> None:
    nnft.card(networks=ENDLESS, checkpoint_seconds=0.5)
    code, shown = on_terminal(nnft, (0, 0), "sample", "card.toml", "-o", "run.h5")
    assert code == 130, shown
    assert "%|" not in shown
    assert Path(nnft.folder / "run.h5").exists()
