"""Power-law spectra and their scaling laws.

Eigenvalues ``lambda_k = k^-a`` and squared target coefficients ``y_k^2 = k^-b``, k = 1, 2, ... With many
learned modes, ``k_* = (P / kappa_e)^(1/a)`` of them, sums become integrals and the effective ridge obeys
``kappa_e = kappa + I P^(1/a - 1) kappa_e^(1 - 1/a)`` with ``I = (pi/a) / sin(pi/a)``. Spigler, Geiger, Wyart,
J. Stat. Mech. (2020) 124001; Bordelon, Canatar, Pehlevan, ICML 2020 (arXiv:2002.02561); Cui, Loureiro,
Krzakala, Zdeborova, NeurIPS 2021 (arXiv:2105.15004); Ringel et al., arXiv:2502.18553, equations 2.46-2.47.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nnft.errors import UsageError
from nnft.theory.data_averages import Spectrum


@dataclass(frozen=True)
class ScalingLaw:
    """Learning curve of a power law at one P, sums taken as integrals.

    Attributes
    ----------
    effective_ridge : float
    learned_modes : float
        k_*.
    gamma : float
    bias, clean_error : float
        As in `averaged_predictor.AveragedPredictor`.
    """

    effective_ridge: float
    learned_modes: float
    gamma: float
    bias: float
    clean_error: float


@dataclass(frozen=True)
class PowerLaw:
    """A power law of eigenvalues and target.

    Attributes
    ----------
    a : float
        Exponent of the eigenvalues, > 0; scaling laws need a > 1, a kernel of finite trace.
    b : float
        Exponent of the target power; scaling laws need b > 1, a target of finite norm, b != 2 a + 1.
    """

    a: float
    b: float

    def __post_init__(self) -> None:
        if not 0.0 < self.a < math.inf or not math.isfinite(self.b):
            raise UsageError(
                f"exponents of a power law: got a = {self.a}, b = {self.b}; give a > 0 and finite b"
            )

    def spectrum(self, modes: int, noise_variance: float = 0.0) -> Spectrum:
        """Return the first modes of the power law.

        Raises
        ------
        UsageError
            Without a mode, or if a number is 0 or infinite in double precision.
        """
        if modes < 1:
            raise UsageError(f"modes of a power law: got {modes}; give a whole number >= 1")
        k = np.arange(1.0, modes + 1.0)
        with np.errstate(over="ignore", under="ignore"):
            values, power = k**-self.a, k**-self.b
        if values[-1] == 0.0 or not np.isfinite(power).all():
            raise UsageError(f"power law out of range: got a = {self.a:g}, b = {self.b:g}; lower them")
        return Spectrum(values, np.ones(modes), power, noise_variance)

    @property
    def sum_factor(self) -> float:
        """I, the integral of 1 / (1 + u^a)."""
        self._require()
        return math.pi / self.a / math.sin(math.pi / self.a)

    @property
    def saturated(self) -> bool:
        """Whether the target is smoother than the kernel can use: b > 2 a + 1."""
        return self.b > 2.0 * self.a + 1.0

    def bias_factor(self) -> tuple[float, float]:
        """Return J and q of the bias ``J k_*^-q``.

        ``J_b = B((2a - b + 1)/a, (b - 1)/a) / a`` and q = b - 1; zeta(b - 2 a) and 2 a where saturated.
        """
        from scipy.special import beta, zeta

        self._require()
        if self.saturated:
            return float(zeta(self.b - 2.0 * self.a)), 2.0 * self.a
        first, second = (2.0 * self.a - self.b + 1.0) / self.a, (self.b - 1.0) / self.a
        return float(beta(first, second)) / self.a, self.b - 1.0

    def crossover_ridge(self, points: float) -> float:
        """Return ``P^(1-a) I^a``: the ridge below which the law is that without a ridge."""
        return float(points ** (1.0 - self.a) * self.sum_factor**self.a)

    def learning_exponents(self) -> tuple[float, float]:
        """Return the exponents of E_g in P without a ridge and at a large ridge, E_g ~ P^-exponent.

        b - 1 and (b - 1) / a; 2 a and 2 where saturated.
        """
        power = self.bias_factor()[1]
        return power, power / self.a

    def scaling_law(self, points: float, ridge: float, noise_variance: float = 0.0) -> ScalingLaw:
        """Scaling law at any ridge, from the equation of the effective ridge with sums as integrals.

        Parameters
        ----------
        points : float
            P > 0, large enough for many learned modes; see `corrections`.
        ridge : float
            kappa >= 0.
        noise_variance : float, optional
            s^2.

        Raises
        ------
        UsageError
            For exponents without a law, or P or the ridge out of range.
        """
        from scipy.optimize import brentq

        _check(points, ridge)
        free = self.crossover_ridge(points)
        if ridge == 0.0:
            return self._law(points, free, noise_variance)
        share = ridge / free

        def excess(log_ratio: float) -> float:  # of the equation over kappa_e, kappa_e = exp(log_ratio) free
            return share * math.exp(-log_ratio) + math.exp(-log_ratio / self.a) - 1.0

        low, high = math.log(max(share, 1.0)), max(math.log(2.0 * share), self.a * math.log(2.0))
        return self._law(points, math.exp(brentq(excess, low, high, xtol=1e-15)) * free, noise_variance)

    def large_ridge_law(self, points: float, ridge: float, noise_variance: float = 0.0) -> ScalingLaw:
        """Scaling law at kappa far above `crossover_ridge`: k_* = (P / kappa)^(1/a), kappa_e = kappa.

        Parameters and errors are those of `scaling_law`; the ridge is > 0. Corrections are of relative order
        gamma.
        """
        _check(points, ridge)
        if ridge == 0.0:
            raise UsageError("law of a large ridge: got ridge 0; use scaling_law")
        return self._law(points, ridge, noise_variance)

    def corrections(self, law: ScalingLaw, modes: float = math.inf) -> tuple[float, float]:
        """Return relative corrections to the sum over modes: of its lower end, and of a cutoff.

        ``sum_k 1 / (1 + (k / k_*)^a)`` is ``I k_*`` minus 1/2, and minus ``k_*^a modes^(1-a) / (a - 1)`` if
        only so many modes exist. The laws hold where both are far below 1.
        """
        total = self.sum_factor * law.learned_modes
        cut = law.learned_modes**self.a * modes ** (1.0 - self.a) / (self.a - 1.0)
        return 0.5 / total, cut / total

    def _law(self, points: float, effective: float, noise: float) -> ScalingLaw:
        modes = (points / effective) ** (1.0 / self.a)
        gamma = (1.0 - 1.0 / self.a) * self.sum_factor * modes / points
        factor, power = self.bias_factor()
        bias = factor * modes**-power
        clean = (bias + noise * gamma) / (1.0 - gamma) if gamma < 1.0 else math.inf
        return ScalingLaw(effective, modes, gamma, bias, clean)

    def _require(self) -> None:
        if self.a <= 1.0 or self.b <= 1.0 or self.b == 2.0 * self.a + 1.0:
            raise UsageError(
                f"no scaling law: got a = {self.a:g}, b = {self.b:g}; it needs a > 1, b > 1, b not 2 a + 1"
            )


def _check(points: float, ridge: float) -> None:
    if not 0.0 < points < math.inf or not 0.0 <= ridge < math.inf:
        raise UsageError(f"scaling law: got {points} points, ridge {ridge}; give P > 0, ridge >= 0")
