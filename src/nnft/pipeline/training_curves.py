"""What a trained run has at its snapshots, as pictures need it: errors, correlators, kernels."""

from __future__ import annotations

import numpy as np

from nnft.analysis.comparison_table import estimate_or_nothing
from nnft.analysis.run import Run
from nnft.analysis.trained_law import closest
from nnft.analysis.trained_run import TrainedRun
from nnft.analysis.trained_theory import theories
from nnft.errors import UsageError, shorten
from nnft.estimators.observables import MatrixFlow, ObservableEstimator, ObservableFlow
from nnft.plots.training_axis import Moments, Series
from nnft.plots.training_flows import Component, FlowCurves
from nnft.plots.training_loss import LossCurves, LossTheory

ERRORS = ("train", "test")
HIGHEST_ORDER = 4
MOST_POINTS = 3
MOST_PAIRS = 2


def moments(run: Run) -> Moments:
    """Return when the snapshots of a run were taken: steps, or times where there are no steps.

    Raises
    ------
    UsageError
        If the run has no snapshots.
    """
    stored = run.stored.training
    algorithm = str((run.training or {}).get("algorithm"))
    known = "moment/step" in stored and run.observables is not None and run.flow is not None
    if not known or algorithm == "given":
        timeless = {
            "exact": "exact draws have no training in time",
            "given": "given networks have no training in time; nnft show has their errors",
        }
        advice = timeless.get(algorithm, "set training.snapshots above 0")
        raise UsageError(
            f"no snapshots along the training in {shorten(run.path.name)}: got {algorithm}; {advice}"
        )
    steps = np.asarray(stored["moment/step"], dtype=np.float64)
    if algorithm == "gradient-flow":
        return Moments(np.asarray(stored["moment/time"], dtype=np.float64), "time")
    return Moments(steps)


def loss_curves(run: Run) -> LossCurves:
    """Return training and test error along a run, with the theory, levels and averages that belong to them.

    Parameters
    ----------
    run : Run

    Raises
    ------
    UsageError
        If the run has no snapshots.
    """
    when, trained = moments(run), TrainedRun(run)
    numbers, plan = run.observables, trained.training
    found = {name: _series(numbers.result(f"{name}_error")) for name in ERRORS} if numbers else {}
    sampler = plan["draws"] > 1
    return LossCurves(
        moments=when,
        train=found["train"],
        test=found["test"],
        levels=_levels(run, trained),
        averages=_averages(trained.equilibrium) if sampler else {},
        draws=(float(plan["burn_in"]), float(plan["total_steps"])) if sampler else None,
        theory=_loss_theory(trained, when),
        source=run.path.name,
    )


def _series(found: ObservableFlow) -> Series:
    return Series(found.mean, found.stderr, found.spread)


def _levels(run: Run, trained: TrainedRun) -> dict[str, float]:
    """Return the noise levels that squared errors are to be compared with."""
    noise = float((run.training or {}).get("data", {}).get("noise_variance", 0.0))
    levels = {"ridge": trained.ridge if trained.samples_posterior else 0.0, "label noise": noise}
    return {name: level for name, level in levels.items() if level > 0.0}


def _averages(numbers: ObservableEstimator | None) -> dict[str, tuple[float, float]]:
    """Return errors averaged over the draws of a sampler, with standard errors."""
    if numbers is None:
        return {}
    results = {name: numbers.result(f"{name}_error") for name in ERRORS if f"{name}_error" in numbers.names}
    pairs = {name: (float(one.mean[0]), float(one.stderr[0])) for name, one in results.items()}
    return {name: pair for name, pair in pairs.items() if np.isfinite(pair).all()}


def _loss_theory(trained: TrainedRun, when: Moments) -> LossTheory | None:
    """Return the errors of the best theory at every snapshot, or those of the draws."""
    found = theories(trained).predictions
    if not found:
        return None
    best = closest(found) or found[0]
    numbers = [f"{name}_error" for name in ERRORS]
    along = [{} if law is None else law.numbers for law in best.flow]
    steady = len(along) < len(when.values) or numbers[0] not in set.intersection(*map(set, along))
    laws = along if not steady else [] if best.final is None else [best.final.numbers]
    errors = {
        name: np.array([law[number] for law in laws])
        for name, number in zip(ERRORS, numbers, strict=True)
        if laws and all(number in law for law in laws)
    }
    return LossTheory(errors, best.name, steady) if errors else None


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
    """Return the components that are drawn: coincident points spread evenly, and some pairs of these."""
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
    estimates = [estimate_or_nothing(flow.at(snapshot), order, rows) for snapshot in range(flow.snapshots)]
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
