"""The run lock: one writer, found out at once, and no repair by hand after a kill."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nnft.errors import MESSAGE_LIMIT, EnvironmentRefusal
from nnft.store import lock
from nnft.store.lock import LockHolder, RunLock

HOLD = """
import sys
sys.path[:0] = sys.argv[1].split(":")
from nnft.store.lock import RunLock
with RunLock(sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def other_process(run_path: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until its input is closed."""
    command = [sys.executable, "-c", HOLD, os.pathsep.join(sys.path), str(run_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def put_lock(run_path: Path, **changes: Any) -> Path:
    """Write a lock as this process would, with some of its fields changed."""
    holder = dataclasses.replace(LockHolder.this_process(), **changes)
    lock_path = run_path.with_name("run.h5.lock")
    lock_path.write_text(json.dumps(dataclasses.asdict(holder)), encoding="utf-8")
    return lock_path


def refusal(run_path: Path, *, break_lock: bool = False) -> str:
    """Demand a refusal within a second, and return its line."""
    begin = time.monotonic()
    with pytest.raises(EnvironmentRefusal) as caught:
        RunLock(run_path, break_lock=break_lock).acquire()
    assert time.monotonic() - begin < 1.0
    assert caught.value.exit_code == 4
    assert len(str(caught.value)) <= MESSAGE_LIMIT
    return str(caught.value)


def test_lock_is_taken_and_given_back(run_path: Path) -> None:
    with RunLock(run_path) as held:
        assert held.messages == []
        assert held.still_held()
        content = json.loads(run_path.with_name("run.h5.lock").read_text(encoding="utf-8"))
        assert content["pid"] == os.getpid()
        assert names(run_path.parent) == ["run.h5.lock"]
    assert names(run_path.parent) == []
    assert not held.still_held()


@pytest.mark.parametrize("locking", ["TRUE", "FALSE"])
def test_second_writer_is_refused(run_path: Path, monkeypatch: pytest.MonkeyPatch, locking: str) -> None:
    monkeypatch.setenv("HDF5_USE_FILE_LOCKING", locking)
    run_path.write_bytes(b"content")
    with other_process(run_path, HDF5_USE_FILE_LOCKING=locking) as process:
        message = refusal(run_path)
        assert f"process {process.pid}" in message
        assert os.uname().nodename[:30] in message
        assert f"since '{time.strftime('%Y')}" in message
        refusal(run_path, break_lock=True)
    assert run_path.read_bytes() == b"content"


def test_same_process_is_refused_too(run_path: Path) -> None:
    with RunLock(run_path) as held:
        refusal(run_path)
        with pytest.raises(EnvironmentRefusal, match="already held"):
            held.acquire()
        assert held.still_held()


def test_lock_of_a_killed_process_is_taken_over(run_path: Path) -> None:
    with other_process(run_path) as process:
        process.kill()
        # Not waited for: a dead process that nobody has reaped yet still has a number.
        deadline = time.monotonic() + 10
        while lock._start_ticks(process.pid) is not None and time.monotonic() < deadline:
            time.sleep(0.01)
        with RunLock(run_path) as held:
            assert len(held.messages) == 1
            assert f"took over the lock left by process {process.pid}" in held.messages[0]
            assert held.still_held()


@pytest.mark.parametrize(
    "changes", [{"boot_id": "another"}, {"start_ticks": 1}, {"pid": 2**22 + 1}], ids=["boot", "start", "pid"]
)
def test_stale_lock_of_this_host_is_taken_over(run_path: Path, changes: dict[str, Any]) -> None:
    put_lock(run_path, **changes)
    with RunLock(run_path) as held:
        assert len(held.messages) == 1
    assert names(run_path.parent) == []


@pytest.mark.parametrize(
    "changes",
    [{"host": "node17"}, {"machine_id": "another", "boot_id": "another"}, {"pid_namespace": "pid:[1]"}],
    ids=["host", "machine", "container"],
)
def test_lock_of_another_host_is_respected(run_path: Path, changes: dict[str, Any]) -> None:
    lock_path = put_lock(run_path, **changes)
    before = lock_path.read_bytes()
    message = refusal(run_path)
    assert "--break-lock" in message
    assert f"process {os.getpid()}" in message
    assert lock_path.read_bytes() == before
    with RunLock(run_path, break_lock=True) as held:
        assert "broke the lock of process" in held.messages[0]


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff\xfe", b"[" * 4000, b'{"pid": true}'])
def test_unreadable_lock_needs_break_lock(run_path: Path, content: bytes) -> None:
    lock_path = run_path.with_name("run.h5.lock")
    lock_path.write_bytes(content)
    assert "--break-lock" in refusal(run_path)
    with RunLock(run_path, break_lock=True) as held:
        assert held.messages == ["broke an unreadable lock"]


def test_lock_works_without_hard_links(run_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(lock.os, "link", refuse)
    with RunLock(run_path) as held:
        assert held.still_held()
        assert "process" in refusal(run_path)
    assert names(run_path.parent) == []


def test_broken_lock_is_noticed_and_not_removed(run_path: Path) -> None:
    with RunLock(run_path) as held:
        other = put_lock(run_path, host="node17")
        assert not held.still_held()
    assert other.exists()


def test_lock_survives_in_a_forked_child(run_path: Path) -> None:
    with RunLock(run_path) as held:
        child = os.fork()
        if child == 0:
            held.release()
            os._exit(0)
        os.waitpid(child, 0)
        assert held.still_held()


def test_of_many_that_find_a_stale_lock_one_wins(run_path: Path) -> None:
    put_lock(run_path, start_ticks=1)
    code = HOLD.replace("with RunLock", "input()\nwith RunLock").replace(
        "sys.stdin.read()", "import time; time.sleep(1.2)"
    )
    command = [sys.executable, "-c", code, os.pathsep.join(sys.path), str(run_path)]
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    racers = [subprocess.Popen(command, text=True, **pipes) for _ in range(3)]
    time.sleep(0.5)
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    outputs = [racer.communicate(timeout=30)[0] for racer in racers]
    assert outputs.count("held\n") == 1
    assert sorted(racer.returncode for racer in racers) == [0, 1, 1]


def test_left_over_files_are_removed_by_the_next_holder(run_path: Path) -> None:
    (run_path.parent / ".run.h5.nnft-partial-0123").write_bytes(b"x")
    with RunLock(run_path) as held:
        assert held.messages == ["removed 1 unfinished file(s) of a stopped writer"]
        assert names(run_path.parent) == ["run.h5.lock"]
