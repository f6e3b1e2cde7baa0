"""A run of trained networks as theory sees it: data, rates, moments, sums along the training."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nnft.analysis.run import Run
from nnft.errors import UsageError, shorten
from nnft.estimators.observables import ObservableEstimator

if TYPE_CHECKING:
    from nnft.theory.cos_network import CosNetwork

FloatArray = npt.NDArray[np.float64]

SAMPLERS = ("langevin", "mala", "underdamped", "hmc", "exact")
"""Algorithms whose law at the end is the posterior, up to the bias of their step."""

UNADJUSTED = ("langevin", "underdamped")
HOMOGENEOUS = ("linear", "relu", "leaky_relu")


class TrainedRun:
    """What theory needs of a run of trained networks.

    Parameters
    ----------
    run : Run
        Open; see `nnft.analysis.run.open_run`.

    Attributes
    ----------
    run : Run
    training : dict
        The training with nothing left to decide, as `nnft.spec.training_resolution` describes it.

    Raises
    ------
    UsageError
        If the networks of the run are not trained.
    """

    def __init__(self, run: Run) -> None:
        training: dict[str, Any] | None = run.plan.get("training")
        if run.training is None or training is None:
            raise UsageError(
                f"no training in {shorten(run.path.name)}: got a run of random networks; give one of "
                "nnft train"
            )
        self.run, self.training = run, training

    @property
    def algorithm(self) -> str:
        """Word of the card."""
        return str(self.training["algorithm"])

    @property
    def samples_posterior(self) -> bool:
        """Whether the algorithm samples the posterior."""
        return self.algorithm in SAMPLERS and self.temperature > 0.0

    @property
    def temperature(self) -> float:
        """T, 0 without."""
        return float(self.training["temperature"])

    @property
    def ridge(self) -> float:
        """Variance of the label noise that the posterior has, T / 2c."""
        return float(self.training["ridge"])

    @property
    def rate(self) -> float:
        """2 c of the loss c sum (f - y)^2."""
        return 2.0 * float(self.training["loss_factor"])

    @property
    def decays(self) -> bool:
        """Whether weights decay towards their prior."""
        return bool(self.training["decay"])

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """Hidden widths."""
        return tuple(self.run.card["network"]["widths"])

    @property
    def layers(self) -> int:
        """Number L of affine layers."""
        return len(self.widths) + 1

    @property
    def cosines(self) -> CosNetwork | None:
        """Law of networks of cosines before the training; None for other networks."""
        return self.run.cosines

    @property
    def activation(self) -> tuple[str, tuple[float, ...]]:
        """Name and parameters of the activation."""
        network = self.run.card["network"]
        if self.cosines is not None:
            return "cos", ()
        return str(network["activation"]), tuple(network.get("activation_parameters", ()))

    @cached_property
    def weight_variances(self) -> tuple[float, ...]:
        """C_W of every layer; of networks of cosines 0, for the momenta, and sigma_a^2."""
        if self.cosines is not None:
            return 0.0, float(self.run.card["network"]["amplitude_variance"])
        return self._every_layer("weight_variance")

    @cached_property
    def bias_variances(self) -> tuple[float, ...]:
        """C_b of every layer; of networks of cosines the variance of the phases, and 0."""
        if self.cosines is not None:
            return math.pi**2 / 3.0, 0.0
        return self._every_layer("bias_variance")

    def _every_layer(self, name: str) -> tuple[float, ...]:
        value = self.run.card["network"][name]
        return tuple(value) if isinstance(value, list) else (float(value),) * self.layers

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Numbers of inputs, hidden neurons and outputs n_0 .. n_L."""
        return (self.run.points.shape[1], *self.widths, int(self.run.card["network"]["outputs"]))

    @cached_property
    def trainable(self) -> tuple[int, ...]:
        """Layers that move."""
        return tuple(self.training["trainable"])

    @property
    def readout_only(self) -> bool:
        """Whether only the last layer moves."""
        return self.trainable == (self.layers,)

    @property
    def every_layer(self) -> bool:
        """Whether all layers move."""
        return self.trainable == tuple(range(1, self.layers + 1))

    @property
    def observe(self) -> int:
        """Output that is estimated."""
        return int(self.training["observe"])

    @property
    def conditional(self) -> bool:
        """Whether the readout is averaged exactly given the hidden layers."""
        return str(self.training["estimator"]) == "trained-conditional"

    @property
    def data_anew(self) -> bool:
        """Whether every network has data of its own, which the file does not hold."""
        return "data/sha256" in self.run.stored.training

    @cached_property
    def train_inputs(self) -> FloatArray:
        """Training inputs, shape (M, d); M = 0 where every network has its own."""
        return np.zeros((0, self.sizes[0])) if self.data_anew else self._data("train_inputs")

    @cached_property
    def train_targets(self) -> FloatArray:
        """Targets of all outputs, shape (M, D)."""
        return np.zeros((0, self.sizes[-1])) if self.data_anew else self._data("train_targets")

    @cached_property
    def test_inputs(self) -> FloatArray:
        """Held-out inputs, shape (Q, d); Q = 0 without."""
        if "data/test_inputs" not in self.run.stored.training:
            return np.zeros((0, self.train_inputs.shape[1]))
        return self._data("test_inputs")

    @cached_property
    def test_targets(self) -> FloatArray:
        """Held-out targets, shape (Q, D)."""
        if "data/test_targets" not in self.run.stored.training:
            return np.zeros((0, self.train_targets.shape[1]))
        return self._data("test_targets")

    def _data(self, name: str) -> FloatArray:
        return np.asarray(self.run.stored.training[f"data/{name}"], dtype=np.float64)

    @cached_property
    def steps(self) -> tuple[int, ...]:
        """Steps at the snapshots; zeros for the gradient flow; empty without snapshots."""
        return tuple(int(step) for step in self._moments("step"))

    @cached_property
    def times(self) -> tuple[float, ...]:
        """Flow times at the snapshots."""
        return tuple(float(time) for time in self._moments("time"))

    def _moments(self, name: str) -> npt.NDArray[Any]:
        stored = self.run.stored.training
        path = f"moment/{name}"
        return np.asarray(stored[path]) if path in stored and self.run.flow is not None else np.zeros(0)

    @cached_property
    def equilibrium(self) -> ObservableEstimator | None:
        """Numbers of the networks averaged over their draws, or at the end of a descent; one snapshot."""
        start, stored = "equilibrium/", self.run.stored.training
        found = {name.removeprefix(start): stored[name] for name in stored if name.startswith(start)}
        return ObservableEstimator.from_arrays(found) if "observables/count" in found else None

    @cached_property
    def diverged(self) -> int:
        """Networks that diverged and are in no average."""
        stored = self.run.stored.training
        return int(stored["diverged/networks"]) if "diverged/networks" in stored else 0
