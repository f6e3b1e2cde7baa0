"""What a trained run ends with, as pictures need it: mean and width of the outputs, traces of the chains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nnft.analysis.chain_statistics import FEWEST_DRAWS
from nnft.analysis.comparison_table import estimate_or_nothing
from nnft.analysis.run import Run
from nnft.analysis.trained_law import closest
from nnft.analysis.trained_run import TrainedRun
from nnft.analysis.trained_theory import theories
from nnft.errors import UsageError, shorten
from nnft.plots.training_chains import Chains

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TrainedPredictor:
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


def trained_predictor(run: Run) -> TrainedPredictor:
    """Return mean and variance of a trained ensemble on the input points of a run, with the best theory."""
    trained = TrainedRun(run)
    mean, second = run.connected(1), estimate_or_nothing(run.estimator, 2)
    coincident = second.indices[:, 0] == second.indices[:, 1]
    best = closest(theories(trained).predictions)
    law = best.final if best is not None else None
    return TrainedPredictor(
        points=run.points,
        mean=mean.value,
        mean_stderr=mean.stderr,
        variance=second.value[coincident],
        variance_stderr=second.stderr[coincident],
        train_inputs=trained.train_inputs,
        train_targets=trained.train_targets[:, trained.observe],
        theory_mean=None if law is None else law.mean,
        theory_variance=None if law is None else np.diagonal(law.covariance),
        theory_name="" if best is None else best.name,
    )


def chain_traces(run: Run) -> Chains:
    """Return the traces that a run keeps of its first members.

    Raises
    ------
    UsageError
        If the run has no chains, as a descent has none.
    """
    stored, trained = run.stored.training, TrainedRun(run)
    plan = trained.training
    if "traces/values" not in stored and trained.samples_posterior and trained.algorithm != "exact":
        raise UsageError(
            f"too few draws for a picture in training.draws: got {plan['draws']}; take {FEWEST_DRAWS} or more"
        )
    if "traces/values" not in stored:
        other = "predictor" if plan["algorithm"] in ("exact", "given") else "loss"
        raise UsageError(
            f"no chains in {shorten(run.path.name)}: got algorithm {plan['algorithm']}, without traces; "
            f"draw the {other}, or train with langevin, mala, underdamped or hmc"
        )
    return Chains(
        values=np.asarray(stored["traces/values"], dtype=np.float64),
        names=run.stored.trace_names,
        steps=np.asarray(stored["traces/step"]),
        chains=int(plan["chains"]),
        shared_target=trained.every_layer and not trained.data_anew,
        source=run.path.name,
    )
