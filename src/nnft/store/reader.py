"""Reading of run files: checked when opened, arrays loaded and verified when asked for.

Needs NumPy and h5py only.
"""

from __future__ import annotations

import os
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnft.errors import DataFileError, NnftError, shorten
from nnft.store.atomic import PREVIOUS_SUFFIX
from nnft.store.checked_file import CheckedFile, LazyArrays
from nnft.store.schema import RUN_FILE
from nnft.store.segment_files import fields_folder, load_networks
from nnft.store.snapshot import FieldManifest, HistoryEntry, RunSnapshot, SegmentRecord


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


class StoredRun(CheckedFile):
    """An open run file; built by `read_run`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, RUN_FILE)

    def _check_further(self) -> None:
        """Compare the commit counters with each other and with the networks in the bins."""
        done, planned, size = (
            self.counter(name) for name in ("networks_done", "networks_planned", "block_size")
        )
        counted = int(self._load("/accumulators/count").sum())
        if "/training/diverged/networks" in self.forms:
            counted += int(self._load("/training/diverged/networks"))
        wanted = (counted, -(-done // max(size, 1)), int(done == planned))
        found = (done, self.counter("blocks_done"), self.counter("complete"))
        if size < 1 or done > planned or found != wanted:
            raise DataFileError(
                f"commit counters contradict the data in {shorten(self.path.name)}: got networks_done "
                f"{done}, blocks_done {found[1]}, {counted} networks in the bins"
            )

    @property
    def networks_done(self) -> int:
        """Networks that every number of the file includes."""
        return self.counter("networks_done")

    @property
    def complete(self) -> bool:
        """Whether the run is finished."""
        return self.counter("complete") == 1

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
    def training(self) -> LazyArrays:
        """Arrays below ``/training``: "flow/sums/NAME" .., loaded when asked for; none without a training."""
        return LazyArrays(self, "/training")

    @property
    def trace_names(self) -> tuple[str, ...]:
        """What the traces of a training are called; empty without traces."""
        path = "/training/traces/name"
        return self._texts(path) if path in self.forms else ()

    @property
    def estimate_names(self) -> tuple[str, ...]:
        """Names of the stored estimates."""
        return self.groups_below("/estimates")

    def estimate(self, name: str) -> dict[str, Any]:
        """Return the arrays and attributes of one estimate, keyed as in `RunSnapshot.estimates`."""
        group = f"/estimates/{name}"
        if group not in self._content.groups:
            raise DataFileError(
                f"no estimate {shorten(name)} in {shorten(self.path.name)}: "
                f"it has {shorten(self.estimate_names)}"
            )
        return {**LazyArrays(self, group), **self.group_attributes(group)}

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
            training={name: self.training[name] for name in self.training if name != "traces/name"},
            data_sha256=str(attributes.get("/training@data_sha256", "")),
            data_source=str(attributes.get("/training@data_source", "")),
            mesh_source=str(attributes.get("/mesh@source", "")),
            mesh_sha256=str(attributes.get("/mesh@source_sha256", "")),
        )

    def read(self, path: str) -> NDArray[Any]:
        """Load a data set and compare it with its checksum.

        Raises
        ------
        DataFileError
            No such data set, or "checksum error in <data set>".
        """
        try:
            return super().read(path)
        except DataFileError as failure:
            raise with_previous(self.path, failure) from failure


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
