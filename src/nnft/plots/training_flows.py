"""The picture of flows: correlators and kernels of an ensemble along its training."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nnft.errors import UsageError, shorten
from nnft.plots.files import check_picture, save_picture
from nnft.plots.style import (
    BLUE,
    COLOURS,
    MARKERS,
    ORANGE,
    WIDTH,
    exclamation_mark,
    house_style,
    label_text,
    note,
    zero_line,
)
from nnft.plots.training_axis import (
    Moments,
    Series,
    draw_series,
    draw_spread,
    moment_axis,
    spread_band,
    value_axis,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ORDERS = {
    1: r"mean $\langle f_a \rangle$",
    2: r"$\kappa_2 = \langle f_a f_b \rangle_c$",
    3: r"$\kappa_3 = \langle f_a f_b f_c \rangle_c$",
    4: r"$\kappa_4 = \langle f_a f_b f_c f_d \rangle_c$",
}
KERNELS = {
    "kernel": r"readout kernel $\langle K_{ab} \rangle$",
    "tangent_kernel": r"tangent kernel $\langle \Theta_{ab} \rangle$",
}
MOVEMENTS = {
    "kernel_movement": ("readout kernel $K$", BLUE, "o"),
    "tangent_movement": (r"tangent kernel $\Theta$", ORANGE, "s"),
}


@dataclass(frozen=True, eq=False)
class Component:
    """One component of a correlator or kernel along a training.

    Attributes
    ----------
    points : tuple of int
        Its input points.
    series : Series
    """

    points: tuple[int, ...]
    series: Series

    @property
    def label(self) -> str:
        """Its points, ``0,0,1,1``."""
        return ",".join(map(str, self.points))

    @property
    def coincident(self) -> bool:
        """Whether all points are the same."""
        return len(set(self.points)) == 1


@dataclass(frozen=True, eq=False)
class FlowCurves:
    """Correlators, kernels and their movement along a training.

    Attributes
    ----------
    moments : Moments
    correlators : mapping of int to sequence of Component
        Connected correlators of orders 1 (the mean) to 4.
    kernels : mapping of str to sequence of Component
        "kernel", C_b + C_W/n sum phi phi of the last layer, and "tangent_kernel", averaged over networks.
    movements : mapping of str to Series
        "kernel_movement" and "tangent_movement": |K(t) - K(0)| / |K(0)| of each network.
    source : str
        What the picture is of, such as the name of the file.
    """

    moments: Moments
    correlators: Mapping[int, Sequence[Component]]
    kernels: Mapping[str, Sequence[Component]] = field(default_factory=dict)
    movements: Mapping[str, Series] = field(default_factory=dict)
    source: str = ""


def draw_flows(curves: FlowCurves, path: str | os.PathLike[str]) -> Path:
    """Draw correlators and kernels along a training into a file.

    Parameters
    ----------
    curves : FlowCurves
    path : str or path
        Ends in .svg, .png or .pdf; replaced if it exists.

    Returns
    -------
    Path

    Raises
    ------
    UsageError
        If the name is impossible, or there is nothing to draw.
    EnvironmentRefusal
        If matplotlib is missing or the disk refuses.
    """
    picture = check_picture(path)
    with house_style():
        return save_picture(flows_figure(curves), picture)


def flows_figure(curves: FlowCurves) -> Figure:
    """Return the picture of flows as a figure; parameters as in `draw_flows`.

    Notes
    -----
    The style is set by `nnft.plots.style.house_style`, inside of which the figure must also be saved.
    """
    from matplotlib.figure import Figure

    panels = _contents(curves)
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(WIDTH, 4.2 if rows == 1 else 2.35 * rows + 0.4), layout="constrained")
    grid = figure.add_gridspec(rows, columns)
    unreliable = False
    for place, (kind, key) in enumerate(panels):
        last = place == len(panels) - 1 and len(panels) % columns == 1
        axes = figure.add_subplot(
            grid[place // columns, :] if last else grid[place // columns, place % columns]
        )
        if kind == "movements":
            draw_movements(axes, curves)
        else:
            unreliable |= _draw_panel(axes, curves, kind, key)
        moment_axis(axes, curves.moments)
    if unreliable:
        figure.legend(handles=[exclamation_mark()], loc="outside lower center")
    legends = "numbers are those of the input points"
    figure.suptitle(f"{label_text(curves.source, 60)}: {legends}" if curves.source else legends, fontsize=9.0)
    return figure


def _contents(curves: FlowCurves) -> list[tuple[str, int | str]]:
    """Return what the panels show, one after the other."""
    found: list[tuple[str, int | str]] = [
        ("correlators", order) for order in sorted(curves.correlators) if _finite(curves.correlators[order])
    ]
    found += [("kernels", name) for name in KERNELS if _finite(curves.kernels.get(name, ()))]
    moving = [name for name in MOVEMENTS if name in curves.movements]
    if any(np.isfinite(curves.movements[name].value).any() for name in moving):
        found.append(("movements", ""))
    if not found:
        raise UsageError(
            f"no flow to draw in {shorten(curves.source)}: got no number along the training; see nnft status"
        )
    return found


def _finite(components: Sequence[Component]) -> bool:
    return any(np.isfinite(one.series.value).any() for one in components)


def _draw_panel(axes: Axes, curves: FlowCurves, kind: str, key: int | str) -> bool:
    """Draw the components of one correlator or kernel; return whether an error cannot be trusted."""
    components = curves.correlators[key] if isinstance(key, int) else curves.kernels[key]
    draw_components(axes, curves.moments, components, f"{kind}-{key}")
    axes.set_ylabel(ORDERS[key] if isinstance(key, int) else KERNELS[key])
    return any(one.series.unreliable is not None and one.series.unreliable.any() for one in components)


def draw_components(axes: Axes, moments: Moments, components: Sequence[Component], name: str) -> None:
    """Draw components against the moments: coincident points filled, others hollow."""
    zero_line(axes)
    for place, one in enumerate(components):
        colour = COLOURS[place % len(COLOURS)]
        draw_series(
            axes, moments, one.series, colour=colour, label=one.label, name=f"{name}-{place}",
            fmt=MARKERS[place % len(MARKERS)], markerfacecolor=colour if one.coincident else "white",
            linestyle="-" if one.coincident else "--",
        )  # fmt: skip
    value_axis(axes, [one.series for one in components])
    legend_above(axes, len(components))


def legend_above(axes: Axes, count: int) -> None:
    """Write the legend above the panel, where it hides nothing."""
    columns = count if count <= 3 else -(-count // 2)
    axes.legend(
        loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=columns, borderaxespad=0.2, columnspacing=1.2
    )  # fmt: skip


def draw_movements(axes: Axes, curves: FlowCurves) -> None:
    """Draw how far the kernels of the networks are from where they started."""
    shown: list[Series] = []
    for name, (label, colour, marker) in MOVEMENTS.items():
        if name in curves.movements:
            series = curves.movements[name]
            draw_spread(axes, curves.moments, series, colour=colour)
            draw_series(axes, curves.moments, series, colour=colour, label=label, name=name, fmt=marker)
            shown.append(series)
    if not any((one.value > 0.0).any() for one in shown):
        note(axes, "the kernels stay as they are")
    top = max(float(np.nanmax(spread_band(one)[1])) for one in shown)
    axes.set_ylim(0.0, 1.06 * top or 1.0)
    axes.set_ylabel("relative movement\n" + r"$|K(t) - K(0)| / |K(0)|$")
    legend_above(axes, len(shown))
