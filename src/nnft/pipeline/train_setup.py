"""From a specification to the sampler of a training: rates, factors, and the step size where it is left
open.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from nnft.errors import CardError, NumericalError
from nnft.pipeline.network_data import data_of_network, network_points
from nnft.samplers.given import GivenEnsemble
from nnft.samplers.trained import Schedule, TrainedEnsemble
from nnft.samplers.training_problem import Moving, TrainingProblem
from nnft.spec.given import given_weights
from nnft.spec.plan import RunPlan
from nnft.spec.problems import line
from nnft.spec.run import RunSpec
from nnft.spec.training_resolution import TrainingResolution

FloatArray = npt.NDArray[np.float64]

PILOT_NETWORKS = 8
MOST_PILOT_POINTS = 1000
SAFE_UNDERDAMPED = 0.5
SAFE_MALA = 0.25


def make_ensemble(spec: RunSpec, plan: RunPlan, threads: int, step: float) -> TrainedEnsemble:
    """Return the sampler of a specification.

    Parameters
    ----------
    spec : RunSpec
    plan : RunPlan
        With a training.
    threads : int
    step : float
        Step size, decided; see `decide_step`.
    """
    training, data = resolved(plan), spec.dataset()
    test = (data.test_inputs, data.test_targets) if len(data.test_inputs) else None
    problem = make_problem(spec, training)
    schedule = make_schedule(training, step)
    mesh, points_of = spec.mesh().points, network_points(spec)
    if training.algorithm == "given":
        given = given_weights(spec)
        return GivenEnsemble(problem, schedule, mesh, test, spec.ensemble.seed, given, threads)
    return TrainedEnsemble(problem, schedule, mesh, test, spec.ensemble.seed, threads, points_of)


def resolved(plan: RunPlan) -> TrainingResolution:
    """Return the training of a plan that has one."""
    if plan.training is None:
        raise ValueError("plan without a training")
    return plan.training


def make_problem(spec: RunSpec, training: TrainingResolution) -> TrainingProblem:
    """Return network and data, those of network 0 where each has its own, as the kernels take them."""
    data = spec.dataset()
    moving = Moving(
        training.trainable,
        training.weight_mobilities,
        training.bias_mobilities,
        training.temperature if training.decay else 0.0,
        training.observe,
    )
    return TrainingProblem(spec.network, data.train_inputs, data.train_targets, moving)


def make_schedule(training: TrainingResolution, step: float) -> Schedule:
    """Return the algorithm in numbers; see `Schedule`."""
    points, batch = training.train_points, training.batch_size or training.train_points
    return Schedule(
        training.algorithm,
        step,
        2.0 * training.loss_factor,
        training.mean_loss,
        training.temperature,
        training.friction or 1.0,
        training.jitter,
        training.target_acceptance or 0.8,
        training.divergence or 1e6,
        training.tolerance or 1e-6,
        training.leapfrog_steps or 1,
        training.burn_in,
        batch,
        -(-points // batch),
        training.order or "cyclic",
        training.adapt,
        training.chains,
    )


def largest_curvature(spec: RunSpec, training: TrainingResolution) -> float:
    """Return the largest curvature of the energy at the start, from the tangent kernels of the first
    networks.

    The matrix 2 c J M J^T of a network, with J the derivatives of its outputs on the training points and M
    the mobilities, has the eigenvalues of 2 c M^(1/2) J^T J M^(1/2); the weight decay adds its own. For
    batches of fewer points than the data it is the largest of a single point, times the points of a batch.
    Of many training points the first ones stand for all: the largest eigenvalue grows with their number.
    Networks with data of their own are looked at on these.

    Raises
    ------
    NumericalError
        A tangent kernel is not finite.
    """
    problem = make_problem(spec, training)
    schedule = replace(make_schedule(training, 1.0), chains=1)
    total, batch = training.train_points, min(training.batch_size, training.train_points)
    stochastic = training.algorithm == "sgd"
    largest = 0.0
    with threadpool_limits(limits=1, user_api="blas"):
        for network in range(PILOT_NETWORKS):
            inputs = data_of_network(spec, network).train_inputs[:MOST_PILOT_POINTS]
            if network == 0 or spec.dataset().anew:
                ensemble = TrainedEnsemble(problem, schedule, inputs, None, spec.ensemble.seed)
            tangent = _tangent_kernel(ensemble, network, len(inputs))
            value = float(np.linalg.eigvalsh(tangent)[-1]) * total / len(inputs)
            if stochastic:
                few = min(batch, len(inputs))
                of_batch = float(np.sort(tangent.diagonal())[-few:].sum()) * batch / few
                value = min(value, of_batch)
            largest = max(largest, value)
    decay = float((problem.columns[0] * problem.columns[1]).max())
    if stochastic:
        share = total / batch if training.mean_loss else 1.0
        return schedule.gradient_factor * share * largest + decay * (
            1.0 if training.mean_loss else batch / total
        )
    return schedule.gradient_factor * largest + decay


def _tangent_kernel(ensemble: TrainedEnsemble, network: int, points: int) -> FloatArray:
    """Return the tangent kernel of one network at the start on the mesh of the ensemble, shape (P, P)."""
    packed, _ = ensemble.kernels(ensemble.start(network, 1))
    tangent = np.zeros((points, points))
    tangent[np.triu_indices(points)] = packed[0, points * (points + 1) // 2 :]
    if not np.isfinite(tangent).all():
        raise NumericalError(
            "tangent kernel at the start is not finite: got overflow; lower the weight variance"
        )
    whole: FloatArray = tangent + np.triu(tangent, 1).T
    return whole


def measured_step(spec: RunSpec, plan: RunPlan) -> tuple[float | None, float | None]:
    """Return what `decide_step` finds, and None where an algorithm has no step or no limit.

    Raises
    ------
    CardError
        The step of the card is above the limit.
    """
    step, limit = decide_step(spec, plan)
    return (step, limit) if np.isfinite(limit) else (step or None, None)


def decide_step(spec: RunSpec, plan: RunPlan) -> tuple[float, float]:
    """Return the step size and the largest stable one; infinite where there is no such limit.

    A step that is found here is rounded, so that machines that round differently find the same one.

    Raises
    ------
    CardError
        The step of the card is above the limit.
    """
    training = resolved(plan)
    if training.algorithm in ("exact", "gradient-flow", "given"):
        return training.step, float("inf")
    curvature = largest_curvature(spec, training)
    if curvature <= 0.0:
        return training.step or 1.0, float("inf")
    second_order = training.algorithm in ("hmc", "underdamped")
    limit = 2.0 / np.sqrt(curvature) if second_order else 2.0 / curvature
    step = training.step
    if step == 0.0:
        step = SAFE_UNDERDAMPED / np.sqrt(curvature) if second_order else SAFE_MALA / curvature
        step = float(f"{step:.6g}")
    elif step >= limit and not (training.adapt and training.burn_in):
        advice = (
            f"allowed: below {limit:.4g}, the stability limit at curvature {curvature:.4g}, the largest "
            f"of the first {PILOT_NETWORKS} networks"
        )
        raise CardError(line("step above the stability limit", "training.step", f"{step:.6g}", advice))
    return float(step), float(limit)
