"""How many components the correlators of a run have."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Sector:
    """One pattern of output labels in a correlator.

    Attributes
    ----------
    order : int
        Number of fields.
    pattern : str
        Output label of every field, such as ``"0011"``.
    components : int
        Independent components over all input points.
    """

    order: int
    pattern: str
    components: int


def pair_count(points: int) -> int:
    """Return the number Q = P(P+1)/2 of unordered pairs of points."""
    return points * (points + 1) // 2


def sectors(points: int, order: int, outputs: int) -> tuple[Sector, ...]:
    """Return the sectors of one order: even multiplicities, not increasing, of at most `outputs` labels.

    Networks of Gaussian weights and a linear readout are even in every output, and all outputs are
    exchangeable, so that no other pattern is independent. A label that occurs m times stands for a multiset
    of m points; labels of equal multiplicity may be exchanged, which makes their multisets a multiset again.

    Parameters
    ----------
    points, order, outputs : int
        Points P, even order, largest number of different labels.
    """
    found = []
    for parts in _partitions(order // 2, order // 2, outputs):
        components = 1
        for part, labels in Counter(parts).items():
            multisets = math.comb(points + 2 * part - 1, 2 * part)
            components *= math.comb(multisets + labels - 1, labels)
        pattern = "".join(str(label) * (2 * part) for label, part in enumerate(parts))
        found.append(Sector(order, pattern, components))
    return tuple(found)


def all_sectors(points: int, highest_order: int, outputs: int) -> tuple[Sector, ...]:
    """Return the sectors of every even order up to `highest_order`: connected parts need the lower ones."""
    return tuple(
        sector for order in range(2, highest_order + 1, 2) for sector in sectors(points, order, outputs)
    )


def layer_components(
    points: int, layers: int, layer_pairs: str, conditional: bool, correlators: tuple[Sector, ...]
) -> int:
    """Return the components of the metrics of the layers 2..L and of their products, beyond the correlators.

    Parameters
    ----------
    points, layers : int
        Points P and affine layers L.
    layer_pairs : str
        ``"all"``: products of any two entries of a metric; ``"diagonal"``: of any two entries (a, a).
    conditional : bool
        Whether the correlators are built from the metric of layer L: its mean is that of order 2, and all its
        products are those of the sector 0011, where these exist.
    correlators : tuple of Sector
        What the correlators accumulate.
    """
    if layers < 2:
        return 0
    pairs = pair_count(points)
    products = pair_count(pairs if layer_pairs == "all" else points)
    shared = 0
    if conditional:
        patterns = {sector.pattern for sector in correlators}
        shared = pairs + (products if layer_pairs == "all" and "0011" in patterns else 0)
    return (layers - 1) * (pairs + products) - shared


def _partitions(total: int, largest: int, parts: int) -> Iterator[tuple[int, ...]]:
    """Yield the partitions of `total` into at most `parts` parts, each at most `largest`, not increasing."""
    if total == 0:
        yield ()
    elif parts > 0:
        for part in range(min(total, largest), 0, -1):
            for rest in _partitions(total - part, part, parts - 1):
                yield (part, *rest)
