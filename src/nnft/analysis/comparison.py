"""The numbers of a run of trained networks, with theory beside each."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nnft.analysis.comparison_table import Row, Table, compare_number, compare_table
from nnft.analysis.comparison_verdict import verdict
from nnft.analysis.identities import identities
from nnft.analysis.trained_law import Law, Prediction, closest
from nnft.analysis.trained_run import TrainedRun
from nnft.analysis.trained_theory import theories
from nnft.errors import NumericalError, shorten
from nnft.estimators.correlators import CorrelatorEstimator
from nnft.estimators.observables import ObservableEstimator

FloatArray = npt.NDArray[np.float64]

NUMBERS = ("train_error", "test_error")
FLOW_ORDERS = (1, 2)


@dataclass(frozen=True, eq=False)
class Stage:
    """Estimates and theories at one moment.

    Attributes
    ----------
    step : int
        Steps done; -1 for the end, or the draws.
    time : float
        Flow time; not a number where there is none.
    tables : tuple of Table
        Connected correlators, one table for each order.
    numbers : tuple of Row
        Errors on data, scales of weights.
    """

    step: int
    time: float
    tables: tuple[Table, ...]
    numbers: tuple[Row, ...]

    def table(self, order: int) -> Table:
        """Return the table of an order."""
        return next(table for table in self.tables if table.order == order)


@dataclass(frozen=True, eq=False)
class Comparison:
    """A run of trained networks beside theory.

    Attributes
    ----------
    trained : TrainedRun
        The run; its file may be closed.
    networks, diverged : int
        Networks in the averages, and those that diverged.
    predictions : tuple of Prediction
        The theories, the best one first; columns of all tables are in this order.
    reason : str
        Why there is no theory.
    verdicts : tuple of str
        What the numbers at the end say of each theory.
    final : Stage
        At the end, or of the draws.
    flow : tuple of Stage
        At every snapshot.
    identities : tuple of Row
        Relations that hold at any width.
    points, train_inputs : ndarray, shapes (E, d) and (M, d)
    train_targets : ndarray, shape (M,)
        Of the output that is estimated.
    """

    trained: TrainedRun
    networks: int
    diverged: int
    predictions: tuple[Prediction, ...]
    reason: str
    verdicts: tuple[str, ...]
    final: Stage
    flow: tuple[Stage, ...]
    identities: tuple[Row, ...]
    points: FloatArray
    train_inputs: FloatArray
    train_targets: FloatArray

    @property
    def mean(self) -> FloatArray:
        """Mean output at the end, shape (E,)."""
        return self.final.table(1).value

    @property
    def mean_stderr(self) -> FloatArray:
        """Standard errors of `mean`."""
        return self.final.table(1).stderr

    @property
    def variance(self) -> FloatArray:
        """Variance of the output at the end, shape (E,)."""
        return self.final.table(2).value[self._coincident()]

    @property
    def variance_stderr(self) -> FloatArray:
        """Standard errors of `variance`."""
        return self.final.table(2).stderr[self._coincident()]

    def _coincident(self) -> npt.NDArray[np.bool_]:
        indices = self.final.table(2).indices
        same: npt.NDArray[np.bool_] = indices[:, 0] == indices[:, 1]
        return same

    @property
    def theory_mean(self) -> FloatArray | None:
        """Mean of the best theory at the end, shape (E,); None without."""
        law = self._best()
        return None if law is None else law.mean

    @property
    def theory_variance(self) -> FloatArray | None:
        """Variance of the best theory at the end, shape (E,); None without."""
        law = self._best()
        return None if law is None else np.diagonal(law.covariance)

    @property
    def theory_name(self) -> str:
        """Name of the best theory; empty without."""
        best = closest(self.predictions)
        return best.name if best is not None else ""

    def _best(self) -> Law | None:
        best = closest(self.predictions)
        return best.final if best is not None else None


def compare(trained: TrainedRun) -> Comparison:
    """Set theory beside every number of a run.

    Parameters
    ----------
    trained : TrainedRun
        Its file open.

    Returns
    -------
    Comparison
        Correlators for which there are too few networks have no values.

    Raises
    ------
    NumericalError
        If no network is done yet.
    """
    run = trained.run
    if run.networks == 0:
        raise NumericalError(
            f"no networks in {shorten(run.path.name, 50)}: got 0; go on with nnft train CARD -o FILE --resume"
        )
    found = theories(trained)
    predictions = found.predictions
    ends = [prediction.final for prediction in predictions]
    final = _stage(run.estimator, run.orders, trained.equilibrium, 0, ends, -1, float("nan"))
    stages = []
    if run.flow is not None:
        for s, (step, time) in enumerate(zip(trained.steps, trained.times, strict=True)):
            laws = [p.flow[s] if s < len(p.flow) else None for p in predictions]
            stages.append(_stage(run.flow.at(s), FLOW_ORDERS, run.observables, s, laws, step, time))
    return Comparison(
        trained=trained,
        networks=run.networks - trained.diverged,
        diverged=trained.diverged,
        predictions=predictions,
        reason=found.reason,
        verdicts=tuple(
            verdict(place, prediction, final.tables, final.numbers)
            for place, prediction in enumerate(predictions)
        ),
        final=final,
        flow=tuple(stages),
        identities=identities(trained),
        points=run.points,
        train_inputs=trained.train_inputs,
        train_targets=trained.train_targets[:, trained.observe],
    )


def _stage(
    estimator: CorrelatorEstimator,
    orders: tuple[int, ...],
    observables: ObservableEstimator | None,
    place: int,
    laws: list[Law | None],
    step: int,
    time: float,
) -> Stage:
    tables = tuple(compare_table(estimator, order, laws) for order in orders)
    numbers = [] if observables is None else _numbers(observables, place, laws)
    return Stage(step, time, tables, tuple(numbers))


def _numbers(observables: ObservableEstimator, place: int, laws: list[Law | None]) -> list[Row]:
    wanted = list(NUMBERS)
    for law in laws:
        wanted += [] if law is None else [name for name in law.numbers if name not in wanted]
    rows = [compare_number(observables, name, place, laws) for name in wanted if name in observables.names]
    return [row for row in rows if math.isfinite(row.value)]
