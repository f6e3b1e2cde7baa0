"""Combinatorics and the reference estimators."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest

from nnft.errors import NumericalError, UsageError
from nnft.theory.cumulants import joint_cumulant, pairings, set_partitions, unbiased_cumulant


def test_counts() -> None:
    assert [len(set(pairings(tuple(range(n))))) for n in (0, 2, 4, 6, 8)] == [1, 1, 3, 15, 105]
    assert [len(set(set_partitions(tuple(range(n))))) for n in range(7)] == [1, 1, 2, 5, 15, 52, 203]
    with pytest.raises(UsageError):
        list(pairings((0, 1, 2)))


def test_cumulants_of_a_poisson_variable_are_all_equal() -> None:
    rate = Fraction(3, 7)
    moments = [Fraction(1)]
    for n in range(6):  # Touchard recursion
        binomials = [1]
        for k in range(n):
            binomials.append(binomials[-1] * (n - k) // (k + 1))
        moments.append(rate * sum(b * m for b, m in zip(binomials, moments, strict=True)))
    for order in range(1, 7):
        assert joint_cumulant(lambda block: moments[len(block)], order, Fraction(1)) == rate


@pytest.mark.parametrize("variables", [(0,), (0, 1), (0, 0, 1), (0, 0, 1, 1)])
def test_estimator_is_unbiased_by_enumeration(variables: tuple[int, ...]) -> None:
    """Mean over all possible samples of four draws from a three-point law."""
    law = [(Fraction(0), Fraction(1)), (Fraction(2), Fraction(-1)), (Fraction(3), Fraction(5))]

    def moment(block: tuple[int, ...]) -> Fraction:
        total = Fraction(0)
        for point in law:
            term = Fraction(1)
            for i in block:
                term *= point[variables[i]]
            total += term
        return total / len(law)

    samples = list(itertools.product(law, repeat=4))
    mean = sum((unbiased_cumulant(s, variables) for s in samples), start=Fraction(0)) / len(samples)
    assert mean == joint_cumulant(moment, len(variables), Fraction(1))


def test_too_few_samples() -> None:
    with pytest.raises(NumericalError, match="too few samples"):
        unbiased_cumulant([[Fraction(1)]], (0, 0))
