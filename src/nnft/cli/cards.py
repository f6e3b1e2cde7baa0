"""``nnft check`` and ``nnft card``."""

from __future__ import annotations

import dataclasses
import json

import click

from nnft.cli.command import StrictCommand


@click.command()
@click.argument("card", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def check(card: str, as_json: bool) -> None:
    """Validate CARD and print conventions, shapes, memory, file size and estimated time.

    Of a training the stability limit of the step is measured as well, and a step beyond it refused.
    """
    from nnft.spec.given import reading_weights
    from nnft.spec.plan import plan_run
    from nnft.spec.plan_text import plan_rows
    from nnft.spec.run import RunSpec
    from nnft.store.arrays import read_h5_arrays
    from nnft.store.points import read_h5_points

    spec = reading_weights(RunSpec.from_card(card, read_dataset=read_h5_points), read_h5_arrays)
    plan = plan_run(spec)
    step, limit = None, None
    if plan.training is not None:
        from nnft.pipeline.train_setup import measured_step

        step, limit = measured_step(spec, plan)
    if as_json:
        record = dataclasses.asdict(plan)
        if plan.training is not None:
            record["training"] |= {"first_step": step, "stability_limit": limit}
        click.echo(json.dumps(record, indent=2))
        return
    rows = plan_rows(spec, plan, step, limit)
    width = max(len(name) for name, _ in rows)
    click.echo("\n".join(f"{name.ljust(width)}  {text}" for name, text in rows))


@click.command(cls=StrictCommand)
@click.option("--example", metavar="NAME", help="Name of an example card.")
@click.option("--list", "list_all", is_flag=True, help="List the example cards.")
def card(example: str | None, list_all: bool) -> None:
    """Print a commented example card; redirect it into a file and edit it."""
    from nnft.spec import examples

    if list_all or example is None:
        click.echo("\n".join(examples.names()))
        return
    click.echo(examples.text(example), nl=False)
