"""Teachers of a training: the functions that they are, and the laws of what is drawn."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nnft.errors import CardError
from nnft.spec import DataSpec, RunSpec
from nnft.spec.data import KEYS_OF_TEACHER, LINKS
from nnft.spec.dataset import Dataset, load_dataset
from nnft.spec.teachers import LINK_FUNCTIONS

OPTIONS: dict[str, dict[str, Any]] = {
    "linear": {},
    "single-index": {"link": "tanh"},
    "polynomial": {"degree": 3},
    "network": {"widths": [5, 4], "activation": "erf"},
}


def teacher_data(teacher: str = "linear", **keys: Any) -> Dataset:
    given = {"points": 20, "dimension": 3} | OPTIONS[teacher] | keys
    return load_dataset(DataSpec(teacher=teacher, **given), Path())


def test_every_teacher_is_tested_here() -> None:
    assert set(OPTIONS) == set(KEYS_OF_TEACHER)
    assert {name: tuple(options) for name, options in OPTIONS.items()} == KEYS_OF_TEACHER
    assert set(LINK_FUNCTIONS) == set(LINKS)


@pytest.mark.parametrize("teacher", list(OPTIONS))
def test_seeds_make_other_data_and_amplitudes_only_scale(teacher: str) -> None:
    first = teacher_data(teacher, test=3)
    assert teacher_data(teacher, test=3).sha256 == first.sha256
    other = teacher_data(teacher, test=3, seed=1)
    assert not np.isin(other.train_inputs, first.train_inputs).any()
    double = teacher_data(teacher, test=3, amplitude=2.0)
    np.testing.assert_array_equal(double.train_inputs, first.train_inputs)
    np.testing.assert_array_equal(double.train_targets, 2.0 * first.train_targets)
    three = teacher_data(teacher, outputs=3)
    assert np.unique(three.train_targets).size == 60


def coefficients(data: Dataset, values: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Least squares of values on the inputs, and the largest residual."""
    found: NDArray[np.float64] = np.linalg.lstsq(data.train_inputs, values, rcond=None)[0].astype(np.float64)
    return found, float(np.abs(data.train_inputs @ found - values).max())


def test_a_linear_teacher_is_linear() -> None:
    """|w|^2 / d of unit normals over 400 seeds in 10 dimensions: 1(1)/45; |w| = 1 or w.x are far away."""
    squares = []
    for seed in range(400):
        data = teacher_data("linear", dimension=10, seed=20240601 + seed)
        weights, residual = coefficients(data, data.train_targets)
        assert residual < 1e-13
        squares.append(float((weights**2).sum()))
    assert abs(np.mean(squares) - 1.0) < 5.85 * math.sqrt(2.0 / 10 / 400)


@pytest.mark.parametrize(("link", "inverse"), [("tanh", np.arctanh), ("exp", np.log), ("linear", np.array)])
def test_a_single_index_teacher_is_a_link_of_a_unit_projection(link: str, inverse: Any) -> None:
    data = teacher_data("single-index", link=link, outputs=2)
    weights, residual = coefficients(data, inverse(data.train_targets))
    assert residual < 1e-12
    np.testing.assert_allclose(np.linalg.norm(weights, axis=0), 1.0, rtol=1e-12)


@pytest.mark.parametrize(
    ("link", "value", "at"),
    [
        ("erf", 0.5204998778130465, 0.5),
        ("relu", 0.0, -0.5),
        ("quadratic", 0.25, -0.5),
        ("sin", 0.479425538604203, 0.5),
        ("cos", 0.8775825618903728, 0.5),
        ("exp", 1.6487212707001282, 0.5),
        ("tanh", 0.46211715726000976, 0.5),
        ("linear", -0.5, -0.5),
    ],
)
def test_links_by_value(link: str, value: float, at: float) -> None:
    assert LINK_FUNCTIONS[link](np.array([[at]]))[0, 0] == pytest.approx(value, rel=1e-15)


def test_a_polynomial_teacher_has_the_powers_and_no_constant() -> None:
    """In one dimension w / |w| = +-1 and y = sum_k c_k (+-x)^k / sqrt(k!).

    Over 300 seeds c_k^2 has the mean 1(1)/12: a missing root of k! gives 2 for k = 2 and 24 for k = 4,
    12 and 280 sigma; a coefficient of variance 1/2 is 6 sigma away.
    """
    powers = np.arange(5)
    found = []
    for seed in range(300):
        data = teacher_data("polynomial", degree=4, dimension=1, points=30, seed=20240601 + seed)
        basis = data.train_inputs**powers
        values, *_ = np.linalg.lstsq(basis, data.train_targets[:, 0], rcond=None)
        assert np.abs(basis @ values - data.train_targets[:, 0]).max() < 1e-10
        found.append(values * np.sqrt([math.factorial(power) for power in powers]))
    squares = np.array(found) ** 2
    assert squares[:, 0].max() < 1e-16
    assert np.all(np.abs(squares[:, 1:].mean(axis=0) - 1.0) < 5.85 * math.sqrt(2.0 / 300))


def test_a_linear_network_has_weights_of_variance_one_over_fan_in() -> None:
    """y = w3 W2 W1 x: E y^2 = |x|^2 / d for the law on the sphere, 1.

    The kurtosis 3 (1 + 2/6)(1 + 2/5) of y over the networks gives Var y^2 = 4.6; 2000 networks see a factor
    of 1.3 in the variance of one layer.
    """
    keys: dict[str, Any] = {"widths": [6, 5], "activation": "linear", "dimension": 4, "points": 1}
    values = [
        teacher_data("network", law="sphere", seed=20240601 + seed, **keys).train_targets[0, 0]
        for seed in range(2000)
    ]
    assert abs(np.mean(np.square(values)) - 1.0) < 5.85 * math.sqrt((3 * (4 / 3) * (7 / 5) - 1) / 2000)


def test_a_network_teacher_of_its_documented_stream() -> None:
    """Philox with the seed as key and the counter 3 * 2^192: layers in order, rows of weights."""
    data = teacher_data("network", seed=5, test=4)
    normals = np.random.Generator(np.random.Philox(key=5, counter=3 << 192))
    erf = np.vectorize(math.erf)
    values = data.test_inputs.T
    for position, (before, after) in enumerate([(3, 5), (5, 4), (4, 1)]):
        values = (
            normals.standard_normal((after, before))
            / math.sqrt(before)
            @ (erf(values) if position else values)
        )
    np.testing.assert_allclose(data.test_targets, values.T, rtol=1e-12)


def test_laws_of_the_inputs() -> None:
    """30 000 components: means, variances and fourth moments 3, 1/5, 3 d / (d + 2) = 9/5, to per cents."""
    known = {"normal": (1.0, 3.0), "uniform": (1 / 3, 1 / 5), "sphere": (1.0, 9 / 5)}
    for law, (variance, fourth) in known.items():
        x = teacher_data(law=law, points=10_000, seed=20240601).train_inputs
        for power, expected in ((1, 0.0), (2, variance), (4, fourth)):
            values = (x**power).mean(axis=1)  # the components of a point on a sphere are not independent
            if law == "sphere" and power == 2:
                np.testing.assert_allclose(values, 1.0, rtol=1e-14)
            else:
                assert abs(values.mean() - expected) < 5.85 * values.std() / 100
    assert np.abs(teacher_data(law="uniform").train_inputs).max() < 1.0


def test_teacher_and_mesh_of_one_seed_are_different_points() -> None:
    card = {
        "network": {"widths": [4], "activation": "tanh"},
        "inputs": {"generator": "gaussian", "count": 20, "dimension": 3},
        "ensemble": {"networks": 10, "seed": 1},
        "training": {
            "loss": "sum",
            "algorithm": "gradient-flow",
            "time": 1.0,
            "data": {"teacher": "linear", "points": 20, "dimension": 3},
        },
    }
    spec = RunSpec.from_dict(card)
    assert not np.isin(spec.dataset().train_inputs, spec.mesh().points).any()


def test_targets_beyond_float64_are_refused() -> None:
    with pytest.raises(CardError, match=r"targets not finite in training\.data\.teacher: got network"):
        teacher_data("network", widths=[50] * 12, activation="exp")
