"""Couplings of the Edgeworth action over cutoffs, with their covariance along the flow.

At every cutoff the action of the outputs at some mesh points is that of `nnft.actions.action.action`, the
even part of the action of psi = f - <f> at leading order; the points are the same at all cutoffs, so that the
couplings are those of one field that is coarse-grained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nnft.actions.action import Action, action
from nnft.actions.source import FEWEST_BINS, chosen_points, require_orders
from nnft.actions.spectrum import DEFAULT_CUTS
from nnft.actions.symmetric import components
from nnft.analysis.flow_quantity import FlowQuantity, stacked
from nnft.errors import NumericalError, UsageError
from nnft.estimators.correlators import CorrelatorEstimator
from nnft.estimators.index_table import IndexArray
from nnft.estimators.replicated import Replicated

FloatArray = npt.NDArray[np.float64]

USUAL_POINTS, MOST_POINTS = 3, 12
ROUNDING = 1e-24
"""Variance, beside the largest one along the flow, that is none: where all networks are the same."""

TABLES = ("free", "quadratic", "quartic", "reduced_quartic")


@dataclass(frozen=True, eq=False)
class CutoffSource:
    """The ensemble at one cutoff as actions want it; see `nnft.actions.source.CumulantSource`.

    Attributes
    ----------
    estimator : CorrelatorEstimator
        Of the outputs at the cutoff.
    path : Path
    points : ndarray of float64, shape (P, d)
    card : dict
    """

    estimator: CorrelatorEstimator
    path: Path
    points: FloatArray
    card: dict[str, Any]

    @property
    def networks(self) -> int:
        """Networks in the estimates."""
        return self.estimator.n_networks

    @cached_property
    def orders(self) -> tuple[int, ...]:
        """Orders of the connected correlators."""
        return tuple(sorted({table.order for table in self.estimator.layout.tables.values()}))

    def replicates(
        self, order: int, outputs: str | None = None, components: IndexArray | None = None
    ) -> Replicated:
        """Return a connected correlator for all bins and without each of them."""
        return self.estimator.replicates(order, outputs, components)


@dataclass(frozen=True, eq=False)
class FlowCouplings:
    """Couplings at every cutoff.

    Attributes
    ----------
    cutoffs : ndarray of float64, shape (C,)
    points : ndarray of int32, shape (n,)
        Mesh points of the action; all others are integrated out.
    tables : dict of str to FlowQuantity
        "free": G^-1; "quadratic": A with the tadpoles of the quartic coupling; "quartic": lambda_abcd;
        "reduced_quartic": lambda_aaaa G_aa^2, a pure number. NaN where there is no action.
    reasons : mapping of int to str
        Why there is none, by the position of the cutoff.
    """

    cutoffs: FloatArray
    points: IndexArray
    tables: dict[str, FlowQuantity]
    reasons: Mapping[int, str]

    def table(self, name: str) -> FlowQuantity:
        """Return one table.

        Raises
        ------
        UsageError
            There is no such table.
        """
        if name not in self.tables:
            raise UsageError(f"no such couplings of the flow: got {name!r}; use one of {', '.join(TABLES)}")
        return self.tables[name]


def flow_couplings(
    sources: Sequence[CutoffSource], cutoffs: FloatArray, points: npt.ArrayLike | None = None
) -> FlowCouplings:
    """Return the couplings of a flow.

    Parameters
    ----------
    sources : sequence of CutoffSource
        One for each cutoff.
    cutoffs : ndarray of float64, shape (C,)
    points : sequence of int, optional
        Mesh points, at most 12; up to three, spread evenly, if not given.

    Raises
    ------
    UsageError
        Impossible points.
    DataFileError
        No correlators of orders 2 and 4.
    NumericalError
        Fewer than 16 bins, or no action at any cutoff: the covariance of the outputs is singular.
    """
    count = len(sources[0].points)
    if points is None:
        points = np.unique(np.linspace(0, count - 1, min(count, USUAL_POINTS)).round().astype(np.int64))
    if len(np.atleast_1d(np.asarray(points))) > MOST_POINTS:
        raise UsageError(
            f"too many points for couplings along a flow: got {len(np.asarray(points))}; "
            f"at most {MOST_POINTS}"
        )
    require_orders(sources[0], (2, 4), "couplings along a flow")
    filled = int((sources[0].estimator.counts > 0).sum())
    if filled < FEWEST_BINS:
        raise NumericalError(
            f"too few filled bins for errors of couplings: got {filled}, needed {FEWEST_BINS}; run "
            "more networks"
        )
    found: list[Action | None] = []
    reasons: dict[int, str] = {}
    largest = max(_variance(source, points) for source in sources)
    for position, source in enumerate(sources):
        still = not _variance(source, points) > ROUNDING * largest
        result = _STILL if still else _action(source, points)
        found.append(result if isinstance(result, Action) else None)
        if isinstance(result, str):
            reasons[position] = result
    known = next((one for one in found if one is not None), None)
    if known is None:
        raise NumericalError(f"no couplings at any cutoff: {reasons[0]}")
    tables = {}
    for name in TABLES:
        replicates = [None if one is None else _replicates(one, name) for one in found]
        tables[name] = stacked(name, cutoffs, _indices(known, name), replicates, reasons)
    return FlowCouplings(cutoffs, known.points, tables, reasons)


_STILL = "singular kernel: got no variance; the outputs of all networks are the same"


def _variance(source: CutoffSource, points: npt.ArrayLike) -> float:
    """Return the largest variance of the outputs at some points."""
    pairs = np.repeat(np.asarray(chosen_points(source, points))[:, None], 2, axis=1)
    return float(source.replicates(2, None, pairs).value.max())


def _action(source: CutoffSource, points: npt.ArrayLike) -> Action | str:
    """Return the action at one cutoff, or why there is none."""
    try:
        result = action(source, 4, points, len(np.asarray(points)))
    except NumericalError as failure:
        return str(failure)
    except np.linalg.LinAlgError:
        return "singular kernel without one of the bins of networks"
    if result.spectrum.condition * DEFAULT_CUTS[4] > 1.0:
        return (
            f"singular kernel: got a condition number of {result.spectrum.condition:.1e}, above "
            f"{1.0 / DEFAULT_CUTS[4]:.0e} couplings are rounding; choose fewer points"
        )
    return result


def _replicates(result: Action, name: str) -> Replicated:
    if name == "free":
        return result.replicated("free")
    if name != "reduced_quartic":
        return result.replicated(f"{name}_leading")
    quartic = result.replicated("quartic_leading")
    count = len(result.points)
    indices = components(count, 4)
    same = np.flatnonzero((indices == indices[:, :1]).all(axis=1))
    variance = np.diagonal(result.kernel.values, axis1=1, axis2=2)[:, indices[same, 0]]
    return Replicated(quartic.values[:, same] * variance**2, quartic.bin_counts, quartic.n_networks)


def _indices(result: Action, name: str) -> IndexArray:
    if name != "reduced_quartic":
        return result.indices("free" if name == "free" else f"{name}_leading")
    indices = components(len(result.points), 4)
    same = (indices == indices[:, :1]).all(axis=1)
    return result.points[indices[same, :1]]
