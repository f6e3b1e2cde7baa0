"""Couplings for the full sample and for every replicate, from the replicates of the cumulants."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from nnft.actions.expansion import Polynomial, free_part, leading_order, next_order
from nnft.actions.symmetric import component_count, transform
from nnft.errors import UsageError
from nnft.estimators.replicated import Replicated

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Cumulants:
    """Connected correlators of a field on n points, with replicates.

    Attributes
    ----------
    kernel : Replicated
        Two-point function, values of shape (1 + B, n, n).
    four : Replicated
        Packed connected correlator of order 4, values of shape (1 + B, m).
    six : Replicated or None
        Order 6.
    """

    kernel: Replicated
    four: Replicated
    six: Replicated | None = None


@dataclass(frozen=True, eq=False)
class Frame:
    """Coordinates in which the couplings of one sample are computed, and those they are given in.

    Attributes
    ----------
    work : ndarray of float64, shape (n, k)
        Columns span the modes kept; the identity where all are.
    mesh : ndarray of float64, shape (k, n), or None
        From the work coordinates to the mesh; None where they are the same.
    modes : ndarray of float64, shape (k, q)
        From the work coordinates to the modes that are reported.
    """

    work: FloatArray
    mesh: FloatArray | None
    modes: FloatArray

    @classmethod
    def of(cls, vectors: FloatArray, kept: int, reported: int) -> Frame:
        """Return the frame for `kept` of the modes in the columns of `vectors`."""
        size = len(vectors)
        if kept == size:
            return cls(np.eye(size), None, np.ascontiguousarray(vectors[:, :reported]))
        work = np.ascontiguousarray(vectors[:, :kept])
        return cls(work, np.ascontiguousarray(work.T), np.eye(kept)[:, :reported])

    def on_mesh(self, packed: FloatArray, order: int) -> FloatArray:
        """Return couplings on the mesh."""
        return packed if self.mesh is None else transform(packed, order, self.mesh)

    def in_modes(self, packed: FloatArray, order: int) -> FloatArray:
        """Return couplings of the reported modes."""
        return transform(packed, order, self.modes)


def sample_action(
    kernel: FloatArray, four: FloatArray, six: FloatArray | None, work: FloatArray
) -> list[Polynomial]:
    """Return the action of one sample in the work coordinates, order by order.

    Parameters
    ----------
    kernel : ndarray of float64, shape (n, n)
    four, six : ndarray of float64, packed
    work : ndarray of float64, shape (n, k)
    """
    metric = work.T @ kernel @ work
    metric = 0.5 * (metric + metric.T)
    inverse = np.linalg.inv(metric)
    inverse = 0.5 * (inverse + inverse.T)
    lower = work @ inverse
    lowered = transform(four, 4, lower)
    orders = [free_part(metric, inverse), leading_order(metric, lowered)]
    if six is not None:
        orders.append(next_order(metric, lowered, transform(six, 6, lower)))
    return orders


def coupling_tables(
    cumulants: Cumulants, frame: Frame, threads: int | None = None, reuse: bool = False
) -> dict[str, Replicated]:
    """Return all couplings with their replicates.

    Parameters
    ----------
    cumulants : Cumulants
    frame : Frame
    threads : int, optional
        Threads that work on samples side by side; all that were granted if not given. Linear algebra runs
        on one thread each, so that the numbers do not depend on it.
    reuse : bool
        Whether the replicates of the fourth cumulant may be overwritten: saves as much memory.

    Returns
    -------
    dict of str to Replicated
        "free" (G^-1), "quadratic_leading", "quartic_leading" and, with a sixth cumulant, "quadratic_next",
        "quartic_next", "sextic": packed; on the mesh, and with suffix "_modes" in the modes. Each is the
        sum of all orders up to its own.
    """
    rows, size = cumulants.four.values.shape[0], frame.work.shape[0]
    results: dict[str, FloatArray] = {}

    def work(row: int) -> None:
        _sample_tables(cumulants, frame, row, lambda name, array: results[name].__setitem__(row, array))

    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(thread_count(threads)) as pool:
        first: dict[str, FloatArray] = {}
        _sample_tables(cumulants, frame, 0, first.__setitem__)
        for name, array in first.items():
            shared = reuse and name == "quartic_leading" and component_count(size, 4) == array.size
            results[name] = cumulants.four.values if shared else np.empty((rows, array.size))
            results[name][0] = array
        list(pool.map(work, range(1, rows)))
    counts, networks = cumulants.four.bin_counts, cumulants.four.n_networks
    return {name: Replicated(array, counts, networks) for name, array in results.items()}


def thread_count(asked: int | None) -> int:
    """Return the number of threads asked for, or of the processors that were granted.

    Raises
    ------
    UsageError
        If fewer than one is asked for.
    """
    if asked is not None and asked < 1:
        raise UsageError(f"impossible number of threads: got {asked}; allowed: 1 or more")
    return len(os.sched_getaffinity(0)) if asked is None else asked


def _sample_tables(
    cumulants: Cumulants, frame: Frame, row: int, store: Callable[[str, FloatArray], None]
) -> None:
    """Compute the tables of one sample and hand each to `store`."""
    six = None if cumulants.six is None else cumulants.six.values[row]
    orders = sample_action(cumulants.kernel.values[row], cumulants.four.values[row], six, frame.work)
    quadratic = _upper(orders[0].quadratic)
    _give(store, frame, "free", quadratic, 2)
    quartic: FloatArray | None = None
    for name, part in zip(("leading", "next"), orders[1:], strict=False):
        quadratic = quadratic + _upper(part.quadratic)
        _give(store, frame, f"quadratic_{name}", quadratic, 2)
        if part.quartic is not None:
            quartic = part.quartic if quartic is None else quartic + part.quartic
            _give(store, frame, f"quartic_{name}", quartic, 4)
        if part.sextic is not None:
            _give(store, frame, "sextic", part.sextic, 6)


def _give(
    store: Callable[[str, FloatArray], None], frame: Frame, name: str, packed: FloatArray, order: int
) -> None:
    store(f"{name}_modes", frame.in_modes(packed, order))
    store(name, frame.on_mesh(packed, order))


def _upper(matrix: FloatArray) -> FloatArray:
    return matrix[np.triu_indices(len(matrix))]
