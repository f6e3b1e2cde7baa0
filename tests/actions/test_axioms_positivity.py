"""Reflection positivity against exact lowest eigenvalues, with networks and Gaussian processes."""

from __future__ import annotations

import numpy as np
import pytest
from axiom_networks import (
    REFERENCE,
    TOLERANCE,
    Array,
    ensemble_of,
    gaussian_fields,
    line,
    network_fields,
    square,
)
from runs import DETECTABLE, LIMIT, SEED, SMALLEST_P, estimate
from scipy.integrate import quad
from scipy.stats import binomtest

from nnft.actions.axiom_report import BROKEN_P, AxiomCheck
from nnft.actions.axioms import axioms_of_fields
from nnft.actions.positivity import half_space, positivity_checks, split_bounds
from nnft.errors import UsageError
from nnft.estimators.replicated import Replicated

ENTRY = REFERENCE["reflection-positivity"]
TIMES = np.array(ENTRY["inputs"]["tau"])
LOWEST = dict(zip(["free", "gaussian", "cutoff"], ENTRY["values"]["min_eigenvalue"], strict=True))
MIRRORED = np.concatenate([-TIMES, TIMES])[:, None]


def two_point(name: str, distance: float) -> float:
    """Kernel of a field on the line at a distance."""
    if name == "free":
        return float(np.exp(-distance) / 2)
    if name == "gaussian":
        return float(np.exp(-(distance**2) / 2))
    return float(quad(lambda p: np.cos(p * distance) / (p * p + 1), 0, 4, epsabs=1e-13)[0] / np.pi)


def kernel(name: str, points: Array) -> Array:
    return np.array([[two_point(name, abs(float(a - b))) for b in points[:, 0]] for a in points[:, 0]])


def first(points: Array, fields: Array, **options: object) -> AxiomCheck:
    return axioms_of_fields(points, fields, orders=(2,), **options).check("reflection positivity", 2)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["free", "gaussian", "cutoff"])
def test_reference_kernels(name: str) -> None:
    exact = kernel(name, MIRRORED)
    lowest = np.linalg.eigvalsh(exact[:3, 3:])[0]
    assert abs(lowest - LOWEST[name]) < 1e-12
    check = first(MIRRORED, gaussian_fields(exact, 400_000, SEED + 7400))
    assert check.details["images"] == [0, 1, 2]
    error = check.details["eigenvalue_error"]
    if name == "free":
        assert check.verdict == "holds", check
        assert abs(check.statistic) < 4 * LIMIT * error  # type: ignore[operator]
        return
    assert DETECTABLE * error < abs(LOWEST[name])
    assert abs(check.statistic - LOWEST[name]) < LIMIT * error  # type: ignore[operator]
    assert check.verdict == "broken", check
    assert check.p_value < SMALLEST_P  # type: ignore[operator]


def test_cos_network_has_a_gaussian_kernel_and_violates() -> None:
    """C_W of the first layer 1 makes K = exp(-r^2/2) / 2."""
    run = estimate(
        MIRRORED, [50], "cos", SEED + 7401, 40_000, weight=[1.0, 1.0], bias=[25.0, 0.0], orders=(2, 4)
    )
    two, four = positivity_checks(ensemble_of(MIRRORED, run), (2, 4), 0, 0.0, TOLERANCE)
    assert two.verdict == four.verdict == "broken"
    assert abs(two.statistic - LOWEST["gaussian"] / 2) < LIMIT * two.details["eigenvalue_error"]  # type: ignore[operator]


def test_even_fields_are_positive_and_odd_ones_are_not() -> None:
    """phi(-tau) = phi(tau): M is a covariance. phi(-tau) = -phi(tau): minus one, but for products."""
    even = estimate(MIRRORED, [5], "cos", SEED + 7402, 4000, weight=[4.0, 1.0])
    odd = estimate(MIRRORED, [5], "linear", SEED + 7403, 4000)
    for check in positivity_checks(ensemble_of(MIRRORED, even), (2, 4), 0, 0.0, TOLERANCE):
        assert check.verdict == "holds", check
        assert check.statistic > -1e-12  # type: ignore[operator]
    two, four = positivity_checks(ensemble_of(MIRRORED, odd), (2, 4), 0, 0.0, TOLERANCE)
    assert two.verdict == "broken"
    assert two.effect == pytest.approx(-1.0)
    assert four.verdict == "holds"


def test_products_see_what_the_fields_do_not() -> None:
    """phi = s psi(tau), sign s(tau) = +-1 common on each side: M of order 2 vanishes, that of order 4 not."""
    rng = np.random.default_rng(SEED + 7404)
    points = np.array([[-0.7], [-0.3], [0.3], [0.7]])
    networks = 40_000
    volume = rng.standard_normal((networks, 1))
    left, right = (rng.choice([-1.0, 1.0], (networks, 1)) for _ in range(2))
    fields = np.concatenate(
        [left * (1 + 0.4 * volume) * np.ones(2), right * (1 - 0.4 * volume) * np.ones(2)], axis=1
    )
    found = axioms_of_fields(points, fields[:, None, :], orders=(2, 4))
    assert found.check("reflection positivity", 2).p_value > SMALLEST_P  # type: ignore[operator]
    assert found.check("reflection positivity", 4).verdict == "broken"


def test_axis_and_plane() -> None:
    points = square(4) + np.array([0.0, 2.0])
    fields = network_fields(points, 2000, SEED + 7405, activation="cos")
    assert first(points, fields).details["axis"] == 0
    none = first(points, fields, axis=1)
    assert none.verdict == "not testable"
    assert "mirror image" in none.reason
    middle = first(points, fields, axis=1, plane="middle")
    assert middle.details["plane"] == 2.0
    assert len(middle.details["points"]) == 8
    assert first(points, fields, axis=1, plane=2.0).statistic == middle.statistic
    for axis in (2, -1):
        with pytest.raises(UsageError, match="axis out of range"):
            half_space(points, axis, 0.0, TOLERANCE)


def test_points_and_images_are_mirrored() -> None:
    points = square(5, 1.2)[::-1]
    half = half_space(points, 1, 0.0, TOLERANCE)
    assert len(half.points) == 10
    np.testing.assert_allclose(points[half.images] * [1.0, -1.0], points[half.points], atol=1e-12)
    assert (points[half.points, 1] > 0).all()
    assert len(half_space(line(7), 0, 1.0, TOLERANCE).points) == 0


def test_lowest_eigenvalue_of_a_degenerate_matrix_is_no_alarm() -> None:
    """A positive matrix of rank one: the estimated lowest eigenvalue lies many of its errors below zero."""
    size, bins, repeats = 16, 40, 400
    rng = np.random.default_rng(SEED + 7406)
    truth = np.outer(np.ones(size), np.ones(size))
    counts = np.full(bins, 10, dtype=np.int64)
    alarms, naive = 0, 0
    for _ in range(repeats):
        noise = rng.standard_normal((bins, size, size))
        parts = truth + 0.1 * (noise + noise.transpose(0, 2, 1))
        whole = parts.mean(axis=0)
        values = np.concatenate([whole[None], (bins * whole - parts) / (bins - 1)])
        matrix = Replicated(values, counts, 400)
        lowest = matrix.map(lambda row: np.linalg.eigvalsh(row)[0])
        naive += float(lowest.value) < -4.0 * float(lowest.stderr())
        alarms += split_bounds(matrix, 0.0)[2] < 0.05
    assert naive > repeats / 2
    assert binomtest(alarms, repeats, 0.05, "greater").pvalue > BROKEN_P
