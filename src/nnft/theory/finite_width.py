"""Posteriors of wide networks to first order in 1/width at many points, by averages over kernels.

With ``A = K + ridge``, ``alpha = A^-1 y``, ``R = 1 - K A^-1`` and ``S = alpha alpha^T - A^-1`` on the
training points, a kernel ``K + delta`` of mean ``K + G`` changes what is known after training by

* frozen hidden layers, each network with the posterior of its own kernel:
  ``mean = R (G alpha - <delta A^-1 delta> alpha)``, ``covariance = R (G + <delta S delta>) R^T``;
* all layers: networks weigh as the evidence of their kernel, which adds ``1/2 <tr(delta S) delta>`` to the
  bracket of the covariance, and the same times alpha to that of the mean.

The second case is that of `first_order_posterior` with the four-point function ``<delta delta>`` over three
pairings. Yaida, arXiv:1910.00019; Roberts, Yaida, Hanin, *Principles of Deep Learning Theory*, section 6.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nnft.errors import NumericalError, UsageError
from nnft.theory.activations import Activation, Array
from nnft.theory.gaussian_process import as_targets, kernel_eigenvalues
from nnft.theory.kernel_fluctuations import KernelFluctuations, PairMoments

POINT_LIMIT = 64
SHALLOW_POINT_LIMIT = 160
TENSOR_LIMIT = 12
BATCHES = 32
MOST_NEURONS = 1 << 17
MOST_CARRIED = 1 << 15
"""Draws of neurons of the last hidden layer, and of fluctuations of the layers below, with few points."""

NEURON_WORK = 400_000_000
CARRIED_WORK = 20_000_000
"""Components that are drawn at most."""


@dataclass(frozen=True)
class FiniteWidthShift:
    """First-order changes of a posterior at J points, the training points first.

    Attributes
    ----------
    mean, mean_error : ndarray, shape (J,)
        Change of the mean, and its statistical error.
    covariance, covariance_error : ndarray, shape (J, J)
        Change of the covariance, and its statistical error.
    third, fourth : ndarray or None, shapes (E, E, E) and (E, E, E, E)
        Connected correlators at the E points asked for; None for more than 12.
    """

    mean: Array
    mean_error: Array
    covariance: Array
    covariance_error: Array
    third: Array | None
    fourth: Array | None


def finite_width_shift(
    sigma: Activation,
    kernels: Sequence[Array],
    widths: Sequence[int],
    weight_variances: Sequence[float],
    targets: Array,
    ridge: float,
    *,
    frozen: bool,
    observe: int = 0,
    asked: slice = slice(0, 0),
    seed: int = 0,
) -> FiniteWidthShift:
    """Return the changes of a posterior at first order in 1/width.

    Parameters
    ----------
    sigma : Activation
        The activation.
    kernels : sequence of ndarray, shape (J, J)
        Infinite-width kernels of layers 1..L at P training points and others.
    widths : sequence of int
        Hidden widths, at least one.
    weight_variances : sequence of float
        C_W of layers 1..L.
    targets : ndarray, shape (P, D) or (P,)
        Targets of the D outputs.
    ridge : float
        Variance of the label noise, > 0.
    frozen : bool
        Whether the hidden layers keep the law that they have before training.
    observe : int
        The output that is asked for.
    asked : slice
        Joint points for `third` and `fourth`.
    seed : int
        Key of the stream that fluctuations are drawn from (Philox), in 32 batches for some seconds.

    Returns
    -------
    FiniteWidthShift

    Raises
    ------
    UsageError
        For more than 64 points, 160 with one hidden layer, or shapes that do not fit.
    NumericalError
        If the kernel plus ridge is singular, or, for kinked activations of several hidden layers, if two
        inputs are parallel.
    """
    kernel = np.asarray(kernels[-1], dtype=np.float64)
    most = SHALLOW_POINT_LIMIT if len(widths) == 1 else POINT_LIMIT
    if len(kernel) > most:
        raise UsageError(f"joint points of a posterior at finite width: got {len(kernel)}; at most {most}")
    y = as_targets(targets, np.shape(targets)[0])
    if not 1 <= len(y) <= len(kernel) or not 0 <= observe < y.shape[1]:
        raise UsageError(
            f"targets at finite width: got shape {y.shape} and output {observe} at {len(kernel)} points; "
            "give targets of the first points"
        )
    fluctuations = KernelFluctuations(sigma, kernels, widths, weight_variances)
    averages = _Averages(_inverse(kernel, len(y), ridge), kernel, y, observe, frozen, asked)
    generator = np.random.Generator(np.random.Philox(key=seed))
    size = _batch(MOST_NEURONS, NEURON_WORK, len(kernel))
    for _ in range(BATCHES):
        found = averages.of_neurons(fluctuations, generator, size)
        if len(widths) > 1:
            carried = fluctuations.carried(generator, _batch(MOST_CARRIED, CARRIED_WORK, len(kernel)))
            found = found.plus(averages.of_fluctuations(carried[-1]))
            averages.below.append([PairMoments.of(layer) for layer in carried[:-1]])
        averages.batches.append(found)
    return averages.result(fluctuations)


def _batch(most: int, work: int, points: int) -> int:
    """Draws of one batch."""
    return max(1, min(most, work // points**2) // BATCHES)


def _inverse(kernel: Array, points: int, ridge: float) -> Array:
    values, vectors = kernel_eigenvalues(kernel[:points, :points])
    shifted = values + ridge
    if shifted[0] <= points * np.finfo(np.float64).eps * shifted[-1]:
        raise NumericalError(
            f"kernel of the training points is singular: got smallest eigenvalue {shifted[0]:.3g} next to "
            f"{shifted[-1]:.3g}; use a larger ridge or drop repeated points"
        )
    return np.asarray((vectors / shifted) @ vectors.T)


@dataclass(frozen=True)
class _Batch:
    """Averages over some fluctuations: mean, covariance, third and fourth cumulant."""

    mean: Array
    covariance: Array
    third: Array
    fourth: Array

    def plus(self, other: _Batch) -> _Batch:
        """Return the averages over sums of independent fluctuations."""
        return _Batch(
            self.mean + other.mean,
            self.covariance + other.covariance,
            self.third + other.third,
            self.fourth + other.fourth,
        )


class _Averages:
    """Averages over fluctuations, batch by batch."""

    def __init__(
        self, inverse: Array, kernel: Array, targets: Array, observe: int, frozen: bool, asked: slice
    ) -> None:
        points, outputs = targets.shape
        self._points, self._inverse = points, inverse
        solved = inverse @ targets
        self._alpha = solved[:, observe]
        self._evidence = np.zeros_like(inverse)
        if not frozen:
            self._evidence = 0.5 * (solved @ solved.T - outputs * inverse)
        self._response = np.eye(len(kernel))
        self._response[:, :points] -= kernel[:, :points] @ inverse
        rows = self._response[asked]
        self._rows = rows if len(rows) <= TENSOR_LIMIT else rows[:0]
        self.batches: list[_Batch] = []
        self.below: list[list[PairMoments]] = []

    def of_neurons(
        self, fluctuations: KernelFluctuations, generator: np.random.Generator, size: int
    ) -> _Batch:
        """Averages over ``delta = scale (sigma sigma^T - M)``, neuron by neuron."""
        average, points, alpha = fluctuations.average, self._points, self._alpha
        values = fluctuations.neurons(generator, size)
        trained = values[:, :points]
        along = trained @ alpha
        pressed = np.einsum("sp,sp->s", trained @ self._inverse, trained)
        weight = np.einsum("sp,sp->s", trained @ self._evidence, trained)
        weight -= float(np.sum(self._evidence * average[:points, :points]))
        still = average[:, :points] @ self._inverse @ average[:points]
        moved = average[:, :points] @ alpha
        mean = ((weight - pressed) * along) @ values / size + still[:, :points] @ alpha
        covariance = (values * (along**2 - pressed + weight)[:, None]).T @ values / size
        covariance += still - np.outer(moved, moved)
        square = fluctuations.scale**2
        seen = values @ self._rows.T
        pairs = (seen[:, :, None] * seen[:, None, :]).reshape(size, -1)
        known = (self._rows @ average @ self._rows.T).ravel()
        third = pairs.T @ (seen * along[:, None]) / size - np.outer(known, self._rows @ moved)
        fourth = pairs.T @ pairs / size - np.outer(known, known)
        return self._batch(square * mean, square * covariance, square * third, square * fourth)

    def of_fluctuations(self, delta: Array) -> _Batch:
        """Averages over fluctuations that are given, shape (size, J, J)."""
        size, joint = delta.shape[:2]
        left = delta[:, :, : self._points]
        moved = left @ self._alpha
        flat = (left @ self._inverse).transpose(1, 0, 2).reshape(joint, -1)
        square = flat @ left.transpose(1, 0, 2).reshape(joint, -1).T / size
        weight = np.einsum("spq,pq->s", delta[:, : self._points, : self._points], self._evidence)
        mean = weight @ moved / size - square[:, : self._points] @ self._alpha
        covariance = moved.T @ moved / size - square + np.tensordot(weight, delta, axes=(0, 0)) / size
        inner = (self._rows @ delta @ self._rows.T).reshape(size, -1)
        third = inner.T @ (moved @ self._rows.T) / size
        return self._batch(mean, covariance, third, inner.T @ inner / size)

    def _batch(self, mean: Array, covariance: Array, third: Array, fourth: Array) -> _Batch:
        """Apply the response to brackets, and symmetrise cumulants over pairs (ab)c and (ab)(cd)."""
        count = len(self._rows)
        third, fourth = third.reshape((count,) * 3), fourth.reshape((count,) * 4)
        return _Batch(
            self._response @ mean,
            self._response @ covariance @ self._response.T,
            third + third.transpose(0, 2, 1) + third.transpose(2, 1, 0),
            fourth + fourth.transpose(0, 2, 1, 3) + fourth.transpose(0, 2, 3, 1),
        )

    def result(self, fluctuations: KernelFluctuations) -> FiniteWidthShift:
        """Return the means over the batches with their errors, and the change of the mean kernel."""
        below = [PairMoments.mean(layer) for layer in zip(*self.below, strict=True)]
        bent = self._response @ fluctuations.correction(below)
        shift = bent[:, : self._points] @ self._alpha
        parts = self.batches
        means = np.array([part.mean for part in parts])
        covariances = np.array([part.covariance for part in parts])
        present = len(self._rows) > 0
        root = np.sqrt(len(parts))
        return FiniteWidthShift(
            mean=means.mean(axis=0) + shift,
            mean_error=means.std(axis=0, ddof=1) / root,
            covariance=covariances.mean(axis=0) + bent @ self._response.T,
            covariance_error=covariances.std(axis=0, ddof=1) / root,
            third=np.mean([part.third for part in parts], axis=0) if present else None,
            fourth=np.mean([part.fourth for part in parts], axis=0) if present else None,
        )


def packed_values(tensor: Array, indices: npt.NDArray[np.integer]) -> Array:
    """Return components (m,) of a tensor at points, shape (m, order)."""
    return np.asarray(tensor[tuple(indices.T)], dtype=np.float64)
