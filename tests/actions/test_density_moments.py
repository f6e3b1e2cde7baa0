"""Normalisation and moments of the Edgeworth density, and how fast it tends to exact densities."""

from __future__ import annotations

import numpy as np
import pytest
from scale_mixtures import (
    ENTRIES,
    SEED,
    THREE_POINTS,
    Array,
    exact_log_density,
    mixture,
    reference_density,
    strong_density,
    sum_over_pairings,
)

from nnft.actions.density import EdgeworthDensity
from nnft.actions.symmetric import component_count, components, pack
from nnft.errors import UsageError

NAMES = [name for name in ENTRIES if name.startswith("edgeworth")]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("order", [0, 1, 2])
def test_quadrature_gives_the_cumulants_put_in(name: str, order: int) -> None:
    """Integral 1, and cumulants through order 6 those put in, the others zero: to 1e-10 of their scale."""
    density, _ = reference_density(name)
    if order == 2 and density.six is None:
        order = 1
    density = density.truncated(order)
    assert abs(density.normalisation("quadrature") - 1.0) < 1e-10
    assert density.normalisation() == 1.0
    for rank in range(1, 7):
        # the closed form of the moments contains the pairings of G, of order one
        for exact, numeric in (
            (density.moment(rank), density.moment(rank, "quadrature")),
            (density.cumulants(rank), density.cumulants(rank, "quadrature")),
        ):
            assert exact.shape == (component_count(density.size, rank),)
            np.testing.assert_allclose(numeric, exact, rtol=1e-10, atol=1e-10)
    np.testing.assert_array_equal(density.cumulants(2), pack(density.metric))
    np.testing.assert_array_equal(density.cumulants(4), density.four if order else 0.0 * density.four)


@pytest.mark.parametrize(("size", "order"), [(1, 2), (2, 2), (3, 2), (4, 2), (5, 1), (4, 1)])
def test_cumulants_of_any_kind_come_back(size: int, order: int) -> None:
    """Also where the density is far from positive."""
    density = strong_density(size, order, strength=1.0)
    for rank, given in ((4, density.four), (6, density.six)):
        found = density.cumulants(rank, "quadrature")
        wanted = given if rank == 4 or order == 2 else 0.0 * given
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-10 * np.abs(density.moment(6)).max())


def test_moments_in_closed_form() -> None:
    """Of a Gaussian the sums over pairings; of the scale mixture E[tau^k] times them."""
    width = 30.0
    density = mixture(THREE_POINTS, width)
    gaussian = density.truncated(0)
    for rank in (2, 4, 6):
        pairings = sum_over_pairings(THREE_POINTS, rank)
        np.testing.assert_allclose(gaussian.moment(rank), pairings, rtol=1e-13)
        factor = np.prod([1.0 + 2.0 * j / width for j in range(rank // 2)])
        np.testing.assert_allclose(density.moment(rank), factor * pairings, rtol=1e-13)
    assert not gaussian.moment(3).any()


def test_odd_moments() -> None:
    density = EdgeworthDensity([[1.0]], [0.09], three=[0.3])
    assert density.moment(3)[0] == pytest.approx(0.3, rel=1e-14)
    assert density.moment(5)[0] == pytest.approx(10 * 0.3, rel=1e-14)
    assert density.moment(6)[0] == pytest.approx(15.0 + 15.0 * 0.09 + 10.0 * 0.3**2, rel=1e-14)


def test_quadrature_by_an_independent_rule() -> None:
    """The same integrals by a plain trapezoid sum over a box, exponentially accurate."""
    density = mixture([[1.0, 0.3], [0.3, 0.7]], 12.0)
    axis = np.linspace(-12.0, 12.0, 401)
    phi = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    weights = density.density(phi) * (axis[1] - axis[0]) ** 2
    assert weights.sum() == pytest.approx(1.0, abs=1e-12)
    for rank in (2, 4, 6):
        table = components(2, rank)
        found = np.array([weights @ phi[:, row].prod(axis=1) for row in table])
        np.testing.assert_allclose(found, density.moment(rank), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0,), "unknown order of a moment"),
        ((7,), "unknown order of a moment"),
        ((True,), "unknown order of a moment"),
        ((4, "guess"), "unknown method"),
    ],
)
def test_unknown_moments_are_refused(arguments: tuple[object, ...], words: str) -> None:
    density = mixture(THREE_POINTS, 30.0)
    for method in (density.moment, density.cumulants):
        with pytest.raises(UsageError, match=words):
            method(*arguments)  # type: ignore[arg-type]


def test_too_many_fields_for_quadrature() -> None:
    density = EdgeworthDensity(np.eye(12))
    with pytest.raises(UsageError, match="too many nodes"):
        density.moment(6, "quadrature")


# ---- the distance to exact densities ----

RADII = np.array([0.4, 0.6, 0.8, 1.0, 1.2, 1.4])
METRICS = {1: np.eye(1), 2: np.array([[1.0, 0.3], [0.3, 0.7]]), 3: THREE_POINTS}


def distance(size: int, width: int, order: int, layers: int) -> float:
    """Root mean square of -log p - (S_0 + .. + S_order) over fields at several radii."""
    metric = METRICS[size]
    directions = np.random.default_rng(SEED).normal(size=(len(RADII), size))
    directions *= (RADII / np.linalg.norm(directions, axis=1))[:, None]
    phi = directions @ np.linalg.cholesky(metric).T
    found: Array = mixture(metric, width, order, layers).action(phi)
    return float(np.sqrt(np.mean((found + exact_log_density(metric, width, phi, layers)) ** 2)))


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("order", [0, 1, 2])
def test_the_action_is_that_of_the_exact_density(size: int, order: int, layers: int) -> None:
    """What is left out at order k falls as N^-(k + 1).

    The power between N and 2 N is k + 1 + a/N + b/N^2, so twice the last minus the one before is
    k + 1 + O(1/N^2); the tolerance is a tenth of the distance to the next power. The sum over radii has no
    zero, near which powers mean nothing.
    """
    widths = [16, 32, 64, 128] + ([256] if layers == 1 else [])
    errors = np.array([distance(size, width, order, layers) for width in widths])
    powers = np.log2(errors[:-1] / errors[1:])
    assert abs(2.0 * powers[-1] - powers[-2] - (order + 1)) < 0.1, powers
    assert abs(powers[-1] - (order + 1)) < 0.75 * abs(powers[-2] - (order + 1)) + 0.01, powers


def test_the_density_is_near_the_exact_one() -> None:
    """The series of the density itself falls with the same power, with another coefficient."""
    metric = METRICS[2]
    phi = np.random.default_rng(SEED).normal(size=(20, 2)) * 0.7
    for order in (1, 2):
        errors = []
        for width in (32, 64, 128, 256):
            exact = exact_log_density(metric, width, phi)
            errors.append(np.sqrt(np.mean((mixture(metric, width, order).log_density(phi) - exact) ** 2)))
        powers = np.log2(np.array(errors[:-1]) / errors[1:])
        assert abs(2.0 * powers[-1] - powers[-2] - (order + 1)) < 0.1, powers
