"""The ensemble as a Python object: shapes, refusals, blocks and bins, kept outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nnft._kernels.library import LANES
from nnft._kernels.reference import accumulate_reference
from nnft.errors import NumericalError, UsageError
from nnft.estimators.layout import SumLayout, sum_layout
from nnft.estimators.program import AccumulationProgram, build_program
from nnft.samplers.initial import Accumulation, BlockRange, InitialEnsemble, first_kernel

POINTS = np.array([[1.0, 0.2], [-0.4, 0.8], [0.5, -0.7]])
SEED = 20240601
PAIRS, LAYERS, OUTPUTS = 6, 3, 2


def ensemble(method: str = "collapsed", seed: int = SEED, **changes: Any) -> InitialEnsemble:
    """Two hidden layers, three points, two outputs."""
    given: dict[str, Any] = {
        "points": POINTS, "widths": (5, 9), "activation": "gelu", "activation_parameters": (),
        "weight_variances": (1.2, 1.6, 1.4), "bias_variances": (0.1, 0.0, 0.2), "outputs": OUTPUTS,
        "seed": seed, "method": method, "precision": "float64",
    }  # fmt: skip
    return InitialEnsemble(**given | changes)


def accumulation(program: AccumulationProgram, shift: np.ndarray, bins: int) -> Accumulation:
    """The program with metrics and outputs in the places that a network's values have."""
    bases = []
    for name, slot in program.base_slots.items():
        if name == "fields":
            bases.append((slot, LAYERS * PAIRS, program.layout.outputs * len(POINTS)))
        else:
            bases.append((slot, (int(name.removeprefix("kernel_")) - 1) * PAIRS, PAIRS))
    rows = np.array(bases, dtype=np.int64)
    return Accumulation(program.stages, program.index, rows, shift, program.n_slots, bins)


def expected_sums(
    program: AccumulationProgram, values: np.ndarray, accumulated: Accumulation, bins: int, block_size: int
) -> dict[str, np.ndarray]:
    """Sums of every bin with the NumPy twin, one block after another."""
    flat = np.zeros((bins, program.layout.n_sums))
    for block, start in enumerate(range(0, len(values), block_size)):
        rows = values[start : start + block_size] - accumulated.shift
        for first in range(0, len(rows), LANES):
            live = rows[first : first + LANES]
            lanes = np.zeros((program.n_slots, LANES))
            lanes[0, : len(live)] = 1.0
            for slot, source, count in accumulated.bases.tolist():
                lanes[slot : slot + count, : len(live)] = live[:, source : source + count].T
            accumulate_reference(program, lanes, flat[block % bins])
    return {name: flat[:, place] for name, place in program.layout.slices.items()}


def tables(layout: SumLayout, sums: np.ndarray, bins: int) -> dict[str, np.ndarray]:
    """Flat sums of the kernel as one table (bins, size) for each name."""
    places = layout.slices
    return {
        name: sums[bins * place.start : bins * place.stop].reshape(bins, -1) for name, place in places.items()
    }


@pytest.mark.parametrize("method", ["collapsed", "explicit"])
@pytest.mark.parametrize("kind", ["conditional", "direct"])
@pytest.mark.parametrize(("networks", "block_size", "bins"), [(100, 7, 4), (64, 16, 8), (33, 40, 3)])
def test_blocks_go_to_their_bins(kind: Any, method: str, networks: int, block_size: int, bins: int) -> None:
    draw = kind == "direct"
    sampler = ensemble(method)
    layout = sum_layout(3, kind, [4], outputs=2, last_layer=LAYERS, layers=(2, 3))
    program = build_program(layout)
    shift = np.zeros(sampler.n_values)
    shift[: LAYERS * PAIRS] = np.linspace(0.1, 0.9, LAYERS * PAIRS)
    accumulated = accumulation(program, shift, bins)
    sums, fields = np.zeros(bins * layout.n_sums), np.full((20, OUTPUTS, 3), np.nan)
    blocks = -(-networks // block_size)
    for first in range(0, blocks, bins):
        span = BlockRange(first, min(bins, blocks - first), block_size, networks, 5, 25)
        sampler.run_blocks(span, accumulated, sums, fields, draw)
    values = sampler.values(0, networks, draw)
    expected = expected_sums(program, values, accumulated, bins, block_size)
    for name, found in tables(layout, sums, bins).items():
        assert np.allclose(found, expected[name], rtol=1e-12, atol=1e-12), name
    assert np.array_equal(fields, sampler.fields(5, 20))


def test_keeping_outputs_does_not_change_the_sums() -> None:
    sampler = ensemble()
    layout = sum_layout(3, "conditional", [4], outputs=2, last_layer=LAYERS)
    accumulated = accumulation(build_program(layout), np.zeros(sampler.n_values), 4)
    found = []
    for keep in (0, 30):
        sums = np.zeros(4 * layout.n_sums)
        sampler.run_blocks(
            BlockRange(0, 4, 8, 30, 0, keep), accumulated, sums, np.zeros((keep, OUTPUTS, 3)), draw=False
        )
        found.append(sums.tobytes())
    assert found[0] == found[1]


def test_more_blocks_than_bins_are_refused() -> None:
    sampler = ensemble()
    layout = sum_layout(3, "conditional", [2], last_layer=LAYERS)
    accumulated = accumulation(build_program(layout), np.zeros(sampler.n_values), 4)
    sums = np.zeros(4 * layout.n_sums)
    with pytest.raises(UsageError, match="too many blocks in a call: got 5; use at most 4"):
        sampler.run_blocks(BlockRange(0, 5, 8, 100), accumulated, sums, np.zeros((0, 2, 3)), draw=False)


def test_a_block_that_overflows_names_its_network() -> None:
    sampler = ensemble(activation="exp", weight_variances=(25.0, 1e8, 1.0))
    layout = sum_layout(3, "conditional", [2], last_layer=LAYERS)
    accumulated = accumulation(build_program(layout), np.zeros(sampler.n_values), 4)
    sums = np.zeros(4 * layout.n_sums)
    with pytest.raises(NumericalError, match=r"not finite in network \d+, layer 3"):
        sampler.run_blocks(BlockRange(0, 4, 8, 100), accumulated, sums, np.zeros((0, 2, 3)), draw=False)


def test_shapes_of_metrics_and_outputs() -> None:
    sampler = ensemble()
    values = sampler.values(7, 5, draw=True)
    assert values.shape == (5, LAYERS * PAIRS + OUTPUTS * 3) == (5, sampler.n_values)
    assert sampler.metrics(7, 5).shape == (5, LAYERS, PAIRS)
    assert sampler.fields(7, 5).shape == (5, OUTPUTS, 3)
    assert np.array_equal(sampler.fields(7, 5).reshape(5, -1), values[:, LAYERS * PAIRS :])
    assert np.array_equal(sampler.metrics(7, 5).reshape(5, -1), values[:, : LAYERS * PAIRS])
    assert not sampler.values(7, 5)[:, LAYERS * PAIRS :].any()


def test_first_metric_is_the_kernel_of_the_inputs() -> None:
    kernel = first_kernel(POINTS, 1.2, 0.1)
    assert np.allclose(kernel, 0.1 + 0.6 * POINTS @ POINTS.T, rtol=1e-15)
    assert np.array_equal(kernel, kernel.T)
    metrics = ensemble().metrics(0, 3)
    assert np.all(metrics[:, 0] == kernel[np.triu_indices(3)])


def test_the_seed_decides() -> None:
    one, same, other = (ensemble(seed=seed).values(0, 3, draw=True) for seed in (1, 1, 1 + (1 << 100)))
    assert one.tobytes() == same.tobytes()
    assert not np.any(one[:, LAYERS * PAIRS :] == other[:, LAYERS * PAIRS :])


@pytest.mark.parametrize("bad", [{"activation": "tahn"}, {"method": "fast"}, {"precision": "float16"}])
def test_unknown_names_are_refused(bad: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="unknown ensemble"):
        ensemble(**bad)


@pytest.mark.parametrize("method", ["collapsed", "explicit"])
def test_the_number_of_outputs_does_not_change_the_first_ones(method: str) -> None:
    few, many = (ensemble(method, outputs=outputs).fields(0, 4) for outputs in (1, 20))
    assert np.array_equal(few[:, 0], many[:, 0])
