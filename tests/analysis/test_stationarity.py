"""Tests of drift: normal deviates in equilibrium whatever the autocorrelation, large where chains drift."""

from __future__ import annotations

import math

import numpy as np
import pytest
from random_chains import ar1
from runs import LIMIT, SEED

from nnft.analysis.stationarity import draws_to_drop, stationarity


@pytest.mark.parametrize(
    ("networks", "chains", "rho"), [(40, 1, 0.9), (10, 4, 0.5), (8, 1, 0.0), (2, 4, 0.7)]
)
def test_drift_tests_have_normal_deviates(networks: int, chains: int, rho: float) -> None:
    # Variance 1 of 300 deviates: a factor 1.9 is seen. An error that ignores the correlation of draws
    # makes it 2 tau = 19, 3 and 5.7.
    rng = np.random.default_rng(SEED)
    found = [
        stationarity(ar1((networks, chains, 60), rho, int(rng.integers(1 << 30))), True) for _ in range(300)
    ]
    trend = np.array([one.trend for one in found])
    pull = ((trend**2).mean() - 1) / math.sqrt(2 / 300)
    assert abs(pull) < LIMIT
    assert abs(trend.mean()) * math.sqrt(300) < LIMIT
    units = networks if networks >= 8 else networks * chains
    assert {one.units for one in found} == {units}


def test_chains_of_one_network_are_no_independent_units() -> None:
    # four chains that still remember their common start move together: taken for independent they make
    # the variance 4, where 1.9 is seen
    rng = np.random.default_rng(SEED)
    found = [
        stationarity(np.repeat(ar1((20, 1, 40), 0.9, int(rng.integers(1 << 30))), 4, axis=1), True)
        for _ in range(300)
    ]
    for name in ("trend", "spread", "thirds"):
        values = np.array([getattr(one, name) for one in found])
        assert abs((values**2).mean() - 1) < LIMIT * math.sqrt(2 / 300), name


def test_networks_with_their_own_laws_do_not_drift_but_a_common_slope_does() -> None:
    values = ar1((16, 2, 100), 0.3, SEED + 6) + 50 * ar1((16, 1, 1), 0.0, SEED)
    assert stationarity(values, False).worst < 4
    assert stationarity(values + np.linspace(0, 1, 100), False).trend > 4


def test_what_cannot_be_tested_for_drift() -> None:
    assert math.isnan(stationarity(ar1((3, 1, 30), 0.5, SEED), True).trend)
    assert math.isnan(stationarity(ar1((50, 1, 5), 0.5, SEED), True).worst)
    assert math.isnan(stationarity(np.ones((50, 1, 50)), True).worst)
    same = np.tile(np.arange(50.0), (50, 1, 1))
    assert stationarity(same, True).trend > 30


def test_how_many_draws_to_drop() -> None:
    transient = np.zeros(80)
    transient[:20] = 1.0
    values = ar1((64, 1, 80), 0.0, SEED)
    assert draws_to_drop(values + transient, True) == 20
    assert draws_to_drop(values + np.linspace(0, 4, 80), True) == 80
    assert draws_to_drop(values[:, :, :12], True) == 12  # too few to judge a part of them
