"""Coarse-graining of trained networks: numbers whose information lies below a cutoff are drawn anew.

The information of a parameter is rate / (noise variance * points) * sum over points and outputs of the square
of the derivative of the output (Fisher information of one sample under Gaussian noise). A parameter is sloppy
at a cutoff if its information is smaller, strictly. What replaces it is drawn once for each network and
refill, the same at every cutoff, so that flows are nested; or anew at every cutoff.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nnft._kernels.fisher_errors import factors_size, relative_errors, summary
from nnft._kernels.library import compiled, kernels_d, normals_d, outputs_d, readout_moves_d, squared_slopes_d
from nnft._kernels.training import KEY, MEMBER, WORK
from nnft._kernels.training_problem import GROUP, LAYER, NUMBERS, aligned, scratch

REFILL = 11
"""Purpose of the numbers that replace sloppy ones."""

METRIC, CHOSEN, DEVIATION = range(3)
"""Rows of ``marks`` (3, sum of strides): information per sum of squared derivatives; 1 for columns of chosen
layers that hold parameters; standard deviation of what replaces them."""

TRAIN, TEST, MESH, REFILLS, ANEW = range(5)
"""Places in ``shape``: training points, test points, mesh points, which follow each other in the joint set;
refills of a network; 1 if every cutoff has numbers of its own."""

EDGES = np.array([float(f"{10.0 ** (k / 10.0):.6g}") for k in range(-160, 161)])
"""Ends of the bins of a spectrum: ten for a decade, rounded so that they are the same everywhere."""

SPECTRUM = len(EDGES) + 2
"""Places of a spectrum: no information at all; below the first edge, between edges, from the last one on."""


@compiled()
def information(problem: Any, fisher: Any, marks: Any, theta: Any, work: Any, out: Any) -> None:
    """Fill `out`, as long as `theta`, with the information of the chosen numbers; infinite for the others.

    fisher: header, in which the chosen layers are marked as trained, and data of the points.
    """
    header, data = fisher
    squared_slopes_d(
        header.ctypes.data, problem[1].ctypes.data, data.ctypes.data, theta.ctypes.data, work.ctypes.data,
        out.ctypes.data,
    )  # fmt: skip
    start = 0
    for level in range(header[0]):
        k = LAYER + NUMBERS * level
        rows, stride, offset = header[k], header[k + 3], header[k + 4]
        for i in range(rows):
            for j in range(stride):
                at = offset + i * stride + j
                if marks[CHOSEN, start + j] > 0.0:
                    out[at] = marks[METRIC, start + j] * out[at]
                else:
                    out[at] = np.inf
        start += stride


@compiled()
def replacement(header: Any, marks: Any, key: int, index: int, group: int, out: Any) -> None:
    """Fill the chosen layers of `out` with what replaces their numbers; `group`: which set of them."""
    start = 0
    for level in range(header[0]):
        k = LAYER + NUMBERS * level
        rows, stride, offset = header[k], header[k + 3], header[k + 4]
        if header[k + 5]:
            groups = (rows * stride + GROUP - 1) // GROUP
            tag = np.uint32(REFILL << 12 | (level + 1))
            normals_d(
                np.uint64(key), np.uint64(index), tag, np.uint64(group * groups), groups,
                out[offset:].ctypes.data,
            )  # fmt: skip
            for i in range(rows):
                for j in range(stride):
                    out[offset + i * stride + j] *= marks[DEVIATION, start + j]
        start += stride


@compiled()
def errors_of(values: Any, targets: Any, shape: Any, out: Any) -> None:
    """Mean squared errors per target on training and test points from outputs (D, J): out[0], out[1]."""
    first = 0
    for part in range(2):
        total, count = 0.0, shape[part] * values.shape[0]
        for o in range(values.shape[0]):
            for x in range(first, first + shape[part]):
                total += (values[o, x] - targets[o, x]) ** 2
        out[part] = total / count if count > 0 else np.nan
        first += shape[part]


@compiled()
def record(values: Any, targets: Any, shape: Any, observed: int, outputs: Any, errors: Any) -> None:
    """Take errors and outputs on the mesh from outputs (D, J) on the joint set."""
    errors_of(values, targets, shape, errors)
    first = shape[TRAIN] + shape[TEST]
    for a in range(shape[MESH]):
        outputs[a] = values[observed, first + a]


@compiled()
def evaluate(problem: Any, joint: Any, theta: Any, work: Any, values: Any) -> None:
    """Fill values (D, J) with the outputs of a network on the joint set."""
    header, data = joint
    outputs_d(
        header.ctypes.data, problem[1].ctypes.data, data.ctypes.data, theta.ctypes.data, work.ctypes.data,
        values.ctypes.data,
    )  # fmt: skip


@compiled()
def fractions(header: Any, found: Any, cutoffs: Any, out: Any) -> None:
    """Fill out[C + 1]: share of the chosen numbers below every cutoff, then that of exact zeros."""
    out[:] = 0.0
    total = 0.0
    for level in range(header[0]):
        k = LAYER + NUMBERS * level
        if header[k + 5]:
            rows, columns, stride, offset = header[k], header[k + 2], header[k + 3], header[k + 4]
            for i in range(rows):
                for j in range(columns):
                    value = found[offset + i * stride + j]
                    total += 1.0
                    out[cutoffs.shape[0]] += value == 0.0
                    for c in range(cutoffs.shape[0]):
                        out[c] += value < cutoffs[c]
    for c in range(out.shape[0]):
        out[c] /= max(total, 1.0)


@compiled()
def spectrum(header: Any, found: Any, out: Any) -> None:
    """Count the chosen numbers by their information: out[SPECTRUM]; an edge belongs to the bin above it."""
    out[:] = 0.0
    for level in range(header[0]):
        k = LAYER + NUMBERS * level
        if header[k + 5]:
            rows, columns, stride, offset = header[k], header[k + 2], header[k + 3], header[k + 4]
            for i in range(rows):
                for j in range(columns):
                    value = found[offset + i * stride + j]
                    place = 0 if value == 0.0 else 1 + np.searchsorted(EDGES, value, side="right")
                    out[place] += 1.0


@compiled()
def mixed(found: Any, cutoff: float, theta: Any, other: Any, out: Any) -> None:
    """Numbers of `other` where the information is below the cutoff, of `theta` elsewhere."""
    for k in range(theta.shape[0]):
        out[k] = other[k] if found[k] < cutoff else theta[k]


@compiled()
def readout_squares(header: Any, found: Any, cutoffs: Any, theta: Any, others: Any, errors: Any) -> None:
    """Fill errors[:, 2] with the sum of squares of the readout weights at every cutoff."""
    k = LAYER + NUMBERS * (header[0] - 1)
    rows, fan_in, stride, offset = header[k], header[k + 1], header[k + 3], header[k + 4]
    errors[:, 2] = 0.0
    for i in range(rows):
        for at in range(offset + i * stride, offset + i * stride + fan_in):
            first = np.searchsorted(cutoffs, found[at], side="right")
            for c in range(cutoffs.shape[0]):
                number = theta[at] if c < first else others[min(c, others.shape[0] - 1), at]
                errors[c, 2] += number * number


@compiled()
def readout_flow(
    problem: Any, joint: Any, targets: Any, shape: Any, found: Any, cutoffs: Any, theta: Any, others: Any,
    work: Any, outputs: Any, errors: Any,
) -> None:  # fmt: skip
    """Flow of a network whose readout alone is replaced, from one evaluation of its features.

    A readout number that becomes sloppy changes the outputs by (new - old) times its feature, once. others:
    (sets, size), one set of replacements, or one for each cutoff. outputs (C, E), errors (C, 2): filled.
    """
    header, data = joint
    k = LAYER + NUMBERS * (header[0] - 1)
    rows, stride, offset = header[k], header[k + 3], header[k + 4]
    points, n_cutoffs, sets_of = header[1], cutoffs.shape[0], others.shape[0]
    base, moved = np.empty((rows, points)), np.zeros((n_cutoffs, rows, points))
    first, amounts = np.empty(rows * stride, dtype=np.int64), np.empty((sets_of, rows * stride))
    for i in range(rows * stride):
        first[i] = np.searchsorted(cutoffs, found[offset + i], side="right")
        for c in range(sets_of):
            amounts[c, i] = others[c, offset + i] - theta[offset + i]
    sizes = np.array([n_cutoffs, sets_of > 1])
    readout_moves_d(
        header.ctypes.data, problem[1].ctypes.data, data.ctypes.data, theta.ctypes.data, work.ctypes.data,
        first.ctypes.data, amounts.ctypes.data, sizes.ctypes.data, base.ctypes.data, moved.ctypes.data,
    )  # fmt: skip
    values = np.empty((rows, points))
    for c in range(n_cutoffs):
        for i in range(rows):
            for x in range(points):
                if sets_of == 1 and c > 0:
                    moved[c, i, x] += moved[c - 1, i, x]
                values[i, x] = base[i, x] + moved[c, i, x]
        record(values, targets, shape, header[4], outputs[c], errors[c])


@compiled()
def whole_flow(
    problem: Any, joint: Any, targets: Any, shape: Any, found: Any, cutoffs: Any, theta: Any, others: Any,
    work: Any, outputs: Any, errors: Any,
) -> None:  # fmt: skip
    """Flow of a network any of whose layers are replaced: one evaluation at each cutoff."""
    header = joint[0]
    values = np.empty((header[LAYER + NUMBERS * (header[0] - 1)], header[1]))
    place = aligned(theta.shape[0])
    for c in range(cutoffs.shape[0]):
        mixed(found, cutoffs[c], theta, others[min(c, others.shape[0] - 1)], place)
        evaluate(problem, joint, place, work, values)
        record(values, targets, shape, header[4], outputs[c], errors[c])


@compiled()
def tangent_flow(
    problem: Any, mesh: Any, found: Any, cutoffs: Any, theta: Any, others: Any, work: Any, kernels: Any
) -> None:
    """Tangent kernel on the mesh at every cutoff: kernels (C, Q), packed pairs."""
    header, data = mesh
    place, last = aligned(theta.shape[0]), np.empty(kernels.shape[1])
    for c in range(cutoffs.shape[0]):
        mixed(found, cutoffs[c], theta, others[min(c, others.shape[0] - 1)], place)
        kernels_d(
            header.ctypes.data, problem[1].ctypes.data, data.ctypes.data, place.ctypes.data,
            work.ctypes.data, last.ctypes.data, kernels[c].ctypes.data,
        )  # fmt: skip


@compiled()
def renormalize(
    problem: Any, sets: Any, plan: Any, flow: Any, theta: Any, outputs: Any, errors: Any, shares: Any,
    tangents: Any,
) -> None:  # fmt: skip
    """Flow of all members.

    Parameters
    ----------
    problem, plan, theta
        See `nnft._kernels.training`.
    sets : tuple
        ``fisher``, ``joint``, ``mesh``, each header and data, and the targets (D, J) of the joint set.
    flow : tuple
        ``marks``, ``cutoffs`` (C, increasing), ``shape``, see above.
    outputs, errors, shares, tangents : float64 arrays
        (members, refills, C, E); (members, refills, C, 3): errors on training and test points, sum of squares
        of the readout weights; (members, C + 3 + SPECTRUM), see `fractions`, then the median and the mean of
        `relative_errors`, and `spectrum`; (members, C, Q), of the first refill, or (members, 0, 0) if not
        wanted. Filled.
    """
    fisher, joint, mesh, targets = sets
    marks, cutoffs, shape = flow
    work, found = scratch(plan[WORK]), aligned(theta.shape[1])
    header = fisher[0]
    last = LAYER + NUMBERS * (header[0] - 1)
    readout = header[last + 5] != 0
    for level in range(header[0] - 1):
        readout = readout and header[LAYER + NUMBERS * level + 5] == 0
    sets_of = cutoffs.shape[0] if shape[ANEW] else 1
    others = aligned(sets_of * theta.shape[1]).reshape(sets_of, theta.shape[1])
    factors, spread = np.empty(factors_size(header)), np.empty(theta.shape[1])
    known = cutoffs.shape[0] + 1
    for m in range(theta.shape[0]):
        information(problem, fisher, marks, theta[m], work, found)
        fractions(header, found, cutoffs, shares[m, :known])
        positive = relative_errors(problem, fisher, theta[m], work, factors, spread)
        summary(spread[:positive], shares[m, known : known + 2])
        spectrum(header, found, shares[m, known + 2 :])
        for r in range(shape[REFILLS]):
            for k in range(sets_of):
                replacement(header, marks, plan[KEY], plan[MEMBER] + m, r * sets_of + k, others[k])
            if readout:
                readout_flow(
                    problem, joint, targets, shape, found, cutoffs, theta[m], others, work, outputs[m, r],
                    errors[m, r],
                )  # fmt: skip
            else:
                whole_flow(
                    problem, joint, targets, shape, found, cutoffs, theta[m], others, work, outputs[m, r],
                    errors[m, r],
                )  # fmt: skip
            readout_squares(header, found, cutoffs, theta[m], others, errors[m, r])
            if r == 0 and tangents.shape[1] > 0:
                tangent_flow(problem, mesh, found, cutoffs, theta[m], others, work, tangents[m])
