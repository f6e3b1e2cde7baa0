"""The plan of a trained ensemble: every choice, its cost, and what `nnft check` says about it."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnft.errors import CardError
from nnft.spec import RunPlan, RunSpec, TrainingResolution, plan_run
from nnft.spec.plan_text import plan_rows
from nnft.spec.training import SAMPLERS
from nnft.spec.training_moments import snapshot_moments

KEYS: dict[str, dict[str, Any]] = {
    "gd": {"step": 0.1, "steps": 1000},
    "sgd": {"step": 0.1, "steps": 1000, "batch_size": 4},
    "gradient-flow": {"time": 50.0},
    "langevin": {"step": 0.01, "draws": 5, "ridge": 0.1},
    "mala": {"draws": 5, "ridge": 0.1},
    "underdamped": {"step": 0.1, "draws": 5, "ridge": 0.1},
    "hmc": {"draws": 5, "ridge": 0.1},
    "exact": {"trainable": "readout", "ridge": 0.1},
}


def spec_of(algorithm: str = "gd", points: int = 3, dimension: int = 2, **tables: Any) -> RunSpec:
    data = {"teacher": "linear", "points": 10, "dimension": dimension} | tables.pop("data", {})
    training = {"loss": "half-sum", "algorithm": algorithm, "data": data} | KEYS[algorithm]
    card: dict[str, Any] = {
        "network": {"widths": [8, 6], "activation": "tanh"},
        "inputs": {"generator": "gaussian", "count": points, "dimension": dimension},
        "ensemble": {"networks": 1000, "seed": 7},
        "training": training | tables.pop("training", {}),
    }
    for table, values in tables.items():
        card[table] = card.get(table, {}) | values
    return RunSpec.from_dict(card)


def plan_of(algorithm: str = "gd", points: int = 3, dimension: int = 2, **tables: Any) -> RunPlan:
    return plan_run(spec_of(algorithm, points, dimension, **tables))


def training_of(algorithm: str = "gd", **tables: Any) -> TrainingResolution:
    training = plan_of(algorithm, **tables).training
    assert training is not None
    return training


def refusal(algorithm: str = "gd", points: int = 3, **tables: Any) -> str:
    with pytest.raises(CardError) as caught:
        plan_of(algorithm, points, **tables)
    assert len(caught.value.problems) == 1, caught.value.problems
    assert len("nnft: error: " + caught.value.problems[0]) <= 200
    return caught.value.problems[0]


@pytest.mark.parametrize("points", [1, 2, 4])
@pytest.mark.parametrize("orders", [[2], [2, 4], [6]])
def test_every_order_of_one_output_against_enumeration(points: int, orders: list[int]) -> None:
    plan = plan_of(points=points, estimate={"correlators": orders})
    assert plan.outputs == 1
    assert plan.components_per_order == {
        order: len(list(itertools.combinations_with_replacement(range(points), order)))
        for order in range(1, orders[-1] + 1)
    }
    assert all(set(sector.pattern) == {"0"} for sector in plan.sectors)
    assert plan.components == sum(plan.components_per_order.values())
    conditional = plan_of("hmc", points, estimate={"correlators": orders, "estimator": "conditional"})
    assert conditional.components == plan.components + points * (points + 1) // 2


def test_method_and_estimator() -> None:
    for algorithm in KEYS:
        plan = plan_of(algorithm)
        assert plan.training is not None
        assert plan.estimator == plan.training.estimator
        exactly = algorithm in ("exact", "mala", "hmc")
        assert plan.estimator == ("trained-conditional" if exactly else "trained")
        if algorithm == "exact":
            continue
        assert (plan.method, plan.method_reason) == ("explicit", "training needs the weights")
        assert plan_of(algorithm, ensemble={"method": "explicit"}).method == "explicit"
    for algorithm in KEYS:
        assert plan_of(algorithm, estimate={"estimator": "direct"}).estimator == "trained"
    for algorithm in SAMPLERS:
        asked = plan_of(algorithm, estimate={"estimator": "conditional"})
        assert asked.estimator == "trained-conditional"
        assert asked.estimator_reason.startswith("as asked")


@pytest.mark.parametrize("algorithm", ["mala", "hmc"])
def test_readouts_are_averaged_unasked_where_that_is_cheap(algorithm: str) -> None:
    def chosen(**tables: Any) -> str:
        return plan_of(algorithm, **tables).estimator

    for layers in ("readout", "all", [3], [2, 3]):
        assert chosen(training={"trainable": layers}) == "trained-conditional"
    assert chosen(network={"outputs": 2}, data={"outputs": 2}) == "trained-conditional"
    assert chosen(training={"trainable": [1, 2]}) == "trained"
    assert chosen(network={"widths": [], "activation": "linear"}) == "trained"
    dense = plan_of(algorithm, data={"points": 60}, training={"draws": 2000, "burn_in": 1})
    assert dense.estimator == ("trained" if algorithm == "mala" else "trained-conditional")
    assert chosen(points=300, estimate={"correlators": [2]}, training={"draws": 100}) == "trained"
    for wide in (dense, plan_of(algorithm, 300, estimate={"correlators": [2]}, training={"draws": 100})):
        if wide.estimator == "trained":
            assert wide.estimator_reason.endswith("would cost more than the training itself")


def test_exact_takes_the_cheaper_method_on_all_points_together() -> None:
    """3 + 10 points: 13 (n1 + n2) normals collapsed, widths padded to 8, or d n1 + n1 n2."""
    narrow, wide = {"widths": [8, 8]}, {"widths": [512, 512]}
    assert plan_of("exact", network=narrow).method == "explicit"
    assert plan_of("exact", network=wide).method == "collapsed"
    assert plan_of("exact", network=wide, data={"points": 300}).method == "explicit"
    for method in ("collapsed", "explicit"):
        assert plan_of("exact", ensemble={"method": method}).method == method


def test_metrics_of_layers_are_left_out() -> None:
    for estimate in ({}, {"layers": True}, {"layers": False}):
        spec = spec_of(estimate=estimate)
        assert spec.estimate.layers is False
        assert plan_run(spec).layer_components == 0
    assert "layers = false" in spec_of().to_toml()


def test_readout_of_a_linear_model_is_everything() -> None:
    linear = {"widths": [], "activation": "linear"}
    resolved = training_of("exact", network=linear)
    assert resolved.trainable == (1,)
    assert training_of("hmc", network=linear).trainable == (1,)


@pytest.mark.parametrize(
    ("network", "training", "weights", "biases"),
    [
        ({}, {}, (1 / 2, 1 / 8, 1 / 6), (0.0, 0.0, 0.0)),
        ({"bias_variance": 0.1}, {}, (1 / 2, 1 / 8, 1 / 6), (1.0, 1.0, 1.0)),
        ({"bias_variance": [0.1, 0.0, 0.2]}, {}, (1 / 2, 1 / 8, 1 / 6), (1.0, 0.0, 1.0)),
        ({"bias_variance": 0.1}, {"parametrization": "standard"}, (1.0, 1.0, 1.0), (1.0, 1.0, 1.0)),
        ({"bias_variance": 0.1}, {"trainable": [1, 3]}, (1 / 2, 0.0, 1 / 6), (1.0, 0.0, 1.0)),
        ({"bias_variance": 0.1}, {"trainable": "readout"}, (0.0, 0.0, 1 / 6), (0.0, 0.0, 1.0)),
        ({}, {"trainable": [2], "parametrization": "standard"}, (0.0, 1.0, 0.0), (0.0, 0.0, 0.0)),
    ],
)
def test_mobilities(
    network: dict[str, Any], training: dict[str, Any], weights: tuple[float, ...], biases: tuple[float, ...]
) -> None:
    resolved = training_of(network=network, training=training)
    assert resolved.weight_mobilities == weights
    assert resolved.bias_mobilities == biases
    assert resolved.trainable == tuple(
        layer for layer, mobility in enumerate(weights, start=1) if mobility > 0.0
    )


def test_parameters_and_state_of_a_member() -> None:
    """2 -> 8 -> 6 -> 1 has 16 + 48 + 6 weights and 15 biases.

    Rows of 2, 8, 6 numbers pad to 8; with biases rows of 3, 9, 7 to 8, 16, 8.
    """
    plain, biased = training_of(), training_of(network={"bias_variance": 0.1})
    assert plain.parameters == 70
    assert plain.member_bytes == 8 * (8 * 8 + 6 * 8 + 1 * 8) + 128
    assert biased.parameters == 85
    assert biased.member_bytes == 8 * (8 * 8 + 6 * 16 + 1 * 8) + 128
    assert training_of("underdamped").member_bytes == 8 * 2 * (8 * 8 + 6 * 8 + 1 * 8) + 128


@pytest.mark.parametrize(
    ("loss", "factor", "mean"),
    [("half-sum", 0.5, False), ("sum", 1.0, False), ("half-mean", 0.05, True), ("mean", 0.1, True)],
)
def test_loss_factors(loss: str, factor: float, mean: bool) -> None:
    resolved = training_of("hmc", training={"loss": loss})
    assert (resolved.loss_factor, resolved.mean_loss) == (factor, mean)
    assert resolved.temperature == pytest.approx(0.1 * 2 * factor, rel=1e-15)
    assert resolved.ridge == 0.1
    assert resolved.decay
    cold = training_of("gd", training={"loss": loss})
    assert (cold.temperature, cold.ridge, cold.decay) == (0.0, 0.0, False)
    warm = training_of("gd", training={"loss": loss, "weight_decay": "prior", "temperature": 0.1})
    assert warm.decay
    assert warm.ridge == pytest.approx(0.1 / (2 * factor), rel=1e-15)


@pytest.mark.parametrize(
    ("algorithm", "training", "steps", "gradients"),
    [
        ("gd", {}, 1000, 1000),
        ("sgd", {}, 1000, 1000),
        ("sgd", {"steps": None, "epochs": 5}, 15, 15),
        ("sgd", {"steps": None, "epochs": 5, "batch_size": 10}, 5, 5),
        ("sgd", {"steps": None, "epochs": 5, "batch_size": 1}, 50, 50),
        ("langevin", {}, 1004, 1005),
        ("langevin", {"burn_in": 0, "thinning": 10}, 40, 41),
        ("mala", {"burn_in": 20, "draws": 1, "thinning": 10}, 20, 21),
        ("underdamped", {"burn_in": 7, "draws": 3, "thinning": 2}, 11, 12),
        ("hmc", {"leapfrog_steps": 4, "burn_in": 10}, 14, 57),
        ("exact", {}, 0, 0),
        ("gradient-flow", {}, 0, None),
    ],
)
def test_steps_and_gradients(
    algorithm: str, training: dict[str, Any], steps: int, gradients: int | None
) -> None:
    """10 points; a sampler takes its first draw after the burn-in."""
    spec = RunSpec.from_dict(_without_nothing(spec_of(algorithm), training))
    resolved = plan_run(spec).training
    assert resolved is not None
    assert resolved.total_steps == steps
    assert resolved.total_time == (50.0 if algorithm == "gradient-flow" else 0.0)
    if gradients is not None:
        assert resolved.gradients_per_member == gradients
    assert resolved.batch_size == (training.get("batch_size", 4) if algorithm == "sgd" else 10)
    assert resolved.step == (0.0 if algorithm in ("mala", "hmc") else KEYS[algorithm].get("step", 0.0))


def _without_nothing(spec: RunSpec, training: dict[str, Any]) -> dict[str, Any]:
    """The card of a specification with keys of its training changed, or taken out where None."""
    card = spec.model_dump(exclude_none=True)
    merged = card["training"] | training
    return card | {"training": {key: value for key, value in merged.items() if value is not None}}


def test_snapshots_are_log_spaced_and_contain_both_ends() -> None:
    flow = training_of(training={"steps": 10_000, "snapshots": 6})
    assert flow.snapshots == (0, 1, 10, 100, 1000, 10_000)
    assert flow.snapshot_times == pytest.approx([0.1 * step for step in flow.snapshots])
    assert training_of(training={"steps": 3, "snapshots": 200}).snapshots == (0, 1, 2, 3)
    assert training_of(training={"snapshots": 0}).snapshots == ()
    assert training_of(training={"snapshots": 1}).snapshots == (0, 1000)
    assert training_of("gradient-flow", training={"snapshots": 0}).snapshot_times == ()
    assert training_of(training={"snapshots": 2}).snapshots == (0, 1000)
    assert training_of(training={"snapshots": [5, 70]}).snapshots == (0, 5, 70, 1000)
    assert training_of(training={"snapshots": [0, 1000]}).snapshots == (0, 1000)
    assert training_of(training={"snapshots": []}).snapshots == (0, 1000)
    times = training_of("gradient-flow", training={"snapshots": 5})
    assert times.snapshots == ()
    assert times.snapshot_times == pytest.approx([0.0, 0.05, 0.5, 5.0, 50.0])
    assert times.snapshot_times[-1] == 50.0
    listed = training_of("gradient-flow", training={"snapshots": [0.25, 50.0]})
    assert listed.snapshot_times == (0.0, 0.25, 50.0)
    assert training_of("hmc").snapshot_times == ()
    assert training_of("hmc").snapshots[-1] == 1004
    assert training_of("exact").snapshot_count == 0


@given(st.integers(0, 200), st.integers(1, 10**12), st.booleans())
def test_snapshots_of_any_length(count: int, end: int, continuous: bool) -> None:
    moments = snapshot_moments(count, float(end), continuous)
    if count == 0:
        assert moments == ()
        return
    assert moments[0] == 0.0
    assert moments[-1] == end
    assert all(before < after for before, after in itertools.pairwise(moments))
    assert len(moments) <= max(2, count)
    ratios = [after / before for before, after in itertools.pairwise(moments[1:])]
    if continuous:
        assert len(moments) == max(2, count)
        assert max(ratios, default=1.0) <= min(ratios, default=1.0) * (1 + 1e-12)
    else:
        assert all(moment == int(moment) for moment in moments)


def test_numbers_of_other_algorithms_are_empty() -> None:
    resolved = training_of()
    assert (resolved.burn_in, resolved.draws, resolved.thinning, resolved.chains) == (0, 1, 1, 1)
    assert (resolved.order, resolved.leapfrog_steps, resolved.adapt) == ("", 0, False)
    assert training_of("sgd").order == "random"
    hmc = training_of("hmc")
    assert (hmc.leapfrog_steps, hmc.jitter, hmc.target_acceptance, hmc.adapt) == (10, 0.2, 0.8, True)
    assert (hmc.burn_in, hmc.draws, hmc.thinning, hmc.chains) == (1000, 5, 1, 1)
    assert (training_of("mala").target_acceptance, training_of("underdamped").friction) == (0.57, 1.0)
    assert training_of("gradient-flow").tolerance == 1e-6
    assert training_of().divergence == 1e6
    assert (resolved.train_points, resolved.test_points) == (10, 0)
    assert training_of(data={"test": 0.5}).test_points == 5


def test_bins_and_blocks() -> None:
    assert (plan_of().bins, plan_of().block_size) == (100, 8)
    many = plan_of(ensemble={"networks": 10**6})
    assert (many.bins, many.block_size) == (100, 64)
    few = plan_of(ensemble={"networks": 50})
    assert (few.bins, few.block_size, few.blocks) == (50, 1, 50)
    assert any("50 bins instead of 100: one network in each" in note for note in few.notes)
    tiny = plan_of(ensemble={"networks": 5})
    assert (tiny.bins, tiny.block_size) == (32, 1)
    assert plan_of(ensemble={"block_size": 200}).block_size == 200


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 10**5), st.integers(32, 500))
def test_blocks_fill_the_bins(networks: int, bins: int) -> None:
    plan = plan_of(ensemble={"networks": networks}, estimate={"bins": bins})
    assert plan.bins == min(bins, max(networks, 32))
    assert plan.block_size & (plan.block_size - 1) == 0
    assert 1 <= plan.block_size <= min(64, max(1, networks // plan.bins))
    assert plan.blocks >= min(plan.bins, networks)


def test_a_short_run_can_be_extended() -> None:
    """Its bins, fewer than asked because there were few networks, stay."""
    for keys in ({}, {"bins": 100}):
        stored = RunSpec.from_text(spec_of(ensemble={"networks": 50}, estimate=keys).to_toml())
        longer = spec_of(ensemble={"networks": 5000}, estimate=keys)
        assert longer.difference(stored)
        resumed = longer.resuming(stored)
        assert resumed.difference(stored) == []
        assert resumed.resolution.bins == 50
        assert RunSpec.from_text(resumed.to_toml()).digest() == stored.digest()
    other = spec_of(ensemble={"networks": 5000}, estimate={"bins": 60})
    assert len(other.resuming(stored).difference(stored)) == 0
    fewer = spec_of(ensemble={"networks": 5000}, estimate={"bins": 40})
    assert len(fewer.resuming(stored).difference(stored)) == 1


def test_flows_above_a_gibibyte_are_refused() -> None:
    components = sum(math.comb(64 + order - 1, order) for order in range(1, 5))
    problem = refusal(points=64)
    assert f"{20 * 100 * components * 8 / 2**30:.1f} GiB" in problem or "19 snapshots" in problem
    assert "lower training.snapshots or estimate.correlators or the number of points" in problem
    assert f"{components} components" in problem
    tables: dict[str, Any] = {"training": {"snapshots": 2}, "estimate": {"bins": 32}}
    plan = plan_of(points=64, **tables)
    assert plan.flow_bytes == 2 * 32 * components * 8 < 2**30
    assert plan.flow_bytes == 2 * plan.accumulator_bytes
    assert plan.memory_bytes > plan.flow_bytes + plan.accumulator_bytes
    assert plan.snapshot_bytes > plan.flow_bytes + plan.accumulator_bytes
    assert "lower the number of points" in refusal(
        points=2000, estimate={"correlators": [2]}, training={"snapshots": 2}
    )
    assert "below 1 GiB" in refusal("exact", points=100, estimate={"correlators": [4]})


def test_seconds_are_those_of_the_gradients() -> None:
    """6 P (sum of fan-in times fan-out) operations, 4.5 ns a neuron and point, 0.25 us a layer.

    The networks here have 70 weights, 14 neurons, 3 layers; 10 points of gd, 4 of a batch.
    """
    for algorithm, points in (("gd", 10), ("sgd", 4)):
        plan = plan_of(algorithm, training={"snapshots": 0, "steps": 10**6})
        step = 6 * points * 70 / 2.5e10 + 14 * points * 4.5e-9 + 3 * 0.25e-6
        assert plan.seconds == pytest.approx(1000 * 10**6 * step, rel=1e-3)
    readout = plan_of(training={"snapshots": 0, "steps": 10**6, "trainable": "readout"})
    assert readout.seconds == pytest.approx(1000 * 10**6 * (6 * 10 * 6 / 2.5e10 + 0.25e-6), rel=1e-3)
    chains = plan_of("hmc", training={"chains": 4})
    assert chains.seconds == pytest.approx(4 * plan_of("hmc").seconds, rel=0.01)
    fine = plan_of("gradient-flow", training={"tolerance": 1e-10})
    assert fine.seconds > plan_of("gradient-flow").seconds
    assert plan_of("exact").seconds < 1.0


@pytest.mark.parametrize("algorithm", list(KEYS))
def test_check_prints_the_training(algorithm: str) -> None:
    spec = spec_of(algorithm, training={"loss": "half-mean"}, data={"test": 4})
    plan = plan_run(spec)
    rows = plan_rows(spec, plan)
    assert len({label for label, _ in rows}) == len(rows) - max(0, len(plan.notes) - 1)
    text = dict(rows)
    assert text["data"].startswith("10 to train on, 4 held out, dimension 2, 1 target, teacher linear")
    assert f"sha256 {spec.dataset().sha256[:12]}" in text["data"]
    assert text["loss"] == "half-mean: 1/(2P) sum (f - y)^2, c = 0.05"
    assert text["algorithm"].startswith(f"{algorithm}: ")
    thermal = algorithm in (*SAMPLERS, "exact")
    assert ("ridge kappa = T / (2 c) = 0.1" in text["temperature"]) == thermal
    assert ("chain" in text["algorithm"]) == (algorithm in SAMPLERS)
    assert ("snapshots" in text) == (algorithm != "exact")
    assert "70 parameters in all" in text["trainable"]
    assert text["method"].endswith("training needs the weights") or algorithm == "exact"
    assert all("\n" not in value for value in text.values())
    assert text["digest"] == spec.digest()
    assert json.loads(json.dumps(dataclasses.asdict(plan)))["training"]["algorithm"] == algorithm


def test_words_of_layers() -> None:
    def words(trainable: Any) -> str:
        spec = spec_of(training={"trainable": trainable})
        return dict(plan_rows(spec, plan_run(spec)))["trainable"]

    assert words("all").startswith("all layers,")
    assert words([1, 2, 3]).startswith("all layers,")
    assert words("readout").startswith("the readout,")
    assert words([3]).startswith("the readout,")
    assert words([1, 3]).startswith("layers 1, 3 of 3,")
