"""The flow of a run over cutoffs: correlators, errors and losses below each of them."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from nnft.analysis.run import Run
from nnft.errors import UsageError, shorten
from nnft.estimators.correlators import CorrelatorEstimator
from nnft.estimators.flow import FlowEstimator
from nnft.estimators.observables import MatrixFlow, ObservableEstimator

FloatArray = npt.NDArray[np.float64]
GROUP = "renormalization/"


class RenormalizedRun:
    """What analysis needs of a flow over cutoffs.

    Parameters
    ----------
    run : Run
        Open; see `nnft.analysis.run.open_run`.

    Attributes
    ----------
    run : Run
    cutoffs : ndarray of float64, shape (C,)

    Raises
    ------
    UsageError
        If the run has no flow, or no network yet.
    """

    def __init__(self, run: Run) -> None:
        name = shorten(run.path.name)
        if run.card.get("flow") is None:
            raise UsageError(f"no flow in {name}: got a run without [flow]; follow it with --cutoffs and -o")
        stored = run.stored.training
        self._arrays = {key.removeprefix(GROUP): stored[key] for key in stored if key.startswith(GROUP)}
        if "cutoff" not in self._arrays or not run.networks:
            raise UsageError(f"no networks yet in {name}: got a flow without any; go on with --resume")
        self.run = run
        self.cutoffs: FloatArray = np.asarray(self._arrays["cutoff"], dtype=np.float64)

    @cached_property
    def table(self) -> dict[str, Any]:
        """The table [flow] of the card."""
        found: dict[str, Any] = self.run.card["flow"]
        return found

    @property
    def noise_variance(self) -> float:
        """kappa of the information: that of the table, or the ridge of the training."""
        return float(self.table.get("noise_variance") or self.run.plan["training"]["ridge"])

    @cached_property
    def flow(self) -> FlowEstimator:
        """Correlators of the outputs at every cutoff."""
        return FlowEstimator.from_arrays(self._arrays)

    def at(self, position: int) -> CorrelatorEstimator:
        """Return the correlators at one cutoff, from 0."""
        return self.flow.at(position)

    @cached_property
    def observables(self) -> ObservableEstimator:
        """Share of sloppy parameters, training and test error at every cutoff."""
        return ObservableEstimator.from_arrays(self._arrays)

    @cached_property
    def tangent(self) -> MatrixFlow | None:
        """Tangent kernel on the mesh at every cutoff."""
        return MatrixFlow.from_arrays(self._arrays, "tangent") if "tangent/sums" in self._arrays else None

    @cached_property
    def kept_losses(self) -> FloatArray:
        """Training and test errors of the first networks at every cutoff, shape (networks, C, 2).

        NaN for a network that diverged; the test error is NaN without test points.
        """
        return np.asarray(self._arrays["losses"], dtype=np.float64)

    @cached_property
    def losses(self) -> FloatArray:
        """The same without the networks that diverged."""
        alive = ~np.isnan(self.kept_losses[:, :, 0]).any(axis=1)
        return self.kept_losses[alive]

    @property
    def silent_share(self) -> tuple[float, float]:
        """Share of parameters without any information: mean over networks, and its standard error."""
        total, squares, count = (float(number) for number in self._arrays["silent"])
        if count < 1:
            return float("nan"), float("nan")
        mean = total / count
        variance = max(squares / count - mean**2, 0.0) * count / max(count - 1.0, 1.0)
        return mean, (variance / count) ** 0.5 if count > 1 else float("nan")

    @property
    def has_test(self) -> bool:
        """Whether there are test points."""
        return bool(self.run.plan["training"]["test_points"])
