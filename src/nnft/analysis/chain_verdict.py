"""The verdict on one observable of an ensemble of chains: in equilibrium, not yet, drifting."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from nnft.analysis.chain_statistics import (
    FEWEST_DRAWS,
    FEWEST_DRAWS_ESS,
    RELIABLE_TIMES,
    ChainStatistics,
    chain_statistics,
)
from nnft.analysis.stationarity import DRIFT_LIMIT, Stationarity, draws_to_drop, stationarity

Array = npt.NDArray[np.float64]

RHAT_LIMIT = 1.01
ESS_LIMIT = 400
POOLED_VALUES = 1 << 18  # values of one observable that R-hat and effective sizes are taken from
FEWEST_NETWORKS = 64
RANKING = ("equilibrated", "cannot tell", "not yet", "drifting")  # from good to bad
OUT_OF_REACH = 1000  # times the draws there are


@dataclass(frozen=True)
class ObservableVerdict:
    """The verdict on one observable.

    Attributes
    ----------
    name : str
    status : str
        ``equilibrated``, ``cannot tell``, ``not yet`` or ``drifting``.
    reason : str
        What fails and what to do about it; empty for ``equilibrated``.
    statistics : ChainStatistics
        Of all chains, or of the chains of the worst network where each network has its own target.
    stationarity : Stationarity
        Drift of the whole ensemble.
    further_draws : float
        Draws of each chain still to make, estimated; 0 if enough, infinite if more draws do not help, not a
        number if unknown.
    burn_in : int
        Steps to add to the burn-in; 0 without drift.
    worst_network, passed, examined : int
        The network that `statistics` is of (-1: of all), how many networks pass out of how many looked at
        (1 law: all networks together count as one).
    fixed : bool
        No chain moves.
    """

    name: str
    status: str
    reason: str
    statistics: ChainStatistics
    stationarity: Stationarity
    further_draws: float
    burn_in: int
    worst_network: int
    passed: int
    examined: int
    fixed: bool


def worst_status(statuses: list[str]) -> str:
    """Return the worst status of a list, ``cannot tell`` if it is empty."""
    return max(statuses, key=RANKING.index, default="cannot tell")


def networks_used(networks: int, chains: int, draws: int) -> int:
    """Return from how many networks R-hat and effective sizes are taken: 64, or all while that is cheap."""
    return min(networks, max(FEWEST_NETWORKS, POOLED_VALUES // max(1, chains * draws)))


def judge(name: str, traces: Array, thinning: int, shared_target: bool) -> ObservableVerdict:
    """Return the verdict on one observable.

    Parameters
    ----------
    name : str
    traces : ndarray, shape (networks, chains, draws), float64
    thinning : int
        Steps between draws.
    shared_target : bool
        Whether all networks sample one law.

    Returns
    -------
    ObservableVerdict
        Networks with a value that is not finite are left out, and the verdict is then not better than
        ``cannot tell``.
    """
    networks, chains, draws = traces.shape
    finite = np.asarray(np.isfinite(traces).all(axis=2), dtype=np.bool_)
    whole = np.flatnonzero(finite.all(axis=1))
    bad = networks * chains - int(finite.sum())
    problem = f"{bad} of {networks * chains} members hold values that are not finite" if bad else ""
    if not draws:
        problem = "no draws yet"
    if not whole.size or not draws:
        nothing = ChainStatistics(networks * chains, draws, reason=problem)
        return ObservableVerdict(
            name, "cannot tell", problem, nothing, Stationarity(), math.nan, 0, -1, 0, 0, False
        )
    with np.errstate(all="ignore"):
        found = _finite(name, traces[whole], thinning, shared_target)
    if found.worst_network >= 0:
        found = replace(found, worst_network=int(whole[found.worst_network]))
    if bad:
        status = worst_status([found.status, "cannot tell"])
        found = replace(found, status=status, reason="; ".join(filter(None, (problem, found.reason))))
    return found


def _finite(name: str, traces: Array, thinning: int, shared_target: bool) -> ObservableVerdict:
    """The verdict from finite values."""
    networks, chains, draws = traces.shape
    used = traces[: networks_used(networks, chains, draws)]
    groups = [chain_statistics(group) for group in ([used.reshape(-1, draws)] if shared_target else used)]
    drift = stationarity(traces, shared_target)
    drifting = drift.worst > DRIFT_LIMIT
    reports = [_report(group) for group in groups]
    needs = [draws_needed(group) for group in groups]
    worst = max(range(len(groups)), key=lambda k: (RANKING.index(reports[k][0]), np.nan_to_num(needs[k])))
    status, why = reports[worst]
    passed = sum(report[0] == "equilibrated" for report in reports)
    if status != "equilibrated" and not shared_target:
        why = f"{len(groups) - passed} of {len(groups)} networks fail; network {worst}: {why}"
    known = status != "cannot tell" and not drifting
    further = max(0.0, needs[worst] - draws) if known else math.nan
    if status == "not yet" and known:
        why += "; " + _advice(further, draws, thinning)
    burn_in = thinning * draws_to_drop(traces, shared_target) if drifting else 0
    if drifting:
        status, why = "drifting", "; ".join(filter(None, (_drift(drift, burn_in), why)))
    fixed = all(group.still == group.chains for group in groups)
    return ObservableVerdict(
        name, status, why, groups[worst], drift, further, burn_in, -1 if shared_target else worst,
        passed, len(groups), fixed,
    )  # fmt: skip


def _drift(drift: Stationarity, burn_in: int) -> str:
    """Which tests see a drift, and what to do."""
    tests = {
        "last third against first third": drift.thirds,
        "trend of the mean": drift.trend,
        "trend of the spread": drift.spread,
    }
    seen = ", ".join(f"{name} {z:+.1f}" for name, z in tests.items() if abs(z) > DRIFT_LIMIT)
    return f"{seen} standard errors: add at least {burn_in} steps of burn-in"


def _report(found: ChainStatistics) -> tuple[str, str]:
    """Status and reason from the statistics of chains that sample one law."""
    if found.still == found.chains and math.isinf(found.rhat):
        return "not yet", found.reason
    if found.draws < FEWEST_DRAWS_ESS or math.isnan(found.rhat):
        return "cannot tell", found.reason or "R-hat cannot be had"
    failures = []
    if found.still:
        failures.append(f"{found.still} of {found.chains} chains never move")
    if not found.rhat < RHAT_LIMIT:
        failures.append(f"R-hat {found.rhat:.4g}, not below {RHAT_LIMIT}")
    for kind, size in (("bulk", found.ess_bulk), ("tail", found.ess_tail)):
        if not size >= ESS_LIMIT:
            failures.append(f"{kind} ESS {size:.0f}, below {ESS_LIMIT}")
    if found.apart:
        failures.append("chains keep different levels")
    if not found.reliable:
        failures.append("autocorrelation time too long for these draws" + _times(found))
    return ("not yet", ", ".join(failures)) if failures else ("equilibrated", "")


def _times(found: ChainStatistics) -> str:
    return "" if math.isnan(found.tau) else f" (tau {found.tau:.3g} of {found.draws} draws)"


def draws_needed(found: ChainStatistics) -> float:
    """Return how many draws each chain needs for all criteria, if it goes on as it does.

    Effective sizes grow like the number of draws, R-hat^2 - 1 falls like its inverse, all chains together
    must hold 50 autocorrelation times 2 tau, and the window of the sum for tau must end within half a chain.

    Parameters
    ----------
    found : ChainStatistics

    Returns
    -------
    float
        At least the number of draws there are. Infinite if chains keep different levels, not a number if
        nothing is known.
    """
    draws = found.draws
    if found.apart:
        return math.inf
    if draws < FEWEST_DRAWS or math.isnan(found.rhat):
        return math.nan
    size = min(found.ess_bulk, found.ess_tail)
    wanted = [float(draws), float(FEWEST_DRAWS_ESS), 2.0 * found.window]
    wanted.append(draws * (found.rhat**2 - 1) / (RHAT_LIMIT**2 - 1))
    wanted.append(draws * ESS_LIMIT / size if size > 0 else 0.0)
    wanted.append(RELIABLE_TIMES * 2 * found.tau / found.chains if found.tau > 0 else 2.0 * draws)
    if found.still:
        wanted.append(2.0 * draws)
    return float(max(wanted))


def _advice(further: float, draws: int, thinning: int) -> str:
    """How much longer to run."""
    if math.isinf(further):
        return "more draws alone do not help: look at burn-in, step and acceptance, or at separate basins"
    if not further < OUT_OF_REACH * draws:
        return f"more than {OUT_OF_REACH} times the draws: a larger step or another algorithm"
    count = max(1, math.ceil(further))
    return (
        f"about {count} more draws ({count * thinning} steps) a chain, if it goes on like this: "
        "a new run with higher training.draws or thinning"
    )

