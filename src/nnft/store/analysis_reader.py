"""Reading of analysis files: results derived from runs.

Needs NumPy and h5py only.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from nnft.errors import DataFileError, NnftError, shorten
from nnft.store.analysis_content import AnalysisArray, AnalysisFile, AnalysisTable, SourceRun, StoredArray
from nnft.store.analysis_schema import ANALYSIS_FILE
from nnft.store.checked_file import CheckedFile
from nnft.store.guard import data_file_errors, open_hdf5, read_attribute


def read_analysis(path: str | os.PathLike[str], *, pseudo_values: bool = False) -> AnalysisFile:
    """Read an analysis file.

    Parameters
    ----------
    path : str or path
        Analysis file.
    pseudo_values : bool
        Load the pseudo-values of all tables, which may be large. Otherwise they are `StoredArray` objects,
        which read the file when they are asked for.

    Returns
    -------
    AnalysisFile
        The content, every array compared with its checksum.

    Raises
    ------
    DataFileError
        Not an analysis file, truncated, damaged, of a newer major version, or unsafe to read.
    EnvironmentRefusal
        No permission, or not enough memory.
    """
    with StoredAnalysis(Path(path)) as file:
        return file.content(pseudo_values=pseudo_values)


def is_analysis_file(path: str | os.PathLike[str]) -> bool:
    """Whether a file says that it is an analysis file of any version; false for one that cannot be opened."""
    target = Path(path)
    try:
        with open_hdf5(target) as file, data_file_errors(target, "the file type"):
            return read_attribute(file, "filetype", "/", target) == ANALYSIS_FILE.filetype
    except NnftError:
        return False


class StoredAnalysis(CheckedFile):
    """An open analysis file; use it as a context manager, or call `close`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, ANALYSIS_FILE)

    def content(self, *, pseudo_values: bool = False) -> AnalysisFile:
        """Load everything; pseudo-values only if they are asked for."""
        networks = self.read("/source/networks").tolist()
        texts = (self._texts(f"/source/{part}") for part in ("path", "run_id", "result_digest"))
        return AnalysisFile(
            kind=self.text("kind"),
            created_at=self.text("created_at"),
            nnft_version=self.text("nnft_version"),
            points=self.read("/mesh/points"),
            point_numbers=self.read("/mesh/number"),
            conventions=self.read_text("/about/conventions"),
            command=self.read_text("/about/command"),
            sources=tuple(map(SourceRun, *texts, networks)),
            bin_counts=self.read("/bins/count"),
            parameters=self._texts_below("/parameters"),
            arrays={name: self._array(name) for name in self.groups_below("/arrays")},
            tables=tuple(self._table(name, pseudo_values) for name in self.groups_below("/tables")),
        )

    def _array(self, name: str) -> AnalysisArray:
        labels: dict[str, Any] = self.group_attributes(f"/arrays/{name}")
        values = self.read(f"/arrays/{name}/values")
        return AnalysisArray(values, tuple(labels["axes"].split()), labels["long_name"], labels["units"])

    def _table(self, name: str, pseudo_values: bool) -> AnalysisTable:
        group = f"/tables/{name}"
        labels: dict[str, Any] = self.group_attributes(group)
        stored = self._stored_array(f"{group}/pseudo_values")
        return AnalysisTable(
            name=name,
            indices=self.read(f"{group}/indices"),
            value=self.read(f"{group}/value"),
            stderr=self.read(f"{group}/stderr"),
            unreliable=self.read(f"{group}/unreliable") != 0,
            pseudo_values=self.read(f"{group}/pseudo_values") if stored and pseudo_values else stored,
            **{part: labels[part] for part in ("order", "long_name", "units", "description", "indexed_by")},
        )

    def _stored_array(self, member: str) -> StoredArray | None:
        """Return an array that opens the file again when it is asked for; None if there is no such array."""
        if member not in self.forms:
            return None
        path, form = self.path.absolute(), self.forms[member]

        def load() -> np.ndarray[Any, np.dtype[Any]]:
            with StoredAnalysis(path) as file:
                if file.forms.get(member) != form:
                    raise DataFileError(f"file was replaced since it was read: got {shorten(str(path), 120)}")
                return file.read(member)

        return StoredArray(self.shape(member), load)
