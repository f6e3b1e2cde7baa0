"""Writing of analysis files: one new file, published in one step, never over a file of another kind."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from nnft.errors import UsageError, shorten
from nnft.store.analysis_content import AnalysisFile
from nnft.store.analysis_reader import is_analysis_file
from nnft.store.analysis_schema import ANALYSIS_FILE
from nnft.store.atomic import publish, require_space
from nnft.store.content import CheckedContent
from nnft.store.lock import RunLock
from nnft.store.output_path import check_output_path

_HEADER_BYTES = 1 << 17


def write_analysis(path: str | os.PathLike[str], content: AnalysisFile, *, overwrite: bool = False) -> None:
    """Publish `content` as the analysis file `path`.

    Arrays are written one after the other without a copy if they are C-contiguous and little-endian. The
    same content gives the same bytes.

    Parameters
    ----------
    path : str or path
        Analysis file; ``<path>.lock`` is held while it is written.
    content : AnalysisFile
        Content.
    overwrite : bool
        Replace an existing analysis file.

    Raises
    ------
    UsageError
        As `check_analysis_target` says.
    ValueError
        The content does not fit the schema: names the path, got and wanted.
    EnvironmentRefusal
        Disk, quota or permissions refuse, or another process writes the file; what stood at `path` is intact.
    """
    target = Path(path)
    runs = [source.path for source in content.sources]
    check_analysis_target(target, runs, overwrite=overwrite)
    content.check()
    checked = CheckedContent(ANALYSIS_FILE, content.root(), content.datasets(), content.attributes())
    with RunLock(target):
        check_analysis_target(target, runs, overwrite=overwrite)
        require_space(target.absolute().parent, checked.nbytes + _HEADER_BYTES)
        publish(target, checked.write, keep_previous=False)


def check_analysis_target(
    path: str | os.PathLike[str], runs: Iterable[str | os.PathLike[str]] = (), *, overwrite: bool = False
) -> None:
    """Refuse an analysis file that must not be written; touches nothing.

    Parameters
    ----------
    path : str or path
        Analysis file.
    runs : iterable of str or path
        Run files that the analysis is made from.
    overwrite : bool
        Whether an existing analysis file may be replaced.

    Raises
    ------
    UsageError
        An impossible name, no such folder, not a regular file, a source of the analysis, a file of another
        kind, or an analysis file without `overwrite`.
    """
    target = Path(path)
    if not check_output_path(target):
        return
    name = shorten(str(target))
    if any(_same_file(target, Path(run)) for run in runs):
        raise UsageError(f"result file is the source run: got {name}; choose another name")
    if not overwrite:
        raise UsageError(f"result file exists: got {name}; add --overwrite or choose another name")
    if not is_analysis_file(target):
        raise UsageError(f"result file is not {ANALYSIS_FILE.label}: got {name}; choose another name")


def _same_file(target: Path, run: Path) -> bool:
    try:
        return target.samefile(run)
    except (OSError, ValueError):
        return False
