"""Information-shell renormalization of a readout: exact loss, mean and covariance of outputs at every cutoff.

Coordinates of the readout with information I < cutoff are *sloppy*: they are drawn anew from a fill law,
independent of the rest. The others, *stiff*, keep their trained law. With features phi, trained mean mu and
covariance Sigma, stiff K and sloppy R,

    E (f - y)^2 = (phi_K mu_K - y)^2 + phi_K Sigma_KK phi_K + phi_R F_RR phi_R,

F the covariance of the fill: exact for every law with these two moments. Howard, Klinger, Maiti and
Stapleton, SciPost Phys. Core 8, 027 (2025), arXiv:2405.17538, equations 53-56 and 74-76; Berman, Klinger and
Stapleton, Mach. Learn.: Sci. Technol. 4, 045011 (2023), arXiv:2305.10491.

The flow needs one product of the features with Sigma, E n^2 operations for E points and n weights, and then
E n operations for all cutoffs together. Memory: the features, four matrices (n, n), and (cutoffs, E, D).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from nnft.errors import UsageError
from nnft.theory.activations import Array
from nnft.theory.gaussian_process import as_targets
from nnft.theory.readout_shells import Fill, Shells, SortedReadout, sorted_readout
from nnft.theory.readout_training import WeightLaw
from nnft.theory.stochastic_descent import Moments

_POINTS = 512


@dataclass(frozen=True)
class FlowLoss:
    """Expected loss at each cutoff: the mean over points, the sum over outputs, of ``(f - y)^2``.

    Attributes
    ----------
    bias, kept, resampled : ndarray, shape (cutoffs,)
        Square of the mean error, variance that stiff coordinates keep, variance of the fill. A conditional
        fill shifts the mean too; there `kept` is the variance of the conditional mean.
    """

    bias: Array
    kept: Array
    resampled: Array

    @property
    def total(self) -> Array:
        """Expected loss, shape (cutoffs,)."""
        return self.bias + self.kept + self.resampled


@dataclass(frozen=True)
class ReadoutFlow:
    """Outputs of a renormalised readout, given its features.

    Attributes
    ----------
    cutoffs : ndarray, shape (cutoffs,)
    sloppy : ndarray of int, shape (cutoffs,)
        Number of sloppy coordinates.
    means : ndarray, shape (cutoffs, E, D)
        Means of the outputs.
    kept, resampled : ndarray, shape (cutoffs, E, D)
        The two parts of their variances, as in `FlowLoss`.
    """

    cutoffs: Array
    sloppy: npt.NDArray[np.int64]
    means: Array
    kept: Array
    resampled: Array

    @property
    def variances(self) -> Array:
        """Variances of the outputs, shape (cutoffs, E, D)."""
        return self.kept + self.resampled

    def part(self, points: slice) -> ReadoutFlow:
        """Return the flow at some of the points."""
        parts = (array[:, points] for array in (self.means, self.kept, self.resampled))
        return ReadoutFlow(self.cutoffs, self.sloppy, *parts)

    def loss(self, targets: Array) -> FlowLoss:
        """Expected loss against targets, shape (E, D) or (E,)."""
        error = self.means - as_targets(targets, self.means.shape[1])
        sums = [np.mean(np.sum(part, axis=2), axis=1) for part in (error**2, self.kept, self.resampled)]
        return FlowLoss(*sums)


def _from_stiff(segments: list[Array]) -> Array:
    """Sums of the segments beyond each cutoff, stiffest first; segments[0] lies below all cutoffs."""
    return np.cumsum(np.stack(segments[:0:-1]), axis=0)[::-1]


def _from_sloppy(segments: list[Array]) -> Array:
    """Sums of the segments below each cutoff."""
    return np.cumsum(np.stack(segments[:-1]), axis=0)


def _row_sums(values: Array, edges: list[int], accumulate: Callable[[list[Array]], Array]) -> Array:
    """Sums over coordinates of every row, at every cutoff: shape (cutoffs, rows)."""
    return accumulate([values[:, a:b].sum(axis=1) for a, b in pairwise(edges)])


def _halved(matrix: Array, upper: bool) -> Array:
    """A triangular matrix with the quadratic form of a symmetric one, so that it is a sum over its rows."""
    part = np.triu(matrix, 1) if upper else np.tril(matrix, -1)
    part *= 2.0
    part[np.diag_indices(len(matrix))] = np.diagonal(matrix)
    return np.asarray(part)


def readout_flow(
    features: Array, law: WeightLaw | Moments, shells: Shells, fill: Fill, cutoffs: Array
) -> ReadoutFlow:
    """Outputs of a readout at every cutoff, exact given the features.

    Parameters
    ----------
    features : ndarray, shape (E, n)
        Features at the evaluation points, everything included.
    law : WeightLaw or Moments
        First two moments of the trained weights (`readout_laws`).
    shells : Shells
        Order of the coordinates.
    fill : Fill
        Law of the sloppy ones.
    cutoffs : ndarray, shape (cutoffs,)
        Ascending; 0 keeps the trained law, infinity gives the fill law.

    Raises
    ------
    UsageError
        If shapes do not fit or the cutoffs do not ascend.
    """
    inner, sloppy = sorted_readout(features, law, shells, fill), shells.sloppy(cutoffs)
    edges = [0, *sloppy.tolist(), len(shells.information)]
    kept = [_halved(matrix, upper=True).T for matrix in inner.covariances]
    drawn = _halved(inner.fill, upper=False).T if np.ndim(inner.fill) == 2 else None
    parts: list[tuple[Array, Array, Array]] = []
    for first in range(0, max(len(inner.features), 1), _POINTS):
        rows = inner.features[first : first + _POINTS]
        means = [rows[:, a:b] @ inner.mean[a:b] for a, b in pairwise(edges)]
        stay = np.stack([_row_sums(rows * (rows @ matrix), edges, _from_stiff) for matrix in kept], axis=-1)
        fresh = rows * (rows @ drawn if drawn is not None else rows * inner.fill)
        parts.append((_from_stiff(means), stay, _row_sums(fresh, edges, _from_sloppy)))
    means_, stays, drawns = (np.concatenate(part, axis=1) for part in zip(*parts, strict=True))
    shape = means_.shape
    return ReadoutFlow(
        np.asarray(cutoffs, dtype=np.float64),
        sloppy,
        means_ + inner.offset,
        np.broadcast_to(np.maximum(stays, 0.0), shape).copy(),
        np.broadcast_to(np.maximum(drawns, 0.0)[..., None], shape).copy(),
    )


def flow_covariances(
    features: Array, law: WeightLaw | Moments, shells: Shells, fill: Fill, cutoffs: Array, output: int = 0
) -> Array:
    """Covariances of one output between points at every cutoff, shape (cutoffs, E, E).

    Parameters are those of `readout_flow`; few points, since E^2 numbers are kept for each cutoff. Work:
    E n^2 and (cutoffs + n) E^2.

    Raises
    ------
    UsageError
        If there is no such output, and as `readout_flow`.
    """
    inner, sloppy = sorted_readout(features, law, shells, fill), shells.sloppy(cutoffs)
    if not 0 <= output < inner.mean.shape[1]:
        raise UsageError(f"output of a flow: got {output}; give one of 0..{inner.mean.shape[1] - 1}")
    edges = [0, *sloppy.tolist(), len(shells.information)]
    kept = inner.covariances[output if len(inner.covariances) > 1 else 0]
    stay = [_added(inner.features, kept, slice(a, b), slice(b, None)) for a, b in pairwise(edges)]
    fresh = [_added_fill(inner, slice(a, b)) for a, b in pairwise(edges)]
    return _from_stiff(stay) + _from_sloppy(fresh)


def _added(rows: Array, matrix: Array, new: slice, old: slice) -> Array:
    """What new coordinates beside old ones add to a covariance of outputs."""
    own = rows[:, new] @ matrix[new, new] @ rows[:, new].T
    cross = rows[:, new] @ (matrix[new, old] @ rows[:, old].T)
    return np.asarray(0.5 * (own + own.T) + cross + cross.T)


def _added_fill(inner: SortedReadout, new: slice) -> Array:
    """What the fill of new coordinates beside those below them adds to a covariance of outputs."""
    if np.ndim(inner.fill) == 2:
        return _added(inner.features, inner.fill, new, slice(0, new.start))
    variances = np.broadcast_to(inner.fill, inner.features.shape[1:])[new]
    root = inner.features[:, new] * np.sqrt(variances)
    return np.asarray(root @ root.T)


def effective_variances(law: WeightLaw | Moments, shells: Shells, fill: Fill, cutoffs: Array) -> Array:
    """Mean square of a weight, ``(tr Sigma + |mu|^2) / n``, at every cutoff, shape (cutoffs, D).

    Its ratio to the prior variance is what the three readings of `cos_network` put in different places
    (arXiv:2405.17538, equations 86-90). Parameters are those of `readout_flow`; work n^3.
    """
    flow = readout_flow(np.eye(len(shells.information)), law, shells, fill, cutoffs)
    return np.asarray(np.mean(flow.means**2 + flow.variances, axis=1))
