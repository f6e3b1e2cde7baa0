"""Symmetries of outputs and inputs: ensembles that have one pass, ensembles that break it are caught."""

from __future__ import annotations

import numpy as np
import pytest
from axiom_networks import TOLERANCE, ensemble_of, line, network_fields, square
from runs import SEED, SMALLEST_P, estimate
from scipy.stats import kstest

from nnft.actions.axiom_report import BROKEN_P, AxiomCheck
from nnft.actions.axiom_source import ensemble_of_fields
from nnft.actions.axioms import AxiomReport, axioms_of_fields
from nnft.actions.symmetry_inputs import euclidean_checks
from nnft.actions.symmetry_outputs import output_checks

GRID = square(3)
COS = {"activation": "cos", "weight": [4.0, 1.0], "bias": [25.0, 0.0]}


def holds(check: AxiomCheck) -> None:
    """The check was made and found nothing."""
    assert check.p_value is not None, check
    assert check.p_value > SMALLEST_P, check
    assert check.statistic_name != "T2(0)", check


def broken(check: AxiomCheck, least: float = 0.0) -> None:
    """The check says broken, far below the threshold."""
    assert check.verdict == "broken", check
    assert check.p_value is not None
    assert check.p_value < SMALLEST_P < BROKEN_P
    assert check.effect is not None
    assert check.effect > least, check


def report(**options: object) -> AxiomReport:
    fields = network_fields(GRID, 20_000, SEED + 7000, **options)  # type: ignore[arg-type]
    return axioms_of_fields(GRID, fields, orders=(2, 4))


# ---- outputs ----


def test_a_network_with_all_symmetries() -> None:
    found = report(activation="cos", outputs=3)
    for name, order in [("Z2", 1), ("Z2", 3), ("O(D)", 2), ("O(D)", 4)]:
        holds(found.check(name, order))
    for name in ("translations", "rotations", "Euclidean group"):
        holds(found.check(name, 2))
        holds(found.check(name, 4))


def test_readout_weights_with_a_mean_break_the_reflection_of_the_output() -> None:
    found = report(readout_mean=0.3, activation="relu")
    broken(found.check("Z2", 1), 0.2)
    broken(found.check("Z2", 3))


def test_skewed_readout_weights_without_a_mean_are_seen_at_third_order() -> None:
    found = report(skewed=True, activation="relu")
    holds(found.check("Z2", 1))
    broken(found.check("Z2", 3), 0.1)


def test_outputs_of_unequal_variance() -> None:
    found = report(outputs=2, output_scale=(1.0, 0.8))
    broken(found.check("O(D)", 2), 0.2)


def test_correlated_outputs() -> None:
    fields = network_fields(GRID, 20_000, SEED + 7001, outputs=2)
    mixed = np.stack([fields[:, 0], 0.6 * fields[:, 0] + 0.8 * fields[:, 1]], axis=1)
    broken(axioms_of_fields(GRID, mixed).check("O(D)", 2), 0.4)


def test_independent_outputs_that_are_not_gaussian_have_a_preferred_basis() -> None:
    """kappa_0000 is not zero and kappa_0011 is: only a shared hidden layer makes them fit together."""
    apart = report(outputs=2, separate=True, width=2, activation="relu")
    holds(apart.check("O(D)", 2))
    broken(apart.check("O(D)", 4))
    holds(report(outputs=2, width=2, activation="relu").check("O(D)", 4))


@pytest.mark.parametrize("outputs", [2, 3])
def test_sectors_of_a_direct_estimator(outputs: int) -> None:
    direct = estimate(GRID, [4], "tanh", SEED + 7002, 40_000, outputs=outputs, estimator="direct", labels=2)
    *_, second, fourth = output_checks(ensemble_of(GRID, direct, outputs))
    holds(fourth)
    assert fourth.details["used"] == "connected correlators"
    assert (second.verdict, second.reason) == ("not testable", "none are kept")


def test_sectors_of_conditional_sums_are_no_test() -> None:
    conditional = estimate(GRID, [4], "tanh", SEED + 7003, 4000, outputs=2)
    parity, *_, fourth = output_checks(ensemble_of(GRID, conditional, 2))
    assert fourth.verdict == parity.verdict == "not testable"
    assert "by construction" in fourth.reason
    assert output_checks(ensemble_of(GRID, conditional, 1))[3].reason == "one output"


# ---- inputs ----


def test_cos_network_is_euclidean_at_all_orders() -> None:
    run = estimate(GRID, [10], seed=SEED + 7010, networks=20_000, orders=(2, 4, 6), **COS)
    for check in euclidean_checks(ensemble_of(GRID, run), (2, 4, 6), TOLERANCE):
        holds(check)
        assert check.verdict == "holds", check
        assert check.effect < 0.2  # type: ignore[operator]


@pytest.mark.parametrize("name", ["tanh", "relu", "erf", "gelu", "sigmoid"])
def test_rotations_hold_and_translations_break(name: str) -> None:
    run = estimate(GRID, [10], name, SEED + 7020, 20_000, weight=[2.0, 1.0], bias=[0.2, 0.0])
    checks = {(c.name, c.order): c for c in euclidean_checks(ensemble_of(GRID, run), (2, 4), TOLERANCE)}
    for order in (2, 4):
        holds(checks["rotations", order])
        broken(checks["translations", order], 0.01)
        broken(checks["Euclidean group", order], 0.01)


def test_exponential_neurons_are_not_translation_invariant() -> None:
    """Their normalised cousin, the Gauss-net, is so at order 2 only (Halverson, Maiti, Stoner 2020)."""
    run = estimate(GRID, [10], "exp", SEED + 7030, 20_000, weight=[0.2, 1.0])
    checks = euclidean_checks(ensemble_of(GRID, run), (2,), TOLERANCE)
    broken(checks[0], 0.1)
    holds(checks[1])


def test_gauss_network_has_an_invariant_two_point_function_only() -> None:
    rng = np.random.default_rng(SEED + 7031)
    networks, width, variance = 40_000, 4, 0.3
    weights = np.sqrt(variance) * rng.standard_normal((networks, width, 2))
    bias = np.sqrt(0.05) * rng.standard_normal((networks, width, 1))
    hidden = np.exp(weights @ GRID.T + bias - 0.05 - variance * (GRID**2).sum(axis=1))
    fields = np.einsum("mow,mwp->mop", rng.standard_normal((networks, 1, width)), hidden) / np.sqrt(width)
    found = axioms_of_fields(GRID, fields)
    holds(found.check("translations", 2))
    broken(found.check("translations", 4), 0.1)


def test_stretched_weights_single_out_a_direction() -> None:
    found = report(activation="cos", stretch=(1.0, 0.5), width=2)
    for order in (2, 4):
        holds(found.check("translations", order))
        broken(found.check("rotations", order), 0.1)
        broken(found.check("Euclidean group", order), 0.1)


def test_parity_is_not_taken_for_translations() -> None:
    """On a line, pairs at equal distance are also mirror images; others decide."""
    points = line(6)
    run = estimate(points, [10], "tanh", SEED + 7040, 4000)
    translations, rotations, _ = euclidean_checks(ensemble_of(points, run), (2,), TOLERANCE)
    broken(translations, 0.2)
    assert rotations.verdict == "holds"
    assert rotations.reason == "exact in every network"


def test_a_mesh_that_relates_nothing() -> None:
    points = np.array([[0.3, 0.1], [1.0, 0.5], [-0.2, 1.7]])
    run = estimate(points, [10], "tanh", SEED + 7041, 4000)
    checks = {(c.name, c.order): c for c in euclidean_checks(ensemble_of(points, run), (2, 4), TOLERANCE)}
    for order in (2, 4):
        assert checks["rotations", order].verdict == "not testable"
        broken(checks["translations", order])  # (a, a) and (b, b)
    circle = np.array([[1.0, 0.0], [0.6, 0.8]])
    run = estimate(circle, [10], "tanh", SEED + 7042, 4000)
    translations, rotations, _ = euclidean_checks(ensemble_of(circle, run), (2,), TOLERANCE)
    holds(rotations)
    assert translations.verdict == "not testable"
    assert "rotation about the origin as well" in translations.reason


def test_repeated_points_are_one_point() -> None:
    points = np.array([[0.3, 0.1], [0.3, 0.1], [0.3, 0.1]])
    run = estimate(points, [10], "tanh", SEED + 7043, 4000)
    for check in euclidean_checks(ensemble_of(points, run), (2, 4), TOLERANCE):
        assert check.verdict == "not testable"
        assert check.reason == "the mesh relates no two components"
        assert check.details["components_searched"] == 1


@pytest.mark.long
def test_false_alarms_are_as_frequent_as_stated() -> None:
    """p-values of true symmetries are uniform, at every order and with few networks in a bin."""
    for networks in (800, 3200):
        found: dict[tuple[str, int], list[float]] = {}
        for index in range(80):
            run = estimate(GRID, [10], seed=SEED + 7100 + index, networks=networks, orders=(2, 4, 6), **COS)
            for check in euclidean_checks(ensemble_of(GRID, run), (2, 4, 6), TOLERANCE):
                found.setdefault((check.name, check.order), []).append(float(check.p_value or 0.0))
        for values in found.values():
            assert kstest(values, "uniform").pvalue > SMALLEST_P
            assert np.mean(np.array(values) < 0.05) < 0.2


def test_p_values_of_outputs_are_uniform() -> None:
    found: dict[tuple[str, int], list[float]] = {}
    for index in range(60):
        fields = network_fields(GRID[:4], 3200, SEED + 7300 + index, outputs=2)
        for check in output_checks(ensemble_of_fields(GRID[:4], fields, (2, 4), 100)):
            found.setdefault((check.name, check.order), []).append(float(check.p_value or 0.0))
    for values in found.values():
        assert kstest(values, "uniform").pvalue > SMALLEST_P
        assert np.mean(np.array(values) < 0.05) < 0.3
