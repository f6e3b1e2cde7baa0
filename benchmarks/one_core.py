"""Import this before NumPy: the process stays on one processor, every library on one thread.

The thread counts are read when the libraries are loaded, hence a module of its own.
"""

import os
import time
from collections.abc import Callable

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)

LIBRARY_THREADS = 1

for _name in THREAD_VARIABLES:
    os.environ[_name] = str(LIBRARY_THREADS)
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

clock: Callable[[], float] = time.process_time
"""Processor time of the process, all its threads together: other work on the machine does not count."""
