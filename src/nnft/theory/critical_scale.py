"""Critical scale of a flow: the cutoff at which the loss has risen by a given part of its whole rise.

The rise ``r_j = (L_j - L_0) / (L_inf - L_0)`` lies between the loss without renormalization and that with
everything resampled, both computed and not fitted. Monotone regression of r (pool adjacent violators: Barlow
and Brunk, J. Am. Stat. Assoc. 67, 140 (1972)) removes noise, and the first crossing of delta is interpolated
linearly in the logarithm of the cutoff. Where there is none, this is said and no number is given. The scale
up to which a network can be coarse-grained: Howard, Klinger, Maiti and Stapleton, SciPost Phys. Core 8, 027
(2025), arXiv:2405.17538, section 4.2. Bootstrap: Efron and Tibshirani, *An Introduction to the Bootstrap*
(1993).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from scipy.optimize import isotonic_regression

from nnft.errors import UsageError
from nnft.theory.activations import Array

_SMALLEST_ERROR = 1e-6


class Verdict(Enum):
    """Whether a flow has a critical scale."""

    FOUND = "found"
    NO_RISE = "no rise"
    NO_PLATEAU = "no plateau"
    NO_CROSSING = "no crossing"
    UNRESOLVED = "unresolved"


@dataclass(frozen=True)
class CriticalScale:
    """The cutoff at which the rise reaches delta.

    Attributes
    ----------
    delta : float
        Part of the whole rise.
    verdict : Verdict
    sentence : str
        The verdict in words.
    value : float
        The cutoff; NaN unless found or unresolved.
    rise_error : float
        Standard error of the rise at the crossing; NaN without errors.
    log_error : float
        Standard error of the logarithm of the cutoff over the bootstrap; NaN without.
    interval : tuple of float
        Interval of the bootstrap; NaN without. Samples without a crossing count as the ends of the range: 0
        where there is no plateau, infinity where there is no crossing.
    found_fraction : float
        Fraction of bootstrap samples with a crossing; NaN without.
    """

    delta: float
    verdict: Verdict
    sentence: str
    value: float = math.nan
    rise_error: float = math.nan
    log_error: float = math.nan
    interval: tuple[float, float] = (math.nan, math.nan)
    found_fraction: float = math.nan

    @property
    def error(self) -> float:
        """Standard error of the cutoff, from that of its logarithm."""
        return self.value * self.log_error


def rise(losses: Array, unrenormalised: float, resampled: float) -> Array:
    """Rise of the loss in units of its whole rise.

    Parameters
    ----------
    losses : ndarray, shape (cutoffs,)
        Losses.
    unrenormalised, resampled : float
        Loss at cutoff 0 and at infinite cutoff.

    Raises
    ------
    UsageError
        If the two are equal or not finite.
    """
    whole = resampled - unrenormalised
    if whole == 0.0 or not math.isfinite(whole):
        raise UsageError(
            f"rise of a loss: got {unrenormalised} at cutoff 0 and {resampled} at infinity; give two losses"
        )
    return np.asarray((np.asarray(losses, dtype=np.float64) - unrenormalised) / whole)


def isotonic_rise(values: Array, errors: Array | None = None) -> Array:
    """Monotone regression of a rise, weights 1 / errors^2; errors below 1e-6 of the largest count as that."""
    rises = np.asarray(values, dtype=np.float64)
    weights = None
    if errors is not None and np.max(errors) > 0.0:
        relative = np.maximum(np.asarray(errors) / np.max(errors), _SMALLEST_ERROR)
        weights = relative**-2
    return np.asarray(isotonic_regression(rises, weights=weights).x)


def crossing(cutoffs: Array, rises: Array, delta: float) -> tuple[float, int]:
    """First crossing of delta by a monotone rise, linear in ln(cutoff).

    Returns
    -------
    value : float
        0 if the rise starts at delta or above, infinity if it never gets there.
    place : int
        Number of rises below delta.
    """
    above = np.flatnonzero(rises >= delta)
    if above.size == 0:
        return math.inf, len(rises)
    place = int(above[0])
    if place == 0:
        return 0.0, 0
    left, right = math.log(cutoffs[place - 1]), math.log(cutoffs[place])
    part = (delta - rises[place - 1]) / (rises[place] - rises[place - 1])
    return math.exp(left + float(part) * (right - left)), place


def critical_scale(
    cutoffs: Array,
    losses: Array,
    unrenormalised: float,
    resampled: float,
    delta: float,
    rise_errors: Array | None = None,
    whole_error: float = 0.0,
) -> CriticalScale:
    """Critical scale of one curve.

    Parameters
    ----------
    cutoffs, losses : ndarray, shape (cutoffs,)
        Ascending cutoffs > 0, and the loss at each.
    unrenormalised, resampled : float
        Loss at cutoff 0 and at infinite cutoff.
    delta : float
        Part of the rise, between 0 and 1.
    rise_errors : ndarray, shape (cutoffs,), optional
        Standard errors of the rise: weights of the regression, and the test that delta exceeds twice the
        error at the crossing.
    whole_error : float
        Standard error of ``resampled - unrenormalised``; there is no rise where this is below twice its
        error.

    Raises
    ------
    UsageError
        If the cutoffs do not ascend from above 0, or delta is not between 0 and 1.
    """
    scales = _checked(cutoffs, [delta])
    if not resampled - unrenormalised > 2.0 * whole_error:
        text = (
            f"no rise: the loss is {unrenormalised:.6g} at cutoff 0 and {resampled:.6g} at infinity, "
            f"a difference with error {whole_error:.2g}"
        )
        return CriticalScale(delta, Verdict.NO_RISE, text)
    rises = isotonic_rise(rise(losses, unrenormalised, resampled), rise_errors)
    value, place = crossing(scales, rises, delta)
    if place == 0:
        text = (
            f"no plateau: the loss has risen by {rises[0]:.3g} of its whole rise at the smallest cutoff, "
            f"{scales[0]:.3g}; it is to cross {delta:.3g}"
        )
        return CriticalScale(delta, Verdict.NO_PLATEAU, text)
    if place == len(scales):
        text = (
            f"no crossing: the loss has risen by {rises[-1]:.3g} of its whole rise at the largest cutoff, "
            f"{scales[-1]:.3g}; it is to cross {delta:.3g}"
        )
        return CriticalScale(delta, Verdict.NO_CROSSING, text)
    error = math.nan if rise_errors is None else float(np.max(np.asarray(rise_errors)[place - 1 : place + 1]))
    if error * 2.0 > delta:
        text = f"unresolved: the rise at the crossing has error {error:.2g}, more than half of {delta:.3g}"
        return CriticalScale(delta, Verdict.UNRESOLVED, text, value, error)
    text = f"the loss has risen by {delta:.3g} of its whole rise at cutoff {value:.4g}"
    return CriticalScale(delta, Verdict.FOUND, text, value, error)


def _checked(cutoffs: Array, deltas: Sequence[float]) -> Array:
    scales = np.asarray(cutoffs, dtype=np.float64)
    if scales.ndim != 1 or scales.size < 2 or not (scales[0] > 0.0 and np.all(np.diff(scales) > 0.0)):
        raise UsageError(f"cutoffs of a critical scale: got {str(cutoffs)[:80]}; give two or more, ascending")
    if not all(0.0 < delta < 1.0 for delta in deltas):
        raise UsageError(f"part of the rise: got {list(deltas)}; give numbers between 0 and 1")
    return scales


def rise_errors_of_networks(losses: Array, unrenormalised: Array, resampled: Array) -> Array:
    """Standard errors of the rise of the mean loss over networks, from the linearised ratio.

    Parameters
    ----------
    losses : ndarray, shape (M, cutoffs)
        Loss of every network.
    unrenormalised, resampled : ndarray, shape (M,)
        Its losses at cutoff 0 and at infinite cutoff.
    """
    before, after = unrenormalised[:, None], resampled[:, None]
    rises = rise(losses.mean(axis=0), float(before.mean()), float(after.mean()))
    influence = (losses - before - rises * (after - before)) / float(np.mean(after - before))
    return np.asarray(np.std(influence, axis=0, ddof=1) / math.sqrt(len(losses)))


def bootstrap_critical_scales(
    cutoffs: Array,
    losses: Array,
    unrenormalised: Array,
    resampled: Array,
    generator: np.random.Generator,
    *,
    deltas: Sequence[float] = (0.05, 0.5),
    replicates: int = 1000,
    level: float = 0.95,
) -> list[CriticalScale]:
    """Critical scales of the mean loss over independent networks, with errors from resampling the networks.

    Whole networks are drawn, with all their cutoffs: losses at different cutoffs are correlated. The mean of
    the losses is used, so a few extreme networks may carry the curve.

    Parameters
    ----------
    cutoffs : ndarray, shape (cutoffs,)
        Ascending cutoffs > 0.
    losses : ndarray, shape (M, cutoffs)
        Loss of every network, M >= 2, finite.
    unrenormalised, resampled : ndarray, shape (M,)
        Its losses at cutoff 0 and at infinite cutoff.
    generator : numpy.random.Generator
        Seeded generator.
    deltas : sequence of float
        Parts of the rise.
    replicates : int
        Bootstrap samples.
    level : float
        Probability of the intervals.

    Returns
    -------
    list of CriticalScale
        One for each delta.

    Raises
    ------
    UsageError
        If shapes do not fit, losses are not finite, or cutoffs or deltas are not allowed.
    """
    scales, every = _checked(cutoffs, deltas), np.asarray(losses, dtype=np.float64)
    before, after = np.asarray(unrenormalised, np.float64), np.asarray(resampled, np.float64)
    count = len(every)
    if every.shape != (count, len(scales)) or {before.shape, after.shape} != {(count,)} or count < 2:
        raise UsageError(
            f"losses of networks: got {every.shape}, {before.shape} and {after.shape}; "
            "give (M, cutoffs), (M,), (M,)"
        )
    if not all(np.isfinite(part).all() for part in (every, before, after)):
        raise UsageError("losses of networks: got NaN or infinity; leave out and count such networks")
    errors = rise_errors_of_networks(every, before, after) if after.mean() > before.mean() else None
    whole_error = float(np.std(after - before, ddof=1)) / math.sqrt(count)
    ends = float(before.mean()), float(after.mean())
    found = [
        critical_scale(scales, every.mean(axis=0), *ends, delta, errors, whole_error) for delta in deltas
    ]
    picks = generator.multinomial(count, np.full(count, 1.0 / count), size=replicates) / count
    curves, lows, highs = picks @ every, picks @ before, picks @ after
    drawn = np.full((replicates, len(deltas)), math.nan)
    for k, (curve, low, high) in enumerate(zip(curves, lows, highs, strict=True)):
        if high > low:
            rises = isotonic_rise(rise(curve, low, high), errors)
            drawn[k] = [crossing(scales, rises, delta)[0] for delta in deltas]
    return [_with_bootstrap(scale, drawn[:, k], level) for k, scale in enumerate(found)]


def _with_bootstrap(scale: CriticalScale, drawn: Array, level: float) -> CriticalScale:
    """Add errors: a sample without any rise counts neither as a crossing nor in the interval."""
    crossed = drawn[np.isfinite(drawn) & (drawn > 0.0)]
    valid = drawn[~np.isnan(drawn)]
    log_error = float(np.std(np.log(crossed), ddof=1)) if crossed.size > 1 else math.nan
    ends = (math.nan, math.nan)
    if valid.size:
        low, high = np.quantile(valid, [0.5 - 0.5 * level, 0.5 + 0.5 * level], method="inverted_cdf")
        ends = (float(low), float(high))
    return CriticalScale(
        scale.delta,
        scale.verdict,
        scale.sentence,
        scale.value,
        scale.rise_error,
        log_error,
        ends,
        crossed.size / len(drawn),
    )


def eigenbasis_scale(points: int, prior_variance: float) -> float:
    """Cutoff ``1 / (P sigma_a^2)``: well below it the prior's fill of eigendirections changes nothing.

    In the eigenbasis of the information the posterior variances of a readout are ``1 / (P I + 1 /
    sigma_a^2)``: directions with ``P I sigma_a^2 << 1`` are at the prior already.
    """
    if points < 1 or not prior_variance > 0.0:
        raise UsageError(f"scale of the eigenbasis: got {points} points, variance {prior_variance}; give > 0")
    return 1.0 / (points * prior_variance)
