"""Plain NumPy twins of the compiled kernels: obvious before fast, used to check the fast ones."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt


class StageList(Protocol):
    """What the accumulation kernel reads of an accumulation program."""

    @property
    def stages(self) -> npt.NDArray[np.int64]:
        """Rows [n_components, n_terms, out_slot, sum_offset, index_offset], shape (n_stages, 5)."""

    @property
    def index(self) -> npt.NDArray[np.int32]:
        """Left and right slots, interleaved."""


def accumulate_reference(
    program: StageList, lanes: npt.NDArray[np.float64], sums: npt.NDArray[np.float64]
) -> None:
    """Run the stages of an accumulation program on one lane buffer, in place.

    Parameters
    ----------
    program : StageList
        Stages and index of the program.
    lanes : ndarray of float64, shape (n_slots, LANES)
        Lane buffer with slot 0 and the base slots filled; kept slots are overwritten.
    sums : ndarray of float64, shape (n_sums,)
        Sums over networks, increased by those of the live lanes.
    """
    for n_components, n_terms, out_slot, sum_offset, offset in program.stages.tolist():
        slots = program.index[offset : offset + 2 * n_components * n_terms]
        slots = slots.reshape(n_components, n_terms, 2)
        values = (lanes[slots[:, :, 0]] * lanes[slots[:, :, 1]]).sum(axis=1)
        if out_slot >= 0:
            lanes[out_slot : out_slot + n_components] = values
        if sum_offset >= 0:
            sums[sum_offset : sum_offset + n_components] += values.sum(axis=1)
