"""Ensembles in memory as sources of cumulants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nnft.estimators.correlators import CorrelatorEstimator
from nnft.estimators.replicated import Replicated


class EstimatorSource:
    """An estimator that is done, with the points it was made on."""

    def __init__(
        self, estimator: CorrelatorEstimator, points: npt.ArrayLike, card: dict[str, Any] | None = None
    ) -> None:
        self.estimator = estimator
        self.points = np.asarray(points, dtype=np.float64)
        self.path = Path("ensemble in memory")
        self.card = card or {}
        self.orders = tuple(sorted({table.order for table in estimator.layout.tables.values()}))

    @property
    def networks(self) -> int:
        """Networks in the sums."""
        return self.estimator.n_networks

    def replicates(
        self, order: int, outputs: str | None = None, components: npt.NDArray[np.int32] | None = None
    ) -> Replicated:
        """Correlators for all bins and without each of them."""
        return self.estimator.replicates(order, outputs, components)


class ExactSource:
    """Cumulants without noise, as if from many bins: every replicate is the value."""

    def __init__(
        self, tables: dict[int, npt.NDArray[np.float64]], points: npt.ArrayLike, bins: int = 20
    ) -> None:
        self.tables = tables
        self.points = np.asarray(points, dtype=np.float64)
        self.path = Path("exact cumulants")
        self.card: dict[str, Any] = {}
        self.orders = tuple(sorted(tables))
        self.networks = 1000 * bins
        self.bins = bins

    def replicates(
        self, order: int, outputs: str | None = None, components: npt.NDArray[np.int32] | None = None
    ) -> Replicated:
        """The same row for every bin."""
        from nnft.actions.symmetric import places

        packed = self.tables[order]
        if components is not None:
            packed = packed[places(len(self.points), components)]
        rows = np.repeat(packed[None], 1 + self.bins, axis=0)
        return Replicated(rows, np.full(self.bins, 1000, dtype=np.int64), self.networks)
