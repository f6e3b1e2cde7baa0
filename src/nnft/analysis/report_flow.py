"""What a report says of a flow over cutoffs."""

from __future__ import annotations

from typing import Any

from nnft.analysis.flow_readings import readings_cells, readings_note, readings_title
from nnft.analysis.flow_record import couplings_cells, couplings_lines
from nnft.analysis.flow_refills import split_cells, split_lines
from nnft.analysis.flow_scales import scale_lines
from nnft.analysis.flow_table import averages_line, flow_cells, flow_text
from nnft.analysis.report_record import ReportSection, ReportText, report_table


def cutoffs(
    numbers: dict[str, Any],
    couplings: dict[str, Any] | None = None,
    reason: str = "",
    split: dict[str, Any] | None = None,
) -> ReportSection:
    """Return the section of a flow.

    Parameters
    ----------
    numbers : dict
        From `nnft.analysis.flow_table.flow_numbers`; ``readings`` from
        `nnft.analysis.flow_readings.flow_readings`, if there are any.
    couplings : dict, optional
        From `nnft.analysis.flow_record.couplings_record`.
    reason : str
        Why there are no couplings.
    split : dict, optional
        From `nnft.analysis.flow_refills.refill_split`.
    """
    said = [
        "Parameters whose Fisher information lies below the cutoff are replaced; from 0, trained networks, "
        "to infinity, where everything is replaced.",
        *scale_lines(numbers["critical_scales"]),
    ]
    if numbers["diverged"]:
        said.append(f"{numbers['diverged']} networks diverged in training and are in no average.")
    cells = flow_cells(numbers)
    errors = next((k for k, name in enumerate(cells[0]) if name.startswith("mean f")), len(cells[0]))
    tables = [report_table("Errors over cutoffs", [row[:errors] for row in cells], averages_line(numbers))]
    if errors < len(cells[0]):
        caption = f"Mean and connected correlators of the output at point {numbers['point']} over cutoffs"
        tables.append(report_table(caption, [[row[0], *row[errors:]] for row in cells]))
    if couplings is not None:
        points = ", ".join(map(str, couplings["points"]))
        caption = f"Couplings over cutoffs, outputs at points {points}"
        said_of = "; ".join(couplings_lines(couplings))
        tables.append(report_table(caption, couplings_cells(couplings), said_of))
    if split is not None:
        caption = f"Variance of the output at point {split['point']} within and between networks"
        tables.append(report_table(caption, split_cells(split), "; ".join(split_lines(split))))
    readings = numbers.get("readings")
    if readings is not None and readings["rows"]:
        caption = readings_title(readings).capitalize()
        tables.append(report_table(caption, readings_cells(readings), readings_note(readings)))
    said += [reason] if reason else []
    text = ReportText("The same as text", flow_text(numbers))
    return ReportSection("cutoffs", "Flow over cutoffs", tuple(said), tables=tuple(tables), texts=(text,))
