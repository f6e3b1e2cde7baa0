"""Ensembles of networks at initialization, with Gaussian weights and biases.

``collapsed`` draws the pre-activations of a layer given the conditional metric of the layer before:
for Gaussian weights they are independent over neurons with that covariance (Neal 1996; Roberts,
Yaida, Hanin 2022, section 4), so the joint law of all metrics on the input points is exact and no
weight is ever drawn. ``explicit`` draws every weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nnft._kernels import ensemble, insertion
from nnft._kernels.library import work_size
from nnft.errors import NumericalError, UsageError
from nnft.streams import stream_key

FloatArray = npt.NDArray[np.float64]

ACTIVATION_KINDS = {
    name: kind
    for kind, name in enumerate(
        (
            "linear", "relu", "leaky_relu", "tanh", "erf", "sin", "cos", "gelu", "silu",
            "softplus", "sigmoid", "quadratic", "exp",
        )
    )
}  # fmt: skip
EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23}


@dataclass(frozen=True)
class BlockRange:
    """Blocks that one call of the kernel works on.

    Attributes
    ----------
    first, count : int
        First block and number of blocks, at most one for each bin.
    block_size, networks : int
        Networks in a block (the last one may be short) and in the run.
    keep_from, keep_to : int
        Networks whose outputs are kept.
    """

    first: int
    count: int
    block_size: int
    networks: int
    keep_from: int = 0
    keep_to: int = 0


@dataclass(frozen=True)
class WeightedReadouts:
    """Readouts of one network, each with the weight exp(shift - V) of its outputs.

    Attributes
    ----------
    readouts, outputs : int
        Draws of the readout of a network, and outputs D of each.
    coefficients : ndarray of float64, shape (3, P)
        V is the sum over points of their products with r, r^2, r^3.
    total : bool
        Whether r is the sum of the squares of all outputs; else V is added up over the outputs.
    shift : float
    stages, bases : int
        Leading stages and bases of the program that are for every readout.
    strides : ndarray of int64, shape (bases,)
        How far the source of each of these bases moves from one readout to the next.
    """

    readouts: int
    outputs: int
    coefficients: FloatArray
    total: bool
    shift: float
    stages: int
    bases: int
    strides: npt.NDArray[np.int64]

    @property
    def extra_values(self) -> int:
        """Numbers behind the outputs of a network: weights, their sum, how many were cut."""
        return self.readouts + 2

    def packed(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], FloatArray, float]:
        """Return what the kernel takes."""
        numbers = [self.readouts, self.outputs, self.total, self.stages, self.bases]
        return np.array(numbers, dtype=np.int64), self.strides, self.coefficients, self.shift


@dataclass(frozen=True)
class Accumulation:
    """What a kernel does with each network: an accumulation program with the shift of its values.

    Attributes
    ----------
    stages : ndarray of int64, shape (n, 6)
    index : ndarray of int32
    bases : ndarray of int64, shape (m, 3)
        Rows (slot, source, count): where which values of a network go.
    shift : ndarray of float64
        Subtracted from a network's values.
    n_slots, bins : int
    weighted : WeightedReadouts, optional
    """

    stages: npt.NDArray[np.int64]
    index: npt.NDArray[np.int32]
    bases: npt.NDArray[np.int64]
    shift: FloatArray
    n_slots: int
    bins: int
    weighted: WeightedReadouts | None = None


class InitialEnsemble:
    """Networks of one specification, each named by its index.

    Parameters
    ----------
    points : ndarray of float64, shape (P, d)
    widths : sequence of int
        Hidden widths.
    activation : str
    activation_parameters : sequence of float
    weight_variances, bias_variances : sequence of float
        C_W and C_b of the L affine layers.
    outputs : int
        Outputs that are drawn where outputs are asked for.
    seed : int
    method : {'collapsed', 'explicit'}
    precision : {'float64', 'float32'}

    Raises
    ------
    UsageError
        If the activation, method or precision is unknown.
    NumericalError
        If the kernel of the first layer overflows.
    """

    def __init__(
        self,
        points: FloatArray,
        widths: Sequence[int],
        activation: str,
        activation_parameters: Sequence[float],
        weight_variances: Sequence[float],
        bias_variances: Sequence[float],
        outputs: int,
        seed: int,
        method: str,
        precision: str,
    ) -> None:
        if activation not in ACTIVATION_KINDS or (method, precision) not in ensemble.METHODS:
            raise UsageError(
                f"unknown ensemble: got {activation}, {method}, {precision}; "
                f"activations are {', '.join(ACTIVATION_KINDS)}"
            )
        self.n_points: int = len(points)
        dimension = points.shape[1]
        self.layers = len(widths) + 1
        self.outputs = outputs
        self.n_pairs = self.n_points * (self.n_points + 1) // 2
        self.method = ensemble.METHODS[method, precision]
        kernel = first_kernel(points, weight_variances[0], bias_variances[0])
        if not np.isfinite(kernel).all():
            raise NumericalError(
                "kernel of the first layer is not finite: got overflow; lower the scale of the inputs"
            )
        factor = ensemble.upper_factor(kernel, 8 * self.n_points * EPSILON[precision])
        parameters = np.zeros(4)
        parameters[: len(activation_parameters)] = activation_parameters
        key = np.array([stream_key(seed)], dtype=np.uint64).view(np.int64)[0]
        self.header = np.array(
            [self.layers, self.n_points, outputs, ACTIVATION_KINDS[activation], dimension, key, *widths],
            dtype=np.int64,
        )
        self.reals = np.concatenate(
            [
                parameters,
                np.asarray(weight_variances, dtype=np.float64),
                np.asarray(bias_variances, dtype=np.float64),
                kernel[np.triu_indices(self.n_points)],
                factor.ravel(),
                points.T.ravel(),
            ]
        )
        self.work_size = work_size(self.header)

    @property
    def n_values(self) -> int:
        """Numbers of one network: L*Q packed metrics, then D*P outputs."""
        return self.layers * self.n_pairs + self.outputs * self.n_points

    def values(self, first: int, count: int, draw: bool = False) -> FloatArray:
        """Return metrics and outputs of some networks, shape (count, L*Q + D*P).

        Parameters
        ----------
        first, count : int
            Networks first .. first+count-1.
        draw : bool
            Whether outputs are drawn; zeros otherwise.

        Raises
        ------
        NumericalError
            If a metric is not finite; names network and layer.
        """
        values = np.zeros((count, self.n_values))
        status = np.zeros(count, dtype=np.int64)
        ensemble.sample_values(
            self.method, (self.header, self.reals), first, self.work_size, draw, values, status
        )
        if status.any():
            worst = int(np.flatnonzero(status)[0])
            raise _not_finite(first + worst, int(status[worst]) >> 8)
        return values

    def metrics(self, first: int, count: int) -> FloatArray:
        """Return the packed conditional metrics, shape (count, L, Q); raises as `values`."""
        packed = self.values(first, count)[:, : self.layers * self.n_pairs]
        return packed.reshape(count, self.layers, self.n_pairs)

    def fields(self, first: int, count: int) -> FloatArray:
        """Return the outputs, shape (count, D, P); raises as `values`."""
        outputs = self.values(first, count, draw=True)[:, self.layers * self.n_pairs :]
        return outputs.reshape(count, self.outputs, self.n_points)

    def run_blocks(
        self, blocks: BlockRange, program: Accumulation, sums: FloatArray, fields: FloatArray, draw: bool
    ) -> None:
        """Add blocks of networks to the sums of their bins.

        Parameters
        ----------
        blocks : BlockRange
        program : Accumulation
        sums : ndarray of float64, shape (bins * n_sums,)
            Table after table (bins, size), added to in place.
        fields : ndarray of float64, shape (kept, D, P)
            Filled with the outputs of the kept networks of these blocks; with weighted readouts those of
            the first readout.
        draw : bool
            Whether the program needs outputs; weighted readouts always do.

        Raises
        ------
        NumericalError
            If a metric is not finite; the sums are then spoilt.
        """
        if blocks.count > program.bins:
            raise UsageError(f"too many blocks in a call: got {blocks.count}; use at most {program.bins}")
        failed = np.full(blocks.count, -1, dtype=np.int64)
        plan = np.array(
            [
                blocks.block_size, blocks.networks, draw, blocks.keep_from, blocks.keep_to,
                program.n_slots, self.work_size, program.bins,
            ],
            dtype=np.int64,
        )  # fmt: skip
        network = (self.header, self.reals)
        tables = (program.stages, program.index, program.bases, program.shift)
        if program.weighted is None:
            ensemble.run_blocks(self.method, network, blocks.first, plan, tables, sums, fields, failed)
        else:
            packed = program.weighted.packed()
            insertion.run_weighted_blocks(
                self.method, network, blocks.first, plan, tables, packed, sums, fields, failed
            )
        if (failed >= 0).any():
            self.values(int(failed[failed >= 0].min()), 1)


def lowest_energy(fields: FloatArray, coefficients: FloatArray, total: bool) -> float:
    """Return the smallest V of some outputs (rows, D, P); see `WeightedReadouts`. Added up in order."""
    return float(insertion.energies(fields, coefficients, total).min())


def first_kernel(points: FloatArray, weight_variance: float, bias_variance: float) -> FloatArray:
    """Return C_b + (C_W/d) x_a . x_b, shape (P, P), summed feature by feature in order."""
    kernel = np.zeros((len(points), len(points)))
    with np.errstate(over="ignore", invalid="ignore"):  # the caller refuses what is not finite
        for feature in points.T:
            kernel += np.multiply.outer(feature, feature)
    kernel *= weight_variance / points.shape[1]
    kernel += bias_variance
    return kernel


def _not_finite(network: int, layer: int) -> NumericalError:
    return NumericalError(
        f"conditional metric is not finite in network {network}, layer {layer}: got overflow; "
        "lower the weight variance, the depth or the scale of the inputs"
    )
