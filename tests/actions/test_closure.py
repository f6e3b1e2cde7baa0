"""Closure: what orders 2 and 4 say about order 6."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from perturbed import Perturbed, positive_couplings
from runs import LIMIT, SEED, estimate
from sources import EstimatorSource, ExactSource

from nnft.actions import symmetric
from nnft.actions.closure import Closure, closure, closure_threshold
from nnft.errors import DataFileError, NumericalError, UsageError
from nnft.theory.cumulants import pairings
from nnft.theory.deep_linear import single_input_moment


def quartic_theory(size: int) -> Perturbed:
    theory = positive_couplings(size, seed=SEED + 3500 + size)
    return Perturbed(theory.quadratic, theory.quartic, np.zeros_like(theory.sextic))


def of_theory(theory: Perturbed, coupling: float, nodes: int) -> Closure:
    two, four, six = theory.cumulants(coupling, nodes, 9.0)
    size = len(two)
    return closure(ExactSource({2: two[np.triu_indices(size)], 4: four, 6: six}, np.eye(size)))


@pytest.mark.parametrize(("size", "nodes"), [(1, 2001), (2, 241), (3, 71)])
def test_a_quartic_theory_closes(size: int, nodes: int) -> None:
    """Prediction and exact kappa_6 of S = phi^2 + g phi^4 differ at relative order g; the share is O(g^2)."""
    theory = quartic_theory(size)
    shares, misfits = [], []
    for coupling in (0.02, 0.01, 0.005):
        found = of_theory(theory, coupling, nodes)
        scale = np.abs(found.measured.value).max()
        misfits.append(float(np.abs(found.difference.value).max() / scale))
        shares.append(found.share)
    assert np.log2(misfits[1] / misfits[2]) == pytest.approx(1.0, abs=0.15)
    assert np.log2(shares[1] / shares[2]) == pytest.approx(2.0, abs=0.15)
    assert misfits[2] < 0.2


def test_a_sextic_coupling_does_not_close() -> None:
    """With a sextic coupling of order g^2 the relative misfit m_0 + m_1 g + .. has a limit m_0 > 0."""
    limits = []
    for theory in (positive_couplings(2, seed=SEED + 3510), quartic_theory(2)):
        misfits = []
        for coupling in (0.01, 0.005):
            found = of_theory(theory, coupling, 241)
            misfits.append(float(np.abs(found.difference.value).max() / np.abs(found.measured.value).max()))
        limits.append((2.0 * misfits[1] - misfits[0]) / misfits[1])
    assert limits[0] > 0.5
    assert abs(limits[1]) < 0.1


def test_the_prediction_is_the_sum_over_ten_splits() -> None:
    generator = np.random.default_rng(0)
    root = np.eye(3) + 0.2 * generator.normal(size=(3, 3))
    metric = root @ root.T
    packed = 0.1 * generator.normal(size=symmetric.component_count(3, 4))
    four, inverse = symmetric.dense(packed, 3, 4), np.linalg.inv(metric)
    tree = np.einsum("abcx,xy,ydef->abcdef", four, inverse, four)
    expected = np.zeros((3,) * 6)
    for rest in [(b, c) for b in range(1, 6) for c in range(b + 1, 6)]:
        first = (0, *rest)
        axes = [*first, *(k for k in range(6) if k not in first)]
        expected += tree.transpose(np.argsort(axes))
    source = ExactSource({2: metric[np.triu_indices(3)], 4: packed, 6: np.zeros(28)}, np.eye(3))
    found = closure(source)
    np.testing.assert_allclose(found.predicted.value, symmetric.pack(expected), rtol=1e-11, atol=1e-15)


def exact_share(width: int, hidden: int) -> float:
    """Sextic share of a deep linear network on one input with x.x/d = 1, C_W = 1."""
    moments = [float(single_input_moment(1.0, [width] * hidden, k)) for k in (1, 2, 3)]
    four = 3.0 * (moments[1] - 1.0)
    six = 15.0 * (moments[2] - 3.0 * moments[1] + 2.0)
    assert len(list(pairings(range(6)))) == 15
    return abs(six - 10.0 * four**2) / 720**0.5 / (four / 24**0.5)


@pytest.mark.parametrize("width", [16, 64])
def test_share_of_deep_linear_networks(width: int) -> None:
    """Exact share at one input; the estimate is corrected for the bias of a square."""
    estimator = estimate([[1.0]], [width] * 3, "linear", SEED + 3520 + width, 200_000, orders=(6,))
    found = closure(EstimatorSource(estimator, [[1.0]]))
    exact = exact_share(width, 3)
    assert abs(found.share - exact) < LIMIT * found.share_error
    assert found.share_error < 0.1 * exact
    assert found.test.p_value < 1e-6


def test_share_without_signal_is_not_biased() -> None:
    """Where kappa_6 is its prediction up to noise, the corrected square averages to zero."""
    squares = []
    generator = np.random.default_rng(3)
    for _ in range(100):
        noise = generator.normal(size=(40, 1)) * 2e-4
        values = np.concatenate([np.zeros((1, 1)), -noise / 39.0]) + noise.mean()
        six = 0.009 + values  # 10 kappa_4^2 = 0.009
        found = closure(_OneField(0.03, six), threads=1)
        squares.append(found.share**2 if found.share > 0 else 0.0)
    # half of the corrected squares are negative and reported as zero; none is far above the noise
    zeros = np.count_nonzero(np.array(squares) == 0.0)
    assert 25 < zeros < 95


class _OneField:
    """One field with G = 1, a fixed kappa_4 and given replicates of kappa_6."""

    def __init__(self, four: float, six: np.ndarray) -> None:
        self.points = np.eye(1)
        self.path = Path("one field")
        self.card: dict[str, Any] = {}
        self.orders = (2, 4, 6)
        self.networks = 40_000
        self._tables = {2: np.ones_like(six), 4: np.full_like(six, four), 6: six}

    def replicates(self, order: int, outputs: str | None = None, components: Any = None) -> Any:
        from nnft.estimators.replicated import Replicated

        return Replicated(self._tables[order], np.full(40, 1000), self.networks)


def test_threshold_finds_the_width() -> None:
    closures = []
    for width in (8, 16, 32, 64, 128):
        estimator = estimate([[1.0]], [width] * 2, "linear", SEED + 3540 + width, 60_000, orders=(6,))
        closures.append(closure(EstimatorSource(estimator, [[1.0]])))
    widths = [8.0, 16.0, 32.0, 64.0, 128.0]
    found = closure_threshold(widths, closures, 0.3)
    exact = [exact_share(int(width), 2) for width in widths]
    below = [width for width, share in zip(widths, exact, strict=True) if share < 0.3]
    assert found.width == below[0]
    fine = np.linspace(8, 400, 20_000)
    assert found.fitted_width == pytest.approx(
        next(width for width in fine if exact_share(width, 2) < 0.3), rel=0.1
    )
    assert found.freedom == 3
    shuffled = closure_threshold(widths[::-1], closures[::-1], 0.3)
    assert shuffled.coefficients == pytest.approx(found.coefficients)
    assert closure_threshold(widths[:2], closures[:2], 1e-3).width is None


def test_refusals() -> None:
    exact = ExactSource({2: np.ones(1), 4: np.full(1, 0.1), 6: np.full(1, 0.1)}, np.eye(1))
    with pytest.raises(DataFileError, match="no correlator of order 6"):
        closure(ExactSource({2: np.ones(1), 4: np.ones(1)}, np.eye(1)))
    with pytest.raises(NumericalError, match="too few filled bins"):
        closure(ExactSource(exact.tables, np.eye(1), bins=4))
    many = {order: np.ones(symmetric.component_count(25, order)) for order in (2, 4)} | {6: np.ones(1)}
    with pytest.raises(UsageError, match="too many points for a closure test: got 25"):
        closure(ExactSource(many, np.eye(25)))
    one = closure(exact)
    for tolerance in (0.0, 1.0, float("nan")):
        with pytest.raises(UsageError, match="tolerance"):
            closure_threshold([1.0, 2.0], [one, one], tolerance)
    with pytest.raises(UsageError, match="too few widths"):
        closure_threshold([4.0, 4.0], [one, one], 0.1)
