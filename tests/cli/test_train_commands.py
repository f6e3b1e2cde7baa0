"""Trainings that diverge, scans of trainings, and the action of trained networks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import Nnft, everything, refused, results
from training_cards import training_text

CLOSE = "step = 0.59\nsteps = 60\nbatch_size = 2\nsnapshots = 3\ndivergence = 1.0001"
HUGE = 'teacher = "linear"\npoints = 5\ndimension = 2\namplitude = 1e8'


def strict_json(text: str) -> Any:
    """Read JSON that any program reads: no NaN, no Infinity."""

    def never(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=never)


def train(nnft: Nnft, *flags: str, training: str = "gd", **keys: Any) -> Any:
    """Write ``card.toml`` and train it; keys as in `training_text`."""
    text = training_text(training, keys.pop("lines", None), **keys)
    (nnft.folder / "card.toml").write_text(text, encoding="utf-8")
    return nnft("train", "card.toml", "-o", "run.h5", *flags)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, kernel_cache: Path) -> Nnft:
    """A folder with a trained ``run.h5`` of 100 networks at three points."""
    nnft = Nnft(tmp_path_factory.mktemp("finished"), kernel_cache)
    points = "[[1.0, 0.5], [0.2, -1.0], [-0.8, 0.3]]"
    done = train(nnft, "--quiet", networks=100, points=points, correlators="[6]")
    assert done.code == 0, done
    return nnft


def test_some_networks_diverge(nnft: Nnft) -> None:
    done = train(nnft, "--json", training="sgd", lines=CLOSE)
    assert done.code == 0, done
    state = strict_json(done.out)
    lost = state["training"]["diverged"]
    assert 0 < lost["networks"] < 32
    said = f"{lost['networks']} of 32 networks diverged ({lost['share']:.3g} of all"
    where = f"first member {lost['first']}): they are in no average; lower training.step"
    assert done.lines == [f"nnft: {said}; {where}"]
    table = nnft("show", "run.h5")
    assert (table.code, table.err) == (0, "")
    assert f"! {said}" in table.out
    assert f"diverged   {lost['networks']} networks" in nnft("status", "run.h5").out
    assert "bit for bit" in nnft("verify", "run.h5").out
    compared = strict_json(nnft("compare", "run.h5", "--json").out)
    assert (compared["diverged"], compared["networks"]) == (lost["networks"], 32 - lost["networks"])


@pytest.mark.long
def test_all_networks_diverge(nnft: Nnft) -> None:
    end = train(nnft, data=HUGE, activation="relu", fields=5)
    refused(end, 5, "all networks diverged: got 32 of 32 networks", "lower training.step")
    again = nnft("train", "card.toml", "-o", "run.h5", "--resume")
    assert (again.code, again.out) == (5, "")
    assert again.lines == ["nnft: already complete: run.h5 holds all 32 networks", *end.lines]
    status = strict_json(nnft("status", "run.h5", "--json").out)
    assert (status["complete"], status["networks"]) == (True, 32)
    assert nnft("verify", "run.h5").code == 0
    shown = nnft("show", "run.h5")
    assert shown.code == 0
    assert "32 of 32 networks diverged" in shown.out
    assert strict_json(nnft("show", "run.h5", "--json").out)["training"]["diverged"]["share"] == 1.0


@pytest.mark.long
def test_nothing_is_read_from_networks_that_all_diverged(nnft: Nnft) -> None:
    """No number from nothing."""
    assert train(nnft, "--quiet", data=HUGE, activation="relu").code == 5
    compared = nnft("compare", "run.h5")
    assert (compared.code, compared.err) == (0, "")
    assert "32 networks diverged and are in no average" in compared.out
    rows = [line.split() for line in compared.out.splitlines() if line.startswith(("mean ", "G2 "))]
    assert [row[2:3] for row in rows if row[1].isdigit()][:2] == [["-"], ["-"]]
    refused(nnft("action", "run.h5"), 5, "too few networks", "got 0")
    for what in ("loss", "predictor", "flows"):
        refused(nnft("plot", "run.h5", "--what", what), 3, "no network in 'run.h5'", "32 of them diverged")
    assert [entry.suffix for entry in nnft.folder.iterdir() if entry.suffix == ".svg"] == []


def test_action_of_trained_networks(finished: Nnft) -> None:
    text = finished("action", "run.h5", "--order", "4", "-o", "action.h5")
    assert text.code == 0, text
    assert "field psi = f - <f>" in text.out
    assert "quartic couplings lambda_4" in text.out
    found = strict_json(finished("action", "run.h5", "--json").out)
    assert found["order"] == 4
    assert "quartic" in finished("show", "action.h5").out
    assert finished("verify", "action.h5").code == 0
    refused(finished("action", "run.h5", "--order", "6"), 2, "no action of order 6", "use order 4")
    for command in ("closure", "axioms"):
        refused(finished(command, "run.h5"), 2, "[training] in 'run.h5'", "use nnft action", "--prior")


@pytest.mark.long
def test_scan_over_the_width(nnft: Nnft) -> None:
    (nnft.folder / "card.toml").write_text(training_text(), encoding="utf-8")
    words = ["scan", "card.toml", "--set", "network.widths=[[4],[8]]", "-o", "scan"]
    done = nnft(*words, "--json", "--threads", "1")
    assert done.code == 0, done
    state = strict_json(done.out)
    assert state["complete"] is True
    shown = nnft("show", "scan")
    assert (shown.code, shown.err) == (0, "")
    assert [line.split()[0] for line in shown.out.splitlines() if line.startswith("widths-")] == [
        "widths-4",
        "widths-8",
    ]
    assert nnft("status", "scan").code == 0
    for width in (4, 8):
        member = strict_json(nnft("show", f"scan/widths-{width}.h5", "--json").out)
        assert member["network"]["widths"] == [width]
        assert member["training"]["algorithm"] == "gd"
        assert nnft("verify", f"scan/widths-{width}.h5").code == 0
    refused(nnft(*words), 2, "'scan'", "--overwrite or --resume")


@pytest.mark.long
def test_scan_that_is_stopped_goes_on(nnft: Nnft) -> None:
    (nnft.folder / "card.toml").write_text(training_text(), encoding="utf-8")
    words = ["scan", "card.toml", "--set", "training.step=[0.05,0.1]", "--quiet", "-o"]
    stopped = nnft(*words, "scan", "--max-time", "0")
    assert stopped.code == 75, stopped
    assert "--resume" in stopped.lines[-1]
    assert nnft("scan", "-o", "scan", "--resume", "--quiet").code == 0
    assert nnft(*words, "whole").code == 0
    names = [sorted(path.name for path in (nnft.folder / name).glob("*.h5")) for name in ("scan", "whole")]
    assert names[0] == names[1]
    assert len(names[0]) == 2
    parts = [[everything(nnft.folder / name / run) for run in names[0]] for name in ("scan", "whole")]
    assert parts[0] == parts[1]


def test_scan_refuses_a_member_above_the_stability_limit(nnft: Nnft) -> None:
    """The others are trained; the exit code is that of the first that failed."""
    (nnft.folder / "card.toml").write_text(training_text(), encoding="utf-8")
    end = nnft("scan", "card.toml", "--set", "training.step=[0.1,50.0]", "-o", "scan", "--quiet")
    assert end.code == 2, end
    assert any("stability limit" in line for line in end.lines)
    runs = sorted((nnft.folder / "scan").glob("*.h5"))
    assert len(runs) == 1
    assert results(runs[0])
