"""``nnft train`` with every algorithm, and the commands that read what it leaves."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import Nnft, Outcome, everything, networks_done, refused, results
from training_cards import TRAININGS, training_text

SAMPLERS = ("langevin", "mala", "underdamped", "hmc")
VERDICTS = dict.fromkeys(SAMPLERS, ("equilibrated", "cannot tell", "not yet", "drifting")) | {
    "exact": ("independent draws",)
}
READ = ("sgd", "hmc", "exact")
Trained = Callable[[str], Nnft]


def some(names: tuple[str, ...]) -> list[Any]:
    """All trainings, those that are not named in the long run only."""
    return [name if name in names else pytest.param(name, marks=pytest.mark.long) for name in TRAININGS]


def strict_json(text: str) -> Any:
    """Read JSON that any program reads: no NaN, no Infinity."""

    def never(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=never)


def write_card(nnft: Nnft, card: str = "card.toml", training: str = "gd", **keys: Any) -> Path:
    """Write a card; keys as in `training_text`."""
    path = nnft.folder / card
    path.write_text(training_text(training, keys.pop("lines", None), **keys), encoding="utf-8")
    return path


def said(outcome: Outcome) -> str:
    """Standard output of a command that ends well and has no remarks."""
    assert (outcome.code, outcome.err) == (0, ""), outcome
    return outcome.out


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, kernel_cache: Path) -> Trained:
    """Function that returns the folder with a card, its ``run.h5`` and what ``--json`` printed."""
    folders: dict[str, Nnft] = {}

    def folder_of(name: str) -> Nnft:
        if name not in folders:
            nnft = Nnft(tmp_path_factory.mktemp(name), kernel_cache)
            write_card(nnft, training=name, fields=20)
            done = nnft("train", "card.toml", "-o", "run.h5", "--json", "--threads", "1")
            assert done.code == 0, done
            (nnft.folder / "printed.json").write_text(done.out, encoding="utf-8")
            (nnft.folder / "remarks.txt").write_text(done.err, encoding="utf-8")
            folders[name] = nnft
        return folders[name]

    return folder_of


@pytest.mark.first(4)
@pytest.mark.parametrize("name", some(tuple(name for name in TRAININGS if "-readout" not in name)))
def test_every_algorithm_trains(trained: Trained, name: str) -> None:
    nnft = trained(name)
    state = strict_json((nnft.folder / "printed.json").read_text(encoding="utf-8"))
    algorithm = TRAININGS[name][0]
    assert state["training"]["algorithm"] == algorithm
    assert state["training"]["trainable"] == ([2] if "readout" in TRAININGS[name][1] else [1, 2])
    assert state["training"]["diverged"]["networks"] == 0
    assert (state["networks"], state["complete"], state["stored_outputs"]) == (32, True, 20)
    for order in ("G1", "G2", "G3", "G4"):
        assert all(point[order]["stderr"] > 0.0 for point in state["points"])
    remarks = {"gradient-flow": "a guess", "mala": "step size", "hmc": "step size"}
    lines = (nnft.folder / "remarks.txt").read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if "networks/s, about" not in line]  # progress on a slow machine
    assert len(lines) == (algorithm in remarks), lines
    assert all(line.startswith("nnft: ") and remarks[algorithm] in line for line in lines)
    names = {"card.toml", "printed.json", "remarks.txt", "run.h5", "run.h5.fields"}
    assert {entry.name for entry in nnft.folder.iterdir() if entry.suffix != ".svg"} == names


@pytest.mark.first(1)
@pytest.mark.parametrize("name", some(READ))
def test_results_are_shown_verified_and_judged(trained: Trained, name: str) -> None:
    nnft, algorithm = trained(name), TRAININGS[name][0]
    printed = (nnft.folder / "printed.json").read_text(encoding="utf-8")
    assert strict_json(said(nnft("show", "run.h5", "--json"))) == strict_json(printed)
    table = said(nnft("show", "run.h5"))
    for word in (f"training   {algorithm} on 1/2 sum (f - y)^2", "mean f(a)", "G4(aaaa) conn.", "32 of 32"):
        assert word in table
    status = strict_json(said(nnft("status", "run.h5", "--json")))
    assert (status["networks"], status["complete"], status["training"]["networks"]) == (32, True, 0)
    checked = said(nnft("verify", "run.h5"))
    assert "trained 1 networks of bin 0 again: sums" in checked
    assert ("traces" in checked) == (algorithm in SAMPLERS)
    assert "again" not in said(nnft("verify", "run.h5", "--checksums-only"))
    judged = strict_json(said(nnft("diagnose", "run.h5", "--json")))
    assert judged["verdict"] in VERDICTS.get(algorithm, ("not a sampler",))
    compared = strict_json(said(nnft("compare", "run.h5", "--json")))
    assert compared["theories"] or "share no point" in compared["reason"]


PICTURES = {
    "loss": [name for name in TRAININGS if name != "exact"],
    "predictor": list(TRAININGS),
    "chains": list(SAMPLERS),
    "flows": [name for name in TRAININGS if name != "exact"],
}


DRAWN = (("langevin", "chains"), ("gd", "flows"))


@pytest.mark.parametrize(
    ("name", "what"),
    [
        pair if pair in DRAWN else pytest.param(*pair, marks=pytest.mark.long)
        for pair in itertools.product(TRAININGS, PICTURES)
    ],
)
def test_pictures(trained: Trained, name: str, what: str) -> None:
    nnft = trained(name)
    end = nnft("plot", "run.h5", "--what", what, "-o", f"{what}.svg")
    if name in PICTURES[what]:
        assert said(end) == f"{what}.svg\n"
        assert "</svg>" in (nnft.folder / f"{what}.svg").read_text(encoding="utf-8")
    else:
        refused(end, 2, "'run.h5'", "got exact" if name == "exact" and what != "chains" else "got algorithm")


def test_pictures_that_cannot_be_drawn(trained: Trained) -> None:
    refused(trained("gd")("plot", "run.h5", "--what", "chains"), 2, "no chains in 'run.h5'", "algorithm gd")
    refused(trained("exact")("plot", "run.h5", "--what", "flows"), 2, "no snapshots", "got exact")
    refused(trained("exact")("plot", "run.h5"), 2, "--what")
    assert not list(trained("exact").folder.glob("run-*.svg"))


@pytest.mark.parametrize("name", some(("hmc",)))
def test_threads_do_not_change_a_byte(trained: Trained, name: str) -> None:
    nnft = trained(name)
    assert nnft("train", "card.toml", "-o", "two.h5", "--threads", "2", "--quiet").code == 0
    assert everything(nnft.folder / "two.h5") == everything(nnft.folder / "run.h5")
    write_card(nnft, "other.toml", name, fields=20, seed=7)
    assert nnft("train", "other.toml", "-o", "two.h5", "--overwrite", "--quiet").code == 0
    assert results(nnft.folder / "two.h5") != results(nnft.folder / "run.h5")
    for left in nnft.folder.glob("two.h5*"):
        [entry.unlink() for entry in left.iterdir()] and left.rmdir() if left.is_dir() else left.unlink()
    (nnft.folder / "other.toml").unlink()


def test_complete_run_is_left_alone_by_resume(trained: Trained) -> None:
    nnft = trained("gd")
    before = (nnft.folder / "run.h5").read_bytes()
    again = nnft("train", "card.toml", "-o", "run.h5", "--resume", "--quiet")
    assert (again.code, again.out) == (0, "")
    assert again.lines == ["nnft: already complete: run.h5 holds all 32 networks"]
    refused(nnft("train", "card.toml", "-o", "run.h5"), 2, "'run.h5'", "--overwrite or --resume")
    refused(nnft("train", "card.toml", "-o", "run.h5", "--resume", "--overwrite"), 2, "give one of them")
    refused(nnft("train", "card.toml", "-o", "card.toml", "--overwrite"), 2, "is the card")
    assert (nnft.folder / "run.h5").read_bytes() == before


def test_resume_with_another_training_names_every_changed_key(trained: Trained) -> None:
    nnft = trained("gd")
    before = (nnft.folder / "run.h5").read_bytes()
    write_card(nnft, "other.toml", fields=20, loss="mean", lines="step = 0.1\nsteps = 21\nsnapshots = [5]")
    refused(
        nnft("train", "other.toml", "-o", "run.h5", "--resume"),
        2,
        "training.loss: got mean; the file has half-sum",
        "training.steps: got 21; the file has 20",
        "training.snapshots: got [0, 5, 21]; the file has [0, 1, 4, 20]",
        lines=3,
    )
    (nnft.folder / "other.toml").unlink()
    assert (nnft.folder / "run.h5").read_bytes() == before


@pytest.mark.long
def test_extension_gives_the_run_that_was_long_from_the_start(nnft: Nnft) -> None:
    for networks in (16, 48):
        write_card(nnft, f"{networks}.toml", networks=networks, fields=12, ensemble="block_size = 2")
    assert nnft("train", "16.toml", "-o", "run.h5", "--quiet").code == 0
    assert nnft("train", "48.toml", "-o", "run.h5", "--resume", "--quiet").code == 0
    assert networks_done(nnft.folder / "run.h5") == 48
    assert nnft("train", "48.toml", "-o", "whole.h5", "--quiet").code == 0
    assert everything(nnft.folder / "run.h5") == everything(nnft.folder / "whole.h5")
    refused(nnft("train", "16.toml", "-o", "run.h5", "--resume"), 2, "got 16", "at least 48")


def test_overwrite_replaces_results_and_fields(nnft: Nnft) -> None:
    write_card(nnft, fields=20)
    assert nnft("train", "card.toml", "-o", "run.h5", "--quiet").code == 0
    assert (nnft.folder / "run.h5.fields").is_dir()
    write_card(nnft, networks=16)
    assert nnft("train", "card.toml", "-o", "run.h5", "--overwrite", "--quiet").code == 0
    assert networks_done(nnft.folder / "run.h5") == 16
    assert sorted(entry.name for entry in nnft.folder.iterdir()) == ["card.toml", "run.h5"]
