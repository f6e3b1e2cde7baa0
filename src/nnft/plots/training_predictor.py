"""The picture of a predictor: mean and width of a trained ensemble on its input points, beside theory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from nnft.errors import UsageError
from nnft.plots.files import check_picture, save_picture
from nnft.plots.scales import FloatArray
from nnft.plots.style import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PALE,
    WIDTH,
    error_bars,
    house_style,
    label_text,
    zero_line,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHIFT = 0.16
"""Of input points drawn one by one: estimates to the left of their number, theory to the right."""

MOST_ERROR_BARS = 60
WIDTH_LABEL = r"$\pm$ one standard deviation"


class Predictor(Protocol):
    """What `draw_predictor` needs: a trained ensemble on P input points of dimension d.

    Attributes, all arrays of float64, rows in the order of the points:

    - ``points`` (P, d): input points.
    - ``mean``, ``mean_stderr`` (P,): mean output over networks and draws, and its standard error.
    - ``variance``, ``variance_stderr`` (P,): variance of the output, the coincident connected two-point
      function, and its standard error.
    - ``theory_mean``, ``theory_variance`` (P,), or None where there is no theory.
    - ``theory_name`` : str, what the legend calls the theory; empty without.
    - ``train_inputs`` (M, d), ``train_targets`` (M,) or (M, 1): training points, targets of the output shown.
    """

    @property
    def points(self) -> FloatArray:
        """Input points, shape (P, d)."""

    @property
    def mean(self) -> FloatArray:
        """Mean output, shape (P,)."""

    @property
    def mean_stderr(self) -> FloatArray:
        """Standard errors of `mean`, shape (P,)."""

    @property
    def variance(self) -> FloatArray:
        """Variance of the output, shape (P,)."""

    @property
    def variance_stderr(self) -> FloatArray:
        """Standard errors of `variance`, shape (P,)."""

    @property
    def theory_mean(self) -> FloatArray | None:
        """Mean in theory, shape (P,)."""

    @property
    def theory_variance(self) -> FloatArray | None:
        """Variance in theory, shape (P,)."""

    @property
    def theory_name(self) -> str:
        """What the legend calls the theory."""

    @property
    def train_inputs(self) -> FloatArray:
        """Training inputs, shape (M, d)."""

    @property
    def train_targets(self) -> FloatArray:
        """Training targets, shape (M,) or (M, 1)."""


def draw_predictor(predictor: Predictor, path: str | os.PathLike[str], source: str = "") -> Path:
    """Draw mean and width of a trained ensemble into a file.

    Parameters
    ----------
    predictor : Predictor
        Any object with these attributes.
    path : str or path
        Ends in .svg, .png or .pdf; replaced if it exists.
    source : str
        What the picture is of, such as the name of the file.

    Returns
    -------
    Path

    Raises
    ------
    UsageError
        If the name is impossible, or no mean is a number.
    EnvironmentRefusal
        If matplotlib is missing or the disk refuses.
    """
    picture = check_picture(path)
    with house_style():
        return save_picture(predictor_figure(predictor, source), picture)


def predictor_figure(predictor: Predictor, source: str = "") -> Figure:
    """Return the picture of a predictor as a figure; parameters as in `draw_predictor`.

    Notes
    -----
    The style is set by `nnft.plots.style.house_style`, inside of which the figure must also be saved.
    """
    from matplotlib.figure import Figure

    if not np.isfinite(predictor.mean).any():
        raise UsageError(
            f"no mean to draw: got no number at {len(predictor.mean)} points; train more networks"
        )
    with_theory = predictor.theory_mean is not None
    figure = Figure(figsize=(WIDTH, 5.6 if with_theory else 4.0), layout="constrained")
    panels: Sequence[Axes]
    if with_theory:
        panels = figure.subplots(2, 1, sharex=True, height_ratios=(2.4, 1.0))
        draw_pulls(panels[1], predictor)
    else:
        panels = [figure.add_subplot()]
    if on_a_line(predictor):
        draw_curves(panels[0], predictor)
    else:
        draw_points(panels[0], predictor)
    panels[0].set_ylabel("output $f$")
    panels[0].legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, borderaxespad=0.2)
    if source:
        figure.suptitle(label_text(source, 60), fontsize=9.0)
    panels[-1].set_xlabel("input $x$" if on_a_line(predictor) else "input point $a$")
    return figure


def on_a_line(predictor: Predictor) -> bool:
    """Return whether the points make a curve: inputs of one dimension, at least two."""
    return len(predictor.points) > 1 and predictor.points.shape[1] == 1


def _places(predictor: Predictor) -> tuple[FloatArray, Any]:
    """Return abscissas of the points and the order in which they increase."""
    if on_a_line(predictor):
        x = predictor.points[:, 0]
        return x, np.argsort(x, kind="stable")
    return np.arange(len(predictor.points), dtype=np.float64), np.arange(len(predictor.points))


def _width(variance: FloatArray) -> FloatArray:
    """Return standard deviations; those of estimates that came out negative are 0."""
    width: FloatArray = np.sqrt(np.maximum(variance, 0.0))
    return width


def _theory_label(predictor: Predictor) -> str:
    name = label_text(predictor.theory_name or "theory", 40)
    return name if predictor.theory_variance is None else f"{name} {WIDTH_LABEL}"


def draw_curves(axes: Axes, predictor: Predictor) -> None:
    """Draw mean and band over a line of inputs, theory as broken lines, training points as circles."""
    x, order = _places(predictor)
    mean, width = predictor.mean[order], _width(predictor.variance)[order]
    axes.fill_between(
        x[order], mean - width, mean + width, color=BLUE, alpha=0.18, linewidth=0.0,
        label=f"estimate {WIDTH_LABEL}",
    )  # fmt: skip
    axes.plot(x[order], mean, color=BLUE, linewidth=1.0)
    every = max(1, -(-len(x) // MOST_ERROR_BARS))
    shown = order[::every]
    error_bars(
        axes, x[shown], predictor.mean[shown], np.nan_to_num(predictor.mean_stderr[shown]), color=BLUE,
        markersize=3.0, label="mean with its error", name="estimates",
    )  # fmt: skip
    if predictor.theory_mean is not None:
        theory = predictor.theory_mean[order]
        axes.plot(
            x[order], theory, color=BLACK, linewidth=1.2, linestyle="--", zorder=4,
            label=_theory_label(predictor), gid="theory",
        )  # fmt: skip
        if predictor.theory_variance is not None:
            reach = _width(predictor.theory_variance)[order]
            for edge in (theory - reach, theory + reach):
                axes.plot(x[order], edge, color=BLACK, linewidth=0.8, linestyle=":", zorder=4)
    axes.plot(
        predictor.train_inputs[:, 0], _targets(predictor), linestyle="", marker="o", markersize=5.0,
        markerfacecolor="none", markeredgecolor=ORANGE, markeredgewidth=1.3, zorder=5,
        label="training points", gid="training",
    )  # fmt: skip


def _targets(predictor: Predictor) -> FloatArray:
    """Return the targets of the output that is shown, shape (M,)."""
    targets = np.asarray(predictor.train_targets, dtype=np.float64)
    return targets if targets.ndim == 1 else targets[:, 0]


def draw_points(axes: Axes, predictor: Predictor) -> None:
    """Draw estimates point by point with their error and width, theory beside them."""
    x, _ = _places(predictor)
    with_theory = predictor.theory_mean is not None
    left = x - SHIFT if with_theory else x
    thick, size = (max(low, min(high, 220.0 / len(x))) for low, high in ((1.2, 7.0), (1.5, 4.0)))
    axes.vlines(
        left, predictor.mean - _width(predictor.variance), predictor.mean + _width(predictor.variance),
        color=BLUE, alpha=0.25, linewidth=thick, label=f"estimate {WIDTH_LABEL}",
    )  # fmt: skip
    error_bars(
        axes, left, predictor.mean, np.nan_to_num(predictor.mean_stderr), color=BLUE,
        label="mean with its error", name="estimates", elinewidth=1.2,
        markersize=size,
    )  # fmt: skip
    if predictor.theory_mean is not None:
        reach = None if predictor.theory_variance is None else _width(predictor.theory_variance)
        error_bars(
            axes, x + SHIFT, predictor.theory_mean, reach, color=BLACK, fmt="D", markerfacecolor="white",
            markersize=size,
            linestyle="", label=_theory_label(predictor), name="theory",
        )  # fmt: skip
    _draw_coinciding_targets(axes, predictor)
    _point_axis(axes, len(x))


def _draw_coinciding_targets(axes: Axes, predictor: Predictor) -> None:
    """Draw the targets of training points that are among the input points."""
    found = [
        (place, target)
        for place, point in enumerate(predictor.points)
        for target in _targets(predictor)[(predictor.train_inputs == point).all(axis=1)]
    ]
    if found:
        places, targets = zip(*found, strict=True)
        axes.plot(
            places, targets, linestyle="", marker="x", markersize=6.0, markeredgewidth=1.5, color=ORANGE,
            zorder=5, label="training target", gid="training",
        )  # fmt: skip


def _point_axis(axes: Axes, count: int) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlim(-0.6, count - 0.4)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True, min_n_ticks=1))


def draw_pulls(axes: Axes, predictor: Predictor) -> None:
    """Draw (estimate - theory) / error of mean and variance at every point."""
    x, order = _places(predictor)
    one_by_one = not on_a_line(predictor)
    axes.axhspan(-1.0, 1.0, color=PALE, alpha=0.6, linewidth=0.0, zorder=0)
    zero_line(axes)
    largest, size = 2.0, 3.5 if len(x) <= MOST_ERROR_BARS else 2.0
    pairs = (
        ("mean", predictor.mean, predictor.mean_stderr, predictor.theory_mean, BLUE, "o"),
        ("variance", predictor.variance, predictor.variance_stderr, predictor.theory_variance, GREEN, "s"),
    )
    for sign, (name, value, error, theory, colour, marker) in zip((-1, 1), pairs, strict=True):
        if theory is None:
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            pulls = np.where(error > 0.0, (value - theory) / error, np.nan)[order]
        shift = SHIFT * sign if one_by_one else 0.0
        axes.plot(
            x[order] + shift, pulls, linestyle="", marker=marker, markersize=size, color=colour, label=name,
            gid=f"pulls-{name}", markerfacecolor=colour if sign < 0 else "white",
        )  # fmt: skip
        largest = max(largest, float(np.abs(pulls[np.isfinite(pulls)]).max(initial=0.0)))
    axes.set_ylim(-1.15 * largest, 1.15 * largest)
    axes.set_ylabel("pull: (estimate $-$\ntheory) / error")
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, borderaxespad=0.1)
