"""Fluctuations of the kernel of a network of finite width, drawn at leading order in 1/width.

Given the layers below, a kernel is a mean over the neurons of a layer. Every layer adds fluctuations of its
own, and those of the layer below are carried on by the derivatives of the kernel (Yaida, arXiv:1910.00019;
Roberts, Yaida, Hanin, *Principles of Deep Learning Theory*, chapter 4). Only second moments count at this
order, so that one neuron, scaled, stands for a layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    seed : int
        Key of the stream of random numbers (Philox).
    """

    def __init__(
        self,
        sigma: Activation,
        kernels: Sequence[Array],
        widths: Sequence[int],
        weight_variances: Sequence[float],
        seed: int = 0,
    ) -> None:
        self._sigma, self._kernels, self._seed = sigma, list(kernels), seed
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

    def draws(self, batches: int, size: int) -> Iterator[list[Array]]:
        """Yield batches of fluctuations of the kernels of layers 2..L, each (size, J, J)."""
        generator = np.random.Generator(np.random.Philox(key=self._seed))
        points = len(self._kernels[0])
        for _ in range(batches):
            found: list[Array] = []
            for layer in self._layers:
                values = self._sigma(generator.standard_normal((size, points)) @ layer.root.T)
                fresh = layer.scale * (values[:, :, None] * values[:, None, :] - layer.average)
                found.append(fresh + layer.carried(found[-1]) if found else fresh)
            yield found

    def correction(self, covariances: Sequence[Array]) -> Array:
        """Return the change of the mean of the last kernel, shape (J, J).

        Parameters
        ----------
        covariances : sequence of ndarray, shape (Q, Q)
            Covariances of the packed fluctuations of layers 2..L-1; empty with one hidden layer.

        Raises
        ------
        NumericalError
            For kinked activations at parallel inputs and two hidden layers or more.
        """
        change = np.zeros_like(self._kernels[-1])
        first, second = pair_indices(len(change))
        for layer, kernel, covariance in zip(self._layers[1:], self._kernels[1:], covariances, strict=False):
            bent = np.zeros_like(kernel)
            curved = 0.5 * layer.weight * pair_curvature(self._sigma, kernel, covariance)
            bent[first, second] = bent[second, first] = curved
            change = layer.carried(change) + bent
        return change
