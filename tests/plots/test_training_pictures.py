"""Pictures of trained runs: every number at its place, a place for step 0, nothing to draw refused."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.image import imread

from nnft.errors import UsageError
from nnft.plots import style
from nnft.plots.files import DOTS_PER_INCH
from nnft.plots.training import draw_chains, draw_flows, draw_loss, draw_predictor
from nnft.plots.training_axis import Moments, Series, spread_band
from nnft.plots.training_chains import Chains, chains_figure, mean_over_networks, observable_label
from nnft.plots.training_flows import Component, FlowCurves, flows_figure
from nnft.plots.training_loss import LossCurves, LossTheory, loss_figure
from nnft.plots.training_predictor import predictor_figure

Array = npt.NDArray[np.float64]
SVG = "{http://www.w3.org/2000/svg}"
SEED = 20240601
STEPS = np.array([0.0, 1.0, 3.0, 10.0, 30.0, 100.0])
ERROR = 2.0 / (1.0 + STEPS)
NAMES = ("output_at_0", "train_error", "weight_scale_2")


@dataclass
class MadeUpPredictor:
    """Numbers that a predictor needs; the points are out of order."""

    points: Array
    mean: Array
    mean_stderr: Array
    variance: Array
    variance_stderr: Array
    theory_mean: Array | None
    theory_variance: Array | None
    theory_name: str
    train_inputs: Array
    train_targets: Array


def predictor(dimension: int = 1, theory: bool = True) -> MadeUpPredictor:
    x = np.array([0.5, -1.0, 2.0, 0.0])
    points = np.stack([x] + [0.1 * x] * (dimension - 1), axis=1)
    return MadeUpPredictor(
        points=points,
        mean=np.sin(x) + 0.02,
        mean_stderr=np.full(4, 0.01),
        variance=np.array([0.04, 0.09, 0.01, -0.001]),
        variance_stderr=np.full(4, 0.005),
        theory_mean=np.sin(x) if theory else None,
        theory_variance=np.full(4, 0.04) if theory else None,
        theory_name="infinite width" if theory else "",
        train_inputs=points[:2] + np.array([[0.0], [0.25]]),
        train_targets=np.array([[0.6], [-0.7]]),
    )


def loss(**changes: Any) -> LossCurves:
    series = Series(ERROR, 0.02 * ERROR, 1.5 * ERROR)
    test = Series(ERROR + 0.1, 0.01 + 0.0 * ERROR, 0.05 + 0.0 * ERROR)
    theory = LossTheory({"train": 0.9 * ERROR, "test": ERROR + 0.09}, "infinite width")
    means = {"train": (0.02, 0.001)}
    curves = LossCurves(Moments(STEPS), series, test, {"ridge": 0.05}, means, (30.0, 100.0), theory, "run.h5")
    return replace(curves, **changes)


def chains(networks: int = 6, beside: int = 1, draws: int = 50, **changes: Any) -> Chains:
    generator = np.random.default_rng(SEED)
    values = generator.normal(size=(networks * beside, draws, len(NAMES)))
    return replace(Chains(values, NAMES, 100 + 5 * np.arange(draws), beside, True, "run.h5"), **changes)


def flows(**changes: Any) -> FlowCurves:
    def component(points: tuple[int, ...], scale: float) -> Component:
        return Component(points, Series(scale * ERROR, 0.1 * ERROR, unreliable=STEPS > 50.0))

    shapes: dict[int, list[tuple[int, ...]]] = {
        2: [(0, 0), (1, 1), (0, 1)],
        4: [(0, 0, 0, 0), (1, 1, 1, 1), (0, 0, 0, 1)],
    }
    correlators = {
        order: [component(points, scale) for points, scale in zip(rows, (1.0, 2.0, -0.1), strict=True)]
        for order, rows in shapes.items()
    }
    kernels = {"kernel": [component((0, 0), 1.0)], "tangent_kernel": [component((0, 1), 2.0)]}
    moved = Series(0.01 * STEPS, 0.001 * STEPS, 0.02 * STEPS)
    curves = FlowCurves(Moments(STEPS), correlators, kernels, {"kernel_movement": moved}, "run.h5")
    return replace(curves, **changes)


PICTURES: dict[str, Callable[[Path], Path]] = {
    "loss": lambda path: draw_loss(loss(), path),
    "line": lambda path: draw_predictor(predictor(), path, "run.h5"),
    "points": lambda path: draw_predictor(predictor(3), path),
    "chains": lambda path: draw_chains(chains(), path),
    "flows": lambda path: draw_flows(flows(), path),
}
SHOWN = {  # texts; markers of each group
    "loss": (["step", "squared error per target", "average over draws, train", "burn-in ends", "infinite"],
             {"train-error": 6, "test-error": 6}),
    "line": (["input $x$", "output $f$", "pull: (estimate $-$", "infinite width"],
             {"estimates": 4, "pulls-mean": 4, "pulls-variance": 4, "training": 2}),
    "points": (["input point $a$", "training target"],
               {"estimates": 4, "theory": 4, "pulls-mean": 4, "training": 1}),
    "chains": (["lag $t$ in draws of 5 steps", "training", "mean of 6 networks", "network 3", r"$\tau$ ="],
               {}),
    "flows": (["relative movement", "error not to be trusted", "0,0,0,1", r"kernel $\langle \Theta_{ab}"],
              {"correlators-4-2": 6, "correlators-2-0": 6, "kernels-tangent_kernel-0": 6,
               "kernel_movement": 6}),
}  # fmt: skip


@pytest.mark.parametrize("kind", SHOWN)
def test_vector_picture_has_its_labels_and_a_marker_for_each_number(kind: str, tmp_path: Path) -> None:
    path = PICTURES[kind](tmp_path / "picture.svg")
    text = path.read_text(encoding="utf-8")
    groups = {group.get("id", ""): group for group in ET.parse(path).iter(f"{SVG}g")}
    found = {name: len(list(group.iter(f"{SVG}use"))) for name, group in groups.items()}
    labels, counts = SHOWN[kind]
    assert [label for label in labels if label not in text] == []
    assert {name: found.get(name) for name in counts} == counts
    identities = [element.get("id") for element in ET.parse(path).iter() if element.get("id")]
    assert len(identities) == len(set(identities))


@pytest.mark.parametrize("kind", SHOWN)
def test_pixels_have_the_width_of_a_page_and_nothing_is_cut_off(kind: str, tmp_path: Path) -> None:
    pixels = imread(PICTURES[kind](tmp_path / "picture.png"))
    assert pixels.shape[1] == round(style.WIDTH * DOTS_PER_INCH)
    assert 0.005 < (pixels[..., :3].min(axis=2) < 0.9).mean() < 0.5
    frame = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    assert (frame == 1.0).all(), "something is cut off at the edge"


def test_same_numbers_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = (PICTURES["line"](tmp_path / f"{name}.svg").read_bytes() for name in "ab")
    assert first == second


def named(figure: Any, name: str) -> Any:
    """Line of this name in a figure."""
    from matplotlib.lines import Line2D

    return next(line for line in figure.findobj(Line2D) if line.get_gid() == name)


def legend_of(figure: Any) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


# ---- errors ----


def test_band_on_a_logarithmic_axis_is_positive_and_symmetric_there() -> None:
    series = Series(ERROR, 0.1 * ERROR, 3.0 * ERROR)
    low, high = spread_band(series, logarithmic=True)
    np.testing.assert_allclose(high, 4.0 * ERROR)
    np.testing.assert_allclose(low * high, ERROR**2)
    np.testing.assert_allclose(spread_band(series)[0], -2.0 * ERROR)


def test_errors_stand_at_their_steps_and_step_0_has_a_place() -> None:
    axes = loss_figure(loss()).axes[0]
    line = named(axes, "train-error")
    np.testing.assert_array_equal(line.get_xdata(), STEPS)
    np.testing.assert_array_equal(line.get_ydata(), ERROR)
    np.testing.assert_array_equal(named(axes, "train-theory").get_ydata(), 0.9 * ERROR)
    assert (axes.get_xscale(), axes.get_yscale()) == ("symlog", "log")
    places = axes.transAxes.inverted().transform(axes.transData.transform(np.stack([STEPS, ERROR], axis=1)))
    assert ((places > 0.0) & (places < 1.0)).all()
    assert np.diff(places[:, 0]).min() > 0.05


def test_steps_of_one_size_have_a_linear_axis() -> None:
    curves = loss(moments=Moments(np.arange(6.0) * 100.0), draws=None)
    assert loss_figure(curves).axes[0].get_xscale() == "linear"


@pytest.mark.parametrize(("ridge", "drawn"), [(0.05, True), (1e-9, False), (1e9, False)])
def test_noise_level_is_drawn_where_it_is_near_and_named_anyway(ridge: float, drawn: bool) -> None:
    figure = loss_figure(loss(levels={"ridge": ridge, "label noise": 0.1}))
    low, high = figure.axes[0].get_ylim()
    assert (low < ridge < high) == drawn
    (label,) = [text for text in legend_of(figure) if "ridge" in text]
    assert ("off the picture" in label) != drawn
    assert high / low < 1e5


def test_steady_theory_is_drawn_over_the_draws() -> None:
    steady = LossTheory({"train": np.array([0.03])}, "posterior", steady=True)
    line = named(loss_figure(loss(theory=steady)), "train-theory")
    assert line.get_xdata().tolist() == [30.0, 100.0]
    assert line.get_ydata().tolist() == [0.03, 0.03]


def test_errors_without_test_points_or_numbers() -> None:
    nothing = Series(np.full(6, np.nan), np.full(6, np.nan))
    assert "test error" not in legend_of(loss_figure(loss(test=nothing, theory=None)))
    with pytest.raises(UsageError, match=r"no error to draw in 'run\.h5': got no positive number"):
        loss_figure(loss(train=nothing, test=None))


# ---- predictor ----


def test_curves_run_from_left_to_right_and_bands_are_standard_deviations() -> None:
    given = predictor()
    above, below = predictor_figure(given).axes
    order = np.argsort(given.points[:, 0])
    theory = named(above, "theory")
    np.testing.assert_array_equal(theory.get_xdata(), [-1.0, 0.0, 0.5, 2.0])
    np.testing.assert_array_equal(theory.get_ydata(), np.sin(given.points[order, 0]))
    band = np.asarray(above.collections[0].get_paths()[0].vertices)
    wanted = given.mean + np.sqrt([0.04, 0.09, 0.01, 0.0])
    for x, top in zip(given.points[:, 0], wanted, strict=True):
        assert band[band[:, 0] == x, 1].max() == pytest.approx(top)
    np.testing.assert_allclose(named(below, "pulls-mean").get_ydata(), 2.0)
    np.testing.assert_allclose(named(below, "pulls-variance").get_ydata(), [10.0, -8.2, 0.0, -6.0], atol=1e-9)


def test_points_of_several_dimensions_stand_in_their_order() -> None:
    given = predictor(2)
    above, below = predictor_figure(given).axes
    shown = named(above, "theory").get_xdata()
    np.testing.assert_allclose(np.diff(shown), 1.0)
    np.testing.assert_array_equal(named(above, "theory").get_ydata(), np.sin(given.points[:, 0]))
    np.testing.assert_allclose(named(below, "pulls-mean").get_ydata(), 2.0)
    target = named(above, "training")  # the first training point is input point 0, the second one is none
    assert (list(target.get_xdata()), list(target.get_ydata())) == ([0], [0.6])


def test_predictor_without_theory_or_with_one_point() -> None:
    assert len(predictor_figure(predictor(theory=False)).axes) == 1
    given = predictor(theory=False)
    rows = {name: getattr(given, name)[:1] for name in ("points", "mean", "mean_stderr", "variance")}
    alone = replace(given, variance_stderr=np.full(1, np.nan), **rows)
    assert predictor_figure(alone).axes[0].get_xlabel() == "input point $a$"
    with pytest.raises(UsageError, match="no mean to draw"):
        predictor_figure(replace(given, mean=np.full(4, np.nan)))


# ---- chains ----


def test_traces_of_a_few_members_and_the_mean_of_all() -> None:
    given = chains(networks=6, beside=2)
    figure = chains_figure(given)
    for network, chain in ((0, 0), (0, 1), (1, 0), (1, 1)):
        line = named(figure.axes[0], f"output_at_0-{network}-{chain}")
        np.testing.assert_array_equal(line.get_ydata(), given.values[2 * network + chain, :, 0])
        np.testing.assert_array_equal(line.get_xdata(), given.steps)
    assert len(figure.axes) == 2 * len(NAMES)
    assert "mean of 6 networks" in legend_of(figure)
    assert "mean of 3 networks" not in legend_of(chains_figure(chains(networks=3)))


def test_mean_over_networks_in_blocks_of_draws() -> None:
    values = np.random.default_rng(SEED + 1).normal(size=(5, 2, 90))
    steps, mean, error = mean_over_networks(np.arange(90), values)
    assert len(steps) == 30
    np.testing.assert_allclose(steps, 1.0 + 3.0 * np.arange(30))
    blocks = values.reshape(5, 2, 30, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(mean, blocks.mean(axis=0))
    np.testing.assert_allclose(error, blocks.std(axis=0, ddof=1) / np.sqrt(5.0))
    uneven = mean_over_networks(np.arange(83), values[:, :, :83])
    assert uneven[0][-1] == 81.5
    np.testing.assert_allclose(uneven[1][-1], values[:, :, 81:83].mean())


def test_diverged_members_are_left_out_and_what_stands_still_is_said() -> None:
    given = chains(networks=3)
    given.values[1, 7, 1] = np.inf
    given.values[..., 2] = 0.7
    figure = chains_figure(given)
    assert "network 1" not in legend_of(figure)
    assert {"network 0", "network 2"} < set(legend_of(figure))
    assert [text.get_text() for text in figure.axes[-1].texts] == ["does not move"]
    given.values[:, 0] = np.nan
    with pytest.raises(UsageError, match=r"no chain to draw in 'run\.h5': got 3 members"):
        chains_figure(given)


def test_too_few_draws_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"too few draws for a picture in training\.draws: got 3"):
        draw_chains(chains(draws=3), tmp_path / "a.svg")
    assert len(chains_figure(chains(draws=4)).axes) == 2 * len(NAMES)


def test_names_of_observables_say_their_normalisation() -> None:
    assert observable_label("output_at_3") == "output\n$f(x_{3})$"
    assert observable_label("weight_scale_2") == "$|W^{(2)}|^2$\nover prior"
    assert observable_label("something$else") == r"something\$else"


# ---- flows ----


def test_components_stand_at_their_steps_with_errors() -> None:
    figure = flows_figure(flows())
    line = named(figure, "correlators-4-1")
    np.testing.assert_array_equal(line.get_xdata(), STEPS)
    np.testing.assert_array_equal(line.get_ydata(), 2.0 * ERROR)
    assert len(figure.axes) == 5
    single = flows_figure(flows(correlators={4: flows().correlators[4]}, kernels={}, movements={}))
    assert [axes.get_ylabel() for axes in single.axes] == [r"$\kappa_4 = \langle f_a f_b f_c f_d \rangle_c$"]


def test_coincident_points_are_filled_and_others_hollow() -> None:
    figure = flows_figure(flows())
    assert named(figure, "correlators-2-0").get_markerfacecolor() == style.BLUE
    assert named(figure, "correlators-2-2").get_markerfacecolor() == "white"


def test_kernels_that_stay_and_flows_without_numbers_are_said() -> None:
    still = Series(np.zeros(6), np.zeros(6), np.zeros(6))
    figure = flows_figure(flows(movements={"kernel_movement": still}))
    assert [text.get_text() for text in figure.axes[-1].texts] == ["the kernels stay as they are"]
    nothing = [Component((0,), Series(np.full(6, np.nan), np.full(6, np.nan)))]
    with pytest.raises(UsageError, match=r"no flow to draw in 'run\.h5': got no number"):
        flows_figure(flows(correlators={1: nothing}, kernels={}, movements={}))
