"""Samplers on a quadratic energy: what Langevin and Hamiltonian schemes do at a finite step, exactly.

Energy ``E = theta . H theta / 2`` (or ``k theta^2 / 2``), target law ``exp(-E / T)``. Welling and Teh,
ICML 2011; Roberts and Tweedie, Bernoulli 2, 341 (1996); Leimkuhler and Matthews, J. Chem. Phys. 138,
174102 (2013); Neal, in *Handbook of Markov Chain Monte Carlo* (2011); Duane et al., Phys. Lett. B 195,
216 (1987).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from nnft.errors import NumericalError, UsageError
from nnft.theory.activations import Array


def _stiffness(hessian: Array | float) -> tuple[Array, Array]:
    matrix = np.atleast_2d(np.asarray(hessian, dtype=np.float64))
    values, vectors = np.linalg.eigh(matrix)
    if not values[0] > 0.0:
        raise NumericalError(f"Hessian of a sampled energy: got eigenvalue {values[0]:.3g}; give one > 0")
    return values, vectors


def _stable(step: float, largest: float) -> None:
    if not 0.0 <= step < largest:
        raise NumericalError(f"step of a sampler is unstable: got {step:.6g}; use one below {largest:.6g}")


def largest_stable_step(hessian: Array | float) -> float:
    """Step ``2 / lambda_max`` at which Euler's scheme loses stability; Hessian (n, n) or a number."""
    return 2.0 / float(_stiffness(hessian)[0][-1])


def ula_covariance(hessian: Array | float, temperature: float, step: float) -> Array:
    """Stationary covariance ``T H^-1 (1 - step H / 2)^-1`` of the unadjusted Langevin algorithm.

    Parameters
    ----------
    hessian : ndarray, shape (n, n), or float
        Positive definite Hessian.
    temperature : float
        Temperature T.
    step : float
        Step of ``theta - step grad E + sqrt(2 step T) xi``; 0 gives the exact covariance ``T / H``.

    Returns
    -------
    ndarray, shape (n, n)

    Raises
    ------
    NumericalError
        If the step is unstable or the Hessian is not positive definite.
    """
    values, vectors = _stiffness(hessian)
    _stable(step, 2.0 / float(values[-1]))
    return np.asarray((vectors * (temperature / (values * (1.0 - 0.5 * step * values)))) @ vectors.T)


def leimkuhler_matthews_covariance(hessian: Array | float, temperature: float, step: float) -> Array:
    """Stationary covariance with the noise ``(xi_n + xi_(n+1)) / 2``: ``T / H`` at every stable step."""
    _stable(step, largest_stable_step(hessian))
    return ula_covariance(hessian, temperature, 0.0)


def ula_autocorrelation(stiffness: float, step: float) -> float:
    """Autocorrelation ``r = 1 - step k`` of successive values of a mode of stiffness k."""
    return 1.0 - step * stiffness


def autocorrelation_times(correlation: float) -> tuple[float, float]:
    """Integrated times of theta and theta^2 for a Gaussian chain with correlation r at lag one.

    ``(1 + r) / (2 (1 - r))`` and ``(1 + r^2) / (2 (1 - r^2))``, in the convention 1/2 + sum of lags
    (Sokal 1997; Wolff, Comput. Phys. Commun. 156, 143 (2004)); an effective sample size has twice that.
    """
    if not -1.0 < correlation < 1.0:
        raise UsageError(f"correlation at lag one: got {correlation}; give a number between -1 and 1")
    square = correlation**2
    return 0.5 * (1.0 + correlation) / (1.0 - correlation), 0.5 * (1.0 + square) / (1.0 - square)


def diffusion_transient(
    stiffness: float, temperature: float, time: float, mean: float, variance: float
) -> tuple[float, float]:
    """Mean and variance of a harmonic mode after Langevin dynamics for a time (Ornstein-Uhlenbeck)."""
    decay = math.exp(-stiffness * time)
    gained = -math.expm1(-2.0 * stiffness * time) * temperature / stiffness
    return mean * decay, variance * decay**2 + gained


def leapfrog_map(stiffness: float, mass: float, step: float, steps: int) -> Array:
    """Matrix, (2, 2), of leapfrog steps (half kick, drift, half kick) on ``k q^2 / 2 + p^2 / 2m``."""
    kick = np.array([[1.0, 0.0], [-0.5 * step * stiffness, 1.0]])
    drift = np.array([[1.0, step / mass], [0.0, 1.0]])
    return np.asarray(np.linalg.matrix_power(kick @ drift @ kick, steps))


def leapfrog_stretch(stiffness: float, mass: float, step: float, steps: int) -> float:
    """Largest singular value of the leapfrog map in units of the equilibrium deviations of q and p."""
    scale = np.array([1.0 / math.sqrt(stiffness), math.sqrt(mass)])
    whitened = leapfrog_map(stiffness, mass, step, steps) * scale / scale[:, None]
    return max(1.0, float(np.linalg.norm(whitened, 2)))


def hmc_acceptance(stiffness: float, mass: float, step: float, steps: int) -> float:
    """Mean acceptance ``(4 / pi) arctan(1 / s)`` of Hamiltonian Monte Carlo on one mode, equilibrium.

    Exact for every number of leapfrog steps: the map has singular values s and 1 / s in whitened
    coordinates, so the energy error is a quadratic form of two normal variables.
    """
    return 4.0 / math.pi * math.atan(1.0 / leapfrog_stretch(stiffness, mass, step, steps))


def hmc_unadjusted_variance(stiffness: float, temperature: float, mass: float, step: float) -> float:
    """Variance of q without the accept step, momenta drawn anew: ``T / [k (1 - step^2 k / 4m)]``.

    Raises
    ------
    NumericalError
        If the leapfrog scheme is unstable.
    """
    _stable(step, 2.0 * math.sqrt(mass / stiffness))
    return temperature / (stiffness * (1.0 - step**2 * stiffness / (4.0 * mass)))


def mala_acceptance(stiffness: float, step: float) -> float:
    """Mean acceptance of the Metropolis-adjusted Langevin algorithm on one mode.

    One leapfrog step of length ``sqrt(2 step)`` with unit mass: ``(4 / pi) arctan(1 / s)`` with
    ``s = exp(arcsinh((2 step k)^(3/2) / 8))``.
    """
    return 4.0 / math.pi * math.atan(math.exp(-math.asinh((2.0 * step * stiffness) ** 1.5 / 8.0)))


def many_mode_acceptance(count: int, stiffness: float, step: float) -> float:
    """Acceptance ``2 Phi(-sqrt(n) h^3 k^(3/2) / 8)`` of one leapfrog step on n -> infinity equal modes.

    Unit mass; for the Langevin proposal ``h = sqrt(2 step)``. Roberts and Rosenthal, J. R. Stat. Soc. B
    60, 255 (1998), whose optimum is an acceptance of 0.574.
    """
    return math.erfc(math.sqrt(count) * (step**2 * stiffness) ** 1.5 / 8.0 / math.sqrt(2.0))


def baoab_moments(
    stiffness: float, temperature: float, mass: float, step: float
) -> tuple[float, float, float]:
    """Stationary ``<q^2>``, ``<p^2>``, ``<q p>`` of the BAOAB scheme: ``T/k``, ``mT (1 - h^2 k / 4m)``, 0.

    Exact at every friction > 0. Configurations are unbiased; the kinetic temperature is not.

    Raises
    ------
    NumericalError
        If the step is ``2 sqrt(m / k)`` or larger.
    """
    _stable(step, 2.0 * math.sqrt(mass / stiffness))
    kinetic = mass * temperature * (1.0 - step**2 * stiffness / (4.0 * mass))
    return temperature / stiffness, kinetic, 0.0


def modified_energy(
    energy: Callable[[Array], Array],
    gradient: Callable[[Array], Array],
    laplacian: Callable[[Array], Array],
    temperature: float,
    step: float,
) -> Callable[[Array], Array]:
    """Energy ``E - (step / 4) |grad E|^2 + (step T / 2) laplacian E`` that the unadjusted scheme samples.

    To first order in the step, for every smooth energy (Leimkuhler and Matthews, *Molecular Dynamics*
    (2015), chapter 7). Functions of a one-dimensional position, elementwise.
    """

    def modified(position: Array) -> Array:
        slope = gradient(position)
        shift = -0.25 * step * slope**2 + 0.5 * step * temperature * laplacian(position)
        return np.asarray(energy(position) + shift, dtype=np.float64)

    return modified
