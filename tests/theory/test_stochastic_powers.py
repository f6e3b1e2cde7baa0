"""Moments of stochastic descent after many steps: powers, recursion, enumeration of batches."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from nnft.errors import NumericalError, UsageError
from nnft.theory.stochastic_descent import Moments, StochasticDescent
from nnft.theory.stochastic_powers import cyclic_moments, random_moments, random_powers

RNG = np.random.default_rng(20240601)
LOSSES = ("half-sum", "mean")


def descent(states: int, points: int, outputs: int = 2, decay: float = 0.3) -> StochasticDescent:
    """A descent in function space."""
    first, second = (RNG.normal(size=(states, states)) / np.sqrt(states) for _ in range(2))
    targets = RNG.normal(size=(points, outputs))
    return StochasticDescent.of_kernels(first @ first.T, second @ second.T, targets, decay)


def same(found: list[Moments], expected: list[Moments], accuracy: float = 1e-11) -> None:
    """Moments agree."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert np.allclose(one.mean, other.mean, rtol=accuracy, atol=accuracy)
        assert np.allclose(one.covariance, other.covariance, rtol=accuracy, atol=accuracy)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("batch", [1, 3])
def test_powers_are_the_recursion(loss: str, batch: int) -> None:
    trained, steps = descent(7, 4), [0, 1, 2, 7, 100]
    same(
        random_powers(trained, steps, 0.05, batch, loss), trained.random_batches(steps, 0.05, batch, loss)
    )


def one_path(
    trained: StochasticDescent, start: np.ndarray, batches: list[tuple[int, ...]], gain: float, kept: float
) -> np.ndarray:
    """A state after some batches, by hand, for one output."""
    state = start
    for batch in batches:
        pushed = sum(
            trained.push[:, p] * (trained.read[p] @ state - trained.targets[p, 0]) for p in batch
        )
        state = kept * state - gain * pushed
    return state


def test_all_batches_of_two_steps_by_enumeration() -> None:
    trained = descent(3, 2, outputs=1)
    step, size, points = 0.1, 2, 2
    root = np.linalg.cholesky(trained.covariance)
    ends = []  # states that start at one standard deviation along each direction, and at the mean
    for batches in itertools.product(itertools.product(range(points), repeat=size), repeat=2):
        chosen = list(batches)
        kept = 1.0 - step * 0.3 * size / points
        origin = one_path(trained, np.zeros(3), chosen, step, kept)
        moved = [one_path(trained, root[:, k], chosen, step, kept) - origin for k in range(3)]
        ends.append((origin, np.transpose(moved) @ moved))
    mean = np.mean([origin for origin, _ in ends], axis=0)
    second = np.mean([np.outer(origin, origin) + spread for origin, spread in ends], axis=0)
    (found,) = random_powers(trained, [2], step, size, "half-sum")
    assert np.allclose(found.mean[:, 0], mean, rtol=1e-12)
    assert np.allclose(found.covariance[0], second - np.outer(mean, mean), rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("loss", LOSSES)
def test_cyclic_steps_within_an_epoch(loss: str) -> None:
    trained, step, batch = descent(6, 5, outputs=1), 0.1, 2
    batches = [(0, 1), (2, 3), (4,)] * 3
    steps = [0, 1, 2, 3, 5, 8, 9]
    found = cyclic_moments(trained, steps, step, batch, loss)
    epochs = trained.cyclic_epochs([0, 1, 3], step, batch, loss)
    same([found[0], found[3], found[6]], epochs)
    for count, moments in zip(steps, found, strict=True):
        state = np.zeros(6)
        for taken in batches[:count]:
            if loss == "half-sum":
                gain, kept = step, 1.0 - step * 0.3 * len(taken) / 5
            else:
                gain, kept = 2.0 * step / len(taken), 1.0 - step * 0.3
            state = one_path(trained, state, [taken], gain, kept)
        assert np.allclose(moments.mean[:, 0], state, rtol=1e-11, atol=1e-13)


def test_a_million_steps_reach_the_stationary_moments() -> None:
    trained = descent(8, 5, outputs=1, decay=0.5)
    late = random_moments(trained, [1_000_000, 2_000_000], 0.05, 1, "half-sum")
    same(late[:1], late[1:], 1e-9)
    same(late[:1], trained.random_batches([8_000], 0.05, 1), 1e-8)


def test_what_takes_too_long_or_diverges_is_refused() -> None:
    with pytest.raises(UsageError, match="too long a recursion"):
        random_moments(descent(60, 40), [10_000_000], 0.01, 1, "half-sum")
    unstable = descent(6, 4)
    with pytest.raises(NumericalError, match="diverges"):
        random_powers(unstable, [10_000], 40.0, 1, "half-sum")
    with pytest.raises(NumericalError, match="diverges"):
        cyclic_moments(unstable, [10_000_000], 40.0, 1, "half-sum")
