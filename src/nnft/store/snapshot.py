"""What a run file holds: what the writer takes and the reader returns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class HistoryEntry:
    """One line of a run's history.

    Attributes
    ----------
    action : str
        "start", "resume" or "extend".
    networks : int
        Networks done when the entry was written.
    time : str
        ISO 8601 UTC.
    version : str
        Version of nnft at work.
    """

    action: str
    networks: int
    time: str
    version: str


@dataclass(frozen=True)
class SegmentRecord:
    """Committed content of one segment of stored fields.

    Attributes
    ----------
    name : str
        File name inside the folder ``<run file>.fields``.
    first_network : int
        Index of its first network.
    rows : int
        Number of committed networks.
    crc32 : int
        CRC-32 of the raw little-endian bytes of these rows.
    """

    name: str
    first_network: int
    rows: int
    crc32: int


@dataclass(frozen=True)
class FieldManifest:
    """Which networks' outputs are stored, and in which segments.

    Attributes
    ----------
    outputs, points : int
        Shape of one network's outputs.
    dtype : str
        "float64" or "float32".
    rows_per_segment : int
        Networks in every segment but the last.
    segments : tuple of SegmentRecord
        In order of the networks, without gaps.
    """

    outputs: int
    points: int
    dtype: str
    rows_per_segment: int
    segments: tuple[SegmentRecord, ...] = ()

    @property
    def rows(self) -> int:
        """Number of committed networks in all segments."""
        return sum(segment.rows for segment in self.segments)


@dataclass(frozen=True)
class RunSnapshot:
    """State of a run after a whole number of blocks; what `write_snapshot` stores.

    Attributes
    ----------
    run_id, digest, nnft_version, created_at, updated_at : str
        Root attributes of the file.
    seed : int
        0 to 2^128 - 1.
    block_size, networks_done, networks_planned : int
        Counters; the numbers of blocks and `complete` follow from them.
    config : mapping of str to str
        Texts "resolved" and "plan", and "card" where the run had one.
    provenance : mapping of str to str
        Texts for people: "versions", "build", "host", "command", "environment".
    history : tuple of HistoryEntry
        In order of time.
    runtime : mapping of str to float
        "seconds_PHASE" and "networks_per_second".
    points : ndarray, shape (P, d), float64
        Input points after scaling.
    accumulators : mapping of str to ndarray
        Keys are paths below ``/accumulators``: "count", "shift", "sums/NAME", "indices/NAME" and so on.
    estimates : mapping of str to mapping
        For each estimate arrays "indices" (m, r), "value" (m,), "stderr" (m,), "unreliable" (m,), and
        attributes "order" (int), "pattern" (str), "estimator" (str), "networks" (int).
    theory : mapping of str to ndarray
        "nngp_kernel" (L, P, P).
    fields : FieldManifest, optional
        Stored fields.
    training : mapping
        Arrays and texts below ``/training``: "data/train_inputs", "flow/sums/NAME" and so on; empty for a run
        without training. An integer under "flows/NAME@order" is that attribute.
    data_sha256, data_source : str
        Digest and origin of the data of a training.
    mesh_source, mesh_sha256 : str
        Where the points come from; empty if unknown.
    """

    run_id: str
    digest: str
    nnft_version: str
    seed: int
    created_at: str
    updated_at: str
    block_size: int
    networks_done: int
    networks_planned: int
    config: Mapping[str, str]
    points: Array
    accumulators: Mapping[str, Array]
    provenance: Mapping[str, str] = field(default_factory=dict)
    history: tuple[HistoryEntry, ...] = ()
    runtime: Mapping[str, float] = field(default_factory=dict)
    estimates: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    theory: Mapping[str, Array] = field(default_factory=dict)
    fields: FieldManifest | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    data_sha256: str = ""
    data_source: str = ""
    mesh_source: str = ""
    mesh_sha256: str = ""

    @property
    def blocks_done(self) -> int:
        """Blocks that the counters include; the last one of a run may be short."""
        return -(-self.networks_done // self.block_size)

    @property
    def blocks_planned(self) -> int:
        """Blocks of the whole run."""
        return -(-self.networks_planned // self.block_size)

    @property
    def complete(self) -> bool:
        """Whether every planned network is done."""
        return self.networks_done == self.networks_planned

    def datasets(self) -> Iterator[tuple[str, Any]]:
        """Yield path and value (str, tuple of str, float or array) of every data set of the file."""
        for group in ("config", "provenance"):
            for name, text in getattr(self, group).items():
                yield f"/{group}/{name}", text
        history = "/provenance/history"
        yield f"{history}/action", tuple(entry.action for entry in self.history)
        yield f"{history}/networks", np.array([entry.networks for entry in self.history], np.int64)
        yield f"{history}/time", tuple(entry.time for entry in self.history)
        yield f"{history}/version", tuple(entry.version for entry in self.history)
        for name, number in self.runtime.items():
            yield f"/runtime/{name}", np.array(number, np.float64)
        yield "/mesh/points", self.points
        for name, array in self.accumulators.items():
            yield f"/accumulators/{name}", array
        for name, estimate in self.estimates.items():
            for part, content in estimate.items():
                if isinstance(content, np.ndarray):
                    yield f"/estimates/{name}/{part}", content
        for name, array in self.theory.items():
            yield f"/theory/{name}", array
        for name, content in self.training.items():
            if "@" not in name:
                yield f"/training/{name}", content
        if self.fields is not None:
            yield from _manifest_datasets(self.fields)

    def attributes(self) -> Iterator[tuple[str, str | int]]:
        """Yield path and value of every attribute below the root."""
        if self.mesh_source:
            yield "/mesh@source", self.mesh_source
        if self.mesh_sha256:
            yield "/mesh@source_sha256", self.mesh_sha256
        for name, estimate in self.estimates.items():
            for part, content in estimate.items():
                if not isinstance(content, np.ndarray):
                    yield f"/estimates/{name}@{part}", content
        if self.training:
            yield "/training@data_sha256", self.data_sha256
            yield "/training@data_source", self.data_source
        for name, content in self.training.items():
            if "@" in name:
                yield f"/training/{name}", content
        if self.fields is not None:
            for part in ("outputs", "points", "dtype", "rows_per_segment"):
                yield f"/fields_manifest@{part}", getattr(self.fields, part)


def _manifest_datasets(manifest: FieldManifest) -> Iterator[tuple[str, Any]]:
    segments = manifest.segments
    yield "/fields_manifest/name", tuple(segment.name for segment in segments)
    for part in ("first_network", "rows", "crc32"):
        yield f"/fields_manifest/{part}", np.array([getattr(segment, part) for segment in segments], np.int64)
