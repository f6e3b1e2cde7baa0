"""What the file holds of a training: arrays below ``/training``, and an engine made of them again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from nnft.errors import NumericalError
from nnft.estimators.correlators import CorrelatorEstimator
from nnft.estimators.flow import FlowEstimator
from nnft.estimators.observables import MatrixFlow, ObservableEstimator
from nnft.estimators.stored_layout import unusable
from nnft.pipeline.network_data import stored_data
from nnft.pipeline.train_state import Progress, TrainingState
from nnft.samplers.trained import Wave

Array = npt.NDArray[Any]
FloatArray = npt.NDArray[np.float64]


def training_arrays(engine: TrainingState, final: bool) -> dict[str, Any]:
    """Return everything below ``/training`` by its path there.

    Parameters
    ----------
    engine : TrainingState
    final : bool
        Whether the flows are evaluated as well.
    """
    data = engine.spec.dataset()
    found: dict[str, Any] = {
        **stored_data(data),
        **{f"diverged/{name}": np.array(number, np.int64) for name, number in engine.diverged.items()},
    }
    if engine.adapts and engine.estimator.n_networks:
        found |= {f"adapted/{name}": np.array(number) for name, number in engine.adapted.items()}
    found |= {f"equilibrium/{name}": array for name, array in engine.equilibrium.to_arrays().items()}
    if engine.flow is not None:
        found |= _moments(engine)
        found |= engine.flow.to_arrays()
        if engine.observables is not None:
            found |= engine.observables.to_arrays()
        if engine.kernel is not None and engine.tangent is not None:
            found |= engine.kernel.to_arrays("kernel") | engine.tangent.to_arrays("tangent")
        if final:
            found |= flow_estimates(engine)
    if engine.renormalized is not None:
        flow = engine.renormalized.to_arrays()
        found |= {f"renormalization/{name}": array for name, array in flow.items()}
    if engine.traces:
        found |= _traces(engine)
    if engine.wave is not None and engine.progress is not None:
        found |= _wave(engine.wave, engine.progress)
    return {path: array for path, array in found.items() if not isinstance(array, np.ndarray) or array.size}


def _moments(engine: TrainingState) -> dict[str, Array]:
    training = engine.training
    steps = training.snapshots or (0,) * len(training.snapshot_times)
    times = training.snapshot_times or tuple(_length(engine) * moment for moment in steps)
    return {"moment/step": np.array(steps, np.int64), "moment/time": np.array(times, np.float64)}


def _length(engine: TrainingState) -> float:
    """Time of one step: that of the mean adapted step of the networks that are done, or of the first step."""
    step = engine.sampler.schedule.step
    if engine.adapts and engine.estimator.n_networks:
        step = float(engine.equilibrium.result("step_size").mean[0])
    return step * (engine.training.leapfrog_steps or 1)


def _traces(engine: TrainingState) -> dict[str, Any]:
    values = np.concatenate(engine.traces)
    return {
        "traces/name": engine.names.traced,
        "traces/step": engine.draw_steps.astype(np.int64),
        "traces/number": np.arange(len(values), dtype=np.int64),
        "traces/values": values,
    }


def _wave(wave: Wave, progress: Progress) -> dict[str, Array]:
    position = [wave.first, wave.networks, wave.step, progress.moments, progress.draws]
    return {
        "wave/position": np.array(position, np.int64),
        "wave/time": np.array(wave.time),
        "wave/theta": wave.theta,
        "wave/extra": wave.extra,
        "wave/control": wave.control,
        "wave/status": wave.status,
        "wave/recorded_draws": progress.drawn,
        "wave/seen_moments": progress.seen,
    }


def flow_estimates(engine: TrainingState) -> dict[str, Any]:
    """Return connected correlators and numbers of the networks at every snapshot, with errors."""
    flow = engine.flow
    if flow is None or flow.n_networks < 2:
        return {}
    found: dict[str, Any] = {}
    for name, table in flow.layout.tables.items():
        order = int(name[1:].partition(":")[0])
        try:
            estimates = [flow.at(s).result(order) for s in range(flow.snapshots)]
        except NumericalError:
            continue
        path = "flows/" + ("mean" if order == 1 else f"connected_{order}")
        found[f"{path}@order"] = order
        found[f"{path}/indices"] = table.points.astype(np.int32)
        found[f"{path}/value"] = np.stack([estimate.value for estimate in estimates])
        found[f"{path}/stderr"] = np.stack([estimate.stderr for estimate in estimates])
    if engine.observables is not None:
        for name in engine.observables.names:
            result = engine.observables.result(name)
            found[f"flows/{name}@order"] = 0
            found[f"flows/{name}/indices"] = np.zeros((1, 1), np.int32)
            for part, numbers in (
                ("value", result.mean),
                ("stderr", result.stderr),
                ("spread", result.spread),
            ):
                found[f"flows/{name}/{part}"] = numbers[:, None]
    pairs = engine.estimator.layout.pairs.astype(np.int32)
    for name, matrix in (("kernel", engine.kernel), ("tangent_kernel", engine.tangent)):
        if matrix is not None:
            found[f"flows/{name}@order"] = 2
            found[f"flows/{name}/indices"] = pairs
            found[f"flows/{name}/value"] = matrix.mean()
            found[f"flows/{name}/stderr"] = matrix.stderr()
    return found


def restore(engine: TrainingState, stored: Mapping[str, Any]) -> None:
    """Put an engine in the state that a file holds.

    Parameters
    ----------
    engine : TrainingState
        New.
    stored : mapping
        "accumulators", "training" (arrays by path) and "networks_done".

    Raises
    ------
    DataFileError
        An array is missing, or does not fit the training.
    """
    arrays: Mapping[str, Array] = stored["training"]
    engine.estimator = CorrelatorEstimator.from_arrays({"layers": np.zeros(0)} | dict(stored["accumulators"]))
    engine.networks_done = int(stored["networks_done"])
    if engine.flow is not None and engine.observables is not None:
        engine.flow = FlowEstimator.from_arrays(arrays)
        engine.observables = ObservableEstimator.from_arrays(arrays, engine.names.moving)
        engine.kernel = MatrixFlow.from_arrays(arrays, "kernel")
        engine.tangent = MatrixFlow.from_arrays(arrays, "tangent")
    equilibrium = {
        name.removeprefix("equilibrium/"): arrays[name] for name in arrays if name.startswith("equilib")
    }
    engine.equilibrium = ObservableEstimator.from_arrays(equilibrium, engine.names.averaged)
    if engine.renormalized is not None:
        group = "renormalization/"
        engine.renormalized.restore(
            {name.removeprefix(group): arrays[name] for name in arrays if name.startswith(group)}
        )
    try:
        engine.diverged = {name: int(arrays[f"diverged/{name}"]) for name in engine.diverged}
        if "adapted/smallest" in arrays:
            engine.adapted = {name: float(arrays[f"adapted/{name}"]) for name in engine.adapted}
        if "traces/values" in arrays:
            engine.traces = [np.array(arrays["traces/values"])]
        if "wave/position" in arrays and engine.ensemble is not None:
            _restore_wave(engine, arrays)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise unusable(error) from error


def _restore_wave(engine: TrainingState, arrays: Mapping[str, Array]) -> None:
    first, networks, step, moments, draws = (int(number) for number in arrays["wave/position"])
    members = networks * engine.members
    stored, wanted = arrays["wave/theta"].shape, (members, engine.sampler.problem.size)
    if networks >= 1 and stored != wanted:  # before memory is taken for so many
        raise ValueError(f"wave/theta of shape {stored} instead of {wanted}")
    seen = np.zeros((engine.training.snapshot_count, members, engine.seen_size()))
    drawn = np.zeros((len(engine.draw_steps), members, engine.drawn_size()))
    sensible = 0 <= step <= engine.training.total_steps and 0 <= moments <= len(seen) + 1
    if first != engine.networks_done or networks < 1 or not sensible or not 0 <= draws <= len(drawn):
        raise ValueError(f"wave/position {first}, {networks}, {step}, {moments}, {draws}")
    wave = engine.sampler.start(first, networks)
    for name in ("theta", "extra", "control", "status"):
        _fill(getattr(wave, name), arrays, f"wave/{name}")
    _fill(seen, arrays, "wave/seen_moments")
    _fill(drawn, arrays, "wave/recorded_draws")
    wave.step, wave.time = step, float(arrays["wave/time"])
    engine.wave, engine.progress = wave, Progress(seen, drawn, moments, draws)


def _fill(target: Array, arrays: Mapping[str, Array], name: str) -> None:
    """Put a stored array in place; empty ones are not stored.

    Raises
    ------
    ValueError
        The shape is another one.
    """
    if target.size == 0:
        return
    if arrays[name].shape != target.shape:
        raise ValueError(f"{name} of shape {arrays[name].shape} instead of {target.shape}")
    target[...] = arrays[name]
