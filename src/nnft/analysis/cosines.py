"""Networks of cosines in a result file: their exact law at initialization."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from nnft.theory.cos_network import BallMomenta, CosNetwork, NormalMomenta, free_scalar

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.integer]
Cumulants = Callable[[int, IndexArray], FloatArray | None]

EXACT = "exact at every width: networks of cosines at initialization"
CHUNK = 512
"""Distances that are averaged over momenta at once."""


def cosine_law(network: Mapping[str, Any], dimension: int) -> CosNetwork | None:
    """Return the law of the networks of a card, or None where they are no networks of cosines.

    Parameters
    ----------
    network : mapping
        The card's table [network].
    dimension : int
        Dimension d of the inputs.
    """
    kind = network.get("kind")
    if kind == "free-scalar":
        numbers = float(network["mass"]), float(network["cutoff"]), int(network["width"])
        return free_scalar(dimension, *numbers, str(network["amplitudes"]))
    if kind != "cos-net":
        return None
    momenta: NormalMomenta | BallMomenta
    if network["momenta"] == "ball":
        momenta = BallMomenta(dimension, float(network["cutoff"]), float(network["mass"]))
    else:
        momenta = NormalMomenta(dimension, float(network["momentum_variance"]))
    variance = float(network["amplitude_variance"])
    return CosNetwork(momenta, int(network["width"]), variance, str(network["amplitudes"]))


def averages(law: CosNetwork, distances: FloatArray, power: int) -> FloatArray:
    """Return averages over momenta at distances of any shape, a bounded number at a time."""
    places, inverse = np.unique(distances, return_inverse=True)
    found = np.empty(len(places))
    for first in range(0, len(places), CHUNK):
        part = slice(first, first + CHUNK)
        found[part] = law.momenta.average(places[part], power)
    return np.asarray(found[inverse].reshape(distances.shape))


def cosine_kernel(law: CosNetwork, points: FloatArray) -> FloatArray:
    """Return the two-point function at points (P, d), shape (P, P): exact at every width."""
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    return np.asarray(0.5 * law.variance * averages(law, distances, 1))


def neuron_moments(law: CosNetwork, points: FloatArray, indices: IndexArray) -> FloatArray:
    """Return averages of products of one cosine, with its denominator, at components (m, order).

    ``<prod_a cos> = 2^-order sum_e <cos(b . sum_a e_a x_a)>`` over the signs e with sum 0.
    """
    order = indices.shape[1]
    places = points[indices]
    total = np.zeros(len(indices))
    for signs in itertools.product((1.0, -1.0), repeat=order - 1):
        if sum(signs) + 1.0 == 0.0:  # the first sign is +: the other half is the same
            distances = np.linalg.norm(np.einsum("e,med->md", (1.0, *signs), places), axis=1)
            total += averages(law, distances, order // 2)
    return np.asarray(2.0 * total / 2.0**order)


def cosine_cumulants(law: CosNetwork, points: FloatArray) -> Cumulants:
    """Return the connected correlators of order 4 and 6 of one output at components, for a `Law`."""

    def values(order: int, indices: IndexArray) -> FloatArray | None:
        if order not in (4, 6):
            return None
        readout, places = law.readout, tuple(range(order))

        def moment(chosen: tuple[int, ...]) -> FloatArray:
            return neuron_moments(law, points, indices[:, list(chosen)])

        if order == 4:
            pairs = [(p, _rest(places, p)) for p in itertools.combinations(places, 2) if 0 in p]
            products = sum(moment(left) * moment(right) for left, right in pairs)
            total = readout.fourth * moment(places) - readout.second**2 * products
            return np.asarray(total / law.width)
        total = readout.sixth * moment(places)
        for pair in itertools.combinations(places, 2):
            rest = _rest(places, pair)
            two = moment(pair)
            total = total - readout.fourth * readout.second * two * moment(rest)
            if 0 in pair:
                for inner in itertools.combinations(rest, 2):
                    if rest[0] in inner:
                        product = two * moment(inner) * moment(_rest(rest, inner))
                        total = total + 2.0 * readout.second**3 * product
        return np.asarray(total / law.width**2)

    return values


def _rest(places: tuple[int, ...], taken: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(place for place in places if place not in taken)
