"""A training with nothing left to decide: factors, rates, steps, snapshots, cost of a network."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from nnft.errors import CardError
from nnft.spec.dataset import Dataset
from nnft.spec.network_kinds import AnyNetwork
from nnft.spec.problems import line, shown
from nnft.spec.sectors import pair_count
from nnft.spec.training import DESCENTS, TrainingSpec
from nnft.spec.training_estimator import Chains, choose_estimator
from nnft.spec.training_moments import chain_length, snapshot_moments, snapshot_problems

ROW_PADDING = 8
MEMBER_OVERHEAD = 128
STAGES = 6
"""Gradients of one step of an embedded Runge-Kutta method of order 5."""


@dataclass(frozen=True)
class TrainingResolution:
    """What a training does to one network, in numbers.

    Attributes
    ----------
    algorithm, loss, parametrization : str
        Words of the card.
    loss_factor : float
        c of the energy c sum (f - y)^2 over all training points.
    mean_loss : bool
        Whether the loss is a mean: c of a batch of B points is then c P / B.
    temperature, ridge : float
        T and kappa = T / (2c); 0.0 without.
    decay : bool
        Whether the energy has the weight decay T / prior variance.
    trainable : tuple of int
        Layers that move, out of 1..L.
    weight_mobilities, bias_mobilities : tuple of float, length L
        m of the weights and biases of every layer; 0.0 where frozen, or where there is no bias.
    step : float
        0.0: found by the algorithm itself.
    total_steps : int
        Steps of a chain; 0 for gradient-flow and exact.
    total_time : float
        Flow time of gradient-flow, else 0.0.
    snapshots : tuple of int
        Steps at which the flow is recorded, from 0 to `total_steps`; empty for gradient-flow and exact.
    snapshot_times : tuple of float
        Times of the same snapshots; empty where the step is found by the algorithm itself, and for exact.
    burn_in, draws, thinning, chains : int
        Draw k of a chain is taken after burn_in + k thinning steps; chains 1 and draws 1 for descents.
    batch_size : int
        Points of a gradient; all of them but for sgd.
    order : str
        Of sgd, else ``""``.
    leapfrog_steps, jitter, target_acceptance, adapt, friction, tolerance
        Of the algorithms that have them, else 0.
    divergence : float
        Factor of the first loss beyond which a network is stopped.
    observe : int
        Output that is estimated.
    estimator : str
        ``"trained"``, or ``"trained-conditional"``: the readout averaged exactly given the hidden layers.
    estimator_reason : str
        Why.
    train_points, test_points : int
        P and the number of held-out points.
    parameters : int
        Weights and biases of a network.
    member_bytes : int
        State of one chain of one network.
    gradients_per_member : int
        Gradients of one chain; an estimate for gradient-flow.
    variance_components : int
        Components of the variances given the hidden layers, for ``"trained-conditional"``, else 0.
    """

    algorithm: str
    loss: str
    parametrization: str
    loss_factor: float
    mean_loss: bool
    temperature: float
    ridge: float
    decay: bool
    trainable: tuple[int, ...]
    weight_mobilities: tuple[float, ...]
    bias_mobilities: tuple[float, ...]
    step: float
    total_steps: int
    total_time: float
    snapshots: tuple[int, ...]
    snapshot_times: tuple[float, ...]
    burn_in: int
    draws: int
    thinning: int
    chains: int
    batch_size: int
    order: str
    leapfrog_steps: int
    jitter: float
    target_acceptance: float
    adapt: bool
    friction: float
    tolerance: float
    divergence: float
    observe: int
    estimator: str
    estimator_reason: str
    train_points: int
    test_points: int
    parameters: int
    member_bytes: int
    gradients_per_member: int
    variance_components: int

    @property
    def snapshot_count(self) -> int:
        """Number of recorded moments of the flow."""
        return max(len(self.snapshots), len(self.snapshot_times))


def resolve_training(
    training: TrainingSpec, network: AnyNetwork, data: Dataset, estimator: str, mesh_points: int
) -> TrainingResolution:
    """Decide everything that the table leaves open.

    Parameters
    ----------
    training : TrainingSpec
    network : AnyNetwork
    data : Dataset
    estimator : str
        ``"auto"``, ``"direct"`` or ``"conditional"``, as the card asks.
    mesh_points : int
        Number of input points on which the trained networks are looked at.

    Raises
    ------
    CardError
        The table does not fit network or data; one line for each mistake.
    """
    points, test_points, dimension, _ = data.shape
    filled = training.filled()
    steps, time = chain_length(training, filled, points)
    problems = _data_problems(training, network, data) + snapshot_problems(training, time or float(steps))
    if problems:
        raise CardError(problems)
    factor = training.loss_factor(points)
    temperature, ridge = _heat(training, factor)
    trainable = training.trainable_layers(network.layers)
    weights, biases = _mobilities(training, network, dimension, trainable)
    step = filled.get("step") or 0.0
    step = 0.0 if step == "auto" else float(step)
    asked = (0.0,) if training.algorithm == "given" else filled.get("snapshots")
    moments = snapshot_moments(asked, time or float(steps), time > 0.0)
    numbers = _algorithm_numbers(filled, points)
    gradients = _gradients(training, filled, steps, time, factor * points)
    chains = _chains(training, network, data, numbers, gradients)
    kind, reason = choose_estimator(estimator, chains, mesh_points)
    return TrainingResolution(
        algorithm=training.algorithm,
        loss=training.loss,
        parametrization=training.parametrization,
        loss_factor=factor,
        mean_loss=training.loss.endswith("mean"),
        temperature=temperature,
        ridge=ridge,
        decay=training.decays,
        trainable=trainable,
        weight_mobilities=weights,
        bias_mobilities=biases,
        step=step,
        total_steps=steps,
        total_time=time,
        snapshots=() if time else tuple(int(moment) for moment in moments),
        snapshot_times=moments if time else _times(step, numbers, moments),
        **numbers,
        divergence=float(filled.get("divergence") or 0.0),
        observe=training.observe,
        estimator=kind,
        estimator_reason=reason,
        train_points=points,
        test_points=test_points,
        parameters=parameter_count(network, dimension),
        member_bytes=_member_bytes(training, network, dimension),
        gradients_per_member=gradients,
        variance_components=pair_count(mesh_points) if kind == "trained-conditional" else 0,
    )


def _chains(
    training: TrainingSpec, network: AnyNetwork, data: Dataset, numbers: dict[str, Any], gradients: int
) -> Chains:
    """What the choice of the estimator rests on."""
    points, _, dimension, _ = data.shape
    readout = bool(network.widths) and network.layers in training.trainable_layers(network.layers)
    weights = sum(fan_in * width for fan_in, width, _ in affine_layers(network, dimension))
    number = numbers["chains"]
    return Chains(training.algorithm, readout, numbers["draws"] * number, points, weights, gradients * number)


def _times(step: float, numbers: dict[str, Any], moments: tuple[float, ...]) -> tuple[float, ...]:
    """Times of steps; none where the step is found by the algorithm itself."""
    if step == 0.0 or (numbers["adapt"] and numbers["burn_in"]):
        return ()
    return tuple(step * (numbers["leapfrog_steps"] or 1) * moment for moment in moments)


def _data_problems(training: TrainingSpec, network: AnyNetwork, data: Dataset) -> list[str]:
    points, _, _, targets = data.shape
    problems = []
    if targets != network.outputs:
        advice = f"allowed: {targets}, the targets of {shown(data.source)}"
        problems.append(line("contradiction", "network.outputs", str(network.outputs), advice))
    if training.batch_size is not None and training.batch_size > points:
        advice = f"allowed: at most {points}, the training points"
        problems.append(line("contradiction", "training.batch_size", str(training.batch_size), advice))
    return problems


def _heat(training: TrainingSpec, factor: float) -> tuple[float, float]:
    """Temperature and ridge; zeros without."""
    if training.temperature is not None:
        return training.temperature, training.temperature / (2.0 * factor)
    if training.ridge is not None:
        return training.ridge * 2.0 * factor, training.ridge
    return 0.0, 0.0


def _mobilities(
    training: TrainingSpec, network: AnyNetwork, dimension: int, trainable: tuple[int, ...]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    weights, biases = [], []
    fans = (dimension, *network.widths)
    for layer, (fan_in, variance) in enumerate(zip(fans, network.bias_variances, strict=True), start=1):
        moves = float(layer in trainable)
        weights.append(moves / fan_in if training.parametrization == "ntk" else moves)
        biases.append(moves if variance > 0.0 else 0.0)
    return tuple(weights), tuple(biases)


def _algorithm_numbers(filled: dict[str, Any], points: int) -> dict[str, Any]:
    """Numbers that only some algorithms have, zeros and ones for the others."""
    return {
        "burn_in": filled.get("burn_in", 0),
        "draws": filled.get("draws", 1),
        "thinning": filled.get("thinning", 1),
        "chains": filled.get("chains", 1),
        "batch_size": filled.get("batch_size", points),
        "order": filled.get("order", ""),
        "leapfrog_steps": filled.get("leapfrog_steps", 0),
        "jitter": filled.get("jitter", 0.0),
        "target_acceptance": filled.get("target_acceptance", 0.0),
        "adapt": filled.get("adapt", False),
        "friction": filled.get("friction", 0.0),
        "tolerance": filled.get("tolerance", 0.0),
    }


def parameter_count(network: AnyNetwork, dimension: int) -> int:
    """Return the number of weights, and of biases where their variance is not 0."""
    return sum(
        width * (fan_in + (variance > 0.0)) for fan_in, width, variance in affine_layers(network, dimension)
    )


def affine_layers(network: AnyNetwork, dimension: int) -> list[tuple[int, int, float]]:
    """Return fan-in, fan-out and bias variance of every affine layer."""
    sizes = (dimension, *network.widths, network.outputs)
    return list(zip(sizes[:-1], sizes[1:], network.bias_variances, strict=True))


def _member_bytes(training: TrainingSpec, network: AnyNetwork, dimension: int) -> int:
    """Bytes of a state: rows of weights, the bias behind them, padded; momenta for underdamped."""
    padded = sum(
        width * (-(-(fan_in + (variance > 0.0)) // ROW_PADDING) * ROW_PADDING)
        for fan_in, width, variance in affine_layers(network, dimension)
    )
    copies = 2 if training.algorithm == "underdamped" else 1
    return 8 * padded * copies + MEMBER_OVERHEAD


def _gradients(
    training: TrainingSpec, filled: dict[str, Any], steps: int, time: float, curvature: float
) -> int:
    """Gradients of one chain.

    Gradient flow takes steps that its tolerance allows at the start and its largest rate, of the order of
    2 c P, at the end.
    """
    if training.algorithm == "gradient-flow":
        taken: float = 50.0 * (1e-6 / filled["tolerance"]) ** 0.2 + min(2.0 * curvature * time / 3.0, 1e12)
        return STAGES * math.ceil(taken)
    if training.algorithm in ("exact", "given"):
        return 0
    per_step = int(filled.get("leapfrog_steps", 1))
    return steps * per_step + (0 if training.algorithm in DESCENTS else 1)
