"""Gaussian readouts integrated out: the law of the outputs of one network given its kernel and the training
data.

With readout weights N(0, C_W / n) and Gaussian noise of variance `ridge` on the targets, the outputs of a
network with frozen hidden layers are Gaussian: mean K_* A^-1 y, covariance K_** - K_* A^-1 K_*^T, A = K +
ridge, with K the network's own kernel (Rasmussen, Williams, *Gaussian Processes for Machine Learning*, eq.
2.25-2.26).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nnft._kernels.library import compiled, kernels_d, normals_d
from nnft._kernels.training import WORK
from nnft._kernels.training_problem import RESTART, scratch

EPSILON = 2.0**-52


@compiled()
def triangular(matrix: Any) -> bool:
    """Turn a symmetric matrix into its upper factor in place; False where it is not positive."""
    size = matrix.shape[0]
    for k in range(size):
        pivot = matrix[k, k]
        if not pivot > 0.0:
            return False
        root = np.sqrt(pivot)
        row = matrix[k]
        for j in range(k, size):
            row[j] /= root
        for i in range(k + 1, size):
            factor, below = row[i], matrix[i]
            for j in range(i, size):
                below[j] -= factor * row[j]
    return True


@compiled()
def unpack(packed: Any, ridge: Any, upper: Any, rest: Any, covariance: Any) -> None:
    """Fill kernel plus ridge (P, P), kernel between points (P, E) and packed kernel of the last points."""
    points, extra = upper.shape[0], rest.shape[1] - 1
    q = 0
    for a in range(points + extra):
        for b in range(a, points + extra):
            if b < points:
                upper[a, b] = packed[q] + (ridge if a == b else 0.0)
            elif a < points:
                rest[a, b - points] = packed[q]
            else:
                i, j = a - points, b - points
                covariance[i * extra - i * (i - 1) // 2 + j - i] = packed[q]
            q += 1


@compiled()
def condition(packed: Any, targets: Any, ridge: float, mean: Any, covariance: Any) -> bool:
    """Fill mean (E) and packed covariance of the points behind the training points.

    packed: pairs of the kernel on training points (P, first) and evaluation points. False, and nothing useful
    in `mean` and `covariance`, where the kernel plus ridge is singular.
    """
    points, extra = targets.shape[0], mean.shape[0]
    upper, rest = np.empty((points, points)), np.empty((points, extra + 1))
    unpack(packed, ridge, upper, rest, covariance)
    for a in range(points):
        rest[a, extra] = targets[a]
    if not triangular(upper):
        return False
    for k in range(points):
        row = rest[k]
        for j in range(extra + 1):
            row[j] /= upper[k, k]
        for i in range(k + 1, points):
            factor, below = upper[k, i], rest[i]
            for j in range(extra + 1):
                below[j] -= factor * row[j]
    mean[:] = 0.0
    for k in range(points):
        row = rest[k]
        q = 0
        for i in range(extra):
            mean[i] += row[i] * row[extra]
            for j in range(i, extra):
                covariance[q] -= row[i] * row[j]
                q += 1
    return True


@compiled()
def condition_all(packed: Any, targets: Any, ridge: float, mean: Any, covariance: Any, status: Any) -> None:
    """`condition` for many networks: packed (M, pairs), mean (M, E), covariance (M, pairs of E), status
    (M).
    """
    for m in range(packed.shape[0]):
        status[m] = 0 if condition(packed[m], targets, ridge, mean[m], covariance[m]) else 1


@compiled()
def condition_members(
    problem: Any, joint: Any, plan: Any, readout: Any, theta: Any, mean: Any, covariance: Any
) -> None:
    """Law of the outputs of every member given its hidden layers; NaN where the kernel plus ridge is
    singular.

    Parameters
    ----------
    problem, plan, theta
        See `nnft._kernels.training`.
    joint : tuple
        Header and data of the training points followed by the mesh, targets (P,), ridge.
    readout : float64[2]
        C_W / n and C_b of the last layer.
    mean, covariance : float64[:, :]
        (members, E), (members, E (E + 1) / 2); filled.
    """
    header, data, targets, ridge = joint
    parameters = problem[1]
    pairs = header[1] * (header[1] + 1) // 2
    work, packed = scratch(plan[WORK]), np.empty(pairs)
    for m in range(theta.shape[0]):
        kernels_d(
            header.ctypes.data, parameters.ctypes.data, data.ctypes.data, theta[m].ctypes.data,
            work.ctypes.data, packed.ctypes.data, np.uintp(0),
        )  # fmt: skip
        for q in range(pairs):
            packed[q] = readout[1] + readout[0] * packed[q]
        if not condition(packed, targets, ridge, mean[m], covariance[m]):
            mean[m], covariance[m] = np.nan, np.nan


@compiled()
def posterior_draws(mean: Any, covariance: Any, key: int, first: int, draws: int, out: Any) -> None:
    """Outputs drawn from Gaussian laws: mean (M, E), packed covariance, out (M, draws, E).

    Networks are first .. first + M - 1; pivots that are rounding noise beside the largest
    covariance give none.
    """
    extra = mean.shape[1]
    groups = (extra + 15) // 16
    for m in range(mean.shape[0]):
        factor, normals = np.zeros((extra, extra)), np.empty(groups * 16)
        least = extra * EPSILON * np.abs(covariance[m]).max()
        q = 0
        for i in range(extra):
            for j in range(i, extra):
                factor[i, j] = covariance[m, q]
                q += 1
        for k in range(extra):
            row = factor[k]
            root = np.sqrt(row[k]) if row[k] > least else 0.0
            for j in range(k, extra):
                row[j] = row[j] / root if root > 0.0 else 0.0
            for i in range(k + 1, extra):
                for j in range(i, extra):
                    factor[i, j] -= row[i] * row[j]
        tag = np.uint32(RESTART << 12)
        for d in range(draws):
            normals_d(
                np.uint64(key), np.uint64(first + m), tag, np.uint64(d * groups), groups, normals.ctypes.data
            )
            for j in range(extra):
                value = mean[m, j]
                for k in range(j + 1):
                    value += factor[k, j] * normals[k]
                out[m, d, j] = value
