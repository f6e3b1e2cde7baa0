"""Pictures for pages: no identifier of another picture, nothing from outside, nothing cut off at the edge."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from nnft.errors import UsageError
from nnft.plots.correlators import CorrelatorPicture, PointSeries, correlators_figure, kernel_figure
from nnft.plots.inline import inline_pixels, inline_svg
from nnft.plots.style import house_style

POINTS = 5
VALUES = 1.0 + 0.1 * np.arange(POINTS)


def picture(**changes: Any) -> CorrelatorPicture:
    flags = np.arange(POINTS) == 2
    second = PointSeries(VALUES, 0.01 * VALUES, flags, VALUES + 0.02)
    fourth = PointSeries(-VALUES, np.full(POINTS, np.nan), ~flags)
    kernel = np.minimum.outer(VALUES, VALUES)
    pulls = 5.0 * np.eye(POINTS)
    made = CorrelatorPicture({"G2": second, "G4": fourth}, kernel, pulls, "infinite width", "run $x$.h5")
    return replace(made, **changes)


def drawn(figure: Figure, key: str = "one") -> str:
    return inline_svg(figure, key, "A <title>", 'words & "quotes"')


FIGURES = {"correlators": correlators_figure, "kernel": kernel_figure}


@pytest.mark.parametrize("kind", FIGURES)
def test_nothing_is_cut_off_at_the_edge(kind: str) -> None:
    with house_style():
        content = io.BytesIO()
        FIGURES[kind](picture()).savefig(content, format="png", dpi=100)
    content.seek(0)
    pixels = imread(content)[..., :3]
    frame = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    assert (frame == 1.0).all()
    assert (pixels.min(axis=2) < 0.9).mean() > 0.01


def test_numbers_stand_at_their_places() -> None:
    with house_style():
        upper, lower = correlators_figure(picture()).axes
        left, right, *_ = kernel_figure(picture()).axes
    x, y = next(line for line in upper.lines if line.get_gid() == "estimate-G2").get_data()
    np.testing.assert_allclose(y, VALUES)
    np.testing.assert_allclose(x, np.arange(POINTS), atol=0.2)
    theory = next(line for line in upper.lines if line.get_gid() == "theory-G2")
    np.testing.assert_allclose(theory.get_ydata(), VALUES + 0.02)
    assert [text.get_text() for text in upper.texts] == ["!"]
    assert len(lower.texts) == POINTS - 1
    np.testing.assert_allclose(left.collections[0].get_array(), picture().kernel)
    np.testing.assert_allclose(right.collections[0].get_array(), picture().pulls)


def test_without_pulls_there_is_one_panel_and_without_numbers_none() -> None:
    with house_style():
        assert len(kernel_figure(picture(pulls=None)).axes) == 2, "a matrix and its scale"
        with pytest.raises(UsageError, match="fewer than two points"):
            kernel_figure(picture(kernel=np.ones((1, 1))))
        absent = PointSeries(np.full(1, np.nan), np.full(1, np.nan), np.zeros(1, dtype=np.bool_))
        with pytest.raises(UsageError, match="got no number"):
            correlators_figure(picture(series={"G2": absent}))


def test_identifiers_of_two_pictures_never_meet() -> None:
    with house_style():
        texts = [drawn(correlators_figure(picture()), key) for key in ("one", "two")]
        again = drawn(correlators_figure(picture()), "one")
    assert texts[0] == again
    found = [re.findall(r'(?:\bid="|href="#|url\(#)([^")]+)', text) for text in texts]
    assert all(name.startswith("one-") for name in found[0])
    assert all(name.startswith("two-") for name in found[1])
    assert len(found[0]) == len(found[1]) > 50


def test_element_says_what_it_is_and_refers_to_nothing_outside() -> None:
    with house_style():
        text = drawn(kernel_figure(picture()))
    root = ET.fromstring(text)
    assert root.tag == "svg"
    assert [child.tag for child in root][:2] == ["title", "desc"]
    assert [child.text for child in root][:2] == ["A <title>", 'words & "quotes"']
    assert "http" not in text
    assert {element.tag for element in root.iter()} & {"style", "metadata", "script", "text"} == set()
    assert root.get("viewBox") == f"0 0 {root.get('width', '')[:-2]} {root.get('height', '')[:-2]}"


def test_rounding_moves_no_point_by_more_than_a_hundredth() -> None:
    with house_style():
        figure = Figure(figsize=(3.0, 2.0))
        figure.add_subplot().plot([0.0, 1.0, 2.0], [0.0, np.pi, 1.0], gid="line")
        content = io.BytesIO()
        figure.savefig(content, format="svg", metadata={"Date": None})
        text = drawn(figure)
    paths = []
    for source, key in ((content.getvalue().decode(), "line"), (text, "one-line")):
        path = re.search(rf'<g id="{key}">\s*<path d="([^"]*)"', source)
        assert path is not None
        paths.append(np.array([float(number) for number in re.findall(r"-?[\d.]+", path[1])]))
    assert len(paths[0]) == 6
    assert 0.0 < np.abs(paths[0] - paths[1]).max() <= 0.0051


def test_pixels_have_the_size_of_the_figure() -> None:
    with house_style():
        root = ET.fromstring(inline_pixels(Figure(figsize=(3.0, 2.0)), "a", "b", "c"))
    assert (root.get("width"), root.get("height"), root.get("viewBox")) == ("216pt", "144pt", "0 0 216 144")
    image = root.find("image")
    assert image is not None
    assert image.get("href", "").startswith("data:image/png;base64,")
