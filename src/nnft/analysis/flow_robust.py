"""Averages of losses that a few extreme networks do not move, beside the plain ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

EXTREME = 10.0
"""A network whose loss exceeds the median over networks by this factor counts as extreme."""

TRIMMED = 0.1
"""Share of the networks that a trimmed mean leaves out, at each end."""


@dataclass(frozen=True, eq=False)
class RobustMeans:
    """Plain and robust averages over the same networks, each of shape (C,).

    Attributes
    ----------
    mean, mean_error
        With the standard error from the variance over networks.
    median, median_error
        The error is that of the bootstrap over networks, exactly, with no sample drawn: that of the median
        of n draws is a weighted spread of the ordered losses (Maritz, Jarrett 1978, *J. Am. Stat. Assoc.* 73,
        194; weights of Harrell, Davis 1982, *Biometrika* 69, 635).
    trimmed, trimmed_error
        Mean without the smallest and the largest tenth; error from the winsorized variance (Tukey,
        McLaughlin 1963, *Sankhya* A 25, 331).
    extreme : ndarray of int64
        Networks whose loss exceeds ten medians.
    largest : ndarray
        Share of the largest loss in the sum over networks.
    networks : int
    """

    mean: FloatArray
    mean_error: FloatArray
    median: FloatArray
    median_error: FloatArray
    trimmed: FloatArray
    trimmed_error: FloatArray
    extreme: npt.NDArray[np.int64]
    largest: FloatArray
    networks: int


def robust_means(losses: FloatArray) -> RobustMeans | None:
    """Return averages of losses of single networks at every cutoff.

    Parameters
    ----------
    losses : ndarray of float64, shape (networks, C)
        Not negative.

    Returns
    -------
    RobustMeans or None
        None without networks or where a loss is not a number, as test errors without test points.
    """
    count = len(losses)
    if not count or np.isnan(losses).any():
        return None
    ordered, mean, median = np.sort(losses, axis=0), losses.mean(axis=0), np.median(losses, axis=0)
    nothing = np.full(len(mean), np.nan)
    spread = losses.std(axis=0, ddof=1) / count**0.5 if count > 1 else nothing
    cut = int(TRIMMED * count)
    trimmed = ordered[cut : count - cut].mean(axis=0)
    total = losses.sum(axis=0)
    return RobustMeans(
        mean, spread, median, _median_error(ordered, median) if count > 1 else nothing, trimmed,
        _trimmed_error(ordered, cut) if count > 1 else nothing, (losses > EXTREME * median).sum(axis=0),
        np.divide(ordered[-1], total, out=nothing.copy(), where=total > 0.0), count,
    )  # fmt: skip


def _median_error(ordered: FloatArray, median: FloatArray) -> FloatArray:
    from scipy.special import betainc

    count = len(ordered)
    half = 0.5 * (count + 1)
    weights = np.diff(betainc(half, half, np.arange(count + 1) / count))
    apart = ordered - median
    first, second = (np.einsum("n,nc->c", weights, apart**power) for power in (1, 2))
    error: FloatArray = np.sqrt(np.maximum(second - first**2, 0.0))
    return error


def _trimmed_error(ordered: FloatArray, cut: int) -> FloatArray:
    count = len(ordered)
    drawn_in = np.clip(ordered, ordered[cut], ordered[count - cut - 1])
    error: FloatArray = drawn_in.std(axis=0, ddof=1) / ((1.0 - 2.0 * cut / count) * count**0.5)
    return error
