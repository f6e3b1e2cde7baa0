"""Blocks of networks with weighted readouts: the sums of the NumPy twin, the same outputs kept."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest

from nnft._kernels.library import LANES
from nnft._kernels.reference import accumulate_reference
from nnft._kernels.reference_insertion import weights_reference
from nnft.estimators.layout import SumLayout, sum_layout
from nnft.estimators.program import AccumulationProgram, build_program
from nnft.samplers.initial import Accumulation, BlockRange, InitialEnsemble, WeightedReadouts

POINTS = np.array([[1.0, 0.2], [-0.4, 0.8], [0.5, -0.7]])
PAIRS, LAYERS, OUTPUTS, READOUTS = 6, 3, 2, 3
COEFFICIENTS = np.array([[0.2, -0.1, 0.0], [0.3, 0.1, 0.2], [0.0, 0.1, 0.0]])
SHIFT = 0.4


def ensemble(method: str = "collapsed", outputs: int = READOUTS * OUTPUTS) -> InitialEnsemble:
    """Two hidden layers, three points."""
    return InitialEnsemble(
        POINTS, (5, 9), "gelu", (), (1.2, 1.6, 1.4), (0.1, 0.0, 0.2), outputs, 20240601, method, "float64"
    )


def layout_of(labels: int = 2) -> SumLayout:
    """All kinds of sums at once."""
    return sum_layout(3, "reweighted", [6], outputs=labels, last_layer=LAYERS, layers=(2, 3))


def accumulation(program: AccumulationProgram, sampler: InitialEnsemble, bins: int) -> Accumulation:
    """The program with outputs, weights and metrics in their places."""
    drawn = LAYERS * PAIRS
    behind = sampler.n_values
    bases = [
        (program.base_slots["fields"], drawn, program.layout.outputs * 3),
        (program.base_slots["weight"], behind, 1),
        (program.base_slots["weight"], behind + READOUTS, 1),
        (program.base_slots["cut"], behind + READOUTS + 1, 1),
        *((program.base_slots[f"kernel_{layer}"], (layer - 1) * PAIRS, PAIRS) for layer in (2, 3)),
    ]
    weighted = WeightedReadouts(
        READOUTS, OUTPUTS, COEFFICIENTS, False, SHIFT, program.readout_stages, 2, np.array([OUTPUTS * 3, 1])
    )
    shift = np.zeros(behind + weighted.extra_values)
    shift[:drawn] = np.linspace(0.1, 0.9, drawn)
    return Accumulation(
        program.stages, program.index, np.array(bases), shift, program.n_slots, bins, weighted
    )


def run(
    sampler: InitialEnsemble, accumulated: Accumulation, n_sums: int, networks: int, block_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Sums and kept outputs of all blocks."""
    bins = accumulated.bins
    sums, fields = np.zeros(bins * n_sums), np.full((20, OUTPUTS, 3), np.nan)
    blocks = -(-networks // block_size)
    for first in range(0, blocks, bins):
        span = BlockRange(first, min(bins, blocks - first), block_size, networks, 5, 25)
        sampler.run_blocks(span, accumulated, sums, fields, draw=True)
    return sums, fields


def expected_sums(
    program: AccumulationProgram,
    sampler: InitialEnsemble,
    accumulated: Accumulation,
    networks: int,
    size: int,
) -> dict[str, np.ndarray]:
    """Sums of every bin: sixteen networks at a time, readout after readout, then the networks."""
    values = sampler.values(0, networks, draw=True)
    weights = weights_reference(values, LAYERS * PAIRS, READOUTS, COEFFICIENTS, False, SHIFT)
    values = np.concatenate([values, weights], axis=1)
    readout_stages, parts = program.readout_stages, []
    for stages in (program.stages[:readout_stages], program.stages[readout_stages:]):
        parts.append(AccumulationProgram(program.layout, stages, program.index, program.n_slots, {}))
    flat = np.zeros((accumulated.bins, program.n_sums))

    def add(part: AccumulationProgram, bases: np.ndarray, rows: np.ndarray, into: np.ndarray) -> None:
        lanes[0] = np.arange(LANES) < len(rows)
        for slot, source, count in bases.tolist():
            lanes[slot : slot + count] = 0.0
            lanes[slot : slot + count, : len(rows)] = (rows - accumulated.shift)[:, source : source + count].T
        accumulate_reference(part, lanes, into)

    for block, start in enumerate(range(0, networks, size)):
        for first in range(start, min(start + size, networks), LANES):
            rows = values[first : min(first + LANES, start + size)]
            lanes = np.full((program.n_slots, LANES), np.nan)
            for readout in range(READOUTS):
                moved = accumulated.bases[:2].copy()
                moved[:, 1] += readout * np.array([OUTPUTS * 3, 1])
                add(parts[0], moved, rows, flat[block % accumulated.bins])
            add(parts[1], accumulated.bases[2:], rows, flat[block % accumulated.bins])
    return {name: flat[:, place] for name, place in program.layout.slices.items()}


@pytest.mark.parametrize("method", ["collapsed", "explicit"])
@pytest.mark.parametrize(("networks", "block_size", "bins"), [(100, 7, 4), (64, 16, 8), (33, 40, 3)])
def test_blocks_have_the_sums_of_the_twin(method: str, networks: int, block_size: int, bins: int) -> None:
    sampler, layout = ensemble(method), layout_of()
    program = build_program(layout)
    accumulated = accumulation(program, sampler, bins)
    sums, fields = run(sampler, accumulated, layout.n_sums, networks, block_size)
    expected = expected_sums(program, sampler, accumulated, networks, block_size)
    for name, place in layout.slices.items():
        found = sums[bins * place.start : bins * place.stop].reshape(bins, -1)
        np.testing.assert_allclose(found, expected[name], rtol=1e-11, atol=1e-12, err_msg=name)
    plain = ensemble(method, outputs=OUTPUTS)
    assert np.array_equal(fields, plain.fields(5, 20))


def test_sums_do_not_depend_on_threads_or_on_the_cut_into_calls() -> None:
    sampler, layout = ensemble(), layout_of()
    program = build_program(layout)
    accumulated = accumulation(program, sampler, 4)
    found: list[Any] = []
    for threads in (1, min(2, numba.config.NUMBA_NUM_THREADS)):
        numba.set_num_threads(threads)
        found.append(run(sampler, accumulated, layout.n_sums, 90, 8)[0].tobytes())
    one_by_one = np.zeros(4 * layout.n_sums)
    for block in range(12):
        span = BlockRange(block, 1, 8, 90)
        sampler.run_blocks(span, accumulated, one_by_one, np.zeros((0, OUTPUTS, 3)), draw=True)
    found.append(one_by_one.tobytes())
    assert found[0] == found[1] == found[2]


def test_fewer_labels_than_outputs_change_no_weight() -> None:
    """The weight is that of all outputs, however many of them a correlator has."""
    both = []
    for labels in (1, 2):
        sampler, layout = ensemble(), layout_of(labels)
        accumulated = accumulation(build_program(layout), sampler, 4)
        sums, _ = run(sampler, accumulated, layout.n_sums, 64, 8)
        names = ("S4:0000", "weight", "weight:squared", "layer3:mean")
        places = [layout.slices[name] for name in names]
        both.append(np.concatenate([sums[4 * p.start : 4 * p.stop] for p in places]))
    assert np.array_equal(*both)
