"""Expected losses of a flow of readouts, exact given the features of each network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from nnft.analysis.renormalized_run import RenormalizedRun
from nnft.errors import UsageError
from nnft.pipeline.flow_setup import fisher_inputs
from nnft.pipeline.network_data import check_drawn, data_of_network
from nnft.pipeline.target import stored_dataset
from nnft.pipeline.train_setup import make_ensemble, resolved
from nnft.spec.cosines import CosineNetwork
from nnft.spec.flow_resolution import FlowResolution
from nnft.spec.plan import RunPlan, plan_run
from nnft.spec.run import RunSpec
from nnft.theory.activations import activation
from nnft.theory.cos_network import cosine_gains
from nnft.theory.fisher import fisher_diagonal, fisher_modes
from nnft.theory.readout_flow import readout_flow
from nnft.theory.readout_laws import cyclic_law, descent_law, posterior_law
from nnft.theory.readout_shells import Fill, Shells
from nnft.theory.readout_training import LinearModel, WeightLaw

FloatArray = npt.NDArray[np.float64]

ROUNDING = 1e-11
"""Spread of losses, over their size, that is none: sums of thousands of numbers in two orders."""


@dataclass(frozen=True)
class Expectation:
    """Measured losses and their exact expectations over the same networks.

    Attributes
    ----------
    networks : int
    measured, expected : ndarray of float64, shape (networks, C, 2)
        Training and test errors of every network; NaN without test points.
    """

    networks: int
    measured: FloatArray
    expected: FloatArray

    def rows(self) -> list[dict[str, float | None]]:
        """Return for every cutoff expected errors and pulls, ready for JSON; None where there is no error."""
        mean, pulls, same = self.expected.mean(axis=0), self.pulls(), self.measured.mean(axis=0)
        names = ("train", "test")
        return [
            {f"expected_{name}": _plain(mean[c, k]) for k, name in enumerate(names)}
            | {f"measured_{name}": _plain(same[c, k]) for k, name in enumerate(names)}
            | {f"pull_{name}": _plain(pulls[c, k]) for k, name in enumerate(names)}
            for c in range(len(mean))
        ]

    def pulls(self) -> FloatArray:
        """Return (mean of measured - expected) over its standard error over networks, shape (C, 2).

        NaN for a single network, and where losses differ from their expectations by rounding only: nothing
        is left to chance where all parameters are set to zero.
        """
        if self.networks < 2:
            return np.full(self.expected.shape[1:], np.nan)
        difference = self.measured - self.expected
        error = difference.std(axis=0, ddof=1) / np.sqrt(self.networks)
        random = error > ROUNDING * np.abs(self.expected).mean(axis=0)
        found = np.full(error.shape, np.nan)
        found[random] = difference.mean(axis=0)[random] / error[random]
        return found


def expected_losses(flow: RenormalizedRun, networks: int) -> Expectation:
    """Return expected losses of the first networks of a flow of readouts.

    Given its hidden layers the readout of a network has a law with known mean and covariance: after descent
    from the prior, or in the posterior. Averaging over it and over the fill leaves no noise but that of the
    measured losses.

    Parameters
    ----------
    flow : RenormalizedRun
        Of networks whose readout alone is trained and replaced.
    networks : int
        At most those whose losses the file keeps.

    Raises
    ------
    UsageError
        The law of the readout is not known in closed form, or all these networks diverged.
    """
    setup = _Setup(flow)
    count = min(networks, len(flow.kept_losses))
    numbers = [k for k in range(count) if not np.isnan(flow.kept_losses[k, 0, 0])]
    if not numbers:
        raise UsageError(
            f"no expected losses: got {count} networks, none of which is left; ask for more of them"
        )
    with threadpool_limits(limits=1, user_api="blas"):
        expected = np.stack([setup.losses(number) for number in numbers])
    return Expectation(len(numbers), flow.kept_losses[numbers], expected)


class _Setup:
    """What all networks of a flow have in common."""

    def __init__(self, flow: RenormalizedRun) -> None:
        stored = flow.run.stored
        data = stored_dataset(stored.training, str(stored.attributes.get("/training@data_source", "")))
        spec = RunSpec.from_text(
            stored.config["resolved"], points=stored.points, dataset=data, name=stored.path.name
        )
        check_drawn(stored, spec)
        self.spec, self.plan = spec, plan_run(spec)
        self.training = resolved(self.plan)
        self.resolved = check_expectation(spec, self.plan)
        self.cutoffs = flow.cutoffs
        self.ensemble = make_ensemble(spec, self.plan, 1, self.training.step or 1.0)
        self.data = spec.dataset()

    def losses(self, network: int) -> FloatArray:
        """Return expected training and test errors at every cutoff, shape (C, 2)."""
        self.data = data_of_network(self.spec, network)
        inputs = fisher_inputs(self.spec, self.resolved, network)
        hidden = self.ensemble.problem.layers(self.ensemble.start(network, 1).theta[0])[:-1]
        rates, variances = self._rates_and_variances()
        features = [
            self._features(hidden, points) * np.sqrt(rates)
            for points in (self.data.train_inputs, self.data.test_inputs, inputs)
        ]
        law = self._law(features[0], variances / rates)
        shells = self._shells(features[2])
        fill = self._fill(features[0], variances / rates)
        flow = readout_flow(np.concatenate(features[:2]), law, shells, fill, self.cutoffs)
        found = np.full((len(self.cutoffs), 2), np.nan)
        for column, part, targets in self._parts():
            if len(targets):
                found[:, column] = flow.part(part).loss(targets).total / targets.shape[1]
        return found

    def _parts(self) -> list[tuple[int, slice, FloatArray]]:
        """Training and test points among those of both: column, place, targets."""
        trained, points = self.data.train_targets, len(self.data.train_targets)
        return [(0, slice(0, points), trained), (1, slice(points, None), self.data.test_targets)]

    def _features(self, hidden: Any, points: FloatArray) -> FloatArray:
        network, values = self.spec.network, points.T
        for weights, biases in hidden:
            values = weights @ values + (biases[:, None] if len(biases) else 0.0)
            if isinstance(network, CosineNetwork):
                factor, mass_square, *_ = network.kernel_parameters(points.shape[1])
                values = cosine_gains(weights, factor, mass_square)[:, None] * np.cos(values)
            else:
                values = activation(network.activation, network.activation_parameters)(values)
        if network.bias_variances[-1] > 0.0:
            values = np.concatenate([values, np.ones((1, values.shape[1]))])
        return np.ascontiguousarray(values.T)

    def _rates_and_variances(self) -> tuple[FloatArray, FloatArray]:
        """Rate and prior variance of every number of the readout."""
        network, fan_in = self.spec.network, self.ensemble.problem.fans[-1]
        rates = np.full(fan_in, self.resolved.weight_rates[-1])
        variances = np.full(fan_in, network.weight_variances[-1] / fan_in)
        if network.bias_variances[-1] > 0.0:
            rates = np.append(rates, 1.0)
            variances = np.append(variances, network.bias_variances[-1])
        return rates, variances

    def _law(self, features: FloatArray, variances: FloatArray) -> WeightLaw:
        t, targets = self.training, self.data.train_targets
        step = t.step * (t.weight_mobilities[-1] / self.resolved.weight_rates[-1])
        if t.algorithm == "gd":
            return descent_law(features, targets, variances, step, t.total_steps, t.loss)
        if t.algorithm == "sgd":
            epochs = t.total_steps // t.train_points
            return cyclic_law(features, targets, variances, step, epochs, t.loss)
        return posterior_law(features, targets, variances, t.ridge)

    def _shells(self, features: FloatArray) -> Shells:
        """Weights or directions by their information on some inputs; all bases of directions are one."""
        noise = self.resolved.noise_variance
        if self.resolved.basis == "diagonal":
            return Shells.of_weights(fisher_diagonal(features, noise).values)
        return Shells.of_modes(fisher_modes(features, noise))

    def _fill(self, features: FloatArray, variances: FloatArray) -> Fill:
        if self.resolved.fill == "conditional":
            targets, ridge = self.data.train_targets, self.training.ridge
            return Fill.conditional(LinearModel(features, targets, variances, temperature=ridge))
        if self.resolved.fill == "prior":
            return Fill.prior(variances)
        return Fill.zero() if self.resolved.fill == "zero" else Fill.gaussian(self.resolved.width**2)


def check_expectation(spec: RunSpec, plan: RunPlan) -> FlowResolution:
    """Refuse flows whose law is not known in closed form.

    Raises
    ------
    UsageError
        With the reason.
    """
    flow, t, layers = spec.flow_resolution, resolved(plan), spec.network.layers
    if flow is None:
        raise UsageError("no expected losses: got a run without [flow]")
    reason = ""
    if t.algorithm == "given":
        reason = "weights from a file, of no law that is known"
    elif t.trainable != (layers,) or flow.layers != (layers,):
        reason = "layers other than the readout are trained or replaced"
    elif t.algorithm == "sgd" and (
        t.batch_size != 1 or t.order != "cyclic" or t.total_steps % t.train_points
    ):
        reason = "sgd is known for whole epochs of single points in cyclic order"
    elif t.algorithm in ("gd", "sgd") and t.decay:
        reason = "descent with weight decay"
    elif t.algorithm not in ("gd", "sgd", "hmc", "mala"):
        reason = f"the law after {t.algorithm} depends on its step or its time"
    if reason:
        raise UsageError(f"expected losses of this flow are not known in closed form: got {reason}")
    return flow


def _plain(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None
