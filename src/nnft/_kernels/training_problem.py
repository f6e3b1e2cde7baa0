"""What one network to be trained is, as flat arrays, and its elementary operations.

A problem is a tuple

``header``
    int64[:], see ``core/api.h``: layers, points, padded points, activation, observed output, then six numbers
    for each layer: rows, fan-in, columns, stride, offset, trained; then how many layers stand below the first
    one.
``parameters``
    float64[:], four of the activation, then the L rates of the weights and the L rates of the biases in the
    tangent kernel.
``data``
    float64[:], the training points as ``core/training.h`` wants them.
``columns``
    float64[6, sum of strides]: what every column of a layer's weights has in common, see the constants below.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nnft._kernels.library import compiled, draw_waves_d, gradient_d, normals_d, weighted_square_d, words

LAYER, NUMBERS = 5, 6
MOBILITY, DECAY, LIVE, ROOT, SPREAD, START = range(6)
"""Rows of ``columns``: mobility; decay (temperature / prior variance); 1 for a trained weight, 0 for one that
is not and for padding; square root of the mobility; prior standard deviation, or that of
fan-in alone where it is 0; standard deviation at the start."""

GROUP = 16
WEIGHTS, BIASES, NOISE, MOMENTUM, ACCEPT, ORDER, RESTART, RESTART_BIASES = 1, 2, 5, 6, 7, 8, 9, 10
WAVES, COSINE = 15, 6


@compiled()
def aligned(count: int) -> Any:
    """Return zeros that start at a multiple of 64 bytes."""
    raw = np.zeros(count + 8)
    skip = (64 - int(raw.ctypes.data) % 64) % 64 // 8
    return raw[skip : skip + count]


@compiled()
def scratch(count: int) -> Any:
    """Return numbers not yet written that start at a multiple of 64 bytes.

    Room for the C core: writing zeros to what a network may need takes longer than many a network.
    """
    raw = np.empty(count + 8)
    skip = (64 - int(raw.ctypes.data) % 64) % 64 // 8
    return raw[skip : skip + count]


@compiled()
def weights_size(header: Any) -> Any:
    """Return the length of the array of weights: whole groups of normals for every layer."""
    last = LAYER + NUMBERS * (header[0] - 1)
    count = header[last] * header[last + 3]
    return header[last + 4] + (count + GROUP - 1) // GROUP * GROUP


@compiled()
def gradient(problem: Any, theta: Any, work: Any, out: Any) -> Any:
    """Fill `out` with the gradient of half the sum of squares; return the sum of squares."""
    header, parameters, data, _ = problem
    return gradient_d(
        header.ctypes.data, parameters.ctypes.data, data.ctypes.data, theta.ctypes.data, work.ctypes.data,
        out.ctypes.data,
    )  # fmt: skip


@compiled()
def squared_error(header: Any, parameters: Any, data: Any, theta: Any, work: Any) -> Any:
    """Return the sum of squares of a network on a set of points."""
    return gradient_d(
        header.ctypes.data, parameters.ctypes.data, data.ctypes.data, theta.ctypes.data, work.ctypes.data,
        np.uintp(0),
    )  # fmt: skip


@compiled()
def fill_noise(problem: Any, key: int, member: int, purpose: int, step: int, out: Any) -> None:
    """Fill the trained layers of `out` with the standard normals of one step; padding included."""
    header = problem[0]
    for level in range(header[0]):
        k = LAYER + NUMBERS * level
        if header[k + 5]:
            groups = (header[k] * header[k + 3] + GROUP - 1) // GROUP
            tag = np.uint32(purpose << 12 | (level + 1 + header[LAYER + NUMBERS * header[0]]))
            address = out[header[k + 4] :].ctypes.data
            normals_d(np.uint64(key), np.uint64(member), tag, np.uint64(step * groups), groups, address)


@compiled()
def decay_energy(problem: Any, theta: Any) -> Any:
    """Return half the sum of decay times square of the weights."""
    header, columns = problem[0], problem[3]
    start, total = 0, 0.0
    for level in range(header[0]):
        k = LAYER + NUMBERS * level
        rows, stride, offset = header[k], header[k + 3], header[k + 4]
        if header[k + 5]:
            total += weighted_square_d(
                rows, stride, columns[DECAY, start:].ctypes.data, theta[offset:].ctypes.data
            )
        start += stride
    return 0.5 * total


@compiled()
def kick(
    problem: Any, factor: float, share: float, size: float, row: int, theta: Any, grad: Any, out: Any
) -> None:
    """Subtract size * columns[row] * (factor * gradient + share * decay * theta) from `out`, trained layers
    only.
    """
    header, columns = problem[0], problem[3]
    start = 0
    for level in range(header[0]):
        k = LAYER + NUMBERS * level
        rows, stride, offset = header[k], header[k + 3], header[k + 4]
        if header[k + 5]:
            rate, decay = columns[row, start : start + stride], columns[DECAY, start : start + stride]
            for i in range(rows):
                first = offset + i * stride
                t, g, o = (
                    theta[first : first + stride],
                    grad[first : first + stride],
                    out[first : first + stride],
                )
                for j in range(stride):
                    o[j] -= size * rate[j] * (factor * g[j] + share * decay[j] * t[j])
        start += stride


@compiled()
def drift(problem: Any, size: float, row: int, velocity: Any, out: Any) -> None:
    """Add size * columns[row] * velocity to `out`, trained layers only."""
    header, columns = problem[0], problem[3]
    start = 0
    for level in range(header[0]):
        k = LAYER + NUMBERS * level
        rows, stride, offset = header[k], header[k + 3], header[k + 4]
        if header[k + 5]:
            rate = columns[row, start : start + stride]
            for i in range(rows):
                first = offset + i * stride
                v, o = velocity[first : first + stride], out[first : first + stride]
                for j in range(stride):
                    o[j] += size * rate[j] * v[j]
        start += stride


@compiled()
def uniform_words(key: int, member: int, purpose: int, group: int, out: Any) -> None:
    """Fill out[32] with the raw words of one group of a stream."""
    words(np.uint64(key), np.uint64(member), np.uint32(purpose << 12), np.uint64(group), out.ctypes.data)


@compiled()
def draw_rows(key: int, index: int, purpose: int, layer: Any, scales: Any, theta: Any) -> None:
    """Draw the weights of one layer, row after row, as the explicit sampler addresses them.

    `layer` is (number, rows, fan-in, stride, offset).
    """
    number, rows, fan_in, stride, offset = layer
    groups = (fan_in + GROUP - 1) // GROUP
    line = np.empty(groups * GROUP)
    tag = np.uint32(purpose << 12 | number)
    for i in range(rows):
        normals_d(np.uint64(key), np.uint64(index), tag, np.uint64(i * groups), groups, line.ctypes.data)
        for j in range(fan_in):
            theta[offset + i * stride + j] = scales[j] * line[j]


@compiled()
def draw_wave_start(problem: Any, key: int, network: int, chain: int, chains: int, theta: Any) -> None:
    """Draw a network of cosines as its sampler does; amplitudes of further chains are their own."""
    header, parameters, columns = problem[0], problem[1], problem[3]
    rows, fan_in, stride, offset = header[LAYER], header[LAYER + 1], header[LAYER + 3], header[LAYER + 4]
    shape = np.array([rows, fan_in, stride], dtype=np.int64)
    work = np.empty(3 * ((rows + 63) // 64 * 64))
    draw_waves_d(
        np.uint64(key), np.uint64(network), parameters.ctypes.data, shape.ctypes.data, work.ctypes.data,
        theta[offset:].ctypes.data,
    )  # fmt: skip
    k = LAYER + NUMBERS
    layer = (header[k], header[k + 1], header[k + 3], header[k + 4])
    scales = columns[START, stride:]
    if chain > 0:
        draw_rows(key, network * chains + chain, RESTART, (2, *layer), scales, theta)
    else:
        draw_rows(key, network, WAVES, (3, *layer), scales, theta)


@compiled()
def draw_start(problem: Any, key: int, network: int, chain: int, chains: int, theta: Any) -> None:
    """Draw the weights at the start: those of the network; trained layers of further chains have their
    own.
    """
    header, columns = problem[0], problem[3]
    theta[:] = 0.0
    if header[3] == COSINE and problem[1][0] != 0.0:
        draw_wave_start(problem, key, network, chain, chains, theta)
        return
    start = 0
    for level in range(header[0]):
        k = LAYER + NUMBERS * level
        rows, fan_in, width, stride, offset = (
            header[k],
            header[k + 1],
            header[k + 2],
            header[k + 3],
            header[k + 4],
        )
        own = chain > 0 and header[k + 5] != 0
        index = network * chains + chain if own else network
        scales = columns[START, start : start + stride]
        draw_rows(
            key, index, RESTART if own else WEIGHTS, (level + 1, rows, fan_in, stride, offset), scales, theta
        )
        if width > fan_in:
            groups = (rows + GROUP - 1) // GROUP
            line = np.empty(groups * GROUP)
            tag = np.uint32((RESTART_BIASES if own else BIASES) << 12 | (level + 1))
            normals_d(np.uint64(key), np.uint64(index), tag, np.uint64(0), groups, line.ctypes.data)
            for i in range(rows):
                theta[offset + i * stride + fan_in] = scales[fan_in] * line[i]
        start += stride
