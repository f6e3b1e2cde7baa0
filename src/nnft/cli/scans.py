"""``nnft scan`` and ``nnft extrapolate``."""

from __future__ import annotations

import json
import shlex
import sys
from typing import Any

import click

from nnft.cli.command import StrictCommand
from nnft.cli.run_options import duration
from nnft.errors import CardError, NnftError, UsageError, shorten

LONGEST_LINE = 187


class RepeatedOptions(StrictCommand):
    """Takes ``--set`` and ``--where`` any number of times, every other option at most once."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words after the command's name."""
        _, _, given = self.make_parser(ctx).parse_args(args=list(args))
        for parameter in given:
            single = isinstance(parameter, click.Option) and not parameter.multiple and not parameter.is_flag
            if single and given.count(parameter) > 1:
                ctx.fail(f"Option {parameter.opts[-1]} given twice; give it once.")
        return click.Command.parse_args(self, ctx, args)


def assigned(assignments: tuple[str, ...], option: str) -> dict[str, Any]:
    """Return the values of every ``KEY=VALUE``, VALUE in TOML.

    Raises
    ------
    UsageError
        No equals sign, no TOML, or a key given twice.
    """
    from nnft.spec.card import parse_card

    found: dict[str, Any] = {}
    for text in assignments:
        key, sign, value = (part.strip() for part in text.partition("="))
        if not sign or not key:
            raise UsageError(f"no value in {option}: got {shorten(text)}; write 'KEY=VALUE', VALUE in TOML")
        try:
            card = parse_card(f"value = {value}\n".encode("utf-8", "surrogateescape"), f"{option} {key}")
        except CardError:
            card = {}
        if list(card) != ["value"]:
            raise UsageError(
                f"no TOML value in {option} {shorten(key, 40)}: got {shorten(value, 50)}; "
                'give a list such as [1.0, 1.5] or ["relu", "erf"]'
            )
        if key in found:
            raise UsageError(f"key given twice in {option}: got {shorten(key)}; give it once")
        found[key] = card["value"]
    return found


@click.command(cls=RepeatedOptions)
@click.argument("card", type=click.Path(), required=False)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=LIST",
    help="A key of the card and a TOML list with its value in each member; several: all combinations.",
)
@click.option("--together", is_flag=True, help="Walk several --set in step instead of combining them.")
@click.option("-o", "--output", required=True, type=click.Path(), help="Folder of the scan.")
@click.option("--overwrite", is_flag=True, help="Replace an existing scan.")
@click.option("--resume", is_flag=True, help="Go on with a scan; CARD and --set come from its index.")
@click.option("--threads", type=int, help="Threads; default: all that were granted.")
@click.option("--max-time", type=duration, help="Commit and end after this time, 90s, 15m, 2h; exit code 75.")
@click.option("--break-lock", is_flag=True, help="Take over the lock of a scan on another host.")
@click.option("--quiet", is_flag=True, help="No progress and no table.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def scan(
    card: str | None,
    assignments: tuple[str, ...],
    together: bool,
    output: str,
    overwrite: bool,
    resume: bool,
    threads: int | None,
    max_time: float | None,
    break_lock: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Sample a family of runs: CARD with one run for every combination of the --set values.

    \b
    nnft scan card.toml --set 'network.widths=[[8,8],[16,16],[32,32]]' -o scan
    nnft scan --resume -o scan

    Exit codes as for nnft sample; if members failed, that of the first one, after all others are done.
    """
    from nnft.pipeline.machine import check_thread_variables
    from nnft.pipeline.stop import StopFlag, signals_to

    check_thread_variables()
    flag = StopFlag()
    with signals_to(flag):
        from nnft.analysis.scan_table import scan_summary, scan_text
        from nnft.pipeline.scan import scan as run_scan

        index = run_scan(
            card,
            assigned(assignments, "--set"),
            output,
            together=together,
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
            click.echo(json.dumps(scan_summary(index), indent=2))
        elif not quiet:
            click.echo(scan_text(scan_summary(index)))
    if index.failed:
        first = index.failed[0]
        counted = f"{len(index.failed)} of {len(index.members)} members failed, {first.name}: {first.error}"
        error = NnftError(counted if len(counted) <= LONGEST_LINE else counted[: LONGEST_LINE - 3] + "...")
        error.exit_code = first.exit_code
        raise error


def integers(text: str) -> tuple[int, ...]:
    """Return the whole numbers of ``0,1,2``."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        raise click.BadParameter(f"{shorten(text)} is no list of numbers; give such as 0,1")
    return tuple(int(part) for part in parts)


@click.command(cls=RepeatedOptions)
@click.argument("sources", type=click.Path(), nargs=-1, required=True)
@click.option("--observable", default="g4", show_default=True, help="See below.")
@click.option("--against", default="width", show_default=True, help="width, depth or a key of the card.")
@click.option("--powers", type=integers, metavar="P,Q", help="Powers of the abscissa in the model.")
@click.option("--points", type=integers, metavar="A,B", help="Coincident components of these points only.")
@click.option("--component", type=integers, metavar="A,B,C,D", help="One component only.")
@click.option("--min-width", type=int, help="Leave out members with a narrower hidden layer.")
@click.option(
    "--where", "assignments", multiple=True, metavar="KEY=VALUE", help="Only members of this value."
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option("--plot", type=click.Path(), help="Picture: .svg, .png, .pdf; needs matplotlib.")
def extrapolate(
    sources: tuple[str, ...],
    observable: str,
    against: str,
    powers: tuple[int, ...] | None,
    points: tuple[int, ...] | None,
    component: tuple[int, ...] | None,
    min_width: int | None,
    assignments: tuple[str, ...],
    as_json: bool,
    plot: str | None,
) -> None:
    """Fit the members of a scan, or of some run files, in 1/width, in depth or in a key of the card.

    Observables: mean (trained networks), g2, g4, g6 (connected), kurtosis, relative-g4, relative-g6,
    vertex:LAYER, lambda4, lambda6, lambda4-modes, lambda6-modes. Errors are correlated as the bins say.

    \b
    nnft extrapolate scan --observable g4
    nnft extrapolate scan --observable g2 --against network.weight_variance --powers 2,3
    """
    if plot is not None:
        from nnft.plots.files import check_picture

        check_picture(plot)
    from nnft.analysis.extrapolate import extrapolate as fit
    from nnft.analysis.extrapolate_text import extrapolation_record, extrapolation_text

    result = fit(
        sources,
        observable,
        against=against,
        powers=powers,
        points=points,
        component=component,
        min_width=min_width,
        conditions=assigned(assignments, "--where"),
    )
    if plot is not None:
        from nnft.plots.scaling import draw_extrapolation

        draw_extrapolation(result, plot)
    click.echo(json.dumps(extrapolation_record(result), indent=2) if as_json else extrapolation_text(result))
