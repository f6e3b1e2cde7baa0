"""Polynomials of a field through order 6, evaluated at many points at once.

Fourth and sixth order are quadratic forms in the packed products of two or three fields, so that the work is
that of matrix products: C(n + 2, 3)^2 multiplications a point for order 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import factorial
from typing import Any

import numpy as np
import numpy.typing as npt

from nnft.actions.expansion import Polynomial
from nnft.actions.symmetric import components, multiplicities, places

FloatArray = npt.NDArray[np.float64]
FieldArray = npt.NDArray[Any]

HIGHEST = 6


@dataclass(frozen=True, eq=False)
class FieldPolynomial:
    """S(u) = constant + linear.u + 1/2 quadratic.u^2 + 1/3! cubic.u^3 + 1/4! quartic.u^4 + 1/6! sextic.u^6.

    Attributes
    ----------
    constant : float
    quadratic : ndarray of float64, shape (n, n)
    quartic, sextic : ndarray of float64, packed, or None
    linear : ndarray of float64, shape (n,), or None
    cubic : ndarray of float64, packed, or None
    """

    constant: float
    quadratic: FloatArray
    quartic: FloatArray | None = None
    sextic: FloatArray | None = None
    linear: FloatArray | None = None
    cubic: FloatArray | None = None

    @classmethod
    def of(cls, even: Polynomial) -> FieldPolynomial:
        """Return the polynomial of one order of the action."""
        return cls(even.constant, even.quadratic, even.quartic, even.sextic)

    @property
    def size(self) -> int:
        """Number n of fields."""
        return len(self.quadratic)

    @property
    def degree(self) -> int:
        """Highest power that may occur."""
        if self.sextic is not None:
            return 6
        if self.quartic is not None:
            return 4
        return 2 if self.cubic is None else 3

    @cached_property
    def _forms(self) -> dict[int, FloatArray]:
        """Matrices T[p, q] / r! of order r, p and q packed halves (one index and a pair for order 3)."""
        forms = {}
        for order, packed in ((3, self.cubic), (4, self.quartic), (6, self.sextic)):
            if packed is not None:
                first = components(self.size, order // 2)
                second = components(self.size, order - order // 2)
                rows = np.empty((len(first), len(second)))
                for place, row in enumerate(first):
                    left = np.broadcast_to(row, (len(second), len(row)))
                    rows[place] = packed[places(self.size, np.concatenate([left, second], axis=1))]
                forms[order] = rows / factorial(order)
        return forms

    def parts(self, fields: FieldArray) -> FieldArray:
        """Return the homogeneous parts of degree 0 to 6, shape (7, N), at fields of shape (N, n)."""
        return self._evaluate(fields, False)[0]

    def parts_and_gradient(self, fields: FieldArray) -> tuple[FieldArray, FieldArray]:
        """Return the homogeneous parts, shape (7, N), and the gradient of their sum, shape (N, n)."""
        return self._evaluate(fields, True)

    def _evaluate(self, fields: FieldArray, slope: bool) -> tuple[FieldArray, FieldArray]:
        count, size = fields.shape
        parts = np.zeros((HIGHEST + 1, count), dtype=fields.dtype)
        lowered = fields @ self.quadratic
        gradient = lowered
        parts[0], parts[2] = self.constant, 0.5 * np.sum(lowered * fields, axis=1)
        if self.linear is not None:
            parts[1] = fields @ self.linear
            gradient = gradient + self.linear
        if self.degree == 2:
            return parts, gradient
        pair = components(size, 2).T
        pairs = fields[:, pair[0]] * fields[:, pair[1]] * multiplicities(size, 2)
        if 3 in self._forms:
            vector = pairs @ self._forms[3].T
            parts[3] = np.sum(vector * fields, axis=1)
            gradient = gradient + 3.0 * vector
        if 4 in self._forms:
            matrix = pairs @ self._forms[4]
            parts[4] = np.sum(matrix * pairs, axis=1)
            if slope:
                gradient = gradient + 4.0 * _contract(matrix, fields, size, 1)
        if 6 in self._forms:
            triple = components(size, 3).T
            triples = fields[:, triple[0]] * fields[:, triple[1]] * fields[:, triple[2]]
            triples *= multiplicities(size, 3)
            tensor = triples @ self._forms[6]
            parts[6] = np.sum(tensor * triples, axis=1)
            if slope:
                gradient = gradient + 6.0 * _contract(tensor, pairs, size, 2)
        return parts, gradient


def _contract(tensor: FieldArray, weights: FieldArray, size: int, order: int) -> FieldArray:
    """Return sum_p T[a p] weights[p] of packed tensors (N, t) of order 1 + order, shape (N, n)."""
    rest = components(size, order)
    columns = []
    for index in range(size):
        row = np.hstack([np.full((len(rest), 1), index, dtype=rest.dtype), rest])
        columns.append(np.sum(tensor[:, places(size, row)] * weights, axis=1))
    return np.stack(columns, axis=1)
