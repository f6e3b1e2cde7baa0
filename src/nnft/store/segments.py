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
from nnft.store.atomic import environment_errors, publish, remove_leftovers
from nnft.store.digest import little_endian
from nnft.store.encode import create_array, create_axis, write_attribute
from nnft.store.guard import check_dataset, checksum_error, data_file_errors, open_hdf5, read_attribute
from nnft.store.reader import StoredRun, read_run
from nnft.store.schema import FORMAT_VERSION, SEGMENT_FILETYPE, SEGMENT_SCHEMA
from nnft.store.snapshot import FieldManifest, SegmentRecord

FIELDS_SUFFIX = ".fields"
_DTYPES = ("float64", "float32")


def fields_folder(path: str | os.PathLike[str]) -> Path:
    """Return the folder of the segments that belong to the run file `path`."""
    run = Path(path)
    return run.with_name(run.name + FIELDS_SUFFIX)


def segment_name(number: int) -> str:
    """Return the file name of a segment: ``segment-000000.h5``."""
    return f"segment-{number:06d}.h5"


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
        """Write the rows of the unfinished segment, so that `manifest` names all rows appended so far."""
        if self._buffered > self._flushed:
            self._write(self._buffer[: self._buffered])
            self._flushed = self._buffered

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
                raise _missing(self.folder, record)
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
            index = np.arange(first, first + len(rows), dtype="<i8")
            network = create_array(file, "/network", index, (), checksum=False)
            network.make_scale("network")
            outputs = create_array(file, "/outputs", rows, ("/network", "/output", "/point"), checksum=False)
            for dataset, path in ((network, "/network"), (outputs, "/outputs")):
                entry = next(entry for entry in SEGMENT_SCHEMA if entry.path == path)
                write_attribute(dataset, "units", entry.units)
                write_attribute(dataset, "long_name", entry.long_name)
            write_attribute(file, "filetype", SEGMENT_FILETYPE)
            write_attribute(file, "format_version", FORMAT_VERSION)
            write_attribute(file, "crc32", record.crc32)

        with environment_errors(self.folder):
            self.folder.mkdir(exist_ok=True)
        publish(self.folder / record.name, fill, keep_previous=False)
        self._records[number:] = [record]
        self._complete = number + (record.rows == self._empty.rows_per_segment)


def load_segment(folder: Path, manifest: FieldManifest, record: SegmentRecord) -> NDArray[Any]:
    """Load the committed rows of a segment and compare them with the manifest's checksum.

    Returns
    -------
    ndarray, shape (rows, outputs, points)
        Outputs; rows beyond the committed ones are dropped.

    Raises
    ------
    DataFileError
        Missing, damaged, shorter than the manifest says, or not the segment that the manifest names.
    """
    path = folder / record.name
    if not path.is_file():
        raise _missing(folder, record)
    with open_hdf5(path, "a segment of stored fields") as file, data_file_errors(path, "the segment"):
        if read_attribute(file, "filetype", "/", path) != SEGMENT_FILETYPE:
            raise DataFileError(f"not a segment of stored fields: got {shorten(path.name)}")
        outputs, network = file["outputs"], file["network"]
        for name, dataset in (("outputs", outputs), ("network", network)):
            check_dataset(dataset, name, path)
        wanted = (manifest.outputs, manifest.points)
        if outputs.shape[1:] != wanted or outputs.dtype.newbyteorder("=") != np.dtype(manifest.dtype):
            raise DataFileError(
                f"wrong shape in {shorten(path.name)}: got {outputs.dtype} {outputs.shape}, wanted "
                f"{manifest.dtype} (rows, {wanted[0]}, {wanted[1]})"
            )
        if min(len(outputs), len(network)) < record.rows or not 0 <= record.rows <= manifest.rows_per_segment:
            raise DataFileError(
                f"segment is too short: got {len(outputs)} rows in {shorten(path.name)}, wanted {record.rows}"
            )
        rows = little_endian(np.asarray(outputs[: record.rows]))
        index = np.asarray(network[: record.rows])
    if zlib.crc32(rows.data) != record.crc32 or not np.array_equal(
        index, np.arange(record.first_network, record.first_network + record.rows)
    ):
        raise checksum_error(path, "the stored fields")
    return rows


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
        return fields_of(run, start, stop)


def fields_of(run: StoredRun, start: int = 0, stop: int | None = None) -> NDArray[Any]:
    """Like `read_fields`, for an open run."""
    manifest = run.fields
    if manifest is None or not manifest.segments:
        raise DataFileError(f"no stored fields in {shorten(run.path.name)}; set store.fields in the card")
    first = manifest.segments[0].first_network
    end = first + manifest.rows
    stop = end if stop is None else stop
    if not first <= start <= stop <= end:
        raise DataFileError(
            f"networks {start} to {stop} are not stored in {shorten(run.path.name)}: got {first} to {end}"
        )
    result = np.empty((stop - start, manifest.outputs, manifest.points), np.dtype(manifest.dtype))
    for record in manifest.segments:
        low, high = max(start, record.first_network), min(stop, record.first_network + record.rows)
        if low < high:
            rows = load_segment(fields_folder(run.path), manifest, record)
            result[low - start : high - start] = rows[
                low - record.first_network : high - record.first_network
            ]
    return result


def _missing(folder: Path, record: SegmentRecord) -> DataFileError:
    return DataFileError(
        f"segment of stored fields is missing: got no {record.name} in {shorten(str(folder), 80)}; "
        "move the folder together with the run file"
    )
