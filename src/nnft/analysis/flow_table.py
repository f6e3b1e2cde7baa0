"""Tables of a flow over cutoffs, as numbers and as text."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnft.analysis.flow_robust import RobustMeans, robust_means
from nnft.analysis.flow_scales import critical_scales, scale_lines
from nnft.analysis.flow_text import cells_text, cutoff_text, number_text, plain
from nnft.analysis.renormalized_run import RenormalizedRun
from nnft.errors import NumericalError, UsageError


def flow_numbers(flow: RenormalizedRun, point: int = 0) -> dict[str, Any]:
    """Return a flow as plain numbers, ready for JSON.

    Parameters
    ----------
    flow : RenormalizedRun
    point : int
        Mesh point whose mean, variance and higher cumulants are followed.

    Returns
    -------
    dict
        ``rows``, one for each cutoff: ``cutoff``; ``sloppy_share``, ``train_error``, ``test_error``, each
        with ``value`` and ``stderr``; ``robust``: for the errors of training and test the plain mean, median
        and trimmed mean of the networks whose losses are kept, each with its error, the number of ``extreme``
        networks, whose loss exceeds ten times the median, and the share of the largest loss in the sum;
        ``median``, ``trimmed_mean``, ``extreme`` of the test error, of the training error without test
        points; ``train_median``, ``test_median``; ``mean`` and ``connected_r`` at the point. ``diverged``:
        networks that are in no average.
    """
    rows = []
    flags = _unreliable(flow)
    robust = [robust_means(flow.losses[:, :, column]) for column in (0, 1)]
    for position, cutoff in enumerate(flow.cutoffs):
        row: dict[str, Any] = {"cutoff": float(cutoff) if np.isfinite(cutoff) else "inf"}
        for name in flow.observables.names:
            found = flow.observables.result(name)
            row[name] = {"value": plain(found.mean[position]), "stderr": plain(found.stderr[position])}
            if name in flags and row[name]["stderr"] is not None:
                row[name]["unreliable"] = flags[name][position]
        row |= _robust(robust, position)
        row |= _cumulants(flow, position, point)
        rows.append(row)
    share, error = flow.silent_share
    return {
        "path": str(flow.run.path),
        "networks": flow.run.networks,
        "diverged": flow.diverged,
        "robust_networks": 0 if robust[0] is None else robust[0].networks,
        "layers": flow.settings["layers"],
        "fill": flow.settings["fill"],
        "noise_variance": flow.noise_variance,
        "nested": not flow.settings["anew"],
        "refills": flow.settings["refills"],
        "basis": flow.basis,
        "silent_share": {"value": plain(share), "stderr": plain(error)},
        "information_error": {
            name: {"value": plain(value), "stderr": plain(stderr)}
            for name, (value, stderr) in flow.information_errors.items()
        },
        "point": point,
        "rows": rows,
        "critical_scales": critical_scales(flow),
    }


def _unreliable(flow: RenormalizedRun) -> dict[str, list[bool]]:
    """Whether the error of a loss can be trusted at every cutoff, as the jackknife sees it."""
    found = {}
    for name in ("train_error", "test_error"):
        try:
            found[name] = [bool(flag) for flag in flow.quantity(name).unreliable[:, 0]]
        except (NumericalError, UsageError):
            continue
    return found


def _robust(robust: list[RobustMeans | None], position: int) -> dict[str, Any]:
    """Averages which a few extreme networks do not move, and how many of those there are."""
    parts = {
        name: None if means is None else _averages(means, position)
        for name, means in zip(("train", "test"), robust, strict=True)
    }
    shown = parts["test"] or parts["train"]
    return {
        "robust": parts,
        **{f"{name}_median": part and part["median"]["value"] for name, part in parts.items()},
        **{name: shown and shown[name] for name in ("median", "trimmed_mean", "extreme")},
    }


def _averages(means: RobustMeans, position: int) -> dict[str, Any]:
    pairs = {
        "mean": (means.mean, means.mean_error),
        "median": (means.median, means.median_error),
        "trimmed_mean": (means.trimmed, means.trimmed_error),
    }
    found: dict[str, Any] = {
        name: {"value": plain(value[position]), "stderr": plain(error[position])}
        for name, (value, error) in pairs.items()
    }
    largest = plain(means.largest[position])
    return found | {"extreme": int(means.extreme[position]), "largest_share": largest}


def _cumulants(flow: RenormalizedRun, position: int, point: int) -> dict[str, Any]:
    """Mean and joint cumulants of the output at one point with itself."""
    estimator = flow.at(position)
    found = {}
    for order in sorted({table.order for table in estimator.layout.tables.values()}):
        name = "mean" if order == 1 else f"connected_{order}"
        try:
            estimate = estimator.result(order)
        except NumericalError:
            continue
        row = int(np.flatnonzero((estimate.indices == point).all(axis=1))[0])
        found[name] = {
            "value": plain(estimate.value[row]),
            "stderr": plain(estimate.stderr[row]),
            "unreliable": bool(estimate.unreliable[row]),
        }
    return found


def flow_text(numbers: dict[str, Any]) -> str:
    """Return the flow as a table of text."""
    fresh = "nested" if numbers["nested"] else "anew at every cutoff"
    replaced = f"replaced by {numbers['fill']}, {fresh}"
    if numbers["fill"] == "conditional":
        replaced = "averaged over in the posterior given the others"
    head = [
        f"{numbers['path']}: flow of {numbers['networks']} networks over {len(numbers['rows'])} cutoffs",
        f"information  of {_layers(numbers['layers'])}, noise variance {numbers['noise_variance']:.6g}; "
        + _information(numbers),
        f"sloppy       information below the cutoff, strictly; {replaced}",
        "",
    ]
    rows = numbers["rows"]
    body = cells_text(flow_cells(numbers))
    foot = ["", "value(error in the last digits)", averages_line(numbers)]
    if any("!" in cell for line in flow_cells(numbers) for cell in line):
        foot.append("!: error not to be trusted, a few networks make most of it")
    if numbers["diverged"]:
        foot.append(f"diverged in training: {numbers['diverged']} networks, which are in no average")
    if any("expected_train" in row for row in rows):
        count = numbers["expected_networks"]
        foot.append(
            f"expected: exact given the features of the first {count} networks; pull: (measured - expected) "
            "/ error of them; of skewed losses few networks come out low more often than high"
        )
    return "\n".join([*head, *body, *foot, *scale_lines(numbers["critical_scales"])])


def _information(numbers: dict[str, Any]) -> str:
    """What is ordered by its information, and how well that is known."""
    names = {"diagonal": "parameters", "kronecker": "directions (Kronecker factors of every layer)"}
    names |= {"eigenbasis": "directions", "layer-eigenbasis": "directions (of every layer)"}
    median = numbers["information_error"]["median"]
    known = f"; relative error over the inputs {number_text(median)} (median)"
    known = known if median["value"] is not None else ""
    return f"exactly zero for {number_text(numbers['silent_share'])} of the {names[numbers['basis']]}{known}"


def flow_cells(numbers: dict[str, Any]) -> list[list[str]]:
    """Return the table of a flow as cells: the header, then a row for each cutoff."""
    names = {
        "sloppy_share": "sloppy",
        "train_error": "train error",
        "test_error": "test error",
        "measured_train": "train of them",
        "expected_train": "expected",
        "pull_train": "pull",
        "measured_test": "test of them",
        "expected_test": "expected",
        "pull_test": "pull",
        "median": "median",
        "trimmed_mean": "trimmed",
        "extreme": "extreme",
        "mean": f"mean f({numbers['point']})",
        "connected_2": "G2",
        "connected_4": "G4",
    }
    rows = numbers["rows"]
    shown = [name for name in names if any(_text(name, row.get(name)) for row in rows)]
    if numbers.get("expected_networks") == numbers["networks"] - numbers["diverged"]:  # they are all of them
        shown = [name for name in shown if not name.startswith("measured")]
    table = [["cutoff", *(names[name] for name in shown)]]
    table += [[cutoff_text(row["cutoff"]), *(_text(name, row.get(name)) for name in shown)] for row in rows]
    return table


def averages_line(numbers: dict[str, Any]) -> str:
    """Return what median, trimmed mean and extreme networks are of."""
    tested = numbers["rows"][0]["robust"]["test"] is not None
    return (
        f"of the {'test' if tested else 'train'} error of {numbers['robust_networks']} networks: median, "
        "trimmed mean without a tenth at either end, extreme ones above ten medians"
    )


def _layers(layers: Any) -> str:
    if isinstance(layers, str):
        return {"all": "all layers", "readout": "the readout"}[layers]
    return "layers " + ", ".join(map(str, layers))


def _text(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return "" if value["value"] is None else number_text(value)
    return f"{value:+.1f}" if name.startswith("pull") else f"{value:.4g}"
