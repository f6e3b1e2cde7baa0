"""Fluctuations of the kernel of a network of finite width, drawn at leading order in 1/width.

Given the layers below, a kernel is a mean over the neurons of a layer. Every layer adds fluctuations of its
own, and those of the layer below are carried on by the derivatives of the kernel (Yaida, arXiv:1910.00019;
Roberts, Yaida, Hanin, *Principles of Deep Learning Theory*, chapter 4). Only second moments count at this
order, so that one neuron, scaled, stands for a layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nnft.theory.activations import Activation, Array
from nnft.theory.gaussian_averages import kernel_average, pair_average
from nnft.theory.gaussian_derivatives import pair_curvature
from nnft.theory.gaussian_process import kernel_eigenvalues
from nnft.theory.product_averages import pair_indices
from nnft.theory.product_chi_square import check_widths


@dataclass(frozen=True)
class _Layer:
    """What carries fluctuations from one layer to the next.

    Attributes
    ----------
    root : ndarray, shape (J, J)
        Maps normal numbers to preactivations.
    average : ndarray, shape (J, J)
        <sigma sigma>.
    slopes, bends : ndarray, shape (J, J)
        <sigma' sigma'>, and <sigma''_a sigma_b> / 2.
    weight, scale : float
        C_W of the next layer, and C_W / sqrt(width).
    """

    root: Array
    average: Array
    slopes: Array
    bends: Array
    weight: float
    scale: float

    def carried(self, below: Array) -> Array:
        """Return changes of the next kernel, shape (.., J, J), that changes of this one make."""
        diagonal = np.diagonal(below, axis1=-2, axis2=-1)
        bent = self.bends * diagonal[..., :, None]
        return np.asarray(self.weight * (self.slopes * below + bent + bent.swapaxes(-1, -2)))


class KernelFluctuations:
    """Fluctuations of the last kernel of a fully connected network.

    Parameters
    ----------
    sigma : Activation
        The activation.
    kernels : sequence of ndarray, shape (J, J)
        Infinite-width kernels of layers 1..L, as `nngp.nngp_kernel` returns them.
    widths : sequence of int
        Hidden widths n_1..n_(L-1), at least one.
    weight_variances : sequence of float
        C_W of layers 1..L.
    """

    def __init__(
        self,
        sigma: Activation,
        kernels: Sequence[Array],
        widths: Sequence[int],
        weight_variances: Sequence[float],
    ) -> None:
        self._sigma, self._kernels = sigma, list(kernels)
        self._layers = [
            self._layer(kernel, width, weight)
            for kernel, width, weight in zip(
                kernels[:-1], check_widths(widths), weight_variances[1:], strict=True
            )
        ]

    def _layer(self, kernel: Array, width: int, weight: float) -> _Layer:
        sigma, diagonal = self._sigma, np.diagonal(kernel)
        values, vectors = kernel_eigenvalues(kernel)
        average = kernel_average(sigma, kernel)
        slopes = bends = np.zeros_like(kernel)
        if len(self._kernels) > 2:
            slopes = kernel_average(sigma, kernel, (1, 1))
            here, there = (np.broadcast_to(d, kernel.shape) for d in (diagonal[:, None], diagonal))
            bends = 0.5 * pair_average(sigma, here, kernel, there, (2, 0))
        return _Layer(vectors * np.sqrt(values), average, slopes, bends, weight, weight / np.sqrt(width))

    def neurons(self, generator: np.random.Generator, size: int) -> Array:
        """Return activations of neurons of the last hidden layer, shape (size, J)."""
        return self._neurons(self._layers[-1], generator, size)

    @property
    def scale(self) -> float:
        """C_W of the readout over the square root of the last width."""
        return self._layers[-1].scale

    @property
    def average(self) -> Array:
        """<sigma sigma> of the last hidden layer, shape (J, J)."""
        return self._layers[-1].average

    def carried(self, generator: np.random.Generator, size: int) -> list[Array]:
        """Return fluctuations of the kernels of layers 2..L-1, and what they make of layer L.

        Each has the shape (size, J, J). The last kernel has those of its own neurons,
        ``scale (sigma sigma^T - average)``, on top. Empty with one hidden layer.
        """
        found: list[Array] = []
        for layer in self._layers[:-1]:
            values = self._neurons(layer, generator, size)
            fresh = layer.scale * (values[:, :, None] * values[:, None, :] - layer.average)
            found.append(fresh + layer.carried(found[-1]) if found else fresh)
        return [*found, self._layers[-1].carried(found[-1])] if found else []

    def _neurons(self, layer: _Layer, generator: np.random.Generator, size: int) -> Array:
        return self._sigma(generator.standard_normal((size, len(layer.root))) @ layer.root.T)

    def correction(self, seconds: Sequence[PairMoments]) -> Array:
        """Return the change of the mean of the last kernel, shape (J, J).

        Parameters
        ----------
        seconds : sequence of PairMoments
            Of the fluctuations of layers 2..L-1; empty with one hidden layer.

        Raises
        ------
        NumericalError
            For kinked activations at parallel inputs and two hidden layers or more.
        """
        change = np.zeros_like(self._kernels[-1])
        first, second = pair_indices(len(change))
        for layer, kernel, moments in zip(self._layers[1:], self._kernels[1:-1], seconds, strict=True):
            bent = np.zeros_like(kernel)
            curved = 0.5 * layer.weight * pair_curvature(self._sigma, kernel, moments.tensor())
            bent[first, second] = bent[second, first] = curved
            change = layer.carried(change) + bent
        return change


@dataclass(frozen=True)
class PairMoments:
    """Second moments of fluctuations d of a kernel that share points.

    Attributes
    ----------
    diagonal, mixed, square : ndarray, shape (J, J)
        <d_aa d_bb>, <d_aa d_ab>, <d_ab d_ab>.
    """

    diagonal: Array
    mixed: Array
    square: Array

    @classmethod
    def of(cls, fluctuations: Array) -> PairMoments:
        """Return the moments of fluctuations, shape (size, J, J)."""
        size = len(fluctuations)
        along = np.diagonal(fluctuations, axis1=1, axis2=2)
        return cls(
            along.T @ along / size,
            np.einsum("sa,sab->ab", along, fluctuations) / size,
            np.einsum("sab,sab->ab", fluctuations, fluctuations) / size,
        )

    @classmethod
    def mean(cls, parts: Sequence[PairMoments]) -> PairMoments:
        """Return the mean of the moments of several batches."""
        names = ("diagonal", "mixed", "square")
        return cls(*(np.mean([getattr(part, name) for part in parts], axis=0) for name in names))

    def tensor(self) -> Array:
        """Return a matrix over packed pairs with these entries, and 0 where pairs share no point, (Q, Q)."""
        points = len(self.diagonal)
        first, second = pair_indices(points)
        packed = np.zeros((points, points), dtype=np.intp)
        packed[first, second] = packed[second, first] = np.arange(first.size)
        result = np.zeros((first.size, first.size))
        same, here, there = np.diagonal(packed), np.diagonal(packed)[first], np.diagonal(packed)[second]
        both = packed[first, second]
        result[both, both] = self.square[first, second]
        result[here, both] = result[both, here] = self.mixed[first, second]
        result[there, both] = result[both, there] = self.mixed[second, first]
        result[np.ix_(same, same)] = self.diagonal
        return result
