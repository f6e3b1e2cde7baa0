"""Do stored fields follow a density? Two-sample tests between them and draws of the density.

Energy distance with a permutation test (Szekely, Rizzo 2004, *InterStat* 5; 2013, *J. Stat. Plan. Inference*
143, 1249) sees every difference of two laws, but compares all pairs and so only a few thousand fields.
Kolmogorov-Smirnov tests of every eigenmode of G and of the radius |u| use many more; the radius is where a
common scale of all outputs, the leading effect of finite width, shows most. P-values of the
Kolmogorov-Smirnov tests are corrected after Holm (1979, *Scand. J. Statist.* 6, 65).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from nnft.actions.density_input import real_array
from nnft.actions.density_random import Purpose, generator
from nnft.errors import NumericalError, UsageError, shorten

FloatArray = npt.NDArray[np.float64]

MOST_FIELDS = 20_000
MOST_ENERGY_FIELDS = 2_000
PERMUTATIONS = 999
FEWEST_FIELDS = 20
EXACT_FIELDS = 2_000
"""Sample size up to which Kolmogorov-Smirnov p-values are exact."""


@runtime_checkable
class StoredFields(Protocol):
    """A run whose outputs were kept; `nnft.Run` is one."""

    stored: Any

    def fields(self, start: int = 0, stop: int | None = None) -> npt.NDArray[Any]:
        """Return stored outputs, shape (networks, D, P)."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Outcome of the two-sample tests; a small p-value says that the fields do not follow the density.

    Attributes
    ----------
    fields, draws : int
        Fields and draws of the density in the Kolmogorov-Smirnov tests.
    energy_fields : int
        Fields, and as many draws, in the test by energy distance.
    permutations : int
        Permutations behind its p-value, which is at least 1 / (permutations + 1).
    energy : float
        Energy distance 2 E|x - y| - E|x - x'| - E|y - y'| of the whitened fields.
    energy_p_value : float
    names : tuple of str
        "mode 0", .. from the largest eigenvalue of G on, and "radius".
    distances : ndarray of float64, shape (n + 1,)
        Largest differences of the distribution functions.
    raw_p_values, holm_p_values : ndarray of float64, shape (n + 1,)
        Of each, alone and corrected for their number.
    """

    fields: int
    draws: int
    energy_fields: int
    permutations: int
    energy: float
    energy_p_value: float
    names: tuple[str, ...]
    distances: FloatArray
    raw_p_values: FloatArray
    holm_p_values: FloatArray

    @property
    def p_value(self) -> float:
        """Smallest p-value of both kinds of tests, times two (Bonferroni)."""
        return min(1.0, 2.0 * min(self.energy_p_value, float(self.holm_p_values.min())))

    def text(self) -> str:
        """Return a summary of a few lines."""
        lines = [
            f"energy distance          {self.energy:.4g}, p = {self.energy_p_value:.3g} "
            f"({self.energy_fields} fields, {self.permutations} permutations)",
            f"Kolmogorov-Smirnov       {self.fields} fields, {self.draws} draws of the density",
        ]
        for name, distance, raw, holm in zip(
            self.names, self.distances, self.raw_p_values, self.holm_p_values, strict=True
        ):
            lines.append(f"  {name:<22} {distance:.4f}, p = {raw:.3g}, corrected {holm:.3g}")
        return "\n".join([*lines, f"together                 p = {self.p_value:.3g}"])


def stored_fields(
    source: npt.ArrayLike | StoredFields, size: int, points: Sequence[int] | None, output: int
) -> FloatArray:
    """Return up to 20000 fields, shape (M, n).

    Raises
    ------
    UsageError
        If the shape does not fit the density.
    NumericalError
        If there are fewer than 20 fields, or one is not finite.
    """
    if isinstance(source, StoredFields):
        manifest = source.stored.fields
        rows = source.fields(0, None if manifest is None else min(manifest.rows, MOST_FIELDS))
        if not 0 <= output < rows.shape[1]:
            raise UsageError(f"no such output: got {shorten(output)}; allowed: 0 to {rows.shape[1] - 1}")
        fields = real_array(rows[:, output], "the stored fields")
    else:
        fields = real_array(source, "the fields")[:MOST_FIELDS]
    if points is not None and fields.ndim == 2:
        wrong = [point for point in points if not 0 <= point < fields.shape[1]]
        if wrong:
            raise UsageError(
                f"point out of range in points: got {wrong[0]}; allowed: 0 to {fields.shape[1] - 1}"
            )
        fields = fields[:, list(points)]
    if fields.ndim != 2 or fields.shape[1] != size:
        raise UsageError(f"fields do not fit the density: got shape {fields.shape}; needed (M, {size})")
    if len(fields) < FEWEST_FIELDS:
        raise NumericalError(
            f"too few fields for a two-sample test: got {len(fields)}, needed {FEWEST_FIELDS}; store more"
        )
    return fields


def compare_samples(ours: FloatArray, theirs: FloatArray, seed: int, permutations: int) -> Comparison:
    """Compare whitened fields, shape (M, n), with whitened draws of a density, shape (K, n).

    Raises
    ------
    UsageError
        If the number of permutations or the seed is impossible.
    """
    if permutations < 1:
        raise UsageError(f"impossible number of permutations: got {permutations}; give 1 or more")
    few = min(len(ours), len(theirs), MOST_ENERGY_FIELDS)
    energy, energy_p = energy_test(ours[:few], theirs[:few], seed, permutations)
    names = [f"mode {k}" for k in range(ours.shape[1])]
    distances, raw = _kolmogorov_smirnov(_with_radius(ours), _with_radius(theirs))
    return Comparison(
        fields=len(ours),
        draws=len(theirs),
        energy_fields=few,
        permutations=permutations,
        energy=energy,
        energy_p_value=energy_p,
        names=(*names, "radius"),
        distances=distances,
        raw_p_values=raw,
        holm_p_values=holm(raw),
    )


def energy_test(ours: FloatArray, theirs: FloatArray, seed: int, permutations: int) -> tuple[float, float]:
    """Return the energy distance of two samples and its p-value by permutation of the labels."""
    from scipy.spatial.distance import cdist

    pooled = np.concatenate([ours, theirs])
    distances = cdist(pooled, pooled)
    labels = np.concatenate([np.full(len(ours), 1.0 / len(ours)), np.full(len(theirs), -1.0 / len(theirs))])
    found = -float(labels @ distances @ labels)
    random = generator(seed, Purpose.PERMUTATIONS)
    larger, step = 0, 128
    for start in range(0, permutations, step):
        rows = np.broadcast_to(labels, (min(step, permutations - start), len(labels)))
        shuffled = random.permuted(rows, axis=1)
        values = -np.sum((shuffled @ distances) * shuffled, axis=1)
        # equal up to rounding counts as larger
        larger += int(np.count_nonzero(values >= found - 1e-12 * distances.mean()))
    return found, (1.0 + larger) / (1.0 + permutations)


def holm(p_values: FloatArray) -> FloatArray:
    """Return p-values corrected for their number by Holm's step-down method."""
    order = np.argsort(p_values)
    factors = np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(factors * p_values[order]))
    return corrected


def _with_radius(white: FloatArray) -> FloatArray:
    return np.concatenate([white, np.linalg.norm(white, axis=1, keepdims=True)], axis=1)


def _kolmogorov_smirnov(ours: FloatArray, theirs: FloatArray) -> tuple[FloatArray, FloatArray]:
    from scipy.stats import ks_2samp

    method = "exact" if max(len(ours), len(theirs)) <= EXACT_FIELDS else "asymp"
    results = [ks_2samp(x, y, method=method) for x, y in zip(ours.T, theirs.T, strict=True)]
    distances = np.array([float(result.statistic) for result in results])
    return distances, np.array([float(result.pvalue) for result in results])
