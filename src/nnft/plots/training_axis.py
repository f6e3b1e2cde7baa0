"""What the pictures of trained runs share: numbers along a training, and the axis of its moments."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from nnft.plots.scales import FloatArray, apply_scale, choose_scale, limits
from nnft.plots.style import error_bars, mark_unreliable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LABELS = {"step": "step", "time": "flow time $t$"}


@dataclass(frozen=True, eq=False)
class Moments:
    """When the snapshots of a training were taken.

    Attributes
    ----------
    values : ndarray of float64, shape (S,)
        Steps, or flow times; the first one is usually 0.
    kind : {'step', 'time'}
    """

    values: FloatArray
    kind: Literal["step", "time"] = "step"


@dataclass(frozen=True, eq=False)
class Series:
    """One number at every moment.

    Attributes
    ----------
    value, stderr : ndarray of float64, shape (S,)
        Mean over networks and its standard error; NaN where there is none.
    spread : ndarray of float64, shape (S,), optional
        Standard deviation over networks.
    unreliable : ndarray of bool, shape (S,), optional
        Errors that cannot be trusted.
    """

    value: FloatArray
    stderr: FloatArray
    spread: FloatArray | None = None
    unreliable: npt.NDArray[np.bool_] | None = None


def draw_series(
    axes: Axes, moments: Moments, series: Series, *, colour: str, label: str, name: str, **options: Any
) -> None:
    """Draw markers with error bars and a thin line through them; `options` as for ``Axes.errorbar``."""
    errors = np.nan_to_num(series.stderr)
    settings: dict[str, Any] = {"color": colour, "linestyle": "-", "linewidth": 0.9, "label": label}
    error_bars(axes, moments.values, series.value, errors, name=name, **(settings | options))
    if series.unreliable is not None:
        mark_unreliable(axes, moments.values, series.value, series.unreliable)


def spread_band(series: Series, logarithmic: bool = False) -> tuple[FloatArray, FloatArray]:
    """Return the edges of a band of one standard deviation over networks around the mean.

    On a logarithmic axis, where the mean minus the standard deviation may have no place, the lower edge is
    the mirror image of the upper one: mean / (1 + spread / mean).
    """
    spread = np.zeros(len(series.value)) if series.spread is None else np.nan_to_num(series.spread)
    high = series.value + spread
    if not logarithmic:
        return series.value - spread, high
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(series.value > 0.0, series.value**2 / high, np.nan), high


def draw_spread(
    axes: Axes, moments: Moments, series: Series, *, colour: str, logarithmic: bool = False
) -> None:
    """Draw `spread_band` in a pale colour."""
    low, high = spread_band(series, logarithmic)
    axes.fill_between(moments.values, low, high, color=colour, alpha=0.15, linewidth=0.0, zorder=1)


def moment_axis(axes: Axes, moments: Moments, *, label: bool = True) -> None:
    """Scale the axis of the moments: logarithmic from the first one on, with a place for 0 before it."""
    from matplotlib.ticker import FixedLocator

    values = moments.values
    scale = choose_scale(values, np.zeros(len(values)))
    apply_scale(axes.xaxis, scale)
    low, high = limits(scale, values, np.zeros(len(values)))
    if scale.kind == "symlog":
        low, high = -0.2 * scale.threshold, 1.4 * float(values.max())
        decades = scale.threshold * 10.0 ** np.arange(math.log10(high / scale.threshold))
        axes.xaxis.set_minor_locator(FixedLocator((decades[:, None] * np.arange(2, 10)).ravel().tolist()))
    axes.set_xlim(low, high)
    if label:
        axes.set_xlabel(LABELS[moments.kind])
    else:
        axes.tick_params(labelbottom=False, which="both")


def value_axis(axes: Axes, series: list[Series]) -> None:
    """Scale the axis of the values for all series and their error bars."""
    values = np.concatenate([one.value for one in series])
    errors = np.concatenate([np.nan_to_num(one.stderr) for one in series])
    scale = choose_scale(values, errors)
    apply_scale(axes.yaxis, scale)
    axes.set_ylim(*limits(scale, values, errors))
