"""The card's [deformation] table: what it accepts, what it means, what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nnft.errors import CardError
from nnft.spec import RunSpec, plan_run
from nnft.spec.plan_text import plan_rows

CARD: dict[str, Any] = {
    "network": {"widths": [64, 64], "activation": "tanh", "outputs": 2},
    "inputs": {"points": [[1.0, 2.0], [0.5, -1.0], [0.0, 0.3]]},
    "ensemble": {"networks": 10_000, "seed": 7},
    "estimate": {"correlators": [2, 4]},
}


def spec_of(deformation: dict[str, Any], **tables: dict[str, Any]) -> RunSpec:
    return RunSpec.from_dict(CARD | tables | {"deformation": deformation})


def refusal(deformation: dict[str, Any], **tables: dict[str, Any]) -> str:
    """The one line with which a card is refused, at the latest when the run is planned."""
    with pytest.raises(CardError) as caught:
        plan_run(spec_of(deformation, **tables))
    assert len(caught.value.problems) == 1, caught.value.problems
    problem = caught.value.problems[0]
    assert len("nnft: error: " + problem) <= 200
    assert ": got " in problem
    return problem


@pytest.mark.parametrize(
    ("deformation", "words"),
    [
        ({"phi4": -0.5}, ("not bounded below", "deformation.phi4: got -0.5")),
        ({"phi4": [0.1, -1.0, 0.2]}, ("not bounded below", "deformation.phi4[1]: got -1.0")),
        ({"phi2": -0.1}, ("not bounded below", "deformation.phi2: got -0.1")),
        ({"phi2": -0.1, "phi4": [0.0, 1.0, 1.0]}, ("not bounded below", "deformation.phi2: got -0.1")),
        ({"phi4": 1.0, "phi6": -1e-9}, ("not bounded below", "deformation.phi6: got -1e-09")),
        ({}, ("no coupling", "zero for all")),
        ({"phi2": 0.0, "phi4": [0.0, 0.0, 0.0]}, ("no coupling", "zero for all")),
        ({"phi4": [1.0, 2.0]}, ("wrong number of values", "got 2 values", "3, one for each input point")),
        ({"phi4": [1.0, 2.0], "phi6": [1.0]}, ("different lengths", "2 of phi4, 1 of phi6")),
        ({"phi4": []}, ("too few values", "deformation.phi4")),
        ({"phi4": "big"}, ("wrong type", "deformation.phi4")),
        ({"phi4": True}, ("wrong type", "deformation.phi4")),
        ({"phi4": float("nan")}, ("not finite", "deformation.phi4")),
        ({"phi4": 1e13}, ("out of range", "deformation.phi4")),
        ({"phi3": 1.0}, ("unknown key", "deformation.phi3", "did you mean 'phi")),
        ({"phi4": 1.0, "cell": 0.0}, ("out of range", "deformation.cell")),
        ({"phi4": 1.0, "cell": "grid"}, ("unknown value", "deformation.cell")),
        ({"phi4": 1.0, "invariance": "totl"}, ("deformation.invariance", "did you mean 'total'?")),
        ({"phi4": 1.0, "readouts": 0}, ("out of range", "deformation.readouts")),
        ({"phi4": 1.0, "readouts": 2.5}, ("deformation.readouts", "whole number")),
    ],
)
def test_impossible_tables_are_refused(deformation: dict[str, Any], words: tuple[str, ...]) -> None:
    problem = refusal(deformation)
    assert all(word in problem for word in words), problem


def test_contradictions_with_other_tables() -> None:
    problem = refusal({"phi4": 1.0}, estimate={"estimator": "conditional"})
    assert "contradiction in deformation: got estimate.estimator conditional" in problem
    problem = refusal({"phi4": 1.0}, estimate={"correlators": [2, 8]})
    assert "contradiction in deformation: got order 8" in problem
    scaled = {"generator": "grid", "count": 4, "dimension": 1, "scale": "standardize"}
    assert "no cell in deformation.cell" in refusal({"phi4": 1.0}, inputs=scaled)
    wide = {"network": CARD["network"] | {"outputs": 100_000}}
    assert "too much memory in deformation.readouts" in refusal({"phi4": 1.0, "readouts": 1000}, **wide)


@pytest.mark.parametrize(
    "deformation",
    [
        {"phi4": 1.0, "phi2": -3.0},
        {"phi6": 0.1, "phi4": -2.0},
        {"phi2": 0.5},
        {"phi4": [0.0, 1.0, 0.0]},
        {"phi4": [0.0, 1.0, 0.0], "phi2": [0.3, -1.0, 0.0]},
    ],
)
def test_potentials_bounded_below_are_accepted(deformation: dict[str, Any]) -> None:
    assert plan_run(spec_of(deformation)).estimator == "reweighted"


def test_a_card_without_the_table_keeps_digest_and_text() -> None:
    plain = RunSpec.from_dict(CARD)
    assert plain.interaction() is None
    assert not [key for key in plain.determining() if key.startswith("deformation")]
    assert "deformation" not in plain.to_toml()
    # written down once, before the table existed
    assert plain.digest() == "6674388878f47d6af500b68ae2550aa3362103fccd59bd7bc75fd0375b606b16"
    assert plan_run(plain).readouts == 0


def test_every_key_changes_the_digest_and_is_named() -> None:
    stored = spec_of({"phi4": 1.0, "readouts": 8})
    changes: list[tuple[dict[str, Any], str]] = [
        ({"phi4": 2.0}, "phi4"),
        ({"phi2": 0.1}, "phi2"),
        ({"phi6": [0.0, 0.0, 0.1]}, "phi6"),
        ({"cell": 0.5}, "cell"),
        ({"invariance": "total"}, "invariance"),
        ({"readouts": 4}, "readouts"),
    ]
    for change, key in changes:
        lines = spec_of({"phi4": 1.0, "readouts": 8} | change).difference(stored)
        assert len(lines) == 1, lines
        assert f"deformation.{key}: got" in lines[0]
    same = spec_of({"phi4": [1.0, 1.0, 1.0], "cell": 1.0, "readouts": 8})
    assert same.digest() == stored.digest()
    assert same.difference(stored) == []


def test_a_run_with_the_table_is_not_one_without() -> None:
    with_table, without = spec_of({"phi4": 1.0}), RunSpec.from_dict(CARD)
    assert with_table.digest() != without.digest()
    assert any(
        "deformation.phi4: got" in line and "file has none" in line for line in with_table.difference(without)
    )
    assert any("deformation.phi4: got none" in line for line in without.difference(with_table))


def test_resolved_card_comes_back() -> None:
    grid = {"generator": "grid", "count": 3, "dimension": 2, "low": 0.0, "high": 1.0}
    spec = spec_of({"phi4": 0.5, "phi2": -0.25}, inputs=grid)
    again = RunSpec.from_text(spec.to_toml(), points=spec.mesh().points)
    assert again.digest() == spec.digest()
    assert again.deformation is not None
    assert again.deformation.cell == 0.25
    assert again.deformation.readouts == spec.resolution.readouts
    assert again.difference(spec) == []
    assert again.to_toml() == spec.to_toml()


@pytest.mark.parametrize(
    ("inputs", "cell"),
    [
        ({"generator": "grid", "count": 5, "dimension": 1}, 0.5),
        ({"generator": "grid", "count": 5, "dimension": 3, "low": 0.0, "high": 1.0}, 0.25**3),
        ({"generator": "grid", "count": 1, "dimension": 2}, 1.0),
        ({"generator": "gaussian", "count": 3, "dimension": 2}, 1.0),
        ({"points": [[1.0], [2.0]]}, 1.0),
    ],
)
def test_cell_of_a_mesh(inputs: dict[str, Any], cell: float) -> None:
    interaction = spec_of({"phi4": 6.0}, inputs=inputs).interaction()
    assert interaction is not None
    assert interaction.cell == pytest.approx(cell)
    assert np.allclose(interaction.coefficients[1], 6.0 * cell / 24)
    given = spec_of({"phi2": 1.0, "phi6": 1.0, "cell": 2.0}, inputs=inputs).interaction()
    assert given is not None
    assert np.allclose(given.coefficients, np.array([[1.0], [0.0], [1 / 360]]))


def test_auto_readouts_balance_hidden_layers_and_readouts() -> None:
    """sqrt(width * cost of the hidden layers / cost of a readout), between 8 and 64."""
    assert plan_run(spec_of({"phi4": 1.0})).readouts == 32
    wide = {"widths": [1000] * 3, "activation": "tanh"}
    assert plan_run(spec_of({"phi4": 1.0}, network=wide)).readouts == 64
    none = plan_run(spec_of({"phi4": 1.0}, network={"widths": [], "activation": "linear"}))
    assert none.readouts == 8
    many = {"widths": [8], "activation": "tanh", "outputs": 100_000}
    assert plan_run(spec_of({"phi4": 1.0}, network=many, estimate={"outputs": 1})).readouts == 1
    one = plan_run(spec_of({"phi4": 1.0, "readouts": 1}))
    assert one.seconds < plan_run(spec_of({"phi4": 1.0})).seconds


def test_check_prints_the_deformation() -> None:
    spec = spec_of({"phi4": 0.5, "phi2": [0.0, -0.1, 0.2], "invariance": "total", "readouts": 4})
    rows = dict(plan_rows(spec, plan_run(spec)))
    assert rows["estimator"].startswith("reweighted: ")
    assert (
        rows["deformation"]
        == "phi2 -0.1 to 0.2, phi4 0.5, cell 1, a function of the sum of squares of all outputs"
    )
    assert rows["readouts"].startswith("4 draws of the last layer")


def test_only_the_weights_add_to_the_components() -> None:
    direct = plan_run(RunSpec.from_dict(CARD | {"estimate": {"correlators": [2, 4], "estimator": "direct"}}))
    deformed = plan_run(spec_of({"phi4": 0.5}))
    assert deformed.components == direct.components + 3
