"""The pictures of a report: what can be drawn of a run, drawn; one line on whatever cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from nnft.actions.action import Action, action
from nnft.analysis.comparison_table import estimate_or_nothing, pulls
from nnft.analysis.flow_couplings import FlowCouplings
from nnft.analysis.renormalized_run import RenormalizedRun
from nnft.analysis.report_run import INFINITE
from nnft.analysis.run import Run
from nnft.errors import DataFileError, NumericalError, UsageError
from nnft.estimators.results import Estimate
from nnft.pipeline.flow_pictures import flow_figure
from nnft.pipeline.machine import choose_threads
from nnft.pipeline.training_curves import flow_curves, loss_curves
from nnft.pipeline.training_outcome import chain_traces, trained_predictor
from nnft.plots.action import action_figure
from nnft.plots.correlators import (
    LABELS,
    CorrelatorPicture,
    PointSeries,
    correlators_figure,
    kernel_figure,
)
from nnft.plots.cutoffs import cutoffs_figure
from nnft.plots.training_chains import chains_figure
from nnft.plots.training_flows import flows_figure
from nnft.plots.training_loss import loss_figure
from nnft.plots.training_predictor import predictor_figure

MOST_ACTION_POINTS = 16
"""Input points of which the action is quick; of more, some spread evenly."""


@dataclass(frozen=True, eq=False)
class Drawing:
    """A picture that can be drawn.

    Attributes
    ----------
    section, key : str
        Section of the report that it belongs to, and its own name.
    title, text : str
        What it is called, and what it shows, in words.
    figure : callable
        Returns a ``matplotlib.figure.Figure``; called inside of `nnft.plots.style.house_style`.
    """

    section: str
    key: str
    title: str
    text: str
    figure: Callable[[], Any]


def drawings(run: Run, state: dict[str, Any]) -> list[Drawing]:
    """Return the pictures of a run.

    Parameters
    ----------
    run : Run
        With networks, its file open.
    state : dict
        From `nnft.analysis.summary.summary`.
    """
    if run.training is not None:
        return _trained(run)
    found = correlator_picture(run, state)
    name = "kernel of infinite width" if run.cosines is None else "exact propagator"
    beside = "" if found.pulls is None else (
        f"; beside it, its difference from the {name} in units of its error"
    )  # fmt: skip
    return [
        Drawing(
            "correlators", "correlators", "Correlators at coincident points",
            "Connected correlators of one output, a panel for each order, against the number of the input "
            "point; markers with error bars, hollow diamonds where there is a theory. The numbers are in "
            "the table.",
            lambda: correlators_figure(found),
        ),
        Drawing(
            "correlators", "kernel", "Two-point function",
            f"The two-point function between all input points as a matrix of colours{beside}.",
            lambda: kernel_figure(found),
        ),
    ]  # fmt: skip


def _trained(run: Run) -> list[Drawing]:
    return [
        Drawing(
            "training", "loss", "Errors along the training",
            "Squared error per target on training and test points against the step or flow time: mean over "
            "networks with its error, a band of one standard deviation over networks, broken lines for "
            "theory.",
            lambda: loss_figure(loss_curves(run)),
        ),
        Drawing(
            "theory", "predictor", "Predictor and theory",
            "Mean output at the input points with a band of one standard deviation, beside the mean and "
            "the band of the closest theory, if there is one, and below the pulls of mean and variance. The "
            "numbers are in the table.",
            lambda: predictor_figure(trained_predictor(run), run.path.name),
        ),
        Drawing(
            "chains", "chains", "Chains and their autocorrelation",
            "For each traced number the traces of a few chains with the mean over networks, and beside "
            "them the autocorrelation function with its error and the integrated autocorrelation time tau.",
            lambda: chains_figure(chain_traces(run)),
        ),
        Drawing(
            "training", "flows", "Correlators and kernels along the training",
            "Connected correlators of orders 1 to 4 at a few components, the kernel of the readout, the "
            "tangent kernel and their relative movement, against the step or flow time.",
            lambda: flows_figure(flow_curves(run)),
        ),
    ]  # fmt: skip


def correlator_picture(run: Run, state: dict[str, Any]) -> CorrelatorPicture:
    """Return the correlators of a sampled run as its picture needs them.

    Parameters
    ----------
    run : Run
    state : dict
        From `nnft.analysis.summary.summary`.
    """
    records = state["points"]
    plain = run.deformation is None
    series = {
        name: PointSeries(
            np.array([_number(record[name]["value"]) for record in records]),
            np.array([_number(record[name]["stderr"]) for record in records]),
            np.array([record[name]["unreliable"] for record in records]),
            _theory(records) if name == "G2" and plain else None,
        )
        for name in LABELS
        if records and name in records[0]
    }
    second = estimate_or_nothing(run.estimator, 2) if 2 in run.orders else None
    if second is None:
        return CorrelatorPicture(series, source=run.path.name)
    theory = run.nngp_kernel(run.plan["layers"]) if plain else None
    matrix = None
    if theory is not None:
        a, b = second.indices.T
        matrix = _matrix(second, pulls(second.value, second.stderr, theory[a, b]), len(run.points))
    kernel = _matrix(second, second.value, len(run.points))
    return CorrelatorPicture(series, kernel, matrix, INFINITE if theory is not None else "", run.path.name)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _theory(records: list[dict[str, Any]]) -> Any:
    known = all("G2_infinite_width" in record for record in records)
    return np.array([record["G2_infinite_width"] for record in records]) if known else None


def _matrix(second: Estimate, values: Any, size: int) -> Any:
    """Return packed components of a two-point function as a symmetric matrix."""
    matrix = np.full((size, size), np.nan)
    a, b = second.indices.T
    matrix[a, b] = matrix[b, a] = values
    return matrix


def quick_action(run: Run) -> Action:
    """Return the action of a run at leading order on up to 16 of its input points.

    Raises
    ------
    UsageError
        If there are no correlators of orders 2 and 4.
    NnftError
        As `nnft.actions.action.action`.
    """
    if not {2, 4} <= set(run.orders):
        raise UsageError(f"no correlators of orders 2 and 4: got {list(run.orders)} (estimate.correlators)")
    count = len(run.points)
    chosen = np.unique(np.linspace(0, count - 1, min(count, MOST_ACTION_POINTS)).round().astype(np.int64))
    return action(run, 4, chosen, threads=choose_threads(None))


def action_drawing(result: Action, run: Run) -> Drawing:
    """Return the picture of an action."""
    return Drawing(
        "action", "action", "Spectrum, couplings and densities",
        "Eigenvalues of the two-point function and the quartic coupling of every mode with errors; below, "
        "the density of the output at single input points, from the Gaussian to the Edgeworth series, and "
        "their ratio.",
        lambda: action_figure(result, run),
    )  # fmt: skip


def cutoffs_drawings(
    numbers: dict[str, Any], flow: RenormalizedRun, couplings: FlowCouplings | None
) -> list[Drawing]:
    """Return the pictures of a flow over cutoffs."""
    losses = Drawing(
        "cutoffs", "cutoffs", "Errors over cutoffs",
        "Squared error per target against the cutoff of the information: mean over networks with its error, "
        "a band that holds 68 % of them, levels without replacement and with everything replaced, "
        "critical scales as vertical lines; below, the share of sloppy parameters.",
        lambda: cutoffs_figure(numbers, flow.losses),
    )  # fmt: skip
    texts = {
        "outputs": (
            "Outputs over cutoffs",
            "Mean, variance, excess kurtosis and tangent kernel of the output at the first mesh points "
            "against the cutoff, with errors; zero and infinity beside the logarithmic axis.",
        ),
        "couplings": (
            "Couplings over cutoffs",
            "Quadratic and quartic couplings of the action at single mesh points against the cutoff, and the "
            "quartic coupling in units of the variance, with bands of one standard error.",
        ),
        "histogram": (
            "Outputs on both sides of the flow",
            "Histograms of the outputs of single networks at the first mesh points: trained, at about "
            "half of the rise of the error, and with everything replaced; lines: the normal law of the same "
            "mean and variance.",
        ),
        "spectrum": (
            "Spectrum of the information",
            "Share of the parameters per decade of their Fisher information, mean over networks, with "
            "the cutoffs as short lines; a bar for parameters without any information; a line for the share "
            "below.",
        ),
    }
    if couplings is None:
        del texts["couplings"]
    further = [
        Drawing(
            "cutoffs", f"cutoffs-{name}", title, text,
            partial(flow_figure, flow, name, numbers, couplings=couplings),
        )
        for name, (title, text) in texts.items()
    ]  # fmt: skip
    return [losses, *further]


@dataclass(frozen=True)
class Missing:
    """A picture that cannot be drawn: its section, the reason in a line, and whether data are damaged."""

    section: str
    line: str
    damaged: bool


def drawn(wanted: Iterable[Drawing]) -> tuple[list[tuple[Drawing, Any]], list[Missing]]:
    """Draw pictures; to be called inside of `nnft.plots.style.house_style`.

    Returns
    -------
    figures : list of (Drawing, matplotlib.figure.Figure)
    missing : list of Missing
        What cannot be drawn, such as where the folder of the stored outputs is gone.
    """
    figures, missing = [], []
    for drawing in wanted:
        try:
            figures.append((drawing, drawing.figure()))
        except (UsageError, NumericalError, DataFileError) as failure:
            line = f"No picture of this kind ({drawing.title}): {failure}"
            missing.append(Missing(drawing.section, line, isinstance(failure, DataFileError)))
    return figures, missing
