"""Ratios of weighted sums: against plain weighted averages, their bias, the effective sample size."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from ensembles import block_sums, packed
from nnft.errors import DataFileError, NumericalError, UsageError
from nnft.estimators.correlators import CorrelatorEstimator
from nnft.estimators.jackknife import Jackknife
from nnft.estimators.kstatistics import cumulant_terms, samples_needed, set_partitions
from nnft.estimators.layout import WEIGHT_SUMS, SumLayout, sum_layout
from nnft.estimators.program import AccumulationProgram, build_program
from nnft.estimators.reweighting import effective_sample_size, without_bias

SEED = 20240601
LAYOUT = sum_layout(2, "reweighted", [6], outputs=3, last_layer=3, layers=(2, 3))


class Networks:
    """Outputs (M, R, D, P), weights (M, R) and metrics (M, P, P) of some networks."""

    def __init__(self, count: int, readouts: int, seed: int, spread: float = 0.5) -> None:
        rng = np.random.default_rng(SEED + seed)
        self.fields = rng.normal(size=(count, readouts, 3, 2)) @ np.array([[1.0, 0.4], [0.0, 0.8]])
        self.weights = np.exp(spread * rng.normal(size=(count, readouts)))
        hidden = rng.normal(size=(2, count, 4, 2))
        self.metrics = dict(zip((2, 3), np.einsum("lmka,lmkb->lmab", hidden, hidden), strict=True))

    def push(self, layout: SumLayout, bins: int, shifts: dict[int, np.ndarray]) -> CorrelatorEstimator:
        """Estimator of these networks, dealt to the bins in turn."""
        program = build_program(layout)
        estimator = CorrelatorEstimator(layout, bins, None, shifts)
        for b in range(bins):
            part = slice(b, None, bins)
            count = len(self.weights[part])
            if count:
                estimator.push(b, count, self._sums(program, part, shifts))
        return estimator

    def _sums(self, program: AccumulationProgram, part: slice, shifts: dict[int, np.ndarray]) -> np.ndarray:
        stages = program.readout_stages
        sums = np.zeros(program.n_sums)
        readouts = self.weights.shape[1]
        labels = program.layout.outputs
        kernels = {f"kernel_{k}": packed(m[part]) - shifts.get(k, 0.0) for k, m in self.metrics.items()}
        zero = np.zeros((len(self.weights[part]), 1))
        for r in range(readouts + 1):
            whole = r == readouts
            weight = self.weights[part].sum(axis=1) if whole else self.weights[part, r]
            some = program.stages[stages:] if whole else program.stages[:stages]
            piece = AccumulationProgram(
                program.layout, some, program.index, program.n_slots, program.base_slots
            )
            fields = self.fields[part, min(r, readouts - 1), :labels].reshape(len(zero), -1)
            sums += block_sums(piece, {"fields": fields, "weight": weight[:, None], "cut": zero, **kernels})
        return sums

    def average(self, values: np.ndarray) -> float:
        """Weighted average of values (M, R)."""
        return float((self.weights * values).sum() / self.weights.sum())


def relabelled(slots: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Slots with the labels that their moment is stored under: outputs are exchangeable."""
    groups = [sorted(a for i, a in slots if i == label) for label in sorted({i for i, _ in slots})]
    groups.sort(key=lambda group: (-len(group), group))
    return [(label, a) for label, group in enumerate(groups) for a in group]


def plain_cumulant(networks: Networks, slots: tuple[tuple[int, int], ...]) -> float:
    """Joint cumulant of the slots (label, point) from weighted averages; odd moments are left out."""
    total = 0.0
    for blocks in set_partitions(len(slots)):
        product = float((-1) ** (len(blocks) - 1) * np.prod(np.arange(1, len(blocks))))
        for block in blocks:
            labels = [slots[k][0] for k in block]
            if any(labels.count(label) % 2 for label in labels):
                product = 0.0
                break
            known = relabelled([slots[k] for k in block])
            outputs = [networks.fields[:, :, i, a] for i, a in known]
            product *= networks.average(np.prod(outputs, axis=0))
        total += product
    return total


@pytest.fixture(scope="module")
def many() -> tuple[Networks, CorrelatorEstimator]:
    networks = Networks(400, 3, 1)
    shifts = {2: np.array([4.0, 0.1, 3.0]), 3: np.array([3.5, 0.0, 4.2])}
    return networks, networks.push(LAYOUT, 32, shifts)


def one_bin(estimator: CorrelatorEstimator) -> CorrelatorEstimator:
    """The same sums in one bin: there is nothing to take a bias from."""
    joined = CorrelatorEstimator(estimator.layout, 1, None, estimator.layer_shifts)
    sums = {name: table.sum(axis=0) for name, table in estimator.sums.items()}
    joined.push(0, estimator.n_networks, np.concatenate([sums[name] for name in estimator.layout.sizes]))
    return joined


@pytest.mark.parametrize("name", list(LAYOUT.tables))
def test_cumulants_and_moments_of_weighted_averages(many: Any, name: str) -> None:
    networks, estimator = many
    table, plain = LAYOUT.tables[name], one_bin(estimator)
    connected, moment = (f(table.order, table.pattern) for f in (plain.result, plain.moment))
    for row, points in enumerate(table.points.tolist()[::3]):
        slots = tuple(zip(table.pattern, points, strict=True))
        assert connected.value[3 * row] == pytest.approx(plain_cumulant(networks, slots), abs=1e-10)
        products = np.prod([networks.fields[:, :, i, a] for i, a in slots], axis=0)
        assert moment.value[3 * row] == pytest.approx(networks.average(products), abs=1e-10)


def test_metrics_are_averaged_with_the_weights_of_networks(many: Any) -> None:
    networks, estimator = many
    weight = networks.weights.sum(axis=1)
    plain = one_bin(estimator)
    for layer, metric in networks.metrics.items():
        kernel = plain.layer_kernel(layer)
        mean = np.average(metric, axis=0, weights=weight)
        np.testing.assert_allclose(kernel.value, mean, rtol=1e-12)
        for row, points in enumerate(kernel.vertex.indices.tolist()):
            a, b, c, d = points
            exact = np.average(metric[:, a, b] * metric[:, c, d], weights=weight) - mean[a, b] * mean[c, d]
            assert kernel.vertex.value[row] == pytest.approx(exact, abs=1e-10)


@pytest.mark.parametrize(("order", "pattern"), [(2, "00"), (4, "0011"), (6, "000000"), (6, "001122")])
def test_replicates_are_the_results_without_a_bin(many: Any, order: int, pattern: str) -> None:
    _, estimator = many
    result, rows = estimator.result(order, pattern), estimator.replicates(order, pattern)
    assert np.array_equal(rows.value, result.value)
    np.testing.assert_allclose(rows.estimate(result.indices).stderr, result.stderr, rtol=1e-12)
    np.testing.assert_allclose(rows.covariance(), result.covariance(), rtol=1e-8, atol=1e-14)
    chosen = result.indices[[0, -1]]
    np.testing.assert_array_equal(
        estimator.replicates(order, pattern, chosen).values, rows.values[:, [0, -1]]
    )
    plain = one_bin(estimator).result(order, pattern).value
    assert np.all(abs(result.value - plain) < result.stderr)
    assert not np.array_equal(result.value, plain)
    # without bin 5, the estimate of the other networks, corrected as the whole is
    rest = Networks(400, 3, 1)
    keep = np.arange(400) % 32 != 5
    rest.fields, rest.weights = rest.fields[keep], rest.weights[keep]
    rest.metrics = {layer: metric[keep] for layer, metric in rest.metrics.items()}
    alone = rest.push(LAYOUT, 1, estimator.layer_shifts).result(order, pattern).value
    bias = (plain - result.value) * 400 / keep.sum()
    np.testing.assert_allclose(rows.values[6], alone - bias, rtol=1e-9, atol=1e-12)


def test_pseudo_values_do_not_see_the_correction() -> None:
    rng = np.random.default_rng(SEED)
    counts = rng.integers(5, 40, size=12)
    columns = rng.normal(size=(7, 13))
    corrected = without_bias(columns, counts)
    before, after = (Jackknife(c[:, 0], c[:, 1:], counts).pseudo_values() for c in (columns, corrected))
    np.testing.assert_allclose(after, before, atol=1e-12 * abs(before).max())
    np.testing.assert_allclose(corrected[:, 0], before @ counts / counts.sum(), atol=1e-11)
    few = columns[:, :2]
    assert without_bias(few, counts[:1]) is few


def test_a_bias_of_one_over_the_number_is_removed_exactly() -> None:
    """theta_n = theta + b/n for the whole and every replicate, bins of unequal size."""
    counts = np.array([3, 9, 20, 8])
    sizes = np.concatenate([[counts.sum()], counts.sum() - counts])
    columns = 1.5 - 7.0 / sizes[None, :]
    np.testing.assert_allclose(without_bias(columns, counts), 1.5, rtol=1e-13)


def test_ratio_estimates_have_less_bias_than_their_error_allows() -> None:
    """40000 ensembles of 40 networks: the plain kappa4 is 39 errors of the mean off, the corrected one not.

    The law: phi normal, w = exp(-phi^2 / 4), so that the deformed phi has the variance 2/3 and kappa4 = 0.
    The test sees 30 % of the bias.
    """
    rng = np.random.default_rng(SEED + 3)
    repeats, networks, bins = 40_000, 40, 20
    phi2 = rng.normal(size=(repeats, networks)) ** 2
    weight = np.exp(-phi2 / 4)
    sums = [(weight * phi2**k).reshape(repeats, bins, -1).sum(axis=2) for k in range(3)]
    columns = []
    for table in sums:
        whole = table.sum(axis=1, keepdims=True)
        columns.append(np.concatenate([whole, whole - table], axis=1))
    kappa = columns[2] / columns[0] - 3 * (columns[1] / columns[0]) ** 2
    corrected = without_bias(kappa, np.full(bins, networks // bins))
    plain, fixed = kappa[:, 0], corrected[:, 0]
    errors = [values.std(ddof=1) / np.sqrt(repeats) for values in (plain, fixed)]
    assert 10.6 * errors[1] < 0.3 * abs(plain.mean())
    assert abs(fixed.mean()) < 5.85 * errors[1]


def test_equal_weights_are_plain_averages() -> None:
    networks = Networks(200, 1, 4, spread=0.0)
    weighted = networks.push(LAYOUT, 32, {}).result(4)
    direct = sum_layout(2, "direct", [6], outputs=3, last_layer=3)
    program, estimator = build_program(direct), CorrelatorEstimator(direct, 32)
    for b in range(32):
        fields = networks.fields[b::32, 0].reshape(len(networks.fields[b::32]), -1)
        estimator.push(b, len(fields), block_sums(program, {"fields": fields}))
    unbiased = estimator.result(4)
    assert np.all(abs(weighted.value - unbiased.value) < 0.05 * unbiased.stderr)
    np.testing.assert_allclose(weighted.stderr, unbiased.stderr, rtol=0.05)


def sums_of(weights: np.ndarray, bins: int, cut: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Sums of weights dealt to bins, and counts."""
    sums = {
        "weight": np.array([[weights[b::bins].sum()] for b in range(bins)]),
        "weight:squared": np.array([[(weights[b::bins] ** 2).sum()] for b in range(bins)]),
        "weight:cut": np.zeros((bins, 1)),
    }
    sums["weight:cut"][0] = cut
    return sums, np.array([len(weights[b::bins]) for b in range(bins)])


def test_effective_sample_size() -> None:
    weights = np.array([3.0] * 50 + [1.0] * 250)
    size = effective_sample_size(*sums_of(weights, 40))
    assert size.value == pytest.approx(400**2 / 700)
    assert size.networks == 300
    assert size.sufficient
    assert size.largest_share >= 3 / 400
    assert "229 of 300 networks is below 1000" in size.warning
    size.require()
    equal = effective_sample_size(*sums_of(np.full(5000, 1e-200), 40))
    assert equal.value == 0.0  # squares vanish: nothing is known
    equal = effective_sample_size(*sums_of(np.full(5000, 0.25), 40))
    assert (equal.value, equal.warning) == (pytest.approx(5000.0), "")
    assert equal.stderr == pytest.approx(0.0, abs=1e-6)


def test_error_of_the_effective_sample_size_is_that_of_repeats() -> None:
    rng = np.random.default_rng(SEED + 5)
    found = [effective_sample_size(*sums_of(rng.uniform(size=4000), 50)) for _ in range(200)]
    spread = np.std([size.value for size in found], ddof=1)
    assert spread == pytest.approx(np.mean([size.stderr for size in found]), rel=0.35)
    assert np.mean([size.value for size in found]) == pytest.approx(3000.0, rel=0.01)


def test_one_network_that_dominates_is_named_by_its_share() -> None:
    size = effective_sample_size(*sums_of(np.array([1000.0] + [1.0] * 399), 40))
    assert size.largest_share == pytest.approx(1000 / 1399, rel=1e-3)
    assert not size.sufficient
    assert size.warning == ""


@pytest.mark.parametrize("quote", ["result", "moment", "replicates", "excess", "layer"])
def test_few_networks_that_carry_the_weight_are_refused(quote: str) -> None:
    estimator = Networks(1000, 1, 6, spread=3.0).push(LAYOUT, 32, {})
    calls = {
        "result": lambda: estimator.result(2),
        "moment": lambda: estimator.moment(4),
        "replicates": lambda: estimator.replicates(4),
        "excess": estimator.excess_kurtosis,
        "layer": lambda: estimator.layer_kernel(2),
    }
    with pytest.raises(NumericalError, match=r"got [0-9.]+ of 1000 networks, needed 100; weaken") as caught:
        calls[quote]()
    assert caught.value.exit_code == 5
    assert len("nnft: error: " + str(caught.value)) <= 200


def test_weights_out_of_range_are_refused() -> None:
    estimator = Networks(400, 1, 7).push(LAYOUT, 32, {})
    estimator.result(2)
    estimator.sums["weight:cut"][3] += 2.0
    with pytest.raises(NumericalError, match=r"got 2 beyond exp\(300\)") as caught:
        estimator.result(2)
    assert len("nnft: error: " + str(caught.value)) <= 200


def test_empty_and_other_ensembles() -> None:
    empty = CorrelatorEstimator(LAYOUT, 32)
    assert np.isnan(empty.result(4).value).all()
    size = empty.effective_sample_size()
    assert size is not None
    assert (size.value, size.networks) == (0.0, 0)
    assert CorrelatorEstimator(sum_layout(2, "direct", [2]), 32).effective_sample_size() is None


def test_arrays_and_shards(many: Any) -> None:
    _, estimator = many
    estimator.weight_shift = 1.25
    arrays = estimator.to_arrays()
    assert float(arrays["weight_shift"]) == 1.25
    assert arrays["layout"].tolist() == [2, 2, 3, 3, 0]
    assert not [name for name in arrays if name.removeprefix("indices/") in WEIGHT_SUMS]
    again = CorrelatorEstimator.from_arrays(arrays)
    assert again.layout == LAYOUT
    assert np.array_equal(again.result(4).stderr, estimator.result(4).stderr)
    again.merge(estimator)
    np.testing.assert_allclose(again.result(2).value, estimator.result(2).value, rtol=0.02)
    estimator.weight_shift = 0.0
    with pytest.raises(UsageError, match="shifts"):
        again.merge(estimator)
    with pytest.raises(DataFileError, match="weight_shift"):
        CorrelatorEstimator.from_arrays({k: v for k, v in arrays.items() if k != "weight_shift"})


def test_coefficients_are_those_of_the_cumulant() -> None:
    for pattern, expected in (((0,) * 4, {1: 1, 2: -3}), ((0,) * 6, {1: 1, 2: -15, 3: 30})):
        terms = cumulant_terms("reweighted", pattern)
        for blocks, total in expected.items():
            found = [t.mean_coefficients(np.array([5, 6])) for t in terms if len(t.factors) == blocks]
            assert np.array_equal(np.sum(found, axis=0), [total, total])
    assert samples_needed("reweighted", 6) == 1
    for pattern in itertools.islice(LAYOUT.tables.values(), 2):
        assert cumulant_terms("reweighted", pattern.pattern)
