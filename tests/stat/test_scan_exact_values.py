"""Scans against exact laws: the four-point experiment over ten widths; depth and weight variance."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs import BAND_P, DETECTABLE, LIMIT, SEED, binomial_pull, check_band, chi_square_upper

from nnft.analysis.extrapolate import Extrapolation, extrapolate
from nnft.errors import NumericalError
from nnft.pipeline.scan import scan
from nnft.spec.run import RunSpec

WIDTHS = [2, 3, 4, 5, 10, 20, 50, 100, 500, 1000]


def card(
    networks: int, activation: str, points: list[list[float]], seed: int, bias: float = 0.0, **estimate: Any
) -> RunSpec:
    return RunSpec.from_dict(
        {
            "network": {"widths": [4], "activation": activation, "bias_variance": bias},
            "inputs": {"points": points},
            "ensemble": {"networks": networks, "seed": seed},
            "estimate": {"correlators": [2, 4], **estimate},
        }
    )


def ten_widths(folder: Path, activation: str, networks: int) -> Path:
    """One scan of the experiment at x = 1, d = 1."""
    bias = 1.0 if activation == "erf" else 0.0
    base = card(networks, activation, [[1.0]], SEED, bias, correlators=[2, 4, 6])
    index = scan(base, {"network.widths": [[width] for width in WIDTHS]}, folder)
    assert index.complete
    return folder


def relative_g4(activation: str) -> float:
    """N G4 / (3 G2^2) of one hidden layer at x = 1, by quadrature in one Gaussian variable."""
    if activation == "relu":
        return 5.0
    nodes, weights = np.polynomial.hermite_e.hermegauss(200)
    second, fourth = (
        float(weights @ [math.erf(math.sqrt(2.0) * z) ** power for z in nodes]) / math.sqrt(2 * math.pi)
        for power in (2, 4)
    )
    return (fourth - second**2) / (1.0 + second) ** 2


def slope_pull(fit: Extrapolation, exact: float, sees: float) -> float:
    """Deviation of the log-log slope; the test must see a change of `sees`."""
    assert DETECTABLE * fit.slope_error[0] < sees, fit.slope_error
    return float(fit.slope[0] - exact) / float(fit.slope_error[0])


def check_ten_widths(folder: Path, activation: str, share: float, slope4: float, slope6: float) -> None:
    """Values at every width, coefficient, slopes; `share` is the relative change of 5/N that is seen."""
    exact = relative_g4(activation)
    fit = extrapolate(folder, "relative-g4", powers=[1])
    assert fit.members == tuple(f"widths-{width}" for width in reversed(WIDTHS))
    np.testing.assert_allclose(fit.x, 1.0 / np.array(WIDTHS[::-1]))
    pulls = (fit.y[0] - exact * fit.x) / fit.yerr[0]
    assert np.all(np.abs(pulls) < LIMIT), pulls
    assert np.all(DETECTABLE * fit.yerr[0] < 5 * share * exact * fit.x)
    check_band(pulls)
    assert DETECTABLE * fit.coefficient_errors[0, 0] < share * exact
    assert abs(fit.coefficients[0, 0] - exact) < LIMIT * fit.coefficient_errors[0, 0]
    assert fit.dof == 9
    assert fit.p_value[0] > BAND_P
    assert fit.joint.p_value == pytest.approx(fit.p_value[0], rel=1e-6)
    four, six = extrapolate(folder, "g4"), extrapolate(folder, "g6")
    assert (four.powers, six.powers, four.slope_variable) == ((1, 2), (2, 3), "n")
    assert abs(slope_pull(four, -1.0, slope4)) < LIMIT
    assert abs(slope_pull(six, -2.0, slope6)) < LIMIT
    # a correction that is exactly zero
    for result in (four, six):
        assert abs(result.coefficients[0, 1]) < LIMIT * result.coefficient_errors[0, 1]
        assert result.p_value[0] > BAND_P


def test_erf_number() -> None:
    assert relative_g4("erf") == pytest.approx(0.05269, abs=5e-6)


@pytest.mark.first(1)
@pytest.mark.parametrize(("activation", "slope6"), [("erf", 0.75), ("relu", 0.2)])
def test_four_point_experiment(tmp_path: Path, activation: str, slope6: float) -> None:
    """20,000 networks a width: 1 % at each of the ten, a change of 4 % of 5/N is seen."""
    folder = ten_widths(tmp_path / "scan", activation, 20_000)
    check_ten_widths(folder, activation, share=0.045, slope4=0.025, slope6=slope6)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("activation", "slope6"), [("erf", 0.2), ("relu", 0.06)])
def test_four_point_experiment_in_full(tmp_path: Path, activation: str, slope6: float) -> None:
    """400,000 networks a width: 0.2 % at each, a change of 1 % of 5/N is seen."""
    folder = ten_widths(tmp_path / "scan", activation, 400_000)
    check_ten_widths(folder, activation, share=0.01, slope4=0.006, slope6=slope6)


def test_depth_of_linear_networks(tmp_path: Path) -> None:
    """G4 = 3 G2^2 ((1 + 2/n)^(L-1) - 1) with G2 = x.x/d; the fit is that of the exact values."""
    n, depths = 32, [1, 2, 3, 5, 7]
    base = card(40_000, "linear", [[1.0, 1.0]], SEED + 1)
    scan(base, {"network.widths": [[n] * depth for depth in depths]}, tmp_path / "scan")
    fit = extrapolate(tmp_path / "scan", "g4", against="depth", powers=[1, 2, 3])
    np.testing.assert_allclose(fit.x, np.array(depths) / n)
    exact = 3.0 * ((1.0 + 2.0 / n) ** np.array(depths) - 1.0)
    pulls = (fit.y[0] - exact) / fit.yerr[0]
    assert np.all(np.abs(pulls) < LIMIT), pulls
    assert np.all(DETECTABLE * fit.yerr[0] < 0.25 * exact)
    check_band(pulls)
    weights = 1.0 / fit.yerr[0]
    design = fit.x[:, None] ** np.array(fit.powers)
    wanted = np.linalg.lstsq(design * weights[:, None], exact * weights, rcond=None)[0]
    shift = fit.coefficients[0] - wanted
    assert chi_square_upper(float(shift @ np.linalg.solve(fit.covariance[0], shift)), 3) > BAND_P
    # leading order: 3 n ln(1 + 2/n), and 6 only as n goes to infinity
    assert DETECTABLE * fit.coefficient_errors[0, 0] < 0.8 * wanted[0]


def test_weight_variance_of_linear_networks(tmp_path: Path) -> None:
    """G2(ab) = C_W^L x_a.x_b / d for every width: one power, the exact coefficient, slope L."""
    base = card(20_000, "linear", [[1.0, 1.0], [0.5, -2.0]], SEED + 2)
    sets = {"network.weight_variance": [0.5, 1.0, 1.5, 2.0], "network.widths": [[8, 8]]}
    scan(base, sets, tmp_path / "scan")
    fit = extrapolate(tmp_path / "scan", "g2", against="network.weight_variance", powers=[3])
    exact = np.array([1.0, -0.75, 2.125])
    assert fit.labels == ("0,0", "0,1", "1,1")
    pulls = (fit.coefficients[:, 0] - exact) / fit.coefficient_errors[:, 0]
    assert np.all(np.abs(pulls) < LIMIT), pulls
    assert np.all(DETECTABLE * fit.coefficient_errors[[0, 2], 0] < 0.1 * exact[[0, 2]])
    assert np.all(np.abs(fit.slope - 3.0) < LIMIT * fit.slope_error)
    assert DETECTABLE * fit.slope_error[0] < 0.2
    assert fit.joint.dof == 9
    assert fit.joint.p_value > BAND_P
    assert fit.slope_variable == "network.weight_variance"
    wrong = extrapolate(tmp_path / "scan", "g2", against="network.weight_variance", powers=[2])
    assert wrong.joint.p_value < BAND_P


def test_common_random_numbers(tmp_path: Path) -> None:
    """Two members of one seed: their difference is far more exact than of independent ones, and right."""
    values = [1.0, 1.2]
    # G2 of one hidden layer of erf at x = 1: C_W 2/pi arcsin(2 C_W / (1 + 2 C_W)), whatever the width
    exact = [value * 2 / math.pi * math.asin(2 * value / (1 + 2 * value)) for value in values]
    rise = (exact[1] - exact[0]) / (values[1] - values[0])
    errors = {}
    for name, sets in (("common", {"ensemble.seed": [SEED + 3]}), ("own", {})):
        base = card(20_000, "erf", [[1.0]], SEED + 3)
        scan(base, {"network.weight_variance": values, **sets}, tmp_path / name)
        fit = extrapolate(tmp_path / name, "g2", against="network.weight_variance", powers=[0, 1])
        assert abs(fit.coefficients[0, 1] - rise) < LIMIT * fit.coefficient_errors[0, 1]
        errors[name] = fit.coefficient_errors[0, 1]
        assert any("one seed" in note for note in fit.notes) == (name == "common")
        assert (fit.dof, math.isnan(fit.p_value[0])) == (0, True)
    assert errors["common"] < 0.35 * errors["own"]
    assert DETECTABLE * errors["common"] < 0.06 * rise
    assert DETECTABLE * errors["own"] < 0.25 * rise


def test_members_that_repeat_each_other_are_no_independent_data(tmp_path: Path) -> None:
    """For linear networks of one seed relative-g4 does not depend on C_W, nor does its noise."""
    base = card(2_000, "linear", [[1.0]], SEED + 4)
    scan(base, {"network.weight_variance": [1.0, 2.0], "ensemble.seed": [SEED + 4]}, tmp_path / "scan")
    with pytest.raises(NumericalError, match="covariance of the members is singular"):
        extrapolate(tmp_path / "scan", "relative-g4", against="network.weight_variance", powers=[0])


@pytest.mark.long
@pytest.mark.timeout(900)
def test_errors_of_coefficients_cover(tmp_path: Path) -> None:
    """100 scans of three widths: pulls of the coefficient 5 and of the slope -1, and the chi-squares."""
    pulls, slopes, chances = [], [], []
    for number in range(100):
        base = card(4000, "relu", [[1.0]], SEED + 10 + number)
        folder = tmp_path / str(number)
        scan(base, {"network.widths": [[8], [16], [32]]}, folder)
        fit = extrapolate(folder, "relative-g4", powers=[1])
        pulls.append(float((fit.coefficients[0, 0] - 5.0) / fit.coefficient_errors[0, 0]))
        slopes.append(float((fit.slope[0] + 1.0) / fit.slope_error[0]))
        chances.append(float(fit.p_value[0]))
    check_band(pulls)
    check_band(slopes)
    for values in (pulls, slopes):
        inside = sum(abs(value) < 1.959964 for value in values)
        assert abs(binomial_pull(inside, len(values), 0.95)) < LIMIT
    assert abs(binomial_pull(sum(p < 0.5 for p in chances), len(chances), 0.5)) < LIMIT
