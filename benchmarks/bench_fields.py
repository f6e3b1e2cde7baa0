"""Appended outputs of networks through the store, against the same bytes into a plain file with a sync.

64 MiB of float64, P = 4, appended 1 MiB at a time, no filter. Wall time. The folder is the system's temporary
one: set TMPDIR to measure another disk.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness import compare, interleave, read_options, show
from nnft.store.segments import FieldWriter

GOAL = 0.5
POINTS = 4
SEGMENT_BYTES = 64 << 20  # what a run takes
PIECE_BYTES = 1 << 20

Fields = npt.NDArray[np.float64]


def through_store(fields: Fields, piece: int, folder: Path) -> None:
    """Append all fields and make them durable."""
    writer = FieldWriter(folder, SEGMENT_BYTES // (8 * POINTS), 1, POINTS)
    for first in range(0, len(fields), piece):
        writer.append(first, fields[first : first + piece])
    writer.flush()


def plain(fields: Fields, piece: int, folder: Path) -> None:
    """Write the same bytes into one file and sync it."""
    folder.mkdir()
    with open(folder / "raw", "wb", buffering=0) as file:
        for first in range(0, len(fields), piece):
            file.write(fields[first : first + piece].data)
        os.fsync(file.fileno())


def speed(
    write: Callable[[Fields, int, Path], None], fields: Fields, folder: Path
) -> Callable[[], float]:
    """Return a function that measures MB/s; what was written is removed afterwards, untimed."""

    def measure() -> float:
        begun = time.perf_counter()
        write(fields, PIECE_BYTES // (8 * POINTS), folder)
        elapsed = time.perf_counter() - begun
        shutil.rmtree(folder)
        return fields.nbytes / 1e6 / elapsed

    return measure


def main() -> None:
    """Print one line."""
    options = read_options(__doc__)
    size = options.size(64 << 20, 4 << 20)
    fields = np.random.default_rng(1).standard_normal((size // (8 * POINTS), 1, POINTS))
    with tempfile.TemporaryDirectory() as name:
        sides = {
            "nnft": speed(through_store, fields, Path(name) / "store"),
            "raw file": speed(plain, fields, Path(name) / "raw"),
        }
        interleave(sides, 1)
        samples = interleave(sides, options.rounds)
    show(compare(f"appended fields, {size >> 20} MiB", samples, GOAL, options, "MB/s"), options)


if __name__ == "__main__":
    main()
