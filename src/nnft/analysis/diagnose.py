"""Whether the chains of trained networks have reached equilibrium."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from nnft.analysis.chain_statistics import FEWEST_DRAWS_ESS
from nnft.analysis.chain_verdict import (
    RHAT_LIMIT,
    ObservableVerdict,
    judge,
    networks_used,
    worst_status,
)
from nnft.analysis.stationarity import DRIFT_LIMIT
from nnft.errors import UsageError

Array = npt.NDArray[np.float64]

SAMPLERS = ("langevin", "mala", "underdamped", "hmc")
UNADJUSTED = ("langevin", "underdamped")
DYNAMICS = ("gd", "sgd", "gradient-flow")
NO_SAMPLER = "not a sampler"
INDEPENDENT = "independent draws"
ACCEPTANCE = (0.15, 0.99)
SMALL_ESS = 100
FEWEST_UNITS = 32  # independent units from which the absence of drift means something


@dataclass(frozen=True)
class Diagnosis:
    """What the chains of an ensemble say about equilibrium.

    Attributes
    ----------
    verdict : str
        The worst of the observables: ``equilibrated``, ``cannot tell``, ``not yet``, ``drifting``. For
        gradient descent and flow ``not a sampler``, for exact draws ``independent draws``.
    summary : str
        One line.
    algorithm : str
    networks, chains, draws, thinning : int
        Networks, chains of each, draws of each chain, steps between draws.
    networks_used : int
        Networks that R-hat and effective sizes were taken from.
    shared_target : bool
        Whether all networks sample one law.
    acceptance, temperature : float or None
        Mean acceptance; temperature.
    observables : tuple of ObservableVerdict
    notes, warnings : tuple of str
    """

    verdict: str
    summary: str
    algorithm: str
    networks: int
    chains: int
    draws: int
    thinning: int
    networks_used: int
    shared_target: bool
    acceptance: float | None = None
    temperature: float | None = None
    observables: tuple[ObservableVerdict, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def diagnose(
    traces: npt.ArrayLike,
    names: Sequence[str],
    *,
    draws_done: int,
    thinning: int,
    algorithm: str,
    shared_target: bool,
    chains: int = 1,
    acceptance: npt.ArrayLike | None = None,
    temperature: float | None = None,
) -> Diagnosis:
    """Return whether an ensemble of chains has reached equilibrium.

    Parameters
    ----------
    traces : array_like, shape (members, draws, observables), float64
        Member m * chains + k is chain k of network m.
    names : sequence of str
        Names of the observables.
    draws_done : int
        Draws that are filled; later ones are not looked at.
    thinning : int
        Steps between draws.
    algorithm : str
        Key ``algorithm`` of the card.
    shared_target : bool
        True if all networks sample one law: their chains are pooled. False where frozen layers give each
        network its own law: each is judged by its own chains, and the worst is reported.
    chains : int
        Chains of each network.
    acceptance : array_like or None
        Acceptance of each member, or one number.
    temperature : float or None
        At temperature 0 nothing is a sampler.

    Returns
    -------
    Diagnosis
        ``equilibrated`` only if for every observable R-hat < 1.01, bulk and tail effective sizes are 400 or
        more, the autocorrelation time is measured, no chain stands still and no test sees a drift.

    Raises
    ------
    UsageError
        If shapes, names and counts do not fit together, or the algorithm is unknown.

    References
    ----------
    Vehtari, Gelman, Simpson, Carpenter, Bürkner, Bayesian Analysis 16 (2021) 667: limits of R-hat and
    effective sizes. Wolff, Comput. Phys. Commun. 156 (2004) 143: autocorrelation time.
    """
    values = np.asarray(traces, dtype=np.float64)
    _check(values, names, draws_done, thinning, algorithm, chains)
    members, draws = values.shape[0], draws_done
    networks = members // chains
    rates = np.atleast_1d(np.asarray([] if acceptance is None else acceptance, dtype=np.float64))
    rates = rates[np.isfinite(rates)]
    base = Diagnosis(
        "", "", algorithm, networks, chains, draws, thinning, networks_used(networks, chains, draws),
        shared_target, float(rates.mean()) if rates.size else None, temperature,
    )  # fmt: skip
    if algorithm in DYNAMICS or (temperature == 0 and algorithm in SAMPLERS):
        return replace(base, verdict=NO_SAMPLER, summary="not a sampler: no equilibrium is claimed")
    if algorithm == "given":
        summary = "weights from a file: no chain was run here, and none is judged"
        return replace(base, verdict=NO_SAMPLER, summary=summary)
    if algorithm == "exact":
        summary = "independent draws of the exact law: nothing to equilibrate"
        return replace(base, verdict=INDEPENDENT, summary=summary)
    blocks = values[:, :draws].reshape(networks, chains, draws, len(names))
    found = tuple(
        judge(name, np.ascontiguousarray(blocks[..., k]), thinning, shared_target)
        for k, name in enumerate(names)
    )
    set_aside = _frozen_observables(found, shared_target)
    counted = [one for one in found if one.name not in set_aside]
    verdict = worst_status([one.status for one in counted])
    return replace(
        base,
        verdict=verdict,
        summary=_summary(verdict, counted),
        observables=found,
        notes=_notes(base, found, set_aside),
        warnings=_warnings(base, rates, counted),
    )


def _check(
    values: Array, names: Sequence[str], draws_done: int, thinning: int, algorithm: str, chains: int
) -> None:
    """Refuse arguments that do not fit together."""
    if values.ndim != 3 or values.shape[2] != len(names):
        raise UsageError(
            f"traces do not fit {len(names)} names: got shape {values.shape}; "
            "give (members, draws, observables)"
        )
    if chains < 1 or values.shape[0] < 1 or values.shape[0] % chains:
        raise UsageError(
            f"members do not divide into chains: got {values.shape[0]} members, {chains} chains; "
            "give networks * chains members"
        )
    if not 0 <= draws_done <= values.shape[1]:
        raise UsageError(f"wrong draws_done: got {draws_done}; allowed 0 to {values.shape[1]}")
    if thinning < 1:
        raise UsageError(f"wrong thinning: got {thinning}; give 1 or more")
    known = (*SAMPLERS, *DYNAMICS, "exact", "given")
    if algorithm not in known:
        raise UsageError(f"unknown algorithm: got {algorithm}; one of {', '.join(known)}")


def _frozen_observables(found: Sequence[ObservableVerdict], shared_target: bool) -> list[str]:
    """Names of observables of frozen layers alone: constant in each network while others move."""
    if shared_target or all(one.fixed for one in found):
        return []
    return [one.name for one in found if one.fixed and one.status == "cannot tell"]


def _summary(verdict: str, counted: Sequence[ObservableVerdict]) -> str:
    """The verdict in one line with the largest demand."""
    if not counted:
        return f"{verdict}: no observable"
    at_fault = [one for one in counted if one.status == verdict]
    if verdict == "equilibrated":
        return f"equilibrated: all {len(counted)} observables pass"
    text = f"{verdict}: {len(at_fault)} of {len(counted)} observables"
    burn_in = max(one.burn_in for one in counted)
    further = max((one.further_draws for one in counted if np.isfinite(one.further_draws)), default=0.0)
    if verdict == "cannot tell":
        return f"{text}; {at_fault[0].name}: {at_fault[0].reason}"
    if burn_in:
        text += f"; at least {burn_in} more steps of burn-in"
    elif further:
        text += f"; about {int(np.ceil(further))} more draws a chain"
    return text


def _notes(base: Diagnosis, found: Sequence[ObservableVerdict], set_aside: Sequence[str]) -> tuple[str, ...]:
    """What the verdict does not cover and how it was made."""
    notes = []
    if base.networks_used < base.networks:
        notes.append(
            f"R-hat and effective sizes from {base.networks_used} of {base.networks} networks, "
            "drift from all of them"
        )
    if not base.shared_target:
        notes.append(
            "frozen layers, or data of its own, give each network its own law: each network is judged by its "
            "own chains"
        )
    if base.algorithm in UNADJUSTED:
        notes.append(
            f"the bias of {base.algorithm} from its step is not part of this verdict: use --extrapolate"
        )
    if base.chains == 1 and (base.networks == 1 or not base.shared_target):
        notes.append("one chain for each law: other basins cannot be seen; more chains see them")
    if set_aside:
        notes.append(f"{', '.join(set_aside)}: of frozen layers alone, set aside")
    notes += [note for note in map(_short_chains, found) if note]
    return tuple(notes)


def _short_chains(one: ObservableVerdict) -> str:
    """A note where R-hat is what chains so short show in equilibrium."""
    seen, expected = one.statistics, expected_rhat(one.statistics.tau, one.statistics.draws)
    quiet = one.stationarity.units >= FEWEST_UNITS and one.stationarity.worst < DRIFT_LIMIT
    fails = seen.rhat >= RHAT_LIMIT and seen.rhat - 1 < 1.25 * (expected - 1)
    if not (quiet and fails and seen.reliable and not seen.still):
        return ""
    return (
        f"{one.name}: chains of {seen.draws} draws with this autocorrelation show R-hat {expected:.3f} in "
        f"equilibrium too; no drift over {one.stationarity.units} independent chains or networks "
        f"(at most {one.stationarity.worst:.1f} standard errors); a larger thinning lowers R-hat"
    )


def expected_rhat(tau: float, draws: int) -> float:
    """Return the split R-hat that very many chains in equilibrium show.

    Parameters
    ----------
    tau : float
        Integrated autocorrelation time, 1/2 for independent draws.
    draws : int
        Draws of each chain.

    Returns
    -------
    float
        From var(mean of h draws) = 2 tau sigma^2 / h with h = draws // 2, that is to leading order
        1 + (2 tau - 1) / (2 h). Infinite where h is not above 2 tau.
    """
    half = draws // 2
    share = 2 * tau / half if half else np.inf
    if not share < 1:
        return float("inf")
    within = (1 - share) * half / (half - 1)
    return float(np.sqrt((half - 1) / half + share / within))


def _warnings(base: Diagnosis, rates: Array, counted: Sequence[ObservableVerdict]) -> tuple[str, ...]:
    """What makes the draws suspect."""
    warnings = []
    low, high = ACCEPTANCE
    outside = int(np.count_nonzero((rates < low) | (rates > high)))
    if outside:
        where = f" in {outside} of {rates.size} members, mean" if rates.size > 1 else ":"
        mean = f"{rates.mean():.1%}"
        warnings.append(f"acceptance outside {low:.0%} to {high:.0%}{where} {mean}; change the step")
    for one in counted:
        size = min(one.statistics.ess_bulk, one.statistics.ess_tail)
        if size < SMALL_ESS:
            warnings.append(f"{one.name}: effective sample size {size:.0f}, below {SMALL_ESS}")
        still, chains = one.statistics.still, one.statistics.chains
        if still:
            warnings.append(f"{one.name}: {still} of {chains} chains never move")
    if base.draws < FEWEST_DRAWS_ESS:
        warnings.append(f"draws of each chain: {base.draws}; effective sizes need {FEWEST_DRAWS_ESS}")
    return tuple(warnings)
