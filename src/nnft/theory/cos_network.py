"""Networks of cosines: exact correlators, and the free massive scalar.

``f(x) = sum_i a_i cos(b_i.x + c_i) / (|b_i|^2 + m^2)^(1/2)``, readout weights ``a_i`` of variance
``sigma_a^2 / N``, phases uniform, momenta b uniform in a ball of radius Lambda; or without the denominator
and with normal momenta. Uniform phases make every correlator invariant under translations. For momenta in a
ball

    G(p) = (2 pi)^d sigma_a^2 / (2 vol) theta(Lambda - |p|) / (p^2 + m^2),

and ``sigma_a^2 = 2 vol / (2 pi)^d`` gives the free scalar with a sharp cutoff, Gaussian as N -> infinity.
Halverson, arXiv:2112.04527 (momenta, phases, free scalar); Demirtas et al., arXiv:2307.03223;
Howard, Klinger, Maiti and Stapleton, SciPost Phys. Core 8, 027 (2025), arXiv:2405.17538, equations 77-90.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from scipy.special import gamma, hyp0f1, j0, kv, roots_legendre

from nnft.errors import UsageError
from nnft.theory.activations import Array
from nnft.theory.one_hidden_layer import NeuronMoment, Readout, connected_correlator

AMPLITUDES = ("gaussian", "fixed")

_NODES, _WEIGHTS = roots_legendre(24)
_PANELS = 512
_MOST_WAVES = 1e7 / math.pi


def ball_volume(dimension: int, radius: float) -> float:
    """Volume ``pi^(d/2) r^d / Gamma(d/2 + 1)`` of a ball."""
    return float(math.pi ** (0.5 * dimension) * radius**dimension / gamma(0.5 * dimension + 1.0))


@dataclass(frozen=True)
class NormalMomenta:
    """Momenta ``b ~ N(0, variance / d)`` for every component, and no denominator.

    Attributes
    ----------
    dimension : int
        Dimension d of the inputs.
    variance : float
        sigma_b^2 > 0.
    """

    dimension: int
    variance: float

    def __post_init__(self) -> None:
        if self.dimension < 1 or not self.variance > 0.0:
            raise UsageError(f"normal momenta: got {self}; give dimension >= 1 and variance > 0")

    def average(self, distances: Array, power: int) -> Array:
        """``<cos(b.r)>`` at distances |r|; the power of the denominator does not matter."""
        del power
        r = np.asarray(distances, dtype=np.float64)
        return np.asarray(np.exp(-0.5 * self.variance / self.dimension * r**2))


@dataclass(frozen=True)
class BallMomenta:
    """Momenta uniform in a ball, with the denominator ``(|b|^2 + m^2)^(1/2)``.

    Attributes
    ----------
    dimension : int
        Dimension d of the inputs.
    cutoff : float
        Radius Lambda > 0 of the ball.
    mass : float
        m > 0.
    """

    dimension: int
    cutoff: float
    mass: float

    def __post_init__(self) -> None:
        if self.dimension < 1 or not (self.cutoff > 0.0 and self.mass > 0.0 and math.isfinite(self.cutoff)):
            raise UsageError(f"momenta in a ball: got {self}; give dimension >= 1, finite cutoff, mass > 0")

    @property
    def volume(self) -> float:
        """Volume of the ball."""
        return ball_volume(self.dimension, self.cutoff)

    def average(self, distances: Array, power: int) -> Array:
        """``<cos(b.r) (b^2 + m^2)^-power>`` at distances |r|, any shape, by quadrature over the radius.

        Gauss-Legendre panels no longer than half a wave of the largest distance, and no longer than the
        distance to the poles ``b = +- i m``. The error is about 1e-14 of the value at r = 0, so the relative
        error grows where the average decays. Work: Lambda |r| for the largest distance.

        Raises
        ------
        UsageError
            If ``Lambda |r|`` is above 1e7.
        """
        r, inverse = np.unique(np.abs(np.asarray(distances, dtype=np.float64)), return_inverse=True)
        waves = float(r[-1]) * self.cutoff / math.pi
        if not waves < _MOST_WAVES:
            raise UsageError(f"average over momenta: got {waves:.3g} half waves; use smaller distances")
        geometric = (
            self.mass * 0.25 * 2.0 ** np.arange(math.ceil(math.log2(4.0 * self.cutoff / self.mass)) + 1)
        )
        even = np.linspace(0.0, self.cutoff, math.ceil(waves) + 1)
        edges = np.union1d(even, geometric[geometric < self.cutoff])
        edges = np.union1d(edges, [0.0, self.cutoff])
        total = np.zeros(r.shape)
        for first in range(0, len(edges) - 1, _PANELS):
            left, right = edges[first : first + _PANELS + 1][:-1], edges[first + 1 : first + _PANELS + 1]
            half = 0.5 * (right - left)[:, None]
            b = (0.5 * (left + right)[:, None] + half * _NODES).ravel()
            weights = (half * _WEIGHTS).ravel() * self.dimension * (b / self.cutoff) ** (self.dimension - 1)
            weights /= self.cutoff * (b**2 + self.mass**2) ** power
            total += weights @ _direction_average(b[:, None] * r, self.dimension)
        return np.asarray(total[inverse].reshape(np.shape(distances)))


def _direction_average(z: Array, dimension: int) -> Array:
    """Average of the cosine of ``b.r``, ``|b| |r| = z``, over directions: ``0F1(d/2; -z^2 / 4)``."""
    if dimension == 1:
        return np.asarray(np.cos(z))
    if dimension == 2:
        return np.asarray(j0(z))
    if dimension == 3:
        return np.asarray(np.sinc(z / math.pi))
    return np.asarray(hyp0f1(0.5 * dimension, -0.25 * z**2))


@dataclass(frozen=True)
class CosNetwork:
    """Law of a network of N cosines.

    Attributes
    ----------
    momenta : NormalMomenta or BallMomenta
        Law of the momenta and the denominator.
    width : int
        Number N of cosines.
    variance : float
        sigma_a^2: the readout weights have variance ``sigma_a^2 / N``.
    amplitudes : str
        ``gaussian``, or ``fixed``: all |a_i| equal (their signs do not matter, phases being uniform).
    """

    momenta: NormalMomenta | BallMomenta
    width: int
    variance: float
    amplitudes: str = "gaussian"

    def __post_init__(self) -> None:
        if self.amplitudes not in AMPLITUDES or self.width < 1 or not self.variance > 0.0:
            raise UsageError(
                f"network of cosines: got width {self.width}, variance {self.variance}, amplitudes "
                f"{self.amplitudes!r}; give numbers > 0 and one of {', '.join(AMPLITUDES)}"
            )

    @property
    def readout(self) -> Readout:
        """Moments of the readout weights before the factor 1/N."""
        v = self.variance
        if self.amplitudes == "gaussian":
            return Readout.gaussian(self.width, v)
        return Readout(self.width, v, v**2, v**3)

    def two_point(self, distances: Array) -> Array:
        """Two-point function at distances |x - y|, exact at every width: ``sigma_a^2 / 2 <cos(b.r) / w>``."""
        return 0.5 * self.variance * self.momenta.average(distances, 1)

    def moment(self, points: Array) -> NeuronMoment:
        """Averages of products of one cosine, with its denominator, at given points (n, d).

        ``<prod_a cos> = 2^-2k sum_e <cos(b . sum_a e_a x_a)>`` over the signs e with sum 0.

        Raises
        ------
        UsageError
            If the points have another dimension.
        """
        x = np.asarray(points, dtype=np.float64)
        if x.ndim != 2 or x.shape[1] != self.momenta.dimension:
            raise UsageError(f"points of cosines: got shape {x.shape}; give (n, {self.momenta.dimension})")

        def average(inputs: tuple[int, ...]) -> float:
            order = len(inputs)
            if order % 2:
                return 0.0
            signs = [e for e in itertools.product((1.0, -1.0), repeat=order) if sum(e) == 0.0]
            distances = np.linalg.norm(np.array(signs) @ x[list(inputs)], axis=1)
            return float(np.sum(self.momenta.average(distances, order // 2))) / 2.0**order

        return average

    def connected(self, points: Array) -> float:
        """Exact connected correlator of the fields at 2, 4 or 6 points, shape (order, d)."""
        return connected_correlator(self.readout, self.moment(points), range(len(points)))

    def coincident_fourth_cumulant(self) -> float:
        """kappa_4 of the field at one point: ``sigma_a^4/N [r 3/8 <w^-2> - 3/4 <w^-1>^2]``.

        ``w = b^2 + m^2``, or 1; r = 3 for Gaussian amplitudes, 1 for fixed ones.
        """
        first, second = (float(self.momenta.average(np.zeros(()), power)) for power in (1, 2))
        ratio = 3.0 if self.amplitudes == "gaussian" else 1.0
        return self.variance**2 / self.width * (0.375 * ratio * second - 0.75 * first**2)

    def fourier_prefactor(self) -> float:
        """``(2 pi)^d sigma_a^2 / (2 vol)``: G(p) times ``p^2 + m^2`` below the cutoff.

        Raises
        ------
        UsageError
            If the momenta are not uniform in a ball.
        """
        if not isinstance(self.momenta, BallMomenta):
            raise UsageError("prefactor of a propagator: got normal momenta; give momenta in a ball")
        return (2.0 * math.pi) ** self.momenta.dimension * self.variance / (2.0 * self.momenta.volume)


def free_scalar(
    dimension: int, mass: float, cutoff: float, width: int, amplitudes: str = "gaussian"
) -> CosNetwork:
    """Network with the propagator ``1 / (p^2 + m^2)``, |p| < Lambda, at every width."""
    momenta = BallMomenta(dimension, cutoff, mass)
    return CosNetwork(momenta, width, 2.0 * momenta.volume / (2.0 * math.pi) ** dimension, amplitudes)


def free_propagator(distances: Array, dimension: int, mass: float, cutoff: float = math.inf) -> Array:
    """Propagator of the free scalar in position space.

    ``G(r) = int_{|p| < Lambda} d^dp / (2 pi)^d  e^{ipr} / (p^2 + m^2)``.

    Parameters
    ----------
    distances : ndarray
        |r|, any shape; above 0 from dimension 2 where there is no cutoff.
    dimension : int
        Dimension d.
    mass : float
        m > 0.
    cutoff : float
        Lambda; infinity: ``(2 pi)^(-d/2) (m / r)^(d/2 - 1) K_{d/2-1}(m r)``.

    Raises
    ------
    UsageError
        If a number is not allowed.
    """
    if math.isfinite(cutoff):
        momenta = BallMomenta(dimension, cutoff, mass)
        return momenta.volume / (2.0 * math.pi) ** dimension * momenta.average(distances, 1)
    r = np.asarray(distances, dtype=np.float64)
    if dimension < 1 or not mass > 0.0 or not np.all(r >= 0.0) or (dimension > 1 and not np.all(r > 0.0)):
        raise UsageError(
            f"free propagator: got dimension {dimension}, mass {mass} and smallest distance {np.min(r)}; "
            "give a mass > 0, and without cutoff distances > 0 from dimension 2"
        )
    if dimension == 1:
        return np.asarray(np.exp(-mass * r) / (2.0 * mass))
    order = 0.5 * dimension - 1.0
    return np.asarray((2.0 * math.pi) ** (-0.5 * dimension) * (mass / r) ** order * kv(order, mass * r))


def free_momentum_propagator(momenta: Array, mass: float, cutoff: float = math.inf) -> Array:
    """``1 / (p^2 + m^2)`` at |p| < Lambda, 0 beyond; any shape, convention ``int d^dp / (2 pi)^d``."""
    p = np.abs(np.asarray(momenta, dtype=np.float64))
    return np.asarray(np.where(p < cutoff, 1.0 / (p**2 + mass**2), 0.0))


def cosine_gains(momenta: Array, factor: float, mass_square: float) -> Array:
    """Return ``F / (|b|^2 + m^2)^(1/2)`` of momenta (N, d), shape (N,); F for a negative m^2."""
    b = np.asarray(momenta, dtype=np.float64)
    if mass_square < 0.0:
        return np.full(len(b), factor)
    return np.asarray(factor / np.sqrt(np.sum(b**2, axis=1) + mass_square))
