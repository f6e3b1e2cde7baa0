"""Reading of run files: checked when opened, arrays loaded and verified when asked for.

Needs NumPy and h5py only.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from nnft.errors import DataFileError, NnftError, shorten
from nnft.store.atomic import PREVIOUS_SUFFIX
from nnft.store.digest import array_digest
from nnft.store.guard import AttributeValue, checksum_error, data_file_errors, open_hdf5, scan
from nnft.store.schema import FORMAT_VERSION
from nnft.store.segment_files import fields_folder, load_networks
from nnft.store.snapshot import FieldManifest, HistoryEntry, RunSnapshot, SegmentRecord
from nnft.store.validate import RUN_KIND, check_identity, check_structure


def read_run(path: str | os.PathLike[str]) -> StoredRun:
    """Open a run file.

    The file may be replaced by a writer at any time; the open run stays what it was.

    Parameters
    ----------
    path : str or path
        Run file.

    Returns
    -------
    StoredRun
        Use it as a context manager, or call `close`.

    Raises
    ------
    DataFileError
        Not a run file, truncated, damaged, of a newer major version, or unsafe to read. Says so if the
        previous snapshot ``<path>.previous`` is good.
    EnvironmentRefusal
        No permission, or not enough memory.
    """
    try:
        return StoredRun(Path(path))
    except DataFileError as failure:
        raise with_previous(Path(path), failure) from failure


class LazyArrays(Mapping[str, NDArray[Any]]):
    """The arrays below one group, each loaded and verified when it is asked for."""

    def __init__(self, run: StoredRun, group: str) -> None:
        self._run = run
        self._prefix = f"{group}/"

    def __getitem__(self, name: str) -> NDArray[Any]:
        if self._prefix + name not in self._run.forms:
            raise KeyError(name)
        return self._run.read(self._prefix + name)

    def __iter__(self) -> Iterator[str]:
        return (path.removeprefix(self._prefix) for path in self._run.forms if path.startswith(self._prefix))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._prefix + name in self._run.forms

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of an array without loading it."""
        return self._run.shape(self._prefix + name)


class StoredRun:
    """An open run file; built by `read_run`.

    Attributes
    ----------
    path : Path
        The file.
    forms : dict
        Type and shape of every data set by path, with its SHA-256.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: h5py.File | None = open_hdf5(path, RUN_KIND)
        try:
            with data_file_errors(path, "the structure"):
                self._content = scan(self._file, path)
                check_identity(self._content.attributes, path)
                self.forms = check_structure(self._content, path)
                self._check_counters()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> StoredRun:
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

    def _check_counters(self) -> None:
        """Compare the commit counters with each other and with the networks in the bins."""
        done, planned, size = (
            self.counter(name) for name in ("networks_done", "networks_planned", "block_size")
        )
        counted = int(self._load("/accumulators/count").sum())
        wanted = (counted, -(-done // max(size, 1)), int(done == planned))
        found = (done, self.counter("blocks_done"), self.counter("complete"))
        if size < 1 or done > planned or found != wanted:
            raise DataFileError(
                f"commit counters contradict the data in {shorten(self.path.name)}: got networks_done "
                f"{done}, blocks_done {found[1]}, {counted} networks in the bins"
            )

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
        """All attributes of the root ("/@seed") and of the groups ("/mesh@source")."""
        return dict(self._content.attributes)

    @property
    def networks_done(self) -> int:
        """Networks that every number of the file includes."""
        return self.counter("networks_done")

    @property
    def complete(self) -> bool:
        """Whether the run is finished."""
        return self.counter("complete") == 1

    @property
    def newer_minor(self) -> bool:
        """Whether a newer minor version wrote the file: it may be read, but must not be resumed."""
        return self._content.attributes["/@format_version"] > FORMAT_VERSION  # type: ignore[operator]

    @property
    def points(self) -> NDArray[np.float64]:
        """Input points, shape (P, d)."""
        return self.read("/mesh/points")

    @property
    def config(self) -> dict[str, str]:
        """Texts "resolved", "plan" and, where the run had one, "card"."""
        return self._texts_below("/config")

    @property
    def provenance(self) -> dict[str, str]:
        """Texts on how the file came about."""
        return self._texts_below("/provenance")

    @property
    def history(self) -> tuple[HistoryEntry, ...]:
        """Starts, resumes and extensions in order of time."""
        where = "/provenance/history"
        actions, times, versions = (self._texts(f"{where}/{part}") for part in ("action", "time", "version"))
        networks = (int(number) for number in self.read(f"{where}/networks"))
        return tuple(map(HistoryEntry, actions, networks, times, versions))

    @property
    def runtime(self) -> dict[str, float]:
        """Seconds per phase and throughput."""
        return {name: float(array) for name, array in LazyArrays(self, "/runtime").items()}

    @property
    def accumulators(self) -> LazyArrays:
        """Arrays below ``/accumulators``: "count", "sums/NAME" .., loaded when asked for."""
        return LazyArrays(self, "/accumulators")

    @property
    def theory(self) -> LazyArrays:
        """Arrays below ``/theory``, loaded when asked for."""
        return LazyArrays(self, "/theory")

    @property
    def estimate_names(self) -> tuple[str, ...]:
        """Names of the stored estimates."""
        prefix = "/estimates/"
        return tuple(
            path.removeprefix(prefix) for path in sorted(self._content.groups) if path.startswith(prefix)
        )

    def estimate(self, name: str) -> dict[str, Any]:
        """Return the arrays and attributes of one estimate, keyed as in `RunSnapshot.estimates`."""
        group = f"/estimates/{name}"
        if group not in self._content.groups:
            raise DataFileError(
                f"no estimate {shorten(name)} in {shorten(self.path.name)}: "
                f"it has {shorten(self.estimate_names)}"
            )
        marked = self._content.attributes.items()
        attributes = {path.partition("@")[2]: value for path, value in marked if path.startswith(f"{group}@")}
        return {**LazyArrays(self, group), **attributes}

    @property
    def fields(self) -> FieldManifest | None:
        """Manifest of the stored fields; None if the run keeps none."""
        group = "/fields_manifest"
        if group not in self._content.groups:
            return None
        outputs, points, dtype, rows = (
            self._content.attributes[f"{group}@{part}"]
            for part in ("outputs", "points", "dtype", "rows_per_segment")
        )
        numbers = (self.read(f"{group}/{part}").tolist() for part in ("first_network", "rows", "crc32"))
        segments = tuple(map(SegmentRecord, self._texts(f"{group}/name"), *numbers))
        return FieldManifest(outputs, points, dtype, rows, segments)  # type: ignore[arg-type]

    def read_fields(self, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Load the stored outputs of networks `start` to `stop` - 1, shape (stop - start, outputs, points).

        Raises
        ------
        DataFileError
            The run stores no fields, or not these; a segment is missing or damaged.
        """
        manifest = self.fields
        if manifest is None:
            raise DataFileError(
                f"no stored fields in {shorten(self.path.name)}: the card has store.fields = 0"
            )
        return load_networks(fields_folder(self.path), manifest, start, stop)

    def snapshot(self) -> RunSnapshot:
        """Load everything, as a resume needs it."""
        attributes = self._content.attributes
        return RunSnapshot(
            run_id=self.text("run_id"),
            digest=self.text("digest"),
            nnft_version=self.text("nnft_version"),
            created_at=self.text("created_at"),
            updated_at=self.text("updated_at"),
            block_size=self.counter("block_size"),
            networks_done=self.networks_done,
            networks_planned=self.counter("networks_planned"),
            seed=int(self.text("seed")),
            config=self.config,
            points=self.points,
            accumulators=dict(self.accumulators),
            provenance=self.provenance,
            history=self.history,
            runtime=self.runtime,
            estimates={name: self.estimate(name) for name in self.estimate_names},
            theory=dict(self.theory),
            fields=self.fields,
            mesh_source=str(attributes.get("/mesh@source", "")),
            mesh_sha256=str(attributes.get("/mesh@source_sha256", "")),
        )

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

    def read(self, path: str) -> NDArray[Any]:
        """Load a data set and compare it with its checksum.

        Raises
        ------
        DataFileError
            No such data set, or "checksum error in <data set>".
        """
        try:
            return self._load(path)
        except DataFileError as failure:
            raise with_previous(self.path, failure) from failure

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
            raise DataFileError(f"run file is closed: got {shorten(self.path.name)}; open it again")
        if path not in self.forms:
            raise DataFileError(f"no data set {shorten(path)} in {shorten(self.path.name)}")
        return self._content.datasets[path]


def with_previous(path: Path, failure: DataFileError) -> DataFileError:
    """Add to a failure that the previous snapshot is good, if it is."""
    previous = path.with_name(path.name + PREVIOUS_SUFFIX)
    if not previous.is_file() or path.name.endswith(PREVIOUS_SUFFIX):
        return failure
    try:
        with StoredRun(previous) as run:
            for member in run.forms:
                run.verify(member)
            reason = textwrap.shorten(str(failure), 150, placeholder="...")
            return DataFileError(f"{reason}; {PREVIOUS_SUFFIX} is good ({run.networks_done} networks)")
    except NnftError:
        return failure
