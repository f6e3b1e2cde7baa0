"""nnft ridge: every kind of source, text and JSON, the picture, and what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from command_line import SCRIPT, Nnft, refused

from nnft.analysis.ridge_curve import ridge_curve
from nnft.analysis.ridge_kernels import SphereOptions, card_source, sphere_source
from nnft.analysis.ridge_source import power_law_source, table_source
from nnft.analysis.ridge_text import ridge_text

TABLE = "eigenvalue,target_power,multiplicity\n0.3,0.5,1\n0.02,0.4,20\n0.0005,0.1,400\n"


@pytest.fixture
def run(tmp_path: Path) -> Nnft:
    """The command in a folder with a table and a card; it compiles nothing."""
    command = Nnft(tmp_path, tmp_path / "kernels")
    (tmp_path / "levels.csv").write_text(TABLE, encoding="utf-8")
    card = command("card", "--example", "trained-posterior")
    (tmp_path / "card.toml").write_text(card.out, encoding="utf-8")
    return command


@pytest.mark.long
def test_text_and_json_say_what_python_says(run: Nnft) -> None:
    words = ("--points", "30,300", "--ridge", "0.05", "--noise", "0.1", "--flow")
    result = ridge_curve(table_source(run.folder / "levels.csv"), [30.0, 300.0], 0.05, 0.1)
    text = run("ridge", "levels.csv", *words)
    assert (text.code, text.err) == (0, "")
    assert text.out == ridge_text(result, flow=True) + "\n"
    record = run("ridge", "levels.csv", *words, "--json")
    assert json.loads(record.out) == json.loads(json.dumps(result.to_dict(flow=True)))
    assert [point["kept_modes"] for point in json.loads(record.out)["curve"]] == [1.0, 21.0]
    assert "flow" not in json.loads(run("ridge", "levels.csv", "--json").out)
    assert not (run.folder / "kernels").exists()


def test_power_law(run: Nnft) -> None:
    found = run("ridge", "--power-law", "a=2,modes=100000", "--points", "1000", "--ridge", "0.5", "--json")
    result = ridge_curve(power_law_source(2.0, None, 100_000), [1000.0], 0.5)
    assert json.loads(found.out) == json.loads(json.dumps(result.to_dict()))
    assert json.loads(found.out)["curve"][0]["flow_ridge"] == pytest.approx(0.522977493587, rel=1e-9)


def test_sphere(run: Nnft) -> None:
    keys = "d=10,activation=relu,depth=1,weight_variance=1/2,degrees=6"
    found = json.loads(run("ridge", "--sphere", keys, "--target", "1:0.8,2:0.2", "--json").out)
    assert found["leading_levels"]["eigenvalue"][0] == pytest.approx(0.3346024233401, rel=1e-9)
    assert found["trace"] == pytest.approx(1.0)
    options = SphereOptions(10, "relu", 1, (1.0, 2.0), degrees=6)
    tangent = run("ridge", "--sphere", keys, "--kernel", "ntk", "--noise", "0.1")
    assert tangent.out == ridge_text(ridge_curve(sphere_source(options, "ntk"), noise=0.1)) + "\n"


def test_card(run: Nnft) -> None:
    found = json.loads(run("ridge", "card.toml", "--json").out)
    assert (found["source"], found["ridge"]) == ("card", 0.1)
    assert [point["points"] for point in found["curve"]] == [12.0]
    result = ridge_curve(card_source(run.folder / "card.toml", "ntk"), [3.0, 6.0], 0.2)
    tangent = run("ridge", "card.toml", "--kernel", "ntk", "--points", "3,6", "--ridge", "0.2")
    assert tangent.out == ridge_text(result) + "\n"
    assert "at random from the 12 inputs" in tangent.out
    quiet = json.loads(run("ridge", "card.toml", "--kernel", "ntk", "--json").out)
    assert quiet["ridge"] == 0.0


def test_picture(run: Nnft) -> None:
    found = run("ridge", "levels.csv", "--points", "log:10:1000:5", "--plot", "curve.svg")
    assert found.code == 0
    first = (run.folder / "curve.svg").read_bytes()
    assert b"<svg" in first
    run("ridge", "levels.csv", "--points", "log:10:1000:5", "--plot", "curve.svg")
    assert (run.folder / "curve.svg").read_bytes() == first
    assert run("ridge", "nothing.csv", "--plot", "other.png").code == 3
    assert not (run.folder / "other.png").exists()


@pytest.mark.first(5)
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "exactly one"),
        (("levels.csv", "--power-law", "a=2"), "exactly one"),
        (("--power-law", "a=2", "--sphere", "d=3,activation=erf"), "exactly one"),
        (("levels.csv", "--kernel", "ntk"), "--kernel"),
        (("levels.csv", "--kernel", "rbf"), "--kernel"),
        (("card.toml", "--target", "1:1"), "--target"),
        (("levels.csv", "--target", "4:1"), "no such level"),
        (("levels.csv", "--points", "0"), "numbers of points"),
        (("levels.csv", "--points", "log:1:2"), "log:LOW:HIGH:COUNT"),
        (("levels.csv", "--points", "10", "--points", "20"), "given twice"),
        (("levels.csv", "--ridge", "-1"), "ridge"),
        (("levels.csv", "--ridge", "nan"), "ridge"),
        (("levels.csv", "--noise", "inf"), "noise"),
        (("levels.csv", "--plot", "a.gif"), ".svg"),
        (("--power-law", "a=0"), "exponents"),
        (("--power-law", "a=2,modes=1e15"), "modes"),
        (("--power-law", "a=2,b=2", "--target", "1:1"), "contradiction"),
        (("--sphere", "d=3,activation=erv"), "unknown activation"),
        (("--sphere", "d=3,activation=erf,depth=1e9"), "depth"),
        (("missing.toml",), "no such card"),
        ((".",), "directory"),
    ],
)
def test_requests_that_are_refused(words: tuple[str, ...], said: str, run: Nnft) -> None:
    before = sorted(os.listdir(run.folder))
    refused(run("ridge", *words), 2, said)
    assert sorted(os.listdir(run.folder)) == before


@pytest.mark.first(2)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("eigenvalue\n1\n-1\n", "row 2"),
        ("eigenvalue,colour\n1,2\n", "columns"),
        ("1;2;3\n4;5\n", "ragged"),
        ("1,5\n2,x\n", "column 2"),
        ("", "no row"),
    ],
)
def test_damaged_tables_end_with_3(text: str, said: str, run: Nnft) -> None:
    (run.folder / "wrong.csv").write_text(text, encoding="utf-8")
    refused(run("ridge", "wrong.csv"), 3, said)


@pytest.mark.long
def test_other_files_end_with_3(run: Nnft) -> None:
    refused(run("ridge", "missing.npy"), 3, "no such data file")
    np.save(run.folder / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    refused(run("ridge", "objects.npy"), 3, "Python objects")
    np.save(run.folder / "cut.npy", np.ones(100))
    (run.folder / "cut.npy").write_bytes((run.folder / "cut.npy").read_bytes()[:-8])
    refused(run("ridge", "cut.npy"), 3, "truncated")
    os.mkfifo(run.folder / "pipe.csv")
    refused(run("ridge", "pipe.csv"), 3, "FIFO")


def test_kernels_that_are_none_end_with_5(run: Nnft) -> None:
    refused(run("ridge", "--sphere", "d=3,activation=exp,weight_variance=1e3"), 5, "not finite")
    refused(run("ridge", "--sphere", "d=3,activation=erf,weight_variance=0"), 5, "all 0")


def test_closed_output_is_no_error(run: Nnft) -> None:
    script = f"{SCRIPT} ridge --power-law a=2,modes=1000 --flow | head -1"
    found = run("-c", script, prefix=("/bin/sh",))
    assert (found.code, found.err) == (0, "")
    assert found.out.startswith("power law")
