"""Infinite-width kernels of a trained run at all points that matter: training, input and test points."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

from nnft.analysis.cosines import cosine_kernel
from nnft.analysis.trained_run import TrainedRun
from nnft.errors import UsageError
from nnft.theory.activations import activation
from nnft.theory.gaussian_averages import kernel_average
from nnft.theory.nngp import first_layer_kernel, nngp_kernel
from nnft.theory.training_kernel import layer_rates, training_kernel

FloatArray = npt.NDArray[np.float64]

BY_QUADRATURE = ("tanh", "silu", "softplus", "sigmoid")
MOST_PAIRS = {True: 10_000, False: 2_000_000}
"""Pairs of points for which kernels are computed: averages by quadrature, and in closed form."""


class JointKernels:
    """Kernels at training points (M), then input points (E), then test points (Q).

    Parameters
    ----------
    trained : TrainedRun
    most_points : int, optional
        Test points are left out where there would be more points than this.

    Raises
    ------
    UsageError
        If there are too many points. Test points are left out before that.
    """

    def __init__(self, trained: TrainedRun, most_points: int | None = None) -> None:
        self.trained = trained
        self.train, self.mesh = len(trained.train_inputs), len(trained.run.points)
        self.test = len(trained.test_inputs)
        most, total = MOST_PAIRS[trained.activation[0] in BY_QUADRATURE], self.train + self.mesh
        if pairs(total + self.test) > most or total + self.test > (most_points or most):
            self.test = 0
        if pairs(total) > most:
            raise UsageError(
                f"too many points for infinite-width kernels: got {self.train} training and {self.mesh} "
                f"input points; at most {most} pairs"
            )
        self.points = np.concatenate(
            [trained.train_inputs, trained.run.points, trained.test_inputs[: self.test]]
        )

    @cached_property
    def layers(self) -> list[FloatArray]:
        """Kernels of all layers, each (J, J)."""
        name, parameters = self.trained.activation
        if self.trained.cosines is not None:
            kernel = cosine_kernel(self.trained.cosines, self.points)
            return [np.full_like(kernel, np.nan), kernel]
        return nngp_kernel(
            self.points, name, self.trained.weight_variances, self.trained.bias_variances, parameters
        )

    @property
    def prior(self) -> FloatArray:
        """Covariance of an output before training, shape (J, J)."""
        return self.layers[-1]

    @cached_property
    def rates(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Rates of weights and biases of every layer in the tangent kernel."""
        training, sizes = self.trained.training, self.trained.sizes
        return layer_rates(
            self.trained.widths, sizes[0], training["weight_mobilities"], training["bias_mobilities"]
        )

    @cached_property
    def tangent(self) -> FloatArray:
        """Tangent kernel of the layers that move, shape (J, J)."""
        trained, (weights, biases) = self.trained, self.rates
        name, parameters = trained.activation
        if trained.readout_only:
            return biases[-1] + weights[-1] * self.average
        return training_kernel(
            self.points, name, trained.weight_variances, trained.bias_variances, parameters, weights, biases
        )

    @cached_property
    def average(self) -> FloatArray:
        """Average <sigma sigma> of the last hidden layer, or x.x/d without one, shape (J, J)."""
        if not self.trained.widths:
            return first_layer_kernel(self.points, 1.0, 0.0)
        if self.trained.cosines is not None:
            return np.asarray(self.prior / self.trained.weight_variances[-1])
        return kernel_average(activation(*self.trained.activation), self.layers[-2])

    def blocks(self, kernel: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the parts (M, M), (E + Q, M) and (E + Q, E + Q) of a kernel."""
        count = self.train
        return kernel[:count, :count], kernel[count:, :count], kernel[count:, count:]


def pairs(points: int) -> int:
    """Number of pairs of points, equal ones included."""
    return points * (points + 1) // 2
