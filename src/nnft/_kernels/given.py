"""Weights drawn from a Gaussian law that was given: mean plus root times normals, network by network."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnft._kernels.library import compiled, normals_d
from nnft._kernels.training_problem import GROUP

GIVEN = 12
"""Purpose of the normals."""


@compiled()
def draw_given(mean: Any, root: Any, key: int, network: int, out: Any) -> None:
    """Fill `out` (n,) with mean + root z, z addressed by (key, network).

    A root of one row is one of standard deviations. Sums run over z in order.
    """
    count = mean.shape[0]
    groups = (count + GROUP - 1) // GROUP
    normals = np.empty(groups * GROUP)
    normals_d(
        np.uint64(key), np.uint64(network), np.uint32(GIVEN << 12), np.uint64(0), groups, normals.ctypes.data
    )
    for i in range(count):
        if root.shape[0] == 1:
            out[i] = mean[i] + root[0, i] * normals[i]
        else:
            value = mean[i]
            for j in range(count):
                value += root[i, j] * normals[j]
            out[i] = value
