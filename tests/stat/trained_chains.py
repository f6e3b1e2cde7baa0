"""Chains of trained networks: averages of each network, pulls with errors from independent networks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from runs import DETECTABLE, LIMIT
from training_twins import Case

from nnft.samplers.trained import Schedule, TrainedEnsemble, Wave

Array = npt.NDArray[Any]
Measure = Callable[[TrainedEnsemble, Wave], Array]

TRAINED: dict[str, dict[str, Any]] = {
    entry["id"]: entry
    for entry in json.loads(
        (Path(__file__).parents[1] / "reference" / "training.json").read_text(encoding="utf-8")
    )["entries"]
}


def averages(
    case: Case,
    schedule: Schedule,
    measure: Measure,
    *,
    networks: int,
    start: int,
    draws: int,
    thinning: int,
    seed: int,
    mesh: Array | None = None,
) -> Array:
    """Averages of each network over draws and chains, (networks, K); measure gives (members, K).

    Draw k is taken after start + k thinning steps.
    """
    ensemble = case.ensemble(schedule, mesh, seed=seed)
    wave = ensemble.start(0, networks)
    found: Array = np.zeros(1)
    for draw in range(draws):
        ensemble.advance(wave, start + draw * thinning)
        found = found + measure(ensemble, wave)
    assert not wave.status.any()
    return (found / draws).reshape(networks, schedule.chains, -1).mean(axis=1)


def weights(case: Case, wave: Wave) -> Array:
    """Weights and biases of all members without the padding, (members, numbers)."""
    return wave.theta[:, ~case.is_padding()]


def layers(case: Case, wave: Wave) -> list[Array]:
    """Weights of all members without biases: (members, neurons, fan-in) of every layer."""
    flat, found, place = weights(case, wave), [], 0
    for rows, fan_in, columns, *_ in case.layers:
        part = flat[:, place : place + rows * columns].reshape(-1, rows, columns)
        found.append(part[:, :, :fan_in])
        place += rows * columns
    return found


def pulls(values: Array, exact: npt.ArrayLike) -> Array:
    """(mean over networks - exact) / standard error, for every column."""
    assert len(values) >= 100  # enough networks for a normal law of the pulls
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    return np.asarray((values.mean(axis=0) - np.asarray(exact)) / error)


def agree(values: Array, exact: npt.ArrayLike, sees: npt.ArrayLike) -> None:
    """Averages of networks have these means; shifts of `sees` would be seen."""
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    assert np.all(DETECTABLE * error < sees), f"blind: sees {DETECTABLE * error}"
    found = pulls(values, exact)
    assert abs(found).max() < LIMIT, f"pulls {found}"
