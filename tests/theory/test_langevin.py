"""Schemes on quadratic energies against Lyapunov equations and quadrature; one energy that is not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.linalg import solve_discrete_lyapunov
from scipy.stats import norm

from nnft.errors import NumericalError, UsageError
from nnft.theory import langevin
from nnft.theory.activations import Array
from nnft.theory.equilibrium import product_posterior, readout_force
from nnft.theory.normalisation import loss_factor, ridge, weight_decay
from nnft.theory.one_dimensional_chains import (
    boltzmann_density,
    density_moment,
    mala_acceptance_of,
    ula_density,
)

HESSIAN = np.array([[2.0, 0.5, 0.1], [0.5, 1.0, -0.3], [0.1, -0.3, 3.0]])
T = 0.7


@pytest.mark.parametrize("step", [0.01, 0.3, 0.6])
def test_ula_covariance_solves_its_lyapunov_equation(step: float) -> None:
    move = np.eye(3) - step * HESSIAN
    known = solve_discrete_lyapunov(move, 2.0 * step * T * np.eye(3))
    np.testing.assert_allclose(langevin.ula_covariance(HESSIAN, T, step), known, rtol=1e-10)


def test_averaged_noise_removes_the_bias() -> None:
    """State (theta, xi): the covariance of theta is T / H at every stable step."""
    step, k = 0.4, 2.2
    noise = math.sqrt(2.0 * step * T)
    move = np.array([[1.0 - step * k, 0.5 * noise], [0.0, 0.0]])
    entering = np.array([[0.5 * noise], [1.0]])
    known = solve_discrete_lyapunov(move, entering @ entering.T)[0, 0]
    assert langevin.leimkuhler_matthews_covariance(k, T, step)[0, 0] == pytest.approx(known, rel=1e-12)
    assert abs(langevin.ula_covariance(k, T, step)[0, 0] - known) > 0.1


@pytest.mark.parametrize("friction", [0.1, 0.9, 20.0])
@pytest.mark.parametrize("step", [0.3, 1.2])
def test_baoab_moments_solve_their_lyapunov_equation(friction: float, step: float) -> None:
    k, mass = 2.0, 1.5
    kick = np.array([[1.0, 0.0], [-0.5 * step * k, 1.0]])
    drift = np.array([[1.0, 0.5 * step / mass], [0.0, 1.0]])
    c = math.exp(-friction * step)
    after = kick @ drift
    spread = np.diag([0.0, mass * T * (1.0 - c**2)])
    known = solve_discrete_lyapunov(after @ np.diag([1.0, c]) @ drift @ kick, after @ spread @ after.T)
    found = langevin.baoab_moments(k, T, mass, step)
    np.testing.assert_allclose(found, [known[0, 0], known[1, 1], known[0, 1]], atol=1e-11)


@pytest.mark.parametrize(("step", "steps"), [(0.5, 10), (1.5, 3), (0.9, 1)])
def test_hmc_acceptance_by_quadrature(step: float, steps: int) -> None:
    """Mean of min(1, exp(-dH)) over equilibrium (q, p), by angles; radii integrate in closed form."""
    k, mass, temperature = 1.3, 0.8, 2.0
    matrix = langevin.leapfrog_map(k, mass, step, steps)
    angles = (np.arange(200000) + 0.5) * math.pi / 200000
    q, p = np.cos(angles) * math.sqrt(temperature / k), np.sin(angles) * math.sqrt(mass * temperature)
    moved = matrix @ np.array([q, p])
    change = (0.5 * k * (moved[0] ** 2 - q**2) + 0.5 * (moved[1] ** 2 - p**2) / mass) / temperature
    # radius: r dr exp(-r^2 / 2) min(1, exp(-change r^2)) integrates to 1 or 1 / (1 + 2 change)
    known = np.mean(np.where(change > 0.0, 1.0 / (1.0 + 2.0 * np.maximum(change, 0.0)), 1.0))
    assert langevin.hmc_acceptance(k, mass, step, steps) == pytest.approx(known, rel=1e-8)


def test_one_leapfrog_step_is_the_adjusted_langevin_proposal() -> None:
    k, step = 1.7, 0.3
    found = langevin.mala_acceptance(k, step)
    assert langevin.hmc_acceptance(k, 1.0, math.sqrt(2.0 * step), 1) == pytest.approx(found, rel=1e-12)

    def energy(x: Array) -> Array:
        return 0.5 * k * x**2

    def gradient(x: Array) -> Array:
        return k * x

    grids = [np.linspace(-9.0, 9.0, n) for n in (601, 1201)]
    coarse, fine = (mala_acceptance_of(energy, gradient, T, step, grid) for grid in grids)
    assert (4.0 * fine - coarse) / 3.0 == pytest.approx(found, rel=1e-5)


def test_many_modes() -> None:
    """Moments of the energy error from the exact map of one mode, central limit theorem for many."""
    h, k, count = 0.05, 2.0, 10**9
    s = langevin.leapfrog_stretch(k, 1.0, h, 1)
    mean, variance = 0.5 * (s - 1.0 / s) ** 2, 0.5 * ((s**2 - 1.0) ** 2 + (s**-2 - 1.0) ** 2)
    assert variance == pytest.approx(2.0 * mean, rel=1e-3)
    known = 2.0 * norm.cdf(-0.5 * math.sqrt(count * variance))
    assert langevin.many_mode_acceptance(count, k, h) == pytest.approx(known, rel=1e-3)
    assert 0.1 < known < 0.9


def test_unadjusted_hamiltonian_variance() -> None:
    """q after steps with fresh momenta: q' = A q + B p, the variance does not depend on their number."""
    k, mass, h = 2.0, 0.7, 0.5
    for steps in (1, 4):
        a, b = langevin.leapfrog_map(k, mass, h, steps)[0]
        known = b**2 * mass * T / (1.0 - a**2)
        assert langevin.hmc_unadjusted_variance(k, T, mass, h) == pytest.approx(known, rel=1e-12)


def test_autocorrelation_times_are_sums() -> None:
    r = langevin.ula_autocorrelation(2.0, 0.15)
    powers = r ** np.arange(1, 400)
    known = 0.5 + powers.sum(), 0.5 + (powers**2).sum()
    np.testing.assert_allclose(langevin.autocorrelation_times(r), known, rtol=1e-12)


def test_modified_energy_is_right_to_second_order() -> None:
    def energy(x: Array) -> Array:
        return 0.5 * x**2 + 0.4 * np.cos(1.5 * x)

    def gradient(x: Array) -> Array:
        return x - 0.6 * np.sin(1.5 * x)

    def curvature(x: Array) -> Array:
        return 1.0 - 0.9 * np.cos(1.5 * x)

    grid, gaps, biases = np.linspace(-9.0, 9.0, 801), [], []
    plain = density_moment(boltzmann_density(energy, T, grid), grid, 2)
    for step in (0.04, 0.02):
        exact = density_moment(ula_density(gradient, T, step, grid), grid, 2)
        modified = langevin.modified_energy(energy, gradient, curvature, T, step)
        gaps.append(exact - density_moment(boltzmann_density(modified, T, grid), grid, 2))
        biases.append(exact - plain)
    assert biases[0] / biases[1] == pytest.approx(2.0, rel=0.05)
    assert gaps[0] / gaps[1] == pytest.approx(4.0, rel=0.05)


def test_chain_on_a_harmonic_energy() -> None:
    grid = np.linspace(-10.0, 10.0, 401)
    density = ula_density(lambda x: 1.5 * x, T, 0.4, grid)
    known = langevin.ula_covariance(1.5, T, 0.4)[0, 0]
    assert density_moment(density, grid, 2) == pytest.approx(known, rel=1e-11)
    assert density_moment(density, grid, 4) == pytest.approx(3.0 * known**2, rel=1e-10)


def test_diffusion_relaxes_to_the_boltzmann_law() -> None:
    assert langevin.diffusion_transient(1.5, T, 0.0, 2.0, 0.3) == pytest.approx((2.0, 0.3))
    assert langevin.diffusion_transient(1.5, T, 30.0, 2.0, 0.3) == pytest.approx((0.0, T / 1.5))
    first = langevin.diffusion_transient(1.5, T, 0.4, 2.0, 0.3)
    twice = langevin.diffusion_transient(1.5, T, 0.5, *first)
    assert twice == pytest.approx(langevin.diffusion_transient(1.5, T, 0.9, 2.0, 0.3), rel=1e-13)


def test_scalar_network_obeys_the_virial_identities() -> None:
    x, y, kappa = np.array([0.7, -1.1]), np.array([1.5, 0.4]), 0.05
    found = product_posterior(x, y, kappa, 0.6, 3.0)
    force = (found.variance + found.mean**2) * float(x @ x) - found.mean * float(x @ y)
    assert readout_force(found.mean_a2 / 0.6, 1, kappa) == pytest.approx(force, rel=1e-11)
    assert found.mean_w2 / 3.0 == pytest.approx(found.mean_a2 / 0.6, rel=1e-11)
    grid = np.linspace(-1.0, 1.0, 1501)
    a, w = np.meshgrid(6.0 * grid, 13.0 * grid, indexing="ij")
    exponent = -(a**2) / 1.2 - w**2 / 6.0 - sum((a * w * u - v) ** 2 for u, v in zip(x, y, strict=True)) / 0.1
    weights = np.exp(exponent)
    assert found.mean == pytest.approx(np.sum(weights * a * w) / np.sum(weights), rel=1e-9)
    cell = 6.0 * 13.0 * (grid[1] - grid[0]) ** 2 / (2.0 * math.pi * math.sqrt(1.8)) / (2.0 * math.pi * kappa)
    assert found.log_evidence == pytest.approx(math.log(np.sum(weights) * cell), rel=1e-9)


def test_words_for_losses() -> None:
    factors = {"half-sum": 0.5, "sum": 1.0, "half-mean": 0.0625, "mean": 0.125}
    assert {word: loss_factor(word, 8) for word in factors} == factors
    assert ridge("half-mean", 0.1, 8) == pytest.approx(0.8)
    with pytest.raises(UsageError, match="word for a loss"):
        loss_factor("total", 8)
    with pytest.raises(UsageError, match="points"):
        loss_factor("sum", 0)
    with pytest.raises(UsageError, match="prior variance"):
        weight_decay(0.1, 0.0)


def test_unstable_steps_are_refused() -> None:
    largest = langevin.largest_stable_step(HESSIAN)
    assert langevin.ula_covariance(HESSIAN, T, 0.999 * largest)[0, 0] > 1.0
    for call in (
        lambda: langevin.ula_covariance(HESSIAN, T, largest),
        lambda: langevin.leimkuhler_matthews_covariance(HESSIAN, T, largest),
        lambda: langevin.hmc_unadjusted_variance(1.0, T, 1.0, 2.0),
        lambda: langevin.baoab_moments(1.0, T, 1.0, 2.0),
        lambda: langevin.ula_covariance(-HESSIAN, T, 0.1),
    ):
        with pytest.raises(NumericalError):
            call()
    with pytest.raises(UsageError, match="lag one"):
        langevin.autocorrelation_times(1.0)
    with pytest.raises(UsageError, match="grid"):
        ula_density(lambda x: x, T, 0.01, np.linspace(-9.0, 9.0, 21))
    with pytest.raises(UsageError, match="scalar network"):
        product_posterior(np.ones(2), np.ones(3), 0.1, 1.0, 1.0)
