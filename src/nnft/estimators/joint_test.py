"""Are many estimates zero at once? A chi-square with their covariance, judged by Hotelling's law.

The covariance comes from B bins, so that T^2 = d C^-1 d is not chi-square distributed but
T^2 (B - m) / (m (B - 1)) follows F(m, B - m) (Hotelling 1931, *Ann. Math. Statist.* 2, 360).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nnft.errors import NumericalError

FloatArray = npt.NDArray[np.float64]

FEWEST_BINS = 16
BINS_PER_COMPONENT = 4
SMALLEST_EIGENVALUE = 1e-8
ROUNDING = 1e-12


@dataclass(frozen=True)
class JointTest:
    """Outcome of a joint test.

    Attributes
    ----------
    chi_square : float
        T^2 = d C^-1 d; infinite where a component without any spread is not zero.
    components : int
        Independent directions m that were tested.
    offered : int
        Components that were there; more than `components` where there are too few bins or exact relations.
    bins : int
        Bins B behind the covariance.
    p_value : float
        Probability of a larger T^2 if all components are zero; 1 where there is nothing to test.
    """

    chi_square: float
    components: int
    offered: int
    bins: int
    p_value: float


def judged_components(offered: int, bins: int) -> npt.NDArray[np.int64]:
    """Return which of `offered` components a covariance from `bins` bins can judge: evenly spread."""
    most = max(1, bins // BINS_PER_COMPONENT)
    if offered <= most:
        return np.arange(offered, dtype=np.int64)
    return np.unique(np.linspace(0, offered - 1, most).round().astype(np.int64))


def joint_test(differences: FloatArray, deviations: FloatArray, scale: FloatArray | None = None) -> JointTest:
    """Test that all differences are zero.

    Parameters
    ----------
    differences : ndarray of float64, shape (m,)
        Estimates that should vanish. If there are more than a fourth of the bins, an evenly spread part
        of them is tested, chosen by place, not by value.
    deviations : ndarray of float64, shape (m, B)
        ``deviations @ deviations.T`` is their covariance, as `Replicated.deviations` returns them.
    scale : ndarray of float64, shape (m,), optional
        Natural size of each component: differences below 1e-12 of it count as rounding.

    Raises
    ------
    NumericalError
        If there are fewer than 16 bins.
    """
    offered, bins = len(differences), deviations.shape[1]
    if bins < FEWEST_BINS:
        raise NumericalError(
            f"too few bins for a joint test: got {bins} filled bins, needed {FEWEST_BINS}; run more networks"
        )
    rows = judged_components(offered, bins)
    differences, deviations = differences[rows], deviations[rows]
    size = np.abs(differences).max(initial=0.0) if scale is None else np.abs(scale)[rows]
    spread = np.sqrt((deviations**2).sum(axis=1))
    rigid = spread <= ROUNDING * np.maximum(size, np.finfo(float).tiny)
    if scale is not None and bool(np.any(np.abs(differences[rigid]) > ROUNDING * size[rigid])):
        return JointTest(float("inf"), int(np.count_nonzero(rigid)), offered, bins, 0.0)
    if bool(rigid.all()):
        return JointTest(0.0, 0, offered, bins, 1.0)
    scaled = deviations[~rigid] / spread[~rigid, None]
    values, vectors = np.linalg.eigh(scaled @ scaled.T)
    real = values > SMALLEST_EIGENVALUE
    pulls = (vectors.T @ (differences[~rigid] / spread[~rigid]))[real] / np.sqrt(values[real])
    return _judged(float((pulls**2).sum()), int(real.sum()), offered, bins)


def _judged(statistic: float, components: int, offered: int, bins: int) -> JointTest:
    from scipy.special import fdtrc

    ratio = statistic * (bins - components) / (components * (bins - 1))
    p_value = float(fdtrc(components, bins - components, ratio))
    return JointTest(statistic, components, offered, bins, p_value)
