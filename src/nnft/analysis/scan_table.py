"""A scan as a table: every member with its values, its state and the results at the first input point."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nnft.analysis.flow_plateau import COLUMNS as PLATEAU_COLUMNS
from nnft.analysis.flow_plateau import plateau, plateau_cells
from nnft.analysis.renormalized_run import RenormalizedRun
from nnft.analysis.run import open_run
from nnft.analysis.scan_index import ScanIndex, ScanMember
from nnft.analysis.summary import summary, with_error
from nnft.errors import DataFileError, NumericalError
from nnft.store.lock import lock_holder
from nnft.store.reader import read_run

COLUMNS = {"G2": "G2(00)", "G4": "G4(0000) conn.", "excess_kurtosis": "excess kurtosis"}
LONGEST_VALUE = 28


def scan_summary(index: ScanIndex) -> dict[str, Any]:
    """Return the members of a scan with their main results as plain numbers, ready for JSON.

    Parameters
    ----------
    index : ScanIndex

    Returns
    -------
    dict
        ``folder``, ``complete``, ``seed``, ``sets``, and for each of ``members`` its index record, and
        ``points``: what `nnft.analysis.summary.summary` says of each input point; for members with a flow
        over cutoffs also ``flow``: what `nnft.analysis.flow_plateau.plateau` says of it.
    """
    return _head(index) | {"members": [_results(index, member) for member in index.members]}


def scan_status(index: ScanIndex) -> dict[str, Any]:
    """Return how far a scan is, and who writes it; never waits for the writer."""
    holder = lock_holder(index.path)
    alive = holder is not None and (not holder.is_local() or holder.is_alive())
    members = [_record(index, member) for member in index.members]
    return _head(index) | {
        "writer": holder.describe() if holder is not None else None,
        "writer_alive": alive,
        "members_done": sum(member["state"] == "done" for member in members),
        "networks": sum(member["networks"] for member in members),
        "networks_planned": sum(member["networks_planned"] for member in members),
        "members": members,
    }


def _head(index: ScanIndex) -> dict[str, Any]:
    return {
        "folder": str(index.folder),
        "complete": index.complete,
        "seed": str(index.seed),
        "sets": dict(index.sets),
        "together": index.together,
    }


def _record(index: ScanIndex, member: ScanMember) -> dict[str, Any]:
    """What is known of a member from the index, and for a running one from its file."""
    done = member.networks_done
    if member.state == "running":
        try:
            with read_run(index.member_path(member)) as stored:
                done = stored.networks_done
        except DataFileError:
            done = 0
    return {
        "name": member.name,
        "file": str(index.member_path(member)),
        "values": dict(member.values),
        "seed": str(member.seed),
        "digest": member.digest,
        "result_digest": member.result_digest,
        "state": member.state,
        "networks": done,
        "networks_planned": member.networks,
        "error": member.error,
        "exit_code": member.exit_code,
    }


def _results(index: ScanIndex, member: ScanMember) -> dict[str, Any]:
    record = _record(index, member) | {"points": []}
    path = Path(record["file"])
    if not path.exists():
        return record | {"networks": 0}
    try:
        with open_run(path) as run:
            flow = {"flow": plateau(RenormalizedRun(run))} if run.card.get("flow") and run.networks else {}
            return record | {"networks": run.networks, "points": summary(run)["points"]} | flow
    except (DataFileError, NumericalError) as error:
        return record | {"error": record["error"] or str(error)}


def scan_text(state: dict[str, Any]) -> str:
    """Return a summary as the table that ``nnft scan`` prints at its end."""
    keys = list(state["sets"])
    shown = [column for column in COLUMNS if any(column in _first(record) for record in state["members"])]
    flows = any("flow" in record for record in state["members"])
    further = list(PLATEAU_COLUMNS.values()) if flows else []
    rows = [["member", *keys, "networks", *(COLUMNS[column] for column in shown), *further]]
    for record in state["members"]:
        values = [_value(record["values"].get(key)) for key in keys]
        first = _first(record)
        results = [with_error(first[column]) if column in first else "-" for column in shown]
        if flows:
            results += plateau_cells(record["flow"]) if "flow" in record else ["-"] * len(further)
        rows.append([record["name"], *values, str(record["networks"]), *results])
    done = sum(record["state"] == "done" for record in state["members"])
    lines = [f"{state['folder']}: {done} of {len(state['members'])} members done, seed {state['seed']}", ""]
    lines += aligned(rows)
    lines += ["", "value(error in the last digits) at input point 0; all of a member: nnft show FILE"]
    if flows:
        lines.append("flow: test error (training error without test points) over cutoffs; nnft flow FILE")
    lines += failures(state)
    return "\n".join(lines)


def status_text(state: dict[str, Any]) -> str:
    """Return a status as a few lines."""
    if state["complete"]:
        what = "complete"
    elif state["writer_alive"]:
        what = f"running ({state['writer']})"
    elif any(record["exit_code"] == DataFileError.exit_code for record in state["members"]):
        what = f"a member's file is damaged; move it away, then nnft scan --resume -o {state['folder']}"
    else:
        what = f"stopped; go on with nnft scan --resume -o {state['folder']}"
    count = len(state["members"])
    share = state["networks"] / max(1, state["networks_planned"])
    lines = [
        f"{state['folder']}: {what}",
        f"members    {state['members_done']} of {count} done",
        f"networks   {state['networks']} of {state['networks_planned']} ({share:.1%})",
        "",
    ]
    rows = [["member", "state", "networks", "of"]]
    for record in state["members"]:
        rows.append(
            [record["name"], record["state"], str(record["networks"]), str(record["networks_planned"])]
        )
    return "\n".join([*lines, *aligned(rows), *failures(state)])


def failures(state: dict[str, Any]) -> list[str]:
    """Return a line for each member with an error."""
    return [f"{record['name']}: {record['error']}" for record in state["members"] if record["error"]]


def aligned(rows: list[list[str]]) -> list[str]:
    """Return rows of cells as lines, the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            [row[0].ljust(widths[0])] + [cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True)]
        )
        for row in rows
    ]


def _first(record: dict[str, Any]) -> dict[str, Any]:
    points: list[dict[str, Any]] = record["points"]
    return points[0] if points else {}


def _value(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 3] + "..."
