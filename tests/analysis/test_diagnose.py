"""Verdicts on chains: what is in equilibrium passes, what is not never does, and the advice is right."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from random_chains import ar1
from runs import LIMIT, SEED, binomial_pull

from nnft.analysis.chain_verdict import ESS_LIMIT, networks_used, worst_status
from nnft.analysis.diagnose import Diagnosis, diagnose, expected_rhat
from nnft.analysis.diagnose_text import diagnosis_record, diagnosis_text
from nnft.errors import UsageError

Array = npt.NDArray[np.float64]


def verdict_on(*traces: Array, **options: Any) -> Diagnosis:
    """Diagnosis of observables x0, x1 .., each of shape (members, draws)."""
    stacked = np.stack(traces, axis=-1)
    given: dict[str, Any] = {
        "draws_done": stacked.shape[1], "thinning": 10, "algorithm": "hmc", "shared_target": True
    }  # fmt: skip
    return diagnose(stacked, [f"x{k}" for k in range(len(traces))], **(given | options))


# ---- one law ----


@pytest.mark.parametrize(
    ("members", "draws", "rho"), [(4, 2000, 0.5), (1, 5000, 0.5), (64, 1000, 0.6), (2000, 20, 0.0)]
)
def test_chains_in_equilibrium_pass(members: int, draws: int, rho: float) -> None:
    values = ar1((members, draws), rho, SEED)
    found = verdict_on(values, values**2)
    assert found.verdict == "equilibrated"
    assert found.summary == "equilibrated: all 2 observables pass"
    assert [one.further_draws for one in found.observables] == [0, 0]
    assert found.warnings == ()
    assert any("one chain for each law" in note for note in found.notes) == (members == 1)


@pytest.mark.parametrize("shift", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("stuck", [1, 4])
def test_chains_at_different_levels_do_not_pass(shift: float, stuck: int) -> None:
    values = ar1((8, 2000), 0.5, SEED + 1)
    values[:stuck] += shift
    found = verdict_on(values)
    assert found.verdict == "not yet"
    one = found.observables[0]
    assert "R-hat" in one.reason
    assert "chains keep different levels" in one.reason
    assert "more draws alone do not help" in one.reason
    assert one.further_draws == math.inf


def test_one_bad_observable_spoils_the_verdict() -> None:
    good, bad = ar1((8, 2000), 0.5, SEED), ar1((8, 2000), 0.5, SEED + 1)
    bad[0] += 2
    found = verdict_on(good, bad)
    assert [one.status for one in found.observables] == ["equilibrated", "not yet"]
    assert found.verdict == "not yet"
    assert found.summary.startswith("not yet: 1 of 2 observables")


def test_chains_that_stand_still() -> None:
    found = verdict_on(np.repeat(ar1((8, 1), 0.0, SEED), 500, axis=1), acceptance=0.0)
    assert found.verdict == "not yet"
    assert "every chain stands still" in found.observables[0].reason
    assert any(line.startswith("acceptance outside 15% to 99%: 0.0%") for line in found.warnings)
    moving = ar1((8, 2000), 0.0, SEED)
    moving[5] = 0.1
    found = verdict_on(moving)
    assert found.verdict == "not yet"
    assert "1 of 8 chains never move" in found.observables[0].reason


def test_further_draws_are_those_that_bring_400() -> None:
    # 4 n / (2 tau) = 400 at n = 1900; R-hat - 1 falls below 0.01 near there as well
    short = verdict_on(ar1((4, 500), 0.9, SEED + 2))
    one = short.observables[0]
    assert one.status == "not yet"
    assert min(one.statistics.ess_bulk, one.statistics.ess_tail) < ESS_LIMIT
    assert 1900 / 3 < 500 + one.further_draws < 1900 * 3
    record = diagnosis_record(short)["observables"][0]
    assert record["further_draws"] == math.ceil(one.further_draws)
    assert record["further_steps"] == 10 * record["further_draws"]
    assert f"about {record['further_draws']} more draws ({record['further_steps']} steps)" in one.reason
    assert verdict_on(ar1((4, 8000), 0.9, SEED + 2)).verdict == "equilibrated"


def test_few_draws_that_agree_are_too_few() -> None:
    found = verdict_on(ar1((2, 100), 0.0, SEED))
    one = found.observables[0]
    assert one.statistics.rhat < 1.01
    assert one.statistics.reliable
    assert found.verdict == "not yet"
    assert one.reason.startswith(f"bulk ESS {one.statistics.ess_bulk:.0f}, below 400")


# ---- drift ----


@pytest.mark.parametrize(("members", "draws", "decay", "size"), [(1, 6000, 1000, 3), (4, 2000, 400, 3)])
def test_a_burn_in_too_short_in_few_chains(members: int, draws: int, decay: int, size: float) -> None:
    transient = size * np.exp(-np.arange(draws) / decay)
    found = verdict_on(ar1((members, draws), 0.5, SEED + 3) + transient)
    one = found.observables[0]
    assert found.verdict == one.status == "drifting"
    assert one.stationarity.thirds < -4
    assert 10 * decay <= one.burn_in <= 10 * draws
    assert f"add at least {one.burn_in} steps of burn-in" in one.reason
    assert f"at least {one.burn_in} more steps of burn-in" in found.summary


def test_a_transient_of_many_short_chains() -> None:
    # 0.1 standard deviations in the first draws of 20: R-hat and effective sizes see nothing
    transient = 0.1 * np.exp(-np.arange(20) / 5)
    found = verdict_on(ar1((2000, 20), 0.0, SEED + 4) + transient)
    one = found.observables[0]
    assert one.statistics.rhat < 1.01
    assert one.status == "drifting"
    assert one.stationarity.trend < -4
    assert one.burn_in >= 30


def test_an_ensemble_that_shrinks_about_an_unchanged_mean() -> None:
    width = 1 + 0.15 * np.exp(-np.arange(20) / 5)
    found = verdict_on(ar1((2000, 20), 0.0, SEED + 5) * width)
    one = found.observables[0]
    assert abs(one.stationarity.trend) < 4
    assert abs(one.stationarity.thirds) < 4
    assert one.stationarity.spread < -4
    assert found.verdict == "drifting"
    assert "trend of the spread" in one.reason


# ---- many chains, few draws ----


def test_short_correlated_chains_in_equilibrium_are_explained() -> None:
    values = ar1((2000, 20), 0.3, SEED + 7)
    found = verdict_on(values)
    one = found.observables[0]
    assert one.status == "not yet"  # R-hat of chains of 20 draws
    assert one.statistics.rhat == pytest.approx(expected_rhat(0.5 * 1.3 / 0.7, 20), abs=0.01)
    assert any("in equilibrium too; no drift over 2000" in note for note in found.notes)
    drifting = verdict_on(values + 0.5 * np.exp(-np.arange(20) / 5))
    assert drifting.verdict == "drifting"
    assert not any("in equilibrium too" in note for note in drifting.notes)


def test_expected_r_hat() -> None:
    assert expected_rhat(0.5, 40) == pytest.approx(1.0, rel=1e-12)  # independent draws
    assert expected_rhat(1.5, 100000) - 1 == pytest.approx(2 / 100000, rel=1e-3)
    assert expected_rhat(20.0, 40) == math.inf


def test_many_networks_are_used_while_that_is_cheap() -> None:
    assert networks_used(2000, 1, 20) == 2000
    assert networks_used(2000, 2, 10000) == 64
    assert networks_used(10, 2, 100000) == 10
    found = verdict_on(ar1((80, 4000), 0.0, SEED))
    assert found.networks_used == 65
    assert "R-hat and effective sizes from 65 of 80 networks, drift from all of them" in found.notes


# ---- what cannot be told ----


def test_constant_observable() -> None:
    found = verdict_on(ar1((4, 2000), 0.0, SEED), np.full((4, 2000), 0.25))
    assert [one.status for one in found.observables] == ["equilibrated", "cannot tell"]
    assert found.verdict == "cannot tell"
    assert found.summary == "cannot tell: 1 of 2 observables; x1: constant at 0.25"


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_members_that_are_not_finite(bad: float) -> None:
    values = ar1((8, 2000), 0.0, SEED)
    values[2, 100:] = bad
    found = verdict_on(values)
    one = found.observables[0]
    assert one.status == found.verdict == "cannot tell"
    assert one.reason == "1 of 8 members hold values that are not finite"
    assert one.statistics.rhat < 1.01  # of the other seven
    values[0] += 1.0
    found = verdict_on(values)
    assert found.verdict == "not yet"
    assert "not finite" in found.observables[0].reason
    nothing = verdict_on(np.full((4, 50), bad))
    assert nothing.verdict == "cannot tell"
    assert "4 of 4 members" in nothing.observables[0].reason


@pytest.mark.parametrize(
    ("draws", "words"), [(0, "no draws"), (1, "1 draw per"), (3, "needs 4"), (9, "needs 10")]
)
def test_too_few_draws(draws: int, words: str) -> None:
    found = verdict_on(ar1((100, 12), 0.0, SEED), draws_done=draws)
    assert found.verdict == "cannot tell"
    assert words in found.observables[0].reason
    assert math.isnan(found.observables[0].further_draws)
    assert any(f"draws of each chain: {draws}" in line for line in found.warnings)


def test_draws_that_are_not_done_are_not_looked_at() -> None:
    values = np.full((4, 3000), math.nan)
    values[:, :2000] = ar1((4, 2000), 0.5, SEED)
    assert verdict_on(values, draws_done=2000).verdict == "equilibrated"
    assert verdict_on(values, draws_done=2001).verdict == "cannot tell"


# ---- each network its own law ----


def test_frozen_layers_judge_each_network_alone() -> None:
    levels = 5 * np.repeat(ar1((16, 1), 0.0, SEED), 4, axis=0)
    values = ar1((64, 1000), 0.3, SEED + 8) + levels
    found = verdict_on(values, shared_target=False, chains=4)
    one = found.observables[0]
    assert found.verdict == "equilibrated"
    assert (one.passed, one.examined) == (16, 16)
    assert verdict_on(values, shared_target=True, chains=4).verdict == "not yet"
    values[21] += 1.0  # a chain of network 5
    one = verdict_on(values, shared_target=False, chains=4).observables[0]
    assert one.status == "not yet"
    assert (one.passed, one.examined, one.worst_network) == (15, 16, 5)
    assert one.reason.startswith("1 of 16 networks fail; network 5: R-hat")
    values[2, 0] = math.nan
    one = verdict_on(values, shared_target=False, chains=4).observables[0]
    assert (one.passed, one.examined, one.worst_network) == (14, 15, 5)


def test_observables_of_frozen_layers_are_set_aside() -> None:
    moving = ar1((8, 4000), 0.3, SEED + 9)
    fixed = np.repeat(ar1((8, 1), 0.0, SEED), 4000, axis=1)
    found = verdict_on(moving, fixed, shared_target=False)
    assert found.verdict == "equilibrated"
    assert "x1: of frozen layers alone, set aside" in found.notes
    assert any("one chain for each law" in note for note in found.notes)
    assert verdict_on(fixed, fixed, shared_target=False).verdict == "cannot tell"
    assert verdict_on(moving, fixed).verdict == "not yet"


# ---- algorithms, acceptance ----


@pytest.mark.parametrize("algorithm", ["gd", "sgd", "gradient-flow"])
def test_descent_is_not_a_sampler(algorithm: str) -> None:
    found = verdict_on(ar1((4, 2000), 0.0, SEED), algorithm=algorithm, temperature=1.0)
    assert found.verdict == "not a sampler"
    assert found.summary == "not a sampler: no equilibrium is claimed"
    assert found.observables == ()
    assert verdict_on(ar1((4, 20), 0.0, SEED), algorithm="langevin", temperature=0.0).verdict == found.verdict


def test_exact_draws_are_independent() -> None:
    assert verdict_on(ar1((4, 20), 0.0, SEED), algorithm="exact").verdict == "independent draws"


@pytest.mark.parametrize(
    ("acceptance", "words"),
    [
        (0.0, "acceptance outside 15% to 99%: 0.0%"),
        (1.0, "acceptance outside 15% to 99%: 100.0%"),
        ([0.1, 0.8, 0.8, 0.7], "in 1 of 4 members, mean 60.0%"),
        ([0.15, 0.99, 0.8, 0.7], ""),
        (None, ""),
        (math.nan, ""),
    ],
)
def test_acceptance(acceptance: Any, words: str) -> None:
    found = verdict_on(ar1((4, 2000), 0.0, SEED), acceptance=acceptance)
    assert any(words in line for line in found.warnings) if words else found.warnings == ()
    assert found.verdict == "equilibrated"


def test_small_effective_size_is_a_warning() -> None:
    found = verdict_on(ar1((2, 200), 0.9, SEED))
    assert any("effective sample size" in line and "below 100" in line for line in found.warnings)


@pytest.mark.parametrize("algorithm", ["langevin", "underdamped", "mala", "hmc"])
def test_bias_of_the_step_is_not_covered(algorithm: str) -> None:
    found = verdict_on(ar1((4, 2000), 0.0, SEED), algorithm=algorithm)
    unadjusted = algorithm in {"langevin", "underdamped"}
    assert any("--extrapolate" in note for note in found.notes) == unadjusted


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"chains": 3}, "members do not divide"),
        ({"chains": 0}, "members do not divide"),
        ({"draws_done": 21}, "wrong draws_done"),
        ({"draws_done": -1}, "wrong draws_done"),
        ({"thinning": 0}, "wrong thinning"),
        ({"algorithm": "adam"}, "unknown algorithm"),
    ],
)
def test_arguments_that_are_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        verdict_on(np.zeros((4, 20)), **change)


def test_names_that_do_not_fit() -> None:
    with pytest.raises(UsageError, match="traces do not fit 2 names"):
        diagnose(
            np.zeros((4, 20, 3)), ["a", "b"], draws_done=20, thinning=1, algorithm="hmc", shared_target=True
        )


def test_order_of_verdicts() -> None:
    assert worst_status(["equilibrated", "cannot tell"]) == "cannot tell"
    assert worst_status(["not yet", "cannot tell"]) == "not yet"
    assert worst_status(["not yet", "drifting"]) == "drifting"
    assert worst_status([]) == "cannot tell"


# ---- text and record ----


def test_text_and_record() -> None:
    values = ar1((4, 2000), 0.5, SEED)
    moved = values.copy()
    moved[0] += 2
    found = verdict_on(values, moved, np.ones((4, 2000)), acceptance=[0.8, 0.8, 0.8, 0.05])
    record = json.loads(json.dumps(diagnosis_record(found), allow_nan=False))
    assert record["verdict"] == "not yet"
    assert [one["status"] for one in record["observables"]] == ["equilibrated", "not yet", "cannot tell"]
    assert record["observables"][0]["statistics"]["rhat"] == found.observables[0].statistics.rhat
    assert record["observables"][1]["further_draws"] is None
    assert record["observables"][2]["statistics"]["rhat"] is None
    assert record["acceptance"] == pytest.approx(0.6125)
    text = diagnosis_text(found)
    lines = text.splitlines()
    assert lines[0] == f"verdict    {found.summary}"
    assert "4 networks x 1 chain, 2000 draws of 10 steps, acceptance 61.3%" in lines[1]
    assert any(line.startswith("x0 ") and line.endswith("equilibrated") for line in lines)
    assert any(line.startswith("x1: not yet: R-hat") for line in lines)
    assert any(line.startswith("! acceptance outside") for line in lines)
    assert "nan" not in text
    frozen = diagnosis_text(verdict_on(values, shared_target=False))
    assert "(4/4 passed)" in frozen
    for algorithm in ("gd", "exact"):
        words = diagnosis_text(verdict_on(values, algorithm=algorithm))
        assert words.startswith("verdict    ")
        assert "\nchains" not in words


def test_the_library_is_imported_only_when_chains_are_judged() -> None:
    code = "import sys, nnft.analysis.diagnose_text as t; sys.exit('arviz_stats' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---- calibration ----


@pytest.mark.long
@pytest.mark.parametrize(
    ("members", "draws", "rho", "least"),
    [(4, 1000, 0.5, 0.98), (1, 5000, 0.5, 0.98), (4, 8000, 0.9, 0.9), (2000, 20, 0.0, 0.98)],
)
def test_how_often_equilibrium_is_called_so(members: int, draws: int, rho: float, least: float) -> None:
    """200 ensembles in equilibrium: no drift is called, and few are told to wait; 25 % of misses are seen."""
    verdicts = [verdict_on(ar1((members, draws), rho, SEED + k)).verdict for k in range(200)]
    assert verdicts.count("drifting") <= 2
    assert binomial_pull(verdicts.count("equilibrated"), 200, least) > -LIMIT
    assert (LIMIT + 4.75) * math.sqrt(least * (1 - least) / 200) < 0.25


@pytest.mark.long
def test_what_is_called_equilibrated_has_the_right_mean() -> None:
    """Chains begin 3 standard deviations off and forget that in 20 draws, of 4000."""
    pulls = []
    for k in range(200):
        found = verdict_on(ar1((4, 4000), 0.95, SEED + k, start=3.0))
        one = found.observables[0].statistics
        if found.verdict == "equilibrated":
            pulls.append(one.mean / one.mcse)
    values = np.array(pulls)
    assert len(values) > 20
    # the start adds 3 * 20 / 4000 = 0.015 to the mean, against an error of 0.05
    assert abs(values.mean() - 0.3) * math.sqrt(len(values)) < LIMIT
    assert float((values**2).mean()) < 1.1 + LIMIT * math.sqrt(2 / len(values))
    short = [verdict_on(ar1((4, 500), 0.95, SEED + k, start=3.0)).verdict for k in range(100)]
    assert "equilibrated" not in short
