"""From the file of a trained run to the verdict on its chains, and to values without the bias of the step."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nnft.analysis.diagnose import Diagnosis, diagnose
from nnft.analysis.diagnose_text import diagnosis_record, diagnosis_text
from nnft.analysis.run import Run, open_run
from nnft.analysis.step_bias import BIAS_ORDER, extrapolate_step, significant_bias
from nnft.analysis.training_summary import adapted_step, step_text
from nnft.errors import DataFileError, UsageError, shorten
from nnft.estimators.notation import number_with_error
from nnft.estimators.replicated import Replicated
from nnft.pipeline.action_output import Printed

FloatArray = npt.NDArray[np.float64]
SHOWN = 8


def diagnosis_of_file(
    path: str | os.PathLike[str],
    *,
    extrapolate: str | os.PathLike[str] | None = None,
    plot: str | os.PathLike[str] | None = None,
) -> Printed:
    """Judge the chains of a trained run.

    Parameters
    ----------
    path : str or path
        Run file.
    extrapolate : str or path, optional
        A second run that differs in ``training.step``, and in the seed if it is to be independent.
    plot : str or path, optional
        Picture of traces and autocorrelations.

    Raises
    ------
    NnftError
        The files are no trained runs, or the two do not belong together.
    """
    if plot is not None:
        from nnft.plots.files import check_picture

        check_picture(plot)
    with open_run(path) as run:
        result, adapted = diagnosis_of_run(run), adapted_step(run)
        record = diagnosis_record(result) | {"adapted_step": adapted}
        text = diagnosis_text(result, "" if adapted is None else step_text(adapted))
        if extrapolate is not None:
            with open_run(extrapolate) as other:
                added = _extrapolation(run, other)
            record["extrapolation"] = added
            text += "\n\n" + _extrapolation_text(added)
        if plot is not None:
            from nnft.pipeline.training_outcome import chain_traces
            from nnft.plots.training import draw_chains

            draw_chains(chain_traces(run), plot)
    return Printed({"file": str(path), **record}, f"{Path(path).name}\n{text}")


def diagnosis_of_run(run: Run) -> Diagnosis:
    """Return the verdict on the chains of an open run.

    Parameters
    ----------
    run : Run
        Of ``nnft.train``.

    Raises
    ------
    UsageError
        It is not trained.
    """
    plan = trained_plan(run)
    stored = run.stored.training
    names = run.stored.trace_names
    traces = (
        stored["traces/values"] if "traces/values" in stored else np.zeros((plan["chains"], 0, len(names)))
    )
    return diagnose(
        traces,
        names,
        draws_done=traces.shape[1],
        thinning=int(plan["thinning"]),
        algorithm=str(plan["algorithm"]),
        shared_target=len(plan["trainable"]) == run.plan["layers"] and "data/sha256" not in stored,
        chains=int(plan["chains"]),
        acceptance=_acceptance(run),
        temperature=float(plan["temperature"]),
    )


def trained_plan(run: Run) -> dict[str, Any]:
    """Return the training of a run as it was decided.

    Raises
    ------
    UsageError
        The run is not trained.
    """
    if run.training is None:
        raise UsageError(f"no training in {shorten(run.path.name)}: got a run of nnft sample; use nnft train")
    plan: dict[str, Any] = run.plan["training"]
    return plan


def _acceptance(run: Run) -> float | None:
    """Mean acceptance after burn-in, of the algorithms that accept or reject."""
    stored, where = run.stored.training, "equilibrium/observables"
    if f"{where}/sums/acceptance" not in stored:
        return None
    networks = int(stored[f"{where}/count"].sum())
    return float(stored[f"{where}/sums/acceptance"].sum() / networks) if networks else None


def _extrapolation(run: Run, other: Run) -> dict[str, Any]:
    """Mean and two-point function at vanishing step from two runs."""
    plans = [trained_plan(one) for one in (run, other)]
    steps = [float(plan["step"]) for plan in plans]
    _require_a_pair(run, other, plans, steps)
    if steps[0] < steps[1]:
        small, large = run, other
    else:
        small, large, steps = other, run, steps[::-1]
    ratio = steps[1] / steps[0]
    algorithm = str(plans[0]["algorithm"])
    tables = {}
    for order, name in ((1, "mean"), (2, "connected_2")):
        values = [one.connected(order) for one in (small, large)]
        pairs = [(value.value, value.stderr) for value in values]
        found = extrapolate_step(pairs[0], pairs[1], algorithm=algorithm, ratio=ratio)
        error = found.error
        if _paired(small, large):
            error = _paired_error(small, large, order, ratio ** BIAS_ORDER[algorithm])
        tables[name] = {
            "indices": values[0].indices.tolist(),
            "small_step": {"value": pairs[0][0].tolist(), "stderr": pairs[0][1].tolist()},
            "large_step": {"value": pairs[1][0].tolist(), "stderr": pairs[1][1].tolist()},
            "value": found.value.tolist(),
            "stderr": error.tolist(),
            "bias": found.bias.tolist(),
            "significant": significant_bias(found).tolist(),
        }
    return {"steps": steps, "order": BIAS_ORDER[algorithm], "paired": _paired(small, large), "tables": tables}


def _require_a_pair(run: Run, other: Run, plans: list[dict[str, Any]], steps: list[float]) -> None:
    """Refuse two runs that differ in more than the step."""
    if plans[0]["algorithm"] not in BIAS_ORDER:
        raise UsageError(
            f"no step-size bias in {shorten(run.path.name)}: got {plans[0]['algorithm']}; "
            f"--extrapolate is for {' and '.join(BIAS_ORDER)}"
        )
    same = ("algorithm", "loss", "ridge", "trainable", "parametrization", "friction")
    different = [name for name in same if plans[0][name] != plans[1][name]]
    digests = [one.stored.snapshot().data_sha256 for one in (run, other)]
    if different or digests[0] != digests[1] or run.card["network"] != other.card["network"]:
        what = different[0] if different else "data or network"
        raise DataFileError(
            f"runs differ in more than the step: got another {what} in {shorten(other.path.name)}; "
            "give two runs of one card with another training.step"
        )
    if not np.array_equal(run.points, other.points):
        raise DataFileError(f"runs have different [inputs]: got other points in {shorten(other.path.name)}")
    if min(steps) <= 0.0 or steps[0] == steps[1]:
        raise UsageError(
            f"steps are not different: got training.step {steps[0]:g} and {steps[1]:g}; halve one"
        )


def _paired(small: Run, large: Run) -> bool:
    """Whether both runs have the same networks and noise, so that their errors are not independent."""
    same = small.stored.text("seed") == large.stored.text("seed")
    return same and np.array_equal(small.estimator.counts, large.estimator.counts)


def _paired_error(small: Run, large: Run, order: int, gain: float) -> FloatArray:
    """Errors of the extrapolated values from the bins that both runs share."""
    first, second = small.replicates(order), large.replicates(order)
    rows = first.values - (second.values - first.values) / (gain - 1.0)
    return Replicated(rows, first.bin_counts, first.n_networks).stderr()


def _extrapolation_text(found: dict[str, Any]) -> str:
    steps = " and ".join(f"{step:g}" for step in found["steps"])
    shared = "the same seed: errors from common bins" if found["paired"] else "independent runs"
    lines = [f"step 0 from steps {steps}, bias of order step^{found['order']}; {shared}"]
    for name, table in found["tables"].items():
        for k, indices in enumerate(table["indices"][:SHOWN]):
            cells = [_cell(table[part], k) for part in ("small_step", "large_step")]
            limit = number_with_error(table["value"][k], table["stderr"][k], False)
            mark = "  bias seen" if table["significant"][k] else ""
            label = f"{name.replace('connected_2', 'G2')}({', '.join(map(str, indices))})"
            lines.append(f"  {label:12} {cells[1]} -> {cells[0]} -> {limit}{mark}")
    return "\n".join(lines)


def _cell(part: dict[str, Any], k: int) -> str:
    return number_with_error(part["value"][k], part["stderr"][k], False)
