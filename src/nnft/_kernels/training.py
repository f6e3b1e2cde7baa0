"""Parallel loops over the members of an ensemble that is trained: start, advance, observe.

A member is one chain of one network. Its state is its weights, its momenta where the algorithm keeps them, and a few
numbers (``control``); what it does depends on nothing else, so that neither the number of threads nor the cutting of
a training into calls matters.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from nnft._kernels.library import compiled, features_d, kernels_d
from nnft._kernels.training_batches import fill_order, gather, residual_step
from nnft._kernels.training_flow import flow_steps
from nnft._kernels.training_problem import (
    LAYER,
    MOBILITY,
    NUMBERS,
    aligned,
    draw_start,
    gradient,
    squared_error,
)
from nnft._kernels.training_steps import (
    ADAPT_LOG,
    FACTOR,
    FIRST_LOSS,
    LOSS,
    SIZE,
    STEP,
    adapt,
    count_proposal,
    descend,
    diverged,
    langevin,
    refresh,
    trajectory,
    underdamped,
)

DESCENT, STOCHASTIC, FLOW, LANGEVIN, UNDERDAMPED, HAMILTONIAN = range(6)
(
    ALGORITHM, FIRST, LAST, BURN_IN, LEAPS, ADAPTS, BATCH, BATCH_ORDER, PER_EPOCH, KEY, CHAINS, MEMBER, READOUT, DUAL,
    TRIALS, WORK,
) = range(16)  # fmt: skip
"""Places in ``plan``: algorithm; steps FIRST .. LAST - 1; steps of burn-in; leapfrog steps; whether the step size
adapts during burn-in; points of a batch, their order, batches in an epoch; key; chains of a network; first member;
whether only the readout moves; whether its descent works on residuals; trial steps of the flow in one call; doubles
of working memory."""


@compiled()
def readout_problem(problem: Any, theta: Any, work: Any) -> Any:
    """Return the problem of the last layer alone, on the features of the frozen layers below."""
    header, parameters, data, columns = problem
    layers = header[0]
    k = LAYER + NUMBERS * (layers - 1)
    small = np.zeros(LAYER + NUMBERS + 1, dtype=np.int64)
    small[:LAYER] = header[:LAYER]
    small[0] = 1
    small[LAYER : LAYER + NUMBERS] = header[k : k + NUMBERS]
    small[LAYER + 4] = 0
    small[LAYER + NUMBERS] = layers - 1
    size = header[k + 2] * header[2] + header[1] * header[k + 3] + (header[k] + 1) * header[2]
    features = aligned(size)
    features_d(
        header.ctypes.data, parameters.ctypes.data, data.ctypes.data, theta.ctypes.data, work.ctypes.data,
        features.ctypes.data,
    )  # fmt: skip
    own = columns[:, columns.shape[1] - header[k + 3] :].copy()
    return small, parameters, features, own


@compiled()
def residual_kernel(problem: Any, work: Any) -> Any:
    """Return K of a problem without hidden layers, features weighted by their mobilities, shape (P, P)."""
    header, parameters, data, columns = problem
    points = header[1]
    packed = np.empty(points * (points + 1) // 2)
    nothing = np.zeros(header[LAYER + 3] * header[LAYER] + 16)
    kernels_d(
        header.ctypes.data, parameters.ctypes.data, data.ctypes.data, nothing.ctypes.data, work.ctypes.data,
        packed.ctypes.data, np.uintp(0),
    )  # fmt: skip
    rate = columns[MOBILITY, 0]
    bias = columns[MOBILITY, header[LAYER + 1]] if header[LAYER + 2] > header[LAYER + 1] else 0.0
    kernel = np.empty((points, points))
    q = 0
    for a in range(points):
        for b in range(a, points):
            kernel[a, b] = rate * packed[q] + bias
            kernel[b, a] = kernel[a, b]
            q += 1
    return kernel


@compiled()
def start_residuals(problem: Any, theta: Any, outputs: int, moves: Any) -> None:
    """Fill moves (2 D, P) with the residuals at `theta` and no moves yet."""
    header, _, data, _ = problem
    points, padded, columns, stride = header[1], header[2], header[LAYER + 2], header[LAYER + 3]
    targets = columns * padded + points * stride
    moves[:] = 0.0
    for i in range(outputs):
        for j in range(columns):
            weight = theta[i * stride + j]
            for a in range(points):
                moves[i, a] += weight * data[j * padded + a]
        for a in range(points):
            moves[i, a] -= data[targets + i * padded + a]


@compiled()
def moved_readout(problem: Any, moves: Any, theta: Any) -> None:
    """Put the moves of the points into the readout."""
    header, _, data, columns = problem
    points, padded, width, stride = header[1], header[2], header[LAYER + 2], header[LAYER + 3]
    outputs = header[LAYER]
    for i in range(outputs):
        for j in range(width):
            total = 0.0
            for a in range(points):
                total += moves[outputs + i, a] * data[j * padded + a]
            theta[i * stride + j] -= columns[MOBILITY, j] * total


@compiled()
def run_residuals(problem: Any, plan: Any, numbers: Any, member: int, control: Any, moves: Any, work: Any) -> int:
    """Descent of the readout in the variables of the points; 0, or 1 + the step that diverged."""
    header = problem[0]
    points, outputs = header[1], header[LAYER]
    kernel = residual_kernel(problem, work)
    residuals, amounts = moves[:outputs], moves[outputs:]
    full = plan[ALGORITHM] == DESCENT
    batch = points if full else plan[BATCH]
    per_epoch = 1 if full else plan[PER_EPOCH]
    order = np.arange(max(points, per_epoch * batch))
    taken = np.empty(batch)
    epoch = -1
    for step in range(plan[FIRST], plan[LAST]):
        if not full and step // per_epoch != epoch:
            epoch = step // per_epoch
            fill_order(plan[KEY], member, plan[BATCH_ORDER], epoch, points, per_epoch * batch, order)
        at = step % per_epoch * batch
        stop = min(at + batch, points) if plan[BATCH_ORDER] != 1 else at + batch
        residual_step(kernel, order[at:stop], numbers[STEP] * numbers[FACTOR], residuals, amounts, taken)
        if step % per_epoch == per_epoch - 1 or step + 1 == plan[LAST]:
            if diverged(numbers, control, np.sum(residuals * residuals)):
                return step + 1
    return 0


@compiled()
def run_stochastic(problem: Any, plan: Any, numbers: Any, member: int, control: Any, theta: Any, work: Any) -> int:
    """Stochastic gradient descent on all trained layers; 0, or 1 + the step that diverged."""
    header, parameters, data, columns = problem
    points, batch, per_epoch = header[1], plan[BATCH], plan[PER_EPOCH]
    last = LAYER + NUMBERS * (header[0] - 1)
    order = np.arange(max(points, per_epoch * batch))
    grad = aligned(theta.shape[0])
    epoch = -1
    for step in range(plan[FIRST], plan[LAST]):
        if step // per_epoch != epoch:
            epoch = step // per_epoch
            fill_order(plan[KEY], member, plan[BATCH_ORDER], epoch, points, per_epoch * batch, order)
        at = step % per_epoch * batch
        stop = min(at + batch, points) if plan[BATCH_ORDER] != 1 else at + batch
        small = header.copy()
        small[1] = stop - at
        small[2] = (small[1] + 7) // 8 * 8
        part = aligned(header[7] * small[2] + small[1] * header[8] + (header[last] + 1) * small[2])
        gather(header, data, order[at:stop], small, part)
        loss = gradient((small, parameters, part, columns), theta, work, grad)
        if not np.isfinite(loss):
            return step + 1
        descend(problem, numbers, theta, grad)
        if step % per_epoch == per_epoch - 1:
            if diverged(numbers, control, squared_error(header, parameters, data, theta, work)):
                return step + 1
    return 0


@compiled()
def run_steps(
    problem: Any, plan: Any, numbers: Any, member: int, control: Any, theta: Any, velocity: Any, work: Any
) -> int:
    """Steps of an algorithm that uses all points; 0, or 1 + the step that diverged."""
    size, algorithm = theta.shape[0], plan[ALGORITHM]
    address = (plan[KEY], member)
    grad, noise = aligned(size), aligned(size)
    long = algorithm == HAMILTONIAN
    scratch = (aligned(size if long else 1), aligned(size if long else 1), aligned(size if long else 1))
    first = numbers[STEP]
    loss = gradient(problem, theta, work, grad)
    for step in range(plan[FIRST], plan[LAST]):
        if diverged(numbers, control, loss):
            return step + 1
        if algorithm == DESCENT:
            descend(problem, numbers, theta, grad)
            loss = gradient(problem, theta, work, grad)
        elif algorithm == LANGEVIN:
            langevin(problem, numbers, address, step, theta, grad, noise)
            loss = gradient(problem, theta, work, grad)
        elif algorithm == UNDERDAMPED:
            loss = underdamped(problem, numbers, address, step, theta, velocity, (grad, noise, 0, work))
        else:
            change = trajectory(
                problem, numbers, address, step, plan[LEAPS], control, theta, (grad, noise, scratch, work)
            )
            loss = control[LOSS]
            if step >= plan[BURN_IN]:
                count_proposal(control, change)
            elif plan[ADAPTS]:
                adapt(numbers, control, first, step + 1, min(1.0, np.exp(-change)))
                if step + 1 == plan[BURN_IN]:
                    control[SIZE] = np.exp(control[ADAPT_LOG])
    control[LOSS] = loss
    return plan[LAST] if diverged(numbers, control, loss) else 0


@compiled()
def run_member(problem: Any, plan: Any, numbers: Any, member: int, control: Any, theta: Any, extra: Any) -> int:
    """Advance one member; 0, or 1 + the step at which it diverged (for the flow 1)."""
    work = aligned(plan[WORK])
    if plan[ALGORITHM] == STOCHASTIC:
        return run_stochastic(problem, plan, numbers, member, control, theta, work)
    if plan[ALGORITHM] == FLOW:
        size = theta.shape[0]
        slopes = np.zeros((7, size))
        buffers = (aligned(size), slopes, aligned(size), work)
        flow_steps(problem, numbers, numbers[numbers.shape[0] - 1], plan[TRIALS], control, theta, buffers)
        return 1 if diverged(numbers, control, control[LOSS]) else 0
    return run_steps(problem, plan, numbers, member, control, theta, extra, work)


@compiled(parallel=True)
def start(problem: Any, plan: Any, numbers: Any, theta: Any, extra: Any, control: Any) -> None:
    """Draw the weights of all members, and momenta or residuals where the algorithm keeps them.

    Parameters
    ----------
    problem : tuple
        See `nnft._kernels.training_problem`.
    plan : int64[:]
    numbers : float64[:]
        See `nnft._kernels.training_steps`; the last one is the time up to which the flow is followed.
    theta : float64[:, :]
        (members, size); filled.
    extra : float64[:, :]
        (members, size), (members, 2 D P) or (members, 0); filled.
    control : float64[:, :]
        (members, CONTROLS); filled.
    """
    for m in numba.prange(theta.shape[0]):
        member = plan[MEMBER] + m
        chains = plan[CHAINS]
        draw_start(problem, plan[KEY], member // chains, member % chains, chains, theta[m])
        control[m] = 0.0
        control[m, FIRST_LOSS] = -1.0
        control[m, SIZE] = numbers[STEP]
        control[m, ADAPT_LOG] = np.log(numbers[STEP]) if numbers[STEP] > 0.0 else 0.0
        if plan[DUAL]:
            work = aligned(plan[WORK])
            inner = readout_problem(problem, theta[m], work)
            last = problem[0][LAYER + NUMBERS * (problem[0][0] - 1) + 4]
            outputs = inner[0][LAYER]
            start_residuals(inner, theta[m, last:], outputs, extra[m].reshape((2 * outputs, problem[0][1])))
        elif extra.shape[1]:
            refresh(problem, numbers, (plan[KEY], member), 0, extra[m], aligned(theta.shape[1]))


@compiled(parallel=True)
def advance(problem: Any, plan: Any, numbers: Any, theta: Any, extra: Any, control: Any, status: Any) -> None:
    """Advance all members that have not diverged; parameters as for `start`.

    status : int64[:]
        0, or 1 + the step at which a member diverged.
    """
    for m in numba.prange(theta.shape[0]):
        if status[m] == 0:
            member = plan[MEMBER] + m
            last = problem[0][LAYER + NUMBERS * (problem[0][0] - 1) + 4]
            if plan[DUAL]:
                work = aligned(plan[WORK])
                inner = readout_problem(problem, theta[m], work)
                moves = extra[m].reshape((2 * inner[0][LAYER], problem[0][1]))
                status[m] = run_residuals(inner, plan, numbers, member, control[m], moves, work)
            elif plan[READOUT]:
                inner = readout_problem(problem, theta[m], aligned(plan[WORK]))
                own = extra[m, last:] if extra.shape[1] else extra[m]
                status[m] = run_member(inner, plan, numbers, member, control[m], theta[m, last:], own)
            else:
                status[m] = run_member(problem, plan, numbers, member, control[m], theta[m], extra[m])


@compiled()
def current(problem: Any, plan: Any, theta: Any, extra: Any, work: Any, out: Any) -> None:
    """Copy the present weights of a member to `out`."""
    out[:] = theta
    if plan[DUAL]:
        inner = readout_problem(problem, theta, work)
        last = problem[0][LAYER + NUMBERS * (problem[0][0] - 1) + 4]
        moved_readout(inner, extra.reshape((2 * inner[0][LAYER], problem[0][1])), out[last:])
