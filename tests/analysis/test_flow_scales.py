"""Critical scales of flows: losses made up so that the scale is known."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from nnft.analysis.flow_scales import DELTAS, FEWEST, critical_scales, scale_lines

SEED = 20240601
INNER = np.geomspace(1e-3, 1e3, 25)
CUTOFFS = np.array([0.0, *INNER, np.inf])


def made_up(rise: npt.NDArray[np.float64], networks: int = 60, noise: float = 0.05, test: bool = True) -> Any:
    """A flow whose losses rise from 1 to 11 as given, times a factor of each network and cutoff."""
    generator = np.random.default_rng(SEED)
    factors = 1.0 + noise * generator.normal(size=(networks, len(CUTOFFS)))
    train = factors * (1.0 + 10.0 * np.array([0.0, *rise, 1.0]))
    losses = np.stack([train, 2.0 * train if test else np.full_like(train, np.nan)], axis=2)
    card = {"ensemble": {"seed": SEED}}
    return SimpleNamespace(losses=losses, cutoffs=CUTOFFS, run=SimpleNamespace(card=card))


SMOOTH = INNER / (1.0 + INNER)


def test_scales_of_a_smooth_rise() -> None:
    """c / (1 + c) is 5 % at 1/19 and 50 % at 1; the grid has four cutoffs a decade."""
    found = critical_scales(made_up(SMOOTH))
    assert [(scale["of"], scale["delta"]) for scale in found] == [
        (name, delta) for name in ("train_error", "test_error") for delta in DELTAS
    ]
    for scale in found:
        exact = {0.05: 1 / 19, 0.5: 1.0}[scale["delta"]]
        assert scale["verdict"] == "found"
        assert scale["value"] == pytest.approx(exact, rel=0.1)
        assert scale["low"] < scale["value"] < scale["high"]
        assert 0.0 < scale["log_error"] < 0.1
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    lines = scale_lines(found)
    assert lines[0].startswith("critical scale of the train error, 5% of the rise: 0.0")
    assert "(95 % in " in lines[0]


def test_the_same_run_has_the_same_intervals() -> None:
    assert critical_scales(made_up(SMOOTH)) == critical_scales(made_up(SMOOTH))


def test_verdicts_are_said() -> None:
    """Losses that have risen at the first cutoff have no plateau; those that do not rise, no scale."""
    early = critical_scales(made_up(0.8 + 0.2 * SMOOTH))
    assert all(scale["verdict"] == "no plateau" and scale["value"] is None for scale in early)
    assert all("critical scale of the" in line for line in scale_lines(early))
    flat = made_up(np.zeros(25), noise=0.0)
    flat.losses[:, -1] = flat.losses[:, 0]
    for scale in critical_scales(flat):
        assert scale["verdict"] == "no rise"
        assert scale["value"] is None


def test_what_is_not_enough() -> None:
    assert critical_scales(made_up(SMOOTH, networks=FEWEST - 1)) == []
    assert len(critical_scales(made_up(SMOOTH, networks=FEWEST))) == 4
    assert {scale["of"] for scale in critical_scales(made_up(SMOOTH, test=False))} == {"train_error"}
    ends = made_up(SMOOTH)
    ends.cutoffs, ends.losses = CUTOFFS[[0, -1]], ends.losses[:, [0, -1]]
    assert critical_scales(ends) == []
    infinite = made_up(SMOOTH)
    infinite.losses[0, -1, 1] = np.inf
    assert {scale["of"] for scale in critical_scales(infinite)} == {"train_error"}


def test_bounds_in_words() -> None:
    scale = {"of": "test_error", "delta": 0.5, "verdict": "found", "sentence": "", "value": 2.0}
    line = scale_lines([scale | {"low": None, "high": 3.0, "log_error": None}])[0]
    assert line == "critical scale of the test error, 50% of the rise: 2 (95 % in no bound to 3)"
