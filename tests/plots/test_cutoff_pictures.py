"""Pictures of outputs, couplings and information over cutoffs: every number at its place."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from nnft.analysis.flow_couplings import FlowCouplings
from nnft.analysis.flow_quantity import FlowQuantity
from nnft.analysis.flow_spectrum import FlowSpectrum
from nnft.errors import UsageError
from nnft.estimators.replicated import Replicated
from nnft.plots.cutoff_axis import CutoffAxis
from nnft.plots.cutoff_couplings import couplings_figure
from nnft.plots.cutoff_outputs import OutputSamples, histogram_figure, outputs_figure
from nnft.plots.cutoff_spectrum import spectrum_figure
from nnft.plots.style import house_style

Array = npt.NDArray[np.float64]
CUTOFFS = np.array([0.0, 1e-3, 0.1, 10.0, 1000.0, np.inf])
SEED = 20240601


def quantity(name: str, slots: int, points: int = 2) -> FlowQuantity:
    """Values 1, 2, .. times powers of ten that rise over the cutoffs, known well; of coincident points."""
    value = np.arange(1.0, 1.0 + points) * 10.0 ** np.arange(6)[:, None]
    noise = 0.1 * value * np.random.default_rng(SEED).choice([-1.0, 1.0], size=(40, 6, points)) / 39.0
    values = np.concatenate([value[None], value + noise])
    indices = np.repeat(np.arange(points, dtype=np.int32)[:, None], slots, axis=1)
    return FlowQuantity(name, CUTOFFS, indices, Replicated(values, np.full(40, 5), 200))


def test_zero_and_infinity_stand_beside_the_others() -> None:
    axis = CutoffAxis.of(CUTOFFS)
    assert axis.x[1:-1] == pytest.approx([-3.0, -1.0, 1.0, 3.0])
    assert axis.x[0] < -3.4
    assert axis.x[-1] > 3.4
    assert axis.place(10.0) == pytest.approx(1.0)
    assert (axis.place(0.0), axis.place(np.inf)) == (axis.x[0], axis.x[-1])
    alone = CutoffAxis.of([0.0, np.inf])
    assert alone.x[0] < alone.x[1]


@pytest.mark.parametrize("cutoffs", [CUTOFFS, [0.0, np.inf], [0.0, 2.0, np.inf], [0.0, 2.0, 3.0, np.inf]])
def test_ticks_of_the_cutoffs(cutoffs: Any) -> None:
    """Both ends and some cutoffs between, in increasing order and none on another."""
    from matplotlib.figure import Figure

    axis = CutoffAxis.of(cutoffs)
    with house_style():
        axes = Figure().subplots()
        axis.dress(axes)
        texts = [text.get_text() for text in axes.get_xticklabels()]
        places = axes.get_xticks()
    assert (texts[0], texts[-1]) == ("0", r"$\infty$")
    assert (np.diff(places) > 0.05).all()
    assert len(texts) == len(places) >= min(len(cutoffs), 3)
    assert axes.get_xlim()[0] < places[0] < places[-1] < axes.get_xlim()[1]


def test_outputs_lie_where_the_numbers_are() -> None:
    quantities = [quantity("mean", 1), quantity("connected_2", 2), quantity("tangent", 2)]
    with house_style():
        figure = outputs_figure(quantities, [0, 1], "made-up.h5")
    assert len(figure.axes) == 3
    x = CutoffAxis.of(CUTOFFS).x
    for panel, one in zip(figure.axes, quantities, strict=True):
        for k, container in enumerate(panel.containers):
            points = np.asarray(container.lines[0].get_xydata())  # type: ignore[attr-defined]
            assert points[:, 0] == pytest.approx(x)
            assert points[:, 1] == pytest.approx(one.value[:, k])
    assert [panel.get_yscale() for panel in figure.axes] == ["linear", "log", "log"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["point 0", "point 1"]


def made_up_couplings(missing: tuple[int, ...] = ()) -> FlowCouplings:
    tables = {}
    for name, slots in (("free", 2), ("quadratic", 2), ("quartic", 4), ("reduced_quartic", 1)):
        one = quantity(name, slots)
        one.replicated.values[:, list(missing)] = np.nan
        tables[name] = one
    reasons = dict.fromkeys(missing, "singular kernel")
    return FlowCouplings(CUTOFFS, np.array([0, 1], dtype=np.int32), tables, reasons)


def test_cutoffs_without_couplings_are_grey_and_empty() -> None:
    for missing in ((), (0, 5)):
        with house_style():
            figure = couplings_figure(made_up_couplings(missing), "made-up.h5")
        assert len(figure.axes) == 3
        for panel in figure.axes:
            assert len(panel.containers[0].lines[0].get_xdata()) == 6 - len(missing)  # type: ignore[attr-defined]
            assert len(panel.patches) == len(missing)
        assert ("singular" in figure.axes[0].get_title()) == bool(missing)


def test_histograms_have_all_networks() -> None:
    """Areas are the share that is not outside; a lost one far away is counted in words."""
    outputs = np.random.default_rng(SEED).normal(size=(400, 3, 2)) * [[[1.0]], [[10.0]], [[100.0]]][0]
    outputs[0, 2, 1] = 1e9
    names = ("trained", "half", "replaced")
    with house_style():
        figure = histogram_figure(OutputSamples(outputs, names, (0, 1)), "made-up.h5")
    assert len(figure.axes) == 6
    for k, panel in enumerate(figure.axes):
        density, edges, _ = panel.patches[0].get_data()  # type: ignore[attr-defined]
        area = float((density * np.diff(edges)).sum())
        assert area == pytest.approx(399 / 400 if k == 5 else 1.0)
        assert [text.get_text() for text in panel.texts] == (["1 outside"] if k == 5 else [])
    assert [panel.get_title() for panel in figure.axes[:3]] == list(names)
    with pytest.raises(UsageError, match="too few outputs for a histogram: got 7 networks, needed 8"):
        histogram_figure(OutputSamples(outputs[:7], names, (0, 1)), "made-up.h5")


def test_spectrum_shows_every_parameter() -> None:
    edges = 10.0 ** np.arange(-3.0, 4.0)
    share = np.array([0.2, 0.1, 0.0, 0.1, 0.3, 0.2, 0.1, 0.0, 0.0])
    error = np.where(share > 0.0, 0.01, np.nan)
    with house_style():
        figure = spectrum_figure(FlowSpectrum(edges[:8], share, error, 50), CUTOFFS, "made-up.h5")
    zero, axes, below = figure.axes
    assert zero.patches[0].get_height() == 0.2  # type: ignore[attr-defined]
    density, drawn, _ = axes.patches[0].get_data()  # type: ignore[attr-defined]
    assert density.tolist() == pytest.approx([0.1, 0.3, 0.2, 0.1])
    assert drawn == pytest.approx(edges[1:6])
    assert np.asarray(below.lines[0].get_ydata()) == pytest.approx([0.3, 0.4, 0.7, 0.9, 1.0])
    with pytest.raises(UsageError, match="no parameter with any information"):
        spectrum_figure(FlowSpectrum(edges, np.eye(9)[0], error, 50), CUTOFFS, "made-up.h5")
