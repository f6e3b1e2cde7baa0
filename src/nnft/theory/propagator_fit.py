"""Mass and normalisation of a measured propagator, with errors.

Model ``Z / (p^2 + m^2)`` in momentum space, ``Z G(r; m, Lambda, d)`` in position space, by weighted least
squares with the full covariance of the measured values. Z = 1 for the free scalar; an effective readout
variance shows as Z, not as a mass (`cos_network.EffectiveReadings`). With a covariance estimated from few
samples chi-square is too large (Hotelling; Percival et al., MNRAS 510, 3207 (2022)); use many more than
values.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cholesky, solve_triangular
from scipy.optimize import least_squares
from scipy.special import chdtrc, roots_legendre

from nnft.errors import NumericalError, UsageError
from nnft.theory.activations import Array
from nnft.theory.cos_network import BallMomenta

_STARTS = 41
_MOST_PANELS = 64
_NODES, _WEIGHTS = roots_legendre(24)
Model = Callable[[float], tuple[Array, Array]]
"""Values of the propagator at a mass, for Z = 1, and their derivatives by the mass squared."""


@dataclass(frozen=True)
class PropagatorFit:
    """Fitted mass and normalisation.

    Attributes
    ----------
    mass, normalisation : float
        m and Z.
    mass_error, normalisation_error : float
        Standard errors.
    covariance : ndarray, shape (2, 2)
        Covariance of (m, Z).
    chi_square : float
        Chi-square at the minimum.
    freedom : int
        Values minus 2.
    p_value : float
        Probability of a larger chi-square; NaN without freedom.
    """

    mass: float
    normalisation: float
    mass_error: float
    normalisation_error: float
    covariance: Array
    chi_square: float
    freedom: int
    p_value: float


def fit_momentum_propagator(momenta: Array, values: Array, covariance: Array) -> PropagatorFit:
    """Fit ``Z / (p^2 + m^2)``.

    Parameters
    ----------
    momenta : ndarray, shape (n,)
        |p| below the cutoff, at least two different ones.
    values : ndarray, shape (n,)
        Measured propagator.
    covariance : ndarray, shape (n, n) or (n,)
        Covariance of the values, or their variances.

    Raises
    ------
    UsageError
        If shapes do not fit or there are too few values.
    NumericalError
        If the covariance is not positive definite or the values determine no mass > 0.
    """
    p = np.asarray(momenta, dtype=np.float64)

    def model(squared: float) -> tuple[Array, Array]:
        inverse = 1.0 / (p**2 + squared)
        return inverse, -(inverse**2)

    return _fit(model, p, values, covariance, float(np.max(np.abs(p), initial=0.0)))


def shell_averages(edges: Array, dimension: int, mass_square: float) -> tuple[Array, Array]:
    """Averages of ``1 / (p^2 + m^2)`` and of its square over shells of momenta, each of shape (n,).

    Parameters
    ----------
    edges : ndarray, shape (n + 1,)
        Ascending radii, from 0 on.
    dimension : int
        Dimension d: the volume of a shell grows like ``p^(d-1)``.
    mass_square : float
        m^2 > 0.
    """
    first, second = np.empty(len(edges) - 1), np.empty(len(edges) - 1)
    for shell, (low, high) in enumerate(itertools.pairwise(edges)):
        panels = min(_MOST_PANELS, math.ceil(2.0 * (high - low) / math.sqrt(mass_square)))
        cuts = np.linspace(low, high, panels + 1)
        half = 0.5 * np.diff(cuts)[:, None]
        p = (0.5 * (cuts[1:] + cuts[:-1])[:, None] + half * _NODES).ravel()
        weights = (half * _WEIGHTS).ravel() * (p / high) ** (dimension - 1)
        inverse = 1.0 / (p**2 + mass_square)
        first[shell] = weights @ inverse / weights.sum()
        second[shell] = weights @ inverse**2 / weights.sum()
    return first, second


def fit_shell_propagator(edges: Array, dimension: int, values: Array, covariance: Array) -> PropagatorFit:
    """Fit ``Z / (p^2 + m^2)`` averaged over shells of momenta, whatever their thickness.

    Parameters
    ----------
    edges : ndarray, shape (n + 1,)
        Ascending radii of the shells, the last one at most the cutoff.
    dimension : int
        Dimension d.
    values, covariance
        Averages over the shells; otherwise as in `fit_momentum_propagator`.

    Raises
    ------
    UsageError
        If shapes do not fit or there are too few values.
    NumericalError
        If the covariance is not positive definite or the values determine no mass > 0.
    """
    radii = np.asarray(edges, dtype=np.float64)
    if radii.ndim != 1 or len(radii) < 2 or radii[0] < 0.0 or not np.all(np.diff(radii) > 0.0):
        raise UsageError(f"shells of momenta: got edges {radii}; give ascending radii from 0 on")

    def model(squared: float) -> tuple[Array, Array]:
        first, second = shell_averages(radii, dimension, squared)
        return first, -second

    return _fit(model, 0.5 * (radii[1:] + radii[:-1]), values, covariance, float(radii[-1]))


def fit_position_propagator(
    distances: Array, values: Array, covariance: Array, dimension: int, cutoff: float
) -> PropagatorFit:
    """Fit Z times the propagator of the free scalar with a known sharp cutoff.

    Parameters
    ----------
    distances : ndarray, shape (n,)
        |r|, at least two different ones.
    values, covariance
        As in `fit_momentum_propagator`.
    dimension : int
        Dimension d.
    cutoff : float
        Lambda, finite.

    Raises
    ------
    UsageError
        If shapes do not fit or there are too few values.
    NumericalError
        If the covariance is not positive definite or the values determine no mass > 0.
    """
    r = np.asarray(distances, dtype=np.float64)

    def model(squared: float) -> tuple[Array, Array]:
        momenta = BallMomenta(dimension, cutoff, math.sqrt(squared))
        scale = momenta.volume / (2.0 * math.pi) ** dimension
        return scale * momenta.average(r, 1), -scale * momenta.average(r, 2)

    return _fit(model, r, values, covariance, cutoff)


def _whitening(values: Array, covariance: Array) -> Callable[[Array], Array]:
    """Map that makes the errors of the values independent, with variance 1."""
    spread = np.asarray(covariance, dtype=np.float64)
    matrix = np.diag(spread) if spread.ndim == 1 else spread
    if matrix.shape != (len(values), len(values)) or not np.isfinite(matrix).all():
        raise UsageError(
            f"covariance of {len(values)} values of a propagator: got shape {spread.shape}; give (n, n)"
        )
    try:
        lower = cholesky(matrix, lower=True)
    except LinAlgError as error:
        raise NumericalError(
            "covariance of a propagator is not positive definite: got a singular matrix; use fewer values or "
            "more samples"
        ) from error
    return lambda rows: np.asarray(solve_triangular(lower, rows, lower=True))


def _fit(model: Model, places: Array, values: Array, covariance: Array, scale: float) -> PropagatorFit:
    measured = np.asarray(values, dtype=np.float64)
    if measured.ndim != 1 or places.shape != measured.shape or np.unique(np.abs(places)).size < 2:
        raise UsageError(
            f"fit of a propagator: got {places.shape} places and {measured.shape} values; give (n,) both, at "
            "two or more different places"
        )
    if not (np.isfinite(measured).all() and np.isfinite(places).all()):
        raise UsageError("fit of a propagator: got NaN or infinity; leave out such values")
    white = _whitening(measured, covariance)
    target = white(measured)
    start = _start(model, white, target, scale)

    def residuals(parameters: Array) -> Array:
        shape, _ = model(math.exp(2.0 * parameters[0]))
        return np.asarray(parameters[1] * white(shape) - target)

    def jacobian(parameters: Array) -> Array:
        squared = math.exp(2.0 * parameters[0])
        shape, slope = model(squared)
        return np.column_stack([2.0 * squared * parameters[1] * white(slope), white(shape)])

    found = least_squares(residuals, start, jacobian, method="lm", x_scale="jac", ftol=1e-14, xtol=1e-12)
    mass, factor = math.exp(found.x[0]), float(found.x[1])
    derivative = jacobian(found.x) / np.array([mass, 1.0])
    information = derivative.T @ derivative
    if not np.linalg.cond(derivative) < 1e8:
        raise NumericalError(
            f"fit of a propagator: got mass {mass:.3g}, which the values do not tell from Z; use more places"
        )
    spread = np.linalg.inv(information)
    chi_square, freedom = 2.0 * float(found.cost), len(measured) - 2
    p_value = float(chdtrc(freedom, chi_square)) if freedom > 0 else math.nan
    errors = np.sqrt(np.diagonal(spread)).tolist()
    return PropagatorFit(mass, factor, errors[0], errors[1], spread, chi_square, freedom, p_value)


def _start(model: Model, white: Callable[[Array], Array], target: Array, scale: float) -> Array:
    """Best of many masses, logarithmically spaced around the largest momentum, with its best Z."""
    logs = math.log(scale) + np.linspace(-4.0, 2.0, _STARTS) * math.log(10.0)
    costs, factors = np.empty(_STARTS), np.empty(_STARTS)
    for k, log in enumerate(logs):
        shape = white(model(math.exp(2.0 * log))[0])
        factors[k] = shape @ target / (shape @ shape)
        costs[k] = np.sum((factors[k] * shape - target) ** 2)
    best = int(np.argmin(costs))
    if best in {0, _STARTS - 1}:
        size = "small" if best == 0 else "large"
        raise NumericalError(
            f"fit of a propagator: got no mass, the values prefer an arbitrarily {size} one; "
            "use other places or smaller errors"
        )
    return np.array([logs[best], factors[best]])
