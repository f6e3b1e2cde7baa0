"""Fits over the members of a scan: in 1/width, in depth, or in any number of the card."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nnft.analysis.extrapolate_axis import Axis, make_axis, where
from nnft.analysis.extrapolate_data import (
    POWERS,
    Observable,
    Sampled,
    Selection,
    check_same_components,
    sampled,
)
from nnft.analysis.extrapolate_fit import (
    JointFit,
    Support,
    covariance_of,
    fit_jointly,
    fit_power_law,
    fit_powers,
    groups_of,
    whitening,
)
from nnft.analysis.run import Run, open_run
from nnft.analysis.scan_index import is_scan, open_scan
from nnft.errors import DataFileError, NumericalError, UsageError, shorten
from nnft.estimators.index_table import IndexArray

FloatArray = npt.NDArray[np.float64]

LARGEST_POWER = 12
SMALLEST_ERROR = 1e-14


@dataclass(frozen=True, eq=False)
class Extrapolation:
    """A fit over N runs of m components with K powers, y = sum_k c_k x^(p_k).

    Attributes
    ----------
    observable, title : str
        Name as given, and what it is.
    against : str
        As given.
    x_label, y_label : str
        Labels of axes.
    members : tuple of str
        Names of the runs, in ascending order of x.
    x : ndarray of float64, shape (N,)
    indices : ndarray of int32, shape (m, r)
        Input points (or modes) of each component.
    labels : tuple of str, length m
        The same as text, ``"0,0,1,1"``.
    y, yerr : ndarray of float64, shape (m, N)
        Values and standard errors.
    unreliable : ndarray of bool, shape (m, N)
        Errors that cannot be trusted.
    powers : tuple of int, length K
    coefficients, coefficient_errors : ndarray of float64, shape (m, K)
        c_k with standard errors; NaN for a component that was not fitted.
    covariance : ndarray of float64, shape (m, K, K)
        Covariance of the coefficients of each component.
    chi_square, p_value : ndarray of float64, shape (m,)
        Of each component; p NaN without degrees of freedom.
    dof : int
        N - K.
    slope, slope_error, slope_chi_square : ndarray of float64, shape (m,)
        Exponent s of the power law y = A v^s, v the `slope_variable`: the slope in the log-log plane; NaN
        where there is none.
    slope_variable : str
        ``"n"`` against the width (x = 1/n), otherwise `x_label`.
    joint : JointFit
        All components at once.
    notes : tuple of str
        What the reader must know.
    """

    observable: str
    title: str
    against: str
    x_label: str
    y_label: str
    members: tuple[str, ...]
    x: FloatArray
    indices: IndexArray
    labels: tuple[str, ...]
    y: FloatArray
    yerr: FloatArray
    unreliable: npt.NDArray[np.bool_]
    powers: tuple[int, ...]
    coefficients: FloatArray
    coefficient_errors: FloatArray
    covariance: FloatArray
    chi_square: FloatArray
    p_value: FloatArray
    dof: int
    slope: FloatArray
    slope_error: FloatArray
    slope_chi_square: FloatArray
    slope_variable: str
    joint: JointFit
    notes: tuple[str, ...]

    def curve(self, component: int, x: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Return the fitted curve of a component and its standard error.

        Parameters
        ----------
        component : int
            Row of `indices`.
        x : array_like, shape (q,)

        Returns
        -------
        value, error : ndarray of float64, shape (q,)
        """
        rows = np.asarray(x, dtype=np.float64)[:, None] ** np.array(self.powers)
        value: FloatArray = rows @ self.coefficients[component]
        variance = np.einsum("qk,kl,ql->q", rows, self.covariance[component], rows)
        return value, np.sqrt(variance)


def extrapolate(
    source: str | os.PathLike[str] | Sequence[Any],
    observable: str = "g4",
    *,
    against: str = "width",
    powers: Sequence[int] | None = None,
    points: Sequence[int] | None = None,
    component: Sequence[int] | None = None,
    min_width: int | None = None,
    conditions: Mapping[str, Any] | None = None,
) -> Extrapolation:
    """Fit an observable over runs with correlated errors.

    Parameters
    ----------
    source : path, or sequence of paths or Run
        The folder of a scan, or run files.
    observable : str
        ``mean`` (trained networks), ``g2``, ``g4``, ``g6`` (connected), ``kurtosis``,
        ``relative-g4`` = G4(aaaa)/(3 G2(aa)^2), ``relative-g6`` = G6/(15 G2^3),
        ``vertex:LAYER`` (covariances of the metric of a layer), ``lambda4``, ``lambda6``, and these with
        ``-modes``.
    against : str
        ``width``: x = 1/n; ``depth``: x = (L - 1)/n with L affine layers; or a key such as
        ``network.weight_variance``. n is the harmonic mean of the hidden widths.
    powers : sequence of int, optional
        Of x. Against width and depth the series starts as theory says (G4: 1, 2; G6: 2, 3; G2: 0, 1),
        against a key with 0, 1, 2.
    points : sequence of int, optional
        Coincident components of these points only.
    component : sequence of int, optional
        One component only.
    min_width : int, optional
        Leave out runs with a narrower hidden layer.
    conditions : mapping, optional
        Keep runs whose cards have these values, by dotted key.

    Returns
    -------
    Extrapolation

    Raises
    ------
    UsageError
        Unknown names, too few members for the powers, no variation.
    DataFileError
        Fewer than two finished runs, or no such correlator in a file.
    NumericalError
        Too few networks or bins, or nothing can be fitted.
    """
    kind = Observable.parse(observable)
    if points is not None and component is not None:
        raise UsageError("contradiction: got both --points and --component; give one of them")
    selection = Selection(
        None if points is None else tuple(points), None if component is None else tuple(component)
    )
    with contextlib.ExitStack() as stack:
        runs, notes = _finished_runs(source, stack)
        runs = where(runs, conditions or {})
        if min_width is not None:
            runs = [run for run in runs if min(run.card["network"]["widths"], default=0) >= min_width]
        if len(runs) < 2:
            raise UsageError(f"too few members are left: got {len(runs)}; choose at least 2")
        seeds = _repeated(runs)
        axis = make_axis(runs, against)
        chosen = _powers(powers, axis, kind, len(runs))
        notes += [*axis.notes, *seeds]
        order = _action_order(runs) if kind.name.startswith("lambda") else 4
        place = np.argsort(axis.x, kind="stable")
        members = [sampled(runs[number], kind, selection, order) for number in place]
    check_same_components(members)
    indices = members[0].indices
    if (
        selection == Selection()
        and len(indices) > 1 < indices.shape[1]
        and np.ptp(indices, axis=1).max() == 0
    ):
        notes.append("many components: those with all points equal are fitted, --component picks others")
    return _fitted(members, axis, axis.x[place], chosen, notes, (observable, kind.title, against))


def _finished_runs(source: Any, stack: contextlib.ExitStack) -> tuple[list[Run], list[str]]:
    """Open every finished run of a folder or a list."""
    notes: list[str] = []
    sources = [source] if isinstance(source, str | os.PathLike) else list(source)
    opened: list[Run] = []
    for entry in sources:
        if isinstance(entry, Run):
            opened.append(entry)
        elif is_scan(entry):
            index = open_scan(entry)
            for member in index.members:
                if member.state == "done":
                    opened.append(stack.enter_context(index.open(member)))
                else:
                    notes.append(f"left out, {member.state}: {member.name}")
        else:
            opened.append(stack.enter_context(open_run(entry)))
    runs = [run for run in opened if run.complete]
    notes += [f"left out, not complete: {run.path.name}" for run in opened if not run.complete]
    if len(runs) < 2:
        raise DataFileError(
            f"fewer than 2 finished members: got {len(runs)} in {shorten([str(s) for s in sources])}; "
            "finish the scan or give more files"
        )
    return runs, notes


def _powers(given: Sequence[int] | None, axis: Axis, kind: Observable, members: int) -> tuple[int, ...]:
    powers = tuple(given) if given is not None else axis.powers or POWERS[kind.name]
    if not powers or len(set(powers)) != len(powers) or not all(0 <= p <= LARGEST_POWER for p in powers):
        raise UsageError(f"impossible powers: got {shorten(list(powers))}; give different ones from 0 to 12")
    if members < len(powers):
        raise UsageError(
            f"too few members for {len(powers)} powers: got {members}; scan more or give fewer --powers"
        )
    return powers


def _repeated(runs: Sequence[Run]) -> list[str]:
    """Refuse a run that is given twice; warn of equal seeds whose bins do not correspond."""
    seen: dict[tuple[str, int], str] = {}
    layouts: dict[str, set[tuple[int, ...]]] = {}
    for run in runs:
        key = (run.stored.text("digest"), run.networks)
        if key in seen:
            raise UsageError(f"run given twice: got {seen[key]} and {run.path.name}; leave one out")
        seen[key] = run.path.name
        layout = (run.stored.counter("block_size"), len(run.estimator.counts), run.networks)
        layouts.setdefault(run.stored.text("seed"), set()).add(layout)
    if any(len(found) > 1 for found in layouts.values()):
        return ["equal seeds with other blocks, bins or networks: their correlation is neglected"]
    return []


def _action_order(runs: Sequence[Run]) -> int:
    """Return the order through which the action of every run can be computed."""
    from nnft.actions.action import LARGEST_SEXTIC

    six = all(6 in run.estimator.layout.orders and len(run.points) <= LARGEST_SEXTIC for run in runs)
    return 6 if six else 4


def _fitted(
    members: Sequence[Sampled],
    axis: Axis,
    x: FloatArray,
    powers: tuple[int, ...],
    notes: list[str],
    names: tuple[str, str, str],
) -> Extrapolation:
    """Fit every component, and all of them jointly."""
    groups = groups_of(members)
    y = np.stack([member.value for member in members], axis=1)
    yerr = np.stack([member.stderr for member in members], axis=1)
    flags = np.stack([member.unreliable for member in members], axis=1)
    usable = np.isfinite(y) & np.isfinite(yerr) & (yerr > SMALLEST_ERROR * np.abs(y))
    good = np.flatnonzero(usable.all(axis=1)).tolist()
    if not good:
        raise NumericalError(
            f"nothing to fit in {names[0]}: got no component with values and errors in all members"
        )
    if len(good) < len(y):
        notes.append(f"{len(y) - len(good)} of {len(y)} components not fitted: no fluctuation or no value")
    if heavy := int(np.count_nonzero(flags[good])):
        notes.append(f"{heavy} of {flags[good].size} errors cannot be trusted (heavy tails)")
    if len(groups) < len(members):
        notes.append("members with one seed: their correlation is taken from the bins")
    fits, slopes = _each(members, groups, x, powers, good, len(y))
    sign = -1.0 if axis.variable == "n" else 1.0
    return Extrapolation(
        observable=names[0],
        title=names[1],
        against=names[2],
        x_label=axis.label,
        y_label=names[1],
        members=tuple(member.name for member in members),
        x=x,
        indices=members[0].indices,
        labels=tuple(",".join(map(str, row)) for row in members[0].indices.tolist()),
        y=y,
        yerr=yerr,
        unreliable=flags,
        powers=powers,
        **fits,
        dof=len(members) - len(powers),
        slope=sign * slopes[:, 0],
        slope_error=slopes[:, 1],
        slope_chi_square=slopes[:, 2],
        slope_variable=axis.variable,
        joint=fit_jointly(x, members, groups, powers, good),
        notes=tuple(notes),
    )


def _each(
    members: Sequence[Sampled],
    groups: list[list[int]],
    x: FloatArray,
    powers: tuple[int, ...],
    good: list[int],
    count: int,
) -> tuple[dict[str, FloatArray], FloatArray]:
    """Fit the components one by one; NaN for those that cannot be."""
    size = len(powers)
    support = Support.of(members, groups)
    found = {
        "coefficients": np.full((count, size), np.nan),
        "coefficient_errors": np.full((count, size), np.nan),
        "covariance": np.full((count, size, size), np.nan),
        "chi_square": np.full(count, np.nan),
        "p_value": np.full(count, np.nan),
    }
    slopes = np.full((count, 3), np.nan)
    for row in good:
        y = np.array([member.value[row] for member in members])
        white = whitening(covariance_of(members, groups, row))
        fit = fit_powers(x, y, white, powers, support)
        found["coefficients"][row], found["covariance"][row] = fit.coefficients, fit.covariance
        found["coefficient_errors"][row] = np.sqrt(np.diagonal(fit.covariance))
        found["chi_square"][row], found["p_value"][row] = fit.chi_square, fit.p_value
        slopes[row] = fit_power_law(x, y, white, support)
    return found, slopes
