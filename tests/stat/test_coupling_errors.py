"""Error bars of couplings: they cover, and agree with the spread over independent seeds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from runs import LIMIT, SEED, Array, binomial_pull, estimate
from sources import EstimatorSource

from nnft.actions.action import action
from nnft.actions.expansion import expand
from nnft.actions.symmetric import components
from nnft.theory.activations import activation
from nnft.theory.nngp import first_layer_kernel
from nnft.theory.one_hidden_layer import Readout, connected_correlator, mlp_moment

POINTS = np.array([[1.0, 0.2], [-0.4, 0.8]])
WIDTH = 24
REPEATS = 400
NETWORKS = 4000
TABLES = ("quadratic_next", "quartic_leading", "quartic_next", "sextic")


def exact_tables() -> dict[str, Array]:
    moment = mlp_moment(activation("tanh"), first_layer_kernel(POINTS, 1.5, 0.1))
    readout = Readout.gaussian(WIDTH, 1.5, 0.1)
    two, four, six = (
        np.array([connected_correlator(readout, moment, where) for where in components(2, order).tolist()])
        for order in (2, 4, 6)
    )
    free, leading, following = expand(np.array([[two[0], two[1]], [two[1], two[2]]]), four, six)
    quadratic = free.quadratic + leading.quadratic + following.quadratic
    return {
        "quadratic_next": quadratic[np.triu_indices(2)],
        "quartic_leading": leading.quartic,
        "quartic_next": leading.quartic + following.quartic,
        "sextic": following.sextic,
    }


@pytest.fixture(scope="module")
def repeats() -> dict[str, tuple[Array, Array]]:
    """Values and errors of every table, shape (repeats, m)."""
    values: dict[str, list[Array]] = {name: [] for name in TABLES}
    errors: dict[str, list[Array]] = {name: [] for name in TABLES}
    for k in range(REPEATS):
        estimator = estimate(
            POINTS, [WIDTH], "tanh", SEED + 3200 + k, NETWORKS, weight=1.5, bias=0.1, orders=(6,), bins=40
        )
        found = action(EstimatorSource(estimator, POINTS), threads=1)
        for name in TABLES:
            table = found.table(name)
            values[name].append(table.value)
            errors[name].append(table.stderr)
    return {name: (np.array(values[name]), np.array(errors[name])) for name in TABLES}


@pytest.mark.long
@pytest.mark.parametrize("name", TABLES)
def test_intervals_cover(repeats: dict[str, tuple[Array, Array]], name: str) -> None:
    """The share of |pull| below 1.96, by the t law of 39 degrees of freedom 94.3 %, less a bias.

    A function of estimates is biased by O(1/M); at these M the bias stays below a fifth of the error, which
    lowers the share by less than 0.5 %.
    """
    values, errors = repeats[name]
    pulls = (values - exact_tables()[name]) / errors
    bias = pulls.mean(axis=0)
    assert np.all(np.abs(bias) < 0.2 + LIMIT / math.sqrt(REPEATS))
    inside = (np.abs(pulls) < 1.96).sum(axis=0)
    for count in inside:
        assert abs(binomial_pull(int(count), REPEATS, 0.94)) < LIMIT


@pytest.mark.long
@pytest.mark.parametrize("name", TABLES)
def test_jackknife_agrees_with_the_spread_over_seeds(
    repeats: dict[str, tuple[Array, Array]], name: str
) -> None:
    """Mean jackknife variance against the variance over seeds, relative error sqrt(2/R + ..)."""
    values, errors = repeats[name]
    ratio = (errors**2).mean(axis=0) / values.var(axis=0, ddof=1)
    kurtosis = ((values - values.mean(axis=0)) ** 4).mean(axis=0) / values.var(axis=0) ** 2
    error = np.sqrt(
        (kurtosis - 1.0) / REPEATS + (errors**2).var(axis=0) / (errors**2).mean(axis=0) ** 2 / REPEATS
    )
    assert np.all(np.abs(ratio - 1.0) < LIMIT * error + 0.1), ratio
    assert np.all(LIMIT * error < 0.8)
