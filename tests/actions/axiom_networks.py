"""Ensembles that have or break a symmetry, made with NumPy, and runs in memory as the checks see them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nnft.actions.axiom_source import Ensemble, FieldEnsemble
from nnft.estimators.correlators import CorrelatorEstimator

Array = npt.NDArray[Any]

TOLERANCE = 1e-9
REFERENCE: dict[str, dict[str, Any]] = {
    entry["id"]: entry
    for entry in json.loads(
        (Path(__file__).parents[1] / "reference" / "axioms.json").read_text(encoding="utf-8")
    )["entries"]
}


def square(count: int, half: float = 1.0) -> Array:
    """Points of a square grid around the origin, shape (count^2, 2)."""
    axis = np.linspace(-half, half, count)
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)


def line(count: int, half: float = 1.0) -> Array:
    """Points of a line around the origin, shape (count, 1)."""
    return np.linspace(-half, half, count)[:, None]


def network_fields(
    points: Array,
    networks: int,
    seed: int,
    *,
    width: int = 6,
    activation: str = "tanh",
    stretch: tuple[float, ...] = (1.0,),
    readout_mean: float = 0.0,
    skewed: bool = False,
    outputs: int = 1,
    separate: bool = False,
    output_scale: tuple[float, ...] = (1.0,),
) -> Array:
    """Outputs (networks, outputs, P) of one hidden layer.

    `stretch` scales the first weights along each axis. Readout weights have a mean, or the skewed law of
    an exponential minus its mean. With `separate` every output has a hidden layer of its own.
    """
    rng = np.random.default_rng(seed)
    layers = outputs if separate else 1
    weights = 1.5 * rng.standard_normal((networks, layers, width, points.shape[1])) * np.array(stretch)
    if activation == "cos":
        bias = rng.uniform(-np.pi, np.pi, (networks, layers, width, 1))
    else:
        bias = 0.5 * rng.standard_normal((networks, layers, width, 1))
    before = weights @ points.T + bias
    hidden = {"tanh": np.tanh, "cos": np.cos, "relu": lambda z: np.maximum(z, 0.0)}[activation](before)
    readout = (
        rng.exponential(size=(networks, outputs, width)) - 1.0
        if skewed
        else rng.standard_normal((networks, outputs, width)) + readout_mean
    )
    if separate:
        fields = np.einsum("mow,mowp->mop", readout, hidden)
    else:
        fields = np.einsum("mow,mwp->mop", readout, hidden[:, 0])
    return fields / np.sqrt(width) * np.broadcast_to(output_scale, (outputs,))[:, None]


def gaussian_fields(kernel: Array, networks: int, seed: int) -> Array:
    """Draws (networks, 1, P) of a Gaussian process."""
    values, vectors = np.linalg.eigh(kernel)
    factor = vectors * np.sqrt(np.maximum(values, 0.0))
    return (np.random.default_rng(seed).standard_normal((networks, len(kernel))) @ factor.T)[:, None, :]


def ensemble_of(points: Array, estimator: CorrelatorEstimator, outputs: int = 1) -> Ensemble:
    """Return what the checks see of a run without stored outputs."""
    source = FieldEnsemble(np.asarray(points, dtype=np.float64), estimator)
    layout = estimator.layout
    filled = int(np.count_nonzero(estimator.counts))
    return Ensemble(
        source, source, layout.kind, outputs, frozenset(layout.tables), filled, None, "none are kept"
    )
