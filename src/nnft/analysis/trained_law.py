"""What a theory says about the outputs of trained networks at one moment, and about a whole run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from nnft.analysis.trained_kernels import JointKernels

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.integer]
Cumulants = Callable[[int, IndexArray], FloatArray | None]


@dataclass(frozen=True, eq=False)
class Law:
    """Law of one output on the input points at one moment of the training.

    Attributes
    ----------
    mean : ndarray, shape (E,)
    covariance : ndarray, shape (E, E)
    numbers : mapping of str to float
        Numbers of the networks by the names that the run has for them, such as ``train_error``.
    gaussian : bool
        Whether connected correlators beyond order 2 vanish.
    higher : callable or None
        Returns them for an order and points, shape (m, order).
    mean_departure, covariance_departure : ndarray or None
        Expected size of what the theory leaves out.
    number_departures : mapping of str to float
        The same of the numbers, where it is known.
    """

    mean: FloatArray
    covariance: FloatArray
    numbers: Mapping[str, float] = field(default_factory=dict)
    gaussian: bool = True
    higher: Cumulants | None = None
    mean_departure: FloatArray | None = None
    covariance_departure: FloatArray | None = None
    number_departures: Mapping[str, float] = field(default_factory=dict)

    def values(self, order: int, indices: IndexArray) -> FloatArray | None:
        """Return connected correlators at points (m, order), or None where the theory has none."""
        if order == 1:
            return self.mean[indices[:, 0]]
        if order == 2:
            return self.covariance[indices[:, 0], indices[:, 1]]
        if self.higher is not None:
            return self.higher(order, indices)
        return np.zeros(len(indices)) if self.gaussian else None

    def departures(self, order: int, indices: IndexArray) -> FloatArray | None:
        """Return the expected sizes of what is left out, for orders 1 and 2."""
        if order == 1 and self.mean_departure is not None:
            return self.mean_departure[indices[:, 0]]
        if order == 2 and self.covariance_departure is not None:
            return self.covariance_departure[indices[:, 0], indices[:, 1]]
        return None


@dataclass(frozen=True, eq=False)
class Prediction:
    """A theory of one run.

    Attributes
    ----------
    name : str
        Short.
    validity : str
        What it holds for and to which order.
    exact : bool
        Whether it holds at the widths of the run: a departure is then a fault.
    final : Law or None
        At the end, or of the draws.
    flow : tuple of Law or None
        At every snapshot.
    departure : str
        Expected size of what is left out, in words; empty for an exact theory.
    """

    name: str
    validity: str
    exact: bool
    final: Law | None
    flow: tuple[Law | None, ...] = ()
    departure: str = ""


def closest(predictions: Sequence[Prediction]) -> Prediction | None:
    """Return the theory that leaves out the least, of those that know the end; None if none does.

    An exact one, or that with the smallest expected departure; where none is known, the first.
    """
    known = [prediction for prediction in predictions if prediction.final is not None]
    return min(known, key=_left_out, default=None)


def _left_out(prediction: Prediction) -> float:
    """Expected departure of mean and covariance over their sizes; infinite where it is not known."""
    law = prediction.final
    if prediction.exact:
        return 0.0
    if law is None or law.mean_departure is None or law.covariance_departure is None:
        return np.inf
    pairs = ((law.mean_departure, law.mean), (law.covariance_departure, law.covariance))
    return sum(float(np.linalg.norm(left) / (np.linalg.norm(whole) or 1.0)) for left, whole in pairs)


def gaussian_law(joint: JointKernels, mean: FloatArray, covariance: FloatArray, half_loss: float) -> Law:
    """Return the law of independent Gaussian outputs.

    Parameters
    ----------
    joint : JointKernels
    mean, covariance : ndarray, shapes (E + Q, D) and (E + Q, E + Q)
        At input and test points; the covariance is that of every output.
    half_loss : float
        Mean of half the sum of squares over training points and the D outputs.
    """
    trained, count = joint.trained, joint.mesh
    numbers = {"train_error": 2.0 * half_loss / (joint.train * mean.shape[1])}
    if joint.test:
        errors = (mean[count:] - trained.test_targets) ** 2
        numbers["test_error"] = float(errors.mean() + np.diagonal(covariance)[count:].mean())
    return Law(mean[:count, trained.observe], covariance[:count, :count], numbers)
