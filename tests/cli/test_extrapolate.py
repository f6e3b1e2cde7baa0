"""``nnft extrapolate``: what it prints, on which members, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import SEED, Nnft, card_text, refused

from nnft.analysis.extrapolate import Extrapolation, extrapolate
from nnft.analysis.extrapolate_text import extrapolation_record, extrapolation_text
from nnft.analysis.run import open_run
from nnft.errors import DataFileError, NnftError, NumericalError, UsageError
from nnft.estimators.jackknife import covariance
from nnft.pipeline.scan import scan
from nnft.spec.run import RunSpec

POINTS = "points = [[1.0, 0.5], [0.2, -1.0]]"


def make(folder: Path, sets: dict[str, Any], **keys: Any) -> Path:
    """A finished scan; `keys` as for `card_text`."""
    card = RunSpec.from_text(card_text(**({"networks": 4000, "correlators": "[2, 4, 6]"} | keys)))
    assert scan(card, sets, folder).complete
    return folder


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scans by width, by depth and width, by width and weight variance."""
    folder = tmp_path_factory.mktemp("family")
    make(folder / "width", {"network.widths": [[4, 4], [8, 8], [16, 8], [32, 32]]})
    make(folder / "depth", {"network.widths": [[8], [8, 8], [8, 8, 8], [8, 8, 8, 8]]}, correlators="[2, 4]")
    both = {"network.widths": [[4], [8]], "network.weight_variance": [1.0, 1.5, 2.0]}
    make(folder / "both", both, correlators="[2, 4]")
    make(folder / "seeds", {"network.widths": [[8], [16]], "ensemble.seed": [5]}, correlators="[2, 4]")
    return folder


@pytest.fixture
def run(family: Path, kernel_cache: Path) -> Nnft:
    """The command in the folder of the scans."""
    return Nnft(family, kernel_cache)


@pytest.mark.long
def test_text_and_json_say_the_same(run: Nnft) -> None:
    text = run("extrapolate", "width", "--observable", "g4")
    assert (text.code, text.err) == (0, "")
    for word in ("connected four-point", "c1 x + c2 x^2", "chi2/dof", "slope in n", "0,0,1,1", "widths-16x8"):
        assert word in text.out
    assert "unequal hidden widths" in text.out
    record = json.loads(run("extrapolate", "width", "--observable", "g4", "--json").out)
    result = extrapolate(run.folder / "width", "g4")
    assert record == json.loads(json.dumps(extrapolation_record(result)))
    assert record["members"] == ["widths-32x32", "widths-16x8", "widths-8x8", "widths-4x4"]
    np.testing.assert_allclose(record["x"], [1 / 32, (1 / 16 + 1 / 8) / 2, 1 / 8, 1 / 4])
    assert np.shape(record["y"]) == np.shape(record["yerr"]) == (5, 4)
    assert np.shape(record["covariance"]) == (5, 2, 2)
    assert (record["powers"], record["dof"], record["joint"]["dof"]) == ([1, 2], 2, 10)


def test_values_and_errors_are_those_of_the_runs(family: Path) -> None:
    result = extrapolate(family / "width", "g4")
    for number, name in enumerate(result.members):
        with open_run(family / "width" / f"{name}.h5") as opened:
            four, kurtosis = opened.connected(4), opened.excess_kurtosis()
            np.testing.assert_array_equal(result.indices, four.indices)
            np.testing.assert_allclose(result.y[:, number], four.value, rtol=1e-12)
            np.testing.assert_allclose(result.yerr[:, number], four.stderr, rtol=1e-10)
            ratio = extrapolate(family / "width", "kurtosis")
            np.testing.assert_allclose(ratio.y[:, number], kurtosis.value, rtol=1e-12)
            np.testing.assert_allclose(ratio.yerr[:, number], kurtosis.stderr, rtol=1e-9)
            third = extrapolate(family / "width", "relative-g4")
            np.testing.assert_allclose(third.y[:, number], kurtosis.value / 3.0, rtol=1e-12)
            vertex = extrapolate(family / "width", "vertex:2")
            np.testing.assert_allclose(vertex.yerr[:, number], opened.kernel(2).vertex.stderr, rtol=1e-10)
            six, two = opened.connected(6), opened.connected(2)
            sixth = extrapolate(family / "width", "relative-g6")
            expected = six.value[[0, -1]] / (15.0 * two.value[[0, -1]] ** 3)
            np.testing.assert_allclose(sixth.y[:, number], expected, rtol=1e-12)


def test_members_of_one_seed_are_correlated_as_their_bins_say(family: Path) -> None:
    """The error of c0 and c1 from two members by hand, with the covariance of all pseudo-values."""
    result = extrapolate(family / "seeds", "g2", component=(0, 1))
    values, bins = [], []
    for name in result.members:
        with open_run(family / "seeds" / f"{name}.h5") as opened:
            estimate = opened.connected(2)
            values.append(estimate.value[1])
            bins.append(estimate.bins[:, 1])
            counts = estimate.bin_counts
    matrix = covariance(np.array(bins), counts)
    assert abs(matrix[0, 1]) > 0.1 * np.sqrt(matrix[0, 0] * matrix[1, 1])
    solve = np.linalg.inv(np.stack([np.ones(2), result.x], axis=1))
    np.testing.assert_allclose(result.coefficients[0], solve @ values, rtol=1e-9)
    np.testing.assert_allclose(result.covariance[0], solve @ matrix @ solve.T, rtol=1e-9)
    assert any("one seed" in note for note in result.notes)


def test_couplings_of_the_action(family: Path) -> None:
    from nnft.actions.action import action

    result = extrapolate(family / "both", "lambda4", conditions={"network.weight_variance": 1.0}, powers=[1])
    with open_run(family / "both" / f"{result.members[0]}.h5") as opened:
        quartic = action(opened).quartic
    np.testing.assert_allclose(result.y[:, 0], quartic.value, rtol=1e-12)
    np.testing.assert_allclose(result.yerr[:, 0], quartic.stderr, rtol=1e-9)
    modes = extrapolate(family / "both", "lambda4-modes", conditions={"network.weight_variance": 1.0})
    assert modes.indices.max() == 1


def test_selections(run: Nnft, family: Path) -> None:
    assert extrapolate(family / "width", "g4", points=[1, 0]).labels == ("1,1,1,1", "0,0,0,0")
    assert extrapolate(family / "width", "g4", component=(0, 1, 1, 0)).labels == ("0,0,1,1",)
    assert extrapolate(family / "width", "vertex:2", component=(0, 0, 1, 1)).labels == ("0,0,1,1",)
    narrow = extrapolate(family / "width", "g4", min_width=8)
    assert narrow.members == ("widths-32x32", "widths-16x8", "widths-8x8")
    files = [f"width/widths-{name}.h5" for name in ("4x4", "8x8", "32x32")]
    listed = run("extrapolate", *files, "--observable", "g6", "--powers", "2", "--points", "0", "--json")
    assert json.loads(listed.out)["members"] == ["widths-32x32", "widths-8x8", "widths-4x4"]
    depth = extrapolate(family / "depth", "g4", against="depth")
    np.testing.assert_allclose(depth.x, np.arange(1, 5) / 8)
    assert (depth.powers, depth.x_label, depth.slope_variable) == ((1, 2), "(L - 1)/n", "(L - 1)/n")
    chosen = run(
        "extrapolate", "both", "--against", "network.weight_variance", "--where", "network.widths=[8]"
    )
    assert chosen.code == 0, chosen.err
    assert "c0 + c1 x + c2 x^2" in chosen.out
    assert "widths-8_weight_variance-1.5" in chosen.out
    assert "widths-4" not in chosen.out


def test_curve_of_the_fit(family: Path) -> None:
    result = extrapolate(family / "width", "g2")
    value, error = result.curve(0, [0.0, 0.1])
    assert value[0] == result.coefficients[0, 0]
    assert error[0] == pytest.approx(result.coefficient_errors[0, 0])
    assert value[1] == pytest.approx(result.coefficients[0] @ [1.0, 0.1])


def test_a_picture_is_drawn(run: Nnft) -> None:
    done = run("extrapolate", "width", "--plot", "fit.svg")
    assert done.code == 0, done.err
    assert (run.folder / "fit.svg").read_bytes().startswith(b"<?xml")


REFUSED: list[tuple[str, str, dict[str, Any], type[NnftError], str]] = [
    ("width", "g5", {}, UsageError, "unknown observable: got 'g5'"),
    ("width", "vertex", {}, UsageError, "unknown observable: got 'vertex'"),
    ("width", "g4:2", {}, UsageError, "unknown observable"),
    ("width", "vertex:9", {}, DataFileError, r"no statistics of layer 9 .* got layers \[2, 3\]"),
    ("depth", "g6", {"against": "depth"}, DataFileError, "no correlator of order 6"),
    ("width", "g4", {"against": "network.width"}, UsageError, "did you mean 'network.widths'"),
    ("width", "g4", {"against": "network.activation"}, UsageError, "abscissa is no number"),
    ("width", "g4", {"against": "network.weight_variance"}, UsageError, "members without variation"),
    ("width", "g4", {"powers": [1, 2, 3, 4, 5]}, UsageError, "too few members for 5 powers: got 4"),
    ("width", "g4", {"powers": [1, 1]}, UsageError, "impossible powers"),
    ("width", "g4", {"powers": [-1]}, UsageError, "impossible powers"),
    ("width", "g4", {"min_width": 9}, UsageError, "too few members are left: got 1"),
    ("width", "g4", {"points": [2]}, UsageError, r"no such component .* \(2,\)"),
    (
        "width",
        "g4",
        {"component": [0, 0]},
        UsageError,
        "wrong number of points in --component: got 2; give 4",
    ),
    ("width", "g4", {"points": [0], "component": [0]}, UsageError, "both --points and --component"),
    ("both", "g4", {}, UsageError, "differ in network.weight_variance"),
    (
        "both",
        "g4",
        {"conditions": {"network.wieght_variance": 1}},
        UsageError,
        "did you mean 'network.weight",
    ),
    ("depth", "g4", {}, UsageError, "members without variation in width"),
]


@pytest.mark.parametrize(("name", "observable", "options", "kind", "told"), REFUSED)
def test_refusals(
    family: Path, name: str, observable: str, options: dict[str, Any], kind: type[NnftError], told: str
) -> None:
    with pytest.raises(kind, match=told) as caught:
        extrapolate(family / name, observable, **options)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) <= 187


def test_refusals_of_the_command(run: Nnft) -> None:
    refused(run("extrapolate", "width", "--observable", "g5"), 2, "unknown observable")
    refused(run("extrapolate", "depth", "--observable", "g6", "--against", "depth"), 3, "order 6")
    refused(run("extrapolate", "nothing"), 3, "nothing")
    refused(run("extrapolate", "width/widths-4x4.h5"), 3, "fewer than 2 finished members: got 1")
    refused(run("extrapolate", *["width/widths-4x4.h5"] * 2), 2, "run given twice")
    refused(run("extrapolate", "width", "--points", "a"), 2, "--points")


def test_unfinished_and_foreign_members_are_named(family: Path, tmp_path: Path) -> None:
    """Members that are not done are left out with a note; too few networks is a numerical failure."""
    for network, widths in enumerate(([4], [8], [16])):
        card = card_text(widths=str(widths), networks=10 + network, correlators="[2, 4]")
        scan(RunSpec.from_text(card), {"ensemble.seed": [SEED]}, tmp_path / str(widths[0]))
    with pytest.raises(NumericalError, match="too few bins"):
        extrapolate([tmp_path / str(width) for width in (4, 8, 16)])
    mixed = [family / "seeds", tmp_path / "more"]
    make(
        tmp_path / "more",
        {"network.widths": [[32]], "ensemble.seed": [5]},
        networks=3000,
        correlators="[2, 4]",
    )
    assert any("equal seeds with other blocks" in note for note in extrapolate(mixed).notes)


@pytest.mark.long
def test_long_tables_are_cut(family: Path) -> None:
    result: Extrapolation = extrapolate(family / "width", "g4")
    assert "more components" not in extrapolation_text(result)
    points = np.random.default_rng(SEED).normal(size=(4, 2)).tolist()
    make(
        family / "four",
        {"network.widths": [[4], [8], [16]]},
        points=f"points = {points}",
        correlators="[2, 4]",
    )
    wide = extrapolate(family / "four", "g4")
    assert len(wide.labels) == 35
    assert wide.joint.components == 25
    assert "19 more components" in extrapolation_text(wide)
    assert not any("many components" in note for note in wide.notes)
    points = np.random.default_rng(SEED).normal(size=(9, 2)).tolist()
    make(family / "nine", {"network.widths": [[4], [8], [16]]}, points=f"points = {points}", networks=640)
    most = extrapolate(family / "nine", "g6")
    assert most.labels == tuple(",".join([str(point)] * 6) for point in range(9))
    assert any("many components" in note for note in most.notes)
