"""The flow of infinitely wide networks beside that of a run whose readouts sample their posterior."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from nnft.analysis.flow_text import cells_text, cutoff_text, number_text, plain, plain_cutoffs
from nnft.analysis.renormalized_run import RenormalizedRun
from nnft.errors import UsageError, shorten
from nnft.pipeline.flow_setup import fisher_inputs
from nnft.pipeline.target import stored_spec
from nnft.spec.flow_resolution import FlowResolution
from nnft.spec.run import RunSpec
from nnft.theory.activations import activation
from nnft.theory.nngp import nngp_kernel
from nnft.theory.quadrature import range_factor
from nnft.theory.restricted_kernel import SampledFlow, sampled_flow

FloatArray = npt.NDArray[np.float64]

NEURONS = 20_000
"""Neurons over which the restricted kernels are averaged."""


@dataclass(frozen=True)
class InfiniteFlow:
    """What infinitely wide networks do at every cutoff.

    Attributes
    ----------
    cutoffs, sloppy_share : ndarray of float64, shape (C,)
    mean, variance : ndarray of float64, shape (C, E)
        Of the observed output on the mesh.
    mean_error, variance_error : ndarray of float64, shape (C, E)
        Errors of the average over `NEURONS` neurons.
    losses : ndarray of float64, shape (C, 2)
        Expected squared error per target on training and test points; NaN without test points.
    """

    cutoffs: FloatArray
    sloppy_share: FloatArray
    mean: FloatArray
    variance: FloatArray
    mean_error: FloatArray
    variance_error: FloatArray
    losses: FloatArray


def infinite_flow(flow: RenormalizedRun, neurons: int = NEURONS) -> InfiniteFlow:
    """Return the flow of infinitely wide networks of the card of a run.

    Kernels of the kept neurons are averages over neurons of the last hidden layer, drawn from its law at
    infinite width with the seed of the run; the cutoffs are those of the run, whose information is that of
    weights of finite networks of these widths. See `nnft.theory.restricted_kernel`.

    Parameters
    ----------
    flow : RenormalizedRun
        Of readouts that sample their posterior, ordered by the diagonal of the information.
    neurons : int

    Raises
    ------
    UsageError
        The run has no such limit; the reason is in the message.
    """
    spec = stored_spec(flow.run.stored.snapshot(), flow.run.path.name)
    resolved = _check(spec)
    data, mesh = spec.dataset(), spec.mesh().points
    inputs = fisher_inputs(spec, resolved)
    blocks = [data.train_inputs, mesh, data.test_inputs, inputs]
    values = _neurons(spec, np.concatenate(blocks), neurons, int(flow.run.card["ensemble"]["seed"]))
    count = len(values[0]) - len(inputs)
    rate = resolved.weight_rates[-1]
    information = rate / resolved.noise_variance * np.mean(values[:, count:] ** 2, axis=1)
    network, t = spec.network, spec.resolution.training
    variance = network.weight_variances[-1]
    fills = {
        "prior": 1.0,
        "zero": 0.0,
        "gaussian": resolved.width**2 * rate * network.widths[-1] / variance,
    }
    train = np.arange(len(data.train_inputs))
    columns = np.concatenate([train, np.arange(count)])  # trained on, then looked at
    with threadpool_limits(limits=1, user_api="blas"):
        found = sampled_flow(
            values[:, columns], information, flow.cutoffs, data.train_targets, t.ridge if t else 0.0,
            readout_variance=variance, fill_ratio=fills[resolved.fill],
        )  # fmt: skip
    return _summed_up(found, spec, (len(train), len(mesh)))


def _neurons(spec: RunSpec, points: FloatArray, count: int, seed: int) -> FloatArray:
    """Return outputs of neurons of the last hidden layer at infinite width, shape (neurons, points)."""
    network = spec.network
    kernels = nngp_kernel(
        points,
        network.activation,
        network.weight_variances[:-1],
        network.bias_variances[:-1],
        network.activation_parameters,
    )
    factor = range_factor(kernels[-1])
    normals = np.random.default_rng(seed).standard_normal((count, factor.shape[1]))
    return np.asarray(activation(network.activation, network.activation_parameters)(normals @ factor.T))


def _summed_up(found: SampledFlow, spec: RunSpec, counts: tuple[int, int]) -> InfiniteFlow:
    data, observe = spec.dataset(), spec.training.observe if spec.training else 0
    train, mesh = counts
    on_mesh = slice(train, train + mesh)
    variances, errors = (
        np.diagonal(process.covariance, axis1=-2, axis2=-1) for process in (found.process, found.errors)
    )
    losses = np.full((len(found.cutoffs), 2), np.nan)
    parts = ((slice(0, train), data.train_targets), (slice(train + mesh, None), data.test_targets))
    for column, (part, targets) in enumerate(parts):
        if len(targets):
            squares = (found.process.mean[:, part] - targets) ** 2
            losses[:, column] = squares.mean(axis=(1, 2)) + variances[:, part].mean(axis=1)
    return InfiniteFlow(
        found.cutoffs, found.sloppy_fraction, found.process.mean[:, on_mesh, observe], variances[:, on_mesh],
        found.errors.mean[:, on_mesh, observe], errors[:, on_mesh], losses,
    )  # fmt: skip


def _check(spec: RunSpec) -> FlowResolution:
    """Refuse flows without a limit that is known."""
    flow, training = spec.flow_resolution, spec.resolution.training
    network = spec.network
    reason = ""
    if flow is None or training is None:
        reason = "no flow of trained networks"
    elif network.kind != "mlp" or not network.widths:
        reason = f"network.kind {network.kind}" if network.kind != "mlp" else "no hidden layer"
    elif training.ridge <= 0.0 or training.algorithm in ("gd", "sgd", "gradient-flow"):
        reason = f"algorithm {training.algorithm}, which samples no posterior"
    elif training.trainable != (network.layers,) or flow.layers != (network.layers,):
        reason = "layers beside the readout that are trained or replaced"
    elif getattr(flow, "basis", "diagonal") != "diagonal" or flow.fill not in ("prior", "zero", "gaussian"):
        reason = "another basis than the diagonal, or another fill than prior, zero or gaussian"
    elif network.bias_variances[-1] > 0.0:
        reason = "a bias of the readout, whose information does not fall with the width"
    elif spec.training is not None and getattr(spec.training.data, "anew", False):
        reason = "data of its own for each network"
    if reason or flow is None:
        raise UsageError(
            f"no flow of infinite width: got {shorten(reason, 90)}; it is known for readouts of "
            "an mlp that sample their posterior"
        )
    return flow


def infinite_record(flow: RenormalizedRun, found: InfiniteFlow, point: int) -> dict[str, Any]:
    """Return both flows side by side, ready for JSON.

    Returns
    -------
    dict
        ``cutoffs``, ``point``, ``neurons``, and ``rows``: ``sloppy_share``, ``mean``, ``variance`` at the
        point, ``train_error``, ``test_error``, each with ``value``, ``stderr`` of the run, and ``infinite``.
    """
    mean, second = flow.quantity("mean", [[point]]), flow.quantity("connected_2", [[point, point]])
    theory = {"mean": found.mean[:, point], "variance": found.variance[:, point]}
    columns = {
        "mean": (mean.value[:, 0], mean.stderr[:, 0]),
        "variance": (second.value[:, 0], second.stderr[:, 0]),
    }
    scalars = {"sloppy_share": found.sloppy_share, "train_error": found.losses[:, 0]}
    for name, values in (scalars | {"test_error": found.losses[:, 1]}).items():
        result = flow.observables.result(name)
        columns[name], theory[name] = (result.mean, result.stderr), values
    rows = [
        {
            name: {"value": plain(value[c]), "stderr": plain(error[c]), "infinite": plain(theory[name][c])}
            for name, (value, error) in columns.items()
        }
        for c in range(len(found.cutoffs))
    ]
    return {"cutoffs": plain_cutoffs(found.cutoffs), "point": point, "neurons": NEURONS, "rows": rows}


def infinite_text(record: dict[str, Any]) -> str:
    """Return the text of `infinite_record`."""
    names = {
        "sloppy_share": "sloppy",
        "mean": f"mean f({record['point']})",
        "variance": f"variance f({record['point']})",
        "train_error": "train error",
        "test_error": "test error",
    }
    shown = [name for name in names if any(row[name]["value"] is not None for row in record["rows"])]
    table = [["cutoff", *(text for name in shown for text in (names[name], "infinite"))]]
    for cutoff, row in zip(record["cutoffs"], record["rows"], strict=True):
        cells = [(number_text(row[name]), _infinite(row[name]["infinite"])) for name in shown]
        table.append([cutoff_text(cutoff), *(text for pair in cells for text in pair)])
    foot = (
        f"infinite: networks of infinite width, whose kernels come from {record['neurons']} neurons; "
        "departures of relative order 1 / width are expected"
    )
    return "\n".join([*cells_text(table), "", foot])


def _infinite(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
