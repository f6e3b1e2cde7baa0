"""``nnft report``."""

from __future__ import annotations

import click

from nnft.cli.command import StrictCommand


@click.command(cls=StrictCommand)
@click.argument("run", type=click.Path())
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    help="Page: .html; needs jinja2 and matplotlib. Default: NAME-report.html in this folder.",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing report.")
def report(run: str, output: str | None, overwrite: bool) -> None:
    """Write a page on RUN: tables with errors and pulls, pictures, card, provenance; prints its name.

    The page is one file that needs nothing else, of less than a megabyte.
    """
    from nnft.pipeline.report_output import report_of_file

    written = report_of_file(run, output=output, overwrite=overwrite)
    for note in written.notes:
        click.echo(f"nnft: {note}", err=True)
    click.echo(written.path)
