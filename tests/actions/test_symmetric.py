"""Packed symmetric tensors against dense ones."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest

from nnft.actions import symmetric
from nnft.errors import UsageError

SIZES = [(1, 1, 4), (1, 1, 6), (3, 3, 4), (4, 2, 4), (3, 5, 4), (3, 2, 6), (4, 4, 6), (2, 5, 6), (5, 3, 2)]


def tensor(size: int, order: int, seed: int = 0) -> np.ndarray:
    return symmetric.symmetrised(np.random.default_rng(seed).normal(size=(size,) * order))


@pytest.mark.parametrize(("size", "_", "order"), SIZES)
def test_packing_keeps_every_entry(size: int, _: int, order: int) -> None:
    dense = tensor(size, order)
    packed = symmetric.pack(dense)
    assert packed.shape == (symmetric.component_count(size, order),)
    np.testing.assert_array_equal(
        symmetric.dense(packed, size, order), symmetric.dense(packed, size, order).T
    )
    rounding = math.factorial(order) * np.finfo(float).eps  # of a mean over all orders of the axes
    np.testing.assert_allclose(symmetric.dense(packed, size, order), dense, rtol=0, atol=rounding)
    for indices, value in zip(symmetric.components(size, order), packed, strict=True):
        assert value == dense[tuple(indices)]


@pytest.mark.parametrize(("size", "_", "order"), SIZES)
def test_multiplicities_count_the_orderings(size: int, _: int, order: int) -> None:
    for indices, count in zip(
        symmetric.components(size, order), symmetric.multiplicities(size, order), strict=True
    ):
        assert count == len(set(permutations(indices.tolist())))


@pytest.mark.parametrize(("size", "new", "order"), SIZES)
def test_a_change_of_basis_is_that_of_the_dense_tensor(size: int, new: int, order: int) -> None:
    dense = expected = tensor(size, order)
    matrix = np.random.default_rng(1).normal(size=(size, new))
    for _ in range(order):
        expected = np.tensordot(expected, matrix, axes=(0, 0))
    found = symmetric.transform(symmetric.pack(dense), order, matrix)
    np.testing.assert_allclose(found, symmetric.pack(expected), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("size", "_", "order"), [case for case in SIZES if case[2] > 2])
def test_a_trace_is_that_of_the_dense_tensor(size: int, _: int, order: int) -> None:
    dense = tensor(size, order)
    metric = tensor(size, 2, seed=2)
    expected = np.tensordot(dense, metric, axes=([order - 2, order - 1], [0, 1]))
    found = symmetric.trace(symmetric.pack(dense), size, order, metric)
    np.testing.assert_allclose(found, symmetric.pack(expected), rtol=1e-12, atol=1e-12)


def test_changes_of_basis_compose() -> None:
    generator = np.random.default_rng(3)
    packed = generator.normal(size=symmetric.component_count(5, 4))
    first, second = generator.normal(size=(5, 4)), generator.normal(size=(4, 3))
    step = symmetric.transform(symmetric.transform(packed, 4, first), 4, second)
    np.testing.assert_allclose(step, symmetric.transform(packed, 4, first @ second), rtol=1e-11, atol=1e-11)


def test_many_rows_go_piece_by_piece() -> None:
    """More packed pairs than one piece holds: 17 points make 153."""
    dense = tensor(17, 4)
    matrix = np.eye(17)[:, ::-1]
    found = symmetric.transform(symmetric.pack(dense), 4, np.ascontiguousarray(matrix))
    np.testing.assert_allclose(found, symmetric.pack(dense[::-1, ::-1, ::-1, ::-1]), rtol=0, atol=1e-14)


def test_odd_orders_are_refused() -> None:
    with pytest.raises(UsageError, match="got 3"):
        symmetric.transform(np.zeros(4), 3, np.eye(2))
