"""Flows whose directions do not fit into memory are refused before anything is trained."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from training_cards import training_text

from nnft.errors import EnvironmentRefusal
from nnft.pipeline.flow_setup import make_renormalization
from nnft.pipeline.train_setup import make_ensemble
from nnft.spec.plan import plan_run
from nnft.spec.run import RunSpec

POINTS, HIDDEN, INPUTS = 5, 8, 2
FIRST, LAST = HIDDEN * INPUTS, HIDDEN


def decomposed(rows: int, columns: int) -> int:
    """Bytes of a decomposition: three copies of the derivatives, two of the directions."""
    return 8 * (3 * rows * columns + 2 * min(rows, columns) * (rows + columns))


WANTED = {
    "diagonal": 0,
    "eigenbasis": decomposed(POINTS, FIRST + LAST),
    "layer-eigenbasis": decomposed(POINTS, FIRST) + decomposed(POINTS, LAST),
    "kronecker": decomposed(POINTS, INPUTS) + decomposed(POINTS, HIDDEN) + decomposed(HIDDEN, INPUTS)
    + decomposed(POINTS, LAST),
}  # fmt: skip


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("basis", list(WANTED))
def test_directions_take_half_of_what_is_free(
    monkeypatch: pytest.MonkeyPatch, basis: str, threads: int
) -> None:
    flow: dict[str, Any] = {"cutoffs": [1.0], "noise_variance": 1.0, "layers": "all", "basis": basis}
    spec = RunSpec.from_dict(tomllib.loads(training_text("gd")) | {"flow": flow})
    plan, resolution = plan_run(spec), spec.flow_resolution
    assert plan.training is not None
    assert resolution is not None
    ensemble, least = make_ensemble(spec, plan, threads, 0.1), 2 * threads * WANTED[basis]
    monkeypatch.setattr("nnft.pipeline.flow_setup.available_bytes", lambda: least)
    make_renormalization(spec, resolution, ensemble, (1.0,))
    monkeypatch.setattr("nnft.pipeline.flow_setup.available_bytes", lambda: least - 1)
    if basis == "diagonal":
        return
    with pytest.raises(EnvironmentRefusal, match="too little memory for directions") as caught:
        make_renormalization(spec, resolution, ensemble, (1.0,))
    assert f"{threads} threads and {POINTS} inputs" in str(caught.value)
    assert len(str(caught.value)) < 190
