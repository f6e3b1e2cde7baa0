"""First order in 1/width: reference values, exact linear networks, sampled networks."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nnft.errors import NumericalError, UsageError
from nnft.theory import gaussian_process
from nnft.theory.activations import activation
from nnft.theory.deep_linear import LinearMetric
from nnft.theory.deep_linear_posterior import deep_linear_posterior
from nnft.theory.first_order_posterior import deep_linear_mean_shift, first_order_prior, first_order_shift
from nnft.theory.gaussian_averages import pair_average
from nnft.theory.nngp import first_layer_kernel, nngp_kernel
from nnft.theory.one_hidden_layer import Readout, connected_correlator, mlp_moment

FILE = Path(__file__).resolve().parents[1] / "reference" / "training.json"
ENTRIES: dict[str, dict[str, Any]] = {
    entry["id"]: entry for entry in json.loads(FILE.read_text(encoding="utf-8"))["entries"]
}
SAFETY = 4.0  # times the stated relative precision of an entry
DATA = ENTRIES["finite-width-first-order-erf"]["inputs"]
JOINT = np.array([*DATA["X"], DATA["x_test"]])
TARGETS = np.array(DATA["y"])
Array = NDArray[np.float64]


def _erf_features(weights: Array) -> Array:
    """erf of the preactivations of the joint points, shape (..., J); weights of shape (..., d)."""
    return activation("erf")(weights @ JOINT.T * math.sqrt(DATA["sigma_w2"] / 3.0))


def _erf_prior() -> tuple[Array, Array]:
    """Kernel and N times kappa_4 by Gauss-Hermite sums over the three hidden weights."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(48)
    grid = np.stack(np.meshgrid(nodes, nodes, nodes, indexing="ij"), axis=-1).reshape(-1, 3)
    norm = np.einsum("a,b,c->abc", weights, weights, weights).ravel() / np.sum(weights) ** 3
    features = _erf_features(grid)
    pairs = (features[:, :, None] * features[:, None, :]).reshape(len(grid), -1)
    kernel = (norm @ pairs).reshape(6, 6)
    vertex = ((norm[:, None] * pairs).T @ pairs).reshape(6, 6, 6, 6) - np.multiply.outer(kernel, kernel)
    four_point = vertex + vertex.transpose(0, 2, 1, 3) + vertex.transpose(0, 2, 3, 1)
    return DATA["sigma_a2"] * kernel, DATA["sigma_a2"] ** 2 * four_point


def _process(kernel: Array, points: int, y: Array, ridge: float) -> gaussian_process.GaussianProcessPosterior:
    return gaussian_process.posterior(kernel[:points, :points], kernel[:, :points], kernel, y, ridge)


def test_reference_shift_of_the_mean() -> None:
    entry = ENTRIES["finite-width-first-order-erf"]
    values, rel = entry["values"], SAFETY * entry["rel_tol"]
    kernel, four_point = _erf_prior()
    assert kernel[0, 0] == pytest.approx(values["K_00"], rel=rel)
    assert four_point[0, 0, 0, 5] == pytest.approx(values["N_kappa4_000s"], rel=rel)
    assert _process(kernel, 5, TARGETS, DATA["kappa"]).mean[5, 0] == pytest.approx(values["gp_mean"], rel=rel)
    shift = first_order_shift(kernel, four_point, 5, TARGETS, DATA["kappa"])
    assert shift.mean[5] == pytest.approx(values["N_times_correction"], rel=rel)


def test_reference_shift_from_the_prior_of_the_network() -> None:
    entry = ENTRIES["finite-width-first-order-erf"]
    values, rel = entry["values"], SAFETY * entry["rel_tol"]
    first = first_layer_kernel(JOINT, DATA["sigma_w2"], 0.0)
    prior = first_order_prior(
        activation("erf"), first, [10], [DATA["sigma_w2"], DATA["sigma_a2"]], [0.0, 0.0]
    )
    assert 10.0 * prior.four_point[0, 0, 0, 5] == pytest.approx(values["N_kappa4_000s"], rel=rel)
    shift = first_order_shift(prior.kernel, prior.four_point, 5, TARGETS, DATA["kappa"])
    assert 10.0 * shift.mean[5] == pytest.approx(values["N_times_correction"], rel=rel)


def _first_order_coefficients() -> list[str]:
    key = "first_order_coefficient_times_sum_1_over_N"
    found = [name for name, entry in ENTRIES.items() if key in entry["values"]]
    assert found
    return found


@pytest.mark.parametrize("name", _first_order_coefficients())
def test_reference_linear_networks(name: str) -> None:
    inputs, values = ENTRIES[name]["inputs"], ENTRIES[name]["values"]
    rel = SAFETY * ENTRIES[name]["rel_tol"]
    x, test = np.array(inputs["X"]), np.array([inputs["x_test"]])
    shift = deep_linear_mean_shift(
        x @ x.T / 3.0, test @ x.T / 3.0, inputs["y"], inputs["kappa"], inputs["widths"]
    )
    total = sum(1.0 / n for n in inputs["widths"])
    assert shift[0] / total == pytest.approx(values["first_order_coefficient_times_sum_1_over_N"], rel=rel)
    joint = np.vstack([x, test]) @ np.vstack([x, test]).T / 3.0
    process = _process(joint, 5, np.array(inputs["y"]), inputs["kappa"])
    assert process.mean[5, 0] == pytest.approx(values["gp_mean"], rel=rel)
    ones = [1.0] * (len(inputs["widths"]) + 1)
    prior = first_order_prior(activation("linear"), joint, inputs["widths"], ones, [0.0] * len(ones))
    general = first_order_shift(prior.kernel, prior.four_point, 5, inputs["y"], inputs["kappa"])
    assert general.mean[5] == pytest.approx(shift[0], rel=1e-9)


@pytest.mark.parametrize("layers", [1, 2])
def test_linear_networks_approach_the_first_order(layers: int) -> None:
    """Everything that is predicted, times N, against the exact mixture: the difference halves with 1/N."""
    joint, ridge = JOINT @ JOINT.T / 3.0, 0.2
    process = _process(joint, 5, TARGETS, ridge)
    triples = list(itertools.product(range(6), repeat=3))
    fours = list(itertools.combinations_with_replacement(range(6), 4))
    gaps = []
    for n in (2000, 4000):
        widths = [n] * layers
        prior = first_order_prior(
            activation("linear"), joint, widths, [1.0] * (layers + 1), [0.0] * (layers + 1)
        )
        assert not np.any(prior.correction)
        shift = first_order_shift(prior.kernel, prior.four_point, 5, TARGETS, ridge)
        exact = deep_linear_posterior(joint[:5, :5], joint[:, :5], joint, TARGETS, ridge, widths)
        pairs = [
            (exact.mean - process.mean[:, 0], shift.mean),
            (exact.covariance - process.covariance, shift.covariance),
            (exact.correlator(triples), shift.third.ravel()),
            (exact.correlator(fours), np.array([shift.fourth[c] for c in fours])),
            (np.array(exact.log_evidence - process.log_evidence), np.array(shift.log_evidence)),
        ]
        gaps.append([float(np.max(np.abs(a - b))) / float(np.max(np.abs(b))) for a, b in pairs])
    assert max(gaps[1]) < 0.01
    np.testing.assert_allclose(np.array(gaps[0]) / np.array(gaps[1]), 2.0, rtol=0.05)


def test_prior_of_networks() -> None:
    """One hidden layer against sums over set partitions; two with biases against Wishart moments."""
    first = first_layer_kernel(JOINT[:4], 1.5, 0.3)
    prior = first_order_prior(activation("relu"), first, [7], [1.5, 1.2], [0.3, 0.1])
    moment = mlp_moment(activation("relu"), first)
    for component in [(0, 0, 0, 0), (0, 1, 2, 3), (3, 1, 1, 0), (2, 2, 3, 3)]:
        exact = connected_correlator(Readout.gaussian(7, 1.2, 0.1), moment, component)
        assert prior.four_point[component] == pytest.approx(exact, rel=1e-11)
    assert not np.any(prior.correction)
    np.testing.assert_allclose(
        prior.kernel, nngp_kernel(JOINT[:4], "relu", [1.5, 1.2], [0.3, 0.1])[-1], rtol=1e-13
    )
    gram = JOINT[:3] @ JOINT[:3].T / 3.0
    widths, weights, biases = [10**6, 2 * 10**6], [1.2, 0.8, 1.5], [0.2, 0.1, 0.3]
    metric = LinearMetric(gram.tolist(), widths, weights, biases)
    deep = first_order_prior(activation("linear"), 0.2 + 1.2 * gram, widths, weights, biases)
    for component in [(0, 0, 0, 0), (0, 1, 2, 1), (2, 1, 0, 0)]:
        assert deep.four_point[component] == pytest.approx(metric.connected_correlator(component), rel=1e-4)


def test_correction_of_a_deep_kernel_by_sampling() -> None:
    """Two hidden layers, one input: the first is drawn, the mean over the second is a Gaussian average.

    The metric of layer 2 has an exact mean, so that a term linear in it can be taken out of the noise.
    """
    rng = np.random.default_rng(20240603)
    widths, weights, biases, draws = (160, 80), (2.0, 2.5, 1.5), (0.2, 0.1, 0.3), 32_000
    tanh, first = activation("tanh"), biases[0] + weights[0] * 0.8
    prior = first_order_prior(tanh, np.array([[first]]), widths, weights, biases)
    fields = math.sqrt(first) * rng.normal(size=(draws, widths[0]))
    metric = biases[1] + weights[1] * np.mean(np.tanh(fields) ** 2, axis=1)
    grid = np.linspace(float(np.min(metric)), float(np.max(metric)), 801)
    average = np.interp(metric, grid, pair_average(tanh, grid, grid, grid))
    plain = biases[1] + weights[1] * float(pair_average(tanh, *(np.array(first),) * 3))
    slope = np.polyfit(grid - plain, pair_average(tanh, grid, grid, grid), 2)[1]
    output = biases[2] + weights[2] * (average - slope * (metric - plain))
    error = float(np.std(output)) / math.sqrt(draws)
    change = float(np.mean(output) - prior.kernel[0, 0])
    assert abs(change - prior.correction[0, 0]) < 5.85 * error
    assert abs(prior.correction[0, 0]) > 2.0 * 10.6 * error  # half of it would be seen


def test_change_of_the_kernel() -> None:
    """Without kappa_4 the shifts are derivatives of the Gaussian process along the correction."""
    rng = np.random.default_rng(20240601)
    kernel = nngp_kernel(JOINT, "relu", [1.5, 1.2], [0.3, 0.1])[-1]
    change = rng.normal(size=(6, 6))
    change = 0.05 * (change + change.T)
    shift = first_order_shift(kernel, np.zeros((6,) * 4), 5, TARGETS, 0.2, change)
    step = 1e-3
    up, down = (_process(kernel + s * change, 5, TARGETS, 0.2) for s in (step, -step))
    for name in ("mean", "covariance", "log_evidence"):
        slope = (np.asarray(getattr(up, name)) - np.asarray(getattr(down, name))) / (2.0 * step)
        np.testing.assert_allclose(
            slope.ravel(), np.asarray(getattr(shift, name)).ravel(), rtol=0.0, atol=1e-7
        )
    assert not np.any(shift.third)


def _weighted_networks(width: int, draws: int, seed: int) -> tuple[Array, Array]:
    """Likelihood of networks with one erf layer, readout integrated, and their moments given the layer.

    Returns columns (1, mean, second moment, mean at training point 0) at the last joint point times the
    likelihood over that of the process, and the same to first order in the fluctuation of the metric, whose
    exact average is that of the process.
    """
    rng = np.random.default_rng(seed)
    kernel, _ = _erf_prior()
    ridge = DATA["kappa"]
    process = _process(kernel, 5, TARGETS, ridge)
    inverse = np.zeros((6, 6))
    inverse[:5, :5] = np.linalg.inv(kernel[:5, :5] + ridge * np.eye(5))
    alpha = inverse[:, :5] @ TARGETS
    response = np.eye(6) - kernel @ inverse
    rows, linear = [], []
    for _ in range(draws // 500):
        features = _erf_features(rng.normal(size=(500, width, 3)))
        metric = features.transpose(0, 2, 1) @ features / width
        solved = np.linalg.inv(metric[:, :5, :5] + ridge * np.eye(5))
        exponent = -0.5 * np.einsum("a,nab,b->n", TARGETS, solved, TARGETS)
        likelihood = exponent + 0.5 * np.linalg.slogdet(solved)[1] - 2.5 * math.log(2.0 * math.pi)
        weight = np.exp(likelihood - process.log_evidence)
        mean = np.einsum("nja,nab,b->nj", metric[:, :, :5], solved, TARGETS)
        cross = metric[:, 5, :5]
        variance = metric[:, 5, 5] - np.einsum("na,nab,nb->n", cross, solved, cross)
        second = variance + mean[:, 5] ** 2
        rows.append(weight[:, None] * np.stack([np.ones(500), mean[:, 5], second, mean[:, 0]], axis=1))
        change = metric - kernel
        tilt = 0.5 * np.einsum("nab,ab->n", change, np.outer(alpha, alpha) - inverse)
        slope = change @ alpha @ response.T
        spread = np.einsum("a,nab,b->n", response[5], change, response[5])
        flat = process.mean[:, 0]
        square = process.covariance[5, 5] + flat[5] ** 2
        moments = [np.zeros(500), slope[:, 5], spread + 2.0 * flat[5] * slope[:, 5], slope[:, 0]]
        limits = np.array([1.0, flat[5], square, flat[0]])
        linear.append(np.stack(moments, axis=1) + np.outer(tilt, limits) + limits)
    return np.concatenate(rows), np.concatenate(linear)


def _estimates(columns: Array) -> tuple[Array, Array]:
    """Mean, variance, log evidence and mean at a training point, with jackknife errors of 64 groups."""
    sums = columns.reshape(64, -1, 4).mean(axis=1)

    def derive(row: Array) -> Array:
        mean = row[1] / row[0]
        return np.array([mean, row[2] / row[0] - mean**2, math.log(row[0]), row[3] / row[0]])

    left_out = np.array([derive(np.mean(np.delete(sums, k, axis=0), axis=0)) for k in range(64)])
    spread = np.sqrt(63.0 / 64.0 * np.sum((left_out - np.mean(left_out, axis=0)) ** 2, axis=0))
    return derive(np.mean(sums, axis=0)), spread


def test_reference_sampled_networks() -> None:
    """Width 8: other draws of the hidden layer against the stored ones."""
    entry = ENTRIES["finite-width-erf-exact-N8"]
    values, errors = entry["values"], entry["standard_error"]
    rows, _ = _weighted_networks(entry["inputs"]["N"], 16_000, 20240601)
    estimate, error = _estimates(rows)
    for k, key in enumerate(("f_mean", "f_var")):
        assert abs(estimate[k] - values[key]) < 5.85 * math.hypot(error[k], errors[key])
    # seen: the change at first order, and even more the process
    kernel, four_point = _erf_prior()
    process = _process(kernel, 5, TARGETS, DATA["kappa"])
    assert abs(process.mean[5, 0] - values["f_mean"]) > 10.6 * math.hypot(error[0], errors["f_mean"])
    shift = first_order_shift(kernel, four_point / 8.0, 5, TARGETS, DATA["kappa"])
    first = process.mean[5, 0] + shift.mean[5], process.covariance[5, 5] + shift.covariance[5, 5]
    for k, key in enumerate(("f_mean", "f_var")):  # what is left is of second order
        plain = (process.mean[5, 0], process.covariance[5, 5])[k]
        assert abs(first[k] - values[key]) < 0.3 * abs(plain - values[key])


def test_first_order_of_sampled_networks() -> None:
    """Width 128: mean, variance and evidence; the part linear in the metric is averaged exactly."""
    width = 128
    rows, linear = _weighted_networks(width, 8_000, 20240602)
    kernel, four_point = _erf_prior()
    process = _process(kernel, 5, TARGETS, DATA["kappa"])
    shift = first_order_shift(kernel, four_point / width, 5, TARGETS, DATA["kappa"])
    flat = process.mean[:, 0]
    limits = np.array([1.0, flat[5], process.covariance[5, 5] + flat[5] ** 2, flat[0]])
    estimate, error = _estimates(rows - linear + limits)
    measured = estimate - [flat[5], process.covariance[5, 5], 0.0, flat[0]]
    predicted = np.array([shift.mean[5], shift.covariance[5, 5], shift.log_evidence, shift.mean[0]])
    assert np.all(np.abs(measured - predicted) < 5.85 * error)
    seen = np.abs(predicted) > 2.0 * 10.6 * error  # half of the change would be seen
    assert seen.tolist() == [True, True, False, True]  # that of the evidence is small for these targets


def test_refusals() -> None:
    kernel, four_point = np.eye(3), np.zeros((3,) * 4)
    with pytest.raises(UsageError, match="got 25 training and evaluation points; at most 24"):
        first_order_shift(np.eye(25), np.zeros((1,) * 4), 3, np.ones(3), 0.1)
    with pytest.raises(UsageError, match="got 30 training and evaluation points; at most 24"):
        first_order_prior(activation("relu"), np.eye(30), [5], [1.0, 1.0], [0.0, 0.0])
    with pytest.raises(UsageError, match="prior at 3 points"):
        first_order_shift(kernel, np.zeros((2,) * 4), 2, np.ones(2), 0.1)
    with pytest.raises(UsageError, match="training points: got 4; give 1 to 3"):
        first_order_shift(kernel, four_point, 4, np.ones(4), 0.1)
    with pytest.raises(UsageError, match="targets of 2 points"):
        first_order_shift(kernel, four_point, 2, np.ones(3), 0.1)
    with pytest.raises(UsageError, match="give one output"):
        first_order_shift(kernel, four_point, 2, np.ones((2, 2)), 0.1)
    with pytest.raises(UsageError, match="ridge of a regression"):
        first_order_shift(kernel, four_point, 2, np.ones(2), math.nan)
    with pytest.raises(NumericalError, match="singular"):
        first_order_shift(np.ones((3, 3)), four_point, 2, np.ones(2), 0.0)
    with pytest.raises(UsageError, match="hidden widths"):
        first_order_prior(activation("relu"), kernel, [], [1.0], [0.0])
    with pytest.raises(UsageError, match="variances of 2 layers"):
        first_order_prior(activation("relu"), kernel, [4], [1.0], [0.0])
