"""What is recorded of trained networks: virials only where there is a temperature to measure them in."""

from __future__ import annotations

from typing import Any

import pytest

from nnft.pipeline.train_engine import TrainEngine
from nnft.pipeline.train_names import observable_names
from nnft.spec.plan import plan_run
from nnft.spec.run import RunSpec

ALGORITHMS: dict[str, dict[str, Any]] = {
    "gd": {"step": 0.1, "steps": 8},
    "sgd": {"step": 0.1, "steps": 8, "batch_size": 2},
    "gradient-flow": {"time": 0.8},
    "langevin": {"ridge": 0.2, "step": 0.05, "burn_in": 10, "draws": 4},
    "hmc": {"ridge": 0.2, "burn_in": 10, "draws": 4},
}


@pytest.mark.parametrize("algorithm", list(ALGORITHMS))
def test_virials_are_those_of_samplers(algorithm: str) -> None:
    card = {
        "network": {"widths": [6], "activation": "erf", "weight_variance": 1.5},
        "inputs": {"points": [[0.4, 0.6], [-0.8, 0.1]]},
        "ensemble": {"networks": 32, "seed": 20240601},
        "estimate": {"correlators": [2], "bins": 32},
        "training": {
            "loss": "half-sum",
            "algorithm": algorithm,
            "snapshots": 2,
            **ALGORITHMS[algorithm],
            "data": {"teacher": "linear", "points": 3, "dimension": 2},
        },
    }
    spec = RunSpec.from_dict(card)
    plan = plan_run(spec)
    names = observable_names(plan)
    virials = ("virial_1", "virial_2") if algorithm in ("langevin", "hmc") else ()
    assert tuple(name for name in names.averaged if name.startswith("virial")) == virials
    assert tuple(name for name in names.moving if name.startswith("virial")) == virials
    assert names.moving[-2:] == ("kernel_movement", "tangent_movement")
    engine = TrainEngine(spec, plan, 1, 0.1)
    while engine.networks_done < 32:
        engine.advance(100)
    found = engine.observables
    assert found is not None
    means = {name: found.result(name).mean for name in names.moving}
    assert means["kernel_movement"][0] == means["tangent_movement"][0] == 0.0  # in their columns
    assert means["kernel_movement"][-1] > 0.0
    assert means["weight_scale_1"][-1] > 0.0
