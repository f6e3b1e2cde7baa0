"""The picture of learning: training and test error along a training, with theory and noise levels."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nnft.errors import UsageError, shorten
from nnft.plots.files import check_picture, save_picture
from nnft.plots.scales import FloatArray, logarithmic_ticks
from nnft.plots.style import BLACK, BLUE, GREY, ORANGE, WIDTH, house_style, label_text
from nnft.plots.training_axis import Moments, Series, draw_series, draw_spread, moment_axis, spread_band

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NEAR = 30.0
"""A level is drawn where it lies within this factor of the errors; farther away it is named only."""

LEVELS = {"ridge": (r"ridge $\kappa$", ":"), "label noise": ("label noise $s^2$", (0, (6, 2, 1, 2, 1, 2)))}
THEORY_LINES = {"train": "--", "test": ":"}
SETS = (("train", "training error", BLUE, "o"), ("test", "test error", ORANGE, "s"))


@dataclass(frozen=True, eq=False)
class LossTheory:
    """What theory says on the errors.

    Attributes
    ----------
    errors : mapping of str to ndarray of float64, shape (S,) or (1,)
        For "train" and "test" the expected squared error per target, at the moments of the picture.
    name : str
        What the legend calls it, such as "infinite width".
    steady : bool
        Whether it holds for the draws of a sampler: one number for all of them.
    """

    errors: Mapping[str, FloatArray]
    name: str
    steady: bool = False


@dataclass(frozen=True, eq=False)
class LossCurves:
    """Errors along a training.

    Attributes
    ----------
    moments : Moments
    train : Series
        Squared error per target, the mean of (f - y)^2 over training points and outputs.
    test : Series, optional
        The same over held-out points.
    levels : mapping of str to float
        Noise levels in the same units: "ridge", the variance kappa of the Gaussian likelihood, and
        "label noise", the variance of the noise added to the targets.
    averages : mapping of str to tuple of float
        For "train" and "test" the average over the draws of a sampler and its standard error.
    draws : tuple of float, optional
        Moments between which a sampler draws.
    theory : LossTheory, optional
    source : str
        What the picture is of, such as the name of the file.
    """

    moments: Moments
    train: Series
    test: Series | None = None
    levels: Mapping[str, float] = field(default_factory=dict)
    averages: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    draws: tuple[float, float] | None = None
    theory: LossTheory | None = None
    source: str = ""


def draw_loss(curves: LossCurves, path: str | os.PathLike[str]) -> Path:
    """Draw the errors along a training into a file.

    Parameters
    ----------
    curves : LossCurves
    path : str or path
        Ends in .svg, .png or .pdf; replaced if it exists.

    Returns
    -------
    Path

    Raises
    ------
    UsageError
        If the name is impossible, or no error is a positive number.
    EnvironmentRefusal
        If matplotlib is missing or the disk refuses.
    """
    picture = check_picture(path)
    with house_style():
        return save_picture(loss_figure(curves), picture)


def loss_figure(curves: LossCurves) -> Figure:
    """Return the picture of a training as a figure; parameters as in `draw_loss`.

    Notes
    -----
    The style is set by `nnft.plots.style.house_style`, inside of which the figure must also be saved.
    """
    from matplotlib.figure import Figure

    low, high = _range(curves)
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    axes = figure.add_subplot()
    for key, label, colour, marker in SETS:
        series = _series(curves, key)
        if series is not None:
            draw_spread(axes, curves.moments, series, colour=colour, logarithmic=True)
            draw_series(
                axes, curves.moments, series, colour=colour, label=label, name=f"{key}-error", fmt=marker
            )
    _draw_averages(axes, curves)
    _draw_theory(axes, curves)
    low, high = _with_theory(curves, low, high)
    low, high = _draw_levels(axes, curves, low, high)
    axes.set_yscale("log", nonpositive="clip")
    axes.set_ylim(low / 1.3, 1.3 * high)
    logarithmic_ticks(axes.yaxis)
    moment_axis(axes, curves.moments)
    axes.set_ylabel(r"squared error per target, $\langle (f - y)^2 \rangle$")
    axes.set_title(f"{label_text(curves.source, 60)}: mean with its error; band: spread over networks")
    _legend(figure, axes)
    return figure


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda place: not labels[place].endswith("error"))
    figure.legend(handles=[handles[place] for place in order], loc="outside lower center", ncols=3)


def _series(curves: LossCurves, key: str) -> Series | None:
    series = curves.train if key == "train" else curves.test
    return series if series is not None and np.isfinite(series.value).any() else None


def _range(curves: LossCurves) -> tuple[float, float]:
    """Return the smallest and the largest number of means and bands."""
    shown = [series for key, *_ in SETS if (series := _series(curves, key)) is not None]
    values = np.concatenate([np.zeros(0), *(edge for series in shown for edge in spread_band(series, True))])
    values = values[np.isfinite(values) & (values > 0.0)]
    if not len(values):
        raise UsageError(
            f"no error to draw in {shorten(curves.source)}: got no positive number along the training; "
            "see nnft status"
        )
    return float(values.min()), float(values.max())


def _draw_averages(axes: Axes, curves: LossCurves) -> None:
    """Draw averages over the draws of a sampler as bars over the steps in which it draws."""
    if curves.draws is None:
        return
    for key, _, colour, _ in SETS:
        if key not in curves.averages or _series(curves, key) is None:
            continue
        mean, error = curves.averages[key]
        axes.fill_between(
            curves.draws, mean - error, mean + error, color=colour, alpha=0.5, linewidth=0.0, zorder=2
        )
        axes.plot(
            curves.draws, [mean, mean], color=colour, linewidth=2.2, alpha=0.6, zorder=2,
            label=f"average over draws, {key}", gid=f"{key}-average",
        )  # fmt: skip
    axes.axvline(curves.draws[0], color=GREY, linewidth=0.8, linestyle="-.", label="burn-in ends")


def _draw_theory(axes: Axes, curves: LossCurves) -> None:
    theory = curves.theory
    if theory is None:
        return
    for key, label, *_ in SETS:
        if key not in theory.errors or _series(curves, key) is None:
            continue
        when, errors = curves.moments.values, theory.errors[key]
        if theory.steady:
            when, errors = np.array(curves.draws or (when[0], when[-1])), np.repeat(errors, 2)
        axes.plot(
            when, errors, color=BLACK, linewidth=1.2, linestyle=THEORY_LINES[key], zorder=4,
            label=f"{label_text(theory.name, 50)}, {label}", gid=f"{key}-theory",
        )  # fmt: skip


def _with_theory(curves: LossCurves, low: float, high: float) -> tuple[float, float]:
    """Return the range that holds the theory as well, as far as it is near."""
    errors = () if curves.theory is None else curves.theory.errors.values()
    values = np.concatenate([np.zeros(0), *errors])
    values = np.clip(values[np.isfinite(values)], low / NEAR, high * NEAR)
    return float(min([low, *values])), float(max([high, *values]))


def _draw_levels(axes: Axes, curves: LossCurves, low: float, high: float) -> tuple[float, float]:
    """Draw noise levels near the errors; return the range that holds these as well."""
    for name, level in curves.levels.items():
        label, line = LEVELS[name]
        label = f"{label} = {level:.3g}"
        if low / NEAR <= level <= high * NEAR:
            axes.axhline(level, color=GREY, linewidth=1.0, linestyle=line, label=label, zorder=1)
            low, high = min(low, level), max(high, level)
        else:
            axes.plot([], [], color=GREY, linewidth=1.0, linestyle=line, label=f"{label}, off the picture")
    return low, high
