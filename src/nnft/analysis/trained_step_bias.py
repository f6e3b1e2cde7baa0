"""Bias that the step of the unadjusted Langevin algorithm has on infinitely wide networks.

Near the data a wide network is linear in its weights. The Euler-Maruyama scheme of a quadratic energy of
Hessian H has the covariance ``T H^-1 (1 - step H / 2)^-1`` (Roberts and Tweedie, Bernoulli 2, 341 (1996)), so
that outputs whose features have the tangent kernel Theta gain
``(T step / 2) [Theta_** + a Theta_* (1 - a Theta)^-1 Theta_*^T]`` with ``a = c step``; means stay. Weight
decay, slow against the loss, is left out of H.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from nnft.analysis.trained_kernels import JointKernels
from nnft.analysis.trained_law import Law, Prediction
from nnft.theory.gaussian_process import kernel_eigenvalues

FloatArray = npt.NDArray[np.float64]

PROCESS_NAME = "gaussian process"
NAME = "langevin at this step"
ON_TOP = "the bias of the step comes on top"
INCLUDED = "the bias of the step is included, for a loss that is steep against the decay"


def step_bias(joint: JointKernels) -> FloatArray | None:
    """Return the change of the covariance at all joint points, shape (J, J); None for an unstable step.

    Parameters
    ----------
    joint : JointKernels
        Of a run of the algorithm "langevin" on all layers.
    """
    trained, count = joint.trained, joint.train
    step = float(trained.training["step"])
    values, vectors = kernel_eigenvalues(joint.tangent[:count, :count])
    scale = 0.5 * step * trained.rate
    left = 1.0 - scale * values
    if left.min() <= 0.0:
        return None
    cross = joint.tangent[:, :count] @ vectors
    gain: FloatArray = joint.tangent + (cross * (scale / left)) @ cross.T
    return 0.5 * trained.temperature * step * gain


def with_step_bias(joint: JointKernels, found: list[Prediction]) -> list[Prediction]:
    """Return the theories of a posterior with the bias of the step added.

    Parameters
    ----------
    joint : JointKernels
    found : list of Prediction
        If the Gaussian process is the first one, it comes without the bias as well.
    """
    bias = step_bias(joint)
    if bias is None:
        return [continuum(prediction) for prediction in found]
    shifted = [_biased(joint, prediction, bias) for prediction in found]
    if shifted[0].name != PROCESS_NAME:
        return shifted
    return [replace(shifted[0], name=NAME), continuum(found[0]), *shifted[1:]]


def continuum(prediction: Prediction) -> Prediction:
    """Return a theory that says that the bias of the step comes on top."""
    words = "; ".join(filter(None, (prediction.departure, ON_TOP)))
    return replace(prediction, departure=words, exact=False)


def _biased(joint: JointKernels, prediction: Prediction, bias: FloatArray) -> Prediction:
    law = prediction.final
    if law is None:
        return prediction
    final = _moved(joint, law, bias)
    flow = tuple(final if state is law else state for state in prediction.flow)
    validity = f"{prediction.validity}; {INCLUDED}"
    return replace(prediction, validity=validity, exact=False, final=final, flow=flow)


def _moved(joint: JointKernels, law: Law, bias: FloatArray) -> Law:
    diagonal, count, stop = np.diagonal(bias), joint.train, joint.train + joint.mesh
    parts = {"train_error": slice(count), "test_error": slice(stop, None)}
    numbers = {
        name: value + float(diagonal[parts[name]].mean()) if name in parts else value
        for name, value in law.numbers.items()
    }
    return replace(law, covariance=law.covariance + bias[count:stop, count:stop], numbers=numbers)
