"""``nnft sample`` of a million networks, from the command to the finished file, against the bare kernel.

The command runs with its start, estimator, checkpoints and file on one thread; the kernel alone samples the
same networks in this process, also on one. Wall time of both.
"""

from __future__ import annotations

import one_core  # first: it limits the threads of the libraries below

# isort: split

import sys
import tempfile
import time
from pathlib import Path

from ensembles import bare_kernel, card, spec
from harness import compare, interleave, rate, read_options, run_program, show
from nnft.spec.run import RunSpec

GOAL = 0.9
POINTS = 4
CHUNK = 1 << 14


def main() -> None:
    """Print one line."""
    options = read_options(__doc__)
    networks, width = options.size(10**6, 2000), options.size(256, 32)
    changes = {"networks": networks, "block_size": "auto", "correlators": [2, 4, 6], "layers": True}
    program = str(Path(sys.executable).with_name("nnft"))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "card.toml"
        file.write_text(RunSpec.from_dict(card(width, POINTS, **changes)).to_toml(), encoding="utf-8")
        command = [program, "sample", str(file), "-o", str(Path(folder) / "run.h5")]
        command += ["--overwrite", "--quiet", "--threads", "1"]
        chunk = min(CHUNK, networks)
        work = bare_kernel(spec(width, POINTS), chunk)
        alone = rate(work, chunk, networks / 1e6 * 10.0, time.perf_counter)
        if not options.smoke:
            run_program(command)
        sides = {
            "nnft sample": lambda: networks / run_program(command).wall,
            "bare kernel": alone,
        }
        samples = interleave(sides, options.rounds)
    question = f"end to end, {networks:,} networks, P = {POINTS}, n = {width}, orders 2, 4, 6, all layers"
    threads = one_core.LIBRARY_THREADS
    show(
        compare(question, samples, GOAL, options, "networks/s", ours="nnft sample", note=f"{threads} thread"),
        options,
    )


if __name__ == "__main__":
    main()
