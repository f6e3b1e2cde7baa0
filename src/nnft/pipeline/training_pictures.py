"""From the file of a trained run to its pictures: errors, predictor, chains, flows."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nnft.analysis.run import Run, open_run
from nnft.errors import DataFileError, UsageError, shorten
from nnft.estimators.observables import MatrixFlow, ObservableEstimator, ObservableFlow
from nnft.plots.files import check_picture
from nnft.plots.training_axis import Moments, Series
from nnft.plots.training_chains import Chains, draw_chains
from nnft.plots.training_flows import Component, FlowCurves, draw_flows
from nnft.plots.training_loss import LossCurves, draw_loss
from nnft.plots.training_predictor import draw_predictor

FloatArray = npt.NDArray[np.float64]

MOST_POINTS = 3
MOST_PAIRS = 2
HIGHEST_ORDER = 4


@dataclass(frozen=True, eq=False)
class Prediction:
    """Mean and variance of a trained ensemble; see `nnft.plots.training_predictor.Predictor`.

    Attributes
    ----------
    points, train_inputs : ndarray of float64, shape (P, d), (M, d)
    mean, mean_stderr, variance, variance_stderr : ndarray of float64, shape (P,)
    train_targets : ndarray of float64, shape (M,)
        Of the observed output.
    theory_mean, theory_variance : ndarray of float64, shape (P,), optional
    theory_name : str
    """

    points: FloatArray
    mean: FloatArray
    mean_stderr: FloatArray
    variance: FloatArray
    variance_stderr: FloatArray
    train_inputs: FloatArray
    train_targets: FloatArray
    theory_mean: FloatArray | None = None
    theory_variance: FloatArray | None = None
    theory_name: str = ""


def picture_of_file(
    path: str | os.PathLike[str],
    what: str,
    *,
    order: int | None = None,
    output: str | os.PathLike[str] | None = None,
) -> Path:
    """Draw a trained run.

    Parameters
    ----------
    path : str or path
        Run file.
    what : str
        "loss", "predictor", "chains" or "flows".
    order : int, optional
        For "flows": this connected correlator only, 1 to 4.
    output : str or path, optional
        Picture; ends in .svg, .png or .pdf and is replaced if it exists. Default: ``<run>-<what>.svg`` in the
        current folder.

    Returns
    -------
    Path
        The picture.

    Raises
    ------
    NnftError
        Everything that the file or the picture refuses, and one line where there is nothing to draw.
    """
    if what not in PICTURES:
        raise UsageError(f"unknown picture: got {shorten(what)}; allowed: {', '.join(PICTURES)}")
    if order is not None and what != "flows":
        raise UsageError(f"--order goes with flows: got {order} for {what}; leave it out")
    if order is not None and not 1 <= order <= HIGHEST_ORDER:
        raise UsageError(f"no flow of this order: got {order}; allowed: 1 to {HIGHEST_ORDER}")
    picture = check_picture(output if output is not None else f"{Path(path).stem}-{what}.svg")
    with open_run(path) as run:
        if run.training is None:
            raise UsageError(
                f"no training in {shorten(run.path.name)}: got a run of nnft sample; use nnft train"
            )
        if run.networks == 0 or not run.estimator.n_networks:
            raise DataFileError(f"no network in {shorten(run.path.name)}: got {_left(run)}; see nnft status")
        if what == "flows":
            return draw_flows(flow_curves(run, order), picture)
        return PICTURES[what](run, picture)


def _left(run: Run) -> str:
    stored = run.stored.training
    diverged = int(stored["diverged/networks"]) if "diverged/networks" in stored else 0
    return f"{run.networks} done, {diverged} of them diverged"


def moments(run: Run) -> Moments:
    """Return when the snapshots of a run were taken: steps, or times where there are no steps.

    Raises
    ------
    UsageError
        If the run has no snapshots.
    """
    stored = run.stored.training
    if "moment/step" not in stored or run.observables is None or run.flow is None:
        algorithm = str((run.training or {}).get("algorithm"))
        advice = (
            "exact draws have no training in time"
            if algorithm == "exact"
            else "set training.snapshots above 0"
        )
        raise UsageError(
            f"no snapshots along the training in {shorten(run.path.name)}: got {algorithm}; {advice}"
        )
    steps = np.asarray(stored["moment/step"], dtype=np.float64)
    if (run.training or {}).get("algorithm") == "gradient-flow":
        return Moments(np.asarray(stored["moment/time"], dtype=np.float64), "time")
    return Moments(steps)


# ---- errors ----


def loss_curves(run: Run) -> LossCurves:
    """Return training and test error along a run, with the levels and averages that belong to them.

    Parameters
    ----------
    run : Run

    Raises
    ------
    UsageError
        If the run has no snapshots.
    """
    when = moments(run)
    numbers = run.observables
    plan: Mapping[str, Any] = run.plan["training"]
    found = {name: _series(numbers.result(f"{name}_error")) for name in ("train", "test")} if numbers else {}
    sampler = plan["draws"] > 1
    return LossCurves(
        moments=when,
        train=found["train"],
        test=found["test"] if np.isfinite(found["test"].value).any() else None,
        levels=_levels(run, plan),
        averages=_averages(run) if sampler else {},
        draws=(float(plan["burn_in"]), float(plan["total_steps"])) if sampler else None,
        source=run.path.name,
    )


def _series(found: ObservableFlow) -> Series:
    return Series(found.mean, found.stderr, found.spread)


def _levels(run: Run, plan: Mapping[str, Any]) -> dict[str, float]:
    """Return the noise levels that squared errors are to be compared with."""
    noise = float((run.training or {}).get("data", {}).get("noise_variance", 0.0))
    levels = {"ridge": float(plan["ridge"]), "label noise": noise}
    return {name: level for name, level in levels.items() if level > 0.0}


def _averages(run: Run) -> dict[str, tuple[float, float]]:
    """Return errors averaged over the draws of a sampler, with standard errors."""
    prefix = "equilibrium/"
    stored = run.stored.training
    arrays = {name.removeprefix(prefix): stored[name] for name in stored if name.startswith(prefix)}
    if "observables/count" not in arrays:
        return {}
    estimator = ObservableEstimator.from_arrays(arrays)
    results = {
        name: estimator.result(f"{name}_error")
        for name in ("train", "test")
        if f"{name}_error" in estimator.names
    }
    return {
        name: (float(one.mean[0]), float(one.stderr[0]))
        for name, one in results.items()
        if np.isfinite([one.mean[0], one.stderr[0]]).all()
    }


# ---- predictor ----


def prediction(run: Run) -> Prediction:
    """Return mean and variance of a trained ensemble on the input points of the run, without theory."""
    mean, second = run.connected(1), run.connected(2)
    points = len(run.points)
    diagonal = np.flatnonzero(second.indices[:, 0] == second.indices[:, 1])
    stored = run.stored.training
    targets = np.asarray(stored["data/train_targets"], dtype=np.float64)
    observed = int(run.plan["training"]["observe"])
    order = np.argsort(mean.indices[:, 0], kind="stable")
    rows = diagonal[np.argsort(second.indices[diagonal, 0], kind="stable")]
    if len(rows) != points or len(order) != points:
        raise DataFileError(
            f"two-point function contradicts the points in {shorten(run.path.name)}: got {len(rows)} coincident "
            f"components for {points} points"
        )
    return Prediction(
        points=run.points,
        mean=mean.value[order],
        mean_stderr=mean.stderr[order],
        variance=second.value[rows],
        variance_stderr=second.stderr[rows],
        train_inputs=np.asarray(stored["data/train_inputs"], dtype=np.float64),
        train_targets=targets[:, observed],
    )


# ---- chains ----


def chain_traces(run: Run) -> Chains:
    """Return the traces that a run keeps of its first members.

    Raises
    ------
    UsageError
        If the run has no chains, as a descent has none.
    """
    stored = run.stored.training
    plan: Mapping[str, Any] = run.plan["training"]
    if "traces/values" not in stored:
        raise UsageError(
            f"no chains in {shorten(run.path.name)}: got algorithm {plan['algorithm']}, which is not a sampler "
            "with traces; draw the loss instead"
        )
    layers = len(plan["weight_mobilities"])
    return Chains(
        values=np.asarray(stored["traces/values"], dtype=np.float64),
        names=run.stored.trace_names,
        steps=np.asarray(stored["traces/step"]),
        chains=int(plan["chains"]),
        shared_target=len(plan["trainable"]) == layers,
        source=run.path.name,
    )


# ---- flows ----


def flow_curves(run: Run, order: int | None = None) -> FlowCurves:
    """Return correlators at a few components, kernels and their movement along a training.

    Parameters
    ----------
    run : Run
    order : int, optional
        This connected correlator only, without the kernels.

    Raises
    ------
    UsageError
        If the run has no snapshots, or no correlator of this order.
    """
    when = moments(run)
    orders = [one for one in run.orders if one <= HIGHEST_ORDER]
    if order is not None and order not in orders:
        raise UsageError(
            f"no flow of order {order} in {shorten(run.path.name)}: got {orders} (estimate.correlators)"
        )
    shown = orders if order is None else [order]
    correlators = {one: _correlators(run, one) for one in shown}
    if order is not None or run.observables is None:
        return FlowCurves(when, correlators, source=run.path.name)
    names = [name for name in ("kernel_movement", "tangent_movement") if name in run.observables.names]
    return FlowCurves(
        moments=when,
        correlators=correlators,
        kernels={
            name: _kernels(run, path) for name, path in (("kernel", "kernel"), ("tangent_kernel", "tangent"))
        },
        movements={name: _series(run.observables.result(name)) for name in names},
        source=run.path.name,
    )


def shown_components(points: int, order: int) -> list[tuple[int, ...]]:
    """Return components that are worth a curve: at coincident points spread evenly, and some pairs of these."""
    chosen = [int(a) for a in np.unique(np.linspace(0, points - 1, MOST_POINTS).round())]
    coincident = [(a,) * order for a in chosen]
    if order == 1:
        return coincident
    first = order - order // 2
    pairs = [(chosen[0],) * first + (other,) * (order - first) for other in chosen[1 : 1 + MOST_PAIRS]]
    return coincident + pairs


def _correlators(run: Run, order: int) -> list[Component]:
    flow = run.flow
    if flow is None:
        return []
    components = shown_components(len(run.points), order)
    rows = np.array(components, dtype=np.int32)
    estimates = [
        flow.at(snapshot).replicates(order, None, rows).estimate(rows) for snapshot in range(flow.snapshots)
    ]
    return [
        Component(
            points,
            Series(
                np.array([one.value[row] for one in estimates]),
                np.array([one.stderr[row] for one in estimates]),
                unreliable=np.array([one.unreliable[row] for one in estimates]),
            ),
        )
        for row, points in enumerate(components)
    ]


def _kernels(run: Run, path: str) -> list[Component]:
    """Return the packed kernel below ``/training/<path>`` at some pairs of points."""
    stored = run.stored.training
    if f"{path}/sums" not in stored:
        return []
    flow = MatrixFlow.from_arrays({name: stored[name] for name in (f"{path}/sums", f"{path}/count")}, path)
    mean, error = flow.mean(), flow.stderr()
    pairs = {pair: row for row, pair in enumerate(map(tuple, run.estimator.layout.pairs.tolist()))}
    return [
        Component(points, Series(mean[:, pairs[points]], error[:, pairs[points]]))
        for points in shown_components(len(run.points), 2)
    ]


PICTURES: dict[str, Callable[[Run, Path], Path]] = {
    "loss": lambda run, path: draw_loss(loss_curves(run), path),
    "predictor": lambda run, path: draw_predictor(prediction(run), path, run.path.name),
    "chains": lambda run, path: draw_chains(chain_traces(run), path),
    "flows": lambda run, path: draw_flows(flow_curves(run), path),
}
"""What can be drawn of a trained run."""
