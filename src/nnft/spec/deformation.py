"""An interaction by insertion: a potential of the outputs that weighs every network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Discriminator, Field, Tag, model_validator

from nnft.errors import CardError
from nnft.spec.fields import MOST_POINTS, Integer, Real, Table, as_sequence, list_or_number, word_or_number
from nnft.spec.inputs import InputsSpec
from nnft.spec.problems import line, mistake

LARGEST_COUPLING = 1e12
MOST_READOUTS = 1024
POWERS = ("phi2", "phi4", "phi6")
FACTORIALS = (2.0, 24.0, 720.0)

Coupling = Annotated[Real, Field(ge=-LARGEST_COUPLING, le=LARGEST_COUPLING)]
Couplings = Annotated[tuple[Coupling, ...], as_sequence(MOST_POINTS), Field(min_length=1)]
CouplingPerPoint = Annotated[
    Annotated[Coupling, Tag("<one>")] | Annotated[Couplings, Tag("<list>")], Discriminator(list_or_number)
]
Cell = Annotated[Real, Field(gt=0.0, le=LARGEST_COUPLING)]
CellOrAuto = Annotated[
    Annotated[Cell, Tag("<one>")] | Annotated[Literal["auto"], Tag("<word>")], Discriminator(word_or_number)
]
Readouts = Annotated[Integer, Field(ge=1, le=MOST_READOUTS)]
ReadoutsOrAuto = Annotated[
    Annotated[Readouts, Tag("<one>")] | Annotated[Literal["auto"], Tag("<word>")],
    Discriminator(word_or_number),
]
_ALLOWED = "a number from -1e12 to 1e12, or a list with one for each input point"


class DeformationSpec(Table):
    """A potential V of the outputs; averages are those of the networks weighted with exp(-V).

    V = cell * sum over points a and outputs i of
    phi2_a phi_i(x_a)^2 / 2 + phi4_a phi_i(x_a)^4 / 4! + phi6_a phi_i(x_a)^6 / 6!
    (Demirtas, Halverson, Maiti, Schwartz, Stoner, arXiv:2307.03223, section 5).

    Attributes
    ----------
    phi2, phi4, phi6 : float or tuple of float
        Couplings: one number, or one for every input point.
    cell : float or str
        Volume of a cell of the mesh of points, or ``"auto"``: spacing^dimension of a grid, else 1.
    invariance : str
        ``"each"``: the sum over outputs above. ``"total"``: the same polynomial once, of
        sum_i phi_i(x_a)^2 in place of phi_i(x_a)^2; it keeps the rotations among the outputs.
    readouts : int or str
        Independent draws of the last layer of each network, each with a weight of its own, averaged.
    """

    phi2: CouplingPerPoint = Field(0.0, description=_ALLOWED)
    phi4: CouplingPerPoint = Field(0.0, description=_ALLOWED)
    phi6: CouplingPerPoint = Field(0.0, description=_ALLOWED)
    cell: CellOrAuto = Field("auto", description='"auto" or a number above 0, at most 1e12')
    invariance: Literal["each", "total"] = Field("each", description="each or total")
    readouts: ReadoutsOrAuto = Field(
        "auto", description=f'"auto" or a whole number from 1 to {MOST_READOUTS}'
    )

    @model_validator(mode="after")
    def _bounded_below(self) -> Self:
        lists = {name: len(value) for name, value in self._given() if isinstance(value, tuple)}
        if len(set(lists.values())) > 1:
            got = ", ".join(f"{count} of {name}" for name, count in lists.items())
            raise mistake("lists of different lengths", "give one number for each input point", got)
        table = self.table(max(lists.values(), default=1))
        if not table.any():
            raise mistake(
                "no coupling", "set phi2, phi4 or phi6, or leave out [deformation]", "zero for all of them"
            )
        for point, column in enumerate(table.T):
            highest = int(np.flatnonzero(column)[-1]) if column.any() else 0
            if column[highest] < 0.0:
                name = POWERS[highest] + (f"[{point}]" if POWERS[highest] in lists else "")
                raise mistake(
                    "potential not bounded below",
                    "the highest coupling at every point must be positive",
                    repr(float(column[highest])),
                    name,
                )
        return self

    def _given(self) -> Iterator[tuple[str, float | tuple[float, ...]]]:
        for name in POWERS:
            yield name, getattr(self, name)

    def table(self, points: int) -> NDArray[np.float64]:
        """Return the couplings phi2, phi4, phi6 at every point, shape (3, points)."""
        return np.array([np.broadcast_to(value, points) for _, value in self._given()], dtype=np.float64)

    def interaction(self, inputs: InputsSpec, points: int) -> Interaction:
        """Return the potential on a mesh of points.

        Parameters
        ----------
        inputs : InputsSpec
            Where the points come from.
        points : int
            Their number P.

        Raises
        ------
        CardError
            A list does not have one coupling for each point, or there is no spacing to make a cell of.
        """
        problems = [
            line(
                "wrong number of values",
                f"deformation.{name}",
                f"{len(value)} values",
                f"allowed: one number, or {points}, one for each input point",
            )
            for name, value in self._given()
            if isinstance(value, tuple) and len(value) != points
        ]
        cell = self.cell if self.cell != "auto" else _cell(inputs)
        if cell is None:
            problems.append(
                line(
                    "no cell",
                    "deformation.cell",
                    f"auto with inputs.scale {inputs.scale} and a grid",
                    "give the volume of a cell of the mesh as a number",
                )
            )
        if problems or cell is None:
            raise CardError(problems)
        return Interaction(self.table(points), cell, self.invariance)


def _cell(inputs: InputsSpec) -> float | None:
    """Spacing^dimension of a grid, 1 for other points; None for a grid that was scaled or has no extent."""
    if inputs.generator != "grid" or inputs.count in (None, 1):
        return 1.0
    low, high = (-1.0, 1.0) if inputs.low is None or inputs.high is None else (inputs.low, inputs.high)
    spacing = (high - low) / ((inputs.count or 2) - 1)
    cell = float(spacing ** (inputs.dimension or 1))
    return cell if inputs.scale == "none" and 0.0 < cell <= LARGEST_COUPLING else None


@dataclass(frozen=True, eq=False)
class Interaction:
    """A potential on a mesh of points, with nothing left to decide.

    Attributes
    ----------
    couplings : ndarray of float64, shape (3, P)
        phi2, phi4, phi6 at every point.
    cell : float
        Volume of a cell.
    invariance : str
        ``"each"`` or ``"total"``.
    """

    couplings: NDArray[np.float64]
    cell: float
    invariance: str

    @property
    def coefficients(self) -> NDArray[np.float64]:
        """Coefficients of r, r^2, r^3 at every point, shape (3, P), where r = phi^2."""
        scaled: NDArray[np.float64] = self.couplings * self.cell / np.array(FACTORIALS)[:, None]
        return scaled

    def describe(self) -> str:
        """Return the potential in words."""
        parts = []
        for name, values in zip(POWERS, self.couplings, strict=True):
            low, high = float(values.min()), float(values.max())
            if low == high != 0.0:
                parts.append(f"{name} {low:g}")
            elif low != high:
                parts.append(f"{name} {low:g} to {high:g}")
        kind = "each output" if self.invariance == "each" else "the sum of squares of all outputs"
        return f"{', '.join(parts)}, cell {self.cell:g}, a function of {kind}"
