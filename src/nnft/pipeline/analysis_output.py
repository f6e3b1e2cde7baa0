"""The file of an analysis: may it be written, and its writing."""

from __future__ import annotations

import os
from collections.abc import Iterable

from nnft.store.analysis_content import AnalysisFile
from nnft.store.analysis_writer import check_analysis_target, write_analysis


def check_analysis_output(
    path: str | os.PathLike[str], runs: Iterable[str | os.PathLike[str]] = (), *, overwrite: bool = False
) -> None:
    """Refuse a file that must not be written, before anything is computed.

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
        An impossible name, no such folder, not a regular file, one of `runs`, a file of another kind, or an
        analysis file without `overwrite`.
    """
    check_analysis_target(path, runs, overwrite=overwrite)


def save_analysis(path: str | os.PathLike[str], content: AnalysisFile, *, overwrite: bool = False) -> None:
    """Write an analysis file.

    Parameters
    ----------
    path : str or path
        Analysis file.
    content : AnalysisFile
        Content.
    overwrite : bool
        Replace an existing analysis file.

    Raises
    ------
    UsageError
        As `check_analysis_output` says.
    EnvironmentRefusal
        Disk, quota or permissions refuse, or another process writes the file; what stood at `path` is intact.
    """
    write_analysis(path, content, overwrite=overwrite)
