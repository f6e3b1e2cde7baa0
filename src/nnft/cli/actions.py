"""``nnft action`` and ``nnft closure``."""

from __future__ import annotations

import json
import shlex
import sys

import click

from nnft.cli.actions_axioms import axioms
from nnft.cli.command import StrictCommand
from nnft.errors import shorten

__all__ = ["action", "axioms", "closure"]


def numbers(text: str) -> list[int]:
    """Return the whole numbers of ``0,3,5``."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise click.BadParameter(f"{shorten(text)} is no list of whole numbers; give 0,3,5") from None


@click.command(cls=StrictCommand)
@click.argument("run", type=click.Path())
@click.option("--order", type=int, help="4: through order 1/N; 6: through 1/N^2. Default: what RUN allows.")
@click.option(
    "--points",
    type=numbers,
    metavar="A,B",
    help="Input points to keep, 0,3,5; the others are integrated out.",
)
@click.option("--modes", type=int, help="Eigenmodes of the kernel to keep; the others are integrated out.")
@click.option("--cut", type=float, help="Keep modes with eigenvalues above this share of the largest.")
@click.option("-o", "--output", type=click.Path(), help="Analysis file (HDF5) for all components.")
@click.option("--overwrite", is_flag=True, help="Replace an existing analysis file.")
@click.option("--plot", type=click.Path(), help="Picture: .svg, .png or .pdf; needs matplotlib.")
@click.option("--threads", type=int, help="Threads; default: all that were granted.")
@click.option("--covariance", is_flag=True, help="With --json: covariance matrices of the couplings.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def action(
    run: str,
    order: int | None,
    points: list[int] | None,
    modes: int | None,
    cut: float | None,
    output: str | None,
    overwrite: bool,
    plot: str | None,
    threads: int | None,
    covariance: bool,
    as_json: bool,
) -> None:
    """Print the action of RUN: free part, tadpoles, quartic and sextic couplings with errors.

    S = const + 1/2 A phi^2 + 1/4! lambda_4 phi^4 + 1/6! lambda_6 phi^6, density exp(-S).
    """
    if covariance and not as_json:
        raise click.UsageError("--covariance goes with --json; -o keeps pseudo-values, which say the same.")
    from nnft.pipeline.action_output import action_of_file

    result = action_of_file(
        run,
        order=order,
        points=points,
        modes=modes,
        cut=cut,
        output=output,
        overwrite=overwrite,
        plot=plot,
        threads=threads,
        covariance=covariance,
        command=shlex.join(sys.argv).encode("utf-8", "backslashreplace").decode(),
    )
    click.echo(json.dumps(result.record, indent=2) if as_json else result.text)


@click.command(cls=StrictCommand)
@click.argument("runs", nargs=-1, required=True, type=click.Path())
@click.option("--points", type=numbers, metavar="A,B", help="Input points to keep, 0,3,5.")
@click.option("--tolerance", type=float, default=0.1, help="Sextic share that counts as none; default: 0.1.")
@click.option("--plot", type=click.Path(), help="Picture: .svg, .png or .pdf; needs matplotlib.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def closure(
    runs: tuple[str, ...], points: list[int] | None, tolerance: float, plot: str | None, as_json: bool
) -> None:
    """Compare the connected six-point function with what orders 2 and 4 predict.

    RUNS are result files with order 6, or one folder of a scan: over several widths it says from which
    width on the action may be cut after the quartic term.
    """
    from nnft.pipeline.closure_output import closure_of_files

    result = closure_of_files(runs, points=points, tolerance=tolerance, plot=plot)
    click.echo(json.dumps(result.record, indent=2) if as_json else result.text)
