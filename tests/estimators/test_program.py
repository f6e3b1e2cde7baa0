"""The accumulation program, run by the plain NumPy kernel, against hafnians and products by hand."""

from __future__ import annotations

import time

import numpy as np
import pytest
from exact_laws import hafnian

from nnft._kernels.reference import accumulate_reference
from nnft.errors import UsageError
from nnft.estimators.layout import SumLayout, sum_layout
from nnft.estimators.program import LANES, AccumulationProgram, build_program


def filled_lanes(program: AccumulationProgram, live: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    lanes = np.full((program.n_slots, LANES), np.nan)
    lanes[0] = np.arange(LANES) < live
    first_kept = 1 + program.layout.n_pairs * len([k for k in program.base_slots if k != "fields"])
    if "fields" in program.base_slots:
        first_kept += program.layout.outputs * program.layout.n_points
    lanes[1:first_kept] = rng.standard_normal((first_kept - 1, LANES)) * lanes[0]
    return lanes


def symmetric(layout: SumLayout, packed: np.ndarray) -> np.ndarray:
    matrix = np.zeros((layout.n_points, layout.n_points))
    matrix[layout.pairs[:, 0], layout.pairs[:, 1]] = packed
    return np.maximum(matrix, matrix.T) + np.minimum(matrix, matrix.T) - np.diag(np.diag(matrix))


def expected_sums(program: AccumulationProgram, lanes: np.ndarray) -> dict[str, np.ndarray]:
    layout = program.layout
    expected = {name: np.zeros(len(layout.indices(name))) for name in layout.slices}
    for lane in np.flatnonzero(lanes[0]):
        kernels = {
            name: symmetric(layout, lanes[slot : slot + layout.n_pairs, lane])
            for name, slot in program.base_slots.items()
            if name != "fields"
        }
        for name in layout.slices:
            if name.startswith("layer"):
                kernel = kernels[f"kernel_{name[5]}"]
                for k, points in enumerate(layout.indices(name)):
                    pairs = points.reshape(-1, 2)
                    expected[name][k] += np.prod(kernel[pairs[:, 0], pairs[:, 1]])
                continue
            pattern = layout.tables[name].pattern
            for k, points in enumerate(layout.indices(name).tolist()):
                slots = tuple(zip(pattern, points, strict=True))
                if layout.kind == "conditional":
                    expected[name][k] += hafnian(kernels[f"kernel_{layout.last_layer}"], slots)
                else:
                    fields = lanes[program.base_slots["fields"] :, lane]
                    expected[name][k] += np.prod([fields[i * layout.n_points + a] for i, a in slots])
    return expected


LAYOUTS = [
    sum_layout(3, "conditional", [6], outputs=3, last_layer=4, layers=(2, 3, 4)),
    sum_layout(2, "conditional", [8], outputs=4, last_layer=3, layers=(2,), layer_pairs="diagonal"),
    sum_layout(3, "conditional", [2], last_layer=2, layers=(2,)),
    sum_layout(3, "conditional", [4], last_layer=2, layers=(2,), layer_pairs="diagonal"),
    sum_layout(3, "direct", [6], outputs=3, last_layer=3, layers=(2, 3)),
    sum_layout(2, "direct", [8], outputs=4, last_layer=3, layers=(3,), layer_pairs="diagonal"),
    sum_layout(2, "direct", [2], outputs=1, last_layer=1),
    sum_layout(3, "direct", [4], outputs=2, last_layer=2),
]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("live", [1, 5, 16])
def test_program_sums_the_right_moments(layout: SumLayout, live: int) -> None:
    program = build_program(layout)
    lanes = filled_lanes(program, live, seed=20240601 + live)
    sums = np.zeros(program.n_sums)
    accumulate_reference(program, lanes, sums)
    for name, expected in expected_sums(program, lanes).items():
        np.testing.assert_allclose(sums[program.sum_slices[name]], expected, rtol=1e-12, atol=1e-12)


def test_stages_read_only_slots_that_are_filled() -> None:
    for layout in LAYOUTS:
        program = build_program(layout)
        filled = {
            "first": min([s for _, _, s, _, _, _ in program.stages.tolist() if s >= 0] or [program.n_slots])
        }
        for n_components, n_terms, out_slot, _, offset, n_runs in program.stages.tolist():
            runs = program.index[offset : offset + n_runs * (1 + 2 * n_terms)].reshape(n_runs, -1)
            assert runs[:, 0].sum() == n_components
            assert runs.min() >= 0
            assert (runs[:, 1::2] + runs[:, :1] - 1).max() < filled["first"]
            assert runs[:, 2::2].max() < filled["first"]
            if out_slot >= 0:
                assert out_slot == filled["first"]
                filled["first"] = out_slot + n_components
        assert filled["first"] == program.n_slots


def test_shared_sums_have_one_place() -> None:
    layout = LAYOUTS[0]
    assert layout.slices["layer4:mean"] == layout.slices["S2:00"]
    assert layout.slices["layer4:product"] == layout.slices["S4:0011"]
    places = sorted((layout.slices[name].start, layout.slices[name].stop) for name in layout.sizes)
    assert [start for start, _ in places] == [0, *(stop for _, stop in places[:-1])]
    assert places[-1][1] == layout.n_sums


@pytest.mark.parametrize(
    ("layout", "seconds"),
    [
        (sum_layout(16, "conditional", [2, 4, 6], outputs=3, last_layer=4, layers=(2, 3, 4)), 2.0),
        (sum_layout(64, "conditional", [4], last_layer=3), 2.0),
    ],
)
def test_large_programs_are_built_quickly(layout: SumLayout, seconds: float) -> None:
    start = time.process_time()
    program = build_program(layout)
    assert time.process_time() - start < seconds
    assert program.stages[:, 0].sum() == layout.n_sums


def test_impossible_layouts_are_refused() -> None:
    with pytest.raises(UsageError, match="layers"):
        sum_layout(2, "direct", [2], last_layer=2, layers=(1,))
    with pytest.raises(UsageError, match="layers"):
        sum_layout(2, "direct", [2], last_layer=3, layers=(2, 2))
    with pytest.raises(UsageError, match="general"):
        sum_layout(2, "general", [2])  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="order"):
        sum_layout(2, "direct", [5])
