"""The picture of a propagator: momentum space, position space, and differences from the exact one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nnft.errors import UsageError
from nnft.estimators.notation import number_with_error
from nnft.plots.files import check_picture, save_picture
from nnft.plots.style import BLACK, BLUE, GREY, ORANGE, WIDTH, house_style, label_text
from nnft.theory.cos_network import free_momentum_propagator, free_propagator

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CURVE = 200


def draw_propagator(record: Mapping[str, Any], path: str | os.PathLike[str]) -> Path:
    """Draw a propagator into a file.

    Parameters
    ----------
    record : mapping
        As `nnft.pipeline.propagator_output.propagator_record` gives it.
    path : str or path
        Ends in .svg, .png or .pdf; replaced if it exists.

    Raises
    ------
    UsageError
        If the name is impossible or there is nothing to draw.
    EnvironmentRefusal
        If matplotlib is missing or the disk refuses.
    """
    picture = check_picture(path)
    with house_style():
        return save_picture(propagator_figure(record), picture)


def propagator_figure(record: Mapping[str, Any]) -> Figure:
    """Return the picture as a figure; parameters as in `draw_propagator`."""
    from matplotlib.figure import Figure

    spaces = [name for name in ("momentum", "position") if "rows" in record[name]]
    if not spaces:
        raise UsageError("nothing to draw: got no propagator in momentum or position space")
    figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
    panels = figure.subplots(2, len(spaces), sharex="col", height_ratios=(3, 1), squeeze=False)
    for column, name in enumerate(spaces):
        upper, lower = panels[0, column], panels[1, column]
        (_draw_momentum if name == "momentum" else _draw_position)(upper, record)
        _draw_pulls(lower, record[name]["rows"])
        lower.set_xlabel(r"momentum $|p|$" if name == "momentum" else r"distance $|x - y|$")
    panels[1, 0].set_ylabel("pull")
    source = label_text(str(record["source"]), 50)
    figure.suptitle(f"{source}: {record['kind']}, d = {record['dimension']}", fontsize=9.0)
    return figure


def _draw_momentum(axes: Axes, record: Mapping[str, Any]) -> None:
    part = record["momentum"]
    edges = [part["rows"][0]["from"], *(row["to"] for row in part["rows"])]
    places = np.linspace(0.0, edges[-1], CURVE, endpoint=False)
    curve = record["prefactor"] * free_momentum_propagator(places, record["mass"], record["cutoff"])
    axes.plot(places, curve, color=BLACK, linewidth=0.9, label=_exact_label(record))
    low, high = np.array(edges[:-1]), np.array(edges[1:])
    value = np.array([row["value"] for row in part["rows"]])
    error = np.array([row["stderr"] for row in part["rows"]])
    axes.errorbar(
        0.5 * (low + high), value, error, 0.5 * (high - low), color=BLUE, fmt="o", label="measured in shells"
    )
    if part["fit"] is not None:
        fit = part["fit"]
        fitted = fit["normalisation"] / (places**2 + fit["mass"] ** 2)
        label = _fit_label(fit)
        axes.plot(places, fitted, color=ORANGE, linestyle="--", linewidth=0.9, label=label)
    axes.set_ylabel(r"$G(p)$")
    axes.set_ylim(bottom=0.0)
    axes.legend(loc="upper right")


def _fit_label(fit: Mapping[str, Any]) -> str:
    pairs = (("m", "mass"), ("Z", "normalisation"))
    shown = [f"{letter} = {number_with_error(fit[key], fit[f'{key}_stderr'])}" for letter, key in pairs]
    return f"fit: {', '.join(shown)}"


def _draw_position(axes: Axes, record: Mapping[str, Any]) -> None:
    part, rows = record["position"], record["position"]["rows"]
    distance = np.array([row["distance"] for row in rows])
    value, error = (np.array([row[name] for row in rows]) for name in ("value", "stderr"))
    places = np.linspace(0.0, 1.05 * float(distance.max()) or 1.0, CURVE)
    numbers = int(record["dimension"]), float(record["mass"]), float(record["cutoff"])
    curve = record["prefactor"] * free_propagator(places, *numbers)
    axes.plot(places, curve, color=BLACK, linewidth=0.9, label=_exact_label(record))
    axes.errorbar(distance, value, error, color=BLUE, fmt="o", label="two-point function, errors correlated")
    if part["fit"] is not None:
        fit = part["fit"]
        fitted = fit["normalisation"] * free_propagator(places, numbers[0], fit["mass"], numbers[2])
        label = _fit_label(fit)
        axes.plot(places, fitted, color=ORANGE, linestyle="--", linewidth=0.9, label=label)
    axes.axhline(0.0, color=GREY, linewidth=0.6)
    axes.set_ylabel(r"$G(x - y)$")
    axes.legend(loc="upper right")


def _exact_label(record: Mapping[str, Any]) -> str:
    return "before the training" if record["trained"] else "exact"


def _draw_pulls(axes: Axes, rows: list[dict[str, Any]]) -> None:
    """Draw the differences from the exact propagator in units of the errors."""
    shells = "from" in rows[0]
    places = [0.5 * (row["from"] + row["to"]) if shells else row["distance"] for row in rows]
    pulls = [np.nan if row["pull"] is None else row["pull"] for row in rows]
    axes.axhline(0.0, color=BLACK, linewidth=0.9)
    axes.axhspan(-1.0, 1.0, color=GREY, alpha=0.15, linewidth=0.0)
    axes.plot(places, pulls, color=BLUE, marker="o", linestyle="none")
    largest = max(3.0, 1.15 * float(np.nanmax(np.abs(pulls), initial=0.0)))
    axes.set_ylim(-largest, largest)
