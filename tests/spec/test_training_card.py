"""The card's [training] table: what it accepts, what it means, what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnft.errors import CardError, UsageError
from nnft.spec import DataSpec, RunSpec, TrainingSpec, plan_run
from nnft.spec.training import DEFAULTS, KEYS_OF_ALGORITHM, SAMPLERS

CARD: dict[str, Any] = {
    "network": {"widths": [8, 6], "activation": "tanh"},
    "inputs": {"points": [[1.0, 2.0], [0.5, -1.0], [0.0, 0.3]]},
    "ensemble": {"networks": 1000, "seed": 7},
}
DATA: dict[str, Any] = {"teacher": "linear", "points": 10, "dimension": 2}
MINIMAL: dict[str, dict[str, Any]] = {
    "gd": {"step": 0.1, "steps": 50},
    "sgd": {"step": 0.1, "steps": 50, "batch_size": 3},
    "gradient-flow": {"time": 20.0},
    "langevin": {"step": 0.01, "draws": 5, "temperature": 0.1},
    "mala": {"draws": 5, "temperature": 0.1},
    "underdamped": {"step": 0.1, "draws": 5, "ridge": 0.1},
    "hmc": {"draws": 5, "ridge": 0.1},
    "exact": {"trainable": "readout", "ridge": 0.1},
}
ALGORITHMS = list(MINIMAL)


def training_of(algorithm: str, **keys: Any) -> dict[str, Any]:
    given = {"loss": "half-sum", "algorithm": algorithm, "data": DATA} | MINIMAL[algorithm] | keys
    return {key: value for key, value in given.items() if value is not None}


def spec_of(training: dict[str, Any], **tables: Any) -> RunSpec:
    return RunSpec.from_dict(CARD | tables | {"training": training})


def refusal(training: dict[str, Any], **tables: Any) -> str:
    """The one line with which a card is refused, at the latest when the run is planned."""
    with pytest.raises(CardError) as caught:
        plan_run(spec_of(training, **tables))
    assert len(caught.value.problems) == 1, caught.value.problems
    problem = caught.value.problems[0]
    assert len("nnft: error: " + problem) <= 200
    assert ": got " in problem
    assert "\n" not in problem
    return problem


def test_every_algorithm_has_a_minimal_card() -> None:
    assert {*MINIMAL, "given"} == set(KEYS_OF_ALGORITHM)  # given: test_given_weights.py


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("loss", ["half-sum", "sum", "half-mean", "mean"])
def test_minimal_cards_are_accepted_and_come_back(algorithm: str, loss: str) -> None:
    spec = spec_of(training_of(algorithm, loss=loss))
    plan = plan_run(spec)
    assert plan.training is not None
    assert plan.training.algorithm == algorithm
    again = RunSpec.from_text(spec.to_toml())
    assert again.digest() == spec.digest()
    assert again.difference(spec) == []
    assert again.to_toml() == spec.to_toml()
    assert plan_run(again) == plan


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_defaults(algorithm: str) -> None:
    table = TrainingSpec(**training_of(algorithm)).table()
    for name in KEYS_OF_ALGORITHM[algorithm]:
        if name in DEFAULTS:
            assert table[name] == DEFAULTS[name]
    assert table["parametrization"] == "ntk"
    assert table["trainable"] == ("readout" if algorithm == "exact" else "all")
    assert table["observe"] == 0
    thermal = algorithm in (*SAMPLERS, "exact")
    assert table["weight_decay"] == ("prior" if thermal else "none")
    assert table.get("target_acceptance") == {"hmc": 0.8, "mala": 0.57}.get(algorithm)
    assert table.get("step") == ("auto" if algorithm in ("hmc", "mala") else MINIMAL[algorithm].get("step"))
    assert table.get("draws") == {"exact": 1}.get(algorithm, MINIMAL[algorithm].get("draws"))


def test_the_loss_has_no_default() -> None:
    problem = refusal(training_of("gd", loss=None))
    assert problem.startswith("missing key in training.loss: got nothing")
    assert "no default: say how squared errors are added up" in problem


OWN_VALUES: dict[str, Any] = {
    "step": 0.1,
    "steps": 7,
    "epochs": 3,
    "batch_size": 2,
    "order": "cyclic",
    "time": 1.0,
    "tolerance": 1e-5,
    "burn_in": 10,
    "draws": 4,
    "thinning": 2,
    "chains": 2,
    "leapfrog_steps": 5,
    "jitter": 0.1,
    "target_acceptance": 0.7,
    "adapt": True,
    "friction": 2.0,
    "snapshots": 5,
    "divergence": 100.0,
    "weights": "posterior.npz",
    "weights_sha256": "0" * 12,
}
FOREIGN = [
    (algorithm, key)
    for algorithm, known in KEYS_OF_ALGORITHM.items()
    for key in OWN_VALUES
    if key not in known and algorithm in MINIMAL
]


def test_every_key_of_an_algorithm_has_a_value_here() -> None:
    assert set(OWN_VALUES) == {key for keys in KEYS_OF_ALGORITHM.values() for key in keys}


@pytest.mark.parametrize(("algorithm", "key"), FOREIGN)
def test_keys_of_other_algorithms_are_refused_by_name(algorithm: str, key: str) -> None:
    problem = refusal(training_of(algorithm, **{key: OWN_VALUES[key]}))
    assert f"contradiction in training.{key}: got " in problem
    assert f"leave it out: training.algorithm is {algorithm}" in problem


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [(algorithm, key) for algorithm, keys in MINIMAL.items() for key in keys if key != "trainable"],
)
def test_keys_that_an_algorithm_needs(algorithm: str, key: str) -> None:
    problem = refusal(training_of(algorithm, **{key: None}))
    if key in ("ridge", "temperature"):
        assert "missing key in training.temperature: got nothing" in problem
        assert f"{algorithm} needs training.temperature or training.ridge" in problem
    elif (algorithm, key) == ("sgd", "steps"):
        assert "contradiction in training.steps and epochs: got neither" in problem
    else:
        assert f"missing key in training.{key}: got nothing" in problem
        assert f"training.algorithm {algorithm!r} needs it" in problem


@pytest.mark.parametrize(
    ("algorithm", "keys", "words"),
    [
        ("hmc", {"ridge": 0.0}, ("training.ridge: got 0.0", "use gd or gradient-flow")),
        ("langevin", {"temperature": 0}, ("training.temperature: got 0.0", "use gd or gradient-flow")),
        ("exact", {"ridge": 0.0}, ("training.ridge: got 0.0",)),
        ("hmc", {"temperature": 0.1}, ("training.temperature and ridge: got both", "temperature / (2 c)")),
        ("hmc", {"ridge": -1.0}, ("out of range", "training.ridge")),
        ("hmc", {"weight_decay": "none"}, ("training.weight_decay: got 'none'", "posterior of the prior")),
        ("exact", {"weight_decay": "none"}, ("training.weight_decay: got 'none'",)),
        ("gd", {"temperature": 0.1}, ("training.temperature: got 0.1", "set weight_decay to prior")),
        ("gradient-flow", {"ridge": 0.1, "weight_decay": "none"}, ("training.ridge: got 0.1",)),
        ("gd", {"weight_decay": "prior"}, ("missing key in training.temperature", "weight_decay 'prior'")),
        ("gd", {"weight_decay": "prior", "ridge": 0}, ("training.ridge: got 0.0", "weight_decay to none")),
        ("gd", {"step": "auto"}, ("no automatic step in training.step", "gd needs a number")),
        ("underdamped", {"step": "auto"}, ("no automatic step in training.step",)),
        ("gd", {"step": 0.0}, ("out of range", "training.step")),
        ("mala", {"step": "fast"}, ("training.step", "auto")),
        ("gd", {"steps": 2.5}, ("training.steps: got 2.5", "whole number")),
        ("sgd", {"epochs": 3}, ("training.steps and epochs: got both",)),
        ("sgd", {"batch_size": 11}, ("training.batch_size: got 11", "at most 10, the training points")),
        ("sgd", {"order": "randm"}, ("training.order", "did you mean 'random'?")),
        ("exact", {"trainable": "all"}, ("training.trainable: got 'all'", 'needs trainable = "readout"')),
        ("exact", {"trainable": None}, ("training.trainable: got 'all'", 'needs trainable = "readout"')),
        ("exact", {"trainable": [2, 3]}, ("training.trainable", 'needs trainable = "readout"')),
        ("exact", {"trainable": [2]}, ("training.trainable", 'needs trainable = "readout"')),
        ("gd", {"trainable": [1, 4]}, ("training.trainable[1]: got 4", "allowed: 1 to 3")),
        ("gd", {"trainable": [0]}, ("out of range", "training.trainable[0]")),
        ("gd", {"trainable": [2, 2]}, ("training.trainable: got 2 after 2",)),
        ("gd", {"trainable": [3, 1]}, ("training.trainable: got 1 after 3", "increasing")),
        ("gd", {"trainable": []}, ("too few values", "training.trainable")),
        ("gd", {"trainable": "last"}, ("unknown value in training.trainable",)),
        ("gd", {"observe": 1}, ("training.observe: got 1", "allowed: 0 to 0")),
        ("hmc", {"burn_in": 0}, ("training.burn_in: got 0", "automatic step")),
        ("langevin", {"burn_in": 0, "draws": 1}, ("no step in training.burn_in",)),
        ("hmc", {"jitter": 0.6}, ("out of range", "training.jitter")),
        ("mala", {"target_acceptance": 1.0}, ("out of range", "training.target_acceptance")),
        ("gradient-flow", {"tolerance": 1e-11}, ("out of range", "training.tolerance")),
        ("gd", {"divergence": 0.5}, ("out of range", "training.divergence")),
        ("gd", {"snapshots": 201}, ("out of range", "training.snapshots")),
        ("gd", {"snapshots": [0, 5, 5]}, ("not increasing in training.snapshots[2]",)),
        ("gd", {"snapshots": [0.5]}, ("no step in training.snapshots[0]: got 0.5",)),
        ("gd", {"snapshots": [1, 60]}, ("training.snapshots[1]: got 60", "at most 50, the steps")),
        ("gradient-flow", {"snapshots": [0.5, 20.5]}, ("training.snapshots[1]: got 20.5", "the time")),
        ("gd", {"snapshots": [-1]}, ("out of range", "training.snapshots[0]")),
        ("gd", {"lr": 0.1}, ("unknown key in training.lr",)),
        ("gd", {"data": None}, ("missing key in training.data", "a table [training.data]")),
    ],
)
def test_impossible_tables_are_refused(algorithm: str, keys: dict[str, Any], words: tuple[str, ...]) -> None:
    problem = refusal(training_of(algorithm, **keys))
    assert all(word in problem for word in words), problem


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"deformation": {"phi4": 1.0}}, ("in deformation: got [training] and [deformation]",)),
        ({"ensemble": {"networks": 10, "precision": "float32"}}, ("got ensemble.precision float32",)),
        ({"ensemble": {"networks": 10, "method": "collapsed"}}, ("got ensemble.method collapsed", "weights")),
        ({"estimate": {"correlators": [2, 8]}}, ("estimate.correlators: got order 8", "up to 6")),
        ({"estimate": {"estimator": "conditional"}}, ("estimate.estimator: got 'conditional'", "use direct")),
        ({"inputs": {"points": [[1.0], [2.0]]}}, ("in inputs: got points of dimension 1", "data have 2")),
        (
            {"network": CARD["network"] | {"outputs": 2}},
            ("network.outputs: got 2", "allowed: 1", "'teacher linear'"),
        ),
    ],
)
def test_contradictions_with_other_tables(tables: dict[str, Any], words: tuple[str, ...]) -> None:
    problem = refusal(training_of("gd"), **tables)
    assert all(word in problem for word in words), problem


def test_one_output_is_estimated() -> None:
    two = training_of("gd", observe=1, data=DATA | {"outputs": 2})
    network = CARD["network"] | {"outputs": 2}
    assert plan_run(spec_of(two, network=network)).outputs == 1
    problem = refusal(two, network=network, estimate={"outputs": 2})
    assert "estimate.outputs: got 2" in problem
    assert "training.observe" in problem


def test_unknown_algorithms_name_the_nearest() -> None:
    problem = refusal(training_of("gd") | {"algorithm": "sgdd"})
    assert "training.algorithm" in problem
    assert "did you mean 'sgd'?" in problem


def test_conditional_needs_a_readout_that_is_sampled() -> None:
    asked = {"estimate": {"estimator": "conditional"}}
    for algorithm in (*SAMPLERS, "exact"):
        assert plan_run(spec_of(training_of(algorithm), **asked)).estimator == "trained-conditional"
    for algorithm in ("gd", "sgd", "gradient-flow"):
        decay = training_of(algorithm, weight_decay="prior", ridge=0.1)
        assert f"the readout after {algorithm} has no known law" in refusal(decay, **asked)
    frozen = training_of("hmc", trainable=[1, 2])
    assert "layer 3, the readout, is not in training.trainable" in refusal(frozen, **asked)
    assert plan_run(spec_of(frozen)).estimator == "trained"


def test_weight_decay_needs_a_prior_of_positive_variance() -> None:
    network = CARD["network"] | {"weight_variance": [1.0, 0.0, 1.0]}
    assert "training.trainable: got layer 2 of variance 0" in refusal(training_of("hmc"), network=network)
    plan_run(spec_of(training_of("hmc", trainable=[1, 3]), network=network))
    plan_run(spec_of(training_of("gd"), network=network))


def test_a_card_without_the_table_has_no_data() -> None:
    plain = RunSpec.from_dict(CARD)
    assert plain.training is None
    assert plan_run(plain).training is None
    assert not [key for key in plain.determining() if key.startswith("training")]
    assert "training" not in plain.to_toml()
    assert plain.estimate.layers is True
    with pytest.raises(UsageError, match=r"no table \[training\]"):
        plain.dataset()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_key_changes_the_digest_and_is_named(algorithm: str) -> None:
    """One line for each changed key, but for those that also move the end and with it the snapshots."""
    stored = spec_of(training_of(algorithm))
    moving = {"steps", "time", "burn_in", "draws", "thinning"}
    for key in KEYS_OF_ALGORITHM[algorithm]:
        if key == "epochs":
            continue
        value = False if key == "adapt" else OWN_VALUES[key]
        value = 0.2 if key == "step" else value
        lines = spec_of(training_of(algorithm, **{key: value})).difference(stored)
        assert any(f"training.{key}: got" in line and "the file has" in line for line in lines), key
        assert len(lines) == 1 or (key in moving and len(lines) == 2), lines
    general: dict[str, Any] = {"loss": "mean", "parametrization": "standard"}
    if algorithm != "exact":
        general["trainable"] = [2, 3]
    for key, value in general.items():
        assert any(
            f"training.{key}: got" in line
            for line in spec_of(training_of(algorithm, **{key: value})).difference(stored)
        )


def test_data_are_in_the_digest() -> None:
    stored = spec_of(training_of("gd"))
    for key, value in {"seed": 1, "points": 11, "noise_variance": 0.1, "test": 2}.items():
        lines = spec_of(training_of("gd", data=DATA | {key: value})).difference(stored)
        assert len(lines) == 1
        assert "training.data: got" in lines[0]
    same = spec_of(training_of("gd", data=DATA | {"law": "normal", "amplitude": 1, "outputs": 1, "seed": 0}))
    assert same.digest() == stored.digest()


@pytest.mark.parametrize("loss", ["half-sum", "sum", "half-mean", "mean"])
def test_a_ridge_is_a_temperature(loss: str) -> None:
    """kappa = T / (2c): with 10 points c is 1/2, 1, 1/20, 1/10."""
    factor = {"half-sum": 0.5, "sum": 1.0, "half-mean": 0.05, "mean": 0.1}[loss]
    ridge = spec_of(training_of("hmc", loss=loss, ridge=0.25))
    heat = spec_of(training_of("hmc", loss=loss, ridge=None, temperature=0.25 * 2 * factor))
    assert ridge.digest() == heat.digest()
    resolved = plan_run(heat).training
    assert resolved is not None
    assert resolved.loss_factor == factor
    assert resolved.ridge == 0.25
    assert resolved.temperature == 0.25 * 2 * factor


def test_epochs_are_steps() -> None:
    """10 points in batches of 3 are 4 steps, the last batch short."""
    steps = spec_of(training_of("sgd", steps=28))
    epochs = spec_of(training_of("sgd", steps=None, epochs=7))
    assert epochs.digest() == steps.digest()
    assert "epochs = 7" in epochs.to_toml()
    assert "steps = 28" in steps.to_toml()


def test_python_objects_and_cards_are_the_same_run() -> None:
    card = spec_of(training_of("hmc", trainable=[2, 3], snapshots=[0, 10, 100]))
    spec = RunSpec(
        network=card.network,
        inputs=card.inputs,
        ensemble=card.ensemble,
        training=TrainingSpec(
            loss="half-sum",
            algorithm="hmc",
            draws=np.int64(5),
            ridge=np.float64(0.1),
            trainable=np.array([2, 3]),
            snapshots=(0, 10, 100),
            data=DataSpec(teacher="linear", points=10, dimension=2),
        ),
    )
    assert spec == card
    assert spec.digest() == card.digest()


@st.composite
def trainings(draw: st.DrawFn) -> dict[str, Any]:
    algorithm = draw(st.sampled_from(ALGORITHMS))
    values: dict[str, st.SearchStrategy[Any]] = {
        "loss": st.sampled_from(["half-sum", "sum", "half-mean", "mean"]),
        "parametrization": st.sampled_from(["ntk", "standard"]),
        "step": st.floats(1e-9, 1e6),
        "steps": st.integers(1, 10**9),
        "batch_size": st.integers(1, 10),
        "order": st.sampled_from(["random", "shuffled", "cyclic"]),
        "time": st.floats(1e-100, 1e12),
        "tolerance": st.floats(1e-10, 1e-2),
        "burn_in": st.integers(1, 10**9),
        "draws": st.integers(1, 10**7),
        "thinning": st.integers(1, 10**6),
        "chains": st.integers(1, 1024),
        "leapfrog_steps": st.integers(1, 10**4),
        "jitter": st.floats(0.0, 0.5),
        "target_acceptance": st.floats(0.1, 0.99),
        "adapt": st.booleans(),
        "friction": st.floats(1e-9, 1e6),
        "snapshots": st.integers(0, 200),
        "divergence": st.floats(1.1, 1e300),
    }
    known = {*KEYS_OF_ALGORITHM[algorithm], "loss", "parametrization"}
    chosen = {key: draw(value) for key, value in values.items() if key in known and draw(st.booleans())}
    if algorithm in SAMPLERS:
        chosen |= {"temperature": None, "ridge": None}
        chosen[draw(st.sampled_from(["temperature", "ridge"]))] = draw(st.floats(1e-12, 1e12))
    return training_of(algorithm, **chosen)


@settings(deadline=None, max_examples=80)
@given(trainings())
def test_round_trip_of_any_training(training: dict[str, Any]) -> None:
    spec = spec_of(training)
    again = RunSpec.from_text(spec.to_toml())
    assert again.digest() == spec.digest()
    assert again.to_toml() == spec.to_toml()
    resolved = plan_run(spec).training
    assert resolved is not None
    moments = resolved.snapshots or resolved.snapshot_times
    assert list(moments) == sorted(set(moments))
    wanted = training["algorithm"] != "exact" and training.get("snapshots") != 0
    assert bool(moments) == wanted
    if wanted:
        assert moments[0] == 0
        assert moments[-1] == (resolved.total_time or resolved.total_steps)
