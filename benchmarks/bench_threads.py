"""Two threads against one, wall time: sampling and accumulating, n = 256, P = 4."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from ensembles import make_engine, spec, step
from harness import Line, compare, interleave, rate, read_options, show
from nnft._kernels.library import most_threads, set_threads

GOAL = 1.85
POINTS = 4


def with_threads(count: int, work: Callable[[], object]) -> Callable[[], object]:
    """Return `work` on that many threads."""

    def limited() -> None:
        set_threads(count)
        work()

    return limited


def main() -> None:
    """Print one line."""
    options = read_options(__doc__)
    width = options.size(256, 64)
    question = f"2 threads against 1, P = {POINTS}, n = {width}, float64"
    if most_threads() < 2:
        ratio = (float("nan"),) * 3
        note = f"needs two processors: {os.cpu_count()} seen, {most_threads()} granted"
        show(Line(question, "not measured", "none", ratio, None, note=note), options)
        return
    sides = {}
    for name, count in (("2 threads", 2), ("1 thread", 1)):
        work, networks = step(make_engine(spec(width, POINTS, block_size=64)), options.size(6400, 256))
        sides[name] = rate(with_threads(count, work), networks, options.seconds, time.perf_counter)
    samples = interleave(sides, options.rounds)
    show(compare(question, samples, GOAL, options, "networks/s", ours="2 threads"), options)


if __name__ == "__main__":
    main()
