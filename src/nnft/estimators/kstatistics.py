"""Exact coefficients of unbiased cumulant estimators.

A joint cumulant is a sum over set partitions of products of moments (McCullagh, *Tensor Methods in
Statistics*, 1987),

    kappa = sum_pi (-1)^(|pi|-1) (|pi|-1)! prod_{B in pi} E[X_B].

The product of moments has the unbiased estimator 1/(M)_k sum over distinct samples i_1..i_k of
prod X_{B_j}(i_j), (M)_k = M (M-1) ... (M-k+1), and Moebius inversion on the partition lattice turns the
sum over distinct samples into products of power sums:

    sum_distinct = sum_{rho >= pi} prod_{C in rho} (-1)^(c-1) (c-1)! S_C,   c = blocks of pi inside C.

Kinds differ in the partitions pi that are allowed:

``general``
    all set partitions; the classical multivariate k-statistics (order up to 6).
``direct``
    blocks in which every output label occurs an even number of times: odd moments vanish.
``conditional``
    the samples are covariances of a Gaussian given the network; the k-statistics act on its entries,
    one entry for each pair of slots, and the sum over pairings of the slots is carried out.
``reweighted``
    partitions as for ``direct``, each moment replaced by a ratio of weighted sums. Such products have no
    unbiased estimator; the coefficients are those of kappa itself.
``trained``, ``trained-conditional``
    all set partitions, with the coefficients of kappa itself: several samples of one network are not
    independent, so that products of moments have no unbiased estimator in their sums.

All coefficients are integers over falling factorials and are evaluated with rational arithmetic.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import factorial
from typing import Literal

import numpy as np
import numpy.typing as npt

from nnft.errors import UsageError
from nnft.estimators.index_table import Pattern

Kind = Literal["general", "direct", "conditional", "reweighted", "trained", "trained-conditional"]
Group = tuple[int, ...]
Piece = tuple[Group, ...]
Factor = tuple[Piece, ...]

GENERAL_ORDER_LIMIT = 6


@dataclass(frozen=True)
class CumulantTerm:
    """One product of power sums in an unbiased cumulant.

    Attributes
    ----------
    factors : tuple of Factor
        One power sum each. A factor is a product, at the same sample, of pieces; a piece is the
        stored component whose label groups hold the given slots, largest group first. Factors with
        several pieces occur only for the kind ``direct``, where the canonical order of two groups of
        equal size depends on the points.
    weights : tuple of (int, int)
        Pairs (k, w): the coefficient of the product of sums over M samples is sum w / (M)_k.
    """

    factors: tuple[Factor, ...]
    weights: tuple[tuple[int, int], ...]

    def coefficient(self, count: int) -> Fraction:
        """Return the exact coefficient of the product of sums over `count` samples."""
        total = Fraction(0)
        for samples, weight in self.weights:
            falling = 1
            for step in range(samples):
                falling *= count - step
            total += Fraction(weight, falling)
        return total

    def mean_coefficients(self, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Return the coefficients of the product of *means*, correctly rounded.

        Parameters
        ----------
        counts : ndarray of int64, shape (k,)
            Numbers of samples, each at least the order of the cumulant.

        Returns
        -------
        ndarray of float64, shape (k,)
        """
        values, inverse = np.unique(counts, return_inverse=True)
        exact = [float(self.coefficient(int(m)) * int(m) ** len(self.factors)) for m in values]
        return np.array(exact, dtype=np.float64)[inverse]


@dataclass(frozen=True)
class MomentTerm(CumulantTerm):
    """One product of moments in a cumulant; its weight is the coefficient, whatever the number of samples."""

    def mean_coefficients(self, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Return the coefficient for every number of samples, shape (k,)."""
        return np.full(len(counts), float(sum(weight for _, weight in self.weights)))


def samples_needed(kind: Kind, order: int) -> int:
    """Return the smallest number of samples for which the cumulant has an estimate, unbiased if it can be."""
    if kind == "reweighted":
        return 1
    return order // 2 if kind in ("direct", "conditional") else order


def set_partitions(size: int) -> Iterator[tuple[Group, ...]]:
    """Yield all set partitions of ``range(size)``, blocks and elements in increasing order."""
    if size == 0:
        yield ()
        return
    for smaller in set_partitions(size - 1):
        for position, block in enumerate(smaller):
            yield (*smaller[:position], (*block, size - 1), *smaller[position + 1 :])
        yield (*smaller, (size - 1,))


@lru_cache(maxsize=64)
def cumulant_terms(kind: Kind, pattern: Pattern) -> tuple[CumulantTerm, ...]:
    """Return the terms of the unbiased estimator of a joint cumulant.

    Parameters
    ----------
    kind : {'general', 'direct', 'conditional', 'reweighted', 'trained', 'trained-conditional'}
        Which moments may be non-zero, see the module's description.
    pattern : tuple of int
        Output label of each slot. For ``general`` the labels are ignored.

    Returns
    -------
    tuple of CumulantTerm

    Raises
    ------
    UsageError
        If ``general`` is asked for above order 6, or the kind is unknown.
    """
    if kind == "conditional":
        return _conditional_terms(pattern)
    if kind in ("direct", "reweighted"):
        splits = [tuple(_piece(pattern, block) for block in blocks) for blocks in _even_partitions(pattern)]
        if kind == "reweighted":
            return _moment_terms(splits)
        return _power_sum_terms(splits, lambda pieces: _join_pieces(pattern, pieces))
    if kind in ("trained", "trained-conditional"):
        return _moment_terms(tuple((block,) for block in blocks) for blocks in set_partitions(len(pattern)))
    if kind != "general" or len(pattern) > GENERAL_ORDER_LIMIT:
        raise UsageError(
            f"no unbiased cumulant in k-statistics: got kind {kind!r}, order {len(pattern)}; "
            f"use general up to order {GENERAL_ORDER_LIMIT}, direct, conditional or reweighted"
        )
    plain = [tuple((block,) for block in blocks) for blocks in set_partitions(len(pattern))]
    return _power_sum_terms(plain, lambda pieces: (_merge_groups(pieces),))


def _moment_terms(splits: Iterable[tuple[Piece, ...]]) -> tuple[CumulantTerm, ...]:
    """Return the terms of the cumulant itself, one product of moments for each partition."""
    return tuple(
        MomentTerm(tuple(sorted((piece,) for piece in pieces)), ((0, _moebius([len(pieces)])),))
        for pieces in splits
    )


def _even_partitions(pattern: Pattern) -> list[tuple[Group, ...]]:
    """Return the set partitions of the slots whose blocks hold each label an even number of times."""
    labels = range(max(pattern) + 1)
    return [
        blocks
        for blocks in set_partitions(len(pattern))
        if all(sum(pattern[slot] == label for slot in block) % 2 == 0 for block in blocks for label in labels)
    ]


def _moebius(sizes: Sequence[int]) -> int:
    """Return the Moebius function between two partitions, the coarser joining `sizes` finer blocks."""
    value = 1
    for size in sizes:
        value *= (-1) ** (size - 1) * factorial(size - 1)
    return value


def _power_sum_terms(
    splits: Iterable[tuple[Piece, ...]], join: Callable[[tuple[Piece, ...]], Factor]
) -> tuple[CumulantTerm, ...]:
    """Write the sum over `splits` of products of moments in power sums, equal products collected."""
    collected: dict[tuple[Factor, ...], dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for pieces in splits:
        samples = len(pieces)
        cumulant_weight = _moebius([samples])
        for grouping in set_partitions(samples):
            factors = tuple(sorted(join(tuple(pieces[p] for p in members)) for members in grouping))
            weight = cumulant_weight * _moebius([len(members) for members in grouping])
            collected[factors][samples] += weight
    return tuple(
        CumulantTerm(factors, tuple(sorted((k, w) for k, w in weights.items() if w)))
        for factors, weights in collected.items()
    )


def _conditional_terms(pattern: Pattern) -> tuple[CumulantTerm, ...]:
    """Return the k-statistics of the covariance entries, summed over the pairings of the slots."""
    entries = [tuple((block,) for block in blocks) for blocks in set_partitions(len(pattern) // 2)]
    weights = {
        tuple(sorted(len(piece[0]) for (piece,) in term.factors)): term.weights
        for term in _power_sum_terms(entries, lambda pieces: (_merge_groups(pieces),))
    }
    return tuple(
        CumulantTerm(
            tuple((_piece(pattern, block),) for block in blocks),
            weights[tuple(sorted(len(block) // 2 for block in blocks))],
        )
        for blocks in _even_partitions(pattern)
    )


def _piece(pattern: Pattern, block: Group) -> Piece:
    """Return the slots of a block grouped by label, largest group first, then by label."""
    groups = (tuple(s for s in block if pattern[s] == label) for label in range(max(pattern) + 1))
    return tuple(sorted((group for group in groups if group), key=lambda group: -len(group)))


def _merge_groups(pieces: Sequence[Piece]) -> Piece:
    """Return the piece whose k-th group joins the k-th groups of all pieces."""
    depth = max(len(piece) for piece in pieces)
    return tuple(
        tuple(sorted(slot for piece in pieces if k < len(piece) for slot in piece[k])) for k in range(depth)
    )


def _join_pieces(pattern: Pattern, pieces: tuple[Piece, ...]) -> Factor:
    """Return the product of pieces at one sample; pieces of known canonical order become one."""
    if len(pieces) == 1:
        return pieces
    fixed = [piece for piece in pieces if _order_is_known(pattern, piece)]
    open_pieces = sorted(piece for piece in pieces if not _order_is_known(pattern, piece))
    return ((_merge_groups(fixed),) if fixed else ()) + tuple(open_pieces)


def _order_is_known(pattern: Pattern, piece: Piece) -> bool:
    """Tell whether the canonical order of a piece's groups is the same for every component.

    Groups of different size are ordered by size. Two groups of equal size are in order if both hold
    all slots of their label, because the component itself is canonical.
    """
    partial = {len(group) for group in piece if len(group) < pattern.count(pattern[group[0]])}
    sizes = [len(group) for group in piece]
    return not any(sizes.count(size) > 1 for size in partial)
