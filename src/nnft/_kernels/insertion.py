"""Networks with weights: several draws of the readout of each, every one weighted with exp(-V).

V is a polynomial of the squared outputs, added up over the points. Readout r of a network has the outputs
r D .. r D + D - 1 of those that are drawn for it. Each network adds to the sums its average over the
readouts; blocks, bins and order are those of `nnft._kernels.ensemble`.

The values of one network are its metrics and drawn outputs, then the weights of its readouts divided by
their number, the sum of these, and the number of readouts whose weight was out of range.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from nnft._kernels.ensemble import binned_stages, clear_lanes, sample_network, to_lanes
from nnft._kernels.library import LANES, accumulate, activate_d, compiled

LARGEST_EXPONENT = 300.0
"""Exponents are cut here, so that squares of weights and their products with outputs stay finite."""

EXPONENTIAL = 12  # number of the activation exp in core/activation_kinds.h


@compiled()
def energy(values: Any, first: int, outputs: int, coefficients: Any, total: bool) -> float:
    """V of the outputs values[first + i P + a]: coefficients (3, P) of r, r^2, r^3.

    r is the square of one output, summed over the outputs after the polynomial, or before it if `total`.
    """
    points = coefficients.shape[1]
    result = 0.0
    for a in range(points):
        c1, c2, c3 = coefficients[0, a], coefficients[1, a], coefficients[2, a]
        together = 0.0
        for i in range(outputs):
            field = values[first + i * points + a]
            if total:
                together += field * field
            else:
                r = field * field
                result += r * (c1 + r * (c2 + r * c3))
        if total:
            result += together * (c1 + together * (c2 + together * c3))
    return result


@compiled()
def energies(fields: Any, coefficients: Any, total: bool) -> Any:
    """V of every row of fields (rows, D, P)."""
    found = np.empty(fields.shape[0])
    for m in range(fields.shape[0]):
        found[m] = energy(fields[m].ravel(), 0, fields.shape[1], coefficients, total)
    return found


@compiled()
def weigh(values: Any, first: int, numbers: Any, coefficients: Any, shift: float, exponents: Any) -> None:
    """Fill in the weights behind the outputs of one network.

    numbers: readouts, outputs D, whether V is a function of the sum over outputs.
    """
    readouts, outputs, total = numbers[0], numbers[1], numbers[2] != 0
    size = outputs * coefficients.shape[1]
    behind = first + readouts * size
    cut = 0.0
    for r in range(readouts):
        exponent = shift - energy(values, first + r * size, outputs, coefficients, total)
        if exponent > LARGEST_EXPONENT:
            exponent = LARGEST_EXPONENT
            cut += 1.0
        exponents[r] = exponent
    start = exponents.ctypes.data
    activate_d(EXPONENTIAL, start, readouts, start, start)
    together = 0.0
    for r in range(readouts):
        values[behind + r] = exponents[r] / readouts
        together += values[behind + r]
    values[behind + readouts] = together
    values[behind + readouts + 1] = cut


@compiled()
def _lanes_of(live: int, bases: Any, values: Any, shift: Any, lanes: Any) -> None:
    """Put networks into the lanes, zeros into those beyond."""
    for lane in range(live):
        to_lanes(lane, bases, values[lane], shift, lanes)
    if live < LANES:
        clear_lanes(live, bases, lanes)


@compiled()
def _add_networks(live: int, program: Any, insertion: Any, values: Any, lanes: Any, sums: Any) -> None:
    """Add sixteen networks, or the `live` first: every readout, then what they have in common."""
    stages, index, bases, shift = program
    numbers, strides = insertion[0], insertion[1]
    readouts, readout_stages, readout_bases = numbers[0], numbers[3], numbers[4]
    moved = bases[:readout_bases].copy()
    for r in range(readouts):
        for k in range(readout_bases):
            moved[k, 1] = bases[k, 1] + r * strides[k]
        _lanes_of(live, moved, values, shift, lanes)
        accumulate(stages.ctypes.data, readout_stages, index.ctypes.data, lanes.ctypes.data, sums.ctypes.data)
    _lanes_of(live, bases[readout_bases:], values, shift, lanes)
    rest = stages[readout_stages:]
    accumulate(rest.ctypes.data, rest.shape[0], index.ctypes.data, lanes.ctypes.data, sums.ctypes.data)


@compiled()
def _run_weighted_block(
    method: int, network: Any, block: int, plan: Any, program: Any, insertion: Any, buffers: Any, fields: Any
) -> int:
    """One block of networks into the sums of its bin; -1, or the index of a network that failed."""
    block_size, networks, keep_from, keep_to = plan[0], plan[1], plan[3], plan[4]
    work, values, exponents, lanes, sums = buffers
    numbers, _, coefficients, energy_shift = insertion
    stages, index, bases, shift = program
    binned = (binned_stages(stages, plan[7], block), index, bases, shift)
    header = network[0]
    points, offset = header[1], header[0] * (header[1] * (header[1] + 1) // 2)
    first, last = block * block_size, min((block + 1) * block_size, networks)
    for start in range(first, last, LANES):
        live = min(LANES, last - start)
        for lane in range(live):
            m = start + lane
            if sample_network(method, network, m, work, values[lane], True) != 0:
                return m
            weigh(values[lane], offset, numbers, coefficients, energy_shift, exponents)
            if keep_from <= m < keep_to:
                for i in range(fields.shape[1]):
                    for a in range(points):
                        fields[m - keep_from, i, a] = values[lane, offset + i * points + a]
        _add_networks(live, binned, insertion, values, lanes, sums)
    return -1


@compiled(parallel=True)
def run_weighted_blocks(
    method: int,
    network: Any,
    first_block: int,
    plan: Any,
    program: Any,
    insertion: Any,
    sums: Any,
    fields: Any,
    failed: Any,
) -> None:
    """As `nnft._kernels.ensemble.run_blocks`, for weighted readouts.

    Parameters
    ----------
    method, network, first_block, plan, sums, fields, failed
        See there; the network draws readouts * D outputs, of which fields takes the first ones.
    program : tuple
        See there. The first stages, and the first bases, are those of one readout.
    insertion : tuple of (int64[:], int64[:], float64[:, :], float)
        Readouts, outputs D, whether V is a function of the sum of squares over outputs, stages of a
        readout, bases of a readout; how far the source of each of these bases moves from one readout
        to the next; coefficients (3, P) of r, r^2, r^3; what V is subtracted from in the exponent.
    """
    header = network[0]
    readouts = insertion[0][0]
    size = header[0] * (header[1] * (header[1] + 1) // 2) + header[1] * header[2] + readouts + 2
    for k in numba.prange(failed.shape[0]):
        work = np.empty(plan[6] + 8)
        values = np.zeros((LANES, size))
        exponents = np.zeros(readouts)
        lanes = np.zeros(plan[5] * LANES)
        failed[k] = _run_weighted_block(
            method,
            network,
            first_block + k,
            plan,
            program,
            insertion,
            (work, values, exponents, lanes, sums),
            fields,
        )
