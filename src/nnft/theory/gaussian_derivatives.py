"""Derivatives of the two-point averages s_ab = <sigma_a sigma_b> with respect to the kernel.

By the Gaussian derivative rule d<F> = (1/2) sum_ab <d_a d_b F> dK_ab every derivative is an average
of derivatives of sigma (Roberts, Yaida, Hanin, *Principles of Deep Learning Theory*, chapter 4); this
form needs no inverse kernel, so repeated points are harmless for smooth activations.
"""

from __future__ import annotations

import math

import numpy as np

from nnft.errors import NumericalError
from nnft.theory.activations import Activation, Array
from nnft.theory.gaussian_averages import pair_average
from nnft.theory.product_averages import Indices, pair_indices


def pair_jacobian(sigma: Activation, kernel: Array) -> Array:
    """Matrix ds_q / dK_q' over packed pairs, K_ab and K_ba counted as one variable.

    Parameters
    ----------
    kernel : ndarray, shape (P, P)
        Kernel of the layer.

    Returns
    -------
    ndarray, shape (Q, Q)
        Row q = (a, b) is nonzero in the columns (a, a), (a, b), (b, b).
    """
    first, second, columns = _columns(kernel.shape[0])
    k11, k12, k22 = kernel[first, first], kernel[first, second], kernel[second, second]
    gradient = np.stack(
        [
            0.5 * pair_average(sigma, k11, k12, k22, (2, 0)),
            pair_average(sigma, k11, k12, k22, (1, 1)),
            0.5 * pair_average(sigma, k11, k12, k22, (0, 2)),
        ],
        axis=1,
    )
    result = np.zeros((first.size, first.size))
    rows = np.repeat(np.arange(first.size), 3)
    np.add.at(result, (rows, columns.ravel()), gradient.ravel())
    return result


def pair_curvature(sigma: Activation, kernel: Array, tensor: Array) -> Array:
    """Contract the second derivatives of s_q with a symmetric tensor over pairs.

    Parameters
    ----------
    kernel : ndarray, shape (P, P)
        Kernel of the layer.
    tensor : ndarray, shape (Q, Q)
        For instance the vertex V.

    Returns
    -------
    ndarray, shape (Q,)
        ``sum_{q'q''} d2 s_q / dK_q' dK_q'' tensor[q', q'']``.

    Raises
    ------
    NumericalError
        For kinked activations at parallel inputs, where the second derivative is infinite.
    """
    first, second, columns = _columns(kernel.shape[0])
    k11, k12, k22 = kernel[first, first], kernel[first, second], kernel[second, second]
    hessian = np.zeros((first.size, 3, 3))
    if sigma.kinked:
        distinct = first != second
        hessian[distinct] = _kinked_hessian(sigma, k11[distinct], k12[distinct], k22[distinct])
    else:
        for i, j, factor, orders in _HESSIAN:
            entry = factor * pair_average(sigma, k11, k12, k22, orders)
            hessian[:, i, j] = hessian[:, j, i] = entry
    block = tensor[columns[:, :, None], columns[:, None, :]]
    return np.asarray(np.sum(hessian * block, axis=(1, 2)), dtype=np.float64)


# variables in the order K11, K12, K22; the factor 1/2 for each derivative with respect to a variance
_HESSIAN: tuple[tuple[int, int, float, tuple[int, int]], ...] = (
    (0, 0, 0.25, (4, 0)),
    (0, 1, 0.5, (3, 1)),
    (0, 2, 0.25, (2, 2)),
    (1, 1, 1.0, (2, 2)),
    (1, 2, 0.5, (1, 3)),
    (2, 2, 0.25, (0, 4)),
)


def _columns(points: int) -> tuple[Indices, Indices, Indices]:
    first, second = pair_indices(points)
    packed = np.zeros((points, points), dtype=np.intp)
    packed[first, second] = packed[second, first] = np.arange(first.size)
    columns = np.stack([packed[first, first], packed[first, second], packed[second, second]], axis=1)
    return first, second, columns


def _kinked_hessian(sigma: Activation, k11: Array, k12: Array, k22: Array) -> Array:
    """Second derivatives of the arc-cosine kernel of degree one."""
    determinant = k11 * k22 - k12**2
    if np.any(determinant <= 0.0):
        raise NumericalError(
            f"second derivative of the {sigma.name} kernel is infinite at parallel inputs; drop one of them"
        )
    plus, minus = sigma.slopes
    scale = (plus - minus) ** 2 / (2.0 * math.pi) / np.sqrt(determinant)
    mixed = k12**2 - 0.5 * k11 * k22
    hessian = np.empty((k11.size, 3, 3))
    hessian[:, 1, 1] = scale
    hessian[:, 0, 1] = hessian[:, 1, 0] = -0.5 * scale * k12 / k11
    hessian[:, 1, 2] = hessian[:, 2, 1] = -0.5 * scale * k12 / k22
    hessian[:, 0, 2] = hessian[:, 2, 0] = 0.25 * scale
    hessian[:, 0, 0] = 0.5 * scale * mixed / k11**2
    hessian[:, 2, 2] = 0.5 * scale * mixed / k22**2
    return hessian
