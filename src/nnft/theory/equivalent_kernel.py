"""The equivalent kernel: regression averaged over training sets as P and the ridge grow together.

At P -> infinity with P / kappa fixed the average over the points leaves a Gaussian theory: the data term
becomes ``P/(2 kappa) int dmu (f - y)^2`` (Sollich, Williams, NIPS 2004; Cohen, Malka, Ringel, Phys. Rev.
Research 3, 023034 (2021); Ringel et al., arXiv:2502.18553, equations 2.24-2.28). Valid where the test error
is far below the ridge.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nnft.errors import UsageError
from nnft.theory.activations import Array
from nnft.theory.averaged_predictor import NOTHING, Remainder
from nnft.theory.data_averages import Spectrum


@dataclass(frozen=True)
class EquivalentKernel:
    """Equivalent kernel, mode by mode.

    Attributes
    ----------
    learnability : ndarray, shape (M,)
        ``lambda_k / (lambda_k + kappa / P)``, mean predictor over target.
    bias : float
        Squared error of the mean predictor on clean labels; at this order it does not depend on the data.
    variances : ndarray, shape (M,)
        Posterior variance of one mode of each level, ``lambda_k (kappa / P) / (lambda_k + kappa / P)``.
    posterior_variance : float
        Their sum over all modes: the variance averaged over the inputs.
    """

    learnability: Array
    bias: float
    variances: Array
    posterior_variance: float


def equivalent_kernel(
    spectrum: Spectrum, points: float, ridge: float, remainder: Remainder = NOTHING
) -> EquivalentKernel:
    """Equivalent kernel of a spectrum.

    Parameters
    ----------
    spectrum : Spectrum
        Kernel and target; the label noise does not enter at this order.
    points : float
        P > 0.
    ridge : float
        kappa >= 0; at 0 everything is learned.
    remainder : Remainder, optional
        Modes that are not listed; their variance is added to the ridge.

    Raises
    ------
    UsageError
        If P or the ridge is out of range.

    Notes
    -----
    Ringel et al., arXiv:2502.18553, equations 2.26-2.28.
    """
    if not 0.0 < points < math.inf or not 0.0 <= ridge < math.inf:
        raise UsageError(f"equivalent kernel: got {points} points, ridge {ridge}; give P > 0, ridge >= 0")
    level = (ridge + remainder.variance) / points
    rest = level / (spectrum.eigenvalues + level)
    variances = spectrum.eigenvalues * rest
    return EquivalentKernel(
        learnability=1.0 - rest,
        bias=float(spectrum.target_power @ rest**2) + remainder.power,
        variances=variances,
        posterior_variance=float(spectrum.multiplicities @ variances) + remainder.variance,
    )


@dataclass(frozen=True)
class FiniteMeasure:
    """Inputs that take J values.

    Attributes
    ----------
    weights : ndarray, shape (J,)
        Probabilities > 0 with sum 1.
    kernel : ndarray, shape (J, J)
        Positive semidefinite.
    target : ndarray, shape (J,)
    """

    weights: Array
    kernel: Array
    target: Array

    def __post_init__(self) -> None:
        weights, kernel, target = (
            np.asarray(a, dtype=np.float64) for a in (self.weights, self.kernel, self.target)
        )
        size = weights.size
        if weights.ndim != 1 or kernel.shape != (size, size) or target.shape != (size,) or not size:
            raise UsageError(
                f"measure on points: got shapes {weights.shape}, {kernel.shape}, {target.shape}; "
                "give (J,), (J, J), (J,)"
            )
        if np.any(weights <= 0.0) or abs(float(weights.sum()) - 1.0) > 1e-9:
            raise UsageError(f"weights of a measure: got sum {weights.sum():.6g}; give numbers > 0 of sum 1")
        for name, array in (("weights", weights), ("kernel", kernel), ("target", target)):
            object.__setattr__(self, name, array)

    def spectrum(self) -> Spectrum:
        """Return eigenvalues and target powers with respect to the measure; modes without variance left out.

        ``int dmu K phi = lambda phi`` is the eigenproblem of ``p^(1/2) K p^(1/2)``.
        """
        root = np.sqrt(self.weights)
        values, vectors = np.linalg.eigh(root[:, None] * self.kernel * root)
        power = (vectors.T @ (root * self.target)) ** 2
        kept = values > 1e-14 * values[-1]
        return Spectrum(values[kept][::-1], np.ones(int(kept.sum())), power[kept][::-1])


def equivalent_process(measure: FiniteMeasure, points: float, ridge: float) -> tuple[Array, Array]:
    """Mean and covariance of the equivalent kernel at the J points of a measure.

    ``V = (K^-1 + (P / kappa) diag p)^-1`` and ``mean = (P / kappa) V diag(p) y``.

    Parameters
    ----------
    measure : FiniteMeasure
    points : float
        P > 0.
    ridge : float
        kappa > 0.

    Returns
    -------
    mean : ndarray, shape (J,)
    covariance : ndarray, shape (J, J)

    Raises
    ------
    UsageError
        If P or the ridge is out of range.
    """
    if not 0.0 < points < math.inf or not 0.0 < ridge < math.inf:
        raise UsageError(f"equivalent kernel: got {points} points, ridge {ridge}; give both > 0")
    root = np.sqrt(points * measure.weights)
    inner = ridge * np.eye(root.size) + root[:, None] * measure.kernel * root
    cross = measure.kernel * root
    covariance = measure.kernel - cross @ np.linalg.solve(inner, cross.T)
    mean = cross @ np.linalg.solve(inner, root * measure.target)
    return mean, 0.5 * (covariance + covariance.T)
