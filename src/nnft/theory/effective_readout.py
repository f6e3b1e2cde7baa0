"""Effective variance of a trained readout, and three readings of it in the propagator of a network of
cosines.

Howard, Klinger, Maiti and Stapleton, SciPost Phys. Core 8, 027 (2025), arXiv:2405.17538, equations 86-90,
for readout and momenta independent after training, as they are not in a posterior: the exact law of the
readout given the momenta is in `readout_flow`. First order in 1 / N: Li and Sompolinsky, Phys. Rev. X 11,
031059 (2021).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nnft.errors import UsageError
from nnft.theory.activations import Array
from nnft.theory.cos_network import BallMomenta, CosNetwork
from nnft.theory.gaussian_process import as_targets, kernel_eigenvalues


@dataclass(frozen=True)
class EffectiveReadings:
    """Three readings of one factor of the propagator: reparametrisations of each other, not three effects.

    Renormalization of the readout turns ``sigma_a^2`` into ``ratio sigma_a^2`` if readout and momenta stay
    independent, and the propagator is multiplied by the ratio. Its pole stays at ``p^2 = -m^2`` and its
    support at ``|p| < Lambda``; each reading puts the factor elsewhere by a change of units.

    Attributes
    ----------
    ratio : float
        Effective over prior variance of the readout.
    prefactor : float
        First reading, of the field: the prefactor of ``1 / (p^2 + m^2)`` is multiplied by the ratio.
    field_factor : float
        The field is multiplied by the root of the ratio (arXiv:2405.17538, equation 88).
    momentum_factor, mass : float
        Second reading, of mass and momentum: prefactor as before, ``p -> p / ratio^(1/2)`` and
        ``m -> m / ratio^(1/2)`` (equation 89).
    cutoff : float
        Third reading, of the cutoff: ``vol -> vol / ratio``, ``Lambda -> Lambda ratio^(-1/d)`` (equation 90).
    """

    ratio: float
    prefactor: float
    field_factor: float
    momentum_factor: float
    mass: float
    cutoff: float


def effective_readings(network: CosNetwork, ratio: float) -> EffectiveReadings:
    """Readings of an effective readout variance that is `ratio` > 0 times the prior's.

    Raises
    ------
    UsageError
        If the ratio is not positive, or the momenta are not uniform in a ball.
    """
    prefactor, momenta = network.fourier_prefactor(), network.momenta
    if not ratio > 0.0 or not isinstance(momenta, BallMomenta):
        raise UsageError(f"ratio of readout variances: got {ratio}; give a number > 0")
    root = math.sqrt(ratio)
    return EffectiveReadings(
        ratio,
        ratio * prefactor,
        root,
        1.0 / root,
        momenta.mass / root,
        momenta.cutoff * ratio ** (-1.0 / momenta.dimension),
    )


def effective_variance_ratio(kernel: Array, targets: Array, ridge: float, width: int) -> float:
    """Mean square of a trained readout weight over the prior's, before resampling, to first order in 1/N.

    ``1 + (y A^-1 K A^-1 y - tr K A^-1) / N``, ``A = K + kappa``, the first term averaged over outputs.
    Exact for frozen features if K is the kernel of these features; with the kernel of infinite width the
    rest is O(1 / N^2). After resampling everything from the prior the ratio is 1.

    Parameters
    ----------
    kernel : ndarray, shape (P, P)
        Prior covariance K of the outputs at the training points.
    targets : ndarray, shape (P, D) or (P,)
        Targets.
    ridge : float
        Noise variance kappa > 0.
    width : int
        Number N of readout weights, one prior variance for all.

    Raises
    ------
    UsageError
        If shapes or numbers do not fit.
    """
    values, vectors = kernel_eigenvalues(kernel)
    if not ridge > 0.0 or width < 1:
        raise UsageError(f"effective readout variance: got ridge {ridge}, width {width}; give numbers > 0")
    rotated = vectors.T @ as_targets(targets, len(values))
    part = values / (values + ridge)
    learned = np.sum(part[:, None] * rotated**2 / (values + ridge)[:, None]) / rotated.shape[1]
    return 1.0 + (float(learned) - float(np.sum(part))) / width
