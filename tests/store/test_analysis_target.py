"""Where an analysis file may be written, and what stands there after disk, permissions or a kill say no."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnft.errors import MESSAGE_LIMIT, EnvironmentRefusal, UsageError
from nnft.pipeline.analysis_output import check_analysis_output, save_analysis
from nnft.store import atomic
from nnft.store.analysis_content import AnalysisFile, SourceRun
from nnft.store.analysis_reader import read_analysis
from nnft.store.lock import RunLock
from nnft.store.snapshot import RunSnapshot
from nnft.store.verify import verify_file
from nnft.store.writer import write_snapshot

Make = Callable[..., AnalysisFile]


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def refused(path: str | Path, content: AnalysisFile, pattern: str, *, overwrite: bool = False) -> None:
    """Demand one line with exit code 2, from the check beforehand and from the writing."""
    runs = [source.path for source in content.sources]
    for call in (
        lambda: save_analysis(path, content, overwrite=overwrite),
        lambda: check_analysis_output(path, runs, overwrite=overwrite),
    ):
        with pytest.raises(UsageError, match=pattern) as caught:
            call()
        assert caught.value.exit_code == 2
        assert len(str(caught.value)) <= MESSAGE_LIMIT
        assert "\n" not in str(caught.value)


def test_existing_file_needs_overwrite(analysis_path: Path, make_analysis: Make) -> None:
    save_analysis(analysis_path, make_analysis())
    before = analysis_path.read_bytes()
    refused(analysis_path, make_analysis(number=2), "result file exists: got .*add --overwrite")
    assert analysis_path.read_bytes() == before
    check_analysis_output(analysis_path, overwrite=True)
    save_analysis(analysis_path, make_analysis(number=2), overwrite=True)
    assert np.array_equal(read_analysis(analysis_path).points, make_analysis(number=2).points)
    assert names(analysis_path.parent) == ["action.h5"]


def test_only_analysis_files_are_replaced(
    analysis_path: Path, make_analysis: Make, make_snapshot: Callable[..., RunSnapshot]
) -> None:
    write_snapshot(analysis_path, make_snapshot())
    run = analysis_path.read_bytes()
    save_analysis(analysis_path.with_name("whole.h5"), make_analysis())
    truncated = analysis_path.with_name("whole.h5").read_bytes()[:-100]
    for content in (run, truncated, b"", b"notes"):
        analysis_path.write_bytes(content)
        pattern = "result file is not an nnft analysis file: got .*choose another name"
        refused(analysis_path, make_analysis(), pattern, overwrite=True)
        assert analysis_path.read_bytes() == content
    assert names(analysis_path.parent) == ["action.h5", "whole.h5"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("link", ["none", "hard", "symbolic"])
def test_source_run_is_refused(
    run_path: Path,
    make_analysis: Make,
    make_snapshot: Callable[..., RunSnapshot],
    overwrite: bool,
    link: str,
) -> None:
    write_snapshot(run_path, make_snapshot())
    before = run_path.read_bytes()
    target = run_path if link == "none" else run_path.with_name("action.h5")
    if link == "hard":
        target.hardlink_to(run_path)
    elif link == "symbolic":
        target.symlink_to(run_path)
    content = make_analysis(sources=(SourceRun(str(run_path), "r", "d", 1),))
    refused(target, content, "result file is the source run", overwrite=overwrite)
    assert run_path.read_bytes() == before


def test_impossible_places(tmp_path: Path, make_analysis: Make) -> None:
    content = make_analysis()
    refused(tmp_path / "none" / "action.h5", content, "folder of the result file does not exist")
    refused(tmp_path, content, "not a regular file", overwrite=True)
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", content, "not a regular file", overwrite=True)
    refused(tmp_path / "a\nb.h5", content, "control character")
    refused(tmp_path / ("x" * 240), content, "name of the result file is too long")
    refused(tmp_path / ("x" * 300), content, "impossible result file")
    refused("a\0b", content, "impossible result file|control character")
    refused(tmp_path / "note" / "action.h5", content, "does not exist")
    assert names(tmp_path) == ["pipe"]


def test_odd_names_work(tmp_path: Path, make_analysis: Make) -> None:
    for name in ("-o 'x\".h5", os.fsdecode(b"\xff.h5"), "x" * 220):
        save_analysis(tmp_path / name, make_analysis())
        assert verify_file(tmp_path / name) == []


def test_second_writer_is_refused(analysis_path: Path, make_analysis: Make) -> None:
    with (
        RunLock(analysis_path),
        pytest.raises(EnvironmentRefusal, match=r"another run writes 'action.h5': got lock of process"),
    ):
        save_analysis(analysis_path, make_analysis())
    assert names(analysis_path.parent) == []


def test_file_of_another_writer_is_noticed_under_the_lock(
    analysis_path: Path, make_analysis: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process publishes after the first look and before the lock is taken."""

    class LateLock(RunLock):
        def acquire(self) -> None:
            self.path.write_bytes(b"of another writer")
            super().acquire()

    monkeypatch.setattr("nnft.store.analysis_writer.RunLock", LateLock)
    with pytest.raises(UsageError, match="result file exists"):
        save_analysis(analysis_path, make_analysis())
    assert analysis_path.read_bytes() == b"of another writer"
    assert names(analysis_path.parent) == ["action.h5"]


def test_one_of_many_writers_wins(analysis_path: Path, make_analysis: Make) -> None:
    """Ten threads write without overwrite: one file, complete, and nine refusals."""
    outcomes: list[str] = []

    def write(number: int) -> None:
        try:
            save_analysis(analysis_path, make_analysis(number=number))
            outcomes.append("written")
        except (UsageError, EnvironmentRefusal) as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 10
    assert outcomes.count("written") == 1
    assert verify_file(analysis_path) == []
    assert names(analysis_path.parent) == ["action.h5"]


@pytest.mark.first(1)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_disk_full_at_many_writes(
    analysis_path: Path, make_analysis: Make, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    save_analysis(analysis_path, make_analysis())
    before = analysis_path.read_bytes()
    monkeypatch.setattr(atomic.os, "fsync", lambda _: None)
    real, calls = os.pwrite, [0, 1 << 30]

    def pwrite(*arguments: Any) -> int:
        calls[0] += 1
        if calls[0] >= calls[1]:
            raise OSError(number, os.strerror(number))
        return real(*arguments)

    monkeypatch.setattr(atomic.os, "pwrite", pwrite)
    save_analysis(analysis_path, make_analysis(), overwrite=True)
    writes = calls[0]
    assert writes > 50
    for calls[1] in range(1, writes + 1, max(1, writes // 25)):
        calls[0] = 0
        with pytest.raises(EnvironmentRefusal, match=errno.errorcode[number]) as caught:
            save_analysis(analysis_path, make_analysis(number=2), overwrite=True)
        assert len(str(caught.value)) <= MESSAGE_LIMIT
        assert analysis_path.read_bytes() == before
        assert names(analysis_path.parent) == ["action.h5"]


def test_space_is_looked_at_first(
    analysis_path: Path, make_analysis: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.statvfs(analysis_path.parent)
    numbers = list(real)
    numbers[4] = 3  # f_bavail
    monkeypatch.setattr(atomic.os, "statvfs", lambda _: os.statvfs_result(numbers))
    with pytest.raises(EnvironmentRefusal, match=r"not enough disk space .* needed"):
        save_analysis(analysis_path, make_analysis())
    assert names(analysis_path.parent) == []


PROGRAM = """
import os, resource, sys
sys.path[:0] = sys.argv[1].split(os.pathsep)
import numpy as np
from nnft.errors import NnftError
from nnft.pipeline.analysis_output import save_analysis
from nnft.store.analysis_content import AnalysisFile, AnalysisTable
m = 20_000
table = AnalysisTable("t", np.zeros((m, 4), np.int32), np.ones(m), np.ones(m), np.zeros(m, bool), 4,
                      pseudo_values=np.random.default_rng(1).normal(size=(20, m)))
content = AnalysisFile("action", "", "", np.zeros((1, 1)), np.zeros(1, np.int32),
                       bin_counts=np.ones(20, int), tables=(table,))
try:
    {action}
except NnftError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""


def start(action: str, path: Path) -> subprocess.Popen[str]:
    """Start a program that writes 5 MB to `path`; `EnvironmentRefusal` becomes exit code 4."""
    program = PROGRAM.replace("{action}", action)
    command = [sys.executable, "-c", program, os.pathsep.join(sys.path), str(path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("limit", [1000, 300_000, 3_000_000])
def test_file_size_limit_ends_with_exit_code_4(analysis_path: Path, make_analysis: Make, limit: int) -> None:
    save_analysis(analysis_path, make_analysis())
    before = analysis_path.read_bytes()
    action = f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit},) * 2); "
    with start(action + "save_analysis(sys.argv[2], content, overwrite=True)", analysis_path) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 4, errors
    assert errors.count("\n") == 1
    assert "EFBIG" in errors
    assert analysis_path.read_bytes() == before
    assert names(analysis_path.parent) == ["action.h5"]


def test_read_only_folder_is_refused(open_folder: Path) -> None:
    """Root is not stopped by permissions, so become nobody."""
    open_folder.chmod(0o555)
    become = "os.setgid(65534); os.setuid(65534); " if os.getuid() == 0 else ""
    with start(become + "save_analysis(sys.argv[2], content)", open_folder / "action.h5") as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 4, errors
    assert "choose a folder you may write to" in errors
    assert errors.count("\n") == 1
    assert names(open_folder) == []


def test_kill_leaves_a_complete_file_and_the_next_writer_clears_up(
    analysis_path: Path, make_analysis: Make
) -> None:
    action = """save_analysis(sys.argv[2], content)
    print(flush=True)
    while True:
        save_analysis(sys.argv[2], content, overwrite=True)"""
    process = start(action, analysis_path)
    assert process.stdout is not None
    process.stdout.readline()
    for _ in range(10_000):  # until a file is being written
        if any("partial" in name for name in names(analysis_path.parent)):
            break
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert verify_file(analysis_path) == []
    save_analysis(analysis_path, make_analysis(), overwrite=True)
    assert names(analysis_path.parent) == ["action.h5"]
