"""The axis of cutoffs: logarithmic between, with places of their own for zero and infinity."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nnft.plots.scales import Scale, choose_scale
from nnft.plots.style import GREY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.ticker import Locator

FloatArray = npt.NDArray[np.float64]

GAP = 0.11
"""Distance of zero and infinity from the other cutoffs, in units of the range of those."""

MOST_DECADES = 7
"""Labels of decades on an axis."""


@dataclass(frozen=True, eq=False)
class CutoffAxis:
    """Where cutoffs stand.

    Attributes
    ----------
    x : ndarray of float64, shape (C,)
        Decimal logarithms; zero and infinity stand beside the range of the others.
    inner : ndarray of bool, shape (C,)
        Neither zero nor infinity.
    low, high : float
        Range of the logarithms of the others.
    """

    x: FloatArray
    inner: npt.NDArray[np.bool_]
    low: float
    high: float

    @classmethod
    def of(cls, cutoffs: npt.ArrayLike) -> CutoffAxis:
        """Return the axis of increasing cutoffs."""
        given = np.asarray(cutoffs, dtype=np.float64)
        inner = (given > 0.0) & np.isfinite(given)
        x = np.zeros(len(given))
        x[inner] = np.log10(given[inner])
        low, high = (float(x[inner].min()), float(x[inner].max())) if inner.any() else (0.0, 0.0)
        gap = GAP * max(high - low, 1.0)
        x[given == 0.0] = low - gap
        x[np.isinf(given)] = high + gap
        return cls(x, inner, low, high)

    def place(self, cutoff: float) -> float:
        """Return where a cutoff stands."""
        if math.isinf(cutoff):
            return float(self.x[-1])
        return math.log10(cutoff) if cutoff > 0.0 else float(self.x[0])

    def dress(self, axes: Axes, label: bool = True) -> None:
        """Give an axis its range, its ticks and lines where zero and infinity are cut off."""
        gap = GAP * max(self.high - self.low, 1.0)
        axes.set_xlim(self.low - 1.6 * gap, self.high + 1.6 * gap)
        step = max(1, math.ceil((self.high - self.low + 1.0) / MOST_DECADES))
        decades = [
            k for k in range(math.ceil(self.low - 1e-9), math.floor(self.high + 1e-9) + 1) if k % step == 0
        ]
        if not decades and self.inner.any():
            named = [(value, f"{10.0**value:.3g}") for value in (self.low, self.high)]
        else:
            named = [(float(k), "1" if k == 0 else rf"$10^{{{k}}}$") for k in decades]
        ends = [(self.low - gap, "0"), (self.high + gap, r"$\infty$")]
        if self.inner.any():
            named = [one for one in named if self.low - 0.4 * gap < one[0] < self.high + 0.4 * gap]
        else:
            named = []
        ticks = [ends[0], *dict(named).items(), ends[1]]
        axes.set_xticks([place for place, _ in ticks], [text for _, text in ticks])
        axes.xaxis.set_minor_locator(_nothing())
        for border in (self.low - 0.5 * gap, self.high + 0.5 * gap):
            axes.axvline(border, color=GREY, linewidth=0.6, linestyle=(0, (1, 2)), zorder=0)
        if label:
            axes.set_xlabel("cutoff of the information")


def scale_along(value: FloatArray, stderr: FloatArray) -> Scale:
    """Return the scale of a quantity along a flow, any shape; of one sign all of its numbers count.

    Errors along a flow are strongly correlated: how numbers of one sign fall over decades is seen although
    the error of each of them is large.
    """
    values, errors = value.ravel(), np.where(np.isfinite(stderr), stderr, 0.0).ravel()
    finite = values[np.isfinite(values)]
    if (finite > 0.0).all() or (finite < 0.0).all():
        errors = np.zeros_like(values)
    return choose_scale(values, errors)


def _nothing() -> Locator:
    from matplotlib.ticker import NullLocator

    return NullLocator()


def draw_along(
    axes: Axes,
    axis: CutoffAxis,
    value: FloatArray,
    stderr: FloatArray,
    *,
    colour: str,
    marker: str,
    label: str,
) -> None:
    """Draw a quantity along a flow: markers with errors; between the ends also a line and a band."""
    known = np.isfinite(value)
    error = np.where(np.isfinite(stderr), stderr, 0.0)
    inner = axis.inner & known
    axes.fill_between(
        axis.x[inner], (value - error)[inner], (value + error)[inner], color=colour, alpha=0.2, linewidth=0.0
    )
    axes.plot(axis.x[inner], value[inner], color=colour, linewidth=0.9)
    axes.errorbar(
        axis.x[known], value[known], error[known], fmt=marker, color=colour, markersize=3.0, elinewidth=0.7,
        label=label,
    )  # fmt: skip
