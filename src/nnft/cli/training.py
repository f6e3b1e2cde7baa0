"""``nnft train``, ``nnft diagnose`` and ``nnft compare``."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from typing import Any

import click

from nnft.cli.command import StrictCommand
from nnft.cli.patience import patience
from nnft.cli.run_options import run_into_file, run_options


@click.command(cls=StrictCommand)
@run_options
def train(quiet: bool, as_json: bool, **options: Any) -> None:
    """Train the networks of CARD, which has a table [training], into a result file.

    Exit codes as for nnft sample; 5 also where all networks diverged.
    """

    def start() -> Callable[..., Any]:
        from nnft.pipeline.train import train as run_train

        return run_train

    run_into_file(start, quiet, as_json, **options)


@click.command(cls=StrictCommand)
@click.argument("run", type=click.Path())
@click.option(
    "--extrapolate",
    type=click.Path(),
    metavar="RUN",
    help="A second run with another step: its bias taken away.",
)
@click.option("--plot", type=click.Path(), help="Picture of traces and autocorrelations (svg, pdf, png).")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def diagnose(run: str, extrapolate: str | None, plot: str | None, as_json: bool) -> None:
    """Say whether the chains of RUN are in equilibrium, and how much longer to run if not.

    Exit code 0 whatever the verdict: it stands in the text, and in JSON under "verdict".
    """
    from nnft.pipeline.diagnose_output import diagnosis_of_file

    found = diagnosis_of_file(run, extrapolate=extrapolate, plot=plot)
    click.echo(json.dumps(found.record, indent=2) if as_json else found.text)


@click.command(cls=StrictCommand)
@click.argument("run", type=click.Path())
@click.option("-o", "--output", type=click.Path(), help="Keep the comparison in an analysis file.")
@click.option("--overwrite", is_flag=True, help="Replace an existing analysis file.")
@click.option("--plot", type=click.Path(), help="Picture: mean and band against theory (svg, pdf, png).")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def compare(run: str, output: str | None, overwrite: bool, plot: str | None, as_json: bool) -> None:
    """Set theory beside the numbers of RUN: estimate, error, theory with its order, pull, chi-square."""
    from nnft.pipeline.compare_output import comparison_of_file

    command = shlex.join(sys.argv).encode("utf-8", "backslashreplace").decode()
    with patience("working out what theory says of these networks"):
        found = comparison_of_file(run, output=output, overwrite=overwrite, plot=plot, command=command)
    click.echo(json.dumps(found.record, indent=2) if as_json else found.text)
