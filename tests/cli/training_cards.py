"""Cards of tiny trainings: every algorithm, seconds on one core."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from command_line import SEED

from nnft.spec.run import RunSpec
from nnft.store.reader import read_run
from nnft.store.writer import write_snapshot

TEACHER = 'teacher = "linear"\npoints = 5\ndimension = 2\ntest = 3'
POINTS = "[[1.0, 0.5], [0.2, -1.0]]"
CHAIN = "ridge = 0.1\nburn_in = 10\ndraws = 5\nthinning = 2\nsnapshots = 3"
TRAININGS: dict[str, tuple[str, str]] = {
    "gd": ("gd", "step = 0.1\nsteps = 20\nsnapshots = 4"),
    "gd-readout": ("gd", 'trainable = "readout"\nstep = 0.1\nsteps = 20\nsnapshots = 4'),
    "sgd": ("sgd", 'step = 0.05\nepochs = 7\nbatch_size = 2\norder = "shuffled"\nsnapshots = 4'),
    "sgd-readout": ("sgd", 'trainable = "readout"\nstep = 0.05\nsteps = 20\nbatch_size = 2\nsnapshots = 4'),
    "gradient-flow": ("gradient-flow", "time = 2.0\nsnapshots = 4"),
    "langevin": ("langevin", f"{CHAIN}\nstep = 0.02\nchains = 2"),
    "mala": ("mala", CHAIN),
    "underdamped": ("underdamped", f"{CHAIN}\nstep = 0.1"),
    "hmc": ("hmc", f"{CHAIN}\nleapfrog_steps = 3"),
    "exact": ("exact", 'trainable = "readout"\nridge = 0.1\ndraws = 2'),
}
"""What the tests call a training, its algorithm and the further lines of its table."""


def training_text(
    name: str = "gd",
    lines: str | None = None,
    *,
    data: str = TEACHER,
    networks: int = 32,
    widths: str = "[8]",
    activation: str = "tanh",
    network: str = "",
    ensemble: str = "",
    estimate: str = "bins = 32",
    correlators: str = "[2, 4]",
    fields: int = 0,
    checkpoint_seconds: float = 30.0,
    seed: int = SEED,
    loss: str = "half-sum",
    points: str = POINTS,
) -> str:
    """Return a card; `network`, `ensemble` and `estimate` are further lines of those tables.

    Parameters
    ----------
    name : str
        One of `TRAININGS`, for the algorithm and its lines.
    lines : str, optional
        Instead of the lines of that training.
    """
    algorithm, usual = TRAININGS[name]
    return f"""
[network]
widths = {widths}
activation = "{activation}"
{network}
[inputs]
points = {points}
[ensemble]
networks = {networks}
seed = {seed}
{ensemble}
[estimate]
correlators = {correlators}
{estimate}
[store]
fields = {fields}
checkpoint_seconds = {checkpoint_seconds}
[training]
loss = "{loss}"
algorithm = "{algorithm}"
{usual if lines is None else lines}
[training.data]
{data}
"""


def training_spec(name: str = "gd", lines: str | None = None, **keys: Any) -> RunSpec:
    """Return the specification of such a card; keys as in `training_text`."""
    return RunSpec.from_dict(tomllib.loads(training_text(name, lines, **keys)))


def write_changed(
    source: Path,
    path: Path,
    training: Mapping[str, np.ndarray | None] | None = None,
    accumulators: Mapping[str, np.ndarray] | None = None,
    **changes: Any,
) -> None:
    """Write a run anew with other numbers, all checksums right.

    Parameters
    ----------
    source, path : Path
        The run, and the new file.
    training : mapping, optional
        Arrays below ``/training``; None takes one away.
    accumulators : mapping, optional
    changes
        Further attributes of the snapshot.
    """
    with read_run(source) as run:
        snapshot = run.snapshot()
        arrays: dict[str, Any] = {
            name: array for name, array in snapshot.training.items() if not name.startswith("flows/")
        }
        if run.trace_names:
            arrays["traces/name"] = run.trace_names
    arrays = {name: array for name, array in (arrays | dict(training or {})).items() if array is not None}
    sums = dict(snapshot.accumulators) | dict(accumulators or {})
    path.unlink(missing_ok=True)
    options: dict[str, Any] = {"training": arrays, "accumulators": sums, "fields": None} | changes
    write_snapshot(path, dataclasses.replace(snapshot, **options))
