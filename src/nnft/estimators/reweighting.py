"""Averages with weights: ratios of sums, their bias, and how many networks they rest on.

A network m contributes W_m, the average of exp(-V) over its readouts, and W_m-weighted products X_m of
outputs; the deformed average is the ratio sum X_m / sum W_m. Ratios of sums, and cumulants made of them,
have a bias of order 1/M. The delete-m_j jackknife removes it: with theta from n networks, theta_(-j)
without the m_j of bin j and expectation theta_0 + b/n, the sum over j of
(1 - m_j/n) (theta_(-j) - theta) has the expectation b/n (Busing, Meijer, van der Leeden 1999,
*Statistics and Computing* 9, 3). It is subtracted from theta, and n/(n - m_j) times it from theta_(-j):
the pseudo-values, and with them the errors, stay what they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, sqrt

import numpy as np
import numpy.typing as npt

from nnft.errors import NumericalError
from nnft.estimators.evaluation import Replicates
from nnft.estimators.index_table import RankArray
from nnft.estimators.jackknife import Jackknife
from nnft.estimators.replicates import ReplicateMeans

FloatArray = npt.NDArray[np.float64]
Sums = Mapping[str, FloatArray]
Counts = npt.NDArray[np.int64]

LEAST_EFFECTIVE_SIZE = 100.0
"""Below this effective sample size no correlator is quoted."""

AMPLE_EFFECTIVE_SIZE = 1000.0
"""Below this one a warning stands beside the numbers: a bin rests on ten networks or fewer."""


class WeightedMeans(ReplicateMeans):
    """Ratios of the named sums to the sum of the weights; see `ReplicateMeans`."""

    def __init__(self, sums: Sums, counts: Counts, needed: int = 1) -> None:
        super().__init__(sums, counts, needed)
        self.divisors = np.ones(len(self.sample_counts))
        self.divisors = self.rows("weight", np.zeros(1, dtype=np.int64))[0]

    def variance_factor(self) -> FloatArray:
        """Return one for every column: `WithoutBias` takes care of what n / (n - 1) does elsewhere."""
        return np.ones(len(self.sample_counts))

    def rows(self, name: str, rows: RankArray) -> FloatArray:
        """Return the averages of some components, shape (len(rows), 1 + B)."""
        with np.errstate(divide="ignore", invalid="ignore"):  # a bin that holds all weight: no replicate
            return super().rows(name, rows)


class WithoutBias:
    """Estimates less the part of their bias that falls as one over the number of networks.

    Parameters
    ----------
    plain : Replicates
    means : ReplicateMeans
        What `plain` is made of.
    """

    def __init__(self, plain: Replicates, means: ReplicateMeans) -> None:
        self._plain = plain
        self._counts = means.bin_counts
        self.row_bytes = plain.row_bytes

    def __call__(self, rows: RankArray) -> FloatArray:
        """Return the estimates of some components, shape (len(rows), 1 + B)."""
        return without_bias(self._plain(rows), self._counts)


def without_bias(columns: FloatArray, counts: Counts) -> FloatArray:
    """Return replicates without the bias of order one over the number of networks.

    Parameters
    ----------
    columns : ndarray of float64, shape (m, 1 + B)
        Estimates from all bins, then without each bin.
    counts : ndarray of int64, shape (B,)
        Networks in each bin; with fewer than two bins nothing is done.

    Returns
    -------
    ndarray of float64, shape (m, 1 + B)
    """
    if len(counts) < 2:
        return columns
    rest = 1.0 - counts / counts.sum()
    bias = ((columns[:, 1:] - columns[:, :1]) * rest).sum(axis=1)
    corrected: FloatArray = columns - bias[:, None] / np.concatenate([[1.0], rest])
    return corrected


@dataclass(frozen=True)
class EffectiveSampleSize:
    """How many networks of equal weight would be worth the weighted ones.

    Attributes
    ----------
    value : float
        (sum W)^2 / sum W^2 over networks; readouts of one network count as one. A bound from above if
        weights were cut.
    stderr : float
        Standard error, by the jackknife; NaN if there is none.
    networks : int
        M.
    largest_share : float
        Bound on the share of one network in the sum of all weights; reached if one dominates its bin.
    out_of_range : int
        Readouts whose weight was cut because V lies more than 300 below that of the first networks.
    """

    value: float
    stderr: float
    networks: int
    largest_share: float
    out_of_range: int

    @property
    def sufficient(self) -> bool:
        """Whether correlators may be quoted."""
        return self.value >= LEAST_EFFECTIVE_SIZE and self.out_of_range == 0

    @property
    def warning(self) -> str:
        """What to keep in mind, in one line; empty if nothing."""
        if not self.sufficient or self.value >= AMPLE_EFFECTIVE_SIZE:
            return ""
        return (
            f"effective sample size {self.value:.0f} of {self.networks} networks is below "
            f"{AMPLE_EFFECTIVE_SIZE:.0f}: errors are rough; weaken the coupling or take more networks"
        )

    def require(self) -> None:
        """Refuse to quote numbers that few networks make.

        Raises
        ------
        NumericalError
            If the effective sample size is below 100, or weights were cut.
        """
        advice = "weaken the coupling, take fewer points or more networks"
        if self.out_of_range:
            raise NumericalError(
                f"weights out of range in the deformed ensemble: got {self.out_of_range} beyond exp(300), "
                f"effective sample size below {self.value:.3g} of {self.networks} networks; {advice}"
            )
        if not self.sufficient:
            raise NumericalError(
                f"effective sample size too small in the deformed ensemble: got {self.value:.3g} of "
                f"{self.networks} networks, needed {LEAST_EFFECTIVE_SIZE:.0f}; {advice}"
            )


def effective_sample_size(sums: Sums, counts: Counts) -> EffectiveSampleSize:
    """Return the effective sample size of weighted networks.

    Parameters
    ----------
    sums : mapping of str to ndarray of float64, shape (bins, 1)
        With ``weight``, ``weight:squared`` and ``weight:cut``.
    counts : ndarray of int64, shape (bins,)
    """
    networks = int(counts.sum())
    first, second = (sums[name][counts > 0, 0] for name in ("weight", "weight:squared"))
    cut = int(sums["weight:cut"].sum())
    total, squares = float(first.sum()), float(second.sum())
    if not (networks and total > 0.0 and squares > 0.0 and isfinite(squares)):
        return EffectiveSampleSize(0.0, float("nan"), networks, 1.0, cut)
    live = counts[counts > 0]
    share = np.array([total / squares * total / networks])
    with np.errstate(divide="ignore", invalid="ignore"):  # a bin may hold all weight
        without = (total - first) ** 2 / (squares - second) / (networks - live)
        error = Jackknife(share, without[None, :], live).standard_error()[0] * networks
    largest = min(1.0, sqrt(float(second.max())) / total)
    return EffectiveSampleSize(float(share[0]) * networks, float(error), networks, largest, cut)
