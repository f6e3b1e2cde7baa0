"""When a training ends, and when it is looked at on the way."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nnft.spec.problems import line
from nnft.spec.training import SAMPLERS, TrainingSpec

FLOW_DECADES = 3.0
"""Decades of time that the log-spaced snapshots of gradient flow cover."""


def chain_length(training: TrainingSpec, filled: dict[str, Any], points: int) -> tuple[int, float]:
    """Return the steps and the flow time of a chain; at most one of them is not 0.

    Parameters
    ----------
    training : TrainingSpec
    filled : dict
        ``training.filled()``.
    points : int
        Training points; with them an epoch of sgd has ceil(points / batch_size) steps.
    """
    if training.algorithm == "gradient-flow":
        return 0, float(filled["time"])
    if training.algorithm in SAMPLERS:
        return filled["burn_in"] + (filled["draws"] - 1) * filled["thinning"], 0.0
    if training.algorithm == "sgd" and filled["steps"] is None:
        return filled["epochs"] * -(-points // filled["batch_size"]), 0.0
    return filled.get("steps") or 0, 0.0


def snapshot_problems(training: TrainingSpec, end: float) -> list[str]:
    """Return a line if the list of snapshots goes beyond the last step or time, `end`."""
    if not isinstance(training.snapshots, tuple) or not training.snapshots or training.snapshots[-1] <= end:
        return []
    what = "time" if training.algorithm == "gradient-flow" else "steps"
    return [
        line(
            "snapshot after the end",
            f"training.snapshots[{len(training.snapshots) - 1}]",
            f"{training.snapshots[-1]:.17g}",
            f"allowed: at most {end:.17g}, the {what} of the training",
        )
    ]


def snapshot_moments(asked: Any, end: float, continuous: bool) -> tuple[float, ...]:
    """Return the moments of the snapshots, ascending from 0 to the end; none if none are asked for.

    Parameters
    ----------
    asked : int, tuple of float or None
        Their number, log-spaced and, for steps, rounded and given once; a list; 0 for none; None
        for an algorithm without a flow, which has none.
    end : float
        Last step or time.
    continuous : bool
        Times instead of steps. A number of them begins at `FLOW_DECADES` before the end, that of steps at 1.
    """
    if asked is None or asked == 0:
        return ()
    if isinstance(asked, tuple):
        inner = list(asked)
    elif asked < 3:
        inner = []
    else:
        first = end * 10.0**-FLOW_DECADES if continuous else 1.0
        inner = np.exp(np.linspace(math.log(first), math.log(end), asked - 1))[:-1].tolist()
    if not continuous:
        inner = [float(round(moment)) for moment in inner]
    return tuple(sorted({0.0, *(moment for moment in inner if moment < end), end}))
