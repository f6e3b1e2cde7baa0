"""How the benchmarks measure and report: sides in turn, medians of the rounds, one line a case."""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

ROUNDS = 7
ROUND_SECONDS = 0.25

Clock = Callable[[], float]
Samples = dict[str, list[float]]


@dataclass(frozen=True)
class Options:
    """What the command line asks for.

    Attributes
    ----------
    smoke : bool
        Tiny sizes: shows that the script runs; its numbers mean nothing.
    as_json : bool
    rounds : int
    seconds : float
        What one side takes in one round, about.
    """

    smoke: bool
    as_json: bool
    rounds: int
    seconds: float

    def size(self, full: int, tiny: int) -> int:
        """Return the size for a full or a smoke run."""
        return tiny if self.smoke else full


def read_options(description: str | None) -> Options:
    """Read the command line that all scripts share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--smoke", action="store_true", help="tiny sizes: does it run?")
    parser.add_argument("--json", action="store_true", help="one JSON object a case")
    parser.add_argument("--rounds", type=int, help=f"rounds; default {ROUNDS}")
    parser.add_argument("--seconds", type=float, help=f"time of a side in a round; default {ROUND_SECONDS}")
    words = parser.parse_args()
    rounds = words.rounds or (1 if words.smoke else ROUNDS)
    seconds = words.seconds or (0.002 if words.smoke else ROUND_SECONDS)
    return Options(words.smoke, words.json, rounds, seconds)


def rate(work: Callable[[], object], units: float, seconds: float, clock: Clock) -> Callable[[], float]:
    """Return a function that measures units of work per second over about `seconds`.

    Parameters
    ----------
    work : callable
        Called several times in one measurement; called here too, to warm up and to choose how often.
    units : float
        What one call does.
    seconds : float
    clock : callable
    """
    work()
    calls, elapsed = 1, 0.0
    while True:
        elapsed = _time_calls(work, calls, clock)
        if elapsed > seconds / 8:
            break
        calls *= 2
    calls = max(1, math.ceil(calls * seconds / elapsed))
    return lambda: units * calls / _time_calls(work, calls, clock)


def _time_calls(work: Callable[[], object], calls: int, clock: Clock) -> float:
    begun = clock()
    for _ in range(calls):
        work()
    return max(clock() - begun, 1e-9)


def interleave(sides: Mapping[str, Callable[[], float]], rounds: int) -> Samples:
    """Measure every side once a round, in turn (A B A B ...); samples by name."""
    samples: Samples = {name: [] for name in sides}
    for _ in range(rounds):
        for name, measure in sides.items():
            samples[name].append(measure())
    return samples


def best(samples: Samples, ours: str = "nnft") -> str:
    """Return the peer with the highest median rate."""
    peers = {name: statistics.median(values) for name, values in samples.items() if name != ours}
    return max(peers, key=lambda name: peers[name])


@dataclass(frozen=True)
class Line:
    """The answer to one question.

    Attributes
    ----------
    question, ours, peer : str
        `ours` and `peer` with their units.
    ratio : tuple of float
        Smallest over the rounds, ratio of the medians, largest over the rounds.
    goal : float or None
    at_most : bool
        Whether the ratio is to stay below the goal.
    note : str
    smoke : bool
        Whether the numbers mean nothing.
    """

    question: str
    ours: str
    peer: str
    ratio: tuple[float, float, float]
    goal: float | None
    at_most: bool = False
    note: str = ""
    smoke: bool = False

    @property
    def verdict(self) -> str:
        """Say whether the goal was reached."""
        if self.goal is None:
            return "no goal"
        sign = "at most" if self.at_most else "at least"
        reached = self.ratio[1] <= self.goal if self.at_most else self.ratio[1] >= self.goal
        outcome = "smoke run" if self.smoke else "reached" if reached else "missed"
        return f"goal {sign} {figure(self.goal)}: {outcome}"

    def text(self) -> str:
        """Return the line that is printed."""
        low, middle, high = (figure(value) for value in self.ratio)
        note = f" [{self.note}]" if self.note else ""
        ratio = f"{middle} ({low} to {high})"
        return f"{self.question} | ours {self.ours} | {self.peer} | ratio {ratio} | {self.verdict}{note}"


def show(line: Line, options: Options) -> None:
    """Print one case, at once."""
    print(json.dumps(asdict(line)) if options.as_json else line.text(), flush=True)


def compare(
    question: str,
    samples: Samples,
    goal: float | None,
    options: Options,
    unit: str,
    *,
    ours: str = "nnft",
    note: str = "",
) -> Line:
    """Compare our rate with the best peer's: ratio of the medians, spread of the ratios of the rounds."""
    peer = best(samples, ours)
    ratios = [a / b for a, b in zip(samples[ours], samples[peer], strict=True)]
    middle = statistics.median(samples[ours]), statistics.median(samples[peer])
    return Line(
        question,
        f"{figure(middle[0])} {unit}",
        f"{peer} {figure(middle[1])} {unit}",
        (min(ratios), middle[0] / middle[1], max(ratios)),
        goal,
        note=note,
        smoke=options.smoke,
    )


def summarize(values: Sequence[float]) -> tuple[float, float, float]:
    """Return smallest, median, largest."""
    return min(values), statistics.median(values), max(values)


def figure(value: float) -> str:
    """Return a number with three significant digits, plain where that reads well."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if abs(value) >= 1e6 or abs(value) < 1e-3:
        return f"{value:.2e}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


@dataclass(frozen=True)
class Usage:
    """What a finished program took: wall time and processor time, in seconds."""

    wall: float
    processor: float


def run_program(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Usage:
    """Run a program to its end.

    Raises
    ------
    SystemExit
        If it fails; its standard error is passed on.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    result = subprocess.run(
        command, env=dict(os.environ) | dict(environment or {}), capture_output=True, text=True, check=False
    )
    wall = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)} failed with exit code {result.returncode}: {result.stderr.strip()}")
    return Usage(wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


def machine() -> str:
    """Return processor, date, versions and instruction set in one line."""
    import importlib.metadata

    from nnft._kernels.library import build_record
    from nnft.pipeline.machine import granted_threads, processor_name

    names = ("nnft", "numpy", "scipy", "numba", "h5py", "jax", "torch")
    versions = []
    for name in names:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"{name} absent")
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    record = build_record()
    return (
        f"{processor_name()}, {granted_threads()} processors, instruction set {record['instruction_set']}, "
        f"compiler {record['compiler']}, Python {record['python']}, {', '.join(versions)}; {today}"
    )
