"""Training of models linear in their weights: exact laws of the weights at every step.

With frozen hidden layers a network is ``f(x) = Phi(x) a``. All algorithms that add isotropic Gaussian
noise, or none, keep Gaussian laws Gaussian. Variables of unit mobility are used: a weight of mobility m
and prior variance v enters with the feature ``sqrt(m) phi`` and the prior variance ``v / m``.

Bishop, *Pattern Recognition and Machine Learning* (2006), 3.49-3.51; Lee et al., arXiv:1902.06720; for
the bias of the step: Welling and Teh, ICML 2011; Roberts and Tweedie, Bernoulli 2, 341 (1996).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nnft.errors import NumericalError, UsageError
from nnft.theory.activations import Array
from nnft.theory.gaussian_process import as_targets, half_square_loss, kernel_eigenvalues
from nnft.theory.relaxation import descent_factors, flow_factors


@dataclass(frozen=True)
class WeightLaw:
    """Gaussian law of the weights of a linear model.

    Attributes
    ----------
    mean : ndarray, shape (n, D)
        Mean of the weights of every output.
    covariance : ndarray, shape (n, n)
        Their covariance, the same for every output; outputs are independent.
    """

    mean: Array
    covariance: Array

    def outputs(self, features: Array) -> tuple[Array, Array]:
        """Mean, shape (E, D), and covariance, shape (E, E), of the outputs with these features (E, n)."""
        covariance = features @ self.covariance @ features.T
        return features @ self.mean, 0.5 * (covariance + covariance.T)


def square_root_features(kernel: Array) -> Array:
    """Features R, shape (P, P), with ``R R^T = kernel``: a linear model with the given kernel.

    Raises
    ------
    NumericalError
        If the kernel is not positive semidefinite.
    """
    values, vectors = kernel_eigenvalues(kernel)
    return np.asarray(vectors * np.sqrt(values), dtype=np.float64)


@dataclass(frozen=True)
class LinearModel:
    """A linear model with training data and energy ``rate/2 |Phi a - y|^2 + T/2 sum a^2 / v``.

    Attributes
    ----------
    features : ndarray, shape (P, n)
        Phi at the training points, everything included (the 1/sqrt(n) of a readout, mobilities).
    targets : ndarray, shape (P, D)
        Targets y.
    prior_variances : ndarray, shape (n,)
        Variances v of the weights before training and without data.
    rate : float
        Twice the factor c of the loss; 1 for half the sum of squares.
    temperature : float
        Temperature T; also sets the weight decay ``T / v``. 0: no decay.
    """

    features: Array
    targets: Array
    prior_variances: Array
    rate: float = 1.0
    temperature: float = 0.0

    def __post_init__(self) -> None:
        shape = np.shape(self.features)
        if len(shape) != 2 or shape[0] == 0 or np.shape(self.prior_variances) != shape[1:]:
            raise UsageError(
                f"linear model: got features {shape} and {np.shape(self.prior_variances)} prior variances; "
                "give (P, n) and (n,)"
            )
        if not self.rate > 0.0 or not self.temperature >= 0.0 or not np.all(self.prior_variances > 0.0):
            smallest = np.min(self.prior_variances, initial=np.inf)
            raise UsageError(
                f"linear model: got rate {self.rate}, temperature {self.temperature} and "
                f"prior variance {smallest}; give numbers > 0 (temperature >= 0)"
            )
        object.__setattr__(self, "targets", as_targets(self.targets, shape[0]))

    @cached_property
    def decay(self) -> Array:
        """Weight decay ``T / v`` of every weight, shape (n,)."""
        return np.asarray(self.temperature / self.prior_variances, dtype=np.float64)

    @cached_property
    def hessian(self) -> Array:
        """Hessian ``rate Phi^T Phi + diag(T / v)`` of the energy, shape (n, n)."""
        return np.asarray(self.rate * self.features.T @ self.features + np.diag(self.decay))

    @cached_property
    def modes(self) -> tuple[Array, Array]:
        """Eigenvalues (n,) and eigenvectors (n, n) of the Hessian."""
        return kernel_eigenvalues(self.hessian)

    @property
    def prior(self) -> WeightLaw:
        """Law before training."""
        weights, outputs = self.features.shape[1], self.targets.shape[1]
        return WeightLaw(np.zeros((weights, outputs)), np.diag(self.prior_variances))

    def starting_at(self, weights: Array) -> WeightLaw:
        """Law of weights that start at given values, shape (n, D) or (n,)."""
        count = self.features.shape[1]
        return WeightLaw(as_targets(weights, count), np.zeros((count, count)))

    def _evolved(
        self, decay: Array, gain: Array, noise: Array | float, start: WeightLaw | None
    ) -> WeightLaw:
        start, (_, vectors) = start or self.prior, self.modes
        force = self.rate * vectors.T @ (self.features.T @ self.targets)
        mean = vectors @ (decay[:, None] * (vectors.T @ start.mean) + gain[:, None] * force)
        inner = decay[:, None] * (vectors.T @ start.covariance @ vectors) * decay
        inner[np.diag_indices_from(inner)] += noise
        return WeightLaw(mean, vectors @ inner @ vectors.T)

    def flow(self, time: float, start: WeightLaw | None = None) -> WeightLaw:
        """Law after gradient flow for a time, from the prior unless another law is given."""
        return self._evolved(*flow_factors(self.modes[0], time), 0.0, start)

    def descent(self, steps: int, step: float, start: WeightLaw | None = None) -> WeightLaw:
        """Law after gradient descent, from the prior unless another law is given.

        Raises
        ------
        NumericalError
            If the descent diverges beyond the range of numbers.
        """
        return self._evolved(*descent_factors(self.modes[0], step, steps), 0.0, start)

    def diffusion(self, time: float, start: WeightLaw | None = None) -> WeightLaw:
        """Law after Langevin dynamics ``da = -grad E dt + sqrt(2 T) dB`` for a time."""
        _, doubled = flow_factors(self.modes[0], 2.0 * time)
        return self._evolved(*flow_factors(self.modes[0], time), self.temperature * doubled, start)

    def langevin(self, steps: int, step: float, start: WeightLaw | None = None) -> WeightLaw:
        """Law after steps of the unadjusted Langevin algorithm, exact at every step size.

        Raises
        ------
        NumericalError
            If the step is 2 / (largest eigenvalue of the Hessian) or larger.
        """
        self._stable(step)
        values = self.modes[0]
        _, doubled = descent_factors(values, step, 2 * steps)
        noise = 2.0 * self.temperature * doubled / (2.0 - step * values)
        return self._evolved(*descent_factors(values, step, steps), noise, start)

    def stationary(self, step: float = 0.0) -> WeightLaw:
        """Law that the unadjusted Langevin algorithm reaches: ``T H^-1 (1 - step H / 2)^-1``.

        Parameters
        ----------
        step : float
            Step; at 0 this is the exact posterior ``exp(-E / T)``.

        Raises
        ------
        NumericalError
            If the step is unstable, or the Hessian is singular to working precision.
        """
        self._stable(step)
        values, vectors = self.modes
        if values[0] <= values.size * np.finfo(np.float64).eps * values[-1]:
            raise NumericalError(
                f"Hessian of a linear model is singular: got smallest eigenvalue {values[0]:.3g}; "
                "use a larger temperature"
            )
        spread = self.temperature / (values * (1.0 - 0.5 * step * values))
        force = self.rate * vectors.T @ (self.features.T @ self.targets)
        return WeightLaw(vectors @ (force / values[:, None]), (vectors * spread) @ vectors.T)

    @property
    def posterior(self) -> WeightLaw:
        """Exact posterior ``exp(-E / T)``: the stationary law at step 0; raises what `stationary` raises."""
        return self.stationary()

    def _stable(self, step: float) -> None:
        if not 0.0 <= step * self.modes[0][-1] < 2.0:
            largest = 2.0 / float(self.modes[0][-1])
            raise NumericalError(f"Langevin step is unstable: got {step:.6g}; use one below {largest:.6g}")

    def loss(self, law: WeightLaw) -> float:
        """Mean of ``1/2 sum_{mu, i} (f - y)^2`` over a law of the weights; times `rate`: the loss."""
        variance = np.einsum("pi,ij,pj->p", self.features, law.covariance, self.features, optimize=True)
        return half_square_loss(self.features @ law.mean, variance, self.targets)

    def reduced(self, evaluation: Array) -> tuple[LinearModel, Array]:
        """Model of at most P + E weights for each prior variance with the same law of all outputs.

        Weights of one prior variance enter through the kernel of their features only, for every
        algorithm here that starts from the prior.

        Parameters
        ----------
        evaluation : ndarray, shape (E, n)
            Features at the evaluation points.

        Returns
        -------
        model : LinearModel
        evaluation : ndarray, shape (E, n')
            Features of the new model at the evaluation points.
        """
        points, joint = len(self.features), np.concatenate([self.features, evaluation])
        blocks, variances = [], []
        for variance in np.unique(self.prior_variances):
            block = joint[:, self.prior_variances == variance]
            if block.shape[1] > block.shape[0]:
                block = square_root_features(block @ block.T)
            blocks.append(block)
            variances.append(np.full(block.shape[1], variance))
        features = np.concatenate(blocks, axis=1)
        model = LinearModel(
            features[:points], self.targets, np.concatenate(variances), self.rate, self.temperature
        )
        return model, features[points:]


