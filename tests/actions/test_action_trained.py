"""The action of a field with a mean: what of it is right, what is left out, and how large that is."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sources import EstimatorSource, ExactSource

from nnft.actions import symmetric
from nnft.actions.action import action
from nnft.actions.action_text import action_record, action_text
from nnft.actions.source import require_orders
from nnft.errors import DataFileError, NumericalError, UsageError
from nnft.estimators.correlators import CorrelatorEstimator
from nnft.estimators.layout import sum_layout

SEED = 20240601
SIGMA = 5.85
MEAN = np.array([1.0, -0.5])
ROOT = np.array([[1.0, 0.0], [0.4, 0.8]])
KERNEL = ROOT @ ROOT.T


def theory(seed: int, size: int = 3) -> dict[int, np.ndarray]:
    """Cumulants of orders 1 to 6 of a weakly interacting field."""
    generator = np.random.default_rng(SEED + seed)
    roots = np.eye(size) + 0.2 * generator.normal(size=(size, size))
    tables = {2: symmetric.pack(roots @ roots.T)}
    for order, strength in ((1, 1.0), (3, 0.05), (4, 0.02), (5, 0.005), (6, 0.001)):
        tables[order] = strength * generator.normal(size=symmetric.component_count(size, order))
    return tables


def test_odd_correlators_leave_the_even_couplings_as_they_are() -> None:
    tables = theory(1)
    found = action(ExactSource(tables, np.eye(3)))
    even = action(ExactSource({order: tables[order] for order in (2, 4)}, np.eye(3)))
    assert (found.order, even.order) == (4, 4)
    for name, table in even.tables.items():
        np.testing.assert_array_equal(found.tables[name].values, table.values)
    assert even.skewness() is None
    assert action_record(even)["skewness"] is None
    assert "left out" not in action_text(action_record(even), "run.h5")


@pytest.mark.parametrize("points", [None, [2, 0]])
def test_skewness_of_the_modes(points: list[int] | None) -> None:
    tables = theory(2)
    found = action(ExactSource(tables, np.eye(3)), points=points)
    chosen = [0, 1, 2] if points is None else points
    three = symmetric.dense(tables[3], 3, 3)[np.ix_(chosen, chosen, chosen)]
    vectors, values = found.spectrum.vectors, found.spectrum.eigenvalues.value
    skewness = found.skewness()
    assert skewness is not None
    in_modes = np.einsum("abc,ai,bi,ci->i", three, vectors, vectors, vectors)
    np.testing.assert_allclose(skewness.value, in_modes / values**1.5, rtol=1e-11)
    assert skewness.indices[:, 0].tolist() == list(range(len(chosen)))


def test_the_text_says_what_is_left_out() -> None:
    tables = theory(3, size=1) | {2: np.array([4.0]), 3: np.array([0.8]), 4: np.array([0.16])}
    record = action_record(action(ExactSource(tables, np.eye(1))))
    text = action_text(json.loads(json.dumps(record)), "run.h5")
    assert "field psi = f - <f>: the odd correlator G3 is left out" in text
    assert "\n! largest skewness of a mode 0.1(0) (mode 0): its square would add 0.03 to" in text
    assert "lambda_iiii s_i^2, which reaches 0.01" in text
    small = tables | {3: np.array([0.08])}
    text = action_text(action_record(action(ExactSource(small, np.eye(1)))), "run.h5")
    assert "\nlargest skewness of a mode 0.01(0)" in text


def test_order_six_is_refused() -> None:
    source = ExactSource(theory(4), np.eye(3))
    assert action(source).order == 4
    with pytest.raises(
        UsageError, match=r"no action of order 6 of a field with a mean.*use order 4"
    ) as caught:
        action(source, order=6)
    assert len("nnft: error: " + str(caught.value)) <= 200


def cumulants_of(cubic: float, quartic: float) -> tuple[float, float, float]:
    """Second to fourth cumulant of the density exp(-x^2/2 - cubic x^3/3! - quartic x^4/4!), by quadrature."""
    x = np.linspace(-9.0, 9.0, 20_001)
    weight = np.exp(-(x**2) / 2 - cubic * x**3 / 6 - quartic * x**4 / 24)
    weight /= weight.sum()
    centred = x - np.sum(weight * x)
    two, three, four = (float(np.sum(weight * centred**k)) for k in (2, 3, 4))
    return two, three, four - 3 * two**2


def test_what_the_cubic_coupling_changes_is_the_square_of_the_skewness() -> None:
    """The quartic coupling without G3 is off by -3 skewness^2, as the text says; exact densities."""

    def reduced(cubic: float) -> tuple[float, float]:
        two, three, four = cumulants_of(cubic, 0.02)
        tables = {1: np.zeros(1), 2: np.array([two]), 3: np.array([three]), 4: np.array([four])}
        found = action(ExactSource(tables, np.eye(1)))
        skewness = found.skewness()
        assert skewness is not None
        return float(found.reduced_quartic().value[0]), float(skewness.value[0])

    (without, none), (coupled, skewness) = reduced(0.0), reduced(0.04)
    assert none == pytest.approx(0.0, abs=1e-12)
    assert skewness == pytest.approx(-0.04, rel=0.1)
    assert without - coupled == pytest.approx(3 * skewness**2, rel=0.15)


def trained_estimator(networks: int, bins: int) -> CorrelatorEstimator:
    """Networks f = MEAN + ROOT s with two independent centred gamma variables s of variance 1."""
    layout = sum_layout(2, "trained", [4])
    estimator = CorrelatorEstimator(layout, bins, MEAN)
    generator = np.random.default_rng(SEED)
    tables = [table.points for table in layout.tables.values()]
    for b in range(bins):
        gamma = generator.gamma(16.0, size=(networks // bins, 2))
        fields = (gamma - 16.0) / 4.0 @ ROOT.T
        sums = [fields[:, points].prod(axis=2).sum(axis=0) for points in tables]
        estimator.push(b, len(fields), np.concatenate(sums))
    return estimator


def test_an_ensemble_of_trained_networks_has_its_action() -> None:
    """Gamma variables of shape 16: skewness 1/2 and kappa4 3/8 along each; the free part is
    seen to 1 %, the quartic couplings to a few per cent of the largest."""
    source = EstimatorSource(trained_estimator(400_000, 50), np.eye(2))
    assert source.orders == (1, 2, 3, 4)
    found = action(source)
    exact = np.linalg.inv(KERNEL)[np.triu_indices(2)]
    assert np.all(abs(found.free.value - exact) < SIGMA * found.free.stderr)
    assert np.all(found.free.stderr < 0.01 * abs(exact).max())
    inverse = np.linalg.inv(ROOT)
    lowered = 0.375 * np.einsum("ia,ib,ic,id->abcd", *[inverse] * 4)
    quartic = found.table("quartic_leading")
    wanted = -symmetric.pack(lowered)
    assert np.all(abs(quartic.value - wanted) < SIGMA * quartic.stderr)
    assert np.all(quartic.stderr < 0.05 * abs(wanted).max())
    skewness = found.skewness()
    assert skewness is not None
    vectors, values = found.spectrum.vectors, found.spectrum.eigenvalues.value
    along = 0.5 * ((vectors.T @ ROOT) ** 3).sum(axis=1) / values**1.5
    assert np.all(abs(skewness.value - along) < SIGMA * skewness.stderr)
    np.testing.assert_allclose(source.replicates(1).value, MEAN, atol=0.02)


@pytest.mark.parametrize(("trained", "verb"), [(True, "train"), (False, "sample")])
def test_a_missing_order_is_asked_of_the_command_that_made_the_run(trained: bool, verb: str) -> None:
    """Odd orders come by themselves: estimate.correlators has even ones."""
    tables = theory(4)
    source = ExactSource({order: tables[order] for order in ((1, 2) if trained else (2,))}, np.eye(3))
    source.card = {"training": {}} if trained else {}
    with pytest.raises(DataFileError, match=rf"; {verb} with estimate\.correlators = \[2, 4\]$"):
        require_orders(source, (2, 4), "a test")
    source.networks = 0
    with pytest.raises(NumericalError, match=f"nnft {verb} CARD"):
        require_orders(source, (2,), "a test")
