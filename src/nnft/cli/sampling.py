"""``nnft sample``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from nnft.cli.command import StrictCommand
from nnft.cli.run_options import run_into_file, run_options


@click.command(cls=StrictCommand)
@run_options
@click.option("--prior", is_flag=True, help="Leave out [training]: the networks before they are trained.")
def sample(quiet: bool, as_json: bool, **options: Any) -> None:
    """Sample the ensemble of CARD into a result file.

    Exit codes: 0 done; 2 card or command line; 3 data file; 4 environment; 5 numerical; 75 time budget
    used up, resumable; 130 and 143 stopped by a signal after a checkpoint, resumable.
    """

    def start() -> Callable[..., Any]:
        from nnft.pipeline.sample import sample as run_sample

        return run_sample

    run_into_file(start, quiet, as_json, **options)
