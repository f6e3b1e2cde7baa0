"""From files of trained runs to pictures: the numbers of the file, or one line on why there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import nnft
from nnft.analysis.run import Run
from nnft.cli.pictures import plot
from nnft.errors import DataFileError, UsageError
from nnft.pipeline.train import train
from nnft.pipeline.training_curves import flow_curves, loss_curves, shown_components
from nnft.pipeline.training_outcome import chain_traces, trained_predictor
from nnft.pipeline.training_pictures import PICTURES, picture_of_file
from nnft.spec.run import RunSpec

SEED = 20240601
DESCENT = {"algorithm": "gd", "step": 0.1, "steps": 30, "snapshots": 5}
CHAINS = {
    "algorithm": "langevin", "ridge": 0.2, "step": 0.02,
    "burn_in": 10, "draws": 6, "thinning": 3, "chains": 2,
}  # fmt: skip


def spec(training: dict[str, Any], networks: int = 64, noise: float = 0.05) -> RunSpec:
    return RunSpec.from_dict(
        {
            "network": {"widths": [8], "activation": "erf"},
            "inputs": {"points": [[1.0, 0.5], [0.2, -1.0], [0.0, 0.3]]},
            "ensemble": {"networks": networks, "seed": SEED},
            "estimate": {"correlators": [2, 4], "bins": 32},
            "training": {
                "loss": "half-sum",
                "data": {
                    "teacher": "single-index", "link": "tanh", "points": 5, "dimension": 2, "test": 3,
                    "noise_variance": noise,
                },
                **training,
            },
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of every kind."""
    place = tmp_path_factory.mktemp("trained")
    exact = {"algorithm": "exact", "ridge": 0.2, "trainable": "readout"}
    for name, training in (("gd", DESCENT), ("langevin", CHAINS), ("exact", exact)):
        train(spec(training), place / f"{name}.h5").close()
    train(spec({**CHAINS, "draws": 1, "chains": 1, "snapshots": 0}, 8), place / "one-draw.h5").close()
    return place


@pytest.fixture
def runs(folder: Path) -> Any:
    opened: list[Run] = []

    def open_one(name: str) -> Run:
        opened.append(nnft.open(folder / f"{name}.h5"))
        return opened[-1]

    yield open_one
    for run in opened:
        run.close()


def test_errors_are_those_of_the_file(runs: Any) -> None:
    run = runs("langevin")
    stored, curves = run.stored.training, loss_curves(run)
    np.testing.assert_array_equal(curves.moments.values, stored["moment/step"])
    assert curves.test is not None
    for series, name in ((curves.train, "train_error"), (curves.test, "test_error")):
        for part in ("value", "stderr", "spread"):
            wanted = stored[f"flows/{name}/{part}"][:, 0]
            np.testing.assert_allclose(getattr(series, part), wanted, rtol=1e-12)
    assert curves.levels == {"ridge": 0.2, "label noise": 0.05}
    assert curves.draws == (10.0, 25.0)
    total = stored["equilibrium/observables/sums/train_error"].sum()
    assert curves.averages["train"][0] == pytest.approx(total / 64)
    assert curves.theory is not None
    assert curves.theory.steady


def test_theory_of_a_descent_runs_along_its_snapshots(runs: Any) -> None:
    curves = loss_curves(runs("gd"))
    assert curves.theory is not None
    assert not curves.theory.steady
    assert curves.theory.errors["train"].shape == curves.moments.values.shape
    assert np.diff(curves.theory.errors["train"]).max() < 0.0
    assert (curves.levels, curves.averages, curves.draws) == ({"label noise": 0.05}, {}, None)


def test_correlators_and_kernels_are_those_of_the_file(runs: Any) -> None:
    run = runs("gd")
    stored, curves = run.stored.training, flow_curves(run)
    assert sorted(curves.correlators) == [1, 2, 3, 4]
    tables = {"mean": curves.correlators[1], "connected_4": curves.correlators[4], **curves.kernels}
    for name, components in tables.items():
        indices = [tuple(row) for row in stored[f"flows/{name}/indices"].tolist()]
        assert len(components) > 1
        for one in components:
            place = indices.index(one.points)
            np.testing.assert_allclose(one.series.value, stored[f"flows/{name}/value"][:, place], rtol=1e-9)
            np.testing.assert_allclose(one.series.stderr, stored[f"flows/{name}/stderr"][:, place], rtol=1e-9)
    moved = curves.movements["tangent_movement"].value
    np.testing.assert_allclose(moved, stored["flows/tangent_movement/value"][:, 0])
    assert sorted(flow_curves(run, 3).correlators) == [3]


def test_components_are_few_and_sorted() -> None:
    assert shown_components(1, 4) == [(0, 0, 0, 0)]
    assert shown_components(9, 1) == [(0,), (4,), (8,)]
    assert shown_components(9, 3) == [(0, 0, 0), (4, 4, 4), (8, 8, 8), (0, 0, 4), (0, 0, 8)]
    assert shown_components(2, 4)[-1] == (0, 0, 1, 1)


def test_predictor_has_means_variances_and_theory_of_every_point(runs: Any) -> None:
    run = runs("exact")
    found, second = trained_predictor(run), run.connected(2).dense()
    np.testing.assert_array_equal(found.mean, run.connected(1).value)
    np.testing.assert_array_equal(found.variance, np.diagonal(second))
    assert found.train_targets.shape == (5,)
    assert found.theory_mean is not None
    assert found.theory_variance is not None
    assert (found.theory_mean.shape, found.theory_variance.shape) == ((3,), (3,))


def test_chains_are_the_traces_of_the_file(runs: Any) -> None:
    found = chain_traces(runs("langevin"))
    assert found.values.shape == (found.values.shape[0], 6, len(found.names))
    assert (found.chains, found.shared_target, found.steps.tolist()) == (2, True, [10, 13, 16, 19, 22, 25])
    assert found.names[0] == "output_at_0"


@pytest.mark.parametrize(
    ("name", "what", "order", "words"),
    [
        ("gd", "chains", None, "no chains in 'gd.h5': got algorithm gd"),
        ("exact", "chains", None, "no chains in 'exact.h5': got algorithm exact"),
        ("one-draw", "chains", None, "too few draws for a picture in training.draws: got 1; take 4 or more"),
        ("exact", "loss", None, "no snapshots along the training in 'exact.h5': got exact"),
        ("exact", "flows", None, "no snapshots along the training in 'exact.h5': got exact"),
        ("gd", "loss", 2, "--order goes with flows: got 2 for loss"),
        ("gd", "flows", 5, "no flow of this order: got 5; allowed: 1 to 4"),
        ("gd", "weights", None, "unknown picture: got 'weights'; allowed: loss, predictor, chains, flows"),
    ],
)
def test_nothing_to_draw_is_one_line_and_no_file(
    folder: Path, tmp_path: Path, name: str, what: str, order: int | None, words: str
) -> None:
    with pytest.raises(UsageError) as caught:
        picture_of_file(folder / f"{name}.h5", what, order=order, output=tmp_path / "a.svg")
    assert str(caught.value).startswith(words)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_runs_of_random_networks_and_missing_files_are_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Run, "training", None)
    with pytest.raises(UsageError, match=r"no training in 'gd\.h5'"):
        picture_of_file(folder / "gd.h5", "loss", output=tmp_path / "a.svg")
    with pytest.raises(DataFileError):
        picture_of_file(tmp_path / "none.h5", "loss", output=tmp_path / "a.svg")


@pytest.mark.first(2)
@pytest.mark.parametrize("what", PICTURES)
def test_command_draws_into_the_folder_and_says_where(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(plot, [str(folder / "langevin.h5"), "--what", what])
    assert (done.exit_code, done.output) == (0, f"langevin-{what}.svg\n"), done.exception
    assert Path(f"langevin-{what}.svg").stat().st_size > 5000


def test_choices_of_the_command_are_the_pictures_there_are() -> None:
    (option,) = [parameter for parameter in plot.params if parameter.name == "what"]
    assert list(option.type.choices) == list(PICTURES)  # type: ignore[attr-defined]
