"""Descent of the readout alone, in the variables of the training points.

With frozen features phi a step changes the residuals r_nu of all points by -step * factor * sum over the
batch of r_mu * K_mu_nu, K_mu_nu = sum over features of mobility * phi_mu * phi_nu: P numbers a step instead
of the width. The coefficients c_mu, the sum of all the moves of point mu, give the readout at any time:
a_j = a_j(0) - mobility_j * sum over mu of c_mu * phi_mu_j. It is the same descent, in other variables.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nnft._kernels.library import compiled, dot_d, kernels_d, outputs_d, residual_steps_d
from nnft._kernels.training import BATCH, BATCH_ORDER, FIRST, KEY, LAST, MEMBER, PER_EPOCH, WORK
from nnft._kernels.training_batches import RANDOM, batch_shares, fill_order
from nnft._kernels.training_problem import LAYER, MOBILITY, NUMBERS, aligned, gradient, scratch
from nnft._kernels.training_steps import FIRST_LOSS, STEP, diverged


@compiled()
def residual_kernels(problem: Any, plan: Any, theta: Any, kernels: Any) -> None:
    """Fill kernels (members, P, P) with K of the frozen features of every member."""
    header, parameters, data, columns = problem
    work, points = scratch(plan[WORK]), header[1]
    last = LAYER + NUMBERS * (header[0] - 1)
    first = columns.shape[1] - header[last + 3]
    rate = columns[MOBILITY, first]
    bias = columns[MOBILITY, first + header[last + 1]] if header[last + 2] > header[last + 1] else 0.0
    packed = np.empty(points * (points + 1) // 2)
    for m in range(theta.shape[0]):
        kernels_d(
            header.ctypes.data, parameters.ctypes.data, data.ctypes.data, theta[m].ctypes.data,
            work.ctypes.data, packed.ctypes.data, np.uintp(0),
        )  # fmt: skip
        kernel = kernels[m]
        q = 0
        for a in range(points):
            for b in range(a, points):
                kernel[a, b] = rate * packed[q] + bias
                kernel[b, a] = kernel[a, b]
                q += 1


@compiled()
def targets_offset(header: Any) -> Any:
    """Return where the targets stand in the training points."""
    return header[LAYER + 2] * header[2] + header[1] * header[LAYER + 3]


@compiled()
def start_moves(problem: Any, plan: Any, theta: Any, moves: Any) -> None:
    """Fill moves (members, 2 D, P): residuals at the start, and no moves yet."""
    header, parameters, data, _ = problem
    points, padded, outputs = header[1], header[2], moves.shape[1] // 2
    work, values, targets = scratch(plan[WORK]), np.empty(outputs * points), targets_offset(header)
    for m in range(theta.shape[0]):
        outputs_d(
            header.ctypes.data, parameters.ctypes.data, data.ctypes.data, theta[m].ctypes.data,
            work.ctypes.data, values.ctypes.data,
        )  # fmt: skip
        for i in range(outputs):
            for a in range(points):
                moves[m, i, a] = values[i * points + a] - data[targets + i * padded + a]
                moves[m, outputs + i, a] = 0.0


@compiled()
def present_readouts(problem: Any, plan: Any, theta: Any, moves: Any, out: Any) -> None:
    """Fill out (members, size) with the weights at present: those at the start and the moves of the points.

    The sum over points of moves times features is the gradient of a network whose residuals are the moves.
    """
    header, parameters, data, columns = problem
    points, padded, outputs = header[1], header[2], moves.shape[1] // 2
    work, values, targets = scratch(plan[WORK]), np.empty(outputs * points), targets_offset(header)
    shifted, grad = aligned(data.shape[0]), aligned(theta.shape[1])
    shifted[:] = data
    last = LAYER + NUMBERS * (header[0] - 1)
    stride, offset = header[last + 3], header[last + 4]
    first = columns.shape[1] - stride
    for m in range(theta.shape[0]):
        outputs_d(
            header.ctypes.data, parameters.ctypes.data, data.ctypes.data, theta[m].ctypes.data,
            work.ctypes.data, values.ctypes.data,
        )  # fmt: skip
        for i in range(outputs):
            for a in range(points):
                shifted[targets + i * padded + a] = values[i * points + a] - moves[m, outputs + i, a]
        gradient((header, parameters, shifted, columns), theta[m], work, grad)
        for k in range(theta.shape[1]):
            out[m, k] = theta[m, k]
        for i in range(outputs):
            for j in range(stride):
                at = offset + i * stride + j
                out[m, at] -= columns[MOBILITY, first + j] * grad[at]


@compiled()
def run_residuals(
    kernel: Any, plan: Any, numbers: Any, member: int, control: Any, moves: Any, order: Any
) -> Any:
    """Descent of one member, an epoch in one call of C; 0, or 1 + the steps before it diverged."""
    points, size, outputs = moves.shape[1], moves.size // 2, moves.shape[0] // 2
    full = plan[BATCH] == 0
    batch = points if full else plan[BATCH]
    per_epoch = 1 if full else plan[PER_EPOCH]
    shape, scales, picked = np.empty(3, dtype=np.int64), np.empty(2), np.empty(max(8, batch))
    short = points - (per_epoch - 1) * batch
    scales[0] = numbers[STEP] * batch_shares(numbers, points, batch)[0]
    scales[1] = numbers[STEP] * batch_shares(numbers, points, max(1, short))[0]
    if control[FIRST_LOSS] < 0.0 and diverged(
        numbers, control, dot_d(size, moves.ctypes.data, moves.ctypes.data)
    ):
        return plan[FIRST] + 1
    step = plan[FIRST]
    while step < plan[LAST]:
        if not full:
            fill_order(
                plan[KEY], member, plan[BATCH_ORDER], step // per_epoch, points, per_epoch * batch, order
            )
        at = step % per_epoch
        steps = min(per_epoch - at, plan[LAST] - step)
        stop = (at + steps) * batch
        shape[0], shape[2] = points, batch
        shape[1] = stop - at * batch if plan[BATCH_ORDER] == RANDOM else min(stop, points) - at * batch
        for i in range(outputs):
            residual_steps_d(
                shape.ctypes.data, order[at * batch :].ctypes.data, kernel.ctypes.data, scales.ctypes.data,
                moves[i].ctypes.data, moves[outputs + i].ctypes.data, picked.ctypes.data,
            )  # fmt: skip
        step += steps
        if step % per_epoch == 0 and diverged(
            numbers, control, dot_d(size, moves.ctypes.data, moves.ctypes.data)
        ):
            return step + 1
    return 0


@compiled()
def advance_residuals(plan: Any, numbers: Any, kernels: Any, moves: Any, control: Any, status: Any) -> None:
    """Advance all members that have not diverged: kernels (members, P, P), moves (members, 2 D, P)."""
    order = np.arange(max(moves.shape[2], plan[PER_EPOCH] * plan[BATCH]))
    for m in range(moves.shape[0]):
        if status[m] == 0:
            status[m] = run_residuals(
                kernels[m], plan, numbers, plan[MEMBER] + m, control[m], moves[m], order
            )
