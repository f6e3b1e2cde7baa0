"""Information-shell renormalization at infinite width: Gaussian processes with a restricted kernel.

The information of a readout weight is that of its neuron, ``N I(w) = <phi(w.x)^2>_x / kappa``, so cutoffs
scale as 1 / N. With ``K> = sigma_a^2 <phi phi' 1[I(w) >= cutoff]>_w`` of the kept neurons and ``A = K +
kappa`` of all, the renormalised network is a Gaussian process with

    mean K>_* A^-1 y,    covariance K>_** + rho (K - K>)_** - K>_* A^-1 K>_*^T,

rho the variance of the fill in units of the prior's: 1 for the prior, 0 for zero. Kept weights keep their
posterior, in which the others took part, so A is not restricted. Infinite-width limit of Howard, Klinger,
Maiti and Stapleton, SciPost Phys. Core 8, 027 (2025), arXiv:2405.17538, equations 74-76, with the law of the
readout given its neurons; arcsine kernel: Williams, NIPS 1996.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.integrate import quad_vec

from nnft.errors import UsageError
from nnft.theory.activations import Array
from nnft.theory.gaussian_process import as_targets, posterior

_BATCH = 4096


@dataclass(frozen=True)
class RestrictedProcess:
    """Gaussian process of a renormalised network of infinite width.

    Attributes
    ----------
    mean : ndarray, shape (..., E, D)
        Mean of every output.
    covariance : ndarray, shape (..., E, E)
        Covariance of one output.
    """

    mean: Array
    covariance: Array

    def loss(self, targets: Array) -> Array:
        """Expected loss, shape (...): the mean over points, the sum over outputs, of ``(f - y)^2``."""
        error = np.mean(np.sum((self.mean - as_targets(targets, self.mean.shape[-2])) ** 2, -1), -1)
        variance = np.mean(np.diagonal(self.covariance, axis1=-2, axis2=-1), -1)
        return np.asarray(error + self.mean.shape[-1] * variance)


def restricted_process(
    kernel: Array, kept: Array, targets: Array, ridge: float, fill_ratio: float = 1.0
) -> RestrictedProcess:
    """Process of a network whose neurons are partly resampled.

    Parameters
    ----------
    kernel, kept : ndarray, shape (P + E, P + E)
        K of all neurons and K> of the kept ones, training points first.
    targets : ndarray, shape (P, D) or (P,)
        Targets.
    ridge : float
        Noise variance kappa.
    fill_ratio : float
        Variance of the fill over that of the prior, >= 0.

    Raises
    ------
    UsageError
        If shapes do not fit or the ratio is negative.
    NumericalError
        If K + kappa is singular on the training points.
    """
    full, part, p = np.asarray(kernel), np.asarray(kept), np.shape(targets)[0]
    if full.shape != part.shape or full.ndim != 2 or not fill_ratio >= 0.0:
        raise UsageError(
            f"restricted kernel: got shapes {full.shape} and {part.shape} and fill ratio {fill_ratio}; "
            "give two (P + E, P + E) and a ratio >= 0"
        )
    start = part[p:, p:] + fill_ratio * (full[p:, p:] - part[p:, p:])
    found = posterior(full[:p, :p], part[p:, :p], start, targets, ridge)
    return RestrictedProcess(found.mean, found.covariance)


def random_selection(
    kernel: Array, fraction: float, targets: Array, ridge: float, fill_ratio: float = 1.0
) -> RestrictedProcess:
    """Process after keeping a random fraction q of all neurons: ``K> = q K``; parameters as above."""
    if not 0.0 <= fraction <= 1.0:
        raise UsageError(f"kept fraction of neurons: got {fraction}; give one from 0 to 1")
    return restricted_process(kernel, fraction * np.asarray(kernel), targets, ridge, fill_ratio)


def erf_information(weights: Array, input_variance: float = 1.0) -> Array:
    """``N kappa I(w) = <erf(w x)^2>`` of a neuron with one input ``x ~ N(0, s)``: the arcsine of Williams.

    Parameters
    ----------
    weights : ndarray
        Hidden weights w, any shape.
    input_variance : float
        Variance s of the input.
    """
    q = 2.0 * input_variance * np.asarray(weights, dtype=np.float64) ** 2
    return np.asarray(2.0 / math.pi * np.arcsin(q / (1.0 + q)))


def erf_threshold(information: float, input_variance: float = 1.0) -> float:
    """Return |w| at which `erf_information` has a given value, the cutoff times N kappa; from 0 up to 1.

    Raises
    ------
    UsageError
        If the value is negative.
    """
    if not information >= 0.0:
        raise UsageError(f"information of a neuron: got {information}; give a number >= 0")
    if information >= 1.0:
        return math.inf
    sine = math.sin(0.5 * math.pi * information)
    return math.sqrt(sine / (2.0 * input_variance * (1.0 - sine)))


def one_dimensional_kernel(
    activation: Callable[[Array], Array],
    points: Array,
    threshold: float,
    *,
    weight_variance: float = 1.0,
    readout_variance: float = 1.0,
) -> Array:
    """Kernel of the neurons ``phi(w x)`` with ``|w| >= threshold``, ``w ~ N(0, weight_variance)``.

    Parameters
    ----------
    activation : callable
        Vectorised phi.
    points : ndarray, shape (n,)
        Inputs x.
    threshold : float
        Smallest kept |w|, >= 0; the information of neurons must grow with |w|. Infinity keeps none.
    weight_variance, readout_variance : float
        Variance of w and of the readout weights, sigma_a^2.

    Returns
    -------
    ndarray, shape (n, n)
        K>, to about 1e-12 of its largest entry. At threshold 0 this is K.
    """
    x, root = np.asarray(points, dtype=np.float64), math.sqrt(weight_variance)
    if x.ndim != 1 or not threshold >= 0.0:
        raise UsageError(f"kernel in one dimension: got {x.shape}, threshold {threshold}; give (n,), >= 0")
    upper = 39.0 * root  # the density beyond is below the smallest number
    if threshold >= upper:
        return np.zeros((len(x), len(x)))

    def both_tails(w: float) -> Array:
        right, left = activation(w * x), activation(-w * x)
        density = math.exp(-0.5 * (w / root) ** 2) / (root * math.sqrt(2.0 * math.pi))
        return np.asarray(density * (np.outer(right, right) + np.outer(left, left)))

    ends = [end for end in (0.5 * root, 2.0 * root, 6.0 * root, 12.0 * root) if end > threshold]
    total, _ = quad_vec(both_tails, threshold, upper, epsabs=1e-14, epsrel=1e-13, points=ends, norm="max")
    return np.asarray(readout_variance * total)


@dataclass(frozen=True)
class SampledFlow:
    """Flow of the process with neurons drawn at random, and its sampling errors.

    Attributes
    ----------
    cutoffs : ndarray, shape (cutoffs,)
        As given, in units of the given information.
    sloppy_fraction : ndarray, shape (cutoffs,)
        Fraction of neurons below each cutoff.
    process : RestrictedProcess
        Means (cutoffs, E, D) and covariances (cutoffs, E, E).
    errors : RestrictedProcess
        Standard errors of the same numbers, from leaving out groups of neurons.
    """

    cutoffs: Array
    sloppy_fraction: Array
    process: RestrictedProcess
    errors: RestrictedProcess


def sampled_flow(
    neurons: Array,
    information: Array,
    cutoffs: Array,
    targets: Array,
    ridge: float,
    *,
    readout_variance: float = 1.0,
    fill_ratio: float = 1.0,
    groups: int = 20,
) -> SampledFlow:
    """Flow at infinite width for any inputs, kernels averaged over a sample of neurons.

    Parameters
    ----------
    neurons : ndarray, shape (S, P + E)
        phi of every neuron at all points, training points first; hidden weights drawn independently from
        their law. Exact were this sample the law: covariances are positive, and cutoff 0 gives the posterior.
    information : ndarray, shape (S,)
        Information of every neuron, say ``N I``.
    cutoffs : ndarray, shape (cutoffs,)
        Ascending, in the units of the information.
    targets : ndarray, shape (P, D) or (P,)
        Targets.
    ridge : float
        Noise variance kappa.
    readout_variance, fill_ratio : float
        sigma_a^2, and the variance of the fill over it.
    groups : int
        Groups of neurons of a delete-one-group jackknife, >= 2. The bias of order 1 / S is not removed.

    Raises
    ------
    UsageError
        If shapes do not fit or the cutoffs do not ascend.
    """
    values, each = np.asarray(neurons, dtype=np.float64), np.asarray(information, dtype=np.float64)
    scales = np.asarray(cutoffs, dtype=np.float64)
    if values.ndim != 2 or each.shape != (len(values),) or not 2 <= groups <= len(values):
        raise UsageError(
            f"sample of neurons: got {values.shape} values, {each.shape} informations and {groups} groups; "
            "give (S, P + E), (S,) and 2..S"
        )
    if scales.ndim != 1 or scales.size == 0 or not np.all(scales[1:] >= scales[:-1]):
        raise UsageError(f"cutoffs of a flow: got {str(cutoffs)[:80]}; give ascending numbers")
    parts = np.array_split(np.arange(len(values)), groups)
    sums = np.stack([_kept_sums(values[part], each[part], scales) for part in parts])
    sizes = np.array([len(part) for part in parts])
    whole, size = sums.sum(axis=0), len(values)

    def flow(kernels: Array) -> tuple[Array, Array]:
        found = [restricted_process(kernels[0], kept, targets, ridge, fill_ratio) for kept in kernels[1:]]
        return np.stack([f.mean for f in found]), np.stack([f.covariance for f in found])

    estimate = flow(readout_variance * whole / size)
    left_out = [
        flow(readout_variance * (whole - one) / (size - count))
        for one, count in zip(sums, sizes, strict=True)
    ]
    errors = [math.sqrt(groups - 1) * np.std([found[k] for found in left_out], axis=0) for k in (0, 1)]
    fraction = np.searchsorted(np.sort(each), scales, side="left") / size
    return SampledFlow(scales, fraction, RestrictedProcess(*estimate), RestrictedProcess(*errors))


def _kept_sums(values: Array, information: Array, cutoffs: Array) -> Array:
    """Sums of ``phi phi^T`` over all neurons, then over the kept ones at each cutoff: (1 + cutoffs, n, n)."""
    order = np.argsort(information, kind="stable")
    counts = np.searchsorted(information[order], cutoffs, side="left")
    edges = [0, *counts.tolist(), len(values)]
    size = values.shape[1]
    shells = np.zeros((len(edges) - 1, size, size))
    for k, (first, last) in enumerate(pairwise(edges)):
        for start in range(first, last, _BATCH):
            rows = values[order[start : min(start + _BATCH, last)]]
            shells[k] += rows.T @ rows
    return np.asarray(np.cumsum(shells[::-1], axis=0)[::-1])
