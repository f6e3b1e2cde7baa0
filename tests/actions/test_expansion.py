"""Signs, factorials and orders of the action, without any sampling."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from perturbed import Array, Perturbed, monomials, positive_couplings, value

from nnft.actions import symmetric
from nnft.actions.expansion import expand

ENTRIES: dict[str, dict[str, Any]] = {
    entry["id"]: entry
    for entry in json.loads(
        (Path(__file__).parents[1] / "reference" / "actions.json").read_text(encoding="utf-8")
    )["entries"]
}


def gaussian_moments(metric: Array, order: int) -> Array:
    """Packed sums over pairings of products of the metric."""

    def pairings(slots: list[int]) -> Any:
        if not slots:
            yield []
        for place in range(1, len(slots)):
            for rest in pairings(slots[1:place] + slots[place + 1 :]):
                yield [(slots[0], slots[place]), *rest]

    table = symmetric.components(len(metric), order)
    return np.sum(
        [
            np.prod([metric[table[:, a], table[:, b]] for a, b in pairing], axis=0)
            for pairing in pairings(list(range(order)))
        ],
        axis=0,
    )


def cumulants(entry: dict[str, Any]) -> tuple[Array, Array, Array]:
    inputs = entry["inputs"]
    metric = np.atleast_2d(np.array(inputs["G"], dtype=float))
    if "vectors" in inputs:
        vectors, strength = np.array(inputs["vectors"]), np.array(inputs["c"])
        return metric, strength @ monomials(3, 4, vectors), strength**2 @ monomials(3, 6, vectors)
    if isinstance(inputs["kappa4"], str):
        n = inputs["N"]
        return metric, 2 / n * gaussian_moments(metric, 4), 8 / n**2 * gaussian_moments(metric, 6)
    return metric, np.array([inputs["kappa4"]]), np.array([inputs["kappa6"]])


REFERENCE = ["edgeworth-1d-0.5", "edgeworth-1d-1.8", "edgeworth-2d-0.4", "edgeworth-2d-1.5", "edgeworth-3d"]


@pytest.mark.parametrize("name", REFERENCE)
def test_reference_values(name: str) -> None:
    entry = ENTRIES[name]
    field = np.atleast_2d(np.array(entry["inputs"]["phi"], dtype=float).reshape(1, -1))
    orders = expand(*cumulants(entry))
    for place, part in enumerate(orders):
        wanted = entry["values"].get(f"S{place}")
        if wanted is not None:
            assert value(part, field)[0] == pytest.approx(wanted, rel=1e-11)


def test_reference_couplings_in_three_dimensions() -> None:
    entry = ENTRIES["edgeworth-3d"]
    free, leading, _ = expand(*cumulants(entry))
    quartic = symmetric.dense(leading.quartic, 3, 4)
    assert quartic[0, 0, 0, 0] == pytest.approx(entry["values"]["lambda4_0000"], rel=1e-11)
    assert quartic[0, 1, 1, 2] == pytest.approx(entry["values"]["lambda4_0112"], rel=1e-11)
    np.testing.assert_allclose(
        free.quadratic + leading.quadratic, entry["values"]["A_order_1_N"], rtol=1e-11, atol=0
    )


def residuals(theory: Perturbed, coupling: float, nodes: int, reach: float) -> dict[str, float]:
    """Largest errors of the couplings that come back from exact cumulants."""
    orders = expand(*theory.cumulants(coupling, nodes, reach))
    largest = lambda found, wanted: float(np.abs(found - wanted).max())  # noqa: E731
    two = [part.quadratic for part in orders]
    return {
        "quartic_leading": largest(orders[1].quartic, coupling * theory.quartic),
        "quartic_next": largest(orders[1].quartic + orders[2].quartic, coupling * theory.quartic),
        "sextic": largest(orders[2].sextic, coupling**2 * theory.sextic),
        "quadratic_free": largest(two[0], theory.quadratic),
        "quadratic_leading": largest(two[0] + two[1], theory.quadratic),
        "quadratic_next": largest(sum(two), theory.quadratic),
    }


POWERS = {
    "quadratic_free": 1,
    "quartic_leading": 2,
    "quadratic_leading": 2,
    "quartic_next": 3,
    "quadratic_next": 3,
    "sextic": 3,
}


@pytest.mark.parametrize(("size", "nodes", "coupling"), [(1, 2001, 0.02), (2, 241, 0.02), (3, 71, 0.02)])
def test_couplings_put_in_come_back(size: int, nodes: int, coupling: float) -> None:
    """Errors fall with the power of the coupling that belongs to the first order left out.

    Halving the coupling divides an error c g^p (1 + O(g)) by 2^p; the bound on O(g) is checked as well: the
    local power moves towards p from one halving to the next.
    """
    theory = positive_couplings(size, seed=20240601 + size)
    errors = [residuals(theory, coupling / half, nodes, 9.0) for half in (1.0, 2.0, 4.0)]
    for name, power in POWERS.items():
        first, second, third = (error[name] for error in errors)
        coarse, fine = np.log2(first / second), np.log2(second / third)
        assert abs(fine - power) < 0.12, (name, coarse, fine)
        assert abs(fine - power) < 0.75 * abs(coarse - power) + 0.01, (name, coarse, fine)
    # and the coupling itself is what was put in, sign and factorials included
    size_of_quartic = coupling / 4.0 * np.abs(theory.quartic).max()
    assert errors[-1]["quartic_leading"] < 0.3 * size_of_quartic
    assert errors[-1]["quartic_next"] < 0.1 * size_of_quartic


def test_the_density_of_the_expansion_is_that_of_the_theory() -> None:
    """-log p up to its constant: the polynomial is the action itself to third order in the coupling."""
    theory = positive_couplings(2, seed=20240610)
    fields = np.random.default_rng(0).normal(size=(50, 2)) * 0.8
    errors = []
    for coupling in (0.02, 0.01, 0.005):
        orders = expand(*theory.cumulants(coupling, 241, 9.0))
        found = sum(value(part, fields) for part in orders)
        difference = found - theory.action(coupling, fields)
        errors.append(np.ptp(difference))
    coarse, fine = np.log2(errors[0] / errors[1]), np.log2(errors[1] / errors[2])
    assert abs(fine - 3.0) < min(0.12, 0.75 * abs(coarse - 3.0) + 0.01)


@pytest.mark.parametrize("seed", range(3))
def test_couplings_are_tensors(seed: int) -> None:
    """A linear change of the field changes cumulants and couplings oppositely; the action stays."""
    generator = np.random.default_rng(seed)
    root = np.eye(3) + 0.4 * generator.normal(size=(3, 3))
    metric = root @ root.T
    four, six = (0.1 * generator.normal(size=symmetric.component_count(3, order)) for order in (4, 6))
    change = np.eye(3) + 0.5 * generator.normal(size=(3, 3))
    fields = generator.normal(size=(5, 3))
    before = expand(metric, four, six)
    turned = change.T @ metric @ change
    after = expand(
        0.5 * (turned + turned.T), *(symmetric.transform(t, o, change) for t, o in ((four, 4), (six, 6)))
    )
    for old, new in itertools.islice(zip(before, after, strict=True), 1, None):
        np.testing.assert_allclose(value(new, fields @ change), value(old, fields), rtol=1e-8, atol=1e-9)


def test_heavy_tails_mean_a_negative_coupling() -> None:
    _, leading = expand(np.eye(2), 0.3 * gaussian_moments(np.eye(2), 4))
    assert symmetric.dense(leading.quartic, 2, 4)[0, 0, 0, 0] == pytest.approx(-0.9)
    np.testing.assert_allclose(np.diagonal(leading.quadratic), 0.5 * (0.9 + 0.3))
