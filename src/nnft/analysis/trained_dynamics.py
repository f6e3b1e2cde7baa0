"""Theory of networks on their way: descent, flow, stochastic descent and Langevin dynamics of a readout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nnft.analysis.trained_departure import with_rough_departure
from nnft.analysis.trained_kernels import JointKernels
from nnft.analysis.trained_law import Law, Prediction, gaussian_law
from nnft.theory.gaussian_process import kernel_eigenvalues
from nnft.theory.linearised import linearised_descent, linearised_flow
from nnft.theory.wide_readout import readout_ensemble, readout_model

if TYPE_CHECKING:
    from nnft.theory.linearised import TrainedEnsemble
    from nnft.theory.readout_training import LinearModel

FloatArray = npt.NDArray[np.float64]

NO_HIDDEN_LAYER = "exact: a linear model has no hidden layer"
WIDE = "infinite width; corrections of order (training points) / width"


def moments(joint: JointKernels) -> list[float]:
    """Steps, or times of a gradient flow, at the snapshots and at the end."""
    trained = joint.trained
    if trained.algorithm == "gradient-flow":
        return [*trained.times, float(trained.training["total_time"])]
    return [*(float(step) for step in trained.steps), float(trained.training["total_steps"])]


def laws(joint: JointKernels, ensemble: TrainedEnsemble) -> list[Law]:
    """Return the laws at all moments of an ensemble at input and test points."""
    return [
        gaussian_law(joint, mean, covariance, float(loss))
        for mean, covariance, loss in zip(
            ensemble.mean, ensemble.covariance, ensemble.train_loss, strict=True
        )
    ]


def as_prediction(joint: JointKernels, name: str, validity: str, found: Sequence[Law | None]) -> Prediction:
    """Return laws at the snapshots and at the end as a theory."""
    if not joint.trained.widths:
        validity = NO_HIDDEN_LAYER
    return Prediction(name, validity, not joint.trained.widths, found[-1], tuple(found[:-1]))


def learned_modes(joint: JointKernels, times: Sequence[float]) -> list[float]:
    """Return how many modes of the tangent kernel are learned after every flow time."""
    values, _ = kernel_eigenvalues(joint.tangent[: joint.train, : joint.train])
    return [float(-np.expm1(-joint.trained.rate * values * time).sum()) for time in times]


def descent(joint: JointKernels) -> Prediction:
    """Return the law of gradient descent or flow whose tangent kernel stays constant."""
    trained = joint.trained
    if trained.readout_only:
        return readout_descent(joint)
    kernels = joint.prior, joint.tangent, trained.train_targets
    if trained.algorithm == "gradient-flow":
        found = linearised_flow(*kernels, moments(joint), trained.rate)
        name = "linearised flow"
    else:
        steps = [int(step) for step in moments(joint)]
        found = linearised_descent(*kernels, steps, float(trained.training["step"]), trained.rate)
        name = "linearised descent"
    return _on_the_way(joint, as_prediction(joint, name, WIDE, laws(joint, found)))


def _on_the_way(joint: JointKernels, prediction: Prediction) -> Prediction:
    when = moments(joint)
    if joint.trained.algorithm != "gradient-flow":
        when = [float(joint.trained.training["step"]) * count for count in when]
    return with_rough_departure(joint, prediction, learned_modes(joint, when))


def linear_readout(joint: JointKernels) -> tuple[LinearModel, FloatArray]:
    """Return the model of a readout on infinitely wide hidden layers, and its features at other points."""
    trained, (weights, biases) = joint.trained, joint.rates
    return readout_model(
        joint.average,
        trained.train_targets,
        weight_variance=trained.weight_variances[-1],
        bias_variance=trained.bias_variances[-1],
        weight_rate=weights[-1],
        bias_rate=biases[-1],
        rate=trained.rate,
        temperature=trained.temperature if trained.decays else 0.0,
    )


def readout_descent(joint: JointKernels) -> Prediction:
    """Return the law of a readout that descends, with weight decay or without."""
    trained = joint.trained
    model, evaluation = linear_readout(joint)
    when = moments(joint)
    if trained.algorithm == "gradient-flow":
        states = [model.flow(time) for time in when]
    else:
        states = [model.descent(int(step), float(trained.training["step"])) for step in when]
    found = laws(joint, readout_ensemble(model, evaluation, when, states))
    return _on_the_way(joint, as_prediction(joint, "descent of the readout", WIDE, found))


def readout_langevin(joint: JointKernels) -> Prediction:
    """Return the law of the unadjusted Langevin algorithm on a readout: at every snapshot, and stationary."""
    trained = joint.trained
    model, evaluation = linear_readout(joint)
    step = float(trained.training["step"])
    states = [model.langevin(count, step) for count in trained.steps]
    states.append(model.stationary(step))
    when = [*(float(count) for count in trained.steps), np.inf]
    found = laws(joint, readout_ensemble(model, evaluation, when, states))
    validity = f"{WIDE}; the bias of the step is included"
    return as_prediction(joint, "langevin at this step", validity, found)
