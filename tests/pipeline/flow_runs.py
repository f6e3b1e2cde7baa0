"""Flows of small networks, made once for all tests that ask for the same."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nnft.analysis.renormalized_run import RenormalizedRun
from nnft.pipeline.train import train
from nnft.spec.run import RunSpec

SEED = 20240601
CUTOFFS = [0.01, 0.3, 3.0]
POINTS = [[0.4, 0.6], [-0.8, 0.1], [0.9, -0.5]]
_FOLDERS: list[TemporaryDirectory[str]] = []


def flow_card(networks: int = 64, *, orders: tuple[int, ...] = (2, 4), bins: int = 32, **flow: Any) -> Any:
    """Card of tanh networks 2-6-1 after some steps of gradient descent; further keys are those of [flow]."""
    table = {"cutoffs": CUTOFFS, "noise_variance": 0.7, "layers": "all"}
    return {
        "network": {"widths": [6], "activation": "tanh", "bias_variance": 0.2},
        "inputs": {"points": POINTS},
        "ensemble": {"networks": networks, "seed": SEED},
        "estimate": {"correlators": list(orders), "bins": bins},
        "training": {
            "loss": "half-sum",
            "algorithm": "gd",
            "step": 0.05,
            "steps": 30,
            "snapshots": 0,
            "data": {"teacher": "linear", "points": 5, "dimension": 2, "test": 4},
        },
        "flow": table | flow,
    }


@cache
def flow_of(
    networks: int = 64, orders: tuple[int, ...] = (2, 4), bins: int = 32, **flow: Any
) -> RenormalizedRun:
    """The flow of such a card, its file open."""
    _FOLDERS.append(TemporaryDirectory())
    path = Path(_FOLDERS[-1].name) / "run.h5"
    spec = RunSpec.from_dict(flow_card(networks, orders=orders, bins=bins, **flow))
    return train(spec, path, threads=1).renormalization
