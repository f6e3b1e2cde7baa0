"""Kernel regression averaged over training sets: predictor, its three variances and every error.

The mean predictor is that of a larger, effective ridge, found self-consistently (Sollich, NIPS 1998; Canatar,
Bordelon, Pehlevan, Nature Communications 12, 2914 (2021); Ringel et al., arXiv:2502.18553, equations
2.35-2.39, without label noise). Gaussian features are assumed, or many modes; errors are of relative order 1
over the number of learned modes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nnft.errors import UsageError
from nnft.theory.activations import Array
from nnft.theory.data_averages import Spectrum, effective_ridge


@dataclass(frozen=True)
class Remainder:
    """Modes that a spectrum does not list, none of which is learned.

    They act on the others as a larger ridge and as label noise (Howard, Jefferson, Maiti, Ringel,
    arXiv:2405.06008; Ringel et al., arXiv:2502.18553, equations 2.40-2.45, where only the ridge is followed).

    Attributes
    ----------
    variance : float
        Sum of their eigenvalues, >= 0: what they add to the prior variance of an output.
    power : float
        Sum of the squared coefficients of the target in them, >= 0.
    """

    variance: float = 0.0
    power: float = 0.0

    def __post_init__(self) -> None:
        if not (0.0 <= self.variance < math.inf and 0.0 <= self.power < math.inf):
            raise UsageError(
                f"modes beyond a spectrum: got variance {self.variance}, power {self.power}; "
                "give finite numbers >= 0"
            )


NOTHING = Remainder()


@dataclass(frozen=True)
class AveragedPredictor:
    """Regression with P random points, averaged over the points.

    Attributes
    ----------
    points, ridge : float
        P and kappa.
    effective_ridge : float
        ``kappa_e = kappa + sum_k lambda_k kappa_e / (P lambda_k + kappa_e)``.
    learnability : ndarray, shape (M,)
        ``P lambda_k / (P lambda_k + kappa_e)``: mean predictor over target, in every mode of a level.
    gamma : float
        ``sum_k P lambda_k^2 / (P lambda_k + kappa_e)^2``, the share of the error that comes from the
        fluctuations of the data; 1 at the interpolation peak.
    bias : float
        Squared error of the mean over data sets of the mean predictor, on clean labels.
    square_error : float
        m_2: squared error of the mean predictor on noisy labels.
    clean_error : float
        E_g, the same on clean labels: bias + data_variance.
    posterior_variance : float
        Variance of the posterior, averaged over data and inputs: kappa_e - kappa.
    data_variance : float
        Variance over data sets of the mean predictor, averaged over inputs: gamma m_2.
    """

    points: float
    ridge: float
    effective_ridge: float
    learnability: Array
    gamma: float
    bias: float
    square_error: float
    clean_error: float
    posterior_variance: float
    data_variance: float

    @property
    def total_variance(self) -> float:
        """Variance over data sets and posterior of one network."""
        return self.posterior_variance + self.data_variance

    @property
    def gibbs_error(self) -> float:
        """Squared error of one network of the posterior on clean labels."""
        return self.clean_error + self.posterior_variance

    def posterior_variances(self, spectrum: Spectrum) -> Array:
        """Variance of the posterior of one mode of each level, shape (M,); see [R] 2.36."""
        return spectrum.eigenvalues * (1.0 - self.learnability)

    def data_variances(self) -> Array:
        """Variance over data sets of the mean predictor in one mode of each level, shape (M,)."""
        if self.gamma == 0.0:
            return np.zeros_like(self.learnability)
        return self.square_error / self.points * self.learnability**2


def averaged_predictor(
    spectrum: Spectrum, points: float, ridge: float, remainder: Remainder = NOTHING
) -> AveragedPredictor:
    """Average regression over data sets.

    Parameters
    ----------
    spectrum : Spectrum
        Kernel, target and label noise.
    points : float
        P > 0.
    ridge : float
        kappa >= 0.
    remainder : Remainder, optional
        Modes that are not listed, all with P lambda far below kappa_e.

    Returns
    -------
    AveragedPredictor
        Without a ridge kappa_e = 0 from P = number of modes on; there gamma is 1 and the error infinite,
        unless the labels are without noise and the target lies in the listed modes.

    Raises
    ------
    UsageError
        If P or the ridge is out of range.

    Notes
    -----
    Ringel et al., arXiv:2502.18553, equations 2.35, 2.36, 2.38, 2.39; the label noise as in Canatar et al.
    """
    effective = _effective_ridge(spectrum, points, ridge + remainder.variance)
    values, counts = spectrum.eigenvalues, spectrum.multiplicities
    rest = effective / (points * values + effective)
    learned = 1.0 - rest
    gamma = float(counts @ learned**2) / points
    bias = float(spectrum.target_power @ rest**2) + remainder.power
    noise = spectrum.noise_variance
    if gamma < 1.0:
        square, clean = (bias + noise) / (1.0 - gamma), (bias + noise * gamma) / (1.0 - gamma)
    else:
        square = clean = math.inf if bias + noise > 0.0 else 0.0
    return AveragedPredictor(
        points=float(points),
        ridge=float(ridge),
        effective_ridge=effective,
        learnability=learned,
        gamma=gamma,
        bias=bias,
        square_error=square,
        clean_error=clean,
        posterior_variance=remainder.variance + float(counts @ (values * rest)),
        data_variance=gamma * square,
    )


def _effective_ridge(spectrum: Spectrum, points: float, ridge: float) -> float:
    if ridge == 0.0 and points == float(np.sum(spectrum.multiplicities)):
        return 0.0
    if not math.isfinite(points) or not math.isfinite(ridge):
        raise UsageError(f"averaged regression: got {points} points, ridge {ridge}; give finite numbers")
    return effective_ridge(spectrum, points, ridge)


def learning_curve(
    spectrum: Spectrum, points: Sequence[float], ridge: float, remainder: Remainder = NOTHING
) -> list[AveragedPredictor]:
    """Return `averaged_predictor` for each number of points."""
    return [averaged_predictor(spectrum, count, ridge, remainder) for count in points]


def prior_target(spectrum: Spectrum) -> Spectrum:
    """Return the spectrum with a target as the prior draws them: power = multiplicity * eigenvalue.

    Averaged over such targets, and with label noise equal to the ridge, E_g = kappa_e - kappa exactly.
    """
    return replace(spectrum, target_power=spectrum.multiplicities * spectrum.eigenvalues)
