"""The options that ``nnft sample`` and ``nnft train`` share, and what both do around their one call."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable
from typing import Any

import click

from nnft.errors import shorten


def duration(text: str) -> float:
    """Return the seconds of 90, 90s, 15m, 2h or 1:30:00."""
    clock = re.fullmatch(r"(?:(\d+):)?(\d+):(\d{2})", text.strip())
    if clock:
        hours, minutes, seconds = (int(part or 0) for part in clock.groups())
        return float(hours * 3600 + minutes * 60 + seconds)
    plain = re.fullmatch(r"(\d+(?:\.\d*)?)([smh]?)", text.strip())
    if plain:
        return float(plain[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[plain[2]]
    raise click.BadParameter(f"{shorten(text)} is no time; give 90, 90s, 15m, 2h or 1:30:00")


OPTIONS = (
    click.argument("card", type=click.Path()),
    click.option("-o", "--output", required=True, type=click.Path(), help="Result file (HDF5)."),
    click.option("--overwrite", is_flag=True, help="Replace an existing result file."),
    click.option("--resume", is_flag=True, help="Go on with an existing result file."),
    click.option("--threads", type=int, help="Threads; default: all that were granted."),
    click.option(
        "--max-time",
        type=duration,
        help="Commit and end after this time, 90s, 15m, 2h; exit code 75.",
    ),
    click.option("--break-lock", is_flag=True, help="Take over the lock of a run on another host."),
    click.option("--quiet", is_flag=True, help="No progress and no table."),
    click.option("--json", "as_json", is_flag=True, help="Print the results as JSON."),
)


def run_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a run."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def run_into_file(
    start: Callable[[], Callable[..., Any]], quiet: bool, as_json: bool, **options: Any
) -> None:
    """Run what `start` imports with signals turned into checkpoints, and print its table.

    Parameters
    ----------
    start : callable
        Returns the function to call, imported late.
    quiet, as_json : bool
        No table; the table as JSON.
    options
        What the function is given; ``max_time`` becomes ``max_seconds``.
    """
    from nnft.pipeline.machine import check_thread_variables
    from nnft.pipeline.stop import StopFlag, signals_to

    check_thread_variables()
    flag = StopFlag()
    options["max_seconds"] = options.pop("max_time")
    with signals_to(flag):
        from nnft.analysis.summary import summary, table_text

        run = start()(
            options.pop("card"),
            options.pop("output"),
            **options,
            progress=not quiet,
            stop=flag,
            command=shlex.join(sys.argv).encode("utf-8", "backslashreplace").decode(),
            tell=lambda remark: click.echo(f"nnft: {remark}", err=True),
        )
        if as_json:
            click.echo(json.dumps(summary(run), indent=2))
        elif not quiet:
            click.echo(table_text(summary(run)))
        else:
            run.require_effective_sample_size()
