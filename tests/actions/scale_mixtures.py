"""Fields with exactly known density and cumulants: a Gaussian whose scale is random."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nnft.actions.density import EdgeworthDensity
from nnft.actions.symmetric import components
from nnft.theory.cumulants import pairings
from nnft.theory.deep_linear_density import output_density

Array = npt.NDArray[np.float64]

SEED = 20240601
LIMIT = 5.85
SMALLEST_P = 5e-9

ENTRIES: dict[str, dict[str, Any]] = {
    entry["id"]: entry
    for entry in json.loads(
        (Path(__file__).parents[1] / "reference" / "actions.json").read_text(encoding="utf-8")
    )["entries"]
}
THREE_POINTS = np.array([[1.0, 0.5, 0.2], [0.5, 1.2, 0.4], [0.2, 0.4, 0.8]])


def sum_over_pairings(metric: Array, order: int) -> Array:
    """Packed sums over pairings of products of the metric."""
    table = components(len(metric), order)
    return np.sum(
        [
            np.prod([metric[table[:, a], table[:, b]] for a, b in pairing], axis=0)
            for pairing in pairings(tuple(range(order)))
        ],
        axis=0,
    )


def mixture(
    metric: npt.ArrayLike, width: float, order: int | None = None, layers: int = 1
) -> EdgeworthDensity:
    """The series of phi = sqrt(tau) A xi, A A^T = G, tau a product of chi-squares of `width` over `width`.

    It is the output of a linear network with as many hidden layers. Given tau the field is Gaussian, so
    kappa_4 = kappa_2(tau) sum_3 G G and kappa_6 = kappa_3(tau) sum_15 G G G.
    """
    matrix = np.asarray(metric, dtype=float)
    second = (1.0 + 2.0 / width) ** layers
    third = second * (1.0 + 4.0 / width) ** layers
    four = (second - 1.0) * sum_over_pairings(matrix, 4)
    six = (third - 3.0 * second + 2.0) * sum_over_pairings(matrix, 6)
    return EdgeworthDensity(matrix, four, six, order=order)


def exact_log_density(metric: npt.ArrayLike, width: int, phi: Array, layers: int = 1) -> Array:
    """Its exact density, a Meijer function of phi G^-1 phi."""
    matrix = np.asarray(metric, dtype=float)
    squares = np.einsum("na,ab,nb->n", phi, np.linalg.inv(matrix), phi)
    logarithm = 0.5 * math.log(np.linalg.det(matrix))
    return np.array(
        [
            math.log(output_density(float(square), len(matrix), 1.0, [width] * layers)) - logarithm
            for square in squares
        ]
    )


def draws(metric: npt.ArrayLike, width: int, count: int, seed: int) -> Array:
    """Exact draws of it."""
    generator = np.random.default_rng(seed)
    factor = np.linalg.cholesky(np.asarray(metric, dtype=float))
    scale = np.sqrt(generator.chisquare(width, size=(count, 1)) / width)
    return np.asarray(scale * (generator.standard_normal((count, len(factor))) @ factor.T))


def reference_density(name: str) -> tuple[EdgeworthDensity, Array]:
    """The density of a reference entry, and its field."""
    inputs = ENTRIES[name]["inputs"]
    phi = np.atleast_1d(np.array(inputs["phi"], dtype=float))
    metric = np.atleast_2d(np.array(inputs["G"], dtype=float))
    if "vectors" in inputs:
        vectors, strength = np.array(inputs["vectors"]), np.array(inputs["c"])
        four = np.einsum("i,ia,ib,ic,id->abcd", strength, *[vectors] * 4)
        six = np.einsum("i,ia,ib,ic,id,ie,if->abcdef", strength**2, *[vectors] * 6)
        return EdgeworthDensity(metric, four, six), phi
    if isinstance(inputs["kappa4"], str):
        return mixture(metric, inputs["N"]), phi
    three, six = ([inputs[key]] if key in inputs else None for key in ("kappa3", "kappa6"))
    return EdgeworthDensity(metric, [inputs["kappa4"]], six, three), phi


def strong_density(size: int, order: int, seed: int = 5, strength: float = 0.1) -> EdgeworthDensity:
    """A density with no symmetry: random cumulants."""
    generator = np.random.default_rng(seed)
    root = np.eye(size) + 0.3 * generator.normal(size=(size, size))
    four, six = (strength ** (r / 2 - 1) * generator.normal(size=len(components(size, r))) for r in (4, 6))
    return EdgeworthDensity(root @ root.T, four, six, order=order)
