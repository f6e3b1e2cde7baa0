"""What the machine grants: threads, and the record of it in a result file."""

from __future__ import annotations

import json
import os
import platform
import sys
from importlib.metadata import version

from nnft.errors import EnvironmentRefusal, UsageError

RECORDED_VARIABLES = (
    "NNFT_SIMD",
    "NNFT_CACHE_DIR",
    "NUMBA_NUM_THREADS",
    "NUMBA_THREADING_LAYER",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "SLURM_JOB_ID",
    "SLURM_ARRAY_TASK_ID",
    "SLURM_CPUS_PER_TASK",
    "SLURM_RESTART_COUNT",
)
LIBRARIES = ("nnft", "numpy", "numba", "llvmlite", "h5py", "pydantic", "click")


def granted_threads() -> int:
    """Return how many threads this process may use: the scheduler's grant or the affinity mask.

    Raises
    ------
    UsageError
        If ``SLURM_CPUS_PER_TASK`` is no positive number.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    granted = os.environ.get("SLURM_CPUS_PER_TASK")
    if granted is None:
        return affinity
    return min(affinity, _positive("SLURM_CPUS_PER_TASK", granted))


def check_thread_variables() -> None:
    """Refuse thread counts in the environment that the libraries below would trip over.

    Raises
    ------
    UsageError
        Names the variable, its value and what is allowed.
    """
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        value = os.environ.get(name)
        if value is not None:
            _positive(name, value.split(",")[0])


def _positive(name: str, value: str) -> int:
    if not value.strip().isdigit() or int(value) < 1:
        raise UsageError(f"environment variable {name}: got {value!r}; set a positive number or unset it")
    return int(value)


def choose_threads(asked: int | None) -> int:
    """Return the number of threads of a run.

    Raises
    ------
    UsageError
        If `asked` is below 1 or above what is granted.
    """
    granted = granted_threads()
    if asked is None:
        return granted
    if not 1 <= asked <= granted:
        raise UsageError(f"number of threads: got {asked}; allowed 1 to {granted}, what was granted")
    return asked


def provenance(command: str, threads: int, build: dict[str, str]) -> dict[str, str]:
    """Return the records of ``/provenance``: versions, build, host, command, environment."""
    versions = {name: version(name) for name in LIBRARIES} | {"python": sys.version.split()[0]}
    host = {
        "host": platform.node(),
        "system": platform.platform(),
        "processor": processor_name(),
        "threads": str(threads),
    }
    environment = {name: os.environ[name] for name in RECORDED_VARIABLES if name in os.environ}
    records = {"versions": versions, "build": build, "host": host, "environment": environment}
    return {name: json.dumps(record, sort_keys=True) for name, record in records.items()} | {
        "command": command or "python"
    }


def processor_name() -> str:
    """Return the processor's name as the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def nnft_version() -> str:
    """Return the version of the installed package.

    Raises
    ------
    EnvironmentRefusal
        If the package is not installed (run from a bare source tree).
    """
    try:
        return version("nnft")
    except ModuleNotFoundError as error:
        raise EnvironmentRefusal("nnft not installed: got a bare source tree; run pip install .") from error
