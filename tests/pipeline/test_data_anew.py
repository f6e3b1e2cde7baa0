"""Networks with data of their own: each trained, followed and judged as alone on its data."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from stops import StopAfter
from training_cards import TEACHER, TRAININGS, training_text, write_changed

import nnft
from nnft.analysis.comparison import compare
from nnft.analysis.comparison_record import comparison_record
from nnft.analysis.renormalized_run import RenormalizedRun
from nnft.analysis.scan_table import scan_summary, scan_text
from nnft.analysis.trained_run import TrainedRun
from nnft.errors import DataFileError, StoppedEarly
from nnft.pipeline.diagnose_output import diagnosis_of_run
from nnft.pipeline.flow_expectation import expected_losses
from nnft.pipeline.flow_run import flow_of_run
from nnft.pipeline.flow_setup import fisher_inputs, make_renormalization
from nnft.pipeline.network_data import data_of_network
from nnft.pipeline.recompute import recompute_bin
from nnft.pipeline.train import TrainSession, train
from nnft.pipeline.train_engine import TrainEngine
from nnft.pipeline.train_setup import largest_curvature, make_ensemble, resolved
from nnft.spec.plan import plan_run
from nnft.spec.run import RunSpec

Array = npt.NDArray[Any]

ANEW = f"{TEACHER}\nnoise_variance = 0.1\nanew = true"
FLOW: dict[str, Any] = {"cutoffs": [1e-3, 0.03, 0.3, 3.0], "noise_variance": 0.5}
ALGORITHMS = [name for name in TRAININGS if name != "exact"]
FIRST = ("gd-readout", "sgd-readout", "langevin")
CYCLIC = 'trainable = "readout"\nstep = 0.05\nepochs = 4\nbatch_size = 1\norder = "cyclic"\nsnapshots = 3'


def spec_of(name: str, flow: dict[str, Any] | None = None, lines: str | None = None, **keys: Any) -> RunSpec:
    text = training_text(name, lines, **{"data": ANEW, "networks": 20, "fields": 4} | keys)
    return RunSpec.from_dict(tomllib.loads(text) | ({"flow": flow} if flow else {}))


def alone(spec: RunSpec, network: int) -> RunSpec:
    """The same card with the data of one network for all."""
    assert spec.training is not None
    data = spec.training.data.model_copy(update={"anew": False})
    other = spec.model_copy(update={"training": spec.training.model_copy(update={"data": data})})
    for name in ("resolution", "flow_resolution"):
        other.__dict__.pop(name, None)
    other._dataset = replace(data_of_network(spec, network), network_sha256=())
    return other


def trained(spec: RunSpec, first: int, networks: int, threads: int = 1) -> tuple[Any, list[Array]]:
    """Weights, what is observed, kernels, and the flow of some networks."""
    plan, flow = plan_run(spec), spec.flow_resolution
    training = resolved(plan)
    ensemble = make_ensemble(spec, plan, threads, training.step or 0.05)
    wave = ensemble.start(first, networks)
    if training.algorithm == "gradient-flow":
        while not ensemble.follow(wave, 0.5):
            pass
    else:
        ensemble.advance(wave, 3)
        ensemble.advance(wave, 14)
    weights = ensemble.weights(wave)
    found = [weights, *ensemble.observe(wave), *ensemble.kernels(wave)]
    if training.ridge:
        found += ensemble.readouts(wave, training.ridge)
    if flow is not None:
        followed = make_renormalization(spec, flow, ensemble, flow.cutoffs)
        members = first * ensemble.chains
        found += vars(followed.run(weights, members)).values()
        found += [part for pair in followed.information(weights[0], members) for part in pair]
    return ensemble, [np.asarray(part) for part in found]


@pytest.mark.parametrize(
    "name", [name if name in FIRST else pytest.param(name, marks=pytest.mark.long) for name in ALGORITHMS]
)
def test_a_network_is_that_trained_alone_on_its_data(name: str) -> None:
    """All numbers bit for bit, by one thread and three, in one wave and network by network."""
    fresh = {"points": "fresh", "fisher_points": 3} if name == "sgd-readout" else {}
    spec = spec_of(name, FLOW | fresh | {"layers": "all" if name == "gd" else "readout", "refills": 2})
    ensemble, whole = trained(spec, 0, 5)
    _, threaded = trained(spec, 0, 5, threads=3)
    chains, counts = ensemble.chains, []
    for part, other in zip(whole[:-4], threaded[:-4], strict=True):
        assert np.array_equal(part, other, equal_nan=True)
    for network in (0, 3):
        one = alone(spec, network)
        rows = slice(network * chains, (network + 1) * chains)
        numbers = trained(one, network, 1)[1]
        if fresh:  # without data of its own a network has the fresh inputs of all
            numbers = numbers[:5]
        for part, wanted in zip(whole, numbers[: len(whole) - 4], strict=False):
            assert np.array_equal(part[rows], wanted, equal_nan=True)
        counts.append(len(numbers))
    assert min(counts) >= 5
    assert not np.array_equal(whole[0][:chains], whole[0][3 * chains : 4 * chains])


def test_inputs_of_the_information_are_those_of_the_network() -> None:
    spec = spec_of("gd-readout", FLOW | {"fisher_points": 2})
    flow = spec.flow_resolution
    assert flow is not None
    for network in (0, 4):
        wanted = data_of_network(spec, network).train_inputs[:2]
        assert np.array_equal(fisher_inputs(spec, flow, network), wanted)
    fresh = spec_of("gd-readout", FLOW | {"points": "fresh", "fisher_points": 9}).flow_resolution
    assert fresh is not None
    drawn = [fisher_inputs(spec, fresh, network) for network in (0, 1)]
    assert drawn[0].shape == (9, 2)
    assert not np.array_equal(*drawn)


def test_the_limit_of_the_step_is_that_of_the_first_networks_on_their_data() -> None:
    """2 c times the largest eigenvalue of x.x' / d, for networks without hidden layers."""
    spec = spec_of("gd", widths="[]", activation="linear")
    wanted = []
    for network in range(8):
        x = data_of_network(spec, network).train_inputs
        wanted.append(np.linalg.eigvalsh(x @ x.T / 2.0)[-1])
    assert len({round(value, 6) for value in wanted}) == 8
    assert largest_curvature(spec, resolved(plan_run(spec))) == pytest.approx(max(wanted), rel=1e-12)


def numbers(run: nnft.Run) -> dict[str, bytes]:
    paths = [path for path in run.stored.forms if path.startswith(("/accumulators", "/training"))]
    return {path: run.stored.read(path).tobytes() for path in paths} | {"fields": run.fields().tobytes()}


@pytest.fixture(scope="module")
def cyclic(tmp_path_factory: pytest.TempPathFactory) -> nnft.Run:
    """Run of networks whose expected losses are known, with a flow."""
    spec = spec_of("sgd-readout", FLOW, CYCLIC, networks=200)
    return train(spec, tmp_path_factory.mktemp("cyclic") / "run.h5", threads=1)


def test_the_file_holds_digests_in_place_of_data(cyclic: nnft.Run) -> None:
    stored = cyclic.stored.training
    assert not any(key.startswith("data/t") for key in stored)
    assert list(stored["data/sha256"].astype(str)) == [
        data_of_network(spec_of("gd"), network).sha256 for network in range(8)
    ]
    assert RenormalizedRun(cyclic).has_test
    assert recompute_bin(cyclic.path).startswith("trained ")


def test_stops_waves_and_threads_do_not_change_a_bit(
    cyclic: nnft.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        TrainSession, "_next_slice", lambda session, engine: session._in_slices(lambda: engine.advance(200))
    )
    monkeypatch.setattr(TrainEngine, "wave_networks", lambda engine: 40)
    spec, stops = spec_of("sgd-readout", FLOW, CYCLIC, networks=200), 0
    for count in (9, 25, 10**9):
        try:
            run = train(
                spec, tmp_path / "run.h5", resume=stops > 0, stop=StopAfter(count), threads=1 + stops % 2
            )
        except StoppedEarly:
            stops += 1
    assert stops == 2
    assert numbers(run) == numbers(cyclic)


def test_flow_of_a_run_trains_on_the_same_data_again(cyclic: nnft.Run, tmp_path: Path) -> None:
    followed = flow_of_run(cyclic.path, tmp_path / "flow.h5", FLOW | {"fill": "zero"})
    assert np.array_equal(RenormalizedRun(followed).losses[:, 0], RenormalizedRun(cyclic).losses[:, 0])
    assert not np.array_equal(RenormalizedRun(followed).losses[:, -1], RenormalizedRun(cyclic).losses[:, -1])


def test_expected_losses_are_those_of_the_data_of_each(cyclic: nnft.Run) -> None:
    """200 networks; with the data of network 0 for all of them the largest pull is above 5.85."""
    pulls = expected_losses(RenormalizedRun(cyclic), 200).pulls()
    assert np.isfinite(pulls).all()
    assert np.abs(pulls).max() < 4.5


def test_losses_against_the_data_of_another_network_are_seen(
    cyclic: nnft.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the test above can detect."""
    import nnft.pipeline.flow_expectation as module

    monkeypatch.setattr(module, "data_of_network", lambda spec, network: data_of_network(spec, 0))
    assert np.abs(expected_losses(RenormalizedRun(cyclic), 200).pulls()).max() > 5.85


def test_other_data_than_those_of_the_file_are_refused(cyclic: nnft.Run, tmp_path: Path) -> None:
    path = tmp_path / "other.h5"
    digests = cyclic.stored.training["data/sha256"].astype(str).tolist()
    write_changed(cyclic.path, path, training={"data/sha256": digests}, data_sha256="0" * 64)
    with nnft.open(path) as run, pytest.raises(DataFileError, match=r"other data than those of 'other\.h5'"):
        expected_losses(RenormalizedRun(run), 2)


def test_theories_of_one_set_of_data_are_refused_in_words(cyclic: nnft.Run) -> None:
    found = compare(TrainedRun(cyclic))
    assert found.predictions == ()
    assert found.reason.startswith("data differ from network to network")
    assert comparison_record(found)["train_points"] == 5


@pytest.mark.long
def test_chains_of_networks_with_their_own_data_are_judged_apart(tmp_path: Path) -> None:
    run = train(spec_of("langevin", networks=8), tmp_path / "run.h5")
    assert not diagnosis_of_run(run).shared_target


def test_a_scan_over_the_inputs_of_the_information(tmp_path: Path) -> None:
    """Members of one seed have the same networks; a row says where the loss begins to rise."""
    card = tmp_path / "card.toml"
    card.write_text(spec_of("sgd-readout", FLOW, CYCLIC, networks=40, fields=0).to_toml(), encoding="utf-8")
    sets = {"flow.fisher_points": [1, 40], "flow.points": ["fresh"], "ensemble.seed": [5]}
    index = nnft.scan(card, sets, tmp_path / "scan")
    state = scan_summary(index)
    few, many = (record["flow"] for record in state["members"])
    assert few["trained"] == many["trained"]
    assert few["first"]["value"] != many["first"]["value"]
    for record in (few, many):
        assert record["of"] == "test_error"
        assert {"doubled", "small_part"} <= set(record)
    text = scan_text(state)
    assert "error doubled at" in text
    assert "fisher_points-40" in text
