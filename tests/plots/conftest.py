"""Results made up in memory, for pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from nnft.actions.symmetric import components, places
from nnft.analysis.extrapolate import Extrapolation
from nnft.analysis.extrapolate_fit import JointFit
from nnft.estimators.replicated import Replicated
from nnft.theory.cumulants import pairings

Array = npt.NDArray[np.float64]

SEED = 20240601
BINS = 20
NETWORKS = 2000


class MadeUpRun:
    """A Gaussian field whose variance fluctuates, with cumulants that have errors, and with outputs."""

    def __init__(
        self,
        kernel: npt.ArrayLike,
        width: float = 10.0,
        orders: tuple[int, ...] = (2, 4, 6),
        outputs: bool = True,
        noise: float = 0.02,
    ) -> None:
        self.kernel = np.asarray(kernel, dtype=np.float64)
        self.width, self.orders, self.noise = width, orders, noise
        self.points = np.eye(len(self.kernel))
        self.path = Path("made-up.h5")
        self.card: dict[str, Any] = {}
        self.networks = NETWORKS
        self.stored = SimpleNamespace(fields=SimpleNamespace(rows=NETWORKS) if outputs else None)

    def replicates(
        self, order: int, outputs: str | None = None, chosen: npt.NDArray[np.int32] | None = None
    ) -> Replicated:
        """Cumulants of a gamma mixture of Gaussians, and each bin's deviation from them."""
        size = len(self.kernel)
        table = components(size, order)
        sums = np.sum(
            [
                np.prod([self.kernel[table[:, a], table[:, b]] for a, b in pairing], axis=0)
                for pairing in pairings(tuple(range(order)))
            ],
            axis=0,
        )
        exact = sums * {2: 1.0, 4: 1.0 / self.width, 6: 2.0 / self.width**2}[order]
        draws = np.random.default_rng(SEED + order).normal(size=(BINS, len(table)))
        values = np.concatenate([exact[None], exact * (1.0 + self.noise / BINS * draws)])
        rows = slice(None) if chosen is None else places(size, chosen)
        return Replicated(values[:, rows], np.full(BINS, NETWORKS // BINS, dtype=np.int64), NETWORKS)

    def fields(self, start: int, stop: int) -> Array:
        """Outputs of networks, shape (networks, 1, points)."""
        generator = np.random.default_rng(SEED)
        root = np.linalg.cholesky(self.kernel + 1e-15 * np.eye(len(self.kernel)))
        scale = np.sqrt(generator.gamma(self.width, 1.0 / self.width, size=(NETWORKS, 1)))
        field: Array = scale * generator.normal(size=(NETWORKS, len(root))) @ root.T
        return field[start:stop, None, :]


def smooth_kernel(size: int, length: float = 1.0) -> Array:
    """A kernel on a line, with eigenvalues that fall fast for a large length."""
    x = np.linspace(-1.0, 1.0, size)
    kernel: Array = np.exp(-0.5 * (x[:, None] - x) ** 2 / length**2)
    return kernel


@pytest.fixture
def make_run() -> Callable[..., MadeUpRun]:
    """The class of made-up runs."""
    return MadeUpRun


@pytest.fixture
def make_kernel() -> Callable[..., Array]:
    """Kernels on a line."""
    return smooth_kernel


@pytest.fixture
def make_fit() -> Callable[..., Extrapolation]:
    """Fits of several components to 1/n, with powers of one's own."""

    def build(powers: tuple[int, ...] = (1, 2), count: int = 2, sign: float = 1.0) -> Extrapolation:
        x = 1.0 / np.array([64.0, 32.0, 16.0, 8.0, 4.0])
        design = x[:, None] ** np.array(powers)
        coefficients = sign * (1.0 + np.arange(count)[:, None] + np.zeros(len(powers)))
        errors = np.full((count, len(x)), 0.002)
        draws = np.random.default_rng(SEED).normal(size=errors.shape)
        covariance = np.linalg.inv(design.T @ design) * 0.002**2
        return Extrapolation(
            observable="g4",
            title="connected four-point function G4",
            against="width",
            x_label="1/n",
            y_label="connected four-point function G4",
            members=tuple(f"run-{place}" for place in range(len(x))),
            x=x,
            indices=np.repeat(np.arange(count, dtype=np.int32)[:, None], 4, axis=1),
            labels=tuple(",".join([str(row)] * 4) for row in range(count)),
            y=coefficients @ design.T + errors * draws,
            yerr=errors,
            unreliable=np.zeros(errors.shape, dtype=np.bool_),
            powers=powers,
            coefficients=coefficients,
            coefficient_errors=np.tile(np.sqrt(np.diagonal(covariance)), (count, 1)),
            covariance=np.tile(covariance, (count, 1, 1)),
            chi_square=(draws**2).sum(axis=1),
            p_value=np.full(count, 0.4),
            dof=len(x) - len(powers),
            slope=np.full(count, -1.1),
            slope_error=np.full(count, 0.02),
            slope_chi_square=np.full(count, 3.0),
            slope_variable="n",
            joint=JointFit(9.0, 6, 0.2, count, count),
            notes=("members with one seed: their correlation is taken from the bins",),
        )

    return build
