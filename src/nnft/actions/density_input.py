"""What a density is made from, checked: a covariance and its eigenmodes, symmetric cumulants."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nnft.actions.symmetric import component_count, dense, pack, transform
from nnft.errors import NumericalError, UsageError, shorten

FloatArray = npt.NDArray[np.float64]

SMALLEST_EIGENVALUE = 1e-13
"""Relative eigenvalue of G below which its inverse is rounding noise."""

ASYMMETRY = 1e-10
"""Relative size of differences that count as rounding."""


def real_array(value: Any, what: str) -> FloatArray:
    """Return an array of finite numbers.

    Raises
    ------
    UsageError
        If it is no array of real numbers.
    NumericalError
        If a number is not finite.
    """
    given = np.asarray(value)
    if given.dtype.kind not in "fiub":
        raise UsageError(f"{what} is no array of real numbers: got {shorten(value)}; give float64")
    array = given.astype(np.float64)
    if not np.isfinite(array).all():
        bad = array[~np.isfinite(array)][0]
        raise NumericalError(f"{what} holds a number that is not finite: got {bad}; remove it")
    return array


def eigenmodes(metric: npt.ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return a covariance, its eigenvalues, largest first, and its eigenvectors as columns.

    Raises
    ------
    UsageError
        If it is not a square matrix.
    NumericalError
        If it is not symmetric or not positive definite; the message names the smallest eigenvalue.
    """
    matrix = real_array(metric, "the metric G")
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) == 0:
        raise UsageError(f"the metric G is not a square matrix: got shape {matrix.shape}; needed (n, n)")
    symmetric = 0.5 * (matrix + matrix.T)
    values, vectors = np.linalg.eigh(symmetric)
    values, vectors = values[::-1], vectors[:, ::-1]
    difference = float(np.abs(matrix - matrix.T).max())
    if difference > ASYMMETRY * float(np.abs(matrix).max()):
        raise NumericalError(
            f"the metric G is not symmetric: got entries that differ by {difference:.3g} (smallest "
            f"eigenvalue of the symmetric part {values[-1]:.3g}); give a covariance"
        )
    if values[-1] <= SMALLEST_EIGENVALUE * values[0]:
        raise NumericalError(
            f"the metric G is singular or not positive definite: got smallest eigenvalue {values[-1]:.3g} "
            f"beside {values[0]:.3g}; keep fewer points or modes"
        )
    largest = np.abs(vectors).argmax(axis=0)
    vectors = np.ascontiguousarray(vectors * np.sign(vectors[largest, np.arange(len(values))]))
    return symmetric, np.ascontiguousarray(values), vectors


def packed_cumulant(tensor: npt.ArrayLike, size: int, order: int) -> FloatArray:
    """Return a symmetric tensor packed, given packed or dense.

    Raises
    ------
    UsageError
        If the shape is neither.
    NumericalError
        If a dense tensor is not symmetric.
    """
    what = f"the cumulant of order {order}"
    array = real_array(tensor, what)
    short, full = (component_count(size, order),), (size,) * order
    if array.shape == short:
        return array
    if array.shape != full:
        raise UsageError(
            f"{what} does not fit the metric: got shape {array.shape}; needed {short} packed or {full} dense"
        )
    packed = pack(array)
    difference = float(np.abs(array - dense(packed, size, order)).max())
    if difference > ASYMMETRY * float(np.abs(array).max()):
        raise NumericalError(
            f"{what} is not symmetric: got components that differ by {difference:.3g}; symmetrise it"
        )
    return packed


def whitened(packed: FloatArray, order: int, size: int, matrix: FloatArray) -> FloatArray:
    """Return a packed cumulant of order 3, 4 or 6 of u = phi @ matrix."""
    if order % 2 == 0:
        return transform(packed, order, matrix)
    tensor = dense(packed, size, order)
    for _ in range(order):
        # the first index is transformed and moved to the end
        tensor = np.tensordot(tensor, matrix, axes=(0, 0))
    return pack(tensor)
