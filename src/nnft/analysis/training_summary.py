"""What ``nnft show`` says of a training besides the correlators."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnft.analysis.run import Run
from nnft.analysis.trained_run import SAMPLERS
from nnft.estimators.notation import number_with_error
from nnft.estimators.observables import ObservableEstimator

LOSSES = {
    "half-sum": "1/2 sum (f - y)^2",
    "sum": "sum (f - y)^2",
    "half-mean": "1/2 mean (f - y)^2",
    "mean": "mean (f - y)^2",
}
PLANNED = (
    *("algorithm", "loss", "temperature", "ridge", "trainable", "chains", "draws", "burn_in", "thinning"),
    *("total_steps", "total_time", "step", "parameters"),
)
SHOWN = ("train_error", "test_error", "acceptance", "exponential_of_energy_error")


def training_state(run: Run) -> dict[str, Any]:
    """Return the training of a run as plain numbers, ready for JSON.

    Parameters
    ----------
    run : Run
        With a training.

    Returns
    -------
    dict
        Algorithm, loss, ridge, data, diverged networks, and numbers of the networks at the end or averaged
        over their draws: ``value``, ``stderr``, ``spread``.
    """
    plan, stored = run.plan["training"], run.stored.training
    numbers: dict[str, Any] = {}
    arrays = {n.removeprefix("equilibrium/"): stored[n] for n in stored if n.startswith("equilibrium/")}
    if run.networks and arrays:
        found = ObservableEstimator.from_arrays(arrays)
        for name in found.names:
            result = found.result(name)
            numbers[name] = {
                "value": _plain(result.mean[0]),
                "stderr": _plain(result.stderr[0]),
                "spread": _plain(result.spread[0]),
            }
    lost = {name: int(stored[f"diverged/{name}"]) for name in ("members", "networks", "first")}
    wave = [int(number) for number in stored["wave/position"]] if "wave/position" in stored else None
    return {
        **{name: plan[name] for name in PLANNED},
        "step": plan["step"] or None,
        "total_time": plan["total_time"] or None,
        "train_points": plan["train_points"],
        "test_points": plan["test_points"],
        "estimator": plan["estimator"],
        "diverged": lost | {"share": lost["networks"] / run.networks if run.networks else 0.0},
        "adapted_step": adapted_step(run),
        "on_the_way": None if wave is None else {"first": wave[0], "networks": wave[1], "step": wave[2]},
        "numbers": numbers,
    }


def adapted_step(run: Run) -> dict[str, float] | None:
    """Return the steps that chains have found by themselves: ``mean``, ``smallest``, ``largest``; or None."""
    stored, where = run.stored.training, "equilibrium/observables"
    if "adapted/smallest" not in stored or f"{where}/sums/step_size" not in stored:
        return None
    mean = stored[f"{where}/sums/step_size"].sum() / stored[f"{where}/count"].sum()
    return {
        "mean": float(mean),
        "smallest": float(stored["adapted/smallest"]),
        "largest": float(stored["adapted/largest"]),
    }


def step_text(adapted: dict[str, float]) -> str:
    """Return adapted steps in words."""
    return (
        f"{adapted['mean']:.4g} on average, {adapted['smallest']:.4g} to {adapted['largest']:.4g} "
        "over the chains"
    )


def training_lines(state: dict[str, Any]) -> list[str]:
    """Return the lines of the table's head."""
    t = state["training"]
    ridge = f", ridge {t['ridge']:.6g} (temperature {t['temperature']:.6g})" if t["ridge"] else ""
    layers = ", ".join(map(str, t["trainable"]))
    lines = [f"training   {t['algorithm']} on {LOSSES[t['loss']]}{ridge}, layers {layers}{_length(t)}"]
    known = {name: number for name, number in t["numbers"].items() if number["value"] is not None}
    cells = [f"{name.replace('_', ' ')} {_cell(known[name])}" for name in SHOWN if name in known]
    if cells:
        lines.append("           " + ", ".join(cells))
    if t["adapted_step"]:
        lines.append(f"           adapted step {step_text(t['adapted_step'])}")
    if t["on_the_way"]:
        way = t["on_the_way"]
        lines.append(f"           {way['networks']} networks on their way, at step {way['step']}")
    return lines


def training_warnings(state: dict[str, Any]) -> list[str]:
    """Return what must be known beside the numbers: networks that diverged, acceptance out of range."""
    t = state["training"]
    warnings = []
    lost = t["diverged"]
    if lost["networks"]:
        warnings.append(
            f"! {lost['networks']} of {state['networks']} networks diverged ({lost['share']:.3g} of all, the "
            f"first is member {lost['first']}): they are in no average; lower training.step"
        )
    accepted = t["numbers"].get("acceptance")
    if accepted and accepted["value"] is not None and not 0.15 <= accepted["value"] <= 0.999:
        warnings.append(
            f"! acceptance {accepted['value']:.3g}: allowed for efficient chains 0.15 to 0.999; "
            "change training.step"
        )
    if t["algorithm"] in SAMPLERS and t["algorithm"] != "exact":
        warnings.append("whether the chains are in equilibrium: nnft diagnose")
    return warnings


def _length(t: dict[str, Any]) -> str:
    if t["algorithm"] in ("exact", "given"):
        return ""
    if t["total_time"]:
        return f", time {t['total_time']:.6g}"
    if t["draws"] > 1 or t["chains"] > 1:
        chains = f" in {t['chains']} chains" if t["chains"] > 1 else ""
        return f", {t['draws']} draws{chains} every {t['thinning']} steps after {t['burn_in']}"
    return f", {t['total_steps']} steps"


def _cell(number: dict[str, Any]) -> str:
    value, error = (np.nan if number[name] is None else number[name] for name in ("value", "stderr"))
    return number_with_error(value, error, False)


def _plain(number: Any) -> float | None:
    return float(number) if np.isfinite(number) else None
