"""Infinite-width kernels: the NNGP recursion and the frozen neural tangent kernel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nnft.errors import UsageError
from nnft.theory.activations import Array, activation
from nnft.theory.gaussian_averages import kernel_average


def first_layer_kernel(points: Array, weight_variance: float, bias_variance: float) -> Array:
    """Kernel of the first preactivation: C_b + C_W x_a . x_b / d, exact at every width.

    Parameters
    ----------
    points : ndarray, shape (P, d)
        Inputs.

    Returns
    -------
    ndarray, shape (P, P)
    """
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] == 0:
        raise UsageError(f"points are not a matrix: got shape {points.shape}; give (P, d) with d >= 1")
    gram = np.einsum("ai,bi->ab", points, points) / points.shape[1]
    return np.asarray(bias_variance + weight_variance * gram, dtype=np.float64)


def _check_layers(weight_variances: Sequence[float], bias_variances: Sequence[float]) -> None:
    if len(weight_variances) != len(bias_variances) or not weight_variances:
        raise UsageError(
            "one weight and one bias variance for each layer: "
            f"got {len(weight_variances)} and {len(bias_variances)}; give equal numbers, at least 1"
        )


def nngp_kernel(
    points: Array,
    activation_name: str,
    weight_variances: Sequence[float],
    bias_variances: Sequence[float],
    activation_parameters: tuple[float, ...] = (),
) -> list[Array]:
    """Kernels K^(l) of all layers in the limit of infinite width.

    ``K^(1) = C_b + C_W x.x/d`` and ``K^(l+1) = C_b + C_W <sigma sigma>_{K^(l)}``.

    Parameters
    ----------
    points : ndarray, shape (P, d)
        Inputs; repeated rows are allowed.
    activation_name : str
        Name of the activation, as in a run card.
    weight_variances, bias_variances : sequence of float
        C_W and C_b of the affine layers 1..L.
    activation_parameters : tuple of float, optional
        Parameters of the activation.

    Returns
    -------
    list of ndarray, shape (P, P)
        L kernels; entry l - 1 is the covariance of one preactivation of layer l.

    Raises
    ------
    UsageError
        If the numbers of variances differ or the activation is unknown.

    Notes
    -----
    Neal, *Bayesian Learning for Neural Networks* (1996); Williams, NIPS 1996; Lee et al., ICLR 2018.
    """
    _check_layers(weight_variances, bias_variances)
    sigma = activation(activation_name, activation_parameters)
    kernels = [first_layer_kernel(points, weight_variances[0], bias_variances[0])]
    for weight, bias in zip(weight_variances[1:], bias_variances[1:], strict=True):
        kernels.append(bias + weight * kernel_average(sigma, kernels[-1]))
    return kernels


def tangent_kernel(
    points: Array,
    activation_name: str,
    weight_variances: Sequence[float],
    bias_variances: Sequence[float],
    *,
    weight_rate: float,
    bias_rate: float,
    activation_parameters: tuple[float, ...] = (),
) -> list[Array]:
    """Frozen neural tangent kernels of all layers.

    ``Theta^(1) = lambda_b + lambda_W x.x/d`` and
    ``Theta^(l+1) = lambda_b + lambda_W <sigma sigma> + C_W <sigma' sigma'> Theta^(l)``.

    Parameters
    ----------
    weight_rate, bias_rate : float
        lambda_W (per 1/width) and lambda_b of every layer; the other parameters are as in `nngp_kernel`.

    Returns
    -------
    list of ndarray, shape (P, P)

    Notes
    -----
    Jacot, Gabriel, Hongler, NeurIPS 2018.
    """
    sigma = activation(activation_name, activation_parameters)
    kernels = nngp_kernel(points, activation_name, weight_variances, bias_variances, activation_parameters)
    tangents = [first_layer_kernel(points, weight_rate, bias_rate)]
    for kernel, weight in zip(kernels[:-1], weight_variances[1:], strict=True):
        frozen = bias_rate + weight_rate * kernel_average(sigma, kernel)
        tangents.append(frozen + weight * kernel_average(sigma, kernel, (1, 1)) * tangents[-1])
    return tangents
