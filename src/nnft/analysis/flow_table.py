"""Tables of a flow over cutoffs, as numbers and as text."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nnft.analysis.flow_scales import critical_scales, scale_lines
from nnft.analysis.renormalized_run import RenormalizedRun
from nnft.errors import NumericalError
from nnft.estimators.notation import number_with_error

FloatArray = npt.NDArray[np.float64]

EXTREME = 10.0
"""A network whose loss exceeds the median over networks by this factor counts as extreme."""


def flow_numbers(flow: RenormalizedRun, point: int = 0) -> dict[str, Any]:
    """Return a flow as plain numbers, ready for JSON.

    Parameters
    ----------
    flow : RenormalizedRun
    point : int
        Mesh point whose mean, variance and higher cumulants are followed.

    Returns
    -------
    dict
        ``rows``, one for each cutoff: ``cutoff``; ``sloppy_share``, ``train_error``, ``test_error``, each
        with ``value`` and ``stderr``; ``train_median``, ``test_median`` over networks and ``extreme``, the
        number of networks whose loss exceeds ten times the median; ``mean`` and ``connected_r`` at the point.
    """
    rows = []
    for position, cutoff in enumerate(flow.cutoffs):
        row: dict[str, Any] = {"cutoff": float(cutoff) if np.isfinite(cutoff) else "inf"}
        for name in flow.observables.names:
            found = flow.observables.result(name)
            row[name] = {"value": _plain(found.mean[position]), "stderr": _plain(found.stderr[position])}
        row |= _robust(flow, position)
        row |= _cumulants(flow, position, point)
        rows.append(row)
    share, error = flow.silent_share
    return {
        "path": str(flow.run.path),
        "networks": flow.run.networks,
        "layers": flow.table["layers"],
        "fill": flow.table["fill"],
        "noise_variance": flow.noise_variance,
        "nested": not flow.table["anew"],
        "refills": flow.table["refills"],
        "silent_share": {"value": _plain(share), "stderr": _plain(error)},
        "point": point,
        "rows": rows,
        "critical_scales": critical_scales(flow),
    }


def _robust(flow: RenormalizedRun, position: int) -> dict[str, Any]:
    """Medians of the losses, which a few extreme networks do not move, and how many of those there are."""
    losses = flow.losses[:, position]
    found: dict[str, Any] = {}
    for column, name in enumerate(("train_median", "test_median")):
        values = losses[:, column]
        known = len(values) > 0 and not np.isnan(values).any()
        found[name] = float(np.median(values)) if known else None
    column = 1 if found["test_median"] is not None else 0
    median = found["test_median"] if column else found["train_median"]
    found["extreme"] = int((losses[:, column] > EXTREME * median).sum()) if median is not None else None
    return found


def _cumulants(flow: RenormalizedRun, position: int, point: int) -> dict[str, Any]:
    """Mean and joint cumulants of the output at one point with itself."""
    estimator = flow.at(position)
    found = {}
    for order in sorted({table.order for table in estimator.layout.tables.values()}):
        name = "mean" if order == 1 else f"connected_{order}"
        try:
            estimate = estimator.result(order)
        except NumericalError:
            continue
        row = int(np.flatnonzero((estimate.indices == point).all(axis=1))[0])
        found[name] = {"value": _plain(estimate.value[row]), "stderr": _plain(estimate.stderr[row])}
    return found


def flow_text(numbers: dict[str, Any]) -> str:
    """Return the flow as a table of text."""
    fresh = "nested" if numbers["nested"] else "anew at every cutoff"
    share = numbers["silent_share"]
    head = [
        f"{numbers['path']}: flow of {numbers['networks']} networks over {len(numbers['rows'])} cutoffs",
        f"information  of {_layers(numbers['layers'])}, noise variance {numbers['noise_variance']:.6g}; "
        f"exactly zero for {_cell(share)} of the parameters",
        f"sloppy       information below the cutoff, strictly; replaced by {numbers['fill']}, {fresh}",
        "",
    ]
    table = flow_cells(numbers)
    rows = numbers["rows"]
    widths = [max(len(line[k]) for line in table) for k in range(len(table[0]))]
    body = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in table]
    foot = ["", "value(error in the last digits); median over networks; extreme: networks above ten medians"]
    if any("expected_train" in row for row in rows):
        count = numbers["expected_networks"]
        foot.append(
            f"expected: exact given the features of {count} networks; pull: measured minus expected over them"
        )
    return "\n".join([*head, *body, *foot, *scale_lines(numbers["critical_scales"])])


def flow_cells(numbers: dict[str, Any]) -> list[list[str]]:
    """Return the table of a flow as cells: the header, then a row for each cutoff."""
    names = {
        "sloppy_share": "sloppy",
        "train_error": "train error",
        "test_error": "test error",
        "expected_train": "expected",
        "pull_train": "pull",
        "expected_test": "expected test",
        "pull_test": "pull",
        "test_median": "median",
        "extreme": "extreme",
        "mean": f"mean f({numbers['point']})",
        "connected_2": "G2",
        "connected_4": "G4",
    }
    rows = numbers["rows"]
    shown = [name for name in names if any(_text(name, row.get(name)) for row in rows)]
    table = [["cutoff", *(names[name] for name in shown)]]
    table += [[_number(row["cutoff"]), *(_text(name, row.get(name)) for name in shown)] for row in rows]
    return table


def _number(cutoff: float | str) -> str:
    return cutoff if isinstance(cutoff, str) else f"{cutoff:.4g}"


def _layers(layers: Any) -> str:
    if isinstance(layers, str):
        return {"all": "all layers", "readout": "the readout"}[layers]
    return "layers " + ", ".join(map(str, layers))


def _text(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return "" if value["value"] is None else _cell(value)
    return f"{value:+.1f}" if name.startswith("pull") else f"{value:.4g}"


def _cell(number: dict[str, Any]) -> str:
    value, error = (np.nan if number[name] is None else number[name] for name in ("value", "stderr"))
    return number_with_error(value, error, False)


def _plain(number: Any) -> float | None:
    return float(number) if np.isfinite(number) else None
