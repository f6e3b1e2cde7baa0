"""Trained networks in bins: bias, several draws of one network, lost networks, shards, files, refusals."""

from __future__ import annotations

from itertools import product
from math import comb

import numpy as np
import pytest

from ensembles import estimate_samples
from nnft.errors import DataFileError, NumericalError, UsageError
from nnft.estimators.correlators import CorrelatorEstimator
from nnft.estimators.layout import sum_layout
from nnft.pipeline.checkpoint import all_estimates

SEED = 20240601
SIGMA = 5.85
LAYOUT = sum_layout(2, "trained", [4])
PAIRS = np.array([[[1.0, 2.0], [2.0, 1.0]], [[-1.0, 0.0], [1.0, -2.0]]])  # two networks of two draws each
CHANCE = np.array([0.25, 0.75])


def expectation(networks: int, order: int, corrected: bool = True) -> np.ndarray:
    """Exact expectation of the estimator over all ensembles of the two networks, a bin for each network."""
    total = np.zeros(len(LAYOUT.tables["S" + str(order) + ":" + "0" * order]))
    for first in range(networks + 1):
        chance = comb(networks, first) * CHANCE[0] ** first * CHANCE[1] ** (networks - first)
        rows = PAIRS[[0] * first + [1] * (networks - first)]
        bins = networks if corrected else 1
        total += chance * estimate_samples(LAYOUT, {"fields": rows}, bins).result(order).value
    return total


def exact(order: int) -> np.ndarray:
    """Cumulants of a sample of the two networks: an ensemble in which each is there by its chance."""
    rows = PAIRS[[0, 1, 1, 1]]
    return estimate_samples(LAYOUT, {"fields": rows}, 1).result(order).value


@pytest.mark.parametrize("networks", [2, 3, 6])
def test_mean_and_covariance_have_no_bias(networks: int) -> None:
    for order in (1, 2):
        np.testing.assert_allclose(expectation(networks, order), exact(order), rtol=1e-11)
    plain = expectation(networks, 2, corrected=False)
    assert np.all(abs(plain - exact(2)) > 0.05 / networks * abs(exact(2)).max())


@pytest.mark.parametrize("order", [2, 3, 4])
def test_an_error_needs_one_network_more_than_the_value(order: int) -> None:
    """Without a bin fewer networks than the order are left: all replicates agree, whatever the networks."""
    rng = np.random.default_rng(SEED)
    for networks, known in ((order, False), (order + 1, True)):
        estimator = estimate_samples(LAYOUT, {"fields": rng.normal(size=(networks, 1, 2))}, networks)
        found = estimator.result(order)
        assert np.isfinite(found.value).all()
        assert np.isfinite(found.stderr).all() == known
        assert found.unreliable.all() != known
        assert found.bins.shape == (networks * known, len(found.value))
        assert np.isfinite(estimator.replicates(order).stderr()).all() == known
    if order == 4:
        kurtosis = estimate_samples(LAYOUT, {"fields": rng.normal(size=(4, 1, 2))}, 4).excess_kurtosis()
        assert np.isfinite(kurtosis.value).all()
        assert np.isnan(kurtosis.stderr).all()


@pytest.mark.parametrize("networks", [3, 5, 8])
def test_the_third_cumulant_has_the_bias_of_second_order_that_is_known(networks: int) -> None:
    """-2 kappa3(network means) / M (M - 1) is left: 2 E[m]^3 has it, the jackknife removes 1/M only."""
    means = PAIRS.mean(axis=1)[[0, 1, 1, 1]] - PAIRS.mean(axis=1)[[0, 1, 1, 1]].mean(axis=0)
    table = LAYOUT.tables["S3:000"].points
    left = -2.0 * means[:, table].prod(axis=2).mean(axis=0) / (networks * (networks - 1))
    np.testing.assert_allclose(expectation(networks, 3) - exact(3), left, rtol=1e-9, atol=1e-12)


def test_the_bias_of_the_fourth_cumulant_falls_as_the_square() -> None:
    """Exact expectations at 8 and 16 networks: a quarter or a little less; a half without the correction."""
    for corrected, low, high in ((True, 0.15, 0.3), (False, 0.45, 0.65)):
        small, large = (
            abs(expectation(m, 4, corrected) - exact(4)).max() / abs(exact(4)).max() for m in (8, 16)
        )
        assert low < large / small < high


def drawn(networks: int, draws: int, seed: int, noise: float = 0.3) -> np.ndarray:
    """Fields (M, draws, P): a mean of each network, and a little noise of each draw."""
    rng = np.random.default_rng(SEED + seed)
    return 1.0 + rng.normal(size=(networks, 1, 2)) + noise * rng.normal(size=(networks, draws, 2))


def summed(fields: np.ndarray, bins: int) -> CorrelatorEstimator:
    """Orders 1 and 2 of fields (M, draws, P), added up at once: as many networks in every bin."""
    estimator = CorrelatorEstimator(sum_layout(2, "trained", [2]), bins, draws=fields.shape[1])
    groups = fields.reshape(bins, -1, 2)
    estimator.sums["S1:0"][:] = groups.sum(axis=1)
    estimator.sums["S2:00"][:] = (groups[:, :, [0, 0, 1]] * groups[:, :, [0, 1, 1]]).sum(axis=1)
    estimator.counts += len(fields) // bins
    return estimator


def test_errors_know_that_draws_of_one_network_belong_together() -> None:
    """300 ensembles of 300 networks with 10 draws: the errors are the spread, which is known to 4.5 %.

    As if draws were independent the error of the mean would be a third of that.
    """
    results = []
    for repeat in range(300):
        estimator = summed(drawn(300, 10, 100 + repeat), 50)
        results.append([(estimator.result(order).value, estimator.result(order).stderr) for order in (1, 2)])
    exacts = (np.ones(2), np.array([1.09, 0.0, 1.09]))
    for order in (0, 1):
        values, errors = (np.array([result[order][k] for result in results]) for k in (0, 1))
        spread = values.std(axis=0, ddof=1)
        np.testing.assert_allclose(np.sqrt((errors**2).mean(axis=0)), spread, rtol=SIGMA * 0.045)
        assert np.all(abs(values.mean(axis=0) - exacts[order]) < SIGMA * spread / np.sqrt(300))


def test_draws_divide_every_average() -> None:
    """Every network twice: the same averages, by twice the sums and two draws."""
    fields = drawn(64, 3, 1)
    one = estimate_samples(LAYOUT, {"fields": fields}, 8, 0.5)
    two = estimate_samples(LAYOUT, {"fields": np.concatenate([fields, fields], axis=1)}, 8, 0.5)
    assert (one.draws, two.draws) == (3, 6)
    for order in range(1, 5):
        np.testing.assert_allclose(two.result(order).value, one.result(order).value, rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(two.moment(order).stderr, one.moment(order).stderr, rtol=1e-9)


def test_lost_networks_are_not_counted() -> None:
    fields = drawn(64, 2, 2)
    kept = [m for m in range(64) if m not in (3, 11, 17) and m % 8 != 5]  # bin 5 is lost as a whole
    lost = CorrelatorEstimator(LAYOUT, 8, np.zeros(2), draws=2)
    for m in kept:
        single = estimate_samples(LAYOUT, {"fields": fields[m : m + 1]}, 1)
        lost.push(m % 8, 1, np.concatenate([single.sums[name][0] for name in LAYOUT.sizes]))
    result = lost.result(2)
    assert result.n_networks == len(kept) == 53
    assert result.bin_counts.tolist() == [8, 7, 8, 6, 8, 8, 8]
    sample = fields[kept].reshape(-1, 2)
    covariance = np.cov(sample.T, ddof=0)[np.triu_indices(2)]
    np.testing.assert_allclose(result.value, covariance, rtol=0.05)
    np.testing.assert_allclose(lost.result(1).value, sample.mean(axis=0), rtol=1e-12)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_replicates_are_the_results_without_a_bin(order: int) -> None:
    fields = drawn(40, 2, 3)
    estimator = estimate_samples(LAYOUT, {"fields": fields}, 10, 1.0)
    result, rows = estimator.result(order), estimator.replicates(order)
    np.testing.assert_array_equal(rows.value, result.value)
    np.testing.assert_allclose(rows.stderr(), result.stderr, rtol=1e-12)
    np.testing.assert_allclose(rows.covariance(), result.covariance(), rtol=1e-8, atol=1e-14)
    chosen = estimator.replicates(order, None, result.indices[[-1, 0]])
    np.testing.assert_array_equal(chosen.values, rows.values[:, [-1, 0]])
    plain = estimate_samples(LAYOUT, {"fields": fields}, 1, 1.0).result(order).value
    keep = np.arange(40) % 10 != 4
    alone = estimate_samples(LAYOUT, {"fields": fields[keep]}, 1, 1.0).result(order).value
    bias = (plain - result.value) * 40 / 36
    np.testing.assert_allclose(rows.values[5], alone - bias, rtol=1e-9, atol=1e-12)


def test_excess_kurtosis_is_the_ratio_of_cumulants() -> None:
    estimator = estimate_samples(LAYOUT, {"fields": drawn(5000, 1, 4)}, 50, 1.0)
    found = estimator.excess_kurtosis()
    four, two = estimator.replicates(4).values[:, [0, -1]], estimator.replicates(2).values[:, [0, -1]]
    ratio = four[0] / two[0] ** 2
    assert np.all(abs(found.value - ratio) < 0.1 * found.stderr)
    assert np.all(abs(found.value) < SIGMA * found.stderr)
    assert np.all(found.stderr < 0.15)


@pytest.mark.parametrize("kind", ["trained", "trained-conditional"])
def test_shards_and_arrays(kind: str) -> None:
    """Integer fields: sums in any order are the same bits."""
    rng = np.random.default_rng(SEED)
    samples = {"fields": rng.integers(-3, 4, size=(48, 2, 2)).astype(float)}
    if kind == "trained-conditional":
        roots = rng.integers(-2, 3, size=(48, 2, 2, 2)).astype(float)
        samples = {"mean": samples["fields"], "covariance": np.einsum("mrka,mrkb->mrab", roots, roots)}
    layout = sum_layout(2, kind, [3])  # type: ignore[arg-type]
    shift = np.array([0.5, 1.0])
    whole = estimate_samples(layout, samples, 8, shift)
    halves = [{name: rows[part] for name, rows in samples.items()} for part in (slice(16), slice(16, 48))]
    first, second = (estimate_samples(layout, half, 8, shift) for half in halves)
    first.merge(second)
    arrays = first.to_arrays()
    assert arrays["layout"].tolist() == [3 if kind == "trained" else 4, 2, 1, 2, 0]
    assert arrays["draws"].dtype == np.int64
    assert (int(arrays["draws"]), arrays["field_shift"].tolist()) == (2, [0.5, 1.0])
    assert arrays["indices/S1:0"].tolist() == [[0], [1]]
    assert ("sums/within" in arrays) == (kind == "trained-conditional")
    again = CorrelatorEstimator.from_arrays(arrays)
    assert (again.layout, again.draws) == (layout, 2)
    for name, table in whole.sums.items():
        np.testing.assert_array_equal(again.sums[name], table)
    for order in (1, 2, 3):
        np.testing.assert_array_equal(again.result(order).value, whole.result(order).value)
        np.testing.assert_array_equal(again.result(order).stderr, whole.result(order).stderr)
    for damage in ({"draws": np.array(0)}, {"field_shift": np.zeros(3)}, {"sums/S1:0": np.zeros((8, 3))}):
        with pytest.raises(DataFileError, match="unusable estimator"):
            CorrelatorEstimator.from_arrays(arrays | damage)
    del arrays["draws"]
    with pytest.raises(DataFileError, match="draws"):
        CorrelatorEstimator.from_arrays(arrays)


def test_shards_of_other_draws_or_shifts_are_refused() -> None:
    one = CorrelatorEstimator(LAYOUT, 8, draws=2)
    for other in (CorrelatorEstimator(LAYOUT, 8), CorrelatorEstimator(LAYOUT, 8, [0.0, 1.0], draws=2)):
        with pytest.raises(UsageError, match="different layouts, bins, shifts or draws"):
            one.merge(other)


def test_other_kinds_are_stored_as_before() -> None:
    arrays = CorrelatorEstimator(sum_layout(2, "conditional", [4]), 8).to_arrays()
    assert set(arrays) == {
        *("count", "shift", "layout", "orders", "layers"),
        *(f"{part}/{name}" for part, name in product(("sums", "indices"), ("S2:00", "S4:0000"))),
    }
    assert arrays["layout"].tolist() == [0, 2, 1, 2, 0]


@pytest.mark.parametrize("kind", ["trained", "trained-conditional"])
def test_empty_ensembles_and_few_networks(kind: str) -> None:
    layout = sum_layout(2, kind, [4])  # type: ignore[arg-type]
    empty = CorrelatorEstimator(layout, 8)
    for order in range(1, 5):
        assert np.isnan(empty.result(order).value).all()
        assert np.isnan(empty.moment(order).value).all()
    assert np.isnan(empty.excess_kurtosis().value).all()
    assert empty.effective_sample_size() is None
    samples = {"fields": drawn(3, 1, 5)}
    if kind == "trained-conditional":
        assert np.isnan(empty.within().value).all()
        assert np.isnan(empty.between().value).all()
        samples = {"mean": samples["fields"], "covariance": np.ones((3, 1, 2, 2))}
    few = estimate_samples(layout, samples, 8)
    assert np.isfinite(few.result(3).value).all()
    with pytest.raises(NumericalError, match="got 3, needed 4; run more networks"):
        few.result(4)
    single = estimate_samples(layout, {name: rows[:1] for name, rows in samples.items()}, 8)
    assert np.isnan(single.result(1).stderr).all()
    with pytest.raises(NumericalError, match="got 1, needed 2"):
        single.result(2)
    if kind == "trained-conditional":
        assert single.within().value.tolist() == [1.0, 1.0, 1.0]
        with pytest.raises(NumericalError, match="got 1, needed 2"):
            single.between()


def test_all_estimates_are_those_that_there_are_networks_for() -> None:
    layout = sum_layout(2, "trained-conditional", [4])
    assert all_estimates(CorrelatorEstimator(layout, 8)) == {}
    samples = {"mean": drawn(3, 1, 5), "covariance": np.ones((3, 1, 2, 2))}
    names = set(all_estimates(estimate_samples(layout, samples, 8)))
    parts = {"covariance_within", "covariance_between"}
    assert names == {*(f"connected_{k}" for k in (1, 2, 3)), *(f"moment_{k}" for k in (1, 2, 3, 4)), *parts}
    more = {name: np.concatenate([rows, rows]) for name, rows in samples.items()}
    found = all_estimates(estimate_samples(layout, more, 8), moments=False)
    assert set(found) == {*(f"connected_{k}" for k in (1, 2, 3, 4)), "excess_kurtosis", *parts}
    assert (found["connected_3"]["pattern"], found["connected_3"]["estimator"]) == ("000", layout.kind)
    trained = all_estimates(estimate_samples(LAYOUT, {"fields": drawn(6, 2, 6)}, 6))
    assert not parts & set(trained)


def test_refusals() -> None:
    for orders in ([7], [0], [2, 8]):
        with pytest.raises(UsageError, match=r"unknown order in correlators: got .; use 1 to 6"):
            sum_layout(2, "trained", orders)
    with pytest.raises(UsageError, match="nothing to estimate"):
        sum_layout(2, "trained", [])
    with pytest.raises(UsageError, match="impossible sums of trained networks: got 2 outputs"):
        sum_layout(2, "trained", [2], outputs=2)
    with pytest.raises(UsageError, match=r"impossible sums of trained networks: got 1 outputs, layers \[2\]"):
        sum_layout(2, "trained-conditional", [2], layers=(2,))
    with pytest.raises(UsageError, match="impossible samples of a network in the estimator: got 0"):
        CorrelatorEstimator(LAYOUT, 8, draws=0)
    with pytest.raises(UsageError, match="impossible samples of a network in the estimator: got 2"):
        CorrelatorEstimator(sum_layout(2, "direct", [2]), 8, draws=2)
    with pytest.raises(
        UsageError, match=r"wrong shape of the shift of the estimator: got \(3,\); give 2 points"
    ):
        CorrelatorEstimator(LAYOUT, 8, np.zeros(3))
    with pytest.raises(UsageError, match="sector not in the estimator: got S2:01; use one of S1:0 S2:00"):
        CorrelatorEstimator(LAYOUT, 8).result(2, "01")
