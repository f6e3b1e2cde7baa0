"""Pictures of a sampled run: connected correlators at coincident points, and its two-point function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nnft.errors import UsageError, shorten
from nnft.plots.scales import FloatArray, apply_scale, choose_scale, limits
from nnft.plots.style import (
    BLACK,
    BLUE,
    WIDTH,
    error_bars,
    exclamation_mark,
    label_text,
    mark_unreliable,
    zero_line,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LINES = 64
"""Input points up to which the cells of a kernel are drawn one by one; more make an image."""

PANEL = 1.5
"""Inches: height of the panel of one correlator."""

LABELS = {
    "G1": r"mean $\langle f_a \rangle$",
    "G2": "$G_2(aa)$",
    "G3": "$G_3(aaa)$",
    "G4": "$G_4(aaaa)$",
    "G6": "$G_6(a..a)$",
    "G8": "$G_8(a..a)$",
    "excess_kurtosis": "excess kurtosis",
}


@dataclass(frozen=True, eq=False)
class PointSeries:
    """A number at every input point.

    Attributes
    ----------
    value, stderr : ndarray of float64, shape (P,)
        NaN where there is none.
    unreliable : ndarray of bool, shape (P,)
    theory : ndarray of float64, shape (P,), optional
    """

    value: FloatArray
    stderr: FloatArray
    unreliable: npt.NDArray[np.bool_]
    theory: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class CorrelatorPicture:
    """Correlators of one output of a run.

    Attributes
    ----------
    series : mapping of str to PointSeries
        By the names of `LABELS`, from top to bottom.
    kernel : ndarray of float64, shape (P, P), optional
        Two-point function; not drawn for a single point.
    pulls : ndarray of float64, shape (P, P), optional
        (estimate - theory) / error of it; NaN where there is no error.
    theory_name : str
    source : str
        What the picture is of, such as the name of the file.
    """

    series: Mapping[str, PointSeries]
    kernel: FloatArray | None = None
    pulls: FloatArray | None = None
    theory_name: str = ""
    source: str = ""


def correlators_figure(picture: CorrelatorPicture) -> Figure:
    """Return connected correlators at coincident points, one panel for each, as a figure.

    Raises
    ------
    UsageError
        If no correlator is a number.

    Notes
    -----
    The style is set by `nnft.plots.style.house_style`, inside of which the figure must also be saved.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    shown = {name: one for name, one in picture.series.items() if np.isfinite(one.value).any()}
    if not shown:
        source = shorten(picture.source)
        raise UsageError(f"no correlator to draw in {source}: got no number; see nnft status")
    figure = Figure(figsize=(WIDTH, PANEL * len(shown) + 0.9), layout="constrained")
    panels = figure.subplots(len(shown), 1, squeeze=False, sharex=True)[:, 0]
    for axes, (name, series) in zip(panels, shown.items(), strict=True):
        _draw_series(axes, name, series, picture.theory_name)
    count = max(len(one.value) for one in shown.values())
    panels[-1].set_xlim(-0.6, count - 0.4)
    panels[-1].xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True, min_n_ticks=1))
    panels[-1].set_xlabel("input point $a$")
    figure.align_ylabels(panels)
    panels[0].set_title(label_text(picture.source, 60))
    handles = [handle for axes in panels for handle in axes.get_legend_handles_labels()[0]]
    unique = {handle.get_label(): handle for handle in handles}
    if any(one.unreliable.any() for one in shown.values()):
        unique["!"] = exclamation_mark()
    figure.legend(handles=list(unique.values()), loc="outside lower center", ncols=3)
    return figure


def _draw_series(axes: Axes, name: str, series: PointSeries, theory_name: str) -> None:
    """Draw estimates with errors, theory as hollow diamonds beside them."""
    places = np.arange(len(series.value), dtype=np.float64)
    shift = 0.0 if series.theory is None else 0.12
    errors = np.nan_to_num(series.stderr)
    size = max(1.5, min(4.0, 220.0 / len(places)))
    error_bars(
        axes, places - shift, series.value, errors, color=BLUE, markersize=size, label="estimate with error",
        name=f"estimate-{name}",
    )  # fmt: skip
    mark_unreliable(axes, places - shift, series.value, series.unreliable)
    values = series.value
    if series.theory is not None:
        axes.plot(
            places + shift, series.theory, linestyle="", marker="D", markerfacecolor="white", color=BLACK,
            markersize=size, label=label_text(theory_name, 40), gid=f"theory-{name}",
        )  # fmt: skip
        values, errors = np.concatenate([values, series.theory]), np.concatenate([errors, 0.0 * errors])
    scale = choose_scale(values, errors)
    apply_scale(axes.yaxis, scale)
    axes.set_ylim(*limits(scale, values, errors))
    axes.set_ylabel(LABELS[name])
    low, high = axes.get_ylim()
    if low < 0.0 < high:
        zero_line(axes)


def kernel_figure(picture: CorrelatorPicture) -> Figure:
    """Return the two-point function as a matrix of colours, with its pulls; see `correlators_figure`.

    Raises
    ------
    UsageError
        If there is no matrix of numbers of more than one point.
    """
    from matplotlib.figure import Figure

    kernel, pulls = picture.kernel, picture.pulls
    if kernel is None or len(kernel) < 2 or not np.isfinite(kernel).any():
        raise UsageError(
            f"no matrix to draw in {shorten(picture.source)}: got fewer than two points; see the table"
        )
    with_pulls = pulls is not None and bool(np.isfinite(pulls).any())
    figure = Figure(figsize=(WIDTH, 3.8), layout="constrained")
    panels = figure.subplots(1, 2 if with_pulls else 1, squeeze=False)[0]
    left, right = panels[0], panels[-1]
    signed = bool((kernel[np.isfinite(kernel)] < 0.0).any())
    largest = float(np.nanmax(np.abs(kernel)))
    _matrix(figure, left, kernel, (-largest if signed else 0.0, largest), signed)
    left.set_title("two-point function $G_2(ab)$")
    left.set_ylabel("input point $a$")
    if pulls is not None and with_pulls:
        reach = max(3.0, float(np.nanmax(np.abs(pulls))))
        _matrix(figure, right, pulls, (-reach, reach), True)
        right.set_title(f"pull against {label_text(picture.theory_name, 30)}")
    figure.suptitle(label_text(picture.source, 60), fontsize=9.0)
    return figure


def _matrix(
    figure: Figure, axes: Axes, matrix: FloatArray, ends: tuple[float, float], signed: bool
) -> None:
    """Draw a matrix as coloured cells with its scale beside it."""
    from matplotlib.ticker import MaxNLocator

    count = len(matrix)
    edges = np.arange(count + 1) - 0.5
    cells: Any = axes.pcolormesh(
        edges, edges, np.ma.masked_invalid(matrix), cmap="RdBu_r" if signed else "Blues", vmin=ends[0],
        vmax=ends[1], rasterized=count > MOST_LINES,
    )  # fmt: skip
    axes.set_box_aspect(1.0)
    axes.grid(visible=False)
    axes.invert_yaxis()
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
    axes.set_xlabel("input point $b$")
    figure.colorbar(cells, ax=axes, shrink=0.8, pad=0.03)
