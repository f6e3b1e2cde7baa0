"""An HDF5 file of nnft, of any kind: checked when opened, arrays loaded and verified when asked for.

Needs NumPy and h5py only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from nnft.errors import DataFileError, shorten
from nnft.store.digest import array_digest, result_digest
from nnft.store.file_kind import FileKind
from nnft.store.guard import AttributeValue, checksum_error, data_file_errors, open_hdf5, scan
from nnft.store.layout import axis_paths, find_entry
from nnft.store.validate import check_identity, check_structure


class CheckedFile:
    """An open file of one kind.

    Parameters
    ----------
    path : Path
        The file.
    kind : FileKind
        What it must be.

    Attributes
    ----------
    path : Path
        The file.
    kind : FileKind
        Its kind.
    forms : dict
        Type and shape of every data set by path, with its SHA-256.

    Raises
    ------
    DataFileError
        Not a file of this kind, truncated, damaged, of a newer major version, or unsafe to read.
    EnvironmentRefusal
        No permission, or not enough memory.
    """

    def __init__(self, path: Path, kind: FileKind) -> None:
        self.path = path
        self.kind = kind
        self._file: h5py.File | None = open_hdf5(path, kind.label)
        try:
            with data_file_errors(path, "the structure"):
                self._content = scan(self._file, path)
                check_identity(kind, self._content.attributes, path)
                self.forms = check_structure(kind, self._content, path)
                self._check_further()
        except BaseException:
            self.close()
            raise

    def _check_further(self) -> None:
        """Check what a kind of file promises beyond its schema."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; arrays that were read stay valid."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def counter(self, name: str) -> int:
        """Return an integer root attribute, such as "networks_done" or "block_size"."""
        value = self._content.attributes[f"/@{name}"]
        if not isinstance(value, int):
            raise KeyError(name)
        return value

    def text(self, name: str) -> str:
        """Return a text root attribute, such as "run_id" or "digest"."""
        value = self._content.attributes[f"/@{name}"]
        if not isinstance(value, str):
            raise KeyError(name)
        return value

    @property
    def attributes(self) -> dict[str, AttributeValue]:
        """All attributes of the root ("/@filetype") and of the groups ("/mesh@source")."""
        return dict(self._content.attributes)

    @property
    def newer_minor(self) -> bool:
        """Whether a newer minor version wrote the file: it may be read, but a run must not be resumed."""
        return self._content.attributes["/@format_version"] > self.kind.version  # type: ignore[operator]

    def groups_below(self, group: str) -> tuple[str, ...]:
        """Return the names of the groups that stand in a group, sorted."""
        inside = (path for path in self._content.groups if path.rpartition("/")[0] == group)
        return tuple(sorted(path.rpartition("/")[2] for path in inside))

    def group_attributes(self, group: str) -> dict[str, AttributeValue]:
        """Return the attributes of a group by name."""
        marked = self._content.attributes.items()
        return {path.partition("@")[2]: value for path, value in marked if path.startswith(f"{group}@")}

    def shape(self, path: str) -> tuple[int, ...]:
        """Return the shape of a data set without loading it."""
        return tuple(int(length) for length in self._dataset(path).shape)

    def axes(self, path: str) -> tuple[str, ...]:
        """Return the path of the dimension scale of every axis of a data set ("" for an axis without)."""
        dataset = self._dataset(path)
        with data_file_errors(self.path, path):
            return tuple(str(dim[0].name) if len(dim) > 0 else "" for dim in dataset.dims)

    def slabs(self, path: str) -> Iterator[NDArray[Any]]:
        """Yield a data set in slabs of leading rows, so that a large one never stands in memory whole."""
        dataset = self._dataset(path)
        with data_file_errors(self.path, path):
            if dataset.ndim == 0 or dataset.chunks is None:
                yield np.asarray(dataset[()])
                return
            rows = dataset.chunks[0]
            for start in range(0, dataset.shape[0], rows):
                yield np.asarray(dataset[start : start + rows])

    def wanted_axes(self, path: str) -> tuple[str, ...]:
        """Return the scales that the axes of a data set should have; none if the schema does not know it."""
        if find_entry(self.kind, path) is None:
            return ()
        with data_file_errors(self.path, path):
            return axis_paths(self.kind, path, self._content.attributes)

    def read(self, path: str) -> NDArray[Any]:
        """Load a data set and compare it with its checksum.

        Raises
        ------
        DataFileError
            No such data set, or "checksum error in <data set>".
        """
        return self._load(path)

    def read_text(self, path: str) -> str:
        """Load a text."""
        with data_file_errors(self.path, path):
            return bytes(self.read(path)[()]).decode("utf-8")

    def verify(self, path: str) -> None:
        """Compare a data set with its checksum without keeping it in memory.

        Raises
        ------
        DataFileError
            "checksum error in <data set>".
        """
        if array_digest(self.slabs(path)) != self.forms[path][1]:
            raise checksum_error(self.path, path)

    def result_digest(self) -> str:
        """Compute the result digest anew from the digests of the data sets."""
        return result_digest(self.kind, self._content.attributes, self.forms)

    def _load(self, path: str) -> NDArray[Any]:
        dataset = self._dataset(path)
        with data_file_errors(self.path, path):
            array = np.asarray(dataset[()])
        if array_digest([array]) != self.forms[path][1]:
            raise checksum_error(self.path, path)
        return array

    def _texts(self, path: str) -> tuple[str, ...]:
        with data_file_errors(self.path, path):
            return tuple(bytes(text).decode("utf-8") for text in self.read(path))

    def _texts_below(self, group: str) -> dict[str, str]:
        paths = [path for path in self.forms if path.rpartition("/")[0] == group]
        return {path.rpartition("/")[2]: self.read_text(path) for path in paths}

    def _dataset(self, path: str) -> h5py.Dataset:
        if self._file is None:
            raise DataFileError(f"file is closed: got {shorten(self.path.name)}; open it again")
        if path not in self.forms:
            raise DataFileError(f"no data set {shorten(path)} in {shorten(self.path.name)}")
        return self._content.datasets[path]


class LazyArrays(Mapping[str, NDArray[Any]]):
    """The arrays below one group, each loaded and verified when it is asked for."""

    def __init__(self, file: CheckedFile, group: str) -> None:
        self._file = file
        self._prefix = f"{group}/"

    def __getitem__(self, name: str) -> NDArray[Any]:
        if self._prefix + name not in self._file.forms:
            raise KeyError(name)
        return self._file.read(self._prefix + name)

    def __iter__(self) -> Iterator[str]:
        return (path.removeprefix(self._prefix) for path in self._file.forms if path.startswith(self._prefix))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._prefix + name in self._file.forms

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of an array without loading it."""
        return self._file.shape(self._prefix + name)
