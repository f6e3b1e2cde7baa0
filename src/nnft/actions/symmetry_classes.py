"""Which components of a correlator are related by a translation, a rotation or a motion of the inputs.

A component is a multiset of r mesh points. Two components are related by a translation if their sorted
points have the same differences to the first one; by O(d) about the origin if their Gram matrices agree
up to a common permutation; by a motion of Euclidean space if their distance matrices do. Numbers count
as equal within a tolerance: sorted, they are cut into labels wherever two neighbours are further apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations
from math import comb
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

from nnft.estimators.index_table import IndexArray, multisets

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]
PlainKeys = Callable[[IndexArray], Keys]
Item = TypeVar("Item")
Group = Literal["translations", "rotations", "Euclidean group"]

MOST_COMPONENTS = 1_000_000
"""More components are not searched for relations: every second, third .. point is left out instead."""

MOST_COORDINATES = 1 << 24
"""The same where differences of all pairs of points have more coordinates than this."""

MOST_MEMBERS = 64
CLASSES_PER_PAIR = 4
RELATIVE_TOLERANCE = 1e-9
PIECE = 1 << 15


def labels(values: FloatArray, tolerance: float) -> IntArray:
    """Return whole numbers that are equal where values are, within a tolerance; any shape."""
    flat = values.ravel()
    order = np.argsort(flat, kind="stable")
    steps = np.diff(flat[order]) > tolerance
    found = np.empty(len(flat), dtype=np.int64)
    found[order] = np.concatenate([[0], np.cumsum(steps)])
    return found.reshape(values.shape)


def default_tolerance(points: FloatArray) -> float:
    """Return 1e-9 of the largest coordinate."""
    return RELATIVE_TOLERANCE * float(np.abs(points).max(initial=0.0))


def distinct_points(points: FloatArray, tolerance: float) -> IntArray:
    """Return one mesh point for every location, in lexicographic order of the coordinates."""
    axes = np.stack([labels(axis, tolerance) for axis in points.T], axis=1)
    _, first = np.unique(axes, axis=0, return_index=True)
    return first.astype(np.int64)


@dataclass(frozen=True, eq=False)
class Contrasts:
    """Pairs of related components that are compared.

    Attributes
    ----------
    first, second : ndarray of int32, shape (k, r)
        Mesh points of the two components of each pair.
    classes : int
        Classes of related components with two members or more.
    related : int
        Components in them.
    searched : int
        Components that were searched for relations.
    left_out : int
        Locations of the mesh that were left out to bound the work.
    plain : int
        Pairs that a smaller group relates as well, see `related_pairs`.
    """

    first: IndexArray
    second: IndexArray
    classes: int
    related: int
    searched: int
    left_out: int
    plain: int


def related_pairs(points: FloatArray, order: int, group: Group, most: int, tolerance: float) -> Contrasts:
    """Choose pairs of components that a symmetry of the inputs makes equal.

    Which pairs is decided by geometry alone. Coincident and extended components get equal numbers of pairs;
    the members of a class that lie furthest from its first one come first. Pairs that a smaller group
    relates as well, x -> -x for rotations, rotations for the others, are taken only for want of others.

    Parameters
    ----------
    points : ndarray of float64, shape (P, d)
    order : int
        Number of points of a component.
    group : {'translations', 'rotations', 'Euclidean group'}
        Rotations are about the origin and include reflections.
    most : int
        Largest number of pairs.
    tolerance : float
        Coordinates closer than this are equal.
    """
    places = distinct_points(points, tolerance)
    located = len(places)
    stride = next(s for s in range(1, located + 1) if _bounded(-(-located // s), order, points.shape[1]))
    places = places[::stride]
    mesh = points[places]
    components = multisets(len(mesh), order)
    pair_labels = _pair_labels(mesh, group, tolerance)
    keys = _translation_keys if group == "translations" else _shape_keys
    members = _classes(_in_pieces(keys, components, pair_labels))
    chosen = _choose(components, members, mesh, _plain_keys(mesh, group, tolerance), most)
    if group != "translations":
        chosen = [c for c in chosen if _same_shape(pair_labels, *(components[row] for row in c.rows))]
    pairs = np.array([candidate.rows for candidate in chosen], dtype=np.int64).reshape(-1, 2)
    first, second = (places[components[pairs[:, side]]].astype(np.int32) for side in (0, 1))
    return Contrasts(
        first,
        second,
        classes=len(members),
        related=sum(len(rows) for rows in members),
        searched=len(components),
        left_out=located - len(places),
        plain=sum(candidate.plain for candidate in chosen),
    )


def _bounded(n_points: int, order: int, dimension: int) -> bool:
    """Tell whether so many points are not too many to be searched; one point never is."""
    few_numbers = n_points**2 * dimension <= MOST_COORDINATES
    return n_points == 1 or (few_numbers and comb(n_points + order - 1, order) <= MOST_COMPONENTS)


def _pair_labels(mesh: FloatArray, group: Group, tolerance: float) -> IntArray:
    """Return what decides about equality of a pair of points, as whole numbers, shape (P, P)."""
    if group == "translations":
        differences = mesh[:, None, :] - mesh[None, :, :]
        axes = [labels(differences[..., axis], tolerance).ravel() for axis in range(mesh.shape[1])]
        _, place = np.unique(np.stack(axes, axis=1), axis=0, return_inverse=True)
        return place.reshape(len(mesh), len(mesh)).astype(np.int64)
    radius = float(np.sqrt((mesh**2).sum(axis=1)).max(initial=0.0))
    if group == "rotations":
        return labels(mesh @ mesh.T, 2.0 * radius * tolerance)
    squares = ((mesh[:, None, :] - mesh[None, :, :]) ** 2).sum(axis=2)
    return labels(squares, 4.0 * radius * tolerance)


def _in_pieces(
    keys: Callable[[IndexArray, IntArray], Keys], components: IndexArray, pair_labels: IntArray
) -> Keys:
    return np.concatenate(
        [keys(components[k : k + PIECE], pair_labels) for k in range(0, len(components), PIECE)]
    )


def _translation_keys(components: IndexArray, differences: IntArray) -> Keys:
    """Return keys of the differences to the first point; points are numbered lexicographically."""
    key: Keys = np.zeros(len(components), dtype=np.uint64)
    size = np.uint64(int(differences.max(initial=0)) + 1)
    for slot in range(1, components.shape[1]):
        step = differences[components[:, slot], components[:, 0]].astype(np.uint64)
        # exact below 2^64; beyond, equal components still get equal keys
        key = (
            key * size + step
            if int(size) ** (components.shape[1] - 1) < 2**64
            else _mixed(key ^ _mixed(step))
        )
    return key


def _shape_keys(components: IndexArray, pair_labels: IntArray) -> Keys:
    """Return keys that do not depend on the order of the points; equal shapes have equal keys."""
    table = _mixed(pair_labels.astype(np.uint64) + np.uint64(1))
    entries = table[components[:, :, None], components[:, None, :]]
    diagonal = np.einsum("mpp->mp", entries)
    rows = _mixed(entries).sum(axis=2, dtype=np.uint64) ^ _mixed(diagonal + np.uint64(7))
    rows = _mixed(entries ^ _mixed(rows)[:, None, :]).sum(axis=2, dtype=np.uint64) + rows
    key: Keys = _mixed(rows).sum(axis=1, dtype=np.uint64)
    return key


def _mixed(values: Keys) -> Keys:
    """Return well-mixed 64-bit words (the finaliser of SplitMix64; Steele, Lea, Flood 2014)."""
    words = values + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def _classes(keys: Keys) -> list[IntArray]:
    """Return the rows of every class of two or more, ordered by their first row."""
    order = np.argsort(keys, kind="stable")
    starts = np.concatenate([[0], np.flatnonzero(np.diff(keys[order])) + 1, [len(keys)]])
    shared = np.flatnonzero(np.diff(starts) > 1)
    groups = [order[low:high] for low, high in zip(starts[shared], starts[shared + 1], strict=True)]
    return sorted(groups, key=lambda rows: int(rows[0]))


@dataclass(frozen=True)
class _Candidate:
    """A pair of related rows; `plain` if a smaller group relates them too."""

    rows: tuple[int, int]
    different: int
    plain: bool
    turn: int


def _choose(
    components: IndexArray, classes: list[IntArray], mesh: FloatArray, plain_keys: PlainKeys, most: int
) -> list[_Candidate]:
    """Return at most `most` pairs of rows, spread over the classes; plain ones only for want of others."""
    strata: dict[int, list[IntArray]] = {}
    for rows in classes:
        strata.setdefault(len(np.unique(components[rows[0]])), []).append(rows)
    pool = [
        candidate
        for different, groups in sorted(strata.items())
        for rows in _spread(groups, CLASSES_PER_PAIR * most)
        for candidate in _partners(components, rows, mesh, plain_keys, different)
    ]
    chosen = _balanced([candidate for candidate in pool if not candidate.plain], most)
    return chosen + _balanced([candidate for candidate in pool if candidate.plain], most - len(chosen))


def _balanced(candidates: list[_Candidate], most: int) -> list[_Candidate]:
    """Return at most `most` candidates: equal numbers from all strata as far as possible."""
    strata: dict[int, list[_Candidate]] = {}
    for candidate in candidates:
        strata.setdefault(candidate.different, []).append(candidate)
    shares = dict.fromkeys(sorted(strata), 0)
    while sum(shares.values()) < min(most, len(candidates)):
        open_ones = [size for size, taken in shares.items() if taken < len(strata[size])]
        shares[min(open_ones, key=lambda size: (shares[size], size))] += 1
    return [candidate for size, share in shares.items() for candidate in _in_turn(strata[size], share)]


def _in_turn(candidates: list[_Candidate], most: int) -> list[_Candidate]:
    """Return at most `most` candidates: the first pair of classes evenly spread, then the second .."""
    chosen: list[_Candidate] = []
    for turn in sorted({candidate.turn for candidate in candidates}):
        if len(chosen) < most:
            equals = [candidate for candidate in candidates if candidate.turn == turn]
            chosen += _spread(equals, most - len(chosen))
    return chosen


def _spread(items: list[Item], most: int) -> list[Item]:
    """Return at most `most` of the items, evenly spread."""
    if len(items) <= most:
        return items
    return [items[k] for k in np.unique(np.linspace(0, len(items) - 1, most).round().astype(int))]


def _partners(
    components: IndexArray, rows: IntArray, mesh: FloatArray, plain_keys: PlainKeys, different: int
) -> list[_Candidate]:
    """Return the first member of a class with each other one, those furthest from it in front."""
    others = np.array(_spread(rows[1:].tolist(), MOST_MEMBERS), dtype=np.int64)
    moved = mesh[components[others]] - mesh[components[rows[0]]]
    distance = (moved**2).sum(axis=(1, 2))
    others = others[np.argsort(-distance.round(12), kind="stable")]
    keys = plain_keys(components[np.concatenate([rows[:1], others])])
    plain = keys[1:] == keys[0]
    turns = np.where(plain, np.cumsum(plain), np.cumsum(~plain)) - 1
    return [
        _Candidate((int(rows[0]), int(other)), different, bool(flag), int(turn))
        for other, flag, turn in zip(others, plain, turns, strict=True)
    ]


def _plain_keys(mesh: FloatArray, group: Group, tolerance: float) -> PlainKeys:
    """Return keys that are equal where a smaller group relates two components as well.

    For rotations that is x -> -x, a symmetry of every even or odd field. For translations and motions it is
    O(d) about the origin.
    """
    if group == "rotations":
        inverse = _inverse_points(mesh, tolerance)

        def up_to_sign(components: IndexArray) -> Keys:
            image = np.sort(inverse[components], axis=1)
            whole = (image >= 0).all(axis=1)
            swap = whole & _lexically_less(image, components)
            lowest = np.where(swap[:, None], image, components)
            key: Keys = np.zeros(len(components), dtype=np.uint64)
            for slot in range(components.shape[1]):
                key = _mixed(key ^ _mixed(lowest[:, slot].astype(np.uint64)))
            return key

        return up_to_sign
    gram = _pair_labels(mesh, "rotations", tolerance)
    return lambda components: _shape_keys(components, gram)


def _inverse_points(mesh: FloatArray, tolerance: float) -> IntArray:
    """Return the point at -x for every x, -1 where there is none."""
    near: npt.NDArray[np.bool_] = np.abs(mesh[:, None, :] + mesh[None, :, :]).max(axis=2) <= 2.0 * tolerance
    found: IntArray = np.where(near.any(axis=1), near.argmax(axis=1), -1).astype(np.int64)
    return found


def _lexically_less(first: npt.NDArray[np.integer], second: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """Tell which rows of `first` come before those of `second`."""
    unequal = first != second
    place = unequal.argmax(axis=1)[:, None]
    less = np.take_along_axis(first, place, axis=1) < np.take_along_axis(second, place, axis=1)
    found: npt.NDArray[np.bool_] = less[:, 0] & unequal.any(axis=1)
    return found


@lru_cache(maxsize=8)
def _all_orders(order: int) -> IntArray:
    return np.array(list(permutations(range(order))), dtype=np.int64)


def _same_shape(pair_labels: IntArray, first: IndexArray, second: IndexArray) -> bool:
    """Tell whether a permutation of the points makes the two label matrices equal."""
    wanted = pair_labels[first[:, None], first[None, :]]
    orders = second[_all_orders(len(first))]
    found = pair_labels[orders[:, :, None], orders[:, None, :]]
    return bool((found == wanted).all(axis=(1, 2)).any())
