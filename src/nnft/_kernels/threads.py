"""Threads that share the members of a wave, each working through a few of them without the interpreter
lock.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

PARTS = 16
"""Parts for each thread, so that a slow one is not waited for."""

THREAD_BYTES = 16 << 20
"""Memory that must be free for each thread that is started."""


class MemberThreads:
    """A fixed number of threads.

    Parameters
    ----------
    count : int

    Raises
    ------
    MemoryError
        By `run`, where there is no memory for threads.
    """

    def __init__(self, count: int) -> None:
        self.count = max(1, count)
        self._pool: ThreadPoolExecutor | None = None

    def run(self, members: int, part: Callable[[int, int], None]) -> None:
        """Call part(start, stop) for parts of range(members), until all are done; the first error is
        raised.
        """
        if self.count == 1 or members == 1:
            part(0, members)
            return
        if self._pool is None:
            bytearray(self.count * THREAD_BYTES)  # a thread that dies of want while it starts is waited for
            self._pool = ThreadPoolExecutor(self.count)
        parts = min(members, PARTS * self.count)
        edges = [members * k // parts for k in range(parts + 1)]
        part(0, 0)  # compiles in one thread, if it has to be compiled
        waiting = [self._pool.submit(part, *edge) for edge in itertools.pairwise(edges)]
        for future in waiting:
            future.result()
