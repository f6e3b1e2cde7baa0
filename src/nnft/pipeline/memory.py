"""How much memory a process may still take."""

from __future__ import annotations

import mmap
import resource
from collections.abc import Iterator
from pathlib import Path

from nnft.errors import EnvironmentRefusal
from nnft.spec.plan import FEWEST_IN_WAVE, WAVE_MEMORY, RunPlan

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


def require_members(networks: int, members: int, network_bytes: int) -> None:
    """Refuse networks in training that do not fit into half of the memory that is left.

    Parameters
    ----------
    networks : int
        Fewest that are trained together.
    members : int
        Chains of a network.
    network_bytes : int

    Raises
    ------
    EnvironmentRefusal
        With the number of members that fit.
    """
    most = available_bytes() // 2
    if networks * network_bytes > most:
        raise EnvironmentRefusal(
            f"too little memory for the networks in training: got {networks * members} members of "
            f"{network_bytes / members / 2**20:.5g} MiB; {most * members // network_bytes} fit: lower "
            "training.chains, draws, snapshots, the widths or the data"
        )


def require_wave(plan: RunPlan) -> None:
    """Refuse a training whose smallest wave does not fit, before anything is looked at; see above."""
    if plan.training is None or plan.wave_bytes <= WAVE_MEMORY:
        return
    smallest = -(-FEWEST_IN_WAVE // plan.block_size) * plan.block_size
    require_members(smallest, plan.training.chains, plan.wave_bytes // smallest)
