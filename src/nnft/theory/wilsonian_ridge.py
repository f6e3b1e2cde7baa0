"""Wilsonian flow of the ridge: modes integrated out one after the other, from the smallest eigenvalue on.

A mode with ``P lambda_k`` below the running ridge is not learned. Integrating it out leaves the theory of
the other modes with a larger ridge, kappa -> kappa + lambda_k, and the target in it becomes label noise,
s^2 -> s^2 + y_k^2 (Howard, Jefferson, Maiti, Ringel, arXiv:2405.06008; Ringel et al., arXiv:2502.18553,
equations 2.40-2.45, which follow the mean predictor and hence the ridge alone; the noise is that of the
self-consistent theory at P lambda_k -> 0). A factor of order one for power laws, percents where a gap
separates learned from unlearned modes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nnft.errors import UsageError
from nnft.theory.activations import Array
from nnft.theory.averaged_predictor import NOTHING, Remainder, averaged_predictor
from nnft.theory.data_averages import Spectrum
from nnft.theory.equivalent_kernel import equivalent_kernel


@dataclass(frozen=True)
class RidgeFlow:
    """Flow of ridge and label noise through all levels of a spectrum.

    Levels are in order of decreasing eigenvalue. Entry i of `ridges` and `noises` belongs to the theory of
    levels 0..i-1, the others integrated out; entry M is the bare theory.

    Attributes
    ----------
    points, bare_ridge : float
        P and kappa.
    order : ndarray of int, shape (M,)
        Place of each level in the spectrum.
    eigenvalues, multiplicities : ndarray, shape (M,)
    ridges : ndarray, shape (M + 1,)
        ``kappa + sum_{j >= i} multiplicity_j lambda_j``, and the modes that are not listed.
    noises : ndarray, shape (M + 1,)
        ``s^2 + sum_{j >= i} y_j^2``.
    stop : int
        Number of levels that are kept: the smallest i with ``P lambda_i < ridges[i]``.
    """

    points: float
    bare_ridge: float
    order: npt.NDArray[np.intp]
    eigenvalues: Array
    multiplicities: Array
    ridges: Array
    noises: Array
    stop: int

    @property
    def ridge(self) -> float:
        """Ridge at the stopping mode."""
        return float(self.ridges[self.stop])

    @property
    def noise(self) -> float:
        """Label noise at the stopping mode."""
        return float(self.noises[self.stop])

    @property
    def kept_modes(self) -> float:
        """Number of modes that are kept."""
        return float(np.sum(self.multiplicities[: self.stop]))

    @property
    def resolved(self) -> Array:
        """``P lambda_i / ridges[i]`` of every level, shape (M,): integrated out below 1, kept above."""
        return self.points * self.eigenvalues / self.ridges[:-1]

    @property
    def starts_at_cutoff(self) -> bool:
        """Whether the mode of the smallest eigenvalue may be integrated out first: P lambda <= bare ridge.

        If not, as always without a ridge, the rule is a condition read from the side of the large
        eigenvalues, and no step of the flow near the cutoff is justified on its own.
        """
        return bool(self.points * self.eigenvalues[-1] <= self.ridges[-1])


def ridge_flow(spectrum: Spectrum, points: float, ridge: float, remainder: Remainder = NOTHING) -> RidgeFlow:
    """Flow of the ridge with its stopping rule.

    Parameters
    ----------
    spectrum : Spectrum
        Levels in any order; a degenerate level is integrated out as a whole, since the rule
        ``k* = min {k : P lambda_k < kappa + sum_{j >= k} lambda_j}`` never stops inside of one.
    points : float
        P > 0.
    ridge : float
        kappa >= 0.
    remainder : Remainder, optional
        Modes that were integrated out before.

    Raises
    ------
    UsageError
        If P or the ridge is out of range.
    """
    if not 0.0 < points < math.inf or not 0.0 <= ridge < math.inf:
        raise UsageError(f"flow of the ridge: got {points} points, ridge {ridge}; give P > 0, ridge >= 0")
    order = np.argsort(-spectrum.eigenvalues, kind="stable")
    values, counts = spectrum.eigenvalues[order], spectrum.multiplicities[order]
    ridges = _running(ridge + remainder.variance, counts * values)
    noises = _running(spectrum.noise_variance + remainder.power, spectrum.target_power[order])
    unresolved = points * values < ridges[:-1]
    stop = int(np.argmax(unresolved)) if unresolved.any() else len(values)
    return RidgeFlow(float(points), float(ridge), order, values, counts, ridges, noises, stop)


def _running(bare: float, steps: Array) -> Array:
    """Sums over all steps from a place to the end, small ones first, shape (M + 1,)."""
    return np.cumsum(np.concatenate([[bare], steps[::-1]]))[::-1]


@dataclass(frozen=True)
class RenormalisedRegression:
    """Regression with the modes that the flow keeps, at the ridge and the noise where it stopped.

    Attributes
    ----------
    effective_ridge : float
        Self-consistent ridge of the kept modes.
    learnability : ndarray, shape (M,)
        By the equivalent kernel; in the order of the spectrum, 0 for modes that were integrated out.
    equivalent_error : float
        Error on clean labels by the equivalent kernel of the kept modes.
    clean_error : float
        The same by the self-consistent theory of the kept modes.
    posterior_variance : float
        By the equivalent kernel, the modes that were integrated out with their prior variance.
    """

    effective_ridge: float
    learnability: Array
    equivalent_error: float
    clean_error: float
    posterior_variance: float


def renormalised_regression(spectrum: Spectrum, flow: RidgeFlow) -> RenormalisedRegression:
    """Solve the theory at the end of a flow.

    Parameters
    ----------
    spectrum : Spectrum
        That of the flow.
    flow : RidgeFlow
    """
    kept = flow.order[: flow.stop]
    learned = np.zeros(len(flow.order))
    bare = flow.bare_ridge
    gone = Remainder(flow.ridge - bare, max(flow.noise - spectrum.noise_variance, 0.0))
    if not len(kept):
        return RenormalisedRegression(flow.ridge, learned, gone.power, gone.power, gone.variance)
    arrays = (spectrum.eigenvalues[kept], spectrum.multiplicities[kept], spectrum.target_power[kept])
    rest = Spectrum(*arrays, spectrum.noise_variance)
    first = equivalent_kernel(rest, flow.points, bare, gone)
    full = averaged_predictor(rest, flow.points, bare, gone)
    learned[kept] = first.learnability
    return RenormalisedRegression(
        effective_ridge=full.effective_ridge,
        learnability=learned,
        equivalent_error=first.bias,
        clean_error=full.clean_error,
        posterior_variance=first.posterior_variance,
    )
