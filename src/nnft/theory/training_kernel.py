"""Tangent kernel of networks whose layers are trained at rates of their own, at infinite width.

A parameter p with mobility m_p contributes ``m_p df/dtheta_p(x) df/dtheta_p(x')``; a frozen layer has
mobility zero. Jacot, Gabriel, Hongler, NeurIPS 2018 (arXiv:1806.07572); Lee et al., NeurIPS 2019
(arXiv:1902.06720), for layers with different rates.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nnft.errors import UsageError
from nnft.theory.activations import Array, activation
from nnft.theory.gaussian_averages import kernel_average
from nnft.theory.nngp import first_layer_kernel, nngp_kernel


def layer_rates(
    widths: Sequence[int],
    dimension: int,
    weight_mobilities: Sequence[float],
    bias_mobilities: Sequence[float],
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Rates of the layers in the tangent kernel, from the mobilities of their parameters.

    Parameters
    ----------
    widths : sequence of int
        Hidden widths n_1..n_(L-1).
    dimension : int
        Dimension n_0 of the inputs.
    weight_mobilities, bias_mobilities : sequence of float, length L
        Mobility of every weight and every bias of a layer, 0 where frozen or absent.

    Returns
    -------
    weight_rates, bias_rates : tuple of float, length L
        ``lambda_W = mobility * fan_in`` and ``lambda_b = mobility``.

    Raises
    ------
    UsageError
        If there is not one mobility of each kind for every layer, or one is negative.
    """
    fan_in = (dimension, *widths)
    for name, mobilities in (("weight", weight_mobilities), ("bias", bias_mobilities)):
        if len(mobilities) != len(fan_in) or any(m < 0.0 for m in mobilities):
            raise UsageError(
                f"{name} mobilities of {len(fan_in)} layers: got {list(mobilities)}; "
                "give one number >= 0 for every layer"
            )
    weights = tuple(float(m) * n for m, n in zip(weight_mobilities, fan_in, strict=True))
    return weights, tuple(float(m) for m in bias_mobilities)


def training_kernel(
    points: Array,
    activation_name: str,
    weight_variances: Sequence[float],
    bias_variances: Sequence[float],
    parameters: tuple[float, ...],
    weight_rates: Sequence[float],
    bias_rates: Sequence[float],
) -> Array:
    """Tangent kernel of an output at infinite width, every layer with rates of its own.

    ``Theta^(1) = lambda_b^1 + lambda_W^1 x.x/d`` and
    ``Theta^(l+1) = lambda_b^(l+1) + lambda_W^(l+1) <sigma sigma> + C_W^(l+1) <sigma' sigma'> Theta^(l)``.

    Parameters
    ----------
    points : ndarray, shape (P, d)
        Inputs; repeated rows are allowed.
    activation_name : str
        Name of the activation, as in a run card.
    weight_variances, bias_variances : sequence of float, length L
        C_W and C_b of the affine layers.
    parameters : tuple of float
        Parameters of the activation; empty for its defaults.
    weight_rates, bias_rates : sequence of float, length L
        lambda_W and lambda_b of the affine layers; zero for a frozen layer.

    Returns
    -------
    ndarray, shape (P, P)

    Raises
    ------
    UsageError
        If the numbers of variances and rates differ, a rate is negative, or the activation is unknown.
    """
    layers = len(weight_variances)
    for name, rates in (("weight", weight_rates), ("bias", bias_rates)):
        if len(rates) != layers or any(rate < 0.0 for rate in rates):
            raise UsageError(
                f"{name} rates of {layers} layers: got {list(rates)}; give one number >= 0 for every layer"
            )
    sigma = activation(activation_name, parameters)
    kernels = nngp_kernel(points, activation_name, weight_variances, bias_variances, parameters)
    tangent = first_layer_kernel(points, weight_rates[0], bias_rates[0])
    for layer, kernel in enumerate(kernels[:-1], start=1):
        below = weight_variances[layer] * tangent
        tangent = np.full_like(kernel, bias_rates[layer])
        if weight_rates[layer] > 0.0:
            tangent = tangent + weight_rates[layer] * kernel_average(sigma, kernel)
        if np.any(below):
            tangent = tangent + kernel_average(sigma, kernel, (1, 1)) * below
    return tangent
