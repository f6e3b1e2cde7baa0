"""The picture of a flow over cutoffs: errors with their spread, expected errors, sloppy parameters."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nnft.errors import UsageError
from nnft.plots.files import check_picture, save_picture
from nnft.plots.scales import logarithmic_ticks
from nnft.plots.style import BLACK, BLUE, GREY, ORANGE, WIDTH, house_style, label_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FloatArray = npt.NDArray[np.float64]

SETS = (("train", "training error", BLUE, "o"), ("test", "test error", ORANGE, "s"))
EXPECTED = {"train": "-", "test": (0, (4, 1.5))}
ENDS = {":": "nothing replaced", "--": "everything replaced"}
BAND = (0.16, 0.84)


def draw_cutoffs(numbers: Mapping[str, Any], losses: FloatArray, path: str | os.PathLike[str]) -> Path:
    """Draw a flow over cutoffs into a file.

    Parameters
    ----------
    numbers : mapping
        As `nnft.analysis.flow_table.flow_numbers` gives them, with expected errors or without.
    losses : ndarray of float64, shape (networks, C, 2)
        Training and test errors of single networks.
    path : str or path
        Ends in .svg, .png or .pdf; replaced if it exists.

    Raises
    ------
    UsageError
        If the name is impossible, or there is no cutoff between 0 and infinity.
    EnvironmentRefusal
        If matplotlib is missing or the disk refuses.
    """
    picture = check_picture(path)
    with house_style():
        return save_picture(cutoffs_figure(numbers, losses), picture)


def cutoffs_figure(numbers: Mapping[str, Any], losses: FloatArray) -> Figure:
    """Return the picture as a figure; parameters as in `draw_cutoffs`."""
    from matplotlib.figure import Figure

    rows = numbers["rows"]
    inner = [k for k, row in enumerate(rows) if row["cutoff"] not in (0.0, "inf")]
    if not inner:
        raise UsageError("nothing to draw: got no cutoff between 0 and infinity")
    cutoffs = np.array([rows[k]["cutoff"] for k in inner])
    figure = Figure(figsize=(WIDTH, 5.4), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    for column, (key, label, colour, marker) in enumerate(SETS):
        found = [rows[k][f"{key}_error"] for k in inner]
        if any(number["value"] is None for number in found):
            continue
        _draw_band(upper, cutoffs, losses[:, inner, column], colour)
        _draw_errors(upper, cutoffs, found, colour, label, marker)
        _draw_ends(upper, rows, key, colour)
        expected = [rows[k].get(f"expected_{key}") for k in inner]
        if all(value is not None for value in expected):
            line = EXPECTED[key]
            text = f"{label}, expected of {numbers['expected_networks']} networks"
            upper.plot(cutoffs, expected, color=BLACK, linewidth=0.9, linestyle=line, label=text)
            _draw_same(upper, cutoffs, [rows[k] for k in inner], numbers, key)
    _draw_scales(upper, numbers)
    upper.set_yscale("log", nonpositive="clip")
    logarithmic_ticks(upper.yaxis)
    upper.set_ylabel(r"squared error per target, $\langle (f - y)^2 \rangle$")
    name = label_text(Path(numbers["path"]).name, 50)
    upper.set_title(f"{name}: mean with its error; band: 68 % of the networks")
    lower.plot(cutoffs, [rows[k]["sloppy_share"]["value"] for k in inner], color=GREY, marker="o")
    lower.set_ylim(-0.03, 1.03)
    lower.set_ylabel("sloppy share")
    lower.set_xscale("log")
    lower.set_xlabel("cutoff of the information")
    handles, labels = upper.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _draw_band(axes: Axes, cutoffs: FloatArray, losses: FloatArray, colour: str) -> None:
    if len(losses) < 2 or not np.isfinite(losses).all():
        return
    low, high = np.quantile(losses, BAND, axis=0)
    axes.fill_between(cutoffs, low, high, color=colour, alpha=0.15, linewidth=0.0)


def _draw_errors(
    axes: Axes, cutoffs: FloatArray, found: list[dict[str, Any]], colour: str, label: str, marker: str
) -> None:
    values = np.array([number["value"] for number in found])
    errors = np.array([np.nan if number["stderr"] is None else number["stderr"] for number in found])
    axes.errorbar(
        cutoffs, values, np.where(np.isfinite(errors), errors, 0.0), color=colour, fmt=marker, label=label
    )


def _draw_ends(axes: Axes, rows: list[dict[str, Any]], key: str, colour: str) -> None:
    """Draw the errors without replacement and with everything replaced as level lines."""
    for row, style in ((rows[0], ":"), (rows[-1], "--")):
        value = row[f"{key}_error"]["value"]
        if value is not None and row["cutoff"] in (0.0, "inf"):
            label = ENDS[style] if key == "train" else None
            axes.axhline(value, color=colour, linestyle=style, linewidth=0.8, label=label)


def _draw_scales(axes: Axes, numbers: Mapping[str, Any]) -> None:
    """Draw the critical scales of the test error, or of the training error without test points."""
    known = [scale for scale in numbers["critical_scales"] if scale["verdict"] == "found"]
    chosen = [scale for scale in known if scale["of"] == "test_error"] or known
    for scale in chosen:
        if scale["low"] is not None and scale["high"] is not None and scale["low"] > 0.0:
            label = "critical scales, 95 %" if scale is chosen[0] else None
            axes.axvspan(scale["low"], scale["high"], color=GREY, alpha=0.2, linewidth=0.0, label=label)
        axes.axvline(scale["value"], color=GREY, linewidth=0.9)
        axes.annotate(
            f"{scale['delta']:.0%}", (scale["value"], 0.02), xycoords=("data", "axes fraction"),
            textcoords="offset points", xytext=(3, 0), color=GREY, fontsize=8.0,
        )  # fmt: skip


def _draw_same(
    axes: Axes, cutoffs: FloatArray, rows: list[dict[str, Any]], numbers: Mapping[str, Any], key: str
) -> None:
    """Draw the measured errors of the networks whose expected ones are drawn, where they are not all."""
    if numbers["expected_networks"] == numbers["networks"] - numbers["diverged"]:
        return
    measured = [row[f"measured_{key}"] for row in rows]
    axes.plot(
        cutoffs, measured, color=BLACK, linestyle="", marker="x", markersize=4.0,
        label="measured of these" if key == "train" else None,
    )  # fmt: skip
