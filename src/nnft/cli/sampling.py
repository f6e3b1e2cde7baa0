"""``nnft sample``."""

from __future__ import annotations

import json
import re
import shlex
import sys

import click

from nnft.cli.command import StrictCommand
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


@click.command(cls=StrictCommand)
@click.argument("card", type=click.Path())
@click.option("-o", "--output", required=True, type=click.Path(), help="Result file (HDF5).")
@click.option("--overwrite", is_flag=True, help="Replace an existing result file.")
@click.option("--resume", is_flag=True, help="Go on with an existing result file.")
@click.option("--threads", type=int, help="Threads; default: all that were granted.")
@click.option("--max-time", type=duration, help="Commit and end after this time, 90s, 15m, 2h; exit code 75.")
@click.option("--break-lock", is_flag=True, help="Take over the lock of a run on another host.")
@click.option("--quiet", is_flag=True, help="No progress and no table.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def sample(
    card: str,
    output: str,
    overwrite: bool,
    resume: bool,
    threads: int | None,
    max_time: float | None,
    break_lock: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Sample the ensemble of CARD into a result file.

    Exit codes: 0 done; 2 card or command line; 3 data file; 4 environment; 5 numerical; 75 time budget
    used up, resumable; 130 and 143 stopped by a signal after a checkpoint, resumable.
    """
    from nnft.pipeline.machine import check_thread_variables
    from nnft.pipeline.stop import StopFlag, signals_to

    check_thread_variables()
    flag = StopFlag()
    with signals_to(flag):
        from nnft.analysis.summary import summary, table_text
        from nnft.pipeline.sample import sample as run_sample

        run = run_sample(
            card,
            output,
            overwrite=overwrite,
            resume=resume,
            threads=threads,
            max_seconds=max_time,
            progress=not quiet,
            break_lock=break_lock,
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
