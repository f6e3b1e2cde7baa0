"""What a report says of a flow over cutoffs."""

from __future__ import annotations

from typing import Any

from nnft.analysis.flow_scales import scale_lines
from nnft.analysis.flow_table import flow_cells, flow_text
from nnft.analysis.report_record import ReportSection, ReportTable, ReportText


def cutoffs(numbers: dict[str, Any]) -> ReportSection:
    """Return the section of a flow from its numbers, see `nnft.analysis.flow_table.flow_numbers`."""
    header, *rows = flow_cells(numbers)
    said = [
        "Parameters whose Fisher information lies below the cutoff are replaced; from 0, trained networks, "
        "to infinity, where everything is replaced.",
        *scale_lines(numbers["critical_scales"]),
    ]
    table = ReportTable(
        "Flow over cutoffs",
        tuple(header),
        tuple(tuple(row) for row in rows),
        "median over networks; extreme: networks above ten medians",
    )
    text = ReportText("The same as text", flow_text(numbers))
    return ReportSection("cutoffs", "Flow over cutoffs", tuple(said), tables=(table,), texts=(text,))
