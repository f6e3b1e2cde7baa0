"""The plan of a run: component counts against enumeration, choices, memory, refusals."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnft.errors import CardError
from nnft.spec import RunPlan, RunSpec, plan_run
from nnft.spec.plan_text import bytes_text, plan_rows, time_text
from nnft.spec.sectors import all_sectors, layer_components, pair_count, sectors


def spec_of(points: int = 4, dimension: int = 3, **tables: dict[str, Any]) -> RunSpec:
    card: dict[str, Any] = {
        "network": {"widths": [256, 256, 256], "activation": "tanh"},
        "inputs": {"generator": "gaussian", "count": points, "dimension": dimension},
        "ensemble": {"networks": 100_000, "seed": 7},
    }
    for table, values in tables.items():
        card[table] = card.get(table, {}) | values
    return RunSpec.from_dict(card)


def plan_of(points: int = 4, dimension: int = 3, **tables: dict[str, Any]) -> RunPlan:
    return plan_run(spec_of(points, dimension, **tables))


def canonical(points: tuple[int, ...], pattern: str) -> tuple[Any, ...]:
    """Return what no exchange of points in a label, or of labels of equal multiplicity, changes."""
    groups = [
        tuple(sorted(point for point, label in zip(points, pattern, strict=True) if label == wanted))
        for wanted in sorted(set(pattern))
    ]
    return tuple(sorted(groups, key=lambda group: (-len(group), group)))


@pytest.mark.parametrize(
    ("order", "patterns"),
    [
        (2, ["00"]),
        (4, ["0000", "0011"]),
        (6, ["000000", "000011", "001122"]),
        (8, ["00000000", "00000011", "00001111", "00001122", "00112233"]),
    ],
)
@pytest.mark.parametrize("points", [1, 2, 3])
def test_components_against_enumeration(order: int, patterns: list[str], points: int) -> None:
    found = sectors(points, order, order // 2)
    assert [sector.pattern for sector in found] == patterns
    for sector in found:
        all_points = itertools.product(range(points), repeat=order)
        assert sector.components == len({canonical(choice, sector.pattern) for choice in all_points})


def test_number_of_labels_limits_the_sectors() -> None:
    assert [sector.pattern for sector in all_sectors(3, 6, 1)] == ["00", "0000", "000000"]
    assert [sector.pattern for sector in all_sectors(3, 6, 2)] == ["00", "0000", "0011", "000000", "000011"]


@pytest.mark.parametrize("points", [1, 2, 5])
def test_layer_components_against_enumeration(points: int) -> None:
    pairs = list(itertools.combinations_with_replacement(range(points), 2))
    products = list(itertools.combinations_with_replacement(pairs, 2))
    diagonal = list(itertools.combinations_with_replacement(range(points), 2))
    one, two = all_sectors(points, 4, 1), all_sectors(points, 4, 2)
    assert layer_components(points, 4, "all", False, two) == 3 * (len(pairs) + len(products))
    assert layer_components(points, 4, "diagonal", False, two) == 3 * (len(pairs) + len(diagonal))
    assert layer_components(points, 4, "all", True, two) == 2 * (len(pairs) + len(products))
    assert layer_components(points, 4, "all", True, one) == 2 * len(pairs) + 3 * len(products)
    assert layer_components(points, 4, "diagonal", True, two) == 2 * len(pairs) + 3 * len(diagonal)
    assert layer_components(points, 1, "all", True, two) == 0
    assert pair_count(points) == len(pairs)


def test_64_points_of_order_4_fit_two_gigabytes() -> None:
    for layers in (True, False):
        plan = plan_of(64, estimate={"correlators": [2, 4], "layers": layers})
        assert plan.components_per_order == {2: 2080, 4: 766_480}
        assert plan.bins == 100
        assert plan.accumulator_bytes == 100 * plan.components * 8 < 2**30
        assert plan.memory_bytes + plan.thread_bytes < 2e9
    assert plan.layer_pairs == "diagonal"


def test_bins_fall_to_32_where_100_do_not_fit_and_this_is_said() -> None:
    plan = plan_of(24, estimate={"correlators": [6], "layers": False})
    assert plan.components_per_order[6] == 475_020
    assert plan.bins == 100
    plan = plan_of(28, estimate={"correlators": [6], "layers": False})
    assert plan.bins == 100
    plan = plan_of(30, estimate={"correlators": [6], "layers": False})
    assert plan.components * 100 * 8 > 2**30
    assert plan.bins == 32
    assert any("32 bins instead of 100" in note for note in plan.notes)
    assert any("32" in text for label, text in plan_rows(spec_of(30, estimate={"correlators": [6]}), plan))


def test_64_points_of_order_6_are_refused_and_the_remedy_is_named() -> None:
    with pytest.raises(CardError, match="at most 4 GiB: drop order 6 from") as caught:
        plan_of(64, estimate={"correlators": [2, 4, 6]})
    assert "28.8 GiB" in str(caught.value)
    assert len("nnft: error: " + str(caught.value)) <= 200


@pytest.mark.parametrize(
    ("points", "network", "estimate", "remedy"),
    [
        (100, {}, {"layer_pairs": "all"}, "set estimate.layer_pairs to diagonal"),
        (200, {}, {"correlators": [2, 4], "layers": False}, "drop order 4"),
        (64, {"outputs": 2}, {"correlators": [4], "outputs": 2, "bins": 1000}, None),
        (40, {"outputs": 3}, {"correlators": [6], "outputs": 3, "layers": False}, "estimate.outputs"),
        (10_000, {}, {"correlators": [2], "layers": False}, "fewer points"),
    ],
)
def test_every_refusal_names_its_own_remedy(
    points: int, network: dict[str, Any], estimate: dict[str, Any], remedy: str | None
) -> None:
    if remedy is None:
        assert plan_of(points, network=network, estimate=estimate).bins == 32
    else:
        with pytest.raises(CardError, match=remedy):
            plan_of(points, network=network, estimate=estimate)


def test_order_8_needs_few_points() -> None:
    assert plan_of(4, estimate={"correlators": [8]}).components_per_order == {2: 10, 4: 35, 6: 84, 8: 165}
    with pytest.raises(CardError, match="order 8 with 5 points"):
        plan_of(5, estimate={"correlators": [2, 8]})


def test_lower_orders_are_always_accumulated() -> None:
    assert sorted(plan_of(2, estimate={"correlators": [6]}).components_per_order) == [2, 4, 6]
    assert sorted(plan_of(2, estimate={"correlators": [2]}).components_per_order) == [2]


@pytest.mark.parametrize(
    ("points", "dimension", "widths", "method"),
    [
        (4, 3, [256, 256], "collapsed"),
        (4, 3, [256], "explicit"),
        (4, 4, [256], "collapsed"),
        (64, 8, [16, 16], "explicit"),
        (16, 16, [16, 16], "collapsed"),
        (17, 16, [16, 16], "explicit"),
        (8, 16, [1, 1], "collapsed"),
        (4, 8, [3], "explicit"),
        (4, 3, [], "collapsed"),
    ],
)
def test_method_with_fewer_normals_is_taken(
    points: int, dimension: int, widths: list[int], method: str
) -> None:
    plan = plan_of(points, dimension, network={"widths": widths})
    padded = sum(-(-width // 8) * 8 * points for width in widths)
    explicit = sum(a * b for a, b in itertools.pairwise([dimension, *widths]))
    assert plan.method == ("collapsed" if padded <= explicit else "explicit")
    assert plan.normals_per_network == min(padded, explicit)
    if widths != [1, 1]:
        assert plan.method == method
    for asked in ("collapsed", "explicit"):
        assert (
            plan_of(points, dimension, network={"widths": widths}, ensemble={"method": asked}).method == asked
        )


def test_estimator_and_outputs_are_decided() -> None:
    assert plan_of().estimator == "conditional"
    assert plan_of(estimate={"estimator": "direct"}).estimator == "direct"
    assert plan_of().outputs == 1
    assert plan_of(network={"outputs": 5}).outputs == 2
    assert plan_of(network={"outputs": 5}, estimate={"correlators": [6]}).outputs == 3
    assert plan_of(network={"outputs": 2}, estimate={"correlators": [6]}).outputs == 2
    assert plan_of(network={"outputs": 5}, estimate={"correlators": [2]}).outputs == 1
    assert plan_of(64, network={"outputs": 5}).outputs == 1
    assert plan_of(network={"outputs": 5}, estimate={"correlators": [6], "outputs": 2}).outputs == 2
    assert plan_of(16).layer_pairs == "all"
    assert plan_of(17).layer_pairs == "diagonal"
    assert plan_of(17, estimate={"layer_pairs": "all"}).layer_pairs == "all"


def test_block_size_is_as_asked_or_a_short_power_of_two() -> None:
    assert plan_of(ensemble={"block_size": 100}).block_size == 100
    assert plan_of(ensemble={"networks": 10}).block_size == 1
    assert plan_of(ensemble={"networks": 10**9}).block_size == 4096
    slow = plan_of(64, network={"widths": [4096] * 20}, ensemble={"networks": 10**9})
    assert 1 <= slow.block_size < 64


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 6),
    st.lists(st.integers(1, 3000), max_size=5),
    st.integers(1, 10**7),
    st.sampled_from([[2], [4], [2, 6]]),
    st.sampled_from(["conditional", "direct"]),
)
def test_blocks_fill_the_bins(
    points: int, widths: list[int], networks: int, orders: list[int], estimator: str
) -> None:
    plan = plan_of(
        points,
        network={"widths": widths},
        ensemble={"networks": networks},
        estimate={"correlators": orders, "estimator": estimator},
    )
    size = plan.block_size
    assert size & (size - 1) == 0
    assert 1 <= size <= min(4096, max(1, networks // plan.bins))
    assert (plan.blocks - 1) * size < networks <= plan.blocks * size
    assert size == 1 or size * plan.seconds / networks <= 0.25
    assert plan.blocks >= min(plan.bins, networks)
    assert plan.components == sum(plan.components_per_order.values()) + plan.layer_components


def test_kept_fields_and_few_bins_are_announced() -> None:
    plan = plan_of(network={"outputs": 3}, store={"fields": "all"}, ensemble={"precision": "float32"})
    assert plan.fields_bytes == 100_000 * 3 * 4 * 4
    assert plan_of(store={"fields": 10}).fields_bytes == 10 * 4 * 8
    assert any("5 of 100 bins" in note for note in plan_of(ensemble={"networks": 5}).notes)


def test_layers_off() -> None:
    assert plan_of(estimate={"layers": False}).layer_components == 0
    assert plan_of(network={"widths": []}).layer_components == 0


def test_plan_in_words_names_every_choice() -> None:
    spec = spec_of(network={"widths": list(range(1, 31)), "weight_variance": [1.0] * 31, "outputs": 2})
    rows = dict(plan_rows(spec, plan_run(spec)))
    assert rows["method"].startswith("collapsed: ") or rows["method"].startswith("explicit: ")
    assert "(19 more)" in rows["network"]
    assert "0000: 35, 0011: 55" in rows["order 4"]
    assert rows["digest"] == spec.digest()
    assert {"conventions", "memory", "result file", "time", "bins", "estimator", "inputs"} <= set(rows)
    assert all("\n" not in text for text in rows.values())


def test_units() -> None:
    assert bytes_text(0) == "0 B"
    assert bytes_text(1023) == "1023 B"
    assert bytes_text(1024) == "1.0 KiB"
    assert bytes_text(3 * 2**30) == "3.0 GiB"
    assert bytes_text(2**80) == "1048576.0 EiB"
    assert time_text(1.5) == "1.5 s"
    assert time_text(600.0) == "10 min"
    assert time_text(86400.0) == "24 h"
    assert time_text(864000.0) == "10 days"
