"""Regression with a Gaussian process: conditional Gaussians, identities, singular kernels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from nnft.errors import NumericalError, UsageError
from nnft.theory.gaussian_process import (
    GaussianProcessPosterior,
    as_targets,
    half_square_loss,
    kernel_eigenvalues,
    posterior,
)
from nnft.theory.nngp import nngp_kernel
from nnft.theory.training_kernel import training_kernel

P, E, D, RIDGE = 6, 4, 3, 0.17
RNG = np.random.default_rng(20240601)
KERNEL = nngp_kernel(RNG.normal(size=(P + E, 3)), "erf", [1.4, 1.1], [0.1, 0.2])[-1]
TARGETS = RNG.normal(size=(P, D))


def fit(ridge: float = RIDGE, targets: np.ndarray = TARGETS) -> GaussianProcessPosterior:
    return posterior(KERNEL[:P, :P], KERNEL[P:, :P], KERNEL[P:, P:], targets, ridge)


def test_conditional_gaussian_by_the_joint_precision() -> None:
    """Posterior density is proportional to prior times likelihood: add the precisions of both."""
    precision = np.linalg.inv(KERNEL)
    precision[:P, :P] += np.eye(P) / RIDGE
    covariance = np.linalg.inv(precision)
    mean = covariance[:, :P] @ TARGETS / RIDGE
    found = fit()
    np.testing.assert_allclose(found.mean, mean[P:], atol=1e-12)
    np.testing.assert_allclose(found.train_mean, mean[:P], atol=1e-12)
    np.testing.assert_allclose(found.covariance, covariance[P:, P:], atol=1e-12)
    np.testing.assert_allclose(found.train_covariance, covariance[:P, :P], atol=1e-12)
    loss = half_square_loss(found.train_mean, np.diagonal(found.train_covariance), TARGETS)
    assert found.train_loss == pytest.approx(loss, rel=1e-12)


def test_evidence_is_the_density_of_the_targets() -> None:
    law = multivariate_normal(np.zeros(P), KERNEL[:P, :P] + RIDGE * np.eye(P))
    known = sum(law.logpdf(TARGETS[:, i]) for i in range(D))
    assert fit().log_evidence == pytest.approx(known, rel=1e-12)


def test_loss_is_the_derivative_of_the_evidence() -> None:
    """``<1/2 sum (f - y)^2> = kappa^2 d log Z / d kappa`` with the likelihood not normalised."""

    def log_z(ridge: float) -> float:
        return fit(ridge).log_evidence + 0.5 * P * D * np.log(2.0 * np.pi * ridge)

    h = 1e-4
    near, far = (log_z(RIDGE + s) - log_z(RIDGE - s) for s in (h, 2.0 * h))
    assert fit().train_loss == pytest.approx(RIDGE**2 * (8.0 * near - far) / (12.0 * h), rel=1e-9)


def test_training_points_among_the_evaluation_points() -> None:
    found = posterior(KERNEL[:P, :P], KERNEL[:P, :P], KERNEL[:P, :P], TARGETS, RIDGE)
    np.testing.assert_allclose(found.mean, found.train_mean, atol=1e-13)
    np.testing.assert_allclose(found.covariance, found.train_covariance, atol=1e-13)
    assert np.array_equal(found.covariance, found.covariance.T)


def test_no_ridge_interpolates() -> None:
    found = fit(0.0)
    np.testing.assert_allclose(found.train_mean, TARGETS, atol=1e-13)
    np.testing.assert_array_equal(found.train_covariance, np.zeros((P, P)))
    assert found.train_loss == 0.0
    np.testing.assert_allclose(found.mean, fit(1e-9).mean, atol=1e-6)


def test_vector_of_targets_is_one_output() -> None:
    np.testing.assert_allclose(fit(targets=TARGETS[:, 1]).mean, fit().mean[:, 1:2], atol=1e-14)


def test_repeated_points_need_a_ridge() -> None:
    kernel = KERNEL[np.ix_([0, 1, 0], [0, 1, 0])]
    with pytest.raises(NumericalError, match=r"singular: got smallest eigenvalue"):
        posterior(kernel, kernel, kernel, [1.0, 2.0, 1.0], 0.0)
    found = posterior(kernel, kernel, kernel, [1.0, 2.0, 3.0], 1e-8)
    assert found.train_mean[0, 0] == pytest.approx(2.0, abs=1e-6)


def test_rounding_of_a_relu_kernel_of_low_rank_is_no_refusal() -> None:
    """On a line the tangent kernel is of rank two, and angles keep half of their digits."""
    x = np.concatenate([np.random.default_rng(7).normal(size=8), np.linspace(-2.0, 2.0, 11)])[:, None]
    kernel = training_kernel(x, "relu", [2.0, 2.0], [0.0, 0.0], (), [1.0, 1.0], [0.0, 0.0])
    raw = np.linalg.eigvalsh(kernel)
    assert raw[0] < -1e-13 * raw[-1]  # else there is nothing to clip
    values, _ = kernel_eigenvalues(kernel)
    assert values[0] == 0.0
    features = np.maximum(x * [1.0, -1.0], 0.0)
    exact = features @ features.T * 2.0
    found = posterior(kernel[:8, :8], kernel[8:, :8], kernel[8:, 8:], x[:8], 0.1)
    wanted = posterior(exact[:8, :8], exact[8:, :8], exact[8:, 8:], x[:8], 0.1)
    assert np.allclose(found.mean, wanted.mean, atol=1e-5)
    assert np.allclose(found.covariance, wanted.covariance, atol=1e-5)


def test_a_small_negative_direction_beyond_rounding_is_refused() -> None:
    vectors = np.linalg.qr(np.random.default_rng(3).normal(size=(4, 4)))[0]
    for lowest, refused in ((-1e-8, False), (-1e-7, True)):
        matrix = (vectors * [lowest, 0.1, 1.0, 1.0]) @ vectors.T
        if refused:
            with pytest.raises(NumericalError, match="not positive semidefinite"):
                kernel_eigenvalues(matrix)
        else:
            assert kernel_eigenvalues(matrix)[0][0] == 0.0


def test_refusals() -> None:
    with pytest.raises(NumericalError, match="not positive semidefinite"):
        posterior(np.array([[1.0, 2.0], [2.0, 1.0]]), np.ones((1, 2)), np.eye(1), [1.0, 1.0], 0.1)
    with pytest.raises(NumericalError, match="not finite"):
        kernel_eigenvalues(np.array([[np.nan]]))
    with pytest.raises(UsageError, match="ridge"):
        fit(-0.1)
    with pytest.raises(UsageError, match="kernel blocks"):
        posterior(KERNEL[:P, :P], KERNEL[:P, P:], KERNEL[P:, P:], TARGETS, RIDGE)
    with pytest.raises(UsageError, match="targets of 5 points"):
        as_targets(TARGETS, 5)
