"""Regression and kernel scaling averaged over random training sets.

A learning curve needs only the spectrum of the kernel with respect to the law of the inputs and the
coefficients of the target. It is that of a larger, effective ridge (Sollich, NIPS 1998; Canatar, Bordelon,
Pehlevan, Nature Communications 12, 2914 (2021); Ringel et al., arXiv:2502.18553, equations 2.35-2.39), and
at finite width of a scaled kernel besides (Ringel et al., 3.29-3.33). Gaussian features are assumed, or
many modes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nnft.errors import UsageError
from nnft.theory.activations import Array
from nnft.theory.kernel_scaling import one_hidden_width, ridgeless_scale, stationary_scales


@dataclass(frozen=True)
class Spectrum:
    """Kernel and target in the eigenbasis of the measure of the inputs.

    Attributes
    ----------
    eigenvalues : ndarray, shape (M,)
        Distinct eigenvalues > 0 of the kernel.
    multiplicities : ndarray, shape (M,)
        How often each occurs.
    target_power : ndarray, shape (M,)
        Squared coefficients of the target, summed over each degenerate level.
    noise_variance : float
        Variance of the noise on the training labels.
    """

    eigenvalues: Array
    multiplicities: Array
    target_power: Array
    noise_variance: float = 0.0

    def __post_init__(self) -> None:
        levels = [np.asarray(a, float) for a in (self.eigenvalues, self.multiplicities, self.target_power)]
        shapes = [a.shape for a in levels]
        if len(set(shapes)) != 1 or len(shapes[0]) != 1 or not shapes[0][0]:
            raise UsageError(f"levels of a spectrum: got shapes {shapes}; give three vectors of equal length")
        if np.any(levels[0] <= 0.0) or np.any(levels[1] <= 0.0) or np.any(levels[2] < 0.0):
            raise UsageError(
                "levels of a spectrum: got a negative entry or 0; eigenvalues and counts are > 0"
            )
        if self.noise_variance < 0.0:
            raise UsageError(f"noise variance: got {self.noise_variance}; give a number >= 0")
        for name, level in zip(("eigenvalues", "multiplicities", "target_power"), levels, strict=True):
            object.__setattr__(self, name, level)


@dataclass(frozen=True)
class AveragedRegression:
    """Kernel regression averaged over data sets.

    Attributes
    ----------
    effective_ridge : float
        ``kappa_e = kappa + sum_k lambda_k kappa_e / (P lambda_k + kappa_e)``.
    learnability : ndarray, shape (M,)
        ``P lambda / (P lambda + kappa_e)``: the mean predictor over the target, mode by mode.
    square_error : float
        m_2, the mean squared error of the mean predictor on noisy labels; without noise on clean ones.
    clean_error : float
        The same on clean labels.
    gibbs_error : float
        Squared error of one network of the posterior on clean labels.
    """

    effective_ridge: float
    learnability: Array
    square_error: float
    clean_error: float
    gibbs_error: float


def averaged_regression(spectrum: Spectrum, points: float, ridge: float) -> AveragedRegression:
    """Regression with P random points, averaged over the points.

    Parameters
    ----------
    spectrum : Spectrum
        Kernel and target.
    points : float
        P > 0.
    ridge : float
        kappa >= 0; 0 needs P different from the number of modes.

    Raises
    ------
    UsageError
        If P or the ridge is out of range.
    """
    effective = effective_ridge(spectrum, points, ridge)
    rest = effective / (points * spectrum.eigenvalues + effective)
    learned = 1.0 - rest
    fraction = float(spectrum.multiplicities @ learned**2) / points
    bias = float(spectrum.target_power @ rest**2)
    error = (bias + spectrum.noise_variance) / (1.0 - fraction)
    clean = (bias + spectrum.noise_variance * fraction) / (1.0 - fraction)
    return AveragedRegression(effective, learned, error, clean, clean + effective - ridge)


def effective_ridge(spectrum: Spectrum, points: float, ridge: float) -> float:
    """Solve ``kappa_e = kappa + sum_k lambda_k kappa_e / (P lambda_k + kappa_e)`` by Brent's method.

    Parameters are those of `averaged_regression`.
    """
    from scipy.optimize import brentq

    if not points > 0.0 or not ridge >= 0.0:
        raise UsageError(f"averaged regression: got {points} points, ridge {ridge}; give P > 0, ridge >= 0")
    values, counts = spectrum.eigenvalues, spectrum.multiplicities
    modes, trace = float(np.sum(counts)), float(counts @ values)
    if ridge == 0.0 and points == modes:
        raise UsageError(
            f"averaged regression without a ridge: got {points} points and modes; use a ridge > 0"
        )
    if ridge == 0.0 and points > modes:
        return 0.0

    def excess(log_ratio: float) -> float:
        ratio = math.exp(log_ratio)
        return ridge / ratio + float(counts @ (values / (points * values + ratio))) - 1.0

    high = math.log(ridge + trace)
    low = math.log(ridge) if ridge > 0.0 else high
    while excess(low) <= 0.0:
        low -= 1.0
    return math.exp(brentq(excess, low, high + 1.0, xtol=1e-15, rtol=1e-15))


@dataclass(frozen=True)
class AveragedScaling:
    """Kernel scaling averaged over data sets.

    Attributes
    ----------
    scale : float
        Kernel scale u = 1 / q at the minimum of the averaged action.
    saddles : tuple of float
        All its stationary points, increasing.
    regression : AveragedRegression
        Regression with the kernel u K.
    """

    scale: float
    saddles: tuple[float, ...]
    regression: AveragedRegression


def averaged_kernel_scaling(
    spectrum: Spectrum, points: float, ridge: float, widths: Sequence[int]
) -> AveragedScaling:
    """Kernel scale of a network with one hidden layer, averaged over training sets of P points.

    ``N (u - 1) + sum_k l_k - sum_k l_k^2 (m_2 / P + y_k^2) / (u lambda_k) = 0`` with the learnability l_k and
    the error m_2 of regression with the kernel u K.

    Parameters
    ----------
    spectrum : Spectrum
        Kernel and target.
    points : float
        P > 0.
    ridge : float
        kappa >= 0.
    widths : sequence of int
        The width N of the one hidden layer.

    Returns
    -------
    AveragedScaling

    Raises
    ------
    UsageError
        For several hidden layers, or as `averaged_regression`.
    """
    width = one_hidden_width(widths)
    if ridge == 0.0:  # learnability and error do not depend on the scale
        plain = averaged_regression(spectrum, points, ridge)
        count, norm = _learned(spectrum, points, plain)
        roots = [ridgeless_scale(width, count, norm)]
    else:
        power = float(np.sum(spectrum.target_power)) + spectrum.noise_variance
        trace = float(spectrum.multiplicities @ spectrum.eigenvalues)
        low = 0.999 * width / (width + points * trace / ridge)
        high = 1.001 * (1.0 + 0.25 * points * power / (ridge * width))

        def equation(scales: Array) -> Array:
            return np.array([_averaged_equation(spectrum, points, ridge, width, u) for u in scales.tolist()])

        roots = stationary_scales(equation, low, high, 0.02)
    if len(roots) > 1:
        scale = min(roots, key=lambda u: _averaged_action(spectrum, points, ridge, width, u))
    else:
        scale = roots[0]
    return AveragedScaling(scale, tuple(roots), averaged_regression(_scaled(spectrum, scale), points, ridge))


def _scaled(spectrum: Spectrum, scale: float) -> Spectrum:
    return replace(spectrum, eigenvalues=scale * spectrum.eigenvalues)


def _learned(spectrum: Spectrum, points: float, regression: AveragedRegression) -> tuple[float, float]:
    """Averages of ``tr K A^-1`` and ``y^T A^-1 K A^-1 y``."""
    learned = regression.learnability
    power = spectrum.multiplicities * (regression.square_error / points) + spectrum.target_power
    return float(spectrum.multiplicities @ learned), float(power @ (learned**2 / spectrum.eigenvalues))


def _averaged_equation(spectrum: Spectrum, points: float, ridge: float, width: int, scale: float) -> float:
    """``2 u dS/du`` of the averaged action."""
    scaled = _scaled(spectrum, scale)
    count, norm = _learned(scaled, points, averaged_regression(scaled, points, ridge))
    return width * (scale - 1.0) + count - norm


def _averaged_action(spectrum: Spectrum, points: float, ridge: float, width: int, scale: float) -> float:
    """Average of the action of `kernel_scaling`, by its value at the effective ridge."""
    scaled = _scaled(spectrum, scale)
    level = effective_ridge(scaled, points, ridge) / points
    determinant = float(spectrum.multiplicities @ np.log1p(scaled.eigenvalues / level))
    determinant += points * math.log(points * level) + ridge / level - points
    norm = (
        float(np.sum(spectrum.target_power / (scaled.eigenvalues + level))) + spectrum.noise_variance / level
    )
    return 0.5 * (width * (scale - math.log(scale)) + determinant + norm)
