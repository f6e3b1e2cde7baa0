"""Symmetric tensors with each independent component stored once.

A tensor of order r over n values is the array of its components with a_1 <= a_2 <= .. <= a_r in
lexicographic order, C(n + r - 1, r) numbers. Dense arrays of n^r numbers are never made for even r above
2: a change of basis works on one half of the indices at a time, the other half stays packed.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations
from math import comb, factorial

import numpy as np
import numpy.typing as npt

from nnft.errors import UsageError
from nnft.estimators.index_table import IndexArray, SectorTable, multisets

FloatArray = npt.NDArray[np.float64]
Places = npt.NDArray[np.int32]

PIECE = 128


def component_count(n_values: int, order: int) -> int:
    """Return the number of independent components."""
    return comb(n_values + order - 1, order)


@lru_cache(maxsize=16)
def components(n_values: int, order: int) -> IndexArray:
    """Return the indices of every component, shape (m, order)."""
    table = multisets(n_values, order)
    table.flags.writeable = False
    return table


def places(n_values: int, indices: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Return where components with the given indices, in any order, are stored.

    Parameters
    ----------
    n_values : int
    indices : ndarray of integers, shape (..., r)
    """
    order = indices.shape[-1]
    if order == 1:
        return indices[..., 0].astype(np.int64)
    table = SectorTable(n_values, (0,) * order)
    return table.locate(indices.reshape(-1, order)).reshape(indices.shape[:-1])


@lru_cache(maxsize=16)
def multiplicities(n_values: int, order: int) -> FloatArray:
    """Return how many orderings of its indices each component has, shape (m,)."""
    table = components(n_values, order)
    count = np.full(len(table), float(factorial(order)))
    run = np.ones(len(table))
    for place in range(1, order):
        run = np.where(table[:, place] == table[:, place - 1], run + 1.0, 1.0)
        count /= run
    count.flags.writeable = False
    return count


@lru_cache(maxsize=4)
def half_places(n_values: int, order: int) -> Places:
    """Return where (packed first half, dense second half) of the indices is stored, shape (t, n^h)."""
    half = order // 2
    first = components(n_values, half)
    second = np.indices((n_values,) * half, dtype=np.int32).reshape(half, -1).T
    found = np.empty((len(first), len(second)), dtype=np.int32)
    for row, indices in enumerate(first):
        left = np.broadcast_to(indices, (len(second), half))
        found[row] = places(n_values, np.concatenate([left, second], axis=1))
    found.flags.writeable = False
    return found


@lru_cache(maxsize=16)
def dense_places(n_values: int, order: int) -> Places:
    """Return where each entry of the dense tensor is stored, shape (n,) * order."""
    indices = np.indices((n_values,) * order, dtype=np.int32).reshape(order, -1).T
    found = places(n_values, indices).astype(np.int32).reshape((n_values,) * order)
    found.flags.writeable = False
    return found


@lru_cache(maxsize=16)
def _split_places(n_values: int, order: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return for each component the places of its first and second half among the packed halves."""
    table, half = components(n_values, order), order // 2
    return places(n_values, table[:, :half]), places(n_values, table[:, half:])


@lru_cache(maxsize=16)
def _ascending(n_values: int, order: int) -> npt.NDArray[np.int64]:
    """Return the places of ascending indices in the flat dense tensor, shape (m,)."""
    table = components(n_values, order).astype(np.int64)
    place = np.zeros(len(table), dtype=np.int64)
    for column in table.T:
        place = place * n_values + column
    return place


def dense(packed: FloatArray, n_values: int, order: int) -> FloatArray:
    """Return the dense tensor, shape (n,) * order."""
    tensor: FloatArray = packed[dense_places(n_values, order)]
    return tensor


def pack(tensor: FloatArray) -> FloatArray:
    """Return the packed components of a dense symmetric tensor."""
    return np.ascontiguousarray(tensor.reshape(-1)[_ascending(tensor.shape[0], tensor.ndim)])


def symmetrised(tensor: FloatArray) -> FloatArray:
    """Return the average of a dense tensor over all orders of its axes."""
    total = np.zeros_like(tensor)
    for axes in permutations(range(tensor.ndim)):
        total += tensor.transpose(axes)
    return total / factorial(tensor.ndim)


def transform(packed: FloatArray, order: int, matrix: FloatArray) -> FloatArray:
    """Return T_{i..} = sum_{a..} T_{a..} matrix[a, i] .. of a symmetric tensor.

    Parameters
    ----------
    packed : ndarray of float64, shape (m,)
        Components over n values.
    order : int
        2, 4 or 6.
    matrix : ndarray of float64, shape (n, k)

    Returns
    -------
    ndarray of float64, shape (m',)
        Components over k values.

    Raises
    ------
    UsageError
        If the order is odd.
    """
    if order % 2 or order < 2:
        raise UsageError(f"odd order of a symmetric tensor: got {order}; use 2, 4 or 6")
    n_in, n_out = matrix.shape
    half = order // 2
    source = half_places(n_in, order)
    upper = np.empty((len(source), component_count(n_out, half)))
    for piece in _pieces(len(source)):
        upper[piece] = _change_second_half(np.take(packed, source[piece]), half, matrix)
    lower = np.ascontiguousarray(upper.T)
    both = np.empty((lower.shape[0],) * 2)
    expand = dense_places(n_in, half).reshape(-1)
    for piece in _pieces(len(lower)):
        both[piece] = _change_second_half(np.take(lower[piece], expand, axis=1), half, matrix)
    first, second = _split_places(n_out, order)
    return both[second, first]


def _pieces(length: int) -> list[slice]:
    """Return stretches of rows that stay in the cache while they are worked on."""
    return [slice(start, start + PIECE) for start in range(0, length, PIECE)]


def _change_second_half(rows: FloatArray, half: int, matrix: FloatArray) -> FloatArray:
    """Transform the dense half of (t, n^h) and pack it: (t, packed over k)."""
    length, (n_in, n_out) = len(rows), matrix.shape
    if half == 1:
        return rows @ matrix
    for _ in range(half - 1):
        changed = (rows.reshape(-1, n_in) @ matrix).reshape(length, -1, n_out)
        # beyond two indices, the one that was changed moves to the front
        rows = np.ascontiguousarray(changed.transpose(0, 2, 1)) if half > 2 else changed
    if half > 2:
        rows = (rows.reshape(-1, n_in) @ matrix).reshape(length, -1)
    else:
        rows = np.matmul(matrix.T, rows).reshape(length, -1)
    return np.take(rows, _ascending(n_out, half), axis=1)


def trace(packed: FloatArray, n_values: int, order: int, metric: FloatArray) -> FloatArray:
    """Return the tensor of order r - 2 left when two indices are contracted with `metric`, packed.

    Parameters
    ----------
    packed : ndarray of float64, shape (m,)
    n_values, order : int
        Order 4 or 6.
    metric : ndarray of float64, shape (n, n)
    """
    half = order // 2
    rows = np.take(packed, half_places(n_values, order)).reshape(-1, n_values ** (half - 2), n_values**2)
    left = (rows @ metric.reshape(-1)).reshape(-1)  # (packed half) x n^(half - 2)
    return np.ascontiguousarray(left[_trace_places(n_values, order)])


@lru_cache(maxsize=8)
def _trace_places(n_values: int, order: int) -> npt.NDArray[np.int64]:
    """Return where the components of order r - 2 stand among (packed half, dense rest)."""
    table, half = components(n_values, order - 2), order // 2
    place = places(n_values, table[:, :half])
    for column in table[:, half:].T:
        place = place * n_values + column
    return place
