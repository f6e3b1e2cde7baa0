"""Gradient flow of one network: Dormand and Prince's pair of orders 5 and 4 with control of the local error.

J. R. Dormand and P. J. Prince, J. Comput. Appl. Math. 6 (1980) 19.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nnft._kernels.library import compiled
from nnft._kernels.training_problem import LAYER, MOBILITY, NUMBERS, SPREAD, gradient, kick
from nnft._kernels.training_steps import FACTOR, FLOW_TIME, LOSS, SIZE, TOLERANCE

STAGES = (
    (1 / 5, 0.0, 0.0, 0.0, 0.0, 0.0),
    (3 / 40, 9 / 40, 0.0, 0.0, 0.0, 0.0),
    (44 / 45, -56 / 15, 32 / 9, 0.0, 0.0, 0.0),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729, 0.0, 0.0),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656, 0.0),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
TABLE = np.array(STAGES)
WEIGHTS = np.array(ERROR)


@compiled()
def velocity_of(problem: Any, numbers: Any, theta: Any, work: Any, grad: Any, out: Any) -> Any:
    """Fill `out` with d theta / dt = -mobility * dE/dtheta; returns the sum of squares."""
    loss = gradient(problem, theta, work, grad)
    out[:] = 0.0
    kick(problem, numbers[FACTOR], 1.0, 1.0, MOBILITY, theta, grad, out)
    return loss


@compiled()
def error_norm(problem: Any, tolerance: float, theta: Any, slopes: Any, size: float) -> Any:
    """Root mean square of the error estimate over tolerance * (|theta| + prior standard deviation)."""
    header, columns = problem[0], problem[3]
    start, total, count = 0, 0.0, 0
    for level in range(header[0]):
        k = LAYER + NUMBERS * level
        rows, width, stride, offset = header[k], header[k + 2], header[k + 3], header[k + 4]
        if header[k + 5]:
            for i in range(rows):
                for j in range(width):
                    at = offset + i * stride + j
                    error = 0.0
                    for s in range(7):
                        error += WEIGHTS[s] * slopes[s, at]
                    error *= size / (tolerance * (abs(theta[at]) + columns[SPREAD, start + j]))
                    total += error * error
            count += rows * width
        start += stride
    return np.sqrt(total / max(1, count))


@compiled()
def flow_steps(
    problem: Any, numbers: Any, target: float, most: int, control: Any, theta: Any, buffers: Any
) -> Any:
    """Follow the flow until `target`, with at most `most` trial steps; returns how many were left over.

    buffers: gradient, slopes (7, size), trial place, work. The step size that the flow wants stays in
    control, also where the last step was cut to end at `target`.
    """
    grad, slopes, place, work = buffers
    control[LOSS] = velocity_of(problem, numbers, theta, work, grad, slopes[0])
    while most > 0 and control[FLOW_TIME] < target and np.isfinite(control[LOSS]):
        most -= 1
        left = target - control[FLOW_TIME]
        size = min(control[SIZE], left)
        for stage in range(6):
            for k in range(theta.shape[0]):
                move = 0.0
                for s in range(stage + 1):
                    move += TABLE[stage, s] * slopes[s, k]
                place[k] = theta[k] + size * move
            loss = velocity_of(problem, numbers, place, work, grad, slopes[stage + 1])
        error = error_norm(problem, numbers[TOLERANCE], theta, slopes, size)
        if not np.isfinite(error):
            control[SIZE] = 0.1 * size
            if control[FLOW_TIME] + control[SIZE] == control[FLOW_TIME]:
                control[LOSS] = np.inf  # no step is short enough
            continue
        change = 5.0 if error == 0.0 else min(5.0, max(0.2, 0.9 * error**-0.2))
        if error <= 1.0:
            theta[:] = place
            slopes[0] = slopes[6]
            control[LOSS] = loss
            control[FLOW_TIME] = target if size == left else control[FLOW_TIME] + size
            if size < left or change < 1.0:
                control[SIZE] = size * change
        else:
            control[SIZE] = size * change
    return most
