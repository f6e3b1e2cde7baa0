"""A covariance as L L^T: Cholesky with complete pivoting, which stops where nothing but rounding is left.

N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed. (SIAM 2002), section 10.3. No product
goes through a library whose bits depend on its threads.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nnft.errors import DataFileError
from nnft.spec.problems import line

FloatArray = NDArray[np.float64]


def precision(matrix: FloatArray) -> float:
    """Return the unit of rounding of numbers: that of float32 where all of them are such numbers."""
    with np.errstate(over="ignore"):
        single = matrix.astype(np.float32).astype(np.float64)
    kind = np.float32 if (single == matrix).all() else np.float64
    return float(np.finfo(kind).eps)


def covariance_root(covariance: FloatArray, source: str) -> FloatArray:
    """Return L with L L^T = covariance, columns beyond the rank zero.

    Parameters
    ----------
    covariance : ndarray of float64, shape (n, n)
        Symmetric and positive semidefinite up to rounding, that of float32 if its numbers are such.
    source : str
        What it is called in messages, file and array.

    Returns
    -------
    ndarray of float64, shape (n, n)

    Raises
    ------
    DataFileError
        It is not symmetric, or has a negative eigenvalue.
    """
    count, unit = len(covariance), precision(covariance)
    spread = np.sqrt(np.maximum(np.diagonal(covariance), 0.0))
    scale = np.where(spread > 0.0, spread, 1.0)
    unlike = np.abs(covariance - covariance.T) / np.outer(scale, scale)
    tolerance = 8.0 * (count**0.5 * unit + count * float(np.finfo(np.float64).eps))
    if unlike.max() > tolerance:
        i, j = (int(k) for k in np.unravel_index(int(unlike.argmax()), unlike.shape))
        got = f"{float(covariance[i, j])!r} at [{i}, {j}], {float(covariance[j, i])!r} at [{j}, {i}]"
        raise DataFileError(line("not symmetric", "", got, "give a symmetric matrix", source))
    correlation = 0.5 * (covariance + covariance.T) / np.outer(scale, scale)
    root = _pivoted(correlation, tolerance)
    if np.abs(correlation - root @ root.T).max() > 4.0 * tolerance:
        least, most = np.linalg.eigvalsh(covariance)[[0, -1]]
        got = f"smallest eigenvalue {least:.4g} beside {most:.4g}"
        advice = "allowed: none below 0 but for rounding"
        raise DataFileError(line("not positive semidefinite", "", got, advice, source))
    return np.ascontiguousarray(scale[:, None] * root)


def _pivoted(matrix: FloatArray, least: float) -> FloatArray:
    """Columns for the largest remaining diagonal, until it is at most `least`."""
    count = len(matrix)
    root, left = np.zeros((count, count)), np.diagonal(matrix).copy()
    for k in range(count):
        pivot = int(left.argmax())
        if left[pivot] <= least:
            break
        column = matrix[:, pivot] - np.einsum("ij,j->i", root[:, :k], root[pivot, :k])
        column /= np.sqrt(left[pivot])
        root[:, k] = column
        left -= column**2
        left[pivot] = 0.0
    return root
