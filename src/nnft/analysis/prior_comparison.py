"""Networks of cosines before any training beside their exact correlators."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnft.analysis.comparison_record import table_record
from nnft.analysis.comparison_table import compare_table
from nnft.analysis.comparison_text import joint_rows, without_error
from nnft.analysis.cosines import EXACT, cosine_cumulants, cosine_kernel
from nnft.analysis.run import Run
from nnft.analysis.scan_table import aligned
from nnft.analysis.trained_law import Law
from nnft.errors import NumericalError, UsageError, shorten
from nnft.estimators.notation import number_with_error

SHOWN_ROWS = 24
LEGEND = "value(error in the last digits); pull = (estimate - theory) / error; p: all components at once"


def refuse_options(output: object, plot: object) -> None:
    """Refuse what only a comparison of trained networks has.

    Raises
    ------
    UsageError
        An analysis file or a picture is asked for.
    """
    for name, value in (("--output", output), ("--plot", plot)):
        if value is not None:
            raise UsageError(
                f"option for trained networks: got {name} for networks at initialization; use nnft report, "
                "or nnft propagator --plot"
            )


def prior_record(run: Run) -> dict[str, Any]:
    """Return estimates of every order with exact values and pulls as plain numbers, ready for JSON.

    Parameters
    ----------
    run : Run
        Of networks of cosines, neither trained nor deformed.

    Returns
    -------
    dict
        ``theories``, ``final`` as `nnft.analysis.comparison_record.comparison_record` has them.

    Raises
    ------
    UsageError
        The run is of another kind.
    NumericalError
        No network is done yet.
    """
    law = run.cosines
    if law is None or run.training is not None or run.deformation is not None:
        raise UsageError(
            f"no exact correlators for {shorten(run.path.name)}: got networks that are deformed, trained or "
            "no cosines; give a run of nnft sample with network.kind cos-net or free-scalar"
        )
    if not run.networks:
        raise NumericalError(f"no networks in {shorten(run.path.name)}: got 0; go on with nnft sample")
    kernel = cosine_kernel(law, run.points)
    exact = Law(np.zeros(len(kernel)), kernel, gaussian=False, higher=cosine_cumulants(law, run.points))
    orders = [order for order in run.orders if f"S{order}:{'0' * order}" in run.estimator.layout.tables]
    tables = [table_record(compare_table(run.estimator, order, [exact])) for order in orders]
    theory = {"name": "exact", "validity": EXACT, "exact": True, "departure": "", "verdict": ""}
    return {
        "kind": run.card["network"]["kind"],
        "networks": run.networks,
        "bins": int(np.count_nonzero(run.estimator.counts)),
        "points": run.points.tolist(),
        "theories": [theory],
        "final": {"tables": tables, "numbers": []},
    }


def prior_text(record: dict[str, Any], source: str) -> str:
    """Return the tables of a comparison with exact correlators.

    Parameters
    ----------
    record : dict
        From `prior_record`.
    source : str
        Name of the file, for the first line.
    """
    lines = [
        f"{source}: {record['kind']} at initialization, {record['networks']} networks, {record['bins']} bins",
        f"theory    {EXACT}",
    ]
    for table in record["final"]["tables"]:
        rows, left = _rows(table)
        lines += ["", *aligned(rows)] + ([f".. {left} more components: --json"] if left else [])
    joint = joint_rows(record)
    lines += ["", *aligned(joint), *without_error(record)] if len(joint) > 1 else []
    return "\n".join([*lines, "", LEGEND])


def _rows(table: dict[str, Any]) -> tuple[list[list[str]], int]:
    """Return components of one order as cells, evenly spread where there are many, and how many are left."""
    rows, listed = [["", "estimate", "exact", "pull"]], len(table["indices"])
    chosen = np.unique(np.linspace(0, listed - 1, min(listed, SHOWN_ROWS)).round().astype(int))
    column = table["theory"][0]
    for place in chosen.tolist():
        points = " ".join(map(str, table["indices"][place]))
        known = [np.nan if table[k][place] is None else table[k][place] for k in ("value", "stderr")]
        estimate = number_with_error(known[0], known[1], table["unreliable"][place])
        theory = pull = "-"
        if column is not None:
            theory = f"{column['value'][place]:.6g}"
            pull = "-" if column["pull"][place] is None else f"{column['pull'][place]:+.1f}"
        rows.append([f"G{table['order']} {points}", estimate, theory, pull])
    return rows, table["components"] - len(chosen)
