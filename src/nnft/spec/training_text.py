"""A training in words, line by line."""

from __future__ import annotations

from collections.abc import Sequence

from nnft.spec.dataset import Dataset
from nnft.spec.training_resolution import TrainingResolution

_FORMULAS = {
    "half-sum": "(1/2) sum (f - y)^2",
    "sum": "sum (f - y)^2",
    "half-mean": "1/(2P) sum (f - y)^2",
    "mean": "1/P sum (f - y)^2",
}
_MOST_SHOWN = 8


def training_rows(training: TrainingResolution, data: Dataset, layers: int) -> list[tuple[str, str]]:
    """Return labels and texts of a training.

    Parameters
    ----------
    training : TrainingResolution
    data : Dataset
    layers : int
        Number L of affine layers.
    """
    points, test_points, dimension, targets = data.shape
    counts = f"{points:,} to train on, {test_points:,} held out, dimension {dimension}, {_targets(targets)}"
    rates = "1 / fan-in for weights, 1 for biases" if training.parametrization == "ntk" else "1 for all"
    anew = ", drawn anew for each network" if data.anew else ""
    rows = [
        ("data", f"{counts}, {data.source[:60]}{anew}, sha256 {data.sha256[:12]}"),
        ("loss", f"{training.loss}: {_FORMULAS[training.loss]}, c = {training.loss_factor!r}"),
        ("temperature", _heat_text(training)),
        ("algorithm", _algorithm_text(training)),
        (
            "trainable",
            f"{_layers_text(training.trainable, layers)}, {training.parameters:,} parameters in all",
        ),
        ("rates", f"{training.parametrization}: {rates}"),
        ("observed output", str(training.observe)),
    ]
    if training.snapshot_count:
        rows.append(("snapshots", _snapshot_text(training)))
    return rows


def _targets(count: int) -> str:
    return "1 target" if count == 1 else f"{count} targets"


def _heat_text(training: TrainingResolution) -> str:
    if not training.decay:
        return "none, no weight decay"
    heat = f"T = {training.temperature:.12g}, ridge kappa = T / (2 c) = {training.ridge:.12g}"
    return f"{heat}, weight decay T / prior variance"


def _algorithm_text(training: TrainingResolution) -> str:
    size = f"of size {training.step!r}" if training.step else "of automatic size"
    if training.algorithm == "exact":
        return f"exact: {_count(training.draws, 'draw')} of the readout given the hidden layers"
    if training.algorithm == "given":
        return "given: weights from a file, no step is taken"
    if training.algorithm == "gradient-flow":
        return f"gradient-flow: time {training.total_time!r}, tolerance {training.tolerance!r}"
    steps = f"{training.algorithm}: {_count(training.total_steps, 'step')} {size}"
    if training.algorithm == "sgd":
        return f"{steps}, batches of {training.batch_size} in {training.order} order"
    if training.algorithm == "gd":
        return steps
    if training.algorithm == "hmc":
        steps += f", {training.leapfrog_steps} leapfrog steps in each, jitter {training.jitter!r}"
    if training.algorithm == "underdamped":
        steps += f", friction {training.friction!r}"
    if training.adapt:
        steps += f", adapted to acceptance {training.target_acceptance!r}"
    kept = f"{_count(training.draws, 'draw')} every {_count(training.thinning, 'step')}"
    return f"{steps}, {kept} after {training.burn_in:,}, {_count(training.chains, 'chain')} of a network"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _layers_text(trainable: Sequence[int], layers: int) -> str:
    if len(trainable) == layers:
        return "all layers"
    if tuple(trainable) == (layers,):
        return "the readout"
    names = ", ".join(str(layer) for layer in trainable[:_MOST_SHOWN])
    rest = len(trainable) - _MOST_SHOWN
    return f"layers {names}" + (f" and {rest} more" if rest > 0 else "") + f" of {layers}"


def _snapshot_text(training: TrainingResolution) -> str:
    moments: Sequence[float] = training.snapshots or training.snapshot_times
    words = [f"{moment:g}" if isinstance(moment, float) else str(moment) for moment in moments]
    if len(words) > _MOST_SHOWN:
        words[_MOST_SHOWN // 2 : -_MOST_SHOWN // 2] = ["..."]
    return f"{len(moments)} at {'steps' if training.snapshots else 'times'} {', '.join(words)}"
