"""Infinite-width kernels of inputs of one norm, as functions of the cosine of their angle.

On a sphere the NNGP and the tangent kernel of a fully connected network of any depth depend on the inputs by
``t = x.x' / |x|^2`` alone. The recursions are those of `nngp` and `training_kernel` (Lee et al., ICLR 2018;
Jacot, Gabriel, Hongler, NeurIPS 2018), pair by pair instead of matrix by matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nnft.errors import NumericalError, UsageError
from nnft.theory.activations import Activation, Array, activation
from nnft.theory.gaussian_averages import pair_average


@dataclass(frozen=True)
class SphereNetwork:
    """A fully connected network of infinite width whose inputs have one norm.

    Attributes
    ----------
    activation : str
        Name, as in a run card.
    weight_variances, bias_variances : tuple of float, length L
        C_W and C_b of the affine layers.
    parameters : tuple of float
        Parameters of the activation.
    weight_rates, bias_rates : tuple of float, length L
        lambda_W and lambda_b of the tangent kernel, 0 where frozen. Empty: all weights of unit scale train
        at one rate, lambda_W = C_W and lambda_b = C_b.
    radius_square : float
        ``|x|^2 / d`` of the inputs, > 0.
    """

    activation: str
    weight_variances: tuple[float, ...]
    bias_variances: tuple[float, ...]
    parameters: tuple[float, ...] = ()
    weight_rates: tuple[float, ...] = ()
    bias_rates: tuple[float, ...] = ()
    radius_square: float = 1.0

    def __post_init__(self) -> None:
        layers = len(self.weight_variances)
        given = (self.bias_variances, self.weight_rates or self.weight_variances, self._rates[1])
        numbers = [*self.weight_variances, *(number for part in given for number in part)]
        if not layers or any(len(part) != layers for part in given) or any(not n >= 0.0 for n in numbers):
            raise UsageError(
                f"layers of a network on the sphere: got {layers} weight variances; "
                "give one variance and one rate >= 0 of each kind for every layer"
            )
        if not self.radius_square > 0.0:
            raise UsageError(
                f"squared norm of the inputs over d: got {self.radius_square}; give a number > 0"
            )

    @property
    def _rates(self) -> tuple[Sequence[float], Sequence[float]]:
        return self.weight_rates or self.weight_variances, self.bias_rates or self.bias_variances

    def nngp(self, cosine: Array) -> Array:
        """NNGP kernel k(t) of an output.

        Parameters
        ----------
        cosine : ndarray
            t from -1 to 1.

        Returns
        -------
        ndarray
            Same shape.

        Raises
        ------
        NumericalError
            If the kernel is not finite.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            return self._kernels(cosine)[0]

    def tangent(self, cosine: Array) -> Array:
        """Tangent kernel Theta(t) of an output; parameters and errors as for `nngp`."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self._kernels(cosine, tangent=True)[1]

    def _kernels(self, cosine: Array, tangent: bool = False) -> tuple[Array, Array]:
        t = np.asarray(cosine, dtype=np.float64)
        shape, t = t.shape, t.ravel()
        sigma = activation(self.activation, self.parameters)
        weights, biases = self._rates
        scale = self.radius_square
        variance = self.bias_variances[0] + self.weight_variances[0] * scale
        kernel = self.bias_variances[0] + self.weight_variances[0] * scale * t
        theta = biases[0] + weights[0] * scale * t
        for layer in range(1, len(self.weight_variances)):
            weight, bias = self.weight_variances[layer], self.bias_variances[layer]
            average, diagonal = _averages(sigma, variance, kernel, 0)
            if tangent:
                slopes = _averages(sigma, variance, kernel, 1)[0]
                theta = biases[layer] + weights[layer] * average + weight * slopes * theta
            variance, kernel = bias + weight * diagonal, bias + weight * average
        if not np.isfinite(kernel).all() or not np.isfinite(theta).all():
            raise NumericalError("kernel on the sphere is not finite: got infinity; lower the variances")
        return kernel.reshape(shape), theta.reshape(shape)


def _averages(sigma: Activation, variance: float, kernel: Array, order: int) -> tuple[Array, float]:
    """Averages of activations, or of slopes, for all covariances; and for equal inputs."""
    both = np.append(kernel, variance)
    equal = np.full_like(both, variance)
    found = pair_average(sigma, equal, both, equal, (order, order))
    return found[:-1], float(found[-1])
