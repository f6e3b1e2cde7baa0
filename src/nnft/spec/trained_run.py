"""What ``auto`` means for a trained ensemble: method, estimator, bins, block size, cost."""

from __future__ import annotations

import math

from nnft.errors import CardError
from nnft.spec.dataset import Dataset
from nnft.spec.ensemble import FEWEST_BINS, EnsembleSpec, EstimateSpec
from nnft.spec.network_kinds import AnyNetwork
from nnft.spec.problems import line
from nnft.spec.resolve import BINS_MEMORY, Resolution, cheaper_method, sampler_cost
from nnft.spec.sectors import Sector, pair_count
from nnft.spec.training import TrainingSpec
from nnft.spec.training_cost import NEURON_SECONDS, training_cost
from nnft.spec.training_resolution import TrainingResolution, resolve_training

LARGEST_TRAINED_BLOCK = 64


def resolve_trained(
    network: AnyNetwork,
    ensemble: EnsembleSpec,
    estimate: EstimateSpec,
    points: int,
    dimension: int,
    training: TrainingSpec,
    data: Dataset,
) -> Resolution:
    """Decide everything that the card of a trained ensemble leaves open.

    Correlators are those of one output. A trained field has a mean, so every order from 1 to the highest
    is accumulated, at the end and in every snapshot of the training.

    Parameters
    ----------
    network, ensemble, estimate, training
        Tables of the card.
    points, dimension : int
        Number of input points P and their dimension d.
    data : Dataset
        What the networks are trained on.

    Raises
    ------
    CardError
        Data, points and network do not belong together, or the accumulators of all snapshots take 1 GiB or
        more. All mistakes at once.
    """
    _refuse_contradictions(estimate, dimension, data)
    trained = resolve_training(training, network, data, estimate.estimator, points)
    found = field_sectors(points, estimate.correlators[-1])
    bins = trained_bins(estimate.bins, ensemble.networks)
    _refuse_large_flow(trained, found, bins, points)
    if training.algorithm == "exact":
        joint = points + len(data.train_inputs)
        method, reason = cheaper_method(network, ensemble, joint, dimension)
    else:
        joint = points
        method, reason = "explicit", "training needs the weights"
    normals, adds, passes = _cost(network, trained, method, joint, points, dimension)
    return Resolution(
        method=method,
        method_reason=reason,
        estimator=trained.estimator,
        estimator_reason=trained.estimator_reason,
        layer_pairs="diagonal",
        outputs=1,
        bins=bins,
        bins_reason=_bins_reason(estimate.bins, bins, ensemble.networks),
        block_size=_block_size(ensemble, bins),
        readouts=0,
        sectors=found,
        layer_components=0,
        normals_per_network=normals,
        multiply_adds_per_network=adds + sum(sector.components * (sector.order - 1) for sector in found),
        pass_seconds_per_network=passes,
        training=trained,
    )


def field_sectors(points: int, highest_order: int) -> tuple[Sector, ...]:
    """Return the sectors of one output of every order from 1 on: C(P + r - 1, r) components of order r."""
    return tuple(
        Sector(order, "0" * order, math.comb(points + order - 1, order))
        for order in range(1, highest_order + 1)
    )


def trained_bins(asked: int, networks: int) -> int:
    """Return the bins of a trained ensemble: as many as asked, but not more than networks or 32."""
    return min(asked, max(networks, FEWEST_BINS))


def resumed_bins(asked: int, stored: int) -> int:
    """Return the bins with which a run goes on: those of the file, where the card does not ask for fewer.

    A file has fewer bins than its card asked for where it began with few networks.
    """
    return min(asked, stored)


def _bins_reason(asked: int, bins: int, networks: int) -> str:
    if bins == asked:
        return "as asked"
    if bins == networks:
        return "one network in each"
    return f"there {'is only 1 network' if networks == 1 else f'are only {networks} networks'}"


def _refuse_contradictions(estimate: EstimateSpec, dimension: int, data: Dataset) -> None:
    problems = []
    features = data.train_inputs.shape[1]
    if dimension != features:
        advice = f"the data have {features}: give points of that dimension"
        problems.append(line("contradiction", "inputs", f"points of dimension {dimension}", advice))
    if estimate.outputs not in ("auto", 1):
        advice = "a trained ensemble is estimated in one output, training.observe: leave it out"
        problems.append(line("contradiction", "estimate.outputs", str(estimate.outputs), advice))
    if problems:
        raise CardError(problems)


def _refuse_large_flow(
    trained: TrainingResolution, found: tuple[Sector, ...], bins: int, points: int
) -> None:
    components = sum(sector.components for sector in found) + trained.variance_components
    snapshots = max(1, trained.snapshot_count)
    needed = snapshots * bins * components * 8
    if needed < BINS_MEMORY:
        return
    highest = found[-1].order
    lower = [
        "training.snapshots" if snapshots > 2 else "",
        "estimate.correlators" if highest > 2 else "",
        "the number of points",
    ]
    got = f"{needed / 2**30:.1f} GiB: {snapshots} snapshots, {bins} bins, {components} components"
    advice = f"below 1 GiB: lower {' or '.join(part for part in lower if part)}"
    raise CardError(line("too much memory", "training.snapshots", got, advice))


def _cost(
    network: AnyNetwork, trained: TrainingResolution, method: str, joint: int, points: int, dimension: int
) -> tuple[int, int, float]:
    """Normals, multiply-adds and seconds in neurons of one network with all its chains."""
    if trained.algorithm == "exact":
        normals, adds = sampler_cost(network, method, joint, dimension, 0)
        solve = trained.train_points**3 // 6 + trained.train_points**2 * points + pair_count(joint)
        neurons = sum(network.widths) * joint * NEURON_SECONDS if method == "explicit" else 0.0
        return normals + trained.draws * points, adds + solve, neurons
    return training_cost(network, trained, points, dimension)


def _block_size(ensemble: EnsembleSpec, bins: int) -> int:
    if ensemble.block_size != "auto":
        return ensemble.block_size
    most = min(LARGEST_TRAINED_BLOCK, max(1, ensemble.networks // bins))
    return 1 << (most.bit_length() - 1)
