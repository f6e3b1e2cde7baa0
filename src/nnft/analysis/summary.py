"""The table of a run: two-point function, connected four-point function, kurtosis, each with error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nnft.analysis.run import Run
from nnft.analysis.training_summary import training_lines, training_state, training_warnings
from nnft.errors import NumericalError
from nnft.estimators.notation import number_with_error
from nnft.estimators.results import Estimate

COSINES = ("cos-net", "free-scalar")
SHOWN_POINTS = 16
COLUMNS = ("G1", "G2", "G3", "G4", "G6", "G8", "excess_kurtosis")
TITLES = {
    "G1": "mean f(a)",
    "G2": "G2(aa)",
    "G3": "G3(aaa) conn.",
    "G4": "G4(aaaa) conn.",
    "G6": "G6(a..a) conn.",
    "G8": "G8(a..a) conn.",
}


def summary(run: Run) -> dict[str, Any]:
    """Return the main results of a run as plain numbers, ready for JSON.

    Parameters
    ----------
    run : Run

    Returns
    -------
    dict
        Run state, methods, for a deformed ensemble its table and effective sample size, and for each point
        G2, infinite-width G2, connected G4, G6 and G8 at coincident points and the excess kurtosis:
        ``value``, ``stderr``, ``unreliable``.

    Raises
    ------
    NumericalError
        If the effective sample size of a deformed ensemble is too small.
    """
    run.require_effective_sample_size()
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
        "layers": list(range(2, plan["layers"] + 1)) if run.card["estimate"]["layers"] else [],
    }
    if run.deformation is not None:
        state["deformation"] = run.deformation
        state["effective_sample_size"] = _effective_size(run) if run.networks else None
    if run.training is not None:
        state["training"] = training_state(run)
    columns = _columns(run) if run.networks else {}
    state["points"] = _points(run, columns) if run.networks else []
    state["unreliable"] = _unreliable(columns)
    return state


def _effective_size(run: Run) -> dict[str, Any]:
    size = run.effective_sample_size
    if size is None:
        return {}
    return {
        "value": size.value,
        "stderr": size.stderr if np.isfinite(size.stderr) else None,
        "networks": size.networks,
        "largest_share_at_most": size.largest_share,
        "warning": size.warning,
    }


@dataclass(frozen=True)
class _Column:
    """Points, values, errors and flags of one estimate, from the file or computed."""

    indices: npt.NDArray[np.int32]
    value: npt.NDArray[np.float64]
    stderr: npt.NDArray[np.float64]
    unreliable: npt.NDArray[np.bool_]

    def coincident(self) -> npt.NDArray[np.int64]:
        """Rows with all points equal, in order of the points."""
        rows = np.flatnonzero((self.indices == self.indices[:, :1]).all(axis=1))
        return rows[np.argsort(self.indices[rows, 0])]


def _columns(run: Run) -> dict[str, _Column]:
    """Connected correlators by name (G4, G4:0011 ..) and the excess kurtosis.

    Taken from the file where it holds them, as that of every finished run does.
    """
    stored = run.stored
    found: dict[str, _Column] = {}
    for name in stored.estimate_names:
        kind, _, rest = name.partition("_")
        label = "G" + rest.replace("_", ":") if kind == "connected" else name
        if kind == "connected" or name == "excess_kurtosis":
            record = stored.estimate(name)
            flags = record["unreliable"].astype(np.bool_)
            found[label] = _Column(record["indices"], record["value"], record["stderr"], flags)
    return found or _computed(run)


def _computed(run: Run) -> dict[str, _Column]:
    found: dict[str, _Column] = {}
    for table in run.estimator.layout.tables.values():
        single = len(set(table.pattern)) == 1
        label = f"G{table.order}" + ("" if single else ":" + "".join(map(str, table.pattern)))
        try:
            found[label] = _as_column(run.connected(table.order, table.pattern))
            if label == "G4":
                found["excess_kurtosis"] = _as_column(run.excess_kurtosis())
        except NumericalError:
            continue
    return found


def _as_column(estimate: Estimate) -> _Column:
    return _Column(estimate.indices, estimate.value, estimate.stderr, estimate.unreliable)


def _points(run: Run, columns: dict[str, _Column]) -> list[dict[str, Any]]:
    """One record for each input point."""
    theory = run.nngp_kernel(run.plan["layers"])
    records: list[dict[str, Any]] = [{"point": point} for point in range(len(run.points))]
    for name, column in columns.items():
        if ":" in name:
            continue
        for point, row in enumerate(column.coincident()):
            records[point][name] = {
                "value": _number(column.value[row]),
                "stderr": _number(column.stderr[row]),
                "unreliable": bool(column.unreliable[row]),
            }
    for point, record in enumerate(records if theory is not None else []):
        record["G2_infinite_width"] = float(theory[point, point])  # type: ignore[index]
    for name, value in _exact_cumulants(run).items():
        for record in records:
            record[f"{name}_exact"] = value
    return records


def _exact_cumulants(run: Run) -> dict[str, float]:
    """G4 and G6 at one point, the same everywhere, of networks of cosines before any training."""
    if run.cosines is None or run.deformation is not None or run.training is not None:
        return {}
    from nnft.analysis.cosines import cosine_cumulants

    exact = cosine_cumulants(run.cosines, run.points)
    found = {order: exact(order, np.zeros((1, order), dtype=np.int64)) for order in run.orders}
    return {f"G{order}": float(value[0]) for order, value in found.items() if value is not None}


def _unreliable(columns: dict[str, _Column]) -> dict[str, dict[str, int]]:
    """How many components of each estimate have an error bar that cannot be trusted."""
    return {
        name: {
            "components": len(column.value),
            "unreliable": int(np.count_nonzero(column.unreliable & (column.stderr > 0))),
        }
        for name, column in columns.items()
    }


def _number(value: np.floating[Any]) -> float | None:
    return float(value) if np.isfinite(value) else None


def table_text(state: dict[str, Any]) -> str:
    """Return a summary as the table that `nnft show` prints."""
    lines = [
        f"{state['file']}: {state['networks']} of {state['networks_planned']} networks"
        + ("" if state["complete"] else "  (not complete)"),
        *head_lines(state),
    ]
    if not state["points"]:
        return "\n".join([*lines, "no networks yet"])
    rows = point_rows(state)
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines.append("")
    lines += ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    if len(state["points"]) > SHOWN_POINTS:
        lines.append(f"... {len(state['points']) - SHOWN_POINTS} more points: --json shows all")
    return "\n".join([*lines, "", *remarks(state)])


def head_lines(state: dict[str, Any]) -> list[str]:
    """Return what was run and how, a line each; the first eleven columns name what a line is about."""
    lines = [
        _network_line(state["network"]),
        f"method     {state['method']}: {state['method_reason']}",
        f"estimator  {state['estimator']}: {state['estimator_reason']}",
    ]
    rate = state["networks_per_second"]
    if rate:
        lines.append(f"throughput {rate:,.0f} networks/s, {state['precision']}, {state['bins']} bins")
    lines += _deformation_lines(state)
    return lines + (training_lines(state) if "training" in state else [])


def point_rows(state: dict[str, Any], most: int = SHOWN_POINTS) -> list[list[str]]:
    """Return the correlators at coincident points as cells: a header, then a row for each point.

    Parameters
    ----------
    state : dict
        From `summary`, with networks.
    most : int
        Points that are shown.
    """
    columns = [name for name in COLUMNS if name in state["points"][0]]
    has_theory = "G2_infinite_width" in state["points"][0]
    header = ["point", *(TITLES.get(name, "excess kurtosis") for name in columns)]
    if has_theory:
        beside = 2 + columns.index("G2") if "G2" in columns else len(header)
        base = {"deformation": "base ", "training": "prior "}
        prefix = next((base[key] for key in base if key in state), "")
        name = "exact G2" if state["network"]["kind"] in COSINES else "G2 at n = inf"
        header.insert(beside, prefix + name)
    exact = [name for name in ("G4", "G6") if f"{name}_exact" in state["points"][0]]
    rows = [[*header, *(f"exact {name}" for name in exact)]]
    for record in state["points"][:most]:
        row = [str(record["point"]), *(with_error(record[name]) for name in columns)]
        if has_theory:
            row.insert(beside, f"{record['G2_infinite_width']:.6g}")
        rows.append([*row, *(f"{record[f'{name}_exact']:.6g}" for name in exact)])
    return rows


def _network_line(network: dict[str, Any]) -> str:
    if network["kind"] in COSINES:
        left_out = ("kind", "widths")
        rest = ", ".join(f"{key} {value}" for key, value in network.items() if key not in left_out)
        return f"network    {network['kind']}, {rest}"
    return (
        f"network    {network['kind']}, widths {network['widths']}, {network['activation']}, "
        f"C_W {network['weight_variance']}, C_b {network['bias_variance']}, outputs {network['outputs']}"
    )


def _deformation_lines(state: dict[str, Any]) -> list[str]:
    """The insertion and how many networks carry the weight."""
    if "deformation" not in state:
        return []
    table, size = state["deformation"], state["effective_sample_size"]
    couplings = ", ".join(f"{key} {value}" for key, value in table.items() if key.startswith("phi") and value)
    lines = [
        f"deformed   weights exp(-V): {couplings}, cell {table['cell']:.6g}, "
        f"invariance {table['invariance']}, readouts {table['readouts']}"
    ]
    if size:
        cell = {"value": size["value"], "stderr": size["stderr"], "unreliable": False}
        lines.append(
            f"weights    effective sample size {with_error(cell)} of {size['networks']} networks, "
            f"largest share of one network at most {size['largest_share_at_most']:.2g}"
        )
    return lines


def remarks(state: dict[str, Any]) -> list[str]:
    """Return what must be known beside the table; what is wrong starts with ``!``."""
    size = state.get("effective_sample_size")
    kind = "unbiased" if size is None else "bias of order 1/networks removed"
    lines = [f"value(error in the last digits); connected correlators are joint cumulants, {kind}"]
    if "training" in state:
        lines += training_warnings(state)
    if size is not None:
        name = "exact G2" if state["network"]["kind"] in COSINES else "G2 at n = inf"
        lines.append(f"{name} is that of the networks without the deformation")
        if size["warning"]:
            lines.append(f"! {size['warning']}")
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
    value, error = (np.nan if cell[name] is None else cell[name] for name in ("value", "stderr"))
    return number_with_error(value, error, cell["unreliable"])
