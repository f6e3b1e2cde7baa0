"""Plain NumPy twins of the kernels that coarse-grain trained networks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from nnft._kernels.reference_training import TrainingLaw

FloatArray = npt.NDArray[np.float64]

_REFILL, _GROUP, _PADDING = 11, 16, 8


def squared_slopes_reference(law: TrainingLaw, theta: FloatArray, points: FloatArray) -> FloatArray:
    """Sum over points and outputs of squared derivatives of the outputs, flat."""
    total = np.zeros_like(theta)
    for point in points:
        for output in range(law.network.outputs):
            delta = np.zeros((law.network.outputs, 1))
            delta[output] = 1.0
            total += law.pull_back(theta, point[None, :], delta) ** 2
    return total


def replacement_reference(
    law: TrainingLaw, layers: Sequence[int], deviations: FloatArray, member: int, group: int
) -> FloatArray:
    """What replaces the numbers of some layers, flat; zero elsewhere.

    The normals of a layer are those of its rows as the kernels keep them, padding included.
    """
    parts = []
    for layer, (rows, fan_in, biased) in enumerate(law.shapes, start=1):
        columns = fan_in + biased
        stride = -(-columns // _PADDING) * _PADDING
        count = -(-rows * stride // _GROUP) * _GROUP
        drawn = np.zeros((rows, columns))
        if layer in layers:
            normals = law.network.normals(member, _REFILL, layer, (group + 1) * count)[group * count :]
            drawn = normals[: rows * stride].reshape(rows, stride)[:, :columns]
        parts.append(drawn.ravel())
    return deviations * np.concatenate(parts)


def spectrum_reference(information: FloatArray, edges: FloatArray) -> FloatArray:
    """Numbers without information, below the first edge, between edges, and from the last one on."""
    positive = information[information > 0.0]
    between = [((low <= positive) & (positive < high)).sum() for low, high in pairwise(edges)]
    below, above = (positive < edges[0]).sum(), (positive >= edges[-1]).sum()
    return np.array([(information == 0.0).sum(), below, *between, above], dtype=np.float64)


def renormalized_reference(
    information: FloatArray, theta: FloatArray, others: Sequence[FloatArray], cutoffs: FloatArray
) -> FloatArray:
    """Numbers at every cutoff, shape (C, numbers): those of `others` where the information is smaller."""
    found = []
    for position, cutoff in enumerate(cutoffs):
        other = others[min(position, len(others) - 1)]
        found.append(np.where(information < cutoff, other, theta))
    return np.stack(found)


def factors_reference(
    law: TrainingLaw, theta: FloatArray, points: FloatArray
) -> list[tuple[FloatArray, FloatArray]]:
    """Values below (columns, X) and deltas (D, rows, X) of every layer; their products are derivatives."""
    inputs, slopes, _ = law.inputs_and_slopes(theta, points)
    matrices, outputs = law.matrices(theta), law.network.outputs
    delta = np.repeat(np.eye(outputs)[:, :, None], len(points), axis=2)
    found = []
    for layer in reversed(range(law.network.layers)):
        found.append((inputs[layer], delta))
        if layer:
            fan_in = law.shapes[layer][1]
            delta = np.einsum("ij,oix->ojx", matrices[layer][:, :fan_in], delta) * slopes[layer - 1]
    return found[::-1]


def relative_errors_reference(law: TrainingLaw, theta: FloatArray, points: FloatArray) -> FloatArray:
    """Spread over the points of sum over outputs of squared derivatives, over sqrt(X) and the mean, flat."""
    each = np.zeros((len(points), theta.size))
    for place, point in enumerate(points):
        each[place] = squared_slopes_reference(law, theta, point[None, :])
    mean = each.mean(axis=0)
    with np.errstate(invalid="ignore"):
        relative: FloatArray = each.std(axis=0, ddof=1) / np.sqrt(len(points)) / mean
    return relative


def projected_reference(
    jacobian: FloatArray, theta: FloatArray, other: FloatArray, roots: FloatArray, cutoff: float
) -> FloatArray:
    """Numbers whose sloppy directions are those of `other`: eigenvectors of J^T J below the cutoff, dense.

    jacobian: (observations, numbers) in the coordinates number / root, scaled so that J^T J is the
    information.
    """
    values, vectors = np.linalg.eigh(jacobian.T @ jacobian)
    sloppy = vectors[:, np.maximum(values, 0.0) < cutoff]
    change = sloppy @ (sloppy.T @ ((other - theta) / roots))
    moved: FloatArray = theta + roots * change
    return moved
