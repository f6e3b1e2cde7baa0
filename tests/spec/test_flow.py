"""The table of a flow over cutoffs: what it accepts, refuses and means, and what is in the digest."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from nnft.errors import CardError
from nnft.spec import RunSpec, plan_run
from nnft.spec.flow import FlowSpec
from nnft.spec.flow_resolution import FlowResolution

CARD: dict[str, Any] = {
    "network": {"widths": [8, 5], "activation": "tanh", "bias_variance": [0.0, 1.0, 0.5]},
    "inputs": {"points": [[1.0, 2.0], [0.5, -1.0], [0.0, 0.3]]},
    "ensemble": {"networks": 100, "seed": 7},
}
TRAINING: dict[str, Any] = {
    "loss": "half-sum", "algorithm": "gd", "step": 0.1, "steps": 5,
    "data": {"teacher": "linear", "points": 10, "dimension": 2},
}  # fmt: skip
FLOW: dict[str, Any] = {"cutoffs": [0.1, 1.0], "noise_variance": 0.5}
RIDGE = {"algorithm": "hmc", "ridge": 0.25, "draws": 5, "steps": None, "step": "auto"}
OWN_VALUES: dict[str, Any] = {
    "cutoffs": [0.2, 1.0],
    "layers": [2, 3],
    "basis": "eigenbasis",
    "fill": "zero",
    "width": 2.0,
    "noise_variance": 0.7,
    "points": "fresh",
    "fisher_points": 4,
    "fisher_seed": 3,
    "refills": 2,
    "anew": True,
    "tangents": False,
}
NEEDS: dict[str, dict[str, Any]] = {
    "width": {"fill": "gaussian"},
    "points": {"fisher_points": 10},
    "fisher_seed": {"points": "fresh", "fisher_points": 10},
}
"""Keys without which another one is refused, or means nothing."""


def spec_of(flow: dict[str, Any] | None, training: dict[str, Any] | None = None, **tables: Any) -> RunSpec:
    table = {key: value for key, value in (TRAINING | (training or {})).items() if value is not None}
    further = {} if flow is None else {"flow": flow}
    return RunSpec.from_dict(CARD | {"training": table} | further | tables)


def resolved(flow: dict[str, Any], training: dict[str, Any] | None = None, **tables: Any) -> FlowResolution:
    resolution = spec_of(flow, training, **tables).flow_resolution
    assert resolution is not None
    return resolution


def refusal(flow: dict[str, Any], training: dict[str, Any] | None = None, **tables: Any) -> str:
    """The one line with which a card is refused, at the latest when the run is planned."""
    with pytest.raises(CardError) as caught:
        plan_run(spec_of(flow, training, **tables))
    assert len(caught.value.problems) == 1, caught.value.problems
    problem = caught.value.problems[0]
    assert len("nnft: error: " + problem) <= 200
    assert ": got " in problem
    assert problem.isprintable()
    return problem


def test_every_key_has_a_value_here() -> None:
    assert set(OWN_VALUES) == set(FlowSpec.model_fields)


def test_defaults() -> None:
    flow = resolved(FLOW)
    assert flow == FlowResolution(
        cutoffs=(0.0, 0.1, 1.0, math.inf),
        quantiles=0,
        layers=(3,),
        noise_variance=0.5,
        weight_rates=(1 / 2, 1 / 8, 1 / 5),
        bias_rates=(1.0, 1.0, 1.0),
        basis="diagonal",
        fill="prior",
        width=0.0,
        source="training",
        points=10,
        seed=0,
        refills=1,
        anew=False,
        tangents=True,
    )
    assert flow.count == 4
    assert spec_of(None).flow_resolution is None


@pytest.mark.parametrize("key", list(OWN_VALUES))
def test_every_key_is_taken_and_comes_back(key: str) -> None:
    spec = spec_of(FLOW | NEEDS.get(key, {}) | {key: OWN_VALUES[key]})
    again = RunSpec.from_text(spec.to_toml())
    assert again.digest() == spec.digest()
    assert again.difference(spec) == []
    assert again.to_toml() == spec.to_toml()
    assert again.flow_resolution == spec.flow_resolution
    assert plan_run(again) == plan_run(spec)


@pytest.mark.parametrize("key", list(OWN_VALUES))
def test_every_key_is_in_the_digest_and_named(key: str) -> None:
    stored = spec_of(FLOW | NEEDS.get(key, {}) | ({"width": 1.0} if key == "width" else {}))
    other = spec_of(FLOW | NEEDS.get(key, {}) | {key: OWN_VALUES[key]})
    assert other.digest() != stored.digest()
    lines = other.difference(stored)
    name = {"points": "source", "fisher_points": "points", "fisher_seed": "seed"}.get(key, key)
    assert len(lines) == 1, lines
    assert f"flow.{name}: got" in lines[0]
    assert "the file has" in lines[0]


def test_a_flow_is_in_the_digest() -> None:
    """And what is only another way to say the same is not."""
    stored = spec_of(FLOW)
    assert spec_of(None).digest() != stored.digest()
    same: list[dict[str, Any]] = [
        {"cutoffs": "linear:0.1:1:2"},
        {"cutoffs": [0, 0.1, 1.0]},
        {"layers": "readout"},
        {"layers": [3]},
        {"fisher_points": 10},
        {"fisher_seed": 9},
        {"refills": 1.0},
    ]
    for changes in same:
        assert spec_of(FLOW | changes).digest() == stored.digest(), changes
    ridge = spec_of({"cutoffs": [1.0]}, RIDGE)
    assert ridge.digest() == spec_of({"cutoffs": [1.0], "noise_variance": 0.25}, RIDGE).digest()


def test_cutoffs_in_words() -> None:
    def cutoffs(text: str) -> tuple[float, ...]:
        return resolved(FLOW | {"cutoffs": text}).cutoffs

    found = cutoffs("log:1e-4:1e5:25")
    assert found[0] == 0.0
    assert found[-1] == math.inf
    np.testing.assert_allclose(found[1:-1], [10 ** (-4 + 9 * k / 24) for k in range(25)], rtol=1e-13)
    assert cutoffs("linear:0:1:5") == (0.0, 0.25, 0.5, 0.75, 1.0, math.inf)
    quantiles = resolved(FLOW | {"cutoffs": "quantiles:7"})
    assert (quantiles.cutoffs, quantiles.quantiles, quantiles.count) == ((), 7, 9)


def test_coordinates_are_those_of_the_training() -> None:
    """Rates are 1 for the weights themselves, 1 / fan-in for weights of unit scale; biases have rate 1."""
    standard = resolved(FLOW, {"parametrization": "standard"})
    assert standard.weight_rates == (1.0, 1.0, 1.0)
    assert standard.bias_rates == (1.0, 1.0, 1.0)
    assert resolved({"cutoffs": [1.0]}, RIDGE).noise_variance == 0.25
    assert resolved(FLOW | {"layers": "all"}).layers == (1, 2, 3)
    heat = RIDGE | {"ridge": None, "temperature": 0.25, "loss": "half-mean"}
    assert resolved({"cutoffs": [1.0]}, heat).noise_variance == pytest.approx(2.5)


def test_memory_counts_cutoffs_and_kernels() -> None:
    plain, bare = resolved(FLOW | {"refills": 3}), resolved(FLOW | {"refills": 3, "tangents": False})
    assert plain.member_bytes(3) == 8 * (4 * (3 * 5 + 6 + 1) + 323)
    assert bare.member_bytes(3) == 8 * (4 * (3 * 5 + 1) + 323)
    posterior = RIDGE | {"trainable": "readout"}
    conditional = resolved({"cutoffs": [0.1, 1.0], "fill": "conditional"}, posterior)
    assert conditional.member_bytes(3) == 8 * (4 * (5 + 6 + 6 + 1) + 323)
    few, many = (plan_run(spec_of(FLOW | {"cutoffs": f"log:1e-4:1:{n}"})) for n in (10, 1000))
    assert many.wave_bytes > 5 * few.wave_bytes
    assert many.memory_bytes > few.memory_bytes
    assert many.snapshot_bytes > few.snapshot_bytes


LONG = "log:1e-4:1e5:" + "9" * 500


@pytest.mark.parametrize(
    ("flow", "words"),
    [
        ({"cutoffs": None}, ("missing key in flow.cutoffs",)),
        ({"cutoffs": []}, ("too few values in flow.cutoffs",)),
        ({"cutoffs": [1.0, 1.0]}, ("not increasing in flow.cutoffs[1]: got 1.0",)),
        ({"cutoffs": [1.0, 2.0, 0.5]}, ("not increasing in flow.cutoffs[2]: got 0.5",)),
        ({"cutoffs": [-0.1]}, ("out of range in flow.cutoffs[0]",)),
        ({"cutoffs": [float("nan")]}, ("flow.cutoffs[0]: got nan",)),
        ({"cutoffs": [float("inf")]}, ("flow.cutoffs[0]: got inf",)),
        ({"cutoffs": ["one"]}, ("flow.cutoffs[0]",)),
        ({"cutoffs": [True]}, ("flow.cutoffs[0]",)),
        ({"cutoffs": 1.0}, ("flow.cutoffs: got 1.0",)),
        ({"cutoffs": {"low": 1}}, ("flow.cutoffs: got a table",)),
        ({"cutoffs": list(range(2000))}, ("too many values in flow.cutoffs",)),
        ({"cutoffs": ""}, ("no cutoffs in flow.cutoffs", "log:1e-4:1e5:25")),
        ({"cutoffs": "log"}, ("no cutoffs in flow.cutoffs: got 'log'", "quantiles:20")),
        ({"cutoffs": "log:a:b:3"}, ("no cutoffs in flow.cutoffs",)),
        ({"cutoffs": "log:1:2"}, ("no cutoffs in flow.cutoffs",)),
        ({"cutoffs": "log:0:2:3"}, ("flow.cutoffs: got 'log:0:2:3'", "LOW < HIGH")),
        ({"cutoffs": "log:2:1:3"}, ("flow.cutoffs: got 'log:2:1:3'", "LOW < HIGH")),
        ({"cutoffs": "log:1:2:1"}, ("flow.cutoffs: got 'log:1:2:1'", "2 to 1000")),
        ({"cutoffs": "log:1:2:1001"}, ("flow.cutoffs", "2 to 1000")),
        ({"cutoffs": "log:1:inf:5"}, ("flow.cutoffs: got 'log:1:inf:5'",)),
        ({"cutoffs": "log:nan:1:5"}, ("flow.cutoffs: got 'log:nan:1:5'",)),
        ({"cutoffs": "log:1:1.0000000000000002:9"}, ("too close in flow.cutoffs: got 'log:1:1.00",)),
        ({"cutoffs": "linear:-1:1:5"}, ("flow.cutoffs: got 'linear:-1:1:5'",)),
        ({"cutoffs": "quantiles:0"}, ("flow.cutoffs: got 'quantiles:0'", "1 to 1000")),
        ({"cutoffs": "quantiles:1001"}, ("flow.cutoffs", "1 to 1000")),
        ({"cutoffs": LONG}, ("no cutoffs in flow.cutoffs",)),
        ({"layers": "last"}, ("unknown value in flow.layers",)),
        ({"layers": []}, ("too few values in flow.layers",)),
        ({"layers": [0]}, ("out of range in flow.layers[0]",)),
        ({"layers": [2, 2]}, ("flow.layers: got 2 after 2",)),
        ({"layers": [3, 1]}, ("flow.layers: got 1 after 3", "increasing")),
        ({"layers": [1, 4]}, ("flow.layers[1]: got 4", "1 to 3")),
        ({"layers": [1.5]}, ("flow.layers[0]: got 1.5",)),
        ({"fill": "ones"}, ("unknown value in flow.fill: got 'ones'", "prior")),
        ({"fill": "gausian", "width": 1.0}, ("did you mean 'gaussian'?",)),
        ({"basis": "eigen"}, ("unknown value in flow.basis: got 'eigen'", "layer-eigenbasis")),
        ({"fill": "conditional", "width": 1.0}, ("flow.width: got 1.0", "fill is conditional")),
        ({"fill": "conditional", "refills": 2}, ("flow.refills: got 2", "draws nothing")),
        ({"fill": "conditional", "anew": True}, ("flow.anew: got true", "draws nothing")),
        ({"fill": "conditional"}, ("flow.fill: got 'conditional'", "gd has none", "train with hmc")),
        ({"fill": "gaussian"}, ("missing key in flow.width", "fill 'gaussian' needs it")),
        ({"width": 1.0}, ("contradiction in flow.width: got 1.0", "fill is prior")),
        ({"fill": "gaussian", "width": 0.0}, ("out of range in flow.width",)),
        ({"noise_variance": None}, ("missing key in flow.noise_variance", "no ridge to take")),
        ({"noise_variance": 0.0}, ("out of range in flow.noise_variance",)),
        ({"noise_variance": float("inf")}, ("flow.noise_variance",)),
        ({"points": "all"}, ("unknown value in flow.points",)),
        ({"points": "fresh"}, ("missing key in flow.fisher_points", "'fresh' needs it")),
        ({"fisher_points": 0}, ("out of range in flow.fisher_points",)),
        ({"fisher_points": 11}, ("flow.fisher_points: got 11", "at most 10, the training points")),
        ({"fisher_points": 10**6}, ("out of range in flow.fisher_points",)),
        ({"fisher_seed": -1}, ("out of range in flow.fisher_seed",)),
        ({"refills": 0}, ("out of range in flow.refills",)),
        ({"refills": 1.5}, ("flow.refills: got 1.5", "whole number")),
        ({"anew": "yes"}, ("flow.anew: got 'yes'", "true or false")),
        ({"tangents": 1}, ("flow.tangents", "true or false")),
        ({"cutoff": [1.0]}, ("unknown key in flow.cutoff", "cutoffs")),
    ],
)
def test_impossible_tables_are_refused(flow: dict[str, Any], words: tuple[str, ...]) -> None:
    table = {key: value for key, value in (FLOW | flow).items() if value is not None}
    problem = refusal(table)
    assert all(word in problem for word in words), problem


def test_contradictions_with_other_tables() -> None:
    with pytest.raises(CardError, match=r"flow: got \[flow\] alone; .*add \[training\]"):
        RunSpec.from_dict(CARD | {"flow": FLOW})
    exact = {"algorithm": "exact", "trainable": "readout", "ridge": 0.1, "step": None, "steps": None}
    assert "training.algorithm 'exact'" in refusal(FLOW, exact)
    assert refusal(FLOW, {"algorithm": "sgdd"}).startswith("unknown value in training.algorithm")
    with pytest.raises(CardError, match="a table"):
        RunSpec.from_dict(CARD | {"training": TRAINING, "flow": "log:1:2:3"})


def test_conditional_fills_need_a_gaussian_posterior() -> None:
    flow = {"cutoffs": [0.1, 1.0], "fill": "conditional"}
    posterior = RIDGE | {"trainable": "readout"}
    assert resolved(flow, posterior).fill == "conditional"
    assert resolved(flow | {"tangents": False}, RIDGE).fill == "conditional"
    assert "flow.tangents: got true" in refusal(flow, RIDGE)
    assert "flow.layers: got 'all'" in refusal(flow | {"layers": "all"}, posterior)
    assert "the readout is not trained" in refusal(flow, RIDGE | {"trainable": [1, 2]})
    given = {"algorithm": "given", "weights": "w.npz", "step": None, "steps": None}
    assert "give training.ridge" in refusal(flow | {"noise_variance": 1.0}, given)
    decay = {"weight_decay": "prior", "ridge": 0.1}
    for changes in ({"algorithm": "sgd", "batch_size": 2}, {"algorithm": "gd"}):
        assert "none: train with hmc" in refusal(flow, changes | decay)


def test_a_file_has_no_law_of_inputs(tmp_path: Any) -> None:
    (tmp_path / "data.csv").write_text("1,2,3\n2,3,4\n3,4,1\n", encoding="utf-8")
    data = {"file": str(tmp_path / "data.csv"), "inputs": [1, 2], "targets": [3]}
    fresh = FLOW | {"points": "fresh", "fisher_points": 5}
    assert "flow.points: got 'fresh'" in refusal(fresh, {"data": data})
    plan_run(spec_of(FLOW, {"data": data}))


def test_networks_at_the_start_have_no_flow() -> None:
    prior = spec_of(FLOW).without_training()
    assert prior.flow is None
    assert prior.flow_resolution is None
    assert not [key for key in prior.determining() if key.startswith("flow")]
