"""One set of bits for every number of threads, every cut of the work and both fused instruction sets."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from laws import compiled, network_law

from nnft._kernels import _core

FUSED = [name for name in _core.isa_names() if name != "portable"] or ["portable"]
FOLDER = Path(__file__).parent

DIGESTS = """
import hashlib, json, itertools, sys
import numpy as np
from laws import compiled, network_law
from nnft._kernels import _core
from nnft._kernels.library import most_threads, set_threads
from nnft.pipeline.engine import Engine
from nnft.samplers.initial import ACTIVATION_KINDS
from nnft.spec.plan import plan_run
from nnft.spec.run import RunSpec

def digest(*arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()

def run(kind, method, precision, step):
    spec = RunSpec.from_dict({
        "network": {"widths": [7, 33, 5], "activation": "gelu", "weight_variance": 1.5, "bias_variance": 0.1,
                    "outputs": 2},
        "inputs": {"points": [[0.5, 1.0], [-1.0, 0.25], [0.125, -0.75]]},
        "ensemble": {"networks": 5003, "seed": 20240601, "method": method, "precision": precision,
                     "block_size": 37},
        "estimate": {"correlators": [2, 4, 6], "estimator": kind, "bins": 32},
        "store": {"fields": 99},
    })
    plan = plan_run(spec)
    engine = Engine(spec, plan)
    kept = []
    while engine.blocks_done < plan.blocks:
        kept.append(engine.advance(min(step, plan.blocks - engine.blocks_done))[1])
    return digest(*kept, engine.estimator.counts, *engine.estimator.sums.values())

WAYS = [("conditional", "collapsed", "float64"), ("direct", "explicit", "float32"),
        ("direct", "collapsed", "float64"), ("conditional", "explicit", "float64"),
        ("conditional", "collapsed", "float32")]
found = {"isa": _core.best_isa(), "threads": most_threads(), "runs": {}, "networks": {}}
for threads in range(1, most_threads() + 1):
    set_threads(threads)
    for kind, method, precision in WAYS:
        name = f"{kind} {method} {precision}"
        found["runs"].setdefault(name, []).extend(run(kind, method, precision, step) for step in (1, 5, 32))
x = np.random.default_rng(1).standard_normal((5, 3)).astype(np.float32).astype(np.float64)
for name, method, precision in itertools.product(ACTIVATION_KINDS, ("collapsed", "explicit"),
                                                 ("float64", "float32")):
    law = network_law(x, [19, 70, 33], name, weight=0.3, bias=0.1, outputs=3, precision=precision)
    values = compiled(law, method).values(100, 12, draw=True)
    found["networks"][f"{name} {method} {precision}"] = digest(values)
json.dump(found, sys.stdout)
"""


@pytest.fixture(scope="module")
def digests() -> dict[str, dict]:
    """What a process of its own finds with each instruction set and up to three threads."""
    found = {}
    for isa in FUSED:
        environment = {**os.environ, "NNFT_SIMD": isa, "NUMBA_NUM_THREADS": "3"}
        environment["PYTHONPATH"] = os.pathsep.join([str(FOLDER), os.environ.get("PYTHONPATH", "")])
        answer = subprocess.run(
            [sys.executable, "-c", DIGESTS], env=environment, capture_output=True, text=True, check=True
        )
        found[isa] = json.loads(answer.stdout)
    return found


@pytest.mark.parametrize("isa", FUSED)
def test_threads_and_cuts_do_not_matter(digests: dict[str, dict], isa: str) -> None:
    assert digests[isa]["isa"] == isa
    assert digests[isa]["threads"] == 3
    for name, values in digests[isa]["runs"].items():
        assert len(values) == 9
        assert len(set(values)) == 1, name


def test_different_runs_have_different_bits(digests: dict[str, dict]) -> None:
    runs = [values[0] for values in digests[FUSED[0]]["runs"].values()]
    networks = list(digests[FUSED[0]]["networks"].values())
    assert len(set(runs)) == len(runs) == 5
    assert len(set(networks)) == len(networks) == 52


@pytest.mark.skipif(len(FUSED) < 2, reason="one fused instruction set on this machine: nothing to compare")
def test_avx2_and_avx512_give_the_same_networks(digests: dict[str, dict]) -> None:
    one, other = (digests[isa] for isa in FUSED)
    assert one["runs"] == other["runs"]
    assert one["networks"] == other["networks"]


@pytest.mark.parametrize("method", ["collapsed", "explicit"])
def test_any_slice_gives_the_same_networks(method: str) -> None:
    points = np.array([[0.5, 1.0], [-1.0, 0.25]])
    ensemble = compiled(network_law(points, [9, 4], "silu", weight=1.5, outputs=2), method)
    whole = ensemble.values(1000, 150, draw=True)
    cuts = [0, 1, 2, 18, 33, 34, 99, 150]
    for start, stop in itertools.pairwise(cuts):
        piece = ensemble.values(1000 + start, stop - start, draw=True)
        assert piece.tobytes() == whole[start:stop].tobytes()
    metrics = ensemble.values(1000, 150)[:, : ensemble.layers * ensemble.n_pairs]
    assert metrics.tobytes() == np.ascontiguousarray(whole[:, : metrics.shape[1]]).tobytes()
