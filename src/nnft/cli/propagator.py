"""``nnft propagator``."""

from __future__ import annotations

import json

import click

from nnft.cli.command import StrictCommand


@click.command(cls=StrictCommand)
@click.argument("run", type=click.Path())
@click.option("--networks", type=int, help="Networks drawn anew for momentum space; default 2000, 0: none.")
@click.option("--shells", type=int, default=12, show_default=True, help="Shells of momenta up to the cutoff.")
@click.option("--plot", type=click.Path(), help="Picture of the propagators (svg, pdf, png).")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def propagator(run: str, networks: int | None, shells: int, plot: str | None, as_json: bool) -> None:
    """Measure the propagator of RUN, networks of kind cos-net or free-scalar with momenta in a ball.

    In shells of momenta and over the distances of the input points, beside the exact one; mass and
    normalisation are fitted with the covariance of the values.
    """
    from nnft.pipeline.machine import check_thread_variables
    from nnft.pipeline.propagator_output import propagator_of_file

    check_thread_variables()
    found = propagator_of_file(run, networks=networks, shells=shells, plot=plot)
    click.echo(json.dumps(found.record, indent=2) if as_json else found.text)
