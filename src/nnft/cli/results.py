"""``nnft show``, ``nnft status``, ``nnft verify``."""

from __future__ import annotations

import json

import click


@click.command()
@click.argument("run", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def show(run: str, as_json: bool) -> None:
    """Print the results of RUN: correlators with errors, methods, throughput; of a scan: its members.

    Of an analysis file: the tables of the action that it keeps.
    """
    from nnft.analysis.scan_index import is_scan, open_scan

    if is_scan(run):
        from nnft.analysis.scan_table import scan_summary, scan_text

        members = scan_summary(open_scan(run))
        click.echo(json.dumps(members, indent=2) if as_json else scan_text(members))
        return
    from nnft.store.analysis_reader import is_analysis_file

    if is_analysis_file(run):
        from nnft.pipeline.compare_output import stored_analysis

        kept = stored_analysis(run)
        click.echo(json.dumps(kept.record, indent=2) if as_json else kept.text)
        return
    from nnft.analysis.run import open_run
    from nnft.analysis.summary import summary, table_text

    with open_run(run) as opened:
        state = summary(opened)
    click.echo(json.dumps(state, indent=2) if as_json else table_text(state))


@click.command()
@click.argument("run", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def status(run: str, as_json: bool) -> None:
    """Say how far RUN, or the scan in a folder, is; never waits for its writer and never disturbs it."""
    from nnft.analysis.scan_index import is_scan, open_scan

    if is_scan(run):
        from nnft.analysis import scan_table

        members = scan_table.scan_status(open_scan(run))
        click.echo(json.dumps(members, indent=2) if as_json else scan_table.status_text(members))
        return
    from nnft.analysis.status import run_status, status_text

    state = run_status(run)
    click.echo(json.dumps(state, indent=2) if as_json else status_text(state))


@click.command()
@click.argument("run", type=click.Path())
@click.option("--checksums-only", is_flag=True, help="Do not recompute a block from the seed.")
def verify(run: str, checksums_only: bool) -> None:
    """Check every checksum of RUN, or of an analysis file, and recompute a block of a run from its seed.

    Exit code 3 if anything is wrong, one line for each finding.
    """
    from nnft.errors import DataFileError
    from nnft.store.analysis_reader import is_analysis_file
    from nnft.store.verify import verify_file

    findings = verify_file(run)
    if findings:
        raise DataFileError("\n".join(findings))
    click.echo("checksums of all data sets and segments are right")
    if not checksums_only and not is_analysis_file(run):
        from nnft.pipeline.machine import check_thread_variables

        check_thread_variables()
        from nnft.pipeline.recompute import recompute_bin

        click.echo(recompute_bin(run))
