"""Factors of the derivatives of a network, and the sampling error of its information over the inputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnft._kernels.library import compiled, slopes_d
from nnft._kernels.training_problem import LAYER, NUMBERS


@compiled()
def factors_size(header: Any) -> Any:
    """Return the length of `factors` for the layers that are marked as trained."""
    outputs, total = header[LAYER + NUMBERS * (header[0] - 1)], 0
    for level in range(header[0]):
        k = LAYER + NUMBERS * level
        if header[k + 5]:
            total += (header[k + 2] + outputs * header[k]) * header[1]
    return total


@compiled()
def factors(problem: Any, points: Any, theta: Any, work: Any, out: Any) -> None:
    """Fill `out` layer after layer with values below (columns, X), ones for a bias, and deltas (D, rows, X).

    The derivative of output o at point x with respect to number (i, j) of a layer is deltas[o, i, x] *
    values[j, x]. points: header, in which the chosen layers are marked as trained, and data.
    """
    header, data = points
    slopes_d(
        header.ctypes.data, problem[1].ctypes.data, data.ctypes.data, theta.ctypes.data, work.ctypes.data,
        out.ctypes.data,
    )  # fmt: skip


@compiled()
def relative_errors(problem: Any, points: Any, theta: Any, work: Any, place: Any, out: Any) -> Any:
    """Fill `out` with relative standard errors of the information of the chosen numbers; return how many.

    The information of a number is an average of g(x) = sum over outputs of (df/dtheta)^2 over X points; its
    error is the spread of g over the points / sqrt(X), were they drawn independently. Numbers without
    information have none. NaN for one point. place: room of `factors_size`.
    """
    header = points[0]
    factors(problem, points, theta, work, place)
    count, outputs = header[1], header[LAYER + NUMBERS * (header[0] - 1)]
    at, found = 0, 0
    for level in range(header[0]):
        k = LAYER + NUMBERS * level
        rows, columns = header[k], header[k + 2]
        if header[k + 5] == 0:
            continue
        squares = np.empty((count, columns))
        for j in range(columns):
            for x in range(count):
                squares[x, j] = place[at + j * count + x] ** 2
        at += columns * count
        for i in range(rows):
            once, twice = np.zeros(columns), np.zeros(columns)
            for x in range(count):
                strength, line = 0.0, squares[x]
                for o in range(outputs):
                    strength += place[at + (o * rows + i) * count + x] ** 2
                for j in range(columns):
                    each = strength * line[j]
                    once[j] += each
                    twice[j] += each * each
            for j in range(columns):
                if once[j] > 0.0:
                    ratio = max(0.0, count * twice[j] / once[j] / once[j] - 1.0)
                    out[found] = np.sqrt(ratio / (count - 1)) if count > 1 else np.nan
                    found += 1
        at += outputs * rows * count
    return found


@compiled()
def summary(values: Any, out: Any) -> None:
    """Median and mean of some numbers; NaN of none."""
    out[0], out[1] = np.nan, np.nan
    if values.shape[0] > 0:
        out[0], out[1] = np.median(values), np.mean(values)
