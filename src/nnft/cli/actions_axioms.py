"""``nnft axioms``."""

from __future__ import annotations

import json

import click

from nnft.cli.command import StrictCommand
from nnft.errors import shorten


def orders_of(text: str) -> list[int]:
    """Return the orders of ``2,4``."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise click.BadParameter(f"{shorten(text)} is no list of orders; give 2,4,6") from None


def plane_of(text: str) -> float | str:
    """Return the coordinate of a plane, or ``middle``."""
    if text == "middle":
        return text
    try:
        return float(text)
    except ValueError:
        raise click.BadParameter(f"{shorten(text)} is no place; give a number or middle") from None


@click.command(cls=StrictCommand)
@click.argument("run", type=click.Path())
@click.option(
    "--order",
    "orders",
    type=orders_of,
    metavar="2,4,6",
    help="Orders to compare, 2,4,6; default: those of RUN.",
)
@click.option("--axis", type=int, default=0, help="Coordinate that is reflected, from 0; default: 0.")
@click.option(
    "--plane",
    type=plane_of,
    metavar="X",
    default=0.0,
    help="Where it is reflected: a number, or middle; default: 0.",
)
@click.option("--tolerance", type=float, help="Coordinates closer than this are equal; default: 1e-9 of all.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def axioms(
    run: str,
    orders: list[int] | None,
    axis: int,
    plane: float | str,
    tolerance: float | None,
    as_json: bool,
) -> None:
    """Test symmetries and axioms of the field theory in RUN.

    Z2 and O(D) of the outputs, translations, rotations and motions of the inputs, reflection positivity,
    cluster decomposition. The exit code is 0 whatever the verdicts.
    """
    from nnft.actions.axiom_text import axioms_text
    from nnft.actions.axioms import axioms as axioms_of_run
    from nnft.analysis.run import open_run

    with open_run(run) as opened:
        report = axioms_of_run(opened, orders=orders, axis=axis, plane=plane, tolerance=tolerance)
    click.echo(json.dumps(report.as_dict(), indent=2) if as_json else axioms_text(report))
