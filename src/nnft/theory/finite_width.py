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
from nnft.theory.kernel_fluctuations import KernelFluctuations
from nnft.theory.product_averages import pair_indices

POINT_LIMIT = 64
TENSOR_LIMIT = 12
BATCHES = 32
MOST_SAMPLES = 1 << 15
MOST_NUMBERS = 20_000_000
"""Components of fluctuations that are drawn unless told otherwise."""


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
    samples: int | None = None,
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
    samples : int, optional
        Draws of the fluctuations, in 32 batches; as many as take some seconds if not given.
    seed : int
        Key of their stream.

    Returns
    -------
    FiniteWidthShift

    Raises
    ------
    UsageError
        For more than 64 points, or shapes that do not fit.
    NumericalError
        If the kernel plus ridge is singular, or, for kinked activations of several hidden layers, if two
        inputs are parallel.
    """
    kernel = np.asarray(kernels[-1], dtype=np.float64)
    if len(kernel) > POINT_LIMIT:
        raise UsageError(
            f"joint points of a posterior at finite width: got {len(kernel)}; at most {POINT_LIMIT}"
        )
    y = as_targets(targets, np.shape(targets)[0])
    if not 1 <= len(y) <= len(kernel) or not 0 <= observe < y.shape[1]:
        raise UsageError(
            f"targets at finite width: got shape {y.shape} and output {observe} at {len(kernel)} points; "
            "give targets of the first points"
        )
    fluctuations = KernelFluctuations(sigma, kernels, widths, weight_variances, seed)
    averages = _Averages(_inverse(kernel, len(y), ridge), kernel, y, observe, frozen, asked)
    if samples is None:
        samples = min(MOST_SAMPLES, MOST_NUMBERS // len(kernel) ** 2)
    for drawn in fluctuations.draws(BATCHES, max(1, samples // BATCHES)):
        averages.add(drawn)
    return averages.result(fluctuations)


def _inverse(kernel: Array, points: int, ridge: float) -> Array:
    values, vectors = kernel_eigenvalues(kernel[:points, :points])
    shifted = values + ridge
    if shifted[0] <= points * np.finfo(np.float64).eps * shifted[-1]:
        raise NumericalError(
            f"kernel of the training points is singular: got smallest eigenvalue {shifted[0]:.3g} next to "
            f"{shifted[-1]:.3g}; use a larger ridge or drop repeated points"
        )
    return np.asarray((vectors / shifted) @ vectors.T)


class _Averages:
    """Averages over fluctuations, batch by batch."""

    def __init__(
        self, inverse: Array, kernel: Array, targets: Array, observe: int, frozen: bool, asked: slice
    ) -> None:
        points, outputs = targets.shape
        self._points, self._inverse, self._frozen = points, inverse, frozen
        solved = inverse @ targets
        self._alpha = solved[:, observe]
        self._evidence = 0.5 * (solved @ solved.T - outputs * inverse)
        self._response = np.eye(len(kernel))
        self._response[:, :points] -= kernel[:, :points] @ inverse
        rows = self._response[asked]
        self._rows = rows if len(rows) <= TENSOR_LIMIT else rows[:0]
        self._means: list[Array] = []
        self._covariances: list[Array] = []
        self._tensors: list[tuple[Array, Array]] = []
        self._below: list[list[Array]] = []

    def add(self, drawn: list[Array]) -> None:
        """Add a batch of fluctuations of layers 2..L."""
        delta, points = drawn[-1], self._points
        size, joint = delta.shape[:2]
        moved = delta[:, :, :points] @ self._alpha
        pressed = delta[:, :, :points] @ self._inverse
        flat = pressed.transpose(1, 0, 2).reshape(joint, -1)
        square = flat @ delta[:, :, :points].transpose(1, 0, 2).reshape(joint, -1).T / size
        mean = -square[:, :points] @ self._alpha
        covariance = moved.T @ moved / size - square
        if not self._frozen:
            weight = np.einsum("spq,pq->s", delta[:, :points, :points], self._evidence)
            mean += weight @ moved / size
            covariance += np.tensordot(weight, delta, axes=(0, 0)) / size
        self._means.append(self._response @ mean)
        self._covariances.append(self._response @ covariance @ self._response.T)
        self._tensors.append(self._cumulants(delta, moved))
        first, second = pair_indices(joint)
        packed = [layer[:, first, second] for layer in drawn[:-1]]
        self._below.append([layer.T @ layer / size for layer in packed])

    def _cumulants(self, delta: Array, moved: Array) -> tuple[Array, Array]:
        """Third and fourth cumulants of a batch at the points asked for."""
        size, count = len(delta), len(self._rows)
        inner = (self._rows @ delta @ self._rows.T).reshape(size, -1)
        shifted = moved @ self._rows.T
        third = (inner.T @ shifted / size).reshape((count,) * 3)
        third = third + third.transpose(0, 2, 1) + third.transpose(2, 1, 0)
        fourth = (inner.T @ inner / size).reshape((count,) * 4)
        return third, fourth + fourth.transpose(0, 2, 1, 3) + fourth.transpose(0, 2, 3, 1)

    def result(self, fluctuations: KernelFluctuations) -> FiniteWidthShift:
        """Return the means over the batches with their errors, and the change of the mean kernel."""
        below = [np.mean(layer, axis=0) for layer in zip(*self._below, strict=True)]
        change = fluctuations.correction(below)
        bent = self._response @ change
        shift = bent[:, : self._points] @ self._alpha
        means, covariances = np.array(self._means), np.array(self._covariances)
        tensors = [np.mean(parts, axis=0) for parts in zip(*self._tensors, strict=True)]
        present = len(self._rows) > 0
        root = np.sqrt(len(means))
        return FiniteWidthShift(
            mean=means.mean(axis=0) + shift,
            mean_error=means.std(axis=0, ddof=1) / root,
            covariance=covariances.mean(axis=0) + bent @ self._response.T,
            covariance_error=covariances.std(axis=0, ddof=1) / root,
            third=tensors[0] if present else None,
            fourth=tensors[1] if present else None,
        )


def packed_values(tensor: Array, indices: npt.NDArray[np.integer]) -> Array:
    """Return components (m,) of a tensor at points, shape (m, order)."""
    return np.asarray(tensor[tuple(indices.T)], dtype=np.float64)
