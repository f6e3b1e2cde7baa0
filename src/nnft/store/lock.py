"""The lock of a run: a small file beside the result file that names the one process allowed to write it.

The lock does not rely on locks of the file system (many cluster file systems have none): creating the file is
the exclusive step. It names host, process, start time and boot, so that a lock left by a killed process is
recognised and taken over, while one of another host is respected.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import socket
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from nnft.errors import EnvironmentRefusal, shorten
from nnft.store.atomic import environment_errors, remove_leftovers, temporary_name

LOCK_SUFFIX = ".lock"
_LOCK_LIMIT = 4096
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_UNREADABLE_PATIENCE = 0.3


@dataclass(frozen=True)
class LockHolder:
    """Who holds a lock.

    Attributes
    ----------
    host, machine_id, boot_id, pid_namespace : str
        Machine, its boot and the process namespace; a process number means something only inside these.
    pid : int
        Process number.
    start_ticks : int
        Start time of the process in clock ticks since boot (field 22 of ``/proc/PID/stat``).
    created : str
        Time at which the lock was taken, ISO 8601 UTC.
    token : str
        Random mark of this one lock.
    """

    host: str
    machine_id: str
    boot_id: str
    pid_namespace: str
    pid: int
    start_ticks: int
    created: str
    token: str

    @classmethod
    def this_process(cls) -> LockHolder:
        """Describe the running process."""
        pid = os.getpid()
        return cls(
            host=socket.gethostname(),
            machine_id=_first_line("/etc/machine-id"),
            boot_id=_first_line(_BOOT_ID),
            pid_namespace=_pid_namespace(),
            pid=pid,
            start_ticks=_start_ticks(pid) or 0,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            token=secrets.token_hex(8),
        )

    @classmethod
    def from_json(cls, text: bytes) -> LockHolder | None:
        """Read a lock's content; None if it is not one."""
        try:
            fields = json.loads(text)
            holder = cls(**fields)
        except (ValueError, TypeError, RecursionError):
            return None
        numbers = (holder.pid, holder.start_ticks)
        texts = (value for name, value in fields.items() if name not in ("pid", "start_ticks"))
        valid = all(type(number) is int for number in numbers) and all(type(text) is str for text in texts)
        return holder if valid else None

    def is_local(self) -> bool:
        """Whether this machine can tell if the holder is alive."""
        if (self.host, self.machine_id) != (socket.gethostname(), _first_line("/etc/machine-id")):
            return False
        return self.boot_id != _first_line(_BOOT_ID) or self.pid_namespace == _pid_namespace()

    def is_alive(self) -> bool:
        """Whether a local holder still runs."""
        return self.boot_id == _first_line(_BOOT_ID) and _start_ticks(self.pid) == self.start_ticks

    def describe(self) -> str:
        """Name host, process and start of the lock in a few words."""
        return f"process {self.pid} on host {shorten(self.host, 40)} since {shorten(self.created, 30)}"


class RunLock:
    """Exclusive right to write the run file `path`; use as a context manager.

    Parameters
    ----------
    path : str or path
        The run file; the lock is ``<path>.lock``.
    break_lock : bool
        Take over a lock of another host, or an unreadable one. A live process of this host is never robbed.

    Attributes
    ----------
    messages : list of str
        Lines for the user: a stale lock taken over, a foreign lock broken, left-over files removed.

    Raises
    ------
    EnvironmentRefusal
        On entry, within a second: another process holds the lock, or the folder cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], *, break_lock: bool = False) -> None:
        self.path = Path(path)
        self.lock_path = self.path.with_name(self.path.name + LOCK_SUFFIX)
        self.messages: list[str] = []
        self._break_lock = break_lock
        self._holder: LockHolder | None = None

    def __enter__(self) -> RunLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def acquire(self) -> None:
        """Take the lock, or raise `EnvironmentRefusal`."""
        if self._holder is not None:
            raise EnvironmentRefusal(f"lock is already held by this object in {shorten(str(self.lock_path))}")
        holder = LockHolder.this_process()
        with environment_errors(self.lock_path):
            content = json.dumps(asdict(holder)).encode()
            while not _create_exclusively(self.lock_path, temporary_name(self.path), content):
                self._clear_or_refuse()
            self._holder = holder
            leftovers = remove_leftovers(self.path)
        if leftovers:
            self.messages.append(f"removed {len(leftovers)} unfinished file(s) of a stopped writer")

    def release(self) -> None:
        """Give the lock back; a lock that meanwhile belongs to somebody else is left alone."""
        if self._holder is not None and self._holder.pid == os.getpid() and self.still_held():
            with contextlib.suppress(OSError):
                self.lock_path.unlink(missing_ok=True)
        self._holder = None

    def still_held(self) -> bool:
        """Whether the lock file still names this object (false after somebody broke or removed the lock)."""
        return self._holder is not None and _read_lock(self.lock_path) == self._holder

    def _clear_or_refuse(self) -> None:
        """Remove a stale lock (or, on request, a foreign one); raise for one that counts."""
        holder = _read_patiently(self.lock_path)
        if holder is None:
            if not self.lock_path.exists():
                return
            if not self._break_lock:
                raise EnvironmentRefusal(
                    f"lock file cannot be read in {shorten(str(self.lock_path))}; "
                    "if no other run writes this file, use --break-lock"
                )
            self.messages.append("broke an unreadable lock")
        elif not holder.is_local():
            if not self._break_lock:
                raise self._refusal(holder, "if that run is gone, use --break-lock")
            self.messages.append(f"broke the lock of {holder.describe()}")
        elif holder.is_alive():
            raise self._refusal(holder, "wait for it or stop it (--break-lock does not stop a live process)")
        else:
            self.messages.append(f"took over the lock left by {holder.describe()}, which is gone")
        self._remove(holder)

    def _refusal(self, holder: LockHolder, advice: str) -> EnvironmentRefusal:
        return EnvironmentRefusal(
            f"another run writes {shorten(self.path.name, 40)}: got lock of {holder.describe()}; {advice}"
        )

    def _remove(self, seen: LockHolder | None) -> None:
        """Remove the lock that was `seen`, and no other one that took its place in the meantime."""
        aside = temporary_name(self.path)
        try:
            self.lock_path.rename(aside)
        except FileNotFoundError:
            return
        try:
            if _read_lock(aside) != seen:
                with contextlib.suppress(FileExistsError):
                    os.link(aside, self.lock_path)
        finally:
            aside.unlink(missing_ok=True)


def _create_exclusively(lock_path: Path, draft: Path, content: bytes) -> bool:
    """Create the lock file with its content in one step, by way of `draft`; False asks for another try."""
    try:
        _write_new(draft, content)
        try:
            os.link(draft, lock_path)
        except (FileExistsError, FileNotFoundError):
            # A lock exists, or the holder of one has just removed this draft as a left-over.
            return False
        except OSError as failure:
            if failure.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
                raise
            try:
                _write_new(lock_path, content)
            except FileExistsError:
                return False
    finally:
        draft.unlink(missing_ok=True)
    return True


def _write_new(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _read_lock(lock_path: Path) -> LockHolder | None:
    try:
        descriptor = os.open(lock_path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return LockHolder.from_json(os.read(descriptor, _LOCK_LIMIT))
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _read_patiently(lock_path: Path) -> LockHolder | None:
    """Read a lock, waiting a moment for a holder that has created but not yet written it."""
    deadline = time.monotonic() + _UNREADABLE_PATIENCE
    while True:
        holder = _read_lock(lock_path)
        if holder is not None or not lock_path.exists() or time.monotonic() > deadline:
            return holder
        time.sleep(0.02)


def _first_line(path: str) -> str:
    """Return an identity that the system keeps in a small file; "unknown" without one."""
    try:
        return Path(path).read_text(encoding="utf-8").strip() or "unknown"
    except (OSError, UnicodeDecodeError):
        return "unknown"


def _pid_namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return "unknown"


def _start_ticks(pid: int) -> int | None:
    """Start time of a process in ticks since boot; None if it is gone or only waits to be reaped."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def lock_holder(path: Path) -> LockHolder | None:
    """Return who holds the lock of the run file `path`, or None if nobody does or it cannot be read."""
    return _read_lock(path.with_name(path.name + LOCK_SUFFIX))
