"""The density of one output at single input points: Edgeworth's series over a histogram."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from nnft.actions.action import Action
from nnft.actions.density import EdgeworthDensity
from nnft.actions.source import CumulantSource
from nnft.plots.style import BLACK, BLUE, GREY, ORANGE, PALE, zero_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FloatArray = npt.NDArray[np.float64]

MOST_SLICES = 4
MOST_NETWORKS = 20_000
REACH = 4.5
"""Standard deviations to each side that are shown."""

GRID = 361
MOST_BINS = 61
"""Of a histogram; there are fewer for few networks. An odd number: one bin is centred at zero."""

FEWEST_IN_BIN = 5.0
"""Outputs expected in a bin, if the field is Gaussian, from which on it is compared with the Gaussian."""

SMALLEST_VARIANCE = 1e-13
CORE = 2.6
"""Standard deviations within which everything is inside of the panel of ratios."""

BAR = 0.035
SERIES: tuple[tuple[str, str, Literal["--", "-"]], ...] = (
    ("Gaussian", BLACK, "--"),
    ("through 1/N", BLUE, "-"),
    ("through 1/N$^2$", ORANGE, "-"),
)


@dataclass(frozen=True, eq=False)
class Slice:
    """The output at one input point.

    Attributes
    ----------
    point : int
    density : EdgeworthDensity
        Of one field, through the order of the action.
    outputs : ndarray of float64, shape (M,), or None
        Stored outputs of M networks.
    """

    point: int
    density: EdgeworthDensity
    outputs: FloatArray | None

    @property
    def deviation(self) -> float:
        """Standard deviation."""
        return float(np.sqrt(self.density.metric[0, 0]))

    @property
    def fields(self) -> FloatArray:
        """Values of the output at which the curves are drawn."""
        grid: FloatArray = np.linspace(-REACH, REACH, GRID) * self.deviation
        return grid

    def series(self) -> list[tuple[FloatArray, FloatArray]]:
        """Return density and density / Gaussian along `fields`, order by order from the Gaussian on."""
        orders = [self.density.truncated(order) for order in range(self.density.order + 1)]
        return [(d.density(self.fields[:, None]), d.correction(self.fields[:, None])) for d in orders]

    @property
    def negative(self) -> bool:
        """Whether a series is negative where it is drawn."""
        return any(bool((ratio < 0.0).any()) for _, ratio in self.series())

    def histogram(self) -> tuple[FloatArray, FloatArray] | None:
        """Return counts and edges of the bins, if there are outputs; more may lie beyond the edges."""
        if self.outputs is None:
            return None
        bins = min(MOST_BINS, 2 * math.isqrt(len(self.outputs)) + 1)
        counts, edges = np.histogram(self.outputs, np.linspace(-REACH, REACH, bins + 1) * self.deviation)
        return counts.astype(np.float64), edges


def density_slices(action: Action, run: CumulantSource) -> tuple[list[Slice], str]:
    """Return the slices of a picture and what their histograms are made of.

    Parameters
    ----------
    action : Action
    run : CumulantSource
        What the action was computed from.

    Returns
    -------
    slices : list of Slice
        All points of the action, or a few spread evenly; points where the output vanishes are left out.
    source : str
        A line for the title.

    Raises
    ------
    DataFileError
        If the file keeps outputs that cannot be read.
    """
    variance = np.diagonal(action.kernel.value)
    alive = action.points[variance > SMALLEST_VARIANCE * variance.max()]
    chosen = alive[np.unique(np.linspace(0, len(alive) - 1, MOST_SLICES).round().astype(int))]
    cumulants = [
        run.replicates(order, None, np.repeat(chosen[:, None], order, axis=1)).value
        for order in (2, 4, 6)[: action.order // 2]
    ]
    outputs, source = _stored_outputs(run, chosen)
    slices = []
    for place, point in enumerate(chosen):
        metric, *higher = (cumulant[place] for cumulant in cumulants)
        density = EdgeworthDensity([[metric]], *([cumulant] for cumulant in higher))
        slices.append(Slice(int(point), density, None if outputs is None else outputs[:, place]))
    return slices, source


def _stored_outputs(run: Any, points: npt.NDArray[np.int32]) -> tuple[FloatArray | None, str]:
    """Return outputs of the first networks at some points, shape (M, points), and where they come from."""
    manifest = getattr(getattr(run, "stored", None), "fields", None)
    if manifest is None or manifest.rows == 0:
        return None, "no outputs are kept in the file"
    if "deformation" in run.card:
        return None, "no histogram: the outputs in the file are those of the undeformed ensemble"
    count = min(MOST_NETWORKS, manifest.rows)
    fields = run.fields(0, count)[:, 0, :]
    return fields[:, points].astype(np.float64), f"histogram of the outputs of {count:,} networks"


def draw_density(axes: Axes, part: Slice) -> None:
    """Draw histogram and series, and bars at the foot where a series is negative."""
    x, series = part.fields, part.series()
    highest, histogram = float(series[0][0].max()), part.histogram()
    if histogram is not None:
        counts, edges = histogram
        heights = counts / (len(part.outputs if part.outputs is not None else ()) * np.diff(edges))
        axes.stairs(heights, edges, fill=True, color=PALE, zorder=1)
        highest = max(highest, float(heights.max()))
    for order, ((values, _), (_, colour, line)) in enumerate(zip(series, SERIES, strict=False)):
        axes.plot(x, values, line, color=colour, linewidth=1.0, zorder=2 + order)
        if order:
            axes.fill_between(
                x, -order * BAR, (1 - order) * BAR, values < 0.0,
                transform=axes.get_xaxis_transform(), color=colour, linewidth=0.0, clip_on=False,
            )  # fmt: skip
    lowest, top = (extreme([values for values, _ in series]) for extreme in (np.min, np.max))
    zero_line(axes)
    axes.set_ylim(max(1.05 * min(lowest, 0.0), -0.4 * highest), min(1.05 * max(top, highest), 1.6 * highest))
    axes.set_xlim(x[0], x[-1])
    axes.tick_params(labelbottom=False)
    axes.set_title(f"input {part.point}")


def draw_ratio(axes: Axes, part: Slice) -> None:
    """Draw histogram and series divided by the Gaussian."""
    x, ratios = part.fields, [ratio for _, ratio in part.series()]
    shown = [ratio[np.abs(x) < CORE * part.deviation] for ratio in ratios]
    histogram = part.histogram()
    if histogram is not None and part.outputs is not None:
        counts, edges = histogram
        expected = len(part.outputs) * np.diff([_normal(edge / part.deviation) for edge in edges])
        full = expected >= FEWEST_IN_BIN
        middle, scale = 0.5 * (edges[1:] + edges[:-1])[full], 1.0 / expected[full]
        y, error = counts[full] * scale, np.sqrt(counts[full]) * scale
        axes.errorbar(
            middle, y, error, fmt="o", color=GREY, markersize=1.5, elinewidth=0.5, zorder=1
        )  # fmt: skip
        core = np.abs(middle) < CORE * part.deviation
        shown += [(y - error)[core], (y + error)[core]]
    for order, (ratio, (_, colour, line)) in enumerate(zip(ratios, SERIES, strict=False)):
        axes.plot(x, ratio, line, color=colour, linewidth=1.0, zorder=2 + order)
    values = np.concatenate([numbers[np.isfinite(numbers)] for numbers in shown])  # few fill no bin
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 2.0)
    margin = 0.1 * (high - low) + 0.01
    axes.set_ylim(max(low - margin, -1.0), min(high + margin, 4.0))
    axes.set_xlim(x[0], x[-1])
    axes.set_xlabel(rf"output $\phi_{{{part.point}}}$")


def _normal(value: float) -> float:
    return 0.5 * math.erfc(-value / math.sqrt(2.0))
