"""Pictures of outputs over cutoffs: their mean, variance, kurtosis and tangent kernel; their histograms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nnft.analysis.flow_quantity import FlowQuantity
from nnft.errors import UsageError
from nnft.plots.cutoff_axis import CutoffAxis, draw_along, scale_along
from nnft.plots.scales import apply_scale, limits
from nnft.plots.style import (
    BLACK,
    BLUE,
    COLOURS,
    GREEN,
    GREY,
    MARKERS,
    ORANGE,
    WIDTH,
    label_text,
    zero_line,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FloatArray = npt.NDArray[np.float64]

TITLES = {
    "mean": (r"mean $\langle f \rangle$", "linear"),
    "connected_2": (r"variance $G_2(a, a)$", "any"),
    "excess_kurtosis": (r"excess kurtosis $G_4 / G_2^2$", "any"),
    "tangent": (r"tangent kernel $\Theta(a, a)$", "any"),
}
FEWEST = 8
"""Networks below which there is no histogram."""

FENCE = 6.0
"""Distances between the quartiles, from the median, beyond which outputs are counted and not drawn."""

COLUMNS = (BLUE, GREEN, ORANGE)


def outputs_figure(quantities: Sequence[FlowQuantity], points: Sequence[int], source: str) -> Figure:
    """Return panels of quantities over cutoffs, a line for each of some mesh points.

    Parameters
    ----------
    quantities : sequence of FlowQuantity
        Some of `TITLES`, each with one component for each point.
    points : sequence of int
    source : str
        Name of the file.
    """
    from matplotlib.figure import Figure

    columns = 2 if len(quantities) > 1 else 1
    rows = -(-len(quantities) // columns)
    figure = Figure(figsize=(WIDTH, 0.7 + 2.2 * rows), layout="constrained")
    panels = np.ravel(figure.subplots(rows, columns, squeeze=False))
    for panel in panels[len(quantities) :]:
        panel.remove()
    for panel, quantity in zip(panels, quantities, strict=False):
        axis = CutoffAxis.of(quantity.cutoffs)
        title, kind = TITLES[quantity.name]
        _scaled(panel, quantity, kind)
        for k, point in enumerate(points):
            draw_along(
                panel, axis, quantity.value[:, k], quantity.stderr[:, k], colour=COLOURS[k % len(COLOURS)],
                marker=MARKERS[k % len(MARKERS)], label=f"point {point}",
            )  # fmt: skip
        axis.dress(panel)
        panel.set_ylabel(title)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    figure.suptitle(f"{label_text(source, 50)}: outputs over cutoffs, band: one standard error", fontsize=9.0)
    return figure


def _scaled(panel: Axes, quantity: FlowQuantity, kind: str) -> None:
    """Give a panel the scale that its numbers need."""
    value, error = quantity.value.ravel(), quantity.stderr.ravel()
    if kind == "linear" or not np.isfinite(value).any():
        zero_line(panel)
        return
    scale = scale_along(value, error)
    apply_scale(panel.yaxis, scale)
    if scale.kind != "linear":
        panel.set_ylim(*limits(scale, value, error))
    else:
        zero_line(panel)


@dataclass(frozen=True, eq=False)
class OutputSamples:
    """Outputs of single networks at a few cutoffs.

    Attributes
    ----------
    outputs : ndarray of float64, shape (networks, cutoffs, points)
    names : tuple of str
        What the cutoffs are called.
    points : tuple of int
        Mesh points.
    """

    outputs: FloatArray
    names: tuple[str, ...]
    points: tuple[int, ...]


def histogram_figure(samples: OutputSamples, source: str) -> Figure:
    """Return histograms of the outputs: a row for each mesh point, a column for each cutoff.

    Beside each stands the normal law of the same mean and variance. A column has a range of its own: the
    outputs of trained networks and of those that forgot their data differ by orders of magnitude.

    Parameters
    ----------
    samples : OutputSamples
    source : str
        Name of the file.

    Raises
    ------
    UsageError
        Fewer than eight networks.
    """
    from matplotlib.figure import Figure

    if len(samples.outputs) < FEWEST:
        raise UsageError(
            f"too few outputs for a histogram: got {len(samples.outputs)} networks, needed {FEWEST}"
        )
    rows, columns = len(samples.points), len(samples.names)
    figure = Figure(figsize=(WIDTH, 0.9 + 1.6 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False)
    for k, point in enumerate(samples.points):
        for c in range(columns):
            _histogram(panels[k, c], samples.outputs[:, c, k], COLUMNS[c % len(COLUMNS)])
        panels[k, 0].set_ylabel(f"point {point}, density")
    for c, name in enumerate(samples.names):
        panels[0, c].set_title(name, y=1.1)  # the same height above panels with a power of ten and without
        panels[-1, c].set_xlabel("output $f$")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    title = f"{label_text(source, 50)}: outputs of {len(samples.outputs)} networks"
    figure.suptitle(title, fontsize=9.0)
    return figure


def _histogram(panel: Axes, values: FloatArray, colour: str) -> None:
    from matplotlib.ticker import MaxNLocator

    middle, quarters = float(np.median(values)), np.quantile(values, (0.25, 0.75))
    reach = FENCE * float(quarters[1] - quarters[0]) or 0.5 * abs(middle) or 1.0
    low, high = max(float(values.min()), middle - reach), min(float(values.max()), middle + reach)
    margin = 0.05 * (high - low) or 0.5 * abs(middle) or 1.0
    edges = np.linspace(low - margin, high + margin, 1 + int(np.clip(1.5 * len(values) ** 0.5, 12, 40)))
    counts = np.histogram(values, edges)[0]
    density = counts / (len(values) * np.diff(edges))
    panel.stairs(density, edges, color=colour, alpha=0.35, fill=True)
    panel.stairs(density, edges, color=colour, linewidth=1.0)
    mean, deviation = float(values.mean()), float(values.std(ddof=1))
    if deviation > 0.0:
        x = np.linspace(edges[0], edges[-1], 200)
        normal = np.exp(-0.5 * ((x - mean) / deviation) ** 2) / (deviation * (2.0 * np.pi) ** 0.5)
        panel.plot(x, normal, color=BLACK, linewidth=0.8, label="normal law of the same mean and variance")
    panel.set_xlim(edges[0], edges[-1])
    panel.set_ylim(0.0, None)
    panel.xaxis.set_major_locator(MaxNLocator(4))
    panel.yaxis.set_major_locator(MaxNLocator(4))
    outside = len(values) - int(counts.sum())
    if outside:
        panel.annotate(
            f"{outside} outside", (0.98, 0.96), xycoords="axes fraction", ha="right", va="top", color=GREY,
            fontsize=7.5,
        )  # fmt: skip
