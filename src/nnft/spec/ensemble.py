"""What is sampled, what is estimated from it, and what is kept."""

from __future__ import annotations

import secrets
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator

from nnft.spec.fields import EXACT_INTEGERS, Integer, Real, Table, as_sequence, word_or_number
from nnft.spec.problems import mistake, shown

LARGEST_SEED = 2**128 - 1
FEWEST_BINS = 32

Networks = Annotated[Integer, Field(ge=1, le=EXACT_INTEGERS)]
Kept = Annotated[Integer, Field(ge=0, le=EXACT_INTEGERS)]
BlockSize = Annotated[Integer, Field(ge=1, le=2**20)]
Seed = Annotated[Integer, Field(ge=0, le=LARGEST_SEED)]
Labels = Annotated[Integer, Field(ge=1, le=4)]
AutoWord = Annotated[Literal["auto"], Tag("<word>")]
BlockSizeOrAuto = Annotated[Annotated[BlockSize, Tag("<one>")] | AutoWord, Discriminator(word_or_number)]
LabelsOrAuto = Annotated[Annotated[Labels, Tag("<one>")] | AutoWord, Discriminator(word_or_number)]
KeptOrAll = Annotated[
    Annotated[Kept, Tag("<one>")] | Annotated[Literal["all"], Tag("<word>")], Discriminator(word_or_number)
]
Orders = Annotated[tuple[Integer, ...], as_sequence(4)]


def draw_seed() -> int:
    """Return a fresh seed of 128 bits from the operating system."""
    return secrets.randbits(128)


class EnsembleSpec(Table):
    """How many networks are drawn, from which seed and by which method.

    Attributes
    ----------
    networks : int
        Size of the ensemble, 1 to 2^53.
    seed : int
        0 to 2^128 - 1; drawn when the card has none.
    method : str
        ``"collapsed"`` draws the pre-activations of a layer given the layer before (exact for Gaussian
        weights), ``"explicit"`` draws every weight, ``"auto"`` takes the cheaper one.
    precision : str
        ``"float64"`` or ``"float32"``; accumulation is always float64.
    block_size : int or str
        Networks of one block, or ``"auto"``.
    """

    networks: Networks = Field(description="a whole number from 1 to 2^53")
    seed: Seed = Field(default_factory=draw_seed, description="a whole number from 0 to 2^128 - 1")
    method: Literal["auto", "collapsed", "explicit"] = Field(
        "auto", description="auto, collapsed or explicit"
    )
    precision: Literal["float64", "float32"] = Field("float64", description="float64 or float32")
    block_size: BlockSizeOrAuto = Field(
        "auto", description='"auto" or a whole number from 1 to 2^20, not above ensemble.networks'
    )

    @field_validator("block_size")
    @classmethod
    def _not_above_the_ensemble(
        cls, value: int | Literal["auto"], info: ValidationInfo
    ) -> int | Literal["auto"]:
        networks = info.data.get("networks")
        if isinstance(value, int) and networks is not None and value > networks:
            raise mistake("contradiction", f"allowed: at most ensemble.networks, {networks}", shown(value))
        return value

    @property
    def seed_was_drawn(self) -> bool:
        """Whether the seed was drawn because none was given."""
        return "seed" not in self.model_fields_set


class EstimateSpec(Table):
    """Which correlators are estimated and how their errors are found.

    Attributes
    ----------
    correlators : tuple of int
        Even orders out of 2, 4, 6, 8, ascending; 8 for at most four points.
    estimator : str
        ``"conditional"`` averages over the last weights exactly (Rao-Blackwell), ``"direct"`` uses unbiased
        k-statistics of the outputs, ``"auto"`` takes the first.
    layers : bool
        Whether the kernel and its fluctuations are estimated in every layer.
    outputs : int or str
        How many different outputs appear in one correlator, or ``"auto"``.
    bins : int
        Bins of the jackknife.
    layer_pairs : str
        Entries of a layer's kernel whose products are averaged: ``"all"``, or the ``"diagonal"`` ones only.
    """

    correlators: Orders = Field((2, 4), min_length=1, description="a list out of 2, 4, 6, 8")
    estimator: Literal["auto", "conditional", "direct"] = Field(
        "auto", description="auto, conditional or direct"
    )
    layers: bool = Field(True, description="true or false")
    outputs: LabelsOrAuto = Field(
        "auto", description='"auto" or a whole number from 1 to half the highest order'
    )
    bins: Annotated[Integer, Field(ge=FEWEST_BINS, le=10**5)] = Field(
        100, description=f"a whole number from {FEWEST_BINS} to 100000"
    )
    layer_pairs: Literal["auto", "all", "diagonal"] = Field("auto", description="auto, all or diagonal")

    @field_validator("correlators")
    @classmethod
    def _even_orders(cls, orders: tuple[int, ...]) -> tuple[int, ...]:
        for position, order in enumerate(orders):
            if order not in (2, 4, 6, 8):
                raise mistake("unknown order", "allowed: 2, 4, 6, 8", shown(order), f"[{position}]")
            if order in orders[:position]:
                raise mistake("repeated order", "give every order once", shown(order), f"[{position}]")
        return tuple(sorted(orders))

    @field_validator("outputs")
    @classmethod
    def _labels_fit_the_orders(
        cls, value: int | Literal["auto"], info: ValidationInfo
    ) -> int | Literal["auto"]:
        orders = info.data.get("correlators")
        if isinstance(value, int) and orders and value > orders[-1] // 2:
            raise mistake(
                "contradiction",
                f"allowed: at most {orders[-1] // 2}, half the highest order of estimate.correlators",
                shown(value),
            )
        return value


class StoreSpec(Table):
    """What is kept besides the estimates.

    Attributes
    ----------
    fields : int or str
        Number of networks whose outputs are kept, from the first on, or ``"all"``.
    checkpoint_seconds : float
        Seconds between two snapshots of the estimates.
    """

    fields: KeptOrAll = Field(0, description='"all" or a whole number from 0 to ensemble.networks')
    checkpoint_seconds: Annotated[Real, Field(ge=0.1, le=86400.0)] = Field(
        30.0, description="a number of seconds from 0.1 to 86400"
    )
