"""Plain NumPy twins of the samplers: one network at a time, its layers spelled out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nnft._kernels.reference import activation_reference
from nnft._kernels.reference_random import NORMALS_PER_GROUP, Stream, normals_reference

FloatArray = npt.NDArray[np.float64]

EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23}
LANES = {"float64": 8, "float32": 16}
_WEIGHTS, _BIASES, _COLLAPSED, _READOUT = 1, 2, 3, 4


@dataclass(frozen=True)
class NetworkLaw:
    """A network as the samplers see it.

    Attributes
    ----------
    points : ndarray of float64, shape (P, d)
    widths : tuple of int
        Hidden widths.
    activation : str
    parameters : tuple of float
    weight_variances, bias_variances : tuple of float
        C_W and C_b of the L affine layers.
    outputs : int
    key : int
        Of the random streams.
    precision : {'float64', 'float32'}
    """

    points: FloatArray
    widths: tuple[int, ...]
    activation: str
    parameters: tuple[float, ...]
    weight_variances: tuple[float, ...]
    bias_variances: tuple[float, ...]
    outputs: int
    key: int
    precision: str

    @property
    def layers(self) -> int:
        """Number L of affine layers."""
        return len(self.widths) + 1

    def tolerance(self) -> float:
        """Pivots below this fraction of their diagonal entry are null."""
        return 8.0 * len(self.points) * EPSILON[self.precision]

    def first_metric(self) -> FloatArray:
        """Metric of layer 1, C_b + C_W x_a . x_b / d."""
        gram = np.zeros((len(self.points), len(self.points)))
        for feature in self.points.T:
            gram += np.outer(feature, feature)
        return np.asarray(self.bias_variances[0] + self.weight_variances[0] / self.points.shape[1] * gram)

    def activate(self, preactivations: FloatArray) -> FloatArray:
        """Apply the activation."""
        return activation_reference(self.activation, self.parameters, preactivations)

    def next_metric(self, layer: int, activations: FloatArray) -> FloatArray:
        """Metric of layer + 1 from the activations (n, P) of layer `layer`."""
        scale = self.weight_variances[layer] / len(activations)
        return self.bias_variances[layer] + scale * (activations.T @ activations)

    def normals(self, network: int, purpose: int, layer: int, count: int) -> FloatArray:
        """At least `count` normals of a stream of this network."""
        per_group = NORMALS_PER_GROUP[self.precision]
        stream = Stream(self.key, network, purpose << 12 | layer)
        return normals_reference(stream, 0, -(-count // per_group), self.precision)


def upper_factor_reference(kernel: FloatArray, tolerance: float) -> FloatArray:
    """Return U with U^T U = kernel, zero rows for null pivots, equal columns for equal points.

    Parameters
    ----------
    kernel : ndarray of float64, shape (P, P)
        Positive semidefinite.
    tolerance : float
        A pivot that is not above this times its diagonal entry of `kernel` is null.
    """
    rest = np.array(kernel, dtype=np.float64)
    factor = np.zeros_like(rest)
    limits = tolerance * np.diagonal(kernel)
    first = [next(a for a in range(b + 1) if _same_point(kernel, a, b)) for b in range(len(rest))]
    for k in range(len(rest)):
        if first[k] < k or not rest[k, k] > limits[k]:
            continue
        factor[k, k:] = rest[k, k:] * (1.0 / np.sqrt(rest[k, k]))
        for i in range(k + 1, len(rest)):
            rest[i, i:] -= factor[k, i] * factor[k, i:]
    return factor[:, first]


def _same_point(kernel: FloatArray, a: int, b: int) -> bool:
    """Whether two points have the same entries of the kernel."""
    return bool(kernel[a, a] == kernel[a, b] == kernel[b, b] and np.array_equal(kernel[a], kernel[b]))


def collapsed_layer_reference(law: NetworkLaw, network: int, layer: int, metric: FloatArray) -> FloatArray:
    """Return the metric of layer + 1 given that of `layer`.

    Neurons come in strips of one vector of n lanes; strip s, point a, lane i has normal number
    (s P + a) n + i of the layer's stream.
    """
    points, lanes, width = len(law.points), LANES[law.precision], law.widths[layer - 1]
    strips = -(-width // lanes)
    normals = law.normals(network, _COLLAPSED, layer, strips * points * lanes)
    xi = normals[: strips * points * lanes].reshape(strips, points, lanes)
    xi = xi.transpose(0, 2, 1).reshape(strips * lanes, points)[:width]
    factor = upper_factor_reference(metric, law.tolerance())
    return law.next_metric(layer, law.activate(xi @ factor))


def collapsed_network_reference(law: NetworkLaw, network: int) -> tuple[FloatArray, FloatArray]:
    """Return metrics (L, P, P) and outputs (D, P) of one network, sampled layer by layer."""
    metrics = [law.first_metric()]
    for layer in range(1, law.layers):
        metrics.append(collapsed_layer_reference(law, network, layer, metrics[-1]))
    return np.array(metrics), collapsed_outputs_reference(law, network, metrics[-1])


def collapsed_outputs_reference(law: NetworkLaw, network: int, metric: FloatArray) -> FloatArray:
    """Return the outputs (D, P) given the last metric; output i, point a has normal i P + a."""
    count = law.outputs * len(law.points)
    xi = law.normals(network, _READOUT, law.layers, count)[:count].reshape(law.outputs, -1)
    return np.asarray(xi @ upper_factor_reference(metric, law.tolerance()))


def explicit_network_reference(law: NetworkLaw, network: int) -> tuple[FloatArray, FloatArray]:
    """Return metrics (L, P, P) and outputs (D, P) of one network whose weights are all drawn.

    Row i of a weight matrix starts a new group of normals: with fan-in m and g normals in a group it
    has numbers i ceil(m/g) g and following of the layer's stream.
    """
    metrics = [law.first_metric()]
    activations = law.points.T
    for layer in range(1, law.layers + 1):
        fan_in = len(activations)
        count = law.widths[layer - 1] if layer < law.layers else law.outputs
        per_group = NORMALS_PER_GROUP[law.precision]
        stride = -(-fan_in // per_group) * per_group
        rows = law.normals(network, _WEIGHTS, layer, count * stride).reshape(count, stride)
        weights = np.sqrt(law.weight_variances[layer - 1] / fan_in) * rows[:, :fan_in]
        biases = np.sqrt(law.bias_variances[layer - 1]) * law.normals(network, _BIASES, layer, count)[:count]
        preactivations = weights @ activations + biases[:, None]
        if layer < law.layers:
            activations = law.activate(preactivations)
            metrics.append(law.next_metric(layer, activations))
    return np.array(metrics), preactivations
