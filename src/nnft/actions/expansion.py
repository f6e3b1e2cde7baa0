"""The action of a field from its cumulants, order by order in 1/N.

With the cumulants kappa_r = O(N^(1 - r/2)) of a field phi with vanishing odd moments and covariance G, the
negative logarithm of its density is (McCullagh, *Tensor Methods in Statistics*, ch. 5; Edgeworth's series)

    S = 1/2 phi G^-1 phi + 1/2 ln det 2 pi G                                                      (N^0)
        - 1/4! k4.H4                                                                              (N^-1)
        - 1/6! k6.H6 + 1/72 C1.H6 + 1/16 C2.H4 + 1/12 C3.H2 + 1/48 C4                             (N^-2)

with the Hermite tensors H_r of G and C_j the symmetrised contraction of j index pairs of k4 with k4 by
G^-1. Expanding the Hermite tensors gives a polynomial, the inverse Feynman rules:

    S = const + 1/2 A_ab phi_a phi_b + 1/4! lambda_abcd phi_a..phi_d + 1/6! lambda_a..f phi_a..phi_f.

A hat marks cumulants whose indices are lowered with G^-1; hatted tensors are contracted with G. Positive
kappa_4 (heavy tails) means negative lambda_4.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
import numpy.typing as npt

from nnft.actions.symmetric import components, dense, pack, places, trace, transform

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Polynomial:
    """One order in 1/N of the action, a polynomial in the field.

    Attributes
    ----------
    constant : float
    quadratic : ndarray of float64, shape (n, n)
        Coefficient of 1/2 phi phi.
    quartic : ndarray of float64, shape (C(n + 3, 4),), or None
        Packed coefficient of 1/4! phi^4.
    sextic : ndarray of float64, shape (C(n + 5, 6),), or None
        Packed coefficient of 1/6! phi^6.
    """

    constant: float
    quadratic: FloatArray
    quartic: FloatArray | None = None
    sextic: FloatArray | None = None


def expand(metric: FloatArray, four: FloatArray, six: FloatArray | None = None) -> list[Polynomial]:
    """Return the action of a field, order by order.

    Parameters
    ----------
    metric : ndarray of float64, shape (n, n)
        Covariance G, positive definite.
    four, six : ndarray of float64, packed
        Connected correlators of order 4 and, for the next order, 6.

    Returns
    -------
    list of Polynomial
        Orders N^0, N^-1 and, if `six` is given, N^-2; the action is their sum.
    """
    inverse = np.linalg.inv(metric)
    inverse = 0.5 * (inverse + inverse.T)
    lowered = transform(four, 4, inverse)
    orders = [free_part(metric, inverse), leading_order(metric, lowered)]
    if six is not None:
        orders.append(next_order(metric, lowered, transform(six, 6, inverse)))
    return orders


def free_part(metric: FloatArray, inverse: FloatArray) -> Polynomial:
    """Return the Gaussian part, normalised."""
    _, logarithm = np.linalg.slogdet(2.0 * np.pi * metric)
    return Polynomial(0.5 * float(logarithm), inverse)


def leading_order(metric: FloatArray, lowered: FloatArray) -> Polynomial:
    """Return the order 1/N from the lowered fourth cumulant, packed: -1/4! k4.H4."""
    tadpole = dense(trace(lowered, len(metric), 4, metric), len(metric), 2)
    constant = -0.125 * float(np.sum(tadpole * metric))
    return Polynomial(constant, 0.5 * tadpole, -lowered)


def next_order(metric: FloatArray, four: FloatArray, six: FloatArray) -> Polynomial:
    """Return the order 1/N^2.

    Parameters
    ----------
    metric : ndarray of float64, shape (n, n)
    four, six : ndarray of float64, packed
        Lowered cumulants.
    """
    size = len(metric)
    chain = chain_product(metric, four)
    chain_trace = trace(chain, size, 6, metric)
    chain_double = trace(chain_trace, size, 4, metric)
    bubble = bubble_product(metric, four)
    bubble_trace = trace(bubble, size, 4, metric)
    sunset = sunset_product(metric, four)
    six_trace = trace(six, size, 6, metric)
    six_double = trace(six_trace, size, 4, metric)
    quartic = 0.5 * six_trace - 5.0 * chain_trace + 1.5 * bubble
    quadratic = -0.125 * six_double + 1.25 * chain_double - 0.75 * bubble_trace
    contract = metric[tuple(components(size, 2).T)] * np.where(
        components(size, 2)[:, 0] == components(size, 2)[:, 1], 1.0, 2.0
    )
    constant = (
        six_double @ contract / 48.0
        - chain_double @ contract * (15.0 / 72.0)
        + bubble_trace @ contract * (3.0 / 16.0)
        + float(np.sum(sunset * metric)) * (1.0 / 48.0 - 1.0 / 12.0)
    )
    square = dense(quadratic, size, 2) + sunset / 6.0
    return Polynomial(float(constant), square, quartic, -six + 10.0 * chain)


def chain_product(metric: FloatArray, four: FloatArray) -> FloatArray:
    """Return k4 o_1 k4: two quartic vertices joined by one propagator, packed at order 6.

    Parameters
    ----------
    metric : ndarray of float64, shape (n, n)
        What joins: G for lowered cumulants, G^-1 for the cumulants themselves.
    four : ndarray of float64, packed

    Returns
    -------
    ndarray of float64, packed
        The average over the 10 ways to split six indices in 3 + 3.
    """
    legs, splits = _chain_places(len(metric))
    vertex = four[legs]
    joined = vertex @ metric @ vertex.T
    total = np.zeros(splits.shape[2])
    for first, second in splits:
        total += joined[first, second]
    return total / len(splits)


@lru_cache(maxsize=8)
def _chain_places(size: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return where the vertices (packed triple, leg) are stored, and the triples of the 10 splits of six."""
    triples = components(size, 3)
    three = np.broadcast_to(triples[:, None, :], (len(triples), size, 3))
    one = np.broadcast_to(np.arange(size, dtype=np.int32)[None, :, None], (len(triples), size, 1))
    table = components(size, 6)
    splits = []
    for rest in combinations(range(1, 6), 2):
        first = [0, *rest]
        second = [place for place in range(6) if place not in first]
        splits.append([places(size, table[:, first]), places(size, table[:, second])])
    return places(size, np.concatenate([three, one], axis=2)), np.array(splits)


def bubble_product(metric: FloatArray, four: FloatArray) -> FloatArray:
    """Return k4 o_2 k4: two quartic vertices joined by two propagators, packed at order 4."""
    size = len(metric)
    vertex = dense(four, size, 4).reshape(size**2, size**2)
    joined = (vertex @ np.kron(metric, metric) @ vertex.T).reshape((size,) * 4)
    return pack((joined + joined.transpose(0, 2, 1, 3) + joined.transpose(0, 3, 2, 1)) / 3.0)


def sunset_product(metric: FloatArray, four: FloatArray) -> FloatArray:
    """Return k4 o_3 k4: two quartic vertices joined by three propagators, shape (n, n)."""
    size = len(metric)
    vertex = dense(four, size, 4)
    raised = vertex
    for _ in range(3):
        raised = np.tensordot(raised, metric, axes=(1, 0))
    joined: FloatArray = vertex.reshape(size, -1) @ raised.reshape(size, -1).T
    return 0.5 * (joined + joined.T)
