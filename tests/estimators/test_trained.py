"""Fields that have a mean: sums, cumulants of every order, draws of one network, parts of the variance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from exact_laws import exact_cumulant, hafnian

from ensembles import block_sums, estimate_samples, packed
from nnft.errors import UsageError
from nnft.estimators.correlators import CorrelatorEstimator
from nnft.estimators.index_table import sector_name
from nnft.estimators.layout import sum_layout
from nnft.estimators.program import build_program

SEED = 20240601
SIGMA = 5.85
ORDERS = range(1, 7)
SHIFT = np.array([0.5, -0.25])

# a mixture of three Gaussians on two points; small integers, so that all moments are exact in float64
WEIGHTS = (Fraction(1, 2), Fraction(1, 3), Fraction(1, 6))
MEANS = ((2, -1), (0, 1), (-1, 3))
COVARIANCES = (((1, 0), (0, 2)), ((2, 1), (1, 1)), ((4, -1), (-1, 1)))


def gaussian_moment(
    mean: Sequence[float], covariance: Sequence[Sequence[float]], points: Sequence[int]
) -> Fraction | float:
    """E[prod f_a] of a Gaussian with a mean: the mean on some points, pairings of the others."""
    total: Fraction | float = Fraction(0)
    for size in range(0, len(points) + 1, 2):
        for paired in combinations(range(len(points)), size):
            value = hafnian(covariance, tuple((0, points[k]) for k in paired))  # type: ignore[arg-type]
            for k in set(range(len(points))) - set(paired):
                value *= mean[points[k]]  # type: ignore[assignment]
            total += value
    return total


def mixture_cumulant(points: Sequence[int]) -> float:
    """Joint cumulant of the mixture, from its exact moments."""
    law = [
        (weight, lambda slots, m=m, c=c: gaussian_moment(m, c, [a for _, a in slots]))  # type: ignore[misc]
        for weight, m, c in zip(WEIGHTS, MEANS, COVARIANCES, strict=True)
    ]
    return float(exact_cumulant(law, tuple((0, int(a)) for a in points)))  # type: ignore[arg-type]


def mixture(count: int, draws: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means (M, 1, P), covariances (M, 1, P, P) and fields (M, draws, P) of networks of the mixture."""
    rng = np.random.default_rng(SEED + seed)
    kinds = rng.choice(3, size=count, p=[float(weight) for weight in WEIGHTS])
    mean = np.array(MEANS, dtype=float)[kinds][:, None]
    covariance = np.array(COVARIANCES, dtype=float)[kinds][:, None]
    roots = np.linalg.cholesky(np.array(COVARIANCES, dtype=float))[kinds]
    noise = np.einsum("mab,mkb->mka", roots, rng.standard_normal((count, draws, 2)))
    return mean, covariance, mean + noise


@pytest.mark.parametrize("kind", ["trained", "trained-conditional"])
@pytest.mark.parametrize("top", ORDERS)
def test_program_sums_the_moments_of_every_order(kind: str, top: int) -> None:
    layout = sum_layout(3, kind, [top])  # type: ignore[arg-type]
    assert list(layout.tables) == [sector_name((0,) * order) for order in range(1, top + 1)]
    program = build_program(layout)
    rng = np.random.default_rng(SEED)
    mean = rng.integers(-2, 3, size=(19, 3)).astype(float)
    hidden = rng.integers(-1, 2, size=(19, 4, 3)).astype(float)
    covariance = np.einsum("mka,mkb->mab", hidden, hidden)
    base = {"mean": mean, "covariance": packed(covariance)}
    if kind == "trained":
        base, covariance = {"fields": mean}, np.zeros_like(covariance)
    sums = block_sums(program, base)
    for name, table in layout.tables.items():
        expected = [
            sum(gaussian_moment(m, c, points) for m, c in zip(mean, covariance.tolist(), strict=True))
            for points in table.points.tolist()
        ]
        np.testing.assert_array_equal(sums[layout.slices[name]], np.array(expected, dtype=float))
    if kind == "trained-conditional":
        np.testing.assert_array_equal(sums[layout.slices["within"]], packed(covariance.sum(axis=0)))
        np.testing.assert_array_equal(layout.indices("within"), layout.pairs)
    assert sum(layout.sizes.values()) == program.n_sums == program.stages[:, 0].sum()


def population(kind: str) -> tuple[dict[str, np.ndarray], list[list[float]]]:
    """Six networks that are the mixture, or those whose fields are its means."""
    rows = [k for k, weight in enumerate(WEIGHTS) for _ in range(int(6 * weight))]
    mean = np.array(MEANS, dtype=float)[rows][:, None]
    if kind == "trained":
        return {"fields": mean}, mean[:, 0].tolist()
    return {"mean": mean, "covariance": np.array(COVARIANCES, dtype=float)[rows][:, None]}, []


@pytest.mark.parametrize("kind", ["trained", "trained-conditional"])
@pytest.mark.parametrize("order", ORDERS)
def test_cumulants_of_a_population_are_exact(kind: str, order: int) -> None:
    """One bin: nothing is corrected, the averages are those of the law itself."""
    samples, fields = population(kind)
    estimator = estimate_samples(sum_layout(2, kind, [6]), samples, 1, SHIFT)  # type: ignore[arg-type]
    result, moment = estimator.result(order), estimator.moment(order)
    assert result.variety == "connected"
    assert np.isnan(result.stderr).all()
    for row, points in enumerate(result.indices.tolist()):
        if kind == "trained":
            law = [
                (Fraction(1, 6), lambda slots, f=f: Fraction(np.prod([f[a] for _, a in slots])))
                for f in fields
            ]
            exact = float(exact_cumulant(law, tuple((0, a) for a in points)))  # type: ignore[arg-type]
            plain = np.mean([np.prod([f[a] for a in points]) for f in fields])
        else:
            exact = mixture_cumulant(points)
            plain = sum(
                float(w * gaussian_moment(m, c, points))
                for w, m, c in zip(WEIGHTS, MEANS, COVARIANCES, strict=True)
            )
        assert result.value[row] == pytest.approx(exact, abs=1e-11 * 10**order)
        assert moment.value[row] == pytest.approx(plain, abs=1e-11 * 10**order)


@pytest.mark.parametrize("bins", [7, 40])
@pytest.mark.parametrize("kind", ["trained", "trained-conditional"])
def test_the_shift_drops_out(kind: str, bins: int) -> None:
    mean, covariance, fields = mixture(200, 3, 1)
    samples = {"fields": fields} if kind == "trained" else {"mean": mean, "covariance": covariance}
    layout = sum_layout(2, kind, [4])  # type: ignore[arg-type]
    plain, shifted = (estimate_samples(layout, samples, bins, shift) for shift in (0.0, SHIFT))
    for order in range(1, 5):
        for one, other in (
            (plain.result(order), shifted.result(order)),
            (plain.moment(order), shifted.moment(order)),
        ):
            np.testing.assert_allclose(other.value, one.value, rtol=1e-10, atol=1e-11)
            np.testing.assert_allclose(other.stderr, one.stderr, rtol=1e-8)
    np.testing.assert_allclose(plain.excess_kurtosis().value, shifted.excess_kurtosis().value, rtol=1e-9)


def exact_scores(estimator: CorrelatorEstimator, orders: Sequence[int]) -> Iterator[tuple[float, float]]:
    """Deviations from the mixture's cumulants in errors, and the errors."""
    for order in orders:
        result = estimator.result(order)
        for points, value, error in zip(result.indices, result.value, result.stderr, strict=True):
            yield (value - mixture_cumulant(points)) / error, error


@pytest.mark.parametrize("draws", [1, 4])
def test_fields_have_the_cumulants_of_the_mixture(draws: int) -> None:
    """Orders 1 to 4; 40000 networks see 2 % of the variance, 10 % of kappa3 and of the larger kappa4."""
    _, _, fields = mixture(40_000, draws, 2)
    estimator = estimate_samples(sum_layout(2, "trained", [4]), {"fields": fields}, 64, SHIFT)
    assert max(abs(score) for score, _ in exact_scores(estimator, range(1, 5))) < SIGMA


def test_gaussians_given_the_network_have_the_cumulants_of_the_mixture() -> None:
    """Orders 1 to 6, from the law given the network; the error of kappa4 is a few per cent of it."""
    mean, covariance, _ = mixture(20_000, 1, 3)
    samples = {"mean": mean, "covariance": covariance}
    estimator = estimate_samples(sum_layout(2, "trained-conditional", [6]), samples, 50, SHIFT)
    assert max(abs(score) for score, _ in exact_scores(estimator, ORDERS)) < SIGMA
    four = estimator.result(4)
    assert four.stderr[0] < 0.05 * abs(mixture_cumulant([0, 0, 0, 0]))


def test_conditional_and_direct_estimates_of_the_same_networks_agree() -> None:
    mean, covariance, fields = mixture(5_000, 40, 4)
    direct = estimate_samples(sum_layout(2, "trained", [4]), {"fields": fields}, 50)
    samples = {"mean": mean, "covariance": covariance}
    conditional = estimate_samples(sum_layout(2, "trained-conditional", [4]), samples, 50)
    for order in range(1, 5):
        one, other = direct.replicates(order), conditional.replicates(order)
        difference = one.values - other.values
        paired = type(one)(difference, one.bin_counts, one.n_networks)
        assert np.all(abs(paired.value) < SIGMA * paired.stderr())
        assert np.all(other.stderr() < 1.02 * one.stderr())


def test_law_of_total_cumulance() -> None:
    """kappa3 = kappa3(m, m, m) + three terms Cov(m_a, C_bc), from the networks in one bin."""
    mean, covariance, _ = mixture(300, 1, 5)
    samples = {"mean": mean, "covariance": covariance}
    estimator = estimate_samples(sum_layout(2, "trained-conditional", [3]), samples, 1, SHIFT)
    centred, spread = mean[:, 0] - mean[:, 0].mean(axis=0), covariance[:, 0] - covariance[:, 0].mean(axis=0)
    for (a, b, c), value in zip(estimator.result(3).indices, estimator.result(3).value, strict=True):
        own = np.mean(centred[:, a] * centred[:, b] * centred[:, c])
        mixed = [np.mean(centred[:, i] * spread[:, j, k]) for i, j, k in ((a, b, c), (b, a, c), (c, a, b))]
        assert value == pytest.approx(own + sum(mixed), abs=1e-11)


def test_parts_within_and_between_networks() -> None:
    """Both parts of the two-point function add up to it, and are those of the mixture."""
    mean, covariance, _ = mixture(4_000, 1, 6)
    samples = {"mean": mean, "covariance": covariance}
    estimator = estimate_samples(sum_layout(2, "trained-conditional", [2]), samples, 40, SHIFT)
    within, between, two = estimator.within(), estimator.between(), estimator.result(2)
    np.testing.assert_allclose(within.value + between.value, two.value, rtol=1e-12)
    np.testing.assert_allclose(within.value, packed(covariance.mean(axis=(0, 1))), rtol=1e-12)
    np.testing.assert_allclose(between.value, packed(np.cov(mean[:, 0].T)), rtol=1e-3)
    exact = sum(float(w) * np.array(c, dtype=float) for w, c in zip(WEIGHTS, COVARIANCES, strict=True))
    assert np.all(abs(within.value - packed(exact)) < SIGMA * within.stderr)
    second = np.array([mixture_cumulant(pair) for pair in two.indices])
    assert np.all(abs(between.value - (second - packed(exact))) < SIGMA * between.stderr)
    with pytest.raises(UsageError, match="got the kind trained; needed trained-conditional"):
        CorrelatorEstimator(sum_layout(2, "trained", [2]), 4).within()
