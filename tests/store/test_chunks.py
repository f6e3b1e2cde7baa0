"""Pieces in which arrays are laid down: few of them, whatever the order of long and short axes."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from nnft.errors import EnvironmentRefusal
from nnft.store.atomic import publish
from nnft.store.encode import create_array, create_axis

CHUNK = 1 << 20


SHAPES = [(40_000, 8, 3), (8, 40_000, 3), (5000, 2, 2, 50), (3, 200_000), (960_000,)]


@pytest.mark.parametrize("shape", SHAPES)
def test_an_array_has_as_few_chunks_as_its_size_needs(shape: tuple[int, ...], tmp_path: Path) -> None:
    """A chunk for every draw of a chain would take memory and time of its own for each of them."""
    array = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    with h5py.File(tmp_path / "array.h5", "w") as file:
        for axis, length in enumerate(shape):
            create_axis(file, f"axis{axis}", length)
        dataset = create_array(file, "x", array, tuple(f"axis{axis}" for axis in range(len(shape))))
        assert dataset.id.get_num_chunks() <= 2 * array.nbytes / CHUNK + 14
        assert np.prod(dataset.chunks) * 8 <= CHUNK
        assert dataset.id.get_storage_size() <= 2 * array.nbytes
        np.testing.assert_array_equal(dataset[()], array)


@pytest.mark.parametrize(
    "failure",
    [
        OSError("Can't synchronously write data (memory allocation failed for chunk)"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_memory_that_is_short_while_writing_is_not_called_a_disk(failure: OSError, tmp_path: Path) -> None:
    def fill(file: h5py.File) -> None:
        raise failure

    writer: Callable[[h5py.File], None] = fill
    with pytest.raises(EnvironmentRefusal, match="free memory or raise its limit, then resume"):
        publish(tmp_path / "run.h5", writer)
