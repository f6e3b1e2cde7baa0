"""The input points: given in the card, read from a file, or made by a generator."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from nnft.spec.fields import MOST_COORDINATES, MOST_POINTS, Integer, Points, Real, Table
from nnft.spec.problems import mistake, shown

LARGEST_COORDINATE = 1e100

Coordinate = Annotated[Real, Field(ge=-LARGEST_COORDINATE, le=LARGEST_COORDINATE)]
Seed = Annotated[Integer, Field(ge=0, le=2**128 - 1)]

KEYS_OF_GENERATOR: dict[str, tuple[str, ...]] = {
    "grid": ("count", "dimension", "low", "high"),
    "sphere": ("count", "dimension", "radius", "seed"),
    "gaussian": ("count", "dimension", "seed"),
}
_ALL_GENERATOR_KEYS = ("count", "dimension", "low", "high", "radius", "seed")


class InputsSpec(Table):
    """Where the input points come from; exactly one of `points`, `file` and `generator`.

    Attributes
    ----------
    points : tuple of tuple of float, optional
        P rows of d coordinates; a two-dimensional array is accepted.
    file : str, optional
        A ``.csv`` or ``.npy`` file, or ``"name.h5:/dataset"``, relative to the folder of the card.
    sha256 : str, optional
        Digest the file must have.
    generator : str, optional
        ``"grid"``: `count` equidistant values from `low` to `high` (default -1 to 1) on each of `dimension`
        axes, so count^dimension points, the last axis running fastest. ``"sphere"``: `count` points uniform
        on the sphere of `radius` (default sqrt(dimension)). ``"gaussian"``: `count` points of independent
        standard normal coordinates.
    seed : int, optional
        Seed of ``"sphere"`` and ``"gaussian"``, default 0; independent of the seed of the ensemble.
    scale : str
        ``"none"``; ``"unit-norm"``: every point divided by its Euclidean norm; ``"standardize"``: every
        coordinate shifted and scaled to mean 0 and variance 1 over the points.
    """

    points: Points | None = Field(None, description="a list of points, each a list of as many numbers")
    file: Annotated[str, Field(min_length=1, max_length=4096)] | None = Field(
        None, description='the name of a .csv or .npy file, or "name.h5:/dataset"'
    )
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = Field(
        None, description="64 hexadecimal digits in lower case, only beside inputs.file"
    )
    generator: Literal["grid", "sphere", "gaussian"] | None = Field(
        None, description="grid, sphere or gaussian"
    )
    count: Annotated[Integer, Field(ge=1, le=MOST_POINTS)] | None = Field(
        None, description=f"a whole number from 1 to {MOST_POINTS}"
    )
    dimension: Annotated[Integer, Field(ge=1, le=10**6)] | None = Field(
        None, description="a whole number from 1 to 1000000"
    )
    low: Coordinate | None = Field(None, description="a number from -1e100 to 1e100")
    high: Coordinate | None = Field(None, description="a number from -1e100 to 1e100")
    radius: Annotated[Real, Field(gt=0.0, le=LARGEST_COORDINATE)] | None = Field(
        None, description="a number above 0, at most 1e100"
    )
    seed: Seed | None = Field(None, description="a whole number from 0 to 2^128 - 1")
    scale: Literal["none", "unit-norm", "standardize"] = Field(
        "none", description="none, unit-norm or standardize"
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [name for name in ("points", "file", "generator") if getattr(self, name) is not None]
        if len(given) != 1:
            raise mistake(
                "contradiction" if given else "missing key",
                "give exactly one of points, file, generator",
                " and ".join(given) or "none of them",
            )
        known = KEYS_OF_GENERATOR.get(self.generator or "", ())
        for name in _ALL_GENERATOR_KEYS:
            if getattr(self, name) is not None and name not in known:
                raise mistake(
                    "contradiction", f"leave it out beside inputs.{given[0]}", _value(self, name), name
                )
        if self.sha256 is not None and self.file is None:
            raise mistake("contradiction", f"leave it out beside inputs.{given[0]}", "a digest", "sha256")
        if self.generator is not None:
            self._check_generator()
        if self.points is not None:
            self._check_points(self.points)
        return self

    def _check_generator(self) -> None:
        for name in ("count", "dimension"):
            if getattr(self, name) is None:
                raise mistake("missing key", f"inputs.generator {self.generator!r} needs it", "nothing", name)
        count, dimension = self.count or 0, self.dimension or 0
        if self.generator == "grid":
            if (self.low is None) != (self.high is None) or (self.low or 0.0) > (self.high or 0.0):
                raise mistake(
                    "contradiction",
                    "give both with low <= high",
                    f"{self.low} and {self.high}",
                    "low and high",
                )
            # The power is bounded by comparing exponents: a grid of many axes is never computed.
            points = count**dimension if count == 1 or dimension <= 17 else MOST_POINTS + 1
        else:
            points = count
        if points > MOST_POINTS or points * dimension > MOST_COORDINATES:
            raise mistake(
                "too many points",
                f"at most {MOST_POINTS} points and {MOST_COORDINATES} coordinates in all",
                f"count {count} with dimension {dimension}",
                "count and inputs.dimension",
            )

    @staticmethod
    def _check_points(points: tuple[tuple[float, ...], ...]) -> None:
        if not points or not points[0]:
            raise mistake("no points", "give at least one point of at least one number", "none", "points")
        for row, point in enumerate(points):
            if len(point) != len(points[0]):
                raise mistake(
                    "ragged points",
                    f"allowed: {len(points[0])} as in the first point",
                    f"{len(point)} coordinates",
                    f"points[{row}]",
                )
            for column, value in enumerate(point):
                if abs(value) > LARGEST_COORDINATE:
                    raise mistake(
                        "number out of range", "allowed: up to 1e100", repr(value), f"points[{row}][{column}]"
                    )


def _value(spec: InputsSpec, name: str) -> str:
    return shown(getattr(spec, name))
