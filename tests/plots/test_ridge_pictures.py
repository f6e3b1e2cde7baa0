"""Pictures of learning curves of kernels: every number at its place."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from nnft.analysis.ridge_curve import RidgeResult, ridge_curve
from nnft.analysis.ridge_kernels import SphereOptions, sphere_source
from nnft.analysis.ridge_source import power_law_source
from nnft.errors import UsageError
from nnft.plots.ridge import draw_ridge, ridge_figure
from nnft.plots.style import house_style

SVG = "{http://www.w3.org/2000/svg}"


def power_law(ridge: float = 0.02) -> RidgeResult:
    return ridge_curve(power_law_source(2.0, 1.5, 3000), [10.0, 30.0, 100.0, 300.0], ridge, 0.01)


def test_curves_have_the_numbers_of_the_result() -> None:
    result = power_law()
    with house_style():
        figure = ridge_figure(result)
    errors, ridges, flow, learned = figure.axes
    lines = {line.get_gid(): line for axes in figure.axes for line in axes.lines}
    for name in ("clean_error", "gibbs_error", "flow_error", "flow_full_error", "ek_error", "effective_ridge",
                 "flow_ridge"):  # fmt: skip
        np.testing.assert_array_equal(lines[name].get_xdata(), [10.0, 30.0, 100.0, 300.0])
        np.testing.assert_array_equal(
            lines[name].get_ydata(), [getattr(point, name) for point in result.curve], err_msg=name
        )
    laws = [point.law for point in result.curve if point.law is not None]
    np.testing.assert_array_equal(lines["law-error"].get_ydata(), [law.clean_error for law in laws])
    np.testing.assert_array_equal(lines["law-ridge"].get_ydata(), [law.effective_ridge for law in laws])
    rows = result.flow_rows()
    np.testing.assert_array_equal(
        lines["running-ridge"].get_ydata(), [row["ridge_after"] for row in rows[::-1]]
    )
    assert (flow.get_xscale(), flow.get_yscale(), errors.get_xscale()) == ("log", "log", "log")
    low, high = errors.get_ylim()
    for point in result.curve:
        assert low < point.ek_error < point.gibbs_error < high
        assert ridges.get_ylim()[0] < point.flow_ridge < ridges.get_ylim()[1]
    np.testing.assert_array_equal(
        learned.lines[2].get_ydata(), [point.learnability[2] for point in result.curve]
    )


def test_no_line_for_an_equivalent_kernel_without_a_ridge() -> None:
    with house_style():
        figure = ridge_figure(power_law(0.0))
    assert "ek_error" not in [line.get_gid() for line in figure.axes[0].lines]


@pytest.mark.first(1)
@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf"])
def test_files_are_the_same_each_time(suffix: str, tmp_path: Path) -> None:
    source = sphere_source(SphereOptions(4, "erf", degrees=7), target={1: 0.5, 3: 0.5})
    result = ridge_curve(source, [3.0, 30.0, 300.0], 0.1)
    first, second = (draw_ridge(result, tmp_path / f"{name}{suffix}") for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    if suffix == ".svg":
        assert ET.parse(first).getroot().tag == f"{SVG}svg"


@pytest.mark.parametrize(
    ("modes", "points", "ridge", "noise"),
    [
        (20, [20.0], 0.0, 0.1),  # the interpolation peak alone: nothing finite
        (20, [5.0, 20.0, 1e9], 0.0, 0.1),
        (20, [0.001, 1e9], 5.0, 0.0),  # nothing learned, everything learned
        (20, [1e9], 0.0, 0.0),  # without any error
        (1, list(np.linspace(1.0, 90.0, 60)), 0.0, 0.0),
    ],
)
def test_ends_of_the_range_can_be_drawn(modes: int, points: list[float], ridge: float, noise: float) -> None:
    with house_style():
        figure = ridge_figure(ridge_curve(power_law_source(2.0, 2.0, modes), points, ridge, noise))
        figure.draw_without_rendering()
    assert len(figure.axes) == 4


def test_impossible_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="kind of picture"):
        draw_ridge(power_law(), tmp_path / "a.txt")
