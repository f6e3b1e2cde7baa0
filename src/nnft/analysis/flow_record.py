"""Quantities and couplings of a flow over cutoffs as plain numbers and as text."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nnft.analysis.flow_couplings import FlowCouplings
from nnft.analysis.flow_quantity import FlowQuantity
from nnft.analysis.flow_text import cells_text, cutoff_text, number_text, plain, plain_cutoffs, plain_list
from nnft.analysis.renormalized_run import RenormalizedRun
from nnft.errors import NumericalError
from nnft.estimators.notation import number_with_error

FloatArray = npt.NDArray[np.float64]

MOST_COMPONENTS = 1000
"""Components of a quantity up to which all are listed unasked; of more, those at coincident points."""

LARGE = 1.0
"""Size of lambda G^2, a number of order 1/width for wide networks, from which on no series in it helps."""

CONVENTION = (
    "S = 1/2 A_ab psi_a psi_b + 1/4! lambda_abcd psi^4 of psi = f - <f> at leading order, density exp(-S); "
    "heavy tails have lambda < 0; odd couplings are left out"
)


def all_quantities(flow: RenormalizedRun) -> dict[str, dict[str, Any]]:
    """Return every quantity of a flow at every cutoff, ready for JSON.

    Returns
    -------
    dict of str to dict
        By name: ``indices``, mesh points of the m components; ``value``, ``stderr``, nested lists (C, m);
        ``left_out``, the number of further components, at different points, of quantities with more than
        1000. ``remark`` instead, where there are too few networks.
    """
    found: dict[str, dict[str, Any]] = {}
    for name in flow.names:
        every = flow.sums.components(name)
        chosen = every
        if len(every) > MOST_COMPONENTS:
            chosen = every[(every == every[:, :1]).all(axis=1)]
        try:
            quantity = flow.quantity(name, chosen)
        except NumericalError as failure:
            found[name] = {"remark": str(failure)}
            continue
        found[name] = _numbers(quantity) | {"left_out": len(every) - len(chosen)}
    return found


def _numbers(quantity: FlowQuantity) -> dict[str, Any]:
    return {
        "indices": quantity.indices.tolist(),
        "value": plain_list(quantity.value),
        "stderr": plain_list(quantity.stderr),
    }


def quantity_record(quantity: FlowQuantity) -> dict[str, Any]:
    """Return a quantity with its covariance and correlation along the flow, ready for JSON.

    Returns
    -------
    dict
        ``name``, ``cutoffs``; ``indices``, ``value``, ``stderr``, ``unreliable`` (C, m); ``covariance``,
        ``correlation``, a matrix (C, C) for each component; ``remarks`` by the position of the cutoff.
    """
    count = range(quantity.value.shape[1])
    return {
        "name": quantity.name,
        "cutoffs": plain_cutoffs(quantity.cutoffs),
        **_numbers(quantity),
        "unreliable": quantity.unreliable.tolist(),
        "covariance": [plain_list(quantity.covariance(k)) for k in count],
        "correlation": [plain_list(quantity.correlation(k)) for k in count],
        "remarks": {str(position): text for position, text in quantity.remarks.items()},
    }


def quantity_text(record: dict[str, Any]) -> str:
    """Return the text of `quantity_record`: values over cutoffs, then the correlations of their errors."""
    cutoffs = [cutoff_text(cutoff) for cutoff in record["cutoffs"]]
    labels = [_label(record["name"], points) for points in record["indices"]]
    table = [["cutoff", *labels]]
    for c, cutoff in enumerate(cutoffs):
        cells = [
            _cell(value, error, flag)
            for value, error, flag in zip(
                record["value"][c], record["stderr"][c], record["unreliable"][c], strict=True
            )
        ]
        table.append([cutoff, *cells])
    lines = [*cells_text(table)]
    for label, matrix in zip(labels, record["correlation"], strict=True):
        lines += ["", f"correlation of the errors of {label} between the cutoffs", *_matrix(cutoffs, matrix)]
    lines += _remarks(record["remarks"], cutoffs)
    return "\n".join(lines)


def _label(name: str, points: list[int]) -> str:
    return f"{name}({','.join(map(str, points))})" if points else name


def _cell(value: float | None, error: float | None, unreliable: bool) -> str:
    known, spread = (float("nan") if number is None else number for number in (value, error))
    return number_with_error(known, spread, unreliable and error is not None)


def _matrix(cutoffs: list[str], matrix: list[list[float | None]]) -> list[str]:
    rows = [["", *cutoffs]]
    for cutoff, line in zip(cutoffs, matrix, strict=True):
        rows.append([cutoff, *("-" if number is None else f"{number:.2f}" for number in line)])
    return cells_text(rows)


def _remarks(remarks: dict[str, str], cutoffs: list[str]) -> list[str]:
    """Lines on cutoffs without numbers, one for each reason."""
    by_reason: dict[str, list[str]] = {}
    for position, reason in remarks.items():
        by_reason.setdefault(reason, []).append(cutoffs[int(position)])
    lines = [f"none at cutoff {', '.join(where)}: {reason}" for reason, where in by_reason.items()]
    return ["", *lines] if lines else []


def couplings_record(couplings: FlowCouplings) -> dict[str, Any]:
    """Return the couplings of a flow, ready for JSON.

    Returns
    -------
    dict
        ``points``, ``cutoffs``, ``convention``; ``tables``: by name ``indices``, ``value``, ``stderr``
        (C, m); ``covariance``: of the components at coincident points, by table and then by point, between
        the cutoffs (C, C); ``reasons`` by the position of a cutoff without couplings.
    """
    tables, covariances = {}, {}
    for name, table in couplings.tables.items():
        tables[name] = _numbers(table) | {"unreliable": table.unreliable.tolist()}
        covariances[name] = {
            str(point): plain_list(table.covariance(table.place([point] * table.indices.shape[1])))
            for point in couplings.points.tolist()
        }
    return {
        "points": couplings.points.tolist(),
        "cutoffs": plain_cutoffs(couplings.cutoffs),
        "convention": CONVENTION,
        "tables": tables,
        "covariance": covariances,
        "reasons": {str(position): text for position, text in couplings.reasons.items()},
    }


def couplings_cells(record: dict[str, Any]) -> list[list[str]]:
    """Return the table of couplings at coincident points as cells: header, then a row for each cutoff."""
    points, tables = record["points"], record["tables"]
    header, columns = ["cutoff"], []
    for name, letter in (("quadratic", "A"), ("quartic", "lambda"), ("reduced_quartic", "lambda G^2")):
        table = tables[name]
        slots = len(table["indices"][0])
        for point in points:
            columns.append((table, table["indices"].index([point] * slots)))
            header.append(f"{letter}({point})")
    cells = [header]
    for c, cutoff in enumerate(record["cutoffs"]):
        row = [cutoff_text(cutoff)]
        for table, place in columns:
            row.append(number_text({key: table[key][c][place] for key in ("value", "stderr", "unreliable")}))
        cells.append(row)
    return cells


def couplings_lines(record: dict[str, Any]) -> list[str]:
    """Return what must be known beside the table of couplings."""
    cutoffs = [cutoff_text(cutoff) for cutoff in record["cutoffs"]]
    return [
        "A(a), lambda(a): A_aa and lambda_aaaa; lambda G^2: lambda_aaaa times the squared variance at a",
        record["convention"],
        *_warnings(record, cutoffs),
        *_remarks(record["reasons"], cutoffs)[1:],
    ]


def _warnings(record: dict[str, Any], cutoffs: list[str]) -> list[str]:
    """Say where errors cannot be trusted, and where the leading order says little."""
    lines = []
    if any("!" in cell for row in couplings_cells(record) for cell in row):
        lines.append("!: error not to be trusted, a few networks make most of it")
    rows = record["tables"]["reduced_quartic"]["value"]
    large = [
        cutoff
        for cutoff, row in zip(cutoffs, rows, strict=True)
        if any(value is not None and abs(value) > LARGE for value in row)
    ]
    if large:
        where = large[0] if len(large) == 1 else f"{len(large)} of {len(cutoffs)} cutoffs from {large[0]} on"
        lines.append(
            f"lambda G^2 is larger than {LARGE:g} at {where}: far from Gaussian, leading order says little"
        )
    return lines


def couplings_text(record: dict[str, Any]) -> str:
    """Return the table of couplings as text."""
    points = ", ".join(map(str, record["points"]))
    head = [f"couplings of the outputs at points {points}, all others integrated out", ""]
    return "\n".join([*head, *cells_text(couplings_cells(record)), "", *couplings_lines(record)])


def spectrum_record(flow: RenormalizedRun) -> dict[str, Any] | None:
    """Return the histogram of the information, ready for JSON; None in files without.

    Returns
    -------
    dict or None
        ``parameters`` of a network; shares of them: ``zero``, ``below`` the first edge, ``above`` the last;
        ``edges`` from the first to the last bin that is not empty, ``share`` and ``stderr`` of these bins.
    """
    spectrum = flow.spectrum
    if spectrum is None:
        return None
    used = spectrum.used()
    share, error = spectrum.share[2:-1][used], spectrum.stderr[2:-1][used]
    return {
        "parameters": spectrum.parameters,
        "zero": {"value": plain(spectrum.share[0]), "stderr": plain(spectrum.stderr[0])},
        "below": plain(spectrum.share[1]),
        "above": plain(spectrum.share[-1]),
        "edges": spectrum.edges[used.start : used.stop + 1].tolist() if len(share) else [],
        "share": plain_list(share),
        "stderr": plain_list(error),
    }
