"""Where an Edgeworth density is negative, and how much of its mass that is.

Along a ray u = r omega of the whitened field p / N_G is a polynomial in r. Its roots bound the radii where it
is negative, and the mass there is a sum of incomplete gamma functions: only the directions are left to be
averaged over, by quadrature for up to three fields and by random directions beyond.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nnft.actions.density_random import Purpose, generator
from nnft.actions.density_series import Series
from nnft.errors import UsageError
from nnft.estimators.notation import number_with_error

FloatArray = npt.NDArray[np.float64]

ANGLES = 2048
POLAR_NODES = 48
MOST_QUADRATURE_FIELDS = 3
BEYOND = 40.0
"""The mass of a Gaussian field farther out than this (and sqrt n more) is below the smallest double."""


@dataclass(frozen=True, eq=False)
class Positivity:
    """Where an Edgeworth density is negative.

    Attributes
    ----------
    negative_mass : float
        Integral of max(0, -p); the density as a whole integrates to 1.
    error : float
        Of `negative_mass`: 0 for one field, the difference from half as many directions for two or three,
        one standard error beyond.
    radius : float
        Distance |u| of the nearest negative point along the directions tried, in standard deviations of the
        whitened field; infinite if there is none.
    point : ndarray of float64, shape (n,), or None
        The field there.
    directions : int
        Directions tried.
    method : str
        How they were chosen.
    """

    negative_mass: float
    error: float
    radius: float
    point: FloatArray | None
    directions: int
    method: str

    @property
    def positive_mass(self) -> float:
        """Integral of the positive part, the normalisation of the density with negative values cut off."""
        return 1.0 + self.negative_mass

    @property
    def warning(self) -> str:
        """One line if any mass is negative, else empty."""
        if self.negative_mass <= 0.0:
            return ""
        return (
            f"the Edgeworth density is negative: mass {self.negative_mass:.3g} below zero, {self._region()}"
        )

    def text(self) -> str:
        """Return a summary of a few lines."""
        mass = number_with_error(self.negative_mass, self.error)
        return "\n".join(
            [
                f"negative mass            {mass}",
                f"mass of positive part    {1.0 + self.negative_mass:.10g}",
                f"positivity region        {self._region()}",
                f"directions               {self.directions}: {self.method}",
            ]
        )

    def _region(self) -> str:
        if not np.isfinite(self.radius):
            return "positive along all directions tried"
        rounded_down = np.floor(1e3 * self.radius) / 1e3
        return f"positive for |u| < {rounded_down:.3f} along the directions tried"


def find_negative(series: Series, root: FloatArray, directions: int, seed: int) -> Positivity:
    """Return where the density is negative.

    Parameters
    ----------
    series : Series
    root : ndarray of float64, shape (n, n)
        Fields are phi = root u.
    directions : int
        Random directions for more than three fields.
    seed : int
        Of the random directions.
    """
    axes = np.concatenate([np.eye(series.size), -np.eye(series.size)])
    if series.size > MOST_QUADRATURE_FIELDS:
        if directions < 2:
            raise UsageError(f"too few directions for positivity: got {directions}; needed 2 or more")
        tried = _random_directions(series.size, directions, seed)
        masses, radii = negative_rays(series, tried)
        mass, error = float(masses.mean()), float(masses.std(ddof=1) / np.sqrt(directions))
        method = f"eigenmodes of G and {directions} random directions, seed {seed}"
    else:
        tried, weights = _sphere_rule(series.size, 1)
        masses, radii = negative_rays(series, tried)
        coarse, half = _sphere_rule(series.size, 2)
        mass = float(weights @ masses)
        error = abs(mass - float(half @ negative_rays(series, coarse)[0])) if series.size > 1 else 0.0
        method = "eigenmodes of G and a quadrature over directions"
    tried = np.concatenate([axes, tried])
    radii = np.concatenate([negative_rays(series, axes)[1], radii])
    nearest = int(radii.argmin())
    found = bool(np.isfinite(radii[nearest]))
    point = root @ (tried[nearest] * radii[nearest]) if found else None
    return Positivity(mass, error, float(radii[nearest]), point, len(tried), method)


def negative_rays(series: Series, directions: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return for every direction the negative mass along it and the radius where it begins.

    Parameters
    ----------
    series : Series
    directions : ndarray of float64, shape (N, n)
        Of length 1.

    Returns
    -------
    masses : ndarray of float64, shape (N,)
        Integral of max(0, -p / N_G) over the chi distribution of the radius.
    radii : ndarray of float64, shape (N,)
        Infinite where the ray is positive.
    """
    rays = series.rays(directions)
    edge = BEYOND + np.sqrt(series.size)
    breaks = _breaks(rays, edge)
    low, high = breaks[:, :-1], breaks[:, 1:]
    middle = 0.5 * (low + high)
    values = np.zeros_like(middle)
    for coefficients in rays.T[::-1]:
        values = values * middle + coefficients[:, None]
    negative = (values < 0.0) & (high > low)
    masses = np.zeros(len(rays))
    for power, coefficients in enumerate(rays.T):
        tails = _tail(breaks, series.size, power)
        masses -= coefficients * np.sum((tails[:, :-1] - tails[:, 1:]) * negative, axis=1)
    return np.maximum(masses, 0.0), np.where(negative, low, np.inf).min(axis=1)


def _breaks(rays: FloatArray, edge: float) -> FloatArray:
    """Return radii between which no polynomial changes its sign, ascending, from 0 to `edge`.

    The inverse radii are eigenvalues of the companion matrix. Real parts of complex roots split an interval
    for nothing; a real root is never missed because rounding made it complex.
    """
    count, degree = len(rays), rays.shape[1] - 1
    breaks = np.zeros((count, degree + 2))
    breaks[:, -1] = edge
    if degree == 0:
        return breaks
    first = rays[:, 0]
    smallest = 1e-14 * np.abs(rays).max(axis=1)
    first = np.where(np.abs(first) < smallest, smallest, first)
    companion = np.zeros((count, degree, degree))
    companion[:, 0, :] = -rays[:, 1:] / first[:, None]
    companion[:, np.arange(1, degree), np.arange(degree - 1)] = 1.0
    inverse = np.linalg.eigvals(companion).astype(np.complex128)
    squares = np.abs(inverse) ** 2
    radii = np.where(squares > edge**-2, inverse.real / np.where(squares > 0.0, squares, 1.0), edge)
    breaks[:, 1:-1] = np.sort(np.clip(radii, 0.0, edge), axis=1)
    return breaks


def _tail(radii: FloatArray, size: int, power: int) -> FloatArray:
    """Return E[r^power; r > radius] of the chi distribution with `size` degrees of freedom."""
    from scipy.special import gammaincc, gammaln

    shape = 0.5 * (size + power)
    mean = np.exp(0.5 * power * np.log(2.0) + gammaln(shape) - gammaln(0.5 * size))
    tail: FloatArray = mean * gammaincc(shape, 0.5 * radii**2)
    return tail


def _sphere_rule(size: int, coarseness: int) -> tuple[FloatArray, FloatArray]:
    """Return directions (N, n) and weights that average over the sphere in one to three dimensions."""
    if size == 1:
        return np.array([[1.0], [-1.0]]), np.array([0.5, 0.5])
    turns = ANGLES if size == 2 else 2 * POLAR_NODES
    angles = 2.0 * np.pi * np.arange(turns // coarseness) / (turns // coarseness)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    if size == 2:
        return circle, np.full(len(circle), 1.0 / len(circle))
    heights, weights = np.polynomial.legendre.leggauss(POLAR_NODES // coarseness)
    flat = np.sqrt(1.0 - heights**2)[:, None, None] * circle
    up = np.broadcast_to(heights[:, None, None], (*flat.shape[:2], 1))
    directions = np.concatenate([flat, up], axis=2).reshape(-1, 3)
    return directions, np.repeat(0.5 * weights / len(circle), len(circle))


def _random_directions(size: int, count: int, seed: int) -> FloatArray:
    normals = generator(seed, Purpose.DIRECTIONS).standard_normal((count, size))
    directions: FloatArray = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    return directions
