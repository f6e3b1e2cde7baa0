"""Scales of axes: linear, logarithmic, or logarithmic for both signs; ticks and limits."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from nnft.plots.scales import (
    Scale,
    apply_scale,
    choose_scale,
    limits,
    power_of_ten,
    symmetric_ticks,
)
from nnft.plots.style import label_text, probability

NONE = np.zeros(4)


@pytest.mark.parametrize(
    ("values", "errors", "kind"),
    [
        ([1.0, 2.0, 3.0, 4.0], NONE, "linear"),
        ([-1.0, 2.0, 3.0, 4.0], NONE, "linear"),
        ([0.0, 0.0, 0.0, 0.0], NONE, "linear"),
        ([np.nan, np.nan, np.inf, np.nan], NONE, "linear"),
        ([1.0, 10.0, 100.0, 1000.0], NONE, "log"),
        ([1.0, 10.0, np.nan, 1000.0], NONE, "log"),
        ([-1.0, 10.0, 100.0, 1000.0], NONE, "symlog"),
        ([-1.0, -10.0, -100.0, -1000.0], NONE, "symlog"),
        ([1e-9, 5.0, 7.0, 9.0], [1.0, 0.1, 0.1, 0.1], "linear"),
        ([1e-9, 5.0, 7.0, 900.0], [1.0, 0.1, 0.1, 0.1], "symlog"),
        ([1e-9, 5.0, 7.0, 900.0], [100.0, 0.1, 0.1, 0.1], "linear"),
    ],
)
def test_scale_follows_the_range_that_stands_out_of_the_errors(
    values: list[float], errors: list[float], kind: str
) -> None:
    scale = choose_scale(np.array(values), np.array(errors))
    assert scale.kind == kind
    low, high = limits(scale, np.array(values), np.array(errors))
    finite = np.array(values)[np.isfinite(values)]
    assert low < high
    assert ((finite >= low) & (finite <= high)).all()
    assert scale.kind != "log" or low > 0.0
    axes = Figure().subplots()
    for axis in (axes.xaxis, axes.yaxis):
        apply_scale(axis, scale)
    assert axes.get_xscale() == axes.get_yscale() == kind


def test_ticks_are_few_and_of_the_signs_that_occur() -> None:
    both = symmetric_ticks(Scale("symlog", 1e-9, 1.0))
    assert len(both) <= 9
    assert both == sorted(both)
    assert 0.0 in both
    assert both == [-tick for tick in reversed(both)]
    negative = symmetric_ticks(Scale("symlog", 1e-2, 12.0, (-1,)))
    assert negative == pytest.approx([-100.0, -10.0, -1.0, -0.1, -0.01, 0.0])


def test_texts() -> None:
    assert [power_of_ten(value) for value in (0.0, 1.0, -0.1, 10.0, -1e-5)] == [
        "0", "$1$", "$-0.1$", "$10$", "$-10^{-5}$",
    ]  # fmt: skip
    assert probability(0.031) == "$p$ = 0.031"
    assert probability(2.5e-21) == r"$p$ = $2.5 \times 10^{-21}$"
    assert probability(0.0) == "$p < 10^{-99}$"
    assert probability(float("nan")) == "$p$ = -"
    assert label_text("a$b\n") == r"a\$b "
    assert len(label_text("x" * 100)) == 36
    assert label_text("\u65e5\u00fc\udc80") == "\u25a1\u00fc\\udc80"
