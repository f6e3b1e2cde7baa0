"""Which sums an ensemble accumulates, under which names, and where they lie in one flat array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np

from nnft.errors import UsageError
from nnft.estimators.index_table import (
    IndexArray,
    RankArray,
    SectorTable,
    multisets,
    pair_index,
    sector_tables,
    tables_with_mean,
)

EstimatorKind = Literal["conditional", "direct", "reweighted", "trained", "trained-conditional"]
LayerPairs = Literal["all", "diagonal"]
KINDS: tuple[EstimatorKind, ...] = get_args(EstimatorKind)
PAIR_CHOICES: tuple[LayerPairs, ...] = get_args(LayerPairs)
WEIGHT_SUMS = ("weight", "weight:squared", "weight:cut")


@dataclass(frozen=True)
class SumLayout:
    """Names, components and places of the sums over networks.

    Sums are named ``S<order>:<pattern>`` for correlators, ``layer<l>:mean`` for the entries of the
    conditional metric of layer l and ``layer<l>:product`` for products of two of its entries. Sums
    that would be equal share one place: for the conditional estimator the metric of the last layer
    has its mean in ``S2:00`` and, when all pairs are wanted, its products in ``S4:0011``.

    Networks with weights have all these sums weighted, and three more of one component each: ``weight``,
    ``weight:squared``, and ``weight:cut``, the number of readouts whose weight was out of range.

    Trained networks have a mean: every order from 1 on is summed, ``S1:0``, ``S2:00``, ``S3:000`` .., of
    one output. Where the law of the output given the network is a Gaussian, its covariance is summed as
    ``within``, which tells the scatter of one network from that between networks.

    Attributes
    ----------
    n_points : int
        Number of input points P.
    kind : {'conditional', 'direct', 'reweighted', 'trained', 'trained-conditional'}
        What one network contributes: moments given its last metric, products of its outputs, weighted
        products of its outputs; or what a sample of a trained network does: products of its output, or
        moments of a Gaussian with a mean and a covariance of its own.
    orders : tuple of int
        Orders of the correlators, even ones unless the field has a mean; lower ones are always included.
    outputs : int
        Largest number of different output labels in one correlator.
    last_layer : int
        Number of affine layers L.
    layers : tuple of int
        Layers l, 2 <= l <= L, whose metric has statistics of its own.
    layer_pairs : {'all', 'diagonal'}
        Entries (a, b) whose products are summed: all a <= b, or a = b only.
    """

    n_points: int
    kind: EstimatorKind
    orders: tuple[int, ...]
    outputs: int = 1
    last_layer: int = 2
    layers: tuple[int, ...] = ()
    layer_pairs: LayerPairs = "all"

    def __post_init__(self) -> None:
        """Refuse layers that have no random metric and unknown words."""
        wrong = [layer for layer in self.layers if not 2 <= layer <= self.last_layer]
        if wrong or len(set(self.layers)) != len(self.layers):
            raise UsageError(
                f"layer without statistics in layers: got {list(self.layers)}; "
                f"use different layers from 2 to {self.last_layer}"
            )
        if self.kind not in KINDS or self.layer_pairs not in PAIR_CHOICES:
            raise UsageError(
                f"unknown word in the layout of sums: got {self.kind!r}, {self.layer_pairs!r}; "
                f"use {', '.join(KINDS)}; {', '.join(PAIR_CHOICES)}"
            )
        if self.has_mean and (self.outputs != 1 or self.layers):
            raise UsageError(
                f"impossible sums of trained networks: got {self.outputs} outputs, layers "
                f"{list(self.layers)}; use one output and no layers"
            )

    @property
    def has_mean(self) -> bool:
        """Whether the field has a mean, so that correlators of every order are summed."""
        return self.kind in ("trained", "trained-conditional")

    @property
    def n_pairs(self) -> int:
        """Number Q = P (P + 1) / 2 of pairs a <= b."""
        return self.n_points * (self.n_points + 1) // 2

    @cached_property
    def tables(self) -> dict[str, SectorTable]:
        """Tables of the correlator sums by name, in increasing order."""
        if self.has_mean:
            return tables_with_mean(self.n_points, self.orders)
        return sector_tables(self.n_points, self.orders, self.outputs)

    @cached_property
    def pairs(self) -> IndexArray:
        """Points of the packed pairs, shape (Q, 2)."""
        return multisets(self.n_points, 2)

    @cached_property
    def product_pairs(self) -> RankArray:
        """Packed indices of the two metric entries in each product sum, shape (m, 2)."""
        points = np.arange(self.n_points)
        chosen = (
            np.arange(self.n_pairs)
            if self.layer_pairs == "all"
            else pair_index(self.n_points, points, points)
        )
        products: RankArray = chosen[multisets(len(chosen), 2)]
        return products

    @cached_property
    def aliases(self) -> dict[str, str]:
        """Names of layer sums that are kept under the name of a correlator sum."""
        if self.kind != "conditional" or self.last_layer not in self.layers:
            return {}
        shared = {f"layer{self.last_layer}:mean": "S2:00"}
        if self.layer_pairs == "all" and "S4:0011" in self.tables:
            shared[f"layer{self.last_layer}:product"] = "S4:0011"
        return shared

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Number of components of every sum that has a place of its own, in the order of places."""
        sizes = {name: len(table) for name, table in self.tables.items()}
        chosen = self.n_pairs if self.layer_pairs == "all" else self.n_points
        for layer in self.layers:
            sizes[f"layer{layer}:mean"] = self.n_pairs
            sizes[f"layer{layer}:product"] = chosen * (chosen + 1) // 2
        if self.kind == "reweighted":
            sizes |= dict.fromkeys(WEIGHT_SUMS, 1)
        if self.kind == "trained-conditional":
            sizes["within"] = self.n_pairs
        return {name: size for name, size in sizes.items() if name not in self.aliases}

    @cached_property
    def slices(self) -> dict[str, slice]:
        """Place of every named sum, shared ones included, in the flat array of `n_sums`."""
        places: dict[str, slice] = {}
        start = 0
        for name, size in self.sizes.items():
            places[name] = slice(start, start + size)
            start += size
        return places | {name: places[owner] for name, owner in self.aliases.items()}

    @property
    def n_sums(self) -> int:
        """Length of the flat array of sums."""
        return sum(self.sizes.values())

    def indices(self, name: str) -> IndexArray:
        """Return the points of the components of a sum, shape (m, number of slots); none for weights."""
        if name in WEIGHT_SUMS:
            return np.zeros((1, 0), dtype=np.int32)
        if name in self.tables:
            return self.tables[name].points
        if name == "within" or name.endswith(":mean"):
            return self.pairs
        return self.pairs[self.product_pairs].reshape(-1, 4)


def sum_layout(
    n_points: int,
    kind: EstimatorKind,
    orders: Sequence[int],
    *,
    outputs: int = 1,
    last_layer: int = 2,
    layers: Sequence[int] = (),
    layer_pairs: LayerPairs = "all",
) -> SumLayout:
    """Return a checked layout; the arguments are those of `SumLayout`, sequences of any type.

    Raises
    ------
    UsageError
        If an order, a layer or a word is not allowed.
    """
    layout = SumLayout(
        n_points, kind, tuple(sorted(set(orders))), outputs, last_layer, tuple(layers), layer_pairs
    )
    _ = layout.tables
    return layout
