"""Evaluation of many components, a few at a time, so that their replicates never need much memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

from nnft.estimators.index_table import RankArray
from nnft.estimators.jackknife import Jackknife
from nnft.estimators.replicates import ReplicateMeans

FloatArray = npt.NDArray[np.float64]
CHUNK_BYTES = 1 << 24


class Replicates(Protocol):
    """A function of the sums, evaluated for the full sample and every replicate."""

    row_bytes: int

    def __call__(self, rows: RankArray) -> FloatArray:
        """Return the estimates of some components, shape (len(rows), 1 + B)."""


def jackknives(
    replicates: Replicates, means: ReplicateMeans, length: int
) -> Iterator[tuple[slice, Jackknife]]:
    """Yield components 0 .. length - 1 in pieces of limited memory, each with its replicates."""
    step = max(1, CHUNK_BYTES // replicates.row_bytes)
    for start in range(0, length, step):
        stop = min(start + step, length)
        columns = replicates(np.arange(start, stop))
        yield slice(start, stop), Jackknife(columns[:, 0], columns[:, 1:], means.bin_counts)


def replicate_rows(replicates: Replicates, means: ReplicateMeans, rows: RankArray) -> FloatArray:
    """Return some components for the full sample and every replicate, shape (1 + B, len(rows))."""
    values = np.empty((len(means.sample_counts), len(rows)))
    step = max(1, CHUNK_BYTES // replicates.row_bytes)
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(rows), step):
            values[:, start : start + step] = replicates(rows[start : start + step]).T
    return values
