"""The picture of a flow over cutoffs: every number at its place, nothing to draw refused."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.image import imread

from nnft.errors import UsageError
from nnft.plots.cutoffs import cutoffs_figure, draw_cutoffs
from nnft.plots.style import house_style

Array = npt.NDArray[np.float64]
SEED = 20240601
INNER = [1e-3, 0.1, 10.0, 1000.0]
RISE = np.array([0.0, 0.02, 0.3, 0.9, 1.0, 1.0])
SCALES = [
    {"of": of, "delta": delta, "verdict": "found", "value": value, "low": value / 2, "high": value * 2}
    for of in ("train_error", "test_error")
    for delta, value in ((0.05, 0.02), (0.5, 3.0))
]


def made_up(expected: bool = False, test: bool = True, **changes: Any) -> tuple[dict[str, Any], Array]:
    """Numbers as of a table, and losses of 50 networks."""
    means = np.stack([1.0 + 10.0 * RISE, 2.0 + 20.0 * RISE], axis=1)
    spread = np.exp(0.3 * np.random.default_rng(SEED).normal(size=(50, 1, 1)))
    rows: list[dict[str, Any]] = []
    for cutoff, (train, tested), share in zip([0.0, *INNER, "inf"], means, RISE, strict=True):
        row: dict[str, Any] = {
            "cutoff": cutoff,
            "sloppy_share": {"value": share, "stderr": 0.01},
            "train_error": {"value": train, "stderr": 0.1},
            "test_error": {"value": tested if test else None, "stderr": None},
        }
        if expected:
            row |= {"expected_train": 1.05 * train, "expected_test": 1.05 * tested if test else None}
            row |= {"measured_train": 1.02 * train, "measured_test": 1.02 * tested if test else None}
        rows.append(row)
    numbers = {"path": "made-up.h5", "rows": rows, "critical_scales": SCALES, "expected_networks": 50}
    numbers |= {"networks": 60, "diverged": 0}
    return numbers | changes, means * spread


def labels(numbers: dict[str, Any], losses: Array) -> list[str]:
    with house_style():
        figure = cutoffs_figure(numbers, losses)
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_points_lie_where_the_numbers_are() -> None:
    numbers, losses = made_up(expected=True)
    with house_style():
        figure = cutoffs_figure(numbers, losses)
    upper, lower = figure.axes
    for container, (factor, start) in zip(upper.containers, ((10.0, 1.0), (20.0, 2.0)), strict=True):
        points = np.asarray(container.lines[0].get_xydata())  # type: ignore[attr-defined]
        assert points[:, 0].tolist() == INNER
        assert points[:, 1] == pytest.approx(start + factor * RISE[1:-1])
    heights = [np.asarray(line.get_ydata(), dtype=np.float64) for line in upper.lines]
    levels = {float(values[0]) for values in heights if np.ptp(values) == 0.0}
    assert {1.0, 2.0, 11.0, 22.0} <= levels
    assert np.array_equal(np.asarray(lower.lines[0].get_ydata()), RISE[1:-1])
    assert upper.get_yscale() == lower.get_xscale() == "log"
    assert [text.get_text() for text in upper.texts] == ["5%", "50%"]
    assert "made-up.h5" in upper.get_title()


def test_what_the_legend_says() -> None:
    plain, losses = made_up()
    always = ["critical scales, 95 %", "everything replaced", "nothing replaced"]
    assert sorted(labels(plain, losses)) == [*always, "test error", "training error"]
    expected, losses = made_up(expected=True)
    words = ["test error, expected of 50 networks", "training error, expected of 50 networks"]
    assert set(words) < set(labels(expected, losses))
    assert labels(expected, losses).count("measured of these") == 1
    assert "measured of these" not in labels(expected | {"networks": 50}, losses)
    alone, losses = made_up(expected=True, test=False)
    assert sorted(labels(alone, losses)) == sorted([*always, "measured of these", "training error", words[1]])


def test_scales_of_the_training_error_without_test_points() -> None:
    numbers, losses = made_up(test=False, critical_scales=SCALES[:2])
    with house_style():
        assert len(cutoffs_figure(numbers, losses).axes[0].texts) == 2
    lost = [{**scale, "verdict": "no plateau", "value": None} for scale in SCALES]
    numbers, losses = made_up(critical_scales=lost)
    with house_style():
        assert len(cutoffs_figure(numbers, losses).axes[0].texts) == 0


@pytest.mark.parametrize("networks", [0, 1, 2])
def test_few_networks_have_no_band_or_a_thin_one(networks: int) -> None:
    numbers, losses = made_up()
    with house_style():
        figure = cutoffs_figure(numbers, losses[:networks])
    bands = [patch for patch in figure.axes[0].collections if "FillBetween" in type(patch).__name__]
    assert len(bands) == (2 if networks > 1 else 0)


def test_nothing_to_draw() -> None:
    numbers, losses = made_up()
    ends = [numbers["rows"][0], numbers["rows"][-1]]
    with pytest.raises(UsageError, match="no cutoff between 0 and infinity"):
        cutoffs_figure(numbers | {"rows": ends}, losses[:, [0, -1]])
    with pytest.raises(UsageError, match=r"x\.gif"):
        draw_cutoffs(numbers, losses, "x.gif")


@pytest.mark.long
def test_files(tmp_path: Path) -> None:
    """The same numbers give the same bytes; a vector picture is well formed; a bitmap is not empty."""
    numbers, losses = made_up(expected=True)
    for name in ("a.svg", "b.svg", "c.png", "d.pdf"):
        assert draw_cutoffs(numbers, losses, tmp_path / name) == tmp_path / name
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert ET.parse(tmp_path / "a.svg").getroot().tag.endswith("svg")
    picture = imread(tmp_path / "c.png")
    assert picture.shape[0] > 500
    assert picture[..., :3].std() > 0.05
    assert (tmp_path / "d.pdf").read_bytes().startswith(b"%PDF")
