"""Parallel loops over networks: sample, put sixteen networks side by side, add up.

A block of networks is one unit of work for one thread. Every block of one call belongs to another
bin, and a bin's sums grow in the order of its networks, so that the numbers do not depend on the
number of threads nor on how many blocks one call gets.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from nnft._kernels.library import (
    LANES,
    accumulate,
    collapsed_d,
    collapsed_f,
    compiled,
    explicit_d,
    explicit_f,
    factor,
    waves_d,
)

METHODS = {
    ("collapsed", "float64"): 0,
    ("collapsed", "float32"): 1,
    ("explicit", "float64"): 2,
    ("explicit", "float32"): 3,
    ("waves", "float64"): 4,
}


@compiled()
def sample_network(method: int, network: Any, index: Any, work: Any, values: Any, draw: bool) -> Any:
    """One network: conditional metrics of all layers, then its outputs if `draw`; a status."""
    header, reals = network
    pairs = header[1] * (header[1] + 1) // 2
    address = (work.ctypes.data + 63) // 64 * 64
    kernels = values.ctypes.data
    fields = np.uintp(0)
    if draw:
        fields = np.uintp(kernels + 8 * header[0] * pairs)
    a, b = header.ctypes.data, reals.ctypes.data
    if method == 0:
        return collapsed_d(a, b, np.uint64(index), address, kernels, fields)
    if method == 1:
        return collapsed_f(a, b, np.uint64(index), address, kernels, fields)
    if method == 4:
        return waves_d(a, b, np.uint64(index), address, kernels, fields)
    if method == 2:
        return explicit_d(a, b, np.uint64(index), address, kernels, fields)
    return explicit_f(a, b, np.uint64(index), address, kernels, fields)


@compiled()
def to_lanes(lane: int, bases: Any, values: Any, shift: Any, lanes: Any) -> None:
    """Put one network's shifted values into its lane."""
    lanes[lane] = 1.0
    for k in range(bases.shape[0]):
        slot, source, count = bases[k, 0], bases[k, 1], bases[k, 2]
        for q in range(count):
            lanes[(slot + q) * LANES + lane] = values[source + q] - shift[source + q]


@compiled()
def clear_lanes(first: int, bases: Any, lanes: Any) -> None:
    """Make the lanes from `first` on those of no network."""
    for lane in range(first, LANES):
        lanes[lane] = 0.0
        for k in range(bases.shape[0]):
            for q in range(bases[k, 2]):
                lanes[(bases[k, 0] + q) * LANES + lane] = 0.0


@compiled()
def binned_stages(stages: Any, bins: int, block: int) -> Any:
    """Stages whose sums lie in the row of the block's bin."""
    moved = stages.copy()
    for s in range(stages.shape[0]):
        if stages[s, 3] >= 0:
            moved[s, 3] = bins * stages[s, 3] + block % bins * stages[s, 0]
    return moved


@compiled()
def _run_block(
    method: int, network: Any, block: int, plan: Any, program: Any, buffers: Any, sums: Any, fields: Any
) -> int:
    """One block of networks into the sums of its bin; -1, or the index of a network that failed."""
    block_size, networks, draw, keep_from, keep_to = plan[0], plan[1], plan[2], plan[3], plan[4]
    stages, index, bases, shift = program
    work, values, lanes = buffers
    stages = binned_stages(stages, plan[7], block)
    header = network[0]
    points, outputs, offset = header[1], header[2], header[0] * (header[1] * (header[1] + 1) // 2)
    first, last = block * block_size, min((block + 1) * block_size, networks)
    for start in range(first, last, LANES):
        live = min(LANES, last - start)
        for lane in range(live):
            m = start + lane
            keep = keep_from <= m < keep_to
            if sample_network(method, network, m, work, values, draw != 0 or keep) != 0:
                return m
            to_lanes(lane, bases, values, shift, lanes)
            if keep:
                for i in range(outputs):
                    for a in range(points):
                        fields[m - keep_from, i, a] = values[offset + i * points + a]
        if live < LANES:
            clear_lanes(live, bases, lanes)
        accumulate(
            stages.ctypes.data, stages.shape[0], index.ctypes.data, lanes.ctypes.data, sums.ctypes.data
        )
    return -1


@compiled(parallel=True)
def run_blocks(
    method: int, network: Any, first_block: int, plan: Any, program: Any, sums: Any, fields: Any, failed: Any
) -> None:
    """Blocks first_block .. first_block+len(failed)-1, at most one for each bin.

    Parameters
    ----------
    method : int
        A value of ``METHODS``.
    network : tuple of (int64[:], float64[:])
        Header and reals of ``core/api.h``.
    first_block : int
    plan : int64[:]
        Block size, networks of the run, whether outputs are drawn, kept networks (from, to), slots
        of the lane buffer, doubles of working memory, bins.
    program : tuple of (int64[:, :], int32[:], int64[:, :], float64[:])
        Stages, slot index, bases (slot, source, count), shift of the values.
    sums : float64[:]
        Added to in place; sums start..start+size-1 of a stage are a (bins, size) table from
        bins * start on. A stage fills one such table.
    fields : float64[:, :, :]
        (kept networks, outputs, points).
    failed : int64[:]
        For each block -1, or the index of a network whose kernel is not finite.
    """
    header = network[0]
    size = header[0] * (header[1] * (header[1] + 1) // 2) + header[1] * header[2]
    for k in numba.prange(failed.shape[0]):
        block = first_block + k
        work = np.empty(plan[6] + 8)
        values = np.zeros(size)
        lanes = np.zeros(plan[5] * LANES)
        failed[k] = _run_block(
            method, network, block, plan, program, (work, values, lanes), sums, fields
        )


@compiled(parallel=True)
def sample_values(
    method: int, network: Any, first: int, work_size: int, draw: bool, values: Any, status: Any
) -> None:
    """Networks first .. first+len(status)-1 one by one: values (networks, L*Q + D*P) and statuses."""
    chunk = 16
    for c in numba.prange((status.shape[0] + chunk - 1) // chunk):
        work = np.empty(work_size + 8)
        for m in range(c * chunk, min((c + 1) * chunk, status.shape[0])):
            status[m] = sample_network(method, network, first + m, work, values[m], draw)


@compiled()
def upper_factor(kernel: Any, tolerance: float) -> Any:
    """Upper factor U of a P x P kernel, U^T U = kernel, null pivots as exact zero rows."""
    matrix = kernel.copy()
    factor(matrix.shape[0], tolerance, matrix.ctypes.data)
    for i in range(matrix.shape[0]):
        for j in range(i):
            matrix[i, j] = 0.0
    return matrix
