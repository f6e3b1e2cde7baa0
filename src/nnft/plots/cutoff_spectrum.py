"""The picture of the spectrum of the information, with the cutoffs of a flow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nnft.analysis.flow_spectrum import FlowSpectrum
from nnft.errors import UsageError
from nnft.plots.scales import logarithmic_ticks
from nnft.plots.style import BLUE, GREY, ORANGE, WIDTH, label_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FloatArray = npt.NDArray[np.float64]

RARE = 1e-3
"""Share of the parameters with information whose long tail is left of the picture; the share below has it."""


def spectrum_figure(spectrum: FlowSpectrum, cutoffs: FloatArray, source: str) -> Figure:
    """Return the histogram of the information over parameters and networks.

    Parameters
    ----------
    spectrum : FlowSpectrum
    cutoffs : ndarray of float64, shape (C,)
        Drawn as short lines.
    source : str
        Name of the file.

    Raises
    ------
    UsageError
        No parameter has any information.
    """
    from matplotlib.figure import Figure

    used = spectrum.used()
    if used.stop == 0:
        raise UsageError("nothing to draw of the spectrum: got no parameter with any information")
    figure = Figure(figsize=(WIDTH, 3.8), layout="constrained")
    grid = figure.add_gridspec(1, 2, width_ratios=(1, 14), wspace=0.02)
    zero, axes = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
    _draw_silent(zero, float(spectrum.share[0]))
    _draw_histogram(axes, spectrum, used, cutoffs)
    below = axes.twinx()
    _draw_below(below, spectrum, used)
    first, second = axes.get_legend_handles_labels(), below.get_legend_handles_labels()
    figure.legend(first[0] + second[0], first[1] + second[1], loc="outside lower center", ncols=3)
    name = label_text(source, 40)
    axes.set_title(f"{name}: information of {spectrum.parameters} parameters, mean over networks", pad=9.0)
    return figure


def _draw_histogram(axes: Axes, spectrum: FlowSpectrum, used: slice, cutoffs: FloatArray) -> None:
    edges = spectrum.edges[used.start : used.stop + 1]
    share, error = spectrum.share[2:-1][used], spectrum.stderr[2:-1][used]
    widths = np.diff(np.log10(edges))
    axes.stairs(share / widths, edges, fill=True, color=BLUE, alpha=0.35)
    axes.stairs(share / widths, edges, color=BLUE, linewidth=1.0)
    middle, known = np.sqrt(edges[1:] * edges[:-1]), np.isfinite(error) & (share > 0.0)
    density, bar = (share / widths)[known], (error / widths)[known]
    axes.errorbar(middle[known], density, bar, fmt="none", ecolor=BLUE, elinewidth=0.7)
    axes.set_xscale("log")
    logarithmic_ticks(axes.xaxis)
    axes.set_ylim(0.0, 1.12 * float((share / widths).max()))
    inner = cutoffs[(cutoffs > 0.0) & np.isfinite(cutoffs)]
    axes.plot(
        inner, np.full(len(inner), 1.0), marker="|", markersize=9.0, linestyle="", color=GREY,
        transform=axes.get_xaxis_transform(), clip_on=False, label="cutoffs",
    )  # fmt: skip
    first = edges[int((np.cumsum(share) < RARE * share.sum()).sum())]
    ends = (first, edges[-1]) if not len(inner) else (min(first, inner[0]), max(edges[-1], inner[-1]))
    axes.set_xlim(ends[0] / 2.0, ends[1] * 2.0)
    axes.set_xlabel("information of a parameter")
    axes.set_ylabel("share of the parameters per decade")


def _draw_below(axes: Axes, spectrum: FlowSpectrum, used: slice) -> None:
    """Draw the share of parameters below an information, from 0 to 1 on the right."""
    from matplotlib.ticker import PercentFormatter

    share = spectrum.share[2:-1][used]
    total = np.concatenate([[0.0], np.cumsum(share)]) + spectrum.share[0] + spectrum.share[1]
    axes.plot(
        spectrum.edges[used.start : used.stop + 1], total, color=ORANGE, linewidth=1.2,
        label="share below (right axis)",
    )  # fmt: skip
    axes.set_ylim(0.0, 1.12)
    axes.set_yticks([0.0, 0.25, 0.5, 0.75, 1.0])
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.spines["right"].set_visible(True)
    axes.grid(visible=False)


def _draw_silent(axes: Axes, share: float) -> None:
    """Draw the share of parameters without any information."""
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    axes.bar([0.0], [share], width=0.6, color=GREY)
    axes.set_xlim(-0.6, 0.6)
    axes.set_xticks([0.0], ["0"])
    axes.set_ylabel("share without any information")
    if share == 0.0:
        axes.set_ylim(0.0, 1.0)
        axes.set_yticks([0.0], ["0%"])
        axes.text(0.0, 0.5, "none", rotation=90.0, ha="center", va="center", color=GREY)
        return
    axes.set_ylim(0.0, 1.25 * share)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0 if share > 0.04 else None))
