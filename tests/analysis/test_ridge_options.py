"""Options of nnft ridge as text."""

from __future__ import annotations

import pytest

from nnft.analysis.ridge_kernels import SphereOptions
from nnft.analysis.ridge_options import points_of, power_law_of, sphere_of, target_of
from nnft.errors import UsageError


def test_options_as_text() -> None:
    assert points_of("10") == (10.0,)
    assert points_of(" 10, 2.5 ,1e3") == (10.0, 2.5, 1000.0)
    assert points_of("log:1:1000:4") == (1.0, 10.0, 100.0, 1000.0)
    assert points_of("log:1:3:50") == (1.0, 2.0, 3.0)
    assert target_of("1:0.5, 3:2") == {1: 0.5, 3: 2.0}
    assert power_law_of("a=2") == (2.0, None, 100_000)
    assert power_law_of("modes=1e3, a=1.5,b=2") == (1.5, 2.0, 1000)
    assert sphere_of("d=4,activation=relu,weight_variance=1.5/2,degrees=7") == SphereOptions(
        4, "relu", weight_variance=(1.5, 2.0), degrees=7
    )


IMPOSSIBLE = (
    "", "a", "1,,2", "log:1:2", "log:0:2:3", "log:3:2:3", "log:1:2:1", "log:1:2:1e9", "log:1:2:2.5", "nan",
    "1_0", "9" * 500,
)  # fmt: skip


@pytest.mark.parametrize("text", IMPOSSIBLE)
def test_impossible_points(text: str) -> None:
    with pytest.raises(UsageError, match="--points"):
        points_of(text)


@pytest.mark.parametrize("text", ["", "1", "1:x", "x:1", "1:1,1:2", "1:-1", "1.5:1", "1:inf"])
def test_impossible_targets(text: str) -> None:
    with pytest.raises(UsageError, match="--target"):
        target_of(text)


@pytest.mark.parametrize("text", ["", "a", "b=2", "a=2,a=3", "a=x", "a=2,modes=1.5", "a=2,z=1"])
def test_impossible_power_laws(text: str) -> None:
    with pytest.raises(UsageError, match="--power-law"):
        power_law_of(text)


@pytest.mark.parametrize("text", ["d=3", "activation=erf", "d=3,activation=erf,weight_variance=1//2"])
def test_impossible_spheres(text: str) -> None:
    with pytest.raises(UsageError, match="--sphere"):
        sphere_of(text)
