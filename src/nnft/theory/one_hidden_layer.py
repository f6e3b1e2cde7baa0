"""Exact connected correlators of networks with one hidden layer of N independent neurons.

``phi(x) = b_0 + N**-1/2 sum_i w_i h_i(x)`` with symmetric readout weights: cumulants of order 2k are
proportional to N**(1-k) (Halverson, Maiti, Stoner, arXiv:2008.08601; Halverson, arXiv:2112.04527).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nnft.errors import UsageError
from nnft.theory.activations import Activation, Array
from nnft.theory.cumulants import set_partitions
from nnft.theory.product_averages import product_average

NeuronMoment = Callable[[tuple[int, ...]], float]


@dataclass(frozen=True)
class Readout:
    """Law of the readout weights w_i and of the output bias.

    Attributes
    ----------
    width : int
        Number N of neurons.
    second, fourth, sixth : float
        Moments of w_i; odd ones vanish.
    bias_variance : float
        Variance of the output bias; it adds to the two-point function only.
    """

    width: int
    second: float
    fourth: float
    sixth: float
    bias_variance: float = 0.0

    @classmethod
    def gaussian(cls, width: int, variance: float, bias_variance: float = 0.0) -> Readout:
        """Normal weights of the given variance (before the factor 1/N)."""
        return cls(width, variance, 3.0 * variance**2, 15.0 * variance**3, bias_variance)


def connected_correlator(readout: Readout, moment: NeuronMoment, inputs: Sequence[int]) -> float:
    """Exact connected correlator of order 2, 4 or 6.

    Parameters
    ----------
    readout : Readout
        Law of the readout.
    moment : callable
        Average of h at the inputs of a tuple, for one neuron.
    inputs : sequence of int
        Input index of every field.

    Raises
    ------
    UsageError
        For other orders.

    Notes
    -----
    kappa_2k = N**(1-k) times the cumulant of w h for one neuron.
    """
    order = len(inputs)
    weights = {2: readout.second, 4: readout.fourth, 6: readout.sixth}
    if order not in weights:
        raise UsageError(f"order of connected correlator: got {order}; use 2, 4 or 6")
    total = 0.0
    for partition in set_partitions(tuple(range(order))):
        if any(len(block) % 2 for block in partition):
            continue
        term = float((-1) ** (len(partition) - 1) * math.factorial(len(partition) - 1))
        for block in partition:
            term *= weights[len(block)] * moment(tuple(inputs[i] for i in block))
        total += term
    scaled = total / float(readout.width) ** (order // 2 - 1)
    return scaled + readout.bias_variance if order == 2 else scaled


def mlp_moment(sigma: Activation, kernel: Array) -> NeuronMoment:
    """Neuron averages for h = sigma(z) with preactivation covariance `kernel`, shape (P, P)."""
    kernel = np.asarray(kernel, dtype=np.float64)

    def moment(inputs: tuple[int, ...]) -> float:
        return product_average(sigma, kernel[np.ix_(inputs, inputs)])

    return moment


def gauss_net_moment(points: Array, weight_variance: float, bias_variance: float) -> NeuronMoment:
    """Neuron averages of the Gauss-net, h = exp(w.x + b) / exp(s_b + s_W |x|**2 / d).

    Parameters
    ----------
    points : ndarray, shape (P, d)
        Inputs.
    weight_variance, bias_variance : float
        s_W (before the factor 1/d) and s_b. The two-point function is exp(-s_W |x - y|**2 / 2d):
        invariant under translations; the four-point function is not.
    """
    points = np.asarray(points, dtype=np.float64)
    covariance = bias_variance + weight_variance * (points @ points.T) / points.shape[1]

    def moment(inputs: tuple[int, ...]) -> float:
        block = covariance[np.ix_(inputs, inputs)]
        return math.exp(0.5 * float(np.sum(block)) - float(np.trace(block)))

    return moment
