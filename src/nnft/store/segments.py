"""Raw fields: the outputs of single networks, appended as segments beside the run file.

A segment is a small HDF5 file with a fixed number of networks. Only the last one may hold fewer; it is
replaced by its complete version later. Which rows belong to the run is said by the manifest in the run file.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from nnft.errors import DataFileError, shorten
from nnft.store.atomic import environment_errors, publish, remove_leftovers, sync_path
from nnft.store.digest import little_endian
from nnft.store.encode import create_array, create_axis, write_attribute
from nnft.store.reader import read_run
from nnft.store.schema import FORMAT_VERSION, SEGMENT_FILETYPE, SEGMENT_SCHEMA
from nnft.store.segment_files import load_segment, missing_segment, segment_name
from nnft.store.snapshot import FieldManifest, SegmentRecord

_DTYPES = ("float64", "float32")


class FieldWriter:
    """Appends the outputs of networks, in order of their index, to the segments of a run.

    Parameters
    ----------
    folder : str or path
        ``<run file>.fields``; created with the first segment.
    rows_per_segment : int
        Networks in a segment; a whole number of blocks.
    outputs, points : int
        Shape of one network's outputs.
    dtype : str
        "float64" or "float32".
    first_network : int
        Index of the first network that is stored.

    Notes
    -----
    The order of a checkpoint is: `flush`, then publish the run file with `manifest`. A crash in between
    leaves rows that no manifest names; `restore` drops them.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        rows_per_segment: int,
        outputs: int,
        points: int,
        dtype: str = "float64",
        *,
        first_network: int = 0,
    ) -> None:
        if min(rows_per_segment, outputs, points) < 1 or dtype not in _DTYPES:
            raise ValueError(
                f"got rows_per_segment {rows_per_segment}, outputs {outputs}, points {points}, "
                f"dtype {dtype}; wanted counts of at least 1 and a type of {_DTYPES}"
            )
        self.folder = Path(folder)
        self._empty = FieldManifest(outputs, points, dtype, rows_per_segment)
        self._first = first_network
        self._records: list[SegmentRecord] = []
        self._buffer: NDArray[Any] = np.empty((0, outputs, points), np.dtype(dtype).newbyteorder("<"))
        self._buffered = 0
        self._flushed = 0
        self._complete = 0
        self._unsynced: list[Path] = []

    @property
    def next_network(self) -> int:
        """Index of the network that comes next."""
        return self._first + self._empty.rows_per_segment * self._complete + self._buffered

    def append(self, first_network: int, fields: NDArray[Any]) -> None:
        """Append the outputs of consecutive networks; every full segment is written at once.

        Parameters
        ----------
        first_network : int
            Index of the first one; must be `next_network`.
        fields : ndarray, shape (n, outputs, points)
            Outputs.

        Raises
        ------
        EnvironmentRefusal
            The disk refuses.
        """
        wanted = (self._empty.outputs, self._empty.points)
        if first_network != self.next_network or fields.ndim != 3 or fields.shape[1:] != wanted:
            raise ValueError(
                f"got networks from {first_network} of shape {fields.shape}, wanted from {self.next_network} "
                f"of shape (n, {wanted[0]}, {wanted[1]})"
            )
        if fields.dtype.newbyteorder("<") != self._buffer.dtype:
            raise ValueError(f"got fields of type {fields.dtype}, wanted {self._empty.dtype}")
        rows = self._empty.rows_per_segment
        start = 0
        while start < len(fields):
            if self._buffered == 0 and len(fields) - start >= rows:
                taken = rows
                self._write(fields[start : start + rows])
            else:
                taken = min(rows - self._buffered, len(fields) - start)
                self._fill_buffer(fields[start : start + taken])
            start += taken

    def _fill_buffer(self, fields: NDArray[Any]) -> None:
        rows = self._empty.rows_per_segment
        if len(self._buffer) == 0:
            self._buffer = np.empty((rows, *self._buffer.shape[1:]), self._buffer.dtype)
        self._buffer[self._buffered : self._buffered + len(fields)] = fields
        self._buffered += len(fields)
        if self._buffered == rows:
            self._write(self._buffer)
            self._buffered = 0
            self._flushed = 0

    def flush(self) -> None:
        """Put all rows appended so far safely on disk, so that `manifest` names them.

        Raises
        ------
        EnvironmentRefusal
            The disk refuses.
        """
        if self._buffered > self._flushed:
            self._write(self._buffer[: self._buffered])
            self._flushed = self._buffered
        for path in self._unsynced:
            sync_path(path)
        if self._unsynced:
            sync_path(self.folder)
        self._unsynced = []

    def manifest(self) -> FieldManifest:
        """Return what is on disk, ready for `RunSnapshot.fields`."""
        empty = self._empty
        return FieldManifest(
            empty.outputs, empty.points, empty.dtype, empty.rows_per_segment, tuple(self._records)
        )

    def restore(self, manifest: FieldManifest) -> None:
        """Continue where `manifest` ends: load the unfinished segment, drop everything beyond.

        Call it on a new writer, while holding the run's lock.

        Raises
        ------
        DataFileError
            A segment is missing, damaged, or shorter than the manifest says.
        """
        empty = self._empty
        shape = (manifest.outputs, manifest.points, manifest.dtype, manifest.rows_per_segment)
        if shape != (empty.outputs, empty.points, empty.dtype, empty.rows_per_segment):
            raise DataFileError(
                f"stored fields have another shape in {shorten(self.folder.name)}: got {shape}"
            )
        for number, record in enumerate(manifest.segments):
            if (
                record.name != segment_name(number)
                or record.first_network != self._first + number * empty.rows_per_segment
            ):
                raise DataFileError(
                    f"segments are out of order in {shorten(self.folder.name)}: got {record.name}"
                )
            if not (self.folder / record.name).is_file():
                raise missing_segment(self.folder, record)
        self._records = list(manifest.segments)
        self._complete = sum(record.rows == empty.rows_per_segment for record in self._records)
        if self._complete < len(self._records):
            self._fill_buffer(load_segment(self.folder, manifest, self._records[-1]))
        self.remove_beyond()

    def remove_beyond(self) -> None:
        """Remove segments that the manifest does not name, and left-over temporary files."""
        if not self.folder.is_dir():
            return
        with environment_errors(self.folder):
            for path in sorted(self.folder.glob("segment-[0-9]*.h5")):
                if path.name not in {record.name for record in self._records}:
                    path.unlink()
            for number in range(len(self._records) + 1):
                remove_leftovers(self.folder / segment_name(number))

    def _write(self, fields: NDArray[Any]) -> None:
        """Publish one segment, complete or not, and note it in the manifest."""
        number = self._complete
        first = self._first + number * self._empty.rows_per_segment
        rows = little_endian(fields)
        record = SegmentRecord(segment_name(number), first, len(rows), zlib.crc32(rows.data))

        def fill(file: h5py.File) -> None:
            create_axis(file, "/output", rows.shape[1])
            create_axis(file, "/point", rows.shape[2])
            create_axis(file, "/network", len(rows))
            outputs = create_array(file, "/outputs", rows, ("/network", "/output", "/point"), checksum=False)
            entry = next(entry for entry in SEGMENT_SCHEMA if entry.path == "/outputs")
            write_attribute(outputs, "units", entry.units)
            write_attribute(outputs, "long_name", entry.long_name)
            write_attribute(file, "first_network", first)
            write_attribute(file, "filetype", SEGMENT_FILETYPE)
            write_attribute(file, "format_version", FORMAT_VERSION)
            write_attribute(file, "crc32", record.crc32)

        with environment_errors(self.folder):
            self.folder.mkdir(exist_ok=True)
        path = self.folder / record.name
        replaces = path.exists()
        publish(path, fill, keep_previous=False, sync=replaces)
        if not replaces:
            self._unsynced.append(path)
        self._records[number:] = [record]
        self._complete = number + (record.rows == self._empty.rows_per_segment)


def read_fields(path: str | os.PathLike[str], start: int = 0, stop: int | None = None) -> NDArray[Any]:
    """Read the stored outputs of networks `start` to `stop` - 1 of a run file.

    Parameters
    ----------
    path : str or path
        Run file.
    start, stop : int
        Network indices; `stop` defaults to the end of what is stored.

    Returns
    -------
    ndarray, shape (stop - start, outputs, points)
        Outputs, float64 or float32 as stored.

    Raises
    ------
    DataFileError
        The run stores no fields, or not these; a segment is missing or damaged.
    """
    with read_run(path) as run:
        return run.read_fields(start, stop)
