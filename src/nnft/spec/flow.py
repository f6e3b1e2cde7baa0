"""How trained networks are coarse-grained: cutoffs, information, what replaces sloppy parameters."""

from __future__ import annotations

import itertools
import math
import re
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Discriminator, Field, Tag, model_validator

from nnft.spec.fields import Integer, Real, Table, as_sequence
from nnft.spec.problems import mistake, shown
from nnft.spec.training import Trainable

MOST_CUTOFFS = 1000
MOST_REFILLS = 10**4
MOST_FISHER_POINTS = 10**5

_RANGE = re.compile(r"(log|linear):([^:]+):([^:]+):(\d{1,4})|quantiles:(\d{1,4})")


def _word_or_list(value: object) -> str:
    return "<word>" if isinstance(value, str) else "<list>"


Cutoff = Annotated[Real, Field(ge=0.0, le=1e300)]
CutoffList = Annotated[tuple[Cutoff, ...], as_sequence(MOST_CUTOFFS), Field(min_length=1)]
Cutoffs = Annotated[
    Annotated[str, Tag("<word>")] | Annotated[CutoffList, Tag("<list>")], Discriminator(_word_or_list)
]


class FlowSpec(Table):
    """Renormalization of every trained network in the order of what the data say about its parameters.

    The information of a parameter is the diagonal of the Fisher metric of one sample, (1 / (kappa X))
    sum over X points and all outputs of (df/dtheta)^2, kappa the variance of the Gaussian likelihood (Berman,
    Klinger, Stapleton, Mach. Learn.: Sci. Technol. 4, 045011 (2023); Howard, Klinger, Maiti, Stapleton,
    SciPost Phys. Core 8, 027 (2025)). Derivatives are with respect to the weights themselves
    (``parametrization = "standard"`` of the training) or to weights of unit scale, weight = coordinate /
    sqrt(fan-in) (``"ntk"``). A parameter is sloppy at a cutoff if its information is smaller, strictly;
    sloppy ones are replaced.

    Attributes
    ----------
    cutoffs : str or tuple of float
        Increasing numbers, to which 0 (nothing replaced) and infinity (everything) are added;
        ``"log:LOW:HIGH:N"``, ``"linear:LOW:HIGH:N"``; or ``"quantiles:N"`` of the information found in the
        first networks.
    layers : str or tuple of int
        ``"readout"``, ``"all"``, or layers counted from 1: those whose parameters are replaced.
    basis : str
        What is ordered and replaced. ``"diagonal"``: parameters; ``"eigenbasis"``: eigenvectors of the
        information of all chosen layers together; ``"layer-eigenbasis"``: of every layer by itself;
        ``"kronecker"``: of the Kronecker factors of every layer.
    fill : str
        ``"prior"``: the law of the parameters at the start; ``"zero"``; ``"gaussian"`` of standard deviation
        `width` in the coordinates of the information, in place of the flat Jeffreys prior of a readout;
        ``"conditional"``: nothing is drawn, the posterior of what is sloppy given the rest is averaged over.
    width : float, optional
    noise_variance : float, optional
        kappa; left out: the ridge of the training.
    points : str
        ``"training"``: information on the training inputs; ``"fresh"``: on `fisher_points` inputs
        drawn from the law of the teacher's inputs.
    fisher_points : int, optional
        Number X of inputs; with ``"training"`` the first ones, all of them if left out.
    fisher_seed : int
        Of fresh inputs.
    refills : int
        Replacements of each network.
    anew : bool
        Whether every cutoff has replacements of its own. Otherwise the flow is nested: a parameter has one
        replacement, whatever the cutoff from which on it is sloppy.
    tangents : bool
        Whether the tangent kernel on the mesh is followed.
    """

    cutoffs: Cutoffs = Field(
        description='increasing numbers from 0 on, "log:LOW:HIGH:N", "linear:LOW:HIGH:N" or "quantiles:N"'
    )
    layers: Trainable = Field("readout", description="readout, all, or a list of layers counted from 1")
    basis: Literal["diagonal", "eigenbasis", "layer-eigenbasis", "kronecker"] = Field(
        "diagonal", description="diagonal, eigenbasis, layer-eigenbasis or kronecker"
    )
    fill: Literal["prior", "zero", "gaussian", "conditional"] = Field(
        "prior", description="prior, zero, gaussian or conditional"
    )
    width: Annotated[Real, Field(gt=0.0, le=1e6)] | None = Field(
        None, description="a number above 0, at most 1e6"
    )
    noise_variance: Annotated[Real, Field(gt=0.0, le=1e12)] | None = Field(
        None, description="a number above 0, at most 1e12"
    )
    points: Literal["training", "fresh"] = Field("training", description="training or fresh")
    fisher_points: Annotated[Integer, Field(ge=1, le=MOST_FISHER_POINTS)] | None = Field(
        None, description=f"a whole number from 1 to {MOST_FISHER_POINTS}"
    )
    fisher_seed: Annotated[Integer, Field(ge=0, lt=2**63)] = Field(
        0, description="a whole number from 0 to 2^63 - 1"
    )
    refills: Annotated[Integer, Field(ge=1, le=MOST_REFILLS)] = Field(
        1, description=f"a whole number from 1 to {MOST_REFILLS}"
    )
    anew: bool = Field(False, description="true or false")
    tangents: bool = Field(True, description="true or false")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.width is None) == (self.fill == "gaussian"):
            if self.width is None:
                raise mistake("missing key", "fill 'gaussian' needs it", "nothing", "width")
            raise mistake("contradiction", f"leave it out: fill is {self.fill}", repr(self.width), "width")
        if self.fill == "conditional" and (self.refills > 1 or self.anew):
            key, got = ("refills", str(self.refills)) if self.refills > 1 else ("anew", "true")
            raise mistake("contradiction", "leave it out: fill conditional draws nothing", got, key)
        if self.points == "fresh" and self.fisher_points is None:
            raise mistake("missing key", "points 'fresh' needs it", "nothing", "fisher_points")
        if isinstance(self.layers, tuple):
            for before, layer in itertools.pairwise(self.layers):
                if layer <= before:
                    advice = "give every layer once, in increasing order"
                    raise mistake("layers out of order", advice, f"{layer} after {before}", "layers")
        if isinstance(self.cutoffs, tuple):
            for position, (last, cutoff) in enumerate(itertools.pairwise(self.cutoffs), start=1):
                if cutoff <= last:
                    key = f"cutoffs[{position}]"
                    raise mistake(
                        "list not increasing", "give every one once, ascending", repr(cutoff), key
                    )
        else:
            _spaced(self.cutoffs)
        return self

    def numbers(self) -> tuple[float, ...]:
        """Return the cutoffs with both ends, 0 and infinity; empty where they are quantiles."""
        given = self.cutoffs if isinstance(self.cutoffs, tuple) else _spaced(self.cutoffs)[0]
        return with_ends(given) if given else ()

    @property
    def quantiles(self) -> int:
        """Number of quantiles; 0 where the cutoffs are given."""
        return _spaced(self.cutoffs)[1] if isinstance(self.cutoffs, str) else 0

    def chosen_layers(self, layers: int) -> tuple[int, ...]:
        """Return the layers whose parameters are replaced, out of 1..`layers`."""
        if self.layers == "all":
            return tuple(range(1, layers + 1))
        return self.layers if isinstance(self.layers, tuple) else (layers,)


def with_ends(cutoffs: tuple[float, ...]) -> tuple[float, ...]:
    """Return cutoffs with 0, the trained networks, and infinity, where everything is replaced."""
    inner = tuple(cutoff for cutoff in cutoffs if cutoff > 0.0)
    return (0.0, *inner, math.inf)


def _spaced(text: str) -> tuple[tuple[float, ...], int]:
    """Cutoffs in words as numbers, and how many quantiles.

    Raises
    ------
    PydanticCustomError
        The words say no increasing numbers.
    """
    advice = 'give numbers, "log:1e-4:1e5:25", "linear:0:1:11" or "quantiles:20"'
    found = _RANGE.fullmatch(text)
    if found is None:
        raise mistake("no cutoffs", advice, shown(text), "cutoffs")
    if found[5] is not None:
        if not 1 <= int(found[5]) <= MOST_CUTOFFS:
            raise mistake("no cutoffs", f"allowed: 1 to {MOST_CUTOFFS} quantiles", shown(text), "cutoffs")
        return (), int(found[5])
    try:
        low, high, count = float(found[2]), float(found[3]), int(found[4])
    except ValueError:
        raise mistake("no cutoffs", advice, shown(text), "cutoffs") from None
    least = 0.0 if found[1] == "linear" else 1e-300
    if not (math.isfinite(high) and least <= low < high <= 1e300 and 2 <= count <= MOST_CUTOFFS):
        allowed = f"allowed: {least:g} <= LOW < HIGH <= 1e300 and 2 to {MOST_CUTOFFS} of them"
        raise mistake("no cutoffs", allowed, shown(text), "cutoffs")
    spaced = np.geomspace(low, high, count) if found[1] == "log" else np.linspace(low, high, count)
    if not (np.diff(spaced) > 0.0).all():
        raise mistake("cutoffs too close", "give fewer, or a wider range", shown(text), "cutoffs")
    return tuple(float(value) for value in spaced), 0
