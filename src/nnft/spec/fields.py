"""The kinds of values a card holds: counts, real numbers, lists, words, and the base of its tables."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, ValidationError

from nnft.spec.problems import card_error, mistake, shown

EXACT_INTEGERS = 2**53
"""Every whole number up to here is a float64."""

MOST_HIDDEN_LAYERS = 4000
MOST_POINTS = 10**5
MOST_COORDINATES = 2**22
"""Numbers in all input points together."""

TABLES = ConfigDict(
    frozen=True,
    strict=True,
    extra="forbid",
    allow_inf_nan=False,
    validate_default=True,
    hide_input_in_errors=True,
)


class Table(BaseModel):
    """Base of the tables of a card: frozen, strict, no unknown keys.

    Raises
    ------
    CardError
        When a table is made in Python with wrong values: one line for each mistake.
    """

    model_config = TABLES

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            problems = card_error(type(self), error.errors(include_url=False))
        else:
            return
        raise problems

    # Only direct calls come through here: pydantic fills nested tables itself and so collects every mistake.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]


def as_python(value: object) -> object:
    """Return the Python number in a NumPy scalar or 0-d array, anything else as it is."""
    if isinstance(value, np.longdouble):
        return float(value)
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value.item()
    return value


def real(value: object) -> object:
    """Refuse integers that a float64 may not hold exactly; pass anything else on.

    Raises
    ------
    PydanticCustomError
        For integers above 2^53.
    """
    value = as_python(value)
    if isinstance(value, int) and abs(value) > EXACT_INTEGERS:
        raise mistake(
            "integer too large", "allowed: up to 2^53; write larger numbers like 1e20", shown(value)
        )
    return value


def whole(value: object) -> object:
    """Turn a float without fraction, up to 2^53, into an integer: ``1e6`` is a count."""
    value = as_python(value)
    if isinstance(value, float) and abs(value) <= EXACT_INTEGERS and value.is_integer():
        return int(value)
    return value


def as_sequence(most: int) -> BeforeValidator:
    """Return a validator that turns lists and one-dimensional arrays into tuples.

    More than `most` values are refused before one of them is looked at.
    """

    def convert(value: object) -> object:
        if isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in "iuf":
            value = value.tolist()
        if not isinstance(value, list | tuple):
            return value
        if len(value) > most:
            raise mistake("too many values", f"allowed: at most {most}", f"{len(value)} values")
        return tuple(value)

    return BeforeValidator(convert)


def list_or_number(value: object) -> str:
    """Return the branch of a key that takes a number or a list, so that errors speak of the branch meant."""
    return "<list>" if isinstance(value, list | tuple | np.ndarray) else "<one>"


def word_or_number(value: object) -> str:
    """Return the branch of a key that takes a number or one fixed word."""
    return "<word>" if isinstance(value, str) else "<one>"


Real = Annotated[float, BeforeValidator(real)]
"""A finite number; integers count."""

Integer = Annotated[int, BeforeValidator(whole)]
"""A whole number; a float without fraction counts."""

Variance = Annotated[Real, Field(ge=0.0, le=1e6)]
Variances = Annotated[tuple[Variance, ...], as_sequence(MOST_HIDDEN_LAYERS + 1)]
VariancePerLayer = Annotated[
    Annotated[Variance, Tag("<one>")] | Annotated[Variances, Tag("<list>")], Discriminator(list_or_number)
]
"""One variance for all affine layers, or one for each."""


def point_rows(value: object) -> object:
    """Turn lists of lists, or a two-dimensional array, into rows of Python floats.

    Raises
    ------
    PydanticCustomError
        For arrays that are not real numbers in two dimensions, hold masked entries, or integers above 2^53.
    """
    if isinstance(value, list | tuple):
        if len(value) > MOST_POINTS:
            raise mistake("too many points", f"allowed: at most {MOST_POINTS}", f"{len(value)} points")
        return tuple(value)
    if not hasattr(value, "__array__"):
        return value
    array = np.ma.asanyarray(value)
    allowed = "give a two-dimensional array of real numbers, one row for each point"
    if array.dtype.kind not in "biuf" or array.ndim != 2:
        raise mistake("wrong array", allowed, f"{array.dtype} of shape {array.shape}")
    if array.size > MOST_COORDINATES or len(array) > MOST_POINTS:
        allowed = f"at most {MOST_POINTS} points and {MOST_COORDINATES} numbers in all"
        raise mistake("too many numbers", allowed, f"shape {array.shape}")
    if np.ma.is_masked(array):
        raise mistake("masked entries", allowed, f"{int(np.ma.getmaskarray(array).sum())} masked")
    data = np.asarray(array)
    if data.dtype.kind in "iu" and data.size:
        largest = max(int(data.max()), -int(data.min()))
        if largest > EXACT_INTEGERS:
            raise mistake("integers too large", "give float64, or integers up to 2^53", shown(largest))
    with np.errstate(over="ignore"):
        return tuple(map(tuple, data.astype(np.float64).tolist()))


Point = Annotated[tuple[Real, ...], as_sequence(MOST_COORDINATES)]
Points = Annotated[tuple[Point, ...], BeforeValidator(point_rows)]
"""Input points, one row each."""
