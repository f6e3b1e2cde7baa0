"""Whether chains drift: their law at the first draws against their law at the last."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nnft.analysis.chain_statistics import autocorrelation_time

Array = npt.NDArray[np.float64]

DRIFT_LIMIT = 4.0  # standard errors
SETTLED = 2.5  # standard errors at which the rest of the chains is taken for stationary
MANY_UNITS = 32  # from here the spread between units is the sharper error
FEW_UNITS = 8
LARGEST_Z = 38.0  # of a p-value that is zero in double precision


@dataclass(frozen=True)
class Stationarity:
    """Tests of chains against drift, each a number of standard errors; not a number if it cannot be made.

    Attributes
    ----------
    thirds : float
        Mean over the last third of the draws minus that over the first third.
    trend : float
        Slope over the draws of the mean over all networks.
    spread : float
        Slope over the draws of the mean squared distance from the centre: sees an ensemble that widens or
        shrinks about an unchanged mean.
    units : int
        Number of independent units (networks, or chains where networks are few).
    """

    thirds: float = math.nan
    trend: float = math.nan
    spread: float = math.nan
    units: int = 0

    @property
    def worst(self) -> float:
        """The largest of the three in magnitude, not a number if none can be had."""
        sizes = [abs(value) for value in (self.thirds, self.trend, self.spread) if not math.isnan(value)]
        return max(sizes, default=math.nan)


def stationarity(traces: Array, shared_target: bool) -> Stationarity:
    """Test whether the law of an observable changes over the draws.

    Parameters
    ----------
    traces : ndarray, shape (networks, chains, n), float64
        Finite values of one observable.
    shared_target : bool
        Whether all networks sample one law. If not, each is measured from its own mean.

    Returns
    -------
    Stationarity
        Errors come from the spread between independent units, by Student's t turned into a normal
        deviate, whatever the autocorrelation in a chain: units are networks, or single chains where there
        are fewer than 8 networks. With fewer than 32 units the error of `thirds` is that of the Gamma method
        in the last third, if that is reliable. Nothing is tested with fewer than 6 draws.
    """
    networks, chains, draws = traces.shape
    units = networks if networks >= FEW_UNITS else networks * chains
    if draws < 6:
        return Stationarity(units=units)
    center = traces.mean() if shared_target else traces.mean(axis=(1, 2), keepdims=True)
    deviations = traces - center
    squares = deviations**2
    if networks >= FEW_UNITS:
        series, square_series = deviations.mean(axis=1), squares.mean(axis=1)
    else:
        series, square_series = deviations.reshape(units, draws), squares.reshape(units, draws)
    lever = np.arange(draws) - (draws - 1) / 2
    enough = units >= FEW_UNITS
    return Stationarity(
        thirds=_thirds(deviations.reshape(networks * chains, draws), series),
        trend=_student(series @ lever) if enough else math.nan,
        spread=_student(square_series @ lever) if enough else math.nan,
        units=units,
    )


def _thirds(chains: Array, series: Array) -> float:
    """Standard errors between the means of first and last third."""
    third = chains.shape[1] // 3
    first, last = chains[:, :third], chains[:, -third:]
    if len(series) < MANY_UNITS:
        time = autocorrelation_time(last)  # the first third may hold the drift
        if time.reliable:
            return float(last.mean() - first.mean()) / (math.sqrt(2) * time.error)
    if len(series) < 4:
        return math.nan
    return _student(series[:, -third:].mean(axis=1) - series[:, :third].mean(axis=1))


def _student(values: Array) -> float:
    """Normal deviate with the tail probability of Student's t of a zero mean."""
    from scipy.special import ndtri, stdtr

    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    mean = float(values.mean())
    if error <= 1e-14 * abs(mean):
        return math.nan if mean == 0 else math.copysign(LARGEST_Z, mean)
    tail = float(stdtr(len(values) - 1, -abs(mean / error)))
    return math.copysign(min(LARGEST_Z, -float(ndtri(tail))), mean)


def draws_to_drop(traces: Array, shared_target: bool) -> int:
    """Return how many first draws to drop for the rest to show no drift.

    Parameters
    ----------
    traces, shared_target
        As for `stationarity`.

    Returns
    -------
    int
        1/8, 1/4, 3/8 or 1/2 of the draws, rounded up; all of them if the second half drifts still.
    """
    draws = int(traces.shape[2])
    for eighths in (1, 2, 3, 4):
        start = -(-draws * eighths // 8)
        if draws - start < 12:
            break
        if stationarity(traces[:, :, start:], shared_target).worst < SETTLED:
            return start
    return draws
