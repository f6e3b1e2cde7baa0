"""Segments of stored fields: their names, and the checked reading of one."""

from __future__ import annotations

import os
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnft.errors import DataFileError, shorten
from nnft.store.digest import little_endian
from nnft.store.guard import (
    check_dataset,
    checksum_error,
    data_file_errors,
    open_hdf5,
    open_member,
    read_attribute,
)
from nnft.store.schema import SEGMENT_FILETYPE
from nnft.store.snapshot import FieldManifest, SegmentRecord

FIELDS_SUFFIX = ".fields"
_SEGMENT = re.compile(r"segment-\d{6,}\.h5")


def fields_folder(path: str | os.PathLike[str]) -> Path:
    """Return the folder of the segments that belong to the run file `path`."""
    run = Path(path)
    return run.with_name(run.name + FIELDS_SUFFIX)


def segment_name(number: int) -> str:
    """Return the file name of a segment: ``segment-000000.h5``."""
    return f"segment-{number:06d}.h5"


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
    if not _SEGMENT.fullmatch(record.name):
        raise DataFileError(
            f"not the name of a segment in {shorten(folder.name)}: got {shorten(record.name)}"
        )
    path = folder / record.name
    if not path.is_file():
        raise missing_segment(folder, record)
    with open_hdf5(path, "a segment of stored fields") as file, data_file_errors(path, "the segment"):
        if read_attribute(file, "filetype", "/", path) != SEGMENT_FILETYPE:
            raise DataFileError(f"not a segment of stored fields: got {shorten(path.name)}")
        outputs = open_member(file, "outputs", path)
        check_dataset(outputs, "outputs", path)
        first = read_attribute(file, "first_network", "/", path)
        wanted = (manifest.outputs, manifest.points)
        if outputs.shape[1:] != wanted or outputs.dtype.newbyteorder("=") != np.dtype(manifest.dtype):
            raise DataFileError(
                f"wrong shape in {shorten(path.name)}: got {outputs.dtype} {outputs.shape}, wanted "
                f"{manifest.dtype} (rows, {wanted[0]}, {wanted[1]})"
            )
        if len(outputs) < record.rows or not 0 <= record.rows <= manifest.rows_per_segment:
            raise DataFileError(
                f"segment is too short: got {len(outputs)} rows in {shorten(path.name)}, wanted {record.rows}"
            )
        rows = little_endian(np.asarray(outputs[: record.rows]))
    if zlib.crc32(rows.data) != record.crc32 or first != record.first_network:
        raise checksum_error(path, "the stored fields")
    return rows


def load_networks(folder: Path, manifest: FieldManifest, start: int, stop: int | None) -> NDArray[Any]:
    """Load the outputs of networks `start` to `stop` - 1 (default: to the end) from their segments.

    Raises
    ------
    DataFileError
        These networks are not stored, or a segment is missing or damaged.
    """
    first = manifest.segments[0].first_network if manifest.segments else 0
    end = first + manifest.rows
    stop = end if stop is None else stop
    if not first <= start <= stop <= end:
        raise DataFileError(
            f"networks {start} to {stop} are not stored in {shorten(folder.name)}: got {first} to {end}"
        )
    with data_file_errors(folder, "the stored fields"):
        result = np.empty((stop - start, manifest.outputs, manifest.points), np.dtype(manifest.dtype))
    for record in manifest.segments:
        low, high = max(start, record.first_network), min(stop, record.first_network + record.rows)
        if low < high:
            rows = load_segment(folder, manifest, record)
            result[low - start : high - start] = rows[
                low - record.first_network : high - record.first_network
            ]
    return result


def missing_segment(folder: Path, record: SegmentRecord) -> DataFileError:
    """Return the error for a segment file that is not there."""
    return DataFileError(
        f"segment of stored fields is missing: got no {record.name} in {shorten(str(folder), 80)}; "
        "move the folder together with the run file"
    )
