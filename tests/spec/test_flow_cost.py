"""Seconds of a flow: those of its evaluations, on top of the training."""

from __future__ import annotations

from typing import Any

import pytest

from nnft.spec.flow_cost import flow_seconds
from nnft.spec.plan import plan_run
from nnft.spec.run import RunSpec


def spec_of(flow: dict[str, Any] | None, **training: Any) -> RunSpec:
    """2-5-3-1 networks on three points of a mesh, 20 training and 10 test points."""
    card: dict[str, Any] = {
        "network": {"widths": [5, 3], "activation": "tanh", "bias_variance": 0.1},
        "inputs": {"points": [[0.4, 0.6], [1.0, 0.0], [0.0, 1.0]]},
        "ensemble": {"networks": 1000, "seed": 20240601},
        "training": {
            "loss": "half-sum",
            "algorithm": "langevin",
            "ridge": 0.1,
            "step": 0.01,
            "burn_in": 10,
            "draws": 2,
            **training,
            "data": {"teacher": "linear", "points": 20, "test": 10, "dimension": 2},
        },
    }
    if flow is not None:
        card["flow"] = {"cutoffs": [0.0, 1.0, 2.0], "tangents": False, "layers": "all", **flow}
    return RunSpec.from_dict(card)


def seconds(**flow: Any) -> float:
    spec = spec_of(flow)
    resolved = spec.flow_resolution
    assert resolved is not None
    return flow_seconds(spec.network, resolved, 3, spec.dataset().shape)


def test_the_flow_of_every_chain_comes_on_top() -> None:
    for chains in (1, 4):
        training = plan_run(spec_of(None, chains=chains)).seconds
        both = plan_run(spec_of({}, chains=chains)).seconds
        assert both - training == pytest.approx(1000 * chains * seconds(), rel=1e-9)


def test_a_refill_is_an_evaluation_at_every_cutoff() -> None:
    """28 weights, 8 neurons, 33 points; 0, 1, 2 and infinity are four cutoffs."""
    point = 28 * 2 / 2.5e10 + 0.5 * 8 * 4.5e-9
    assert seconds(refills=6) - seconds() == pytest.approx(5 * 4 * 33 * point, rel=1e-9)


def test_what_costs_more() -> None:
    assert seconds(layers="readout", refills=4) < seconds(refills=4)
    assert seconds() < seconds(tangents=True)
    assert seconds(fisher_points=2) < seconds()
    assert seconds() < seconds(basis="layer-eigenbasis") < seconds(basis="eigenbasis")
    assert seconds() < seconds(basis="kronecker")
    assert seconds(layers="readout") < seconds(layers="readout", fill="conditional")
