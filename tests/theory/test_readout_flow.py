"""Flows of readouts: matrices written out, draws, limits, orthogonal and correlated designs by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nnft.errors import NumericalError, UsageError
from nnft.theory.activations import Array
from nnft.theory.critical_scale import eigenbasis_scale
from nnft.theory.effective_readout import effective_variance_ratio
from nnft.theory.fisher import fisher_diagonal, fisher_modes
from nnft.theory.readout_flow import effective_variances, flow_covariances, readout_flow
from nnft.theory.readout_laws import descent_law, posterior_law
from nnft.theory.readout_shells import Fill, Shells
from nnft.theory.readout_training import LinearModel, WeightLaw
from nnft.theory.stochastic_descent import Moments

LIMIT = 5.85
P, E, N, D, NOISE = 5, 4, 6, 2, 0.2
RNG = np.random.default_rng(20240601 + 510)
PHI, EVAL = RNG.normal(size=(P, N)) / np.sqrt(N), RNG.normal(size=(E, N)) / np.sqrt(N)
Y, Y_EVAL = RNG.normal(size=(P, D)), RNG.normal(size=(E, D))
VARIANCES = np.array([1.0, 1.0, 1.0, 1.0, 0.5, 2.0])
ROOTS = RNG.normal(size=(D, N, N))
LAW = Moments(RNG.normal(size=(N, D)), ROOTS @ ROOTS.transpose(0, 2, 1) / N)
MODEL = LinearModel(PHI, Y, VARIANCES, 1.0, NOISE)
SHELLS = {
    "weights": Shells.of_weights(fisher_diagonal(PHI, NOISE).values),
    "directions": Shells.of_modes(fisher_modes(PHI, NOISE)),
}
FILLS = {
    "prior": Fill.prior(VARIANCES),
    "zero": Fill.zero(),
    "gaussian": Fill.gaussian(7.0),
    "conditional": Fill.conditional(MODEL),
}


def cutoffs(shells: Shells) -> Array:
    """One below, between and beyond all informations, some twice."""
    values = np.unique(shells.information)
    between = 0.5 * (values[1:] + values[:-1])
    return np.sort(np.concatenate([[0.0], between, between[1:3], [2.0 * values[-1], np.inf]]))


def written_out(shells: Shells, fill: Fill, cutoff: float, output: int) -> tuple[Array, Array]:
    """Mean and covariance of the renormalised weights, matrices and all."""
    basis = shells.basis if shells.basis is not None else np.eye(N)[:, shells.order]
    mean, covariance = basis.T @ LAW.mean[:, output], basis.T @ LAW.covariance[output] @ basis
    r, k = np.flatnonzero(shells.information < cutoff), np.flatnonzero(shells.information >= cutoff)
    new_mean, new = np.zeros(N), np.zeros((N, N))
    new_mean[k], new[np.ix_(k, k)] = mean[k], covariance[np.ix_(k, k)]
    if fill.model is None:
        prior = basis.T @ np.diag(np.broadcast_to(fill.variance, N)) @ basis
        new[np.ix_(r, r)] = prior[np.ix_(r, r)]
    else:
        precision = basis.T @ np.linalg.inv(MODEL.posterior.covariance) @ basis
        centre = basis.T @ MODEL.posterior.mean[:, output]
        inner = np.linalg.inv(precision[np.ix_(r, r)])
        slope = -inner @ precision[np.ix_(r, k)]
        new_mean[r] = centre[r] + slope @ (mean[k] - centre[k])
        new[np.ix_(r, k)] = slope @ new[np.ix_(k, k)]
        new[np.ix_(k, r)] = new[np.ix_(r, k)].T
        new[np.ix_(r, r)] = inner + slope @ new[np.ix_(k, k)] @ slope.T
    return basis @ new_mean, basis @ new @ basis.T


@pytest.mark.parametrize("order", SHELLS)
@pytest.mark.parametrize("name", FILLS)
def test_flow_is_that_of_the_matrices(order: str, name: str) -> None:
    shells, fill = SHELLS[order], FILLS[name]
    scales = cutoffs(shells)
    flow = readout_flow(EVAL, LAW, shells, fill, scales)
    loss, theirs = flow.loss(Y_EVAL), np.zeros(len(scales))
    for output in range(D):
        covariances = flow_covariances(EVAL, LAW, shells, fill, scales, output)
        for k, scale in enumerate(scales):
            mean, spread = written_out(shells, fill, scale, output)
            outputs = EVAL @ spread @ EVAL.T
            np.testing.assert_allclose(flow.means[k, :, output], EVAL @ mean, atol=1e-12)
            np.testing.assert_allclose(covariances[k], outputs, atol=1e-12)
            np.testing.assert_allclose(flow.variances[k, :, output], np.diagonal(outputs), atol=1e-12)
            theirs[k] += np.mean((EVAL @ mean - Y_EVAL[:, output]) ** 2 + np.diagonal(outputs))
            assert flow.sloppy[k] == np.sum(shells.information < scale)
    np.testing.assert_allclose(loss.total, theirs, rtol=1e-12)
    assert np.ptp(theirs) > 0.1  # the flow moves


@pytest.mark.parametrize("order", SHELLS)
@pytest.mark.parametrize("name", FILLS)
def test_flow_of_drawn_readouts(order: str, name: str) -> None:
    """Weights drawn, sloppy ones drawn again one after another; detects 2 % of the loss or of a variance."""
    shells, fill, count = SHELLS[order], FILLS[name], 60_000
    scale = cutoffs(shells)[3]
    rng = np.random.default_rng(20240601 + 511)
    basis = shells.basis if shells.basis is not None else np.eye(N)[:, shells.order]
    sloppy = shells.information < scale
    drawn = np.linalg.cholesky(LAW.covariance[0]) @ rng.normal(size=(N, count))
    u = basis.T @ (LAW.mean[:, :1] + drawn)
    if fill.model is None:
        fresh = basis.T @ (np.sqrt(np.broadcast_to(fill.variance, N))[:, None] * rng.normal(size=(N, count)))
        u = np.where(sloppy[:, None], fresh, u)
    else:  # Gibbs sampling of the sloppy ones under the posterior, far beyond its memory
        precision = basis.T @ np.linalg.inv(MODEL.posterior.covariance) @ basis
        centre = (basis.T @ MODEL.posterior.mean[:, :1])[:, 0]
        for _ in range(60):
            for i in np.flatnonzero(sloppy):
                rest = precision[i] @ (u - centre[:, None]) - precision[i, i] * (u[i] - centre[i])
                u[i] = centre[i] - rest / precision[i, i] + rng.normal(size=count) / np.sqrt(precision[i, i])
    outputs = EVAL @ basis @ u
    flow = readout_flow(EVAL, LAW, shells, fill, np.array([scale]))
    z = (outputs.mean(axis=1) - flow.means[0, :, 0]) / (outputs.std(axis=1) / np.sqrt(count))
    squares = (outputs - flow.means[0, :, :1]) ** 2
    spread = squares.std(axis=1) / np.sqrt(count)
    z_variance = (squares.mean(axis=1) - flow.variances[0, :, 0]) / spread
    losses = np.mean((outputs - Y_EVAL[:, :1]) ** 2, axis=0)
    expected = flow.loss(Y_EVAL).total[0] - np.mean(
        (flow.means[0, :, 1] - Y_EVAL[:, 1]) ** 2 + flow.variances[0, :, 1]
    )
    z_loss = (losses.mean() - expected) / (losses.std() / np.sqrt(count))
    assert max(np.max(np.abs(z)), np.max(np.abs(z_variance)), abs(z_loss)) < LIMIT
    assert losses.std() / np.sqrt(count) < 0.02 / 2 * expected


@pytest.mark.parametrize("order", SHELLS)
def test_ends_of_the_flow(order: str) -> None:
    """Cutoff 0: the trained law; infinity: the fill."""
    shells, ends = SHELLS[order], np.array([0.0, np.inf])
    prior = EVAL @ np.diag(VARIANCES) @ EVAL.T
    posterior = MODEL.posterior.outputs(EVAL)
    nothing = np.zeros((E, D))
    expected = {
        "prior": (nothing, prior),
        "zero": (nothing, np.zeros((E, E))),
        "gaussian": (nothing, 7.0 * EVAL @ EVAL.T),
        "conditional": posterior,
    }
    for name, fill in FILLS.items():
        flow = readout_flow(EVAL, LAW, shells, fill, ends)
        np.testing.assert_allclose(flow.means[0], EVAL @ LAW.mean, atol=1e-13)
        np.testing.assert_allclose(flow.means[1], expected[name][0], atol=1e-13)
        covariances = flow_covariances(EVAL, LAW, shells, fill, ends, 1)
        np.testing.assert_allclose(covariances[0], EVAL @ LAW.covariance[1] @ EVAL.T, atol=1e-12)
        np.testing.assert_allclose(covariances[1], expected[name][1], atol=1e-12)
        if name != "conditional":  # to the last bit: nothing of the trained law is left
            assert np.all(flow.kept[1] == 0.0)
            assert np.all(flow.resampled[0] == 0.0)


def test_conditional_fill_of_a_posterior_changes_nothing() -> None:
    for shells in SHELLS.values():
        flow = readout_flow(EVAL, MODEL.posterior, shells, FILLS["conditional"], cutoffs(shells))
        mean, covariance = MODEL.posterior.outputs(EVAL)
        np.testing.assert_allclose(flow.means, np.broadcast_to(mean, flow.means.shape), atol=1e-12)
        spread = np.broadcast_to(np.diagonal(covariance)[:, None], flow.means.shape)
        np.testing.assert_allclose(flow.variances, spread, atol=1e-12)


def test_an_orthogonal_design_has_one_order() -> None:
    """Columns of different lengths, orthogonal: weights are eigendirections, and both flows are the same."""
    orthogonal, _ = np.linalg.qr(np.random.default_rng(20240601 + 512).normal(size=(P + 2, 4)))
    phi, evaluation = orthogonal * np.array([0.3, 2.0, 1.1, 0.7]), EVAL[:, :4]
    y = RNG.normal(size=P + 2)
    by_weights = Shells.of_weights(fisher_diagonal(phi, NOISE).values)
    by_modes = Shells.of_modes(fisher_modes(phi, NOISE))
    scales = np.concatenate([[0.0], 1.0001 * by_weights.information])
    for law in (posterior_law(phi, y, 1.0, NOISE), descent_law(phi, y, 1.0, 0.3, 9)):
        for fill in (Fill.prior(1.0), Fill.zero()):
            one, other = (readout_flow(evaluation, law, s, fill, scales) for s in (by_weights, by_modes))
            np.testing.assert_array_equal(one.sloppy, other.sloppy)
            np.testing.assert_allclose(one.means, other.means, atol=1e-13)
            np.testing.assert_allclose(one.variances, other.variances, atol=1e-13)


def test_a_correlated_design_by_hand() -> None:
    """Features (1, 1), (0, 1), targets (1, 0), noise 1/2, prior 1: I = [[1, 1], [1, 2]], golden ratio g.

    Posterior: precision [[3, 2], [2, 5]], mean (6, 2) / 11. Cutoff 3/2 takes weight 1, or the direction of
    eigenvalue 1 / g^2; of the output with features (1, 1) weight 2 is left, or (1, g) / (1 + g^2)^(1/2).
    """
    phi, y, point = np.array([[1.0, 1.0], [0.0, 1.0]]), np.array([1.0, 0.0]), np.array([[1.0, 1.0]])
    law = posterior_law(phi, y, 1.0, 0.5)
    np.testing.assert_allclose(law.mean[:, 0], [6.0 / 11.0, 2.0 / 11.0], rtol=1e-14)
    scale, fill = np.array([1.5]), Fill.prior(1.0)
    by_weights = readout_flow(point, law, Shells.of_weights(fisher_diagonal(phi, 0.5).values), fill, scale)
    assert by_weights.loss(np.ones(1)).total[0] == pytest.approx((81.0 + 33.0 + 121.0) / 121.0, rel=1e-13)
    g = 0.5 * (1.0 + math.sqrt(5.0))
    overlap = g**4 / (1.0 + g**2)
    mean, kept, fresh = 2.0 * overlap / (2.0 * g**2 + 1.0), overlap / (2.0 * g**2 + 1.0), 2.0 - overlap
    by_modes = readout_flow(point, law, Shells.of_modes(fisher_modes(phi, 0.5)), fill, scale)
    loss = by_modes.loss(np.ones(1))
    assert loss.bias[0] == pytest.approx((1.0 - mean) ** 2, rel=1e-12)
    assert loss.kept[0] == pytest.approx(kept, rel=1e-13)
    assert loss.resampled[0] == pytest.approx(fresh, rel=1e-12)
    difference = (1.0 - mean) ** 2 + kept + fresh - 235.0 / 121.0
    assert difference == pytest.approx(-1.4, abs=0.05)  # the orders are far from each other
    total = loss.total[0] - by_weights.loss(np.ones(1)).total[0]
    assert total == pytest.approx(difference, rel=1e-12)


def test_plateau_of_the_eigenbasis() -> None:
    """No target: variances change by less than ``Lambda / Lambda_c``, and well above by a lot."""
    rng, variance, n = np.random.default_rng(20240601 + 513), 0.7, 30
    phi = rng.normal(size=(n, n)) * np.geomspace(1e-4, 10.0, n)
    law = posterior_law(phi, np.zeros(n), variance, NOISE)
    critical = eigenbasis_scale(n, variance)
    scales = np.array([0.0, 0.01, 0.1, 1.0, 1e4]) * critical
    shells = Shells.of_modes(fisher_modes(phi, NOISE))
    flow = readout_flow(rng.normal(size=(50, n)), law, shells, Fill.prior(variance), scales)
    assert flow.sloppy[1] > 5
    changes = flow.loss(np.zeros(50)).total / flow.loss(np.zeros(50)).total[0] - 1.0
    for change, scale in zip(changes[1:4], scales[1:4], strict=True):
        assert 0.0 < change <= scale / critical
    assert changes[4] > 0.5


def test_effective_variances_and_their_first_order() -> None:
    """``(tr Sigma + |mu|^2) / n``: the formula with the kernel of the features, then the prior."""
    y = Y[:, :1]
    for shells in SHELLS.values():
        law = posterior_law(PHI, y, 0.7, NOISE)
        found = effective_variances(law, shells, Fill.prior(0.7), np.array([0.0, np.inf]))[:, 0]
        assert found[0] == pytest.approx((np.trace(law.covariance) + np.sum(law.mean**2)) / N, rel=1e-13)
        ratio = effective_variance_ratio(0.7 * PHI @ PHI.T, y, NOISE, N)
        assert found[0] == pytest.approx(0.7 * ratio, rel=1e-12)
        assert found[1] == pytest.approx(0.7, rel=1e-13)
    for name, fill in FILLS.items():
        mean, spread = written_out(SHELLS["weights"], fill, cutoffs(SHELLS["weights"])[2], 0)
        found = effective_variances(LAW, SHELLS["weights"], fill, cutoffs(SHELLS["weights"])[2:3])[:, 0]
        assert found[0] == pytest.approx((np.trace(spread) + mean @ mean) / N, rel=1e-12), name


def test_points_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = readout_flow(EVAL, LAW, SHELLS["weights"], FILLS["prior"], np.array([0.0, 1.0]))
    monkeypatch.setattr("nnft.theory.readout_flow._POINTS", 3)
    parts = readout_flow(EVAL, LAW, SHELLS["weights"], FILLS["prior"], np.array([0.0, 1.0]))
    np.testing.assert_allclose(parts.variances, whole.variances, rtol=1e-13)
    np.testing.assert_allclose(parts.means, whole.means, atol=1e-15)


def test_equal_information_is_not_below() -> None:
    shells = Shells.of_weights(np.array([0.5, 0.0, 0.5, 2.0]))
    np.testing.assert_array_equal(
        shells.sloppy(np.array([0.0, 1e-300, 0.5, 0.50001, np.inf])), [0, 1, 1, 3, 4]
    )


def test_refusals() -> None:
    shells = SHELLS["weights"]
    for bad in ([1.0, 0.5], [-1.0, 1.0], [np.nan], []):
        with pytest.raises(UsageError, match="cutoffs of a flow"):
            shells.sloppy(np.array(bad))
    with pytest.raises(UsageError, match="flow of a readout"):
        readout_flow(EVAL[:, :3], LAW, shells, Fill.zero(), np.zeros(1))
    with pytest.raises(UsageError, match="conditional fill: got temperature 0"):
        Fill.conditional(LinearModel(PHI, Y, VARIANCES))
    with pytest.raises(UsageError, match="output of a flow: got 2"):
        flow_covariances(EVAL, LAW, shells, Fill.zero(), np.zeros(1), 2)
    bad_model = LinearModel(np.ones((2, N)), np.ones(2), np.full(N, 1e17), 1.0, 1.0)
    flat = WeightLaw(np.zeros((N, 1)), np.eye(N))
    with pytest.raises(NumericalError, match="precision of a conditional fill is singular"):
        readout_flow(EVAL, flat, shells, Fill.conditional(bad_model), np.zeros(1))


def test_part_of_the_points_is_the_flow_on_them() -> None:
    rng = np.random.default_rng(20240601 + 540)
    phi, points, targets = rng.normal(size=(6, 9)), rng.normal(size=(7, 9)), rng.normal(size=(3, 2))
    law = posterior_law(phi, rng.normal(size=(6, 2)), 1.0, 0.3)
    shells = Shells.of_weights(np.mean(phi**2, axis=0))
    cutoffs = np.array([0.0, 0.5, 1.0, np.inf])
    whole = readout_flow(points, law, shells, Fill.prior(1.0), cutoffs)
    alone = readout_flow(points[4:], law, shells, Fill.prior(1.0), cutoffs)
    np.testing.assert_allclose(whole.part(slice(4, None)).loss(targets).total, alone.loss(targets).total)
