"""Estimates kept with every bin left out in turn, so that any function of them gets an error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nnft.estimators.index_table import IndexArray
from nnft.estimators.jackknife import Jackknife
from nnft.estimators.results import Estimate

FloatArray = npt.NDArray[np.float64]
PIECE = 1 << 14


@dataclass(frozen=True, eq=False)
class Replicated:
    """Values for the full sample and for every sample without one bin.

    Attributes
    ----------
    values : ndarray of float64, shape (1 + B, ...)
        Row 0 belongs to all bins, row 1 + j to all bins but the j-th.
    bin_counts : ndarray of int64, shape (B,)
        Networks in each bin; empty where no bin can be left out.
    n_networks : int
        Networks in all bins.
    """

    values: FloatArray
    bin_counts: npt.NDArray[np.int64]
    n_networks: int

    @property
    def value(self) -> FloatArray:
        """The estimates from all bins, shape (...)."""
        first: FloatArray = self.values[0]
        return first

    def map(self, function: Callable[[FloatArray], npt.ArrayLike]) -> Replicated:
        """Return a function of the estimates, evaluated for every row."""
        rows = [np.asarray(function(row), dtype=np.float64) for row in self.values]
        return Replicated(np.stack(rows), self.bin_counts, self.n_networks)

    def chosen(self, rows: npt.NDArray[np.integer] | slice) -> Replicated:
        """Return some components only, by their places on the second axis."""
        return Replicated(self.values[:, rows], self.bin_counts, self.n_networks)

    def deviations(self) -> FloatArray:
        """Return deviations whose products, summed over bins, are the covariance; shape (m, B).

        The trailing axes of `values` are flattened to m.
        """
        return self._jackknife(slice(None)).deviations()

    def covariance(self) -> FloatArray:
        """Return the covariance matrix of the estimates, shape (m, m); NaN with fewer than two bins."""
        if len(self.bin_counts) < 2:
            return np.full((self._flat().shape[1],) * 2, np.nan)
        deviations = self.deviations()
        matrix: FloatArray = deviations @ deviations.T
        return matrix

    def stderr(self) -> FloatArray:
        """Return the standard errors by the jackknife, in the shape of `value`."""
        return self.estimate(np.zeros((self._flat().shape[1], 0), dtype=np.int32)).stderr.reshape(
            self.value.shape
        )

    def estimate(self, indices: IndexArray) -> Estimate:
        """Return values with errors and flags.

        Parameters
        ----------
        indices : ndarray of int32, shape (m, r)
            What the components are called; the trailing axes of `values` are flattened to m.
        """
        flat = self._flat()
        stderr, unreliable = np.empty(flat.shape[1]), np.empty(flat.shape[1], dtype=np.bool_)
        with np.errstate(over="ignore", invalid="ignore"):
            for start in range(0, flat.shape[1], PIECE):
                piece = slice(start, start + PIECE)
                jackknife = self._jackknife(piece)
                stderr[piece] = jackknife.standard_error()
                unreliable[piece] = jackknife.heavy_tailed()
        return Estimate(
            indices, flat[0].copy(), stderr, unreliable, self.n_networks, self.bin_counts, self._pseudo_values
        )

    def _pseudo_values(self) -> FloatArray:
        """Return the jackknife pseudo-values, shape (B, m)."""
        return np.ascontiguousarray(self._jackknife(slice(None)).pseudo_values().T)

    def _flat(self) -> FloatArray:
        return self.values.reshape(len(self.values), -1)

    def _jackknife(self, piece: slice) -> Jackknife:
        columns = np.ascontiguousarray(self._flat()[:, piece].T)
        return Jackknife(columns[:, 0], columns[:, 1:], self.bin_counts)
