"""From a run file to its action: printed, drawn, and kept in an analysis file."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from nnft.actions.action import CONVENTION, FIELD_COUNTS, Action, action
from nnft.actions.action_text import action_record, action_text
from nnft.actions.symmetric import components
from nnft.analysis.run import Run, open_run
from nnft.errors import DataFileError, shorten
from nnft.pipeline.analysis_output import check_analysis_output, save_analysis
from nnft.pipeline.machine import choose_threads, nnft_version
from nnft.store.analysis_content import AnalysisArray, AnalysisFile, AnalysisTable, SourceRun
from nnft.store.analysis_reader import read_analysis

MOST_PSEUDO_VALUES = 20_000_000
"""Numbers up to which the pseudo-values of a table are kept; longer ones follow from the run file again."""

_LONG_NAMES = {
    "free": "inverse two-point function",
    "quadratic": "quadratic part with tadpole corrections",
    "quartic": "quartic couplings",
    "sextic": "sextic couplings",
}
_LEVELS = {"leading": "through order 1/N", "next": "through order 1/N^2", "": ""}


@dataclass(frozen=True)
class Printed:
    """A result ready to be printed.

    Attributes
    ----------
    record : dict
        Plain numbers, for JSON.
    text : str
    """

    record: dict[str, Any]
    text: str


def action_of_file(
    path: str | os.PathLike[str],
    *,
    order: int | None = None,
    points: Sequence[int] | None = None,
    modes: int | None = None,
    cut: float | None = None,
    output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    plot: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    covariance: bool = False,
    command: str = "",
) -> Printed:
    """Compute the action of a run file, draw it and keep it where asked to.

    Parameters
    ----------
    path : str or path
        Run file.
    order, points, modes, cut, threads
        As for `nnft.actions.action.action`.
    output : str or path, optional
        Analysis file.
    overwrite : bool
        Whether an existing analysis file may be replaced.
    plot : str or path, optional
        Picture.
    covariance : bool
        Whether the record holds the covariance matrices of the tables with up to 500 components.
    command : str
        For the provenance of the analysis file.

    Raises
    ------
    NnftError
        Everything that `action`, the files or the picture refuse; what can be checked is checked first.
    """
    granted = choose_threads(threads)
    if output is not None:
        check_analysis_output(output, [path], overwrite=overwrite)
    if plot is not None:
        from nnft.plots.files import check_picture

        check_picture(plot)
    with open_run(path) as run:
        result = action(run, order, points, modes, cut=cut, threads=granted)
        record = action_record(result, covariance)
        if output is not None:
            save_action(result, run, output, overwrite=overwrite, command=command)
        if plot is not None:
            from nnft.plots.action import draw_action

            draw_action(result, run, plot)
    return Printed({"file": str(path), **record}, action_text(record, Path(path).name))


def save_action(
    result: Action,
    run: Run,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    command: str = "",
) -> None:
    """Keep an action in an analysis file.

    Parameters
    ----------
    result : Action
    run : Run
        The run that it is the action of.
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
    source = SourceRun(
        str(run.path), run.stored.text("run_id"), run.stored.text("result_digest"), run.networks
    )
    spectrum = result.spectrum
    parameters = {
        "order": str(result.order),
        "modes_kept": f"{spectrum.kept} of {len(result.points)}: {spectrum.reason}",
        "record": json.dumps(action_record(result)),
    }
    if result.cell is not None:
        parameters["cell"] = repr(result.cell)
    eigen = spectrum.eigenvalues
    arrays = {
        "eigenvalues": AnalysisArray(eigen.value, ("mode",), "eigenvalues of the two-point function"),
        "eigenvalue_errors": AnalysisArray(eigen.stderr(), ("mode",), "their standard errors"),
        "eigenvectors": AnalysisArray(spectrum.vectors, ("point", "mode"), "eigenvectors in columns"),
        "kernel": AnalysisArray(result.kernel.value, ("point", "second_point"), "two-point function"),
    }
    content = AnalysisFile(
        kind="action",
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        nnft_version=nnft_version(),
        points=result.coordinates,
        point_numbers=result.points,
        conventions=CONVENTION,
        command=command,
        sources=(source,),
        bin_counts=result.kernel.bin_counts,
        parameters=parameters,
        arrays=arrays,
        tables=tuple(_table(result, name) for name in result.tables),
    )
    save_analysis(path, content, overwrite=overwrite)


def stored_action(path: str | os.PathLike[str]) -> Printed:
    """Return what `action_of_file` printed when it wrote an analysis file.

    Raises
    ------
    DataFileError
        If the file cannot be used or keeps something else.
    """
    content = read_analysis(path)
    if content.kind != "action" or "record" not in content.parameters:
        raise DataFileError(
            f"no action in {shorten(str(path))}: got an analysis of kind {shorten(content.kind)}; "
            "read it with nnft.read_analysis"
        )
    record = json.loads(content.parameters["record"])
    source = Path(content.sources[0].path).name if content.sources else "an unknown run"
    return Printed({"file": str(path), **record}, action_text(record, source))


def _table(result: Action, name: str) -> AnalysisTable:
    kind, _, rest = name.removesuffix("_modes").partition("_")
    fields, modes = FIELD_COUNTS[kind], name.endswith("_modes")
    size = result.reported_modes if modes else len(result.points)
    estimate = result.table(name)
    small = len(estimate.value) * len(estimate.bin_counts) <= MOST_PSEUDO_VALUES
    where = "eigenmodes of the two-point function" if modes else "points"
    return AnalysisTable(
        name=name,
        indices=components(size, fields),
        value=estimate.value,
        stderr=estimate.stderr,
        unreliable=estimate.unreliable,
        order=fields,
        long_name=f"{_LONG_NAMES[kind]} {_LEVELS[rest]}".strip(),
        units="1",
        description=f"{CONVENTION}; packed components over {where}",
        indexed_by="mode" if modes else "point",
        pseudo_values=np.ascontiguousarray(estimate.bins) if small else None,
    )
