"""How long ``nnft`` takes to start: help, a small warm run, and the first run with an empty kernel cache.

Beside each stands the bare interpreter that imports what the command cannot do without. Wall time; processor
time for the first run, which compiles the kernels.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ensembles import card
from harness import Line, Options, figure, interleave, read_options, run_program, show, summarize
from nnft.spec.run import RunSpec

NETWORKS = 1000
COLD_ROUNDS = 3


def wall(command: Sequence[str]) -> Callable[[], float]:
    """Return a function that runs a command and returns its wall time."""
    return lambda: run_program(command).wall


def cold(command: Sequence[str]) -> Callable[[], float]:
    """Return a function that runs a command with an empty kernel cache and returns its processor time."""

    def run() -> float:
        with tempfile.TemporaryDirectory() as cache:
            return run_program(command, {"NNFT_CACHE_DIR": cache}).processor

    return run


@dataclass(frozen=True)
class Start:
    """A question: how long our command takes, beside an interpreter that only imports something."""

    question: str
    times: Callable[[], float]
    imports: str
    goal: float
    rounds: int
    unit: str = "s"


def answer(start: Start, options: Options) -> None:
    """Print one line."""
    bare = [sys.executable, "-c", start.imports]
    samples = interleave({"nnft": start.times, "bare": wall(bare)}, start.rounds)
    low, middle, high = summarize(samples["nnft"])
    floor = summarize(samples["bare"])[1]
    show(
        Line(
            start.question,
            f"{figure(middle)} {start.unit}",
            f"python -c {start.imports!r} {figure(floor)} s",
            (low, middle, high),
            start.goal,
            at_most=True,
            note="the seconds themselves are judged",
            smoke=options.smoke,
        ),
        options,
    )


def main() -> None:
    """Print one line for help, one for a warm run, one for a first run."""
    options = read_options(__doc__)
    program, rounds = str(Path(sys.executable).with_name("nnft")), options.rounds
    answer(Start("nnft --help", wall([program, "--help"]), "import click", 0.5, rounds), options)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "card.toml"
        file.write_text(
            RunSpec.from_dict(card(256, 4, networks=NETWORKS, block_size="auto", layers=True)).to_toml(),
            encoding="utf-8",
        )
        sample = [program, "sample", str(file), "-o", str(Path(folder) / "run.h5"), "--overwrite", "--quiet"]
        imports = "import click, h5py, numba, pydantic"
        question = f"warm start of nnft sample, {NETWORKS} networks"
        run_program(sample)
        answer(Start(question, wall(sample), imports, 2.0, rounds), options)
        if options.smoke:
            return
        question, rounds = "first run with an empty kernel cache", min(COLD_ROUNDS, rounds)
        answer(Start(question, cold(sample), imports, 15.0, rounds, "s of processor time"), options)


if __name__ == "__main__":
    main()
