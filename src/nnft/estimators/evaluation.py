"""Evaluation of many components, a few at a time, so that their replicates never need much memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

from nnft.errors import UsageError
from nnft.estimators.index_table import IndexArray, RankArray
from nnft.estimators.jackknife import Jackknife
from nnft.estimators.replicates import ReplicateMeans
from nnft.estimators.results import Estimate

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
        counts = means.error_counts
        yield slice(start, stop), Jackknife(columns[:, 0], columns[:, 1 : 1 + len(counts)], counts)


def replicate_rows(replicates: Replicates, means: ReplicateMeans, rows: RankArray) -> FloatArray:
    """Return some components for the full sample and every replicate, shape (1 + B, len(rows)).

    Replicates that no errors can be made of are left out.
    """
    kept = 1 + len(means.error_counts)
    values = np.empty((kept, len(rows)))
    step = max(1, CHUNK_BYTES // replicates.row_bytes)
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(rows), step):
            values[:, start : start + step] = replicates(rows[start : start + step])[:, :kept].T
    return values


def estimate(
    indices: IndexArray,
    replicates: Callable[[], tuple[Replicates, ReplicateMeans]],
    networks: Callable[[], int],
) -> Estimate:
    """Return all components of a function of the sums with their errors, NaN for an empty ensemble.

    Parameters
    ----------
    indices : ndarray of int32, shape (m, r)
        What the components are called.
    replicates : callable
        Returns the function, made from the sums as they are, and the means it is made from.
    networks : callable
        Returns the number of networks in the sums; pseudo-values are refused if it has changed.
    """
    total, length = networks(), len(indices)
    if total == 0:
        nothing = np.full(length, np.nan)
        flags = np.ones(length, dtype=np.bool_)
        bins = np.zeros(0, dtype=np.int64)
        return Estimate(indices, nothing, nothing.copy(), flags, 0, bins, lambda: np.empty((0, length)))
    value, stderr = np.empty(length), np.empty(length)
    unreliable = np.empty(length, dtype=np.bool_)
    function, means = replicates()
    with np.errstate(over="ignore", invalid="ignore"):  # an overflow is flagged as unreliable
        for rows, jackknife in jackknives(function, means, length):
            value[rows] = jackknife.estimate
            stderr[rows] = jackknife.standard_error()
            unreliable[rows] = jackknife.heavy_tailed()

    def pseudo_values() -> FloatArray:
        if networks() != total:
            raise UsageError(
                f"bins of an old result: got {networks()} networks, result has {total}; "
                "ask the estimator again"
            )
        fresh, fresh_means = replicates()
        values = np.empty((len(fresh_means.error_counts), length))
        for rows, jackknife in jackknives(fresh, fresh_means, length):
            values[:, rows] = jackknife.pseudo_values().T
        return values

    return Estimate(indices, value, stderr, unreliable, total, means.error_counts, pseudo_values)
