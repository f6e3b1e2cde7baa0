"""The ensemble of the benchmarks and ways to run it: tanh, three hidden layers, eight input dimensions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from nnft._kernels import ensemble as kernels
from nnft.pipeline.engine import Engine, make_ensemble
from nnft.spec.plan import plan_run
from nnft.spec.run import RunSpec

FloatArray = npt.NDArray[np.float64]

DIMENSION = 8
HIDDEN_LAYERS = 3
BLOCK = 16


def card(width: int, points: int, **changes: Any) -> dict[str, dict[str, Any]]:
    """Return the card: inputs on a sphere, C_W = 1, C_b = 0.

    Parameters
    ----------
    width, points : int
    **changes
        Other values for keys of ``[ensemble]`` and ``[estimate]``.
    """
    ensemble: dict[str, Any] = {"networks": 10**12, "seed": 20240601, "block_size": BLOCK}
    estimate: dict[str, Any] = {"correlators": [2, 4], "layers": False}
    for key, value in changes.items():
        (estimate if key in ("correlators", "layers", "estimator", "bins") else ensemble)[key] = value
    return {
        "network": {
            "widths": [width] * HIDDEN_LAYERS,
            "activation": "tanh",
            "weight_variance": 1.0,
            "bias_variance": 0.0,
        },
        "inputs": {"generator": "sphere", "count": points, "dimension": DIMENSION, "seed": 1},
        "ensemble": ensemble,
        "estimate": estimate,
    }


def spec(width: int, points: int, **changes: Any) -> RunSpec:
    """Return the specification of `card`."""
    return RunSpec.from_dict(card(width, points, **changes))


def make_engine(run: RunSpec) -> Engine:
    """Return the engine that `nnft sample` would use."""
    return Engine(run, plan_run(run))


def step(engine: Engine, networks: int) -> tuple[Callable[[], object], int]:
    """Return a function that samples and accumulates whole blocks, and the networks of one call."""
    blocks = min(max(1, networks // engine.plan.block_size), engine.plan.bins)
    return lambda: engine.advance(blocks), blocks * engine.plan.block_size


def bare_kernel(run: RunSpec, networks: int) -> Callable[[], object]:
    """Return a function that samples networks and keeps their metrics, with no estimator."""
    sampler = make_ensemble(run, plan_run(run))
    values = np.zeros((networks, sampler.n_values))
    status = np.zeros(networks, dtype=np.int64)
    network = (sampler.header, sampler.reals)

    def work() -> None:
        kernels.sample_values(sampler.method, network, 0, sampler.work_size, False, values, status)

    return work


def relative_error(run: RunSpec, value: FloatArray | None = None) -> tuple[FloatArray, FloatArray]:
    """Sample a whole run; relative standard error of G4(aaaa) times sqrt(networks), and G4(aaaa) itself.

    Parameters
    ----------
    run : RunSpec
    value : ndarray, optional
        What the standard error is divided by; the run's own estimate if not given.

    Returns
    -------
    tuple of ndarray
        One entry for each input point.
    """
    engine = make_engine(run)
    while engine.networks_done < engine.plan.networks:
        engine.advance(min(engine.plan.bins, engine.plan.blocks - engine.blocks_done))
    result = engine.estimator.result(4)
    same = (result.indices == result.indices[:, :1]).all(axis=1)
    estimate = result.value[same]
    size = np.sqrt(engine.networks_done)
    return size * result.stderr[same] / np.abs(estimate if value is None else value), estimate
