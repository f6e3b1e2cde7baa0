"""Exact posterior of deep linear networks of any widths with one output.

Given the norms of the layers above, the first layer makes the output Gaussian: ``f | u ~ GP(0, u K)`` with
``u = prod_l chi2_{N_l} / N_l``. With a Gaussian likelihood the posterior is a mixture of Gaussian processes
over one number u, for every width, number of points and ridge (Li and Sompolinsky, PRX 11, 031059 (2021);
Hanin and Zlokapa, arXiv:2212.14457; Zavatone-Veth and Pehlevan, arXiv:2104.11734). The first layer may
have a bias, all others none; every layer is trained.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from nnft.errors import UsageError
from nnft.theory.activations import Array
from nnft.theory.product_averages import Indices
from nnft.theory.product_chi_square import check_widths, scale_quadrature
from nnft.theory.training_modes import TrainingModes

_CHUNK = 1 << 21
_NEGLIGIBLE = 1e-19


@dataclass(frozen=True)
class DeepLinearPosterior:
    """Posterior of a deep linear network as a mixture over the kernel scale u.

    Attributes
    ----------
    widths : tuple of int
        Hidden widths.
    modes : TrainingModes
        Training and evaluation points.
    scales, weights : ndarray, shape (G,)
        Nodes u and posterior weights, of sum 1.
    log_evidence : float
        Logarithm of the normalised density of the targets.
    """

    widths: tuple[int, ...]
    modes: TrainingModes
    scales: Array
    weights: Array
    log_evidence: float

    @property
    def scale_mean(self) -> float:
        """Posterior mean of u; for one hidden layer ``N u`` is the squared norm of the unit-scale readout."""
        return float(self.weights @ self.scales)

    @property
    def scale_variance(self) -> float:
        """Posterior variance of u."""
        return float(self.weights @ (self.scales - self.scale_mean) ** 2)

    @property
    def mean(self) -> Array:
        """Posterior mean at the evaluation points, shape (E,)."""
        return np.asarray(self.modes.cross @ (self.weights @ self._coefficients), dtype=np.float64)

    @property
    def covariance(self) -> Array:
        """Posterior covariance at the evaluation points, shape (E, E): the mean of that given u, and the
        covariance of the means given u."""
        modes = self.modes
        removed = self.weights @ modes.variance_coefficients(self.scales)
        centred = self._coefficients - self.weights @ self._coefficients
        spread = (centred * self.weights[:, None]).T @ centred - np.diag(removed)
        result = self.scale_mean * modes.test_kernel + modes.cross @ spread @ modes.cross.T
        return np.asarray(0.5 * (result + result.T), dtype=np.float64)

    @property
    def train_loss(self) -> float:
        """Posterior mean of ``1/2 sum_mu (f_mu - y_mu)^2``."""
        return float(self.weights @ self.modes.half_square_loss(self.scales))

    @property
    def norm_excess(self) -> float:
        """Mean of ``|W_l|^2 / C_W - n_l`` with unit-scale weights, n_l their number: equal for all layers.

        ``W_l . dL/dW_l`` is the same for every layer of a linear network, and its mean is fixed by the virial
        theorem: the excess is the mean of ``tr y y^T A^-1 u K A^-1 - tr u K A^-1``.
        """
        shifted = self.modes.shifted(self.scales)
        learned = (shifted - self.modes.ridge) / shifted
        return float(self.weights @ np.sum(learned * (self.modes.targets**2 / shifted - 1.0), axis=1))

    def weight_norms(self, input_dimension: int) -> tuple[float, ...]:
        """Mean of ``|W_l|^2 / (prior variance of a weight)`` of the layers 1..L, without any bias.

        Parameters
        ----------
        input_dimension : int
            d, for the number of weights of the first layer.
        """
        sizes = (input_dimension, *self.widths, 1)
        return tuple(n * m + self.norm_excess for n, m in itertools.pairwise(sizes))

    def correlator(self, inputs: ArrayLike) -> Array:
        """Connected correlators of the output at evaluation points.

        Parameters
        ----------
        inputs : array_like of int, shape (C, r)
            Evaluation points of C components of order r, 1 to 4.

        Returns
        -------
        ndarray, shape (C,)

        Raises
        ------
        UsageError
            For other orders or points that are not there.

        Notes
        -----
        Law of total cumulance of a Gaussian mixture: cumulants over u of means and covariances given u.
        """
        indices = np.atleast_2d(np.asarray(inputs, dtype=np.intp))
        points, order = len(self.modes.test_kernel), indices.shape[1]
        if order not in {1, 2, 3, 4}:
            raise UsageError(f"order of connected correlator: got {order}; use 1 to 4")
        if indices.size and (indices.min() < 0 or indices.max() >= points):
            raise UsageError(f"evaluation points of a correlator: got {indices.max()}; there are {points}")
        kept = self.weights > _NEGLIGIBLE * np.max(self.weights)
        mixture = _Mixture(self.modes, self.scales[kept], self.weights[kept])
        size = max(1, _CHUNK // len(self.scales))
        parts = [mixture.cumulant(indices[k : k + size]) for k in range(0, len(indices), size)]
        return np.concatenate(parts) if parts else np.empty(0)

    @property
    def _coefficients(self) -> Array:
        return self.modes.mean_coefficients(self.scales)


class _Mixture:
    """Cumulants over u of the means and covariances given u."""

    def __init__(self, modes: TrainingModes, scales: Array, weights: Array) -> None:
        self.modes, self.scales, self.weights = modes, scales, weights
        self.means = modes.mean_coefficients(scales) @ modes.cross.T
        self.average = weights @ self.means
        self.centred = self.means - self.average
        self.removed = modes.variance_coefficients(scales)

    def covariances(self, first: Indices, second: Indices) -> Array:
        """Covariance given u of pairs of points, shape (G, C)."""
        cross = self.modes.cross
        prior = np.multiply.outer(self.scales, self.modes.test_kernel[first, second])
        return np.asarray(prior - self.removed @ (cross[first] * cross[second]).T, dtype=np.float64)

    def cumulant(self, indices: Indices) -> Array:
        """Connected correlators of one order, shape (C,)."""
        order = indices.shape[1]
        m = [self.centred[:, indices[:, k]] for k in range(order)]
        if order == 1:
            return np.asarray(self.average[indices[:, 0]])
        pairs = list(itertools.combinations(range(order), 2))
        v = {pair: self.covariances(indices[:, pair[0]], indices[:, pair[1]]) for pair in pairs}
        mean = {pair: self.weights @ (m[pair[0]] * m[pair[1]]) for pair in pairs}
        if order == 2:
            return np.asarray(mean[0, 1] + self.weights @ v[0, 1])
        for pair in pairs:
            v[pair] -= self.weights @ v[pair]
        if order == 3:
            inner = m[0] * (m[1] * m[2] + v[1, 2]) + m[1] * v[0, 2] + m[2] * v[0, 1]
            return np.asarray(self.weights @ inner)
        inner = m[0] * m[1] * m[2] * m[3]
        result = np.zeros(len(indices))
        for a, b in pairs:
            c, d = (k for k in range(4) if k not in {a, b})
            inner = inner + m[a] * m[b] * v[c, d]
            if a == 0:
                inner = inner + v[a, b] * v[c, d]
                result -= mean[a, b] * mean[c, d]
        return np.asarray(result + self.weights @ inner)


def deep_linear_posterior(
    train_kernel: Array,
    cross_kernel: Array,
    test_kernel: Array,
    targets: Array,
    ridge: float,
    widths: Sequence[int],
) -> DeepLinearPosterior:
    """Exact posterior of a deep linear network with one output.

    Parameters
    ----------
    train_kernel : ndarray, shape (P, P)
        Infinite-width kernel K of the training points, ``prod_l C_W^(l) (C_b^(1) / C_W^(1) + x . x' / d)``.
    cross_kernel : ndarray, shape (E, P)
        The same between evaluation points (rows) and training points.
    test_kernel : ndarray, shape (E, E)
        The same at the evaluation points.
    targets : ndarray, shape (P,) or (P, 1)
        Targets of the one output.
    ridge : float
        Variance of the label noise, ``T / 2c`` for the loss ``c sum (f - y)^2`` at temperature T.
    widths : sequence of int
        Hidden widths N_1..N_{L-1}, any numbers from 1.

    Returns
    -------
    DeepLinearPosterior

    Raises
    ------
    UsageError
        If shapes or widths do not fit, or there are several outputs.
    NumericalError
        If the ridge is 0 and the kernel singular.
    """
    hidden = check_widths(widths)
    modes = TrainingModes.from_kernels(train_kernel, cross_kernel, test_kernel, targets, ridge)
    scales, log_weights = scale_quadrature(hidden, modes.log_likelihood)
    largest = float(np.max(log_weights))
    weights = np.exp(log_weights - largest)
    total = math.fsum(weights.tolist())
    return DeepLinearPosterior(hidden, modes, scales, weights / total, largest + math.log(total))
