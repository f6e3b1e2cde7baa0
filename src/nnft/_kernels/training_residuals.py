"""Descent of the readout alone, in the variables of the training points.

With frozen features phi a step changes the residuals r_nu of all points by -step * factor * sum over the
batch of r_mu * K_mu_nu, K_mu_nu = sum over features of mobility * phi_mu * phi_nu: P numbers a step instead
of the width. The coefficients c_mu, the sum of all the moves of point mu, give the readout at any time:
a_j = a_j(0) - mobility_j * sum over mu of c_mu * phi_mu_j. It is the same descent, in other variables.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nnft._kernels.library import compiled, dot_d, kernels_d
from nnft._kernels.training import (
    BATCH,
    BATCH_ORDER,
    FIRST,
    KEY,
    LAST,
    MEMBER,
    PER_EPOCH,
    WORK,
    moving_offset,
    moving_part,
)
from nnft._kernels.training_batches import RANDOM, batch_shares, fill_order
from nnft._kernels.training_problem import LAYER, MOBILITY, aligned
from nnft._kernels.training_steps import FIRST_LOSS, STEP, diverged


@compiled()
def residual_kernel(problem: Any, work: Any) -> Any:
    """Return K of a problem without hidden layers, features weighted by their mobilities, shape (P, P)."""
    header, parameters, data, columns = problem
    points = header[1]
    pairs = points * (points + 1) // 2
    packed = np.zeros(
        pairs + header[LAYER + 3] * header[LAYER]
    )  # the kernel, then weights that do not matter
    kernels_d(
        header.ctypes.data, parameters.ctypes.data, data.ctypes.data, packed[pairs:].ctypes.data,
        work.ctypes.data, packed.ctypes.data, np.uintp(0),
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
def start_moves(problem: Any, plan: Any, theta: Any, moves: Any) -> None:
    """Fill moves (members, 2 D, P): residuals at the start, and no moves yet."""
    last = moving_offset(problem, plan)
    work = aligned(plan[WORK])
    for m in range(theta.shape[0]):
        header, _, data, _ = moving_part(problem, plan, theta[m], work)
        points, padded, columns, stride = header[1], header[2], header[LAYER + 2], header[LAYER + 3]
        targets = columns * padded + points * stride
        for i in range(header[LAYER]):
            line = moves[m, i]
            for a in range(points):
                line[a] = 0.0
                moves[m, header[LAYER] + i, a] = 0.0
            for j in range(columns):
                weight = theta[m, last + i * stride + j]
                row = data[j * padded : j * padded + points]
                for a in range(points):
                    line[a] += weight * row[a]
            for a in range(points):
                line[a] -= data[targets + i * padded + a]


@compiled()
def present_readouts(problem: Any, plan: Any, theta: Any, moves: Any, out: Any) -> None:
    """Fill out (members, size) with the weights at present: those at the start and the moves of the
    points.
    """
    last = moving_offset(problem, plan)
    work = aligned(plan[WORK])
    for m in range(theta.shape[0]):
        header, _, data, columns = moving_part(problem, plan, theta[m], work)
        points, padded, width, stride = header[1], header[2], header[LAYER + 2], header[LAYER + 3]
        outputs = header[LAYER]
        for k in range(theta.shape[1]):
            out[m, k] = theta[m, k]
        for i in range(outputs):
            line = moves[m, outputs + i]
            for j in range(width):
                total = dot_d(points, line.ctypes.data, data[j * padded :].ctypes.data)
                out[m, last + i * stride + j] -= columns[MOBILITY, j] * total


@compiled()
def residual_step(kernel: Any, chosen: Any, scale: float, moves: Any, picked: Any) -> None:
    """One step of a batch of points on residuals and coefficients, moves (2 D, P)."""
    points, outputs = kernel.shape[0], moves.shape[0] // 2
    for i in range(outputs):
        r = moves[i]
        for k in range(chosen.shape[0]):
            picked[k] = scale * r[chosen[k]]
        for k in range(chosen.shape[0]):
            row, amount = kernel[chosen[k]], picked[k]
            moves[outputs + i, chosen[k]] += amount
            for b in range(points):
                r[b] -= amount * row[b]


@compiled()
def run_residuals(problem: Any, plan: Any, numbers: Any, member: int, control: Any, moves: Any) -> Any:
    """Descent of one member; 0, or 1 + the steps that it did before it diverged."""
    points, size = moves.shape[1], moves.size // 2
    kernel = residual_kernel(problem, aligned(plan[WORK]))
    full = plan[BATCH] == 0
    batch = points if full else plan[BATCH]
    per_epoch = 1 if full else plan[PER_EPOCH]
    order, taken = np.arange(max(points, per_epoch * batch)), np.empty(batch)
    epoch = -1
    if control[FIRST_LOSS] < 0.0:
        if diverged(numbers, control, dot_d(size, moves.ctypes.data, moves.ctypes.data)):
            return plan[FIRST] + 1
    for step in range(plan[FIRST], plan[LAST]):
        if not full and step // per_epoch != epoch:
            epoch = step // per_epoch
            fill_order(plan[KEY], member, plan[BATCH_ORDER], epoch, points, per_epoch * batch, order)
        at = step % per_epoch * batch
        stop = at + batch if plan[BATCH_ORDER] == RANDOM else min(at + batch, points)
        factor, _ = batch_shares(numbers, points, stop - at)
        residual_step(kernel, order[at:stop], numbers[STEP] * factor, moves, taken)
        if step % per_epoch == per_epoch - 1:
            loss = dot_d(size, moves.ctypes.data, moves.ctypes.data)
            if diverged(numbers, control, loss):
                return step + 2
    return 0


@compiled()
def advance_residuals(
    problem: Any, plan: Any, numbers: Any, theta: Any, moves: Any, control: Any, status: Any
) -> None:
    """Advance all members that have not diverged; moves (members, 2 D, P), others as in
    `training_advance`.
    """
    work = aligned(plan[WORK])
    for m in range(theta.shape[0]):
        if status[m] == 0:
            inner = moving_part(problem, plan, theta[m], work)
            status[m] = run_residuals(inner, plan, numbers, plan[MEMBER] + m, control[m], moves[m])
