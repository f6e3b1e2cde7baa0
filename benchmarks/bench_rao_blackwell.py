"""Relative error of connected G4(aaaa) times the root of the number of networks: conditional against direct.

Every round is an ensemble with its own seed; errors are the jackknife's over 4096 bins, averaged over the
input points. The direct error is divided by the conditional estimate, being larger than its own.
"""

from __future__ import annotations

import numpy as np

from ensembles import relative_error, spec
from harness import Line, figure, read_options, show, summarize

WIDTHS = (256, 1024)
POINTS = 4
GOAL = 1.45


def main() -> None:
    """Print one line for each width."""
    options = read_options(__doc__)
    networks, bins = options.size(1 << 16, 1 << 11), options.size(1 << 12, 1 << 7)
    for full_width in WIDTHS:
        width = options.size(full_width, 32)
        ours, ratios, direct_error = [], [], 0.0
        for index in range(options.rounds):
            run = spec(width, POINTS, networks=networks, bins=bins, seed=20240601 + index)
            error, value = relative_error(run)
            ours.append(float(error.mean()))
            if index == 0:
                direct = spec(width, POINTS, networks=networks, bins=bins, seed=20240601, estimator="direct")
                direct_error = float(relative_error(direct, value)[0].mean())
            ratios.append(direct_error / ours[-1])
        low, middle, high = summarize(ours)
        show(
            Line(
                f"relative error of G4(aaaa) x sqrt(M), tanh, n = {width}",
                f"conditional {figure(middle)}",
                f"direct {figure(direct_error)}, {figure(float(np.median(ratios)))} times ours",
                (low, middle, high),
                GOAL,
                at_most=True,
                note=f"the figure itself is judged; {options.rounds} ensembles of {networks} networks",
                smoke=options.smoke,
            ),
            options,
        )


if __name__ == "__main__":
    main()
