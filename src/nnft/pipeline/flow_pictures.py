"""The pictures of a flow over cutoffs from its file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnft.analysis.flow_couplings import FlowCouplings
from nnft.analysis.flow_table import flow_numbers
from nnft.analysis.renormalized_run import RenormalizedRun
from nnft.errors import UsageError
from nnft.plots.cutoff_couplings import couplings_figure
from nnft.plots.cutoff_outputs import OutputSamples, histogram_figure, outputs_figure
from nnft.plots.cutoff_spectrum import spectrum_figure
from nnft.plots.cutoffs import cutoffs_figure

MOST_POINTS = 4
"""Mesh points whose outputs are drawn."""


def flow_figure(
    flow: RenormalizedRun,
    quantity: str,
    numbers: dict[str, Any] | None = None,
    coupling_points: Sequence[int] | None = None,
    couplings: FlowCouplings | None = None,
) -> Any:
    """Return one picture as a figure; to be called inside of `nnft.plots.style.house_style`.

    Parameters
    ----------
    flow : RenormalizedRun
    quantity : str
        "losses", "outputs", "couplings", "spectrum" or "histogram".
    numbers : dict, optional
        From `nnft.analysis.flow_table.flow_numbers`, where they are known.
    coupling_points : sequence of int, optional
        Mesh points of the action.
    couplings : FlowCouplings, optional
        Where they are known.

    Raises
    ------
    UsageError
        The file has nothing of the kind.
    NumericalError
        Too few networks.
    """
    source = flow.run.path.name
    if quantity == "outputs":
        return outputs(flow)
    if quantity == "couplings":
        return couplings_figure(couplings or flow.couplings(coupling_points), source)
    if quantity == "spectrum":
        if flow.spectrum is None:
            raise UsageError("no spectrum of the information in the file: follow the networks again")
        return spectrum_figure(flow.spectrum, flow.cutoffs, source)
    found = numbers or flow_numbers(flow)
    if quantity == "histogram":
        return histogram_figure(output_samples(flow, found), source)
    return cutoffs_figure(found, flow.losses)


def outputs(flow: RenormalizedRun) -> Any:
    """Return the picture of mean, variance, kurtosis and tangent kernel at the first mesh points."""
    points = np.arange(min(len(flow.run.points), MOST_POINTS))
    wanted = {"mean": 1, "connected_2": 2, "excess_kurtosis": 1, "tangent": 2}
    quantities = [
        flow.quantity(name, np.repeat(points[:, None], slots, axis=1))
        for name, slots in wanted.items()
        if name in flow.names
    ]
    return outputs_figure(quantities, points.tolist(), flow.run.path.name)


def output_samples(flow: RenormalizedRun, numbers: dict[str, Any]) -> OutputSamples:
    """Return outputs of single networks at both ends of the flow and near half of the rise of the loss.

    Raises
    ------
    UsageError
        The file keeps no outputs.
    """
    kept = flow.kept_outputs
    if not len(kept):
        raise UsageError("no outputs of single networks in the file: follow the networks again")
    chosen, names = [0], ["trained: cutoff 0"]
    halves = [scale for scale in numbers["critical_scales"] if scale["delta"] == 0.5 and scale["value"]]
    found = [scale for scale in halves if scale["of"] == "test_error"] or halves
    if found and len(flow.cutoffs) > 2:
        inner = np.log(flow.cutoffs[1:-1])
        chosen.append(1 + int(np.abs(inner - np.log(found[0]["value"])).argmin()))
        names.append(f"cutoff {flow.cutoffs[chosen[-1]]:.3g}: about 50 % of the rise")
    chosen.append(len(flow.cutoffs) - 1)
    names.append(r"everything replaced: cutoff $\infty$")
    return OutputSamples(kept[:, chosen], tuple(names), tuple(range(kept.shape[2])))
