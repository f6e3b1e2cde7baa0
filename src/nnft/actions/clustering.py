"""Cluster decomposition: fields far apart are independent.

For every split of the points into two groups the connected correlator must vanish as the groups move apart,

    kappa_r(x_1 .. x_p, x_(p+1) + b .. x_r + b) -> 0,   |b| -> infinity

(Halverson, arXiv:2112.04527). Neurons that are independent of each other and have a translation-invariant
law violate it at order 4 and finite width N: for the cos-net kappa_4(x, y, x, y) -> 2 K(0)^2 / N.

On a mesh the farthest pairs of points stand for infinity: all fields of a group sit at one point. R is the
connected correlator there in units of its value at coincident points,

    R = kappa_r(a .. a, b .. b) / (G_aa^(p/2) G_bb^((r-p)/2) c_r),

with c_r the mean of kappa_r(a .. a) / G_aa^(r/2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nnft.actions.axiom_report import BROKEN_P, VISIBLE_SIGMAS, AxiomCheck, not_testable
from nnft.actions.axiom_source import Ensemble
from nnft.actions.source import CumulantSource
from nnft.actions.symmetry_classes import distinct_points
from nnft.estimators.joint_test import JointTest, joint_test
from nnft.estimators.replicated import Replicated

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

NAME = "clustering"
DECAYED = 0.05
"""A correlator below this share of its value at coincident points has decayed."""

UNCHANGED = 0.9
"""Above this share of the value at coincident points the mesh is too small to say anything."""

SEEN = 0.5
"""An error with which this share of the value at coincident points could not be seen is too large."""

MOST_PAIRS = 8
FAR, MIDDLE = 0.9, (0.4, 0.6)
SHELLS = 8
ROUNDING = 1e-12
DEAD = 1e-12
"""Points with a variance below this share of the largest are left out."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of mesh points of a certain distance: ``points`` (k, 2), ``distance`` (k,)."""

    points: IntArray
    distance: FloatArray

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.points)

    def part(self, low: float, high: float, wanted: float) -> Pairs:
        """Return at most 8 pairs with low < distance <= high, those closest to `wanted` first."""
        rows = np.flatnonzero((self.distance > low) & (self.distance <= high))
        rows = rows[np.argsort(np.abs(self.distance[rows] - wanted).round(12), kind="stable")[:MOST_PAIRS]]
        return Pairs(self.points[rows], self.distance[rows])


def cluster_checks(ensemble: Ensemble, orders: Sequence[int], tolerance: float) -> list[AxiomCheck]:
    """Test whether connected correlators of order 2 and 4 decay with the distance of two groups.

    Parameters
    ----------
    ensemble : Ensemble
    orders : sequence of int
        Orders at hand; 2 and 4 are used.
    tolerance : float
        Coordinates closer than this are equal.
    """
    source = ensemble.centred
    wanted = [(order, first) for order in (2, 4) if order in orders for first in range(1, order // 2 + 1)]
    pairs = _live_pairs(source, tolerance)
    checks: list[AxiomCheck] = []
    decayed = False
    for order, first in wanted:
        name, words = _names(order, first)
        if len(pairs) == 0:
            checks.append(not_testable(name, order, words, "the field lives on fewer than two points"))
            continue
        checks.append(_check(source, pairs, order, first, decayed))
        if order == 2:
            decayed = checks[-1].verdict == "holds"
    return checks


def _names(order: int, first: int) -> tuple[str, str]:
    split = f"{first}|{order - first}"
    return f"{NAME} {split}", f"kappa_{order}({'a' * first}|{'b' * (order - first)}), |a - b| large"


def _live_pairs(source: CumulantSource, tolerance: float) -> Pairs:
    """Return all pairs of locations where the field has a variance."""
    places = distinct_points(source.points, tolerance).astype(np.int32)
    variance = source.replicates(2, None, np.repeat(places[:, None], 2, axis=1)).value
    live = places[variance > DEAD * variance.max(initial=0.0)].astype(np.int64)
    first, second = np.triu_indices(len(live), 1)
    points = np.stack([live[first], live[second]], axis=1)
    centred = source.points - source.points.mean(axis=0)
    norms = (centred**2).sum(axis=1)
    squares = norms[:, None] + norms[None, :] - 2.0 * centred @ centred.T
    return Pairs(points, np.sqrt(np.maximum(squares[points[:, 0], points[:, 1]], 0.0)))


def _check(source: CumulantSource, pairs: Pairs, order: int, first: int, decayed: bool) -> AxiomCheck:
    name, words = _names(order, first)
    longest = float(pairs.distance.max())
    far = pairs.part(FAR * longest, longest, longest)
    middle = pairs.part(MIDDLE[0] * longest, MIDDLE[1] * longest, longest / 2)
    unit = _coincident(source, far, order)
    details = _details(source, pairs, far, order, first, unit)
    if not np.isfinite(unit.values).all() or abs(float(unit.value)) <= VISIBLE_SIGMAS * float(unit.stderr()):
        why = "the correlator at coincident points is zero within its errors"
        return not_testable(name, order, words, why, **details)
    share = _shares(source, far, order, first, unit)
    half_way = _shares(source, middle, order, first, unit) if len(middle) else None
    if not np.isfinite(share.values).all():
        return not_testable(name, order, words, "correlators are not finite", **details)
    result = joint_test(share.value, share.deviations(), np.ones(len(share.value)))
    size = _mean_size(share)
    fall = _fall(share, half_way)
    smallest = min(float(part.value.min()) for part in (share, half_way or share))
    verdict, reason = _verdict(size, fall, smallest, result, decayed)
    value, error = float(size.value), float(size.stderr())
    return AxiomCheck(
        name,
        order,
        words,
        verdict,  # type: ignore[arg-type]
        reason,
        result.chi_square,
        f"T2({result.components})",
        result.p_value,
        value,
        error,
        "size at the largest distances / size at coincident points",
        details | {"fall_from_half_way": float(fall.value), "fall_error": float(fall.stderr())},
    )


def _verdict(
    size: Replicated, fall: Replicated, smallest: float, result: JointTest, decayed: bool
) -> tuple[str, str]:
    """Say whether the correlator has decayed, still falls, or stays."""
    value, error = float(size.value), float(size.stderr())
    if value <= DECAYED or result.p_value >= BROKEN_P:
        if VISIBLE_SIGMAS * error > SEEN:
            return "not testable", f"errors too large to see {SEEN:.0%} of the value at coincident points"
        if value > DECAYED and float(fall.value) <= 0.0:
            return "not testable", "zero within errors, but not seen to fall; run more networks"
        small = f"not zero, but below {DECAYED:.0%} of the value at coincident points"
        return "holds", small if result.p_value < BROKEN_P else ""
    if decayed:
        return "broken", "a plateau at distances where the two-point function has decayed"
    return _without_decay(smallest, float(fall.value), float(fall.stderr()))


def _without_decay(smallest: float, fall: float, error: float) -> tuple[str, str]:
    """Judge a correlator that is not zero where the two-point function is not zero either."""
    if smallest > UNCHANGED:
        return "not testable", "hardly changes across the mesh; extend the mesh"
    if fall > VISIBLE_SIGMAS * error:
        return "not testable", "still falls at the largest distance of the mesh; extend the mesh"
    return "broken", "does not fall between half and the largest distance of the mesh"


def _power(source: CumulantSource, points: IntArray, copies: Sequence[int]) -> FloatArray:
    """Return replicates of the correlator with every point repeated, shape (1 + B, k)."""
    components = np.repeat(points, copies, axis=1).astype(np.int32)
    return source.replicates(sum(copies), None, components).values


def _coincident(source: CumulantSource, far: Pairs, order: int) -> Replicated:
    """Return the mean of kappa_r(a .. a) / G_aa^(r/2) over the points of the farthest pairs."""
    points = np.unique(far.points)[:, None]
    variance = source.replicates(2, None, np.repeat(points, 2, axis=1).astype(np.int32))
    values = _power(source, points, [order]) / variance.values ** (order // 2)
    return Replicated(values.mean(axis=1), variance.bin_counts, variance.n_networks)


def _shares(source: CumulantSource, pairs: Pairs, order: int, first: int, unit: Replicated) -> Replicated:
    """Return R for every pair, and with the roles of the points exchanged where that differs."""
    points = pairs.points
    if 2 * first != order:
        points = np.concatenate([points, points[:, ::-1]])
    left, right = (_power(source, points[:, side : side + 1], [2]) for side in (0, 1))
    values = _power(source, points, [first, order - first])
    normal = left ** (first / 2) * right ** ((order - first) / 2) * unit.values[:, None]
    return Replicated(values / normal, unit.bin_counts, unit.n_networks)


def _mean_size(share: Replicated) -> Replicated:
    """Return the mean of |R| over the pairs; the signs are those of the full sample."""
    sizes = share.values @ np.sign(share.value) / len(share.value)
    return Replicated(sizes, share.bin_counts, share.n_networks)


def _fall(far: Replicated, middle: Replicated | None) -> Replicated:
    """Return by how much |R| falls from half the largest distance, or from coincident points."""
    size = _mean_size(far)
    before = np.ones(len(size.values)) if middle is None else _mean_size(middle).values
    return Replicated(before - size.values, size.bin_counts, size.n_networks)


def _details(
    source: CumulantSource, pairs: Pairs, far: Pairs, order: int, first: int, unit: Replicated
) -> dict[str, Any]:
    """Return the correlator at the largest distance and R in shells of the distance."""
    value = Replicated(
        _power(source, far.points[:1], [first, order - first]), unit.bin_counts, unit.n_networks
    )
    profile: list[dict[str, float]] = []
    longest = float(pairs.distance.max())
    for shell in range(SHELLS):
        low, high = (longest * (edge / SHELLS + ROUNDING) for edge in (shell, shell + 1))
        inside = pairs.part(low, high, (low + high) / 2)
        if len(inside):
            share = _mean_size(_shares(source, inside, order, first, unit))
            distance = float(inside.distance.mean())
            profile.append({"distance": distance, "R": float(share.value), "error": float(share.stderr())})
    return {
        "farthest_pair": far.points[0].tolist(),
        "distance": float(far.distance[0]),
        "correlator": float(value.value[0]),
        "correlator_error": float(value.stderr()[0]),
        "coincident": float(unit.value),
        "coincident_error": float(unit.stderr()),
        "profile": profile,
    }
