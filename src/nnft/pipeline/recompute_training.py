"""Does the file of a training hold what its seed gives: the networks of one bin trained again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from nnft.errors import DataFileError, shorten
from nnft.pipeline.machine import choose_threads
from nnft.pipeline.target import stored_dataset
from nnft.pipeline.train_engine import TrainEngine
from nnft.pipeline.train_record import training_arrays
from nnft.pipeline.train_setup import decide_step
from nnft.spec.given import reading_weights
from nnft.spec.plan import RunPlan, plan_run
from nnft.spec.run import RunSpec
from nnft.store.arrays import read_h5_arrays
from nnft.store.reader import StoredRun

FloatArray = npt.NDArray[np.float64]

BINNED = (
    "flow/sums",
    "observables",
    "kernel",
    "tangent",
    "equilibrium",
    "renormalization/flow/sums",
    "renormalization/observables",
    "renormalization/tangent",
    "renormalization/within",
    "renormalization/spectrum/sums",
    "renormalization/spectrum/count",
)
"""Where the second axis of every array is that of the bins."""


def recompute_training(stored: StoredRun) -> str:
    """Train the networks of one bin again, and compare sums, traces and kept outputs.

    The bin with the fewest networks is taken. Estimates are not compared: they follow from the sums.

    Parameters
    ----------
    stored : StoredRun
        Of a training, with at least one network.

    Returns
    -------
    str
        What was compared, in one line.

    Raises
    ------
    DataFileError
        If a number differs.
    """
    name = stored.path.name
    data = stored_dataset(stored.training, str(stored.attributes.get("/training@data_source", "")))
    spec = RunSpec.from_text(stored.config["resolved"], points=stored.points, dataset=data, name=name)
    reading_weights(spec, read_h5_arrays, stored.path.absolute().parent)
    if spec.digest() != stored.text("digest"):
        raise DataFileError(
            f"recomputed digest differs in {shorten(name)}: got {spec.digest()[:12]} of its card, points and "
            f"data, the file has {stored.text('digest')[:12]}"
        )
    plan = plan_run(spec)
    engine = _empty_engine(stored, spec, plan)
    chosen = _smallest_bin(plan, stored.networks_done)
    blocks = range(chosen, -(-stored.networks_done // plan.block_size), plan.bins)
    kept = [engine.replay_block(block, stored.networks_done) for block in blocks]
    _compare_sums(stored, engine, chosen)
    traces = _compare_traces(stored, engine, chosen * plan.block_size * engine.members)
    _compare_losses(stored, engine, blocks)
    outputs = sum(_compare_outputs(stored, first, fresh) for first, fresh in kept)
    size, done = plan.block_size, stored.networks_done
    networks = sum(min(size, done - block * size) for block in blocks)
    found = "sums"
    for number, what in ((traces, "traces"), (outputs, "stored outputs")):
        found += f", {number} {what}" if number else ""
    return f"trained {networks} networks of bin {chosen} again: {found} are bit for bit the same"


def _empty_engine(stored: StoredRun, spec: RunSpec, plan: RunPlan) -> TrainEngine:
    """Return an engine without networks that shifts its sums as the file does."""
    step, _ = decide_step(spec, plan)
    engine = TrainEngine(spec, plan, choose_threads(None), step)
    engine.estimator.shift = np.array(stored.accumulators["field_shift"])
    if engine.flow is not None:
        engine.flow.shifts[:] = stored.training["flow/shift"]
    if engine.renormalized is not None:
        cutoffs = tuple(float(cutoff) for cutoff in stored.training["renormalization/cutoff"])
        engine.renormalized.set_cutoffs(cutoffs)
        engine.renormalized.flow.shifts[:] = stored.training["renormalization/flow/shift"]
    return engine


def _smallest_bin(plan: RunPlan, networks: int) -> int:
    """Return the first bin with the fewest networks, out of those that have any."""
    blocks = -(-networks // plan.block_size)
    sizes = np.zeros(min(plan.bins, blocks), dtype=np.int64)
    for block in range(blocks):
        sizes[block % plan.bins] += min(plan.block_size, networks - block * plan.block_size)
    return int(np.argmin(sizes))


def _compare_sums(stored: StoredRun, engine: TrainEngine, chosen: int) -> None:
    """Compare every sum of one bin."""
    for path, fresh, axis in _binned(engine):
        kept = stored.read(path)
        if kept.shape != fresh.shape or not np.array_equal(
            kept.take(chosen, axis), fresh.take(chosen, axis), equal_nan=True
        ):
            raise DataFileError(
                f"recomputed sums differ in {path}, bin {chosen}: got other numbers than the seed gives on "
                "this machine; compare /provenance/build with nnft info"
            )


def _binned(engine: TrainEngine) -> Iterator[tuple[str, npt.NDArray[Any], int]]:
    """Yield every array of sums with its path and the axis of its bins."""
    for name, array in engine.estimator.to_arrays().items():
        if name == "count" or name.startswith("sums/"):
            yield f"/accumulators/{name}", array, 0
    for name, array in training_arrays(engine, final=False).items():
        if name in ("flow/count", "renormalization/flow/count"):
            yield f"/training/{name}", array, 0
        elif name.startswith(BINNED):
            yield f"/training/{name}", array, 1


def _compare_traces(stored: StoredRun, engine: TrainEngine, first: int) -> int:
    """Compare the draws of members from `first` on with those that the file keeps; returns their number."""
    kept = stored.training.get("traces/values")
    if kept is None or not engine.traces or first >= len(kept):
        return 0
    fresh = engine.traces[0][: len(kept) - first]
    if not np.array_equal(kept[first : first + len(fresh)], fresh, equal_nan=True):
        raise DataFileError(
            f"recomputed traces differ in /training/traces/values, member {first} and on: got others than "
            "the seed gives"
        )
    return len(fresh)


def _compare_losses(stored: StoredRun, engine: TrainEngine, blocks: range) -> None:
    """Compare losses and outputs over cutoffs of the networks of some blocks with those that are kept."""
    for name in () if engine.renormalized is None else ("losses", "outputs"):
        kept = stored.training.get(f"renormalization/{name}")
        if kept is None:
            continue
        for block, fresh in zip(blocks, getattr(engine.renormalized, name), strict=False):
            first = block * engine.plan.block_size
            part = kept[first : first + len(fresh)]
            if not np.array_equal(part, fresh[: len(part)], equal_nan=True):
                raise DataFileError(
                    f"recomputed {name} differ in /training/renormalization/{name}, network {first} and on: "
                    "got others than the seed gives"
                )


def _compare_outputs(stored: StoredRun, first: int, fresh: FloatArray) -> int:
    """Compare outputs of networks from `first` on with those that the file keeps; returns their number."""
    manifest = stored.fields
    count = 0 if manifest is None else max(0, min(len(fresh), manifest.rows - first))
    if count and not np.array_equal(stored.read_fields(first, first + count), fresh[:count], equal_nan=True):
        raise DataFileError(
            f"recomputed outputs differ in the stored fields of network {first} and on: got others than the "
            "seed gives"
        )
    return count
