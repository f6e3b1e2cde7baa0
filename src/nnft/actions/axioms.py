"""Symmetries and axioms of a field theory, tested on an ensemble of networks.

Reflection positivity, Euclidean invariance and cluster decomposition are the axioms under which a Euclidean
field theory has a relativistic one behind it (Osterwalder, Schrader, Commun. Math. Phys. 31, 83 (1973));
for networks see Halverson, arXiv:2112.04527, and Maiti, Stoner, Halverson, arXiv:2106.00694.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nnft.actions.axiom_report import AxiomReport
from nnft.actions.axiom_source import Ensemble, StoredEnsemble, ensemble_of_fields, ensemble_of_run
from nnft.actions.clustering import cluster_checks
from nnft.actions.positivity import positivity_checks
from nnft.actions.source import refuse_trained, require_orders
from nnft.actions.symmetry_classes import default_tolerance
from nnft.actions.symmetry_inputs import euclidean_checks
from nnft.actions.symmetry_outputs import output_checks
from nnft.errors import UsageError, shorten

ORDERS = (2, 4, 6)


def axioms(
    run: StoredEnsemble,
    *,
    orders: Sequence[int] | None = None,
    axis: int = 0,
    plane: float | str = 0.0,
    tolerance: float | None = None,
) -> AxiomReport:
    """Test the symmetries and axioms of a run.

    Parameters
    ----------
    run : nnft.Run
    orders : sequence of int, optional
        Orders of the correlators that are compared, out of 2, 4, 6; those in the file if not given.
    axis : int
        Coordinate that reflection positivity reflects.
    plane : float or 'middle'
        Where it reflects.
    tolerance : float, optional
        Coordinates closer than this are equal; 1e-9 of the largest one if not given.

    Returns
    -------
    AxiomReport

    Raises
    ------
    UsageError
        If an order, the axis, the plane or the tolerance is not allowed, or the networks are trained: the
        checks are those of fields without a mean.
    DataFileError
        If an order is not in the file.
    NumericalError
        If there are no networks or fewer than 16 filled bins.
    """
    refuse_trained(run, "axioms")
    chosen = _checked_orders(orders, run.orders)
    require_orders(run, chosen, "axioms")
    _check_geometry(run.points, axis, plane, tolerance)
    ensemble = ensemble_of_run(run)
    name = str(getattr(run.path, "name", run.path))
    return _report(name, ensemble, chosen, axis, plane, tolerance)


def axioms_of_fields(
    points: npt.ArrayLike,
    fields: npt.ArrayLike,
    *,
    orders: Sequence[int] = (2, 4),
    axis: int = 0,
    plane: float | str = 0.0,
    tolerance: float | None = None,
    bins: int = 100,
) -> AxiomReport:
    """Test the symmetries and axioms of an ensemble that another program has sampled.

    Parameters
    ----------
    points : array_like of numbers, shape (P, d)
        Inputs.
    fields : array_like of numbers, shape (M, D, P)
        Outputs of M independent networks at these inputs.
    orders, axis, plane, tolerance
        As for `axioms`.
    bins : int
        Groups of consecutive networks behind the errors, each of 32 networks or more.

    Returns
    -------
    AxiomReport

    Raises
    ------
    UsageError
        If an argument is not allowed.
    NumericalError
        If there are fewer than 512 networks.
    """
    chosen = _checked_orders(orders, ORDERS)
    mesh = np.asarray(points)
    if mesh.ndim == 2 and mesh.dtype.kind in "fiu":
        _check_geometry(mesh.astype(np.float64), axis, plane, tolerance)
    ensemble = ensemble_of_fields(points, fields, chosen, bins)
    return _report("fields", ensemble, chosen, axis, plane, tolerance)


def _report(
    name: str,
    ensemble: Ensemble,
    orders: tuple[int, ...],
    axis: int,
    plane: float | str,
    tolerance: float | None,
) -> AxiomReport:
    points = ensemble.correlators.points
    close = default_tolerance(points) if tolerance is None else float(tolerance)
    checks = [
        *output_checks(ensemble),
        *euclidean_checks(ensemble, orders, close),
        *positivity_checks(ensemble, orders, axis, plane, close),
        *cluster_checks(ensemble, orders, close),
    ]
    fields = 0 if ensemble.sample is None else len(ensemble.sample.fields)
    return AxiomReport(name, ensemble.correlators.networks, ensemble.bins, fields, tuple(checks))


def _checked_orders(orders: Sequence[int] | None, available: Sequence[int]) -> tuple[int, ...]:
    if orders is None:
        return tuple(order for order in available if order in ORDERS)
    wrong = [order for order in orders if order not in ORDERS]
    if wrong or not orders:
        got = shorten(wrong[0] if wrong else list(orders))
        raise UsageError(f"no such order of a check: got {got}; allowed: 2, 4, 6")
    return tuple(sorted(set(orders)))


def _check_geometry(
    points: npt.NDArray[np.float64], axis: int, plane: float | str, tolerance: float | None
) -> None:
    """Refuse what cannot be meant, before anything is read."""
    if not 0 <= axis < points.shape[1]:
        raise UsageError(f"axis out of range: got {axis}; allowed: 0 to {points.shape[1] - 1}")
    if plane != "middle" and (isinstance(plane, str) or not np.isfinite(plane)):
        raise UsageError(f"no place for the plane: got {shorten(plane)}; give a number or middle")
    if tolerance is not None and not (np.isfinite(tolerance) and tolerance >= 0.0):
        raise UsageError(f"impossible tolerance: got {tolerance!r}; give a number from 0")
