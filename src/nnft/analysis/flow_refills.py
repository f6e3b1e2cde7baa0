"""The variance of outputs within networks, over their refills, and between networks, at every cutoff."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnft.analysis.flow_quantity import FlowQuantity
from nnft.analysis.flow_text import cells_text, cutoff_text, number_text, plain
from nnft.analysis.renormalized_run import RenormalizedRun
from nnft.errors import UsageError


def refill_split(flow: RenormalizedRun, point: int = 0) -> dict[str, Any] | None:
    """Return the variance of the output at one mesh point, split, ready for JSON; None with one refill.

    The law of total variance: Var f = E[Var(f | network)] + Var(E[f | network]). The first part is the
    unbiased variance over the refills of a network, the second what it leaves of the whole. An average over
    M networks of K chains with R refills each has the error of the networks and, beside it,
    within / (M K R), which more refills make smaller.

    Parameters
    ----------
    flow : RenormalizedRun
    point : int
        Mesh point.

    Returns
    -------
    dict or None
        ``refills``, ``chains``, ``point``, and ``rows``, one for each cutoff: ``cutoff``, ``variance``,
        ``within``, ``between``, each with value and stderr; ``share`` of the first part; ``mean_stderr``,
        error of the mean output; ``least_stderr``, what would be left of it with very many refills.
    """
    if "within" not in flow.sums.matrices:
        return None
    pair, refills = [[point, point]], int(flow.settings["refills"])
    whole, within, between = (flow.quantity(name, pair) for name in ("connected_2", "within", "between"))
    mean = flow.quantity("mean", [[point]])
    samples = flow.sums.outputs.n_networks * flow.sums.outputs.draws
    rows = []
    for c, cutoff in enumerate(flow.cutoffs):
        error = float(mean.stderr[c, 0])
        part, total = float(within.value[c, 0]), float(whole.value[c, 0])
        least = max(error**2 - part / samples, 0.0) ** 0.5
        rows.append(
            {
                "cutoff": float(cutoff) if np.isfinite(cutoff) else "inf",
                "variance": _number(whole, c),
                "within": _number(within, c),
                "between": _number(between, c),
                "share": plain(part / total) if total > 0.0 else None,
                "mean_stderr": plain(error),
                "least_stderr": plain(least) if np.isfinite(error) else None,
            }
        )
    chains = flow.sums.outputs.draws // refills
    return {"point": point, "refills": refills, "chains": chains, "rows": rows}


def _number(quantity: FlowQuantity, position: int) -> dict[str, float | None]:
    return {
        "value": plain(quantity.value[position, 0]),
        "stderr": plain(quantity.stderr[position, 0]),
    }


def split_cells(split: dict[str, Any]) -> list[list[str]]:
    """Return the table of `refill_split` as cells: the header, then a row for each cutoff."""
    table = [["cutoff", "variance", "within", "between", "share within", "error of mean", "many refills"]]
    for row in split["rows"]:
        numbers = [number_text(row[name]) for name in ("variance", "within", "between")]
        rest = [
            "-" if row[name] is None else f"{row[name]:.3g}"
            for name in ("share", "mean_stderr", "least_stderr")
        ]
        table.append([cutoff_text(row["cutoff"]), *numbers, *rest])
    return table


def split_lines(split: dict[str, Any]) -> list[str]:
    """Return what must be known beside the table."""
    return [
        f"within: over the {split['refills']} refills of a network, mean over networks; between: the rest, "
        "the variance of what a network gives on average over its refills",
        "error of mean: of <f>, as it is and as very many refills of the same networks would leave it",
    ]


def split_text(split: dict[str, Any] | None) -> str:
    """Return the table of `refill_split` as text.

    Raises
    ------
    UsageError
        There is one refill of each network.
    """
    if split is None:
        raise UsageError(
            "no variance within networks in the flow: got 1 refill of each; follow with --refills 2 or more"
        )
    head = f"variance of the output at point {split['point']}, {split['refills']} refills of each network"
    return "\n".join([head, "", *cells_text(split_cells(split)), "", *split_lines(split)])
