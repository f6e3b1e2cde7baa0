"""Four-point vertex, six-point vertex and kernel correction of a layer.

With n the width below, Cov(Ghat_ab, Ghat_cd) = V_(ab)(cd) / n, kappa_3(Ghat, Ghat, Ghat) = U / n**2 and
E Ghat = K + G1 / n + ... . At the second layer V and U are exact; deeper layers follow the recursions
at leading order in 1/n (Yaida, arXiv:1910.00019; Roberts, Yaida, Hanin, *Principles of Deep Learning
Theory*, chapter 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nnft.errors import UsageError
from nnft.theory.activations import Activation, Array
from nnft.theory.gaussian_averages import kernel_average
from nnft.theory.gaussian_derivatives import pair_curvature, pair_jacobian
from nnft.theory.product_averages import activation_cumulant, pair_indices, pair_product_average


@dataclass(frozen=True)
class LayerPrediction:
    """Leading-order prediction for one layer with P inputs and Q = P (P + 1) / 2 pairs.

    Attributes
    ----------
    kernel : ndarray, shape (P, P)
        Infinite-width kernel K.
    vertex : ndarray, shape (Q, Q)
        V over packed pairs, normalised by the width below.
    correction : ndarray, shape (P, P)
        G1, normalised by the width below.
    """

    kernel: Array
    vertex: Array
    correction: Array


def second_layer_vertex(sigma: Activation, first_kernel: Array, weight_variance: float) -> Array:
    """Exact vertex V of layer 2: C_W**2 times the covariance of sigma_a sigma_b and sigma_c sigma_d.

    Parameters
    ----------
    sigma : Activation
        The activation.
    first_kernel : ndarray, shape (P, P)
        Kernel of layer 1.
    weight_variance : float
        C_W of layer 2.

    Returns
    -------
    ndarray, shape (Q, Q)
        Over packed pairs; no corrections in 1/n.
    """
    first, second = pair_indices(first_kernel.shape[0])
    mean = kernel_average(sigma, first_kernel)[first, second]
    products = pair_product_average(sigma, np.asarray(first_kernel, dtype=np.float64))
    return weight_variance**2 * (products - np.outer(mean, mean))


def second_layer_sextic(
    sigma: Activation, first_kernel: Array, weight_variance: float, pairs: Sequence[tuple[int, int]]
) -> float:
    """Exact component U_(ab)(cd)(ef) of layer 2: C_W**3 kappa_3 of the products of activations.

    Parameters
    ----------
    pairs : three pairs of int
        The input pairs (a, b), (c, d), (e, f).
    """
    if len(pairs) != 3:
        raise UsageError(f"pairs of the six-point vertex: got {len(pairs)}; give 3")
    return weight_variance**3 * activation_cumulant(sigma, first_kernel, pairs)


def layer_predictions(
    sigma: Activation,
    first_kernel: Array,
    widths: Sequence[int],
    weight_variances: Sequence[float],
    bias_variances: Sequence[float],
) -> list[LayerPrediction]:
    """Kernel, vertex and kernel correction of all layers at leading order in 1/n.

    Parameters
    ----------
    sigma : Activation
        The activation.
    first_kernel : ndarray, shape (P, P)
        Kernel of layer 1.
    widths : sequence of int
        Hidden widths n_1..n_{L-1}.
    weight_variances, bias_variances : sequence of float
        C_W and C_b of the affine layers 1..L (the first of each is already in `first_kernel`).

    Returns
    -------
    list of LayerPrediction
        Layers 1..L; V of layer 2 and G1 = 0 of layers 1 and 2 are exact.

    Raises
    ------
    UsageError
        If the numbers of layers do not fit.
    """
    if len(weight_variances) != len(widths) + 1 or len(bias_variances) != len(widths) + 1:
        raise UsageError(
            f"variances of {len(widths) + 1} layers: got {len(weight_variances)} weight and "
            f"{len(bias_variances)} bias variances; give one of each for every layer"
        )
    kernel = np.asarray(first_kernel, dtype=np.float64)
    pairs = kernel.shape[0] * (kernel.shape[0] + 1) // 2
    layers = [LayerPrediction(kernel, np.zeros((pairs, pairs)), np.zeros_like(kernel))]
    for step in range(len(widths)):
        ratio = widths[step] / widths[step - 1] if step else 0.0
        layers.append(
            _next_layer(sigma, layers[-1], ratio, weight_variances[step + 1], bias_variances[step + 1])
        )
    return layers


def _next_layer(
    sigma: Activation, layer: LayerPrediction, ratio: float, weight: float, bias: float
) -> LayerPrediction:
    first, second = pair_indices(layer.kernel.shape[0])
    vertex = second_layer_vertex(sigma, layer.kernel, weight)
    correction = np.zeros_like(layer.kernel)
    if ratio > 0.0:
        jacobian = weight * pair_jacobian(sigma, layer.kernel)
        vertex = vertex + ratio * jacobian @ layer.vertex @ jacobian.T
        curvature = 0.5 * weight * pair_curvature(sigma, layer.kernel, layer.vertex)
        packed = ratio * (jacobian @ layer.correction[first, second] + curvature)
        correction[first, second] = correction[second, first] = packed
    kernel = bias + weight * kernel_average(sigma, layer.kernel)
    return LayerPrediction(kernel, 0.5 * (vertex + vertex.T), correction)
