"""Reflection positivity: the axiom that lets a Euclidean field have a Hilbert space.

With theta the reflection of one coordinate tau at a plane, and points x_1 .. x_h on one side of it,

    M_ij = E[phi(theta x_i) phi(x_j)] = G_2(theta x_i, x_j)

must be positive semidefinite, and so must M_AB = E[A(theta phi) B(phi)] for all polynomials A, B of the
field on that side (Osterwalder, Schrader, Commun. Math. Phys. 31, 83 (1973); for networks Halverson,
arXiv:2112.04527). Monomials of degree 2 are taken together with the constant, which a Schur complement
eliminates: E[A(theta phi) B(phi)] - E[A] E[B] must be positive semidefinite.

The lowest eigenvalue of an estimated matrix lies below the true one: noise repels eigenvalues that lie
close together, and no error bar of the eigenvalue covers that bias. So the eigenvector v comes from one
half of the bins and v^T M v from the other half, where it is an unbiased estimate of a number that is at
least the lowest eigenvalue; if M is positive, so is its mean. Both halves are judged by Student's law.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import numpy.typing as npt

from nnft.actions.axiom_report import BROKEN_P, VISIBLE_SIGMAS, AxiomCheck, not_testable
from nnft.actions.axiom_source import Ensemble
from nnft.actions.symmetry_classes import distinct_points
from nnft.actions.symmetry_inputs import natural_size
from nnft.errors import UsageError
from nnft.estimators.jackknife import Jackknife
from nnft.estimators.replicated import Replicated

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

NAME = "reflection positivity"
MOST_POINTS_OF_PAIRS = 8
ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class HalfSpace:
    """Mesh points on one side of the plane whose mirror images are on the mesh.

    Attributes
    ----------
    points, images : ndarray of int64, shape (h,)
        Mesh points and their images.
    plane : float
        Coordinate of the plane.
    """

    points: IntArray
    images: IntArray
    plane: float


def half_space(points: FloatArray, axis: int, plane: float | str, tolerance: float) -> HalfSpace:
    """Find the points above a plane and their mirror images.

    Parameters
    ----------
    points : ndarray of float64, shape (P, d)
    axis : int
        Coordinate that is reflected, from 0.
    plane : float or 'middle'
        Where it is reflected; the middle is half-way between the smallest and the largest coordinate.
    tolerance : float
        Coordinates closer than this are equal.

    Raises
    ------
    UsageError
        If the axis is out of range or the plane is no number.
    """
    dimension = points.shape[1]
    if not 0 <= axis < dimension:
        raise UsageError(f"axis out of range: got {axis}; allowed: 0 to {dimension - 1}")
    times = points[:, axis]
    at = float((times.min() + times.max()) / 2) if plane == "middle" else float(plane)
    if not np.isfinite(at):
        raise UsageError(f"no place for the plane: got {plane!r}; give a number or middle")
    places = distinct_points(points, tolerance)
    upper = [int(a) for a in places if times[a] - at > tolerance]
    found: list[tuple[int, int]] = []
    for a in upper:
        image = points[a].copy()
        image[axis] = 2.0 * at - image[axis]
        near = np.abs(points[places] - image).max(axis=1) <= 2.0 * tolerance
        found += [(a, int(places[near][0]))] if near.any() else []
    pairs = np.array(found, dtype=np.int64).reshape(-1, 2)
    return HalfSpace(pairs[:, 0], pairs[:, 1], at)


def positivity_checks(
    ensemble: Ensemble, orders: Sequence[int], axis: int, plane: float | str, tolerance: float
) -> list[AxiomCheck]:
    """Test reflection positivity on the fields themselves and, with order 4, on their products in pairs.

    Parameters are those of `half_space`; `orders` those of the correlators at hand.

    Raises
    ------
    UsageError
        If the axis is out of range or the plane is no number.
    """
    half = half_space(ensemble.correlators.points, axis, plane, tolerance)
    details: dict[str, Any] = {
        "axis": axis,
        "plane": half.plane,
        "points": half.points.tolist(),
        "images": half.images.tolist(),
    }
    words = {2: "G2(theta x_i, x_j) >= 0", 4: "the same for products phi phi, connected"}
    wanted = [order for order in (2, 4) if order in orders]
    if len(half.points) == 0:
        why = f"no point above coordinate {axis} = {half.plane:g} has its mirror image on the mesh"
        return [not_testable(NAME, order, words[order], why, **details) for order in wanted]
    makers = {2: _fields_matrix, 4: _pairs_matrix}
    both = np.stack([half.points, half.images], axis=1).astype(np.int32)
    size = float(natural_size(ensemble, both).max())
    return [
        positivity_check(order, words[order], makers[order](ensemble, half), size ** (order // 2), **details)
        for order in wanted
    ]


def positivity_check(
    order: int, compared: str, matrix: Replicated, natural: float, **details: Any
) -> AxiomCheck:
    """Judge whether a matrix is positive semidefinite.

    Parameters
    ----------
    order, compared
        As in `AxiomCheck`.
    matrix : Replicated
        Symmetric matrices, values of shape (1 + B, n, n), B at least 4.
    natural : float
        Largest product of standard deviations in an entry: 1e-12 of it is rounding.
    **details
        Goes into the check.
    """
    if not np.isfinite(matrix.values).all():
        return not_testable(NAME, order, compared, "correlators are not finite", **details)
    values = np.linalg.eigvalsh(matrix.value)
    scale = float(np.abs(values).max())
    lowest = matrix.map(lambda row: np.linalg.eigvalsh(row)[0])
    error = float(lowest.stderr())
    bounds, errors, p_value = split_bounds(matrix, ROUNDING * max(natural, scale))
    unit = scale if scale > 0.0 else 1.0
    broken = p_value < BROKEN_P
    blind = VISIBLE_SIGMAS * max(errors) > unit
    details |= {
        "size": len(values),
        "eigenvalues": values.tolist(),
        "eigenvalue_error": error,
        "bound_of_halves": list(bounds),
        "bound_errors": list(errors),
    }
    return AxiomCheck(
        NAME,
        order,
        compared,
        "broken" if broken else "not testable" if blind else "holds",
        "errors too large to see a violation of 100 %" if blind and not broken else "",
        float(values[0]),
        "lowest eigenvalue",
        p_value,
        float(values[0]) / unit,
        error / unit,
        "lowest eigenvalue / largest",
        details,
    )


def split_bounds(
    matrix: Replicated, rounding: float
) -> tuple[tuple[float, float], tuple[float, float], float]:
    """Bound the lowest eigenvalue from above without bias, twice.

    Parameters
    ----------
    matrix : Replicated
        Symmetric matrices, values of shape (1 + B, n, n).
    rounding : float
        A bound above minus this is not negative.

    Returns
    -------
    bounds, errors : tuple of float
        v^T M v in each half of the bins with the lowest eigenvector v of the other half.
    p_value : float
        Probability of such negative bounds for a positive matrix: twice the smaller one of the two.
    """
    size = matrix.values.shape[1]
    flat = matrix.values.reshape(len(matrix.values), -1)
    pseudo = Jackknife(flat[0], np.ascontiguousarray(flat[1:].T), matrix.bin_counts).pseudo_values()
    parts = pseudo.T.reshape(-1, size, size)
    weights = matrix.bin_counts.astype(np.float64)
    bounds: list[float] = []
    errors: list[float] = []
    tails: list[float] = []
    for here in (slice(0, None, 2), slice(1, None, 2)):
        there = slice(1 - (here.start or 0), None, 2)
        other = np.einsum("b,bij->ij", weights[there] / weights[there].sum(), parts[there])
        vector = np.linalg.eigh(other)[1][:, 0]
        numbers = np.einsum("i,bij,j->b", vector, parts[here], vector)
        bound, error = _weighted_mean(numbers, weights[here])
        bounds.append(bound)
        errors.append(error)
        tails.append(_tail(bound, error, len(numbers) - 1, rounding))
    return (bounds[0], bounds[1]), (errors[0], errors[1]), min(1.0, 2.0 * min(tails))


def _weighted_mean(numbers: FloatArray, weights: FloatArray) -> tuple[float, float]:
    share = weights / weights.sum()
    mean = float(share @ numbers)
    variance = float((share / (1.0 - share) * (numbers - mean) ** 2).sum()) / len(numbers)
    return mean, variance**0.5


def _tail(bound: float, error: float, freedom: int, rounding: float) -> float:
    """Return the probability of a bound this far below zero by Student's law."""
    from scipy.special import stdtr

    if bound >= -rounding:
        return 1.0
    return float(stdtr(freedom, bound / error)) if error > 0.0 else 0.0


def _thinned(half: HalfSpace) -> HalfSpace:
    """Return at most 8 of the points, evenly spread."""
    most = min(len(half.points), MOST_POINTS_OF_PAIRS)
    rows = np.linspace(0, len(half.points) - 1, most).round().astype(int)
    return HalfSpace(half.points[rows], half.images[rows], half.plane)


def _fields_matrix(ensemble: Ensemble, half: HalfSpace) -> Replicated:
    """Return G_2(theta x_i, x_j), symmetrised, values of shape (1 + B, h, h)."""
    h = len(half.points)
    left, right = np.repeat(half.images, h), np.tile(half.points, h)
    components = np.stack([left, right], axis=1).astype(np.int32)
    flat = ensemble.correlators.replicates(2, None, components)
    matrix = flat.values.reshape(-1, h, h)
    return Replicated((matrix + matrix.transpose(0, 2, 1)) / 2, flat.bin_counts, flat.n_networks)


def _pairs_matrix(ensemble: Ensemble, half: HalfSpace) -> Replicated:
    """Return E[A(theta phi) B(phi)] - E[A] E[B] for the products A, B of two fields, symmetrised."""
    half = _thinned(half)
    monomials = np.array(list(combinations_with_replacement(range(len(half.points)), 2)))
    n = len(monomials)
    left = np.repeat(half.images[monomials], n, axis=0)
    right = np.tile(half.points[monomials], (n, 1))
    components = np.concatenate([left, right], axis=1).astype(np.int32)
    four = ensemble.correlators.replicates(4, None, components)
    values = four.values.copy()
    for order in ([0, 2, 1, 3], [0, 3, 1, 2]):
        pairs = np.ascontiguousarray(components[:, order])
        first = ensemble.correlators.replicates(2, None, pairs[:, :2])
        values += first.values * ensemble.correlators.replicates(2, None, pairs[:, 2:]).values
    matrix = values.reshape(-1, n, n)
    return Replicated((matrix + matrix.transpose(0, 2, 1)) / 2, four.bin_counts, four.n_networks)
