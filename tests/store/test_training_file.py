"""Files of trainings: damaged, incomplete, of another shape, of the format before there were any."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from training_cards import training_spec, write_changed

import nnft
from nnft.analysis.status import run_status
from nnft.analysis.summary import summary
from nnft.errors import MESSAGE_LIMIT, DataFileError, NnftError, StoppedEarly
from nnft.pipeline.recompute import recompute_bin
from nnft.pipeline.train import TrainSession, train
from nnft.pipeline.train_engine import TrainEngine
from nnft.store.digest import header_digest
from nnft.store.encode import write_attribute
from nnft.store.guard import scan
from nnft.store.reader import read_run
from nnft.store.validate import describe_form
from nnft.store.verify import verify_file

LINES = "ridge = 0.1\nstep = 0.02\nburn_in = 4\ndraws = 3\nsnapshots = 3"
GROUPS = (
    "data",
    "moment",
    "flow",
    "flow/sums",
    "observables/sums",
    "observables/squares",
    "kernel",
    "tangent",
    "flows",
    "equilibrium/observables/sums",
    "traces",
    "wave",
)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with eight networks done and eight on their way."""
    path, flag = tmp_path_factory.mktemp("stopped") / "run.h5", nnft.StopFlag()

    def one_step(session: TrainSession, engine: TrainEngine) -> Any:
        result = engine.advance(1)
        if engine.networks_done == 8 and engine.wave is not None and engine.wave.step == 4:
            flag.request()
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainSession, "_next_slice", one_step)
        patch.setattr(TrainEngine, "wave_networks", lambda engine: 8)
        with pytest.raises(StoppedEarly):
            train(spec(), path, stop=flag)
    with read_run(path) as run:
        assert run.networks_done == 8
        assert run.training["wave/position"].tolist()[:2] == [8, 8]
        assert run.training["wave/position"][2] == 4
    return path


def spec(**keys: Any) -> nnft.RunSpec:
    return training_spec("underdamped", LINES.replace("0.02", "0.1"), **keys)


def flip(path: Path, name: str) -> None:
    """Flip a bit in the middle of a data set, in the bytes of the file."""
    with h5py.File(path, "r") as file:
        dataset = file[name]
        size = dataset.dtype.itemsize * dataset.size
        offset = dataset.id.get_offset()
        if offset is None:
            chunk = dataset.id.get_chunk_info(0)
            offset, size = chunk.byte_offset, chunk.size
    content = bytearray(path.read_bytes())
    content[offset + size // 2] ^= 4
    path.write_bytes(content)


def reseal(path: Path) -> None:
    """Make the header digest right again after a change."""
    with h5py.File(path, "r+") as file:
        content = scan(file, path)
        forms = {
            name: (describe_form(content.datasets[name].dtype, content.datasets[name].shape), digest)
            for name, digest in content.digests.items()
        }
        file.attrs.pop("header_sha256")
        write_attribute(file, "header_sha256", header_digest(content.attributes, forms))


def refused(call: Callable[[], object], *words: str, kind: type[NnftError] = DataFileError) -> None:
    """Demand one short line that holds all words."""
    with pytest.raises(kind) as caught:
        call()
    text = str(caught.value)
    assert len(text) <= MESSAGE_LIMIT
    assert "\n" not in text
    for word in words:
        assert word in text


def copy(stopped: Path, tmp_path: Path) -> Path:
    path = tmp_path / "run.h5"
    path.write_bytes(stopped.read_bytes())
    return path


@pytest.mark.first(5)
@pytest.mark.parametrize("group", GROUPS)
def test_a_flipped_bit_is_a_checksum_error_that_names_the_data_set(
    stopped: Path, tmp_path: Path, group: str
) -> None:
    with read_run(stopped) as run:
        inside = [name for name in run.forms if name.startswith(f"/training/{group}/")]
        numbers = [name for name in inside if run.read(name).dtype == np.float64 and run.read(name).size > 1]
    assert numbers
    path = copy(stopped, tmp_path)
    flip(path, numbers[0])
    assert any(f"checksum error in {numbers[0]}" in finding for finding in verify_file(path))
    with read_run(path) as run, pytest.raises(DataFileError, match="checksum error in /training"):
        run.read(numbers[0])
    before = path.read_bytes()
    refused(lambda: train(spec(), path, resume=True), f"checksum error in {numbers[0]}")
    assert path.read_bytes() == before


def test_a_flipped_bit_is_no_number_of_a_summary(stopped: Path, tmp_path: Path) -> None:
    path = copy(stopped, tmp_path)
    flip(path, "training/equilibrium/observables/sums/train_error")
    with nnft.open(path) as run:
        refused(lambda: summary(run), "checksum error in /training/equilibrium")


def test_stopped_run_is_whole_and_goes_on(stopped: Path, tmp_path: Path) -> None:
    assert verify_file(stopped) == []
    assert "bit for bit" in recompute_bin(stopped)
    state = run_status(stopped)
    assert (state["networks"], state["training"]["networks"], state["complete"]) == (8, 8, False)
    run = train(spec(), copy(stopped, tmp_path), resume=True)
    whole = train(spec(), tmp_path / "whole.h5")
    assert run.stored.text("result_digest") == whole.stored.text("result_digest")


@pytest.mark.parametrize(
    ("names", "word"),
    [
        (["diverged/members"], "diverged/members"),
        (["flow/sums/S1:0"], "flow/sums/S1:0"),
        (["observables/squares/energy"], "observables/squares/energy"),
        (["tangent/sums", "tangent/count"], "/training/tangent/count"),
        (["equilibrium/observables/sums/energy"], "energy"),
        (["wave/theta"], "wave/theta"),
        (["wave/extra"], "wave/extra"),
        (["wave/recorded_draws"], "wave/recorded_draws"),
        (["data/train_targets", "data/test_targets"], "data/train_targets"),
    ],
)
def test_missing_data_sets_are_named(stopped: Path, tmp_path: Path, names: list[str], word: str) -> None:
    """The file lacks them and its header digest is that of a file without them."""
    path = copy(stopped, tmp_path)
    with h5py.File(path, "r+") as file:
        for name in names:
            del file[f"training/{name}"]
    refused(lambda: read_run(path).close(), kind=DataFileError)
    reseal(path)
    refused(lambda: train(spec(), path, resume=True), word)


def test_missing_training_is_another_run(stopped: Path, tmp_path: Path) -> None:
    path = copy(stopped, tmp_path)
    with h5py.File(path, "r+") as file:
        del file["training"]
    reseal(path)
    with pytest.raises(NnftError) as caught:
        train(spec(), path, resume=True)
    assert caught.value.exit_code in (2, 3)


@pytest.mark.first(4)
@pytest.mark.parametrize(
    ("name", "change", "named"),
    [
        ("wave/position", lambda array: array * [1, 0, 1, 1, 1], "wave/position 8, 0, 4,"),
        ("wave/position", lambda array: array + np.array([8, 0, 0, 0, 0]), "wave/position 16, 8, 4,"),
        (
            "wave/position",
            lambda array: array + np.array([0, 10**15, 0, 0, 0]),
            "instead of (1000000000000008,",
        ),
        ("wave/position", lambda array: array + np.array([0, 8, 0, 0, 0]), "wave/theta of shape (8, 80)"),
        (
            "wave/position",
            lambda array: array + np.array([0, 0, 10**6, 0, 0]),
            "wave/position 8, 8, 1000004,",
        ),
        ("wave/position", lambda array: array + np.array([0, 0, 0, 0, 99]), "wave/position 8, 8, 4,"),
        ("wave/position", lambda array: array * [1, 1, 1, 1, -1] - [0, 0, 0, 0, 1], "wave/position 8, 8, 4,"),
        ("wave/theta", lambda array: array[:, :-8], "wave/theta of shape"),
        ("wave/recorded_draws", lambda array: array[:, :, 1:], "wave/recorded_draws of shape"),
        ("wave/seen_moments", lambda array: array[1:], "wave/seen_moments of shape"),
    ],
)
def test_waves_that_do_not_fit_the_training_are_refused(
    stopped: Path, tmp_path: Path, name: str, change: Callable[[Any], Any], named: str
) -> None:
    path = tmp_path / "run.h5"
    with read_run(stopped) as run:
        array = run.training[name]
    write_changed(stopped, path, {name: change(array)})
    refused(lambda: train(spec(), path, resume=True), "unusable", named)


def test_wave_of_one_network_less_is_refused(stopped: Path, tmp_path: Path) -> None:
    """All its arrays agree with each other."""
    path = tmp_path / "run.h5"
    with read_run(stopped) as run:
        wave = {key: run.training[f"wave/{key}"] for key in ("theta", "extra", "control", "status")}
        recorded = {key: run.training[f"wave/{key}"] for key in ("recorded_draws", "seen_moments")}
    fewer = {key: array[:7] for key, array in wave.items()}
    fewer |= {key: array[:, :7] for key, array in recorded.items()}
    write_changed(stopped, path, {f"wave/{key}": array for key, array in fewer.items()})
    refused(lambda: train(spec(), path, resume=True), "unusable", "wave/theta of shape (7, 80)")


def _prior(networks: int) -> nnft.RunSpec:
    return training_spec("gd", networks=networks, ensemble="block_size = 2").without_training()


@pytest.mark.parametrize("version", [(1, 0), (1, 1)])
def test_files_of_the_format_before_there_were_trainings(tmp_path: Path, version: tuple[int, int]) -> None:
    """They are read, and a run goes on in them."""
    short, long = (_prior(networks) for networks in (64, 128))
    path = tmp_path / "run.h5"
    nnft.sample(short, path).close()
    with h5py.File(path, "r+") as file:
        assert "training" not in file
        file.attrs.pop("format_version")
        write_attribute(file, "format_version", version)
    reseal(path)
    with nnft.open(path) as run:
        assert (run.complete, run.training, run.flow, run.observables) == (True, None, None, None)
        assert not run.stored.newer_minor
        assert summary(run)["networks"] == 64
    assert "bit for bit" in recompute_bin(path)
    extended = nnft.sample(long, path, resume=True)
    whole = nnft.sample(long, tmp_path / "whole.h5")
    assert extended.stored.text("result_digest") == whole.stored.text("result_digest")
    assert extended.stored.attributes["/@format_version"] > version
