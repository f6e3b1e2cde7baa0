"""Deformed ensembles in memory, and the theories they sample by quadrature on a tensor grid."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from runs import Array

from nnft.estimators.correlators import CorrelatorEstimator
from nnft.pipeline.engine import Engine
from nnft.spec.plan import plan_run
from nnft.spec.run import RunSpec

REFERENCES: dict[str, dict[str, Any]] = {
    entry["id"]: entry
    for entry in json.loads(
        (Path(__file__).parents[1] / "reference" / "deformation.json").read_text(encoding="utf-8")
    )["entries"]
}


def points_with_kernel(kernel: npt.ArrayLike) -> Array:
    """Input points whose first kernel x.x/d is `kernel`."""
    factor = np.linalg.cholesky(np.asarray(kernel, dtype=float))
    points: Array = factor * np.sqrt(len(factor))
    return points


def deformed(
    points: npt.ArrayLike,
    widths: Sequence[int],
    seed: int,
    networks: int,
    deformation: dict[str, Any],
    *,
    orders: Sequence[int] = (2, 4),
    activation: str = "linear",
    outputs: int = 1,
    bins: int = 100,
    layers: bool = False,
    method: str = "collapsed",
    precision: str = "float64",
) -> CorrelatorEstimator:
    """Estimator of a deformed run that is done."""
    spec = RunSpec.from_dict(
        {
            "network": {"widths": list(widths), "activation": activation, "outputs": outputs},
            "inputs": {"points": np.asarray(points, dtype=float).tolist()},
            "ensemble": {"networks": networks, "seed": seed, "method": method, "precision": precision},
            "estimate": {"correlators": list(orders), "bins": bins, "layers": layers},
            "deformation": deformation,
        }
    )
    plan = plan_run(spec)
    done = Engine(spec, plan)
    while done.blocks_done < plan.blocks:
        done.advance(min(plan.bins, plan.blocks - done.blocks_done))
    return done.estimator


def potential(phi: Array, phi2: Any = 0.0, phi4: Any = 0.0, phi6: Any = 0.0, cell: float = 1.0) -> Array:
    """V of fields (grid, sites), term by term."""
    return np.asarray(cell * (phi2 * phi**2 / 2 + phi4 * phi**4 / 24 + phi6 * phi**6 / 720).sum(axis=1))


class Theory:
    """A lattice theory with the density N(0, G) exp(-V), by the trapezoid rule on a grid.

    Parameters
    ----------
    kernel : array_like, shape (n, n)
        G of the n field components, n at most 4.
    energy : callable
        V of fields (grid, n).
    step : float
        Of the whitened fields; the error is below 1e-12 for the couplings of these tests.
    """

    def __init__(
        self, kernel: npt.ArrayLike, energy: Callable[[Array], Array], step: float = 0.25, end: float = 8.0
    ) -> None:
        factor = np.linalg.cholesky(np.asarray(kernel, dtype=float))
        line = np.arange(-end, end + step / 2, step)
        grid = np.stack(np.meshgrid(*[line] * len(factor), indexing="ij"), axis=-1).reshape(-1, len(factor))
        self.phi = grid @ factor.T
        weight = np.exp(-0.5 * (grid**2).sum(axis=1) - energy(self.phi))
        self.weight = weight / weight.sum()
        self._known: dict[tuple[int, ...], float] = {(): 1.0}

    def moment(self, slots: Sequence[int]) -> float:
        """E of a product of field components."""
        name = tuple(sorted(slots))
        if name not in self._known:
            self._known[name] = float(self.weight @ np.prod(self.phi[:, list(name)], axis=1))
        return self._known[name]

    def cumulant(self, slots: Sequence[int]) -> float:
        """Joint cumulant of field components."""
        return cumulant(self.moment, tuple(slots))


def cumulant(moment: Callable[[Sequence[int]], float], slots: tuple[int, ...]) -> float:
    """Joint cumulant from moments: the one of the block with the first slot, times the rest's moment."""
    first, rest = slots[0], slots[1:]
    total = moment(slots)
    for size in range(len(rest)):
        for chosen in itertools.combinations(range(len(rest)), size):
            block = (first, *(rest[k] for k in chosen))
            others = [rest[k] for k in range(len(rest)) if k not in chosen]
            total -= cumulant(moment, block) * moment(others)
    return total
