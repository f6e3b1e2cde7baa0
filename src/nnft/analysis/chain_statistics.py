"""Statistics of Markov chains of one observable: R-hat, effective sample sizes, autocorrelation time."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from nnft.errors import UsageError

Array = npt.NDArray[np.float64]

FEWEST_DRAWS = 4
FEWEST_DRAWS_ESS = 10  # below, no lag of the halved chains enters the sum over autocorrelations
RELIABLE_TIMES = 50  # autocorrelation times 2 tau that all chains together must hold
WINDOW_FACTOR = 1.5  # S of Wolff's automatic window
TAIL = (0.05, 0.95)
APART_RATIO = 4.0  # variance of chain means over what it should be, from which chains are called apart
APART_TAIL = 1e-6
SHORT_CHAIN = 0.2  # largest (2 W + 1) / n at which the autocorrelation inside chains says anything


@dataclass(frozen=True)
class AutocorrelationTime:
    """Integrated autocorrelation time and mean by the Gamma method.

    Attributes
    ----------
    mean, error, error_error : float
        Mean of all draws, its standard error, and the error of that error.
    tau, tau_error : float
        tau = 1/2 + sum over t of rho(t), in draws: 1/2 for independent draws; its error.
    window : int
        Lag at which the sum ends.
    reliable : bool
        The window closes within half a chain, and the chains together hold 50 times 2 tau.
    """

    mean: float
    error: float
    error_error: float
    tau: float
    tau_error: float
    window: int
    reliable: bool


@dataclass(frozen=True)
class ChainStatistics:
    """What the chains of one observable say; not a number where nothing can be said.

    Attributes
    ----------
    chains, draws : int
        Number of chains and of draws in each.
    still : int
        Chains whose value never changes.
    apart : bool
        Chains keep different levels: their means scatter more than twice as far as the autocorrelation inside
        the chains explains. They sit in different basins; longer chains do not bring them together.
    mean, mcse : float
        Mean of all draws and its standard error, from the effective sample size of the mean.
    rhat : float
        Rank-normalised split R-hat, the larger one of bulk and folded values.
    ess_bulk, ess_tail, ess_mean : float
        Effective number of independent draws for the bulk (ranks), the 5 % and 95 % quantiles (the smaller
        one) and the mean.
    tau, tau_error, window, reliable
        As in `AutocorrelationTime`.
    reason : str
        Why numbers are missing; empty if none is.
    """

    chains: int
    draws: int
    still: int = 0
    apart: bool = False
    mean: float = math.nan
    mcse: float = math.nan
    rhat: float = math.nan
    ess_bulk: float = math.nan
    ess_tail: float = math.nan
    ess_mean: float = math.nan
    tau: float = math.nan
    tau_error: float = math.nan
    window: int = 0
    reliable: bool = False
    reason: str = ""


def chain_statistics(traces: npt.ArrayLike) -> ChainStatistics:
    """Return R-hat, effective sample sizes and autocorrelation time of one observable.

    Parameters
    ----------
    traces : array_like, shape (m, n) or (n,), float64
        m chains of n draws that sample one law.

    Returns
    -------
    ChainStatistics
        Fields that cannot be had (constant or non-finite traces, fewer than 4 draws; for effective sample
        sizes fewer than 10) are not a number, and `reason` says why.

    Raises
    ------
    UsageError
        If the array has other than one or two axes, or no element.

    References
    ----------
    Vehtari, Gelman, Simpson, Carpenter, Bürkner, Bayesian Analysis 16 (2021) 667: R-hat and effective
    sample sizes. Wolff, Comput. Phys. Commun. 156 (2004) 143: autocorrelation time.
    """
    values = np.atleast_2d(np.asarray(traces, dtype=np.float64))
    if values.ndim != 2 or values.size == 0:
        raise UsageError(f"wrong shape of the traces: got {values.shape}; give (chains, draws)")
    chains, draws = values.shape
    found = ChainStatistics(chains, draws)
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        bad = chains - int(finite.sum())
        return replace(found, reason=f"{bad} of {chains} chains hold values that are not finite")
    if draws < FEWEST_DRAWS:
        return replace(found, mean=_mean(values), reason=f"{_count(draws)} per chain, needs {FEWEST_DRAWS}")
    still = int(np.count_nonzero(_constant(values, axis=1)))
    found = replace(found, still=still, mean=_mean(values))
    if _constant(values):
        return replace(found, reason=f"constant at {found.mean:.6g}")
    if still == chains:
        reason = "every chain stands still, at different values"
        return replace(found, rhat=math.inf, apart=True, reason=reason)
    with np.errstate(all="ignore"):
        return _filled(found, values)


def _mean(values: Array) -> float:
    return float(values[0, 0] + (values - values[0, 0]).mean())


def _count(draws: int) -> str:
    return "1 draw" if draws == 1 else f"{draws} draws"


def _constant(values: Array, axis: int | None = None) -> npt.NDArray[np.bool_]:
    """Whether values differ by no more than rounding."""
    spread = np.ptp(values, axis=axis)
    return np.asarray(spread <= 8 * np.finfo(np.float64).eps * np.abs(values).max(axis=axis))


def _filled(found: ChainStatistics, values: Array) -> ChainStatistics:
    """Add the numbers of chains that vary and are long enough for R-hat."""
    from arviz_stats.base import array_stats

    scale = float(np.abs(values - found.mean).max())
    unit = (values - found.mean) / scale  # the library takes tiny spreads for constants
    time = autocorrelation_time(unit)
    found = replace(
        found,
        apart=_apart(unit),
        rhat=_rhat(unit),
        tau=time.tau,
        tau_error=time.tau_error,
        window=time.window,
        reliable=time.reliable,
    )
    if found.draws < FEWEST_DRAWS_ESS:
        reason = f"{_count(found.draws)} per chain, an effective sample size needs {FEWEST_DRAWS_ESS}"
        return replace(found, reason=reason)
    ess_mean = float(array_stats.ess(unit, method="mean"))
    return replace(
        found,
        mcse=scale * float(unit.std(ddof=1)) / math.sqrt(ess_mean),
        ess_bulk=float(array_stats.ess(unit, method="bulk")),
        ess_tail=float(array_stats.ess(unit, method="tail", prob=TAIL)),
        ess_mean=ess_mean,
    )


def _rhat(values: Array) -> float:
    """Rank-normalised split R-hat; the library has it for two chains or more only."""
    from arviz_stats.base import array_stats

    if len(values) > 1:
        return float(array_stats.rhat(values, method="rank"))
    half = values.shape[1] // 2
    halves = np.vstack([values[:, :half], values[:, -half:]])
    folded = np.abs(halves - np.median(halves))
    scores = (_normal_scores(halves), _normal_scores(folded))
    return max(float(array_stats.rhat(score, method="identity")) for score in scores)


def _apart(values: Array) -> bool:
    """Whether chain means scatter far more than the autocorrelation inside the chains explains."""
    from scipy.special import gammaincc

    chains, draws = values.shape
    means = values.mean(axis=1, keepdims=True)
    inside = autocorrelation_time(values - means)
    share = (2 * inside.window + 1) / draws  # of the variance of the mean, lost with each chain's own mean
    if chains < 2 or not inside.reliable or share > SHORT_CHAIN:
        return False
    variance = inside.error**2 * chains * (1 + share)
    ratio = float(means.var(ddof=1)) / variance
    tail = float(gammaincc((chains - 1) / 2, (chains - 1) * ratio / 2))
    return ratio > APART_RATIO and tail < APART_TAIL


def _normal_scores(values: Array) -> Array:
    from scipy.special import ndtri
    from scipy.stats import rankdata

    ranks = rankdata(values, method="average")
    return np.asarray(ndtri((ranks - 3 / 8) / (values.size + 1 / 4)).reshape(values.shape), dtype=np.float64)


def autocorrelation_time(values: Array) -> AutocorrelationTime:
    """Return mean, error and integrated autocorrelation time by the Gamma method.

    Parameters
    ----------
    values : ndarray, shape (m, n), float64
        Finite; chains that sample one law, n >= 2. All chains share one mean.

    Returns
    -------
    AutocorrelationTime
        Not a number where the draws do not vary or the summed autocovariance is not positive.

    Notes
    -----
    The sum ends at the first W with exp(-W/s) < s / sqrt(W m n), where s = 1.5 / log((2 tau + 1)/(2 tau - 1))
    is the decay time that belongs to tau(W). That needs tau > 1/2. For chains that oscillate, where tau is
    below, s comes from the sum of |rho| instead. The bias from the unknown mean is removed to order 1/(mn).

    References
    ----------
    Wolff, Comput. Phys. Commun. 156 (2004) 143, eqs. (42), (49), (51), (52).
    """
    chains, draws = values.shape
    total = chains * draws
    mean = float(values.mean())
    gamma = _autocovariance(values - mean)
    none = AutocorrelationTime(mean, math.nan, math.nan, math.nan, math.nan, draws - 1, False)
    if not gamma[0] > 0:
        return none
    window, closed = _window(gamma / gamma[0], total)
    area = gamma[0] + 2 * gamma[1 : window + 1].sum()
    gamma = gamma + area / total
    area = float(gamma[0] + 2 * gamma[1 : window + 1].sum())
    if not area > 0:
        return replace(none, window=window)
    tau = float(area / (2 * gamma[0]))
    error = math.sqrt(area / total)
    return AutocorrelationTime(
        mean,
        error,
        error * math.sqrt((window + 0.5) / total),
        tau,
        2 * tau * math.sqrt(max(0.0, window + 0.5 - tau) / total),
        window,
        closed and 2 * window <= draws and total >= RELIABLE_TIMES * 2 * tau,
    )


def _window(rho: Array, total: int) -> tuple[int, bool]:
    """The lag at which the sum ends, and whether the rule was met before the chain ended."""
    tau = absolute = 0.5
    for lag in range(1, len(rho)):
        tau += rho[lag]
        absolute += abs(rho[lag])
        used = tau if tau > 0.5 else absolute
        decay = WINDOW_FACTOR / math.log((2 * used + 1) / (2 * used - 1)) if used > 0.5 else 1e-6
        if math.exp(-lag / decay) < decay / math.sqrt(lag * total):
            return lag, True
    return len(rho) - 1, False


def _autocovariance(deviations: Array) -> Array:
    """Autocovariance at lags 0 .. n-1, averaged over all pairs of all chains."""
    chains, draws = deviations.shape
    size = 1 << (2 * draws - 1).bit_length()
    power = np.zeros(size // 2 + 1)
    rows = max(1, (1 << 20) // size)
    for start in range(0, chains, rows):
        spectrum = np.fft.rfft(deviations[start : start + rows], n=size, axis=1)
        power += (spectrum.real**2 + spectrum.imag**2).sum(axis=0)
    sums = np.fft.irfft(power, n=size)[:draws]
    return np.asarray(sums / (chains * np.arange(draws, 0, -1)), dtype=np.float64)
