"""Runs in memory, and the judgements of statistical tests: pulls, bands, what a test can see."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, gammainc, gammaincc

from nnft.estimators.correlators import CorrelatorEstimator
from nnft.estimators.results import Correlator, Estimate
from nnft.pipeline.engine import Engine
from nnft.spec.plan import plan_run
from nnft.spec.run import RunSpec

Array = npt.NDArray[Any]

SEED = 20240601
LIMIT = 5.85
SMALLEST_P = 5e-9
BAND_P = 1e-7
DETECTABLE = LIMIT + 4.75
"""Shifts of this many standard errors are seen almost surely by a test at the limit."""

ENTRIES: dict[str, dict[str, Any]] = {
    entry["id"]: entry
    for entry in json.loads(
        (Path(__file__).parents[1] / "reference" / "initialization.json").read_text(encoding="utf-8")
    )["entries"]
}


def number(value: Any) -> float:
    """A reference value, given as a number or with its exact fraction."""
    return float(value["value"] if isinstance(value, dict) else value)


def engine(
    points: npt.ArrayLike,
    widths: Sequence[int],
    activation: str,
    seed: int,
    networks: int,
    *,
    weight: float | Sequence[float] = 1.0,
    bias: float | Sequence[float] = 0.0,
    parameters: Sequence[float] | None = None,
    outputs: int = 1,
    orders: Sequence[int] = (2, 4),
    estimator: str = "conditional",
    method: str = "collapsed",
    precision: str = "float64",
    layers: bool = False,
    bins: int = 100,
    labels: int | str = "auto",
    layer_pairs: str = "all",
) -> Engine:
    """A run that is done."""
    several = lambda v: v if isinstance(v, int | float) else list(v)  # noqa: E731
    network: dict[str, Any] = {
        "widths": list(widths), "activation": activation, "outputs": outputs,
        "weight_variance": several(weight), "bias_variance": several(bias),
    }  # fmt: skip
    if parameters is not None:
        network["activation_parameters"] = list(parameters)
    spec = RunSpec.from_dict(
        {
            "network": network,
            "inputs": {"points": np.asarray(points, dtype=float).tolist()},
            "ensemble": {"networks": networks, "seed": seed, "method": method, "precision": precision},
            "estimate": {
                "correlators": list(orders), "estimator": estimator, "layers": layers, "bins": bins,
                "outputs": labels, "layer_pairs": layer_pairs,
            },
        }
    )  # fmt: skip
    plan = plan_run(spec)
    done = Engine(spec, plan)
    while done.blocks_done < plan.blocks:
        done.advance(min(plan.bins, plan.blocks - done.blocks_done))
    return done


def estimate(*arguments: Any, **options: Any) -> CorrelatorEstimator:
    """Estimator of a run that is done; arguments as for `engine`."""
    return engine(*arguments, **options).estimator


def component(correlator: Estimate, points: Sequence[int]) -> int:
    """Row of a component of a correlator, points in any order within a label."""
    if isinstance(correlator, Correlator):
        return int(correlator.table.locate(np.array([points], dtype=np.int32))[0])
    rows = np.flatnonzero((correlator.indices == np.array(points)).all(axis=1))
    return int(rows[0])


def pull(correlator: Estimate, points: Sequence[int], exact: float, sees: float) -> float:
    """(estimate - exact) / error; the test must see a relative change of `sees` of the exact value."""
    row = component(correlator, points)
    error = float(correlator.stderr[row])
    assert DETECTABLE * error < sees * abs(exact), f"blind: sees {DETECTABLE * error / abs(exact):.3g}"
    return (float(correlator.value[row]) - exact) / error


def chi_square_upper(statistic: float, freedom: int) -> float:
    """Probability of a larger chi-square."""
    return float(gammaincc(freedom / 2, statistic / 2))


def check_band(pulls: Iterable[float]) -> None:
    """The sum of squares of independent pulls lies in its band, 1e-7 on each side."""
    values = np.fromiter(pulls, dtype=np.float64)
    statistic = float((values**2).sum())
    assert chi_square_upper(statistic, len(values)) > BAND_P, f"errors too small: {statistic}"
    assert float(gammainc(len(values) / 2, statistic / 2)) > BAND_P, f"errors too large: {statistic}"


def joint_p(correlator: Estimate, exact: npt.ArrayLike, rows: Sequence[int] | None = None) -> float:
    """Probability of a larger deviation of all components at once (Hotelling 1931, bins as samples)."""
    chosen = list(range(len(correlator.value))) if rows is None else list(rows)
    difference = correlator.value[chosen] - np.asarray(exact, dtype=np.float64)
    covariance = correlator.covariance()[np.ix_(chosen, chosen)]
    return hotelling_p(difference, covariance, len(correlator.bin_counts))


def hotelling_p(difference: Array, covariance: Array, bins: int) -> float:
    """Probability of a larger T^2; directions without spread must have no difference."""
    scale = np.sqrt(np.diagonal(covariance))
    assert np.all(abs(difference[scale == 0.0]) < 1e-12)
    kept = scale > 0.0
    correlation = covariance[np.ix_(kept, kept)] / np.outer(scale[kept], scale[kept])
    values, vectors = np.linalg.eigh(correlation)
    # components that depend linearly on others (symmetries) have eigenvalues at rounding level
    real = values > 1e-8
    pulls = (vectors.T @ (difference[kept] / scale[kept]))[real] / np.sqrt(values[real])
    m, b = int(real.sum()), bins
    f = float((pulls**2).sum()) * (b - m) / (m * (b - 1))
    # upper tail of F(m, b - m)
    return float(betainc((b - m) / 2, m / 2, (b - m) / (b - m + m * f)))


def binomial_pull(successes: int, trials: int, probability: float) -> float:
    """(successes - expected) / binomial error."""
    return (successes - trials * probability) / math.sqrt(trials * probability * (1 - probability))
