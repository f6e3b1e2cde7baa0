"""What a report says of a trained run besides the correlators: theories with pulls, the training, chains."""

from __future__ import annotations

import math
from typing import Any

from nnft.analysis.comparison_text import flow_rows, identity_rows, too_few
from nnft.analysis.diagnose import INDEPENDENT, NO_SAMPLER, Diagnosis
from nnft.analysis.diagnose_text import chains_line, diagnosis_rows
from nnft.analysis.report_record import ReportSection, ReportTable, facts_of_lines, report_table
from nnft.analysis.report_run import comparison_tables
from nnft.estimators.notation import number_with_error

WELL = ("equilibrated", NO_SAMPLER, INDEPENDENT)


def trained_warnings(record: dict[str, Any], diagnosis: Diagnosis) -> list[str]:
    """Return chains not in equilibrium, failures of the best theory, correlators without networks enough.

    Parameters
    ----------
    record : dict
        From `nnft.analysis.comparison_record.comparison_record`.
    diagnosis : Diagnosis
    """
    found = []
    if diagnosis.verdict not in WELL:
        found.append(f"chains {diagnosis.summary}; see nnft diagnose")
    found += [f"chains: {warning}" for warning in diagnosis.warnings]
    for place, theory in enumerate(record["theories"]):  # the best one first; of others less is expected
        if theory["verdict"].startswith("!") and (place == 0 or theory["exact"]):
            found.append(f"theory, {theory['name']}: {theory['verdict'].removeprefix('! ')}")
    return found + too_few(record)


def compared(record: dict[str, Any]) -> ReportSection:
    """Return every theory of a trained run beside its numbers.

    Parameters
    ----------
    record : dict
        From `nnft.analysis.comparison_record.comparison_record`.
    """
    facts = []
    for theory in record["theories"]:
        parts = [theory["validity"]]
        parts += [f"departure expected: {theory['departure']}"] if theory["departure"] else []
        parts += [theory["verdict"].removeprefix("! ")] if theory["verdict"] else []
        facts.append((theory["name"], "; ".join(parts)))
    if record["reason"]:
        facts.append(("none", record["reason"]))
    tables = list(comparison_tables(record))
    if record["identities"]:
        tables.append(report_table("Identities that hold at any width", identity_rows(record["identities"])))
    if record["flow"]:
        note = "p of all components of mean and two-point function at once, with the first theory"
        tables.append(report_table("Along the training", flow_rows(record), note))
    return ReportSection("theory", "Theory", facts=tuple(facts), tables=tuple(tables))


def training(state: dict[str, Any]) -> ReportSection:
    """Return the numbers of the networks at the end, or averaged over their draws.

    Parameters
    ----------
    state : dict
        From `nnft.analysis.summary.summary`.
    """
    t = state["training"]
    lost = t["diverged"]
    facts = [
        ("points", f"{t['train_points']} to train on, {t['test_points']} held out"),
        ("parameters", f"{t['parameters']} of each network"),
        ("diverged", f"{lost['networks']} of {state['networks']} networks; such networks are in no average"),
    ]
    rows = [(name.replace("_", " "), *_cells(number)) for name, number in t["numbers"].items()]
    caption = "Numbers of the networks, at the end or averaged over draws"
    table = ReportTable(caption, ("number", "mean", "spread over networks"), tuple(rows))
    return ReportSection("training", "Training", facts=tuple(facts), tables=(table,) if rows else ())


def _cells(number: dict[str, Any]) -> tuple[str, str]:
    names = ("value", "stderr", "spread")
    value, error, spread = (float("nan") if number[name] is None else number[name] for name in names)
    return number_with_error(value, error), "-" if math.isnan(spread) else f"{spread:.4g}"


def chains(diagnosis: Diagnosis) -> ReportSection | None:
    """Return the verdict on the chains; None for trainings without chains."""
    if diagnosis.verdict in (NO_SAMPLER, INDEPENDENT):
        return None
    facts = (("verdict", diagnosis.summary), *facts_of_lines([chains_line(diagnosis)]))
    said = [f"{one.name}: {one.status}: {one.reason}" for one in diagnosis.observables if one.reason]
    tables = []
    if diagnosis.observables:
        note = "tau in draws (0.5: independent, !: not reliable); drift in standard errors"
        if not diagnosis.shared_target:
            note += "; numbers of the network that fares worst"
        tables.append(report_table("Observables of the chains", diagnosis_rows(diagnosis), note))
    return ReportSection("chains", "Chains", (*diagnosis.notes, *said), facts, tuple(tables))
