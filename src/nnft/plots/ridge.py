"""The picture of a learning curve of kernel regression: errors, ridges, and the flow at the largest P."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nnft.analysis.ridge_curve import RidgePoint, RidgeResult
from nnft.plots.files import check_picture, save_picture
from nnft.plots.scales import apply_scale, choose_scale, limits, logarithmic_ticks
from nnft.plots.style import (
    BLACK,
    BLUE,
    COLOURS,
    GREEN,
    GREY,
    MARKERS,
    ORANGE,
    PURPLE,
    WIDTH,
    YELLOW,
    house_style,
    label_text,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FloatArray = npt.NDArray[np.float64]

HEIGHT = 5.4
MOST_MARKERS = 40
MOST_LEVELS = 5
ERRORS = (
    ("clean_error", "self-consistent", BLUE, "-", "o"),
    ("gibbs_error", "one network of the posterior", GREEN, "-", "s"),
    ("flow_error", "flow, then equivalent kernel", ORANGE, "--", "^"),
    ("flow_full_error", "flow, then self-consistent", YELLOW, "--", ""),
    ("ek_error", "equivalent kernel", GREY, ":", ""),
)
RIDGES = (
    ("effective_ridge", r"$\kappa_e$, self-consistent", BLUE, "-", "o"),
    ("flow_ridge", "flow, at its stop", ORANGE, "--", "^"),
)


def draw_ridge(result: RidgeResult, path: str | os.PathLike[str]) -> Path:
    """Draw a learning curve into a file.

    Parameters
    ----------
    result : RidgeResult
    path : str or path
        Ends in .svg, .png or .pdf; replaced if it exists.

    Returns
    -------
    Path

    Raises
    ------
    UsageError
        If the name is impossible.
    EnvironmentRefusal
        If matplotlib is missing or the disk refuses.
    """
    picture = check_picture(path)
    with house_style():
        return save_picture(ridge_figure(result), picture)


def ridge_figure(result: RidgeResult) -> Figure:
    """Return the picture as a figure; to be saved inside of `nnft.plots.style.house_style`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    grid = figure.add_gridspec(2, 2)
    figure.suptitle(label_text(result.source.title, 90), fontsize=9.0)
    draw_curve(figure.add_subplot(grid[0, 0]), result.curve, "squared error, clean labels", law=True)
    draw_curve(figure.add_subplot(grid[0, 1]), result.curve, "ridge of the modes", law=True, ridges=True)
    draw_flow(figure.add_subplot(grid[1, 0]), result)
    draw_learnability(figure.add_subplot(grid[1, 1]), result)
    return figure


def draw_curve(
    axes: Axes, curve: Sequence[RidgePoint], label: str, *, law: bool, ridges: bool = False
) -> None:
    """Draw errors, or ridges, over P, and the scaling law where there is one."""
    points = np.array([point.points for point in curve])
    shown: list[FloatArray] = []
    for name, text, colour, line, marker in RIDGES if ridges else ERRORS:
        values = np.array([getattr(point, name) for point in curve])
        if not (values > 0.0).any():  # the equivalent kernel without a ridge
            continue
        shown.append(_drawn(axes, points, values, text, colour, line, marker))
        axes.lines[-1].set_gid(name)
    found = [point.law for point in curve]
    if law and all(one is not None for one in found):
        numbers = [one.effective_ridge if ridges else one.clean_error for one in found if one is not None]
        shown.append(_drawn(axes, points, np.array(numbers), "scaling law", PURPLE, "-.", ""))
        axes.lines[-1].set_gid("law-ridge" if ridges else "law-error")
    _scale(axes, points, np.concatenate([*shown, np.zeros(0)]))
    axes.set_xlabel("training points $P$")
    axes.set_ylabel(label)
    axes.legend(loc="best")


def _drawn(
    axes: Axes, x: FloatArray, y: FloatArray, text: str, colour: str, line: str, marker: str
) -> FloatArray:
    """Draw a line and return what of it is on a logarithmic axis."""
    few = len(x) <= MOST_MARKERS
    axes.plot(x, y, line, color=colour, marker=marker if few else "", label=text)
    positive: FloatArray = y[np.isfinite(y) & (y > 0.0)]
    return positive


def _scale(axes: Axes, x: FloatArray, y: FloatArray) -> None:
    """Logarithmic axes where numbers range over orders of magnitude."""
    for axis, values, setter in ((axes.xaxis, x, axes.set_xlim), (axes.yaxis, y, axes.set_ylim)):
        errors = np.zeros(len(values))
        scale = choose_scale(values, errors)
        apply_scale(axis, scale)
        setter(*limits(scale, values, errors))


def draw_flow(axes: Axes, result: RidgeResult) -> None:
    """Draw the running ridge and P lambda of the levels at the largest P; the flow stops where they cross."""
    flow = result.flow
    rows = result.flow_rows()[::-1]
    mode = np.array([row["first_mode"] for row in rows])
    axes.plot(mode, [row["ridge_after"] for row in rows], "-", color=ORANGE, label="running ridge")
    axes.lines[-1].set_gid("running-ridge")
    marker = "." if len(rows) <= MOST_MARKERS else ""
    resolved = [flow.points * row["eigenvalue"] for row in rows]
    axes.plot(mode, resolved, "-", color=BLACK, marker=marker, label=r"$P\lambda_k$", linewidth=0.9)
    effective = result.curve[-1].effective_ridge
    if effective > 0.0:
        axes.axhline(effective, color=BLUE, linewidth=0.9, label=r"$\kappa_e$, self-consistent")
    axes.axvline(flow.kept_modes + 1.0, color=GREY, linewidth=0.8, linestyle=":", label="stop")
    axes.set_xscale("log")
    axes.set_yscale("log")
    logarithmic_ticks(axes.xaxis)
    logarithmic_ticks(axes.yaxis)
    axes.set_xlabel("first mode that is integrated out")
    axes.set_ylabel(f"flow at $P$ = {flow.points:.6g}")
    axes.legend(loc="best")


def draw_learnability(axes: Axes, result: RidgeResult) -> None:
    """Draw the learnability of the leading levels over P."""
    points = np.array([point.points for point in result.curve])
    word = "degree" if result.source.kind == "sphere" else "level"
    count = min(len(result.leading), MOST_LEVELS)
    for row in range(count):
        values = [point.learnability[row] for point in result.curve]
        few = len(points) <= MOST_MARKERS
        axes.plot(
            points, values, "-", color=COLOURS[row], marker=MARKERS[row] if few else "",
            label=f"{word} {result.source.level(int(result.leading[row]))}",
        )  # fmt: skip
    _scale(axes, points, np.array([0.0, 1.0]))
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlabel("training points $P$")
    axes.set_ylabel("learnability")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
