"""Every algorithm as a loop over members and steps; each is compiled when it is first used.

Common parameters of the ``advance_`` kernels:

``problem, plan, numbers``
    See `nnft._kernels.training` and `nnft._kernels.training_steps`.
``theta``
    float64[:, :], weights (members, size).
``extra``
    float64[:, :], momenta (members, size) of the underdamped dynamics; not looked at by others.
``control, status``
    float64[:, :] (members, CONTROLS), int64[:] (members): 0, or 1 + the steps that a member did before it
    diverged. A member works on a copy of its row of ``control``: rows share lines of the cache, which two
    threads would take from each other at every step.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nnft._kernels.library import compiled
from nnft._kernels.training import (
    ADAPTS,
    BATCH,
    BATCH_ORDER,
    BURN_IN,
    FIRST,
    KEY,
    LAST,
    LEAPS,
    MEMBER,
    PER_EPOCH,
    TRIALS,
    WORK,
    moving_offset,
    moving_part,
)
from nnft._kernels.training_batches import RANDOM, batch_shares, fill_order, gather
from nnft._kernels.training_flow import flow_steps
from nnft._kernels.training_problem import LAYER, NUMBERS, aligned, gradient, scratch, squared_error
from nnft._kernels.training_steps import (
    ADAPT_LOG,
    FIRST_LOSS,
    LOSS,
    SIZE,
    STEP,
    adapt,
    count_proposal,
    diverged,
    move,
    scales_of,
    trajectory,
    underdamped,
)


@compiled()
def advance_on_all_points(
    problem: Any, plan: Any, numbers: Any, noisy: bool, theta: Any, control: Any, status: Any
) -> None:
    """Steps along the gradient on all points, with noise or without."""
    work, last = scratch(plan[WORK]), moving_offset(problem, plan)
    where, scales = np.empty(7, dtype=np.int64), np.empty(4)
    scales_of(numbers, noisy, scales)
    for m in range(theta.shape[0]):
        if status[m] == 0:
            inner, place = moving_part(problem, plan, theta[m], work), theta[m, last:]
            grad, own = aligned(place.shape[0]), control[m].copy()
            address = (plan[KEY], plan[MEMBER] + m)
            for step in range(plan[FIRST], plan[LAST] + 1):
                if diverged(numbers, own, gradient(inner, place, work, grad)):
                    status[m] = step + 1
                    break
                if step < plan[LAST]:
                    move(inner, scales, address, step, place, grad, where)
            control[m] = own


@compiled()
def advance_descent(
    problem: Any, plan: Any, numbers: Any, theta: Any, extra: Any, control: Any, status: Any
) -> None:
    """Gradient descent on all points."""
    advance_on_all_points(problem, plan, numbers, False, theta, control, status)


@compiled()
def run_stochastic(problem: Any, plan: Any, numbers: Any, member: int, control: Any, theta: Any) -> Any:
    """Stochastic gradient descent of one member; 0, or 1 + the steps that it did before it diverged."""
    header, parameters, data, columns = problem
    points, batch, per_epoch = header[1], plan[BATCH], plan[PER_EPOCH]
    last = LAYER + NUMBERS * (header[0] - 1)
    work, grad = scratch(plan[WORK]), aligned(theta.shape[0])
    order = np.arange(max(points, per_epoch * batch))
    where, scales = np.empty(7, dtype=np.int64), np.empty(4)
    scales_of(numbers, False, scales)
    small = header.copy()
    most = (batch + 7) // 8 * 8
    part = aligned(header[7] * most + batch * header[8] + (header[last] + 1) * most)
    epoch = -1
    if control[FIRST_LOSS] < 0.0 and diverged(
        numbers, control, squared_error(header, parameters, data, theta, work)
    ):
        return plan[FIRST] + 1
    for step in range(plan[FIRST], plan[LAST]):
        if step // per_epoch != epoch:
            epoch = step // per_epoch
            fill_order(plan[KEY], member, plan[BATCH_ORDER], epoch, points, per_epoch * batch, order)
        at = step % per_epoch * batch
        stop = at + batch if plan[BATCH_ORDER] == RANDOM else min(at + batch, points)
        small[1] = stop - at
        small[2] = (small[1] + 7) // 8 * 8
        gather(header, data, order[at:stop], small, part)
        if not np.isfinite(gradient((small, parameters, part, columns), theta, work, grad)):
            return step + 1
        scales[1], scales[2] = batch_shares(numbers, points, stop - at)
        move(problem, scales, (plan[KEY], member), step, theta, grad, where)
        if step % per_epoch == per_epoch - 1 and diverged(
            numbers, control, squared_error(header, parameters, data, theta, work)
        ):
            return step + 2
    return 0


@compiled()
def advance_stochastic(
    problem: Any, plan: Any, numbers: Any, theta: Any, extra: Any, control: Any, status: Any
) -> None:
    """Stochastic gradient descent."""
    work, last = scratch(plan[WORK]), moving_offset(problem, plan)
    for m in range(theta.shape[0]):
        if status[m] == 0:
            inner = moving_part(problem, plan, theta[m], work)
            status[m] = run_stochastic(inner, plan, numbers, plan[MEMBER] + m, control[m], theta[m, last:])


@compiled()
def advance_flow(
    problem: Any, plan: Any, numbers: Any, theta: Any, extra: Any, control: Any, status: Any
) -> None:
    """Gradient flow until the time that stands last in `numbers`, or some trial steps."""
    work, last = scratch(plan[WORK]), moving_offset(problem, plan)
    target = numbers[numbers.shape[0] - 1]
    for m in range(theta.shape[0]):
        if status[m] == 0:
            inner, place = moving_part(problem, plan, theta[m], work), theta[m, last:]
            size = place.shape[0]
            buffers = (aligned(size), np.zeros((7, size)), aligned(size), work)
            flow_steps(inner, numbers, target, plan[TRIALS], control[m], place, buffers)
            if diverged(numbers, control[m], control[m, LOSS]):
                status[m] = 1


@compiled()
def advance_langevin(
    problem: Any, plan: Any, numbers: Any, theta: Any, extra: Any, control: Any, status: Any
) -> None:
    """Overdamped Langevin dynamics by Euler and Maruyama."""
    advance_on_all_points(problem, plan, numbers, True, theta, control, status)


@compiled()
def advance_underdamped(
    problem: Any, plan: Any, numbers: Any, theta: Any, extra: Any, control: Any, status: Any
) -> None:
    """Underdamped Langevin dynamics, BAOAB; extra: momenta."""
    work, last = scratch(plan[WORK]), moving_offset(problem, plan)
    for m in range(theta.shape[0]):
        if status[m] == 0:
            inner, place, velocity = (
                moving_part(problem, plan, theta[m], work),
                theta[m, last:],
                extra[m, last:],
            )
            grad, noise = aligned(place.shape[0]), aligned(place.shape[0])
            address, own = (plan[KEY], plan[MEMBER] + m), control[m].copy()
            loss = gradient(inner, place, work, grad)
            for step in range(plan[FIRST], plan[LAST] + 1):
                if diverged(numbers, own, loss):
                    status[m] = step + 1
                    break
                if step < plan[LAST]:
                    loss = underdamped(inner, numbers, address, step, place, velocity, (grad, noise, work))
            control[m] = own


@compiled()
def run_hamiltonian(problem: Any, plan: Any, numbers: Any, member: int, control: Any, theta: Any) -> Any:
    """Hamiltonian Monte Carlo of one member; 0, or 1 + the steps that it did before it diverged."""
    size = theta.shape[0]
    work, grad, noise = scratch(plan[WORK]), aligned(size), aligned(size)
    buffers = (grad, noise, (aligned(size), aligned(size), aligned(size)), work)
    control[LOSS] = gradient(problem, theta, work, grad)
    for step in range(plan[FIRST], plan[LAST] + 1):
        if diverged(numbers, control, control[LOSS]):
            return step + 1
        if step == plan[LAST]:
            break
        change = trajectory(problem, numbers, (plan[KEY], member), step, plan[LEAPS], control, theta, buffers)
        if step >= plan[BURN_IN]:
            count_proposal(control, change)
        elif plan[ADAPTS]:
            adapt(numbers, control, numbers[STEP], step + 1, min(1.0, np.exp(-change)))
            if step + 1 == plan[BURN_IN]:
                control[SIZE] = np.exp(control[ADAPT_LOG])
    return 0


@compiled()
def advance_hamiltonian(
    problem: Any, plan: Any, numbers: Any, theta: Any, extra: Any, control: Any, status: Any
) -> None:
    """Hamiltonian Monte Carlo; with one leapfrog step the Metropolis-adjusted Langevin algorithm."""
    work, last = scratch(plan[WORK]), moving_offset(problem, plan)
    for m in range(theta.shape[0]):
        if status[m] == 0:
            inner, own = moving_part(problem, plan, theta[m], work), control[m].copy()
            status[m] = run_hamiltonian(inner, plan, numbers, plan[MEMBER] + m, own, theta[m, last:])
            control[m] = own
