"""An action as plain numbers, and as the tables that ``nnft action`` prints."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nnft.actions.action import CONVENTION, Action
from nnft.actions.symmetric import transform
from nnft.estimators.notation import number_with_error
from nnft.estimators.results import Estimate

FloatArray = npt.NDArray[np.float64]

SHOWN_ROWS = 24
LISTED_COMPONENTS = 5000
"""Components up to which JSON lists a table whole; of longer ones it has the rows that the text shows."""

MOST_COVARIANCE = 500
SHOWN_MODES = 8
LARGEST_REDUCED = 1.0
LARGEST_CHANGE = 0.5
"""Coupling at a typical amplitude, and relative change by the next order, above which the table warns."""

CUT_FACTORS = (1.0, 10.0, 100.0)


def action_record(action: Action, covariance: bool = False) -> dict[str, Any]:
    """Return an action as plain numbers, ready for JSON.

    Parameters
    ----------
    action : Action
    covariance : bool
        Whether the covariance matrices of the tables with up to 500 components are included.

    Returns
    -------
    dict
        Convention, points, spectrum with the cut and its effect, and all tables: ``indices``, ``value``,
        ``stderr``, ``unreliable``. The skewness of the modes of a field with odd correlators, else None.
    """
    spectrum = action.spectrum
    eigen = spectrum.eigenvalues.estimate(np.arange(len(action.points), dtype=np.int32)[:, None])
    state: dict[str, Any] = {
        "convention": CONVENTION,
        "order": action.order,
        "networks": action.networks,
        "bins": len(action.kernel.bin_counts),
        "points": action.points.tolist(),
        "cell": action.cell,
        "deformed": action.deformed,
        "spectrum": {
            "eigenvalues": _numbers(eigen.value),
            "stderr": _numbers(eigen.stderr),
            "kept": spectrum.kept,
            "reason": spectrum.reason,
            "condition_number": spectrum.condition,
            "dropped_variance": spectrum.dropped_variance,
            "effect_of_cut": cut_effect(action),
        },
        "tables": {name: _table(action, name) for name in _names(action)},
    }
    for name, table in state["tables"].items() if covariance else ():
        if table["components"] <= MOST_COVARIANCE:
            table["covariance"] = action.covariance(name).tolist()
    if action.cell is not None:
        names = [name for name in state["tables"] if not name.endswith("_modes")]
        state["continuum"] = {
            name: _listed(action.continuum(name), _rows(action.indices(name))) for name in names
        }
    reduced = action.reduced_quartic()
    state["reduced_quartic"] = _listed(reduced, np.arange(len(reduced.value)))
    state["largest_change"] = _largest_change(action)
    skewness = action.skewness()
    state["skewness"] = None if skewness is None else _listed(skewness, np.arange(len(skewness.value)))
    return state


def _largest_change(action: Action) -> float | None:
    """Return the largest of |next - leading| / |leading| over the couplings lambda_iiii of the modes."""
    if "next" not in action.levels:
        return None
    leading, following = (action.reduced_quartic(level).value for level in ("leading", "next"))
    with np.errstate(divide="ignore", invalid="ignore"):
        change = np.abs(following - leading) / np.abs(leading)
    return float(np.nanmax(change)) if np.isfinite(change).any() else None


def cut_effect(action: Action, point: int = 0) -> list[dict[str, Any]]:
    """Return what the leading coupling at one point becomes when fewer modes are kept.

    At leading order the couplings of the modes do not depend on the cut; those on the mesh do:
    lambda_aaaa is a sum over the modes that are kept.

    Parameters
    ----------
    action : Action
    point : int
        Place of the point a among the points of the action.
    """
    spectrum = action.spectrum
    kept = spectrum.kept
    vectors = np.ascontiguousarray(spectrum.vectors[:, :kept])
    in_modes = transform(action.tables["quartic_leading"].value, 4, vectors)
    values = spectrum.eigenvalues.value
    rows: list[dict[str, Any]] = []
    for factor in CUT_FACTORS:
        count = max(1, int(np.count_nonzero(values[:kept] > factor * values[kept - 1] * (1.0 - 1e-9))))
        if rows and count == rows[-1]["modes"]:
            continue
        basis = np.where(np.arange(kept) < count, vectors[point], 0.0)[:, None]
        coupling = float(transform(in_modes, 4, basis)[0])
        inverse = float(np.sum(vectors[point, :count] ** 2 / values[:count]))
        dropped = float(np.maximum(values[count:], 0.0).sum() / np.maximum(values, 0.0).sum())
        rows.append(
            {
                "modes": count,
                "smallest_relative_eigenvalue": float(values[count - 1] / values[0]),
                "dropped_variance": dropped,
                "point": int(action.points[point]),
                "free": inverse,
                "quartic_leading": coupling,
            }
        )
    return rows


def _names(action: Action) -> list[str]:
    """Return the tables in the order in which they are read."""
    mesh = ["free", *(f"quadratic_{level}" for level in action.levels)]
    mesh += [f"quartic_{level}" for level in action.levels]
    mesh += ["sextic"] if action.order == 6 else []
    return [*mesh, *(f"{name}_modes" for name in mesh)]


def _rows(indices: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """Return the rows that are shown of a table: all, or the coincident and the doubly coincident ones."""
    if len(indices) <= SHOWN_ROWS:
        return np.arange(len(indices))
    first = {int(value): place for place, value in enumerate(dict.fromkeys(indices[:, 0].tolist()))}
    same = np.flatnonzero((indices == indices[:, :1]).all(axis=1))
    order = np.array([first[int(value)] for value in indices[same, 0]])
    return np.sort(same[order < SHOWN_ROWS // 2 if len(same) > SHOWN_ROWS else slice(None)])


def _table(action: Action, name: str) -> dict[str, Any]:
    indices = action.indices(name)
    if len(indices) <= LISTED_COMPONENTS:
        return _listed(action.table(name), np.arange(len(indices)))
    rows = _rows(indices)
    chosen = action.tables[name].chosen(rows).estimate(indices[rows])
    return _listed(chosen, np.arange(len(rows))) | {"components": len(indices)}


def _listed(estimate: Estimate, rows: npt.NDArray[np.int64]) -> dict[str, Any]:
    return {
        "components": len(estimate.value),
        "indices": estimate.indices[rows].tolist(),
        "value": _numbers(estimate.value[rows]),
        "stderr": _numbers(estimate.stderr[rows]),
        "unreliable": estimate.unreliable[rows].tolist(),
    }


def _numbers(values: FloatArray) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]


def action_text(state: dict[str, Any], source: str) -> str:
    """Return the tables of an action.

    Parameters
    ----------
    state : dict
        From `action_record`.
    source : str
        What the action is of, for the first line.
    """
    through = "1/N^2" if state["order"] == 6 else "1/N"
    spectrum = state["spectrum"]
    points = state["points"]
    shown = ", ".join(map(str, points[:12])) + (", .." if len(points) > 12 else "")
    lines = [
        f"action of {source}: {state['networks']} networks, {state['bins']} bins, points {shown}",
        f"order {state['order']}: couplings through {through}; one output, all else integrated out"
        + ("; a deformed run: orders are powers of its cumulants" if state["deformed"] else ""),
        state["convention"],
        *_odd_lines(state),
        f"spectrum   {spectrum['kept']} of {len(points)} modes kept ({spectrum['reason']}), "
        f"condition number {spectrum['condition_number']:.3g}, "
        f"share of the variance dropped {spectrum['dropped_variance']:.2g}",
    ]
    lines += _cut_lines(spectrum["effect_of_cut"])
    tables = state["tables"]
    levels = [name.partition("_")[2] for name in tables if name in ("quadratic_leading", "quadratic_next")]
    titles = {"leading": "leading", "next": "through next"}
    groups = [("quadratic part A", ["free", *(f"quadratic_{k}" for k in levels)])]
    groups.append(("quartic couplings lambda_4", [f"quartic_{k}" for k in levels]))
    if "sextic" in tables:
        groups.append(("sextic couplings lambda_6", ["sextic"]))
    for suffix, where in (("", "on the input points"), ("_modes", "in the eigenmodes of the kernel")):
        for title, names in groups:
            columns = [titles.get(name.partition("_")[2], "G^-1" if name == "free" else "") for name in names]
            lines += ["", f"{title}, {where}"]
            lines += _block([tables[name + suffix] for name in names], columns, suffix == "_modes")
    lines += _mode_lines(state)
    change = state["largest_change"]
    if change is not None:
        lines.append(f"from leading to next order lambda_iiii changes by up to {change:.0%}")
    lines += _series_warnings(state)
    if state["cell"] is not None:
        lines += ["", f"grid: cell {state['cell']:.6g}; continuum kernels are the values above / cell^fields"]
    return "\n".join([*lines, "", _legend(state)])


def _cut_lines(rows: list[dict[str, Any]]) -> list[str]:
    if len(rows) < 2:
        return []
    found = [
        f"{row['modes']} modes: G^-1 {row['free']:.4g}, lambda_4 {row['quartic_leading']:.4g}" for row in rows
    ]
    return [f"effect of the cut, at point {rows[0]['point']}: " + "; ".join(found)]


def _block(tables: list[dict[str, Any]], columns: list[str], modes: bool) -> list[str]:
    """Return the rows of tables with the same components, side by side."""
    indices = np.array(tables[0]["indices"], dtype=np.int32)
    rows = _rows(indices)
    if modes:
        rows = rows[(indices[rows] < SHOWN_MODES).all(axis=1)]
    cells = [["modes" if modes else "points", *columns]]
    for row in rows:
        cells.append([" ".join(map(str, indices[row])), *(_cell(table, int(row)) for table in tables)])
    widths = [max(len(line[k]) for line in cells) for k in range(len(cells[0]))]
    text = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in cells]
    left = tables[0]["components"] - len(rows)
    return [*text, *([f"  .. {left} more components: --json, or -o FILE for all"] if left else [])]


def _cell(table: dict[str, Any], row: int) -> str:
    value, error = (table[name][row] for name in ("value", "stderr"))
    return number_with_error(
        np.nan if value is None else value, np.nan if error is None else error, table["unreliable"][row]
    )


def _mode_lines(state: dict[str, Any]) -> list[str]:
    reduced, spectrum = state["reduced_quartic"], state["spectrum"]
    lines = ["", "modes: eigenvalue s_i, and the coupling at a typical amplitude, lambda_iiii s_i^2"]
    sizes = [abs(value or 0.0) for value in reduced["value"]]
    shown = list(range(min(SHOWN_MODES, len(sizes))))
    strongest = sizes.index(max(sizes))
    for mode in shown if strongest in shown else [*shown, strongest]:
        eigenvalue = number_with_error(spectrum["eigenvalues"][mode], spectrum["stderr"][mode] or 0.0)
        lines.append(f"  {mode:3d}  {eigenvalue.rjust(16)}  {_cell(reduced, mode).rjust(16)}")
    return lines


def _odd_lines(state: dict[str, Any]) -> list[str]:
    """Return what is left out of the action of a field that has a mean."""
    skewness = state.get("skewness")  # not in records of earlier versions
    if skewness is None:
        return []
    sizes = [abs(value or 0.0) for value in skewness["value"]]
    mode = sizes.index(max(sizes))
    change = 3.0 * sizes[mode] ** 2
    quartic = max((abs(value) for value in state["reduced_quartic"]["value"] if value is not None), default=0)
    return [
        "field psi = f - <f>: the odd correlator G3 is left out, and with it a cubic coupling",
        f"{'! ' if change > LARGEST_CHANGE * quartic else ''}largest skewness of a mode "
        f"{_cell(skewness, mode)} (mode {mode}): its square would add {change:.2g} to lambda_iiii s_i^2, "
        f"which reaches {quartic:.2g}",
    ]


def _series_warnings(state: dict[str, Any]) -> list[str]:
    """Return a line if the terms of the series do not become smaller."""
    strongest = max(
        (abs(value) for value in state["reduced_quartic"]["value"] if value is not None), default=0
    )
    change = state["largest_change"]
    if strongest <= LARGEST_REDUCED and (change is None or change <= LARGEST_CHANGE):
        return []
    return [
        f"! the series does not converge: |lambda_iiii s_i^2| reaches {strongest:.3g}"
        + ("" if change is None else f", the next order {change:.0%} of the leading one")
        + "; take fewer modes or points, or wider networks"
    ]


def _legend(state: dict[str, Any]) -> str:
    flagged = sum(sum(table["unreliable"]) for table in state["tables"].values())
    text = "value(error in the last digits); errors by the jackknife over bins of networks"
    return text + (f"; ! marks {flagged} errors that cannot be trusted (heavy tails)" if flagged else "")
