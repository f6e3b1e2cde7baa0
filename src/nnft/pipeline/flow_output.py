"""What is printed and drawn of a flow over cutoffs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nnft.analysis.flow_readings import flow_readings, readings_lines
from nnft.analysis.flow_record import (
    all_quantities,
    couplings_record,
    couplings_text,
    quantity_record,
    quantity_text,
    spectrum_record,
)
from nnft.analysis.flow_refills import refill_split, split_text
from nnft.analysis.flow_table import flow_numbers, flow_text
from nnft.analysis.renormalized_run import RenormalizedRun
from nnft.errors import UsageError, shorten
from nnft.pipeline.action_output import Printed
from nnft.pipeline.flow_expectation import expected_losses
from nnft.pipeline.flow_infinite import infinite_flow, infinite_record, infinite_text
from nnft.plots.files import check_picture, save_picture

QUANTITIES = ("losses", "outputs", "couplings", "spectrum", "histogram")


@dataclass(frozen=True)
class FlowView:
    """What of a flow is wanted.

    Attributes
    ----------
    point : int
        Mesh point whose mean and cumulants are in the table.
    theory : int
        Networks whose expected losses are worked out.
    plot : str or path, optional
    quantity : str
        What is drawn: one of `QUANTITIES`.
    observable : str, optional
        Quantity that is printed with its correlations along the flow instead of the table.
    components : sequence of sequence of int
        Mesh points of the wanted components of it; that at `point` if there are none.
    couplings : bool
        Whether couplings are printed instead of the table.
    coupling_points : sequence of int, optional
        Mesh points of the action.
    split : bool
        Whether the variance within and between networks is printed instead of the table.
    infinite : bool
        Whether the flow of infinitely wide networks is printed beside instead of the table.
    complete : bool
        Whether the record holds every quantity and the spectrum.
    """

    point: int = 0
    theory: int = 0
    plot: str | os.PathLike[str] | None = None
    quantity: str = "losses"
    observable: str | None = None
    components: Sequence[Sequence[int]] = ()
    couplings: bool = False
    coupling_points: Sequence[int] | None = None
    split: bool = False
    infinite: bool = False
    complete: bool = False

    def check(self) -> None:
        """Refuse what contradicts itself, before anything is computed.

        Raises
        ------
        UsageError
            Two tables at once, or an option of one that is not wanted.
        EnvironmentRefusal
            A picture, and no matplotlib.
        """
        tables = {
            "--observable": self.observable is not None, "--couplings": self.couplings, "--split": self.split,
            "--infinite-width": self.infinite,
        }  # fmt: skip
        wanted = [name for name, given in tables.items() if given]
        if len(wanted) > 1:
            raise UsageError(f"contradiction: got {wanted[0]} and {wanted[1]}; ask for one table at a time")
        if self.components and self.observable is None:
            raise UsageError("missing option --observable: got --component without it; say of what")
        drawn = self.plot is not None and self.quantity == "couplings"
        if self.coupling_points is not None and not (self.couplings or drawn):
            raise UsageError("missing option --couplings: got --coupling-points without it")
        if self.theory and wanted:
            raise UsageError(f"contradiction: got --theory and {wanted[0]}; it is for the table of losses")
        if self.quantity not in QUANTITIES:
            raise UsageError(
                f"unknown picture of a flow: got {shorten(self.quantity)}; use one of {', '.join(QUANTITIES)}"
            )
        if self.plot is not None:
            check_picture(self.plot)
        elif self.quantity != "losses":
            raise UsageError("missing option --plot: got --quantity without it; name the picture")


def flow_view(flow: RenormalizedRun, view: FlowView) -> Printed:
    """Return what is wanted of a flow, and draw its picture.

    Raises
    ------
    UsageError
        There is nothing of the kind.
    NumericalError
        Too few networks, or no couplings at any cutoff.
    """
    printed = _printed(flow, view)
    if view.plot is not None:
        from nnft.pipeline.flow_pictures import flow_figure
        from nnft.plots.style import house_style

        with house_style():
            numbers = printed.record if "rows" in printed.record else None
            save_picture(flow_figure(flow, view.quantity, numbers, view.coupling_points), view.plot)
    return printed


def _printed(flow: RenormalizedRun, view: FlowView) -> Printed:
    head = {"path": str(flow.run.path), "networks": flow.run.networks}
    if view.observable is not None:
        quantity = flow.quantity(view.observable, _components(flow, view))
        record = head | quantity_record(quantity)
        return Printed(record, f"{_title(flow)}\n\n{quantity_text(record)}")
    if view.couplings:
        record = head | couplings_record(flow.couplings(view.coupling_points))
        return Printed(record, f"{_title(flow)}\n{couplings_text(record)}")
    if view.split:
        split = refill_split(flow, view.point)
        text = split_text(split)
        return Printed(head | (split or {}), f"{_title(flow)}\n{text}")
    if view.infinite:
        record = infinite_record(flow, infinite_flow(flow), view.point)
        return Printed(head | record, f"{_title(flow)}\n\n{infinite_text(record)}")
    numbers = flow_numbers(flow, view.point)
    if view.theory:
        found = expected_losses(flow, view.theory)
        numbers["expected_networks"] = found.networks
        for row, expected in zip(numbers["rows"], found.rows(), strict=True):
            row.update(expected)
    if view.complete:
        numbers["observables"] = all_quantities(flow)
        numbers["refill_split"] = refill_split(flow, view.point)
        numbers["spectrum"] = spectrum_record(flow)
    text = flow_text(numbers)
    if flow.run.cosines is not None:
        numbers["readings"] = flow_readings(flow)
        text = "\n".join([text, *readings_lines(numbers["readings"])])
    return Printed(numbers, text)


def _title(flow: RenormalizedRun) -> str:
    return (
        f"{Path(flow.run.path).name}: flow of {flow.run.networks} networks over {len(flow.cutoffs)} cutoffs"
    )


def _components(flow: RenormalizedRun, view: FlowView) -> Any:
    """Return the wanted components of a quantity; that at one point, if none are named."""
    every = flow.sums.components(str(view.observable))
    slots = every.shape[1]
    if not view.components:
        return np.full((1, slots), view.point)
    for points in view.components:
        if len(points) != slots:
            raise UsageError(
                f"wrong number of points in --component: got {shorten(list(points))}; {view.observable} has "
                f"{slots} of them"
            )
    return np.array(view.components, dtype=np.int64).reshape(len(view.components), slots)
