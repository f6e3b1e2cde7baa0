"""A flow over cutoffs as a PyTorch script: training, information, losses and outputs at every cutoff."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from training_peers import Readout, torch, torch_model, torch_script

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Flow:
    """What is done with a readout that is trained.

    Attributes
    ----------
    training : Readout
    fisher, test, mesh : ndarray, shape (X, d), (T, d), (E, d)
        Inputs of the information, held-out ones, and those where outputs are wanted.
    test_targets : ndarray, shape (T, 1)
    replacement : ndarray, shape (1, n)
        Of the readout.
    cutoffs : ndarray, shape (C,)
    noise_variance : float
    """

    training: Readout
    fisher: Array
    test: Array
    mesh: Array
    test_targets: Array
    replacement: Array
    cutoffs: Array
    noise_variance: float


class TorchFlow:
    """The whole run as a plain script: steps one by one, derivatives of one point at a time by autograd, the
    network evaluated on all points at every cutoff.

    Parameters
    ----------
    problem : Flow
    steps : int
        Of the training; its end is where the flow starts.
    """

    def __init__(self, problem: Flow, steps: int) -> None:
        self.problem, self._train = problem, torch_script(problem.training, steps)
        self.model, self.readout = torch_model(problem.training)
        self.trained = problem.training.weights[-1]

    def train(self) -> None:
        """Train for the steps."""
        self.trained = self._train()

    def information(self) -> Any:
        """Return the information of every weight of the readout, shape (1, n)."""
        total = torch.zeros_like(self.readout.weight)
        for point in torch.tensor(self.problem.fisher):
            self.model.zero_grad()
            self.model(point[None]).sum().backward()
            total += self.readout.weight.grad.square()
        return total / (self.problem.noise_variance * len(self.problem.fisher))

    def follow(self) -> tuple[Array, Array]:
        """Return training and test errors (C, 2) and outputs on the mesh (C, E) at every cutoff."""
        problem, errors, outputs = self.problem, [], []
        trained, other = torch.tensor(self.trained), torch.tensor(problem.replacement)
        sets = [
            (torch.tensor(inputs), torch.tensor(targets))
            for inputs, targets in (
                (problem.training.inputs, problem.training.targets),
                (problem.test, problem.test_targets),
            )
        ]
        mesh = torch.tensor(problem.mesh)
        with torch.no_grad():
            self.readout.weight.copy_(trained)
        information = self.information()
        for cutoff in problem.cutoffs:
            with torch.no_grad():
                self.readout.weight.copy_(torch.where(information < cutoff, other, trained))
                losses = [torch.mean((self.model(x) - y) ** 2).item() for x, y in sets]
                errors.append(losses)
                outputs.append(self.model(mesh)[:, 0].numpy().copy())
        return np.array(errors), np.array(outputs)
