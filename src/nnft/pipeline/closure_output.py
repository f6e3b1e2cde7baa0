"""From run files, or a scan, to closure tests: printed and drawn."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nnft.actions.closure import (
    Closure,
    ClosureThreshold,
    check_tolerance,
    closure,
    closure_threshold,
)
from nnft.actions.closure_text import closure_record, closure_text
from nnft.analysis.run import open_run
from nnft.analysis.scan_index import is_scan, open_scan
from nnft.errors import DataFileError, shorten
from nnft.pipeline.action_output import Printed


def closure_of_files(
    paths: Sequence[str | os.PathLike[str]],
    *,
    points: Sequence[int] | None = None,
    tolerance: float = 0.1,
    plot: str | os.PathLike[str] | None = None,
) -> Printed:
    """Test the closure of the actions of run files; over several widths, say from which width on it holds.

    Parameters
    ----------
    paths : sequence of str or path
        Run files, or folders of scans, whose finished members are taken.
    points : sequence of int, optional
        As for `nnft.actions.closure.closure`.
    tolerance : float
        Largest sextic share that counts as none.
    plot : str or path, optional
        Picture.

    Raises
    ------
    NnftError
        Everything that `closure`, the files or the picture refuse.
    """
    check_tolerance(tolerance)
    if plot is not None:
        from nnft.plots.files import check_picture

        check_picture(plot)
    files = [file for path in paths for file in _members(path)]
    results: list[Closure] = []
    widths: list[float | None] = []
    for file in files:
        with open_run(file) as run:
            results.append(closure(run, points))
            widths.append(_width(run.card))
    threshold = _threshold(widths, results, tolerance)
    labels = [file.name for file in files]
    record = closure_record(labels, widths, results, threshold)
    if plot is not None:
        from nnft.plots.closure import draw_closure

        draw_closure(results, labels, plot, threshold=threshold, widths=widths)
    return Printed(record, closure_text(record))


def _members(path: str | os.PathLike[str]) -> list[Path]:
    """Return the run files that a path stands for."""
    if not is_scan(path):
        return [Path(path)]
    index = open_scan(path)
    files = [index.member_path(member) for member in index.members if member.state == "done"]
    if not files:
        raise DataFileError(
            f"no finished run in the scan {shorten(str(path))}: got {len(index.members)} members; "
            "go on with nnft scan --resume"
        )
    return files


def _width(card: dict[str, Any]) -> float | None:
    """Return the width of a network; for unequal layers the harmonic mean. None without hidden layers."""
    widths = card["network"].get("widths", [])
    return len(widths) / sum(1.0 / width for width in widths) if widths else None


def _threshold(
    widths: Sequence[float | None], results: Sequence[Closure], tolerance: float
) -> ClosureThreshold | None:
    known = [width for width in widths if width is not None]
    if len(known) < len(widths) or len(set(known)) < 2:
        return None
    return closure_threshold(known, results, tolerance)
