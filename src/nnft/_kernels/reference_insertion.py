"""Plain NumPy twins of the kernels for weighted readouts: obvious before fast."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def energies_reference(fields: FloatArray, coefficients: FloatArray, total: bool) -> FloatArray:
    """Return V of every row.

    Parameters
    ----------
    fields : ndarray of float64, shape (rows, D, P)
    coefficients : ndarray of float64, shape (3, P)
        Of phi^2, phi^4 and phi^6 at every point.
    total : bool
        Whether phi^2 is the sum of the squares of all outputs; else V is added up over the outputs.

    Returns
    -------
    ndarray of float64, shape (rows,)
    """
    squares = fields**2
    if total:
        squares = squares.sum(axis=1, keepdims=True)
    powers = np.stack([squares, squares**2, squares**3])
    return np.asarray(np.einsum("krip,kp->r", powers, coefficients))


def weights_reference(
    values: FloatArray, first: int, readouts: int, coefficients: FloatArray, total: bool, shift: float
) -> FloatArray:
    """Return what `insertion.weigh` writes behind the outputs of networks.

    Parameters
    ----------
    values : ndarray of float64, shape (networks, any)
        Outputs of readout r from column first + r D P on.
    first, readouts : int
    coefficients, total
        See `energies_reference`.
    shift : float
        The exponent is shift - V, at most 300.

    Returns
    -------
    ndarray of float64, shape (networks, readouts + 2)
        Weights over `readouts`, their sum, the number of exponents that were cut.
    """
    points = coefficients.shape[1]
    drawn = values[:, first:].reshape(len(values), -1)
    outputs = drawn.shape[1] // (readouts * points)
    fields = drawn.reshape(len(values) * readouts, outputs, points)
    exponents = shift - energies_reference(fields, coefficients, total).reshape(-1, readouts)
    weights = np.exp(np.minimum(exponents, 300.0)) / readouts
    cut = (exponents > 300.0).sum(axis=1, keepdims=True)
    return np.concatenate([weights, weights.sum(axis=1, keepdims=True), cut], axis=1)
