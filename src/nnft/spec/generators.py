"""Input points made by rule: grids, spheres, Gaussian clouds."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def grid(count: int, dimension: int, low: float, high: float) -> NDArray[np.float64]:
    """Return the points of a regular grid.

    Parameters
    ----------
    count : int
        Values on each axis, equidistant from `low` to `high` with both ends; the middle when it is 1.
    dimension : int
        Number of axes; the last one runs fastest.
    low, high : float
        Ends of every axis.

    Returns
    -------
    ndarray of float64, shape (count**dimension, dimension)
    """
    if count == 1:
        axis = np.array([0.5 * low + 0.5 * high])
    else:
        fraction = np.arange(count) / (count - 1)
        axis = low * (1.0 - fraction) + high * fraction
    index = (
        np.indices((count,) * dimension).reshape(dimension, -1).T
        if count > 1
        else np.zeros((1, dimension), int)
    )
    return np.ascontiguousarray(axis[index])


def gaussian(count: int, dimension: int, seed: int) -> NDArray[np.float64]:
    """Return points of independent standard normal coordinates.

    Parameters
    ----------
    count, dimension : int
        Shape of the result.
    seed : int
        0 to 2^128 - 1, the key of a Philox stream.

    Returns
    -------
    ndarray of float64, shape (count, dimension)
    """
    return np.random.Generator(np.random.Philox(key=seed)).standard_normal((count, dimension))


def sphere(count: int, dimension: int, radius: float, seed: int) -> NDArray[np.float64]:
    """Return points distributed uniformly on the sphere of `radius` around 0.

    Parameters
    ----------
    count, dimension : int
        Shape of the result; in one dimension the points are +radius or -radius.
    radius : float
        Distance of all points from 0.
    seed : int
        0 to 2^128 - 1, the key of a Philox stream.

    Returns
    -------
    ndarray of float64, shape (count, dimension)
        Normalised Gaussian vectors (M. E. Muller, Communications of the ACM 2 (1959) 19).
    """
    return unit_norm(gaussian(count, dimension, seed)) * radius


def unit_norm(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return every row divided by its Euclidean norm; rows must not be zero.

    The sum of squares is rounded once and scaled by a power of two, so it neither overflows nor depends on
    the order of summation.
    """
    result = np.empty_like(points)
    for row, point in enumerate(points):
        _, exponent = math.frexp(float(np.abs(point).max()))
        scaled = np.ldexp(point, -exponent)
        result[row] = scaled / math.sqrt(math.fsum(scaled * scaled))
    return result
