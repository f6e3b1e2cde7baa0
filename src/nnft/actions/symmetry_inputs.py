"""Invariance of correlators under translations, rotations and motions of the inputs.

For a transformation g of the inputs and points x_1 .. x_r, all of them and their images on the mesh,

    Delta = kappa_r(g x_1, .., g x_r) - kappa_r(x_1, .., x_r)

vanishes if the law of the field does not change under g. Both terms come from the same networks, so that
most of the noise cancels; many such differences are tested together with their covariance (Maiti, Stoner,
Halverson, arXiv:2106.00694; Halverson, arXiv:2112.04527).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from nnft.actions.axiom_report import AxiomCheck, not_testable
from nnft.actions.axiom_source import Ensemble
from nnft.actions.symmetry_classes import Contrasts, Group, related_pairs
from nnft.actions.symmetry_test import symmetry_check, testable_number
from nnft.estimators.index_table import IndexArray
from nnft.estimators.replicated import Replicated

FloatArray = npt.NDArray[np.float64]

GROUPS: tuple[Group, ...] = ("translations", "rotations", "Euclidean group")
WORDS = {
    "translations": "x -> x + b",
    "rotations": "O(d) about the origin",
    "Euclidean group": "x -> R x + b",
}


def euclidean_checks(ensemble: Ensemble, orders: Sequence[int], tolerance: float) -> list[AxiomCheck]:
    """Compare components that are related by translations, by O(d) and by all motions.

    Parameters
    ----------
    ensemble : Ensemble
    orders : sequence of int
        Orders of the correlators.
    tolerance : float
        Coordinates closer than this are equal.
    """
    return [_check(ensemble, order, group, tolerance) for group in GROUPS for order in orders]


def _check(ensemble: Ensemble, order: int, group: Group, tolerance: float) -> AxiomCheck:
    points = ensemble.correlators.points
    most = testable_number(ensemble.bins)
    pairs = related_pairs(points, order, group, most, tolerance)
    compared = f"kappa_{order}, {WORDS[group]}"
    details = {
        "classes": pairs.classes,
        "related_components": pairs.related,
        "components_searched": pairs.searched,
        "points_left_out": pairs.left_out,
        "pairs_of_smaller_group": pairs.plain,
    }
    if len(pairs.first) == 0:
        return not_testable(group, order, compared, "the mesh relates no two components", **details)
    stacked = np.concatenate([pairs.first, pairs.second])
    both = ensemble.correlators.replicates(order, None, stacked)
    half = len(pairs.first)
    differences = Replicated(both.values[:, half:] - both.values[:, :half], both.bin_counts, both.n_networks)
    check = symmetry_check(
        group,
        order,
        compared,
        differences,
        natural_size(ensemble, pairs.first),
        float(np.abs(both.value).max(initial=0.0)),
        worst_pair=_worst(pairs, differences.value),
        **details,
    )
    return _with_remark(check, pairs, points.shape[1])


def _with_remark(check: AxiomCheck, pairs: Contrasts, dimension: int) -> AxiomCheck:
    """Say so if all pairs are related by a smaller group, whose symmetry is what was tested."""
    if pairs.plain < len(pairs.first) or check.verdict != "holds":
        return check
    if check.name != "rotations":
        why = "every pair that the mesh relates is related by a rotation about the origin as well"
        return replace(check, verdict="not testable", reason=why)
    return check if dimension == 1 else replace(check, reason="the mesh relates points by x -> -x only")


def _worst(pairs: Contrasts, differences: FloatArray) -> list[list[int]]:
    """Return the mesh points of the two components that differ most."""
    row = int(np.abs(differences).argmax())
    return [pairs.first[row].tolist(), pairs.second[row].tolist()]


def natural_size(ensemble: Ensemble, components: IndexArray) -> FloatArray:
    """Return the product of the standard deviations of the fields of each component, shape (k,)."""
    diagonal = np.repeat(np.arange(len(ensemble.correlators.points), dtype=np.int32)[:, None], 2, axis=1)
    variances = ensemble.correlators.replicates(2, None, diagonal).value
    product: FloatArray = np.sqrt(np.maximum(variances, 0.0))[components].prod(axis=1)
    return product
