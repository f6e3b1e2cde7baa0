"""From a run of trained networks to its comparison with theory: printed, drawn, kept in an analysis file."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from nnft.analysis.comparison import Comparison, compare
from nnft.analysis.comparison_record import comparison_record
from nnft.analysis.comparison_text import comparison_text
from nnft.analysis.prior_comparison import prior_record, prior_text, refuse_options
from nnft.analysis.run import Run, open_run
from nnft.analysis.trained_run import TrainedRun
from nnft.errors import DataFileError, shorten
from nnft.pipeline.action_output import Printed, stored_action
from nnft.pipeline.analysis_output import check_analysis_output, save_analysis
from nnft.pipeline.machine import nnft_version
from nnft.store.analysis_content import AnalysisArray, AnalysisFile, AnalysisTable, SourceRun
from nnft.store.analysis_reader import read_analysis

CONVENTION = "connected correlators of one output of trained networks; pull = (estimate - theory) / error"


def comparison_of_file(
    path: str | os.PathLike[str],
    *,
    output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    plot: str | os.PathLike[str] | None = None,
    command: str = "",
) -> Printed:
    """Set theory beside the numbers of a run of trained networks.

    Parameters
    ----------
    path : str or path
        Run file.
    output : str or path, optional
        Analysis file.
    overwrite : bool
        Whether an existing analysis file may be replaced.
    plot : str or path, optional
        Picture.
    command : str
        For the provenance of the analysis file.

    Raises
    ------
    NnftError
        Everything that `compare`, the files or the picture refuse; what can be checked is checked first.
    """
    if output is not None:
        check_analysis_output(output, [path], overwrite=overwrite)
    if plot is not None:
        from nnft.plots.files import check_picture

        check_picture(plot)
    with open_run(path) as run:
        if run.training is None and run.cosines is not None:
            refuse_options(output, plot)
            record = prior_record(run)
            return Printed({"file": str(path), **record}, prior_text(record, Path(path).name))
        found = compare(TrainedRun(run))
        record = comparison_record(found)
        if output is not None:
            save_comparison(found, run, output, overwrite=overwrite, command=command)
        if plot is not None:
            from nnft.plots.training import draw_predictor

            draw_predictor(found, plot)
    return Printed({"file": str(path), **record}, comparison_text(record, Path(path).name))


def save_comparison(
    found: Comparison,
    run: Run,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    command: str = "",
) -> None:
    """Keep a comparison in an analysis file of the kind "comparison".

    Parameters
    ----------
    found : Comparison
    run : Run
        Its run.
    path : str or path
        Analysis file.
    overwrite : bool
        Whether an existing analysis file may be replaced.
    command : str
        What made the file, for people.

    Raises
    ------
    UsageError
        If the file must not be written.
    EnvironmentRefusal
        If the disk refuses.
    """
    check_analysis_output(path, [run.path], overwrite=overwrite)
    stored = run.stored
    source = SourceRun(str(run.path), stored.text("run_id"), stored.text("result_digest"), run.networks)
    content = AnalysisFile(
        kind="comparison",
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        nnft_version=nnft_version(),
        points=found.points,
        point_numbers=np.arange(len(found.points), dtype=np.int32),
        conventions=CONVENTION,
        command=command,
        sources=(source,),
        bin_counts=run.estimator.counts[run.estimator.counts > 0],
        parameters={"record": json.dumps(comparison_record(found))},
        arrays=_theory_arrays(found),
        tables=_tables(found),
    )
    save_analysis(path, content, overwrite=overwrite)


def stored_comparison(path: str | os.PathLike[str]) -> Printed:
    """Return what `comparison_of_file` printed when it wrote an analysis file.

    Raises
    ------
    DataFileError
        If the file cannot be used or keeps something else.
    """
    content = read_analysis(path)
    if content.kind != "comparison" or "record" not in content.parameters:
        raise DataFileError(
            f"no comparison in {shorten(str(path))}: got an analysis of kind {shorten(content.kind)}; "
            "read it with nnft.read_analysis"
        )
    record = json.loads(content.parameters["record"])
    source = Path(content.sources[0].path).name if content.sources else "an unknown run"
    return Printed({"file": str(path), **record}, comparison_text(record, source))


def stored_analysis(path: str | os.PathLike[str]) -> Printed:
    """Return what was printed when an analysis file was written, whatever it keeps.

    Raises
    ------
    DataFileError
        If the file cannot be used or keeps something unknown.
    """
    return stored_comparison(path) if read_analysis(path).kind == "comparison" else stored_action(path)


def _name(order: int) -> str:
    return "mean" if order == 1 else f"connected_{order}"


def _theory_arrays(found: Comparison) -> dict[str, AnalysisArray]:
    """Theory of every table at the end, by number of the theory."""
    arrays = {}
    for table in found.final.tables:
        for place, (theory, column) in enumerate(zip(found.predictions, table.columns, strict=True), start=1):
            if column is not None:
                name = f"{_name(table.order)}_theory_{place}"
                axes = (f"component_{_name(table.order)}",)
                arrays[name] = AnalysisArray(column.value, axes, f"{theory.name}: {theory.validity}")
    return arrays


def _tables(found: Comparison) -> tuple[AnalysisTable, ...]:
    return tuple(
        AnalysisTable(
            name=_name(table.order),
            indices=table.indices,
            value=table.value,
            stderr=table.stderr,
            unreliable=table.unreliable,
            order=table.order,
            long_name="mean output" if table.order == 1 else f"connected correlator of order {table.order}",
            units="1",
            description=f"{CONVENTION}; at the end of the training, or over the draws of its chains",
        )
        for table in found.final.tables
    )
