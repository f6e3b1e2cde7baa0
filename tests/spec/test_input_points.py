"""Input points from arrays and generators, their scaling and their digest."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from nnft.errors import CardError
from nnft.spec import InputsSpec, Mesh
from nnft.spec.generators import gaussian, grid, sphere, unit_norm
from nnft.spec.mesh import make_mesh, resolve_mesh

SEED = 20240601
HERE = Path()


def mesh_of(**inputs: object) -> Mesh:
    return resolve_mesh(InputsSpec.model_validate(inputs), HERE)


def test_mesh_is_contiguous_and_read_only() -> None:
    mesh = mesh_of(points=[[1, 2.5], [3, 4]])
    assert mesh.points.dtype == np.float64
    assert mesh.points.flags.c_contiguous
    with pytest.raises(ValueError, match="read-only"):
        mesh.points[0, 0] = 0.0


def test_digest_sees_values_and_shape_only() -> None:
    points = np.arange(6.0)
    digest = make_mesh(points.reshape(2, 3), "a").sha256
    assert make_mesh(points.reshape(2, 3).astype(">f8"), "b").sha256 == digest
    assert make_mesh(np.asfortranarray(points.reshape(2, 3)), "c").sha256 == digest
    assert make_mesh(points.reshape(3, 2), "a").sha256 != digest
    assert make_mesh(np.nextafter(points, 9.0).reshape(2, 3), "a").sha256 != digest
    assert make_mesh([[0.0, 1.0]], "a").sha256 == make_mesh([[-0.0, 1.0]], "a").sha256


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "g", "i1", "i8", "u1", "u8", "?", ">f8", ">i4"])
def test_arrays_of_every_real_dtype(dtype: str) -> None:
    array = np.array([[1, 0, 1], [0, 1, 1]]).astype(dtype)
    assert mesh_of(points=array) == mesh_of(points=[[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])


def test_strided_arrays_give_the_digest_of_their_copy() -> None:
    array = np.random.default_rng(SEED).standard_normal((6, 8))
    misaligned = np.frombuffer(b"\0" + array.tobytes(), dtype=np.float64, offset=1).reshape(6, 8)
    for view in (array[::2], array[::-1, ::-3], array.T, misaligned, np.broadcast_to(array[0], (3, 8))):
        assert mesh_of(points=view) == mesh_of(points=view.copy().tolist())


def test_float32_arrays_are_their_float64_copies() -> None:
    array = np.random.default_rng(SEED).standard_normal((3, 4)).astype(np.float32)
    assert mesh_of(points=array) == mesh_of(points=array.astype(np.float64))


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.ones((2, 2), dtype=complex), "complex128"),
        (np.ones((2, 2), dtype=object), "object"),
        (np.array([["a"]]), "<U1"),
        (np.zeros((2, 2), dtype="M8[s]"), "datetime64"),
        (np.zeros((2,), dtype=[("a", float)]), "a value of type|wrong array"),
        (np.ones(3), "shape (3,)"),
        (np.ones((1, 2, 3)), "shape (1, 2, 3)"),
        (np.float64(3.0), "wrong array"),
        (np.ones((0, 3)), "no points"),
        (np.ones((3, 0)), "no points"),
        (np.array([[2**53 + 1]]), "integers too large"),
        (np.array([[2**64 - 1]], dtype=np.uint64), "integers too large"),
        (np.array([[-(2**63)]]), "integers too large"),
        (np.broadcast_to(1.0, (2**20, 2**20)), "too many numbers"),
        (np.ma.masked_equal(np.array([[1.0, 2.0]]), 2.0), "1 masked"),
        (np.array([[1.0, np.nan]]), "points[0][1]: got nan"),
        (np.array([[1.0], [-np.inf]]), "points[1][0]: got -inf"),
        (np.array([[np.finfo(np.longdouble).max]]), "points[0][0]: got "),
    ],
)
def test_other_arrays_are_refused(array: NDArray[np.generic], expected: str) -> None:
    with pytest.raises(CardError) as caught:
        InputsSpec(points=array)
    assert any(part in str(caught.value) for part in expected.split("|"))


def test_subnormal_and_signed_zero_points() -> None:
    mesh = mesh_of(points=[[5e-324, -0.0], [1e100, -1e100]])
    assert mesh.points.tolist() == [[5e-324, 0.0], [1e100, -1e100]]
    assert not np.signbit(mesh.points[0, 1])


def test_grid_runs_the_last_axis_fastest() -> None:
    points = grid(3, 2, -1.0, 1.0)
    assert points.tolist() == [[a, b] for a in (-1.0, 0.0, 1.0) for b in (-1.0, 0.0, 1.0)]
    assert grid(1, 3, 2.0, 4.0).tolist() == [[3.0, 3.0, 3.0]]
    assert mesh_of(generator="grid", count=2, dimension=1).points.tolist() == [[-1.0], [1.0]]
    assert mesh_of(generator="grid", count=1, dimension=1000).points.shape == (1, 1000)


@given(st.integers(2, 40), st.floats(-1e100, 1e100), st.floats(-1e100, 1e100))
def test_grid_holds_both_ends_exactly(count: int, first: float, second: float) -> None:
    low, high = sorted((first, second))
    points = grid(count, 1, low, high)[:, 0]
    assert points[0] == low
    assert points[-1] == high
    assert np.isfinite(points).all()


def test_gaussian_points_are_standard_normal_and_frozen() -> None:
    points = gaussian(4000, 25, SEED)
    assert abs(points.mean()) < 5.85 / math.sqrt(points.size)
    assert abs(points.var() - 1.0) < 5.85 * math.sqrt(2.0 / points.size)
    np.testing.assert_array_equal(points, gaussian(4000, 25, SEED))
    assert not np.array_equal(points, gaussian(4000, 25, SEED + 1))
    first = mesh_of(generator="gaussian", count=2, dimension=2).points
    np.testing.assert_array_equal(first, gaussian(2, 2, 0))


def test_sphere_is_uniform() -> None:
    points = sphere(20_000, 3, 2.0, SEED)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 2.0, rtol=4e-16)
    # On the unit sphere every coordinate is uniform (Archimedes): mean 0, variance 1/3.
    for axis in points.T / 2.0:
        assert abs(axis.mean()) < 5.85 * math.sqrt(1.0 / 3.0 / axis.size)
        assert abs((axis**2).mean() - 1.0 / 3.0) < 5.85 * math.sqrt(4.0 / 45.0 / axis.size)
    default = mesh_of(generator="sphere", count=5, dimension=16)
    np.testing.assert_allclose((default.points**2).sum(axis=1), 16.0, rtol=1e-15)


@given(st.lists(st.floats(-1e100, 1e100), min_size=1, max_size=6).filter(any))
def test_unit_norm_against_exact_arithmetic(point: list[float]) -> None:
    scaled = unit_norm(np.array([point]))[0]
    largest = max(map(abs, point))
    exact = [Fraction(value) / Fraction(largest) for value in point]
    norm = math.sqrt(sum(value * value for value in exact))
    np.testing.assert_allclose(scaled, [float(value) / norm for value in exact], rtol=1e-15, atol=1e-300)


def test_unit_norm_does_not_depend_on_the_order_of_coordinates() -> None:
    points = np.random.default_rng(SEED).standard_normal((3, 1001)) * 10.0 ** np.arange(1001).clip(0, 12)
    order = np.random.default_rng(SEED + 1).permutation(1001)
    np.testing.assert_array_equal(unit_norm(points)[:, order], unit_norm(points[:, order]))


def test_zero_point_has_no_direction() -> None:
    with pytest.raises(CardError, match=r"inputs.scale: got point 1 of points of the card with norm 0"):
        mesh_of(points=[[1.0, 0.0], [0.0, -0.0]], scale="unit-norm")


def test_standardize_makes_mean_zero_and_variance_one() -> None:
    points = np.random.default_rng(SEED).standard_normal((50, 4)) * [1e-200, 1.0, 1e90, 3.0] + [
        0.0,
        1e6,
        0.0,
        1.0,
    ]
    result = mesh_of(points=points, scale="standardize").points
    np.testing.assert_allclose(result.mean(axis=0), 0.0, atol=1e-9)
    np.testing.assert_allclose(result.var(axis=0), 1.0, rtol=1e-12)
    by_hand = (points[:, 3] - points[:, 3].mean()) / points[:, 3].std()
    np.testing.assert_allclose(result[:, 3], by_hand, rtol=1e-12)


@pytest.mark.parametrize("points", [[[1.0, 2.0], [3.0, 2.0]], [[1.0, 2.0]]])
def test_constant_coordinate_cannot_be_standardized(points: list[list[float]]) -> None:
    with pytest.raises(CardError, match=r"inputs.scale: got coordinate [01] of points of the card equal"):
        mesh_of(points=points, scale="standardize")
