"""Different ways to one law: collapsed and explicit, conditional and direct, float32 and float64."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from runs import DETECTABLE, LIMIT, SEED, SMALLEST_P, Array, engine, estimate, hotelling_p

from nnft.samplers.initial import InitialEnsemble

POINTS = np.array([[1.0, 0.2, 0.3], [-0.4, 0.8, -0.5], [0.5, -0.7, 0.1]])
NETWORKS = 40_000
CASES = {
    "tanh": ((7, 5), 1.4, 0.1),
    "relu": ((6, 9, 4), 2.0, 0.0),
    "erf": ((3,), 1.5, 0.3),
    "softplus": ((4, 4), 0.8, 0.2),
}
WAYS = list(itertools.product(("collapsed", "explicit"), ("float64", "float32")))


def drawn(name: str, method: str, precision: str, seed: int) -> Array:
    """Metrics of the last layer and outputs of many networks, (networks, Q + D P)."""
    widths, weight, bias = CASES[name]
    layers = len(widths) + 1
    ensemble = InitialEnsemble(
        POINTS, widths, name, (), [weight] * layers, [bias] * layers, 2, seed, method, precision
    )
    return ensemble.values(0, NETWORKS, draw=True)[:, (layers - 1) * ensemble.n_pairs :]


def two_sample_distance(left: Array, right: Array) -> float:
    """Kolmogorov-Smirnov distance of two samples."""
    left, right = np.sort(left), np.sort(right)
    both = np.concatenate([left, right])
    below = [np.searchsorted(x, both, side="right") / len(x) for x in (left, right)]
    return float(abs(below[0] - below[1]).max())


def projections(values: Array) -> Array:
    """Bounded functions of metrics and outputs together."""
    directions = np.random.default_rng(SEED).standard_normal((values.shape[1], 8))
    return np.tanh(values @ directions / math.sqrt(values.shape[1]))


# two samples of n: P(D > d) <= 2 exp(-n d^2) (Massart 1990; Wei and Dudley 2012)
DISTANCE = math.sqrt(math.log(2 / SMALLEST_P) / NETWORKS)


@pytest.mark.parametrize("name", CASES)
def test_every_way_draws_from_one_law(name: str) -> None:
    seed = SEED + 1500 + 10 * list(CASES).index(name)
    samples = {way: drawn(name, *way, seed + k) for k, way in enumerate(WAYS)}
    for one, other in itertools.combinations(WAYS, 2):
        left, right = projections(samples[one]), projections(samples[other])
        assert max(two_sample_distance(left[:, k], right[:, k]) for k in range(8)) < DISTANCE
        joint = [p[:, :, None] * p[:, None, :] for p in (left, right)]
        rows = np.triu_indices(8)
        z = [p[:, rows[0], rows[1]] for p in joint]
        difference = z[0].mean(axis=0) - z[1].mean(axis=0)
        error = np.sqrt((z[0].var(axis=0) + z[1].var(axis=0)) / NETWORKS)
        assert (abs(difference) / error).max() < LIMIT
    assert DISTANCE < 0.025


def test_another_law_is_told_apart() -> None:
    """The same tests see a weight variance that is wrong by a fifth."""
    widths, weight, bias = CASES["tanh"]
    weights = [weight, weight, 1.2 * weight]
    other = InitialEnsemble(
        POINTS, widths, "tanh", (), weights, [bias] * 3, 2, SEED, "collapsed", "float64"
    )
    wrong = other.values(0, NETWORKS, draw=True)[:, 2 * other.n_pairs :]
    left, right = projections(drawn("tanh", "collapsed", "float64", SEED + 1)), projections(wrong)
    assert max(two_sample_distance(left[:, k], right[:, k]) for k in range(8)) > DISTANCE


@pytest.mark.parametrize("name", CASES)
def test_outputs_are_gaussian_given_the_metric(name: str) -> None:
    """Outputs whitened with their own metric are standard normal and independent of it."""
    values = drawn(name, "collapsed", "float64", SEED + 1550 + list(CASES).index(name))
    q = values.shape[1] - 6
    variance = values[:, 0]
    alive = variance > 0.0
    x = values[alive, q] / np.sqrt(variance[alive])
    y = values[alive, q + 3] / np.sqrt(variance[alive])
    size = np.tanh(np.log(variance[alive]))
    n = len(x)
    moments = {
        "mean": (x, 1.0), "square": (x**2 - 1, 2.0), "fourth": (x**4 - 3, 96.0), "outputs": (x * y, 1.0),
        "squares": ((x**2 - 1) * (y**2 - 1), 4.0),
        "metric": ((x**2 - 1) * size, 2.0 * float((size**2).mean())),
    }  # fmt: skip
    for values_of, variance_of in moments.values():
        assert abs(values_of.sum()) / math.sqrt(n * variance_of) < LIMIT
    assert DETECTABLE / math.sqrt(n) * math.sqrt(2) < 0.1


@pytest.mark.parametrize("name", CASES)
def test_correlators_agree(name: str) -> None:
    """Two and four points from independent runs: every estimator against the sharpest one."""
    widths, weight, bias = CASES[name]
    index = 10 * list(CASES).index(name)
    ways = [("conditional", "collapsed", "float64"), ("conditional", "explicit", "float64")]
    ways += [("direct", "collapsed", "float64"), ("direct", "explicit", "float32")]
    ways += [("conditional", "collapsed", "float32")]
    runs = [
        estimate(
            POINTS, widths, name, SEED + 1600 + index + k, NETWORKS, weight=weight, bias=bias,
            outputs=2, estimator=kind, method=method, precision=precision,
        )
        for k, (kind, method, precision) in enumerate(ways)
    ]  # fmt: skip
    for order, pattern in ((2, "00"), (4, "0000"), (4, "0011")):
        results = [run.result(order, pattern) for run in runs]
        for other in results[1:]:
            difference = other.value - results[0].value
            covariance = other.covariance() + results[0].covariance()
            assert hotelling_p(difference, covariance, 100) > SMALLEST_P
        assert DETECTABLE * results[0].stderr[0] < (0.15 if order == 2 else 0.8) * results[0].value[0]


@pytest.mark.parametrize("method", ["collapsed", "explicit"])
def test_kept_outputs_have_the_estimated_law(method: str) -> None:
    """Outputs drawn for keeping belong to the same networks as the metrics behind the estimate."""
    run = engine(POINTS, (6,), "tanh", SEED + 1700, NETWORKS, outputs=2, method=method)
    fields = run.ensemble.fields(0, NETWORKS)
    metrics = run.ensemble.metrics(0, NETWORKS)[:, -1]
    two = run.estimator.result(2)
    assert np.allclose(two.value, metrics.mean(axis=0), rtol=1e-12)
    for q, (a, b) in enumerate(two.indices.tolist()):
        for products in (fields[:, 0, a] * fields[:, 0, b], fields[:, 1, a] * fields[:, 1, b]):
            spread = products - metrics[:, q]
            assert abs(spread.mean()) < LIMIT * spread.std() / math.sqrt(NETWORKS)
