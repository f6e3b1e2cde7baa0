"""Run every benchmark and write one Markdown table with machine and date."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from harness import Line, figure, machine

SCRIPTS = (
    "normals",
    "activations",
    "collapsed",
    "bound",
    "explicit",
    "rao_blackwell",
    "time_to_precision",
    "threads",
    "end_to_end",
    "start",
    "fields",
    "action",
    "training_readout",
    "training_langevin",
    "flow",
)


def row(line: Line) -> str:
    """Return a line of the table."""
    low, middle, high = (figure(value) for value in line.ratio)
    note = f" ({line.note})" if line.note else ""
    ratio = f"{middle} ({low} to {high})"
    return f"| {line.question}{note} | {line.ours} | {line.peer} | {ratio} | {line.verdict} |"


def answers(name: str, arguments: list[str]) -> list[Line]:
    """Run one script in a process of its own; its lines."""
    script = Path(__file__).with_name(f"bench_{name}.py")
    command = [sys.executable, str(script), "--json", *arguments]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    lines = [json.loads(text) for text in output.splitlines()]
    return [Line(**(line | {"ratio": tuple(line["ratio"])})) for line in lines]


def main() -> None:
    """Print the table, or write it to a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="tiny sizes: does it run?")
    parser.add_argument("--output", type=Path, help="file for the table; default: standard output")
    words = parser.parse_args()
    rows = [machine(), "", "| question | ours | peer | ratio (rounds) | goal |", "| --- " * 5 + "|"]
    for name in SCRIPTS:
        begun = time.perf_counter()
        rows += [row(line) for line in answers(name, ["--smoke"] if words.smoke else [])]
        print(f"{name}: {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
    text = "\n".join(rows) + "\n"
    if words.output is None:
        print(text, end="")
    else:
        words.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
