"""Networks of cosines: drawn networks, closed limits of the free scalar, readings of one prefactor."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.integrate import quad

from nnft.errors import UsageError
from nnft.theory.activations import Array
from nnft.theory.cos_network import (
    AMPLITUDES,
    BallMomenta,
    CosNetwork,
    NormalMomenta,
    ball_volume,
    free_momentum_propagator,
    free_propagator,
    free_scalar,
)
from nnft.theory.cumulants import joint_cumulant, pairings
from nnft.theory.effective_readout import effective_readings, effective_variance_ratio

LIMIT = 5.85
MOMENTA: dict[str, NormalMomenta | BallMomenta] = {
    "normal": NormalMomenta(2, 1.5),
    "ball 1": BallMomenta(1, 3.0, 1.0),
    "ball 2": BallMomenta(2, 2.5, 0.8),
    "ball 3": BallMomenta(3, 2.0, 0.7),
}


def drawn_products(network: CosNetwork, points: Array, count: int, rng: np.random.Generator) -> Array:
    """Products of the fields of drawn networks at all points, shape (count,).

    Gaussian amplitudes are averaged over: given the cosines, fields are Gaussian, and their product is a sum
    over pairings.
    """
    law, shape = network.momenta, (count, network.width)
    d = law.dimension
    b, weight = rng.normal(size=(*shape, d)), np.ones(shape)
    if isinstance(law, BallMomenta):
        b *= law.cutoff * (rng.random(shape) ** (1.0 / d) / np.linalg.norm(b, axis=-1))[..., None]
        weight = 1.0 / np.sqrt(np.sum(b**2, axis=-1) + law.mass**2)
    else:
        b *= math.sqrt(law.variance / d)
    phase = rng.uniform(-math.pi, math.pi, shape)
    scale = math.sqrt(network.variance / network.width)
    cosines = scale * weight[..., None] * np.cos(b @ points.T + phase[..., None])
    if network.amplitudes == "fixed":
        return np.asarray(np.prod(np.sum(cosines, axis=1), axis=1))
    given = np.einsum("mip,miq->mpq", cosines, cosines)
    total = np.zeros(count)
    for pairs in pairings(range(len(points))):
        total += np.prod([given[:, p, q] for p, q in pairs], axis=0)
    return total


@pytest.mark.first(4)
@pytest.mark.parametrize("amplitudes", AMPLITUDES)
@pytest.mark.parametrize("name", MOMENTA)
def test_drawn_networks(name: str, amplitudes: str) -> None:
    """Orders 2, 4 and 6 of three cosines at different points: 1, 2 and 20 % of powers of the variance."""
    network = CosNetwork(MOMENTA[name], 3, 1.7, amplitudes)
    rng = np.random.default_rng(20240601 + 550)
    points = 0.5 * rng.normal(size=(6, network.momenta.dimension))
    size, count = float(network.two_point(np.zeros(()))), 200_000
    for order, detect in ((2, 0.01), (4, 0.02), (6, 0.2)):
        moment = 0.0  # from exact cumulants, all partitions into even blocks
        for blocks in even_partitions(tuple(range(order))):
            moment += math.prod(network.connected(points[list(block)]) for block in blocks)
        products = drawn_products(network, points[:order], count, rng)
        error = products.std() / math.sqrt(count)
        assert abs(products.mean() - moment) / error < LIMIT
        assert error < detect * size ** (order // 2)


def even_partitions(items: tuple[int, ...]) -> list[list[tuple[int, ...]]]:
    """All partitions into blocks of even size."""
    if not items:
        return [[]]
    found = []
    for size in range(1, len(items), 2):
        for rest in itertools.combinations(items[1:], size):
            left = tuple(item for item in items[1:] if item not in rest)
            found += [[(items[0], *rest), *blocks] for blocks in even_partitions(left)]
    return found


@pytest.mark.parametrize("amplitudes", AMPLITUDES)
@pytest.mark.parametrize("name", MOMENTA)
def test_coincident_points(name: str, amplitudes: str) -> None:
    network = CosNetwork(MOMENTA[name], 4, 0.9, amplitudes)
    same = np.full((6, network.momenta.dimension), 0.3)
    assert network.connected(same[:4]) == pytest.approx(network.coincident_fourth_cumulant(), rel=1e-12)
    if name == "normal":
        known = {"gaussian": 3.0 / 8.0, "fixed": -3.0 / 8.0}[amplitudes] * 0.9**2 / 4
        assert network.coincident_fourth_cumulant() == pytest.approx(known, rel=1e-14)
    if name == "normal" and amplitudes == "gaussian":
        assert network.connected(same) == pytest.approx(0.0, abs=1e-15)


def test_one_cosine_of_fixed_amplitude() -> None:
    """The cumulants of cos(c): moments 1/2, 3/8, 5/16."""
    network = CosNetwork(NormalMomenta(1, 1.0), 1, 1.0, "fixed")
    moments = {2: 0.5, 4: 0.375, 6: 0.3125}
    for order in moments:
        known = joint_cumulant(lambda places: moments.get(len(places), 0.0), order, 1.0)
        assert network.connected(np.zeros((order, 1))) == pytest.approx(known, rel=1e-12)


def test_clustering_depends_on_the_amplitudes() -> None:
    """Points x, y, x, y far apart: ``sigma_a^4 / 2N`` for Gaussian amplitudes, 0 for fixed ones."""
    points = np.array([[0.0], [60.0], [0.0], [60.0]])
    for amplitudes, limit in (("gaussian", 1.3**2 / 20.0), ("fixed", 0.0)):
        network = CosNetwork(NormalMomenta(1, 1.0), 10, 1.3, amplitudes)
        assert network.connected(points) == pytest.approx(limit, rel=1e-13, abs=1e-16)


def test_correlators_are_invariant_under_rotations_and_translations() -> None:
    network = CosNetwork(MOMENTA["ball 2"], 5, 1.0)
    x, angle = np.random.default_rng(20240601 + 551).normal(size=(4, 2)), 0.7
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    assert network.connected(x @ turn.T + [2.0, -1.0]) == pytest.approx(network.connected(x), rel=1e-10)


@pytest.mark.parametrize(
    ("dimension", "known"),
    [
        (1, lambda m, c: math.atan(c / m) / (math.pi * m)),
        (2, lambda m, c: math.log1p((c / m) ** 2) / (4.0 * math.pi)),
        (3, lambda m, c: (c - m * math.atan(c / m)) / (2.0 * math.pi**2)),
        (4, lambda m, c: (c**2 - m**2 * math.log1p((c / m) ** 2)) / (16.0 * math.pi**2)),
    ],
)
@pytest.mark.parametrize(("mass", "cutoff"), [(1.0, 3.0), (1e-3, 40.0), (50.0, 2.0)])
def test_propagator_at_coincident_points(dimension: int, known: object, mass: float, cutoff: float) -> None:
    found = free_propagator(np.zeros(()), dimension, mass, cutoff)
    assert callable(known)
    tolerance = 1e-12 if mass < cutoff else 1e-9  # the closed forms cancel for m >> Lambda
    assert float(found) == pytest.approx(known(mass, cutoff), rel=tolerance)


@pytest.mark.parametrize("cutoff", [5.0, 300.0])
def test_oscillating_propagators(cutoff: float) -> None:
    """d = 1 and 3 by quadrature rules for Fourier integrals; up to 1900 oscillations."""
    r, m = np.array([0.7, 4.0, 20.0, 40.0]), 0.9
    for k, distance in enumerate(r):
        cosine, _ = quad(
            lambda p: 1.0 / (p**2 + m**2), 0.0, cutoff, weight="cos", wvar=distance, epsabs=1e-14, limit=500
        )
        sine, _ = quad(
            lambda p: p / (p**2 + m**2), 0.0, cutoff, weight="sin", wvar=distance, epsabs=1e-14, limit=500
        )
        one, three = (free_propagator(r, d, m, cutoff) for d in (1, 3))
        assert one[k] == pytest.approx(cosine / math.pi, abs=1e-12 / m)
        assert three[k] == pytest.approx(sine / (2.0 * math.pi**2 * distance), abs=2e-12 * cutoff)


@pytest.mark.parametrize("dimension", [1, 2, 3, 4])
def test_propagator_without_cutoff(dimension: int) -> None:
    """Schwinger's integral over proper time."""
    r, m = np.array([0.3, 1.0, 4.0]), 0.8
    for value, distance in zip(free_propagator(r, dimension, m), r, strict=True):
        time_integral, _ = quad(
            lambda u, x=distance: math.exp(
                u * (1.0 - 0.5 * dimension) - m**2 * math.exp(u) - 0.25 * x**2 * math.exp(-u)
            ),
            -12.0,
            8.0,
            epsabs=1e-14,
            epsrel=1e-12,
        )
        assert value == pytest.approx((4.0 * math.pi) ** (-0.5 * dimension) * time_integral, rel=1e-9)


def test_cutoff_goes_away() -> None:
    """d = 1: the tail beyond Lambda is below ``2 / (pi r Lambda^2)``."""
    r = np.array([0.5, 1.0, 2.0])
    rest = np.abs(free_propagator(r, 1, 1.0, 300.0) - free_propagator(r, 1, 1.0))
    assert np.all(rest < 2.0 / (math.pi * r * 300.0**2))
    assert np.all(rest > 1e-10)


def test_momentum_propagator_is_the_fourier_transform() -> None:
    """d = 1 without cutoff: ``int dx e^{-ipx} e^{-mx} / 2m``."""
    for p in (0.0, 0.5, 3.0):
        transform, _ = quad(lambda x, p=p: math.exp(-0.8 * x) / 0.8 * math.cos(p * x), 0.0, 60.0, limit=200)
        assert free_momentum_propagator(np.array(p), 0.8) == pytest.approx(transform, rel=1e-9)


def test_three_readings_are_one_propagator() -> None:
    network, ratio, p = CosNetwork(BallMomenta(3, 4.0, 0.7), 10, 1.3), 1.8, np.linspace(0.0, 3.0, 7)
    readings = effective_readings(network, ratio)
    truth = ratio * network.fourier_prefactor() / (p**2 + 0.49)
    np.testing.assert_allclose(readings.prefactor / (p**2 + 0.49), truth, rtol=1e-14)
    np.testing.assert_allclose(readings.field_factor**2 * truth / ratio, truth, rtol=1e-14)
    scaled = network.fourier_prefactor() / ((readings.momentum_factor * p) ** 2 + readings.mass**2)
    np.testing.assert_allclose(scaled, truth, rtol=1e-14)
    smaller = CosNetwork(BallMomenta(3, readings.cutoff, 0.7), 10, 1.3)
    np.testing.assert_allclose(smaller.fourier_prefactor() / (p**2 + 0.49), truth, rtol=1e-14)
    same = effective_readings(network, 1.0)
    assert (same.field_factor, same.momentum_factor, same.mass, same.cutoff) == (1.0, 1.0, 0.7, 4.0)


def test_ball_volumes() -> None:
    known = [2.0 * 1.5, math.pi * 1.5**2, 4.0 / 3.0 * math.pi * 1.5**3, 0.5 * math.pi**2 * 1.5**4]
    for dimension, volume in enumerate(known, start=1):
        assert ball_volume(dimension, 1.5) == pytest.approx(volume, rel=1e-14)


def test_kurtosis_falls_with_the_width_and_grows_with_the_cutoff() -> None:
    """The parameter of the free scalar is Lambda^d / N: kappa_4 / K^2 at one point."""
    ratios = {}
    for width, cutoff in itertools.product((10, 20), (2.0, 8.0)):
        network = free_scalar(3, 1.0, cutoff, width)
        ratios[width, cutoff] = (
            network.coincident_fourth_cumulant() / float(network.two_point(np.zeros(()))) ** 2
        )
    assert ratios[10, 2.0] == pytest.approx(2.0 * ratios[20, 2.0], rel=1e-12)
    assert ratios[10, 8.0] > ratios[10, 2.0] > 0.0


def test_refusals() -> None:
    for bad in ((0, 1.0, 1.0), (2, 0.0, 1.0), (2, 1.0, 0.0), (2, math.inf, 1.0)):
        with pytest.raises(UsageError, match="momenta in a ball"):
            BallMomenta(*bad)
    with pytest.raises(UsageError, match="normal momenta"):
        NormalMomenta(2, 0.0)
    with pytest.raises(UsageError, match="give numbers > 0 and one of gaussian, fixed"):
        CosNetwork(NormalMomenta(2, 1.0), 3, 1.0, "uniform")
    network = CosNetwork(NormalMomenta(2, 1.0), 3, 1.0)
    with pytest.raises(UsageError, match=r"points of cosines: got shape \(4, 3\)"):
        network.connected(np.zeros((4, 3)))
    with pytest.raises(UsageError, match="prefactor of a propagator: got normal momenta"):
        effective_readings(network, 1.0)
    with pytest.raises(UsageError, match="ratio of readout variances: got 0"):
        effective_readings(free_scalar(1, 1.0, 2.0, 3), 0.0)
    with pytest.raises(UsageError, match="free propagator: got dimension 2"):
        free_propagator(np.zeros(1), 2, 1.0)
    with pytest.raises(UsageError, match="effective readout variance: got ridge 0"):
        effective_variance_ratio(np.eye(2), np.ones(2), 0.0, 10)
