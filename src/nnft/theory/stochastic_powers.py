"""Moments of stochastic descent after many steps: recursion, or powers of the map of one step.

With ``z = (v, 1)`` a batch b maps ``z -> A_b z``, and the second moments ``M = E[z z^T]`` by the linear map
``M -> E_b[A_b M A_b^T]`` (Bach and Moulines, NIPS 2013, arXiv:1306.2119). Its powers of two give any number
of steps. A fixed order of batches is one affine map for each epoch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nnft.errors import NumericalError, UsageError
from nnft.theory.activations import Array
from nnft.theory.normalisation import loss_factor
from nnft.theory.stochastic_descent import Moments, StochasticDescent

MOST_MOMENTS = 1400
"""Second moments up to which their map is a matrix."""

QUICK_WORK = 5e8
MOST_WORK = 6e9
"""Multiplications of a recursion that are done rather than powers, and at most."""


def random_moments(
    descent: StochasticDescent, steps: Sequence[int], step: float, batch_size: int, loss: str
) -> list[Moments]:
    """Return moments after batches drawn with replacement, by the cheaper of recursion and powers.

    Parameters and errors are those of `StochasticDescent.random_batches`.

    Raises
    ------
    UsageError
        If there are too many states for so many steps.
    """
    states, outputs = descent.mean.shape
    points, last = len(descent.targets), max(steps, default=0)
    work = float(last) * outputs * (states**2 * points + 20_000.0)
    if work > QUICK_WORK and (states + 1) * (states + 2) // 2 <= MOST_MOMENTS:
        return random_powers(descent, steps, step, batch_size, loss)
    if work > MOST_WORK:
        raise UsageError(
            f"too long a recursion of stochastic descent: got {last} steps of {states} numbers; "
            "use fewer points or steps"
        )
    return descent.random_batches(steps, step, batch_size, loss)


def random_powers(
    descent: StochasticDescent, steps: Sequence[int], step: float, batch_size: int, loss: str
) -> list[Moments]:
    """Return moments after batches drawn with replacement, by powers of the map of one step.

    Parameters are those of `StochasticDescent.random_batches`; the steps may be in any order.

    Raises
    ------
    NumericalError
        If the moments diverge beyond the range of numbers.
    """
    found = [
        _output_powers(descent, output, steps, step, batch_size, loss)
        for output in range(descent.targets.shape[1])
    ]
    moments = []
    for place in range(len(steps)):
        mean = np.stack([rows[place][:-1, -1] for rows in found], axis=1)
        covariance = np.stack([rows[place][:-1, :-1] for rows in found])
        covariance = covariance - np.einsum("id,jd->dij", mean, mean)
        moments.append(Moments(mean, covariance))
    return moments


def _output_powers(
    descent: StochasticDescent, output: int, steps: Sequence[int], step: float, batch_size: int, loss: str
) -> list[Array]:
    """Second moments of (v, 1) of one output after every number of steps, each (m + 1, m + 1)."""
    start = np.append(descent.mean[:, output], 1.0)
    moment = np.outer(start, start)
    moment[:-1, :-1] += descent.covariance
    size = len(start)
    rows, columns = np.triu_indices(size)
    matrix = _map_of_one_step(descent, output, step, batch_size, loss)
    packed = np.repeat(moment[rows, columns][:, None], len(steps), axis=1)
    left = np.array(steps, dtype=np.int64)
    with np.errstate(over="ignore", invalid="ignore"):
        while left.any():
            odd = left % 2 == 1
            packed[:, odd] = matrix @ packed[:, odd]
            left //= 2
            if left.any():
                matrix = matrix @ matrix
    if not np.isfinite(packed).all():
        raise NumericalError(f"stochastic descent diverges: got step {step:.6g}; use a smaller step")
    found = np.empty((len(steps), size, size))
    found[:, rows, columns] = found[:, columns, rows] = packed.T
    return list(found)


def _map_of_one_step(
    descent: StochasticDescent, output: int, step: float, batch_size: int, loss: str
) -> Array:
    """Matrix of the map of packed second moments, shape (S, S)."""
    points, states = descent.read.shape
    size, kept = batch_sizes(descent, step, batch_size, loss)
    read = np.column_stack([descent.read, -descent.targets[:, output]])
    push = size * np.vstack([descent.push, np.zeros((1, points))])
    stay = np.append(kept, 1.0)
    rows, columns = np.triu_indices(states + 1)
    result = np.empty((len(rows), len(rows)))
    for k, (row, column) in enumerate(zip(rows, columns, strict=True)):
        moment = np.zeros((states + 1, states + 1))
        moment[row, column] = moment[column, row] = 1.0
        half = read @ moment
        inner = half @ read.T
        pairs = batch_size * (batch_size - 1) / points**2 * inner
        pairs[np.diag_indices(points)] += batch_size / points * np.diagonal(inner)
        update = push @ (0.5 * pairs @ push.T - batch_size / points * half * stay)
        result[:, k] = (stay[:, None] * moment * stay + update + update.T)[rows, columns]
    return result


def cyclic_moments(
    descent: StochasticDescent, steps: Sequence[int], step: float, batch_size: int, loss: str
) -> list[Moments]:
    """Return moments after batches in the order of the data, the last batch of an epoch short.

    Parameters are those of `StochasticDescent.random_batches`; any numbers of steps, not only whole epochs.

    Raises
    ------
    NumericalError
        If the moments diverge beyond the range of numbers.
    """
    firsts = range(0, len(descent.targets), batch_size)
    states, outputs = descent.mean.shape
    starts = [(np.eye(states), np.zeros((states, outputs)))]
    for first in firsts:
        starts.append(_after_batch(descent, *starts[-1], slice(first, first + batch_size), step, loss))
    found = []
    for count in steps:
        epochs, batches = divmod(count, len(firsts))
        matrix, shift = _power(*starts[-1], epochs)
        part, move = starts[batches]
        matrix, shift = part @ matrix, part @ shift + move
        mean = matrix @ descent.mean + shift
        covariance = matrix @ descent.covariance @ matrix.T
        if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
            raise NumericalError(f"stochastic descent diverges: got step {step:.6g}; use a smaller step")
        found.append(Moments(mean, np.repeat(covariance[None], outputs, axis=0)))
    return found


def _after_batch(
    descent: StochasticDescent, matrix: Array, shift: Array, part: slice, step: float, loss: str
) -> tuple[Array, Array]:
    size, kept = batch_sizes(descent, step, len(descent.targets[part]), loss)
    read, push = descent.read[part], size * descent.push[:, part]
    return (
        kept[:, None] * matrix - push @ (read @ matrix),
        kept[:, None] * shift - push @ (read @ shift - descent.targets[part]),
    )


def _power(matrix: Array, shift: Array, count: int) -> tuple[Array, Array]:
    """``count`` times the affine map ``v -> matrix v + shift``."""
    found, moved = np.eye(len(matrix)), np.zeros_like(shift)
    with np.errstate(over="ignore", invalid="ignore"):
        while count:
            if count % 2:
                found, moved = matrix @ found, matrix @ moved + shift
            count //= 2
            if count:
                matrix, shift = matrix @ matrix, matrix @ shift + shift
    return found, moved


def batch_sizes(descent: StochasticDescent, step: float, batch_size: int, loss: str) -> tuple[float, Array]:
    """Step times the gain of one point of a batch, and the factors by which decay multiplies the state.

    Parameters
    ----------
    descent : StochasticDescent
    step : float
        Learning rate.
    batch_size : int
        Points in the batch.
    loss : str
        Word for the loss.
    """
    points, factor = len(descent.targets), loss_factor(loss, batch_size)
    share = factor * batch_size / (loss_factor(loss, points) * points)
    return 2.0 * step * factor, np.asarray(1.0 - step * share * descent.decay, dtype=np.float64)
