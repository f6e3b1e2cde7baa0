"""What ``auto`` means: method, estimator, outputs, bins, block size, each with its reason."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nnft.errors import CardError
from nnft.spec.cosines import CosineNetwork
from nnft.spec.deformation import DeformationSpec
from nnft.spec.ensemble import FEWEST_BINS, EnsembleSpec, EstimateSpec
from nnft.spec.network_kinds import (
    AnyNetwork,
    check_ensemble,
    check_estimator,
    has_fixed_amplitudes,
)
from nnft.spec.problems import line
from nnft.spec.sectors import Sector, all_sectors, layer_components, pair_count
from nnft.spec.training_resolution import TrainingResolution

BINS_MEMORY = 2**30
LARGEST_BINS_MEMORY = 2**32
AUTO_COMPONENTS = 2_000_000
MOST_POINTS_ALL_LAYER_PAIRS = 16
MOST_POINTS_ORDER_8 = 4

LANES = 8
NORMALS_PER_SECOND = 2.5e8
MULTIPLY_ADDS_PER_SECOND = 5e9
TRAINING_OPERATIONS_PER_SECOND = 2.5e10
BLOCK_SECONDS = 0.25
LARGEST_AUTO_BLOCK = 4096

WEIGHT_COMPONENTS = 3
"""Sums of the weights of a deformed ensemble: the weights, their squares, those out of range."""

FEWEST_AUTO_READOUTS = 8
MOST_AUTO_READOUTS = 64
AUTO_READOUT_NUMBERS = 2**16
MOST_READOUT_NUMBERS = 2**22


@dataclass(frozen=True)
class Resolution:
    """The choices of a run with nothing left to decide.

    Attributes
    ----------
    method, estimator, layer_pairs : str
        As used, never ``"auto"``.
    method_reason, estimator_reason, bins_reason : str
        Why.
    outputs, bins, block_size : int
        As used.
    readouts : int
        Draws of the last layer of one network that are weighted; 0 without a deformation.
    sectors : tuple of Sector
        Everything accumulated: every even order up to the highest, with a training every order.
    layer_components : int
        Components of the layer statistics beyond those of the correlators.
    normals_per_network, multiply_adds_per_network : int
        Cost of one network.
    pass_seconds_per_network : float
        What the passes of a training through neurons and layers take besides, on one core; 0 without.
    training : TrainingResolution or None
        How the networks are trained; None for the ensemble of the prior.
    """

    method: str
    method_reason: str
    estimator: str
    estimator_reason: str
    layer_pairs: str
    outputs: int
    bins: int
    bins_reason: str
    block_size: int
    readouts: int
    sectors: tuple[Sector, ...]
    layer_components: int
    normals_per_network: int
    multiply_adds_per_network: int
    pass_seconds_per_network: float
    training: TrainingResolution | None

    @property
    def components(self) -> int:
        """Numbers that one bin accumulates; those of a snapshot of the training are as many."""
        extra = WEIGHT_COMPONENTS if self.readouts else 0
        if self.training is not None:
            extra = self.training.variance_components
        return sum(sector.components for sector in self.sectors) + self.layer_components + extra

    @property
    def seconds_per_network(self) -> float:
        """Nominal time of one network on one core."""
        if self.training is not None:
            products = training_seconds(self.normals_per_network, self.multiply_adds_per_network)
            return products + self.pass_seconds_per_network
        return network_seconds(self.normals_per_network, self.multiply_adds_per_network)


def network_seconds(normals: int, multiply_adds: int) -> float:
    """Return the nominal time of one network on one core, in seconds."""
    return normals / NORMALS_PER_SECOND + multiply_adds / MULTIPLY_ADDS_PER_SECOND


def training_seconds(normals: int, multiply_adds: int) -> float:
    """Return the nominal time of the random numbers and products of a training on one core, in seconds."""
    return normals / NORMALS_PER_SECOND + 2 * multiply_adds / TRAINING_OPERATIONS_PER_SECOND


def resolve(
    network: AnyNetwork,
    ensemble: EnsembleSpec,
    estimate: EstimateSpec,
    points: int,
    dimension: int,
    deformation: DeformationSpec | None = None,
) -> Resolution:
    """Decide everything that the card leaves open.

    Parameters
    ----------
    network, ensemble, estimate
        Tables of the card.
    points, dimension : int
        Number of input points P and their dimension d.
    deformation : DeformationSpec, optional
        Table of the card.

    Raises
    ------
    CardError
        The estimate does not fit: order 8 for more than four points, more outputs than the network has, or
        accumulators above 4 GiB. All mistakes at once.
    """
    _refuse_contradictions(network, estimate, points)
    outputs = _outputs(network, estimate, points)
    layer_pairs = estimate.layer_pairs
    if layer_pairs == "auto":
        layer_pairs = "all" if points <= MOST_POINTS_ALL_LAYER_PAIRS else "diagonal"
    found = all_sectors(points, estimate.correlators[-1], outputs)
    in_layers = 0
    estimator, estimator_reason = _estimator(network, estimate, deformation)
    if estimate.layers:
        conditional = estimator == "conditional"
        in_layers = layer_components(points, network.layers, layer_pairs, conditional, found)
    components = sum(sector.components for sector in found) + in_layers
    bins, bins_reason = _bins(estimate, components, found, points, in_layers)
    method, method_reason = cheaper_method(network, ensemble, points, dimension)
    readouts = 0
    if deformation is not None:
        readouts = _readouts(deformation, network, method, points, dimension, found)
    read_out = {"direct": outputs, "reweighted": readouts * network.outputs}.get(estimator, 0)
    normals, sampler_adds = sampler_cost(network, method, points, dimension, read_out)
    adds = sampler_adds + max(1, readouts) * _accumulation_cost(found) + in_layers
    return Resolution(
        method=method,
        method_reason=method_reason,
        estimator=estimator,
        estimator_reason=estimator_reason,
        layer_pairs=layer_pairs,
        outputs=outputs,
        bins=bins,
        bins_reason=bins_reason,
        block_size=_block_size(ensemble, bins, network_seconds(normals, adds)),
        readouts=readouts,
        sectors=found,
        layer_components=in_layers,
        normals_per_network=normals,
        multiply_adds_per_network=adds,
        pass_seconds_per_network=0.0,
        training=None,
    )


def _refuse_contradictions(network: AnyNetwork, estimate: EstimateSpec, points: int) -> None:
    highest = estimate.correlators[-1]
    problems = []
    if highest == 8 and points > MOST_POINTS_ORDER_8:
        advice = f"order 8 needs at most {MOST_POINTS_ORDER_8} input points: lower one of them"
        problems.append(
            line("contradiction", "estimate.correlators", f"order 8 with {points} points", advice)
        )
    if estimate.outputs != "auto" and estimate.outputs > network.outputs:
        advice = f"allowed: at most network.outputs, {network.outputs}"
        problems.append(line("contradiction", "estimate.outputs", str(estimate.outputs), advice))
    if problems:
        raise CardError(problems)


def _outputs(network: AnyNetwork, estimate: EstimateSpec, points: int) -> int:
    if estimate.outputs != "auto":
        return estimate.outputs
    highest = estimate.correlators[-1]
    widest = min(network.outputs, highest // 2)
    components = sum(sector.components for sector in all_sectors(points, highest, widest))
    return widest if components < AUTO_COMPONENTS else 1


def _bins(
    estimate: EstimateSpec, components: int, found: tuple[Sector, ...], points: int, in_layers: int
) -> tuple[int, str]:
    asked = estimate.bins
    if asked * components * 8 <= BINS_MEMORY:
        return asked, "as asked"
    if FEWEST_BINS * components * 8 <= LARGEST_BINS_MEMORY:
        return FEWEST_BINS, f"{asked} bins of {components} components would pass 1 GiB"
    highest = max(sector.order for sector in found)
    largest = max(found, key=lambda sector: sector.components)
    if in_layers > largest.components:
        lower = "set estimate.layer_pairs to diagonal or estimate.layers to false"
    elif "1" in largest.pattern:
        lower = "lower estimate.outputs, estimate.correlators or the number of points"
    elif highest > 2:
        lower = f"drop order {highest} from estimate.correlators or take fewer points"
    else:
        lower = "take fewer points"
    gibibytes = FEWEST_BINS * components * 8 / 2**30
    got = f"{components} components at {points} points, {gibibytes:.1f} GiB in {FEWEST_BINS} bins"
    raise CardError(line("too much memory", "estimate", got, f"at most 4 GiB: {lower}"))


def _padded(length: int) -> int:
    return -(-length // LANES) * LANES


def cheaper_method(
    network: AnyNetwork, ensemble: EnsembleSpec, points: int, dimension: int
) -> tuple[str, str]:
    """Return how a network is drawn, and why."""
    if isinstance(network, CosineNetwork):
        check_ensemble(ensemble, network)
        return "explicit", "momenta and phases are drawn, features evaluated at every point"
    collapsed = _collapsed_normals(network, points)
    explicit = _explicit_normals(network, dimension)
    counts = f"{collapsed} normals a network collapsed, {explicit} explicit"
    if ensemble.method != "auto":
        return ensemble.method, f"as asked; {counts}"
    if collapsed <= explicit:
        return "collapsed", f"fewer normals: {counts}"
    return "explicit", f"fewer normals: {counts}"


def _collapsed_normals(network: AnyNetwork, points: int) -> int:
    return sum(_padded(width) * points for width in network.widths)


def _explicit_normals(network: AnyNetwork, dimension: int) -> int:
    fan_in = (dimension, *network.widths)
    return sum(width * before for width, before in zip(network.widths, fan_in, strict=False))


def _estimator(
    network: AnyNetwork, estimate: EstimateSpec, deformation: DeformationSpec | None
) -> tuple[str, str]:
    if deformation is not None:
        return "reweighted", "every readout has the weight exp(-V) of its outputs; ratios of weighted sums"
    check_estimator(estimate, network)
    if estimate.estimator != "auto":
        return estimate.estimator, "as asked"
    if has_fixed_amplitudes(network):
        return "direct", "the amplitudes are fixed: k-statistics of the outputs"
    reason = (
        "the last weights are Gaussian: their average is exact (Rao-Blackwell) and never raises the error"
    )
    return "conditional", reason


def _readouts(
    deformation: DeformationSpec,
    network: AnyNetwork,
    method: str,
    points: int,
    dimension: int,
    found: tuple[Sector, ...],
) -> int:
    """Draws of the readout of a network, for auto a power of two.

    Averages have the variance (b + w / R) / M, with b between and w within networks, and take the time
    M (h + R r), with h for the hidden layers and r for a readout: R = sqrt(w h / (b r)) is best. w / b is
    of the order of the width.
    """
    numbers = network.outputs * points
    if deformation.readouts != "auto":
        readouts = deformation.readouts
    else:
        hidden = network_seconds(*sampler_cost(network, method, points, dimension, 0))
        normals, adds = sampler_cost(network, method, points, dimension, network.outputs)
        one = network_seconds(normals, adds + _accumulation_cost(found)) - hidden
        best = math.sqrt(min(network.widths, default=1) * hidden / one)
        readouts = FEWEST_AUTO_READOUTS
        while 2 * readouts <= min(best, MOST_AUTO_READOUTS):
            readouts *= 2
        while readouts > 1 and readouts * numbers > AUTO_READOUT_NUMBERS:
            readouts //= 2
    if readouts * numbers > MOST_READOUT_NUMBERS:
        got = f"{readouts} readouts of {network.outputs} outputs at {points} points"
        advice = f"at most {MOST_READOUT_NUMBERS} numbers in all: lower one of them"
        raise CardError(line("too much memory", "deformation.readouts", got, advice))
    return readouts


def sampler_cost(
    network: AnyNetwork, method: str, points: int, dimension: int, read_out: int
) -> tuple[int, int]:
    """Return normals and multiply-adds of drawing one network of which `read_out` outputs are drawn."""
    pairs = pair_count(points)
    gram = sum(width * pairs for width in network.widths)
    last = network.widths[-1] if network.widths else dimension
    if method == "explicit":
        biases = sum(
            width
            for width, variance in zip(network.widths, network.bias_variances, strict=False)
            if variance > 0.0
        )
        weights = _explicit_normals(network, dimension)
        normals = weights + biases + read_out * (last + (network.bias_variances[-1] > 0.0))
        return normals, weights * points + gram + read_out * last * points
    factors = len(network.widths) * points**3 // 6
    normals = _collapsed_normals(network, points) + read_out * points
    return normals, 2 * gram + factors + read_out * pairs


def _accumulation_cost(found: tuple[Sector, ...]) -> int:
    """Return the multiply-adds of accumulating one network; a pairing sum of order r has r - 1 products."""
    return sum(sector.components * (sector.order - 1) for sector in found)


def _block_size(ensemble: EnsembleSpec, bins: int, seconds: float) -> int:
    if ensemble.block_size != "auto":
        return ensemble.block_size
    most = min(LARGEST_AUTO_BLOCK, max(1, ensemble.networks // bins))
    while most > 1 and most * seconds > BLOCK_SECONDS:
        most //= 2
    return 1 << (most.bit_length() - 1)
