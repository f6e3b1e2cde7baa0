"""Fields drawn from an Edgeworth density: weighted draws of its Gaussian, and draws without weights.

The series is a polynomial times a Gaussian, so the Gaussian is the natural proposal and the weight is the
polynomial. Where it is negative the weight is cut to zero: what is sampled is the positive part, and how much
was cut is said.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nnft.actions.density_random import Purpose, generator
from nnft.actions.density_series import Series
from nnft.errors import NumericalError, UsageError, shorten

FloatArray = npt.NDArray[np.float64]

DEFAULT_FLOOR = 0.5
SMALLEST_EFFECTIVE_SIZE = 100
SMALLEST_BATCH, BATCH = 1 << 8, 1 << 14
MOST_PROPOSALS = 1 << 24
RAYS = 256
VARIANCES = (1.05, 1.1, 1.15, 1.2, 1.3, 1.4, 1.5, 1.7, 2.0, 2.5, 3.0)
"""Of the proposals of rejection sampling, in units of G."""


@dataclass(frozen=True, eq=False)
class WeightedSample:
    """Weighted fields.

    Attributes
    ----------
    fields : ndarray of float64, shape (count, n)
        Draws of N(0, G).
    weights : ndarray of float64, shape (count,)
        max(0, p / N_G); their mean estimates the mass of the positive part, about 1.
    negative_mass : float
        Estimate of the integral of max(0, -p), the mass cut off.
    clipped : int
        Draws whose weight was cut to zero.
    seed : int
    """

    fields: FloatArray
    weights: FloatArray
    negative_mass: float
    clipped: int
    seed: int

    @property
    def count(self) -> int:
        """Number of draws."""
        return len(self.weights)

    @property
    def effective_sample_size(self) -> float:
        """(sum w)^2 / sum w^2 (Kong, Liu, Wong 1994); 0 if all weights vanish."""
        squares = float(self.weights @ self.weights)
        return float(self.weights.sum()) ** 2 / squares if squares > 0.0 else 0.0

    @property
    def warning(self) -> str:
        """One line if weights were cut, else empty."""
        if not self.clipped:
            return ""
        return f"{self.clipped} negative weights of {self.count} cut to zero: mass {self.negative_mass:.3g}"

    def average(self, values: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Return the weighted mean of a function of the fields, and its standard error.

        Parameters
        ----------
        values : array, shape (count, ...)
            The function at every field. The mean is a ratio of two means; its error is that of the
            linearised ratio.
        """
        rows = np.asarray(values, dtype=np.float64)
        shares = (self.weights / self.weights.sum()).reshape(-1, *[1] * (rows.ndim - 1))
        mean = np.sum(shares * rows, axis=0)
        error = np.sqrt(np.sum((shares * (rows - mean)) ** 2, axis=0))
        return mean, error

    def text(self) -> str:
        """Return a summary of a few lines."""
        size = self.effective_sample_size
        return "\n".join(
            [
                f"fields                   {self.count}, seed {self.seed}",
                f"effective sample size    {size:.6g} ({size / self.count:.1%})",
                f"negative mass cut off    {self.negative_mass:.3g} ({self.clipped} fields)",
            ]
        )


def draw_weighted(series: Series, root: FloatArray, count: int, seed: int, floor: float) -> WeightedSample:
    """Return draws of the Gaussian with weights.

    Raises
    ------
    UsageError
        If the count, the seed or the floor is impossible.
    NumericalError
        If the effective sample size is below the floor.
    """
    _require_count(count)
    if not 0.0 <= floor <= 1.0:
        raise UsageError(f"impossible floor of the effective sample size: got {floor!r}; allowed: 0 to 1")
    white = generator(seed, Purpose.WEIGHTED).standard_normal((count, series.size))
    ratio = series.ratio(white)
    negative = np.maximum(-ratio, 0.0)
    sample = WeightedSample(
        white @ root.T,
        np.maximum(ratio, 0.0),
        float(negative.sum()) / count,
        int(np.count_nonzero(negative)),
        int(seed),
    )
    require_effective_size(sample, floor)
    return sample


def require_effective_size(sample: WeightedSample, floor: float) -> None:
    """Refuse weights that a few draws dominate.

    Raises
    ------
    NumericalError
        If the effective sample size is below `floor` times the count, or below 100 (half the count, if
        fewer than 200 are drawn).
    """
    size, count = sample.effective_sample_size, sample.count
    least = max(floor * count, min(float(SMALLEST_EFFECTIVE_SIZE), 0.5 * count))
    if size < least:
        raise NumericalError(
            f"effective sample size too small in an Edgeworth density: got {size:.4g} of {count} draws, "
            f"floor {least:.4g}; weights have no bound: use resampled(), fewer points or a wider network"
        )


def draw_unweighted(
    series: Series, root: FloatArray, count: int, seed: int, purpose: Purpose = Purpose.RESAMPLED
) -> FloatArray:
    """Return independent draws of the positive part without weights, shape (count, n).

    Rejection from a Gaussian somewhat wider than N(0, G), against which the density is bounded. The bound is
    the largest ratio along a few hundred rays; a larger one that a proposal meets replaces it, also for the
    proposals before (Caffo, Booth, Davis 2002, *Biometrika* 89, 745).

    Raises
    ------
    NumericalError
        If more than 2^24 proposals would be needed.
    """
    _require_count(count)
    random = generator(seed, purpose)
    variance, bound = _proposal(series, random)
    kept, marks = np.empty((0, series.size)), np.empty(0)
    batch = int(min(BATCH, max(SMALLEST_BATCH, 1.2 * count * bound)))
    proposals = 0
    while len(kept) < count:
        if proposals >= MOST_PROPOSALS:
            raise NumericalError(
                f"too few draws accepted from an Edgeworth density: got {len(kept)} of {count} in "
                f"{proposals} proposals; the series is no small correction here: use fewer points or a "
                "wider network"
            )
        white = np.sqrt(variance) * random.standard_normal((batch, series.size))
        weights = series.ratio(white) * _inverse_proposal(np.sum(white**2, axis=1), variance, series.size)
        # a proposal is accepted if a uniform height times the bound is below its weight
        mark = weights / (1.0 - random.random(batch))
        proposals += batch
        bound = max(bound, float(weights.max()))
        kept = np.concatenate([kept[marks >= bound], white[mark >= bound]])
        marks = np.concatenate([marks[marks >= bound], mark[mark >= bound]])
    return np.ascontiguousarray(kept[:count] @ root.T)


def _proposal(series: Series, random: np.random.Generator) -> tuple[float, float]:
    """Return the variance of the proposal for which the density is bounded best, and the bound."""
    if series.degree == 0:
        return 1.0, 1.0
    directions = random.standard_normal((RAYS, series.size))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    directions = np.concatenate([directions, np.eye(series.size), -np.eye(series.size)])
    radii = np.linspace(0.0, 15.0 + np.sqrt(series.size), 200)
    powers = radii[:, None] ** np.arange(series.degree + 1)
    largest = (series.rays(directions) @ powers.T).max(axis=0)
    bounds = [
        float((largest * _inverse_proposal(radii**2, variance, series.size)).max()) for variance in VARIANCES
    ]
    best = int(np.argmin(bounds))
    return VARIANCES[best], bounds[best]


def _inverse_proposal(squares: FloatArray, variance: float, size: int) -> FloatArray:
    """Return N(0, 1) / N(0, variance) at |u|^2 = squares."""
    ratio: FloatArray = variance ** (0.5 * size) * np.exp(-0.5 * squares * (1.0 - 1.0 / variance))
    return ratio


def _require_count(count: int) -> None:
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
        raise UsageError(f"impossible number of draws: got {shorten(count)}; give a positive integer")
