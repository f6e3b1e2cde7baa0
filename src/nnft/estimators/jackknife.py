"""Errors of non-linear functions of binned sums: the delete-m_j jackknife.

Bins may hold different numbers of networks m_j. With n = sum m_j, h_j = n / m_j, the full estimate
theta and the estimates theta_(-j) without bin j, the pseudo-values are
h_j theta - (h_j - 1) theta_(-j), and the variance of theta is

    (1/g) sum_j (pseudo_j - theta_J)^2 / (h_j - 1),   theta_J = sum_j pseudo_j / h_j

(Busing, Meijer, van der Leeden 1999, *Statistics and Computing* 9, 3). For equal bins it
is the usual block jackknife. The estimate itself is left as it is: cumulants are unbiased already.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

DOMINANT_SHARE = 0.3
KURTOSIS_SIGMAS_WITH_DOMINANT_BIN = 10.0
KURTOSIS_SIGMAS = 20.0


@dataclass(frozen=True, eq=False)
class Jackknife:
    """Estimates with the replicates that their errors are computed from.

    Attributes
    ----------
    estimate : ndarray of float64, shape (m,)
        Estimates from all bins.
    replicates : ndarray of float64, shape (m, B)
        Estimates without bin j.
    counts : ndarray of int64, shape (B,)
        Networks in each bin, all above zero.
    """

    estimate: FloatArray
    replicates: FloatArray
    counts: npt.NDArray[np.int64]

    def _ratios(self) -> FloatArray:
        """Return h_j = n / m_j, shape (B,)."""
        ratios: FloatArray = self.counts.sum() / self.counts.astype(np.float64)
        return ratios

    def pseudo_values(self) -> FloatArray:
        """Return the pseudo-values, shape (m, B)."""
        ratios = self._ratios()
        values: FloatArray = ratios * self.estimate[:, None] - (ratios - 1.0) * self.replicates
        return values

    def deviations(self) -> FloatArray:
        """Return deviations whose products, summed over bins, are the covariance; shape (m, B)."""
        return weighted_deviations(self.pseudo_values(), self.counts)

    def standard_error(self) -> FloatArray:
        """Return the standard error of each estimate, shape (m,); NaN with fewer than two bins."""
        if len(self.counts) < 2:
            return np.full(len(self.estimate), np.nan)
        deviations = self.deviations()
        error: FloatArray = np.sqrt(np.einsum("mb,mb->m", deviations, deviations))
        return error

    def heavy_tailed(self) -> npt.NDArray[np.bool_]:
        """Tell which errors cannot be trusted because few bins make the spread, shape (m,).

        Pseudo-values of bins with many networks are nearly normal. The flag is raised if one bin
        carries more than 0.3 of the sum of squared deviations and the excess kurtosis of the
        pseudo-values is more than 10 of its standard errors sqrt(24 / B) from zero, or if the
        kurtosis alone is more than 20 of them. Without spread there is nothing to flag; with fewer
        than two bins everything is flagged.
        """
        n_bins = len(self.counts)
        if n_bins < 2:
            return np.ones(len(self.estimate), dtype=np.bool_)
        squares = self.deviations() ** 2
        total = squares.sum(axis=1)
        spread = total > 0.0
        shares = np.divide(squares, total[:, None], out=np.zeros_like(squares), where=spread[:, None])
        excess = n_bins * (shares**2).sum(axis=1) - 3.0
        sigma = np.sqrt(24.0 / n_bins)
        dominated = (shares.max(axis=1) > DOMINANT_SHARE) & (
            excess > KURTOSIS_SIGMAS_WITH_DOMINANT_BIN * sigma
        )
        suspect = dominated | (excess > KURTOSIS_SIGMAS * sigma)
        flagged: npt.NDArray[np.bool_] = (spread & suspect) | ~np.isfinite(total)
        return flagged


def weighted_deviations(pseudo_values: FloatArray, counts: npt.NDArray[np.int64]) -> FloatArray:
    """Return deviations of pseudo-values, scaled so that their products add up to the covariance.

    Parameters
    ----------
    pseudo_values : ndarray of float64, shape (m, B)
    counts : ndarray of int64, shape (B,)
        Networks in each bin, at least two bins, all above zero.

    Returns
    -------
    ndarray of float64, shape (m, B)
        The covariance of estimates is ``deviations @ deviations.T``.
    """
    share = counts / counts.sum()
    centre = pseudo_values @ share
    weight = np.sqrt(share / (1.0 - share) / len(counts))
    deviations: FloatArray = (pseudo_values - centre[:, None]) * weight
    return deviations


def covariance(pseudo_values: FloatArray, counts: npt.NDArray[np.int64]) -> FloatArray:
    """Return the covariance matrix of estimates, shape (m, m); NaN with fewer than two bins.

    Parameters
    ----------
    pseudo_values : ndarray of float64, shape (m, B)
    counts : ndarray of int64, shape (B,)
    """
    if len(counts) < 2:
        return np.full((len(pseudo_values),) * 2, np.nan)
    deviations = weighted_deviations(pseudo_values, counts)
    matrix: FloatArray = deviations @ deviations.T
    return matrix
