"""R-hat, effective sizes, autocorrelation times: reference chains, AR(1) chains, what cannot be had."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from ar1 import reference_chains
from random_chains import ar1
from runs import LIMIT, SEED, check_band

from nnft.analysis.chain_statistics import autocorrelation_time, chain_statistics
from nnft.errors import UsageError

REFERENCE = reference_chains()


# ---- reference chains ----


@pytest.mark.parametrize("name", sorted(REFERENCE))
def test_reference_chains(name: str) -> None:
    values, expected = REFERENCE[name]
    found = chain_statistics(values)
    assert found.rhat == pytest.approx(expected["rhat_rank"], rel=1e-9)
    for size in ("ess_bulk", "ess_tail", "ess_mean"):
        assert getattr(found, size) == pytest.approx(expected[size], rel=1e-9), size
    assert found.mcse == pytest.approx(values.std(ddof=1) / math.sqrt(expected["ess_mean"]), rel=1e-9)


@pytest.mark.parametrize("name", sorted(REFERENCE))
def test_reference_autocorrelation_times(name: str) -> None:
    values, expected = REFERENCE[name]
    gamma: dict[str, Any] = expected["gamma"]
    found = autocorrelation_time(values)
    assert found.window == gamma["window"]
    assert found.reliable
    names = {"ddvalue": "error_error", "tau_int": "tau", "dtau": "tau_error"}
    for key, attribute in ({"mean": "mean", "error": "error"} | names).items():
        assert getattr(found, attribute) == pytest.approx(gamma[key], rel=1e-9), key


# ---- known autocorrelation ----


@pytest.mark.parametrize("rho", [0.9, 0.5, 0.0, -0.5])
def test_autocorrelation_time_of_ar1(rho: float) -> None:
    # 64 groups of two chains; the window leaves out a share of rho^W of the sum, below 0.2 %
    exact = 0.5 * (1 + rho) / (1 - rho)
    times = [autocorrelation_time(group) for group in ar1((64, 2, 8000), rho, SEED)]
    values = np.array([time.tau for time in times])
    error = float(values.std(ddof=1)) / 8
    assert abs(values.mean() - exact) < LIMIT * error
    assert (LIMIT + 4.75) * error < 0.2 * exact  # sees tau wrong by a fifth: a factor 2, a window cut short
    pulls = np.array([time.mean / time.error for time in times])
    check_band(pulls)  # errors of the mean: a factor 1.7 either way is seen
    stated = np.mean([time.tau_error for time in times])
    assert 0.5 < stated / values.std(ddof=1) < 2


def test_an_effective_size_is_that_of_the_autocorrelation() -> None:
    found = chain_statistics(ar1((4, 20000), 0.8, SEED + 1))
    for size in (found.ess_bulk, found.ess_mean, 80000 / (2 * found.tau)):
        assert size == pytest.approx(80000 / 9, rel=0.1)  # relative error of tau here: 3 %
    assert found.reliable
    assert found.reason == ""


def test_few_correlated_draws_give_no_reliable_time() -> None:
    short = chain_statistics(ar1((4, 100), 0.95, SEED + 2))
    assert not short.reliable
    long = chain_statistics(ar1((4, 4000), 0.95, SEED + 2))
    assert long.reliable


@pytest.mark.parametrize(("scale", "offset"), [(1e-20, 0.0), (1.0, 1e6), (1e-150, 0.0), (1e150, -1e150)])
def test_units_of_an_observable_do_not_matter(scale: float, offset: float) -> None:
    values = ar1((3, 300), 0.5, SEED + 3)
    plain, moved = chain_statistics(values), chain_statistics(scale * values + offset)
    for name in ("rhat", "ess_bulk", "ess_tail", "ess_mean", "tau", "tau_error"):
        assert getattr(moved, name) == pytest.approx(getattr(plain, name), rel=1e-6), name
    assert moved.mcse == pytest.approx(scale * plain.mcse, rel=1e-6)
    assert moved.mean == pytest.approx(scale * plain.mean + offset, rel=1e-6)


# ---- chains that do not agree ----


def test_levels_that_differ_are_seen() -> None:
    values = ar1((8, 1000), 0.5, SEED + 4)
    assert not chain_statistics(values).apart
    values[3] += 2.0
    found = chain_statistics(values)
    assert found.apart
    assert found.rhat > 1.1


@pytest.mark.parametrize(("chains", "draws", "rho"), [(2000, 20, 0.0), (500, 100, 0.5), (8, 200, 0.97)])
def test_slow_or_short_chains_are_not_apart(chains: int, draws: int, rho: float) -> None:
    assert not chain_statistics(ar1((chains, draws), rho, SEED + 5)).apart


def test_widths_that_differ_are_seen_by_the_folded_r_hat() -> None:
    values = ar1((8, 1000), 0.0, SEED + 6)
    values[:4] *= 3
    assert chain_statistics(values).rhat > 1.1


def test_two_halves_of_one_chain_are_compared() -> None:
    values = ar1((1, 1000), 0.0, SEED + 7)
    assert chain_statistics(values).rhat < 1.01
    values[0, 500:] += 1.0
    assert chain_statistics(values).rhat > 1.1


# ---- what cannot be had ----


@pytest.mark.parametrize("other", [0.3, math.nextafter(0.3, 1.0)])
def test_constant_traces(other: float) -> None:
    values = np.tile([0.3, other], (4, 25))
    found = chain_statistics(values)
    assert found.mean == pytest.approx(0.3, rel=1e-12)
    assert found.still == 4
    assert found.reason == "constant at 0.3"
    assert all(math.isnan(v) for v in (found.rhat, found.ess_bulk, found.ess_tail, found.tau, found.mcse))


def test_chains_that_stand_still_at_different_values() -> None:
    found = chain_statistics(np.repeat(np.arange(4.0)[:, None], 50, axis=1))
    assert found.rhat == math.inf
    assert (found.still, found.apart) == (4, True)
    assert math.isnan(found.ess_bulk)
    assert "stands still" in found.reason


def test_one_chain_that_stands_still_is_counted() -> None:
    values = ar1((4, 50), 0.0, SEED)
    values[2] = 0.5
    found = chain_statistics(values)
    assert found.still == 1
    assert math.isfinite(found.rhat)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite(bad: float) -> None:
    values = ar1((4, 50), 0.0, SEED)
    values[1, 7] = bad
    found = chain_statistics(values)
    assert found.reason == "1 of 4 chains hold values that are not finite"
    assert math.isnan(found.mean)
    assert math.isnan(found.rhat)


@pytest.mark.parametrize("draws", [1, 2, 3])
def test_too_few_draws(draws: int) -> None:
    values = ar1((5, draws), 0.0, SEED)
    found = chain_statistics(values)
    assert found.mean == pytest.approx(values.mean(), rel=1e-12)
    assert math.isnan(found.rhat)
    assert found.reason.endswith("per chain, needs 4")


@pytest.mark.parametrize("draws", [4, 9, 10])
def test_effective_sizes_need_ten_draws(draws: int) -> None:
    # with fewer, no lag enters: 100 chains that hardly move would count as 1000 independent draws or more
    values = ar1((100, 1), 0.0, SEED) + 1e-3 * ar1((100, draws), 0.0, SEED + 1)
    found = chain_statistics(values)
    assert found.rhat > 2
    assert math.isnan(found.ess_bulk) == (draws < 10)
    assert bool(found.reason) == (draws < 10)


@pytest.mark.parametrize("draws", range(4, 13))
def test_one_short_chain_gives_numbers_or_none(draws: int) -> None:
    found = chain_statistics(ar1((1, draws), 0.0, SEED + draws))
    assert math.isnan(found.rhat) == (draws < 8)
    assert math.isnan(found.ess_bulk) == (draws < 10)


def test_values_that_alternate_forever() -> None:
    found = chain_statistics(np.tile([1.0, -1.0], (3, 30)))
    assert 0 < found.tau < 1
    assert found.mean == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize("shape", [(2, 3, 4), (0, 5), (5, 0), (0,)])
def test_shapes_that_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="wrong shape of the traces"):
        chain_statistics(np.zeros(shape))
