"""Files of compiled kernels: no two of them have one name, whichever process writes them."""

from __future__ import annotations

import numpy as np
import pytest

from nnft._kernels import library


def doubled(value: float) -> float:
    return value + value


@pytest.mark.skipif(library.cache_folder is None, reason="no folder for compiled kernels")
def test_names_of_files_are_used_once() -> None:
    kernels = [library.compiled()(doubled) for _ in range(2)]  # two processes would see the same index
    files = [kernel._cache._cache_file for kernel in kernels]  # type: ignore[attr-defined]
    assert len({file._data_name(1) for file in files for _ in range(3)}) == 6
    assert kernels[0](2.0) == kernels[1](2.0) == 4.0
    assert kernels[0](np.int64(3)) == 6
    names = list(files[0]._load_index().values())
    assert len(set(names)) == len(names) >= 2
    assert all((library.Path(files[0]._cache_path) / name).is_file() for name in names)


@pytest.mark.skipif(library.cache_folder is None, reason="no folder for compiled kernels")
def test_a_kernel_is_loaded_from_its_file() -> None:
    library.compiled()(doubled)(2.0)
    again = library.compiled()(doubled)
    assert again(2.0) == 4.0
    assert sum(again.stats.cache_hits.values()) == 1  # type: ignore[attr-defined]
