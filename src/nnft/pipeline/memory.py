"""How much memory a process may still take."""

from __future__ import annotations

import mmap
import resource
from collections.abc import Iterator
from pathlib import Path

UNKNOWN_MACHINE = 8 << 30
GROUPS = Path("/sys/fs/cgroup")
LIBRARY_BYTES = 128 << 20
"""Address space that libraries take while they are loaded and kernels while they start."""


def available_bytes() -> int:
    """Return the memory that machine, control group and limits of the process leave, as far as they say."""
    known = [free for free in (_machine(), _limit(), *_groups()) if free is not None]
    return max(0, min(known, default=UNKNOWN_MACHINE))


def require_room_for_libraries() -> None:
    """Refuse to start where linear algebra would wait for ever for its buffers.

    Raises
    ------
    MemoryError
        The system refuses 128 MiB.
    """
    try:
        mmap.mmap(-1, LIBRARY_BYTES).close()
    except OSError as error:
        raise MemoryError(f"{LIBRARY_BYTES >> 20} MiB for libraries") from error


def _machine() -> int | None:
    """Memory that the system has free, caches included."""
    for line in _lines(Path("/proc/meminfo")):
        if line.startswith("MemAvailable"):
            return int(line.split()[1]) * 1024
    return None


def _limit() -> int | None:
    """Address space left below the limit of ``ulimit -v``."""
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    used = _lines(Path("/proc/self/statm"))
    if most == resource.RLIM_INFINITY or not used:
        return None
    return most - int(used[0].split()[0]) * resource.getpagesize()


def _groups() -> Iterator[int]:
    """Memory left in the control group of the process and in those above it."""
    for line in _lines(Path("/proc/self/cgroup")):
        if not line.startswith("0::/"):
            continue
        inner = GROUPS / line[len("0::/") :]
        for folder in (inner, *inner.parents):
            if GROUPS not in (folder, *folder.parents):
                break
            most, used = (_lines(folder / name) for name in ("memory.max", "memory.current"))
            if most and used and most[0].isdigit() and used[0].isdigit():
                yield int(most[0]) - int(used[0]) + _reclaimable(folder)


def _reclaimable(folder: Path) -> int:
    """Bytes of files that a control group gives back when memory is short."""
    for line in _lines(folder / "memory.stat"):
        if line.startswith("inactive_file "):
            return int(line.split()[1])
    return 0


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return []
