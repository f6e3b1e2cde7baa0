"""Exact statements about trained networks in thermal equilibrium, at every width.

The virial identity ``<theta_p dE/dtheta_p> = T`` holds for every parameter. For positively homogeneous
activations ``W_l . dE/dW_l`` has the same loss part in every layer, which balances their norms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nnft.errors import UsageError
from nnft.theory.activations import Array


def balanced_norms(norm: float, weights: int, others: Sequence[int]) -> tuple[float, ...]:
    """Mean squared norms of other layers from that of one layer: ``|W_l|^2 / v_l - n_l`` is common to all.

    Exact for linear and (leaky) ReLU networks without biases, any data and any widths.

    Parameters
    ----------
    norm : float
        ``<sum W^2> / v`` of one layer, v the prior variance of its weights.
    weights : int
        Number of weights of that layer.
    others : sequence of int
        Numbers of weights of the layers asked for.
    """
    return tuple(count + norm - weights for count in others)


def readout_force(norm: float, width: int, ridge: float) -> float:
    """Mean of ``sum_mu f (f - y)`` from that of ``norm = sum a^2 / v`` over the readout, any activation.

    ``ridge (N - norm)``: the virial identity of a readout of N weights without bias, scalar output.
    """
    return ridge * (width - norm)


@dataclass(frozen=True)
class ProductPosterior:
    """Posterior moments of the scalar network ``f(x) = a w x``.

    Attributes
    ----------
    mean, variance : float
        Of the product a w.
    mean_a2, mean_w2 : float
        Of the squares of the two weights.
    log_evidence : float
        Logarithm of the normalised density of the targets.
    """

    mean: float
    variance: float
    mean_a2: float
    mean_w2: float
    log_evidence: float


def product_posterior(
    inputs: Array, targets: Array, ridge: float, readout_variance: float, weight_variance: float
) -> ProductPosterior:
    """Posterior of ``f(x) = a w x`` by integration over a; w is Gaussian given a.

    The integrand has its singularities at ``a = +-i sqrt(ridge / (v_w |x|^2))``, so the trapezoid rule
    with a step of a tenth of that distance is exact to rounding.

    Parameters
    ----------
    inputs, targets : ndarray, shape (P,)
        Inputs x and targets y.
    ridge : float
        Variance of the label noise, > 0.
    readout_variance, weight_variance : float
        Prior variances of a and w.

    Raises
    ------
    UsageError
        If a variance is not positive, or the ridge too small for a grid of ten million points.
    """
    x, y = np.asarray(inputs, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1 or not min(ridge, readout_variance, weight_variance) > 0.0:
        raise UsageError(
            f"scalar network: got shapes {x.shape}, {y.shape} and variances {ridge}, {readout_variance}, "
            f"{weight_variance}; give equal vectors and variances > 0"
        )
    signal = weight_variance * float(x @ x)
    deviation = float(np.sqrt(readout_variance))
    step = min(0.1 * np.sqrt(ridge / max(signal, np.finfo(np.float64).tiny)), 0.1 * deviation)
    if 40.0 * deviation > 1e7 * step:
        raise UsageError(f"ridge of a scalar network: got {ridge}; use a larger one")
    a = np.arange(-20.0 * deviation, 20.0 * deviation, step)
    total = ridge + signal * a**2  # eigenvalue of the covariance of y along x, given a
    overlap = float(x @ y)
    exponent = -0.5 * a**2 / readout_variance - 0.5 * np.log(total)
    exponent -= 0.5 * (float(y @ y) - weight_variance * a**2 * overlap**2 / total) / ridge
    weights = np.exp(exponent - np.max(exponent))
    norm = float(np.sum(weights))
    weights /= norm
    mean_w, variance_w = a * weight_variance * overlap / total, weight_variance * ridge / total
    mean = float(weights @ (a * mean_w))
    second = float(weights @ (a**2 * (mean_w**2 + variance_w)))
    constant = np.log(2.0 * np.pi) * (x.size + 1) + np.log(readout_variance) + (x.size - 1) * np.log(ridge)
    log_evidence = float(np.max(exponent) + np.log(norm * step) - 0.5 * constant)
    return ProductPosterior(
        mean, second - mean**2, float(weights @ a**2), float(weights @ (mean_w**2 + variance_w)), log_evidence
    )
