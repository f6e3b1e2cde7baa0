"""The flow of the ridge and the scaling laws: rule, gaps, exponents, limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad

from nnft.errors import UsageError
from nnft.theory.averaged_predictor import Remainder, averaged_predictor
from nnft.theory.data_averages import Spectrum
from nnft.theory.power_law_spectrum import PowerLaw
from nnft.theory.wilsonian_ridge import renormalised_regression, ridge_flow


def _brute_force(
    values: list[float], powers: list[float], points: float, ridge: float, noise: float
) -> tuple[int, float, float]:
    """Kept modes, ridge and noise by the definition, mode by mode."""
    pairs = sorted(zip(values, powers, strict=True), reverse=True)
    for k in range(len(pairs)):
        running = ridge + sum(value for value, _ in pairs[k:])
        if points * pairs[k][0] < running:
            return k, running, noise + sum(power for _, power in pairs[k:])
    return len(pairs), ridge, noise


@pytest.mark.parametrize("points", [1.0, 7.0, 50.0, 1e4])
@pytest.mark.parametrize("ridge", [0.0, 0.02, 3.0])
def test_flow_by_its_definition_in_any_order(points: float, ridge: float) -> None:
    generator = np.random.default_rng(20240601)
    values = np.exp(generator.normal(size=40) * 2.0 - 3.0)
    powers = generator.uniform(size=40)
    flow = ridge_flow(Spectrum(values, np.ones(40), powers, 0.1), points, ridge)
    kept, running, noise = _brute_force(values.tolist(), powers.tolist(), points, ridge, 0.1)
    assert (flow.stop, flow.kept_modes) == (kept, kept)
    assert flow.ridge == pytest.approx(running, rel=1e-13)
    assert flow.noise == pytest.approx(noise, rel=1e-13)
    assert np.all(np.diff(flow.ridges) < 0.0)
    assert flow.ridges[-1] == ridge
    np.testing.assert_array_equal(values[flow.order], np.sort(values)[::-1])


def test_a_degenerate_level_goes_as_a_whole() -> None:
    levels = Spectrum(np.array([0.02, 1.0, 0.001]), np.array([30.0, 3.0, 500.0]), np.array([0.4, 0.5, 0.1]))
    counts = levels.multiplicities.astype(int)
    values = np.repeat(levels.eigenvalues, counts)
    powers = np.repeat(levels.target_power / levels.multiplicities, counts)
    for points in (2.0, 20.0, 60.0, 700.0):
        flow = ridge_flow(levels, points, 0.01)
        kept, running, noise = _brute_force(values.tolist(), powers.tolist(), points, 0.01, 0.0)
        assert flow.kept_modes == kept
        assert flow.ridge == pytest.approx(running, rel=1e-12)
        assert flow.noise == pytest.approx(noise, rel=1e-12)


def test_a_gap_makes_the_flow_accurate() -> None:
    """Learned and unlearned modes orders of magnitude apart: the error is of the size P lambda / kappa."""
    spectrum = Spectrum(
        np.array([0.5, 1e-5]), np.array([10.0, 20_000.0]), np.array([0.8, 0.3]), noise_variance=0.05
    )
    points, ridge = 200.0, 0.01
    flow = ridge_flow(spectrum, points, ridge)
    small = points * 1e-5 / flow.ridge
    assert flow.kept_modes == 10
    assert flow.starts_at_cutoff
    assert flow.ridge == pytest.approx(0.21)
    assert flow.noise == pytest.approx(0.35)
    full, end = averaged_predictor(spectrum, points, ridge), renormalised_regression(spectrum, flow)
    assert end.clean_error == pytest.approx(full.clean_error, rel=2.0 * small)
    assert end.effective_ridge == pytest.approx(full.effective_ridge, rel=2.0 * small)
    assert end.posterior_variance == pytest.approx(full.posterior_variance, rel=5.0 * small)
    np.testing.assert_allclose(end.learnability[0], full.learnability[0], rtol=small)
    assert end.learnability[1] == 0.0
    # The noise that unlearned modes become: without it the error of the learned ones is too small.
    quiet = Spectrum(spectrum.eigenvalues[:1], spectrum.multiplicities[:1], spectrum.target_power[:1], 0.05)
    without = averaged_predictor(quiet, points, ridge, Remainder(0.2, 0.0)).clean_error + 0.3
    assert abs(without - full.clean_error) > 4.0 * abs(end.clean_error - full.clean_error)


def test_power_laws_are_met_up_to_a_factor() -> None:
    law = PowerLaw(2.0, 2.0)
    spectrum = law.spectrum(20_000)
    for points in (100.0, 1000.0):
        flow = ridge_flow(spectrum, points, 0.0)
        full = averaged_predictor(spectrum, points, 0.0)
        assert not flow.starts_at_cutoff
        assert 2.0 < full.effective_ridge / flow.ridge < 3.0
        assert flow.resolved[flow.stop - 1] >= 1.0 > flow.resolved[flow.stop]


def test_ends_of_the_flow() -> None:
    spectrum = Spectrum(np.array([1.0, 0.5]), np.ones(2), np.array([0.3, 0.2]), 0.1)
    everything = ridge_flow(spectrum, 0.01, 2.0)
    assert (everything.stop, everything.ridge) == (0, 3.5)
    end = renormalised_regression(spectrum, everything)
    assert end.clean_error == end.equivalent_error == pytest.approx(0.5)
    np.testing.assert_array_equal(end.learnability, 0.0)
    nothing = ridge_flow(spectrum, 1e6, 0.0)
    assert (nothing.stop, nothing.ridge, nothing.noise) == (2, 0.0, 0.1)
    full = averaged_predictor(spectrum, 1e6, 0.0)
    assert renormalised_regression(spectrum, nothing).clean_error == full.clean_error
    later = ridge_flow(spectrum, 0.5, 0.2, Remainder(0.3, 0.05))
    assert later.ridges[-1] == pytest.approx(0.5)
    assert later.noises[-1] == pytest.approx(0.15)
    assert later.stop == 0
    gone = renormalised_regression(spectrum, later)
    assert (gone.clean_error, gone.posterior_variance) == (pytest.approx(0.55), pytest.approx(1.8))
    partly = ridge_flow(spectrum, 2.5, 0.6, Remainder(0.3, 0.05))
    assert (partly.stop, partly.ridge, partly.noise) == (1, pytest.approx(1.4), pytest.approx(0.35))
    end, rest = renormalised_regression(spectrum, partly), 0.56 / 1.56
    assert end.equivalent_error == pytest.approx(0.05 + 0.2 + 0.3 * rest**2)
    assert end.posterior_variance == pytest.approx(0.3 + 0.5 + rest)
    for points, ridge in ((0.0, 1.0), (math.inf, 1.0), (1.0, -1.0)):
        with pytest.raises(UsageError):
            ridge_flow(spectrum, points, ridge)


@pytest.mark.parametrize(("a", "b"), [(1.5, 1.5), (2.0, 2.0), (2.0, 1.5), (1.3, 2.4), (3.0, 6.5), (2.0, 5.8)])
def test_factors_are_integrals(a: float, b: float) -> None:
    law = PowerLaw(a, b)
    assert law.sum_factor == pytest.approx(_integral(lambda u: 1.0 / (1.0 + u**a)), rel=1e-9)
    if law.saturated:
        k = np.arange(1.0, 1e6)
        assert law.bias_factor()[0] == pytest.approx(np.sum(k ** (2.0 * a - b)), rel=1e-4)
        return
    expected = _integral(lambda u: u ** (2.0 * a - b) / (u**a + 1.0) ** 2)
    assert law.bias_factor() == (pytest.approx(expected, rel=1e-8), b - 1.0)
    points = 1e5
    modes = (points / law.crossover_ridge(points)) ** (1.0 / a)
    gamma = modes / points * _integral(lambda u: 1.0 / (1.0 + u**a) ** 2)
    found = law.scaling_law(points, 0.0)
    assert found.gamma == pytest.approx(gamma, rel=1e-9)
    assert found.gamma == pytest.approx(1.0 - 1.0 / a, rel=1e-12)
    assert found.clean_error == pytest.approx(a * expected * modes ** (1.0 - b), rel=1e-8)


def _integral(function) -> float:  # type: ignore[no-untyped-def]
    """Integral from 0 to infinity in the logarithm of u."""
    return float(
        quad(
            lambda s: math.exp(s) * function(math.exp(s)),
            -80.0,
            80.0,
            limit=2000,
            points=[0.0],
            epsrel=1e-12,
        )[0]
    )


@pytest.mark.parametrize(("a", "b"), [(2.0, 2.0), (2.0, 1.7), (2.5, 3.0), (1.8, 6.0)])
@pytest.mark.parametrize("ridge", [0.0, 1e-4, 1.0])
def test_scaling_laws_meet_the_sums(a: float, b: float, ridge: float) -> None:
    law = PowerLaw(a, b)
    modes, points, noise = 200_000, 1000.0, 0.01
    found = law.scaling_law(points, ridge, noise)
    full = averaged_predictor(law.spectrum(modes, noise), points, ridge)
    lower, cut = law.corrections(found, modes)
    size = 3.0 * a * (lower + cut)  # of the relative error of kappa_e and, with a factor, of all powers of it
    assert size < 0.2
    assert full.effective_ridge == pytest.approx(found.effective_ridge, rel=size)
    assert full.gamma == pytest.approx(found.gamma, rel=size)
    first = 3.0 / found.learned_modes ** abs(2.0 * a + 1.0 - b)  # share of the bias around k = 1
    assert full.bias == pytest.approx(found.bias, rel=2.0 * size + first)


@pytest.mark.parametrize(("a", "b"), [(2.0, 2.0), (1.5, 2.0), (2.0, 6.5)])
def test_learning_exponents(a: float, b: float) -> None:
    law = PowerLaw(a, b)
    free, large = law.learning_exponents()
    pair = [law.scaling_law(points, 0.0).clean_error for points in (1e4, 1e5)]
    assert math.log10(pair[0] / pair[1]) / (a - 1.0 + 1.0) * a == pytest.approx(free, rel=1e-9)
    pair = [law.large_ridge_law(points, 1e6).bias for points in (1e8, 1e9)]
    assert math.log10(pair[0] / pair[1]) == pytest.approx(large, rel=1e-9)
    assert (free, large) == ((2.0 * a, 2.0) if b > 2.0 * a + 1.0 else (b - 1.0, pytest.approx((b - 1.0) / a)))


def test_one_law_between_the_two_regimes() -> None:
    law = PowerLaw(2.0, 2.0)
    points = 1e4
    cross = law.crossover_ridge(points)
    for ridge in (1e-9 * cross, cross, 1e6 * cross):
        effective = law.scaling_law(points, ridge).effective_ridge
        right = ridge + law.sum_factor * points ** (1.0 / 2.0 - 1.0) * effective**0.5
        assert effective == pytest.approx(right, rel=1e-12)
        found = law.scaling_law(points, ridge)
        assert found.effective_ridge * (1.0 - found.gamma / (1.0 - 1.0 / law.a)) == pytest.approx(
            ridge, rel=1e-6
        )
    assert law.scaling_law(points, 1e-9 * cross).effective_ridge == pytest.approx(cross, rel=1e-8)
    assert law.scaling_law(points, 1e6 * cross).effective_ridge == pytest.approx(1e6 * cross, rel=2e-3)
    missed = []
    for ridge in (1e6 * cross, 4e6 * cross):
        large, found = (rule(points, ridge, 0.1) for rule in (law.large_ridge_law, law.scaling_law))
        assert large.effective_ridge == ridge
        missed.append(found.clean_error / large.clean_error - 1.0)
    assert missed[0] / missed[1] == pytest.approx(2.0, rel=0.01)  # of the order of gamma, ridge^(-1/a)


@pytest.mark.parametrize(("a", "b"), [(1.0, 2.0), (0.8, 2.0), (2.0, 1.0), (2.0, 5.0)])
def test_exponents_without_a_law(a: float, b: float) -> None:
    law = PowerLaw(a, b)
    assert law.spectrum(10).eigenvalues[3] == pytest.approx(4.0**-a)
    with pytest.raises(UsageError, match="no scaling law"):
        law.scaling_law(100.0, 0.0)
    with pytest.raises(UsageError, match="no scaling law"):
        law.learning_exponents()


def test_impossible_power_laws() -> None:
    for a, b in ((0.0, 1.0), (math.inf, 1.0), (2.0, math.nan)):
        with pytest.raises(UsageError, match="exponents"):
            PowerLaw(a, b)
    with pytest.raises(UsageError, match="modes"):
        PowerLaw(2.0, 2.0).spectrum(0)
    with pytest.raises(UsageError, match="out of range"):
        PowerLaw(400.0, 2.0).spectrum(10)
    with pytest.raises(UsageError):
        PowerLaw(2.0, 2.0).scaling_law(0.0, 1.0)
    with pytest.raises(UsageError):
        PowerLaw(2.0, 2.0).large_ridge_law(10.0, 0.0)
