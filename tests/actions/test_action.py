"""The action of a source of cumulants: points, modes, cuts, normalisation, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from perturbed import Array, monomials
from sources import EstimatorSource, ExactSource

from nnft.actions import symmetric
from nnft.actions.action import action
from nnft.actions.action_text import action_record, action_text, cut_effect
from nnft.actions.expansion import expand
from nnft.errors import DataFileError, NnftError, NumericalError, UsageError
from nnft.estimators.correlators import CorrelatorEstimator
from nnft.estimators.layout import sum_layout
from nnft.estimators.replicated import Replicated


def random_theory(size: int, seed: int, rank: int | None = None) -> dict[int, Array]:
    """Packed cumulants of orders 2, 4, 6: sums of powers, with a kernel of full or lower rank."""
    generator = np.random.default_rng(seed)
    vectors = generator.normal(size=(size + 3, size))
    if rank is not None:
        vectors = vectors @ np.linalg.qr(generator.normal(size=(size, rank)))[0] @ np.eye(rank, size)
    strength = generator.uniform(0.5, 1.0, size=len(vectors))
    return {
        order: factor * (strength @ monomials(size, order, vectors))
        for order, factor in ((2, 1.0), (4, 0.02), (6, 0.001))
    }


def full(tables: dict[int, Array], size: int) -> list[Array]:
    return [symmetric.dense(tables[order], size, order) for order in (2, 4, 6)]


def test_tables_are_those_of_the_expansion() -> None:
    tables = random_theory(3, 1)
    found = action(ExactSource(tables, np.eye(3)))
    free, leading, following = expand(symmetric.dense(tables[2], 3, 2), tables[4], tables[6])
    assert found.order == 6
    for name, wanted in {
        "free": free.quadratic,
        "quadratic_leading": free.quadratic + leading.quadratic,
        "quadratic_next": free.quadratic + leading.quadratic + following.quadratic,
    }.items():
        np.testing.assert_allclose(found.table(name).value, wanted[np.triu_indices(3)], rtol=1e-12)
    np.testing.assert_allclose(found.table("quartic_leading").value, leading.quartic, rtol=1e-12)
    np.testing.assert_allclose(found.quartic.value, leading.quartic + following.quartic, rtol=1e-12)
    np.testing.assert_allclose(found.sextic.value, following.sextic, rtol=1e-12)
    assert np.all(found.quartic.stderr < 1e-12 * np.abs(found.quartic.value).max())


def test_chosen_points_give_the_marginal_action() -> None:
    """Points left out are integrated out: only their cumulants drop."""
    tables = random_theory(4, 2)
    two, four, six = full(tables, 4)
    chosen = np.array([3, 1])
    found = action(ExactSource(tables, np.eye(4)), points=chosen)
    square = np.ix_(chosen, chosen)
    _, leading, following = expand(
        two[square],
        symmetric.pack(four[np.ix_(*[chosen] * 4)]),
        symmetric.pack(six[np.ix_(*[chosen] * 6)]),
    )
    np.testing.assert_allclose(found.table("quartic_leading").value, leading.quartic, rtol=1e-11)
    np.testing.assert_allclose(found.sextic.value, following.sextic, rtol=1e-11)
    assert found.quartic.indices[0].tolist() == [3, 3, 3, 3]
    assert found.quartic.indices[-1].tolist() == [1, 1, 1, 1]


def test_couplings_in_modes_are_the_couplings_in_other_coordinates() -> None:
    tables = random_theory(3, 3)
    found = action(ExactSource(tables, np.eye(3)))
    vectors = found.spectrum.vectors
    mesh = found.replicated("quartic_next").value
    np.testing.assert_allclose(
        found.quartic_modes.value, symmetric.transform(mesh, 4, vectors), rtol=1e-10, atol=1e-12
    )
    inverse = symmetric.dense(found.table("free_modes").value, 3, 2)
    np.testing.assert_allclose(
        inverse, np.diag(1.0 / found.spectrum.eigenvalues.value), rtol=1e-10, atol=1e-10
    )
    reduced = found.reduced_quartic("leading").value
    four = symmetric.transform(tables[4], 4, vectors)
    same = [0, 10, 14]
    assert symmetric.components(3, 4)[same].tolist() == [[k] * 4 for k in range(3)]
    np.testing.assert_allclose(reduced, -four[same] / found.spectrum.eigenvalues.value**2, rtol=1e-10)


def test_modes_are_ordered_by_their_eigenvalues() -> None:
    tables = random_theory(4, 11)
    found = action(ExactSource(tables, np.eye(4)), modes=2)
    values, vectors = np.linalg.eigh(symmetric.dense(tables[2], 4, 2))
    np.testing.assert_allclose(found.spectrum.eigenvalues.value, values[::-1], rtol=1e-12)
    np.testing.assert_allclose(np.abs(found.spectrum.vectors.T @ vectors[:, ::-1]), np.eye(4), atol=1e-10)
    largest = np.abs(found.spectrum.vectors).argmax(axis=0)
    assert np.all(found.spectrum.vectors[largest, np.arange(4)] > 0)
    assert found.spectrum.dropped_variance == pytest.approx(values[:2].sum() / values.sum())
    assert found.spectrum.condition == pytest.approx(values[3] / values[2])


def test_fewer_modes_are_the_exact_marginal_law_and_a_pseudo_inverse_on_the_mesh() -> None:
    tables = random_theory(4, 4)
    found = action(ExactSource(tables, np.eye(4)), modes=2)
    vectors = found.spectrum.vectors[:, :2]
    marginal = [symmetric.transform(tables[order], order, vectors) for order in (2, 4, 6)]
    _, leading, following = expand(symmetric.dense(marginal[0], 2, 2), *marginal[1:])
    np.testing.assert_allclose(
        found.quartic_modes.value, leading.quartic + following.quartic, rtol=1e-9, atol=1e-12
    )
    kernel = symmetric.dense(tables[2], 4, 2)
    pseudo = symmetric.dense(found.free.value, 4, 2)
    np.testing.assert_allclose(
        pseudo, vectors @ np.linalg.inv(vectors.T @ kernel @ vectors) @ vectors.T, rtol=1e-9
    )
    np.testing.assert_allclose(pseudo @ kernel @ pseudo, pseudo, rtol=1e-9, atol=1e-12)
    back = symmetric.transform(found.quartic_modes.value, 4, np.ascontiguousarray(vectors.T))
    np.testing.assert_allclose(found.quartic.value, back, rtol=1e-9, atol=1e-12)


def test_singular_kernel_is_cut_and_said_so() -> None:
    source = ExactSource(random_theory(4, 5, rank=2), np.eye(4))
    found = action(source)
    assert found.spectrum.kept == 2
    assert found.spectrum.dropped_variance < 1e-14
    assert "modes kept" in action_text(action_record(found), "test")
    with pytest.raises(NumericalError, match=r"singular kernel: got eigenvalue .* at most 2 modes"):
        action(source, modes=3)
    assert cut_effect(found)[0]["modes"] == 2


def test_cut_and_its_effect() -> None:
    tables = random_theory(4, 6)
    source = ExactSource(tables, np.eye(4))
    values = action(source).spectrum.eigenvalues.value
    middle = float(np.sqrt(values[1] * values[2]) / values[0])
    found = action(source, cut=middle)
    assert found.spectrum.kept == 2
    everything = action(source)
    for row in cut_effect(everything):
        if row["modes"] == 4:
            assert row["quartic_leading"] == pytest.approx(everything.table("quartic_leading").value[0])
            assert row["free"] == pytest.approx(everything.free.value[0])
        else:
            fewer = action(source, modes=row["modes"])
            assert row["quartic_leading"] == pytest.approx(fewer.table("quartic_leading").value[0])
            assert row["free"] == pytest.approx(fewer.free.value[0])


def test_modes_that_are_not_known_are_cut_by_default_only() -> None:
    """A mode whose eigenvalue scatters by a fifth is kept where it is asked for."""
    source = ExactSource(random_theory(3, 10), np.eye(3))
    values, vectors = np.linalg.eigh(symmetric.dense(source.tables[2], 3, 2))
    weak = vectors[:, 0]
    noise = np.random.default_rng(0).normal(size=source.bins)
    noise *= 0.2 * values[0] / np.sqrt(np.sum((noise - noise.mean()) ** 2))

    class Noisy(ExactSource):
        def replicates(self, order: int, *words: object) -> Replicated:
            found = super().replicates(order)
            if order == 2:
                spread = noise[:, None] * np.outer(weak, weak)[np.triu_indices(3)]
                found.values[1:] += spread
            return found

    noisy = Noisy(source.tables, np.eye(3))
    found = action(noisy)
    assert found.spectrum.kept == 2
    assert found.spectrum.reason.endswith("and known to 5%")
    assert action(noisy, modes=3).spectrum.kept == 3
    assert action(noisy, cut=1e-6).spectrum.kept == 3


def test_numbers_do_not_depend_on_threads() -> None:
    estimator = filled(4, networks=40_000)
    source = EstimatorSource(estimator, np.eye(4))
    one, three = action(source, threads=1), action(source, threads=3)
    for name in one.tables:
        np.testing.assert_array_equal(one.tables[name].values, three.tables[name].values)


def test_continuum_normalisation() -> None:
    """On a grid of cell D: G^-1(x, y) = D^-2 G^-1_ab, so that its integral with G is a delta function."""
    source = ExactSource(random_theory(3, 7), np.linspace(0.0, 1.0, 3)[:, None])
    source.card = {"inputs": {"generator": "grid", "count": 3, "dimension": 1, "low": 0.0, "high": 1.0}}
    found = action(source)
    assert found.cell == 0.5
    np.testing.assert_allclose(found.continuum("free").value, found.free.value / 0.25)
    np.testing.assert_allclose(found.continuum("quartic_next").value, found.quartic.value / 0.5**4)
    np.testing.assert_allclose(found.continuum("sextic").value, found.sextic.value / 0.5**6)
    with pytest.raises(UsageError, match="no continuum"):
        found.continuum("quartic_next_modes")
    source.card = {}
    with pytest.raises(UsageError, match="no continuum"):
        action(source).continuum("free")


def test_covariance_is_that_of_the_pseudo_values() -> None:
    found = action(EstimatorSource(filled(2, networks=20_000), np.eye(2)))
    table = found.quartic
    np.testing.assert_allclose(found.covariance("quartic_leading"), table.covariance(), rtol=1e-12)
    np.testing.assert_allclose(np.sqrt(np.diagonal(table.covariance())), table.stderr, rtol=1e-12)
    np.testing.assert_allclose(
        found.covariance("quartic_leading", [4, 0]), table.covariance()[np.ix_([4, 0], [4, 0])], rtol=1e-12
    )


def filled(size: int, networks: int, bins: int = 40, empty: int = 0) -> CorrelatorEstimator:
    """An estimator fed with random metrics by hand: sums of T_2 and T_4."""
    generator = np.random.default_rng(size)
    layout = sum_layout(size, "conditional", [2, 4])
    estimator = CorrelatorEstimator(layout, bins)
    each = networks // bins
    for place in range(bins - empty):
        roots = generator.normal(size=(each, size, size + 40)) / np.sqrt(size + 40)
        metrics = roots @ roots.transpose(0, 2, 1)
        first, second = np.triu_indices(size)
        two = metrics[:, first, second]
        a, b, c, d = layout.tables["S4:0000"].points.T
        four = (
            metrics[:, a, b] * metrics[:, c, d]
            + metrics[:, a, c] * metrics[:, b, d]
            + metrics[:, a, d] * metrics[:, b, c]
        )
        sums = np.concatenate([two.sum(axis=0), four.sum(axis=0)])
        estimator.push(place, each, sums)
    return estimator


REFUSALS: list[tuple[dict[str, object], type[NnftError], str]] = [
    ({"order": 3}, UsageError, "unknown order of an action: got 3; use 4 or 6"),
    ({"order": 8}, UsageError, "use 4 or 6"),
    ({"order": 6}, DataFileError, r"no correlator of order 6 .*got orders \[2, 4\]"),
    ({"points": [0, 5]}, UsageError, "point out of range in points: got 5; allowed: 0 to 2"),
    ({"points": [-1]}, UsageError, "got -1"),
    ({"points": [1, 1]}, UsageError, "given twice"),
    ({"points": []}, UsageError, "unusable points"),
    ({"points": [0.5]}, UsageError, "unusable points"),
    ({"modes": 0}, UsageError, "impossible number of modes: got 0; allowed: 1 to 3"),
    ({"modes": 4}, UsageError, "allowed: 1 to 3"),
    ({"modes": 2, "cut": 0.1}, UsageError, "contradiction"),
    ({"cut": 1.5}, UsageError, "impossible cut"),
    ({"cut": float("nan")}, UsageError, "impossible cut"),
    ({"threads": 0}, UsageError, "impossible number of threads"),
]


@pytest.mark.parametrize(("options", "error", "message"), REFUSALS, ids=lambda v: str(v)[:30])
def test_refusals(options: dict[str, object], error: type[NnftError], message: str) -> None:
    source = EstimatorSource(filled(3, 4000), np.eye(3))
    with pytest.raises(error, match=message) as caught:
        action(source, **options)  # type: ignore[arg-type]
    assert len(str(caught.value)) < 190


def test_too_few_bins_and_networks() -> None:
    with pytest.raises(
        NumericalError, match="too few filled bins for errors of an action: got 10, needed 16"
    ):
        action(EstimatorSource(filled(2, 4000, bins=40, empty=30), np.eye(2)))
    with pytest.raises(NumericalError, match="no networks"):
        action(EstimatorSource(filled(2, 4000, bins=40, empty=40), np.eye(2)))


def test_vanishing_field_is_refused() -> None:
    tables = {order: np.zeros(symmetric.component_count(2, order)) for order in (2, 4)}
    with pytest.raises(NumericalError, match="the field vanishes"):
        action(ExactSource(tables, np.eye(2)))


def test_a_file_without_order_4() -> None:
    with pytest.raises(DataFileError, match="no correlator of order 4"):
        action(ExactSource({2: random_theory(2, 1)[2]}, np.eye(2)))


def test_unknown_table() -> None:
    found = action(ExactSource(random_theory(2, 8), np.eye(2)), order=4)
    with pytest.raises(UsageError, match="no table 'sextic' in the action of order 4"):
        _ = found.sextic


@pytest.mark.parametrize("size", [1, 3])
def test_text_and_record(size: int) -> None:
    record = action_record(action(ExactSource(random_theory(size, 9), np.eye(size))))
    text = action_text(record, "run.h5")
    assert "density exp(-S)" in text
    assert "kappa_4 > 0 (heavy tails) gives lambda_4 < 0" in text
    assert record["tables"]["sextic"]["components"] == symmetric.component_count(size, 6)
    assert len(record["tables"]["quartic_next"]["value"]) == symmetric.component_count(size, 4)
