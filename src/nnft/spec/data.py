"""The data that networks are trained on: columns of files, or points with the values of a random teacher."""

from __future__ import annotations

import itertools
from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from nnft.spec.fields import (
    MOST_COORDINATES,
    MOST_POINTS,
    Integer,
    Real,
    Table,
    as_sequence,
    word_or_number,
)
from nnft.spec.inputs import Seed
from nnft.spec.network import Widths
from nnft.spec.problems import mistake, shown

TeacherName = Literal["linear", "single-index", "polynomial", "network"]
LinkName = Literal["linear", "relu", "tanh", "sin", "cos", "erf", "exp", "quadratic"]
LINKS: tuple[str, ...] = ("linear", "relu", "tanh", "sin", "cos", "erf", "exp", "quadratic")

MOST_COLUMNS = 10**5
HIGHEST_DEGREE = 16
LARGEST_TEACHER = 2**24
"""Weights of a teacher."""

MOST_PRODUCTS = 2**34
MOST_NEURONS = 2**26
"""Products of weights and neurons at all points together: seconds and half a gigabyte."""

KEYS_OF_TEACHER: dict[str, tuple[str, ...]] = {
    "linear": (),
    "single-index": ("link",),
    "polynomial": ("degree",),
    "network": ("widths", "activation"),
}
_OPTIONS = ("link", "degree", "widths", "activation")
_TEACHER_KEYS = ("points", "dimension", "law", "amplitude", "outputs", "anew", *_OPTIONS)
_FILE_KEYS = ("inputs", "targets", "allow_constant", "sha256")


def _file_or_list(value: object) -> str:
    return "<word>" if isinstance(value, str) else "<list>"


def _count_or_fraction(value: object) -> str:
    return "<fraction>" if isinstance(value, float) and 0.0 < value < 1.0 else "<one>"


Name = Annotated[str, Field(min_length=1, max_length=200)]
Number = Annotated[Integer, Field(ge=1, le=MOST_COORDINATES)]
Column = Annotated[
    Annotated[Number, Tag("<one>")] | Annotated[Name, Tag("<word>")], Discriminator(word_or_number)
]
Columns = Annotated[tuple[Column, ...], as_sequence(MOST_COLUMNS), Field(min_length=1)]
File = Annotated[str, Field(min_length=1, max_length=4096)]
ColumnsOrFile = Annotated[
    Annotated[File, Tag("<word>")] | Annotated[Columns, Tag("<list>")], Discriminator(_file_or_list)
]
HeldOut = Annotated[
    Annotated[Annotated[Integer, Field(ge=0, le=MOST_POINTS)], Tag("<one>")]
    | Annotated[Annotated[Real, Field(gt=0.0, lt=1.0)], Tag("<fraction>")],
    Discriminator(_count_or_fraction),
]
_LINK = "one of " + ", ".join(LINKS)
_COLUMNS = "a list of column numbers, counted from 1, or of names in the header of a .csv file"


class DataSpec(Table):
    """One set of data for all networks, or a set for each; exactly one of `file` and `teacher`.

    Everything random is drawn by NumPy's Philox generator with the key `seed`; inputs, teacher, noise
    and split have streams of their own (counters that begin at 2^192 times 1 to 5, plus 2^128 times the
    number of the network where `anew`).

    Attributes
    ----------
    file : str, optional
        A ``.csv`` or ``.npy`` file, or ``"name.h5:/dataset"``, relative to the folder of the card: one
        row for each point.
    inputs : tuple of int or str, optional
        Columns of `file`, by number from 1 or by name in its header; all that are no targets when left out.
    targets : tuple of int or str, or str, optional
        Columns of `file`, or the name of another file of as many rows.
    allow_constant : bool, optional
        Accept an input column of equal numbers.
    sha256 : str, optional
        Digest of the data, or at least its first 12 digits, as ``nnft check`` prints it.
    teacher : str, optional
        With w, w_k and c_k unit normals, one set for each output, and x of d components: ``"linear"``
        w.x / sqrt(d); ``"single-index"`` link(w.x / |w|); ``"polynomial"``
        sum_{k=1}^degree c_k (w_k.x / |w_k|)^k / sqrt(k!); ``"network"`` a network without biases of the given
        `widths` and `activation`, weights N(0, 1 / fan-in).
    points, dimension : int, optional
        Number of training points and d.
    law : str, optional
        ``"normal"``: unit normal components; ``"uniform"``: each from -1 to 1; ``"sphere"``: |x| = sqrt(d).
    amplitude : float, optional
        Factor of the teacher's values, default 1.
    outputs : int, optional
        Columns of the targets, default 1.
    anew : bool, optional
        Whether every network has inputs, label noise and test inputs of its own, of one teacher; default
        false.
    link, degree, widths, activation : optional
        Of the teachers above.
    test : int or float
        Held-out points: their number, or a fraction of the rows of the file (chosen at random by `seed`), of
        `points` for a teacher (drawn in addition).
    center : bool
        Subtract the mean of the training inputs from all inputs.
    scale : str
        ``"none"``, ``"unit-norm"`` or ``"standardize"`` (mean 0 and variance 1 over the training
        points) of the inputs, after centring. The points of [inputs] are not touched by it.
    target_center : bool
        Subtract the mean of the training targets from all targets.
    target_scale : str
        ``"unit-variance"`` divides the targets by their standard deviation over the training points.
    noise_variance : float
        Variance of the normal numbers added to the training targets, at last.
    seed : int
    """

    file: File | None = Field(None, description='the name of a .csv or .npy file, or "name.h5:/dataset"')
    inputs: Columns | None = Field(None, description=_COLUMNS)
    targets: ColumnsOrFile | None = Field(None, description=f"{_COLUMNS}, or the name of a file")
    allow_constant: bool | None = Field(None, description="true or false")
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{12,64}$")] | None = Field(
        None, description="12 to 64 hexadecimal digits in lower case"
    )
    teacher: TeacherName | None = Field(None, description="linear, single-index, polynomial or network")
    points: Annotated[Integer, Field(ge=1, le=MOST_POINTS)] | None = Field(
        None, description=f"a whole number from 1 to {MOST_POINTS}"
    )
    dimension: Annotated[Integer, Field(ge=1, le=10**6)] | None = Field(
        None, description="a whole number from 1 to 1000000"
    )
    law: Literal["normal", "uniform", "sphere"] | None = Field(None, description="normal, uniform or sphere")
    amplitude: Annotated[Real, Field(ge=-1e12, le=1e12)] | None = Field(
        None, description="a number from -1e12 to 1e12"
    )
    outputs: Annotated[Integer, Field(ge=1, le=10**5)] | None = Field(
        None, description="a whole number from 1 to 100000"
    )
    anew: bool | None = Field(None, description="true or false")
    link: LinkName | None = Field(None, description=_LINK)
    degree: Annotated[Integer, Field(ge=1, le=HIGHEST_DEGREE)] | None = Field(
        None, description=f"a whole number from 1 to {HIGHEST_DEGREE}"
    )
    widths: Widths | None = Field(None, description="a list of widths")
    activation: LinkName | None = Field(None, description=_LINK)
    test: HeldOut = Field(0, description="a whole number from 0, or a fraction above 0 and below 1")
    center: bool = Field(False, description="true or false")
    scale: Literal["none", "unit-norm", "standardize"] = Field(
        "none", description="none, unit-norm or standardize"
    )
    target_center: bool = Field(False, description="true or false")
    target_scale: Literal["none", "unit-variance"] = Field("none", description="none or unit-variance")
    noise_variance: Annotated[Real, Field(ge=0.0, le=1e12)] = Field(
        0.0, description="a number from 0 to 1e12"
    )
    seed: Seed = Field(0, description="a whole number from 0 to 2^128 - 1")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [name for name in ("file", "teacher") if getattr(self, name) is not None]
        if len(given) != 1:
            raise mistake(
                "contradiction" if given else "missing key",
                "give exactly one of file, teacher",
                " and ".join(given) or "none of them",
            )
        foreign = _TEACHER_KEYS if self.file is not None else _FILE_KEYS
        for name in foreign:
            if getattr(self, name) is not None:
                advice = f"leave it out beside training.data.{given[0]}"
                if name == "anew":
                    advice += ", which holds one set: take a teacher for data of each network"
                raise mistake("contradiction", advice, shown(getattr(self, name)), name)
        if self.file is not None:
            self._check_columns()
        else:
            self._check_teacher(str(self.teacher))
        return self

    def _check_columns(self) -> None:
        if self.targets is None:
            raise mistake("missing key", "training.data.file needs it", "nothing", "targets")
        targets = self.targets if isinstance(self.targets, tuple) else ()
        seen: set[int | str] = set()
        for name, columns in (("inputs", self.inputs or ()), ("targets", targets)):
            for position, column in enumerate(columns):
                if column in seen:
                    advice = "give every column once"
                    raise mistake("repeated column", advice, shown(column), f"{name}[{position}]")
                seen.add(column)

    def _check_teacher(self, teacher: str) -> None:
        known = KEYS_OF_TEACHER[teacher]
        for name in ("points", "dimension", *known):
            if getattr(self, name) is None:
                raise mistake("missing key", f"training.data.teacher {teacher!r} needs it", "nothing", name)
        for name in _OPTIONS:
            value = getattr(self, name)
            if value is not None and name not in known:
                advice = f"leave it out: training.data.teacher is {teacher}"
                raise mistake("contradiction", advice, shown(value), name)
        points, dimension, outputs = self.points or 0, self.dimension or 0, self.outputs or 1
        everything = points + self.held_out(points)
        if everything > MOST_POINTS or everything * (dimension + outputs) > MOST_COORDINATES:
            raise mistake(
                "too many points",
                f"at most {MOST_POINTS} points and {MOST_COORDINATES} numbers, test points among them",
                f"{everything} points of {dimension} inputs and {outputs} targets",
                "points",
            )
        widths = (dimension, *(self.widths or ()), outputs)
        weights = sum(a * b for a, b in itertools.pairwise(widths)) * (self.degree or 1)
        if weights > LARGEST_TEACHER:
            advice = f"at most {LARGEST_TEACHER} weights: lower training.data.dimension or .widths"
            raise mistake("teacher too large", advice, f"{weights} weights", "teacher")
        if everything * weights > MOST_PRODUCTS or everything * max(widths[1:]) > MOST_NEURONS:
            advice = "lower training.data.points, .dimension or .widths"
            raise mistake("teacher too slow", advice, f"{weights} weights at {everything} points", "teacher")

    def held_out(self, points: int) -> int:
        """Return the number of test points for `points` rows of a file, or training points of a teacher."""
        if isinstance(self.test, int):
            return self.test
        return int(self.test * points + 0.5)

    def table(self) -> dict[str, object]:
        """Return the keys of the table as a card gives them, defaults filled in."""
        card = self.model_dump(exclude_none=True)
        if self.teacher is not None:
            card = {"law": "normal", "amplitude": 1.0, "outputs": 1, "anew": False} | card
        return card
