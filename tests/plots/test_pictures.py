"""What the pictures show: axes, one marker for each number, the same bytes again; odd inputs."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from nnft.actions.action import action
from nnft.actions.closure import closure, closure_threshold
from nnft.errors import UsageError
from nnft.plots import style
from nnft.plots.action import action_figure, draw_action
from nnft.plots.closure import closure_figure, draw_closure
from nnft.plots.files import DOTS_PER_INCH
from nnft.plots.scaling import draw_extrapolation, extrapolation_figure, shown_components
from nnft.plots.slices import density_slices

Drawn = Callable[[Path], Path]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def pictures(make_run: Any, make_kernel: Any, make_fit: Any) -> dict[str, Drawn]:
    """One picture of every kind."""
    run = make_run(make_kernel(4, 0.3))
    result = action(run)
    widths = [10.0, 20.0, 40.0]
    tests = [closure(make_run(make_kernel(2), width)) for width in widths]
    threshold = closure_threshold(widths, tests, 0.1)
    labels = ["a.h5", "b.h5", "c.h5"]
    return {
        "action": lambda path: draw_action(result, run, path),
        "closure": lambda path: draw_closure(tests, labels, path, threshold, widths),
        "extrapolation": lambda path: draw_extrapolation(make_fit(), path),
    }


SHOWN = {  # texts on the axes; markers of each group
    "action": (
        ["eigenvalue of $G$", "mode $i$", "density $p$", "$p$ / Gaussian", "input 3", r"output $\phi_{3}$"],
        {"spectrum-kept": 4, "couplings-leading": 4, "couplings-next": 4},
    ),
    "closure": (
        [r"measured $\kappa_6$", "sextic share", "width $n$", "tolerance 0.1"],
        {f"{group}-{run}": count for group, count in (("six-point", 7), ("share", 1)) for run in range(3)},
    ),
    "extrapolation": (
        ["$1/n$", "residual / error", "connected four-point function G4", "$c_{1}$ = 1.000"],
        {f"{group}-{row}": 5 for group in ("values", "residuals") for row in range(2)},
    ),
}


def markers(path: Path) -> dict[str, int]:
    """Number of markers in every named group of an SVG picture."""
    groups = {group.get("id", ""): group for group in ET.parse(path).iter(f"{SVG}g")}
    return {name: len(list(group.iter(f"{SVG}use"))) for name, group in groups.items()}


@pytest.mark.parametrize("kind", SHOWN)
def test_vector_picture_has_its_labels_and_a_marker_for_each_number(
    kind: str, pictures: dict[str, Drawn], tmp_path: Path
) -> None:
    path = pictures[kind](tmp_path / "picture.svg")
    text, found = path.read_text(encoding="utf-8"), markers(path)
    labels, counts = SHOWN[kind]
    assert [label for label in labels if label not in text] == []
    assert {name: found[name] for name in counts} == counts
    identities = [element.get("id") for element in ET.parse(path).iter() if element.get("id")]
    assert len(identities) == len(set(identities))


@pytest.mark.parametrize("kind", SHOWN)
def test_pixels_have_the_width_of_a_page_and_show_something(
    kind: str, pictures: dict[str, Drawn], tmp_path: Path
) -> None:
    pixels = imread(pictures[kind](tmp_path / "picture.png"))
    assert pixels.shape[1] == round(style.WIDTH * DOTS_PER_INCH)
    dark = (pixels[..., :3].min(axis=2) < 0.9).mean()
    assert 0.005 < dark < 0.5
    frame = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    assert (frame == 1.0).all(), "something is cut off at the edge"


@pytest.mark.first(2)
@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf"])
def test_same_numbers_give_the_same_bytes(
    suffix: str, pictures: dict[str, Drawn], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = pictures["closure"](tmp_path / f"first{suffix}").read_bytes()
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    assert pictures["closure"](tmp_path / f"second{suffix}").read_bytes() == first
    assert len(first) > 5000


def test_own_settings_of_the_user_change_nothing_and_stay(
    pictures: dict[str, Drawn], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import matplotlib

    first = pictures["extrapolation"](tmp_path / "first.svg").read_bytes()
    for name, value in (("font.size", 23.0), ("axes.grid", False), ("xtick.direction", "in")):
        monkeypatch.setitem(matplotlib.rcParams, name, value)
    assert pictures["extrapolation"](tmp_path / "second.svg").read_bytes() == first
    assert matplotlib.rcParams["font.size"] == 23.0


# ---- the action ----


def texts(figure: Any) -> str:
    """All texts of a figure."""
    from matplotlib.text import Text

    return "\n".join(text.get_text() for text in figure.findobj(Text))


def test_dropped_modes_are_hollow_and_negative_ones_marked(make_run: Any, tmp_path: Path) -> None:
    root = np.random.default_rng(0).normal(size=(6, 2))
    run = make_run(root @ root.T, orders=(2, 4))
    result = action(run)
    assert result.spectrum.kept == 2
    found = markers(draw_action(result, run, tmp_path / "a.svg"))
    negative = int((result.spectrum.eigenvalues.value < 0).sum())
    assert found["spectrum-kept"] == 2
    assert found.get("spectrum-dropped", 0) + found.get("spectrum-negative", 0) == 4
    assert found.get("spectrum-negative", 0) == negative
    assert "couplings-next" not in found


def test_outputs_are_shown_only_where_they_belong_to_the_action(make_run: Any, make_kernel: Any) -> None:
    kept, without = make_run(make_kernel(2)), make_run(make_kernel(2), outputs=False)
    deformed = make_run(make_kernel(2))
    deformed.card = {"deformation": {"phi4": 1.0}}
    for run, said, there in (
        (kept, "histogram of the outputs of 2,000 networks", True),
        (without, "no outputs are kept in the file", False),
        (deformed, "undeformed", False),
    ):
        result = action(run)
        shown = texts(action_figure(result, run))
        assert said in shown
        assert ("stored outputs" in shown) == there


def test_slices_are_the_points_of_the_action_where_the_output_is_alive(
    make_run: Any, make_kernel: Any
) -> None:
    kernel = np.zeros((7, 7))
    kernel[1:, 1:] = make_kernel(6, 0.3)
    run = make_run(kernel)
    slices, _ = density_slices(action(run, 4), run)
    assert [part.point for part in slices] == [1, 3, 4, 6]
    slices, _ = density_slices(action(run, 4, [5, 2]), run)
    assert [part.point for part in slices] == [5, 2]
    outputs = run.fields(0, 2000)[:, 0, 5]
    np.testing.assert_array_equal(slices[0].outputs, outputs)
    counts, edges = slices[0].histogram() or ([], [])
    assert np.sum(counts) == ((outputs >= edges[0]) & (outputs <= edges[-1])).sum()


def test_series_integrates_to_one_and_its_negative_places_are_marked(make_run: Any, make_kernel: Any) -> None:
    for width, negative in ((1000.0, False), (1.0, True)):
        run = make_run(make_kernel(1), width)
        result = action(run)
        slices, _ = density_slices(result, run)
        assert len(slices[0].series()) == 3
        for density, _ in slices[0].series():
            assert np.trapezoid(density, slices[0].fields) == pytest.approx(1.0, abs=0.05)
        assert slices[0].negative == negative
        assert ("series negative" in texts(action_figure(result, run))) == negative


# ---- closure ----


def test_one_run_has_one_panel(make_run: Any, make_kernel: Any, tmp_path: Path) -> None:
    test = closure(make_run(make_kernel(1)))
    figure = closure_figure([test], ["one.h5"])
    assert len(figure.axes) == 1
    assert markers(draw_closure([test], ["one.h5"], tmp_path / "a.svg"))["six-point-0"] == 1


def test_runs_without_width_are_counted_and_strange_names_are_drawn(
    make_run: Any, make_kernel: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tests = [closure(make_run(make_kernel(2), width)) for width in (5.0, 50.0)]
    path = draw_closure(
        tests, ["$a_$b^{", "\u65e5\udc80\n" + "x" * 90], tmp_path / "a.svg", None, [5.0, None]
    )
    assert "run, in the order of the legend" in path.read_text(encoding="utf-8")
    assert caplog.records == [], "matplotlib complains of glyphs"


def test_where_the_tolerance_is_met_is_said_also_outside_of_the_panel(
    make_run: Any, make_kernel: Any
) -> None:
    widths = [10.0, 20.0, 40.0]
    tests = [closure(make_run(make_kernel(1), width)) for width in widths]
    for tolerance, inside in ((0.05, True), (1e-5, False)):
        threshold = closure_threshold(widths, tests, tolerance)
        assert threshold.fitted_width is not None
        met = f"met at $n$ = {threshold.fitted_width:.3g}"
        names = texts(closure_figure(tests, ["a", "b", "c"], threshold, widths)).splitlines()
        assert (met in names) == inside
        assert (f"tolerance {tolerance:g}, {met}" in names) == (not inside)


def test_a_share_of_zero_is_an_upper_limit(make_run: Any, make_kernel: Any, tmp_path: Path) -> None:
    tests = [closure(make_run(make_kernel(1), width)) for width in (5.0, 50.0, 500.0)]
    tests[1], tests[2] = replace(tests[1], share=0.0), replace(tests[2], share=0.0, share_error=0.0)
    found = markers(draw_closure(tests, ["a", "b", "c"], tmp_path / "a.svg", None, [5.0, 50.0, 500.0]))
    assert [found.get(f"share-{run}", 0) for run in range(3)] == [1, 1, 0]


def test_many_runs_and_many_components_stay_readable(
    make_run: Any, make_kernel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(style, "MOST_VECTORS", 3)
    tests = [closure(make_run(make_kernel(2), 10.0 + width)) for width in range(9)]
    path = draw_closure(tests, [f"run-{k}.h5" for k in range(9)], tmp_path / "a.svg")
    assert len({style.label_text(str(colour)) for colour in style.run_colours(9)}) == 9
    assert b"data:image/png;base64" in path.read_bytes()


def test_labels_must_fit(make_run: Any, make_kernel: Any, tmp_path: Path) -> None:
    test = closure(make_run(make_kernel(1)))
    for closures, labels, widths in (([test], [], None), ([], [], None), ([test], ["a"], [1.0, 2.0])):
        with pytest.raises(UsageError, match="do not match: got"):
            draw_closure(closures, labels, tmp_path / "a.svg", None, widths)
    assert list(tmp_path.iterdir()) == []


# ---- fits over runs ----


def test_axes_are_logarithmic_where_they_can_be(make_fit: Any) -> None:
    for powers, sign, scale in (((1, 2), 1.0, "log"), ((1, 2), -1.0, "log"), ((0, 1), 1.0, "linear")):
        above = extrapolation_figure(make_fit(powers, 1, sign)).axes[0]
        assert above.get_xscale() == above.get_yscale() == scale
        assert above.get_ylabel().startswith("minus ") == (sign < 0)
    assert extrapolation_figure(make_fit((0, 1), 1)).axes[0].get_xlim()[0] < 0.0


def test_few_components_are_shown_and_the_rest_is_counted(make_fit: Any, tmp_path: Path) -> None:
    result = make_fit(count=30)
    assert shown_components(result) == [0, 10, 19, 29]
    path = draw_extrapolation(result, tmp_path / "a.svg")
    assert "4 of 30 components are shown" in path.read_text(encoding="utf-8")


def test_exact_fit_without_slope_is_drawn(make_fit: Any, tmp_path: Path) -> None:
    nothing = np.full(2, np.nan)
    result = replace(make_fit(), dof=0, p_value=nothing, slope=nothing, slope_error=nothing)
    text = draw_extrapolation(result, tmp_path / "a.svg").read_text(encoding="utf-8")
    assert "as many powers as runs: no test" in text
    assert "propto" not in text


def test_nothing_fitted_is_refused(make_fit: Any, tmp_path: Path) -> None:
    result = replace(make_fit(), coefficients=np.full((2, 2), np.nan))
    with pytest.raises(UsageError, match="nothing to draw: got no fitted component of 2"):
        draw_extrapolation(result, tmp_path / "a.svg")
