"""The picture of closure tests: measured against predicted, and the sextic share against the width."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nnft.actions.closure import Closure, ClosureThreshold
from nnft.errors import UsageError
from nnft.plots.files import check_picture, save_picture
from nnft.plots.scales import apply_scale, choose_scale, limits, linear_scale, logarithmic_ticks
from nnft.plots.style import (
    BLACK,
    GREY,
    MARKERS,
    WIDTH,
    error_bars,
    house_style,
    label_text,
    probability,
    run_colours,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FloatArray = npt.NDArray[np.float64]

MOST_WIDTH_TICKS = 8
MANY_COMPONENTS = 150
FARTHEST_CROSSING = 8.0
"""Factor beyond the widths up to which the fitted width is shown."""


def draw_closure(
    closures: Sequence[Closure],
    labels: Sequence[str],
    path: str | os.PathLike[str],
    threshold: ClosureThreshold | None = None,
    widths: Sequence[float | None] | None = None,
) -> Path:
    """Draw closure tests into a file.

    Parameters
    ----------
    closures : sequence of Closure
        One for each run, at least one.
    labels : sequence of str
        Names of the runs, for the legend.
    path : str or path
        Ends in .svg, .png or .pdf; replaced if it exists.
    threshold : ClosureThreshold, optional
        Tolerance and fit to show in the second panel.
    widths : sequence of float or None, optional
        Width of each run; the second panel counts the runs where one is missing.

    Returns
    -------
    Path

    Raises
    ------
    UsageError
        If the name is impossible, or there is not one label, and one width, for each of the runs.
    EnvironmentRefusal
        If matplotlib is missing or the disk refuses.
    """
    picture = check_picture(path)
    with house_style():
        return save_picture(closure_figure(closures, labels, threshold, widths), picture)


def closure_figure(
    closures: Sequence[Closure],
    labels: Sequence[str],
    threshold: ClosureThreshold | None = None,
    widths: Sequence[float | None] | None = None,
) -> Figure:
    """Return the picture of closure tests as a figure; parameters as in `draw_closure`.

    Notes
    -----
    The style is set by `nnft.plots.style.house_style`, inside of which the figure must also be saved.
    """
    from matplotlib.figure import Figure

    several, count = len(closures) > 1, len(closures)
    if not count or len(labels) != count or (widths is not None and len(widths) != count):
        lengths = (count, len(labels), None if widths is None else len(widths))
        raise UsageError(f"closures, labels and widths do not match: got {lengths}; give one for each run")
    rows = -(-count // 2) if several else 1
    size = (WIDTH if several else 0.62 * WIDTH, 3.85 + 0.2 * rows)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, 1 + several, squeeze=False)[0]
    handles = draw_prediction(panels[0], closures, labels)
    if several:
        draw_shares(panels[1], closures, threshold, widths)
    figure.legend(handles=handles, loc="outside lower center", ncols=2 if several else 1)
    return figure


def draw_prediction(axes: Axes, closures: Sequence[Closure], labels: Sequence[str]) -> list[Any]:
    """Draw every component of the six-point function, measured against predicted; return legend handles."""
    handles = []
    for place, (result, label, colour) in enumerate(
        zip(closures, labels, run_colours(len(closures)), strict=True)
    ):
        handles.append(
            error_bars(
                axes, result.predicted.value, result.measured.value, _bars(result.measured.stderr),
                _bars(result.predicted.stderr), fmt=MARKERS[place % len(MARKERS)], color=colour,
                label=f"{label_text(label)}: {probability(result.test.p_value)}", zorder=3 + 0.01 * place,
                name=f"six-point-{place}", **_weight(len(result.indices), colour),
            )
        )  # fmt: skip
    estimates = [part for result in closures for part in (result.measured, result.predicted)]
    values = np.concatenate([estimate.value for estimate in estimates])
    errors = np.concatenate([_bars(estimate.stderr) for estimate in estimates])
    # the components of one run are to be read against the diagonal; several widths need their decades
    scale = choose_scale(values, errors) if len(closures) > 1 else linear_scale(values)
    ends = limits(scale, values, errors)
    for axis in (axes.xaxis, axes.yaxis):
        apply_scale(axis, scale)
    axes.plot(ends, ends, color=BLACK, linewidth=0.8, zorder=4)
    axes.set_xlim(ends)
    axes.set_ylim(ends)
    axes.set_box_aspect(1.0)
    axes.set_xlabel(r"predicted $\kappa_6$, from $G$ and $\kappa_4$")
    axes.set_ylabel(r"measured $\kappa_6$")
    modes = sum(result.in_modes for result in closures)
    where = ", modes of $G$" if modes == len(closures) else ", some in modes of $G$" if modes else ""
    axes.set_title(f"connected six-point function{where}")
    return handles


def _weight(components: int, colour: Any) -> dict[str, Any]:
    """Return thinner lines and smaller markers for many components."""
    from matplotlib.colors import to_rgba

    if components <= MANY_COMPONENTS:
        return {"markersize": 3.5}
    return {"markersize": 1.5, "markeredgewidth": 0.0, "elinewidth": 0.3, "ecolor": to_rgba(colour, 0.25)}


def draw_shares(
    axes: Axes,
    closures: Sequence[Closure],
    threshold: ClosureThreshold | None,
    widths: Sequence[float | None] | None,
) -> None:
    """Draw the sextic share of every run against its width, with tolerance and fit if there are any."""
    known = [width for width in widths or () if width is not None]
    by_width = len(known) == len(closures)
    x = np.array(known) if by_width else np.arange(1.0, len(closures) + 1.0)
    shares = np.array([result.share for result in closures])
    errors = _bars(np.array([result.share_error for result in closures]))
    for place, colour in enumerate(run_colours(len(closures))):
        limit = not shares[place] > 0.0
        height = errors[place] if limit else shares[place]
        if not height > 0.0:
            continue
        bar = 0.35 * height if limit else errors[place]
        error_bars(
            axes, x[[place]], [height], [bar], fmt=MARKERS[place % len(MARKERS)], color=colour, uplims=limit,
            name=f"share-{place}",
        )  # fmt: skip
    axes.set_yscale("log", nonpositive="clip")
    axes.set_ylabel("sextic share")
    axes.set_title("what a quartic action misses")
    if by_width:
        _width_axis(axes, np.unique(x), threshold)
    else:
        axes.set_xlim(0.4, len(closures) + 0.6)
        axes.set_xticks(x, labels=[f"{place:g}" for place in x])
        axes.set_xlabel("run, in the order of the legend")
    drawn = np.where(shares > 0.0, shares, errors)
    _share_limits(axes, drawn, errors, threshold)
    if threshold is not None:
        _draw_threshold(axes, threshold, by_width)
    logarithmic_ticks(axes.yaxis)
    axes.set_box_aspect(1.0)


def _share_limits(
    axes: Axes, shares: FloatArray, errors: FloatArray, threshold: ClosureThreshold | None
) -> None:
    """Show all shares and the tolerance; error bars may leave the panel below."""
    tolerance = np.array([] if threshold is None else [threshold.tolerance])
    heights = np.concatenate([shares + errors, shares, tolerance])
    heights = heights[np.isfinite(heights) & (heights > 0.0)]
    if len(heights):
        axes.set_ylim(heights.min() / 2.0, 2.0 * heights.max())


def _width_axis(axes: Axes, widths: FloatArray, threshold: ClosureThreshold | None) -> None:
    from matplotlib.ticker import NullLocator

    ends = [widths[0], widths[-1]]
    crossing = None if threshold is None else threshold.fitted_width
    if crossing is not None and ends[0] / FARTHEST_CROSSING < crossing < ends[1] * FARTHEST_CROSSING:
        ends = [min(ends[0], crossing), max(ends[1], crossing)]
    axes.set_xscale("log")
    axes.set_xlim(ends[0] / 1.4, 1.4 * ends[1])
    step = -(-len(widths) // MOST_WIDTH_TICKS)
    ticks = widths[::step]
    axes.set_xticks(ticks, labels=[f"{width:.4g}" for width in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("width $n$")


def _draw_threshold(axes: Axes, threshold: ClosureThreshold, by_width: bool) -> None:
    """Draw the tolerance and, where runs are placed by width, the fit and where they meet."""
    low, high = axes.get_xlim()
    crossing = threshold.fitted_width
    met = "" if crossing is None else f"met at $n$ = {crossing:.3g}"
    inside = [] if crossing is None or not (by_width and low < crossing < high) else [crossing]
    axes.axhline(
        threshold.tolerance, color=GREY, linestyle="--", linewidth=1.0, zorder=1,
        label=f"tolerance {threshold.tolerance:g}" + (f", {met}" if met and not inside else ""),
    )  # fmt: skip
    if by_width:
        width = np.geomspace(low, high, 200)
        curve = sum(c / width**power for power, c in enumerate(threshold.coefficients, start=1))
        terms = ["c_1/n", "c_2/n^2", "c_3/n^3"][: len(threshold.coefficients)]
        axes.plot(width, curve, color=BLACK, linewidth=1.0, zorder=2, label=f"fit ${' + '.join(terms)}$")
        if inside:
            axes.plot(inside, [threshold.tolerance], "*", color=BLACK, markersize=8.0, zorder=4, label=met)
    axes.legend(loc="best")


def _bars(errors: FloatArray) -> FloatArray:
    """Return lengths of error bars: none where there is no error."""
    bars: FloatArray = np.nan_to_num(errors, nan=0.0, posinf=0.0)
    return bars
