"""Where the error bar itself cannot be trusted, the estimate says so."""

from __future__ import annotations

import numpy as np
import pytest
from runs import SEED, estimate

POINTS = [[1.0, 0.5], [0.3, -0.8]]


@pytest.mark.parametrize("kind", ["direct", "conditional"])
@pytest.mark.parametrize("networks", [20_000, 100_000])
def test_exponential_networks_are_flagged(networks: int, kind: str) -> None:
    """Log-normal neurons: the fourth moment of an output lives on networks that are hardly ever drawn."""
    for seed in range(3):
        estimator = estimate(
            POINTS, [3], "exp", SEED + 1800 + seed, networks, weight=[3.0, 1.0], estimator=kind, orders=(6,)
        )
        for order in (4, 6):
            assert estimator.result(order).unreliable[0]


@pytest.mark.parametrize("width", [2, 10, 100, 500])
def test_exponential_network_of_the_four_point_experiment_is_flagged(width: int) -> None:
    """Halverson, Maiti, Stoner, arXiv:2008.08601: all variances 1, input 1; the direct estimator."""
    estimator = estimate(
        [[1.0]], [width], "exp", SEED + 1830 + width, 50_000, bias=1.0, estimator="direct", orders=(6,)
    )
    for order in (4, 6):
        assert estimator.result(order).unreliable[0]


@pytest.mark.parametrize(
    ("activation", "kind", "networks"),
    [
        ("tanh", "direct", 20_000),
        ("tanh", "conditional", 20_000),
        ("erf", "direct", 20_000),
        ("erf", "conditional", 20_000),
        ("relu", "conditional", 200_000),
        ("sin", "conditional", 20_000),
    ],
)
def test_tame_networks_are_not(activation: str, kind: str, networks: int) -> None:
    for seed in range(4):
        estimator = estimate(POINTS, [24, 24], activation, SEED + 1810 + seed, networks, estimator=kind)
        for order in (2, 4):
            assert not np.any(estimator.result(order).unreliable)
