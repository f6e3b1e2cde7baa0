"""``nnft info``."""

from __future__ import annotations

import json

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def info(as_json: bool) -> None:
    """Print build record, instruction set and versions: the text to paste into a bug report."""
    from nnft.pipeline.machine import check_thread_variables

    check_thread_variables()
    from nnft.pipeline.info import build_info

    record = build_info()
    if as_json:
        click.echo(json.dumps(record, indent=2))
        return
    width = max(map(len, record))
    click.echo("\n".join(f"{name.ljust(width)}  {value}" for name, value in record.items()))
