"""Networks whose readout is drawn from its exact posterior: no training, only kernels and linear algebra.

With frozen hidden layers, a Gaussian readout prior and a square loss the posterior of the outputs of a
network is Gaussian; its mean and covariance follow from the network's own kernel on training and evaluation
points. That kernel is the conditional metric of the last layer, which the sampler of random networks draws
without drawing a weight.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from nnft._kernels import conditioning
from nnft.errors import NumericalError
from nnft.pipeline.sample_adder import Adder
from nnft.pipeline.train_state import TrainingState
from nnft.samplers.networks import network_ensemble
from nnft.spec.plan import RunPlan
from nnft.spec.run import RunSpec
from nnft.streams import stream_key

FloatArray = npt.NDArray[np.float64]


class ExactPosterior:
    """Readout posteriors of the networks of a specification.

    Parameters
    ----------
    spec : RunSpec
    plan : RunPlan
        With a training by the algorithm "exact".
    """

    def __init__(self, spec: RunSpec, plan: RunPlan) -> None:
        data, network = spec.dataset(), spec.network
        self._plan = plan
        training = plan.training
        if training is None:
            raise ValueError("plan without a training")
        self._training = training
        self._all_targets = data.train_targets
        self._targets = np.ascontiguousarray(data.train_targets[:, training.observe])
        self._points = np.concatenate([data.train_inputs, spec.mesh().points])
        method = "explicit" if plan.method == "explicit" else "collapsed"
        self._ensemble = network_ensemble(network, self._points, 1, spec.ensemble.seed, method, "float64")

    @property
    def network_bytes(self) -> int:
        """Memory of one network: kernels of all layers on all points, its law, its draws."""
        points, mesh = len(self._points), self._plan.points
        pairs = points * (points + 1) // 2 * (self._plan.layers + 1)
        return 8 * (pairs + mesh + mesh * (mesh + 1) // 2 + self._training.draws * mesh)

    def laws(self, first: int, count: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return kernels (n, pairs of all points), means (n, E) and packed covariances (n, Q) of networks.

        Raises
        ------
        NumericalError
            The kernel plus ridge of a network is singular.
        """
        packed = np.ascontiguousarray(self._ensemble.metrics(first, count)[:, -1])
        points = self._plan.points
        mean, covariance = np.empty((count, points)), np.empty((count, points * (points + 1) // 2))
        status = np.zeros(count, dtype=np.int64)
        conditioning.condition_all(packed, self._targets, self._training.ridge, mean, covariance, status)
        if status.any():
            network = first + int(np.flatnonzero(status)[0])
            raise NumericalError(
                f"kernel plus ridge is not positive in network {network}: got a ridge of "
                f"{self._training.ridge:.3g}; raise training.ridge or training.temperature"
            )
        return packed, mean, covariance

    def train_errors(self, packed: FloatArray) -> FloatArray:
        """Return the posterior mean of (f - y)^2 per training point and output of every network, shape (n,).

        With A = (K + kappa)^-1 the sum over the points is kappa^2 |A y|^2 + kappa tr(K A), and
        tr(K A) = P - kappa tr A; outputs are independent, with one kernel.
        """
        from scipy.linalg.lapack import dpotrf, dpotri

        points, ridge = self._training.train_points, self._training.ridge
        total, outputs = len(self._points), self._all_targets.shape[1]
        starts = [a * total - a * (a - 1) // 2 for a in range(points)]
        rows = np.concatenate([np.arange(start, start + points - a) for a, start in enumerate(starts)])
        upper, diagonal = np.triu_indices(points), np.arange(points)
        errors = np.empty(len(packed))
        with threadpool_limits(limits=1, user_api="blas"):
            for m, pairs in enumerate(packed):
                inverse = np.zeros((points, points), order="F")
                inverse[upper] = pairs[rows]
                inverse[diagonal, diagonal] += ridge
                inverse, _ = dpotri(dpotrf(inverse, overwrite_a=True)[0], overwrite_c=True)
                trace = float(inverse.trace())
                inverse = np.triu(inverse) + np.triu(inverse, 1).T
                squares = float(np.sum((inverse @ self._all_targets) ** 2)) / outputs
                errors[m] = ridge * (ridge * squares + points - ridge * trace) / points
        return errors

    def add(self, engine: TrainingState, first: int, count: int) -> FloatArray:
        """Add networks to the sums of an engine; returns the kept draws (n, 1, P)."""
        plan, estimator = self._plan, engine.estimator
        packed, mean, covariance = self.laws(first, count)
        draws = np.empty((count, self._training.draws, plan.points))
        conditioning.posterior_draws(mean, covariance, self._key(engine), first, self._training.draws, draws)
        errors = self.train_errors(packed)
        if first == 0 and not engine.replaying:
            estimator.shift = mean[0].copy()
        adder = Adder(estimator.layout, estimator.shift, estimator.sums, plan.bins)
        size, per = plan.block_size, self._training.draws
        values = (
            np.concatenate([mean, covariance], axis=1)
            if engine.conditional
            else draws.reshape(-1, plan.points)
        )
        for start in range(0, count, size):
            chosen = np.arange(start, min(start + size, count))
            rows = chosen if engine.conditional else (chosen[:, None] * per + np.arange(per)).ravel()
            bin_index = (first + start) // size % plan.bins
            adder.add(values, rows, bin_index)
            estimator.counts[bin_index] += len(chosen)
            engine.equilibrium.push(0, bin_index, errors[chosen][:, None])
        adder.finish()
        kept = max(0, min(count, plan.fields_networks - first))
        return np.ascontiguousarray(draws[:kept, -1:, :])

    def _key(self, engine: TrainingState) -> int:
        return int(np.array([stream_key(engine.spec.ensemble.seed)], dtype=np.uint64).view(np.int64)[0])
