"""Options of ``nnft ridge`` as text: lists of points, power laws, spheres, targets."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nnft.analysis.ridge_curve import MOST_POINTS
from nnft.analysis.ridge_kernels import SphereOptions
from nnft.errors import UsageError, shorten

DEFAULT_MODES = 100_000


def points_of(text: str) -> tuple[float, ...]:
    """Return the numbers of ``100``, ``10,30,100`` or ``log:10:1000:5``, whole ones in the last form.

    Raises
    ------
    UsageError
    """
    parts = text.split(":")
    if parts[0].strip() == "log":
        if len(parts) != 4:
            raise UsageError(f"no range in --points: got {shorten(text)}; give log:LOW:HIGH:COUNT")
        low, high = (_real(part, "--points") for part in parts[1:3])
        count = _whole(parts[3], "--points")
        if not 1.0 <= low <= high or not 2 <= count <= MOST_POINTS:
            raise UsageError(
                f"impossible range in --points: got {shorten(text)}; "
                f"give 1 <= LOW <= HIGH and COUNT from 2 to {MOST_POINTS}"
            )
        return tuple(np.unique(np.round(np.geomspace(low, high, count))).tolist())
    return tuple(_real(part, "--points") for part in text.split(","))


def target_of(text: str) -> dict[int, float]:
    """Return the powers of ``1:0.5,3:0.25`` by level.

    Raises
    ------
    UsageError
        No such text, a level twice, or a negative power.
    """
    found: dict[int, float] = {}
    for part in text.split(","):
        level, sign, power = part.partition(":")
        if not sign:
            raise UsageError(f"no power in --target: got {shorten(part)}; give LEVEL:POWER,LEVEL:POWER")
        number, value = _whole(level, "--target"), _real(power, "--target")
        if number in found or value < 0.0:
            what = "level given twice" if number in found else "negative power"
            raise UsageError(f"{what} in --target: got {shorten(part)}; give each level once, powers >= 0")
        found[number] = value
    return found


def power_law_of(text: str) -> tuple[float, float | None, int]:
    """Return a, b and the number of modes of ``a=2,b=1.5,modes=100000``; b None and 100000 when left out.

    Raises
    ------
    UsageError
    """
    found = _pairs(text, "--power-law", {"a": _real, "b": _real, "modes": _whole}, ("a",))
    return found["a"], found.get("b"), found.get("modes", DEFAULT_MODES)


def sphere_of(text: str) -> SphereOptions:
    """Return the options of ``d=10,activation=erf,depth=1,weight_variance=1.5/2,degrees=20``.

    Raises
    ------
    UsageError
    """
    kinds: dict[str, Callable[[str, str], Any]] = {
        "d": _whole,
        "activation": lambda value, option: value,
        "depth": _whole,
        "weight_variance": _several,
        "bias_variance": _several,
        "radius": _real,
        "degrees": _whole,
    }
    return SphereOptions(**_pairs(text, "--sphere", kinds, ("d", "activation")))


def _pairs(
    text: str, option: str, kinds: Mapping[str, Callable[[str, str], Any]], needed: tuple[str, ...]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in text.split(","):
        key, sign, value = (piece.strip() for piece in part.partition("="))
        if not sign or key not in kinds:
            what = "unknown key" if sign else "no value"
            raise UsageError(f"{what} in {option}: got {shorten(part)}; keys: {', '.join(kinds)}")
        if key in found:
            raise UsageError(f"key given twice in {option}: got {shorten(key)}; give it once")
        found[key] = kinds[key](value, option)
    missing = [key for key in needed if key not in found]
    if missing:
        raise UsageError(f"no {missing[0]} in {option}: got {shorten(text)}; add {missing[0]}=...")
    return found


def _real(text: str, option: str) -> float:
    try:
        value = float(text) if len(text) < 400 and "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(
            f"no number in {option}: got {shorten(text)}; give a finite number such as 0.5 or 1e3"
        )
    return value


def _whole(text: str, option: str) -> int:
    value = _real(text, option)
    if value != math.floor(value) or abs(value) > 2**53:
        raise UsageError(f"no whole number in {option}: got {shorten(text)}; give one such as 20")
    return int(value)


def _several(text: str, option: str) -> tuple[float, ...]:
    return tuple(_real(part, option) for part in text.split("/"))
