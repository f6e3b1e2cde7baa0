"""Gaussian averages of products of four, six, ... activations at several inputs.

Closed forms for sin, cos, exp (completing the square) and linear (Wick); piecewise linear
activations by angular nodes; all others by the whitened trapezoid rule.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from nnft.theory.absolute_moments import four_point_average
from nnft.theory.activations import Activation, Array
from nnft.theory.angular import angular_nodes
from nnft.theory.cumulants import pairings, set_partitions
from nnft.theory.nested_averages import nested_four_point_average
from nnft.theory.quadrature import range_factor, trapezoid_nodes, trapezoid_step

Indices = NDArray[np.intp]


def pair_indices(points: int) -> tuple[Indices, Indices]:
    """Input indices (a, b), a <= b, of the packed pairs in lexicographic order, two integer arrays."""
    first, second = np.triu_indices(points)
    return first.astype(np.intp), second.astype(np.intp)


def product_nodes(sigma: Activation, covariance: Array, factors: int) -> Iterator[tuple[Array, Array]]:
    """Yield pieces (z, weights) of a rule that integrates products of `factors` activations.

    Parameters
    ----------
    sigma : Activation
        The activation.
    covariance : ndarray, shape (k, k)
        Covariance of the arguments; rank at most 3.
    factors : int
        Number of factors; for kinked activations only this number is integrated correctly.
    """
    factor = range_factor(covariance)
    if sigma.kinked:
        yield angular_nodes(factor, factors)
        return
    largest = float(np.max(np.diagonal(np.atleast_2d(covariance)), initial=0.0))
    yield from trapezoid_nodes(factor, trapezoid_step(sigma, largest, factors))


def product_average(sigma: Activation, covariance: Array) -> float:
    """Average of sigma(z_1) sigma(z_2) ... over z ~ N(0, covariance).

    Parameters
    ----------
    covariance : ndarray, shape (k, k)
        Covariance of the k arguments; repeat rows for powers.

    Returns
    -------
    float

    Raises
    ------
    UsageError
        If no closed form exists and the rank is above 3, or above 4 for four factors.
    """
    covariance = np.atleast_2d(np.asarray(covariance, dtype=np.float64))
    size = covariance.shape[0]
    if sigma.name == "exp":
        return math.exp(0.5 * float(np.sum(covariance)))
    if sigma.name in {"sin", "cos"}:
        return _trigonometric_product(sigma.name, covariance)
    if sigma.name == "linear":
        return 0.0 if size % 2 else _wick_sum(covariance)
    if size == 4 and range_factor(covariance).shape[1] == 4:
        if sigma.kinked:
            return four_point_average(sigma, covariance)
        return nested_four_point_average(sigma, covariance)
    total = 0.0
    for z, weights in product_nodes(sigma, covariance, size):
        total += float(np.sum(np.prod(sigma(z), axis=0) * weights))
    return total


def _wick_sum(covariance: Array) -> float:
    slots = tuple(range(covariance.shape[0]))
    return math.fsum(math.prod(float(covariance[a, b]) for a, b in p) for p in pairings(slots))


def _trigonometric_product(name: str, covariance: Array) -> float:
    """Expand the product into exponentials of i times signed sums of the arguments."""
    size: int = covariance.shape[0]
    if name == "sin" and size % 2:
        return 0.0
    signs = np.array(list(itertools.product((1.0, -1.0), repeat=size)))
    waves = np.exp(-0.5 * np.einsum("sa,ab,sb->s", signs, covariance, signs))
    phase = np.prod(signs, axis=1) * (-1.0) ** (size // 2) if name == "sin" else 1.0
    return float(np.sum(phase * waves)) * 0.5**size


def pair_product_average(sigma: Activation, kernel: Array) -> Array:
    """Averages of sigma_a sigma_b sigma_c sigma_d for all packed pairs (ab), (cd).

    Parameters
    ----------
    kernel : ndarray, shape (P, P)
        Covariance of one neuron at the P inputs.

    Returns
    -------
    ndarray, shape (Q, Q), Q = P (P + 1) / 2
        Exactly symmetric.
    """
    first, second = pair_indices(kernel.shape[0])
    pairs = list(zip(first.tolist(), second.tolist(), strict=True))
    known: dict[tuple[int, ...], float] = {}
    for p, q in itertools.combinations_with_replacement(pairs, 2):
        known.setdefault(tuple(sorted((*p, *q))), math.nan)
    _fill_products(sigma, kernel, known)
    values = [[known[tuple(sorted((*p, *q)))] for q in pairs] for p in pairs]
    return np.array(values, dtype=np.float64)


def _fill_products(sigma: Activation, kernel: Array, known: dict[tuple[int, ...], float]) -> None:
    """Evaluate products of four activations, one quadrature for every set of inputs."""
    if sigma.name in {"exp", "sin", "cos", "linear"}:
        for key in known:
            known[key] = product_average(sigma, kernel[np.ix_(key, key)])
        return
    points = kernel.shape[0]
    group = points if range_factor(kernel).shape[1] <= 3 else 3
    for subset in itertools.combinations(range(points), group):
        keys = [key for key, value in known.items() if math.isnan(value) and set(key) <= set(subset)]
        if not keys:
            continue
        totals = np.zeros(len(keys))
        for z, weights in product_nodes(sigma, kernel[np.ix_(subset, subset)], 4):
            values = sigma(z)
            for position, key in enumerate(keys):
                a, b, c, d = (values[subset.index(i)] for i in key)
                totals[position] += float(np.sum(a * b * c * d * weights))
        known.update(zip(keys, totals.tolist(), strict=True))
    for key in [key for key, value in known.items() if math.isnan(value)]:
        known[key] = product_average(sigma, kernel[np.ix_(key, key)])


def activation_cumulant(sigma: Activation, covariance: Array, pairs: Sequence[tuple[int, int]]) -> float:
    """Joint cumulant of the products sigma_a sigma_b, one for each pair, over one neuron.

    Parameters
    ----------
    covariance : ndarray, shape (P, P)
        Covariance of the arguments.
    pairs : sequence of pairs of int
        Pairs (a, b) of inputs; their number is the order of the cumulant.
    """
    total = 0.0
    for partition in set_partitions(tuple(range(len(pairs)))):
        term = float((-1) ** (len(partition) - 1) * math.factorial(len(partition) - 1))
        for block in partition:
            inputs = [i for b in block for i in pairs[b]]
            term *= product_average(sigma, covariance[np.ix_(inputs, inputs)])
        total += term
    return total
