"""The house style of all pictures: few colours, thin lines, 9 points, readable in print."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

# Okabe and Ito's colours: distinct for the colour-blind, and in grey.
BLUE, ORANGE, GREEN, PURPLE, YELLOW, SKY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"
BLACK, GREY, PALE = "#1a1a1a", "#7f7f7f", "#d9d9d9"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, YELLOW, SKY)
MARKERS = ("o", "s", "^", "D", "v", "P")
WIDTH = 7.2
"""Inches: the text width of a page."""

MOST_MARKS = 200
"""Marks ! that one panel may hold."""

MOST_VECTORS = 2000
"""Markers up to which they are drawn as vectors; more are drawn as one image inside a vector file."""

HASH_SALT = "nnft"
FONT = "DejaVu Sans"  # comes with matplotlib
BOX = "\N{WHITE SQUARE}"

SETTINGS: dict[str, Any] = {
    "font.size": 9.0,
    "font.family": FONT,
    "mathtext.fontset": "dejavusans",
    "axes.titlesize": 9.0,
    "axes.labelsize": 9.0,
    "axes.linewidth": 0.6,
    "axes.edgecolor": BLACK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.limits": (-3, 4),
    "axes.formatter.use_mathtext": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.5,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "lines.linewidth": 1.2,
    "lines.markersize": 4.0,
    "errorbar.capsize": 0.0,
    "legend.fontsize": 8.0,
    "legend.frameon": True,
    "legend.framealpha": 0.85,
    "legend.edgecolor": "none",
    "legend.handlelength": 1.6,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "path",
    "svg.hashsalt": HASH_SALT,
    "pdf.fonttype": 42,
}


@contextlib.contextmanager
def house_style() -> Iterator[None]:
    """Set matplotlib's parameters for the block, whatever the user's own are, and restore those after it."""
    import matplotlib

    fonts = logging.getLogger("matplotlib.font_manager")  # tells of every font that a stale cache lacks
    level = fonts.level
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        settings: Any = SETTINGS
        matplotlib.rcParams.update(settings)
        fonts.setLevel(logging.ERROR)
        try:
            yield
        finally:
            fonts.setLevel(level)


def run_colours(count: int) -> list[Any]:
    """Return one colour for each of several runs: the palette, or shades from dark to light for many."""
    if count <= len(COLOURS):
        return list(COLOURS[:count])
    from matplotlib import colormaps

    shades = colormaps["viridis"]
    return [shades(0.92 * place / (count - 1)) for place in range(count)]


def error_bars(
    axes: Axes, x: Any, y: Any, yerr: Any, xerr: Any = None, *, name: str = "", **options: Any
) -> Any:
    """Draw markers with thin error bars; `options` as for ``Axes.errorbar``, `name` of the group in SVG."""
    settings: dict[str, Any] = {"fmt": "o", "elinewidth": 0.7, "markeredgewidth": 0.8, "zorder": 3}
    settings["rasterized"] = len(x) > MOST_VECTORS
    container = axes.errorbar(x, y, yerr=yerr, xerr=xerr, **(settings | options))
    if name:
        container.lines[0].set_gid(name)
    return container


def zero_line(axes: Axes) -> None:
    """Draw the line y = 0."""
    axes.axhline(0.0, color=GREY, linewidth=0.8, zorder=1)


def note(axes: Axes, text: str) -> None:
    """Write a text into the middle of a panel that has nothing else to show."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY)


def mark_unreliable(axes: Axes, x: Any, y: Any, flags: npt.NDArray[np.bool_]) -> None:
    """Write ! beside error bars that cannot be trusted, as the tables do."""
    for row in np.flatnonzero(flags & np.isfinite(y))[:MOST_MARKS]:
        axes.annotate(
            "!", (x[row], y[row]), (3, 1), textcoords="offset points", color=BLACK, fontweight="bold"
        )


def exclamation_mark() -> Line2D:
    """Return what a legend shows for `mark_unreliable`."""
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="", marker="$!$", color=BLACK, label="error not to be trusted")


def label_text(text: str, longest: int = 36) -> str:
    """Return a name, such as that of a file, as a short line in which nothing is read as mathematics.

    A box stands for characters that the font has not, of which matplotlib would warn.
    """
    from matplotlib.font_manager import findfont, get_font

    font = get_font(findfont(FONT))
    printable = text.encode("utf-8", "backslashreplace").decode()
    line = "".join(c if c.isprintable() else " " for c in printable)
    line = "".join(c if font.get_char_index(ord(c)) else BOX for c in line)
    if len(line) > longest:
        line = f"{line[: longest // 2 - 1]}..{line[1 - longest // 2 :]}"
    return line.replace("$", r"\$")


def probability(value: float) -> str:
    """Return a p-value as mathematical text, ``p = 0.031``."""
    if not np.isfinite(value):
        return "$p$ = -"
    if value >= 1e-3:
        return f"$p$ = {value:.2g}"
    if value < 1e-99:
        return "$p < 10^{-99}$"
    digits, _, power = f"{value:.1e}".partition("e")
    return rf"$p$ = ${digits} \times 10^{{{int(power)}}}$"
