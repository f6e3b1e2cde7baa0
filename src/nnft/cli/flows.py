"""``nnft flow``."""

from __future__ import annotations

import json
import shlex
import sys
from typing import Any

import click

from nnft.cli.command import StrictCommand
from nnft.cli.run_options import duration
from nnft.errors import UsageError, shorten

SHOWN = (
    "point",
    "theory",
    "plot",
    "quantity",
    "observable",
    "components",
    "couplings",
    "coupling_points",
    "split",
    "infinite",
)
RUNNING = ("overwrite", "resume", "threads", "max_time", "break_lock")
KEYS = (
    "layers", "basis", "fill", "width", "noise_variance", "points", "fisher_points", "fisher_seed", "refills",
)  # fmt: skip


@click.command(cls=StrictCommand)
@click.argument("run", type=click.Path())
@click.option("--cutoffs", help="log:1e-4:1e5:25, linear:0:1:11, quantiles:20, or numbers with commas.")
@click.option("-o", "--output", type=click.Path(), help="Result file of the flow (HDF5).")
@click.option("--layers", help="readout (default), all, or numbers with commas.")
@click.option(
    "--basis", type=click.Choice(["diagonal", "eigenbasis", "layer-eigenbasis", "kronecker"]),
    help="What is ordered: parameters (default) or directions.",
)  # fmt: skip
@click.option(
    "--fill", type=click.Choice(["prior", "zero", "gaussian", "conditional"]), help="What replaces it."
)  # fmt: skip
@click.option("--width", type=float, help="Standard deviation of the fill gaussian.")
@click.option("--noise-variance", type=float, help="Of the likelihood; default: the ridge of the training.")
@click.option("--points", type=click.Choice(["training", "fresh"]), help="Inputs of the information.")
@click.option("--fisher-points", type=int, help="How many of them.")
@click.option("--fisher-seed", type=int, help="Seed of fresh ones.")
@click.option("--refills", type=int, help="Replacements of each network.")
@click.option("--fresh", is_flag=True, help="New replacements at every cutoff, not a nested flow.")
@click.option("--no-tangents", is_flag=True, help="Do not follow the tangent kernel.")
@click.option("--point", type=int, default=0, help="Mesh point whose mean and cumulants are printed.")
@click.option(
    "--theory", type=click.IntRange(1), metavar="N",
    help="Expected losses of the first N networks, exact.",
)  # fmt: skip
@click.option("--observable", metavar="NAME", help="Print one quantity, with correlations along the flow.")
@click.option(
    "--component", "components", multiple=True, metavar="A,B",
    help="Mesh points of a component of it; several times for several.",
)  # fmt: skip
@click.option("--couplings", is_flag=True, help="Print the couplings of the action at every cutoff.")
@click.option("--coupling-points", metavar="A,B", help="Mesh points of that action; default: up to three.")
@click.option("--split", is_flag=True, help="Print the variance of outputs within and between networks.")
@click.option(
    "--infinite-width", "infinite", is_flag=True, help="Print the flow of infinitely wide networks beside."
)
@click.option("--plot", type=click.Path(), help="Picture of the flow (svg, pdf, png).")
@click.option(
    "--quantity", default="losses",
    type=click.Choice(["losses", "outputs", "couplings", "spectrum", "histogram"]), help="What is drawn.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace an existing result file.")
@click.option("--resume", is_flag=True, help="Go on with an existing result file.")
@click.option("--threads", type=int, help="Threads; default: all that were granted.")
@click.option("--max-time", type=duration, help="Commit and end after this time; exit code 75.")
@click.option("--break-lock", is_flag=True, help="Take over the lock of a run on another host.")
@click.option("--quiet", is_flag=True, help="No progress and no table.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def flow(run: str, cutoffs: str | None, output: str | None, **options: Any) -> None:
    """Follow the trained networks of RUN over cutoffs of their information (Bayesian renormalization).

    Parameters whose Fisher information lies below a cutoff are replaced. The networks are trained again, the
    same bits. Without --cutoffs: print the flow that RUN holds. Exit codes as for nnft train.
    """
    quiet, as_json = (options.pop(name) for name in ("quiet", "as_json"))
    shown = {name: options.pop(name) for name in SHOWN}
    shown["theory"] = shown["theory"] or 0
    shown["components"] = [_points("--component", text) for text in shown["components"]]
    if shown["coupling_points"] is not None:
        shown["coupling_points"] = _points("--coupling-points", shown["coupling_points"])
    table = {name: options.pop(name) for name in KEYS}
    table = {name: value for name, value in table.items() if value is not None}
    fresh, no_tangents = options.pop("fresh"), options.pop("no_tangents")
    from nnft.pipeline.flow_run import check_printed, flow_of_file

    if cutoffs is None:
        running = [name for name in RUNNING if options[name] not in (None, False)]
        flags = [*["fresh"] * fresh, *["no-tangents"] * no_tangents]
        _refuse_options([*["output"] * (output is not None), *table, *flags, *running])
        _show(flow_of_file(run, complete=as_json, **shown), as_json)
        return
    if output is None:
        raise UsageError("missing option -o: got --cutoffs alone; name the result file of the flow")
    table |= {"cutoffs": _numbers(cutoffs), "anew": fresh} | ({"tangents": False} if no_tangents else {})
    if "layers" in table and table["layers"] not in ("readout", "all"):
        table["layers"] = _numbers(table["layers"])
    check_printed(run, output, table, **shown)
    _follow(run, output, table, quiet, options)
    if not quiet:
        _show(flow_of_file(output, complete=as_json, **shown), as_json)
    elif shown["plot"] is not None:
        flow_of_file(output, **shown)


def _refuse_options(given: list[str]) -> None:
    """Refuse options that say how to follow networks, where nothing says over which cutoffs."""
    if given:
        name = given[0].replace("_", "-")
        raise UsageError(f"missing option --cutoffs: got --{name} without it; say where to cut")


def _follow(run: str, output: str, table: dict[str, Any], quiet: bool, options: dict[str, Any]) -> None:
    from nnft.pipeline.machine import check_thread_variables
    from nnft.pipeline.stop import StopFlag, signals_to

    check_thread_variables()
    flag = StopFlag()
    options["max_seconds"] = options.pop("max_time")
    with signals_to(flag):
        from nnft.pipeline.flow_run import flow_of_run

        flow_of_run(
            run,
            output,
            table,
            **options,
            progress=not quiet,
            stop=flag,
            command=shlex.join(sys.argv).encode("utf-8", "backslashreplace").decode(),
            tell=lambda remark: click.echo(f"nnft: {remark}", err=True),
        ).close()


def _show(found: Any, as_json: bool) -> None:
    click.echo(json.dumps(found.record, indent=2) if as_json else found.text)


def _points(option: str, text: str) -> list[int]:
    """Mesh points with commas as a list."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(
            f"no mesh points in {option}: got {shorten(text)}; give numbers such as 0,1"
        ) from None


def _numbers(text: str) -> Any:
    """Numbers with commas as a list; anything else as it is, for the card to judge."""
    parts = text.split(",")
    try:
        return [float(part) for part in parts]
    except ValueError:
        return text
