"""Flows over cutoffs: the same bits however they are cut into pieces, and what they must not leave out."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from stops import StopAfter
from threadpoolctl import threadpool_limits
from training_cards import TRAININGS, training_text, write_changed

import nnft
from nnft.analysis.flow_table import flow_numbers
from nnft.analysis.renormalized_run import RenormalizedRun
from nnft.errors import DataFileError, NumericalError, StoppedEarly, UsageError
from nnft.pipeline.flow_run import flow_of_run
from nnft.pipeline.flow_setup import fisher_inputs, make_renormalization
from nnft.pipeline.recompute import recompute_bin
from nnft.pipeline.train import TrainSession, train
from nnft.pipeline.train_engine import TrainEngine
from nnft.pipeline.train_setup import make_ensemble
from nnft.spec.plan import plan_run
from nnft.spec.run import RunSpec

Array = npt.NDArray[Any]
Whole = Callable[[str], nnft.Run]

CUTOFFS = [1e-3, 0.03, 0.3, 3.0]
NUMBERS = ("/accumulators", "/training", "/estimates", "/theory", "/mesh")
TWO = 'teacher = "linear"\npoints = 5\ndimension = 2\ntest = 3\noutputs = 2'
READOUT = 'trainable = "readout"\nstep = 0.1\nsteps = 20\nsnapshots = 4'
FLOWS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "readout": ("gd-readout", {}, {}),
    "sgd": ("sgd-readout", {"fill": "gaussian", "width": 0.5, "points": "fresh", "fisher_points": 3}, {}),
    "all": ("gd", {"layers": "all", "refills": 3}, {}),
    "anew": ("gd-readout", {"anew": True, "refills": 2, "tangents": False}, {}),
    "quantiles": ("gd", {"layers": [1, 2], "cutoffs": "quantiles:5", "fisher_points": 2}, {}),
    "langevin": ("langevin", {"fill": "zero"}, {}),
    "hmc": ("hmc", {"layers": "all"}, {}),
    "directions": ("gd", {"layers": "all", "basis": "eigenbasis", "refills": 2}, {}),
    "layers": ("hmc", {"layers": [1, 2], "basis": "layer-eigenbasis", "cutoffs": "quantiles:4"}, {}),
    "kronecker": ("gd", {"layers": "all", "basis": "kronecker", "anew": True, "tangents": False}, {}),
    "conditional": ("langevin", {"fill": "conditional", "basis": "eigenbasis", "tangents": False}, {}),
    "second": (
        "gd-readout",
        {"refills": 2},
        {"lines": f"{READOUT}\nobserve = 1", "data": TWO, "network": "outputs = 2\nbias_variance = 0.5"},
    ),
}
"""Training, keys of [flow] and of the card of every flow of this file."""


def some(*names: str) -> list[Any]:
    """All flows, those that are not named in the long run only."""
    return [name if name in names else pytest.param(name, marks=pytest.mark.long) for name in FLOWS]


def flow_table(name: str) -> dict[str, Any]:
    table = {"cutoffs": CUTOFFS, "fill": "prior"} | FLOWS[name][1]
    thermal = FLOWS[name][0] in ("langevin", "hmc")  # the ridge is the noise variance there
    return table | ({} if thermal else {"noise_variance": 0.5})


def flow_spec(name: str, flow: bool = True, **keys: Any) -> RunSpec:
    """Card of one of `FLOWS`; keys as in `training_text`."""
    training, _, usual = FLOWS[name]
    text = training_text(training, **({"fields": 20} | usual | keys))
    return RunSpec.from_dict(tomllib.loads(text) | ({"flow": flow_table(name)} if flow else {}))


def numbers(run: nnft.Run) -> dict[str, bytes]:
    """Every number of a run that must not depend on how it came about."""
    stored = run.stored
    found = {path: stored.read(path).tobytes() for path in stored.forms if path.startswith(NUMBERS)}
    found["digest"] = stored.text("result_digest").encode()
    if stored.fields is not None:
        found["fields"] = run.fields().tobytes()
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """Function that returns the finished run of a flow, by one thread and in one go."""
    folder, runs = tmp_path_factory.mktemp("whole"), dict[str, nnft.Run]()

    def run_of(name: str) -> nnft.Run:
        if name not in runs:
            runs[name] = train(flow_spec(name), folder / f"{name}.h5", threads=1)
        return runs[name]

    return run_of


@pytest.mark.first(2)
@pytest.mark.parametrize("name", some("langevin", "quantiles", "conditional"))
def test_stops_waves_and_threads_do_not_change_a_bit(
    whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Waves of eight networks, one member followed at a time: stops fall between the members of a wave."""
    monkeypatch.setattr(
        TrainSession, "_next_slice", lambda session, engine: session._in_slices(lambda: engine.advance(20))
    )
    monkeypatch.setattr(TrainEngine, "wave_networks", lambda engine: 8)
    within = followed_parts(monkeypatch)
    spec, stops = flow_spec(name), 0
    for count in [9, 16, 12, 10**9]:
        options: dict[str, Any] = {"stop": StopAfter(count), "threads": 1 + stops % 2}
        try:
            run = train(spec, tmp_path / "run.h5", resume=(tmp_path / "run.h5").exists(), **options)
        except StoppedEarly:
            stops += 1
    assert stops == 3
    assert len(within) > 4 * 8 * run.stored.training["renormalization/flow/draws"] / 3
    assert numbers(run) == numbers(whole(name))


def followed_parts(patch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the members that were followed at once, one after the other."""
    parts: list[int] = []
    usual = TrainEngine._renormalize

    def watched(engine: TrainEngine, steps: int) -> bool:
        done = usual(engine, steps)
        parts.append(len(engine.on_the_way[1].flowed[-1].zeros) if engine.on_the_way[1].flowed else 0)
        return done

    patch.setattr(TrainEngine, "_renormalize", watched)
    return parts


@pytest.mark.parametrize("name", [pytest.param("readout", marks=pytest.mark.long), "quantiles"])
def test_extended_run_is_the_long_run(tmp_path: Path, whole: Whole, name: str) -> None:
    """Also from fewer networks than the eight whose mean shifts the sums and whose quantiles are taken."""
    for networks in (3, 12, 32):
        spec = flow_spec(name, networks=networks, fields=3)
        run = train(spec, tmp_path / "run.h5", resume=networks > 3)
        assert (run.networks, run.complete) == (networks, True)
        assert len(RenormalizedRun(run).kept_losses) == networks
    again, wanted = numbers(run), numbers(whole(name))
    assert {k: v for k, v in again.items() if k.startswith(("/acc", "/train"))} == {
        k: v for k, v in wanted.items() if k.startswith(("/acc", "/train"))
    }


@pytest.mark.parametrize("name", some("readout"))
def test_flow_of_a_trained_run_is_that_of_the_card(tmp_path: Path, whole: Whole, name: str) -> None:
    source, path = tmp_path / "trained.h5", tmp_path / "flow.h5"
    plain = train(flow_spec(name, flow=False), source)
    assert not any(key.startswith("renormalization") for key in plain.stored.training)
    followed = flow_of_run(source, path, flow_table(name), threads=2)
    assert numbers(followed) == numbers(whole(name))
    for key, table in plain.stored.accumulators.items():
        assert np.array_equal(table, followed.stored.accumulators[key], equal_nan=True)
    with pytest.raises(UsageError, match=r"no flow in 'trained\.h5'"):
        RenormalizedRun(plain)


def test_flow_of_a_flow_takes_the_place_of_it(tmp_path: Path, whole: Whole) -> None:
    table = flow_table("readout") | {"fill": "zero"}
    other = flow_of_run(whole("readout").path, tmp_path / "other.h5", table)
    assert other.card["flow"]["fill"] == "zero"
    assert numbers(other)["digest"] != numbers(whole("readout"))["digest"]


@pytest.mark.parametrize("name", some("readout", "quantiles", "langevin", "conditional", "kronecker"))
def test_one_bin_is_followed_again(whole: Whole, name: str) -> None:
    said = recompute_bin(whole(name).path)
    assert said.startswith("trained 1 networks of bin 0 again: sums")
    assert "bit for bit the same" in said


@pytest.mark.long
def test_a_wrong_number_with_a_right_checksum_is_found(whole: Whole, tmp_path: Path) -> None:
    """One unit in the last place of a sum of every kind, or of a loss, in the bin that is trained again."""
    stored, path = whole("readout").stored, tmp_path / "run.h5"
    group = "renormalization/"
    keys = [key for key in stored.training if key.startswith(group) and ("sums" in key or "squares" in key)]
    kinds = {key.rpartition("/")[0]: key for key in keys}
    assert len(kinds) == 5
    single = [(f"{group}{name}", (0, 2, 1)) for name in ("losses", "outputs")]
    for key, place in [*((key, (-1, 0)) for key in kinds.values()), *single]:
        wrong = stored.training[key].copy()
        wrong[place] = np.nextafter(wrong[place], np.inf)
        write_changed(whole("readout").path, path, training={key: wrong})
        with pytest.raises(DataFileError, match="recomputed") as caught:
            recompute_bin(path)
        assert f"/training/{key}" in str(caught.value)
    moved = stored.training[f"{group}cutoff"].copy()
    moved[2] *= 3.0
    write_changed(whole("readout").path, path, training={f"{group}cutoff": moved})
    with pytest.raises(DataFileError):
        recompute_bin(path)


def test_other_networks_than_those_of_the_source_are_refused(whole: Whole, tmp_path: Path) -> None:
    wrong = whole("readout").stored.accumulators["sums/S2:00"] + 1e-9
    source = tmp_path / "source.h5"
    write_changed(whole("readout").path, source, accumulators={"sums/S2:00": wrong})
    with pytest.raises(DataFileError, match=r"networks of the flow differ .*/accumulators/sums/S2:00"):
        flow_of_run(source, tmp_path / "flow.h5", flow_table("readout"))


def losses_by_hand(name: str, networks: int) -> tuple[Array, Array]:
    """Losses and outputs of the first networks, each trained and followed alone."""
    spec = flow_spec(name)
    plan, flow = plan_run(spec), spec.flow_resolution
    assert plan.training is not None
    assert flow is not None
    ensemble = make_ensemble(spec, plan, 1, plan.training.step)
    found = []
    for number in range(networks):
        wave = ensemble.start(number, 1)
        ensemble.advance(wave, plan.training.total_steps)
        followed = make_renormalization(spec, flow, ensemble, flow.cutoffs)
        with threadpool_limits(limits=1, user_api="blas"):
            found.append(followed.run(ensemble.weights(wave), number * ensemble.chains))
    points = len(spec.mesh().points)
    outputs = np.stack([flow.outputs.mean(axis=(0, 1))[:, :points] for flow in found])
    return np.stack([flow.errors.mean(axis=(0, 1)) for flow in found]), outputs


@pytest.mark.parametrize("name", ["readout", "all", "langevin", "second", "directions", "conditional"])
def test_sums_are_those_of_the_networks_one_by_one(whole: Whole, name: str) -> None:
    """Means over networks of what is averaged over refills and chains of each."""
    flow = RenormalizedRun(whole(name))
    losses, outputs = losses_by_hand(name, 32)
    assert np.array_equal(flow.kept_losses, losses)
    for column, word in enumerate(("train_error", "test_error")):
        mean = flow.observables.result(word).mean
        assert mean == pytest.approx(losses[:, :, column].mean(axis=0), rel=1e-12)
    for position in range(len(flow.cutoffs)):
        mean = flow.at(position).result(1).value
        assert mean == pytest.approx(outputs[:, position].mean(axis=0), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", ["readout", "all", "quantiles", "second"])
def test_no_cutoff_gives_the_trained_networks(whole: Whole, name: str) -> None:
    """Their errors bit for bit; their correlators but for the shifts of the sums."""
    run = whole(name)
    flow = RenormalizedRun(run)
    last = run.stored.training
    for word in ("train_error", "test_error"):
        flowed = last[f"renormalization/observables/sums/{word}"][0]
        assert flowed == pytest.approx(last[f"observables/sums/{word}"][-1], rel=1e-12)
    for order in (2, 4):
        found, wanted = flow.at(0).result(order), run.estimator.result(order)
        if FLOWS[name][1].get("refills", 1) == 1:
            assert found.value == pytest.approx(wanted.value, rel=1e-8)
            assert found.stderr == pytest.approx(wanted.stderr, rel=1e-6)
    assert flow.observables.result("sloppy_share").mean[[0, -1]].tolist() == [0.0, 1.0]


def test_zero_is_the_network_without_its_readout(whole: Whole) -> None:
    """At infinity every output is that of the biases alone, here none."""
    flow = RenormalizedRun(whole("langevin"))
    assert abs(flow.at(len(flow.cutoffs) - 1).result(2).value).max() < 1e-30
    targets = whole("langevin").stored.training["data/train_targets"]
    assert flow.losses[:, -1, 0] == pytest.approx(np.mean(targets**2), rel=1e-14)


def test_quantiles_share_the_information_of_the_first_networks(whole: Whole) -> None:
    flow = RenormalizedRun(whole("quantiles"))
    assert len(flow.cutoffs) == 7
    assert (flow.cutoffs[[0, -1]] == [0.0, np.inf]).all()
    assert all(cutoff == float(f"{cutoff:.6g}") for cutoff in flow.cutoffs)
    shares = flow.observables.result("sloppy_share").mean
    assert shares == pytest.approx(np.arange(7) / 6, abs=0.06)


def test_refills_are_further_draws_of_a_network(whole: Whole) -> None:
    """The first of them is that of a flow with one; at cutoff 0 all are the trained network."""
    spec = flow_spec("readout")
    table = flow_table("readout") | {"refills": 40}
    many = RunSpec.from_dict(tomllib.loads(spec.to_toml()) | {"flow": table})
    assert many.flow_resolution is not None
    plan = plan_run(many)
    assert plan.training is not None
    ensemble = make_ensemble(many, plan, 1, plan.training.step)
    wave = ensemble.start(0, 3)
    ensemble.advance(wave, plan.training.total_steps)
    followed = make_renormalization(many, many.flow_resolution, ensemble, (0.0, np.inf))
    found = followed.run(ensemble.weights(wave), 0)
    assert (found.outputs[:, :, 0] == found.outputs[:, :1, 0]).all()
    last = found.outputs[:, :, 1].reshape(3 * 40, -1)
    assert len(np.unique(last, axis=0)) == 120
    first = RenormalizedRun(whole("readout")).kept_losses[:3]
    assert first[:, 0] == pytest.approx(found.errors[:, :, 0].mean(axis=1), rel=1e-12)
    assert first[:, -1] == pytest.approx(found.errors[:, 0, 1], rel=1e-12)


def test_flows_anew_are_not_nested(whole: Whole) -> None:
    """Where no parameter changes sides, a nested flow stands still, and one anew does not."""
    spec = flow_spec("readout")
    flow = spec.flow_resolution
    plan = plan_run(spec)
    assert flow is not None
    assert plan.training is not None
    ensemble = make_ensemble(spec, plan, 1, plan.training.step)
    wave = ensemble.start(0, 4)
    outputs = {}
    for anew in (False, True):
        table = flow_table("readout") | {"anew": anew}
        card = RunSpec.from_dict(tomllib.loads(spec.to_toml()) | {"flow": table})
        assert card.flow_resolution is not None
        followed = make_renormalization(card, card.flow_resolution, ensemble, (0.0, 1e200, 1e201))
        outputs[anew] = followed.run(wave.theta, 0).outputs[:, 0]
    assert (outputs[False][:, 1] == outputs[False][:, 2]).all()
    assert (outputs[True][:, 1] != outputs[True][:, 2]).all()
    assert RenormalizedRun(whole("readout")).cutoffs.tolist() == [0.0, *CUTOFFS, np.inf]


def test_fresh_inputs_are_scaled_as_the_data() -> None:
    data = 'teacher = "linear"\npoints = 400\ndimension = 2\nlaw = "uniform"'
    drawn = []
    for seed in (0, 1):
        table = flow_table("sgd") | {"fisher_points": 4000, "fisher_seed": seed}
        text = training_text("sgd-readout", data=data)
        spec = RunSpec.from_dict(tomllib.loads(text) | {"flow": table})
        assert spec.flow_resolution is not None
        fresh = fisher_inputs(spec, spec.flow_resolution)
        known = spec.dataset().train_inputs
        assert fresh.shape == (4000, 2)
        assert fresh.std(axis=0) == pytest.approx(known.std(axis=0), rel=0.1)
        assert abs(fresh).max() <= 1.01 * abs(known).max()
        assert not np.isin(fresh[:, 0], known[:, 0]).any()
        drawn.append(fresh)
    assert (drawn[0] != drawn[1]).all()


def test_networks_that_diverge_are_counted_and_left_out(tmp_path: Path) -> None:
    lines = "step = 0.59\nsteps = 60\nbatch_size = 2\nsnapshots = 3\ndivergence = 1.0001"
    text = training_text("sgd", lines, fields=32)
    flow = {"cutoffs": CUTOFFS, "layers": "all", "noise_variance": 0.5}
    run = train(RunSpec.from_dict(tomllib.loads(text) | {"flow": flow}), tmp_path / "run.h5")
    lost = int(run.stored.training["diverged/networks"])
    assert 0 < lost < 32
    found = RenormalizedRun(run)
    assert found.flow.n_networks == 32 - lost
    assert found.kept_losses.shape == (32, 6, 2)
    assert len(found.losses) == 32 - lost
    gone = np.isnan(found.kept_losses).all(axis=(1, 2))
    assert (gone == np.isnan(run.fields()).all(axis=(1, 2))).all()
    assert np.isfinite(found.losses).all()
    for word in found.observables.names:
        assert np.isfinite(found.observables.result(word).mean).all()
    assert found.observables.result("train_error").mean == pytest.approx(found.losses[:, :, 0].mean(axis=0))
    assert "bit for bit" in recompute_bin(run.path)


def test_ensemble_that_diverges_as_a_whole(tmp_path: Path) -> None:
    data = 'teacher = "linear"\npoints = 5\ndimension = 2\namplitude = 1e8'
    text = training_text("gd", data=data, activation="relu", fields=5)
    for cutoffs in (CUTOFFS, "quantiles:3"):
        flow = {"cutoffs": cutoffs, "layers": "all", "noise_variance": 0.5}
        spec, path = RunSpec.from_dict(tomllib.loads(text) | {"flow": flow}), tmp_path / f"{cutoffs[0]}.h5"
        with pytest.raises(NumericalError, match="all networks diverged"):
            train(spec, path)
        with nnft.open(path) as run:
            found = RenormalizedRun(run)
            assert found.flow.n_networks == 0
            assert len(found.losses) == 0
            assert np.isnan(found.silent_share[0])
            table = flow_numbers(found)
            assert table["rows"][0]["train_error"] == {"value": None, "stderr": None}
            assert table["rows"][0]["extreme"] is None


def test_networks_without_any_information(tmp_path: Path) -> None:
    """Relu networks on one Fisher input: some features are silent on it; quantiles are of the others."""
    text = training_text("gd-readout", activation="relu", widths="[40]")
    flow = {"cutoffs": "quantiles:4", "noise_variance": 1.0, "fisher_points": 1}
    run = train(RunSpec.from_dict(tomllib.loads(text) | {"flow": flow}), tmp_path / "run.h5")
    found = RenormalizedRun(run)
    share, error = found.silent_share
    assert 0.3 < share < 0.7
    assert 0.0 < error < 0.05
    shares = found.observables.result("sloppy_share").mean
    assert shares[1] == pytest.approx(share + (1 - share) / 5, abs=0.05)


def test_known_trainings() -> None:
    assert {training for training, _, _ in FLOWS.values()} <= set(TRAININGS)
