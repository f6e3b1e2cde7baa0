"""``nnft plot``."""

from __future__ import annotations

import click

from nnft.cli.command import StrictCommand


@click.command(cls=StrictCommand)
@click.argument("run", type=click.Path())
@click.option(
    "--what",
    type=click.Choice(["loss", "predictor", "chains", "flows"]),
    required=True,
    help="Errors along the training; mean and width at the input points; traces; correlators and kernels.",
)
@click.option("--order", type=click.IntRange(1, 4), help="With flows: this connected correlator only.")
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    help="Picture: .svg, .png or .pdf; needs matplotlib. Default: NAME-WHAT.svg in this folder.",
)
def plot(run: str, what: str, order: int | None, output: str | None) -> None:
    """Draw a trained RUN into a picture, which is replaced if it exists; prints its name."""
    from nnft.pipeline.training_pictures import picture_of_file

    click.echo(picture_of_file(run, what, order=order, output=output))
