"""Gaussian chains with a known autocorrelation, the same digits on every machine.

Uniforms from the multiplicative generator ``s -> 48271 s mod (2^31 - 1)``, normals by Box and Muller
(cosine, then sine), ``x_0 = z_0`` and ``x_t = rho x_(t-1) + sqrt(1 - rho^2) z_t``: stationary from the
start, variance 1, integrated autocorrelation time ``(1 + rho) / (2 (1 - rho))``.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

MODULUS = 2**31 - 1
FILE = Path(__file__).resolve().parents[1] / "reference" / "training.json"


def normals(seed: int, count: int) -> npt.NDArray[np.float64]:
    """The first `count` normal numbers of a seed from 1 to 2^31 - 2."""
    state, values = seed, []
    while len(values) < count:
        state = state * 48271 % MODULUS
        radius = math.sqrt(-2.0 * math.log(state / MODULUS))
        state = state * 48271 % MODULUS
        angle = 2.0 * math.pi * state / MODULUS
        values += [radius * math.cos(angle), radius * math.sin(angle)]
    return np.array(values[:count])


def chain(seed: int, length: int, rho: float, offset: float = 0.0) -> npt.NDArray[np.float64]:
    """One chain, shape (length,), with mean `offset`."""
    values = normals(seed, length)
    values[1:] *= math.sqrt(1.0 - rho**2)
    for t in range(1, length):
        values[t] += rho * values[t - 1]
    return values + offset


def reference_chains() -> dict[str, tuple[npt.NDArray[np.float64], dict[str, Any]]]:
    """Chains, shape (m, n), and expected statistics of every reference entry, by its name.

    The window parameter of the Gamma method is 1.5; values hold to a relative precision of 1e-6.
    """
    result = {}
    for entry in json.loads(FILE.read_text(encoding="utf-8"))["entries"]:
        if entry["id"].startswith("mcmc-ar1-"):
            given = entry["inputs"]
            pairs = zip(given["seeds"], given["offsets"], strict=True)
            chains = [chain(seed, given["n"], given["rho"], offset) for seed, offset in pairs]
            result[entry["id"]] = np.array(chains), entry["values"]
    return result
