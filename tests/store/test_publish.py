"""Publication: complete or not at all, whatever the disk, the permissions and other processes do."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nnft.errors import MESSAGE_LIMIT, EnvironmentRefusal
from nnft.store import atomic
from nnft.store.atomic import PREVIOUS_SUFFIX, publish, remove_leftovers, require_space
from nnft.store.snapshot import RunSnapshot
from nnft.store.writer import write_snapshot

Make = Callable[..., RunSnapshot]


def write_number(number: int, size: int = 1000) -> Callable[[h5py.File], None]:
    """Return a content of one array."""

    def fill(file: h5py.File) -> None:
        file.create_dataset("numbers", data=np.full(size, float(number)), chunks=(100,), fletcher32=True)

    return fill


def stored_number(path: Path) -> float:
    """Read the content that `write_number` wrote."""
    with h5py.File(path) as file:
        return float(file["numbers"][0])


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_previous_file_is_kept(run_path: Path) -> None:
    for number in range(3):
        publish(run_path, write_number(number))
    assert stored_number(run_path) == 2
    assert stored_number(run_path.with_name(run_path.name + PREVIOUS_SUFFIX)) == 1
    assert names(run_path.parent) == ["run.h5", "run.h5.previous"]


def test_previous_file_is_copied_without_hard_links(run_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(atomic.os, "link", refuse)
    for number in range(3):
        publish(run_path, write_number(number))
    assert stored_number(run_path.with_name("run.h5.previous")) == 1
    assert names(run_path.parent) == ["run.h5", "run.h5.previous"]


def test_file_format_is_old_enough(run_path: Path) -> None:
    publish(run_path, write_number(1))
    assert run_path.read_bytes()[8] == 2  # superblock version of HDF5 1.8, without open-for-write flags


def test_failing_content_changes_nothing(run_path: Path) -> None:
    publish(run_path, write_number(1))

    def fail(file: h5py.File) -> None:
        write_number(2)(file)
        raise KeyError("inside")

    with pytest.raises(KeyError, match="inside"):
        publish(run_path, fail)
    assert stored_number(run_path) == 1
    assert names(run_path.parent) == ["run.h5"]


class FailingDisk:
    """Replacement of one system call that fails from its n-th call on."""

    def __init__(self, call: Callable[..., Any], failure: BaseException) -> None:
        self.call = call
        self.failure = failure
        self.calls = 0
        self.fails_at = 1 << 30

    def __call__(self, *arguments: Any) -> Any:
        self.calls += 1
        if self.calls >= self.fails_at:
            raise self.failure
        return self.call(*arguments)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_disk_full_at_every_write(run_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    publish(run_path, write_number(1))
    before = run_path.read_bytes()
    disk = FailingDisk(os.pwrite, OSError(number, os.strerror(number)))
    monkeypatch.setattr(atomic.os, "pwrite", disk)
    monkeypatch.setattr(atomic.os, "fsync", lambda _: None)
    publish(run_path, write_number(1))
    writes, step = disk.calls, 1 if number == errno.ENOSPC else 5
    assert writes > 10
    for disk.fails_at in range(1, writes + 1, step):
        disk.calls = 0
        with pytest.raises(EnvironmentRefusal, match=errno.errorcode[number]) as caught:
            publish(run_path, write_number(2))
        assert len(str(caught.value)) <= MESSAGE_LIMIT
        assert run_path.read_bytes() == before
    assert names(run_path.parent) == ["run.h5", "run.h5.previous"]


def test_disk_full_with_much_metadata(run_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HDF5 reads evicted metadata back; after a failed write it must find it, or it crashes."""

    def fill(file: h5py.File) -> None:
        for number in range(1500):
            file.create_group(f"g{number}").attrs["number"] = number
            write_number(number, 200)(file[f"g{number}"])

    disk = FailingDisk(os.pwrite, OSError(errno.ENOSPC, "No space left on device"))
    disk.fails_at = 40
    monkeypatch.setattr(atomic.os, "pwrite", disk)
    with pytest.raises(EnvironmentRefusal, match="ENOSPC"):
        publish(run_path, fill)
    assert disk.calls == disk.fails_at
    assert names(run_path.parent) == []


@pytest.mark.parametrize("call", ["fsync", "ftruncate", "replace", "open"])
def test_failures_of_other_system_calls(run_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    publish(run_path, write_number(1))
    disk = FailingDisk(getattr(os, call), OSError(errno.EIO, "Input/output error"))
    disk.fails_at = 1
    monkeypatch.setattr(os, call, disk)
    with pytest.raises(EnvironmentRefusal, match="EIO"):
        publish(run_path, write_number(2))
    monkeypatch.undo()
    assert stored_number(run_path) == 1
    assert not any("partial" in name for name in names(run_path.parent))


def test_interrupt_during_a_write_is_raised_and_leaves_no_trace(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FailingDisk(os.pwrite, KeyboardInterrupt())
    disk.fails_at = 3
    monkeypatch.setattr(atomic.os, "pwrite", disk)
    with pytest.raises(KeyboardInterrupt):
        publish(run_path, write_number(1))
    assert names(run_path.parent) == []


def run_python(code: str, *arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a program whose `EnvironmentRefusal` becomes exit code 4, as on the command line."""
    program = (
        "import os, resource, sys\nsys.path[:0] = sys.argv[1].split(os.pathsep)\n"
        "from nnft.errors import NnftError\nfrom nnft.store.atomic import publish\n"
        "from nnft.store.lock import RunLock\nimport h5py, numpy as np\n"
        "def fill(file): file['x'] = np.arange(200_000.0)\n"
        f"try:\n    {code}\nexcept NnftError as error:\n    print(error, file=sys.stderr)\n"
        "    sys.exit(error.exit_code)\n"
    )
    command = [sys.executable, "-c", program, os.pathsep.join(sys.path), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)


@pytest.mark.parametrize("limit", [1000, 300_000, 1_500_000])
def test_file_size_limit_ends_with_exit_code_4(run_path: Path, limit: int) -> None:
    publish(run_path, write_number(1))
    before = run_path.read_bytes()
    code = f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); publish(sys.argv[2], fill)"
    done = run_python(code, run_path)
    assert done.returncode == 4, done.stderr
    assert done.stderr.count("\n") == 1
    assert "EFBIG" in done.stderr
    assert run_path.read_bytes() == before
    assert names(run_path.parent) == ["run.h5"]


def test_read_only_folder_is_refused_at_once(open_folder: Path) -> None:
    """The lock is the first thing a run writes; root is not stopped by permissions, so become nobody."""
    run_path = open_folder / "run.h5"
    publish(run_path, write_number(1))
    open_folder.chmod(0o555)
    become = "os.setgid(65534); os.setuid(65534); " if os.getuid() == 0 else ""
    for action in ("RunLock(sys.argv[2]).acquire()", "publish(sys.argv[2], fill)"):
        done = run_python(become + action, run_path)
        assert done.returncode == 4, done.stderr
        assert "choose a folder you may write to" in done.stderr
    assert names(open_folder) == ["run.h5"]


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentRefusal, match="create the folder first"):
        publish(tmp_path / "none" / "run.h5", write_number(1))
    assert names(tmp_path) == []


def test_too_long_name(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentRefusal, match="ENAMETOOLONG") as caught:
        publish(tmp_path / ("x" * 300), write_number(1))
    assert len(str(caught.value)) <= MESSAGE_LIMIT


def test_space_is_compared_with_what_is_needed(tmp_path: Path) -> None:
    require_space(tmp_path, 1)
    with pytest.raises(EnvironmentRefusal, match="not enough disk space"):
        require_space(tmp_path, 1 << 62)


@pytest.mark.parametrize("fault", ["deleted", "replaced", "moved"])
def test_file_that_is_touched_by_others_is_noticed(run_path: Path, fault: str) -> None:
    identity = publish(run_path, write_number(1))
    identity = publish(run_path, write_number(2), expected=identity)
    if fault == "deleted":
        run_path.unlink()
    elif fault == "moved":
        run_path.rename(run_path.with_name("away.h5"))
    else:
        publish(run_path, write_number(3))
    with pytest.raises(EnvironmentRefusal, match="deleted, moved or replaced"):
        publish(run_path, write_number(4), expected=identity)


def test_leftovers_of_killed_writers_are_removed(run_path: Path) -> None:
    publish(run_path, write_number(1))
    for name in (".run.h5.nnft-partial-00", ".other.h5.nnft-partial-00", "run.h5.notes"):
        (run_path.parent / name).write_bytes(b"x")
    assert remove_leftovers(run_path) == [".run.h5.nnft-partial-00"]
    assert names(run_path.parent) == [".other.h5.nnft-partial-00", "run.h5", "run.h5.notes"]


def test_kill_at_random_moments_leaves_a_complete_file(run_path: Path) -> None:
    code = (
        "n = 0\n    while True:\n        n += 1\n"
        "        publish(sys.argv[2], lambda f: f.create_dataset('numbers', data=np.full(100_000, float(n))))"
    )
    rng = np.random.default_rng(20240601)
    publish(run_path, write_number(0))
    for _ in range(4):
        program = "import sys\nsys.path[:0] = sys.argv[1].split(':')\nimport numpy as np\n" + (
            "from nnft.store.atomic import publish\nprint(flush=True)\nif True:\n    " + code
        )
        writer = subprocess.Popen(
            [sys.executable, "-c", program, os.pathsep.join(sys.path), str(run_path)], stdout=subprocess.PIPE
        )
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(float(rng.uniform(0.05, 0.4)))
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        with h5py.File(run_path) as file:
            numbers = file["numbers"][:]
        assert np.all(numbers == numbers[0])
        remove_leftovers(run_path)
    assert set(names(run_path.parent)) <= {"run.h5", "run.h5.previous"}


POLL = """
import sys, time
sys.path[:0] = sys.argv[1].split(":")
from nnft.store.reader import read_run
seen, longest = [], 0.0
while not seen or seen[-1] < 200 * 8:
    begin = time.monotonic()
    with read_run(sys.argv[2]) as run:
        assert (run.points == run.networks_done).all()
        seen.append(run.networks_done)
    longest = max(longest, time.monotonic() - begin)
    time.sleep(0.02)
    if len(seen) == 1:
        print("ready", flush=True)
assert seen == sorted(seen), "the counter went back"
print(len(set(seen)), longest)
"""


def test_readers_see_complete_snapshots_in_order(
    run_path: Path, make_snapshot: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process polls during 200 publications: no error, a counter that never goes back, no long wait."""
    monkeypatch.setattr(atomic.os, "fsync", lambda _: None)
    bare: dict[str, Any] = {"estimates": {}, "theory": {}, "provenance": {}, "runtime": {}, "fields": None}

    def write(blocks: int) -> None:
        count = make_snapshot(blocks).accumulators["count"]
        points = np.full((3, 2), 8.0 * blocks)
        snapshot = make_snapshot(blocks, 400, points=points, accumulators={"count": count}, **bare)
        write_snapshot(run_path, snapshot)

    write(1)
    command = [sys.executable, "-c", POLL, os.pathsep.join(sys.path), str(run_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
        for blocks in range(2, 201):
            write(blocks)
        output, errors = reader.communicate(timeout=60)
    assert reader.returncode == 0, errors
    different, longest = output.split()
    assert int(different) > 5
    assert float(longest) < 5.0
