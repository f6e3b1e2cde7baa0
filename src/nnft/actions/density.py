"""Edgeworth density of a field: the Gaussian times a polynomial made of its connected correlators.

With G the covariance, kappa_r the cumulants, of order N^(1 - r/2), and H_r the Hermite tensors of G,

    p / N_G = 1 + 1/4! k4.H4 + [1/6! k6.H6 + 1/1152 (k4 k4).H8] + O(N^-3)

(McCullagh, *Tensor Methods in Statistics*, ch. 5; Demirtas et al., arXiv:2307.03223). The series is
asymptotic: it integrates to 1 and has the cumulants put in, exactly, but it can be negative.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from nnft.actions.density_comparison import (
    PERMUTATIONS,
    Comparison,
    StoredFields,
    compare_samples,
    stored_fields,
)
from nnft.actions.density_input import eigenmodes, packed_cumulant, real_array, whitened
from nnft.actions.density_moments import (
    HIGHEST_ORDER,
    cumulants_from_moments,
    moments_from_cumulants,
    quadrature_moment,
)
from nnft.actions.density_positivity import Positivity, find_negative
from nnft.actions.density_random import Purpose
from nnft.actions.density_sampling import DEFAULT_FLOOR, WeightedSample, draw_unweighted, draw_weighted
from nnft.actions.density_series import build_series
from nnft.actions.symmetric import component_count, pack
from nnft.errors import NumericalError, UsageError, shorten

FloatArray = npt.NDArray[np.float64]
Negative = Literal["raise", "mask"]
Method = Literal["exact", "quadrature"]


class EdgeworthDensity:
    """Density of a field with given cumulants, through order N^-order.

    Parameters
    ----------
    metric : array, shape (n, n)
        Covariance G, symmetric and positive definite.
    four : array, optional
        Fourth cumulant, packed, shape (C(n + 3, 4),), see `nnft.actions.symmetric`, or dense, (n, n, n, n).
    six : array, optional
        Sixth cumulant, packed or dense; needed for order 2.
    three : array, optional
        Third cumulant, packed or dense, for a field of mean zero without sign symmetry: adds the terms of
        order N^-1/2 and N^-1. Outputs of networks have none.
    order : int, optional
        0: the Gaussian. 1: through 1/N. 2: through 1/N^2. The highest that the cumulants allow if not
        given.

    Attributes
    ----------
    metric : ndarray of float64, shape (n, n)
    eigenvalues : ndarray of float64, shape (n,)
        Of G, the largest first.
    vectors : ndarray of float64, shape (n, n)
        Column k is the eigenvector of mode k.
    four, six, three : ndarray of float64, packed, or None
    order : int

    Raises
    ------
    UsageError
        If shapes do not fit, the order is unknown or needs a cumulant that is not given.
    NumericalError
        If G or a dense cumulant is not symmetric, G is not positive definite (the message names its smallest
        eigenvalue), or a number is not finite.

    Notes
    -----
    Fields phi have the shape (..., n), results (...) or (..., n). The work for one field is C(n + 1, 2)^2
    multiplications at order 1, C(n + 2, 3)^2 at order 2.
    """

    def __init__(
        self,
        metric: npt.ArrayLike,
        four: npt.ArrayLike | None = None,
        six: npt.ArrayLike | None = None,
        three: npt.ArrayLike | None = None,
        *,
        order: int | None = None,
    ) -> None:
        self.metric, self.eigenvalues, self.vectors = eigenmodes(metric)
        size = len(self.metric)
        self.four = None if four is None else packed_cumulant(four, size, 4)
        self.six = None if six is None else packed_cumulant(six, size, 6)
        self.three = None if three is None else packed_cumulant(three, size, 3)
        highest = 0 if four is None else 1 if six is None or three is not None else 2
        self.order = highest if order is None else order
        self._require_order()
        deviations = np.sqrt(self.eigenvalues)
        self._whitening = self.vectors / deviations
        self._root = self.vectors * deviations
        self._logarithm = 0.5 * float(np.log(2.0 * np.pi * self.eigenvalues).sum())
        scaled = {
            rank: whitened(packed, rank, size, self._whitening)
            for rank, packed in self._cumulants().items()
            if rank > 2
        }
        self._series = build_series(size, self.order, scaled.get(4), scaled.get(6), scaled.get(3))

    def _require_order(self) -> None:
        if isinstance(self.order, bool) or self.order not in (0, 1, 2):
            raise UsageError(f"unknown order of a density: got {shorten(self.order)}; use 0, 1 or 2")
        if self.order and self.four is None:
            raise UsageError(f"no fourth cumulant for a density of order {self.order}: got None; give four")
        if self.order == 2 and self.six is None:
            raise UsageError("no sixth cumulant for a density of order 2: got None; give six or use order 1")
        if self.order == 2 and self.three is not None:
            raise UsageError("odd cumulants in a density of order 2: got three; use order 1 or leave it out")

    def _cumulants(self) -> dict[int, FloatArray]:
        """The cumulants that the series of this order is made of, packed."""
        found = {2: pack(self.metric)}
        for rank, tensor, lowest in ((3, self.three, 1), (4, self.four, 1), (6, self.six, 2)):
            if tensor is not None and self.order >= lowest:
                found[rank] = tensor
        return found

    @property
    def size(self) -> int:
        """Number n of fields."""
        return len(self.metric)

    def truncated(self, order: int) -> EdgeworthDensity:
        """Return the density of the same cumulants through another order; 0 is the Gaussian."""
        return EdgeworthDensity(self.metric, self.four, self.six, self.three, order=order)

    # ---- values at fields ----

    def _white(self, phi: npt.ArrayLike) -> tuple[FloatArray, tuple[int, ...]]:
        """Return whitened fields (N, n) and the shape (...) of the results."""
        fields = real_array(phi, "the field phi")
        if fields.ndim == 0 or fields.shape[-1] != self.size:
            raise UsageError(
                f"phi does not fit the metric: got shape {fields.shape}; needed (..., {self.size})"
            )
        return fields.reshape(-1, self.size) @ self._whitening, fields.shape[:-1]

    def terms(self, phi: npt.ArrayLike) -> FloatArray:
        """Return the terms e_1, e_2 of p / N_G = 1 + e_1 + e_2, shape (k, ...), k of them.

        e_1 = -S_1 and e_2 = S_1^2 / 2 - S_2 with the terms S_j of the action. With a third cumulant they are
        of order N^-1/2 and N^-1. At order 0 there are none.
        """
        white, shape = self._white(phi)
        terms = self._series.terms(white)
        return terms.reshape(len(terms), *shape)

    def correction(self, phi: npt.ArrayLike) -> FloatArray:
        """Return p / N_G, the density divided by the Gaussian; negative where the series is."""
        white, shape = self._white(phi)
        return self._series.ratio(white).reshape(shape)

    def density(self, phi: npt.ArrayLike) -> FloatArray:
        """Return p as the series has it; negative where the series is."""
        white, shape = self._white(phi)
        density: FloatArray = self._series.ratio(white) * np.exp(-self._free(white))
        return density.reshape(shape)

    def log_density(self, phi: npt.ArrayLike, negative: Negative = "raise") -> FloatArray:
        """Return log p.

        Parameters
        ----------
        phi : array, shape (..., n)
        negative : {"raise", "mask"}
            What to do where the series is not positive: refuse, or return -inf there.

        Raises
        ------
        NumericalError
            If the series is not positive somewhere, unless masked.
        """
        white, shape = self._white(phi)
        ratio = self._series.ratio(white)
        good = self._positive(ratio, negative)
        logarithm = np.full(len(white), -np.inf)
        logarithm[good] = np.log(ratio[good]) - self._free(white[good])
        return logarithm.reshape(shape)

    def score(self, phi: npt.ArrayLike, negative: Negative = "raise") -> FloatArray:
        """Return the gradient of log p, shape (..., n); as `log_density`, but a masked score is NaN."""
        white, shape = self._white(phi)
        ratio, gradient = self._series.ratio_and_gradient(white)
        good = self._positive(ratio, negative)
        slope = np.full_like(white, np.nan)
        slope[good] = gradient[good] / ratio[good, None] - white[good]
        return (slope @ self._whitening.T).reshape(*shape, self.size)

    def action_terms(self, phi: npt.ArrayLike) -> FloatArray:
        """Return the orders S_0, S_1, S_2 of the action, shape (order + 1, ...); S_0 is normalised.

        With a third cumulant they are of order 1, N^-1/2 and N^-1.
        """
        white, shape = self._white(phi)
        terms = np.concatenate([self._free(white)[None], self._series.action_terms(white)])
        return terms.reshape(len(terms), *shape)

    def action(self, phi: npt.ArrayLike) -> FloatArray:
        """Return the truncated action S_0 + S_1 (+ S_2), a polynomial in the field.

        It differs from -log p of this density at the next order in 1/N. Where the fourth cumulant is
        positive (heavy tails) lambda_4 is negative and the polynomial is unbounded below.
        """
        terms: FloatArray = np.sum(self.action_terms(phi), axis=0)
        return terms

    def action_gradient(self, phi: npt.ArrayLike) -> FloatArray:
        """Return the gradient of the truncated action, shape (..., n)."""
        white, shape = self._white(phi)
        slope: FloatArray = white + self._series.action_and_gradient(white)[1].sum(axis=0)
        return (slope @ self._whitening.T).reshape(*shape, self.size)

    def _free(self, white: FloatArray) -> FloatArray:
        action: FloatArray = 0.5 * np.sum(white**2, axis=1) + self._logarithm
        return action

    @staticmethod
    def _positive(ratio: FloatArray, negative: str) -> npt.NDArray[np.bool_]:
        if negative not in {"raise", "mask"}:
            raise UsageError(
                f'unknown treatment of negative densities: got {negative!r}; use "raise" or "mask"'
            )
        good = ratio > 0.0
        if negative == "raise" and not good.all():
            raise NumericalError(
                f"the Edgeworth density is not positive at {np.count_nonzero(~good)} of {len(ratio)} fields: "
                f'got p/N_G down to {ratio.min():.3g}; look at positivity(), or use negative="mask"'
            )
        return good

    # ---- moments ----

    def moment(self, order: int, method: Method = "exact") -> FloatArray:
        """Return the moments E[phi_a ..] of the series, packed, shape (C(n + order - 1, order),).

        Parameters
        ----------
        order : int
            1 to 6 fields.
        method : {"exact", "quadrature"}
            The closed form, or Gauss-Hermite quadrature of the density itself, which is exact for
            polynomials up to rounding and takes up to 2^20 nodes.

        Raises
        ------
        UsageError
            If the order or the method is unknown, or there are too many fields for quadrature.
        """
        if self._by_quadrature(order, method):
            return quadrature_moment(self._series, self._root, order)
        return moments_from_cumulants(self._cumulants(), order, self.size)

    def cumulants(self, order: int, method: Method = "exact") -> FloatArray:
        """Return the cumulants of the series, packed: those put in, zero for the others through order 6.

        Parameters are those of `moment`.
        """
        if self._by_quadrature(order, method):
            lower = {k: quadrature_moment(self._series, self._root, k) for k in range(1, order + 1)}
            return cumulants_from_moments(lower, order, self.size)
        given = self._cumulants().get(order)
        return np.zeros(component_count(self.size, order)) if given is None else given.copy()

    @staticmethod
    def _by_quadrature(order: int, method: str) -> bool:
        if isinstance(order, bool) or order not in range(1, HIGHEST_ORDER + 1):
            raise UsageError(
                f"unknown order of a moment: got {shorten(order)}; allowed: 1 to {HIGHEST_ORDER}"
            )
        if method not in {"exact", "quadrature"}:
            raise UsageError(f'unknown method: got {shorten(method)}; use "exact" or "quadrature"')
        return method == "quadrature"

    def normalisation(self, method: Method = "exact") -> float:
        """Return the integral of the series: 1, or what quadrature gives."""
        if self._by_quadrature(1, method):
            return float(quadrature_moment(self._series, self._root, 0)[0])
        return 1.0

    def positivity(self, directions: int = 4096, seed: int = 0) -> Positivity:
        """Return where the series is negative and how much mass that is.

        Parameters
        ----------
        directions : int
            Random directions for more than three fields; fewer are averaged over by quadrature.
        seed : int
            Of the random directions.
        """
        return find_negative(self._series, self._root, directions, seed)

    # ---- samples ----

    def sample(self, count: int, seed: int, floor: float = DEFAULT_FLOOR) -> WeightedSample:
        """Return weighted fields: draws of N(0, G) with weights p / N_G, negative ones cut to zero.

        Parameters
        ----------
        count : int
        seed : int
            0 to 2^128 - 1; the same seed gives the same fields.
        floor : float
            Smallest ratio of the effective sample size to the count; there is also an absolute floor of 100,
            half the count if fewer than 200 are drawn.

        Raises
        ------
        NumericalError
            If the effective sample size is below the floor.
        """
        return draw_weighted(self._series, self._root, count, seed, floor)

    def resampled(self, count: int, seed: int) -> FloatArray:
        """Return independent fields of equal weight, shape (count, n), by rejection.

        They follow the density with negative values cut off and normalised.

        Raises
        ------
        NumericalError
            If hardly any proposal is accepted.
        """
        return draw_unweighted(self._series, self._root, count, seed)

    def compare(
        self,
        fields: npt.ArrayLike | StoredFields,
        seed: int,
        *,
        points: Sequence[int] | None = None,
        output: int = 0,
        permutations: int = PERMUTATIONS,
    ) -> Comparison:
        """Test whether fields follow this density.

        Parameters
        ----------
        fields : array, shape (M, n), or a run with stored outputs
            The first 20000 are compared with as many draws of the density, the first 2000 by energy
            distance.
        seed : int
            Of the draws and the permutations.
        points : sequence of int, optional
            Columns of `fields`, input points of a run, that the density is about; all if not given.
        output : int
            Output neuron of a run.
        permutations : int
            Permutations of the energy test.

        Notes
        -----
        Cumulants estimated from the same fields make the p-values somewhat too large.
        """
        ours = stored_fields(fields, self.size, points, output)
        theirs = draw_unweighted(self._series, self._root, len(ours), seed, Purpose.COMPARISON)
        return compare_samples(ours @ self._whitening, theirs @ self._whitening, seed, permutations)
