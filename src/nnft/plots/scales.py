"""Axes for numbers of several orders of magnitude, of one sign or of both."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.axis import Axis

FloatArray = npt.NDArray[np.float64]

WIDE_RANGE = 30.0
SIGNIFICANT = 2.0
NOISE = 3.0
MOST_DECADES = 12
MOST_TICKS = 7


@dataclass(frozen=True)
class Scale:
    """How an axis is scaled.

    Attributes
    ----------
    kind : {'linear', 'log', 'symlog'}
    threshold : float
        Of a symmetric logarithmic scale: linear between plus and minus this.
    largest : float
        Largest size of a number on the axis.
    signs : tuple of int
        Signs of the numbers on the axis: -1, 1.
    """

    kind: Literal["linear", "log", "symlog"]
    threshold: float
    largest: float
    signs: tuple[int, ...] = (-1, 1)


def choose_scale(values: FloatArray, errors: FloatArray) -> Scale:
    """Return the scale that shows all values: logarithmic where they range over orders of magnitude.

    Parameters
    ----------
    values, errors : ndarray of float64, shape (m,)
        What is not finite is left out. Values below twice their errors do not widen the range, and nothing
        below such errors is spread out.
    """
    finite = np.isfinite(values)
    sizes = np.abs(values[finite])
    noise = np.nan_to_num(errors[finite], nan=0.0, posinf=0.0)
    largest = float(sizes.max(initial=0.0))
    clear = (sizes > SIGNIFICANT * noise) & (sizes > 0.0)
    smallest = float(sizes[clear].min()) if clear.any() else largest
    if not clear.all():
        smallest = max(smallest, NOISE * float(np.median(noise[~clear])))
    if largest == 0.0 or largest < WIDE_RANGE * smallest:
        return Scale("linear", 0.0, largest)
    if np.all(values[finite] > noise):
        return Scale("log", 0.0, largest)
    lowest = max(math.floor(math.log10(smallest)), math.ceil(math.log10(largest)) - MOST_DECADES)
    signs = tuple(sign for sign in (-1, 1) if (sign * values[finite] > 0.0).any())
    return Scale("symlog", 10.0**lowest, largest, signs)


def linear_scale(values: FloatArray) -> Scale:
    """Return a linear scale for all finite values."""
    return Scale("linear", 0.0, float(np.abs(values[np.isfinite(values)]).max(initial=0.0)))


def limits(scale: Scale, values: FloatArray, errors: FloatArray) -> tuple[float, float]:
    """Return the ends of an axis that shows all values with a margin, and error bars where there is room.

    Parameters
    ----------
    scale : Scale
        From `choose_scale`.
    values, errors : ndarray of float64, shape (m,)
    """
    finite = np.isfinite(values)
    if not finite.any():
        return -1.0, 1.0
    bars = np.nan_to_num(errors[finite], nan=0.0, posinf=0.0)
    low, high = float((values[finite] - bars).min()), float((values[finite] + bars).max())
    if scale.kind == "linear":
        if 0.0 < 2.0 * low < high:
            return 0.0, 1.06 * high
        margin = 0.06 * (high - low) or 0.5 * abs(high) or 1.0
        return low - margin, high + margin
    if scale.kind == "log":
        return float(values[finite].min()) / 2.0, 2.0 * high
    return min(2.0 * low, -scale.threshold), max(2.0 * high, scale.threshold)


def apply_scale(axis: Axis, scale: Scale) -> None:
    """Give an axis its scale, with few and readable ticks."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

    axes = axis.axes
    setter = axes.set_xscale if axis is axes.xaxis else axes.set_yscale
    if scale.kind == "symlog":
        setter("symlog", linthresh=scale.threshold, linscale=0.6)
        axis.set_major_locator(FixedLocator(symmetric_ticks(scale)))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: power_of_ten(value)))
    elif scale.kind == "log":
        setter("log")
        logarithmic_ticks(axis)
    else:
        setter("linear")
        axis.set_major_locator(MaxNLocator(MOST_TICKS - 1, steps=[1, 2, 2.5, 5, 10]))


def logarithmic_ticks(axis: Axis) -> None:
    """Label decades only, or more where there is less than one; no crowd of minor labels."""
    from matplotlib.ticker import LogFormatterSciNotation, LogLocator

    axis.set_major_locator(LogLocator(base=10.0, numticks=MOST_TICKS))
    axis.set_minor_formatter(
        LogFormatterSciNotation(base=10.0, labelOnlyBase=False, minor_thresholds=(1, 0.4))
    )


def symmetric_ticks(scale: Scale) -> list[float]:
    """Return ticks of a symmetric logarithmic axis: 0 and powers of ten of both signs."""
    low, high = round(math.log10(scale.threshold)), math.ceil(math.log10(scale.largest))
    step = max(1, math.ceil((high - low + 1) * len(scale.signs) / MOST_TICKS))
    sizes = [10.0**power for power in range(high, low - 1, -step)]
    return sorted({0.0, *(sign * size for sign in scale.signs for size in sizes)})


def power_of_ten(value: float) -> str:
    """Return a power of ten as mathematical text."""
    if value == 0.0:
        return "0"
    power = round(math.log10(abs(value)))
    if abs(power) <= 1:
        return f"${value:g}$"
    return f"${'-' if value < 0 else ''}10^{{{power}}}$"
