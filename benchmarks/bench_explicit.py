"""Networks per second with every weight drawn, n = 256, P = 4, against the best peer of that precision."""

from __future__ import annotations

from one_core import clock  # first: it limits the threads of the libraries below

# isort: split

import explicit_peers
from ensembles import make_engine, spec, step
from harness import compare, interleave, rate, read_options, show

POINTS = 4
GOALS = {"float64": 8.0, "float32": 5.0}


def main() -> None:
    """Print one line for each precision."""
    options = read_options(__doc__)
    width = options.size(256, 64)
    for precision, goal in GOALS.items():
        run = spec(width, POINTS, method="explicit", precision=precision)
        points, compiled = run.mesh().points, not options.smoke
        found = explicit_peers.peers(points, width, precision, fourth=True, compiled=compiled)
        works = {"nnft": step(make_engine(run), 64), **found}
        sides = {name: rate(work, units, options.seconds, clock) for name, (work, units) in works.items()}
        samples = interleave(sides, options.rounds)
        question = f"explicit, P = {POINTS}, n = {width}, {precision}"
        note = explicit_peers.absent(found)
        show(compare(question, samples, goal, options, "networks/s", note=note), options)


if __name__ == "__main__":
    main()
