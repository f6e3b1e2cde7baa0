"""Standard normals into a buffer, against NumPy's ziggurat with the faster of two bit generators."""

from __future__ import annotations

from one_core import clock  # first: it limits the threads of the libraries below

# isort: split

import itertools
from collections.abc import Callable

import numpy as np

from harness import compare, interleave, rate, read_options, show
from nnft._kernels import _core

BUFFER = 8192
GOALS = {"float64": 5.0, "float32": 12.0}


def ours(precision: str) -> Callable[[], object]:
    """Return a function that fills a buffer from the next network's stream."""
    out = np.empty(BUFFER, dtype=precision)
    networks = itertools.count()
    return lambda: _core.normals(1, next(networks), 1, 0, out)


def numpys(bits: np.random.BitGenerator, precision: str) -> Callable[[], object]:
    """Return a function that fills a buffer with NumPy."""
    out, random = np.empty(BUFFER, dtype=precision), np.random.Generator(bits)
    kind = np.float32 if precision == "float32" else np.float64
    return lambda: random.standard_normal(out=out, dtype=kind)


def main() -> None:
    """Print one line for each precision."""
    options = read_options(__doc__)
    for precision, goal in GOALS.items():
        works = {
            "nnft": ours(precision),
            "NumPy PCG64": numpys(np.random.PCG64(1), precision),
            "NumPy SFC64": numpys(np.random.SFC64(1), precision),
        }
        sides = {name: rate(work, BUFFER / 1e6, options.seconds, clock) for name, work in works.items()}
        samples = interleave(sides, options.rounds)
        show(compare(f"normals, {precision}", samples, goal, options, "M/s"), options)


if __name__ == "__main__":
    main()
