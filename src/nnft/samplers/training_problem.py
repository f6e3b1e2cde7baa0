"""A training as the flat arrays that the kernels take: header, rates, sets of points, columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nnft._kernels.library import training_work_size
from nnft.errors import UsageError
from nnft.samplers.initial import ACTIVATION_KINDS
from nnft.spec.network_kinds import AnyNetwork

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

PAD = 8
GROUP = 16
MOST_LAYERS = 64


@dataclass(frozen=True)
class Moving:
    """What makes the layers move.

    Attributes
    ----------
    trainable : tuple of int
        Layers that move, out of 1..L.
    weight_mobilities, bias_mobilities : sequence of float
        One for each layer.
    temperature : float
        Of the weight decay temperature / prior variance; 0 for none.
    observe : int
        Output whose kernels are wanted.
    """

    trainable: tuple[int, ...]
    weight_mobilities: Sequence[float]
    bias_mobilities: Sequence[float]
    temperature: float = 0.0
    observe: int = 0


class TrainingProblem:
    """One architecture on its training points.

    Parameters
    ----------
    network : AnyNetwork
    inputs : ndarray of float64, shape (P, d)
    targets : ndarray of float64, shape (P, D)
    moving : Moving

    Attributes
    ----------
    header : ndarray of int64
    parameters, data : ndarray of float64
    columns : ndarray of float64, shape (6, sum of strides)
        See `nnft._kernels.training_problem`.
    size : int
        Numbers of one network, padding included.
    readout : ndarray of float64, shape (2,)
        C_W / n and C_b of the last layer.

    Raises
    ------
    UsageError
        More than `MOST_LAYERS` layers.
    """

    def __init__(self, network: AnyNetwork, inputs: FloatArray, targets: FloatArray, moving: Moving) -> None:
        if network.layers > MOST_LAYERS:
            raise UsageError(
                f"network too deep to be trained in network.widths: got {len(network.widths)} hidden layers; "
                f"allowed: at most {MOST_LAYERS - 1}"
            )
        self.network, self.moving = network, moving
        self.inputs, self.targets = inputs, targets
        dimension = inputs.shape[1]
        self.fans = (dimension, *network.widths)
        self.rows = (*network.widths, network.outputs)
        self.biased = tuple(variance > 0.0 for variance in network.bias_variances)
        self.header = self._header(len(inputs))
        last = self.header[-7:-1]
        self.size = int(last[4] + _groups(int(last[0] * last[3])))
        self.columns = self._columns()
        rates = (*moving.weight_mobilities, *moving.bias_mobilities)
        given = network.kernel_parameters(dimension)
        self.parameters = np.array([*[*given, 0.0, 0.0, 0.0, 0.0][:4], *rates])
        self.data = self.points(inputs, targets)
        self.readout = np.array([network.weight_variances[-1] / self.fans[-1], network.bias_variances[-1]])

    @property
    def arrays(self) -> tuple[IntArray, FloatArray, FloatArray, FloatArray]:
        """What the kernels call a problem."""
        return self.header, self.parameters, self.data, self.columns

    def work_size(self, header: IntArray | None = None, kernels: bool = True) -> int:
        """Return the doubles of working memory for a set of points, those to train on if none is given.

        Kernels take two squares of the number of points; without them there are only outputs and gradients.
        """
        header = self.header if header is None else header
        size = training_work_size(header)
        if kernels:
            return size
        points, padded = int(header[1]), int(header[2])
        stride = max(_padded(fan_in + biased) for fan_in, biased in zip(self.fans, self.biased, strict=True))
        return size - points * max(0, 2 * padded - stride)

    def _header(self, points: int) -> IntArray:
        kind = ACTIVATION_KINDS[self.network.activation]
        numbers = [self.network.layers, points, _padded(points), kind, self.moving.observe]
        offset = 0
        layers = zip(self.rows, self.fans, self.biased, strict=True)
        for number, (rows, fan_in, biased) in enumerate(layers, start=1):
            stride = _padded(fan_in + biased)
            trained = int(number in self.moving.trainable)
            numbers += [rows, fan_in, fan_in + biased, stride, offset, trained]
            offset += _groups(rows * stride)
        return np.array([*numbers, 0], dtype=np.int64)

    def _columns(self) -> FloatArray:
        """Mobility, decay, live, root of the mobility, prior deviation, deviation at the start."""
        network, moving = self.network, self.moving
        blocks = []
        for level, fan_in in enumerate(self.fans):
            block = np.zeros((6, _padded(fan_in + self.biased[level])))
            trained = float(level + 1 in moving.trainable)
            weight = network.layer_variances(self.fans[0])[level] / fan_in
            for part, variance, mobility in (
                (slice(0, fan_in), weight, moving.weight_mobilities[level]),
                (
                    slice(fan_in, fan_in + self.biased[level]),
                    network.bias_variances[level],
                    moving.bias_mobilities[level],
                ),
            ):
                decay = moving.temperature / variance if variance > 0.0 else 0.0
                deviation = np.sqrt(variance)
                spread = deviation or 1.0 / np.sqrt(fan_in)
                values = (mobility, decay * trained, trained, np.sqrt(mobility), spread, deviation)
                block[:, part] = np.array(values)[:, None]
            blocks.append(block)
        return np.ascontiguousarray(np.concatenate(blocks, axis=1))

    def point_set(self, inputs: FloatArray, targets: FloatArray | None = None) -> tuple[IntArray, FloatArray]:
        """Return header and data of another set of points; targets zero if not given."""
        if targets is None:
            targets = np.zeros((len(inputs), self.network.outputs))
        return self._header(len(inputs)), self.points(inputs, targets)

    def points(self, inputs: FloatArray, targets: FloatArray) -> FloatArray:
        """Return a set of points as ``core/training.h`` wants it."""
        count, dimension = inputs.shape
        padded, columns, stride = _padded(count), int(self.header[7]), int(self.header[8])
        wide = np.zeros((columns, padded))
        wide[:dimension, :count] = inputs.T
        wide[dimension:, :] = 1.0
        long = np.zeros((count, stride))
        long[:, :dimension] = inputs
        long[:, dimension:columns] = 1.0
        goal = np.zeros((self.network.outputs, padded))
        goal[:, :count] = targets.T
        mask = np.zeros(padded)
        mask[:count] = 1.0
        return on_cache_lines(np.concatenate([wide.ravel(), long.ravel(), goal.ravel(), mask]))

    def layers(self, theta: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
        """Return weights (n, fan-in) and biases (n or 0,) of every layer from the numbers of one network."""
        found = []
        for level in range(self.network.layers):
            rows, fan_in, columns, stride, offset, _ = self.header[5 + 6 * level : 11 + 6 * level]
            matrix = theta[offset : offset + rows * stride].reshape(rows, stride)
            found.append((matrix[:, :fan_in], matrix[:, fan_in:columns].ravel()))
        return found


def working_room(count: int) -> FloatArray:
    """Return `count` numbers not yet written that start at a multiple of 64 bytes."""
    raw = np.empty(count + 8)
    skip = -(raw.ctypes.data // 8) % 8
    return raw[skip : skip + count]


def on_cache_lines(array: FloatArray) -> FloatArray:
    """Return a C-contiguous copy that starts at a multiple of 64 bytes."""
    copy = working_room(array.size).reshape(array.shape)
    copy[...] = array
    return copy


def _padded(count: int) -> int:
    return -(-count // PAD) * PAD


def _groups(count: int) -> int:
    return -(-count // GROUP) * GROUP
