"""Restricted kernels: limits, quadrature against closed forms, sampled neurons, wide networks drawn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import erf, ndtr

from nnft.errors import UsageError
from nnft.theory.activations import Array
from nnft.theory.gaussian_process import posterior
from nnft.theory.nngp import nngp_kernel
from nnft.theory.readout_flow import flow_covariances, readout_flow
from nnft.theory.readout_laws import posterior_law
from nnft.theory.readout_shells import Fill, Shells
from nnft.theory.restricted_kernel import (
    erf_information,
    erf_threshold,
    one_dimensional_kernel,
    random_selection,
    restricted_process,
    sampled_flow,
)

LIMIT = 5.85
X, Y, KAPPA = (
    np.array([-1.5, -0.6, 0.2, 0.9, 1.7, -1.0, 0.5, 2.0]),
    np.array([-0.9, -0.7, 0.1, 0.8, 0.6]),
    0.05,
)
P = len(Y)
KERNEL = one_dimensional_kernel(erf, X, 0.0)


def test_kernel_without_threshold_is_the_arcsine_kernel() -> None:
    for weight, readout in ((1.0, 1.0), (2.5, 0.7), (1e-4, 3.0)):
        found = one_dimensional_kernel(erf, X, 0.0, weight_variance=weight, readout_variance=readout)
        known = nngp_kernel(X[:, None], "erf", [weight, readout], [0.0, 0.0])[-1]
        np.testing.assert_allclose(found, known, atol=1e-13 * np.max(known))


def test_kernel_of_linear_and_step_neurons() -> None:
    """phi = z: x x' times the second moment of the tails; phi = 1[z > 0]: the mass of a tail."""
    t, s = 0.8, 1.7
    density = math.exp(-0.5 * (t / s) ** 2) / (s * math.sqrt(2.0 * math.pi))
    tails = 2.0 * (s**2 * t * density + s**2 * ndtr(-t / s))
    linear = one_dimensional_kernel(lambda z: z, X, t, weight_variance=s**2)
    np.testing.assert_allclose(linear, tails * np.outer(X, X), rtol=1e-11)
    step = one_dimensional_kernel(lambda z: np.where(z > 0.0, 1.0, 0.0), X, t, weight_variance=s**2)
    np.testing.assert_allclose(step, np.where(np.outer(X, X) > 0.0, ndtr(-t / s), 0.0), atol=1e-13)
    assert np.all(one_dimensional_kernel(erf, X, math.inf) == 0.0)


def test_threshold_inverts_the_information() -> None:
    for w in (0.0, 1e-3, 0.4, 3.0, 40.0):
        value = float(erf_information(np.array(w), 0.6))
        assert erf_threshold(value, 0.6) == pytest.approx(w, rel=1e-8, abs=1e-12)
    assert erf_threshold(1.0) == math.inf
    drawn = erf(0.7 * np.random.default_rng(20240601 + 530).normal(size=400_000)) ** 2
    z = (drawn.mean() - float(erf_information(np.array(0.7)))) / (drawn.std() / math.sqrt(drawn.size))
    assert abs(z) < LIMIT


@pytest.mark.parametrize("ratio", [0.0, 1.0, 4.0])
def test_ends_of_the_flow(ratio: float) -> None:
    """Everything kept: the posterior; nothing kept: the fill; in between: conditioning written out."""
    known = posterior(KERNEL[:P, :P], KERNEL[P:, :P], KERNEL[P:, P:], Y, KAPPA)
    whole = restricted_process(KERNEL, KERNEL, Y, KAPPA, ratio)
    np.testing.assert_allclose(whole.mean, known.mean, rtol=1e-13)
    np.testing.assert_allclose(whole.covariance, known.covariance, rtol=1e-12)
    nothing = restricted_process(KERNEL, np.zeros_like(KERNEL), Y, KAPPA, ratio)
    assert np.all(nothing.mean == 0.0)
    np.testing.assert_allclose(nothing.covariance, ratio * KERNEL[P:, P:], atol=1e-15)
    kept = one_dimensional_kernel(erf, X, 0.7)
    part, inverse = (
        restricted_process(KERNEL, kept, Y, KAPPA, ratio),
        np.linalg.inv(KERNEL[:P, :P] + 0.05 * np.eye(P)),
    )
    rest = kept + ratio * (KERNEL - kept)
    explicit = rest[P:, P:] - kept[P:, :P] @ inverse @ kept[:P, P:]
    np.testing.assert_allclose(part.covariance, explicit, rtol=1e-11)
    loss = part.loss(np.array([0.1, 0.2, 0.3]))
    by_hand = np.mean((part.mean[:, 0] - [0.1, 0.2, 0.3]) ** 2 + np.diagonal(part.covariance))
    assert loss == pytest.approx(by_hand, rel=1e-13)


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_sampled_neurons_agree_within_their_errors(ratio: float) -> None:
    """Errors are below 2 % of the kernel."""
    w = np.random.default_rng(20240601 + 531).normal(size=40_000)
    thresholds = np.array([0.0, 0.3, 1.0, 2.0])
    cutoffs = erf_information(thresholds) / KAPPA
    flow = sampled_flow(
        erf(np.outer(w, X)), erf_information(w) / KAPPA, cutoffs, Y, KAPPA, fill_ratio=ratio, groups=50
    )
    for k, threshold in enumerate(thresholds):
        exact = restricted_process(KERNEL, one_dimensional_kernel(erf, X, threshold), Y, KAPPA, ratio)
        z = (flow.process.mean[k] - exact.mean) / flow.errors.mean[k]
        z_covariance = (flow.process.covariance[k] - exact.covariance) / flow.errors.covariance[k]
        assert max(np.max(np.abs(z)), np.max(np.abs(z_covariance))) < LIMIT
        assert np.max(flow.errors.mean[k]) < 0.02
        assert np.max(flow.errors.covariance[k]) < 0.02 * np.max(KERNEL)
        fraction = erf(threshold / math.sqrt(2.0))
        deviation = math.sqrt(max(fraction * (1.0 - fraction), 1e-30) / w.size)
        assert abs(flow.sloppy_fraction[k] - fraction) < LIMIT * deviation + 1e-15


def test_errors_of_sampled_neurons_are_their_spread() -> None:
    """Squares of the errors against the variance over 150 samples; detects errors wrong by a factor 1.5."""
    rng, count = np.random.default_rng(20240601 + 532), 150
    values, errors = [], []
    for _ in range(count):
        w = rng.normal(size=2000)
        flow = sampled_flow(erf(np.outer(w, X)), w**2, np.array([0.25]), Y, KAPPA, readout_variance=1.3)
        values.append([flow.process.mean[0, 2, 0], flow.process.covariance[0, 2, 2]])
        errors.append([flow.errors.mean[0, 2, 0], flow.errors.covariance[0, 2, 2]])
    variance = np.var(values, axis=0, ddof=1)
    z = np.log(np.mean(np.square(errors), axis=0) / variance) / math.sqrt(
        2.0 / (count - 1) + 2.0 / (19 * count)
    )
    assert np.max(np.abs(z)) < LIMIT


def wide_networks(shells_of: str, cutoff: float) -> tuple[Array, Array, Array, Array]:
    """Mean and second moment of outputs over drawn networks of 400 neurons, with errors."""
    rng, width, count, test = np.random.default_rng(20240601 + 533), 400, 150, slice(P, None)
    means, seconds = [], []
    for _ in range(count):
        w = rng.normal(size=width)
        phi = erf(np.outer(X, w)) / math.sqrt(width)
        information = erf_information(w) if shells_of == "information" else rng.random(width)
        law, shells = posterior_law(phi[:P], Y, 1.0, KAPPA), Shells.of_weights(information)
        mean = readout_flow(phi[test], law, shells, Fill.prior(1.0), np.array([cutoff])).means[0, :, 0]
        spread = flow_covariances(phi[test], law, shells, Fill.prior(1.0), np.array([cutoff]))[0]
        means.append(mean)
        seconds.append(spread + np.outer(mean, mean))
    errors = [np.std(rows, axis=0, ddof=1) / math.sqrt(count) for rows in (means, seconds)]
    return np.mean(means, axis=0), errors[0], np.mean(seconds, axis=0), errors[1]


@pytest.mark.parametrize("shells_of", ["information", "chance"])
def test_wide_networks_drawn(shells_of: str) -> None:
    """Readouts of 150 networks with 400 neurons: corrections 1 / 400 are below the errors, about 2 %."""
    cutoff = 0.35
    mean, mean_error, second, second_error = wide_networks(shells_of, cutoff)
    if shells_of == "information":
        exact = restricted_process(KERNEL, one_dimensional_kernel(erf, X, erf_threshold(cutoff)), Y, KAPPA)
    else:
        exact = random_selection(KERNEL, 1.0 - cutoff, Y, KAPPA)
    z = (mean - exact.mean[:, 0]) / mean_error
    z_second = (second - exact.covariance - np.outer(exact.mean, exact.mean)) / second_error
    assert max(np.max(np.abs(z)), np.max(np.abs(z_second))) < LIMIT
    assert np.max(mean_error) < 0.02
    known = posterior(KERNEL[:P, :P], KERNEL[P:, :P], KERNEL[P:, P:], Y, KAPPA)
    assert np.max(np.abs((known.mean[:, 0] - exact.mean[:, 0]) / mean_error)) > 10.0  # the flow is seen


def test_refusals() -> None:
    with pytest.raises(UsageError, match="restricted kernel"):
        restricted_process(KERNEL, KERNEL[1:, 1:], Y, KAPPA)
    with pytest.raises(UsageError, match=r"kept fraction of neurons: got 1\.5"):
        random_selection(KERNEL, 1.5, Y, KAPPA)
    with pytest.raises(UsageError, match="information of a neuron: got -1"):
        erf_threshold(-1.0)
    with pytest.raises(UsageError, match="kernel in one dimension"):
        one_dimensional_kernel(erf, X, -0.5)
    with pytest.raises(UsageError, match="sample of neurons"):
        sampled_flow(np.ones((5, len(X))), np.ones(5), np.zeros(1), Y, KAPPA)
    with pytest.raises(UsageError, match="cutoffs of a flow"):
        sampled_flow(np.ones((50, len(X))), np.ones(50), np.array([2.0, 1.0]), Y, KAPPA)
