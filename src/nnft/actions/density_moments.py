"""Moments and cumulants of an Edgeworth density: in closed form, and by Gauss-Hermite quadrature.

The Hermite tensors are orthogonal to the powers of lower order, so that E[H_r] is the coefficient of H_r in
the series. Hence the cumulants of the series are those put in, exactly, and the next ones vanish through
order 6 (McCullagh, *Tensor Methods in Statistics*, ch. 5), although higher ones do not.
"""

from __future__ import annotations

from math import factorial

import numpy as np
import numpy.typing as npt

from nnft.actions.density_series import Series
from nnft.actions.symmetric import components, places
from nnft.errors import UsageError
from nnft.theory.cumulants import set_partitions

FloatArray = npt.NDArray[np.float64]

HIGHEST_ORDER = 6
MOST_NODES = 1 << 20


def moments_from_cumulants(cumulants: dict[int, FloatArray], order: int, size: int) -> FloatArray:
    """Return the moments of `order` fields, packed, from packed cumulants; those not given vanish."""
    return _over_partitions(cumulants, order, size, signed=False)


def cumulants_from_moments(moments: dict[int, FloatArray], order: int, size: int) -> FloatArray:
    """Return the cumulants of `order` fields, packed, from packed moments of all lower orders."""
    return _over_partitions(moments, order, size, signed=True)


def _over_partitions(tensors: dict[int, FloatArray], order: int, size: int, signed: bool) -> FloatArray:
    table = components(size, order)
    total = np.zeros(len(table))
    for partition in set_partitions(tuple(range(order))):
        if all(len(block) in tensors for block in partition):
            blocks = len(partition)
            term = np.full(len(table), float((-1) ** (blocks - 1) * factorial(blocks - 1) if signed else 1))
            for block in partition:
                term *= tensors[len(block)][places(size, table[:, list(block)])]
            total += term
    return total


def hermite_grid(size: int, degree: int) -> tuple[FloatArray, FloatArray]:
    """Return nodes (N, n) and weights (N,) that average polynomials up to `degree` over N(0, 1) exactly.

    Raises
    ------
    UsageError
        If the grid would have more than 2^20 nodes.
    """
    count = degree // 2 + 1
    if count**size > MOST_NODES:
        raise UsageError(
            f"too many nodes for quadrature: got {count}^{size} for {size} fields; at most {MOST_NODES}, "
            'use method = "exact" or fewer points'
        )
    nodes, weights = np.polynomial.hermite_e.hermegauss(count)
    weights = weights / weights.sum()
    index = np.indices((count,) * size).reshape(size, -1).T
    return nodes[index], weights[index].prod(axis=1)


def quadrature_moment(series: Series, root: FloatArray, order: int) -> FloatArray:
    """Return the moments of `order` fields phi = root u, packed, by quadrature; order 0 is the normalisation.

    Parameters
    ----------
    series : Series
    root : ndarray of float64, shape (n, n)
    order : int

    Raises
    ------
    UsageError
        If there are too many fields.
    """
    white, weights = hermite_grid(series.size, series.degree + order)
    if order == 0:
        return np.array([weights @ series.ratio(white)])
    table = components(series.size, order)
    total = np.zeros(len(table))
    step = max(1, MOST_NODES // len(table))
    for start in range(0, len(white), step):
        piece = slice(start, start + step)
        fields = white[piece] @ root.T
        products = fields[:, table[:, 0]]
        for column in table.T[1:]:
            products *= fields[:, column]
        total += (weights[piece] * series.ratio(white[piece])) @ products
    return total
