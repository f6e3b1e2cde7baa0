"""Symmetries among the outputs: phi -> -phi and rotations of the outputs into each other.

Z2: all odd moments vanish. O(D): E[phi_i phi_j] is proportional to delta_ij, and the four-point function has
three structures,

    E[phi_i(a) phi_i(b) phi_i(c) phi_i(d)] = E[phi_i(a) phi_i(b) phi_j(c) phi_j(d)] + (ac)(bd) + (ad)(bc),

for i other than j; at one input E[z_1^4] = 3 E[z_1^2 z_2^2] (Roberts, Yaida, Hanin, arXiv:2106.10165, ch. 1).
"""

from __future__ import annotations

from itertools import product
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from nnft.actions.axiom_report import AxiomCheck, not_testable
from nnft.actions.axiom_source import Ensemble, FieldSample
from nnft.actions.symmetry_inputs import natural_size
from nnft.actions.symmetry_test import symmetry_check, testable_number
from nnft.estimators.index_table import IndexArray
from nnft.estimators.replicated import Replicated

FloatArray = npt.NDArray[np.float64]
Item = TypeVar("Item")

Monomial = tuple[tuple[int, int], ...]
"""Output and point of every factor."""

Contrast = list[tuple[float, Monomial]]
"""A sum of monomials with coefficients, whose mean should vanish."""


def output_checks(ensemble: Ensemble) -> list[AxiomCheck]:
    """Test phi -> -phi and the rotations of the outputs."""
    return [_parity(ensemble, 1), _parity(ensemble, 3), _second_order(ensemble), _fourth_order(ensemble)]


def _parity(ensemble: Ensemble, order: int) -> AxiomCheck:
    words = "E[phi] = 0" if order == 1 else "E[phi phi phi] = 0, also of different outputs"
    if ensemble.sample is None:
        return not_testable("Z2", order, words, ensemble.no_sample)
    sample = ensemble.sample
    slots = list(product(range(sample.fields.shape[1]), range(sample.fields.shape[2])))
    most = testable_number(sample.bins)
    if order == 1:
        chosen: list[Monomial] = [(slot,) for slot in _evenly(slots, most)]
    else:
        single: list[Monomial] = [(slot, slot, slot) for slot in _evenly(slots, most - most // 2)]
        mixed: list[Monomial] = [
            (slot, slot, slots[(k + 1 + k % 3) % len(slots)]) for k, slot in enumerate(slots)
        ]
        chosen = list(dict.fromkeys(single + _evenly(mixed, most // 2)))
    return _field_check("Z2", order, words, sample, [[(1.0, monomial)] for monomial in chosen])


def _second_order(ensemble: Ensemble) -> AxiomCheck:
    words = "E[phi_i phi_j] = delta_ij G"
    if ensemble.outputs < 2:
        return not_testable("O(D)", 2, words, "one output")
    if ensemble.sample is None:
        return not_testable("O(D)", 2, words, ensemble.no_sample)
    sample = ensemble.sample
    outputs, points = sample.fields.shape[1:]
    pairs = [(a, (a + step) % points) for step in range(min(2, points)) for a in range(points)]
    equal: list[Contrast] = [
        [(1.0, ((i, a), (i, b))), (-1.0, ((0, a), (0, b)))] for a, b in pairs for i in range(1, outputs)
    ]
    different: list[Contrast] = [
        [(1.0, ((i, a), (j, b)))] for a, b in pairs for i in range(outputs) for j in range(i)
    ]
    most = testable_number(sample.bins)
    contrasts = _evenly(equal, most - most // 2) + _evenly(different, most // 2)
    return _field_check("O(D)", 2, words, sample, contrasts)


def _fourth_order(ensemble: Ensemble) -> AxiomCheck:
    words = "E[iiii] = sum of E[iijj] over pairings"
    if ensemble.outputs < 2:
        return not_testable("O(D)", 4, words, "one output")
    stored = 0 if ensemble.sample is None else len(ensemble.sample.fields)
    estimated = ensemble.has("0011") and ensemble.kind in ("direct", "reweighted")
    if estimated and stored < ensemble.correlators.networks:
        return _sectors(ensemble, words)
    if ensemble.sample is None:
        by_construction = "holds by construction of the conditional estimator; " + ensemble.no_sample
        why = by_construction if ensemble.kind == "conditional" else ensemble.no_sample
        return not_testable("O(D)", 4, words, why)
    sample = ensemble.sample
    outputs, points = sample.fields.shape[1:]
    most = testable_number(sample.bins)
    places = [(a, a, a, a) for a in range(points)] + [
        (a, a, b, b) for a in range(points) for b in ((a + 1) % points,) if b != a
    ]
    structure = [_structure(i, (i + 1) % outputs, place) for place in places for i in range(outputs)]
    crossed: list[Contrast] = [
        [(1.0, ((i, a), (i, a), (i, a), ((i + 1) % outputs, a)))]
        for a in range(points)
        for i in range(outputs)
    ]
    contrasts = _evenly(structure, most - most // 4) + _evenly(crossed, most // 4)
    return _field_check("O(D)", 4, words, sample, contrasts)


def _structure(i: int, j: int, place: tuple[int, int, int, int]) -> Contrast:
    """Return iiii - iijj (ab|cd) - iijj (ac|bd) - iijj (ad|bc)."""
    a, b, c, d = place
    contrast: Contrast = [(1.0, ((i, a), (i, b), (i, c), (i, d)))]
    for first, second in (((a, b), (c, d)), ((a, c), (b, d)), ((a, d), (b, c))):
        contrast.append((-1.0, ((i, first[0]), (i, first[1]), (j, second[0]), (j, second[1]))))
    return contrast


def _sectors(ensemble: Ensemble, words: str) -> AxiomCheck:
    """Compare the connected correlators with labels 0000 and 0011."""
    points = len(ensemble.correlators.points)
    most = testable_number(ensemble.bins)
    shapes = [(0, 0, 0, 0), (0, 0, 1, 1), (0, 0, 0, 1), (0, 1, 2, 3)]
    components = np.array(
        sorted(
            {tuple(sorted((a + step) % points for step in shape)) for shape in shapes for a in range(points)}
        ),
        dtype=np.int32,
    )
    components = components[np.array(_evenly(list(range(len(components))), most))]
    same = ensemble.correlators.replicates(4, "0000", components)
    mixed = [
        ensemble.correlators.replicates(4, "0011", np.ascontiguousarray(components[:, order]))
        for order in ([0, 1, 2, 3], [0, 2, 1, 3], [0, 3, 1, 2])
    ]
    values = same.values - sum(part.values for part in mixed)
    size = max(float(np.abs(part.value).max(initial=0.0)) for part in (same, *mixed))
    differences = Replicated(values, same.bin_counts, same.n_networks)
    natural = natural_size(ensemble, components)
    return symmetry_check("O(D)", 4, words, differences, natural, size, used="connected correlators")


def _field_check(
    name: str, order: int, words: str, sample: FieldSample, contrasts: list[Contrast]
) -> AxiomCheck:
    """Test that the means of contrasts vanish."""
    monomials = list(dict.fromkeys(monomial for contrast in contrasts for _, monomial in contrast))
    place = {monomial: k for k, monomial in enumerate(monomials)}
    weights = np.zeros((len(monomials), len(contrasts)))
    for k, contrast in enumerate(contrasts):
        for weight, monomial in contrast:
            weights[place[monomial], k] += weight
    slots = np.array(monomials, dtype=np.int32)
    moments = sample.moments(slots[..., 0], slots[..., 1])
    differences = Replicated(moments.values @ weights, moments.bin_counts, moments.n_networks)
    spread = np.sqrt((sample.fields**2).mean(axis=0))
    leading: IndexArray = np.array([contrast[0][1] for contrast in contrasts], dtype=np.int32)
    natural: FloatArray = spread[leading[..., 0], leading[..., 1]].prod(axis=1)
    size = float(natural.max(initial=0.0))
    return symmetry_check(
        name, order, words, differences, natural, size, used="outputs", networks=len(sample.fields)
    )


def _evenly(items: list[Item], most: int) -> list[Item]:
    """Return at most `most` of the items, evenly spread."""
    if len(items) <= most:
        return items
    return [items[k] for k in np.unique(np.linspace(0, len(items) - 1, most).round().astype(int))]
