"""Two-point function and metric fluctuations of one layer, from the sums of its conditional metric."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nnft.estimators.index_table import RankArray
from nnft.estimators.replicates import ReplicateMeans

FloatArray = npt.NDArray[np.float64]


class MetricReplicates:
    """Mean metric of a layer, for the full sample and every replicate.

    Parameters
    ----------
    means : ReplicateMeans
    name : str
        Name of the sums of the shifted metric.
    shift : ndarray of float64, shape (Q,)
        Subtracted from the metric before summing.
    """

    def __init__(self, means: ReplicateMeans, name: str, shift: FloatArray) -> None:
        self._means = means
        self._name = name
        self._shift = shift
        self.row_bytes = 8 * 3 * len(means.sample_counts)

    def __call__(self, rows: RankArray) -> FloatArray:
        """Return the mean metric of some pairs, shape (len(rows), 1 + B)."""
        return self._means.rows(self._name, rows) + self._shift[rows, None]


class VertexReplicates:
    """Unbiased covariances of two metric entries, for the full sample and every replicate.

    The k-statistic of order two, (M sum g g' - sum g sum g') / (M (M - 1)).

    Parameters
    ----------
    means : ReplicateMeans
        At least two networks in every sample.
    mean_name, product_name : str
        Names of the sums of g and of g g'.
    product_pairs : ndarray of int64, shape (m, 2)
        Packed indices of the two entries of each product.
    """

    def __init__(
        self, means: ReplicateMeans, mean_name: str, product_name: str, product_pairs: RankArray
    ) -> None:
        self._means = means
        self._mean_name = mean_name
        self._product_name = product_name
        self._product_pairs = product_pairs
        self._correction = means.variance_factor()
        self.row_bytes = 8 * 5 * len(means.sample_counts)

    def __call__(self, rows: RankArray) -> FloatArray:
        """Return the covariances of some products, shape (len(rows), 1 + B)."""
        entries = self._means.table(self._mean_name)
        left, right = self._product_pairs[rows].T
        spread = self._means.rows(self._product_name, rows) - entries[left] * entries[right]
        covariance: FloatArray = spread * self._correction
        return covariance
