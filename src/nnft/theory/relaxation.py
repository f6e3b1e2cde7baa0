"""Factors by which the modes of a linear relaxation decay, and what they gather meanwhile.

``x' = -h x + b`` gives ``x(t) = decay x(0) + gain b`` with ``decay = exp(-h t)`` and
``gain = (1 - decay) / h``; steps of length s give ``decay = (1 - s h)^k``. The gain is accurate for small
h, and ``t`` (or ``k s``) at h = 0.
"""

from __future__ import annotations

import numpy as np

from nnft.errors import NumericalError, UsageError
from nnft.theory.activations import Array


def flow_factors(rates: Array, time: float) -> tuple[Array, Array]:
    """Decay ``exp(-h t)`` and gain ``(1 - exp(-h t)) / h`` of every mode.

    Parameters
    ----------
    rates : ndarray
        Rates h >= 0.
    time : float
        Time t >= 0.
    """
    if not time >= 0.0:
        raise UsageError(f"time of a flow: got {time}; give a number >= 0")
    lost = -np.expm1(-rates * time)
    gain = np.divide(lost, rates, out=np.full_like(rates, time), where=rates > 0.0)
    return np.exp(-rates * time), gain


def descent_factors(rates: Array, step: float, steps: int) -> tuple[Array, Array]:
    """Decay ``(1 - s h)^k`` and gain ``(1 - (1 - s h)^k) / h`` of every mode.

    Parameters
    ----------
    rates : ndarray
        Rates h >= 0.
    step : float
        Step s >= 0.
    steps : int
        Number k >= 0 of steps.

    Raises
    ------
    NumericalError
        If a mode is unstable and overflows; the message has the largest stable step.
    """
    if steps < 0 or not step >= 0.0:
        raise UsageError(f"descent of {steps} steps of {step}: got a negative number; give numbers >= 0")
    moved = step * rates
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        exponent = steps * np.log1p(-np.minimum(moved, 0.5))
        decay = np.where(moved < 0.5, np.exp(exponent), (1.0 - moved) ** steps)
        lost = np.where(moved < 0.5, -np.expm1(exponent), 1.0 - decay)
    if not np.all(np.isfinite(decay)):
        raise NumericalError(
            f"gradient descent diverges: got step {step:.6g} after {steps} steps; "
            f"use a step below {2.0 / float(np.max(rates)):.6g}"
        )
    gain = np.divide(lost, rates, out=np.full_like(rates, step * steps), where=rates > 0.0)
    return decay, gain
