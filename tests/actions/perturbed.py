"""Exact cumulants of a perturbed Gaussian by quadrature, and polynomials of the field."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nnft.actions import symmetric
from nnft.actions.expansion import Polynomial
from nnft.theory.cumulants import set_partitions

Array = npt.NDArray[np.float64]


def monomials(size: int, order: int, fields: Array) -> Array:
    """Products of the fields of every packed component, shape (samples, m)."""
    return np.prod(fields[:, symmetric.components(size, order)], axis=2)


def value(polynomial: Polynomial, fields: Array) -> Array:
    """Value of one order of an action at fields (samples, n)."""
    size = fields.shape[1]
    total = polynomial.constant + 0.5 * np.einsum("sa,ab,sb->s", fields, polynomial.quadratic, fields)
    for order, packed, factorial in ((4, polynomial.quartic, 24.0), (6, polynomial.sextic, 720.0)):
        if packed is not None:
            weight = symmetric.multiplicities(size, order) * packed / factorial
            total = total + monomials(size, order, fields) @ weight
    return total


@dataclass(frozen=True)
class Perturbed:
    """S = 1/2 phi A phi + g/4! lambda_4 phi^4 + g^2/6! lambda_6 phi^6, packed couplings."""

    quadratic: Array
    quartic: Array
    sextic: Array

    def action(self, coupling: float, fields: Array) -> Array:
        """The action at fields (samples, n)."""
        return value(
            Polynomial(0.0, self.quadratic, coupling * self.quartic, coupling**2 * self.sextic), fields
        )

    def cumulants(self, coupling: float, nodes: int, reach: float) -> tuple[Array, Array, Array]:
        """Exact G (n, n) and packed kappa_4, kappa_6 by the trapezoid rule on `reach` standard deviations."""
        size = len(self.quadratic)
        line = np.linspace(-reach, reach, nodes)
        grid = np.stack(np.meshgrid(*([line] * size), indexing="ij"), axis=-1).reshape(-1, size)
        grid = grid @ np.linalg.inv(np.linalg.cholesky(self.quadratic))
        weight = np.exp(-self.action(coupling, grid))
        weight /= weight.sum()
        moments = {order: weight @ monomials(size, order, grid) for order in (2, 4, 6)}
        return cumulants_of_moments(size, moments)


def cumulants_of_moments(size: int, moments: dict[int, Array]) -> tuple[Array, Array, Array]:
    """Joint cumulants of orders 2, 4, 6 from packed even moments, by the sum over set partitions."""

    def cumulant(order: int) -> Array:
        table = symmetric.components(size, order)
        total = np.zeros(len(table))
        for partition in set_partitions(tuple(range(order))):
            if any(len(block) % 2 for block in partition):
                continue
            blocks = len(partition)
            term = np.full(len(table), float((-1) ** (blocks - 1)) * [1, 1, 2][blocks - 1])
            for block in partition:
                term = term * moments[len(block)][symmetric.places(size, table[:, list(block)])]
            total += term
        return total

    return symmetric.dense(cumulant(2), size, 2), cumulant(4), cumulant(6)


def positive_couplings(size: int, seed: int) -> Perturbed:
    """A theory with couplings made of sums of powers of linear forms: positive, without symmetries."""
    generator = np.random.default_rng(seed)
    root = np.eye(size) + 0.3 * generator.normal(size=(size, size))
    vectors = np.concatenate([np.eye(size), generator.normal(size=(size, size)) * 0.7])
    strength = generator.uniform(0.5, 1.5, size=len(vectors))
    quadratic = root @ root.T
    # in coordinates with unit propagator the whole quartic form is 1 at most: g is the expansion parameter
    whiten = np.linalg.inv(np.linalg.cholesky(quadratic)).T
    scale = 1.0 / float(strength @ np.sum((vectors @ whiten) ** 2, axis=1) ** 2)
    quartic = scale * (strength @ monomials(size, 4, vectors))
    sextic = scale**2 * (strength @ monomials(size, 6, vectors))
    return Perturbed(quadratic, quartic, sextic)
