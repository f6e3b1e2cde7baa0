"""The specification as a whole: digest, difference, round trip, going on with a stored run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from nnft.errors import CardError
from nnft.spec import EnsembleSpec, EstimateSpec, InputsSpec, NetworkSpec, RunSpec, StoreSpec
from nnft.spec.network import ACTIVATIONS, ActivationName
from nnft.spec.toml_text import toml_text

CARD: dict[str, dict[str, Any]] = {
    "network": {"widths": [8, 4], "activation": "tanh", "outputs": 3},
    "inputs": {"points": [[1.0, 2.0], [0.5, -1.0]]},
    "ensemble": {"networks": 10_000, "seed": 7},
    "estimate": {"correlators": [2, 4]},
    "store": {"fields": 0},
}


def spec_of(table: str = "store", **values: object) -> RunSpec:
    return RunSpec.from_dict(CARD | {table: CARD[table] | values})


def test_defaults() -> None:
    spec = spec_of()
    assert spec.network.weight_variances == (1.0, 1.0, 1.0)
    assert spec.network.bias_variances == (0.0, 0.0, 0.0)
    assert spec.network.layers == 3
    assert spec.estimate.bins == 100
    assert spec.store.checkpoint_seconds == 30.0
    assert RunSpec.from_dict({k: CARD[k] for k in ("network", "inputs", "ensemble")}) == spec


def test_python_objects_and_cards_are_the_same_run() -> None:
    spec = RunSpec(
        network=NetworkSpec(widths=(8, 4), activation="tanh", outputs=np.int64(3)),
        inputs=InputsSpec(points=np.array([[1.0, 2.0], [0.5, -1.0]])),
        ensemble=EnsembleSpec(networks=10_000, seed=7),
        estimate=EstimateSpec(correlators=(4, 2)),
        store=StoreSpec(),
    )
    assert spec == spec_of()
    assert spec.digest() == spec_of().digest()
    assert len({spec, spec_of()}) == 1


def test_frozen() -> None:
    spec = spec_of()
    with pytest.raises(ValidationError):
        spec.network = spec.network
    with pytest.raises(ValidationError):
        spec.network.outputs = 4


def test_digest_is_known() -> None:
    # Written down once: a change means that stored runs no longer match their cards.
    assert re.fullmatch("[0-9a-f]{64}", spec_of().digest())
    assert spec_of().digest() == "15d84f1714538cc9dac7d5658596cb02c6c0d84efd7ca197ec001f04e6810968"


DETERMINING = [
    ("network", {"widths": [8, 5]}, "network.widths"),
    ("network", {"activation": "relu"}, "network.activation"),
    ("network", {"weight_variance": 1.5}, "network.weight_variance"),
    ("network", {"bias_variance": [0.0, 0.0, 0.1]}, "network.bias_variance"),
    ("network", {"outputs": 4}, "network.outputs"),
    ("inputs", {"points": [[1.0, 2.0], [0.5, -1.5]]}, "inputs"),
    ("inputs", {"scale": "unit-norm"}, "inputs"),
    ("ensemble", {"seed": 8}, "ensemble.seed"),
    ("ensemble", {"method": "collapsed"}, "ensemble.method"),
    ("ensemble", {"precision": "float32"}, "ensemble.precision"),
    ("ensemble", {"block_size": 8}, "ensemble.block_size"),
    ("estimate", {"correlators": [2]}, "estimate.correlators"),
    ("estimate", {"estimator": "direct"}, "estimate.estimator"),
    ("estimate", {"layers": False}, "estimate.layers"),
    ("estimate", {"outputs": 1}, "estimate.outputs"),
    ("estimate", {"bins": 50}, "estimate.bins"),
    ("estimate", {"layer_pairs": "diagonal"}, "estimate.layer_pairs"),
    ("store", {"fields": 5}, "store.fields"),
]


@pytest.mark.parametrize(("table", "values", "key"), DETERMINING)
def test_what_determines_the_numbers_changes_the_digest(table: str, values: dict[str, Any], key: str) -> None:
    card, file = spec_of(table, **values), spec_of()
    assert card.digest() != file.digest()
    lines = card.difference(file)
    assert any(f"in {key}: got " in line and "the file has" in line for line in lines)
    assert all(len("nnft: error: " + line) <= 200 for line in lines)
    assert file.difference(file) == []


def test_leaky_slopes_change_the_digest() -> None:
    plain = spec_of("network", activation="leaky_relu")
    assert plain.network.activation_parameters == (1.0, 0.01)
    explicit = spec_of("network", activation="leaky_relu", activation_parameters=[1.0, 0.01])
    assert plain.digest() == explicit.digest()
    other = spec_of("network", activation="leaky_relu", activation_parameters=[1.0, 0.02])
    assert other.difference(plain)


@pytest.mark.parametrize(
    ("table", "values"),
    [
        ("store", {"checkpoint_seconds": 1}),
        ("ensemble", {"networks": 10_001}),
        ("network", {"weight_variance": [1.0, 1.0, 1.0]}),
        ("network", {"kind": "mlp"}),
        ("inputs", {"scale": "none"}),
        ("ensemble", {"seed": 7.0}),
        ("estimate", {"correlators": [4, 2]}),
        ("estimate", {"layer_pairs": "all"}),
        ("estimate", {"outputs": 2}),
    ],
)
def test_what_does_not_determine_the_numbers_keeps_the_digest(table: str, values: dict[str, Any]) -> None:
    assert spec_of(table, **values).digest() == spec_of().digest()


def test_a_longer_run_goes_on_with_the_block_size_and_seed_of_the_stored_one() -> None:
    stored = spec_of()
    longer = RunSpec.from_dict(CARD | {"ensemble": {"networks": 1_000_000}})
    assert longer.difference(stored)
    resumed = longer.resuming(stored)
    assert resumed.difference(stored) == []
    assert resumed.ensemble.networks == 1_000_000
    assert resumed.digest() == stored.digest()
    assert longer.ensemble.seed != stored.ensemble.seed
    asked = RunSpec.from_dict(CARD | {"ensemble": {"networks": 1_000_000, "seed": 8, "block_size": 2}})
    assert len(asked.resuming(stored).difference(stored)) == 2


widths = st.lists(st.integers(1, 10**7), max_size=4)
variances = st.floats(0.0, 1e6)


@st.composite
def cards(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    hidden = draw(widths)
    per_layer = st.lists(variances, min_size=len(hidden) + 1, max_size=len(hidden) + 1)
    points = st.lists(st.lists(st.floats(-1e100, 1e100), min_size=2, max_size=2), min_size=1, max_size=3)
    activation = draw(st.sampled_from(sorted(ACTIVATIONS)))
    count = len(ACTIVATIONS[activation])
    networks = draw(st.integers(1, 2**53))
    return {
        "network": {
            "widths": hidden,
            "activation": activation,
            "activation_parameters": draw(st.lists(st.floats(-1e6, 1e6), min_size=count, max_size=count)),
            "weight_variance": draw(variances | per_layer),
            "bias_variance": draw(variances | per_layer),
            "outputs": draw(st.integers(1, 10**5)),
        },
        "inputs": {"points": draw(points)},
        "ensemble": {
            "networks": networks,
            "seed": draw(st.integers(0, 2**128 - 1)),
            "method": draw(st.sampled_from(["auto", "collapsed", "explicit"])),
            "precision": draw(st.sampled_from(["float64", "float32"])),
            "block_size": draw(st.just("auto") | st.integers(1, min(networks, 2**20))),
        },
        "estimate": {
            "correlators": draw(st.lists(st.sampled_from([2, 4, 6, 8]), min_size=1, unique=True)),
            "estimator": draw(st.sampled_from(["auto", "conditional", "direct"])),
            "layers": draw(st.booleans()),
            "bins": draw(st.integers(32, 10**5)),
        },
        "store": {"fields": draw(st.just("all") | st.integers(0, networks))},
    }


@settings(deadline=None, max_examples=100)
@given(cards())
def test_round_trip_through_toml(card: dict[str, dict[str, Any]]) -> None:
    spec = RunSpec.from_dict(card)
    text = spec.to_toml()
    again = RunSpec.from_text(text)
    assert again.digest() == spec.digest()
    assert again.difference(spec) == []
    assert again.to_toml() == text
    assert again.ensemble.networks == spec.ensemble.networks
    assert "auto" not in re.sub(r"(method|estimator) = .*", "", text)


def test_round_trip_of_a_card_with_a_file(tmp_path: Path) -> None:
    (tmp_path / 'points "1".csv').write_text("1,2\n0.5,-1\n")
    card = CARD | {"inputs": {"file": 'points "1".csv', "scale": "unit-norm"}}
    (tmp_path / "card.toml").write_text(toml_text(card))
    spec = RunSpec.from_card(tmp_path / "card.toml")
    (tmp_path / "again.toml").write_text(spec.to_toml())
    again = RunSpec.from_card(tmp_path / "again.toml")
    assert again.digest() == spec.digest()
    assert again.inputs.sha256 == spec.mesh().file_sha256
    assert "points = " not in spec.to_toml()


def test_stored_points_stand_in_for_the_file(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text("1,2\n0.5,-1\n")
    spec = RunSpec.from_dict(CARD | {"inputs": {"file": "points.csv", "scale": "unit-norm"}}, folder=tmp_path)
    text, points = spec.to_toml(), spec.mesh().points
    (tmp_path / "points.csv").unlink()
    again = RunSpec.from_text(text, points=points)
    assert again.digest() == spec.digest()
    assert again.to_toml() == text


def test_the_file_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    path.write_text("1,2\n")
    spec = RunSpec.from_dict(CARD | {"inputs": {"file": "points.csv"}}, folder=tmp_path)
    mesh = spec.mesh()
    path.unlink()
    assert spec.mesh() is mesh


@given(st.text())
def test_any_text_survives_toml(text: str) -> None:
    import tomllib

    if any(0xD800 <= ord(character) <= 0xDFFF for character in text):
        return
    assert tomllib.loads(toml_text({"a": text, "t": {"b": [text]}})) == {"a": text, "t": {"b": [text]}}


def test_activation_names_are_those_of_the_table() -> None:
    assert set(get_args(ActivationName)) == set(ACTIVATIONS)
    for name in ACTIVATIONS:
        assert len(spec_of("network", activation=name).network.activation_parameters) == len(
            ACTIVATIONS[name]
        )


@pytest.mark.parametrize("card", [{}, {"network": None}, {3: 4}, {"network": {1: 2}}])
def test_dictionaries_that_are_no_cards(card: dict[Any, Any]) -> None:
    with pytest.raises(CardError):
        RunSpec.from_dict(card)
