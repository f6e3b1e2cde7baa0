"""The report of symmetries and axioms as a table."""

from __future__ import annotations

import math

from nnft.actions.axiom_report import BROKEN_P, AxiomCheck, AxiomReport
from nnft.estimators.notation import number_with_error

HEAD = ("check", "order", "compared", "statistic", "p", "effect", "verdict")
ROUNDING = 1e-12


def axioms_text(report: AxiomReport) -> str:
    """Return the table that ``nnft axioms`` prints, with a line that explains it."""
    rows = [HEAD, *(_row(check) for check in report.checks)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD) - 1)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
        for row in rows
    ]
    kept = f"outputs of {report.fields}" if report.fields else "no outputs"
    head = f"{report.source}: {report.networks} networks in {report.bins} bins, {kept} kept"
    legend = (
        f"holds: within the errors given; broken: p below {BROKEN_P:g}; effect: largest deviation "
        "(reflection positivity: lowest eigenvalue) in units of the largest number compared"
    )
    return "\n".join([head, "", *lines, "", legend])


def _row(check: AxiomCheck) -> tuple[str, ...]:
    verdict = f"{check.verdict}: {check.reason}" if check.reason else check.verdict
    return (
        check.name,
        str(check.order),
        check.compared,
        _statistic(check),
        "" if check.p_value is None else f"{check.p_value:.2g}",
        _effect(check),
        verdict,
    )


def _effect(check: AxiomCheck) -> str:
    if check.effect is None or check.error is None:
        return ""
    return number_with_error(check.effect, check.error if check.error > ROUNDING else 0.0)


def _statistic(check: AxiomCheck) -> str:
    if check.statistic is None:
        return ""
    short = "min" if check.statistic_name == "lowest eigenvalue" else check.statistic_name
    number = f"{check.statistic:.4g}" if math.isfinite(check.statistic) else "inf"
    return f"{short} = {number}"
