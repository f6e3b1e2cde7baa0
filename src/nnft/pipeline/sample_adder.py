"""Samples of trained networks added to binned sums by a compiled program."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nnft._kernels.accumulation import add_samples
from nnft.estimators.program import AccumulationProgram, build_program

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class Adder:
    """An accumulation program with flat sums of its own, put back by `finish`."""

    def __init__(self, layout: Any, shift: FloatArray, sums: dict[str, FloatArray], bins: int) -> None:
        program: AccumulationProgram = build_program(layout)
        self._sums, self._bins, self._layout = sums, bins, layout
        self._slots = program.n_slots
        points, pairs = layout.n_points, layout.n_pairs
        bases = [
            (program.base_slots[name], 0, points) for name in ("fields", "mean") if name in program.base_slots
        ]
        if "covariance" in program.base_slots:
            bases.append((program.base_slots["covariance"], points, pairs))
        width = points + (pairs if len(bases) > 1 else 0)
        shifts = np.zeros(width)
        shifts[:points] = shift
        self._program = (program.stages, program.index, np.array(bases, dtype=np.int64), shifts)
        self._flat = np.zeros(bins * layout.n_sums)
        for name in layout.sizes:
            self._table(name)[:] = sums[name]

    def _table(self, name: str) -> FloatArray:
        place = self._layout.slices[name]
        table: FloatArray = self._flat[self._bins * place.start : self._bins * place.stop].reshape(
            self._bins, -1
        )
        return table

    def add(self, values: FloatArray, rows: IntArray, bin_index: int) -> None:
        """Add some rows of values to a bin."""
        add_samples(
            np.ascontiguousarray(values), rows.astype(np.int64), bin_index, self._bins, self._slots,
            self._program, self._flat,
        )  # fmt: skip

    def finish(self) -> None:
        """Put the sums back."""
        for name in self._layout.sizes:
            self._sums[name][:] = self._table(name)
