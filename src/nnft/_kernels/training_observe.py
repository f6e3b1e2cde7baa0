"""What is recorded of the members of a trained ensemble: outputs, errors, weights, kernels, Gaussian
readouts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nnft._kernels.library import compiled, dot_d, kernels_d, outputs_d, weighted_square_d
from nnft._kernels.training import CHAINS, KEY, MEMBER, WORK
from nnft._kernels.training_problem import (
    DECAY,
    LAYER,
    NUMBERS,
    aligned,
    decay_energy,
    draw_start,
    gradient,
    scratch,
    squared_error,
)
from nnft._kernels.training_steps import FACTOR, TEMPERATURE

TRAIN_ERROR, TEST_ERROR, ENERGY, LAYERS = range(4)
"""Columns of the scalars: squared error per target on the training and the test points, energy; from LAYERS
on, for each layer the sum of squares of its weights, then for each layer the virial sum theta dE/dtheta."""


@compiled()
def layer_scalars(problem: Any, numbers: Any, theta: Any, grad: Any, out: Any) -> None:
    """Sum of squares of the weights, without biases, and virial of every layer: out (2 L)."""
    header, columns = problem[0], problem[3]
    layers, start = header[0], 0
    chosen = np.zeros(columns.shape[1])  # lives through the loop: C sees only its address
    for level in range(layers):
        k = LAYER + NUMBERS * level
        rows, fan_in, stride, offset = header[k], header[k + 1], header[k + 3], header[k + 4]
        chosen[:fan_in] = 1.0
        chosen[fan_in:stride] = 0.0
        out[level] = weighted_square_d(rows, stride, chosen.ctypes.data, theta[offset:].ctypes.data)
        virial = 0.0
        if header[k + 5]:
            count = rows * stride
            virial = numbers[FACTOR] * dot_d(count, theta[offset:].ctypes.data, grad[offset:].ctypes.data)
            virial += weighted_square_d(
                rows, stride, columns[DECAY, start:].ctypes.data, theta[offset:].ctypes.data
            )
        out[layers + level] = virial
        start += stride


@compiled()
def observe(problem: Any, sets: Any, plan: Any, numbers: Any, theta: Any, outputs: Any, scalars: Any) -> None:
    """Outputs on the mesh and scalars of all members, whatever their status.

    Parameters
    ----------
    problem, plan, numbers, theta
        See `nnft._kernels.training`.
    sets : tuple
        Header and data of the mesh, header and data of the test points (a header of 0 points: none).
    outputs : float64[:, :]
        (members, P) of the observed output; filled.
    scalars : float64[:, :]
        (members, 3 + 2 L); filled.
    """
    mesh_header, mesh, test_header, test = sets
    header, parameters, data, _ = problem
    work, grad = scratch(plan[WORK]), aligned(theta.shape[1])
    for m in range(theta.shape[0]):
        place = theta[m]
        if numbers[TEMPERATURE] > 0.0:
            loss = gradient(problem, place, work, grad)
        else:  # without a temperature there is no virial to look at
            loss = squared_error(header, parameters, data, place, work)
        targets = header[1] * header[LAYER + NUMBERS * (header[0] - 1)]
        scalars[m, TRAIN_ERROR] = loss / targets
        scalars[m, TEST_ERROR] = np.nan
        if test_header[1] > 0:
            error = squared_error(test_header, parameters, test, place, work)
            scalars[m, TEST_ERROR] = error / (targets // header[1] * test_header[1])
        scalars[m, ENERGY] = 0.5 * numbers[FACTOR] * loss + decay_energy(problem, place)
        layer_scalars(problem, numbers, place, grad, scalars[m, LAYERS:])
        points = mesh_header[1]
        count = mesh_header[LAYER + NUMBERS * (mesh_header[0] - 1)]
        values = np.empty(points * count)
        outputs_d(
            mesh_header.ctypes.data, parameters.ctypes.data, mesh.ctypes.data, place.ctypes.data,
            work.ctypes.data, values.ctypes.data,
        )  # fmt: skip
        observed = mesh_header[4]
        for a in range(points):
            outputs[m, a] = values[observed * points + a]


@compiled()
def mesh_kernels(
    problem: Any, mesh_header: Any, mesh: Any, theta: Any, work: Any, readout: Any, out: Any
) -> None:
    """Fill out (2 Q): kernel of the readout C_b + C_W/n phi.phi, then tangent kernel, packed pairs."""
    parameters = problem[1]
    pairs = out.shape[0] // 2
    kernels_d(
        mesh_header.ctypes.data, parameters.ctypes.data, mesh.ctypes.data, theta.ctypes.data,
        work.ctypes.data, out.ctypes.data, out[pairs:].ctypes.data,
    )  # fmt: skip
    for q in range(pairs):
        out[q] = readout[1] + readout[0] * out[q]


@compiled()
def observe_kernels(
    problem: Any, sets: Any, plan: Any, readout: Any, theta: Any, kernels: Any, movement: Any
) -> None:
    """Kernels of all members on the mesh, and how far they are from those at the start.

    Parameters
    ----------
    problem, sets, plan, theta
        See `observe`.
    readout : float64[2]
        C_W / n and C_b of the last layer.
    kernels : float64[:, :]
        (members, 2 Q); filled.
    movement : float64[:, :]
        (members, 2): norm of the change over the norm at the start, of both kernels; filled.
    """
    mesh_header, mesh = sets[0], sets[1]
    work, place = scratch(plan[WORK]), aligned(theta.shape[1])
    before = np.empty(kernels.shape[1])
    for m in range(theta.shape[0]):
        member, chains = plan[MEMBER] + m, plan[CHAINS]
        draw_start(problem, plan[KEY], member // chains, member % chains, chains, place)
        mesh_kernels(problem, mesh_header, mesh, place, work, readout, before)
        mesh_kernels(problem, mesh_header, mesh, theta[m], work, readout, kernels[m])
        pairs = before.shape[0] // 2
        for k in range(2):
            moved, size = 0.0, 0.0
            q = k * pairs
            for a in range(mesh_header[1]):
                for b in range(a, mesh_header[1]):
                    weight = 1.0 if a == b else 2.0
                    moved += weight * (kernels[m, q] - before[q]) ** 2
                    size += weight * before[q] ** 2
                    q += 1
            movement[m, k] = np.sqrt(moved / size) if size > 0.0 else 0.0
