"""The action of an ensemble: free part, tadpoles, quartic and sextic couplings, each with its error."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from nnft.actions.couplings import Cumulants, Frame, coupling_tables
from nnft.actions.source import CumulantSource, chosen_points, require_bins, require_orders
from nnft.actions.spectrum import Spectrum, kernel_spectrum
from nnft.actions.symmetric import component_count, components, dense_places, multiplicities
from nnft.errors import UsageError, shorten
from nnft.estimators.index_table import IndexArray
from nnft.estimators.replicated import Replicated
from nnft.estimators.results import Estimate

FloatArray = npt.NDArray[np.float64]

CONVENTION = (
    "S = const + 1/2 A_ab phi_a phi_b + 1/4! lambda_abcd phi^4 + 1/6! lambda_abcdef phi^6, density exp(-S); "
    "kappa_4 > 0 (heavy tails) gives lambda_4 < 0; lambda = -g where S = S_free - sum g phi^r/r! is written"
)
MOST_MODE_COMPONENTS = 20_000
LARGEST_SEXTIC = 24
"""Modes up to which an action through order 6 is computed."""

LARGEST_COVARIANCE = 10_000
FIELD_COUNTS = {"free": 2, "quadratic": 2, "quartic": 4, "sextic": 6}


def action(
    run: CumulantSource,
    order: int | None = None,
    points: npt.ArrayLike | None = None,
    modes: int | None = None,
    *,
    cut: float | None = None,
    threads: int | None = None,
) -> Action:
    """Return the action of the outputs of an ensemble on its input points.

    Parameters
    ----------
    run : Run
        An opened result file, or anything that gives connected correlators with replicates. The action is
        that of one output, all other outputs and points integrated out. Of trained networks, which have a
        mean, it is the even part of the action of psi = f - <f>; see `Action.skewness` for what is left out.
    order : int, optional
        4: couplings at leading order, 1/N. 6: through the next order, 1/N^2, which needs the correlator of
        order 6 and a field without odd correlators. The highest that the run allows if not given.
    points : sequence of int, optional
        Input points to keep; all if not given. The others are integrated out.
    modes : int, optional
        Eigenmodes of the two-point function to keep; the others are integrated out.
    cut : float, optional
        Keep the modes with eigenvalues above this share of the largest, instead of `modes`.
    threads : int, optional
        All that were granted if not given. The numbers do not depend on it.

    Returns
    -------
    Action

    Raises
    ------
    UsageError
        If the order is not 4 or 6, or 6 for a field with odd correlators, or points, modes or cut are
        impossible.
    DataFileError
        If the run has not the correlators.
    NumericalError
        If the kernel is singular, or there are too few networks or bins.
    """
    if order not in (None, 4, 6):
        raise UsageError(f"unknown order of an action: got {shorten(order)}; use 4 or 6")
    chosen = chosen_points(run, points)
    odd = 3 in run.orders
    if odd and order == 6:
        raise UsageError(
            "no action of order 6 of a field with a mean: got odd correlators, whose products belong to "
            "that order and are left out; use order 4"
        )
    if order is None:
        order = 6 if 6 in run.orders and len(chosen) <= LARGEST_SEXTIC and not odd else 4
    require_orders(run, (2, 4, 6)[: order // 2], f"an action of order {order}")
    kernel = kernel_replicates(run, chosen)
    require_bins(kernel, "an action")
    spectrum = kernel_spectrum(kernel, order, modes, cut)
    if order == 6 and max(len(chosen), spectrum.kept) > LARGEST_SEXTIC:
        raise UsageError(
            f"too many points for an action of order 6: got {len(chosen)}; allowed: up to {LARGEST_SEXTIC}, "
            "choose points or use order 4"
        )
    cumulants = Cumulants(
        kernel, packed_replicates(run, 4, chosen), packed_replicates(run, 6, chosen) if order == 6 else None
    )
    frame = Frame.of(spectrum.vectors, spectrum.kept, _reported(spectrum.kept, order))
    tables = coupling_tables(cumulants, frame, threads, reuse=True)
    cell = mesh_cell(run)
    deformed = "deformation" in run.card
    cubic = mode_skewness(run, chosen, spectrum, frame.modes.shape[1]) if odd else None
    return Action(order, chosen, run.points[chosen], kernel, spectrum, frame, tables, cell, deformed, cubic)


def mode_skewness(run: CumulantSource, points: IndexArray, spectrum: Spectrum, count: int) -> Replicated:
    """Return kappa_3(i, i, i) / s_i^(3/2) of the first `count` modes, values of shape (1 + B, count)."""
    three = packed_replicates(run, 3, points)
    vectors = spectrum.vectors[components(len(points), 3), :count]
    weights = multiplicities(len(points), 3)[:, None] * vectors.prod(axis=1)
    in_modes = np.einsum("bm,mi->bi", three.values, weights)
    values = in_modes / spectrum.eigenvalues.values[:, :count] ** 1.5
    return Replicated(values, three.bin_counts, three.n_networks)


def _reported(kept: int, order: int) -> int:
    """Return the number of modes whose couplings are given: the first ones, a table of limited length."""
    count = kept
    while count > 1 and component_count(count, order) > MOST_MODE_COMPONENTS:
        count -= 1
    return count


def kernel_replicates(run: CumulantSource, points: IndexArray) -> Replicated:
    """Return the two-point function of some points with replicates, values of shape (1 + B, n, n)."""
    packed = packed_replicates(run, 2, points)
    square = packed.values[:, dense_places(len(points), 2)]
    return Replicated(square, packed.bin_counts, packed.n_networks)


def packed_replicates(run: CumulantSource, order: int, points: IndexArray) -> Replicated:
    """Return a connected correlator of some points with replicates, packed over these points."""
    if len(points) == len(run.points) and bool(np.all(np.diff(points) == 1)):
        return run.replicates(order)
    return run.replicates(order, None, points[components(len(points), order)])


def mesh_cell(run: CumulantSource) -> float | None:
    """Return the volume of a cell of the mesh where the inputs are a grid, else None."""
    inputs = run.card.get("inputs", {})
    if inputs.get("generator") != "grid" or inputs.get("scale", "none") != "none" or inputs["count"] < 2:
        return None
    spacing = (inputs.get("high", 1.0) - inputs.get("low", -1.0)) / (inputs["count"] - 1)
    return float(spacing ** inputs["dimension"])


@dataclass(frozen=True, eq=False)
class Action:
    """Action of a field on n input points, computed by `action`.

    Attributes
    ----------
    order : int
        4: through order 1/N; 6: through order 1/N^2.
    points : ndarray of int32, shape (n,)
        Numbers of the input points; the `indices` of all tables on the mesh are such numbers.
    coordinates : ndarray of float64, shape (n, d)
        Their inputs.
    kernel : Replicated
        Two-point function G, values of shape (1 + B, n, n).
    spectrum : Spectrum
        Eigenmodes of G and how many are kept.
    frame : Frame
        Coordinates used.
    tables : dict of str to Replicated
        Every table with its replicates, see `table`.
    cell : float or None
        Volume of a mesh cell, for inputs on a grid.
    deformed : bool
        Whether the ensemble is a deformed one, whose cumulants need not fall with the width.
    cubic : Replicated or None
        Skewness of the reported modes; None for a field without odd correlators.
    """

    order: int
    points: IndexArray
    coordinates: FloatArray
    kernel: Replicated
    spectrum: Spectrum
    frame: Frame
    tables: dict[str, Replicated]
    cell: float | None
    deformed: bool = False
    cubic: Replicated | None = None

    @property
    def networks(self) -> int:
        """Networks behind the action."""
        return self.kernel.n_networks

    @property
    def levels(self) -> tuple[str, ...]:
        """Orders that are there: "leading", and "next" for an action of order 6."""
        return ("leading", "next") if self.order == 6 else ("leading",)

    @property
    def reported_modes(self) -> int:
        """Modes in the tables of couplings in modes, from the largest eigenvalue on."""
        return int(self.frame.modes.shape[1])

    def table(self, name: str) -> Estimate:
        """Return one table of couplings with errors.

        Parameters
        ----------
        name : str
            "free": G^-1; "quadratic_leading", "quadratic_next": A with the tadpoles through that order;
            "quartic_leading", "quartic_next": lambda_4; "sextic": lambda_6; each also with "_modes", in the
            eigenmodes of the kernel.

        Returns
        -------
        Estimate
            ``indices`` (m, r) are input points, or modes; ``value``, ``stderr``, ``bins``,
            ``covariance()``.

        Raises
        ------
        UsageError
            If there is no such table.
        """
        return self.replicated(name).estimate(self.indices(name))

    def indices(self, name: str) -> IndexArray:
        """Return the points, or modes, of every component of a table, shape (m, r)."""
        fields = FIELD_COUNTS[name.partition("_")[0]]
        if name.endswith("_modes"):
            return components(self.reported_modes, fields)
        return self.points[components(len(self.points), fields)]

    @cached_property
    def free(self) -> Estimate:
        """Inverse two-point function G^-1, a pseudo-inverse where modes are cut."""
        return self.table("free")

    @cached_property
    def quadratic(self) -> Estimate:
        """Quadratic part A with the tadpole corrections of the highest order that is there."""
        return self.table(f"quadratic_{self.levels[-1]}")

    @cached_property
    def quartic(self) -> Estimate:
        """Quartic couplings lambda_4 through the highest order that is there."""
        return self.table(f"quartic_{self.levels[-1]}")

    @cached_property
    def sextic(self) -> Estimate:
        """Sextic couplings lambda_6, of order 1/N^2; raises UsageError for an action of order 4."""
        return self.table("sextic")

    @cached_property
    def quartic_modes(self) -> Estimate:
        """Quartic couplings of the eigenmodes of the kernel."""
        return self.table(f"quartic_{self.levels[-1]}_modes")

    def reduced_quartic(self, level: str | None = None) -> Estimate:
        """Return lambda_iiii s_i^2 of every reported mode, the coupling at a typical amplitude.

        s_i is the variance of mode i; at leading order this pure number is minus the mode's excess kurtosis.

        Parameters
        ----------
        level : {"leading", "next"}, optional
            The highest that is there if not given.
        """
        table = self.tables[f"quartic_{level or self.levels[-1]}_modes"]
        count = self.reported_modes
        indices = components(count, 4)
        same = np.flatnonzero((indices == indices[:, :1]).all(axis=1))
        values = table.values[:, same] * self.spectrum.eigenvalues.values[:, :count] ** 2
        modes = np.arange(count, dtype=np.int32)[:, None]
        return Replicated(values, table.bin_counts, table.n_networks).estimate(modes)

    def skewness(self) -> Estimate | None:
        """Return kappa_3(iii) / s_i^(3/2) of every reported mode; None for a field without odd correlators.

        The cubic coupling that it stands for is left out. In trained networks kappa_3 is of order 1/N: the
        quadratic and quartic couplings change at the next order only, lambda_iiii s_i^2 by 3 skewness^2.
        """
        if self.cubic is None:
            return None
        return self.cubic.estimate(np.arange(self.reported_modes, dtype=np.int32)[:, None])

    def continuum(self, name: str) -> Estimate:
        """Return a table on the mesh with continuum normalisation.

        With sums replaced by integrals, sum_a -> cell^-1 int dx, the kernel of r points is the mesh coupling
        divided by cell^r.

        Raises
        ------
        UsageError
            If the inputs are no grid, or the table is one in modes.
        """
        if self.cell is None or name.endswith("_modes"):
            raise UsageError(
                f"no continuum normalisation for {shorten(name)}: got no grid of inputs or a table in modes; "
                'use inputs.generator = "grid" and a table on the mesh'
            )
        table = self.replicated(name)
        scale = self.cell ** -FIELD_COUNTS[name.partition("_")[0]]
        scaled = Replicated(table.values * scale, table.bin_counts, table.n_networks)
        return scaled.estimate(self.indices(name))

    def replicated(self, name: str) -> Replicated:
        """Return a table with its replicates, for functions of several couplings; raises as `table`."""
        if name not in self.tables:
            raise UsageError(
                f"no table {shorten(name)} in the action of order {self.order}: "
                f"use one of {', '.join(self.tables)}"
            )
        return self.tables[name]

    def covariance(self, name: str, rows: npt.ArrayLike | None = None) -> FloatArray:
        """Return the covariance matrix of couplings.

        Parameters
        ----------
        name : str
            A table.
        rows : sequence of int, optional
            Components; all if not given, of at most 10,000.

        Raises
        ------
        UsageError
            If there is no such table or the matrix would be too large.
        """
        table = self.replicated(name)
        chosen = np.arange(table.values.shape[1]) if rows is None else np.asarray(rows)
        if len(chosen) > LARGEST_COVARIANCE:
            raise UsageError(
                f"covariance of {shorten(name)} too large: got {len(chosen)} components; "
                f"choose at most {LARGEST_COVARIANCE} rows"
            )
        return table.chosen(chosen).covariance()
