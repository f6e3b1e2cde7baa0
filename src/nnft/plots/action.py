"""The picture of an action: spectrum, couplings of the modes, densities at single points."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nnft.actions.action import Action
from nnft.actions.source import CumulantSource
from nnft.actions.spectrum import Spectrum
from nnft.plots.files import check_picture, save_picture
from nnft.plots.scales import apply_scale, choose_scale, logarithmic_ticks
from nnft.plots.slices import SERIES, Slice, density_slices, draw_density, draw_ratio
from nnft.plots.style import (
    BLUE,
    GREY,
    ORANGE,
    PALE,
    WIDTH,
    error_bars,
    exclamation_mark,
    house_style,
    mark_unreliable,
    zero_line,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.lines import Line2D

FloatArray = npt.NDArray[np.float64]

LEVELS = {"leading": ("leading, 1/N", BLUE, "o"), "next": ("through 1/N$^2$", ORANGE, "s")}


def draw_action(action: Action, run: CumulantSource, path: str | os.PathLike[str]) -> Path:
    """Draw an action into a file.

    Parameters
    ----------
    action : Action
    run : Run
        What the action was computed from; its stored outputs make the histograms.
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
    DataFileError
        If the file keeps outputs that cannot be read.
    """
    picture = check_picture(path)
    with house_style():
        return save_picture(action_figure(action, run), picture)


def action_figure(action: Action, run: CumulantSource) -> Figure:
    """Return the picture of an action as a figure; parameters as in `draw_action`.

    Notes
    -----
    The style is set by `nnft.plots.style.house_style`, inside of which the figure must also be saved.
    """
    from matplotlib.figure import Figure

    slices, source = density_slices(action, run)
    figure = Figure(figsize=(WIDTH, 6.0), layout="constrained")
    top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=(1.0, 1.35), hspace=0.04)[:, 0]
    left, right = top.subplots(1, 2)
    draw_spectrum(left, action.spectrum)
    draw_couplings(right, action)
    _draw_slices(bottom, slices, source)
    return figure


def draw_spectrum(axes: Axes, spectrum: Spectrum) -> None:
    """Draw eigenvalues with errors: kept modes filled, others hollow, negative ones by their size."""
    count = len(spectrum.vectors)
    estimate = spectrum.eigenvalues.estimate(np.arange(count, dtype=np.int32)[:, None])
    modes, sizes = np.arange(count), np.abs(estimate.value)
    kept = modes < spectrum.kept
    positive = estimate.value > 0.0
    for rows, label, marker, fill in (
        (kept, "kept", "o", BLUE),
        (~kept & positive, "dropped", "o", "white"),
        (~kept & ~positive & (sizes > 0.0), "dropped, negative", "v", "white"),
    ):
        if rows.any():
            error_bars(
                axes, modes[rows], sizes[rows], np.nan_to_num(estimate.stderr[rows]),
                fmt=marker, color=BLUE, markerfacecolor=fill, label=label,
                name=f"spectrum-{label.split()[-1]}",
            )  # fmt: skip
    axes.set_yscale("log", nonpositive="clip")
    logarithmic_ticks(axes.yaxis)
    smallest = sizes[sizes > 0.0].min()
    axes.set_ylim(smallest / 3.0, 3.0 * (sizes + np.nan_to_num(estimate.stderr)).max())
    if spectrum.kept < count:
        handles = axes.get_legend_handles_labels()[0]
        cut = axes.axvline(spectrum.kept - 0.5, color=GREY, linewidth=0.8, linestyle=":", label="cut")
        axes.legend(handles=[*handles, cut], loc="best")
    _mode_axis(axes, count)
    axes.set_ylabel("eigenvalue of $G$")
    axes.set_title(f"two-point function: {spectrum.kept} of {count} mode{'s' * (count > 1)} kept")


def draw_couplings(axes: Axes, action: Action) -> None:
    """Draw the reduced quartic coupling of every mode, order beside order."""
    estimates = [action.reduced_quartic(level) for level in action.levels]
    shift = 0.12 if len(estimates) > 1 else 0.0
    zero_line(axes)
    for place, (level, estimate) in enumerate(zip(action.levels, estimates, strict=True)):
        label, colour, marker = LEVELS[level]
        modes = estimate.indices[:, 0] + shift * (2 * place - 1)
        error_bars(
            axes, modes, estimate.value, np.nan_to_num(estimate.stderr),
            fmt=marker, color=colour, label=label, name=f"couplings-{level}",
        )  # fmt: skip
        mark_unreliable(axes, modes, estimate.value, estimate.unreliable)
    values = np.concatenate([estimate.value for estimate in estimates])
    errors = np.concatenate([estimate.stderr for estimate in estimates])
    apply_scale(axes.yaxis, choose_scale(values, errors))
    _mode_axis(axes, action.reported_modes)
    axes.set_ylabel(r"$\lambda_{iiii}\, s_i^2$")
    first = f"first {action.reported_modes} " if action.reported_modes < action.spectrum.kept else ""
    axes.set_title(f"quartic coupling of the {first}modes")
    handles = axes.get_legend_handles_labels()[0] if len(estimates) > 1 else []
    if any(estimate.unreliable.any() for estimate in estimates):
        handles.append(exclamation_mark())
    if handles:
        axes.legend(handles=handles, loc="best")


def _mode_axis(axes: Axes, count: int) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlim(-0.6, count - 0.4)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
    axes.set_xlabel("mode $i$")


def _draw_slices(figure: SubFigure, slices: list[Slice], source: str) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    panels = figure.subplots(2, len(slices), squeeze=False, height_ratios=(1.6, 1.0))
    for column, part in enumerate(slices):
        draw_density(panels[0, column], part)
        draw_ratio(panels[1, column], part)
    panels[0, 0].set_ylabel("density $p$")
    panels[1, 0].set_ylabel("$p$ / Gaussian")
    order = max(part.density.order for part in slices)
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=colour, linestyle=line, linewidth=1.0, label=label)
        for label, colour, line in SERIES[: order + 1]
    ]
    if any(part.outputs is not None for part in slices):
        handles.append(Patch(color=PALE, label="stored outputs"))
    if any(part.negative for part in slices):
        handles.append(Patch(color=GREY, label="bar at the foot: series negative"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    figure.suptitle(f"density of one output: {source}", fontsize=9.0)
