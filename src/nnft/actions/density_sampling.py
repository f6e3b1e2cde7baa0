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
BATCH = 1 << 14
MOST_PROPOSALS = 1 << 24


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
            f"floor {least:.4g}; the series is no small correction here: use fewer points or a wider network"
        )


def draw_unweighted(
    series: Series, root: FloatArray, count: int, seed: int, purpose: Purpose = Purpose.RESAMPLED
) -> FloatArray:
    """Return independent draws of the positive part without weights, shape (count, n).

    Rejection from the Gaussian with the largest weight met as the bound (Caffo, Booth, Davis 2002,
    *Biometrika* 89, 745): the weights grow without bound, but the mass that more proposals would find
    above the bound is of the order of one proposal.

    Raises
    ------
    NumericalError
        If more than 2^24 proposals would be needed, or all weights are negative.
    """
    _require_count(count)
    random = generator(seed, purpose)
    kept, marks = np.empty((0, series.size)), np.empty(0)
    bound, proposals = 0.0, 0
    while len(kept) < count or proposals < 4 * count:
        if proposals >= MOST_PROPOSALS:
            raise NumericalError(
                f"too few draws accepted from an Edgeworth density: got {len(kept)} of {count} in "
                f"{proposals} proposals; the series is no small correction here: use fewer points or a "
                "wider network"
            )
        white = random.standard_normal((BATCH, series.size))
        height = 1.0 - random.random(BATCH)
        weights = series.ratio(white)
        proposals += BATCH
        bound = max(bound, float(weights.max()))
        # a proposal is accepted if its height times the bound is below its weight: mark = weight / height
        ratio = weights / height
        kept = np.concatenate([kept, white[ratio > bound]])
        marks = np.concatenate([marks, ratio[ratio > bound]])
        kept, marks = kept[marks > bound], marks[marks > bound]
    return np.ascontiguousarray(kept[:count] @ root.T)


def _require_count(count: int) -> None:
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
        raise UsageError(f"impossible number of draws: got {shorten(count)}; give a positive integer")
