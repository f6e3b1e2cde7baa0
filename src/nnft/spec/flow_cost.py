"""What the flow of one network over cutoffs takes on one core."""

from __future__ import annotations

from collections.abc import Sequence

from nnft.spec.flow_resolution import FlowResolution
from nnft.spec.network_kinds import AnyNetwork
from nnft.spec.resolve import TRAINING_OPERATIONS_PER_SECOND
from nnft.spec.sectors import pair_count
from nnft.spec.training_cost import NEURON_SECONDS
from nnft.spec.training_resolution import affine_layers

PRODUCT_SECONDS = 2.0 / TRAINING_OPERATIONS_PER_SECOND

NUMBER_SECONDS = 40e-9
"""Of one parameter: its place in the spectrum, what replaces it, its order among the errors."""

COMPARISON_SECONDS = 0.6e-9
"""Of one parameter at one cutoff, or at one point of the information."""

DECOMPOSITION_SECONDS = 1.5e-9
"""Of a matrix of derivatives, for each product of its longer side and the square of its shorter one."""

LOOK_SECONDS = 80e-6
"""Of one network at one cutoff, where linear algebra of a library is called, however small it is."""


def flow_seconds(
    network: AnyNetwork, flow: FlowResolution, mesh_points: int, data: tuple[int, int, int, int]
) -> float:
    """Return the seconds that the flow of one member takes on one core, within a factor of about two.

    Parameters
    ----------
    network : AnyNetwork
    flow : FlowResolution
    mesh_points : int
    data : tuple of int
        Training points, test points, dimension, targets.
    """
    train, test, dimension, _ = data
    joint, layers = train + test + mesh_points, affine_layers(network, dimension)
    weights = sum(fan_in * width for fan_in, width, _ in layers)
    neurons, count = sum(network.widths), flow.count
    chosen = sum((layers[k - 1][0] + (layers[k - 1][2] > 0.0)) * layers[k - 1][1] for k in flow.layers)
    point = weights * PRODUCT_SECONDS + 0.5 * neurons * NEURON_SECONDS
    seconds = flow.points * 3.0 * point
    seconds += chosen * (NUMBER_SECONDS + (count + flow.points) * COMPARISON_SECONDS)
    if flow.tangents:
        seconds += count * (3.0 * mesh_points * point + pair_count(mesh_points) * neurons * PRODUCT_SECONDS)
        seconds += count * chosen * COMPARISON_SECONDS
    if flow.basis == "diagonal" and flow.layers == (len(layers),) and flow.fill != "conditional":
        return seconds + flow.refills * joint * (point + chosen * COMPARISON_SECONDS)
    looks = flow.refills * count
    if flow.fill == "conditional":
        seconds += looks * (LOOK_SECONDS + 2.0 * chosen * (joint + chosen) ** 2 * PRODUCT_SECONDS)
    elif flow.basis != "diagonal":
        matrices = _matrices([layers[layer - 1] for layer in flow.layers], flow)
        seconds += looks * LOOK_SECONDS + sum(_direction_seconds(sides, flow, looks) for sides in matrices)
    return seconds + looks * joint * point


def _matrices(layers: Sequence[tuple[int, int, float]], flow: FlowResolution) -> list[tuple[int, int]]:
    """Return the numbers of directions that are found together, with those that stand beside each of them."""
    sides = [(fan_in + (variance > 0.0), width) for fan_in, width, variance in layers]
    if flow.basis == "kronecker":
        return [*sides, *((width, columns) for columns, width in sides)]
    sizes = [columns * width for columns, width in sides]
    return [(sum(sizes), 1)] if flow.basis == "eigenbasis" else [(size, 1) for size in sizes]


def _direction_seconds(sides: tuple[int, int], flow: FlowResolution, looks: int) -> float:
    """Return the seconds of finding directions, and of going to them and back at every look."""
    long, beside = sides
    short = min(long, flow.points)
    turned = 12.0 * long * short * beside * PRODUCT_SECONDS
    return DECOMPOSITION_SECONDS * long * short * short + looks * turned
