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
from nnft.analysis.run import Run, open_run
from nnft.analysis.scan_index import is_scan, open_scan
from nnft.errors import DataFileError, UsageError, shorten
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
    twice = [
        file for place, file in enumerate(files) if file.resolve() in {f.resolve() for f in files[:place]}
    ]
    if twice:
        raise UsageError(f"run given twice: got {shorten(str(twice[0]))}; give each run once")
    results: list[Closure] = []
    widths: list[float | None] = []
    families: list[tuple[Any, ...]] = []
    for file in files:
        with open_run(file) as run:
            results.append(closure(run, points))
            widths.append(_width(run.card))
            families.append(_family(run))
    note = _note(files, widths, families)
    threshold = None if note or len(files) == 1 else _threshold(widths, results, tolerance)
    labels = [file.name for file in files]
    record = closure_record(labels, widths, results, threshold, note)
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


def _family(run: Run) -> tuple[Any, ...]:
    """Return what runs must have in common to differ by their width only."""
    network = {name: value for name, value in run.card["network"].items() if not name.startswith("width")}
    depth = len(run.card["network"].get("widths", []))
    return network, depth, run.points.tobytes(), run.card.get("deformation")


def _note(files: Sequence[Path], widths: Sequence[float | None], families: Sequence[tuple[Any, ...]]) -> str:
    """Say why several runs have no common width from which on the quartic action suffices."""
    for file, width, family in zip(files, widths, families, strict=True):
        if len(files) > 1 and (family != families[0] or width is None):
            return (
                f"no common threshold: {files[0].name} and {file.name} differ in more than their widths "
                "(network, depth, inputs or deformation)"
            )
    return ""


def _threshold(
    widths: Sequence[float | None], results: Sequence[Closure], tolerance: float
) -> ClosureThreshold | None:
    known = [width for width in widths if width is not None]
    return closure_threshold(known, results, tolerance) if len(set(known)) > 1 else None
