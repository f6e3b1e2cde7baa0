"""Words and normals of the compiled core as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nnft._kernels import _core
from nnft._kernels.reference_random import Stream

Array = npt.NDArray[Any]


def words(stream: Stream, group: int, groups: int, isa: str = "auto") -> Array:
    """Words of whole groups of eight blocks, shape (8 groups, 4)."""
    out = np.empty((groups, 4, 8), dtype=np.uint32)
    _core.words(stream.key, stream.network, stream.tag, group, out, isa)
    return out.transpose(0, 2, 1).reshape(-1, 4)


def normals(stream: Stream, group: int, count: int, precision: str, isa: str = "auto") -> Array:
    """Normals from the start of a group on; `count` in whole groups."""
    out = np.empty(count, dtype=precision)
    _core.normals(stream.key, stream.network, stream.tag, group, out, isa)
    return out
