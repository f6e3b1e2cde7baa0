"""Theory of networks that sample their posterior."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nnft.analysis.trained_departure import with_shift
from nnft.analysis.trained_dynamics import NO_HIDDEN_LAYER, readout_langevin
from nnft.analysis.trained_kernels import JointKernels
from nnft.analysis.trained_law import Law, Prediction, gaussian_law
from nnft.analysis.trained_run import UNADJUSTED
from nnft.analysis.trained_step_bias import continuum, with_step_bias
from nnft.theory.deep_linear_posterior import DeepLinearPosterior, deep_linear_posterior
from nnft.theory.gaussian_process import posterior
from nnft.theory.kernel_scaling import kernel_scaling

EXACT_LINEAR = "exact at these widths: a mixture of Gaussian processes over the scale of the kernel"
PROCESS = "infinite width; corrections of order (training points) / width and y K^-1 y / width"
RESHAPED = "size unknown: the kernel of a network that is not linear changes its shape as well"
SCALED = "one hidden layer with many neurons and training points; exact in that limit for linear networks"


def posterior_predictions(joint: JointKernels) -> list[Prediction]:
    """Return all theories of a sampled posterior, the best one first.

    Parameters
    ----------
    joint : JointKernels
        Of a run that samples the posterior of all layers or of the readout.
    """
    trained = joint.trained
    found = gaussian_process(joint)
    if trained.every_layer and trained.widths and trained.sizes[-1] == 1:
        if deep_linear(joint):
            found.insert(0, exact_linear(joint))
        elif len(trained.widths) == 1 and trained.bias_variances[-1] == 0.0:
            found.append(scaled_kernel(joint))
    if trained.conditional or trained.algorithm not in UNADJUSTED:
        return found
    if trained.readout_only:
        return found if trained.algorithm == "underdamped" else _readout_langevin(joint, found)
    if trained.algorithm == "underdamped":
        return [continuum(prediction) for prediction in found]
    return with_step_bias(joint, found)


def deep_linear(joint: JointKernels) -> bool:
    """Whether the network is linear with a bias in its first layer at most."""
    return joint.trained.activation[0] == "linear" and not any(joint.trained.bias_variances[1:])


def _snapshots(joint: JointKernels, final: Law) -> tuple[Law | None, ...]:
    """The prior at step 0, nothing on the way, the posterior after the burn-in."""
    trained = joint.trained
    burn_in = int(trained.training["burn_in"])
    kernel = joint.blocks(joint.prior)[2][: joint.mesh, : joint.mesh]
    prior = Law(np.zeros(joint.mesh), kernel, gaussian=False)
    return tuple(prior if step == 0 else final if step >= burn_in else None for step in trained.steps)


def _readout_langevin(joint: JointKernels, found: list[Prediction]) -> list[Prediction]:
    """Put the law of the algorithm first; it departs from the widths as the process does."""
    exact, process = readout_langevin(joint), found[0]
    law, known = exact.final, process.final
    if law is not None and known is not None:
        law = replace(
            law,
            mean_departure=known.mean_departure,
            covariance_departure=known.covariance_departure,
            number_departures=known.number_departures,
        )
    exact = replace(exact, final=law, departure=process.departure)
    return [exact, *(continuum(prediction) for prediction in found)]


def gaussian_process(joint: JointKernels) -> list[Prediction]:
    """Return regression with the infinite-width kernel, and its first order in 1/width where affordable."""
    trained = joint.trained
    found = posterior(*joint.blocks(joint.prior), trained.train_targets, trained.ridge)
    final = gaussian_law(joint, found.mean, found.covariance, found.train_loss)
    if not trained.widths:
        return [Prediction("gaussian process", NO_HIDDEN_LAYER, True, final, _snapshots(joint, final))]
    process = Prediction("gaussian process", PROCESS, False, final, _snapshots(joint, final))
    return with_shift(joint, process, np.concatenate([found.train_mean, found.mean])[:, trained.observe])


def exact_linear(joint: JointKernels) -> Prediction:
    """Return the exact posterior of a deep linear network."""
    trained = joint.trained
    found = deep_linear_posterior(
        *joint.blocks(joint.prior), trained.train_targets, trained.ridge, trained.widths
    )
    final = gaussian_law(joint, found.mean[:, None], found.covariance, found.train_loss)
    final = replace(
        final,
        numbers={**final.numbers, **_weight_scales(joint, found)},
        gaussian=False,
        higher=lambda order, indices: found.correlator(indices),
    )
    return Prediction("deep linear", EXACT_LINEAR, True, final, _snapshots(joint, final))


def _weight_scales(joint: JointKernels, found: DeepLinearPosterior) -> dict[str, float]:
    trained = joint.trained
    norms = found.weight_norms(trained.sizes[0])
    first = 1 if trained.bias_variances[0] == 0.0 else 2
    counts = np.multiply(trained.sizes[:-1], trained.sizes[1:])
    return {
        f"weight_scale_{layer}": norms[layer - 1] / float(counts[layer - 1])
        for layer in range(first, trained.layers + 1)
    }


def scaled_kernel(joint: JointKernels) -> Prediction:
    """Return the posterior with a scaled kernel."""
    trained = joint.trained
    found = kernel_scaling(*joint.blocks(joint.prior), trained.train_targets, trained.ridge, trained.widths)
    count = joint.mesh
    numbers = {f"weight_scale_{trained.layers}": found.scale}
    if joint.test:
        errors = (found.mean[count:] - trained.test_targets[:, 0]) ** 2
        numbers["test_error"] = float(errors.mean() + np.diagonal(found.covariance)[count:].mean())
    final = Law(found.mean[:count], found.covariance[:count, :count], numbers, gaussian=False)
    return Prediction("kernel scaling", SCALED, False, final, (), RESHAPED)
