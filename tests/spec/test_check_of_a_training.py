"""What ``nnft check`` says of a training: as strict as ``nnft train``, in numbers that people read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from nnft.cli.cards import check
from nnft.errors import CardError
from nnft.spec.run import RunSpec

CARD = """
[network]
widths = [8]
activation = "tanh"
weight_variance = 1.5
[inputs]
points = [[1.0], [0.0]]
[ensemble]
networks = 16
seed = 3
[training]
loss = "{loss}"
{lines}
[training.data]
teacher = "linear"
points = {points}
dimension = 1
"""
DESCENT = 'algorithm = "gd"\nsteps = 20\nstep = {step}'
SAMPLER = 'algorithm = "hmc"\nridge = {ridge}\ndraws = 5'


def checked(folder: Path, lines: str, *options: str, loss: str = "half-sum", points: int = 5) -> Any:
    """What the command printed."""
    path = folder / "card.toml"
    path.write_text(CARD.format(loss=loss, lines=lines, points=points), encoding="utf-8")
    done = CliRunner().invoke(check, [str(path), *options])
    if done.exception is not None:
        raise done.exception
    return json.loads(done.output) if "--json" in options else done.output


def test_a_step_beyond_the_limit_is_refused_as_by_train(tmp_path: Path) -> None:
    found = checked(tmp_path, DESCENT.format(step=0.1), "--json")["training"]
    limit = found["stability_limit"]
    assert found["first_step"] == 0.1
    assert 0.1 < limit < 10.0
    assert "step below " in checked(tmp_path, DESCENT.format(step=0.999 * limit))
    with pytest.raises(CardError, match=r"step above the stability limit in training\.step"):
        checked(tmp_path, DESCENT.format(step=1.001 * limit))


def test_an_automatic_step_and_no_step(tmp_path: Path) -> None:
    found = checked(tmp_path, SAMPLER.format(ridge=0.1), "--json")["training"]
    assert 0.0 < found["first_step"] < found["stability_limit"]
    assert f"begins with {found['first_step']:.4g}" in checked(tmp_path, SAMPLER.format(ridge=0.1))
    flow = 'algorithm = "gradient-flow"\ntime = 2.0'
    found = checked(tmp_path, flow, "--json")["training"]
    assert (found["first_step"], found["stability_limit"]) == (None, None)
    assert "step below" not in checked(tmp_path, flow)


@pytest.mark.parametrize(("points", "temperature", "ridge"), [(10, "0.02", "0.1"), (49, "0.02", "0.49")])
def test_rounding_of_the_ridge_is_not_shown(
    points: int, temperature: str, ridge: str, tmp_path: Path
) -> None:
    """0.02 / (2 / 10) is 0.09999999999999999 in binary."""
    lines = SAMPLER.replace("ridge = {ridge}", f"temperature = {temperature}")
    text = checked(tmp_path, lines, loss="mean", points=points)
    assert f"T = {temperature}, ridge kappa = T / (2 c) = {ridge}, weight decay" in text


@pytest.mark.parametrize(("word", "key"), [("learning_rate", "step"), ("lr", "step"), ("samples", "draws")])
def test_names_of_other_programs_are_translated(word: str, key: str) -> None:
    table = {"loss": "half-sum", "algorithm": "gd", word: 1, "data": {"teacher": "linear"}}
    with pytest.raises(CardError) as caught:
        RunSpec.from_dict({"network": {"widths": [4], "activation": "tanh"}, "training": table})
    told = [line for line in caught.value.problems if f"training.{word}" in line]
    assert len(told) == 1
    assert f"did you mean '{key}'?" in told[0]
