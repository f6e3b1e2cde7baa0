"""From a specification to the flow of its trained networks."""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt

from nnft.errors import EnvironmentRefusal
from nnft.pipeline.memory import available_bytes
from nnft.pipeline.network_data import data_of_network
from nnft.samplers.conditional_flow import ConditionalFlow
from nnft.samplers.direction_flow import DirectionFlow
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
    """Return the flow with these cutoffs.

    Raises
    ------
    EnvironmentRefusal
        Its directions do not fit into memory.
    """
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
        flow.basis,
        spec.resolution.training.ridge if spec.resolution.training is not None else 0.0,
    )
    test = (data.test_inputs, data.test_targets) if len(data.test_inputs) else None
    inputs, mesh = fisher_inputs(spec, flow), spec.mesh().points
    inputs_of = partial(fisher_inputs, spec, flow) if data.anew else None
    kind = Renormalization if flow.basis == "diagonal" else DirectionFlow
    kind = ConditionalFlow if flow.fill == "conditional" else kind
    found = kind(ensemble, schedule, inputs, mesh, test, flow.tangents, inputs_of)
    _require_directions(found, len(inputs))
    return found


def _require_directions(flow: Renormalization, points: int) -> None:
    """Refuse derivatives and directions that do not fit into half of the memory that is left."""
    threads, free = flow.ensemble.threads.count, available_bytes()
    wanted = threads * flow.thread_bytes()
    if 2 * wanted > free:
        raise EnvironmentRefusal(
            f"too little memory for directions of the information: got {wanted / 2**30:.3g} GiB for "
            f"{threads} threads and {points} inputs, {free / 2**30:.3g} GiB are free; lower "
            "flow.fisher_points or choose fewer layers"
        )


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
    values = np.concatenate([renormalization.spectrum(row, member) for member, row in enumerate(theta)])
    if not len(values):
        return with_ends(())
    shares = np.arange(1, count + 1) / (count + 1)
    rounded = {float(f"{value:.6g}") for value in np.quantile(values, shares)}
    return with_ends(tuple(sorted(rounded)))
