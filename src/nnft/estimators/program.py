"""The list of multiply-adds by which a kernel turns one network into its contribution to the sums.

The kernel works on 16 networks side by side. Its lane buffer is a float64 array (n_slots, LANES):

slot 0
    1.0 for a live lane, 0.0 for a padding lane.
base slots
    filled by the sampler, packed pairs or points in order, and zero in padding lanes:
    ``kernel_L`` (conditional estimator; Q slots, conditional metric of the last layer minus shift) or
    ``fields`` (otherwise; slot i P + a holds output i at point a), then for networks with weights
    ``weight`` and ``cut`` (one slot each), then ``kernel_l`` (Q slots, metric of layer l minus shift)
    for every other layer with statistics. For trained networks one lane is a sample: ``fields`` (P slots,
    output minus shift), or ``mean`` (P slots, mean of a Gaussian minus shift) and ``covariance`` (Q slots).
kept slots
    filled by the stages below.

A stage is a row [n_components, n_terms, out_slot, sum_offset, index_offset, n_runs]. Its components
come in runs of neighbours, n_runs records of 1 + 2 n_terms integers from index[index_offset] on: the
length of the run, then left_t and right_t of every term t. Component i of a run has, in every lane, the
value v = sum over t of lanes[left_t + i] * lanes[right_t]. The k-th component of the stage has its v
stored in slot out_slot + k if out_slot >= 0, and its sum over the lanes added to sums[sum_offset + k]
if sum_offset >= 0.

Conditional moments obey T_r(c) = sum_j g(c_j, c_r) T_{r-2}(c without j, r) over slots j of the same
label (Isserlis 1918); direct moments are T_r(c) = T_{r-2}(c_1..c_{r-2}) f(c_{r-1}) f(c_r). The last
slot is the one that varies fastest, so that neighbouring components share their right operands.

Trained samples have T_r(c) = T_{r-1}(c_1..c_{r-1}) f(c_r), from order 1 on; a Gaussian with mean m and
covariance C has T_r(c) = m(c_r) T_{r-1}(c without r) + sum_j C(c_j, c_r) T_{r-2}(c without j, r).

With weights T_2 has the weight as a further factor, and so have all others. The first `readout_stages`
stages are for every readout of a network, with its outputs and its weight in the slots; the others for
the network, with the sum of the weights of its readouts in ``weight``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from nnft.estimators.index_table import RankArray, SectorTable, pair_index, sector_name
from nnft.estimators.layout import SumLayout

LANES = 16
STAGE_COLUMNS = 6


@dataclass(frozen=True, eq=False)
class AccumulationProgram:
    """Stages of one ensemble, ready for the kernel.

    Attributes
    ----------
    layout : SumLayout
        Names and places of the sums.
    stages : ndarray of int64, shape (n_stages, 6)
        See the module's description.
    index : ndarray of int32, shape (n_index,)
        Runs of the stages.
    n_slots : int
        Rows of the lane buffer.
    base_slots : dict of str to int
        First slot of ``fields``, ``weight``, ``cut``, ``mean``, ``covariance`` and of each ``kernel_l``.
    readout_stages : int
        Stages for every readout of a network with weights; 0 without weights.
    """

    layout: SumLayout
    stages: npt.NDArray[np.int64]
    index: npt.NDArray[np.int32]
    n_slots: int
    base_slots: dict[str, int]
    readout_stages: int = 0

    @property
    def n_sums(self) -> int:
        """Length of the flat array of sums."""
        return self.layout.n_sums

    @property
    def sum_slices(self) -> dict[str, slice]:
        """Place of every named sum in the flat array."""
        return self.layout.slices


@dataclass
class _Builder:
    """A program under construction: free slots, stages and index pieces so far."""

    layout: SumLayout
    n_slots: int = 1
    n_index: int = 0
    readout_stages: int = 0
    base_slots: dict[str, int] = field(default_factory=dict)
    kept_slots: dict[str, int] = field(default_factory=dict)
    stages: list[tuple[int, ...]] = field(default_factory=list)
    index: list[npt.NDArray[np.int32]] = field(default_factory=list)

    def reserve(self, count: int) -> int:
        """Return the first of `count` new slots."""
        self.n_slots += count
        return self.n_slots - count

    def add_stage(
        self, terms: Sequence[tuple[RankArray, RankArray]], sums: str | None, kept: str | None = None
    ) -> None:
        """Append a stage from the left and right slots of each term, one entry a component."""
        slots = np.stack([np.stack(pair, axis=-1) for pair in terms], axis=1).astype(np.int32)
        n_components, n_terms = slots.shape[:2]
        runs = min((_runs(slots), _runs(slots[:, :, ::-1])), key=len)
        if kept is not None:
            self.kept_slots[kept] = self.reserve(n_components)
        out_slot = -1 if kept is None else self.kept_slots[kept]
        sum_offset = -1 if sums is None else self.layout.slices[sums].start
        self.stages.append((n_components, n_terms, out_slot, sum_offset, self.n_index, len(runs)))
        self.index.append(runs.reshape(-1))
        self.n_index += runs.size

    def finish(self) -> AccumulationProgram:
        """Return the program."""
        stages = np.array(self.stages, dtype=np.int64).reshape(-1, STAGE_COLUMNS)
        return AccumulationProgram(
            self.layout,
            stages,
            np.concatenate(self.index),
            self.n_slots,
            self.base_slots,
            self.readout_stages,
        )


def _runs(slots: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Return the run records of a stage, shape (n_runs, 1 + 2 n_terms).

    Parameters
    ----------
    slots : ndarray of int32, shape (n_components, n_terms, 2)
        Left and right slots. A run goes on while all left slots grow by one and all right slots stay.
    """
    steps = (np.diff(slots, axis=0) == np.array([1, 0], dtype=np.int32)).all(axis=(1, 2))
    starts = np.concatenate([[0], np.flatnonzero(~steps) + 1])
    lengths = np.diff(starts, append=len(slots)).astype(np.int32)
    return np.concatenate([lengths[:, None], slots[starts].reshape(len(starts), -1)], axis=1)


def build_program(layout: SumLayout) -> AccumulationProgram:
    """Return the accumulation program of an ensemble.

    Parameters
    ----------
    layout : SumLayout
        Names and places of the sums, from `nnft.estimators.layout.sum_layout`.

    Returns
    -------
    AccumulationProgram
    """
    builder = _Builder(layout)
    if layout.kind == "conditional":
        builder.base_slots[f"kernel_{layout.last_layer}"] = builder.reserve(layout.n_pairs)
    elif layout.kind == "trained-conditional":
        builder.base_slots["mean"] = builder.reserve(layout.n_points)
        builder.base_slots["covariance"] = builder.reserve(layout.n_pairs)
    else:
        builder.base_slots["fields"] = builder.reserve(layout.outputs * layout.n_points)
    if layout.kind == "reweighted":
        builder.base_slots |= {name: builder.reserve(1) for name in ("weight", "cut")}
    for layer in layout.layers:
        if f"kernel_{layer}" not in builder.base_slots:
            builder.base_slots[f"kernel_{layer}"] = builder.reserve(layout.n_pairs)
    {
        "conditional": _add_conditional,
        "direct": _add_direct,
        "reweighted": _add_weighted,
        "trained": _add_trained,
        "trained-conditional": _add_trained,
    }[layout.kind](builder)
    _add_layers(builder)
    return builder.finish()


def _add_conditional(builder: _Builder) -> None:
    """Append the stages of the moments of a Gaussian given its covariance."""
    layout = builder.layout
    base = builder.base_slots[f"kernel_{layout.last_layer}"]
    builder.kept_slots["S2:00"] = base
    entries = np.arange(base, base + layout.n_pairs)
    builder.add_stage([(entries, np.zeros_like(entries))], sums="S2:00")
    top = max(layout.orders)
    for name, table in list(layout.tables.items())[1:]:
        last = table.order - 1
        terms = []
        for partner in range(table.order - table.multiplicities[-1], last):
            rest = [slot for slot in range(last) if slot != partner]
            entry = pair_index(layout.n_points, table.points[:, partner], table.points[:, last])
            terms.append((base + entry, _kept_rows(builder, table, rest)))
        builder.add_stage(terms, sums=name, kept=name if table.order < top else None)


def _kept_rows(builder: _Builder, table: SectorTable, slots: list[int]) -> RankArray:
    """Return the slots that hold the moment of the given slots of every component of `table`."""
    pattern = tuple(table.pattern[slot] for slot in slots)
    lower = SectorTable(table.n_points, pattern)
    return builder.kept_slots[sector_name(pattern)] + lower.locate(table.points[:, slots])


def _add_direct(builder: _Builder) -> None:
    """Append the stages of the products of outputs."""
    top = max(builder.layout.orders)
    pairs = [sector_name((label, label)) for label in range(min(builder.layout.outputs, top // 2))]
    for label, pair in enumerate(pairs):
        if label == 0 or top >= 4:
            sums, kept = ("S2:00" if label == 0 else None), (pair if top >= 4 else None)
            builder.add_stage([_output_pairs(builder, label)], sums=sums, kept=kept)
    _add_products(builder, pairs)


def _add_weighted(builder: _Builder) -> None:
    """Append the stages of the weighted products of outputs, then those of the weights themselves."""
    layout = builder.layout
    top = max(layout.orders)
    weight, cut = (np.full(1, builder.base_slots[name]) for name in ("weight", "cut"))
    pairs = [f"pair:{label}" for label in range(min(layout.outputs, top // 2))]
    for label, pair in enumerate(pairs):
        builder.add_stage([_output_pairs(builder, label)], sums=None, kept=pair)
    first = builder.kept_slots[pairs[0]] + np.arange(layout.n_pairs)
    builder.add_stage(
        [(first, np.repeat(weight, layout.n_pairs))], sums="S2:00", kept="S2:00" if top >= 4 else None
    )
    _add_products(builder, pairs)
    builder.readout_stages = len(builder.stages)
    live = np.zeros(1, dtype=np.int64)
    builder.add_stage([(weight, live)], sums="weight")
    builder.add_stage([(weight, weight)], sums="weight:squared")
    builder.add_stage([(cut, live)], sums="weight:cut")


def _output_pairs(builder: _Builder, label: int) -> tuple[RankArray, RankArray]:
    """Return the slots of the two outputs of every pair of points, for one output label."""
    layout = builder.layout
    first = builder.base_slots["fields"] + label * layout.n_points
    left, right = (first + layout.pairs[:, k].astype(np.int64) for k in (0, 1))
    return left, right


def _add_products(builder: _Builder, pairs: list[str]) -> None:
    """Append the stages above order 2, each a stage below times a pair of outputs of the last label."""
    layout = builder.layout
    top = max(layout.orders)
    for name, table in list(layout.tables.items())[1:]:
        front = list(range(table.order - 2))
        entry = pair_index(layout.n_points, table.points[:, -2], table.points[:, -1])
        last = builder.kept_slots[pairs[table.pattern[-1]]] + entry
        term = (_kept_rows(builder, table, front), last)
        builder.add_stage([term], sums=name, kept=name if table.order < top else None)


def _add_trained(builder: _Builder) -> None:
    """Append the stages of every order of a field with a mean, given as such or as a Gaussian."""
    layout = builder.layout
    covariance = builder.base_slots.get("covariance")
    field = builder.base_slots["fields" if covariance is None else "mean"]
    top = max(layout.orders)
    builder.kept_slots["S1:0"] = field
    for name, table in layout.tables.items():
        front = list(range(table.order - 1))
        terms = [(field + table.points[:, -1].astype(np.int64), _moment_slots(builder, table, front))]
        if covariance is not None:
            for partner in front:
                entry = pair_index(layout.n_points, table.points[:, partner], table.points[:, -1])
                rest = [slot for slot in front if slot != partner]
                terms.append((covariance + entry, _moment_slots(builder, table, rest)))
        keep = 1 < table.order < top
        builder.add_stage(terms, sums=name, kept=name if keep else None)
    if covariance is not None:
        entries = np.arange(covariance, covariance + layout.n_pairs)
        builder.add_stage([(entries, np.zeros_like(entries))], sums="within")


def _moment_slots(builder: _Builder, table: SectorTable, slots: list[int]) -> RankArray:
    """Return what `_kept_rows` does; the moment of no slots is the one of slot 0."""
    return _kept_rows(builder, table, slots) if slots else np.zeros(len(table), dtype=np.int64)


def _add_layers(builder: _Builder) -> None:
    """Append mean and product sums of the layer metrics that share no place with a correlator."""
    layout = builder.layout
    for layer in layout.layers:
        base = builder.base_slots[f"kernel_{layer}"]
        entries = np.arange(base, base + layout.n_pairs)
        if layout.kind == "reweighted":
            weights = np.full(layout.n_pairs, builder.base_slots["weight"])
            builder.add_stage([(entries, weights)], sums=f"layer{layer}:mean", kept=f"layer{layer}")
        elif f"layer{layer}:mean" not in layout.aliases:
            builder.add_stage([(entries, np.zeros_like(entries))], sums=f"layer{layer}:mean")
        if f"layer{layer}:product" not in layout.aliases:
            factor = builder.kept_slots.get(f"layer{layer}", base)
            left, right = factor + layout.product_pairs[:, 0], base + layout.product_pairs[:, 1]
            builder.add_stage([(left, right)], sums=f"layer{layer}:product")
