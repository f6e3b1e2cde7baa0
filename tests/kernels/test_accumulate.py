"""The accumulation kernel against its NumPy twin, on whole numbers, so that sums are exact in any order."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest

from nnft._kernels.library import LANES, accumulate
from nnft._kernels.reference import accumulate_reference
from nnft.estimators.layout import sum_layout
from nnft.estimators.program import AccumulationProgram, build_program


@numba.njit
def run_program(stages: Any, index: Any, lanes: Any, sums: Any) -> None:
    """Call the C function the way that kernels do."""
    accumulate(stages.ctypes.data, stages.shape[0], index.ctypes.data, lanes.ctypes.data, sums.ctypes.data)


def whole_lanes(program: AccumulationProgram, live: int, largest: int, seed: int) -> np.ndarray:
    """A lane buffer with small whole numbers in the base slots and rubbish in the kept ones."""
    rng = np.random.default_rng(20240601 + seed)
    lanes = np.full((program.n_slots, LANES), 1e300)
    layout = program.layout
    lanes[0] = np.arange(LANES) < live
    for name, slot in program.base_slots.items():
        size = layout.outputs * layout.n_points if name == "fields" else layout.n_pairs
        lanes[slot : slot + size] = rng.integers(-largest, largest + 1, size=(size, LANES)) * lanes[0]
    return lanes


LAYOUTS = [
    (points, kind, order, outputs, layers)
    for points, order, outputs in (
        (1, 8, 4), (2, 6, 3), (3, 8, 2), (4, 8, 4), (5, 4, 2), (7, 6, 1), (17, 4, 2),
    )
    for kind, layers in (("conditional", (2, 3)), ("direct", (3,)), ("conditional", ()))
]  # fmt: skip


@pytest.mark.parametrize(("points", "kind", "order", "outputs", "layers"), LAYOUTS)
def test_sums_are_those_of_the_twin(points: int, kind: Any, order: int, outputs: int, layers: tuple) -> None:
    layout = sum_layout(points, kind, [order], outputs=outputs, last_layer=3, layers=layers)
    program = build_program(layout)
    for seed, live in enumerate((LANES, 1, 5)):
        start = np.random.default_rng(seed).integers(-9, 10, size=layout.n_sums).astype(np.float64)
        expected_lanes = whole_lanes(program, live, 3, seed)
        found_lanes, found, expected = expected_lanes.copy(), start.copy(), start.copy()
        accumulate_reference(program, expected_lanes, expected)
        run_program(program.stages, program.index, found_lanes, found)
        assert np.array_equal(found, expected)
        assert np.array_equal(found_lanes, expected_lanes)
        assert np.count_nonzero(found != start) > 0.5 * len(start) or live == 1


def test_padding_lanes_add_nothing() -> None:
    """Sixteen networks in one buffer are sixteen buffers of one network."""
    program = build_program(sum_layout(3, "conditional", [6], outputs=2, last_layer=2, layers=(2,)))
    together = whole_lanes(program, LANES, 3, 9)
    alone = np.zeros(program.layout.n_sums)
    for lane in range(LANES):
        lanes = np.zeros_like(together)
        lanes[:, 0] = together[:, lane]
        run_program(program.stages, program.index, lanes, alone)
    sums = np.zeros_like(alone)
    run_program(program.stages, program.index, together, sums)
    assert np.array_equal(sums, alone)
