"""What a run will cost, known before it starts: pure arithmetic, no kernels."""

from __future__ import annotations

from dataclasses import dataclass

from nnft.spec.flow_cost import flow_seconds
from nnft.spec.given import given_bytes, given_notes
from nnft.spec.resolve import Resolution
from nnft.spec.run import RunSpec
from nnft.spec.sectors import pair_count
from nnft.spec.training_resolution import TrainingResolution

LANES = 16
PROGRAM_BYTES_PER_TERM = 8
WORKING_MEMORY = 256 * 2**20
"""Bytes of a bare interpreter with the libraries of a run."""

SNAPSHOT_OVERHEAD = 256 * 2**10
FEWEST_IN_WAVE = 8
MOST_IN_WAVE = 256
WAVE_MEMORY = 512 * 2**20
"""Networks that are trained together, and bytes that they may take."""


@dataclass(frozen=True)
class RunPlan(Resolution):
    """Everything decided and estimated about a run.

    Besides the attributes of `Resolution`:

    Attributes
    ----------
    points, dimension, layers, network_outputs, networks : int
        P, d, L, D and the size of the ensemble.
    precision : str
        ``"float64"`` or ``"float32"``.
    blocks : int
        Number of blocks; network block b belongs to bin ``b % bins``.
    accumulator_bytes, flow_bytes, snapshot_bytes, fields_bytes : int
        Accumulators of all bins; the same at every moment of a training that is recorded; result file;
        kept outputs.
    wave_bytes : int
        Networks in training with what is recorded of them; they stand in the result file until they are
        done.
    memory_bytes, thread_bytes : int
        Peak memory with one thread, and what every further thread adds.
    fields_networks : int
        Networks whose outputs are kept.
    seconds : float
        On one core at the nominal speed.
    notes : tuple of str
        What the user should know before starting.
    """

    points: int
    dimension: int
    layers: int
    network_outputs: int
    networks: int
    precision: str
    blocks: int
    accumulator_bytes: int
    flow_bytes: int
    wave_bytes: int
    thread_bytes: int
    memory_bytes: int
    snapshot_bytes: int
    fields_networks: int
    fields_bytes: int
    seconds: float
    notes: tuple[str, ...]

    @property
    def components_per_order(self) -> dict[int, int]:
        """Components of every order, all its sectors together."""
        orders = sorted({sector.order for sector in self.sectors})
        return {order: sum(s.components for s in self.sectors if s.order == order) for order in orders}


def plan_run(spec: RunSpec) -> RunPlan:
    """Plan a run.

    Parameters
    ----------
    spec : RunSpec
        The specification; its input points are read.

    Raises
    ------
    CardError
        The run cannot be done as specified; names what to lower.
    DataFileError
        The input points cannot be read.
    """
    resolution = spec.resolution
    points, dimension = spec.mesh().points.shape
    networks = spec.ensemble.networks
    accumulators = resolution.bins * resolution.components * 8
    moments = resolution.training.snapshot_count if resolution.training else 0
    renormalized = spec.flow_resolution
    flow = accumulators * (moments + (renormalized.count if renormalized else 0))
    each = renormalized.member_bytes(points) if renormalized else 0
    own = 4 * _data_bytes(spec) if spec.training is not None and spec.training.data.anew else 0
    wave = _wave_bytes(resolution, points, spec.network.layers, networks, each, own)
    given = points * dimension * 8 + _data_bytes(spec)
    tables, weights = _table_bytes(resolution), given_bytes(spec)
    thread = _thread_bytes(spec, resolution, points, dimension)
    kept = networks if spec.store.fields == "all" else spec.store.fields
    item = 4 if spec.ensemble.precision == "float32" else 8
    fields = kept * spec.network.outputs * points * item
    blocks = -(-networks // resolution.block_size)
    return RunPlan(
        **vars(resolution),
        points=points,
        dimension=dimension,
        layers=spec.network.layers,
        network_outputs=spec.network.outputs,
        networks=networks,
        precision=spec.ensemble.precision,
        blocks=blocks,
        accumulator_bytes=accumulators,
        flow_bytes=flow,
        wave_bytes=wave,
        thread_bytes=thread,
        memory_bytes=WORKING_MEMORY + accumulators + flow + wave + tables + thread + given + weights,
        snapshot_bytes=SNAPSHOT_OVERHEAD + accumulators + flow + tables // 2 + given,
        fields_networks=kept,
        fields_bytes=fields,
        seconds=networks * (resolution.seconds_per_network + _flow_seconds(spec, points)),
        notes=_notes(spec, resolution, blocks),
    )


def _flow_seconds(spec: RunSpec, mesh_points: int) -> float:
    """Seconds of the flow of all chains of a network."""
    training, flow = spec.resolution.training, spec.flow_resolution
    if training is None or flow is None:
        return 0.0
    return training.chains * flow_seconds(spec.network, flow, mesh_points, spec.dataset().shape)


def _data_bytes(spec: RunSpec) -> int:
    """Bytes of the data of a training."""
    if spec.training is None:
        return 0
    train, test, dimension, targets = spec.dataset().shape
    return (train + test) * (dimension + targets) * 8


def _table_bytes(resolution: Resolution) -> int:
    """Bytes of the index tables: the points of every component and the slots of every product."""
    per_sector = (
        sector.components * (4 * sector.order + PROGRAM_BYTES_PER_TERM * (sector.order - 1))
        for sector in resolution.sectors
    )
    return sum(per_sector) + resolution.layer_components * (16 + PROGRAM_BYTES_PER_TERM)


def _thread_bytes(spec: RunSpec, resolution: Resolution, points: int, dimension: int) -> int:
    """Bytes of one thread: lanes of partial products, its block's sums, one network or one in training."""
    if resolution.training is not None:
        return _training_bytes(spec, resolution, resolution.training, points)
    highest = spec.estimate.correlators[-1]
    kept = sum(sector.components for sector in resolution.sectors if sector.order < highest)
    slots = 1 + pair_count(points) * spec.network.layers + resolution.outputs * points + kept
    drawn = LANES * resolution.readouts * spec.network.outputs * points * 8
    widest = max((dimension, *spec.network.widths))
    network = (2 * widest * points + 2 * points * points) * 8
    return slots * LANES * 8 + resolution.components * 8 + network + drawn


def _training_bytes(spec: RunSpec, resolution: Resolution, training: TrainingResolution, points: int) -> int:
    """Bytes of a thread that trains: states of its block, a gradient and a proposal, layers of all points."""
    states = training.member_bytes * (resolution.block_size * training.chains + 2)
    neurons = sum(spec.network.widths) + spec.network.outputs
    kernels = 0
    if training.algorithm == "exact":
        states, kernels = training.member_bytes, 3 * (points + training.train_points) ** 2
    layers = 2 * neurons * (training.train_points + training.test_points + points)
    sums = resolution.components * (1 + training.snapshot_count)
    return states + (layers + kernels + sums) * 8


def _wave_bytes(
    resolution: Resolution, points: int, layers: int, networks: int, flow: int, own: int
) -> int:
    """Bytes of the networks that are trained together: as many as fit into half a gigabyte, at least 8."""
    training = resolution.training
    if training is None or training.algorithm == "exact":
        return 0
    numbers = 3 + 2 * layers
    pairs = pair_count(points)
    drawn = points + numbers + (points + pairs if training.estimator == "trained-conditional" else 0)
    seen = points + numbers + 2 + 2 * pairs
    recorded = training.draws * drawn + training.snapshot_count * seen
    network = training.chains * (training.member_bytes + 8 * recorded + flow) + own
    least = -(-FEWEST_IN_WAVE // resolution.block_size) * resolution.block_size
    return network * max(least, min(MOST_IN_WAVE, WAVE_MEMORY // network, networks))


def _notes(spec: RunSpec, resolution: Resolution, blocks: int) -> tuple[str, ...]:
    notes = []
    if spec.ensemble.seed_was_drawn:
        notes.append(f"no seed in the card: drew {spec.ensemble.seed}")
    if resolution.bins != spec.estimate.bins:
        notes.append(f"{resolution.bins} bins instead of {spec.estimate.bins}: {resolution.bins_reason}")
    if blocks < resolution.bins:
        notes.append(f"only {blocks} of {resolution.bins} bins are filled: error bars are rough or missing")
    if resolution.training is not None:
        notes += given_notes(spec)
        if resolution.training.algorithm == "gradient-flow":
            notes.append("the time of gradient-flow is a guess: it depends on how stiff the data are")
        return tuple(notes)
    if spec.network.outputs > 1 and resolution.outputs == 1 and spec.estimate.correlators[-1] > 2:
        notes.append("correlators of one output only; estimate.outputs asks for several")
    return tuple(notes)
