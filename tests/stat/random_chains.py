"""Gaussian chains with a known autocorrelation, many at once; `ar1` has the same ones on every machine."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt


def ar1(
    shape: tuple[int, ...], rho: float, seed: int, start: float | None = None
) -> npt.NDArray[np.float64]:
    """Chains of variance 1 along the last axis, 2 tau = (1 + rho)/(1 - rho).

    Stationary unless all begin at `start`.
    """
    values = np.random.default_rng(seed).normal(size=shape)
    values[..., 1:] *= math.sqrt(1 - rho**2)
    if start is not None:
        values[..., 0] = start
    for t in range(1, shape[-1]):
        values[..., t] += rho * values[..., t - 1]
    return values
