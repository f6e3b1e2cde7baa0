"""Sums of samples that already exist: sixteen side by side through an accumulation program."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnft._kernels.ensemble import binned_stages, clear_lanes, to_lanes
from nnft._kernels.library import LANES, accumulate, compiled


@compiled()
def add_samples(
    values: Any, rows: Any, bin_index: int, bins: int, slots: int, program: Any, sums: Any
) -> None:
    """Add some samples to the sums of one bin.

    Parameters
    ----------
    values : float64[:, :]
        (samples, numbers of one sample).
    rows : int64[:]
        Samples that count, in this order.
    bin_index, bins, slots : int
        Bin, number of bins, slots of the lane buffer.
    program : tuple of (int64[:, :], int32[:], int64[:, :], float64[:])
        Stages, slot index, bases (slot, source, count), shift of the values.
    sums : float64[:]
        Added to in place, table after table (bins, size).
    """
    stages, index, bases, shift = program
    stages = binned_stages(stages, bins, bin_index)
    lanes = np.zeros(slots * LANES)
    for start in range(0, rows.shape[0], LANES):
        live = min(LANES, rows.shape[0] - start)
        for lane in range(live):
            to_lanes(lane, bases, values[rows[start + lane]], shift, lanes)
        if live < LANES:
            clear_lanes(live, bases, lanes)
        accumulate(
            stages.ctypes.data, stages.shape[0], index.ctypes.data, lanes.ctypes.data, sums.ctypes.data
        )
