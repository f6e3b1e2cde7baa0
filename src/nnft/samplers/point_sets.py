"""The points of an ensemble as the kernels take them: one set for all networks, or one for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from nnft.samplers.training_problem import TrainingProblem

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
PointSet = tuple[IntArray, FloatArray]
Problem = tuple[IntArray, FloatArray, FloatArray, FloatArray]


@dataclass(frozen=True, eq=False)
class NetworkPoints:
    """Points that a network is trained and tested on.

    Attributes
    ----------
    inputs, targets : ndarray of float64, shapes (P, d) and (P, D)
    test_inputs, test_targets : ndarray of float64, shapes (T, d) and (T, D)
        T may be 0.
    """

    inputs: FloatArray
    targets: FloatArray
    test_inputs: FloatArray
    test_targets: FloatArray


PointsOf = Callable[[int], NetworkPoints]
"""From the number of a network to its points."""


@dataclass(frozen=True, eq=False)
class PointSets:
    """Points of one network, or of all, beside the mesh.

    Attributes
    ----------
    shape : TrainingProblem
        Architecture, and numbers of points.
    points : NetworkPoints
    mesh : ndarray of float64, shape (E, d)
    """

    shape: TrainingProblem
    points: NetworkPoints
    mesh: FloatArray

    @cached_property
    def problem(self) -> Problem:
        """What the kernels call a problem; see `TrainingProblem.arrays`."""
        header, parameters, data, columns = self.shape.arrays
        if self.points.inputs is not self.shape.inputs:
            data = self.shape.points(self.points.inputs, self.points.targets)
        return header, parameters, data, columns

    @cached_property
    def test(self) -> PointSet:
        """Header and data of the held-out points."""
        return self.shape.point_set(self.points.test_inputs, self.points.test_targets)

    @cached_property
    def joint(self) -> PointSet:
        """Header and data of the training inputs and the mesh."""
        return self.shape.point_set(np.concatenate([self.points.inputs, self.mesh]))

    @cached_property
    def observed(self) -> FloatArray:
        """Targets of the observed output, shape (P,)."""
        return np.ascontiguousarray(self.points.targets[:, self.shape.moving.observe])

    @property
    def nbytes(self) -> int:
        """Bytes that the points take, the joint set among them."""
        arrays = (self.problem[2], self.test[1], self.joint[1], self.points.inputs, self.points.test_inputs)
        return sum(array.nbytes for array in arrays)
