"""``nnft ridge``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from nnft.cli.command import StrictCommand

if TYPE_CHECKING:
    from nnft.analysis.ridge_source import RidgeSource

TABLES = (".csv", ".txt", ".tsv", ".dat", ".npy")


@click.command(cls=StrictCommand)
@click.argument("source", type=click.Path(), required=False)
@click.option("--power-law", metavar="a=A,b=B,modes=M", help="Eigenvalues k^-A, target powers k^-B.")
@click.option(
    "--sphere", metavar="d=D,activation=NAME,...", help="A network's kernel on a sphere; see below."
)
@click.option(
    "--kernel",
    type=click.Choice(["nngp", "ntk"]),
    help="Of a card or on the sphere: prior covariance (default) or tangent kernel.",
)
@click.option("--target", metavar="LEVEL:POWER,...", help="Squared target coefficients, summed over a level.")
@click.option("--points", metavar="P", help="Training points: 100, or 10,30,100, or log:LOW:HIGH:COUNT.")
@click.option("--ridge", type=float, help="Ridge kappa, a variance; default: the card's, else 0.")
@click.option("--noise", type=float, default=0.0, help="Variance of the label noise; default: 0.")
@click.option("--flow", is_flag=True, help="Print the flow of the ridge, mode by mode, at the largest P.")
@click.option("--plot", type=click.Path(), help="Picture: .svg, .png or .pdf; needs matplotlib.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def ridge(
    source: str | None,
    power_law: str | None,
    sphere: str | None,
    kernel: str | None,
    target: str | None,
    points: str | None,
    ridge: float | None,
    noise: float,
    flow: bool,
    plot: str | None,
    as_json: bool,
) -> None:
    """Learning curve of a kernel: effective ridge, its Wilsonian flow, errors and variances.

    SOURCE is a table of eigenvalues (.csv, .npy: eigenvalue, target power, multiplicity) or a card with a
    table [training], whose kernel at infinite width is taken on its training inputs.

    \b
    nnft ridge --power-law a=2,b=1.5,modes=100000 --points log:10:10000:7
    nnft ridge --sphere d=10,activation=erf,depth=2,weight_variance=1.5,degrees=12 --target 1:0.8,3:0.2
    nnft ridge card.toml --kernel nngp --ridge 0.1 --flow

    Keys of --sphere: d, activation, depth, weight_variance, bias_variance (one number, or one for each layer
    divided by /), radius (|x|^2/d, default 1), degrees (default 20).
    """
    if plot is not None:
        from nnft.plots.files import check_picture

        check_picture(plot)
    from nnft.analysis.ridge_curve import ridge_curve
    from nnft.analysis.ridge_options import points_of
    from nnft.analysis.ridge_text import ridge_text

    numbers = None if points is None else points_of(points)
    found = find_source(source, power_law, sphere, kernel, target)
    result = ridge_curve(found, numbers, ridge, noise)
    if plot is not None:
        from nnft.plots.ridge import draw_ridge

        draw_ridge(result, plot)
    click.echo(json.dumps(result.to_dict(flow), indent=2) if as_json else ridge_text(result, flow))


def find_source(
    source: str | None, power_law: str | None, sphere: str | None, kernel: str | None, target: str | None
) -> RidgeSource:
    """Return the spectrum that is asked for.

    Raises
    ------
    click.UsageError
        Not exactly one of them, or an option that does not go with it.
    """
    if [source, power_law, sphere].count(None) != 2:
        raise click.UsageError("Give exactly one of SOURCE, --power-law and --sphere.")
    from nnft.analysis import ridge_options
    from nnft.analysis.ridge_kernels import card_source, sphere_source
    from nnft.analysis.ridge_source import power_law_source, table_source

    powers = None if target is None else ridge_options.target_of(target)
    if sphere is not None:
        return sphere_source(ridge_options.sphere_of(sphere), kernel or "nngp", powers)
    is_card = source is not None and not (source.lower().endswith(TABLES) or ".h5:/" in source.lower())
    if source is not None and is_card:
        if powers is not None:
            raise click.UsageError("--target does not go with a card: its data have targets.")
        return card_source(source, kernel or "nngp")
    if kernel is not None:
        raise click.UsageError("--kernel goes with a card or --sphere.")
    if source is not None:
        return table_source(source, powers)
    return power_law_source(*ridge_options.power_law_of(power_law or ""), powers)
