"""Time to 1 % on connected G4(aaaa): conditional, collapsed against direct on the best explicit peer.

Rates are measured, relative errors are measured, the times are computed from them: error^2 / 0.01^2 networks.
The direct error comes from our own direct estimator, whose law does not depend on who draws the networks.
"""

from __future__ import annotations

from one_core import clock  # first: it limits the threads of the libraries below

# isort: split

import statistics

import explicit_peers
from ensembles import make_engine, relative_error, spec, step
from harness import Line, best, figure, interleave, rate, read_options, show

CASES = ((256, 1.5e6), (1024, 1.5e8))
POINTS = 4
PRECISION = 0.01
YEAR, DAY, HOUR = 365.25 * 86400, 86400.0, 3600.0


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it."""
    for unit, size in (("years", YEAR), ("days", DAY), ("hours", HOUR)):
        if seconds >= size:
            return f"{figure(seconds / size)} {unit}"
    return f"{figure(seconds)} s"


def main() -> None:
    """Print one line for each width."""
    options = read_options(__doc__)
    networks, bins = options.size(1 << 16, 1 << 11), options.size(1 << 11, 1 << 7)
    for full_width, goal in CASES[:1] if options.smoke else CASES:
        width = options.size(full_width, 32)
        run = spec(width, POINTS)
        works = {"nnft": step(make_engine(run), 400)}
        points, compiled = run.mesh().points, not options.smoke
        for precision in ("float64", "float32"):
            found = explicit_peers.peers(points, width, precision, fourth=True, compiled=compiled)
            works |= {f"{name} {precision}": work for name, work in found.items()}
        sides = {name: rate(work, units, options.seconds, clock) for name, (work, units) in works.items()}
        samples = interleave(sides, options.rounds)
        peer = best(samples)
        error, value = relative_error(spec(width, POINTS, networks=networks, bins=bins))
        direct = spec(width, POINTS, networks=networks, bins=bins, estimator="direct")
        errors = float(error.mean()), float(relative_error(direct, value)[0].mean())
        gain = (errors[1] / errors[0]) ** 2
        ratios = [gain * mine / theirs for mine, theirs in zip(samples["nnft"], samples[peer], strict=True)]
        rates = statistics.median(samples["nnft"]), statistics.median(samples[peer])
        times = [(e / PRECISION) ** 2 / r for e, r in zip(errors, rates, strict=True)]
        pairs = zip(errors, rates, strict=True)
        details = [f"error {figure(e)}/sqrt(M), {figure(r)} networks/s" for e, r in pairs]
        note = "computed from measured rates and errors; " + explicit_peers.absent(found)
        show(
            Line(
                f"time to 1 % on G4(aaaa), tanh, P = {POINTS}, n = {width}",
                f"{duration(times[0])} ({details[0]})",
                f"direct on {peer} {duration(times[1])} ({details[1]})",
                (min(ratios), times[1] / times[0], max(ratios)),
                goal,
                note=note.removesuffix("; "),
                smoke=options.smoke,
            ),
            options,
        )


if __name__ == "__main__":
    main()
