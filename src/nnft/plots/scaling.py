"""The picture of a fit over runs: data with the fitted curve, residuals, and the numbers of the fit."""

from __future__ import annotations

import os
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nnft.analysis.extrapolate import Extrapolation
from nnft.errors import UsageError
from nnft.estimators.notation import number_with_error
from nnft.plots.files import check_picture, save_picture
from nnft.plots.scales import logarithmic_ticks
from nnft.plots.style import (
    BLACK,
    COLOURS,
    GREY,
    MARKERS,
    PALE,
    WIDTH,
    error_bars,
    house_style,
    label_text,
    mark_unreliable,
    probability,
    zero_line,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

FloatArray = npt.NDArray[np.float64]

MOST_SHOWN = 4
MOST_NOTES = 4
CURVE_POINTS = 300
STEP = 11.5
"""Points from line to line of the text beside the panels."""

GLYPHS = ("\N{BLACK CIRCLE}", "\N{BLACK SQUARE}", "\N{BLACK UP-POINTING TRIANGLE}", "\N{BLACK DIAMOND}")
"""The markers as text."""


def draw_extrapolation(result: Extrapolation, path: str | os.PathLike[str]) -> Path:
    """Draw a fit over runs into a file.

    Parameters
    ----------
    result : Extrapolation
    path : str or path
        Ends in .svg, .png or .pdf; replaced if it exists.

    Returns
    -------
    Path

    Raises
    ------
    UsageError
        If the name is impossible, or nothing was fitted.
    EnvironmentRefusal
        If matplotlib is missing or the disk refuses.
    """
    picture = check_picture(path)
    with house_style():
        return save_picture(extrapolation_figure(result), picture)


def extrapolation_figure(result: Extrapolation) -> Figure:
    """Return the picture of a fit over runs as a figure; parameters as in `draw_extrapolation`.

    Notes
    -----
    The style is set by `nnft.plots.style.house_style`, inside of which the figure must also be saved.
    """
    from matplotlib.figure import Figure

    shown = shown_components(result)
    lines = numbers_of_fit(result, shown)
    figure = Figure(figsize=(WIDTH, max(4.2, STEP * (len(lines) + 2) / 72.0)), layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=(2.6, 1.0), width_ratios=(2.1, 1.0))
    above = figure.add_subplot(grid[0, 0])
    below = figure.add_subplot(grid[1, 0], sharex=above)
    beside = figure.add_subplot(grid[:, 1])
    draw_fit(above, result, shown)
    draw_residuals(below, result, shown)
    write_numbers(beside, lines)
    return figure


def shown_components(result: Extrapolation) -> list[int]:
    """Return the components of the picture: a few of those that were fitted, spread evenly.

    Raises
    ------
    UsageError
        If none was fitted.
    """
    fitted = np.flatnonzero(np.isfinite(result.coefficients).all(axis=1))
    if not len(fitted):
        raise UsageError(f"nothing to draw: got no fitted component of {len(result.labels)}; see the table")
    places = np.unique(np.linspace(0, len(fitted) - 1, MOST_SHOWN).round().astype(int))
    return [int(row) for row in fitted[places]]


def common_sign(result: Extrapolation, shown: list[int]) -> int:
    """Return the sign of everything shown where axes can be logarithmic; 0 where they are linear.

    A model with a constant is drawn on linear axes from x = 0 on: the constant is its point.
    """
    if min(result.powers) <= 0 or result.x.min() <= 0.0:
        return 0
    y, yerr = result.y[shown], result.yerr[shown]
    return next((sign for sign in (1, -1) if (sign * y > yerr).all()), 0)


def draw_fit(axes: Axes, result: Extrapolation, shown: list[int]) -> None:
    """Draw values with errors, the fitted curves and their error bands."""
    sign = common_sign(result, shown)
    factor = sign or 1
    x = _curve_places(result, bool(sign))
    for place, row in enumerate(shown):
        colour, marker = COLOURS[place], MARKERS[place]
        value, error = result.curve(row, x)
        axes.fill_between(
            x, factor * value - error, factor * value + error, color=colour, alpha=0.25, linewidth=0.0
        )
        axes.plot(x, factor * value, color=colour, linewidth=1.0)
        error_bars(
            axes, result.x, factor * result.y[row], result.yerr[row], fmt=marker, color=colour,
            name=f"values-{place}",
        )  # fmt: skip
        if x[0] == 0.0 and 0 in result.powers:
            limit = [value[0]], [error[0]]
            error_bars(axes, [0.0], *limit, fmt=marker, color=colour, markerfacecolor="white", clip_on=False)
        mark_unreliable(axes, result.x, factor * result.y[row], result.unreliable[row])
    if sign:
        axes.set_xscale("log")
        axes.set_yscale("log", nonpositive="clip")
        values = np.abs(result.y[shown])
        axes.set_ylim(values.min() / 2.0, 2.0 * (values + result.yerr[shown]).max())
        logarithmic_ticks(axes.yaxis)
    axes.tick_params(labelbottom=False, which="both")
    axes.set_ylabel(("minus " if sign < 0 else "") + _observable(result.y_label))


def _curve_places(result: Extrapolation, logarithmic: bool) -> FloatArray:
    """Return abscissas of the curves: all data, and zero where it is the limit."""
    low, high = float(result.x.min()), float(result.x.max())
    if logarithmic:
        reach = (high / low) ** 0.06
        places: FloatArray = np.geomspace(low / reach, high * reach, CURVE_POINTS)
        return places
    margin = 0.04 * (high - low)
    start = 0.0 if result.against in ("width", "depth") else low - margin
    return np.linspace(start, high + margin, CURVE_POINTS)


def draw_residuals(axes: Axes, result: Extrapolation, shown: list[int]) -> None:
    """Draw (value - fit) / error of every value, components side by side."""
    logarithmic = axes.get_xscale() == "log"
    spread = np.log(result.x.max() / result.x.min()) if logarithmic else np.ptp(result.x)
    largest = 1.0
    axes.axhspan(-1.0, 1.0, color=PALE, alpha=0.6, linewidth=0.0, zorder=0)
    zero_line(axes)
    for place, row in enumerate(shown):
        pulls = (result.y[row] - result.curve(row, result.x)[0]) / result.yerr[row]
        shift = 0.008 * (place - 0.5 * (len(shown) - 1)) * spread
        x = result.x * np.exp(shift) if logarithmic else result.x + shift
        error_bars(
            axes, x, pulls, np.ones(len(x)), fmt=MARKERS[place], color=COLOURS[place],
            name=f"residuals-{place}",
        )  # fmt: skip
        largest = max(largest, float(np.abs(pulls).max()))
    axes.set_ylim(-1.1 * (largest + 1.0), 1.1 * (largest + 1.0))
    axes.set_ylabel("residual / error")
    axes.set_xlabel(_mathematical(result.x_label))
    if logarithmic:
        _decades(axes.xaxis)


def _decades(axis: Axis) -> None:
    """Label the abscissas well enough where they span less than two decades."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    short = high < 100.0 * low
    axis.set_major_locator(LogLocator(base=10.0, subs=(1.0, 2.0, 5.0) if short else (1.0,), numticks=12))
    if short:
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _observable(label: str) -> str:
    """Return the name of an observable with its couplings and powers as mathematical text."""
    for plain in ("lambda_4", "lambda_6"):
        label = label.replace(plain, f"$\\{plain}$")
    return re.sub(r"\^(\d+)", r"$^{\1}$", label)


def _mathematical(label: str) -> str:
    """Return 1/n and (L - 1)/n in italics; names of keys stay as they are."""
    return {"1/n": "$1/n$", "(L - 1)/n": "$(L - 1)/n$"}.get(label, label_text(label, 60))


def write_numbers(axes: Axes, lines: list[tuple[str, str]]) -> None:
    """Write lines, each with its colour, beside the panels."""
    axes.set_axis_off()
    for number, (line, colour) in enumerate(lines):
        axes.annotate(
            line, (0.0, 1.0), (0.0, -STEP * number), xycoords="axes fraction", textcoords="offset points",
            color=colour, fontsize=8.0, va="top", annotation_clip=False,
        )  # fmt: skip


def numbers_of_fit(result: Extrapolation, shown: list[int]) -> list[tuple[str, str]]:
    """Return what was fitted as lines with colours, one block for each component shown."""
    lines: list[tuple[str, str]] = [(_model(result), BLACK), ("", BLACK)]
    for place, row in enumerate(shown):
        block = _numbers(result, row)
        lines += [(f"{GLYPHS[place]} {block[0]}", COLOURS[place])]
        lines += [(line, BLACK) for line in [*block[1:], ""]]
    if len(shown) < len(result.labels):
        lines.append((f"{len(shown)} of {len(result.labels)} components are shown", GREY))
        joint = result.joint
        if joint.dof > 0:
            lines.append((rf"all: $\chi^2$/dof = {joint.chi_square:.3g}/{joint.dof}", GREY))
            lines.append((probability(joint.p_value), GREY))
    for note in result.notes[:MOST_NOTES]:
        wrapped = textwrap.wrap(f"- {label_text(note, 120)}", 35, subsequent_indent="   ")
        lines += [(line, GREY) for line in wrapped]
    return lines


def _model(result: Extrapolation) -> str:
    factors = {0: "", 1: r"\,x"}
    terms = [f"c_{{{power}}}" + factors.get(power, rf"\,x^{{{power}}}") for power in result.powers]
    return f"$y = {' + '.join(terms)}$,  $x$ = {_mathematical(result.x_label)}"


def _numbers(result: Extrapolation, row: int) -> list[str]:
    """Return the lines of one component."""
    lines = [f"component {result.labels[row]}"]
    numbers = zip(result.powers, result.coefficients[row], result.coefficient_errors[row], strict=True)
    for power, value, error in numbers:
        lines.append(f"$c_{{{power}}}$ = {number_with_error(float(value), float(error))}")
    if result.dof > 0:
        chi_square = rf"$\chi^2$/dof = {result.chi_square[row]:.3g}/{result.dof}"
        lines.append(f"{chi_square}, {probability(float(result.p_value[row]))}")
    else:
        lines.append("as many powers as runs: no test")
    if np.isfinite(result.slope[row]):
        slope = number_with_error(float(result.slope[row]), float(result.slope_error[row]))
        base = result.slope_variable if result.slope_variable == "n" else "x"
        lines.append(f"$y \\propto {base}^s$: $s$ = {slope}")
    return lines
