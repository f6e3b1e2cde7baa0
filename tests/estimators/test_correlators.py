"""The estimator from the sums of networks to correlators, moments and their errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from itertools import combinations_with_replacement, product
from math import factorial, prod
from pathlib import Path

import numpy as np
import pytest
from exact_laws import METRICS, conditional_law, direct_law, exact_cumulant, exact_moment, field_tables

from ensembles import estimate_fields, estimate_metrics, packed, wishart_metrics
from nnft.errors import DataFileError, NumericalError, UsageError
from nnft.estimators.correlators import CorrelatorEstimator
from nnft.estimators.layout import SumLayout, sum_layout
from nnft.estimators.results import Correlator

REFERENCE = Path(__file__).parents[1] / "reference" / "kstatistics.json"


def slots_of(result: Correlator) -> list[tuple[tuple[int, int], ...]]:
    return [tuple(zip(result.pattern, row, strict=True)) for row in result.indices.tolist()]


def samples(probabilities: list[float], size: int) -> Iterator[tuple[float, list[int]]]:
    """All samples up to their order, with the probability of any order."""
    for sample in combinations_with_replacement(range(len(probabilities)), size):
        orders = factorial(size) / prod(factorial(sample.count(k)) for k in set(sample))
        yield orders * prod(probabilities[k] for k in sample), list(sample)


@pytest.mark.parametrize(("order", "outputs"), [(4, 2), (6, 3), (8, 2)])
def test_conditional_results_averaged_over_all_samples_are_exact(order: int, outputs: int) -> None:
    law = conditional_law()
    metrics = np.array(METRICS, dtype=np.float64)[:, :2, :2]
    layout = sum_layout(2, "conditional", [order], outputs=outputs)
    shift = np.array([1.25, 0.5, 2.0])
    names = [name for name in layout.tables if layout.tables[name].order == order]
    averages = {name: np.zeros((2, len(layout.tables[name]))) for name in names}
    for weight, sample in samples([float(p) for p, _ in law], order // 2):
        estimator = estimate_metrics(layout, {2: metrics[sample]}, 1, {2: shift})
        for name in names:
            averages[name][0] += weight * estimator.result(order, name[3:]).value
            averages[name][1] += weight * estimator.moment(order, name[3:]).value
    for name in names:
        slots = slots_of(estimator.result(order, name[3:]))
        exact = [[float(function(law, s)) for s in slots] for function in (exact_cumulant, exact_moment)]
        np.testing.assert_allclose(averages[name], exact, rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize(("order", "outputs"), [(4, 2), (6, 2)])
def test_direct_results_averaged_over_all_samples_are_exact(order: int, outputs: int) -> None:
    law = direct_law(outputs)
    fields = np.array(field_tables(outputs), dtype=np.float64)[:, :, :2]
    layout = sum_layout(2, "direct", [order], outputs=outputs)
    names = [name for name in layout.tables if layout.tables[name].order == order]
    averages = {name: np.zeros((2, len(layout.tables[name]))) for name in names}
    for weight, sample in samples([float(p) for p, _ in law], order // 2):
        estimator = estimate_fields(layout, fields[sample], 1)
        for name in names:
            averages[name][0] += weight * estimator.result(order, name[3:]).value
            averages[name][1] += weight * estimator.moment(order, name[3:]).value
    for name in names:
        slots = slots_of(estimator.result(order, name[3:]))
        exact = [[float(function(law, s)) for s in slots] for function in (exact_cumulant, exact_moment)]
        np.testing.assert_allclose(averages[name], exact, rtol=1e-10, atol=1e-9)


def test_mixture_of_two_gaussians() -> None:
    entry = next(
        e for e in json.loads(REFERENCE.read_text())["entries"] if e["id"] == "rao-blackwell-mixture"
    )
    both = np.array([entry["inputs"]["Ghat_a"], entry["inputs"]["Ghat_b"]])
    layout = sum_layout(2, "conditional", [6])
    p_a = entry["inputs"]["p_a"]
    found = np.zeros(3)
    for sample in product((0, 1), repeat=3):
        weight = prod(p_a if k == 0 else 1 - p_a for k in sample)
        estimator = estimate_metrics(layout, {2: both[list(sample)]}, 1, {2: packed(both[0])})
        values = [
            estimator.result(2).dense()[0, 1],
            estimator.result(4).dense()[0, 0, 1, 1],
            estimator.result(6).dense()[0, 0, 0, 0, 1, 1],
        ]
        found += weight * np.array(values)
    exact = [entry["values"][key]["value"] for key in ("E_phi0phi1", "kappa4_0011", "kappa6_000011")]
    np.testing.assert_allclose(found, exact, rtol=1e-12)


def test_replicates_equal_estimates_without_a_bin() -> None:
    layout = sum_layout(2, "conditional", [6], outputs=2)
    metrics = wishart_metrics(60, 2, 5, seed=20240610)
    shift = {2: packed(metrics.mean(axis=0))}
    result = estimate_metrics(layout, {2: metrics}, 7, shift).result(6, "000011")
    for b in range(7):
        rest = metrics[np.arange(60) % 7 != b]
        without = estimate_metrics(layout, {2: rest}, 3, shift).result(6, "000011").value
        ratio = 60 / result.bin_counts[b]
        np.testing.assert_allclose(
            result.bins[b], ratio * result.value - (ratio - 1) * without, rtol=1e-8, atol=1e-12
        )
    np.testing.assert_allclose(np.sqrt(np.diag(result.covariance())), result.stderr, rtol=1e-10)


@cache
def wishart_estimator(width: int) -> tuple[np.ndarray, CorrelatorEstimator]:
    metrics = wishart_metrics(80_000, 2, width, seed=20240611)
    mean = np.array([[1.1, np.exp(-4.0)], [np.exp(-4.0), 1.1]])
    layout = sum_layout(2, "conditional", [6], outputs=3)
    return mean, estimate_metrics(layout, {2: metrics}, 100, {2: packed(mean)})


@pytest.mark.parametrize(
    ("order", "pattern"), [(2, "00"), (4, "0000"), (4, "0011"), (6, "000000"), (6, "001122")]
)
def test_wishart_cumulants_within_errors(order: int, pattern: str) -> None:
    """A linear network of one hidden layer: kappa_k of Ghat are traces over cyclic pairings."""
    width = 4
    mean, estimator = wishart_estimator(width)
    result = estimator.result(order, pattern)
    a, c = mean[0, 0], mean[0, 1]
    exact = {"00": a, "0000": 6 * a**2 / width, "0011": 2 * a**2 / width}
    exact |= {"000000": 15 * 8 * a**3 / width**2, "001122": 8 * a**3 / width**2}
    z = (result.value[0] - exact[pattern]) / result.stderr[0]
    assert abs(z) < 5.85
    assert (5.85 + 4.75) * result.stderr[0] < 0.25 * exact[pattern]
    if order == 4 and pattern == "0011":
        cross = result.dense()[0, 0, 1, 1], result.dense()[0, 1, 0, 1]
        assert cross[1] == pytest.approx((a * a + c * c) / width, rel=0.2)
        assert cross[0] == pytest.approx(2 * c * c / width, abs=5.85 * result.stderr[2])


def test_a_shift_that_is_slightly_wrong_changes_nothing() -> None:
    layout = sum_layout(3, "conditional", [6], outputs=2)
    metrics = wishart_metrics(4000, 3, 64, seed=20240612)
    mean = packed(metrics.mean(axis=0))
    right = estimate_metrics(layout, {2: metrics}, 32, {2: mean})
    wrong = estimate_metrics(layout, {2: metrics}, 32, {2: mean * 1.001})
    for order in (2, 4, 6):
        first, second = right.result(order), wrong.result(order)
        scale = np.abs(first.value).max()
        np.testing.assert_allclose(second.value, first.value, rtol=1e-9, atol=1e-9 * scale)
        np.testing.assert_allclose(second.stderr, first.stderr, rtol=1e-6)
        np.testing.assert_allclose(second.value, first.value, rtol=1e-9, atol=1e-9 * scale)
        np.testing.assert_allclose(wrong.moment(order).value, right.moment(order).value, rtol=1e-9)


def test_mean_much_larger_than_spread() -> None:
    rng = np.random.default_rng(20240613)
    spread = rng.integers(-1, 2, (3200, 1, 1)).astype(np.float64)
    layout = sum_layout(1, "conditional", [4])
    estimator = estimate_metrics(layout, {2: 1e8 + spread}, 32, {2: np.array([1e8 + 0.25])})
    assert estimator.result(4).value[0] == pytest.approx(3 * spread.var(ddof=1), rel=1e-6)
    assert estimator.result(2).value[0] == pytest.approx(1e8, rel=1e-8)


def test_excess_kurtosis_of_every_point() -> None:
    layout = sum_layout(2, "conditional", [4])
    metrics = wishart_metrics(20_000, 2, 6, seed=20240614)
    estimate = estimate_metrics(
        layout, {2: metrics}, 50, {2: packed(metrics[:100].mean(axis=0))}
    ).excess_kurtosis()
    diagonal = metrics[:, [0, 1], [0, 1]]
    expected = 3 * diagonal.var(axis=0, ddof=1) / diagonal.mean(axis=0) ** 2
    np.testing.assert_allclose(estimate.value, expected, rtol=1e-10)
    assert np.all(np.abs(estimate.value - 1.0) < 5.85 * estimate.stderr)
    assert np.all(10.6 * estimate.stderr < 0.5)
    assert estimate.indices.tolist() == [[0], [1]]


def small_layout(kind: str = "conditional") -> SumLayout:
    return sum_layout(2, kind, [4], outputs=2, last_layer=3, layers=(2, 3))  # type: ignore[arg-type]


def integer_estimator(seed: int, bins: int = 4) -> CorrelatorEstimator:
    rng = np.random.default_rng(seed)
    estimator = CorrelatorEstimator(small_layout(), bins, np.ones(3), {2: np.full(3, 0.5)})
    for b in range(bins):
        estimator.push(b, int(rng.integers(1, 9)), rng.integers(-9, 9, estimator.layout.n_sums).astype(float))
    return estimator


def assert_same(first: CorrelatorEstimator, second: CorrelatorEstimator) -> None:
    left, right = first.to_arrays(), second.to_arrays()
    assert left.keys() == right.keys()
    for name, array in left.items():
        assert array.dtype == right[name].dtype
        np.testing.assert_array_equal(array, right[name])


def test_merge_is_associative_and_equals_one_pass() -> None:
    def parts() -> list[CorrelatorEstimator]:
        return [integer_estimator(20240620 + k) for k in range(3)]

    a, b, c = parts()
    a.merge(b)
    a.merge(c)
    d, e, f = parts()
    e.merge(f)
    d.merge(e)
    assert_same(a, d)
    assert a.n_networks == sum(part.n_networks for part in parts())
    once = parts()[0]
    for part in parts()[1:]:
        for bin_index in range(4):
            flat = np.concatenate([part.sums[name][bin_index] for name in part.layout.sizes])
            once.push(bin_index, int(part.counts[bin_index]), flat)
    assert_same(once, a)


def test_only_shards_of_one_specification_merge() -> None:
    a = integer_estimator(20240623)
    for other in (
        CorrelatorEstimator(small_layout(), 4, np.zeros(3), {2: np.full(3, 0.5)}),
        CorrelatorEstimator(small_layout(), 4, np.ones(3)),
        CorrelatorEstimator(small_layout(), 5, np.ones(3), {2: np.full(3, 0.5)}),
        CorrelatorEstimator(small_layout("direct"), 4, np.ones(3), {2: np.full(3, 0.5)}),
    ):
        with pytest.raises(UsageError, match="merge"):
            a.merge(other)


def test_arrays_carry_the_whole_estimator() -> None:
    a = integer_estimator(20240624)
    arrays = {name: array.copy() for name, array in a.to_arrays().items()}
    for array in arrays.values():
        array.flags.writeable = False
    again = CorrelatorEstimator.from_arrays(arrays)
    assert again.layout == a.layout
    assert_same(a, again)
    np.testing.assert_array_equal(again.result(4, "0011").value, a.result(4, "0011").value)
    np.testing.assert_array_equal(arrays["indices/S4:0011"], a.result(4, "0011").indices)
    again.merge(a)
    assert again.n_networks == 2 * a.n_networks
    np.testing.assert_array_equal(arrays["sums/S2:00"], a.sums["S2:00"])


@pytest.mark.parametrize("name", ["sums/S4:0000", "count", "layout", "orders", "shift", "layer_shift/2"])
def test_damaged_arrays_are_refused(name: str) -> None:
    arrays = integer_estimator(20240625).to_arrays()
    with pytest.raises(DataFileError, match="result file"):
        CorrelatorEstimator.from_arrays({key: array for key, array in arrays.items() if key != name})
    with pytest.raises(DataFileError, match="result file"):
        CorrelatorEstimator.from_arrays(arrays | {name: arrays[name][:-1]})


def test_an_empty_estimator_gives_nan_with_count_zero() -> None:
    estimator = CorrelatorEstimator(small_layout(), 32)
    for result in (estimator.result(4), estimator.moment(2), estimator.excess_kurtosis()):
        assert result.n_networks == 0
        assert np.isnan(result.value).all()
        assert np.isnan(result.stderr).all()
        assert result.unreliable.all()
        assert result.bins.shape == (0, len(result.value))
    assert np.isnan(estimator.layer_kernel(2).value).all()


def test_too_few_networks_name_needed_and_found() -> None:
    layout = sum_layout(1, "conditional", [8])
    estimator = CorrelatorEstimator(layout, 32)
    for b in range(3):
        estimator.push(b, 1, np.full(layout.n_sums, float(b)))
    with pytest.raises(NumericalError, match="got 3, needed 4") as caught:
        estimator.result(8)
    assert caught.value.exit_code == 5
    enough = estimator.result(6)
    assert np.isfinite(enough.value).all()
    assert np.isnan(enough.stderr).all()
    assert enough.unreliable.all()
    assert np.isfinite(estimator.result(4).stderr).all()


@pytest.mark.parametrize("kind", ["conditional", "direct"])
def test_zero_variance_divides_by_nothing(kind: str) -> None:
    layout = sum_layout(2, kind, [4])  # type: ignore[arg-type]
    estimator = CorrelatorEstimator(layout, 32)
    for b in range(32):
        estimator.push(b, 10, np.zeros(layout.n_sums))
    four = estimator.result(4)
    assert not four.value.any()
    assert not four.stderr.any()
    assert not four.unreliable.any()
    kurtosis = estimator.excess_kurtosis()
    assert np.isnan(kurtosis.value).all()
    assert kurtosis.unreliable.all()


def test_empty_and_short_bins_are_allowed() -> None:
    layout = sum_layout(2, "conditional", [4])
    metrics = wishart_metrics(50, 2, 5, seed=20240626)
    wide = estimate_metrics(layout, {2: metrics}, 64, {})
    narrow = estimate_metrics(layout, {2: metrics}, 50, {})
    np.testing.assert_allclose(wide.result(4).value, narrow.result(4).value, rtol=1e-12)
    np.testing.assert_allclose(wide.result(4).stderr, narrow.result(4).stderr, rtol=1e-10)
    assert len(wide.result(4).bin_counts) == 50


def test_misuse_is_refused() -> None:
    estimator = integer_estimator(20240627)
    flat = np.zeros(estimator.layout.n_sums)
    for bin_index, count, sums in [(4, 1, flat), (-1, 1, flat), (0, -1, flat), (0, 1, flat[:-1])]:
        with pytest.raises(UsageError, match="block"):
            estimator.push(bin_index, count, sums)
    with pytest.raises(UsageError, match="S6:000000"):
        estimator.result(6)
    with pytest.raises(UsageError, match="S4:0110"):
        estimator.result(4, (0, 1, 1, 0))
    with pytest.raises(UsageError, match="bins"):
        CorrelatorEstimator(small_layout(), 0)
    with pytest.raises(UsageError, match="shift"):
        CorrelatorEstimator(small_layout(), 4, np.zeros(2))


def test_bins_of_an_old_result_are_refused() -> None:
    estimator = integer_estimator(20240628)
    result = estimator.result(4)
    assert result.bins.shape == (4, 5)
    estimator.push(0, 1, np.zeros(estimator.layout.n_sums))
    with pytest.raises(UsageError, match="old result"):
        _ = result.bins
