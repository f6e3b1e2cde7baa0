"""Directions in the space of the parameters of one network, ordered by the information that inputs hold.

The information of one observation is J^T J / (kappa X), J the derivatives of the outputs at X inputs by the
coordinates. Its eigenvectors are the right singular vectors of J: those outside of their span have exactly
none. Kronecker factors of a layer: Martens and Grosse, ICML 2015, arXiv:1503.05671.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nnft.errors import NumericalError

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Directions:
    """Eigenbasis of the information of a block of coordinates.

    The coordinates are a matrix (m, n); directions are products of a row of `left` and a row of `right`, or
    those of `right` for every one of the m rows.

    Attributes
    ----------
    values : ndarray of float64, shape (q, r)
        Information of every direction, above zero; q = m where there is no `left`, all rows alike.
    right : ndarray of float64, shape (r, n)
        Orthonormal rows.
    left : ndarray of float64, shape (q, m), or None
        Orthonormal rows.
    shape : tuple of int
        (m, n).
    relative : ndarray of float64, shape (r,)
        Relative standard error of the information over the inputs, to first order: that of the average
        along the direction as it was found. Empty where there are factors, or a single input.
    """

    values: FloatArray
    right: FloatArray
    left: FloatArray | None
    shape: tuple[int, int]
    relative: FloatArray

    @property
    def count(self) -> int:
        """Number of directions."""
        return self.shape[0] * self.shape[1]

    @property
    def zeros(self) -> int:
        """Number of directions without information."""
        return self.count - self.values.size

    def sloppy(self, cutoff: float) -> int:
        """Return the number of directions below a cutoff."""
        below = int(np.count_nonzero(self.values < cutoff))
        return below + self.zeros if cutoff > 0.0 else below

    def kept(self, coordinates: FloatArray, cutoff: float) -> FloatArray:
        """Return the part of coordinates (m, n) in the span of the stiff directions."""
        stiff = self.values >= cutoff
        if self.left is None:
            chosen = self.right[stiff[0]]
            return np.asarray((coordinates @ chosen.T) @ chosen)
        inner = stiff * (self.left @ coordinates @ self.right.T)
        return np.asarray(self.left.T @ inner @ self.right)


def directions_of_rows(rows: FloatArray, points: int, copies: int = 1) -> Directions:
    """Return the eigenbasis of rows^T rows, the same for some copies of the coordinates.

    Parameters
    ----------
    rows : ndarray of float64, shape (points * D, n)
        Derivatives, point after point, divided by sqrt(kappa X).
    points : int
        Number X of inputs.
    copies : int
        Rows of coordinates whose information is this, each by itself.

    Notes
    -----
    Singular values below max(shape) * 2^-52 of the largest are rounding: their directions have none.

    Raises
    ------
    NumericalError
        The decomposition does not converge.
    """
    left, values, right = _decomposed(rows)
    weights = (left**2).reshape(points, -1, len(values)).sum(axis=1)
    ratio = np.maximum(points * np.sum(weights**2, axis=0) - 1.0, 0.0)
    relative = np.sqrt(ratio / (points - 1)) if points > 1 else np.zeros(0)
    return Directions(
        np.broadcast_to(values, (copies, len(values))), right, None, (copies, rows.shape[1]), relative
    )


def directions_of_factors(inputs: FloatArray, deltas: FloatArray) -> Directions:
    """Return the eigenbasis of the Kronecker product of deltas^T deltas and inputs^T inputs.

    Parameters
    ----------
    inputs : ndarray of float64, shape (X, n)
        Inputs of a layer, scaled so that inputs^T inputs is their factor.
    deltas : ndarray of float64, shape (X * D, m)
        Derivatives of the outputs by its preactivations, likewise.

    Raises
    ------
    NumericalError
        A decomposition does not converge.
    """
    _, inner, right = _decomposed(inputs)
    _, outer, left = _decomposed(deltas)
    shape = (deltas.shape[1], inputs.shape[1])
    return Directions(np.outer(outer, inner), right, left, shape, np.zeros(0))


def _decomposed(rows: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Left singular vectors (N, r), squares of the singular values, right ones (r, n), rounding left out."""
    try:
        left, singular, right = np.linalg.svd(rows, full_matrices=False)
    except np.linalg.LinAlgError as error:
        raise NumericalError(
            f"directions of the information are not found: got derivatives {rows.shape} whose decomposition "
            "does not converge; use other layers or the diagonal basis"
        ) from error
    real = singular > max(rows.shape) * EPSILON * singular[0]
    return left[:, real], singular[real] ** 2, np.ascontiguousarray(right[real])
