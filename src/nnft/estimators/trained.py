"""Averages over trained networks, each of which contributes several samples.

Networks are independent, samples of one network are not: averages are over all samples, errors come from
bins of networks. A cumulant is a product of averages and has a bias of order 1/M over M networks, which the
jackknife removes (see `nnft.estimators.reweighting`); at order 2 the bias is of this order only, and nothing
is left of it.

A network whose output is a Gaussian with mean m and covariance C, given its other parameters, has the
two-point function E[C_ab] + Cov(m_a, m_b) (law of total covariance; Brillinger 1969, *Annals of the
Institute of Statistical Mathematics* 21, 215, for cumulants of all orders).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from nnft.estimators.index_table import RankArray
from nnft.estimators.replicates import CumulantReplicates, ReplicateMeans

FloatArray = npt.NDArray[np.float64]


class SampleMeans(ReplicateMeans):
    """Means of the named sums over all samples of the networks; see `ReplicateMeans`.

    Parameters
    ----------
    sums, counts, needed
        As there; `needed` networks in all, one fewer without a bin.
    draws : int
        Samples of one network.
    """

    def __init__(
        self, sums: Mapping[str, FloatArray], counts: npt.NDArray[np.int64], draws: int, needed: int = 1
    ) -> None:
        super().__init__(sums, counts, needed, left=max(1, needed - 1))
        self.divisors = self.divisors * draws


class BetweenReplicates:
    """Covariance over networks of the mean given the network, for the full sample and every replicate.

    Parameters
    ----------
    means : ReplicateMeans
    two : CumulantReplicates
        Connected two-point function.
    """

    def __init__(self, means: ReplicateMeans, two: CumulantReplicates) -> None:
        self._means = means
        self._two = two
        self.row_bytes = 2 * two.row_bytes

    def __call__(self, rows: RankArray) -> FloatArray:
        """Return the estimates of some packed pairs, shape (len(rows), 1 + B)."""
        between: FloatArray = self._two(rows) - self._means.rows("within", rows)
        return between
