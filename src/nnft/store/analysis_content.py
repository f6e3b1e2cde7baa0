"""What an analysis file holds: what the writer takes and the reader returns."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnft.errors import DataFileError, shorten
from nnft.store.analysis_schema import ANALYSIS_SCHEMA

Array = NDArray[Any]

SHARED_AXES = ("bin", "point")
_AXIS_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
# What stands in the file under a fixed name; an axis of an array must not have it.
_TAKEN = {entry.path.rpartition("/")[2] for entry in ANALYSIS_SCHEMA if entry.kind != "attribute"}


@dataclass(frozen=True, eq=False)
class StoredArray:
    """An array that stays on disk until it is asked for: with `load`, or by ``np.asarray``.

    Attributes
    ----------
    shape : tuple of int
        Shape of the array.
    load : callable
        Reads the array and compares it with its checksum; raises `DataFileError` if the file is damaged, gone
        or holds another array by now. Nothing is kept: every call reads.
    """

    shape: tuple[int, ...]
    load: Callable[[], Array]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("array is on disk: reading it makes a copy")
        return np.asarray(self.load(), dtype)


@dataclass(frozen=True)
class SourceRun:
    """A run that an analysis was made from.

    Attributes
    ----------
    path : str
        The run file as it was given.
    run_id, result_digest : str
        Attributes of the run file when it was read.
    networks : int
        Its networks.
    """

    path: str
    run_id: str
    result_digest: str
    networks: int


@dataclass(frozen=True, eq=False)
class AnalysisTable:
    """Numbers with errors, one for each component.

    Attributes
    ----------
    name : str
        Name of the table, such as "quartic".
    indices : ndarray of int32, shape (m, r)
        What each component belongs to.
    value, stderr : ndarray of float64, shape (m,)
        Number and standard error.
    unreliable : ndarray of bool, shape (m,)
        Where the standard error itself is doubtful.
    order : int
        Number of fields that a component belongs to.
    long_name, units, description : str
        What the numbers are; "1" for pure numbers; definition, sign and normalisation.
    indexed_by : str
        What the indices number: "point" for rows of `AnalysisFile.points`, the name of another axis of the
        file, or what the description says.
    pseudo_values : ndarray of float64 or StoredArray, shape (B, m), or None
        Jackknife pseudo-values; `read_analysis` leaves them on disk unless told otherwise.
    """

    name: str
    indices: Array
    value: Array
    stderr: Array
    unreliable: Array
    order: int
    long_name: str = ""
    units: str = "1"
    description: str = ""
    indexed_by: str = "point"
    pseudo_values: Array | StoredArray | None = None


@dataclass(frozen=True, eq=False)
class AnalysisArray:
    """Numbers without errors.

    Attributes
    ----------
    values : ndarray of float64
        The numbers.
    axes : tuple of str
        Name of each axis. Arrays with an axis of the same name have the same length along it; "bin" and
        "point" are those of the file.
    long_name, units : str
        What the numbers are; "1" for pure numbers.
    """

    values: Array
    axes: tuple[str, ...]
    long_name: str = ""
    units: str = "1"


@dataclass(frozen=True, eq=False)
class AnalysisFile:
    """Results derived from runs; what `write_analysis` stores.

    Attributes
    ----------
    kind : str
        Kind of analysis: "action".
    created_at : str
        ISO 8601 UTC.
    nnft_version : str
        Version of nnft at work.
    points : ndarray of float64, shape (P, d)
        Input points that the analysis is about.
    point_numbers : ndarray of int32, shape (P,)
        Their numbers in the mesh of the source.
    conventions : str
        Signs and normalisation of the numbers, for people.
    command : str
        The command or call that made the file.
    sources : tuple of SourceRun
        The runs that the numbers follow from.
    bin_counts : ndarray of int64, shape (B,)
        Networks in each bin that pseudo-values are given for.
    parameters : mapping of str to str
        Options that determine the numbers: text or JSON.
    arrays : mapping of str to AnalysisArray
        Numbers without errors, such as the eigenvectors of a kernel.
    tables : tuple of AnalysisTable
        Numbers with errors; a file that is read gives them in order of their names.
    """

    kind: str
    created_at: str
    nnft_version: str
    points: Array
    point_numbers: Array
    conventions: str = ""
    command: str = ""
    sources: tuple[SourceRun, ...] = ()
    bin_counts: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    parameters: Mapping[str, str] = field(default_factory=dict)
    arrays: Mapping[str, AnalysisArray] = field(default_factory=dict)
    tables: tuple[AnalysisTable, ...] = ()

    def table(self, name: str) -> AnalysisTable:
        """Return a table by its name.

        Raises
        ------
        DataFileError
            There is none of this name.
        """
        for table in self.tables:
            if table.name == name:
                return table
        names = [table.name for table in self.tables]
        raise DataFileError(f"no table {shorten(name)} in the {self.kind}: it has {shorten(names)}")

    def root(self) -> dict[str, str]:
        """Return the attributes of the root."""
        return {"nnft_version": self.nnft_version, "kind": self.kind, "created_at": self.created_at}

    def datasets(self) -> Iterator[tuple[str, Any]]:
        """Yield path and value (str, tuple of str or array) of every data set of the file."""
        yield "/about/conventions", self.conventions
        yield "/about/command", _printable(self.command)
        yield "/source/path", tuple(_printable(source.path) for source in self.sources)
        yield "/source/run_id", tuple(source.run_id for source in self.sources)
        yield "/source/result_digest", tuple(source.result_digest for source in self.sources)
        yield "/source/networks", np.array([source.networks for source in self.sources], np.int64)
        for name, text in self.parameters.items():
            yield f"/parameters/{name}", text
        yield "/mesh/points", self.points
        yield "/mesh/number", self.point_numbers
        yield "/bins/count", self.bin_counts
        for name, array in self.arrays.items():
            yield f"/arrays/{name}/values", array.values
        for table in self.tables:
            for part in ("indices", "value", "stderr", "unreliable", "pseudo_values"):
                content = getattr(table, part)
                if content is not None:
                    yield f"/tables/{table.name}/{part}", content

    def attributes(self) -> Iterator[tuple[str, str | int]]:
        """Yield path and value of every attribute below the root."""
        for name, array in self.arrays.items():
            yield f"/arrays/{name}@axes", " ".join(array.axes)
            for part in ("long_name", "units"):
                yield f"/arrays/{name}@{part}", getattr(array, part)
        for table in self.tables:
            for part in ("order", "long_name", "units", "description", "indexed_by"):
                yield f"/tables/{table.name}@{part}", getattr(table, part)

    def check(self) -> None:
        """Check what the schema cannot say.

        Raises
        ------
        ValueError
            Two tables of one name, the name of an axis that cannot be one, or an index beyond its axis.
        """
        names = [table.name for table in self.tables]
        if len(set(names)) < len(names):
            raise ValueError(f"tables: got the names {names}, wanted different ones")
        lengths: dict[str, int] = {}
        for name, array in self.arrays.items():
            for axis in array.axes:
                free = _AXIS_NAME.fullmatch(axis) and (axis in SHARED_AXES or axis not in _TAKEN)
                if not free or array.axes.count(axis) > 1:
                    raise ValueError(
                        f"/arrays/{name}: got the axes {array.axes}, wanted different names of letters, "
                        f"digits and _ other than {', '.join(sorted(_TAKEN - set(SHARED_AXES)))}"
                    )
            lengths |= dict(zip(array.axes, np.shape(array.values), strict=False))
        lengths |= {"point": len(self.points), "bin": len(self.bin_counts)}
        for table in self.tables:
            length, used = lengths.get(table.indexed_by), np.asarray(table.indices)
            if length is not None and used.size > 0 and not 0 <= used.min() <= used.max() < length:
                raise ValueError(
                    f"/tables/{table.name}/indices: got {used.min()} to {used.max()}, "
                    f"wanted 0 to {length - 1}, the length of {table.indexed_by}"
                )


def _printable(text: str) -> str:
    """Replace what is no UTF-8, as a file name may hold it, by escapes."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
