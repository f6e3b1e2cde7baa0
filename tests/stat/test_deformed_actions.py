"""The action and the closure of an interacting theory: the coupling put into the card comes back."""

from __future__ import annotations

import numpy as np
import pytest
from interacting import Theory, deformed, points_with_kernel, potential
from runs import DETECTABLE, LIMIT, SEED, SMALLEST_P, Array
from sources import EstimatorSource, ExactSource

from nnft.actions.action import Action, action
from nnft.actions.closure import closure
from nnft.actions.expansion import expand
from nnft.actions.symmetric import components
from nnft.estimators.joint_test import joint_test

KERNEL = [[1.0, 0.5, 0.2], [0.5, 1.0, 0.5], [0.2, 0.5, 1.0]]


def exact_cumulants(theory: Theory, size: int) -> dict[int, Array]:
    return {
        order: np.array([theory.cumulant(where) for where in components(size, order).tolist()])
        for order in (2, 4, 6)
    }


def measured(kernel: list[list[float]], seed: int, couplings: dict[str, float]) -> tuple[Action, Theory]:
    points = points_with_kernel(kernel)
    estimator = deformed(points, [], SEED + seed, 200_000, couplings | {"readouts": 16}, orders=(2, 4, 6))
    theory = Theory(kernel, lambda phi: potential(phi, **couplings))
    return action(EstimatorSource(estimator, points)), theory


@pytest.mark.parametrize(
    ("kernel", "couplings"),
    [
        ([[1.0]], {"phi4": 0.15}),
        ([[1.0]], {"phi4": 0.6}),
        ([[1.0]], {"phi2": 0.2, "phi4": 0.1, "phi6": 0.05}),
        (KERNEL, {"phi4": 0.1}),
        (KERNEL, {"phi4": 0.5}),
    ],
    ids=str,
)
def test_action_is_that_of_the_exact_cumulants(
    kernel: list[list[float]], couplings: dict[str, float]
) -> None:
    """All tables against the same functions of cumulants by quadrature."""
    size = len(kernel)
    found, theory = measured(kernel, 3700 + 10 * size + round(100 * couplings["phi4"]), couplings)
    exact = exact_cumulants(theory, size)
    square = np.empty((size, size))
    upper = np.triu_indices(size)
    square[upper] = exact[2]
    square.T[upper] = exact[2]
    orders = expand(square, exact[4], exact[6])
    quadratic = [part.quadratic[upper] for part in orders]
    for name, wanted in {
        "free": quadratic[0],
        "quadratic_leading": quadratic[0] + quadratic[1],
        "quadratic_next": sum(quadratic),
        "quartic_leading": orders[1].quartic,
        "quartic_next": orders[1].quartic + orders[2].quartic,
        "sextic": orders[2].sextic,
    }.items():
        table = found.replicated(name)
        assert joint_test(table.value - wanted, table.deviations()).p_value > SMALLEST_P, name
        assert np.all(np.abs(table.value - wanted) < LIMIT * table.stderr()), name
    quartic = found.table("quartic_leading")
    assert DETECTABLE * quartic.stderr[0] < 1.0 * abs(orders[1].quartic[0])


def distance(coupling: float) -> float:
    """lambda_4 through next order from exact cumulants, less the coupling of the theory."""
    theory = Theory([[1.0]], lambda phi: potential(phi, phi4=coupling))
    exact = action(ExactSource(exact_cumulants(theory, 1), np.eye(1)))
    return float(exact.quartic.value[0] - coupling)


def test_the_coupling_put_in_comes_back() -> None:
    """One site, weak coupling: lambda_4 through next order is the card's, to third order in it.

    The distance to the coupling is known from exact cumulants; A is 1/G of the base and lambda_6 vanishes.
    """
    coupling = 0.15
    found, _ = measured([[1.0]], 3760, {"phi4": coupling})
    series = distance(coupling)
    assert np.log2(distance(0.02) / distance(0.01)) == pytest.approx(3.0, abs=0.15)
    assert abs(series) < 0.1 * coupling
    table = found.quartic
    assert abs(table.value[0] - coupling - series) < LIMIT * table.stderr[0]
    assert DETECTABLE * table.stderr[0] < 0.5 * coupling
    leading = found.table("quartic_leading")
    assert abs(table.value[0] - coupling) < abs(leading.value[0] - coupling) + LIMIT * leading.stderr[0]
    assert found.quadratic.value[0] == pytest.approx(1.0, abs=0.02)
    assert found.free.value[0] > 1.05


def test_a_quartic_insertion_closes_up_to_its_next_order() -> None:
    points = points_with_kernel([[1.0]])
    estimator = deformed(points, [], SEED + 3770, 200_000, {"phi4": 0.3, "readouts": 16}, orders=(2, 4, 6))
    found = closure(EstimatorSource(estimator, points))
    exact = exact_cumulants(Theory([[1.0]], lambda phi: potential(phi, phi4=0.3)), 1)
    ideal = closure(ExactSource(exact, np.eye(1)))
    assert abs(found.difference.value[0] - ideal.difference.value[0]) < LIMIT * found.difference.stderr[0]
    assert abs(found.share - ideal.share) < LIMIT * found.share_error
    assert DETECTABLE * found.measured.stderr[0] < 2.0 * abs(exact[6][0])
