"""Theory of networks trained by stochastic gradient descent."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nnft.analysis.trained_departure import with_rough_departure
from nnft.analysis.trained_dynamics import WIDE, as_prediction, learned_modes, linear_readout, moments
from nnft.analysis.trained_kernels import JointKernels
from nnft.analysis.trained_law import Law, Prediction, gaussian_law
from nnft.analysis.trained_run import TrainedRun
from nnft.theory.stochastic_descent import Moments, StochasticDescent
from nnft.theory.stochastic_powers import cyclic_moments, random_moments

FloatArray = npt.NDArray[np.float64]

MOST_POINTS = 48
"""Joint points above which test points are left out."""


def stochastic_descent(trained: TrainedRun) -> Prediction:
    """Return first and second moments of outputs under batches in random or cyclic order.

    Parameters
    ----------
    trained : TrainedRun
        Trained by "sgd", without weight decay or on its readout alone.

    Raises
    ------
    UsageError
        If there are too many points for so many steps.
    NumericalError
        If the descent diverges.
    """
    joint = JointKernels(trained, MOST_POINTS)
    training = trained.training
    if trained.readout_only:
        model, evaluation = linear_readout(joint)
        descent = StochasticDescent.of_features(model.features, model.targets, model.prior, model.decay)
    else:
        descent = StochasticDescent.of_kernels(joint.prior, joint.tangent, trained.train_targets)
        evaluation = np.eye(len(joint.points))[joint.train :]
    advance = random_moments if training["order"] == "random" else cyclic_moments
    steps = [int(step) for step in moments(joint)]
    states = advance(descent, steps, float(training["step"]), int(training["batch_size"]), training["loss"])
    found: list[Law | None] = [_law(joint, descent, state, evaluation) for state in states]
    share = 1.0 if training["mean_loss"] else int(training["batch_size"]) / joint.train
    times = [float(training["step"]) * share * count for count in steps]
    prediction = as_prediction(joint, "stochastic descent", WIDE, found)
    return with_rough_departure(joint, prediction, learned_modes(joint, times))


def _law(joint: JointKernels, descent: StochasticDescent, state: Moments, evaluation: FloatArray) -> Law:
    """Law of the outputs; batches that are drawn make it other than Gaussian."""
    trained = joint.trained
    mean = evaluation @ state.mean
    covariance = evaluation @ state.covariance[trained.observe] @ evaluation.T
    law = gaussian_law(joint, mean, covariance, descent.loss(state))
    numbers = dict(law.numbers)
    if joint.test:  # each output has a covariance of its own
        held = evaluation[joint.mesh :]
        variances = np.einsum("qi,dij,qj->", held, state.covariance, held, optimize=True)
        errors = float(np.sum((mean[joint.mesh :] - trained.test_targets) ** 2))
        numbers["test_error"] = (errors + float(variances)) / trained.test_targets.size
    gaussian = trained.training["order"] == "cyclic"
    return Law(law.mean, law.covariance, numbers, gaussian)
