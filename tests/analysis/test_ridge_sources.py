"""Spectra from tables, power laws, spheres and cards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nnft.analysis.ridge_curve import ridge_curve as curve_of
from nnft.analysis.ridge_kernels import SphereOptions, card_source, sphere_source
from nnft.analysis.ridge_source import power_law_source, table_source
from nnft.errors import CardError, DataFileError, NumericalError, UsageError
from nnft.spec.run import RunSpec
from nnft.theory.equivalent_kernel import FiniteMeasure
from nnft.theory.nngp import nngp_kernel, tangent_kernel

CARD = """
[network]
widths = [8, 8]
activation = "{activation}"
weight_variance = 1.5
bias_variance = 0.2
outputs = {outputs}
[inputs]
points = [[0.0, 0.0, 0.0]]
[ensemble]
networks = 4
[training]
loss = "{loss}"
algorithm = "langevin"
{heat}
step = 0.01
draws = 4
{more}
[training.data]
teacher = "single-index"
link = "tanh"
points = {points}
dimension = 3
outputs = {outputs}
"""


def write_card(
    folder: Path,
    *,
    activation: str = "erf",
    points: int = 12,
    loss: str = "half-sum",
    heat: str = "ridge = 0.1",
    outputs: int = 1,
    more: str = "",
) -> Path:
    path = folder / "card.toml"
    keys = {
        "activation": activation, "points": points, "loss": loss, "heat": heat, "outputs": outputs,
        "more": more,
    }  # fmt: skip
    path.write_text(CARD.format(**keys), encoding="utf-8")
    return path


def table(folder: Path, text: str, name: str = "spectrum.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_columns_without_names_and_other_files(tmp_path: Path) -> None:
    values, power, counts = np.array([0.5, 0.1]), np.array([1.0, 0.2]), np.array([1.0, 7.0])
    full = np.stack([values, power, counts], axis=1)
    np.save(tmp_path / "three.npy", full)
    np.save(tmp_path / "one.npy", values)
    with h5py.File(tmp_path / "file.h5", "x") as file:
        file["levels"] = full[:, :2]
    three = table_source(tmp_path / "three.npy").spectrum
    np.testing.assert_array_equal(
        np.stack([three.eigenvalues, three.target_power, three.multiplicities], 1), full
    )
    one = table_source(tmp_path / "one.npy")
    np.testing.assert_array_equal(one.spectrum.target_power, values)
    assert "prior" in one.target
    two = table_source(f"{tmp_path}/file.h5:/levels").spectrum
    np.testing.assert_array_equal(two.target_power, power)
    np.testing.assert_array_equal(two.multiplicities, 1.0)
    chosen = table_source(tmp_path / "three.npy", {2: 0.7}).spectrum
    np.testing.assert_array_equal(chosen.target_power, [0.0, 0.7])


def test_a_target_where_the_kernel_has_no_mode_is_never_learned(tmp_path: Path) -> None:
    source = table_source(table(tmp_path, "0.5 1.0 1\n0 0.3 4\n0.01 0.4 10\n", "levels.txt"))
    assert (source.remainder.variance, source.remainder.power) == (0.0, 0.3)
    assert [source.level(place) for place in range(2)] == [1, 3]
    point = curve_of(source, [1e9], 0.1).curve[0]
    assert point.clean_error == pytest.approx(0.3, rel=1e-6)
    assert point.flow_error == pytest.approx(0.3, rel=1e-6)
    listed = curve_of(
        table_source(table(tmp_path, "0.5 1.0 1\n1e-13 0.3 4\n0.01 0.4 10\n", "levels.txt")), [30.0], 0.1
    )
    other = curve_of(source, [30.0], 0.1)
    for name in ("clean_error", "square_error", "flow_error", "flow_full_error", "ek_error", "gibbs_error"):
        assert getattr(other.curve[0], name) == pytest.approx(getattr(listed.curve[0], name), rel=1e-9)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n", "columns"),
        ("eigenvalue,eigenvalue\n1,2\n", "columns"),
        ("target_power\n1\n", "no eigenvalues"),
        ("1,2,3,4\n", "columns"),
        ("eigenvalue\n1\n-1e-3\n", "row 2"),
        ("eigenvalue,multiplicity\n1,0\n", "multiplicity out of range"),
        ("eigenvalue,target_power\n1,-2\n", "target_power out of range"),
        ("eigenvalue\n1\nnan\n", "not finite"),
        ("", "no row"),
    ],
)
def test_damaged_tables(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match=words):
        table_source(table(tmp_path, text))


def test_kernels_without_modes(tmp_path: Path) -> None:
    with pytest.raises(NumericalError, match="all 0"):
        table_source(table(tmp_path, "0\n0\n"))
    with pytest.raises(NumericalError, match="all 0"):
        sphere_source(SphereOptions(3, "erf", weight_variance=(0.0,)))


@pytest.mark.parametrize("kernel", ["nngp", "ntk"])
def test_card_is_the_measure_on_its_inputs(kernel: str, tmp_path: Path) -> None:
    card = write_card(tmp_path, loss="mean", heat="temperature = 0.02")
    source = card_source(card, kernel)
    data = RunSpec.from_card(card).dataset()
    layers = data.train_inputs, "erf", (1.5,) * 3, (0.2,) * 3
    matrix = (
        nngp_kernel(*layers)[-1]
        if kernel == "nngp"
        else tangent_kernel(*layers, weight_rate=1.0, bias_rate=1.0)[-1]
    )
    expected = FiniteMeasure(np.full(12, 1.0 / 12.0), matrix, data.train_targets[:, 0]).spectrum()
    np.testing.assert_allclose(source.spectrum.eigenvalues, expected.eigenvalues, rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(source.spectrum.target_power, expected.target_power, rtol=1e-6, atol=1e-14)
    mean_square = float(np.mean(data.train_targets**2))
    assert source.spectrum.target_power.sum() + source.remainder.power == pytest.approx(mean_square)
    assert source.ridge == pytest.approx(12 * 0.02 / 2.0 if kernel == "nngp" else 0.0)
    assert source.points == (12.0,)


def test_card_of_several_outputs_and_of_a_readout(tmp_path: Path) -> None:
    card = write_card(tmp_path, outputs=2, more='observe = 1\ntrainable = "readout"')
    source = card_source(card, "ntk")
    data = RunSpec.from_card(card).dataset()
    power = source.spectrum.target_power.sum() + source.remainder.power
    assert power == pytest.approx(float(np.mean(data.train_targets[:, 1] ** 2)))
    prior = card_source(card, "nngp").spectrum.eigenvalues.sum()
    frozen = nngp_kernel(data.train_inputs, "erf", (1.5,) * 3, (0.2,) * 3)[-1]
    assert prior == pytest.approx(frozen.trace() / 12.0)
    expected = ((frozen - 0.2) / 1.5 + 1.0).trace() / 12.0
    assert source.spectrum.eigenvalues.sum() == pytest.approx(expected)


def test_cards_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="got 141; at most 140"):
        card_source(write_card(tmp_path, activation="tanh", points=141))
    with pytest.raises(UsageError, match="too many training points"):
        card_source(write_card(tmp_path, points=3000))
    text = write_card(tmp_path).read_text(encoding="utf-8")
    with pytest.raises(UsageError, match=r"\[training\]"):
        card_source(table(tmp_path, text[: text.index("[training]")], "prior.toml"))
    with pytest.raises(CardError, match="widths"):
        card_source(table(tmp_path, text.replace("[8, 8]", "[0]"), "wrong.toml"))


def test_sphere_cut_at_a_degree_is_the_sphere() -> None:
    """Degrees that are not listed act as the flow says: a larger ridge, the target in them as noise."""
    options = {"d": 6, "activation": "relu", "depth": 1, "bias_variance": (0.1,)}
    short, full = (sphere_source(SphereOptions(**options, degrees=n)) for n in (4, 60))  # type: ignore[arg-type]
    assert short.remainder.variance > 1e-3
    assert full.remainder.variance < 1e-5
    assert "degrees above 4" in short.notes[0]
    small, large = (curve_of(source, [40.0], 0.2, 0.1).curve[0] for source in (short, full))
    for name in ("effective_ridge", "clean_error", "posterior_variance", "gibbs_error"):
        assert getattr(small, name) == pytest.approx(getattr(large, name), rel=0.01), name
    late = curve_of(short, [1e5], 0.2)
    assert any("list more degrees" in note for note in late.notes)
    assert not any("list more degrees" in note for note in curve_of(short, [40.0], 0.2).notes)


def test_sphere_takes_the_rates_of_a_card(tmp_path: Path) -> None:
    """The trace of a kernel on the sphere is its value at one point, for the same network as in a card."""
    x = np.array([[1.0, 1.0, -1.0]])  # |x|^2 = d
    options = SphereOptions(3, "erf", depth=2, weight_variance=(1.5,), bias_variance=(0.2,), degrees=60)
    expected = tangent_kernel(x, "erf", (1.5,) * 3, (0.2,) * 3, weight_rate=1.0, bias_rate=1.0)[-1][0, 0]
    source = sphere_source(options, "ntk")
    trace = source.spectrum.multiplicities @ source.spectrum.eigenvalues + source.remainder.variance
    assert trace == pytest.approx(expected, rel=1e-9)
    assert any("tangent" in note for note in source.notes)
    target = sphere_source(options, "nngp", {0: 0.3, 2: 0.5})
    assert target.spectrum.target_power.sum() == pytest.approx(0.8)
    assert target.level(2) == 2
    odd = sphere_source(SphereOptions(3, "erf"), "nngp", {2: 0.5})  # no bias: even degrees are not learned
    assert odd.remainder.power == 0.5
    assert curve_of(odd, [1e6]).curve[0].clean_error >= 0.5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"activation": "erv"}, "unknown activation"),
        ({"depth": -1}, "depth"),
        ({"depth": 101}, "depth"),
        ({"weight_variance": (1.0, 2.0, 3.0)}, "weight_variance"),
        ({"bias_variance": (-1.0,)}, "bias_variance"),
        ({"d": 1}, "dimension"),
        ({"degrees": 201}, "degree"),
        ({"radius": 0.0}, "norm"),
    ],
)
def test_spheres_out_of_range(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        sphere_source(SphereOptions(**{"d": 3, "activation": "erf", **options}))


def test_power_laws_out_of_range() -> None:
    for modes in (0, 2**22 + 1):
        with pytest.raises(UsageError, match="modes"):
            power_law_source(2.0, 2.0, modes)
    with pytest.raises(UsageError, match="contradiction"):
        power_law_source(2.0, 2.0, 5, {1: 1.0})
    for level in (0, 6):
        with pytest.raises(UsageError, match="no such level"):
            power_law_source(2.0, None, 5, {level: 1.0})
