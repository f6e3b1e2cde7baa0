"""The same measurement in several processes at once: what the machine gives to work that shares nothing."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

Side = Callable[[], float]


def _serve(link: Connection, processor: int, make: Callable[[], Side]) -> None:
    """Measure whenever asked, on one processor."""
    os.sched_setaffinity(0, {processor})
    side = make()
    link.send(0.0)
    while link.recv():
        link.send(side())


@contextmanager
def side_by_side(make: Callable[[], Side]) -> Iterator[Side]:
    """Give a measurement of the sum of the rates of one process on each processor, all at the same time.

    `make` and what it holds are pickled.
    """
    context, links, children = multiprocessing.get_context("spawn"), [], []
    for processor in sorted(os.sched_getaffinity(0)):
        here, there = context.Pipe()
        child = context.Process(target=_serve, args=(there, processor, make), daemon=True)
        child.start()
        there.close()
        links.append(here)
        children.append(child)

    def measure() -> float:
        for link in links:
            link.send(True)
        return sum(link.recv() for link in links)

    try:
        for link in links:
            link.recv()
        yield measure
    finally:
        for link in links:
            link.send(False)
        for child in children:
            child.join(20)
