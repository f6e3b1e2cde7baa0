"""``nnft flow``: what it prints and writes, what it refuses, and stops that do not change a byte."""

from __future__ import annotations

import json
import math
import random
import shlex
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import h5py
import pytest
from command_line import SEED, Nnft, everything, finish, refused
from training_cards import training_text

from nnft.store.verify import verify_file

CUTOFFS = ("--cutoffs", "0.01,0.3,3", "--noise-variance", "0.5")
TABLE = "\n[flow]\ncutoffs = [0.01, 0.3, 3.0]\nnoise_variance = 0.5\n"
FLOW = ("flow", "run.h5", "-o", "flow.h5", *CUTOFFS)


def trained(nnft: Nnft, name: str = "gd-readout", run: str = "run.h5", flow: str = "", **keys: Any) -> None:
    """Write a card and train its networks."""
    text = training_text(name, **keys) + flow
    (nnft.folder / "card.toml").write_text(text, encoding="utf-8")
    end = nnft("train", "card.toml", "-o", run, "--quiet", "--threads", "1")
    assert end.code == 0, end.err


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, kernel_cache: Path) -> Path:
    """A folder with a trained run, its flow, a sampled run and a run that was not finished."""
    nnft = Nnft(tmp_path_factory.mktemp("flows"), kernel_cache)
    trained(nnft, networks=40, estimate="bins = 40")
    end = nnft(*FLOW, "--threads", "2", "--quiet")
    assert (end.code, end.out) == (0, ""), end.err
    return nnft.folder


@pytest.fixture
def finished(nnft: Nnft, folder: Path) -> Nnft:
    """The command in a folder of its own with these runs."""
    for name in ("run.h5", "flow.h5", "card.toml"):
        shutil.copy(folder / name, nnft.folder / name)
    return nnft


def strict(text: str) -> Any:
    """JSON as every reader takes it, without NaN or Infinity."""

    def refuse(word: str) -> None:
        raise ValueError(word)

    return json.loads(text, parse_constant=refuse)


def left(nnft: Nnft) -> set[str]:
    return {entry.name for entry in nnft.folder.iterdir()}


def test_table_of_a_flow(finished: Nnft) -> None:
    """Following prints what printing the file gives; the table has a row for every cutoff, 0 and infinity."""
    again = finished("flow", "run.h5", "-o", "again.h5", *CUTOFFS, "--theory", "40")
    assert again.code == 0, again.err
    printed = finished("flow", "again.h5", "--theory", "40")
    assert printed.out == again.out
    assert everything(finished.folder / "again.h5") == everything(finished.folder / "flow.h5")
    lines = printed.out.splitlines()
    assert lines[0] == "again.h5: flow of 40 networks over 5 cutoffs"
    assert "of the readout, noise variance 0.5; exactly zero for 0(0) of the parameters" in lines[1]
    assert "replaced by prior, nested" in lines[2]
    header = next(line for line in lines if line.lstrip().startswith("cutoff")).split()
    for word in ("sloppy", "expected", "pull", "extreme", "G2", "G4"):
        assert word in header
    assert [line.split()[0] for line in lines[5:10]] == ["0", "0.01", "0.3", "3", "inf"]
    assert sum(line.startswith("critical scale of the ") for line in lines) == 4
    verified = finished("verify", "again.h5")
    assert verified.code == 0
    assert "trained 1 networks of bin 0 again" in verified.out


def test_json_of_a_flow(finished: Nnft) -> None:
    record = strict(finished("flow", "flow.h5", "--json", "--theory", "40", "--point", "1").out)
    assert [row["cutoff"] for row in record["rows"]] == [0.0, 0.01, 0.3, 3.0, "inf"]
    assert (record["networks"], record["expected_networks"], record["point"]) == (40, 40, 1)
    for row in record["rows"]:
        assert math.isfinite(row["train_error"]["value"])
        assert abs(row["pull_train"]) < 5.85
    assert record["rows"][-1]["sloppy_share"]["value"] == 1.0
    assert record["rows"][-1]["sloppy_share"]["stderr"] < 1e-15
    assert strict(finished("flow", "flow.h5", "--json").out)["rows"][0].get("pull_train") is None


def test_one_quantity_and_the_couplings(finished: Nnft) -> None:
    """What the table has at one point stands there with its correlations; couplings at every cutoff."""
    record = strict(finished("flow", "flow.h5", "--json").out)
    words = ("flow", "flow.h5", "--observable", "connected_2")
    found = strict(finished(*words, "--component", "0,0", "--component", "1,0", "--json").out)
    assert found["indices"] == [[0, 0], [0, 1]]
    assert [row["connected_2"]["value"] for row in record["rows"]] == [line[0] for line in found["value"]]
    for k, row in enumerate(record["rows"]):
        assert found["covariance"][0][k][k] == pytest.approx(row["connected_2"]["stderr"] ** 2, rel=1e-9)
    assert {len(found["correlation"]), len(found["correlation"][1]) - 3} == {2}
    assert set(record["observables"]) >= {"mean", "connected_2", "connected_4", "tangent", "test_error"}
    assert record["spectrum"]["parameters"] == 8
    text = finished(*words).out.splitlines()
    assert text[2].split() == ["cutoff", "connected_2(0,0)"]
    assert "correlation of the errors of connected_2(0,0) between the cutoffs" in text
    couplings = finished("flow", "flow.h5", "--couplings")
    assert couplings.code == 0, couplings.err
    lines = couplings.out.splitlines()
    assert lines[1] == "couplings of the outputs at points 0, 1, all others integrated out"
    assert [line.split()[0] for line in lines[4:9]] == ["0", "0.01", "0.3", "3", "inf"]


@pytest.mark.first(1)
@pytest.mark.parametrize("networks", [1, 2])
def test_json_of_few_networks_without_test_points(nnft: Nnft, networks: int) -> None:
    """No error bars, no test error: null, nothing else; one network has no pulls."""
    data = 'teacher = "linear"\npoints = 5\ndimension = 2'
    trained(nnft, networks=networks, data=data, flow=TABLE)
    printed = nnft("flow", "run.h5", "--json", "--theory", "2", "--plot", "f.svg")
    record = strict(printed.out)
    assert record["rows"][1]["test_error"] == {"value": None, "stderr": None}
    assert record["rows"][1]["expected_test"] is None
    assert (record["rows"][1]["pull_train"] is None) == (networks == 1)
    assert record["critical_scales"] == []
    assert (nnft.folder / "f.svg").stat().st_size > 1000
    assert nnft("flow", "run.h5", "--theory", "2").code == 0


def test_card_with_a_flow_is_the_flow_of_the_run(finished: Nnft) -> None:
    trained(finished, run="card.h5", flow=TABLE, networks=40, estimate="bins = 40")
    assert everything(finished.folder / "card.h5") == everything(finished.folder / "flow.h5")


@pytest.mark.long
def test_all_options(finished: Nnft) -> None:
    end = finished(
        "flow", "run.h5", "-o", "other.h5", "--cutoffs", "quantiles:4", "--layers", "1,2",
        "--fill", "gaussian", "--width", "0.5", "--noise-variance", "2", "--points", "fresh",
        "--fisher-points", "7", "--fisher-seed", "3", "--refills", "2", "--fresh", "--plot", "other.png",
        "--quiet",
    )  # fmt: skip
    assert (end.code, end.out) == (0, ""), end.err
    assert (finished.folder / "other.png").read_bytes()[:4] == b"\x89PNG"
    text = finished("flow", "other.h5").out
    assert "information  of layers 1, 2, noise variance 2;" in text
    assert "replaced by gaussian, anew at every cutoff" in text
    table = strict(finished("flow", "other.h5", "--json").out)
    assert (table["refills"], table["nested"], len(table["rows"])) == (2, False, 6)


def test_ridge_of_the_training_is_the_noise_variance(nnft: Nnft) -> None:
    trained(nnft, "hmc", networks=10)
    end = nnft("flow", "run.h5", "-o", "flow.h5", "--cutoffs", "log:0.1:10:3", "--json", "--layers", "all")
    assert strict(end.out)["noise_variance"] == 0.1


REFUSED: dict[str, tuple[tuple[str, ...], int, tuple[str, ...]]] = {
    "no cutoffs": (("flow", "run.h5", "-o", "x.h5"), 2, ("missing option --cutoffs", "got --output")),
    "no cutoffs, fresh": (("flow", "flow.h5", "--fresh"), 2, ("--cutoffs", "got --fresh")),
    "no cutoffs, resume": (("flow", "flow.h5", "--resume"), 2, ("--cutoffs", "got --resume")),
    "no output": (("flow", "run.h5", *CUTOFFS), 2, ("missing option -o",)),
    "no flow": (("flow", "run.h5"), 2, ("no flow in 'run.h5'", "--cutoffs and -o")),
    "no file": (("flow", "none.h5"), 3, ("none.h5",)),
    "no run": (("flow", "card.toml"), 3, ("card.toml",)),
    "its source": (("flow", "run.h5", "-o", "run.h5", "--overwrite", *CUTOFFS), 2, ("into its own source",)),
    "its source, a detour": (("flow", "run.h5", "-o", "../{}/run.h5", *CUTOFFS), 2, ("own source",)),
    "a link to it": (("flow", "run.h5", "-o", "link.h5", "--overwrite", *CUTOFFS), 2, ("own source",)),
    "existing": (FLOW, 2, ("flow.h5", "--resume", "--overwrite")),
    "words": (("flow", "run.h5", "-o", "x.h5", "--cutoffs", "many"), 2, ("flow.cutoffs: got 'many'",)),
    "nan": (("flow", "run.h5", "-o", "x.h5", "--cutoffs", "nan"), 2, ("flow.cutoffs[0]: got nan",)),
    "no noise": (
        ("flow", "run.h5", "-o", "x.h5", "--cutoffs", "1"), 2,
        ("missing key in the options, flow.noise_variance",),
    ),
    "a fill": (("flow", "run.h5", "-o", "x.h5", *CUTOFFS, "--fill", "ones"), 2, ("--fill", "'ones'")),
    "a layer": (("flow", "run.h5", "-o", "x.h5", *CUTOFFS, "--layers", "1,9"), 2, ("got 9", "1 to 2")),
    "points": (("flow", "run.h5", "-o", "x.h5", *CUTOFFS, "--fisher-points", "6"), 2, ("at most 5",)),
    "fresh": (("flow", "run.h5", "-o", "x.h5", *CUTOFFS, "--points", "fresh"), 2, ("fisher_points",)),
    "a point": (("flow", "flow.h5", "--point", "2"), 2, ("--point: got 2", "0 to 1")),
    "theory": (("flow", "flow.h5", "--theory", "-1"), 2, ("--theory",)),
    "theory of layers": (
        ("flow", "run.h5", "-o", "x.h5", *CUTOFFS, "--theory", "9", "--layers", "all"), 2,
        ("not known in closed form",),
    ),
    "no quantity": (("flow", "flow.h5", "--observable", "speed"), 2, ("got 'speed'", "connected_4")),
    "no points": (("flow", "flow.h5", "--observable", "mean", "--component", "a"), 2, ("--component", "'a'")),
    "two points": (("flow", "flow.h5", "--observable", "mean", "--component", "0,1"), 2, ("mean has 1",)),
    "component alone": (("flow", "flow.h5", "--component", "0"), 2, ("missing option --observable",)),
    "two tables": (("flow", "flow.h5", "--couplings", "--split"), 2, ("--couplings and --split",)),
    "one refill": (("flow", "flow.h5", "--split"), 2, ("got 1 refill", "--refills 2")),
    "a table first": (("flow", "run.h5", "-o", "x.h5", *CUTOFFS, "--couplings"), 2, ("another table",)),
    "a far point": (("flow", "flow.h5", "--couplings", "--coupling-points", "0,9"), 2, ("got 9",)),
    "points alone": (("flow", "flow.h5", "--coupling-points", "0"), 2, ("missing option --couplings",)),
    "no picture": (("flow", "flow.h5", "--quantity", "outputs"), 2, ("missing option --plot",)),
    "picture": (("flow", "flow.h5", "--plot", "x.gif"), 2, ("x.gif",)),
    "picture first": (("flow", "run.h5", "-o", "x.h5", *CUTOFFS, "--plot", "x.gif"), 2, ("x.gif",)),
    "nothing to resume": (("flow", "run.h5", "-o", "x.h5", *CUTOFFS, "--resume"), 3, ("nothing to resume",)),
    "another flow": ((*FLOW[:4], "--cutoffs", "1", "--noise-variance", "1", "--resume"), 2, ("flow.",)),
}  # fmt: skip
"""Words of the command, exit code, what the one line says."""


QUICK = ("no output", "no flow", "a link to it", "existing", "no noise", "theory of layers", "another flow")
QUICK += ("no quantity", "two tables")


@pytest.mark.first(3)
@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.long) for name in REFUSED]
)
def test_refusals(finished: Nnft, name: str) -> None:
    """One line, the exit code of its kind, and nothing written."""
    (finished.folder / "link.h5").symlink_to("run.h5")
    before = {entry.name: entry.read_bytes() for entry in finished.folder.iterdir()}
    words, code, said = REFUSED[name]
    end = finished(*(word.format(finished.folder.name) for word in words))
    refused(end, code, *said, lines=max(1, len(end.lines)) if name == "another flow" else 1)
    assert {entry.name: entry.read_bytes() for entry in finished.folder.iterdir()} == before


@pytest.mark.long
def test_runs_that_have_no_flow(nnft: Nnft) -> None:
    assert nnft("sample", nnft.card(), "-o", "prior.h5", "--quiet").code == 0
    refused(nnft("flow", "prior.h5", "-o", "x.h5", *CUTOFFS), 2, "no training in 'prior.h5'", "nnft train")
    refused(nnft("flow", "prior.h5"), 2, "no flow in 'prior.h5'")
    trained(nnft, "exact")
    end = nnft("flow", "run.h5", "-o", "x.h5", "--cutoffs", "1")
    refused(end, 2, "training.algorithm 'exact'")
    (nnft.folder / "d.csv").write_text("1,2,3\n2,3,4\n3,5,1\n", encoding="utf-8")
    trained(nnft, run="file.h5", data='file = "d.csv"\ntargets = [3]')
    fresh = ("--points", "fresh", "--fisher-points", "5")
    refused(nnft("flow", "file.h5", "-o", "x.h5", *CUTOFFS, *fresh), 2, "flow.points: got 'fresh'", "no law")
    (nnft.folder / "d.csv").unlink()
    assert nnft("flow", "file.h5", "-o", "y.h5", *CUTOFFS, "--quiet").code == 0
    refused(nnft("flow", "y.h5", "--theory", "2", "--point", "7"), 2, "--point")
    assert nnft("flow", "y.h5", "--theory", "2").code == 0


LINES = "step = 0.01\nsteps = 500\nsnapshots = 2"
LARGE = ("--cutoffs", "log:1e-6:1:120", "--noise-variance", "1", "--layers", "all", "--refills", "2")


def large(nnft: Nnft) -> tuple[str, ...]:
    """Train networks whose flow takes seconds; returns the command of the flow."""
    keys: dict[str, Any] = {"networks": 300, "widths": "[60, 60]", "points": "[[1.0, 2.0]]"}
    trained(nnft, "gd", lines=LINES, checkpoint_seconds=0.1, **keys)
    return ("flow", "run.h5", "-o", "flow.h5", *LARGE, "--threads", "1")


@pytest.mark.long
def test_killed_flows_end_with_the_same_bytes(nnft: Nnft) -> None:
    words, chance = large(nnft), random.Random(SEED)
    run, killed = nnft.folder / "flow.h5", 0
    for _ in range(2):
        flags = ["--resume"] if run.exists() else []
        process = nnft.start(*words, "--quiet", *flags)
        _wait_for(run, process)
        time.sleep(chance.uniform(0.0, 0.5))
        process.kill()
        killed += finish(process).code == -signal.SIGKILL
        if run.exists():
            assert verify_file(run) == []
    assert killed
    assert nnft(*words, "--quiet", "--resume").code == 0
    assert nnft("flow", "run.h5", "-o", "whole.h5", *LARGE, "--quiet", "--threads", "2").code == 0
    assert everything(run) == everything(nnft.folder / "whole.h5")
    assert left(nnft) == {"card.toml", "run.h5", "flow.h5", "whole.h5"}


def _wait_for(run: Path, process: Any) -> None:
    """Wait for the first checkpoint of a process, or its end."""
    before = run.stat().st_mtime_ns if run.exists() else 0
    while process.poll() is None and not (run.exists() and run.stat().st_mtime_ns > before):
        time.sleep(0.02)


@pytest.mark.long
def test_time_budget_and_resume(nnft: Nnft) -> None:
    """A flow that is stopped names the command that goes on; that command does."""
    words, budget, codes = list(large(nnft)), 0.5, list[int]()
    while not codes or codes[-1] == 75:
        end = nnft(*words, "--max-time", str(budget))
        codes.append(end.code)
        budget *= 2.0
        if end.code == 75:
            assert end.out == ""
            words = shlex.split(end.lines[-1].rpartition(": nnft ")[2])
            assert words[:4] == ["flow", "run.h5", "-o", "flow.h5"]
    assert codes[0] == 75
    assert codes[-1] == 0, end.err
    assert words[-1] in ("--resume", "--overwrite")
    assert "flow of 300 networks over 122 cutoffs" in end.out
    with h5py.File(nnft.folder / "flow.h5") as file:
        assert file["training/renormalization/cutoff"].shape == (122,)
    assert nnft("verify", "flow.h5").code == 0


@pytest.mark.long
def test_run_that_is_not_finished(nnft: Nnft) -> None:
    text = training_text("gd", "step = 0.001\nsteps = 1000000000\nsnapshots = 2", checkpoint_seconds=0.1)
    (nnft.folder / "card.toml").write_text(text, encoding="utf-8")
    process = nnft.start("train", "card.toml", "-o", "run.h5", "--quiet")
    _wait_for(nnft.folder / "run.h5", process)
    process.kill()
    finish(process)
    end = nnft("flow", "run.h5", "-o", "flow.h5", *CUTOFFS)
    refused(end, 2, "run not complete in 'run.h5'", "got 0 networks", "nnft train --resume")
    assert not (nnft.folder / "flow.h5").exists()
