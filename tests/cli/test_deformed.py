"""The command on deformed cards: what it prints, and exit code 5 where the weights collapse."""

from __future__ import annotations

import json

import pytest
from command_line import Nnft, everything, refused

GOOD = "[deformation]\nphi4 = 0.5\n"
HOPELESS = "[deformation]\nphi4 = 1e4\nreadouts = 1\n"
LINE = "effective sample size too small in the deformed ensemble"


def write(nnft: Nnft, deformation: str, name: str = "card.toml", **keys: object) -> None:
    """Write a card with a deformation."""
    path = nnft.card(name, **keys)
    path.write_text(path.read_text() + deformation, encoding="utf-8")


def test_check_sample_show_verify(nnft: Nnft) -> None:
    write(nnft, GOOD, fields="50")
    check = nnft("check", "card.toml")
    assert (check.code, check.err) == (0, "")
    assert "phi4 0.5, cell 1, a function of each output" in check.out
    plan = json.loads(nnft("check", "card.toml", "--json").out)
    assert plan["estimator"] == "reweighted"
    assert plan["readouts"] >= 1
    sampled = nnft("sample", "card.toml", "-o", "run.h5")
    assert sampled.code == 0, sampled.err
    shown = nnft("show", "run.h5")
    assert shown.out == sampled.out
    assert "deformed   weights exp(-V): phi4 0.5" in shown.out
    state = json.loads(nnft("show", "run.h5", "--json").out)
    assert 100 < state["effective_sample_size"]["value"] <= 400
    verified = nnft("verify", "run.h5")
    assert verified.code == 0, verified.err
    assert "bit for bit the same" in verified.out


@pytest.mark.long
@pytest.mark.parametrize("flags", [(), ("--quiet",), ("--json",)])
def test_collapse_is_exit_5_with_everything_stored(nnft: Nnft, flags: tuple[str, ...]) -> None:
    write(nnft, HOPELESS)
    sampled = nnft("sample", "card.toml", "-o", "run.h5", *flags)
    assert sampled.code == 5
    assert sampled.out == ""
    assert LINE in sampled.lines[-1]
    assert len(sampled.lines[-1]) <= 200
    before = everything(nnft.folder / "run.h5")
    refused(nnft("show", "run.h5"), 5, LINE, "of 400 networks, needed 100")
    refused(nnft("show", "run.h5", "--json"), 5, LINE)
    status = nnft("status", "run.h5")
    assert status.code == 0
    assert "complete" in status.out
    assert nnft("verify", "run.h5").code == 0
    again = nnft("sample", "card.toml", "-o", "run.h5", "--resume")
    assert again.code == 5
    assert everything(nnft.folder / "run.h5") == before


@pytest.mark.long
def test_weights_beyond_the_range_of_numbers_are_exit_5(nnft: Nnft) -> None:
    write(nnft, HOPELESS.replace("1e4", "1e9"))
    assert nnft("sample", "card.toml", "-o", "run.h5").code == 5
    refused(nnft("show", "run.h5"), 5, "weights out of range in the deformed ensemble", "beyond exp(300)")
    assert nnft("verify", "run.h5").code == 0


@pytest.mark.long
def test_more_networks_bring_it_back(nnft: Nnft) -> None:
    write(nnft, GOOD, networks=64, ensemble="block_size = 8")
    few = nnft("sample", "card.toml", "-o", "run.h5")
    assert few.code == 5
    assert LINE in few.err
    write(nnft, GOOD, networks=640, ensemble="block_size = 8")
    more = nnft("sample", "card.toml", "-o", "run.h5", "--resume")
    assert more.code == 0, more.err
    assert "is below 1000: errors are rough" in more.out


@pytest.mark.parametrize(
    ("deformation", "word"),
    [
        ("[deformation]\nphi4 = -1\n", "not bounded below"),
        ("[deformation]\nphi4 = 0\n", "no coupling"),
        ("[deformation]\nphi4 = [1, 2, 3]\n", "one for each input point"),
    ],
)
def test_wrong_tables_are_exit_2(nnft: Nnft, deformation: str, word: str) -> None:
    write(nnft, deformation)
    for command in (("check", "card.toml"), ("sample", "card.toml", "-o", "run.h5")):
        refused(nnft(*command), 2, word)
    assert not (nnft.folder / "run.h5").exists()
