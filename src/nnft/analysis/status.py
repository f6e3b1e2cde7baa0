"""How far a run is, from its last checkpoint and its lock."""

from __future__ import annotations

import os
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nnft.analysis.run import Run, open_run
from nnft.errors import NumericalError
from nnft.store.lock import lock_holder

COMMANDS = ("sample", "train", "flow")
ERRORS = (("mean_error_of_width", "of the width in the mean"), ("relative_error_g2", "of G2"))
"""Errors of trained networks, and what they are shares of."""


def run_status(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the state of a run as plain numbers.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    dict
        Networks done and planned, rate, age of the checkpoint in seconds, relative error of the
        connected four-point function (median over the points; of trained networks errors of mean and
        variance instead), and who holds the lock.

    Raises
    ------
    DataFileError
        If the file cannot be used.
    """
    with open_run(path) as run:
        stored = run.stored
        updated = datetime.fromisoformat(stored.text("updated_at"))
        state: dict[str, Any] = {
            "file": str(path),
            "complete": run.complete,
            "networks": run.networks,
            "networks_planned": stored.counter("networks_planned"),
            "networks_per_second": stored.runtime.get("networks_per_second"),
            "checkpoint_age_seconds": max(0.0, (datetime.now(UTC) - updated).total_seconds()),
            "relative_error_g4": None,
            "command": _command(run),
        }
        if run.training is None and "S4:0000" in run.estimator.layout.tables and run.networks:
            state["relative_error_g4"] = _relative_error(run)
        if run.training is not None:
            state["training"] = _on_the_way(run) | _errors(run)
    holder = lock_holder(Path(path))
    state["writer"] = holder.describe() if holder is not None else None
    state["writer_alive"] = holder is not None and (not holder.is_local() or holder.is_alive())
    return state


def _on_the_way(run: Any) -> dict[str, Any]:
    """Networks in training, how far they are, and how many diverged."""
    stored, plan = run.stored.training, run.plan["training"]
    found = {"diverged_networks": int(stored["diverged/networks"]), "networks": 0, "step": 0}
    if "wave/position" in stored:
        _, networks, step, _, _ = (int(number) for number in stored["wave/position"])
        found |= {"networks": networks, "step": step}
    return found | {"steps": int(plan["total_steps"])}


def _errors(run: Any) -> dict[str, float | None]:
    """Errors of mean and variance over the width of the output, medians over the points."""
    from nnft.analysis.comparison_table import estimate_or_nothing

    found: dict[str, float | None] = {"mean_error_of_width": None, "relative_error_g2": None}
    if not run.networks:
        return found
    mean, second = (estimate_or_nothing(run.estimator, order) for order in (1, 2))
    same = second.indices[:, 0] == second.indices[:, 1]
    variance = np.where(second.value[same] > 0.0, second.value[same], np.nan)
    found["mean_error_of_width"] = _median(mean.stderr / np.sqrt(variance))
    found["relative_error_g2"] = _median(second.stderr[same] / variance)
    return found


def _median(values: npt.NDArray[np.float64]) -> float | None:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else None


def _relative_error(run: Any) -> float | None:
    try:
        estimate = run.excess_kurtosis()
    except NumericalError:
        return None
    with np.errstate(all="ignore"):
        relative = np.abs(estimate.stderr / estimate.value)
    return _median(relative)


def _again(state: dict[str, Any]) -> str:
    """Return the command that goes on with a stopped run: the one that began it, if that is known."""
    words = state["command"]
    if not words:
        return f"nnft {'train' if 'training' in state else 'sample'} CARD -o FILE --resume"
    return shlex.join([*words, "--resume"])


def _command(run: Run) -> list[str]:
    """Return the words of the command that began a run, without how it began; empty if unknown."""
    try:
        words = shlex.split(run.stored.provenance.get("command", ""))
    except ValueError:
        return []
    if len(words) < 3 or words[1] not in COMMANDS:
        return []
    return ["nnft", *(word for word in words[1:] if word not in ("--overwrite", "--resume", "--break-lock"))]


def status_text(state: dict[str, Any]) -> str:
    """Return a status as a few lines."""
    share = state["networks"] / max(1, state["networks_planned"])
    if state["complete"]:
        what = "complete"
    elif state["writer_alive"]:
        what = f"running ({state['writer']})"
    else:
        what = f"stopped; go on with {_again(state)}"
    lines = [
        f"{state['file']}: {what}",
        f"networks   {state['networks']} of {state['networks_planned']} ({share:.1%})",
        f"checkpoint {state['checkpoint_age_seconds']:.0f} s ago",
    ]
    way = state.get("training")
    if way and way["networks"]:
        length = f" of {way['steps']}" if way["steps"] else ""
        place = f"at step {way['step']}{length} in the checkpoint"
        lines.append(f"training   {way['networks']} networks on their way, {place}")
    if way and way["diverged_networks"]:
        lines.append(f"diverged   {way['diverged_networks']} networks: in no average")
    errors = (
        [] if not way else [f"{way[name]:.2g} {words}" for name, words in ERRORS if way[name] is not None]
    )
    lines += [f"errors     {', '.join(errors)}"] if errors else []
    rate = state["networks_per_second"]
    if rate:
        left = (state["networks_planned"] - state["networks"]) / rate
        rest = "" if state["complete"] else f", {left:.0f} s left"
        lines.append(f"throughput {rate:,.0f} networks/s{rest}")
    if state["relative_error_g4"] is not None:
        lines.append(f"connected G4 relative error {state['relative_error_g4']:.2g}")
    return "\n".join(lines)
