"""What is seen of one network whose numbers are given: errors, outputs, tangent kernel."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnft._kernels.library import compiled, kernels_d
from nnft._kernels.renormalization import evaluate, record
from nnft._kernels.training_problem import LAYER, NUMBERS


@compiled()
def look(
    problem: Any, sets: Any, shape: Any, theta: Any, work: Any, outputs: Any, errors: Any, kernel: Any
) -> None:  # fmt: skip
    """Fill outputs (E), errors (2) and, unless it is empty, the packed tangent kernel on the mesh.

    sets, shape: see `nnft._kernels.renormalization.renormalize`. theta starts at a multiple of 64 bytes.
    """
    _, joint, mesh, targets = sets
    header = joint[0]
    values = np.empty((header[LAYER + NUMBERS * (header[0] - 1)], header[1]))
    evaluate(problem, joint, theta, work, values)
    record(values, targets, shape, header[4], outputs, errors)
    if kernel.shape[0] > 0:
        last = np.empty(kernel.shape[0])
        kernels_d(
            mesh[0].ctypes.data, problem[1].ctypes.data, mesh[1].ctypes.data, theta.ctypes.data,
            work.ctypes.data, last.ctypes.data, kernel.ctypes.data,
        )  # fmt: skip
