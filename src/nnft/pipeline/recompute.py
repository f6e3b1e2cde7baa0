"""Does a result file hold what its seed gives: one block sampled again and compared bit by bit."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from nnft.errors import DataFileError
from nnft.pipeline.engine import Engine
from nnft.spec.plan import plan_run
from nnft.spec.run import RunSpec
from nnft.store.reader import StoredRun, read_run


def recompute_bin(path: str | os.PathLike[str]) -> str:
    """Sample, or train, every block of one bin again and compare its sums, and the first kept outputs.

    The bin with the fewest networks is taken; its blocks are those b with ``b % bins`` equal to it.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    str
        What was compared, in one line.

    Raises
    ------
    DataFileError
        If a number differs, or the instruction set is not one of those that give the same bits.
    """
    with read_run(path) as stored:
        if stored.networks_done == 0:
            return "no block to recompute: the run holds no network yet"
        if len(stored.training):
            from nnft.pipeline.recompute_training import recompute_training

            return recompute_training(stored)
        spec = RunSpec.from_text(stored.config["resolved"], points=stored.points, name=Path(path).name)
        counts = stored.accumulators["count"]
        filled = np.flatnonzero(counts > 0)
        chosen = int(filled[np.argmin(counts[filled])])
        engine = Engine(spec, plan_run(spec))
        networks, blocks = _replay(engine, stored.networks_done, chosen)
        for name, table in engine.estimator.sums.items():
            if not np.array_equal(table[chosen], stored.accumulators[f"sums/{name}"][chosen]):
                raise DataFileError(
                    f"recomputed sums differ in sums/{name}, bin {chosen}: got other numbers than the seed "
                    "gives on this machine; compare /provenance/build with nnft info"
                )
        kept = _compare_fields(stored, engine)
    return f"recomputed {blocks} block(s), {networks} networks of bin {chosen}{kept}: bit for bit the same"


def _replay(engine: Engine, networks_done: int, chosen: int) -> tuple[int, int]:
    """Add the blocks of one bin to an empty engine; networks and blocks."""
    size, bins = engine.plan.block_size, engine.plan.bins
    networks = blocks = 0
    for block in range(chosen, -(-networks_done // size), bins):
        engine.replay_block(block, networks_done)
        networks += min(size, networks_done - block * size)
        blocks += 1
    return networks, blocks


def _compare_fields(stored: StoredRun, engine: Engine) -> str:
    manifest = stored.fields
    if manifest is None or manifest.rows == 0:
        return ""
    count = min(manifest.rows, engine.plan.block_size)
    fresh = engine.ensemble.fields(0, count)[:, : engine.kept_outputs]
    kept = stored.read_fields(0, count)
    if not np.array_equal(fresh.astype(kept.dtype), kept):
        raise DataFileError("recomputed outputs differ in the stored fields: got others than the seed gives")
    return f" and {count} stored outputs"
