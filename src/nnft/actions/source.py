"""What the actions need from an ensemble, prior, reweighted or trained: its cumulants with replicates."""

from __future__ import annotations

import os
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from nnft.errors import DataFileError, NumericalError, UsageError, shorten
from nnft.estimators.index_table import IndexArray
from nnft.estimators.replicated import Replicated

FloatArray = npt.NDArray[np.float64]

FEWEST_BINS = 16


class CumulantSource(Protocol):
    """An ensemble on a mesh of input points; `nnft.Run` is one."""

    @property
    def path(self) -> Any:
        """Where the ensemble comes from, for messages."""

    @property
    def points(self) -> FloatArray:
        """Input points, shape (P, d)."""

    @property
    def networks(self) -> int:
        """Networks in the estimates."""

    @property
    def orders(self) -> tuple[int, ...]:
        """Orders of the connected correlators that can be had."""

    @property
    def card(self) -> dict[str, Any]:
        """The resolved card."""

    def replicates(
        self, order: int, outputs: str | None = None, components: IndexArray | None = None
    ) -> Replicated:
        """Return a connected correlator for all bins and without each of them."""


def require_orders(source: CumulantSource, orders: tuple[int, ...], what: str) -> None:
    """Refuse an ensemble without the correlators, the networks or the bins that are needed.

    Raises
    ------
    DataFileError
        If an order is missing.
    NumericalError
        If there are too few networks or filled bins.
    """
    name = shorten(str(getattr(source.path, "name", source.path)), 50)
    missing = [order for order in orders if order not in source.orders]
    trained = "training" in source.card
    if missing:
        even = sorted(order for order in {*source.orders, *missing} if order % 2 == 0)
        raise DataFileError(
            f"no correlator of order {missing[0]} in {name}, needed for {what}: got orders "
            f"{list(source.orders)}; {'train' if trained else 'sample'} with estimate.correlators = {even}"
        )
    if source.networks == 0:
        command = f"nnft {'train' if trained else 'sample'} CARD -o FILE --resume"
        raise NumericalError(f"no networks in {name}: got 0; go on with {command}")


def refuse_trained(source: CumulantSource, what: str) -> None:
    """Refuse trained networks, whose outputs have a mean and odd cumulants.

    Raises
    ------
    UsageError
    """
    if "training" in source.card:
        name = shorten(str(getattr(source.path, "name", source.path)), 50)
        raise UsageError(
            f"no {what} of trained networks: got [training] in {name}: fields with a mean and odd "
            "cumulants; use nnft action, or a run of nnft sample --prior"
        )


def require_bins(replicated: Replicated, what: str) -> None:
    """Refuse errors from fewer than 16 bins.

    Raises
    ------
    NumericalError
    """
    filled = len(replicated.bin_counts)
    if filled < FEWEST_BINS:
        raise NumericalError(
            f"too few filled bins for errors of {what}: got {filled}, needed {FEWEST_BINS}; run more networks"
        )


def chosen_points(source: CumulantSource, points: npt.ArrayLike | None) -> npt.NDArray[np.int32]:
    """Return the mesh points to work on, all if none are given.

    Raises
    ------
    UsageError
        If a point is out of range or given twice, or there is none.
    """
    if isinstance(source, str | os.PathLike):
        raise UsageError(f"not an opened run: got the path {shorten(str(source), 60)}; use nnft.open(path)")
    total = len(source.points)
    if points is None:
        return np.arange(total, dtype=np.int32)
    given = np.asarray(points)
    if given.ndim != 1 or len(given) == 0 or given.dtype.kind not in "iu":
        raise UsageError(
            f"unusable points: got {shorten(points)}; give different numbers from 0 to {total - 1}"
        )
    wrong = given[(given < 0) | (given >= total)]
    if len(wrong):
        raise UsageError(f"point out of range in points: got {wrong[0]}; allowed: 0 to {total - 1}")
    if len(np.unique(given)) < len(given):
        raise UsageError(
            f"point given twice in points: got {shorten(given.tolist())}; give each point once, "
            "or the kernel is singular"
        )
    return given.astype(np.int32)
