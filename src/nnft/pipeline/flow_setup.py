"""From a specification to the flow of its trained networks."""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt

from nnft.pipeline.network_data import data_of_network
from nnft.samplers.renormalized import FlowSchedule, Renormalization
from nnft.samplers.trained import TrainedEnsemble
from nnft.spec.data_scaling import scaled_inputs
from nnft.spec.flow import with_ends
from nnft.spec.flow_resolution import FlowResolution
from nnft.spec.run import RunSpec
from nnft.spec.teachers import Stream, draw_inputs

FloatArray = npt.NDArray[np.float64]


def fisher_inputs(spec: RunSpec, flow: FlowResolution, network: int = 0) -> FloatArray:
    """Return the inputs on which information is measured, shape (X, d).

    Fresh ones come from the law of the teacher's inputs, by a seed of their own, and are scaled as the
    training inputs are. Networks with data of their own have inputs of their own here too.
    """
    if flow.source == "training" or spec.training is None:
        return data_of_network(spec, network).train_inputs[: flow.points]
    table = spec.training.data
    network = network if table.anew else 0
    fresh = draw_inputs(table.model_copy(update={"seed": flow.seed}), flow.points, Stream.FISHER, network)
    if table.file is None and table.points is not None:
        drawn = draw_inputs(table, table.points, Stream.INPUTS, network)
        fresh = scaled_inputs(table, drawn, fresh, "fresh inputs")[1]
    return fresh


def make_renormalization(
    spec: RunSpec, flow: FlowResolution, ensemble: TrainedEnsemble, cutoffs: tuple[float, ...]
) -> Renormalization:
    """Return the flow with these cutoffs."""
    data = spec.dataset()
    schedule = FlowSchedule(
        cutoffs,
        flow.layers,
        flow.noise_variance,
        flow.weight_rates,
        flow.bias_rates,
        flow.fill,
        flow.width or 1.0,
        flow.refills,
        flow.anew,
    )
    test = (data.test_inputs, data.test_targets) if len(data.test_inputs) else None
    inputs, mesh = fisher_inputs(spec, flow), spec.mesh().points
    inputs_of = partial(fisher_inputs, spec, flow) if data.anew else None
    return Renormalization(ensemble, schedule, inputs, mesh, test, flow.tangents, inputs_of)


def quantile_cutoffs(renormalization: Renormalization, theta: FloatArray, count: int) -> tuple[float, ...]:
    """Return cutoffs between which lie equal shares of the positive information of some networks.

    They are rounded, so that machines that round differently find the same ones.

    Parameters
    ----------
    theta : ndarray of float64, shape (members, size)
        Of the first members.
    count : int
        Number of cutoffs between 0 and infinity; the shares below them are k / (count + 1).
    """
    found = []
    for member, row in enumerate(theta):
        for part in renormalization.information(row, member):
            found += [array[np.isfinite(array) & (array > 0.0)].ravel() for array in part]
    values = np.concatenate(found)
    if not len(values):
        return with_ends(())
    shares = np.arange(1, count + 1) / (count + 1)
    rounded = {float(f"{value:.6g}") for value in np.quantile(values, shares)}
    return with_ends(tuple(sorted(rounded)))
