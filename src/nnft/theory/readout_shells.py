"""What a renormalised readout keeps, in which order, and what replaces the rest.

Coordinates of the readout are sloppy if their Fisher information lies below the cutoff, strictly: Howard,
Klinger, Maiti and Stapleton, SciPost Phys. Core 8, 027 (2025), arXiv:2405.17538, equations 53-54; the numbers
of that paper compare the information itself with the cutoff, not its square root.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve, cholesky, solve_triangular

from nnft.errors import NumericalError, UsageError
from nnft.theory.activations import Array
from nnft.theory.fisher import FisherModes
from nnft.theory.readout_training import LinearModel, WeightLaw
from nnft.theory.stochastic_descent import Moments


class FillKind(Enum):
    """What sloppy coordinates are drawn from."""

    PRIOR = "prior"
    ZERO = "zero"
    GAUSSIAN = "gaussian"
    CONDITIONAL = "conditional"


@dataclass(frozen=True)
class Fill:
    """Law of the sloppy coordinates; use one of the constructors.

    Attributes
    ----------
    kind : FillKind
    variance : float or ndarray, shape (n,)
        Variance of every weight, of mean zero; of directions, what this law has for them.
    model : LinearModel or None
        Data and prior of a conditional fill.
    """

    kind: FillKind
    variance: float | Array = 0.0
    model: LinearModel | None = None

    @classmethod
    def prior(cls, variance: float | Array) -> Fill:
        """The prior of the weights."""
        return cls(FillKind.PRIOR, variance)

    @classmethod
    def zero(cls) -> Fill:
        """Zero: pruning."""
        return cls(FillKind.ZERO)

    @classmethod
    def gaussian(cls, variance: float) -> Fill:
        """A normal law of stated variance; it stands for the Jeffreys prior, here flat and improper."""
        return cls(FillKind.GAUSSIAN, variance)

    @classmethod
    def conditional(cls, model: LinearModel) -> Fill:
        """The posterior ``exp(-E / T)`` of the sloppy coordinates given the stiff ones.

        Then nothing is forgotten that data and stiff weights tell: a posterior does not change, and any other
        trained law flows to the posterior. Needs the temperature (noise variance) of the model.
        """
        if not model.temperature > 0.0:
            raise UsageError(f"conditional fill: got temperature {model.temperature}; give a posterior, > 0")
        return cls(FillKind.CONDITIONAL, 1.0, model)


@dataclass(frozen=True)
class Shells:
    """Coordinates of the weights, sloppiest first.

    Attributes
    ----------
    information : ndarray, shape (n,)
        Fisher information of every coordinate, ascending.
    order : ndarray of int, shape (n,)
        The weight of every coordinate, where coordinates are weights.
    basis : ndarray, shape (n, n), or None
        Coordinates in columns, where they are directions.
    """

    information: Array
    order: npt.NDArray[np.int64]
    basis: Array | None = None

    @classmethod
    def of_weights(cls, diagonal: Array) -> Shells:
        """Weights in the order of the diagonal of the Fisher information, shape (n,)."""
        values = np.asarray(diagonal, dtype=np.float64)
        order = np.argsort(values, kind="stable")
        return cls(values[order], order)

    @classmethod
    def of_modes(cls, modes: FisherModes) -> Shells:
        """Eigenvectors of the Fisher information, smallest eigenvalue first."""
        return cls(modes.values, np.arange(len(modes.values)), modes.vectors)

    def sloppy(self, cutoffs: Array) -> npt.NDArray[np.int64]:
        """Number of coordinates with ``I < cutoff`` at ascending cutoffs >= 0, infinity allowed.

        Raises
        ------
        UsageError
            If the cutoffs are negative or do not ascend.
        """
        scales = np.asarray(cutoffs, dtype=np.float64)
        ascend = scales.ndim == 1 and np.all(scales[1:] >= scales[:-1])
        if not ascend or scales.size == 0 or not scales[0] >= 0.0:
            raise UsageError(f"cutoffs of a flow: got {str(cutoffs)[:80]}; give ascending numbers >= 0")
        return np.searchsorted(self.information, scales, side="left")

    def columns(self, rows: Array) -> Array:
        """Rows over weights, shape (..., n), as rows over coordinates."""
        return np.asarray(rows[..., self.order] if self.basis is None else rows @ self.basis)

    def both(self, matrix: Array) -> Array:
        """A matrix between weights, shape (..., n, n), between coordinates."""
        if self.basis is None:
            return np.asarray(matrix[..., self.order[:, None], self.order])
        return np.asarray(np.swapaxes(self.columns(np.swapaxes(self.columns(matrix), -1, -2)), -1, -2))


@dataclass(frozen=True)
class SortedReadout:
    """A readout in coordinates that are renormalised one after another: the sloppiest first.

    The output is ``offset + features u``; stiff u keep the law, sloppy u are drawn from the fill.

    Attributes
    ----------
    features : ndarray, shape (E, n)
    mean : ndarray, shape (n, D)
    covariances : ndarray, shape (1 or D, n, n)
        Trained law of u; one covariance stands for all outputs.
    fill : ndarray, shape (), (n,) or (n, n)
        Variance, variances or covariance of the fill, of mean 0.
    offset : ndarray, shape (E, D)
    """

    features: Array
    mean: Array
    covariances: Array
    fill: Array
    offset: Array


def sorted_readout(features: Array, law: WeightLaw | Moments, shells: Shells, fill: Fill) -> SortedReadout:
    """Return the coordinates of a flow.

    Raises
    ------
    UsageError
        If the numbers of weights differ.
    NumericalError
        If the posterior of a conditional fill is singular to working precision.
    """
    phi, count = np.asarray(features, dtype=np.float64), len(shells.information)
    spread = law.covariance[None] if law.covariance.ndim == 2 else law.covariance
    if phi.ndim != 2 or phi.shape[1] != count or spread.shape[1:] != (count, count) or len(law.mean) != count:
        raise UsageError(
            f"flow of a readout: got features {phi.shape}, law of {len(law.mean)} weights and {count} "
            "coordinates; give the same number"
        )
    rows, mean, covariances = shells.columns(phi), shells.columns(law.mean.T).T, shells.both(spread)
    if fill.model is None:
        variance = np.asarray(fill.variance, dtype=np.float64)
        if variance.ndim == 1:
            variance = variance[shells.order] if shells.basis is None else shells.both(np.diag(variance))
        return SortedReadout(rows, mean, covariances, variance, np.zeros((len(phi), mean.shape[1])))
    return _whitened(rows, mean, covariances, shells, fill.model)


def _whitened(
    rows: Array, mean: Array, covariances: Array, shells: Shells, model: LinearModel
) -> SortedReadout:
    """Coordinates ``u = L^T (a - m)`` with the precision ``L L^T`` of the posterior and its mean m.

    The posterior of u is N(0, 1), and u of the stiff coordinates is a function of these alone, L being lower
    triangular and sloppy coordinates first. So the conditional fill draws the other u from N(0, 1).
    """
    precision = shells.both(model.hessian) / model.temperature
    force = shells.columns((model.features.T @ model.targets).T).T * (model.rate / model.temperature)
    try:
        lower = cholesky(precision, lower=True)
    except np.linalg.LinAlgError as error:
        raise NumericalError(
            f"precision of a conditional fill is singular: got temperature {model.temperature}; use a larger"
        ) from error
    centre = cho_solve((lower, True), force)
    white = solve_triangular(lower, rows.T, lower=True).T
    return SortedReadout(
        white, lower.T @ (mean - centre), lower.T @ covariances @ lower, np.ones(()), rows @ centre
    )
