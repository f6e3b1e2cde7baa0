"""From a run of networks of cosines to its propagator: printed and drawn."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nnft.analysis.propagator import (
    momentum_record,
    position_record,
    propagator_text,
    require_ball,
    shell_edges,
    shell_powers,
)
from nnft.analysis.run import Run, open_run
from nnft.errors import DataFileError, NumericalError, UsageError
from nnft.pipeline.action_output import Printed
from nnft.pipeline.target import stored_dataset
from nnft.pipeline.train_setup import decide_step, make_ensemble, resolved
from nnft.plots.files import check_picture
from nnft.samplers.trained import Schedule, TrainedEnsemble
from nnft.samplers.training_problem import Moving, TrainingProblem
from nnft.spec.cosines import CosineNetwork
from nnft.spec.plan import plan_run
from nnft.spec.run import RunSpec

FloatArray = npt.NDArray[np.float64]

MOST_SHELLS = 100
AT_ONCE = 64
NETWORKS = 2000
"""Networks that are drawn anew where nothing else is asked for."""


def propagator_of_file(
    path: str | os.PathLike[str],
    *,
    networks: int | None = None,
    shells: int = 12,
    plot: str | os.PathLike[str] | None = None,
) -> Printed:
    """Return the propagator of a run of networks of cosines in momentum and position space.

    Parameters
    ----------
    path : str or path
        Run file; sampled or trained.
    networks : int, optional
        Networks that are drawn, or trained, anew for the momentum space; at most those of the run. 2000 if
        not given; 0 for none.
    shells : int
        Shells of momenta.
    plot : str or path, optional
        Picture.

    Raises
    ------
    UsageError
        Networks of another kind, or impossible numbers.
    NumericalError
        Too few networks.
    """
    if not 2 <= shells <= MOST_SHELLS:
        raise UsageError(f"number of shells in --shells: got {shells}; allowed: 2 to {MOST_SHELLS}")
    if networks is not None and networks < 0:
        raise UsageError(f"number of networks in --networks: got {networks}; allowed: 0 or more")
    if plot is not None:
        check_picture(plot)
    with open_run(path) as run:
        record = propagator_record(run, NETWORKS if networks is None else networks, shells)
    if plot is not None:
        from nnft.plots.propagator import draw_propagator

        draw_propagator(record, plot)
    return Printed({"file": str(path), **record}, propagator_text(record))


def propagator_record(run: Run, networks: int, shells: int) -> dict[str, Any]:
    """Return the propagator of a run as plain numbers; parameters as in `propagator_of_file`."""
    law = require_ball(run)
    if not run.networks:
        raise NumericalError(f"no networks in {run.path.name}: got 0; go on with --resume")
    card, count = run.card["network"], min(networks, run.networks)
    momentum: dict[str, Any] = {"reason": "not asked for"}
    if count:
        edges = shell_edges(law, shells)
        spec = _spec(run)
        powers = [shell_powers(*found, edges, *_numbers(spec)) for found in _networks(spec, count)]
        momentum = momentum_record(law, edges, np.concatenate(powers))
    return {
        "source": Path(run.path).name,
        "kind": card["kind"],
        "trained": run.training is not None,
        "dimension": run.points.shape[1],
        "mass": float(card["mass"]),
        "cutoff": float(card["cutoff"]),
        "prefactor": law.fourier_prefactor(),
        "momentum": momentum,
        "position": position_record(run, law),
    }


def _spec(run: Run) -> RunSpec:
    stored = run.stored
    data = None
    if run.training is not None:
        data = stored_dataset(stored.training, str(stored.attributes.get("/training@data_source", "")))
    return RunSpec.from_text(
        stored.config["resolved"], points=stored.points, dataset=data, name=stored.path.name
    )


def _numbers(spec: RunSpec) -> tuple[float, float]:
    """m^2 and the factor of the networks."""
    factor, mass_square = spec.network.kernel_parameters(spec.mesh().points.shape[1])[:2]
    return mass_square, factor


def _networks(spec: RunSpec, count: int) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Yield momenta (n, N, d) and squares of the amplitudes (n, N) of some networks after the others."""
    network, dimension = spec.network, spec.mesh().points.shape[1]
    if not isinstance(network, CosineNetwork):
        raise DataFileError("networks without momenta: got a perceptron; give networks of cosines")
    ensemble, steps = _ensemble(spec)
    width, outputs, chains = network.width, network.outputs, ensemble.chains
    for first in range(0, count, AT_ONCE):
        number = min(AT_ONCE, count - first)
        wave = ensemble.start(first, number)
        ensemble.advance(wave, steps)
        header, theta = ensemble.problem.header, ensemble.weights(wave)
        stride, offset, last = int(header[8]), int(header[15]), int(header[14])
        momenta = theta[::chains, : width * stride].reshape(number, width, stride)[:, :, :dimension]
        rows = theta[:, offset : offset + outputs * last].reshape(number, chains * outputs, last)
        squares = np.mean(rows[:, :, :width] ** 2, axis=1)
        if network.amplitude_law == "fixed":
            squares = np.full_like(squares, network.readout_variance / width)
        yield momenta[wave.alive].copy(), squares[wave.alive]


def _ensemble(spec: RunSpec) -> tuple[TrainedEnsemble, int]:
    """Return the sampler of the weights, and the step at which they are looked at."""
    points, seed, network = spec.mesh().points, spec.ensemble.seed, spec.network
    if spec.training is None:
        targets = np.zeros((1, network.outputs))
        problem = TrainingProblem(network, points[:1], targets, Moving((2,), (0.0, 1.0), (0.0, 0.0)))
        return TrainedEnsemble(problem, Schedule("langevin", 1e-3, 1.0), points[:1], None, seed), 0
    plan = plan_run(spec)
    training = resolved(plan)
    if training.algorithm in ("exact", "gradient-flow"):
        raise UsageError(
            f"no amplitudes at the end: got training.algorithm {training.algorithm}; use --networks 0, or "
            "train by another algorithm"
        )
    step, _ = decide_step(spec, plan)
    return make_ensemble(spec, plan, 1, step), training.total_steps
