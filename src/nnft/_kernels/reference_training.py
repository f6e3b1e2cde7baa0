"""Plain NumPy twins of the kernels that train: one member at a time, every step spelled out.

The weights of a network are one flat array: layer after layer, neuron after neuron, each neuron's weights and
then its bias if the layer has any. The energy is ``E = factor/2 sum (f - y)^2 + 1/2 sum decay theta^2``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from nnft._kernels.reference import activation_derivative_reference, activation_reference
from nnft._kernels.reference_networks import NetworkLaw
from nnft._kernels.reference_random import Stream, normals_reference, words_reference

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_WEIGHTS, _BIASES, _NOISE, _MOMENTUM, _ACCEPT, _ORDER, _RESTART, _RESTART_BIASES = 1, 2, 5, 6, 7, 8, 9, 10
_GROUP, _PADDING, _WORDS = 16, 8, 32


@dataclass(frozen=True)
class TrainingLaw:
    """A network with its training points and its rates.

    Attributes
    ----------
    network : NetworkLaw
        Its points are the training points.
    targets : ndarray of float64, shape (P, D)
    trainable : tuple of int
        Layers that move, out of 1..L.
    weight_mobilities, bias_mobilities : sequence of float
        One for each layer.
    factor : float
        2c of the loss c sum (f - y)^2.
    temperature : float
        Of the weight decay temperature / prior variance; 0 for none.
    """

    network: NetworkLaw
    targets: FloatArray
    trainable: tuple[int, ...]
    weight_mobilities: Sequence[float]
    bias_mobilities: Sequence[float]
    factor: float
    temperature: float = 0.0

    @property
    def shapes(self) -> list[tuple[int, int, int]]:
        """Neurons, fan-in, and 1 if there are biases, of every layer."""
        rows = (*self.network.widths, self.network.outputs)
        fans = (self.network.points.shape[1], *self.network.widths)
        biased = (int(variance > 0.0) for variance in self.network.bias_variances)
        return list(zip(rows, fans, biased, strict=True))

    @property
    def variances(self) -> FloatArray:
        """Prior variance of every number of a network, flat."""
        fans = [fan_in for _, fan_in, _ in self.shapes]
        weights = [v / fan_in for v, fan_in in zip(self.network.weight_variances, fans, strict=True)]
        return self._flat(weights, self.network.bias_variances)

    @property
    def live(self) -> FloatArray:
        """1 for numbers that are trained, 0 for others, flat."""
        trained = [float(layer in self.trainable) for layer in range(1, self.network.layers + 1)]
        return self._flat(trained, trained)

    @property
    def mobility(self) -> FloatArray:
        """Mobility of every number, flat; 0 where it is not trained."""
        return self.live * self._flat(self.weight_mobilities, self.bias_mobilities)

    @property
    def decay(self) -> FloatArray:
        """Weight decay of every number, flat; 0 where it is not trained."""
        return self.live * self.temperature / self.variances

    def _flat(self, weights: Sequence[float], biases: Sequence[float]) -> FloatArray:
        parts = []
        for (rows, fan_in, biased), weight, bias in zip(self.shapes, weights, biases, strict=True):
            parts.append(np.tile(np.array([weight] * fan_in + [bias] * biased), rows))
        return np.concatenate(parts)

    def matrices(self, theta: FloatArray) -> list[FloatArray]:
        """Weights of every layer, shape (n, fan-in + biases)."""
        found, start = [], 0
        for rows, fan_in, biased in self.shapes:
            size = rows * (fan_in + biased)
            found.append(theta[start : start + size].reshape(rows, fan_in + biased))
            start += size
        return found

    def inputs_and_slopes(
        self, theta: FloatArray, points: FloatArray
    ) -> tuple[list[FloatArray], list[FloatArray], FloatArray]:
        """Inputs of every layer, with ones for its biases, slopes of every hidden layer, outputs (D, P)."""
        inputs: list[FloatArray] = []
        slopes: list[FloatArray] = []
        activation, parameters = self.network.activation, self.network.parameters
        preactivations = values = points.T
        for layer, (matrix, shape) in enumerate(zip(self.matrices(theta), self.shapes, strict=True)):
            if layer:
                slopes.append(activation_derivative_reference(activation, parameters, preactivations))
                values = activation_reference(activation, parameters, preactivations)
            inputs.append(np.concatenate([values, np.ones((shape[2], len(points)))]))
            preactivations = matrix @ inputs[-1]
        return inputs, slopes, preactivations

    def outputs(self, theta: FloatArray, points: FloatArray) -> FloatArray:
        """Outputs on some points, shape (D, P)."""
        return self.inputs_and_slopes(theta, points)[2]

    def pull_back(self, theta: FloatArray, points: FloatArray, delta: FloatArray) -> FloatArray:
        """Gradient of the sum of delta (D, P) times the outputs, with respect to every number, flat."""
        inputs, slopes, _ = self.inputs_and_slopes(theta, points)
        matrices = self.matrices(theta)
        parts = []
        for layer in reversed(range(self.network.layers)):
            parts.append((delta @ inputs[layer].T).ravel())
            if layer:
                fan_in = self.shapes[layer][1]
                delta = (matrices[layer][:, :fan_in].T @ delta) * slopes[layer - 1]
        return np.concatenate(parts[::-1])

    def squares(self, theta: FloatArray) -> float:
        """Sum of (f - y)^2 over outputs and training points."""
        return float(np.sum((self.outputs(theta, self.network.points) - self.targets.T) ** 2))

    def squares_gradient(self, theta: FloatArray, chosen: IntArray | None = None) -> FloatArray:
        """Gradient of half the sum of squares over some training points, or all, flat."""
        chosen = np.arange(len(self.targets)) if chosen is None else chosen
        points = self.network.points[chosen]
        return self.pull_back(theta, points, self.outputs(theta, points) - self.targets[chosen].T)

    def energy(self, theta: FloatArray) -> float:
        """Energy E."""
        return 0.5 * self.factor * self.squares(theta) + 0.5 * float(np.sum(self.decay * theta**2))

    def energy_gradient(self, theta: FloatArray) -> FloatArray:
        """Gradient of E, 0 where nothing is trained, flat."""
        return self.live * (self.factor * self.squares_gradient(theta) + self.decay * theta)

    def jacobian(self, theta: FloatArray, points: FloatArray, output: int) -> FloatArray:
        """Derivatives of one output on some points, shape (P, numbers)."""
        rows = []
        for point in points:
            delta = np.zeros((self.network.outputs, 1))
            delta[output] = 1.0
            rows.append(self.pull_back(theta, point[None, :], delta))
        return np.array(rows)

    def tangent_kernel(self, theta: FloatArray, points: FloatArray, output: int) -> FloatArray:
        """Sum over numbers of mobility times derivatives at two points, shape (P, P)."""
        slopes = self.jacobian(theta, points, output)
        return np.asarray((self.mobility * slopes) @ slopes.T)

    def readout_kernel(self, theta: FloatArray, points: FloatArray) -> FloatArray:
        """C_b + C_W/n phi . phi of the last layer, shape (P, P)."""
        fan_in = self.shapes[-1][1]
        features = self.inputs_and_slopes(theta, points)[0][-1][:fan_in]
        variances = self.network.weight_variances[-1] / fan_in, self.network.bias_variances[-1]
        return np.asarray(variances[1] + variances[0] * features.T @ features)

    def noise(self, purpose: int, member: int, step: int) -> FloatArray:
        """Standard normals of one step of a member, flat; 0 where nothing is trained.

        Rows of a layer stand one after the other, each padded to whole vectors; a step takes whole groups.
        """
        parts = []
        for layer, (rows, fan_in, biased) in enumerate(self.shapes, start=1):
            stride = -(-(fan_in + biased) // _PADDING) * _PADDING
            groups = -(-rows * stride // _GROUP)
            stream = Stream(self.network.key, member, purpose << 12 | layer)
            normals = normals_reference(stream, step * groups, groups, "float64")
            parts.append(normals[: rows * stride].reshape(rows, stride)[:, : fan_in + biased].ravel())
        return self.live * np.concatenate(parts)

    def start(self, network: int, chain: int = 0, chains: int = 1) -> FloatArray:
        """Weights at the start, flat: those of the network; trained layers of later chains have their own."""
        parts = []
        for layer, (rows, fan_in, biased) in enumerate(self.shapes, start=1):
            own = chain > 0 and layer in self.trainable
            index = network * chains + chain if own else network
            purposes = (_RESTART, _RESTART_BIASES) if own else (_WEIGHTS, _BIASES)
            stride = -(-fan_in // _GROUP) * _GROUP
            weights = self.network.normals(index, purposes[0], layer, rows * stride)
            biases = self.network.normals(index, purposes[1], layer, rows)[:rows, None]
            parts.append(np.hstack([weights.reshape(rows, stride)[:, :fan_in], biases[:, :biased]]).ravel())
        return np.sqrt(self.variances) * np.concatenate(parts)

    def uniforms(self, purpose: int, member: int, group: int) -> FloatArray:
        """Thirty-two raw words of a stream without a layer, as floating-point numbers."""
        words = words_reference(Stream(self.network.key, member, purpose << 12), 8 * group, 8)
        return words.T.ravel().astype(np.float64)


def epoch_order(law: TrainingLaw, member: int, order: str, epoch: int, points: int, taken: int) -> IntArray:
    """Training points of one epoch in the order in which they are taken.

    `taken` are those of all batches: for the order ``random`` that many are drawn with replacement. The words
    of an epoch are whole groups, as many as the larger of points and `taken` needs.
    """
    if order == "cyclic":
        return np.arange(points)
    groups = -(-max(points, taken) // _WORDS)
    words = np.concatenate([law.uniforms(_ORDER, member, epoch * groups + g) for g in range(groups)])
    if order == "random":
        return np.array([int(word) * points >> 32 for word in words[:taken]])
    found = list(range(points))
    for i in range(points):
        other = i + (int(words[i]) * (points - i) >> 32)
        found[i], found[other] = found[other], found[i]
    return np.array(found)


def descend(
    law: TrainingLaw, theta: FloatArray, step: float, chosen: IntArray | None = None, mean_loss: bool = False
) -> FloatArray:
    """One step of gradient descent, on all training points or on a batch.

    A batch of B of P points has the share B/P of the energy; for a mean loss it stands for all of it.
    """
    share = 1.0 if chosen is None else len(chosen) / len(law.targets)
    force = law.factor * law.squares_gradient(theta, chosen) + share * law.decay * theta
    return np.asarray(theta - step * law.mobility * force / (share if mean_loss else 1.0))


def langevin(
    law: TrainingLaw, theta: FloatArray, step: float, temperature: float, member: int, index: int
) -> FloatArray:
    """Euler-Maruyama step number `index`."""
    noise = np.sqrt(2.0 * step * temperature * law.mobility) * law.noise(_NOISE, member, index)
    return descend(law, theta, step) + noise


def momenta(law: TrainingLaw, temperature: float, member: int, index: int) -> FloatArray:
    """Fresh momenta over the root of the mass, variance T."""
    return np.asarray(np.sqrt(temperature) * law.noise(_MOMENTUM, member, index))


def underdamped(
    law: TrainingLaw,
    state: tuple[FloatArray, FloatArray],
    step: float,
    temperature: float,
    friction: float,
    member: int,
    index: int,
) -> tuple[FloatArray, FloatArray]:
    """BAOAB step number `index` of weights and momenta (Leimkuhler, Matthews 2013)."""
    theta, momentum = state
    rate, memory = np.sqrt(law.mobility), np.exp(-friction * step)
    momentum = momentum - 0.5 * step * rate * law.energy_gradient(theta)
    theta = theta + 0.5 * step * rate * momentum
    fresh = np.sqrt(temperature * (1.0 - memory**2)) * law.noise(_NOISE, member, index)
    momentum = memory * momentum + fresh
    theta = theta + 0.5 * step * rate * momentum
    momentum = momentum - 0.5 * step * rate * law.energy_gradient(theta)
    return theta, momentum


@dataclass
class HamiltonianChain:
    """A chain of Hamiltonian Monte Carlo; with one leapfrog step the Metropolis-adjusted Langevin algorithm.

    Attributes
    ----------
    law : TrainingLaw
    member : int
    temperature, jitter, target : float
    leaps, burn_in : int
        Leapfrog steps of a proposal; steps in which the size adapts.
    theta : ndarray of float64
    first : float
        Step size at the start.
    changes : list of float
        dH/T of every proposal.
    """

    law: TrainingLaw
    member: int
    temperature: float
    leaps: int
    theta: FloatArray
    first: float
    jitter: float = 0.0
    target: float = 0.8
    burn_in: int = 0
    changes: list[float] = field(default_factory=list)
    size: float = field(init=False)
    error: float = 0.0
    averaged: float = 0.0

    def __post_init__(self) -> None:
        self.size = self.first

    def step(self) -> None:
        """One proposal, and one step of dual averaging during burn-in (Hoffman, Gelman 2014, eq. 6)."""
        law, index = self.law, len(self.changes)
        words = law.uniforms(_ACCEPT, self.member, index)
        step = self.size * (1.0 + self.jitter * (2.0 * (words[2] + 0.5) / 2.0**32 - 1.0))
        momentum = momenta(law, self.temperature, self.member, index)
        place, rate = self.theta, np.sqrt(law.mobility)
        before = law.energy(place) + 0.5 * np.sum(momentum**2)
        for _ in range(self.leaps):
            momentum = momentum - 0.5 * step * rate * law.energy_gradient(place)
            place = place + step * rate * momentum
            momentum = momentum - 0.5 * step * rate * law.energy_gradient(place)
        after = law.energy(place) + 0.5 * np.sum(momentum**2)
        self.changes.append(float((after - before) / self.temperature))
        uniform = (words[0] * 2.0**32 + words[1] + 0.5) / 2.0**64
        if np.log(uniform) < -self.changes[-1]:
            self.theta = place
        if index < self.burn_in:
            self._adapt(index + 1, min(1.0, np.exp(-self.changes[-1])))

    def _adapt(self, count: int, acceptance: float) -> None:
        self.error = (1.0 - 1.0 / (count + 10.0)) * self.error + (self.target - acceptance) / (count + 10.0)
        trial = np.log(self.first) - np.sqrt(count) / 0.05 * self.error
        self.averaged = count**-0.75 * trial + (1.0 - count**-0.75) * self.averaged
        self.size = float(np.exp(self.averaged if count == self.burn_in else trial))
