"""Members of an ensemble that is trained: what a kernel is told, the start, the part that moves.

A member is one chain of one network. Its state is its weights, its momenta where the algorithm keeps them,
and a few numbers (``control``); what it does depends on nothing else. Kernels work through the members they
are given one after the other, without the interpreter lock; several threads share the members of a wave, and
neither their number nor the cutting of a training into calls matters for any bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nnft._kernels.library import compiled, features_d
from nnft._kernels.training_problem import LAYER, NUMBERS, aligned, draw_start
from nnft._kernels.training_steps import ADAPT_LOG, FIRST_LOSS, SIZE, STEP, refresh

(
    FIRST, LAST, BURN_IN, LEAPS, ADAPTS, BATCH, BATCH_ORDER, PER_EPOCH, KEY, CHAINS, MEMBER, READOUT, TRIALS,
    WORK,
) = range(14)  # fmt: skip
"""Places in ``plan``: steps FIRST .. LAST - 1; steps of burn-in; leapfrog steps; whether the step size adapts
during burn-in; points of a batch (0: all), their order, batches in an epoch; key; chains of a network; first
member; whether only the readout moves; trial steps of the flow in one call; doubles of working memory."""


@compiled()
def moving_part(problem: Any, plan: Any, theta: Any, work: Any) -> Any:
    """Return the problem that moves: the whole, or the readout alone on the features of the frozen layers."""
    if plan[READOUT] == 0:
        return problem
    header, parameters, data, columns = problem
    layers = header[0]
    k = LAYER + NUMBERS * (layers - 1)
    small = np.zeros(LAYER + NUMBERS + 1, dtype=np.int64)
    for i in range(LAYER):
        small[i] = header[i]
    for i in range(NUMBERS):
        small[LAYER + i] = header[k + i]
    small[0] = 1
    small[LAYER + 4] = 0
    small[LAYER + NUMBERS] = layers - 1
    stride = header[k + 3]
    features = aligned(header[k + 2] * header[2] + header[1] * stride + (header[k] + 1) * header[2])
    features_d(
        header.ctypes.data, parameters.ctypes.data, data.ctypes.data, theta.ctypes.data, work.ctypes.data,
        features.ctypes.data,
    )  # fmt: skip
    own = np.empty((columns.shape[0], stride))
    before = columns.shape[1] - stride
    for i in range(columns.shape[0]):
        for j in range(stride):
            own[i, j] = columns[i, before + j]
    return small, parameters, features, own


@compiled()
def moving_offset(problem: Any, plan: Any) -> Any:
    """Return the place of the first number of `moving_part` in a member's weights."""
    header = problem[0]
    return header[LAYER + NUMBERS * (header[0] - 1) + 4] if plan[READOUT] else 0


@compiled()
def start(problem: Any, plan: Any, numbers: Any, theta: Any, control: Any) -> None:
    """Draw the weights of members MEMBER, MEMBER + 1, ... of `plan`.

    Parameters
    ----------
    problem : tuple
        See `nnft._kernels.training_problem`.
    plan : int64[:]
    numbers : float64[:]
        See `nnft._kernels.training_steps`; the last one is the time up to which the flow is followed.
    theta : float64[:, :]
        (members, size); filled.
    control : float64[:, :]
        (members, CONTROLS); filled.
    """
    chains = plan[CHAINS]
    for m in range(theta.shape[0]):
        member = plan[MEMBER] + m
        draw_start(problem, plan[KEY], member // chains, member % chains, chains, theta[m])
        for k in range(control.shape[1]):
            control[m, k] = 0.0
        control[m, FIRST_LOSS] = -1.0
        control[m, SIZE] = numbers[STEP]
        control[m, ADAPT_LOG] = np.log(numbers[STEP]) if numbers[STEP] > 0.0 else 0.0


@compiled()
def start_momenta(problem: Any, plan: Any, numbers: Any, velocity: Any) -> None:
    """Draw the momenta of all members, shape of the weights."""
    noise = aligned(velocity.shape[1])
    for m in range(velocity.shape[0]):
        refresh(problem, numbers, (plan[KEY], plan[MEMBER] + m), 0, velocity[m], noise)
