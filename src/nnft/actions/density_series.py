"""The Edgeworth series in whitened coordinates: what remains when the Gaussian is divided out.

In the coordinates u of the eigenmodes of G, divided by their standard deviations, every Hermite tensor is
that of the unit matrix. With S = S_0 + A + B the action through two orders, p / N_G = exp(-A - B) =
1 - A + (A^2 / 2 - B) + ..: the square of A replaces the Hermite tensor of order 8, which is never built.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nnft.actions.expansion import expand
from nnft.actions.field_polynomial import HIGHEST, FieldPolynomial
from nnft.actions.symmetric import component_count, dense, pack, symmetrised

FloatArray = npt.NDArray[np.float64]

PIECE = 1 << 22
"""Numbers that one piece of an evaluation may hold."""


@dataclass(frozen=True, eq=False)
class Series:
    """p / N_G = 1 - A + (A^2 / 2 - B) of a whitened field.

    Attributes
    ----------
    size : int
        Number n of fields.
    first, second : FieldPolynomial or None
        A and B. At order 1/N without odd cumulants there is no B, for a Gaussian neither.
    """

    size: int
    first: FieldPolynomial | None = None
    second: FieldPolynomial | None = None

    @property
    def degree(self) -> int:
        """Degree of the polynomial p / N_G."""
        if self.first is None:
            return 0
        return self.first.degree if self.second is None else 2 * self.first.degree

    @property
    def polynomials(self) -> tuple[FieldPolynomial, ...]:
        """The orders of the action beyond the Gaussian."""
        return tuple(part for part in (self.first, self.second) if part is not None)

    def action_terms(self, white: FloatArray) -> FloatArray:
        """Return A and B, shape (k, N), at whitened fields (N, n)."""
        terms = np.empty((len(self.polynomials), len(white)))
        for piece in self.pieces(len(white)):
            for row, part in enumerate(self.polynomials):
                terms[row, piece] = part.parts(white[piece]).sum(axis=0)
        return terms

    def terms(self, white: FloatArray) -> FloatArray:
        """Return e_1 = -A and e_2 = A^2 / 2 - B, shape (k, N)."""
        terms = self.action_terms(white)
        if len(terms) == 2:
            terms[1] = 0.5 * terms[0] ** 2 - terms[1]
        if len(terms):
            terms[0] *= -1.0
        return terms

    def ratio(self, white: FloatArray) -> FloatArray:
        """Return p / N_G, shape (N,)."""
        ratio: FloatArray = 1.0 + self.terms(white).sum(axis=0)
        return ratio

    def action_and_gradient(self, white: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return A and B, shape (k, N), and their gradients, shape (k, N, n)."""
        terms = np.empty((len(self.polynomials), len(white)))
        slopes = np.empty((*terms.shape, self.size))
        for piece in self.pieces(len(white)):
            for row, part in enumerate(self.polynomials):
                values, slopes[row, piece] = part.parts_and_gradient(white[piece])
                terms[row, piece] = values.sum(axis=0)
        return terms, slopes

    def ratio_and_gradient(self, white: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return p / N_G, shape (N,), and its gradient, shape (N, n)."""
        terms, slopes = self.action_and_gradient(white)
        ratio, gradient = np.ones(len(white)), np.zeros_like(white)
        if len(terms):
            ratio, gradient = ratio - terms[0], gradient - slopes[0]
        if len(terms) == 2:
            ratio = ratio + 0.5 * terms[0] ** 2 - terms[1]
            gradient = gradient + terms[0][:, None] * slopes[0] - slopes[1]
        return ratio, gradient

    def rays(self, directions: FloatArray) -> FloatArray:
        """Return p / N_G along rays as polynomials in the radius, (N, degree + 1), lowest power first."""
        powers = np.zeros((len(directions), self.degree + 1))
        powers[:, 0] = 1.0
        for piece in self.pieces(len(directions)):
            parts = [part.parts(directions[piece])[: self.degree + 1].T for part in self.polynomials]
            if parts:
                powers[piece, : parts[0].shape[1]] -= parts[0]
            if len(parts) == 2:
                powers[piece, : parts[1].shape[1]] -= parts[1]
                for low in range(HIGHEST + 1):
                    for high in range(HIGHEST + 1):
                        if low + high <= self.degree:
                            powers[piece, low + high] += 0.5 * parts[0][:, low] * parts[0][:, high]
        return powers

    def pieces(self, count: int) -> Iterator[slice]:
        """Yield the points, piece by piece, so that the memory does not grow with their number."""
        widest = max((part.degree for part in self.polynomials), default=2)
        length = max(1, PIECE // (8 * component_count(self.size, max(1, widest // 2))))
        for start in range(0, count, length):
            yield slice(start, min(count, start + length))


def build_series(
    size: int,
    order: int,
    four: FloatArray | None = None,
    six: FloatArray | None = None,
    three: FloatArray | None = None,
) -> Series:
    """Return the series for whitened cumulants.

    Parameters
    ----------
    size : int
    order : int
        0, 1 or 2: through that power of 1/N.
    four, six, three : ndarray of float64, packed
        Cumulants of the whitened field, as far as the order needs them.
    """
    if order == 0 or four is None:
        return Series(size)
    if three is not None:
        return _odd_series(size, three, four)
    parts = expand(np.eye(size), four, six if order == 2 else None)
    return Series(size, *[FieldPolynomial.of(part) for part in parts[1 : order + 1]])


def _odd_series(size: int, three: FloatArray, four: FloatArray) -> Series:
    """Orders N^-1/2 and N^-1 of a field with odd cumulants.

    A = -1/3! k3.H3,  B = -1/4! k4.H4 + 1/8 (k3 o_1 k3).H4 + 1/4 (k3 o_2 k3).H2 + 1/12 k3 o_3 k3.
    """
    vertex = dense(three, size, 3)
    chain = pack(symmetrised(np.tensordot(vertex, vertex, axes=(2, 0))))
    bubble = np.tensordot(vertex, vertex, axes=([1, 2], [1, 2]))
    sunset = float(np.sum(vertex**2))
    first = FieldPolynomial(
        0.0, np.zeros((size, size)), linear=0.5 * np.einsum("abb->a", vertex), cubic=-three
    )
    even = expand(np.eye(size), four - 3.0 * chain)[1]
    constant = even.constant - 0.25 * float(np.trace(bubble)) + sunset / 12.0
    second = FieldPolynomial(constant, even.quadratic + 0.5 * bubble, even.quartic)
    return Series(size, first, second)
