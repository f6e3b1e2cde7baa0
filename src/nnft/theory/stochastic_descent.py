"""Stochastic gradient descent in linear models: exact first and second moments at every step.

A batch b moves ``v -> v - step gain sum_{mu in b} V_mu (Q_mu v - y_mu)``. With features Phi, v are the
weights, ``Q = Phi`` and ``V = Phi^T``. In function space v are the outputs at training and evaluation
points, Q picks the training points and V is the tangent kernel: exact for readouts, and at infinite
width for all layers. The outer products close on first and second moments: Bach and Moulines, NIPS 2013
(arXiv:1306.2119); Yaida, ICLR 2019 (arXiv:1810.00004).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nnft.errors import NumericalError, UsageError
from nnft.theory.activations import Array
from nnft.theory.gaussian_process import as_targets
from nnft.theory.normalisation import loss_factor
from nnft.theory.readout_training import WeightLaw


@dataclass(frozen=True)
class Moments:
    """First and second moments of weights or outputs over initial draws and batches.

    Attributes
    ----------
    mean : ndarray, shape (m, D)
        Means.
    covariance : ndarray, shape (D, m, m)
        Covariance of every output; their joint law is not Gaussian.
    """

    mean: Array
    covariance: Array


@dataclass(frozen=True)
class StochasticDescent:
    """A linear model trained on batches; see `of_features` and `of_kernels`.

    Attributes
    ----------
    read : ndarray, shape (P, m)
        Q: outputs at the training points as functions of the state.
    push : ndarray, shape (m, P)
        V: how the state answers to each training point.
    targets : ndarray, shape (P, D)
        Targets.
    mean : ndarray, shape (m, D)
        Mean of the state before training.
    covariance : ndarray, shape (m, m)
        Covariance of the state before training.
    decay : ndarray, shape (m,)
        Weight decay of the full energy. A batch takes the share of it that its loss has of the full loss on
        average: B / P of it for sums, all of it for means.
    """

    read: Array
    push: Array
    targets: Array
    mean: Array
    covariance: Array
    decay: Array

    @classmethod
    def of_features(
        cls, features: Array, targets: Array, start: WeightLaw, decay: Array | float = 0.0
    ) -> StochasticDescent:
        """Descent of the weights of a linear model from a given law; decay of each weight, or one for all."""
        features = np.asarray(features, dtype=np.float64)
        every = np.broadcast_to(np.asarray(decay, dtype=np.float64), features.shape[1:])
        y = as_targets(targets, len(features))
        return cls(features, features.T, y, start.mean, start.covariance, every)

    @classmethod
    def of_kernels(
        cls, kernel: Array, tangent: Array, targets: Array, decay: float = 0.0
    ) -> StochasticDescent:
        """Descent of outputs that start as N(0, kernel), at all points, training points first.

        Parameters
        ----------
        kernel, tangent : ndarray, shape (P + E, P + E)
            Covariance before training, and tangent kernel.
        targets : ndarray, shape (P, D) or (P,)
            Targets.
        decay : float
            Decay in function space, ``lambda_W T / C_W`` of a readout; 0 where hidden layers are trained.
        """
        count, points = len(kernel), np.shape(targets)[0]
        y = as_targets(targets, points)
        if np.shape(kernel) != (count, count) or np.shape(tangent) != (count, count) or points > count:
            raise UsageError(
                f"kernels of all points: got shapes {np.shape(kernel)} and {np.shape(tangent)} with {points} "
                "targets; give two (P + E, P + E), training points first, and P targets"
            )
        mean, every = np.zeros((count, y.shape[1])), np.full(count, float(decay))
        return cls(np.eye(points, count), np.asarray(tangent)[:, :points], y, mean, np.asarray(kernel), every)

    @property
    def start(self) -> Moments:
        """Moments before training."""
        return Moments(self.mean, np.repeat(self.covariance[None], self.targets.shape[1], axis=0))

    def loss(self, moments: Moments) -> float:
        """Mean of ``1/2 sum_{mu, i} (f - y)^2`` over the training points."""
        variances = np.einsum("pi,dij,pj->", self.read, moments.covariance, self.read, optimize=True)
        return float(0.5 * np.sum((self.read @ moments.mean - self.targets) ** 2) + 0.5 * variances)

    def random_batches(
        self, steps: Sequence[int], step: float, batch_size: int, loss: str = "half-sum"
    ) -> list[Moments]:
        """Moments after batches drawn with replacement, one result for every number of steps.

        Parameters
        ----------
        steps : sequence of int
            Increasing numbers of steps.
        step : float
            Learning rate.
        batch_size : int
            Points B in a batch, each drawn independently from the P training points.
        loss : str
            Word for the loss; sums run over the batch, means are means over the batch.

        Raises
        ------
        UsageError
            If the numbers of steps decrease or the batch is empty.
        NumericalError
            If the moments diverge beyond the range of numbers.
        """
        self._increasing(steps)
        moments, done, results = self.start, 0, []
        for target in steps:
            for _ in range(done, target):
                moments = self._random_step(moments, step, batch_size, loss)
            done = target
            self._check(moments, step)
            results.append(moments)
        return results

    def cyclic_epochs(
        self, epochs: Sequence[int], step: float, batch_size: int, loss: str = "half-sum"
    ) -> list[Moments]:
        """Moments after epochs of batches in the order of the data, the last batch of an epoch short.

        The map of an epoch is deterministic, so a Gaussian state stays Gaussian; parameters and errors are
        those of `random_batches`, with numbers of epochs for numbers of steps.
        """
        self._increasing(epochs)
        states, outputs = self.mean.shape
        matrix, shift = np.eye(states), np.zeros((states, outputs))
        for first in range(0, len(self.targets), batch_size):
            part = slice(first, first + batch_size)
            size, kept = self._sizes(step, len(self.targets[part]), loss)
            read, push = self.read[part], size * self.push[:, part]
            matrix = kept[:, None] * matrix - push @ (read @ matrix)
            shift = kept[:, None] * shift - push @ (read @ shift - self.targets[part])
        moments, done, results = self.start, 0, []
        for target in epochs:
            for _ in range(done, target):
                spread = matrix @ moments.covariance @ matrix.T
                moments = Moments(matrix @ moments.mean + shift, spread)
            done = target
            self._check(moments, step)
            results.append(moments)
        return results

    def _random_step(self, moments: Moments, step: float, batch_size: int, loss: str) -> Moments:
        points = len(self.targets)
        size, kept = self._sizes(step, batch_size, loss)
        drift = size * batch_size / points
        residual = self.read @ moments.mean - self.targets
        mean = kept[:, None] * moments.mean - drift * self.push @ residual
        covariances = np.empty_like(moments.covariance)
        for i, covariance in enumerate(moments.covariance):
            half = self.read @ covariance
            inner = half @ self.read.T
            second = inner + np.outer(residual[:, i], residual[:, i])
            noise = (np.diag(np.diagonal(second)) - second / points) * (size**2 * batch_size / points)
            update = self.push @ (0.5 * (drift**2 * inner + noise) @ self.push.T - drift * half * kept)
            covariances[i] = kept[:, None] * covariance * kept + update + update.T
        return Moments(mean, covariances)

    def _sizes(self, step: float, batch_size: int, loss: str) -> tuple[float, Array]:
        """Step times the gain of one point of a batch, and the factors 1 - step decay of the state."""
        points, factor = len(self.targets), loss_factor(loss, batch_size)
        share = factor * batch_size / (loss_factor(loss, points) * points)
        return 2.0 * step * factor, np.asarray(1.0 - step * share * self.decay, dtype=np.float64)

    @staticmethod
    def _increasing(steps: Sequence[int]) -> None:
        if list(steps) != sorted(steps) or min(steps, default=0) < 0:
            raise UsageError(f"numbers of steps: got {list(steps)}; give increasing numbers >= 0")

    @staticmethod
    def _check(moments: Moments, step: float) -> None:
        if not (np.all(np.isfinite(moments.mean)) and np.all(np.isfinite(moments.covariance))):
            raise NumericalError(f"stochastic descent diverges: got step {step:.6g}; use a smaller step")
