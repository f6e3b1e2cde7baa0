"""The picture of chains: traces of some members and autocorrelation functions of all observables."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nnft.analysis.chain_statistics import FEWEST_DRAWS
from nnft.errors import UsageError, shorten
from nnft.estimators.notation import number_with_error
from nnft.plots.autocorrelation import Autocorrelation, autocorrelation
from nnft.plots.files import check_picture, save_picture
from nnft.plots.scales import FloatArray
from nnft.plots.style import (
    BLACK,
    BLUE,
    COLOURS,
    GREY,
    MOST_VECTORS,
    WIDTH,
    exclamation_mark,
    house_style,
    label_text,
    note,
    zero_line,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_OBSERVABLES = 8
MOST_MEMBERS = 4
MOST_BLOCKS = 40
"""Times at which the mean over networks is drawn; of longer chains it is that of blocks of draws."""

FEWEST_NETWORKS = 4
MOST_MARKERS = 60
RHO = r"$\rho(t)$"
PANEL = 1.3
"""Inches: height of the panels of one observable."""


@dataclass(frozen=True, eq=False)
class Chains:
    """Traces of the chains of trained networks.

    Attributes
    ----------
    values : ndarray of float64, shape (members, draws, observables)
        Member m * chains + k is chain k of network m. Networks with a value that is not finite are left out.
    names : tuple of str
        Observables, as in ``/training/traces/name``.
    steps : ndarray, shape (draws,)
        Steps done at each draw.
    chains : int
        Chains of each network.
    shared_target : bool
        Whether all networks sample one law; frozen layers give each its own.
    source : str
        What the picture is of, such as the name of the file.
    """

    values: FloatArray
    names: tuple[str, ...]
    steps: npt.NDArray[np.integer]
    chains: int = 1
    shared_target: bool = True
    source: str = ""


def draw_chains(chains: Chains, path: str | os.PathLike[str]) -> Path:
    """Draw traces and autocorrelation functions into a file.

    Parameters
    ----------
    chains : Chains
        At most 8 observables are drawn.
    path : str or path
        Ends in .svg, .png or .pdf; replaced if it exists.

    Returns
    -------
    Path

    Raises
    ------
    UsageError
        If the name is impossible, there are fewer than 4 draws, or no network has finite values.
    EnvironmentRefusal
        If matplotlib is missing or the disk refuses.
    """
    picture = check_picture(path)
    with house_style():
        return save_picture(chains_figure(chains), picture)


def chains_figure(chains: Chains) -> Figure:
    """Return the picture of chains as a figure; parameters as in `draw_chains`.

    Notes
    -----
    The style is set by `nnft.plots.style.house_style`, inside of which the figure must also be saved.
    """
    from matplotlib.figure import Figure

    blocks, numbers = _blocks(chains)
    names = chains.names[:MOST_OBSERVABLES]
    figure = Figure(figsize=(WIDTH, PANEL * len(names) + 1.3), layout="constrained")
    panels = figure.subplots(len(names), 2, squeeze=False, width_ratios=(1.7, 1.0))
    unreliable = False
    for row, name in enumerate(names):
        draw_traces(panels[row, 0], chains.steps, blocks[..., row], numbers, name)
        panels[row, 0].tick_params(labelbottom=row == len(names) - 1)
        panels[row, 0].set_ylabel(observable_label(name))
        found = autocorrelation(blocks[..., row], chains.shared_target)
        draw_autocorrelation(panels[row, 1], found)
        unreliable |= found is not None and not found.reliable
    figure.align_ylabels(panels[:, 0])
    beside = ", and mean over networks with its error" if len(numbers) >= FEWEST_NETWORKS else ""
    panels[0, 0].set_title(f"traces{beside}")
    panels[0, 1].set_title(r"autocorrelation $\rho(t)$")
    panels[-1, 0].set_xlabel("step")
    thinning = int(chains.steps[1] - chains.steps[0])
    panels[-1, 1].set_xlabel(f"lag $t$ in draws of {thinning} step{'s' * (thinning > 1)}")
    _legend(figure, panels, chains.source, unreliable)
    return figure


def _blocks(chains: Chains) -> tuple[FloatArray, npt.NDArray[np.intp]]:
    """Return finite traces by network and chain (networks, chains, draws, observables), and their numbers."""
    members, draws, observables = chains.values.shape
    if draws < FEWEST_DRAWS:
        raise UsageError(
            f"too few draws for a picture in training.draws: got {draws}; take {FEWEST_DRAWS} or more"
        )
    blocks = chains.values.reshape(members // chains.chains, chains.chains, draws, observables)
    finite = np.flatnonzero(np.isfinite(blocks).all(axis=(1, 2, 3)))
    if not len(finite):
        raise UsageError(
            f"no chain to draw in {shorten(chains.source)}: got {members} members, none finite throughout"
        )
    return blocks[finite], finite


def observable_label(name: str) -> str:
    """Return the name of a traced observable with its normalisation, on two short lines."""
    output = re.fullmatch(r"output_at_(\d+)", name)
    scale = re.fullmatch(r"weight_scale_(\d+)", name)
    if output:
        return f"output\n$f(x_{{{output[1]}}})$"
    if scale:
        return f"$|W^{{({scale[1]})}}|^2$\nover prior"
    return {"train_error": "training\nerror", "energy": "energy\n$E$"}.get(name, label_text(name, 20))


def shown_members(networks: int, chains: int) -> list[tuple[int, int]]:
    """Return networks and chains whose traces are drawn: two chains of each where there are several."""
    beside = min(chains, 2)
    return [
        (network, chain)
        for network in range(min(networks, MOST_MEMBERS // beside))
        for chain in range(beside)
    ]


def draw_traces(
    axes: Axes,
    steps: npt.NDArray[np.integer],
    values: FloatArray,
    numbers: npt.NDArray[np.intp],
    name: str,
) -> None:
    """Draw traces of a few members, and the mean of all networks; `values` is (networks, chains, draws)."""
    networks, chains, draws = values.shape
    rasterized = draws > MOST_VECTORS
    for network, chain in shown_members(networks, chains):
        label = f"network {numbers[network]}" + (f", chain {chain}" if chains > 1 else "")
        axes.plot(
            steps, values[network, chain], color=COLOURS[network], linewidth=0.7, label=label,
            alpha=0.75 if chain == 0 else 0.4, rasterized=rasterized, gid=f"{name}-{network}-{chain}",
        )  # fmt: skip
    if networks >= FEWEST_NETWORKS:
        when, mean, error = mean_over_networks(steps, values)
        axes.fill_between(when, mean - error, mean + error, color=BLACK, alpha=0.3, linewidth=0.0, zorder=3)
        axes.plot(when, mean, color=BLACK, linewidth=1.1, zorder=4, label=f"mean of {networks} networks")


def mean_over_networks(
    steps: npt.NDArray[np.integer], values: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return steps, mean over networks and its standard error, in up to 40 blocks of draws.

    Parameters
    ----------
    steps : ndarray, shape (draws,)
    values : ndarray of float64, shape (networks, chains, draws)
    """
    draws = values.shape[2]
    length = -(-draws // MOST_BLOCKS)
    starts = np.arange(0, draws, length)
    sizes = np.diff(np.append(starts, draws))
    series = np.add.reduceat(values.mean(axis=1), starts, axis=1) / sizes
    error = series.std(axis=0, ddof=1) / np.sqrt(len(series))
    return np.add.reduceat(steps.astype(np.float64), starts) / sizes, series.mean(axis=0), error


def draw_autocorrelation(axes: Axes, found: Autocorrelation | None) -> None:
    """Draw rho(t) with its error, one exponential with the same integrated time, and the end of the sum."""
    from matplotlib.ticker import MaxNLocator

    if found is None:
        note(axes, "does not move")
        return
    lags = np.arange(len(found.function))
    zero_line(axes)
    error = np.nan_to_num(found.error)
    axes.fill_between(
        lags, found.function - error, found.function + error, color=BLUE, alpha=0.25, linewidth=0.0
    )
    marker = "." if len(lags) <= MOST_MARKERS else ""
    axes.plot(lags, found.function, color=BLUE, marker=marker, markersize=3.5, linewidth=0.9, label=RHO)
    if found.decay_time > 0.0:
        fine = np.linspace(0.0, lags[-1], 200)
        axes.plot(
            fine, np.exp(-fine / found.decay_time), color=BLACK, linewidth=0.9, linestyle="--",
            label=r"$\exp(-t/s)$ with the same $\tau$",
        )  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    axes.axvline(found.window, color=GREY, linewidth=0.8, linestyle=":", label="end of the sum for $\\tau$")
    low, high = float((found.function - error).min()), float((found.function + error).max())
    axes.set_ylim(min(-0.25, low - 0.05), max(1.0, high) + 0.3)
    text = rf"$\tau$ = {number_with_error(found.tau, found.tau_error, not found.reliable)} draws"
    axes.annotate(
        text, (1.0, 1.0), (-2.0, -2.0), xycoords="axes fraction", textcoords="offset points", ha="right",
        va="top", fontsize=8.0, bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5},
    )  # fmt: skip


def _legend(figure: Figure, panels: npt.NDArray[np.object_], source: str, unreliable: bool) -> None:
    """Write one legend below all panels."""
    handles = panels[0, 0].get_legend_handles_labels()[0]
    moving = [axes for axes in panels[:, 1] if len(axes.lines) > 1]
    if moving:
        longest = max(moving, key=lambda axes: len(axes.get_legend_handles_labels()[0]))
        handles += longest.get_legend_handles_labels()[0]
    if unreliable:
        handles.append(exclamation_mark())
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    if source:
        figure.suptitle(label_text(source, 60), fontsize=9.0)
