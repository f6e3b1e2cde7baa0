"""Small ensembles pushed through the accumulation program and the plain NumPy kernel."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nnft._kernels.reference import accumulate_reference
from nnft.estimators.correlators import CorrelatorEstimator
from nnft.estimators.index_table import multisets
from nnft.estimators.layout import SumLayout
from nnft.estimators.program import LANES, AccumulationProgram, build_program


def packed(metrics: np.ndarray) -> np.ndarray:
    """Pack metrics (M, P, P) as pairs (M, Q)."""
    pairs = multisets(metrics.shape[-1], 2)
    return metrics[..., pairs[:, 0], pairs[:, 1]]


def block_sums(program: AccumulationProgram, base: Mapping[str, np.ndarray]) -> np.ndarray:
    """Sums over networks; `base` has the rows (M, slots) of every group of base slots."""
    sums = np.zeros(program.n_sums)
    n_networks = len(next(iter(base.values())))
    for start in range(0, n_networks, LANES):
        lanes = np.zeros((program.n_slots, LANES))
        live = min(LANES, n_networks - start)
        lanes[0, :live] = 1.0
        for name, first in program.base_slots.items():
            rows = base[name][start : start + live]
            lanes[first : first + rows.shape[1], :live] = rows.T
        accumulate_reference(program, lanes, sums)
    return sums


def estimate_metrics(
    layout: SumLayout, metrics: Mapping[int, np.ndarray], bins: int, shifts: Mapping[int, np.ndarray]
) -> CorrelatorEstimator:
    """Estimator of networks given by their metrics (M, P, P) per layer, dealt to the bins in turn."""
    program = build_program(layout)
    estimator = CorrelatorEstimator(layout, bins, shifts.get(layout.last_layer), shifts)
    zero = np.zeros(layout.n_pairs)
    base = {f"kernel_{layer}": packed(m) - shifts.get(layer, zero) for layer, m in metrics.items()}
    for b in range(bins):
        part = {name: rows[b::bins] for name, rows in base.items()}
        count = len(next(iter(part.values())))
        if count:
            estimator.push(b, count, block_sums(program, part))
    return estimator


def estimate_fields(layout: SumLayout, fields: np.ndarray, bins: int) -> CorrelatorEstimator:
    """Estimator of networks given by their outputs (M, D, P), dealt to the bins in turn."""
    program = build_program(layout)
    estimator = CorrelatorEstimator(layout, bins)
    rows = fields[:, : layout.outputs].reshape(len(fields), -1)
    for b in range(bins):
        if len(rows[b::bins]):
            estimator.push(b, len(rows[b::bins]), block_sums(program, {"fields": rows[b::bins]}))
    return estimator


def wishart_metrics(n_networks: int, n_points: int, width: int, seed: int) -> np.ndarray:
    """Metrics of a one-hidden-layer linear network, shape (M, P, P), with a smooth mean."""
    rng = np.random.default_rng(seed)
    points = np.linspace(-1.0, 1.0, n_points)
    mean = np.exp(-((points[:, None] - points) ** 2)) + 0.1 * np.eye(n_points)
    hidden = rng.standard_normal((n_networks, width, n_points)) @ np.linalg.cholesky(mean).T
    return np.einsum("mka,mkb->mab", hidden, hidden) / width


def estimate_samples(
    layout: SumLayout,
    samples: Mapping[str, np.ndarray],
    bins: int,
    shift: np.ndarray | float = 0.0,
) -> CorrelatorEstimator:
    """Estimator of trained networks, dealt to the bins in turn.

    `samples` has "fields" (M, draws, P), or "mean" (M, draws, P) and "covariance" (M, draws, P, P).
    """
    program = build_program(layout)
    first = next(iter(samples.values()))
    shift = np.broadcast_to(shift, layout.n_points)
    estimator = CorrelatorEstimator(layout, bins, shift, draws=first.shape[1])
    base = {name: rows - shift for name, rows in samples.items() if name != "covariance"}
    if "covariance" in samples:
        base["covariance"] = packed(samples["covariance"])
    for b in range(bins):
        part = {name: rows[b::bins].reshape(-1, rows.shape[-1]) for name, rows in base.items()}
        if len(first[b::bins]):
            estimator.push(b, len(first[b::bins]), block_sums(program, part))
    return estimator
