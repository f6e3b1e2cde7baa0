"""Networks per second, collapsed, with correlators, against explicit sampling by the best peer."""

from __future__ import annotations

from one_core import clock  # first: it limits the threads of the libraries below

# isort: split

import explicit_peers
from ensembles import make_engine, spec, step
from harness import compare, interleave, rate, read_options, show

CASES = ((4, 256, 240.0), (4, 1024, 650.0), (16, 1024, 240.0), (64, 1024, 48.0))
MOST_POINTS_ORDER_4 = 16


def main() -> None:
    """Print one line for each number of points and width."""
    options = read_options(__doc__)
    for points, full_width, goal in CASES:
        width, fourth = options.size(full_width, 64), points <= MOST_POINTS_ORDER_4
        run = spec(width, points, correlators=[2, 4] if fourth else [2])
        inputs, compiled = run.mesh().points, not options.smoke
        found = explicit_peers.peers(inputs, width, "float64", fourth=fourth, compiled=compiled)
        works = {"nnft": step(make_engine(run), options.size(1600 // points, 16)), **found}
        sides = {name: rate(work, units, options.seconds, clock) for name, (work, units) in works.items()}
        samples = interleave(sides, options.rounds)
        question = f"collapsed, P = {points}, n = {width}, float64"
        note = explicit_peers.absent(found)
        show(compare(question, samples, goal, options, "networks/s", note=note), options)


if __name__ == "__main__":
    main()
