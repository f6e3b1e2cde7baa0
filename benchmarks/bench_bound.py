"""Collapsed sampling against its own bound: the same normals and activations alone, measured in the same run.

They go through the C core's array functions in buffers of the first-level cache. For many points the matrix
products count too: multiply-adds of both triangles (mixing by the factor, metric sums) at the speed of dgemm.
"""

from __future__ import annotations

from one_core import clock  # first: it limits the threads of the libraries below

# isort: split

import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types

from ensembles import HIDDEN_LAYERS, bare_kernel, spec
from harness import Line, figure, interleave, rate, read_options, show
from nnft._kernels.library import ABI, compiled
from nnft.samplers.initial import ACTIVATION_KINDS

CASES = ((4, 256, 0.93), (4, 1024, 0.93), (64, 1024, 0.85))
BUFFER, GROUP = 1024, 16
FEWEST_POINTS_PRODUCTS = 64
MATRIX = 768

_word, _count, _pointer = types.uint64, types.int64, types.uintp
normals = types.ExternalFunction(
    f"nnft_normals_d_{ABI}", types.void(_word, _word, types.uint32, _word, _count, _pointer)
)
activate = types.ExternalFunction(
    f"nnft_activate_d_{ABI}", types.void(types.int32, _pointer, _count, _pointer, _pointer)
)


@compiled()
def draw_and_activate(kind: int, network: int, count: int, parameters: Any, buffers: tuple[int, int]) -> None:
    """`count` normals and their activations, one buffer after the other."""
    key, tag, drawn, out = np.uint64(1), np.uint32(1), np.uintp(buffers[0]), np.uintp(buffers[1])
    for first in range(0, count, BUFFER):
        some = min(BUFFER, count - first)
        normals(key, np.uint64(network), tag, np.uint64(first // GROUP), some // GROUP, drawn)
        activate(np.int32(kind), parameters.ctypes.data, some, drawn, out)


def parts_alone(count: int, repeats: int) -> Callable[[], object]:
    """Return a function that draws and activates `count` numbers `repeats` times."""
    memory, parameters = np.zeros(2 * BUFFER + 8), np.zeros(4)
    drawn = (memory.ctypes.data + 63) // 64 * 64
    buffers = drawn, drawn + 8 * BUFFER
    kind = ACTIVATION_KINDS["tanh"]

    def work() -> None:
        for network in range(repeats):
            draw_and_activate(kind, network, count, parameters, buffers)
        memory[-1] = 0.0  # keeps the memory alive

    return work


def matrix_product() -> Callable[[], object]:
    """Return a function that multiplies two square matrices."""
    random = np.random.default_rng(1)
    left, right = random.standard_normal((2, MATRIX, MATRIX))
    out = np.empty_like(left)
    return lambda: np.matmul(left, right, out=out)


def main() -> None:
    """Print one line for each number of points and width."""
    options = read_options(__doc__)
    for points, full_width, goal in CASES:
        width = options.size(full_width, 64)
        numbers = HIDDEN_LAYERS * width * points
        networks = max(1, 400_000 // numbers)
        sides = {
            "nnft": rate(bare_kernel(spec(width, points), networks), networks, options.seconds, clock),
            "parts": rate(parts_alone(numbers, networks), networks, options.seconds, clock),
        }
        products = HIDDEN_LAYERS * width * points * (points + 1) if points >= FEWEST_POINTS_PRODUCTS else 0
        if products:
            sides["dgemm"] = rate(matrix_product(), MATRIX**3, options.seconds, clock)
        samples = interleave(sides, options.rounds)
        speeds = samples.get("dgemm", [1.0] * options.rounds)
        pairs = zip(samples["parts"], speeds, strict=True)
        bounds = [1 / (1 / part + products / speed) for part, speed in pairs]
        shares = [mine / bound for mine, bound in zip(samples["nnft"], bounds, strict=True)]
        mine, bound = statistics.median(samples["nnft"]), statistics.median(bounds)
        what = "normals, tanh and matrix products" if products else "normals and tanh"
        show(
            Line(
                f"share of its bound, P = {points}, n = {width}, float64",
                f"{figure(mine)} networks/s",
                f"{what} alone {figure(bound)} networks/s",
                (min(shares), mine / bound, max(shares)),
                goal,
                note=f"dgemm {figure(2e-9 * statistics.median(speeds))} GFLOP/s" if products else "",
                smoke=options.smoke,
            ),
            options,
        )


if __name__ == "__main__":
    main()
