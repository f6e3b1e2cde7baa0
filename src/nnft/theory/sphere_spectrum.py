"""Eigenvalues and multiplicities of dot-product kernels on the sphere, by the Funk-Hecke formula.

For inputs uniform on the sphere in d dimensions the eigenfunctions of ``k(x.x')`` are the spherical harmonics
of degree l, all N(d, l) of one degree with one eigenvalue (Atkinson, Han, *Spherical Harmonics and
Approximations on the Unit Sphere*, 2012, theorem 2.22; Bach, J. Mach. Learn. Res. 18, 629 (2017); Bietti,
Mairal, NeurIPS 2019, arXiv:1905.12173; Ringel et al., arXiv:2502.18553, section 2.5). ``lambda_l ~ d^-l``: a
degree takes P ~ d^l points.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nnft.errors import NumericalError, UsageError
from nnft.theory.activations import Array

LARGEST_DIMENSION = 10**6
LARGEST_DEGREE = 200
NODES = 600
ZERO = 200.0 * np.finfo(np.float64).eps


@dataclass(frozen=True)
class SphereSpectrum:
    """Spectrum of a dot-product kernel up to some degree.

    Attributes
    ----------
    dimension : int
        d of the space around the sphere.
    eigenvalues : ndarray, shape (H + 1,)
        lambda_l for l = 0..H; exactly 0 where the integral is 0 to double precision.
    multiplicities : ndarray, shape (H + 1,)
        N(d, l).
    trace : float
        k(1), the sum of all eigenvalues with their multiplicities.
    """

    dimension: int
    eigenvalues: Array
    multiplicities: Array
    trace: float

    @property
    def tail(self) -> float:
        """Variance in degrees above H: k(1) minus the levels listed, >= 0."""
        return max(self.trace - float(self.multiplicities @ self.eigenvalues), 0.0)


def harmonic_multiplicity(dimension: int, degree: int) -> int:
    """Number N(d, l) of independent spherical harmonics of degree l in d >= 2 dimensions, exactly."""
    if degree == 0:
        return 1
    if degree == 1:
        return dimension
    return (2 * degree + dimension - 2) * math.comb(degree + dimension - 3, degree - 1) // degree


def legendre_polynomials(dimension: int, highest: int, cosine: Array) -> Array:
    """Legendre polynomials P_l of dimension d, P_l(1) = 1, for l = 0..H.

    ``(l + d - 2) P_(l+1) = (2 l + d - 2) t P_l - l P_(l-1)``.

    Parameters
    ----------
    dimension : int
        d >= 2; d = 3 has those of Legendre, d = 2 those of Chebyshev.
    highest : int
        H >= 0.
    cosine : ndarray, shape (T,)

    Returns
    -------
    ndarray, shape (H + 1, T)
    """
    t = np.asarray(cosine, dtype=np.float64)
    result = np.ones((highest + 1, t.size))
    if highest >= 1:
        result[1] = t
    for degree in range(1, highest):
        above = (2 * degree + dimension - 2) * t * result[degree] - degree * result[degree - 1]
        result[degree + 1] = above / (degree + dimension - 2)
    return result


def sphere_spectrum(
    kernel: Callable[[Array], Array], dimension: int, highest: int, trace: float | None = None
) -> SphereSpectrum:
    """Eigenvalues of a dot-product kernel up to degree H.

    ``lambda_l = int k(cos a) P_l(cos a) sin^(d-2) a da / int sin^(d-2) a da`` by Gauss-Legendre quadrature in
    the angle, in which kernels of networks are smooth, ReLU included.

    Parameters
    ----------
    kernel : callable
        k as a function of t, elementwise on arrays.
    dimension : int
        d from 2 to 10^6.
    highest : int
        H from 0 to 200.
    trace : float, optional
        k(1); computed when left out.

    Returns
    -------
    SphereSpectrum
        Absolute errors of eigenvalues are about 1e-15 k(1) / sqrt(N); those below 4e-14 k(1) / sqrt(N)
        are set to 0.

    Raises
    ------
    UsageError
        If d or H is out of range.
    NumericalError
        If the kernel is not finite, or an eigenvalue is negative beyond rounding: no covariance.
    """
    if not 2 <= dimension <= LARGEST_DIMENSION or not 0 <= highest <= LARGEST_DEGREE:
        raise UsageError(
            f"spectrum on the sphere: got dimension {dimension}, degree {highest}; "
            f"give 2 to {LARGEST_DIMENSION} and 0 to {LARGEST_DEGREE}"
        )
    angle, weights = _angles(dimension)
    values = np.asarray(kernel(np.cos(angle)), dtype=np.float64)
    one = float(np.asarray(kernel(np.ones(1)))[0]) if trace is None else trace
    if not np.isfinite(values).all() or not math.isfinite(one):
        raise NumericalError("kernel on the sphere is not finite: got NaN or infinity; give a finite kernel")
    found = legendre_polynomials(dimension, highest, np.cos(angle)) @ (weights * values)
    counts = np.array([float(harmonic_multiplicity(dimension, degree)) for degree in range(highest + 1)])
    rounding = ZERO * abs(one) / np.sqrt(counts)
    if np.any(found < -rounding):
        worst = int(np.argmin(found / rounding))
        raise NumericalError(
            f"kernel is not positive semidefinite: got eigenvalue {found[worst]:.3g} of degree {worst}; "
            "give a covariance"
        )
    return SphereSpectrum(dimension, np.where(found <= rounding, 0.0, found), counts, one)


def _angles(dimension: int) -> tuple[Array, Array]:
    """Nodes of the angle and normalised weights, over the range in which the measure is not negligible."""
    from scipy.special import roots_legendre

    nodes, weights = roots_legendre(NODES)
    half = min(0.5 * math.pi, 12.0 / math.sqrt(max(dimension - 2, 1)))
    angle = 0.5 * math.pi + half * nodes
    measure = weights * np.exp((dimension - 2) * np.log(np.sin(angle)))
    return angle, measure / measure.sum()
