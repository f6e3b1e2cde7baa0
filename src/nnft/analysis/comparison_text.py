"""A comparison with theory as the text that ``nnft compare`` prints."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnft.analysis.scan_table import aligned
from nnft.analysis.trained_run import SAMPLERS
from nnft.estimators.notation import number_with_error

SHOWN_ROWS = 24
SHOWN_SNAPSHOTS = 30
ROUNDING = 1e-14
"""Of the largest of its kind: an expected value below is the rounding of a zero."""

NAMES = {1: "mean", 2: "G2", 3: "G3", 4: "G4"}


def comparison_text(record: dict[str, Any], source: str) -> str:
    """Return the tables of a comparison.

    Parameters
    ----------
    record : dict
        From `comparison_record`.
    source : str
        What was trained, for the first line.
    """
    lines = _head(record, source)
    sampled = record["algorithm"] in SAMPLERS
    lines += ["", "in equilibrium: average over draws" if sampled else "at the end"]
    rows, left = component_rows(record)
    lines += aligned(rows) + ([f".. {left} more components: --json"] if left else [])
    lines += _joint_lines(record)
    if record["flow"]:
        lines += ["", "along the training", *aligned(flow_rows(record))]
    if record["identities"]:
        rows = identity_rows(record["identities"])
        lines += ["", "identities that hold at any width", *(line.rstrip() for line in aligned(rows))]
    flagged = sum(sum(table["unreliable"]) for table in record["final"]["tables"])
    legend = "value(error in the last digits); pull = (estimate - theory) / error; p: all components at once"
    if flagged:
        legend += f"; ! marks {flagged} errors not to be trusted"
    return "\n".join([*lines, "", legend])


def _head(record: dict[str, Any], source: str) -> list[str]:
    widths = ", ".join(map(str, record["widths"])) or "none"
    layers = "all layers"
    if len(record["trainable"]) < record["layers"]:
        some = "layers " if len(record["trainable"]) > 1 else "layer "
        layers = some + ", ".join(map(str, record["trainable"]))
    lines = [
        f"{source}: {record['algorithm']} on {layers}, {record['activation']}, widths {widths}; "
        f"{record['train_points']} training points; {_networks(record)}, {record['bins']} "
        + ("bin" if record["bins"] == 1 else "bins")
    ]
    if record["diverged"]:
        lines.append(f"! {record['diverged']} networks diverged and are in no average")
    lines += too_few(record)
    for place, theory in enumerate(record["theories"]):
        label = "theory  " if len(record["theories"]) == 1 else f"theory {place + 1}"
        lines.append(f"{label}  {theory['name']}: {theory['validity']}")
        if theory["departure"]:
            lines.append(f"          departure expected: {theory['departure']}")
        if theory["verdict"]:
            lines.append(f"          {theory['verdict']}")
    if record["reason"]:
        lines.append(f"theory    none: {record['reason']}")
    if record["theories"] and record["algorithm"] in SAMPLERS and record["algorithm"] != "exact":
        lines.append("theory supposes equilibrium: nnft diagnose says whether the chains are there")
    return lines


def _networks(record: dict[str, Any]) -> str:
    return "1 network" if record["networks"] == 1 else f"{record['networks']} networks"


def too_few(record: dict[str, Any]) -> list[str]:
    """Return what so few networks cannot tell, a line each."""
    networks = record["networks"]
    orders = [table["order"] for table in record["final"]["tables"]]
    absent = ", ".join(NAMES.get(k, f"G{k}") for k in orders if k > networks)
    no_errors = ", ".join(NAMES.get(k, f"G{k}") for k in orders if k == networks)
    count = _networks(record)
    lines = []
    if absent:
        lines.append(f"too few networks for {absent}: got {count}, needed one for each order")
    if no_errors:
        lines.append(f"too few networks for an error of the {no_errors}: got {count}, needed one more")
    return lines


def _header(record: dict[str, Any]) -> list[str]:
    names = [theory["name"] for theory in record["theories"]]
    return [cell for name in names for cell in (name, "pull")]


def _cells(values: list[float | None], pulls: list[float | None], least: float = -np.inf) -> list[str]:
    """Theories with their pulls; one below what can be is marked."""
    cells = []
    for value, pull in zip(values, pulls, strict=True):
        mark = "!" if value is not None and value < least else ""
        cells += ["-" if value is None else f"{value:.6g}{mark}", _pull(pull)]
    return cells


def _pull(pull: float | None) -> str:
    return "-" if pull is None else f"{pull:+.1f}"


def _number(value: float | None, error: float | None, unreliable: bool = False) -> str:
    known = [np.nan if number is None else number for number in (value, error)]
    return number_with_error(known[0], known[1], unreliable)


def component_rows(record: dict[str, Any], most: int = SHOWN_ROWS) -> tuple[list[list[str]], int]:
    """Return mean, two-point function and numbers of the networks as cells, and how many are left out.

    Parameters
    ----------
    record : dict
        From `comparison_record`; ``theories`` and ``final`` are used.
    most : int
        Components of each order up to which all are shown; of more, half as many coincident ones.
    """
    rows = [["", "estimate", *_header(record)]]
    left = 0
    for table in record["final"]["tables"]:
        if table["order"] > 2:
            continue
        shown = _shown(table["indices"], most)
        left += table["components"] - len(shown)
        rounding = -1e-9 * _largest(table["value"])
        columns = [column["value"] for column in table["theory"] if column is not None]
        largest = max(map(_largest, [table["value"], *columns]))
        for place in shown:
            indices = table["indices"][place]
            points = " ".join(map(str, indices))
            least = -np.inf if table["order"] != 2 or indices[0] != indices[1] else rounding
            theory = table["theory"]
            values = [
                None if column is None else _rounded(column["value"][place], largest) for column in theory
            ]
            pulls = [None if column is None else column["pull"][place] for column in theory]
            estimate = _number(*(table[k][place] for k in ("value", "stderr", "unreliable")))
            rows.append([f"{NAMES[table['order']]} {points}", estimate, *_cells(values, pulls, least)])
    for row in record["final"]["numbers"]:
        estimate = _number(row["value"], row["stderr"])
        least = 0.0 if row["name"].endswith("_error") else -np.inf
        rows.append([row["name"].replace("_", " "), estimate, *_cells(row["theory"], row["pull"], least)])
    return rows, left


def _largest(values: list[float | None]) -> float:
    return max((abs(value or 0.0) for value in values), default=0.0)


def _rounded(value: float | None, largest: float) -> float | None:
    """A number, 0 where it is nothing but rounding."""
    return 0.0 if value is not None and abs(value) < ROUNDING * largest else value


def _shown(indices: list[list[int]], most: int) -> list[int]:
    """All components, or the first coincident ones of many."""
    if len(indices) <= most:
        return list(range(len(indices)))
    same = [place for place, points in enumerate(indices) if len(set(points)) == 1]
    return same[: most // 2]


def _joint_lines(record: dict[str, Any]) -> list[str]:
    rows = joint_rows(record)
    return ["", *aligned(rows), *without_error(record)] if len(rows) > 1 else []


def joint_rows(record: dict[str, Any]) -> list[list[str]]:
    """Return a header and a row for each correlator and theory: all components at once."""
    rows = [["all components", "theory", "judged", "chi-square", "p", "largest pull"]]
    for table in record["final"]["tables"]:
        for theory, column in zip(record["theories"], table["theory"], strict=True):
            if column is not None:
                name = NAMES.get(table["order"], f"G{table['order']}")
                rows.append([name, theory["name"], *_joint(table, column)])
    return rows


def without_error(record: dict[str, Any]) -> list[str]:
    """Return which components are not judged because all networks agree in them, a line each."""
    lines = []
    for table in record["final"]["tables"]:
        count, name = table.get("without_error", 0), NAMES.get(table["order"], f"G{table['order']}")
        if count:
            those = "1 component has" if count == 1 else f"{count} components have"
            lines.append(f"{those} no error in the {name}, all networks agree: left out of pulls and p")
    return lines


def _joint(table: dict[str, Any], column: dict[str, Any]) -> list[str]:
    largest = _pull(column["largest_pull"]).lstrip("+")
    if column["p_value"] is None:
        return ["-", "-", "-", largest]
    judged = f"{column['judged']} of {table['components']}"
    chi_square = "inf" if column["chi_square"] is None else f"{column['chi_square']:.1f}"
    return [judged, chi_square, f"{column['p_value']:.2g}", largest]


def flow_rows(record: dict[str, Any]) -> list[list[str]]:
    """Return a header and a row for each snapshot, with the best theory."""
    stages = record["flow"]
    stepped, timed = (any(stage[name] for stage in stages) for name in ("step", "time"))
    every = -(-len(stages) // SHOWN_SNAPSHOTS)
    when = ["step"] * stepped + ["time"] * timed
    rows = [[*when, "mean: p", "pull", "G2: p", "pull", "train error", "theory", "pull"]]
    for place, stage in enumerate(stages):
        if place % every and place + 1 < len(stages):
            continue
        row = [str(stage["step"])] * stepped + [f"{stage['time'] or 0.0:.4g}"] * timed
        for table in stage["tables"]:
            column = table["theory"][0] if table["theory"] else None
            row += ["-", "-"] if column is None else _joint(table, column)[2:]
        error = next((number for number in stage["numbers"] if number["name"] == "train_error"), None)
        if error is None:
            row += ["-", "-", "-"]
        else:
            row.append(_number(error["value"], error["stderr"]))
            row += _cells(error["theory"][:1], error["pull"][:1], 0.0)
        rows.append(row + ["-"] * (len(rows[0]) - len(row)))
    return rows


def identity_rows(found: list[dict[str, Any]]) -> list[list[str]]:
    """Return a header and a row for each identity."""
    rows = [["", "estimate", "theory", "pull", ""]]
    for row in found:
        estimate = _number(row["value"], row["stderr"])
        name = row["name"].replace("_", " ")
        rows.append([name, estimate, *_cells(row["theory"], row["pull"]), row["note"]])
    return rows
