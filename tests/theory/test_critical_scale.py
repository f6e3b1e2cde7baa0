"""Critical scales: verdicts, monotone regression by its minimax formula, errors of the bootstrap."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nnft.errors import UsageError
from nnft.theory.activations import Array
from nnft.theory.critical_scale import (
    Verdict,
    bootstrap_critical_scales,
    critical_scale,
    crossing,
    eigenbasis_scale,
    isotonic_rise,
    rise,
    rise_errors_of_networks,
)

LIMIT = 5.85
CUTOFFS = np.geomspace(1e-3, 1e3, 25)
CENTRE, WIDTH = 0.4, 0.8


def logistic(cutoffs: Array) -> Array:
    return np.asarray(1.0 / (1.0 + np.exp(-np.log(cutoffs / CENTRE) / WIDTH)))


def networks(rng: np.random.Generator, count: int) -> tuple[Array, Array, Array]:
    """Losses of networks with random sizes and noise that is correlated along the flow."""
    before, whole = rng.gamma(20.0, 0.01, count), rng.gamma(8.0, 0.2, count)
    noise = 0.05 * np.cumsum(rng.normal(size=(count, 25)), axis=1) / 5.0
    return before[:, None] + whole[:, None] * logistic(CUTOFFS) + noise, before, before + whole


@pytest.mark.parametrize("weighted", [False, True])
def test_monotone_regression_is_the_minimax(weighted: bool) -> None:
    rng = np.random.default_rng(20240601 + 540)
    for _ in range(30):
        values, errors = np.sort(rng.normal(size=9)) + 0.5 * rng.normal(size=9), rng.uniform(0.1, 2.0, 9)
        weights = errors**-2 if weighted else np.ones(9)

        def average(first: int, last: int, values: Array = values, weights: Array = weights) -> float:
            return float(np.average(values[first : last + 1], weights=weights[first : last + 1]))

        known = [max(min(average(a, b) for b in range(j, 9)) for a in range(j + 1)) for j in range(9)]
        np.testing.assert_allclose(isotonic_rise(values, errors if weighted else None), known, rtol=1e-9)


def test_values_without_error_keep_their_place() -> None:
    rises = isotonic_rise(np.array([0.0, -0.1, 0.3]), np.array([0.0, 0.1, 0.1]))
    np.testing.assert_allclose(rises, [0.0, 0.0, 0.3], atol=1e-9)
    np.testing.assert_allclose(isotonic_rise(np.array([0.2, 0.1]), np.zeros(2)), [0.15, 0.15])


def test_crossing_by_hand() -> None:
    scales, rises = np.array([0.1, 1.0, 100.0]), np.array([0.0, 0.2, 0.6])
    for delta, value, place in ((0.4, 10.0, 2), (0.2, 1.0, 1)):
        found = crossing(scales, rises, delta)
        assert found[0] == pytest.approx(value, rel=1e-13)
        assert found[1] == place
    assert crossing(scales, rises, 0.7) == (math.inf, 3)
    assert crossing(scales, rises + 0.2, 0.1) == (0.0, 0)


def test_scale_of_a_smooth_curve() -> None:
    """Known crossing, reached to the accuracy of the interpolation: 25 cutoffs over six decades."""
    losses = 0.3 + 1.7 * logistic(CUTOFFS)
    for delta in (0.05, 0.5):
        exact = CENTRE * (delta / (1.0 - delta)) ** WIDTH
        found = critical_scale(CUTOFFS, losses, 0.3, 2.0, delta)
        assert found.verdict is Verdict.FOUND
        assert math.log(found.value / exact) == pytest.approx(0.0, abs=0.06)
    many = np.geomspace(1e-3, 1e3, 3000)
    found = critical_scale(many, 0.3 + 1.7 * logistic(many), 0.3, 2.0, 0.05)
    assert found.value == pytest.approx(CENTRE * (0.05 / 0.95) ** WIDTH, rel=1e-5)


@pytest.mark.parametrize(
    ("losses", "ends", "errors", "verdict", "words"),
    [
        ([0.1, 0.2, 0.3], (0.5, 0.5), None, Verdict.NO_RISE, "no rise: the loss is 0.5 at cutoff 0"),
        ([0.1, 0.2, 0.3], (0.5, 0.1), None, Verdict.NO_RISE, "0.1 at infinity"),
        (
            [0.6, 0.8, 1.0],
            (0.0, 1.0),
            None,
            Verdict.NO_PLATEAU,
            "risen by 0.6 of its whole rise at the smallest",
        ),
        (
            [0.0, 0.1, 0.2],
            (0.0, 1.0),
            None,
            Verdict.NO_CROSSING,
            "risen by 0.2 of its whole rise at the largest",
        ),
        (
            [0.0, 0.4, 0.8],
            (0.0, 1.0),
            [0.1, 0.1, 0.3],
            Verdict.UNRESOLVED,
            "error 0.3, more than half of 0.5",
        ),
        ([0.0, 0.4, 0.8], (0.0, 1.0), [0.1, 0.1, 0.2], Verdict.FOUND, "at cutoff 1.778"),
    ],
)
def test_verdicts(
    losses: list[float], ends: tuple[float, float], errors: list[float] | None, verdict: Verdict, words: str
) -> None:
    given = None if errors is None else np.array(errors)
    found = critical_scale(np.array([0.1, 1.0, 10.0]), np.array(losses), *ends, 0.5, given)
    assert found.verdict is verdict
    assert words in found.sentence
    assert math.isnan(found.value) == (verdict not in {Verdict.FOUND, Verdict.UNRESOLVED})


def test_a_rise_within_its_error_is_none() -> None:
    rng = np.random.default_rng(20240601 + 541)
    losses = rng.normal(1.0, 0.1, size=(40, 25))
    before, after = rng.normal(1.0, 0.1, 40), rng.normal(1.02, 0.1, 40)
    for found in bootstrap_critical_scales(CUTOFFS, losses, before, after, rng, replicates=50):
        assert found.verdict is Verdict.NO_RISE
        assert "a difference with error" in found.sentence


def test_no_plateau_is_said_of_networks_too() -> None:
    rng = np.random.default_rng(20240601 + 542)
    losses, before, after = networks(rng, 50)
    found = bootstrap_critical_scales(CUTOFFS[14:], losses[:, 14:], before, after, rng, replicates=100)
    assert [one.verdict for one in found] == [Verdict.NO_PLATEAU, Verdict.NO_PLATEAU]
    assert found[0].interval == (0.0, 0.0)
    assert found[0].found_fraction == 0.0
    assert math.isnan(found[0].error)


def test_errors_of_the_rise() -> None:
    """Linearised errors against the spread over 2000 repetitions: 15 standard deviations per factor 1.5."""
    rng, repeats = np.random.default_rng(20240601 + 543), 2000
    rises, errors = [], []
    for _ in range(repeats):
        losses, before, after = networks(rng, 200)
        rises.append(rise(losses.mean(axis=0), before.mean(), after.mean()))
        errors.append(rise_errors_of_networks(losses, before, after))
    relative = np.log(np.mean(np.square(errors), axis=0) / np.var(rises, axis=0, ddof=1))
    assert np.max(np.abs(relative)) < LIMIT * math.sqrt(2.0 / (repeats - 1)) * 1.2


def test_bootstrap_covers() -> None:
    """Squares of the errors against the variance over 150 repetitions; intervals contain the truth."""
    rng, repeats = np.random.default_rng(20240601 + 544), 150
    fine = 0.0 + logistic(CUTOFFS)
    exact = [crossing(CUTOFFS, fine, delta)[0] for delta in (0.05, 0.5)]
    logs, squares, inside = np.empty((repeats, 2)), np.empty((repeats, 2)), np.empty((repeats, 2))
    for k in range(repeats):
        found = bootstrap_critical_scales(CUTOFFS, *networks(rng, 60), rng, replicates=100)
        for j, one in enumerate(found):
            assert one.verdict is Verdict.FOUND
            assert one.error == one.value * one.log_error
            logs[k, j], squares[k, j] = math.log(one.value), one.log_error**2
            inside[k, j] = one.interval[0] <= exact[j] <= one.interval[1]
    relative = np.log(np.mean(squares, axis=0) / np.var(logs, axis=0, ddof=1))
    assert np.max(np.abs(relative)) < LIMIT * math.sqrt(2.0 / (repeats - 1)) * 1.1
    z = (np.mean(logs, axis=0) - np.log(exact)) / (np.std(logs, axis=0) / math.sqrt(repeats))
    assert abs(z[1]) < LIMIT  # the ratio has a bias of order 1 / networks, below its error at one half
    assert np.all(np.mean(inside, axis=0) > 0.95 - LIMIT * math.sqrt(0.05 * 0.95 / repeats))


def test_bootstrap_is_that_of_its_seed() -> None:
    losses, before, after = networks(np.random.default_rng(1), 30)
    one, other, third = (
        bootstrap_critical_scales(CUTOFFS, losses, before, after, np.random.default_rng(seed), replicates=60)
        for seed in (5, 5, 6)
    )
    assert one == other
    assert one[0].log_error != third[0].log_error
    assert one[0].value == third[0].value


def test_refusals() -> None:
    losses, before, after = networks(np.random.default_rng(2), 5)
    rng = np.random.default_rng(3)
    with pytest.raises(UsageError, match="cutoffs of a critical scale"):
        critical_scale(CUTOFFS[::-1], losses[0], 0.0, 1.0, 0.5)
    with pytest.raises(UsageError, match="part of the rise"):
        critical_scale(CUTOFFS, losses[0], 0.0, 1.0, 1.0)
    with pytest.raises(UsageError, match="losses of networks: got"):
        bootstrap_critical_scales(CUTOFFS, losses, before[:3], after, rng)
    losses[2, 3] = np.inf
    with pytest.raises(UsageError, match="got NaN or infinity"):
        bootstrap_critical_scales(CUTOFFS, losses, before, after, rng)
    with pytest.raises(UsageError, match="rise of a loss"):
        rise(losses[0], 1.0, 1.0)
    with pytest.raises(UsageError, match="scale of the eigenbasis"):
        eigenbasis_scale(0, 1.0)
