"""What a report says of any run: state, correlators, the theory of infinite width, card, provenance."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from nnft.analysis.comparison_record import table_record
from nnft.analysis.comparison_table import compare_table
from nnft.analysis.comparison_text import component_rows, joint_rows, without_error
from nnft.analysis.prior_comparison import prior_record
from nnft.analysis.report_record import (
    ReportSection,
    ReportTable,
    ReportText,
    facts_of_lines,
    report_table,
)
from nnft.analysis.run import Run
from nnft.analysis.summary import head_lines, point_rows, remarks
from nnft.analysis.trained_law import Law

MOST_POINTS = 64
MOST_COMPONENTS = 60
MOST_CARD = 60_000
"""Characters of a card that are shown."""

INFINITE = "infinite width"


def subtitle(run: Run, state: dict[str, Any]) -> str:
    """Return what a file is a run of, and how far it is."""
    kind = "trained networks" if run.training is not None else "networks drawn from their prior"
    if run.deformation is not None:
        kind = "networks with the weight exp(-V)"
    done = f"{run.networks} {kind}"
    planned = state["networks_planned"]
    return f"{done}, complete" if run.complete else f"{done} of {planned} planned: not complete"


def run_warnings(run: Run, state: dict[str, Any]) -> list[str]:
    """Return what makes the numbers of a run doubtful: not complete, heavy tails, diverged networks."""
    found = []
    if not run.complete:
        planned = state["networks_planned"]
        found.append(f"the run is not complete: {run.networks} of {planned} networks are in all numbers")
    if not run.networks:
        return [*found, "no networks yet: there are no numbers to report"]
    return found + [line.removeprefix("! ") for line in remarks(state) if line.startswith("!")]


def overview(run: Run, state: dict[str, Any]) -> ReportSection:
    """Return what was run and how."""
    facts = [
        ("file", run.path.name),
        ("networks", f"{run.networks} of {state['networks_planned']}"),
        ("points", f"{len(run.points)} of dimension {run.points.shape[1]}"),
    ]
    for name, text in facts_of_lines(head_lines(state)):
        facts.append(("architecture" if name == "network" else name, text))
    return ReportSection("overview", "Overview", facts=tuple(facts))


def correlators(run: Run, state: dict[str, Any]) -> ReportSection:
    """Return the correlators at coincident points with their errors."""
    shown = min(MOST_POINTS, len(state["points"]))
    left = len(state["points"]) - shown
    note = f"{left} more points: nnft show --json" if left else ""
    rows = point_rows(state, shown)
    tables = [report_table("Correlators at coincident points", rows, note)]
    doubtful = [
        (name.replace("_", " "), str(count["components"]), str(count["unreliable"]))
        for name, count in state["unreliable"].items()
    ]
    header = ("estimate", "components", "errors not to be trusted")
    tables.append(ReportTable("Components of each estimate", header, tuple(doubtful)))
    said: tuple[str, ...] = ()
    if run.training is None:  # how a trained run is read stands in its own sections
        said = tuple(line for line in remarks(state)[1:] if not line.startswith("!"))
    return ReportSection("correlators", "Correlators", paragraphs=said, tables=tuple(tables))


def infinite_width_record(run: Run) -> dict[str, Any] | None:
    """Return the theory of infinite width beside a sampled run, in the form of a comparison's record.

    Returns
    -------
    dict or None
        ``theories`` and ``final`` as `nnft.analysis.comparison_record.comparison_record` has them. None where
        the file has no kernel, or where it is not that of the ensemble: trained, deformed.
    """
    kernel = run.nngp_kernel(run.plan["layers"])
    if kernel is None or run.training is not None or run.deformation is not None or not run.networks:
        return None
    law = Law(np.zeros(len(kernel)), kernel)
    if run.cosines is not None:
        return prior_record(run)
    orders = [order for order in run.orders if f"S{order}:{'0' * order}" in run.estimator.layout.tables]
    tables = [table_record(compare_table(run.estimator, order, [law])) for order in orders]
    validity = "a Gaussian field with the kernel of the last layer"
    theory = {"name": INFINITE, "validity": validity, "exact": False, "departure": "", "verdict": ""}
    return {"theories": [theory], "final": {"tables": tables, "numbers": []}}


def infinite_width(run: Run) -> ReportSection | None:
    """Return the theory of infinite width beside a sampled run with pulls; None where there is none."""
    record = infinite_width_record(run)
    if record is None:
        return None
    if run.cosines is not None:
        text = "Exact at every width: pulls are spread like standard normal numbers."
        return ReportSection("theory", "Exact theory", (text,), tables=comparison_tables(record))
    said = (
        "Infinite width: a Gaussian field with the kernel of the last layer, whose connected correlators "
        "beyond order 2 vanish.",
        "Networks of finite width depart from it, in general by a relative order 1/width, so that a pull "
        "grows with the number of networks: it says how clearly the departure is seen, not that anything "
        "is wrong.",
    )
    return ReportSection("theory", "Theory of infinite width", said, tables=comparison_tables(record))


def comparison_tables(record: dict[str, Any]) -> tuple[ReportTable, ...]:
    """Return estimates beside theories, and all components at once."""
    rows, left = component_rows(record, MOST_COMPONENTS)
    note = f"{left} more components in the file" if left else ""
    tables = [report_table("Estimate and theory", rows, note)]
    joint = joint_rows(record)
    if len(joint) > 1:
        tables.append(report_table("All components at once", joint, "; ".join(without_error(record))))
    return tuple(table for table in tables if table.rows)


def card(run: Run) -> ReportSection:
    """Return the card as it was given and as it was resolved."""
    config = run.stored.config
    given = config.get("card")
    texts = []
    if given is not None:
        texts.append(ReportText("Card as given", _shown(given)))
    texts.append(ReportText("Card as resolved, every default filled in", _shown(config["resolved"])))
    said = () if given is not None else ("The run was started from Python: no card was given.",)
    return ReportSection("card", "Card", said, texts=tuple(texts))


def _shown(text: str) -> str:
    if len(text) <= MOST_CARD:
        return text
    return f"{text[:MOST_CARD]}\n.. {len(text) - MOST_CARD} more characters: they are in the file"


def provenance(run: Run) -> ReportSection:
    """Return how the file came about, without the machine's name and the folder of compiled kernels."""
    stored, records = run.stored, run.stored.provenance
    versions, build, host = (_record(records, name) for name in ("versions", "build", "host"))
    build.pop("kernel_cache", None)
    facts = [
        ("run identity", stored.text("run_id")),
        ("seed", stored.text("seed")),
        ("digest of the specification", stored.text("digest")),
        ("digest of the results", stored.text("result_digest")),
        ("command", records.get("command", "")),
        ("started", stored.text("created_at")),
        ("last change", stored.text("updated_at")),
        ("written by", f"nnft {stored.text('nnft_version')}"),
        ("versions", ", ".join(f"{name} {text}" for name, text in sorted(versions.items()))),
        ("build", ", ".join(f"{name} {text}" for name, text in sorted(build.items()))),
        ("processor", f"{host.get('processor', 'unknown')}, {host.get('threads', '?')} threads"),
        ("networks in a block", str(stored.counter("block_size"))),
    ]
    facts += [(f"{what} of the {where}", text) for where, what, text in _sources(run)]
    rows = tuple((entry.action, str(entry.networks), entry.time, entry.version) for entry in stored.history)
    history = ReportTable("History", ("what", "networks before", "time", "version"), rows)
    known = tuple(fact for fact in facts if fact[1])
    return ReportSection("provenance", "Provenance", facts=known, tables=(history,))


def _sources(run: Run) -> list[tuple[str, str, str]]:
    """Digests of input points and training data."""
    stored = run.stored
    mesh = stored.group_attributes("/mesh").get("source_sha256")
    found = [("input points", "SHA-256", str(mesh))] if mesh else []
    if run.training is not None:
        data = stored.group_attributes("/training").get("data_sha256")
        found += [("training data", "SHA-256", str(data))] if data else []
    return found


def _record(records: dict[str, str], name: str) -> dict[str, Any]:
    """Return one record of the provenance; empty where a foreign writer left none that can be read."""
    try:
        found = json.loads(records.get(name, "{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
