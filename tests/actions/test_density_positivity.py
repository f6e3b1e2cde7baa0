"""Where the Edgeworth density is negative, against sums over grids and over draws."""

from __future__ import annotations

import numpy as np
import pytest
from scale_mixtures import LIMIT, SEED, THREE_POINTS, Array, mixture, strong_density

from nnft.actions.density import EdgeworthDensity
from nnft.actions.density_positivity import negative_rays
from nnft.errors import UsageError


def grid_mass(density: EdgeworthDensity, points: int, reach: float = 12.0) -> float:
    """Integral of max(0, -p) by a midpoint rule in whitened coordinates."""
    step = 2.0 * reach / points
    axis = -reach + step * (np.arange(points) + 0.5)
    white = np.stack(np.meshgrid(*[axis] * density.size, indexing="ij"), axis=-1).reshape(-1, density.size)
    phi = white @ (density.vectors * np.sqrt(density.eigenvalues)).T
    gauss = np.exp(-0.5 * np.sum(white**2, axis=1)) / (2.0 * np.pi) ** (0.5 * density.size)
    return float(np.sum(gauss * np.maximum(0.0, -density.correction(phi))) * step**density.size)


def test_one_field_in_closed_form() -> None:
    """1 - (u^4 - 6 u^2 + 3) / 24 is negative beyond u^2 = 3 + sqrt 30."""
    report = EdgeworthDensity([[4.0]], [-16.0]).positivity()
    edge = np.sqrt(3.0 + np.sqrt(30.0))
    assert report.radius == pytest.approx(edge, rel=1e-12)
    assert report.point is not None
    assert abs(report.point[0]) == pytest.approx(2.0 * edge, rel=1e-12)
    # int_a^inf He_4 phi = He_3(a) phi(a), hence the mass beyond both edges
    from scipy.stats import norm

    wanted = 2.0 * ((edge**3 - 3.0 * edge) * norm.pdf(edge) / 24.0 - norm.sf(edge))
    assert report.negative_mass == pytest.approx(wanted, rel=1e-11)
    assert report.error == 0.0
    assert report.positive_mass == 1.0 + report.negative_mass
    assert "negative: mass" in report.warning
    assert "positive for |u| < 2.911" in report.text()


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(("size", "points"), [(1, 40_001), (2, 801)])
def test_mass_on_a_grid(size: int, points: int, order: int) -> None:
    """The midpoint rule is off by a fraction of h^2 at the edges: below 1e-3 of the mass."""
    density = strong_density(size, order, strength=0.4)
    report = density.positivity()
    assert report.negative_mass > 1e-3
    assert report.negative_mass == pytest.approx(grid_mass(density, points), rel=1e-3)
    assert report.error < 1e-3 * report.negative_mass


def test_odd_terms_on_a_grid() -> None:
    density = EdgeworthDensity([[1.0, 0.2], [0.2, 0.5]], np.full(5, 0.1), three=[0.8, 0.1, -0.2, 0.4])
    report = density.positivity()
    assert report.negative_mass > 1e-3
    assert report.negative_mass == pytest.approx(grid_mass(density, 801), rel=1e-3)


@pytest.mark.parametrize(("size", "order"), [(3, 1), (3, 2), (4, 2), (6, 1)])
def test_mass_over_draws(size: int, order: int) -> None:
    """By quadrature, or over random rays, and over draws of the Gaussian."""
    density = strong_density(size, order, strength=0.3)
    report = density.positivity(seed=SEED)
    draws = np.random.default_rng(SEED).normal(size=(200_000, size))
    phi = draws @ (density.vectors * np.sqrt(density.eigenvalues)).T
    found = np.maximum(0.0, -density.correction(phi))
    error = found.std() / np.sqrt(len(found))
    assert error < 0.1 * report.negative_mass
    assert abs(report.negative_mass - found.mean()) < LIMIT * np.hypot(error, report.error)
    # a ray says more than a draw
    assert size == 3 or report.error * np.sqrt(4096) < error * np.sqrt(len(found))


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_the_radius_is_that_of_the_nearest_negative_field(size: int) -> None:
    density = strong_density(size, 2, strength=0.3)
    report = density.positivity(directions=500, seed=1)
    assert report.point is not None
    assert density.correction(0.9999999 * report.point) > 0.0 > density.correction(1.0000001 * report.point)
    white = report.point @ (density.vectors / np.sqrt(density.eigenvalues))
    assert np.linalg.norm(white) == pytest.approx(report.radius, rel=1e-12)
    axes = np.concatenate([np.eye(size), -np.eye(size)])
    for axis in axes:
        ray = np.outer(np.linspace(0.0, 0.9999 * report.radius, 50), axis)
        assert np.all(density.correction(ray @ (density.vectors * np.sqrt(density.eigenvalues)).T) > 0.0)


def test_masses_along_rays_by_quadrature() -> None:
    """The radial integrals, which are incomplete gamma functions, by a fine sum."""
    density = strong_density(3, 2, strength=0.5)
    directions = np.eye(3)
    masses, radii = negative_rays(density._series, directions)
    radius = (np.arange(200_000) + 0.5) * 1e-4
    chi = np.sqrt(2.0 / np.pi) * radius**2 * np.exp(-0.5 * radius**2) * 1e-4
    for direction, mass, edge in zip(directions, masses, radii, strict=True):
        phi = np.outer(radius, direction) @ (density.vectors * np.sqrt(density.eigenvalues)).T
        values: Array = density.correction(phi)
        assert mass == pytest.approx(np.sum(chi * np.maximum(0.0, -values)), rel=1e-6, abs=1e-15)
        first = radius[values < 0.0]
        assert edge == pytest.approx(first[0], abs=1e-4) if len(first) else edge == np.inf


def test_a_density_that_is_negative_at_its_centre() -> None:
    """1 + k/24 (u^4 - 6 u^2 + 3) at k = -16 starts negative, and nothing is lost there."""
    density = EdgeworthDensity([[1.0]], [-16.0])
    report = density.positivity()
    assert report.radius == 0.0
    assert report.negative_mass == pytest.approx(grid_mass(density, 40_001), rel=1e-5)


def test_a_positive_density() -> None:
    for density in (EdgeworthDensity(np.eye(2)), mixture(THREE_POINTS, 200.0, 1)):
        report = density.positivity()
        assert report.negative_mass == 0.0
        assert report.radius == np.inf
        assert report.point is None
        assert report.warning == ""
        assert "positive along all directions tried" in report.text()


def test_random_directions_have_a_seed() -> None:
    density = strong_density(4, 1, strength=0.3)
    assert density.positivity(200, 3).negative_mass == density.positivity(200, 3).negative_mass
    assert density.positivity(200, 3).negative_mass != density.positivity(200, 4).negative_mass
    assert "208: eigenmodes of G and 200 random directions, seed 3" in density.positivity(200, 3).text()
    with pytest.raises(UsageError, match="too few directions"):
        density.positivity(1)
    with pytest.raises(UsageError, match="seed"):
        density.positivity(seed=-1)
