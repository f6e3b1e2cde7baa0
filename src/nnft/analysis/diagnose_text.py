"""A diagnosis as text and as plain numbers."""

from __future__ import annotations

import math
from typing import Any

from nnft.analysis.chain_verdict import ObservableVerdict
from nnft.analysis.diagnose import INDEPENDENT, NO_SAMPLER, Diagnosis
from nnft.analysis.scan_table import aligned
from nnft.estimators.notation import number_with_error

STATISTICS = (
    "chains", "draws", "still", "mean", "mcse", "rhat", "ess_bulk", "ess_tail", "ess_mean", "tau",
    "tau_error", "window", "reliable", "reason",
)  # fmt: skip
HEADER = ("observable", "mean", "R-hat", "ESS bulk", "ESS tail", "tau", "drift", "verdict")


def diagnosis_record(result: Diagnosis) -> dict[str, Any]:
    """Return a diagnosis as plain numbers, ready for JSON; None where there is no number.

    Parameters
    ----------
    result : Diagnosis

    Returns
    -------
    dict
        The attributes of `Diagnosis`; in ``observables`` those of `ObservableVerdict` and, in it, of
        `ChainStatistics` and `Stationarity`. ``further_steps`` is ``further_draws`` times the thinning.
    """
    names = (
        "verdict", "summary", "algorithm", "networks", "chains", "draws", "thinning", "networks_used",
        "shared_target", "acceptance", "temperature",
    )  # fmt: skip
    record = {name: _plain(getattr(result, name)) for name in names}
    observables = [_observable(one, result.thinning) for one in result.observables]
    return record | {
        "observables": observables,
        "notes": list(result.notes),
        "warnings": list(result.warnings),
    }


def _observable(one: ObservableVerdict, thinning: int) -> dict[str, Any]:
    drift = {name: _plain(getattr(one.stationarity, name)) for name in ("thirds", "trend", "spread", "units")}
    further = math.ceil(one.further_draws) if math.isfinite(one.further_draws) else None
    names = ("name", "status", "reason", "burn_in", "worst_network", "passed", "examined", "fixed")
    return {name: getattr(one, name) for name in names} | {
        "further_draws": further,
        "further_steps": None if further is None else further * thinning,
        "statistics": {name: _plain(getattr(one.statistics, name)) for name in STATISTICS},
        "stationarity": drift,
    }


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def diagnosis_text(result: Diagnosis, step: str = "") -> str:
    """Return a diagnosis as text: the verdict, a table of observables, notes and warnings.

    Parameters
    ----------
    result : Diagnosis
    step : str
        Steps that the chains have found by themselves, in words.
    """
    lines = [f"verdict    {result.summary}"]
    if result.verdict not in (NO_SAMPLER, INDEPENDENT):
        lines.append(chains_line(result))
        lines += [f"step       {step}"] if step else []
    lines += [f"note       {note}" for note in result.notes]
    if result.observables:
        lines += ["", *aligned(diagnosis_rows(result)), ""]
        lines += [
            "mean and tau with error in the last digits, tau in draws (0.5: independent, !: not reliable); "
            "drift in standard errors"
        ]
        if not result.shared_target:
            lines += ["numbers of the network that fares worst; passed: networks that pass on their own"]
        lines += [f"{one.name}: {one.status}: {one.reason}" for one in result.observables if one.reason]
    return "\n".join([*lines, *(f"! {warning}" for warning in result.warnings)])


def chains_line(result: Diagnosis) -> str:
    """Return how many chains and draws there are; the first eleven columns name what the line is about."""
    networks = "1 network" if result.networks == 1 else f"{result.networks} networks"
    chains = "1 chain" if result.chains == 1 else f"{result.chains} chains"
    line = (
        f"chains     {result.algorithm}, {networks} x {chains}, {result.draws} draws of {result.thinning} "
        f"step{'' if result.thinning == 1 else 's'}"
    )
    return line + ("" if result.acceptance is None else f", acceptance {result.acceptance:.1%}")


def diagnosis_rows(result: Diagnosis) -> list[list[str]]:
    """Return a header and a row for each observable."""
    return [list(HEADER), *(_row(one) for one in result.observables)]


def _row(one: ObservableVerdict) -> list[str]:
    found = one.statistics
    share = f" ({one.passed}/{one.examined} passed)" if one.worst_network >= 0 else ""
    return [
        one.name,
        number_with_error(found.mean, found.mcse),
        _number(found.rhat, ".4f"),
        _number(found.ess_bulk, ".0f"),
        _number(found.ess_tail, ".0f"),
        number_with_error(found.tau, found.tau_error, not found.reliable),
        _number(one.stationarity.worst, ".1f"),
        one.status + share,
    ]


def _number(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else "-"
