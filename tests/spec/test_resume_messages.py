"""What is said of a card that differs from the run it is to go on with."""

from __future__ import annotations

from typing import Any

from nnft.spec import RunSpec

CARD: dict[str, Any] = {
    "network": {"widths": [8, 6], "activation": "tanh"},
    "inputs": {"generator": "gaussian", "count": 3, "dimension": 2},
    "ensemble": {"networks": 1000, "seed": 7},
}
DATA = {"teacher": "linear", "points": 10, "dimension": 2}
KEYS: dict[str, dict[str, Any]] = {
    "gd": {"step": 0.1, "steps": 1000},
    "langevin": {"step": 0.01, "draws": 5},
}


def spec_of(algorithm: str = "gd", data: dict[str, Any] | None = None, **training: Any) -> RunSpec:
    table = {"loss": "half-sum", "algorithm": algorithm, "data": DATA | (data or {})}
    return RunSpec.from_dict(CARD | {"training": table | KEYS[algorithm] | training})


def test_a_card_with_another_ridge_is_told_so_in_ridges() -> None:
    stored = spec_of("langevin", loss="mean", ridge=0.2)
    (got,) = spec_of("langevin", loss="mean", ridge=0.25).difference(stored)
    assert got == "another value in training.ridge: got 0.25; the file has 0.2"
    temperature = 2.0 * 0.1 * 0.25  # 2 c kappa, c = 1 / 10 points
    (got,) = spec_of("langevin", loss="mean", temperature=temperature).difference(stored)
    assert got.startswith(f"another value in training.temperature: got {temperature}; the file has 0.04")


def test_digests_in_a_message_are_short() -> None:
    (got,) = spec_of(data={"seed": 1}).difference(spec_of(data={"seed": 2}))
    digests = [spec_of(data={"seed": seed}).dataset().sha256[:12] for seed in (1, 2)]
    assert got == "another value in training.data: got sha256 {}..; the file has sha256 {}..".format(*digests)
    (got,) = spec_of(data={"points": 11}).difference(spec_of())
    assert "got 11 points and 0 held out" in got
