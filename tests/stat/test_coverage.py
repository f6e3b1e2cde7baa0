"""Intervals from the estimated errors cover the exact values as often as they claim."""

from __future__ import annotations

import math

import numpy as np
import pytest
from runs import DETECTABLE, LIMIT, SEED, binomial_pull, estimate

from nnft.theory.deep_linear import LinearMetric

POINTS = [[1.0, 0.4], [-0.3, 0.9]]
GRAM = [[0.58, 0.03], [0.03, 0.45]]
WIDTHS = (16, 24)
INTERVALS = {1.0: math.erf(1 / math.sqrt(2)), 1.959963984540054: 0.95}


def exact(points: tuple[int, ...]) -> float:
    """Connected correlator of the deep linear network."""
    return float(LinearMetric(GRAM, WIDTHS, [1.0] * 3, [0.0] * 3).connected_correlator(points))


TARGETS = {order: (points := (0,) * (order // 2) + (1,) * (order // 2), exact(points)) for order in (2, 4, 6)}


def misses(kind: str, method: str, networks: int, repeats: int, first_seed: int) -> dict[int, list[float]]:
    """|estimate - exact| in errors, for every order and repeat."""
    found: dict[int, list[float]] = {order: [] for order in TARGETS}
    for repeat in range(repeats):
        estimator = estimate(
            POINTS, WIDTHS, "linear", first_seed + repeat, networks,
            orders=(6,), estimator=kind, method=method, labels=1,
        )  # fmt: skip
        for order, (points, value) in TARGETS.items():
            correlator = estimator.result(order)
            row = int(correlator.table.locate(np.array([points], dtype=np.int32))[0])
            found[order].append(abs(correlator.value[row] - value) / correlator.stderr[row])
    return found


def check_coverage(kind: str, method: str, networks: int, repeats: int, first_seed: int) -> None:
    """Binomial test of every interval and order."""
    found = misses(kind, method, networks, repeats, first_seed)
    for order, z in found.items():
        for width, level in INTERVALS.items():
            covered = sum(value < width for value in z)
            assert abs(binomial_pull(covered, repeats, level)) < LIMIT, (order, level, covered)


@pytest.mark.parametrize(("kind", "networks"), [("conditional", 3_200), ("direct", 12_800)])
def test_intervals_cover(kind: str, networks: int) -> None:
    """120 repeats see errors that are a quarter of what they should be."""
    index = 1000 * (kind == "direct")
    check_coverage(kind, "collapsed", networks, 120, SEED + 10_000 + index)
    covers_then = math.erf(0.25 / math.sqrt(2))
    assert DETECTABLE * math.sqrt(0.68 * 0.32 / 120) < INTERVALS[1.0] - covers_then


@pytest.mark.long
@pytest.mark.parametrize("method", ["collapsed", "explicit"])
@pytest.mark.parametrize(("kind", "networks"), [("conditional", 6_400), ("direct", 51_200)])
def test_intervals_cover_over_400_repeats(kind: str, networks: int, method: str) -> None:
    """400 repeats see errors that are half of what they should be."""
    index = 1000 * (kind == "direct") + 2000 * (method == "explicit")
    check_coverage(kind, method, networks, 400, SEED + 20_000 + index)
    covers_then = math.erf(0.5 / math.sqrt(2))
    assert DETECTABLE * math.sqrt(0.68 * 0.32 / 400) < INTERVALS[1.0] - covers_then


def test_wrong_errors_are_caught() -> None:
    """The same test on errors that are a quarter as large."""
    found = misses("conditional", "collapsed", 3_200, 120, SEED + 10_000)
    covered = sum(4 * value < 1.0 for value in found[4])
    assert abs(binomial_pull(covered, 120, INTERVALS[1.0])) > LIMIT
