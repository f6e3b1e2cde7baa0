"""Hand-written gradients and kernels of networks: differences, NumPy twins, padding."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from laws import unpacked
from training_twins import Case, data, training

from nnft._kernels import training_problem
from nnft.samplers.initial import ACTIVATION_KINDS
from nnft.samplers.trained import Schedule
from nnft.samplers.training_problem import on_cache_lines

Array = npt.NDArray[Any]

POINTS = [1, 7, 8, 9, 100]
KINKS = {"relu", "leaky_relu"}
SHAPES: list[tuple[tuple[int, ...], int, float, tuple[int, ...]]] = [
    ((), 2, 0.2, (1,)),
    ((5,), 1, 0.0, (1, 2)),
    ((6, 3), 3, 0.3, (1, 3)),
    ((4, 9, 2), 2, 0.1, (2, 3, 4)),
]
"""Hidden widths, outputs, bias variance, layers that are trained."""
WIDE: list[tuple[tuple[int, ...], int, float, tuple[int, ...]]] = [
    ((40, 33), 5, 0.1, (1, 2, 3)),
    ((70,), 1, 0.0, (1, 2)),
    ((150, 12), 1, 0.2, (1, 2, 3)),
]
"""Points in blocks of 32, sums of more than 128 terms."""


def case_of(activation: str, points: int, shape: Any, seed: int = 0) -> Case:
    widths, outputs, bias, trainable = shape
    inputs, targets = data(points, 3, outputs, seed)
    weight = 0.3 if activation == "exp" else 1.4
    return training(inputs, targets, widths, activation, weight=weight, bias=bias, trainable=trainable)


def squares(case: Case, theta: Array) -> float:
    """Sum of squares from the compiled forward pass."""
    header, parameters, points, _ = case.problem.arrays
    work = on_cache_lines(np.full(case.problem.work_size(), np.nan))
    return float(training_problem.squared_error(header, parameters, points, theta, work))


def slope(case: Case, theta: Array) -> tuple[float, Array]:
    """Sum of squares and gradient of half of it; what is not filled stays NaN."""
    work = on_cache_lines(np.full(case.problem.work_size(), np.nan))
    out = on_cache_lines(np.full(case.problem.size, np.nan))
    return float(training_problem.gradient(case.problem.arrays, theta, work, out)), out


def start(case: Case, margin: float) -> Array:
    """Weights, flat, of a network whose neurons all stay away from a kink on all points."""
    law = case.law
    for network in range(1000):
        theta = law.start(network)
        values, closest = law.network.points.T, np.inf
        for matrix, (_, _, biased) in list(zip(law.matrices(theta), law.shapes, strict=True))[:-1]:
            values = matrix @ np.concatenate([values, np.ones((biased, values.shape[1]))])
            closest = min(closest, float(abs(values).min()))
            values = law.network.activate(values)
        if closest > margin:
            return theta
    raise AssertionError("no network away from its kinks")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("points", POINTS)
@pytest.mark.parametrize("activation", ACTIVATION_KINDS)
def test_central_differences(activation: str, points: int, shape: Any) -> None:
    case = case_of(activation, points, shape)
    step = 1e-6 if activation in KINKS else 3e-6
    theta = start(case, 10.0 * step if activation in KINKS else 0.0)
    found = slope(case, case.padded(theta))[1]
    difference = np.empty(theta.size)
    for k in range(theta.size):
        ends = []
        for sign in (1.0, -1.0):
            moved = theta.copy()
            moved[k] += sign * step
            ends.append(squares(case, case.padded(moved)))
        difference[k] = (ends[0] - ends[1]) / (4.0 * step)
    live = case.law.live != 0.0
    error = abs(case.flat(found) - difference)[live]
    assert error.max() < 1e-6 * abs(difference[live]).max()
    assert np.isnan(case.flat(found)[~live]).all()


@pytest.mark.parametrize("shape", [*SHAPES, *WIDE])
@pytest.mark.parametrize("activation", ACTIVATION_KINDS)
def test_gradient_is_that_of_the_twin(activation: str, shape: Any) -> None:
    for points in (1, 9, 33):
        case = case_of(activation, points, shape, seed=points)
        theta = case.law.start(3)
        loss, found = slope(case, case.padded(theta))
        expected = case.law.squares_gradient(theta)
        live = case.law.live != 0.0
        largest = abs(expected).max() + loss
        steepness = 1.0 + np.log1p(largest) if activation == "exp" else 1.0  # of the relative error of exp(z)
        assert abs(case.flat(found)[live] - expected[live]).max() < 1e-13 * points**0.5 * largest * steepness
        assert loss == pytest.approx(case.law.squares(theta), rel=1e-13 * steepness)
        assert loss == squares(case, case.padded(theta))


@pytest.mark.parametrize("shape", SHAPES)
def test_padding_is_zero_and_never_looked_at(shape: Any) -> None:
    """Garbage between the weights changes no bit; the gradient is zero there, so that it stays zero."""
    for points in POINTS:
        case = case_of("erf", points, shape)
        theta = case.law.start(1)
        loss, found = slope(case, case.padded(theta))
        garbage = slope(case, case.padded(theta, np.nan))
        assert loss == garbage[0]
        assert np.array_equal(found, garbage[1], equal_nan=True)
        for rows, _, columns, stride, offset, trained in case.layers:
            block = found[offset : offset + rows * stride].reshape(rows, stride)
            assert np.all(block[:, columns:] == 0.0) if trained else np.isnan(block).all()


def test_a_point_does_not_see_the_others() -> None:
    """Outputs of a point have the same bits whatever the set and its place in it; sums of losses are sums."""
    for activation in ACTIVATION_KINDS:
        inputs, targets = data(100, 3, 2)
        case = training(inputs, targets, (9, 6), activation)
        schedule = Schedule("gd", 0.1, 1.0)
        outputs = {}
        for size in (1, 7, 8, 9, 100):
            ensemble = case.ensemble(schedule, inputs[100 - size :])
            outputs[size] = ensemble.observe(ensemble.start(5, 2))[0]
        for size in (1, 7, 8, 9):
            assert np.array_equal(outputs[size], outputs[100][:, -size:])
        theta = case.padded(case.law.start(5))
        parts = [training(inputs[k], targets[k], (9, 6), activation) for k in np.split(np.arange(100), 4)]
        sums = sum(slope(part, theta)[1] for part in parts)
        whole = slope(case, theta)[1]
        assert abs(case.flat(sums - whole)).max() < 1e-12 * abs(case.flat(whole)).max()


def test_points_of_the_padding_may_overflow() -> None:
    """Where a network overflows at x = 0 but not at its points, the padding with x = 0 does not matter."""
    inputs = np.full((3, 1), -1.0)
    case = training(inputs, np.ones((3, 1)), (1, 1), "exp")
    theta = np.array([10.0, 8.0, 1.0, 0.0, 1.0, 0.0])  # exp(exp(10 x + 8)): e^-2 inside, e^8 at x = 0
    assert np.exp(8.0) > np.log(np.finfo(np.float64).max)
    loss, found = slope(case, case.padded(theta))
    assert loss == pytest.approx(case.law.squares(theta), rel=1e-13)
    assert np.isfinite(case.flat(found)).all()
    assert squares(case, case.padded(theta)) == loss


@pytest.mark.parametrize("observe", [0, 2])
def test_twin_has_the_right_jacobian(observe: int) -> None:
    """Derivatives of the outputs of the twin by differences of its outputs."""
    inputs, targets = data(4, 3, 3)
    law = training(inputs, targets, (5, 4), "gelu").law
    theta, step = law.start(2), 1e-5
    slopes = law.jacobian(theta, inputs, observe)
    for k in range(theta.size):
        move = step * np.eye(theta.size)[k]
        above, below = law.outputs(theta + move, inputs), law.outputs(theta - move, inputs)
        assert slopes[:, k] == pytest.approx((above - below)[observe] / (2.0 * step), rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("standard", [False, True])
@pytest.mark.parametrize("points", [1, 8, 11])
@pytest.mark.parametrize("shape", [*SHAPES, ((40, 33), 3, 0.1, (1, 2, 3))])
def test_kernels_are_those_of_the_jacobian(shape: Any, points: int, standard: bool) -> None:
    """Tangent kernel with the mobilities of the trained layers, and kernel of the readout, on a mesh."""
    widths, outputs, bias, trainable = shape
    inputs, targets = data(5, 3, outputs)
    mesh = data(points, 3, seed=9)[0]
    observe = outputs - 1
    weights = [1.1 + 0.2 * layer for layer in range(len(widths) + 1)]
    case = training(
        inputs, targets, widths, "silu", weight=weights, bias=bias, trainable=trainable, standard=standard,
        observe=observe,
    )  # fmt: skip
    ensemble = case.ensemble(Schedule("gd", 0.05, 1.0), mesh)
    wave = ensemble.start(3, 2)
    before = unpacked(ensemble.kernels(wave)[0].reshape(2, 2, -1), points)
    ensemble.advance(wave, 2)
    kernels, movement = ensemble.kernels(wave)
    after = unpacked(kernels.reshape(2, 2, -1), points)
    for m in range(2):
        last = case.flat(ensemble.weights(wave)[m])
        for found, flat in ((before[m], case.law.start(3 + m)), (after[m], last)):
            readout, tangent = (
                case.law.readout_kernel(flat, mesh),
                case.law.tangent_kernel(flat, mesh, observe),
            )
            assert abs(found[0] - readout).max() < 1e-12 * abs(readout).max()
            assert abs(found[1] - tangent).max() < 1e-12 * abs(tangent).max()
        change = np.linalg.norm(after[m] - before[m], axis=(1, 2)) / np.linalg.norm(before[m], axis=(1, 2))
        assert movement[m] == pytest.approx(change, rel=1e-9, abs=1e-15)


def test_scalars_are_those_of_the_twin() -> None:
    """Errors on training and test points, energy, squares of the weights and virial of every layer."""
    inputs, targets = data(9, 3, 2)
    held = data(5, 3, 2, seed=4)
    for trainable in ((1, 2, 3), (1, 3), (2,)):
        case = training(inputs, targets, (6, 5), "erf", temperature=0.3, factor=0.7, trainable=trainable)
        ensemble = case.ensemble(Schedule("langevin", 0.1, 0.7, temperature=0.3), test=held)
        wave = ensemble.start(0, 3)
        outputs, scalars = ensemble.observe(wave)
        for m in range(3):
            law, theta = case.law, case.law.start(m)
            assert outputs[m] == pytest.approx(law.outputs(theta, inputs[:2])[0], rel=1e-13)
            error = np.mean((law.outputs(theta, held[0]) - held[1].T) ** 2)
            expected = [law.squares(theta) / 18, error, law.energy(theta)]
            matrices = law.matrices(theta)
            expected += [float(np.sum(w[:, : s[1]] ** 2)) for w, s in zip(matrices, law.shapes, strict=True)]
            virial = law.matrices(theta * law.energy_gradient(theta))
            expected += [float(np.sum(part)) for part in virial]
            assert scalars[m] == pytest.approx(expected, rel=1e-12, abs=1e-13)
    none = case.ensemble(Schedule("gd", 0.1, 1.0))
    assert np.isnan(none.observe(none.start(0, 1))[1][0, 1])


def test_start_is_that_of_the_twin() -> None:
    inputs, targets = data(4, 3, 2)
    for widths in ((), (5,), (17, 16), (3, 40, 2)):
        case = training(inputs, targets, widths, "tanh", weight=1.3, bias=0.4)
        ensemble = case.ensemble(Schedule("hmc", 0.1, 1.0, temperature=0.1, chains=3))
        theta = ensemble.start(7, 2).theta
        for m, row in enumerate(theta):
            expected = case.law.start(7 + m // 3, m % 3, 3)
            assert case.flat(row) == pytest.approx(expected, rel=1e-13, abs=1e-14)
            assert np.all(row[case.is_padding()] == 0.0)
