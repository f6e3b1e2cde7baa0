"""Interactions by insertion against quadrature and first-order perturbation theory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from interacting import REFERENCES, Theory, deformed, points_with_kernel, potential
from runs import LIMIT, SEED, check_band, component, pull
from scipy.stats import chi2

from nnft.estimators.correlators import CorrelatorEstimator

THREE = REFERENCES["phi4-three-sites"]
KERNEL = np.array(THREE["inputs"]["G"])
ONE = REFERENCES["phi4-one-site"]


def one_site(seed: int, networks: int = 60_000, readouts: int = 64, **couplings: Any) -> CorrelatorEstimator:
    """A site of unit variance."""
    return deformed([[1.0]], [], seed, networks, {"readouts": readouts, **couplings}, orders=(2, 4, 6))


def test_quadrature_gives_the_reference_values() -> None:
    one = Theory([[1.0]], lambda phi: potential(phi, phi4=ONE["inputs"]["lambda"]), step=0.1)
    for order in (2, 4, 6):
        assert one.moment((0,) * order) == pytest.approx(ONE["values"][f"phi{order}"], rel=1e-12)
    assert one.cumulant((0,) * 4) == pytest.approx(ONE["values"]["kappa4"], rel=1e-11)
    three = Theory(KERNEL, lambda phi: potential(phi, phi4=THREE["inputs"]["lambda_site"]))
    assert three.moment((0, 1)) == pytest.approx(THREE["values"]["E01"], rel=1e-11)
    assert three.moment((1, 1)) == pytest.approx(THREE["values"]["E11"], rel=1e-11)
    assert three.cumulant((0, 1, 1, 2)) == pytest.approx(THREE["values"]["kappa4_0112"], rel=1e-10)


def test_one_site_has_the_reference_values() -> None:
    run = one_site(SEED + 500, phi4=ONE["inputs"]["lambda"])
    values = ONE["values"]
    pulls = [
        pull(run.moment(2), (0, 0), values["phi2"], sees=0.01),
        pull(run.moment(4), (0,) * 4, values["phi4"], sees=0.02),
        pull(run.moment(6), (0,) * 6, values["phi6"], sees=0.05),
        pull(run.result(4), (0,) * 4, values["kappa4"], sees=0.1),
    ]
    assert max(map(abs, pulls)) < LIMIT


@pytest.mark.parametrize(
    "couplings",
    [
        {"phi4": 0.05},
        {"phi2": 0.7, "phi4": 1.5},
        {"phi2": -0.6, "phi4": 3.0, "cell": 0.5},
        {"phi4": -1.0, "phi6": 4.0},
        {"phi2": 0.4},
    ],
    ids=lambda couplings: "-".join(f"{key}{value}" for key, value in couplings.items()),
)
def test_one_site_with_other_couplings(couplings: dict[str, float]) -> None:
    theory = Theory([[1.0]], lambda phi: potential(phi, **couplings), step=0.05)
    run = one_site(SEED + 510 + int(10 * sum(couplings.values())), **couplings)
    for order, sees in ((2, 0.02), (4, 0.04), (6, 0.1)):
        assert abs(pull(run.moment(order), (0,) * order, theory.moment((0,) * order), sees)) < LIMIT
    for order in (4, 6):
        result, exact = run.result(order), theory.cumulant((0,) * order)
        assert abs(result.value[0] - exact) < LIMIT * result.stderr[0], order
        assert 11 * result.stderr[0] < 0.4 * theory.moment((0, 0)) ** (order // 2), order


def three_sites(seed: int, networks: int, **deformation: Any) -> CorrelatorEstimator:
    """Three sites with the kernel of the reference."""
    points = points_with_kernel(KERNEL)
    return deformed(points, [], seed, networks, deformation, orders=(2, 4, 6))


def test_three_sites_have_the_reference_values() -> None:
    run = three_sites(SEED + 530, 60_000, phi4=THREE["inputs"]["lambda_site"], readouts=64)
    values = THREE["values"]
    pulls = [
        pull(run.result(2), (0, 1), values["E01"], sees=0.02),
        pull(run.result(2), (1, 1), values["E11"], sees=0.01),
        pull(run.result(4), (0, 1, 1, 2), values["kappa4_0112"], sees=0.3),
    ]
    assert max(map(abs, pulls)) < LIMIT


def test_every_component_of_three_sites_with_unequal_couplings() -> None:
    """All sums at once: a coupling at the wrong site, or a wrong component, is seen."""
    couplings: dict[str, Any] = {"phi2": [0.3, 0.0, -0.2], "phi4": [0.2, 1.0, 0.6], "phi6": [0.0, 0.5, 0.0]}
    theory = Theory(KERNEL, lambda phi: potential(phi, **{k: np.array(v) for k, v in couplings.items()}))
    run = three_sites(SEED + 531, 60_000, readouts=32, **couplings)
    for order in (2, 4, 6):
        result = run.result(order)
        exact = np.array([theory.cumulant(tuple(row)) for row in result.indices.tolist()])
        assert np.abs((result.value - exact) / result.stderr).max() < LIMIT, order
    two = run.result(2)
    assert two.value[component(two, (2, 2))] - two.value[component(two, (0, 0))] > 30 * two.stderr.max()


def test_first_order_perturbation_theory() -> None:
    """delta G = -(lambda/2) sum_y G_1y G_yy G_y2 and kappa4 = -lambda sum_y G_1y..G_4y, up to lambda^2."""
    rows = [(0, 0), (0, 1), (1, 1), (0, 2)]
    shift = -0.5 * np.einsum("ay,yy,yb->ab", KERNEL, KERNEL, KERNEL)
    four = -np.einsum("ay,by,cy,dy->abcd", KERNEL, KERNEL, KERNEL, KERNEL)
    assert KERNEL[0, 1] + THREE["inputs"]["lambda_site"] * shift[0, 1] == pytest.approx(
        THREE["values"]["first_order_E01"]
    )
    assert THREE["inputs"]["lambda_site"] * four[0, 1, 1, 2] == pytest.approx(
        THREE["values"]["first_order_kappa4_0112"]
    )
    residuals = []
    for coupling in (0.02, 0.01):
        theory = Theory(KERNEL, lambda phi, c=coupling: potential(phi, phi4=c))
        two = [theory.moment(row) - KERNEL[row] - coupling * shift[row] for row in rows]
        residuals.append([*two, theory.cumulant((0, 1, 1, 2)) - coupling * four[0, 1, 1, 2]])
    ratios = np.array(residuals[0]) / np.array(residuals[1])
    assert np.all(abs(ratios - 4.0) < 0.3), ratios  # quadratic in the coupling
    run = three_sites(SEED + 532, 40_000, phi4=0.02, readouts=64)
    result = run.result(2)
    for row, second in zip(rows, residuals[0], strict=False):
        first = KERNEL[row] + 0.02 * shift[row]
        where = component(result, row)
        assert abs(result.value[where] - first - second) < LIMIT * result.stderr[where]
        assert abs(result.value[where] - KERNEL[row]) > LIMIT * result.stderr[where]  # not the free theory


WIDTH = 6


def mixture(couplings: dict[str, float]) -> dict[int, float]:
    """Moments of one linear hidden layer of WIDTH neurons at one site: phi given Ghat is N(0, Ghat)."""
    share = (np.arange(2000) + 0.5) / 2000
    metrics = chi2.ppf(share, WIDTH) / WIDTH  # the midpoint rule in the distribution function of Ghat
    u = np.arange(-9.0, 9.05, 0.1)
    phi = np.sqrt(metrics)[:, None] * u
    weight = np.exp(-0.5 * u**2 - potential(phi.reshape(-1, 1), **couplings).reshape(phi.shape))
    return {order: float((weight * phi**order).sum() / weight.sum()) for order in (2, 4, 6)}


@pytest.mark.parametrize("method", ["collapsed", "explicit"])
def test_finite_width_against_the_mixture(method: str) -> None:
    """The width makes kappa4 positive, the coupling lowers it: one wins at weak coupling, one at strong."""
    found = []
    for index, coupling in enumerate((0.05, 2.0)):
        couplings = {"phi4": coupling}
        exact = mixture(couplings)
        run = deformed(
            [[1.0]], [WIDTH], SEED + 540 + index, 60_000, couplings | {"readouts": 16},
            orders=(2, 4, 6), method=method,
        )  # fmt: skip
        pulls = [pull(run.moment(r), (0,) * r, exact[r], sees) for r, sees in ((2, 0.05), (4, 0.2), (6, 0.5))]
        kappa = exact[4] - 3 * exact[2] ** 2
        result = run.result(4)
        pulls.append(float((result.value[0] - kappa) / result.stderr[0]))
        assert max(map(abs, pulls)) < LIMIT, (coupling, pulls)
        found.append((kappa, float(result.stderr[0])))
    (weak, error), (strong, other) = found
    assert weak > 11 * error
    assert strong < -11 * other


def test_mixture_is_the_cumulant_of_the_width_up_to_first_order() -> None:
    """kappa4 of one linear layer is 6/n; the coupling changes it by O(lambda)."""
    kappas = []
    for coupling in (1e-12, 0.002, 0.004):
        exact = mixture({"phi4": coupling})
        kappas.append(exact[4] - 3 * exact[2] ** 2)
    assert kappas[0] == pytest.approx(6 / WIDTH, rel=0.02)
    assert (kappas[0] - kappas[2]) / (kappas[0] - kappas[1]) == pytest.approx(2.0, rel=0.05)


def test_more_readouts_give_the_same_law_with_smaller_errors() -> None:
    couplings = {"phi4": 0.5}
    runs = [
        deformed([[1.0], [0.6]], [32, 32], SEED + 550 + r, 20_000, couplings | {"readouts": r})
        for r in (1, 16)
    ]
    for order in (2, 4):
        one, many = (run.result(order) for run in runs)
        z = (one.value - many.value) / np.hypot(one.stderr, many.stderr)
        assert np.abs(z).max() < LIMIT
        assert np.all(many.stderr < 0.5 * one.stderr), order


def test_float32_and_layers_agree_with_float64() -> None:
    options: dict[str, Any] = {"orders": (2, 4), "activation": "tanh", "layers": True}
    one, other = (
        deformed([[1.0], [0.4]], [16, 16], SEED + 560 + k, 20_000, {"phi4": 1.0}, precision=p, **options)
        for k, p in enumerate(("float64", "float32"))
    )
    for a, b in [(one.result(2), other.result(2)), (one.result(4), other.result(4))]:
        assert np.abs((a.value - b.value) / np.hypot(a.stderr, b.stderr)).max() < LIMIT
    for layer in (2, 3):
        a, b = one.layer_kernel(layer), other.layer_kernel(layer)
        assert np.abs((a.value - b.value) / np.hypot(a.stderr, b.stderr)).max() < LIMIT
        assert np.all(a.metric.stderr < 0.05 * a.metric.value)


def test_metric_of_the_last_layer_is_reweighted() -> None:
    """E[Ghat w] / E[w] for one linear hidden layer: the insertion favours small metrics."""
    coupling = 2.0
    share = (np.arange(4000) + 0.5) / 4000
    metrics = chi2.ppf(share, WIDTH) / WIDTH
    u = np.arange(-9.0, 9.05, 0.1)
    energy = coupling / 24 * metrics[:, None] ** 2 * u**4
    given = np.exp(-0.5 * u**2 - energy).sum(axis=1)
    mean = float((given * metrics).sum() / given.sum())
    variance = float((given * metrics**2).sum() / given.sum()) - mean**2
    run = deformed(
        [[1.0]], [WIDTH], SEED + 570, 100_000, {"phi4": coupling, "readouts": 16}, layers=True, orders=(2,)
    )
    kernel = run.layer_kernel(2)
    assert abs(kernel.value[0, 0] - mean) < LIMIT * kernel.stderr[0, 0]
    assert abs(kernel.vertex.value[0] - variance) < LIMIT * kernel.vertex.stderr[0]
    assert 1.0 - mean > 11 * kernel.stderr[0, 0]
    assert 2 / WIDTH - variance > 11 * kernel.vertex.stderr[0]


def two_outputs(invariance: str, seed: int) -> tuple[CorrelatorEstimator, Theory]:
    """Two outputs at one site, and the two-component theory."""
    couplings = {"phi4": 2.0}

    def energy(phi: np.ndarray) -> np.ndarray:
        if invariance == "each":
            return potential(phi, **couplings)
        return potential(np.sqrt((phi**2).sum(axis=1, keepdims=True)), **couplings)

    run = deformed(
        [[1.0]], [], seed, 60_000, couplings | {"invariance": invariance, "readouts": 32},
        outputs=2, orders=(2, 4, 6),
    )  # fmt: skip
    return run, Theory(np.eye(2), energy, step=0.1)


@pytest.mark.parametrize("invariance", ["each", "total"])
def test_two_outputs_keep_or_break_the_rotations(invariance: str) -> None:
    run, theory = two_outputs(invariance, SEED + 580 + (invariance == "total"))
    for pattern in ("0000", "0011", "000000", "000011"):
        slots = tuple(map(int, pattern))
        for estimate, exact in (
            (run.moment(len(slots), pattern), theory.moment(slots)),
            (run.result(len(slots), pattern), theory.cumulant(slots)),
        ):
            assert abs(estimate.value[0] - exact) < LIMIT * estimate.stderr[0], pattern
    same, mixed = run.moment(4, "0000"), run.moment(4, "0011")
    difference = float(same.value[0] - 3 * mixed.value[0])
    error = float(np.hypot(same.stderr[0], 3 * mixed.stderr[0]))
    if invariance == "total":
        assert abs(difference) < LIMIT * error
    else:
        assert abs(difference) > 11 * error
        assert abs(theory.cumulant((0, 0, 1, 1))) < 1e-12


@pytest.mark.long
@pytest.mark.parametrize("couplings", [{"phi4": 0.5}, {"phi4": 4.0, "phi2": -0.5}])
def test_error_bars_cover(couplings: dict[str, float]) -> None:
    """300 repeats: pulls of orders 2 and 4 have the sum of squares of normal ones."""
    theory = Theory([[1.0]], lambda phi: potential(phi, **couplings), step=0.05)
    pulls: dict[int, list[float]] = {2: [], 4: []}
    for repeat in range(300):
        run = one_site(SEED + 6000 + repeat, 3_200, 4, **couplings)
        for order, found in pulls.items():
            result = run.result(order)
            found.append(float((result.value[0] - theory.cumulant((0,) * order)) / result.stderr[0]))
    for values in pulls.values():
        check_band(values)
        assert abs(np.mean(values)) < LIMIT / np.sqrt(len(values))


def test_error_bars_cover_in_60_repeats() -> None:
    theory = Theory([[1.0]], lambda phi: potential(phi, phi4=0.5), step=0.05)
    pulls = []
    for repeat in range(60):
        result = one_site(SEED + 7000 + repeat, 3_200, 4, phi4=0.5).result(4)
        pulls.append(float((result.value[0] - theory.cumulant((0,) * 4)) / result.stderr[0]))
    check_band(pulls)
