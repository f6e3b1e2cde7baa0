"""Batches of training points: in which order they are taken, and the problem of one batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnft._kernels.library import compiled
from nnft._kernels.training_problem import ORDER, uniform_words
from nnft._kernels.training_steps import FACTOR, MEAN

CYCLIC, RANDOM, SHUFFLED = 0, 1, 2


@compiled()
def fill_order(key: int, member: int, order: int, epoch: int, points: int, taken: int, out: Any) -> None:
    """Fill `out` with the points of one epoch in the order in which they are taken, `taken` of them."""
    groups = (max(points, taken) + 31) // 32
    line = np.empty(32, dtype=np.uint32)
    if order != RANDOM:
        for i in range(points):
            out[i] = i
    if order == CYCLIC:
        return
    for i in range(taken if order == RANDOM else points):
        if i % 32 == 0:
            uniform_words(key, member, ORDER, epoch * groups + i // 32, line)
        word = np.uint64(line[i % 32])
        if order == RANDOM:
            out[i] = np.int64((word * np.uint64(points)) >> np.uint64(32))
        else:
            other = i + np.int64((word * np.uint64(points - i)) >> np.uint64(32))
            out[i], out[other] = out[other], out[i]


@compiled()
def gather(header: Any, data: Any, chosen: Any, small: Any, out: Any) -> None:
    """Copy chosen training points into the set of a smaller problem; header and small are the two headers."""
    padded, short = header[2], small[2]
    rows, stride = header[7], header[8]
    last = 5 + 6 * (header[0] - 1)
    targets = rows * padded + header[1] * stride
    new_targets = rows * short + small[1] * stride
    out[:] = 0.0
    for k in range(chosen.shape[0]):
        p = chosen[k]
        for j in range(rows):
            out[j * short + k] = data[j * padded + p]
        for j in range(stride):
            out[rows * short + k * stride + j] = data[rows * padded + p * stride + j]
        for i in range(header[last]):
            out[new_targets + i * short + k] = data[targets + i * padded + p]
        out[new_targets + header[last] * short + k] = 1.0


@compiled()
def batch_shares(numbers: Any, points: Any, taken: Any) -> Any:
    """Return factor of the gradient and share of the decay for a batch of `taken` of all points.

    A sum takes the points of the batch as they are, and of the decay as many parts as of the points; a mean
    is over the points of the batch, and has all of the decay.
    """
    if numbers[MEAN] > 0.0:
        return numbers[FACTOR] * points / taken, 1.0
    return numbers[FACTOR], taken / points
