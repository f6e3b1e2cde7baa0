"""``nnft action`` of a run with 64 points: time and memory of the whole command, and its inner loop.

The command computes 766,480 quartic couplings with jackknife errors from 100 bins, from file to table, with
the threads that were granted. The inner loop lowers four indices of one packed symmetric tensor; the peer
does the same with ``numpy.tensordot`` on the dense tensor, both on one thread.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from ensembles import card
from harness import Line, Options, compare, interleave, rate, read_options, run_program, show, summarize
from nnft.actions import symmetric
from nnft.spec.run import RunSpec

SECONDS_GOAL = 60.0
MEMORY_GOAL = 2.0
ROUNDS = 3


def main() -> None:
    """Print three lines."""
    options = read_options(__doc__)
    points, networks = options.size(64, 6), options.size(20_000, 3200)
    program = str(Path(sys.executable).with_name("nnft"))
    with tempfile.TemporaryDirectory() as folder:
        file, run = Path(folder) / "card.toml", str(Path(folder) / "run.h5")
        changes = {"networks": networks, "block_size": "auto", "correlators": [2, 4], "bins": 100}
        file.write_text(RunSpec.from_dict(card(256, points, **changes)).to_toml(), encoding="utf-8")
        run_program([program, "sample", str(file), "-o", run, "--quiet"])
        walls, peaks = zip(*(measured([program, "action", run]) for _ in range(ROUNDS)), strict=True)
    count = f"{symmetric.component_count(points, 4):,} couplings, 100 bins"
    threads = len(os.sched_getaffinity(0))
    note = f"wall time, {threads} threads"
    for question, values, unit, goal in (
        (f"nnft action, P = {points}, {count}", walls, "s", SECONDS_GOAL),
        (f"its peak memory, P = {points}", peaks, "GB", MEMORY_GOAL),
    ):
        low, middle, high = summarize(values)
        show(
            Line(
                question, f"{middle:.3g} {unit}", f"limit {goal:g} {unit}",
                (low / goal, middle / goal, high / goal), 1.0, at_most=True, note=note, smoke=options.smoke,
            ),
            options,
        )  # fmt: skip
    show(inner_loop(points, options), options)


def measured(command: list[str]) -> tuple[float, float]:
    """Wall time in seconds and peak memory in GB of a command, from a child that runs nothing else."""
    code = (
        "import resource, subprocess, sys, time; begun = time.perf_counter(); "
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
        "print(time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=True)
    wall, kilobytes = done.stdout.split()
    return float(wall), int(kilobytes) * 1024 / 1e9  # Linux counts in kilobytes


def inner_loop(points: int, options: Options) -> Line:
    """Packed against dense, one thread."""
    generator = np.random.default_rng(1)
    packed = generator.normal(size=symmetric.component_count(points, 4))
    matrix = generator.normal(size=(points, points))
    dense = symmetric.dense(packed, points, 4)

    def ours() -> object:
        return symmetric.transform(packed, 4, matrix)

    def peer() -> object:
        tensor = dense
        for _ in range(4):
            tensor = np.tensordot(tensor, matrix, axes=(0, 0))
        return tensor

    np.testing.assert_allclose(ours(), symmetric.pack(peer()), rtol=1e-9, atol=1e-8)
    with threadpool_limits(1):
        sides = {
            "nnft": rate(ours, 1, options.seconds, time.process_time),
            "numpy.tensordot, dense": rate(peer, 1, options.seconds, time.process_time),
        }
        samples = interleave(sides, options.rounds)
    question = f"four indices of a symmetric tensor lowered, P = {points}"
    return compare(question, samples, None, options, "tensors/s", note="one thread, processor time")


if __name__ == "__main__":
    main()
