"""Closure tests as plain numbers, and as the tables that ``nnft closure`` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnft.actions.closure import Closure, ClosureThreshold
from nnft.estimators.notation import number_with_error
from nnft.estimators.results import Estimate

SHOWN_COMPONENTS = 12
LISTED_COMPONENTS = 5000
SMALLEST_P = 1e-4
"""Below it a fit is called failed."""


def closure_record(
    labels: Sequence[str],
    widths: Sequence[float | None],
    closures: Sequence[Closure],
    threshold: ClosureThreshold | None,
    note: str = "",
) -> dict[str, Any]:
    """Return closure tests as plain numbers, ready for JSON.

    Parameters
    ----------
    labels : sequence of str
        Name of each run.
    widths : sequence of float or None
    closures : sequence of Closure
    threshold : ClosureThreshold or None
    note : str
        Why there is no threshold.
    """
    return {
        "prediction": "kappa_6 = sum over 10 splits of kappa_4 G^-1 kappa_4 (quartic action, leading order)",
        "runs": [_one(*each) for each in zip(labels, widths, closures, strict=True)],
        "threshold": None if threshold is None else vars(threshold) | {"p_value": threshold.p_value},
        "note": note,
    }


def _one(label: str, width: float | None, result: Closure) -> dict[str, Any]:
    rows = slice(None) if len(result.indices) <= LISTED_COMPONENTS else slice(0, SHOWN_COMPONENTS)
    test = result.test
    return {
        "file": label,
        "width": width,
        "networks": result.measured.n_networks,
        "points": result.points.tolist(),
        "in_modes": result.in_modes,
        "modes_kept": result.spectrum.kept,
        "chi_square": float(test.chi_square),
        "components_tested": test.components,
        "components": test.offered,
        "bins": test.bins,
        "p_value": test.p_value,
        "sextic_share": result.share,
        "sextic_share_error": result.share_error,
        "indices": result.indices[rows].tolist(),
        **{name: _numbers(getattr(result, name), rows) for name in ("measured", "predicted", "difference")},
    }


def _numbers(estimate: Estimate, rows: slice) -> dict[str, list[Any]]:
    return {
        "value": [_number(value) for value in estimate.value[rows]],
        "stderr": [_number(value) for value in estimate.stderr[rows]],
        "unreliable": estimate.unreliable[rows].tolist(),
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def closure_text(record: dict[str, Any]) -> str:
    """Return closure tests as a table: one run in full, several in a line each."""
    lines = ["closure: connected six-point function against the tree of two quartic vertices", ""]
    runs = record["runs"]
    if len(runs) == 1:
        lines += _components(runs[0])
    lines += _table(runs)
    lines.append("")
    lines += [record["note"]] if record["note"] else []
    lines += _threshold_lines(record["threshold"])
    lines.append(
        "sextic share: r.m.s. of the sextic term left out beside that of the quartic term; falls like 1/n"
    )
    lines.append("chi-square of measured - predicted with its covariance; p by Hotelling's law")
    return "\n".join(lines)


def _components(run: dict[str, Any]) -> list[str]:
    cells = [["modes" if run["in_modes"] else "points", "measured", "predicted", "difference"]]
    names = ("measured", "predicted", "difference")
    for row, indices in enumerate(run["indices"][:SHOWN_COMPONENTS]):
        cells.append([" ".join(map(str, indices)), *(_cell(run[name], row) for name in names)])
    left = run["components"] - len(cells) + 1
    return [*_aligned(cells), *([f"  .. {left} more components: --json for all"] if left else []), ""]


def _table(runs: list[dict[str, Any]]) -> list[str]:
    cells = [
        ["run", "width", "networks", "kappa_6 measured", "predicted", "chi-square / m", "p", "sextic share"]
    ]
    for run in runs:
        share = number_with_error(run["sextic_share"], run["sextic_share_error"])
        cells.append(
            [
                run["file"],
                "-" if run["width"] is None else f"{run['width']:g}",
                str(run["networks"]),
                _cell(run["measured"], 0),
                _cell(run["predicted"], 0),
                f"{run['chi_square']:.4g} / {run['components_tested']}",
                f"{run['p_value']:.2g}",
                share,
            ]
        )
    return _aligned(cells)


def _threshold_lines(threshold: dict[str, Any] | None) -> list[str]:
    if threshold is None:
        return []
    tolerance = threshold["tolerance"]
    held = threshold["width"]
    first = (
        f"the quartic action suffices (sextic share below {tolerance:g}) from width {held:g} on, of these"
        if held is not None
        else f"the quartic action suffices (sextic share below {tolerance:g}) at none of these widths"
    )
    terms = " + ".join(
        f"{number_with_error(value, error)}/n" + (f"^{power}" if power > 1 else "")
        for power, (value, error) in enumerate(
            zip(threshold["coefficients"], threshold["errors"], strict=True), start=1
        )
    )
    quality = (
        f"chi-square {threshold['chi_square']:.3g} / {threshold['freedom']}, p {threshold['p_value']:.2g}"
    )
    if threshold["p_value"] < SMALLEST_P:
        return [first, f"fit: share = {terms} fails ({quality}): no width from it"]
    fitted = threshold["fitted_width"]
    where = "never falls to it" if fitted is None else f"falls to it at width {fitted:.4g}"
    return [first, f"fit: share = {terms}, {where}; {quality}"]


def _cell(table: dict[str, Any], row: int) -> str:
    value, error = table["value"][row], table["stderr"][row]
    return number_with_error(
        np.nan if value is None else value, np.nan if error is None else error, table["unreliable"][row]
    )


def _aligned(cells: list[list[str]]) -> list[str]:
    widths = [max(len(line[k]) for line in cells) for k in range(len(cells[0]))]
    return ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in cells]
