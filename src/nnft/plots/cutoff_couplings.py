"""The picture of couplings over cutoffs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nnft.analysis.flow_couplings import FlowCouplings
from nnft.plots.cutoff_axis import CutoffAxis, draw_along, scale_along
from nnft.plots.scales import apply_scale, limits
from nnft.plots.style import COLOURS, GREY, MARKERS, WIDTH, label_text, zero_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS = (
    ("quadratic", r"quadratic coupling $A_{aa}$"),
    ("quartic", r"quartic coupling $\lambda_{aaaa}$"),
    ("reduced_quartic", r"$\lambda_{aaaa} \, G_2(a, a)^2$"),
)


def couplings_figure(couplings: FlowCouplings, source: str) -> Figure:
    """Return panels of the couplings at coincident points over cutoffs, with bands of one standard error.

    Parameters
    ----------
    couplings : FlowCouplings
    source : str
        Name of the file.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 6.4), layout="constrained")
    panels = figure.subplots(3, 1, sharex=True)
    axis = CutoffAxis.of(couplings.cutoffs)
    for panel, (name, label) in zip(panels, PANELS, strict=True):
        table = couplings.table(name)
        slots = table.indices.shape[1]
        places = [table.place([point] * slots) for point in couplings.points.tolist()]
        value, error = table.value[:, places], table.stderr[:, places]
        scale = scale_along(value, error)
        apply_scale(panel.yaxis, scale)
        if scale.kind != "linear":
            panel.set_ylim(*limits(scale, value.ravel(), error.ravel()))
        if scale.kind != "log":
            zero_line(panel)
        for k, point in enumerate(couplings.points.tolist()):
            draw_along(
                panel, axis, value[:, k], error[:, k], colour=COLOURS[k % len(COLOURS)],
                marker=MARKERS[k % len(MARKERS)], label=f"point {point}",
            )  # fmt: skip
        axis.dress(panel, label=panel is panels[-1])
        panel.set_ylabel(label)
        for position in couplings.reasons:
            panel.axvspan(
                axis.x[position] - 0.1, axis.x[position] + 0.1, color=GREY, alpha=0.25, linewidth=0.0
            )
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6)
    grey = "; grey: singular covariance" if couplings.reasons else ""
    title = f"{label_text(source, 40)}: couplings of the action, band: one standard error{grey}"
    panels[0].set_title(title)
    return figure
