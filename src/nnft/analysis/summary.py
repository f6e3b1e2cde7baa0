"""The table of a run: two-point function, connected four-point function, kurtosis, each with error."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nnft.analysis.run import Run
from nnft.errors import NumericalError
from nnft.estimators.results import Correlator, Estimate

SHOWN_POINTS = 16


def summary(run: Run) -> dict[str, Any]:
    """Return the main results of a run as plain numbers, ready for JSON.

    Parameters
    ----------
    run : Run

    Returns
    -------
    dict
        Run state, methods, and for each point G2, infinite-width G2, connected G4, G6 and G8 at
        coincident points and the excess kurtosis: ``value``, ``stderr``, ``unreliable``.
    """
    plan, stored = run.plan, run.stored
    state: dict[str, Any] = {
        "file": str(run.path),
        "complete": run.complete,
        "networks": run.networks,
        "networks_planned": stored.counter("networks_planned"),
        "seed": stored.text("seed"),
        "digest": stored.text("digest"),
        "result_digest": stored.text("result_digest"),
        "method": plan["method"],
        "method_reason": plan["method_reason"],
        "estimator": plan["estimator"],
        "estimator_reason": plan["estimator_reason"],
        "precision": plan["precision"],
        "bins": plan["bins"],
        "networks_per_second": stored.runtime.get("networks_per_second"),
        "stored_outputs": stored.fields.rows if stored.fields else 0,
        "network": run.card["network"],
        "layers": list(run.estimator.layout.layers),
    }
    state["points"] = _points(run) if run.networks else []
    state["unreliable"] = _unreliable(run) if run.networks else {}
    return state


def _points(run: Run) -> list[dict[str, Any]]:
    """One record for each input point."""
    columns: dict[str, Estimate] = {}
    for order in _orders(run):
        try:
            columns[f"G{order}"] = _coincident(run.connected(order))
            if order == 4:
                columns["excess_kurtosis"] = run.excess_kurtosis()
        except NumericalError:
            continue
    theory = run.nngp_kernel(run.plan["layers"])
    records = []
    for point in range(len(run.points)):
        record: dict[str, Any] = {"point": point}
        for name, estimate in columns.items():
            record[name] = {
                "value": _number(estimate.value[point]),
                "stderr": _number(estimate.stderr[point]),
                "unreliable": bool(estimate.unreliable[point]),
            }
        if theory is not None:
            record["G2_infinite_width"] = float(theory[point, point])
        records.append(record)
    return records


def _orders(run: Run) -> list[int]:
    return sorted({table.order for table in run.estimator.layout.tables.values()})


def _coincident(correlator: Correlator) -> Estimate:
    """The components with all points equal, in order of the points."""
    indices = correlator.indices
    rows = np.flatnonzero((indices == indices[:, :1]).all(axis=1))
    rows = rows[np.argsort(indices[rows, 0])]
    return Estimate(
        indices[rows],
        correlator.value[rows],
        correlator.stderr[rows],
        correlator.unreliable[rows],
        correlator.n_networks,
        correlator.bin_counts,
        lambda: correlator.bins[:, rows],
    )


def _unreliable(run: Run) -> dict[str, dict[str, int]]:
    """How many components of each correlator have an error bar that cannot be trusted."""
    counts = {}
    for table in run.estimator.layout.tables.values():
        try:
            result = run.connected(table.order, table.pattern)
        except NumericalError:
            continue
        label = "".join(map(str, table.pattern))
        counts[f"G{table.order}:{label}"] = {
            "components": len(result.value),
            "unreliable": int(np.count_nonzero(result.unreliable & (result.stderr > 0))),
        }
    return counts


def _number(value: np.floating[Any]) -> float | None:
    return float(value) if np.isfinite(value) else None


def table_text(state: dict[str, Any]) -> str:
    """Return a summary as the table that `nnft show` prints."""
    lines = [
        f"{state['file']}: {state['networks']} of {state['networks_planned']} networks"
        + ("" if state["complete"] else "  (not complete)"),
        _network_line(state["network"]),
        f"method     {state['method']}: {state['method_reason']}",
        f"estimator  {state['estimator']}: {state['estimator_reason']}",
    ]
    rate = state["networks_per_second"]
    if rate:
        lines.append(f"throughput {rate:,.0f} networks/s, {state['precision']}, {state['bins']} bins")
    if not state["points"]:
        return "\n".join([*lines, "no networks yet"])
    columns = [name for name in ("G2", "G4", "G6", "G8", "excess_kurtosis") if name in state["points"][0]]
    titles = {"G2": "G2(aa)", "G4": "G4(aaaa) conn.", "G6": "G6(a..a) conn.", "G8": "G8(a..a) conn."}
    has_theory = "G2_infinite_width" in state["points"][0]
    header = ["point", *(titles.get(name, "excess kurtosis") for name in columns)]
    if has_theory:
        header.insert(2, "G2 at n = inf")
    rows = [header]
    for record in state["points"][:SHOWN_POINTS]:
        row = [str(record["point"]), *(with_error(record[name]) for name in columns)]
        if has_theory:
            row.insert(2, f"{record['G2_infinite_width']:.6g}")
        rows.append(row)
    widths = [max(len(row[k]) for row in rows) for k in range(len(header))]
    lines.append("")
    lines += ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    if len(state["points"]) > SHOWN_POINTS:
        lines.append(f"... {len(state['points']) - SHOWN_POINTS} more points: --json shows all")
    return "\n".join([*lines, "", *_warnings(state)])


def _network_line(network: dict[str, Any]) -> str:
    return (
        f"network    {network['kind']}, widths {network['widths']}, {network['activation']}, "
        f"C_W {network['weight_variance']}, C_b {network['bias_variance']}, outputs {network['outputs']}"
    )


def _warnings(state: dict[str, Any]) -> list[str]:
    lines = ["value(error in the last digits); connected correlators are joint cumulants, unbiased"]
    for name, count in state["unreliable"].items():
        if count["unreliable"]:
            lines.append(
                f"! {name}: {count['unreliable']} of {count['components']} error bars cannot be trusted "
                "(heavy tails: a few networks make most of the spread); such numbers are marked !"
            )
    return lines


def with_error(cell: dict[str, Any]) -> str:
    """Return ``1.2345(67)``: the value with its error in units of the last digit; ``!`` if unreliable.

    Parameters
    ----------
    cell : dict
        ``value``, ``stderr`` (None if there is none) and ``unreliable``.
    """
    value, error = cell["value"], cell["stderr"]
    if value is None:
        return "-"
    mark = "!" if cell["unreliable"] and error != 0 else ""
    if error is None:
        return f"{value:.6g}(?){mark}"
    if error == 0:
        return f"{value:.6g}(0)"
    exponent = int(np.floor(np.log10(max(abs(value), error))))
    scientific = not -4 <= exponent < 6
    scale = 10.0**exponent if scientific else 1.0
    decimals = max(0, 1 - int(np.floor(np.log10(error / scale))))
    digits = round(error / scale * 10**decimals)
    if digits >= 100:
        decimals, digits = max(0, decimals - 1), round(error / scale * 10 ** max(0, decimals - 1))
    suffix = f"e{exponent:+03d}" if scientific else ""
    return f"{value / scale:.{decimals}f}({digits}){suffix}{mark}"


def relative_errors(estimate: Estimate) -> npt.NDArray[np.float64]:
    """Return standard error over absolute value, infinite where the value vanishes."""
    with np.errstate(divide="ignore", invalid="ignore"):
        relative: npt.NDArray[np.float64] = np.abs(estimate.stderr / estimate.value)
    return np.where(np.isnan(relative), np.inf, relative)
