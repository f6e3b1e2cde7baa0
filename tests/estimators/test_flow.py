"""Sums at the snapshots of a training: places in the buffer, estimators on the same memory, files."""

from __future__ import annotations

import numpy as np
import pytest

from ensembles import block_sums, estimate_samples, packed
from nnft._kernels.accumulation import add_samples
from nnft.errors import DataFileError, UsageError
from nnft.estimators.correlators import CorrelatorEstimator
from nnft.estimators.flow import FlowEstimator
from nnft.estimators.layout import sum_layout
from nnft.estimators.program import build_program

SEED = 20240601
BINS = 8
LAYOUT = sum_layout(3, "trained", [3])
SHIFTS = np.array([[0.0, 0.0, 0.0], [0.5, -0.5, 0.25], [1.0, -1.0, 2.0], [1.0, -1.0, 2.0]])


def paths(networks: int, draws: int, seed: int = 0) -> np.ndarray:
    """Fields (S, M, draws, P) of networks that relax to a mean."""
    rng = np.random.default_rng(SEED + seed)
    decay = np.exp(-np.arange(4.0))[:, None, None, None]
    target = np.array([1.0, -1.0, 2.0])
    return target + decay * (rng.standard_normal((1, networks, draws, 3)) - target)


def filled(fields: np.ndarray) -> FlowEstimator:
    """The networks, added table by table as a kernel does that has one flat array."""
    flow = FlowEstimator(LAYOUT, BINS, len(fields), SHIFTS, draws=fields.shape[2])
    program = build_program(LAYOUT)
    for snapshot, samples in enumerate(fields):
        for b in range(BINS):
            rows = samples[b::BINS].reshape(-1, 3) - SHIFTS[snapshot]
            sums = block_sums(program, {"fields": rows})
            for name in LAYOUT.sizes:
                place, size = LAYOUT.slices[name], LAYOUT.sizes[name]
                start = BINS * place.start + b * size
                flow.buffer[snapshot, start : start + size] += sums[place]
    flow.counts += [len(fields[0, b::BINS]) for b in range(BINS)]
    return flow


@pytest.mark.parametrize("draws", [1, 3])
def test_every_snapshot_is_an_estimator_on_the_same_memory(draws: int) -> None:
    fields = paths(50, draws)
    flow = filled(fields)
    assert flow.buffer.shape == (4, BINS * LAYOUT.n_sums)
    assert flow.buffer.flags.c_contiguous
    assert flow.n_networks == 50
    for snapshot in range(4):
        alone = estimate_samples(LAYOUT, {"fields": fields[snapshot]}, BINS, SHIFTS[snapshot])
        found = flow.at(snapshot)
        assert found.draws == draws
        for order in (1, 2, 3):
            np.testing.assert_array_equal(found.result(order).value, alone.result(order).value)
            np.testing.assert_array_equal(found.result(order).stderr, alone.result(order).stderr)
        for name, table in found.sums.items():
            assert np.shares_memory(table, flow.buffer)
            assert table.shape == (BINS, LAYOUT.sizes[name])


@pytest.mark.parametrize("kind", ["trained", "trained-conditional"])
def test_the_compiled_kernel_adds_to_the_rows_of_the_buffer(kind: str) -> None:
    """The same sums as from the plain kernel, to rounding; networks that do not count are left out."""
    layout = sum_layout(3, kind, [4])  # type: ignore[arg-type]
    program = build_program(layout)
    rng = np.random.default_rng(SEED)
    shift = np.array([0.25, -0.5, 1.0])
    mean, roots = rng.normal(size=(2, 40, 2, 3)), rng.normal(size=(40, 2, 4, 3))
    samples = {"fields": mean[0]} if kind == "trained" else {"mean": mean[0]}
    if kind == "trained-conditional":
        samples["covariance"] = np.einsum("mrka,mrkb->mrab", roots, roots)
    values = [
        (packed(rows) if name == "covariance" else rows).reshape(80, -1) for name, rows in samples.items()
    ]
    widths = np.cumsum([0, *(table.shape[1] for table in values)])
    bases = [
        (slot, widths[k], values[k].shape[1])
        for k, slot in enumerate(program.base_slots[name] for name in samples)
    ]
    shifts = np.zeros(widths[-1])
    shifts[:3] = shift
    flow = FlowEstimator(layout, BINS, 2, [np.zeros(3), shift], draws=2)
    packed_program = (program.stages, program.index, np.array(bases, dtype=np.int64), shifts)
    kept = [m for m in range(40) if m not in (0, 9, 30)]
    for b in range(BINS):
        networks = [m for m in kept if m % BINS == b]
        rows = np.array([2 * m + r for m in networks for r in range(2)], dtype=np.int64)
        add_samples(
            np.concatenate(values, axis=1), rows, b, BINS, program.n_slots, packed_program, flow.buffer[1]
        )
        flow.counts[b] = len(networks)
    assert not flow.buffer[0].any()
    expected = FlowEstimator(layout, BINS, 2, draws=2)
    for b in range(BINS):
        part = [m for m in kept if m % BINS == b]
        alone = estimate_samples(layout, {name: rows[part] for name, rows in samples.items()}, 1, shift)
        for name, table in alone.sums.items():
            expected.sums[name][1, b] = table[0]
    np.testing.assert_allclose(flow.buffer, expected.buffer, rtol=1e-11, atol=1e-12)
    assert flow.at(1).result(4).n_networks == 37


def test_what_is_added_later_is_seen_and_nothing_is_added_back() -> None:
    flow = filled(paths(32, 1))
    found = flow.at(2)
    before = found.result(1).value
    flow.buffer *= 3.0
    assert not np.array_equal(found.result(1).value, before)
    buffer, counts = flow.buffer.copy(), flow.counts.copy()
    found.push(0, 5, np.ones(LAYOUT.n_sums))
    found.merge(filled(paths(16, 1, seed=1)).at(2))
    assert (flow.n_networks, found.n_networks) == (32, 53)
    np.testing.assert_array_equal(flow.buffer, buffer)
    np.testing.assert_array_equal(flow.counts, counts)


def test_shards_and_arrays() -> None:
    """Sums of integers: merging in any order gives the same bits."""
    fields = np.round(4.0 * paths(40, 2)) / 4.0
    whole, flow, second = filled(fields), filled(fields[:, :24]), filled(fields[:, 24:])
    flow.merge(second)
    np.testing.assert_array_equal(flow.buffer, whole.buffer)
    np.testing.assert_array_equal(flow.counts, whole.counts)
    arrays = flow.to_arrays()
    assert all(name.startswith("flow/") and array.size for name, array in arrays.items())
    again = FlowEstimator.from_arrays(arrays)
    assert again.layout == LAYOUT
    assert (again.draws, again.snapshots) == (2, 4)
    np.testing.assert_array_equal(again.buffer, flow.buffer)
    np.testing.assert_array_equal(again.at(3).result(2).stderr, whole.at(3).result(2).stderr)
    assert not np.shares_memory(again.buffer, flow.buffer)
    for damage in (
        {"flow/sums/S2:00": arrays["flow/sums/S2:00"][:, :-1]},
        {"flow/shift": arrays["flow/shift"][0]},
        {"flow/draws": np.array(0)},
        {"flow/layout": np.array([7, 3, 1, 2, 0])},
    ):
        with pytest.raises(DataFileError, match="unusable estimator"):
            FlowEstimator.from_arrays(arrays | damage)
    del arrays["flow/sums/S1:0"]
    with pytest.raises(DataFileError, match="S1:0"):
        FlowEstimator.from_arrays(arrays)


def test_the_gaussian_kind_has_its_parts_at_every_snapshot() -> None:
    layout = sum_layout(2, "trained-conditional", [2])
    flow = FlowEstimator(layout, 4, 2)
    flow.counts += 1
    flow.sums["within"][1] = [1.0, 0.5, 2.0]
    np.testing.assert_array_equal(flow.at(1).within().value, [1.0, 0.5, 2.0])
    np.testing.assert_array_equal(flow.at(0).within().value, 0.0)
    again = FlowEstimator.from_arrays(flow.to_arrays())
    np.testing.assert_array_equal(again.at(1).within().value, [1.0, 0.5, 2.0])


def test_empty_flow_and_refusals() -> None:
    flow = FlowEstimator(LAYOUT, BINS, 4)
    assert np.isnan(flow.at(0).result(2).value).all()
    with pytest.raises(UsageError, match="no such snapshot: got 4; allowed: 0 to 3"):
        flow.at(4)
    with pytest.raises(UsageError, match=r"wrong shape of the shifts of the flow: got \(3,\)"):
        FlowEstimator(LAYOUT, BINS, 4, SHIFTS[0])
    with pytest.raises(UsageError, match="impossible flow of correlators: got trained, 0 snapshots"):
        FlowEstimator(LAYOUT, BINS, 0)
    with pytest.raises(UsageError, match="impossible flow of correlators: got direct"):
        FlowEstimator(sum_layout(3, "direct", [2]), BINS, 4)
    for other in (
        FlowEstimator(LAYOUT, BINS, 3),
        FlowEstimator(LAYOUT, BINS, 4, SHIFTS),
        FlowEstimator(LAYOUT, BINS, 4, draws=2),
        FlowEstimator(sum_layout(3, "trained", [2]), BINS, 4),
    ):
        with pytest.raises(UsageError, match="do not belong together"):
            flow.merge(other)
    assert isinstance(flow.at(0), CorrelatorEstimator)
