"""Does a flow begin with a plateau: how much can be forgotten before the loss is twice as large."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnft.analysis.flow_scales import FEWEST, REPLICATES
from nnft.analysis.renormalized_run import RenormalizedRun
from nnft.estimators.notation import number_with_error
from nnft.theory.critical_scale import Verdict, bootstrap_critical_scales

SMALL_PART = 0.05
COLUMNS = {
    "silent_share": "exactly zero",
    "trained": "error at 0",
    "smallest_cutoff": "smallest cutoff",
    "first": "error there",
    "doubled": "error doubled at",
    "small_part": "5 % of the rise",
}


def plateau(flow: RenormalizedRun) -> dict[str, Any]:
    """Return where the loss begins to rise, ready for JSON.

    The loss is the test error, or the training error without test points. The cutoff at which it is twice
    that of the trained networks is the crossing of the part L(0) / (L(inf) - L(0)) of the rise: a plateau in
    units of the trained loss, where 5 % of a rise by orders of magnitude may be a loss many times as large.

    Parameters
    ----------
    flow : RenormalizedRun

    Returns
    -------
    dict
        ``of``; ``silent_share``, ``trained`` and ``first`` with ``value`` and ``stderr``, the last two the
        loss at cutoff 0 and at ``smallest_cutoff``; ``doubled`` and ``small_part`` (5 % of the rise) with
        ``verdict``, ``sentence``, ``value``, ``low``, ``high`` (95 % over networks); absent below eight
        networks.
    """
    column = int(flow.has_test)
    name = ("train_error", "test_error")[column]
    found = flow.observables.result(name)
    share, error = flow.silent_share
    record: dict[str, Any] = {
        "of": name,
        "silent_share": _number(share, error),
        "trained": _number(found.mean[0], found.stderr[0]),
        "smallest_cutoff": _plain(flow.cutoffs[1]),
        "first": _number(found.mean[1], found.stderr[1]),
    }
    losses = flow.losses[:, :, column]
    if len(losses) < FEWEST or len(flow.cutoffs) < 3 or not np.isfinite(losses).all():
        return record
    low, high = losses[:, 0].mean(), losses[:, -1].mean()
    deltas = {"small_part": SMALL_PART}
    if high > 2.0 * low > 0.0:
        deltas["doubled"] = float(low / (high - low))
    else:
        record["doubled"] = _scale(Verdict.NO_RISE, "with everything replaced the loss is less than doubled")
    inner = flow.cutoffs[1:-1], losses[:, 1:-1], losses[:, 0], losses[:, -1]
    generator = np.random.default_rng(int(flow.run.card["ensemble"]["seed"]))
    scales = bootstrap_critical_scales(
        *inner, generator, deltas=tuple(deltas.values()), replicates=REPLICATES
    )
    for key, scale in zip(deltas, scales, strict=True):
        record[key] = _scale(scale.verdict, scale.sentence, scale.value, *scale.interval)
    return record


def _scale(
    verdict: Verdict, sentence: str, value: float = np.nan, low: float = np.nan, high: float = np.nan
) -> dict[str, Any]:
    numbers = {"value": _plain(value), "low": _plain(low), "high": _plain(high)}
    return {"verdict": verdict.value, "sentence": sentence} | numbers


def plateau_cells(record: dict[str, Any]) -> list[str]:
    """Return the cells of a row of a table, in the order of `COLUMNS`."""
    cells = [_cell(record[name]) for name in ("silent_share", "trained")]
    cells += [_figure(record["smallest_cutoff"]), _cell(record["first"])]
    return cells + [_scale_text(record.get(name)) for name in ("doubled", "small_part")]


def _scale_text(scale: dict[str, Any] | None) -> str:
    if scale is None:
        return "-"
    if scale["verdict"] != Verdict.FOUND.value:
        return str(scale["verdict"])
    return f"{_figure(scale['value'])} ({_figure(scale['low'])} to {_figure(scale['high'])})"


def _figure(value: float | None) -> str:
    return "no bound" if value is None else f"{value:.3g}"


def _number(value: float, stderr: float) -> dict[str, Any]:
    return {"value": _plain(value), "stderr": _plain(stderr)}


def _cell(number: dict[str, Any]) -> str:
    value, error = (np.nan if number[name] is None else number[name] for name in ("value", "stderr"))
    return number_with_error(value, error, False)


def _plain(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None
