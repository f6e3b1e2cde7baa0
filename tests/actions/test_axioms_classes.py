"""Classes of related components against brute force over all pairs and permutations."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from axiom_networks import TOLERANCE, Array, line, square
from runs import SEED

from nnft.actions.symmetry_classes import Group, default_tolerance, distinct_points, labels, related_pairs

RNG = np.random.default_rng(SEED + 7600)
ROTATION = np.linalg.qr(RNG.standard_normal((3, 3)))[0]
MESHES = {
    "square": square(3),
    "line": line(5),
    "moved": square(2) + np.array([0.3, -1.1]),
    "random": RNG.standard_normal((5, 3)),
    "orbit": np.concatenate([x @ ROTATION for x in (RNG.standard_normal((1, 3)) * np.ones((3, 1)),)]),
    "turned": (np.array(list(itertools.product([-1.0, 1.0], repeat=3))) @ ROTATION)[:6],
    "repeated": np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [-1.0, 0.0]]),
}
GROUPS: tuple[Group, ...] = ("translations", "rotations", "Euclidean group")


def related(first: Array, second: Array, group: Group) -> bool:
    """Whether some order of the second points is an image of the first ones; points (r, d)."""
    for order in itertools.permutations(range(len(first))):
        image = second[list(order)]
        if group == "translations":
            moved = image - first
            if np.abs(moved - moved[0]).max() < 1e-7:
                return True
            continue
        a, b = (first, image) if group == "rotations" else (first - first.mean(0), image - image.mean(0))
        if np.abs(a @ a.T - b @ b.T).max() < 1e-7:
            return True
    return False


def brute_force(points: Array, order: int, group: Group) -> set[frozenset[tuple[int, ...]]]:
    """Classes of two or more components over different locations."""
    places = [
        k for k in range(len(points)) if all(np.abs(points[k] - points[j]).max() > 1e-7 for j in range(k))
    ]
    classes: list[list[tuple[int, ...]]] = []
    for component in itertools.combinations_with_replacement(places, order):
        for members in classes:
            if related(points[list(members[0])], points[list(component)], group):
                members.append(component)
                break
        else:
            classes.append([component])
    return {frozenset(members) for members in classes if len(members) > 1}


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("name", MESHES)
@pytest.mark.parametrize("order", [2, 3, 4])
def test_classes_are_those_of_brute_force(name: str, order: int, group: Group) -> None:
    points = MESHES[name]
    if order == 4 and len(points) > 6:
        points = points[:6]
    found = related_pairs(points, order, group, 100_000, TOLERANCE)
    members: dict[tuple[int, ...], set[tuple[int, ...]]] = {}
    for first, second in zip(found.first.tolist(), found.second.tolist(), strict=True):
        key = tuple(sorted(first))
        members.setdefault(key, {key}).add(tuple(sorted(second)))
    assert {frozenset(group) for group in members.values()} == brute_force(points, order, group)
    assert found.classes == len(members)
    assert found.related == sum(map(len, members.values()))


@pytest.mark.parametrize("group", GROUPS)
def test_few_pairs_are_related_and_spread(group: Group) -> None:
    points = square(4)
    found = related_pairs(points, 4, group, 25, TOLERANCE)
    assert len(found.first) == 25
    assert found.searched == 3876
    assert found.plain == 0
    sizes = [len(set(row)) for row in found.first.tolist()]
    assert {sizes.count(size) for size in (1, 2, 3, 4)} <= set(range(5, 8))
    for first, second in zip(found.first, found.second, strict=True):
        assert sorted(first.tolist()) != sorted(second.tolist())
        assert related(points[first], points[second], group)
    again = related_pairs(points, 4, group, 25, TOLERANCE)
    np.testing.assert_array_equal(found.first, again.first)
    np.testing.assert_array_equal(found.second, again.second)


def test_pairs_of_a_smaller_group_come_last() -> None:
    points = line(7)
    few = related_pairs(points, 2, "translations", 10, TOLERANCE)
    assert few.plain == 0
    for first, second in zip(few.first, few.second, strict=True):
        assert not related(points[first], points[second], "rotations")
    assert related_pairs(points, 2, "translations", 1000, TOLERANCE).plain > 0
    turned = related_pairs(square(3), 2, "rotations", 6, TOLERANCE)
    assert turned.plain == 0


def test_sixth_order() -> None:
    points = square(3)
    for group in GROUPS:
        found = related_pairs(points, 6, group, 25, TOLERANCE)
        assert found.searched == 3003
        for first, second in zip(found.first[:4], found.second[:4], strict=True):
            assert related(points[first], points[second], group)


def test_work_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnft.actions.symmetry_classes.MOST_COMPONENTS", 200)
    found = related_pairs(line(16), 4, "translations", 25, TOLERANCE)
    assert found.searched <= 200
    assert found.left_out > 0
    assert len(found.first) == 25
    monkeypatch.setattr("nnft.actions.symmetry_classes.MOST_COORDINATES", 100)
    found = related_pairs(line(16), 2, "rotations", 25, TOLERANCE)
    assert (found.searched, found.left_out) == (36, 8)


def test_tolerance() -> None:
    points = np.array([[0.0], [1.0], [2.0 + 1e-6], [3.0]])
    assert (
        related_pairs(points, 2, "translations", 100, 1e-9).related
        < related_pairs(points, 2, "translations", 100, 1e-4).related
    )
    assert len(distinct_points(np.array([[1.0], [1.0 + 1e-6]]), 1e-9)) == 2
    assert len(distinct_points(np.array([[1.0], [1.0 + 1e-6]]), 1e-4)) == 1
    assert default_tolerance(np.array([[-3.0], [2.0]])) == pytest.approx(3e-9)
    assert labels(np.array([0.3, 0.1, 0.1 + 1e-12, 0.2]), 1e-9).tolist() == [2, 0, 0, 1]
