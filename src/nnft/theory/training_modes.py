"""A training set in the eigenbasis of its kernel, for kernels ``u K`` of any scale u.

What a Gaussian process of covariance u K says about noisy targets is a sum over eigenmodes, cheap to
repeat for many u (Rasmussen and Williams, *Gaussian Processes for Machine Learning* (2006), section 2.2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nnft.errors import NumericalError, UsageError
from nnft.theory.activations import Array
from nnft.theory.gaussian_process import as_targets, kernel_eigenvalues


@dataclass(frozen=True)
class TrainingModes:
    """Eigenmodes of the kernel K of P training points, and E evaluation points.

    Attributes
    ----------
    eigenvalues : ndarray, shape (P,)
        Eigenvalues of K, ascending.
    targets : ndarray, shape (P,)
        Targets of the one output in the eigenbasis.
    cross : ndarray, shape (E, P)
        Covariances between evaluation points and modes.
    test_kernel : ndarray, shape (E, E)
        Prior covariance at the evaluation points, at u = 1.
    ridge : float
        Variance of the label noise.
    """

    eigenvalues: Array
    targets: Array
    cross: Array
    test_kernel: Array
    ridge: float

    @classmethod
    def from_kernels(
        cls, train_kernel: Array, cross_kernel: Array, test_kernel: Array, targets: Array, ridge: float
    ) -> TrainingModes:
        """Decompose the kernel; the arguments are those of `gaussian_process.posterior`.

        Raises
        ------
        UsageError
            If shapes do not fit, there are several outputs or the ridge is negative.
        NumericalError
            If the ridge is 0 and the kernel singular, or the kernel no covariance.
        """
        train, cross, test = (np.asarray(k, float) for k in (train_kernel, cross_kernel, test_kernel))
        p, e = len(train), len(test)
        if train.shape != (p, p) or test.shape != (e, e) or cross.shape != (e, p) or p == 0:
            raise UsageError(
                f"kernel blocks: got shapes {train.shape}, {cross.shape}, {test.shape}; "
                "give (P, P), (E, P), (E, E) with P >= 1"
            )
        y = as_targets(targets, p)
        if y.shape[1] != 1:
            raise UsageError(f"outputs at finite width: got {y.shape[1]} columns of targets; give one output")
        if not ridge >= 0.0 or not math.isfinite(ridge):
            raise UsageError(f"ridge of a regression: got {ridge}; give a finite number >= 0")
        values, vectors = kernel_eigenvalues(train)
        if ridge == 0.0 and values[0] <= p * np.finfo(np.float64).eps * values[-1]:
            raise NumericalError(
                f"kernel of the training points is singular: got smallest eigenvalue {values[0]:.3g} next to "
                f"{values[-1]:.3g}; use a ridge above 0 or drop repeated points"
            )
        if ridge == 0.0 and not np.any(y):
            raise NumericalError("targets without a ridge: got 0 everywhere; use a ridge above 0")
        return cls(values, vectors.T @ y[:, 0], cross @ vectors, 0.5 * (test + test.T), float(ridge))

    def shifted(self, scales: Array) -> Array:
        """Eigenvalues of ``A_u = u K + ridge`` for scales u of shape (G,), shape (G, P)."""
        return np.asarray(np.multiply.outer(scales, self.eigenvalues) + self.ridge, dtype=np.float64)

    def log_likelihood(self, scales: Array) -> Array:
        """Logarithm of the normal density of the targets with covariance A_u, shape (G,)."""
        shifted = self.shifted(scales)
        terms = np.log(2.0 * math.pi * shifted) + self.targets**2 / shifted
        return np.asarray(-0.5 * np.sum(terms, axis=1), dtype=np.float64)

    def half_square_loss(self, scales: Array) -> Array:
        """Mean of ``1/2 sum_mu (f_mu - y_mu)^2`` given u, shape (G,)."""
        shifted = self.shifted(scales)
        square = (self.ridge * self.targets / shifted) ** 2
        spread = self.ridge * (shifted - self.ridge) / shifted
        return np.asarray(0.5 * np.sum(square + spread, axis=1), dtype=np.float64)

    def mean_coefficients(self, scales: Array) -> Array:
        """``u A_u^-1 y`` in the eigenbasis, shape (G, P); the mean is ``cross`` times it."""
        return np.asarray(scales[:, None] * self.targets / self.shifted(scales), dtype=np.float64)

    def variance_coefficients(self, scales: Array) -> Array:
        """``u^2 A_u^-1``, shape (G, P): the covariance is ``u test_kernel - cross diag(.) cross^T``."""
        return np.asarray(scales[:, None] ** 2 / self.shifted(scales), dtype=np.float64)
