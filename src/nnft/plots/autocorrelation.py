"""Autocorrelation functions of chains with errors, as a picture shows them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nnft.analysis.chain_statistics import autocorrelation_time
from nnft.plots.scales import FloatArray

FEWEST_LAGS = 10
WINDOWS = 2.0
"""Lags up to this many times the window of the sum are kept."""

FEWEST_NETWORKS = 4
"""Networks from which the errors of the function come from their spread."""


@dataclass(frozen=True, eq=False)
class Autocorrelation:
    """Normalised autocorrelation function and the integrated time.

    Attributes
    ----------
    function, error : ndarray of float64, shape (T,)
        rho(t) for lags t = 0 .. T-1 in draws, and its standard error; NaN with fewer than 4 networks.
    tau, tau_error : float
        Integrated time tau = 1/2 + sum rho(t) in draws, and its error.
    window : int
        Lag at which the sum ends.
    reliable : bool
        Whether the chains are long enough for it.
    """

    function: FloatArray
    error: FloatArray
    tau: float
    tau_error: float
    window: int
    reliable: bool

    @property
    def decay_time(self) -> float:
        """Time s of the single exponential exp(-t/s) with the same tau; 0 where tau is not above 1/2."""
        return 1.0 / math.log((2 * self.tau + 1) / (2 * self.tau - 1)) if self.tau > 0.5 else 0.0


def autocorrelation(values: FloatArray, shared_target: bool) -> Autocorrelation | None:
    """Return the autocorrelation function of one observable.

    Parameters
    ----------
    values : ndarray of float64, shape (networks, chains, draws)
        Finite.
    shared_target : bool
        Whether all networks sample one law, so that they share one mean; each has its own mean otherwise.

    Returns
    -------
    Autocorrelation or None
        None where no chain moves, or where its summed autocovariance is not positive.

    Notes
    -----
    As in `nnft.analysis.chain_statistics.autocorrelation_time` the bias from unknown means is removed: to
    order 1/n, n the draws behind one mean.

    References
    ----------
    Wolff, Comput. Phys. Commun. 156 (2004) 143, equations (31), (42), (49).
    """
    networks, chains, draws = values.shape
    mean = values.mean() if shared_target else values.mean(axis=(1, 2), keepdims=True)
    deviations = values - mean
    rounding = 64 * np.finfo(np.float64).eps * np.abs(values).max()
    if np.abs(deviations).max() <= rounding:
        return None
    time = autocorrelation_time(deviations.reshape(-1, draws))
    lags = min(draws, max(FEWEST_LAGS, int(WINDOWS * time.window)) + 1)
    gamma = _autocovariances(deviations)[:, :lags]
    per_mean = chains * draws * (networks if shared_target else 1)
    total = gamma.mean(axis=0)
    area = total[0] + 2.0 * total[1 : time.window + 1].sum()
    if not area > 0.0:
        return None
    gamma = gamma + area / per_mean
    total = total + area / per_mean
    function = total / total[0]
    tau = float(0.5 + function[1 : time.window + 1].sum())
    spread = (gamma - gamma[:, :1] * function).std(axis=0, ddof=1) if networks >= FEWEST_NETWORKS else np.nan
    error = spread / (total[0] * math.sqrt(networks)) + np.zeros(len(function))
    scatter = max(0.0, time.window + 0.5 - tau) / (networks * chains * draws)
    tau_error = 2.0 * abs(tau) * math.sqrt(scatter)
    return Autocorrelation(function, error, tau, tau_error, time.window, time.reliable)


def _autocovariances(deviations: FloatArray) -> FloatArray:
    """Return the autocovariance of every network, averaged over its chains, shape (networks, draws)."""
    networks, chains, draws = deviations.shape
    size = 1 << (2 * draws - 1).bit_length()
    found = np.empty((networks, draws))
    for place, network in enumerate(deviations):
        spectrum = np.fft.rfft(network, n=size, axis=1)
        power = (spectrum.real**2 + spectrum.imag**2).sum(axis=0)
        found[place] = np.fft.irfft(power, n=size)[:draws]
    found /= chains * np.arange(draws, 0, -1)
    return found
