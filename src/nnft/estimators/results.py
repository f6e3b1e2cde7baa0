"""What estimators return: values with errors, indices and the replicates behind the errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

from nnft.errors import UsageError
from nnft.estimators import jackknife
from nnft.estimators.index_table import IndexArray, Pattern, SectorTable, pair_index

FloatArray = npt.NDArray[np.float64]
Scalar = TypeVar("Scalar", bound=np.generic)
DENSE_LIMIT = 1 << 27


@dataclass(frozen=True, eq=False)
class Estimate:
    """Estimates with errors from the jackknife over bins.

    Attributes
    ----------
    indices : ndarray of int32, shape (m, r)
        Input points of each component.
    value : ndarray of float64, shape (m,)
        Estimates; NaN for an empty ensemble.
    stderr : ndarray of float64, shape (m,)
        Standard errors; NaN if no bin can be left out.
    unreliable : ndarray of bool, shape (m,)
        True where a few bins make most of the spread, so that the error cannot be trusted, and where
        there is no error.
    n_networks : int
        Networks behind the estimates.
    bin_counts : ndarray of int64, shape (B,)
        Networks in each bin behind the errors.
    pseudo_values : callable
        Returns the jackknife pseudo-values, shape (B, m); computed on demand.
    """

    indices: IndexArray
    value: FloatArray
    stderr: FloatArray
    unreliable: npt.NDArray[np.bool_]
    n_networks: int
    bin_counts: npt.NDArray[np.int64]
    pseudo_values: Callable[[], FloatArray]

    @property
    def bins(self) -> FloatArray:
        """Jackknife pseudo-values, shape (B, m), recomputed at each access."""
        return self.pseudo_values()

    def covariance(self) -> FloatArray:
        """Return the covariance matrix of the estimates, shape (m, m)."""
        return jackknife.covariance(self.bins.T, self.bin_counts)


@dataclass(frozen=True, eq=False)
class Correlator(Estimate):
    """Correlators E[f_{i1}(x_{a1}) ... f_{ir}(x_{ar})] of one sector, connected or not.

    Attributes
    ----------
    table : SectorTable
        Components; `indices` are its points.
    variety : {'connected', 'moment'}
        Cumulants or plain moments.
    """

    table: SectorTable
    variety: Literal["connected", "moment"]

    @property
    def order(self) -> int:
        """Number of fields r."""
        return self.table.order

    @property
    def pattern(self) -> Pattern:
        """Output label of each field."""
        return self.table.pattern

    def dense(self) -> FloatArray:
        """Return the values as a full tensor.

        Returns
        -------
        ndarray of float64, shape (P,) * order
            Axis k is the point of the field with output label ``pattern[k]``.

        Raises
        ------
        UsageError
            If the tensor would have more than 2^27 entries.
        """
        shape = (self.table.n_points,) * self.order
        size = self.table.n_points**self.order
        if size > DENSE_LIMIT:
            raise UsageError(
                f"dense tensor too large in correlator {self.table.name}: got {size} entries; "
                "use the packed values and indices"
            )
        points = np.indices(shape, dtype=np.int32).reshape(self.order, size).T
        return self.value[self.table.locate(points)].reshape(shape)


@dataclass(frozen=True, eq=False)
class LayerKernel:
    """Two-point function of a layer and the fluctuations of its conditional metric.

    Attributes
    ----------
    layer : int
        Affine layer l, 2 <= l <= L.
    value : ndarray of float64, shape (P, P)
        Estimate of the two-point function G^(l) = E[Ghat^(l)].
    stderr : ndarray of float64, shape (P, P)
        Standard errors.
    unreliable : ndarray of bool, shape (P, P)
        See `Estimate.unreliable`.
    metric : Estimate
        The same, packed by pairs a <= b, with its bins.
    vertex : Estimate
        Covariances Cov(Ghat_{12}, Ghat_{34}); ``indices`` has the four points of each.
    """

    layer: int
    value: FloatArray
    stderr: FloatArray
    unreliable: npt.NDArray[np.bool_]
    metric: Estimate
    vertex: Estimate

    @classmethod
    def of(cls, layer: int, metric: Estimate, vertex: Estimate, n_points: int) -> LayerKernel:
        """Return the kernel of a layer from its packed metric and its fluctuations."""
        value, stderr = symmetric(metric.value, n_points), symmetric(metric.stderr, n_points)
        return cls(layer, value, stderr, symmetric(metric.unreliable, n_points), metric, vertex)

    def four_point_vertex(self, width: int) -> tuple[FloatArray, FloatArray]:
        """Return the vertex V = n Cov(Ghat_{12}, Ghat_{34}) and its errors.

        Parameters
        ----------
        width : int
            Width n of layer l - 1 (Roberts, Yaida, Hanin 2022, chapter 4).

        Returns
        -------
        value, stderr : ndarray of float64, shape (m,)
            In the order of ``vertex.indices``.

        Raises
        ------
        UsageError
            If the width is below 1.
        """
        if width < 1:
            raise UsageError(f"impossible width in four_point_vertex: got {width!r}; use the layer's width")
        return width * self.vertex.value, width * self.vertex.stderr


def symmetric(packed: npt.NDArray[Scalar], n_points: int) -> npt.NDArray[Scalar]:
    """Return packed pairs a <= b, on the last axis, as symmetric matrices.

    Parameters
    ----------
    packed : ndarray, shape (..., Q)
    n_points : int
        P, with Q = P (P + 1) / 2.

    Returns
    -------
    ndarray, shape (..., P, P)
    """
    points = np.arange(n_points)
    return packed[..., pair_index(n_points, points[:, None], points[None, :])]
