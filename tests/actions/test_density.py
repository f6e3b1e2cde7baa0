"""The Edgeworth density at given fields: reference values, scores, changes of variables, refusals."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scale_mixtures import (
    ENTRIES,
    SEED,
    THREE_POINTS,
    Array,
    exact_log_density,
    mixture,
    reference_density,
    strong_density,
)

from nnft.actions.density import EdgeworthDensity
from nnft.actions.field_polynomial import FieldPolynomial
from nnft.actions.symmetric import components, dense, pack, symmetrised, transform
from nnft.errors import NumericalError, UsageError

EVEN = [name for name in ENTRIES if name.startswith("edgeworth") and not name.endswith("odd")]


def fields(size: int, count: int = 7) -> Array:
    return np.random.default_rng(SEED).normal(size=(count, size))


# ---- values ----


def test_all_reference_entries_are_used() -> None:
    assert len(EVEN) == 5


@pytest.mark.parametrize("name", EVEN)
def test_reference_values(name: str) -> None:
    density, phi = reference_density(name)
    values = ENTRIES[name]["values"]
    terms, action = density.terms(phi), density.action_terms(phi)
    found = {f"e{k + 1}": term for k, term in enumerate(terms)}
    found |= {f"S{k}": term for k, term in enumerate(action)}
    wanted = {key: values[key] for key in found if key in values}
    assert {"e1", "e2", "S1", "S2"} <= set(wanted)
    for key, value in wanted.items():
        # S2 and e2 are small differences of larger terms, which rounding is relative to
        assert found[key] == pytest.approx(value, rel=1e-11, abs=1e-14), key
    assert density.correction(phi) == pytest.approx(1.0 + values["e1"] + values["e2"], rel=1e-12)
    assert density.truncated(1).correction(phi) == pytest.approx(1.0 + values["e1"], rel=1e-12)
    assert density.action(phi) == pytest.approx(action.sum(), rel=1e-13)
    gaussian = np.exp(-action[0])
    assert density.density(phi) == pytest.approx(gaussian * (1.0 + values["e1"] + values["e2"]), rel=1e-12)
    assert density.log_density(phi) == pytest.approx(np.log(density.density(phi)), rel=1e-12)


@pytest.mark.parametrize("name", [name for name in EVEN if name != "edgeworth-3d"])
def test_the_exact_density_of_the_reference_is_that_of_the_tests(name: str) -> None:
    """And both orders come nearer to it, one after the other, where N is large enough."""
    density, phi = reference_density(name)
    inputs, exact = ENTRIES[name]["inputs"], ENTRIES[name]["values"]["exact_minus_log_p"]
    width = inputs.get("N", 10)
    assert exact_log_density(density.metric, width, phi[None])[0] == pytest.approx(-exact, rel=1e-11)
    errors = np.abs(np.cumsum(density.action_terms(phi)) - exact)
    assert errors[1] < 0.6 * errors[0]
    assert errors[2] < 0.6 * errors[0]


def test_odd_reference_values() -> None:
    density, phi = reference_density("edgeworth-1d-odd")
    values = ENTRIES["edgeworth-1d-odd"]["values"]
    np.testing.assert_allclose(density.terms(phi), [values["rel_half"], values["rel_one"]], rtol=1e-12)
    np.testing.assert_allclose(density.action_terms(phi)[1:], [values["S_half"], values["S_one"]], rtol=1e-12)


def test_odd_terms_in_several_dimensions_are_hermite_tensors() -> None:
    """1 + k3.H3 / 6 + k4.H4 / 24 + (k3 k3).H6 / 72, with Hermite tensors from derivatives of the Gaussian."""
    generator = np.random.default_rng(SEED)
    three = 0.2 * symmetrised(generator.normal(size=(2, 2, 2)))
    four = 0.1 * symmetrised(generator.normal(size=(2, 2, 2, 2)))
    metric = np.array([[1.0, 0.3], [0.3, 0.7]])
    phi = fields(2, 4)
    density = EdgeworthDensity(metric, four, three=three)
    six = symmetrised(np.multiply.outer(three, three))
    wanted = 1.0 + sum(
        np.array([hermite(metric, tensor, row) for row in phi]) * factor
        for tensor, factor in ((three, 1 / 6), (four, 1 / 24), (six, 1 / 72))
    )
    np.testing.assert_allclose(density.correction(phi), wanted, rtol=1e-12)


def test_even_terms_are_hermite_tensors() -> None:
    """The square of the first order in place of the Hermite tensor of order 8."""
    generator = np.random.default_rng(SEED + 1)
    four, six = (0.1 * symmetrised(generator.normal(size=(2,) * order)) for order in (4, 6))
    metric = np.array([[1.0, 0.3], [0.3, 0.7]])
    phi = fields(2, 4)
    eight = symmetrised(np.multiply.outer(four, four))
    parts = [np.array([hermite(metric, tensor, row) for row in phi]) for tensor in (four, six, eight)]
    found = EdgeworthDensity(metric, four, six).terms(phi)
    # the second order is a difference of terms of order one
    wanted = [parts[0] / 24, parts[1] / 720 + parts[2] / 1152]
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("size", [1, 2, 5, 16])
def test_a_random_scale_gives_laguerre_polynomials(size: int) -> None:
    """Any number of points: e_1 = k_2 L_2 and e_2 = -k_3 L_3 + 3 k_2^2 L_4, L_k^(n/2 - 1) of |u|^2 / 2.

    N(0, tau G) is expanded in tau - 1, whose cumulants are k_2 = 2/N and k_3 = 8/N^2;
    d^k/dtau^k of tau^(-n/2) exp(-t / 2 tau) at 1 is (-1)^k k! L_k exp(-t / 2).
    """
    from scipy.special import eval_genlaguerre

    generator = np.random.default_rng(SEED)
    root = np.eye(size) + 0.5 * generator.normal(size=(size, size)) / np.sqrt(size)
    width = 50.0
    white = generator.normal(size=(20, size))
    second, third, fourth = (
        eval_genlaguerre(k, 0.5 * size - 1.0, 0.5 * np.sum(white**2, axis=1)) for k in (2, 3, 4)
    )
    wanted = [2.0 / width * second, -8.0 / width**2 * third + 3.0 * (2.0 / width) ** 2 * fourth]
    found = mixture(root @ root.T, width).terms(white @ root.T)
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-10)


def hermite(metric: Array, tensor: Array, phi: Array) -> float:
    """T.H_r(phi) by the recursion H_r = u H_(r-1) - G^-1 H_(r-2) over the indices of T."""
    inverse = np.linalg.inv(metric)
    lowered = inverse @ phi

    def contract(rest: Array) -> float:
        if rest.ndim == 0:
            return float(rest)
        total = contract(np.tensordot(rest, lowered, axes=(0, 0)))
        if rest.ndim > 1:
            trace = np.tensordot(rest, inverse, axes=([0, 1], [0, 1]))
            total -= (rest.ndim - 1) * contract(trace)
        return total

    return contract(tensor)


# ---- slopes ----


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("order", [0, 1, 2])
def test_score_is_the_gradient(size: int, order: int) -> None:
    """Central differences, whose error is that of the fourth derivative and of rounding: below 1e-8."""
    density = mixture(np.eye(size) + 0.3, 60.0, order)
    phi = fields(size)
    step = 1e-5
    for function, gradient in (
        (density.log_density, density.score(phi)),
        (density.action, density.action_gradient(phi)),
    ):
        numeric = np.stack(
            [(function(phi + step * e) - function(phi - step * e)) / (2 * step) for e in np.eye(size)], axis=1
        )
        np.testing.assert_allclose(gradient, numeric, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_gradients_of_polynomials_by_complex_step(size: int) -> None:
    """Exact to rounding: no difference of nearly equal numbers occurs."""
    generator = np.random.default_rng(SEED)
    tensors = {r: generator.normal(size=len(components(size, r))) for r in (1, 2, 3, 4, 6)}
    polynomial = FieldPolynomial(
        0.7, dense(tensors[2], size, 2), tensors[4], tensors[6], tensors[1], tensors[3]
    )
    phi = fields(size)
    gradient = polynomial.parts_and_gradient(phi)[1]
    step = 1e-30
    for axis in range(size):
        moved = phi + 1j * step * np.eye(size)[axis]
        numeric = polynomial.parts(moved).sum(axis=0).imag / step
        np.testing.assert_allclose(gradient[:, axis], numeric, rtol=1e-12, atol=1e-12)


def test_odd_score_is_the_gradient() -> None:
    density = EdgeworthDensity([[1.0, 0.3], [0.3, 0.7]], np.full(5, 0.05), three=np.full(4, 0.1))
    phi, step = 0.5 * fields(2), 1e-5
    numeric = [
        (density.log_density(phi + step * e) - density.log_density(phi - step * e)) / (2 * step)
        for e in np.eye(2)
    ]
    np.testing.assert_allclose(density.score(phi), np.stack(numeric, axis=1), rtol=1e-7, atol=1e-8)


# ---- what does not change ----


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.sampled_from([1, 2]), st.integers(0, 2**32 - 1), st.floats(0.1, 1e3))
def test_change_of_variables(size: int, order: int, seed: int, scale: float) -> None:
    """phi' = B phi has the density p / |det B|, the score B^-T and the action S + log |det B|."""
    density = strong_density(size, order, seed)
    generator = np.random.default_rng(seed)
    change = scale * (np.eye(size) + 0.4 * generator.uniform(-1.0, 1.0, size=(size, size)) / size)
    four, six = transform(density.four, 4, change.T), transform(density.six, 6, change.T)
    moved = EdgeworthDensity(change @ density.metric @ change.T, four, six, order=order)
    phi = generator.normal(size=(5, size))
    there = phi @ change.T
    determinant = abs(np.linalg.det(change))
    correction = density.correction(phi)
    size_of_terms = 1.0 + np.abs(density.terms(phi)).max() + density.terms(phi)[0] ** 2
    assert np.all(np.abs(moved.correction(there) - correction) < 1e-9 * size_of_terms)
    np.testing.assert_allclose(
        moved.action_terms(there)[0], density.action_terms(phi)[0] + np.log(determinant), atol=1e-9
    )
    back = moved.action_gradient(there) @ change
    slope = density.action_gradient(phi)
    np.testing.assert_allclose(back, slope, atol=1e-9 * (1.0 + np.abs(slope).max()))


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(4)), st.integers(0, 2**32 - 1))
def test_relabelling(order: list[int], seed: int) -> None:
    density = strong_density(4, 2, seed)
    four, six = dense(density.four, 4, 4), dense(density.six, 4, 6)
    other = EdgeworthDensity(
        density.metric[np.ix_(order, order)], four[np.ix_(*[order] * 4)], six[np.ix_(*[order] * 6)]
    )
    phi = fields(4)
    size_of_terms = 1.0 + np.abs(density.terms(phi)).max()
    np.testing.assert_allclose(
        other.correction(phi[:, order]), density.correction(phi), rtol=0, atol=1e-10 * size_of_terms
    )


def test_a_decoupled_field_factorises() -> None:
    """Independent fields: at first order the corrections add, and a Gaussian one changes nothing."""
    density = mixture([[0.7]], 20.0, 2)
    four, six = np.zeros(5), np.zeros(7)
    four[0], six[0] = density.four[0], density.six[0]
    both = EdgeworthDensity(np.diag([0.7, 1.3]), four, six)
    phi = fields(2)
    np.testing.assert_allclose(both.correction(phi), density.correction(phi[:, :1]), rtol=1e-12)


def test_packed_and_dense_cumulants_agree() -> None:
    density = strong_density(3, 2)
    other = EdgeworthDensity(density.metric, dense(density.four, 3, 4), dense(density.six, 3, 6))
    np.testing.assert_array_equal(other.correction(fields(3)), density.correction(fields(3)))


def test_shapes_and_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    density = mixture(THREE_POINTS, 50.0)
    phi = np.random.default_rng(1).normal(size=(4, 5, 3))
    whole = density.density(phi), density.score(phi), density.terms(phi)
    assert [part.shape for part in whole] == [(4, 5), (4, 5, 3), (2, 4, 5)]
    assert density.density(phi[0, 0]).shape == ()
    assert density.score(phi[0, 0]).shape == (3,)
    assert density.density(np.empty((0, 3))).shape == (0,)
    assert density.truncated(0).terms(phi).shape == (0, 4, 5)
    monkeypatch.setattr("nnft.actions.density_series.PIECE", 300)  # three fields at a time
    for found, wanted in zip(
        (density.density(phi), density.score(phi), density.terms(phi)), whole, strict=True
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-14, atol=1e-16)


def test_orders() -> None:
    density = mixture(THREE_POINTS, 50.0)
    assert [density.order, density.truncated(1).order, EdgeworthDensity(THREE_POINTS).order] == [2, 1, 0]
    phi = fields(3)
    gaussian = density.truncated(0)
    wanted = -0.5 * np.einsum("na,ab,nb->n", phi, np.linalg.inv(THREE_POINTS), phi)
    wanted -= 0.5 * np.log(np.linalg.det(2.0 * np.pi * THREE_POINTS))
    np.testing.assert_allclose(gaussian.log_density(phi), wanted, rtol=1e-13)
    zero = EdgeworthDensity(THREE_POINTS, np.zeros(15), np.zeros(28))
    np.testing.assert_allclose(zero.log_density(phi), wanted, rtol=1e-13)


# ---- refusals ----


def test_negative_densities_are_refused_or_masked() -> None:
    density = EdgeworthDensity([[1.0]], [-1.0])
    phi = np.array([[0.0], [2.0], [4.0]])
    negative = density.correction(phi) <= 0.0
    assert negative.tolist() == [False, False, True]
    assert density.density(phi)[2] < 0.0
    for method in (density.log_density, density.score):
        with pytest.raises(NumericalError, match=r"not positive at 1 of 3 fields.*positivity") as caught:
            method(phi)
        assert caught.value.exit_code == 5
    assert density.log_density(phi, negative="mask")[2] == -np.inf
    assert np.isfinite(density.log_density(phi, negative="mask")[:2]).all()
    assert np.isnan(density.score(phi, negative="mask"))[:, 0].tolist() == [False, False, True]
    with pytest.raises(UsageError, match="negative"):
        density.log_density(phi, negative="nan")  # type: ignore[arg-type]


SINGULAR = np.array([[1.0, 1.0], [1.0, 1.0 + 1e-15]])
INDEFINITE = np.array([[1.0, 2.0], [2.0, 1.0]])
OK4, OK6 = np.zeros(5), np.zeros(7)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((INDEFINITE, OK4), NumericalError, "smallest eigenvalue -1 "),
        ((SINGULAR, OK4), NumericalError, "smallest eigenvalue"),
        ((np.zeros((2, 2)), OK4), NumericalError, "smallest eigenvalue 0"),
        (([[1.0, 0.2], [0.1, 1.0]], OK4), NumericalError, "not symmetric: got entries that differ by 0.1"),
        (([[1.0, np.nan], [np.nan, 1.0]], OK4), NumericalError, "metric.*nan"),
        ((np.eye(2), [0.0, np.inf, 0.0, 0.0, 0.0]), NumericalError, "order 4.*inf"),
        ((np.eye(2), np.arange(16.0).reshape(2, 2, 2, 2)), NumericalError, "order 4 is not symmetric"),
        ((np.eye(2), np.zeros(4)), UsageError, r"order 4.*\(4,\).*\(5,\).*\(2, 2, 2, 2\)"),
        ((np.eye(2), OK4, np.zeros(8)), UsageError, r"order 6.*\(8,\).*\(7,\)"),
        ((np.eye(2), OK4, OK6, np.zeros(3)), UsageError, r"order 3.*\(3,\).*\(4,\)"),
        ((np.ones((2, 3)), OK4), UsageError, r"shape \(2, 3\)"),
        ((np.ones(2), OK4), UsageError, r"shape \(2,\)"),
        ((np.empty((0, 0)),), UsageError, r"shape \(0, 0\)"),
        ((np.eye(2), ["a"] * 5), UsageError, "real numbers"),
        ((np.eye(2) + 0j,), UsageError, "real numbers"),
    ],
)
def test_unusable_cumulants(arguments: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        EdgeworthDensity(*arguments)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 240


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"order": 2, "four": OK4}, "no sixth cumulant"),
        ({"order": 1}, "no fourth cumulant"),
        ({"order": 3, "four": OK4, "six": OK6}, "unknown order"),
        ({"order": True, "four": OK4}, "unknown order"),
        ({"order": 2, "four": OK4, "six": OK6, "three": np.zeros(4)}, "odd cumulants"),
    ],
)
def test_impossible_orders(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        EdgeworthDensity(np.eye(2), **options)


def test_unusable_fields() -> None:
    density = mixture(THREE_POINTS, 50.0)
    for method in (density.density, density.log_density, density.score, density.action, density.terms):
        with pytest.raises(UsageError, match=re.escape("got shape (4, 2); needed (..., 3)")):
            method(np.zeros((4, 2)))
        with pytest.raises(NumericalError, match=r"phi.*nan"):
            method([0.0, np.nan, 0.0])
        with pytest.raises(UsageError, match="shape"):
            method(1.0)


def test_a_badly_scaled_metric_is_no_trouble() -> None:
    """Units do not matter: eigenvalues are compared with the largest one."""
    density, tiny = mixture(THREE_POINTS, 30.0), mixture(1e-40 * THREE_POINTS, 30.0)
    phi = fields(3)
    np.testing.assert_allclose(tiny.correction(1e-20 * phi), density.correction(phi), rtol=1e-10)
    assert pack(tiny.metric)[0] == 1e-40
