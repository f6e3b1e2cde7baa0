"""Flows of readouts whose sloppy coordinates are averaged over exactly, given the stiff ones.

Given the hidden layers the posterior of a Gaussian readout is Gaussian, and so is that of its sloppy
coordinates given the stiff ones: a Gaussian process whose prior is that of the sloppy coordinates, and whose
data are what the stiff ones leave of the targets (Rasmussen, Williams, *Gaussian Processes for Machine
Learning*, eq. 2.25-2.26).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nnft._kernels import fisher_errors
from nnft.errors import NumericalError, UsageError
from nnft.samplers.direction_flow import DirectionFlow, Sets, counted, last_marked
from nnft.samplers.fisher_directions import directions_of_rows
from nnft.samplers.point_sets import PointSet
from nnft.samplers.renormalized import BASES, Flowed
from nnft.samplers.trained import TrainedEnsemble
from nnft.samplers.training_problem import working_room

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Whitened:
    """A readout in coordinates that are independent standard normals under the prior, the stiffest first.

    Attributes
    ----------
    values : ndarray of float64, shape (r,)
        Information of every coordinate, descending; all others have none.
    relative : ndarray of float64
        Relative standard errors of those above zero over the inputs; empty for one input.
    rows : ndarray of float64, shape (J, r)
        Features along the coordinates.
    numbers : ndarray of float64, shape (r, D)
        Coordinates of a network.
    count : int
        Number of all coordinates of an output.
    """

    values: FloatArray
    relative: FloatArray
    rows: FloatArray
    numbers: FloatArray
    count: int

    @property
    def silent(self) -> int:
        """Coordinates without information."""
        return self.count - int(np.count_nonzero(self.values > 0.0))

    def stiff(self, cutoff: float) -> int:
        """Coordinates that are kept at a cutoff."""
        return int(np.count_nonzero(self.values >= cutoff)) if cutoff > 0.0 else self.count


class ConditionalFlow(DirectionFlow):
    """Flow of a readout with the fill "conditional"; arguments and results as `Renormalization`.

    Coordinates below the cutoff are averaged over in the posterior of ridge `FlowSchedule.ridge`, given the
    others and the hidden layers. Outputs are means and covariances, errors include the variances; nothing is
    drawn. The tangent kernel is that of the network: it has to be one of the hidden layers alone.

    Raises
    ------
    UsageError
        Other layers than the readout, no ridge, or a readout without a prior.
    NumericalError
        By `run`, where a decomposition fails.
    """

    bases = BASES
    fills = ("conditional",)

    def __init__(self, ensemble: TrainedEnsemble, *arguments: Any, **options: Any) -> None:
        super().__init__(ensemble, *arguments, **options)
        problem, schedule = ensemble.problem, self.schedule
        last = problem.network.layers
        if schedule.layers != (last,) or not schedule.ridge > 0.0 or schedule.refills != 1:
            raise UsageError(
                f"no conditional law: got layers {schedule.layers}, ridge {schedule.ridge:.6g}, "
                f"{schedule.refills} refills; give the readout, a ridge above 0 and one"
            )
        if self._pairs and problem.moving.trainable != (last,):
            raise UsageError(
                "no tangent kernel of the fill 'conditional': got trained layers "
                f"{problem.moving.trainable}; leave tangents out, or train the readout alone"
            )
        variances = np.full(problem.fans[-1], problem.network.weight_variances[-1] / problem.fans[-1])
        if problem.biased[-1]:
            variances = np.append(variances, problem.network.bias_variances[-1])
        if not (variances > 0.0).all():
            raise UsageError("no conditional law of the readout: got weight variance 0; give one above 0")
        self._variances = variances / self._roots(last - 1) ** 2
        self._featured = last_marked(problem, self._joint[0])

    @property
    def _width(self) -> int:
        """Means and packed covariances."""
        points = int(self._shape[2])
        return points + points * (points + 1) // 2

    def thread_bytes(self) -> int:
        """Return the working memory of a thread: features and covariances of points."""
        columns, all_points = len(self._variances), int(self._shape[:3].sum())
        seen = min(int(self._shape[0]), columns)
        points = int(self._shape[2])
        beside = 4 * all_points * columns + 4 * seen * (seen + all_points) + 2 * points**2
        return super().thread_bytes() + 8 * beside

    def _room(self, members: int) -> Flowed:
        return replace(super()._room(members), squares=None)

    def _follow(self, theta: FloatArray, member: int, out: Flowed, sets: Sets) -> None:
        """Fill the flow of one member; NaN is left where its features are not finite."""
        work = working_room(self._work)
        fisher = self._factors(theta, sets[0], work)[0][0].T
        features = self._features(theta, sets[1], work)
        if not (np.isfinite(fisher).all() and np.isfinite(features).all()):
            return
        points = int(self._shape[2])
        outputs, errors = np.zeros(self._width), np.zeros(2)
        self._look(theta, sets, work, outputs[:points], errors, out.tangents[:1])
        out.tangents[1:] = out.tangents[:1]
        readout = self._whitened(theta, fisher, features)
        law = _Law(self, readout, features, sets[3])
        out.zeros[...] = readout.silent / readout.count
        rows = self.ensemble.problem.network.outputs
        positive = np.tile(readout.values[readout.values > 0.0], rows)
        out.spectra[:] = counted(positive, rows * readout.count)
        if len(readout.relative):
            out.uncertainty[:] = np.median(readout.relative), np.mean(readout.relative)
        for c, cutoff in enumerate(self.cutoffs):
            stiff = readout.stiff(cutoff)
            out.shares[c] = (readout.count - stiff) / readout.count
            if stiff == readout.count:
                out.outputs[0, c], out.errors[0, c] = outputs, errors
            else:
                out.outputs[0, c], out.errors[0, c] = law.given(stiff)

    def _features(self, theta: FloatArray, joint: PointSet, work: FloatArray) -> FloatArray:
        """Features (J, n) of training, test and mesh points in the coordinates of the information."""
        header = self._featured
        flat = np.empty(fisher_errors.factors_size(header))
        fisher_errors.factors(self.ensemble.problem.arrays, (header, joint[1]), theta, work, flat)
        level, places = self._layers[-1]
        columns, points = places.shape[1], int(header[1])
        values = flat[: columns * points].reshape(columns, points)
        return np.ascontiguousarray((self._roots(level)[:, None] * values).T)

    def _whitened(self, theta: FloatArray, fisher: FloatArray, features: FloatArray) -> Whitened:
        """Coordinates of one network from its features on the Fisher inputs, scaled, and on all points."""
        level, places = self._layers[-1]
        numbers, variances = (theta[places] / self._roots(level)).T, self._variances
        if self.schedule.basis == "diagonal":
            squares = fisher**2
            information = squares.sum(axis=0)
            order = np.argsort(-information, kind="stable")
            seen, count = squares[:, information > 0.0], len(squares)
            ratio = count * np.sum((seen / seen.sum(axis=0)) ** 2, axis=0) - 1.0
            relative = np.sqrt(np.maximum(ratio, 0.0) / (count - 1)) if count > 1 else np.zeros(0)
            roots = np.sqrt(variances[order])
            return Whitened(
                information[order],
                relative,
                features[:, order] * roots,
                numbers[order] / roots[:, None],
                len(order),
            )
        found = directions_of_rows(fisher, len(fisher))
        spread = found.right * variances
        lower = _lower(spread @ found.right.T)
        rows = np.asarray(np.linalg.solve(lower, spread @ features.T).T, dtype=np.float64)
        along = np.asarray(np.linalg.solve(lower, found.right @ numbers), dtype=np.float64)
        return Whitened(found.values[0], found.relative, rows, along, features.shape[1])

    def observations(
        self, features: FloatArray, rows: FloatArray, goals: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Training data as no more observations than features: features, `rows` and targets of each."""
        points = int(self._shape[0])
        targets = goals[:, :points].T
        if points <= features.shape[1]:
            return features[:points], rows[:points], targets
        basis, triangle = np.linalg.qr(features[:points])
        return triangle, basis.T @ rows[:points], basis.T @ targets


class _Law:
    """Law of the outputs of one network given its stiff coordinates, for fewer and fewer of them.

    Covariances under the prior of the sloppy ones, between observations and all points, are sums that grow.
    """

    def __init__(
        self, flow: ConditionalFlow, readout: Whitened, features: FloatArray, goals: FloatArray
    ) -> None:
        self._flow, self._readout, self._last = flow, readout, len(readout.values)
        seen, self._rows, self._targets = flow.observations(features, readout.rows, goals)
        self._goals = goals
        self._mesh = len(features) - int(flow._shape[2])
        count, points = len(seen), len(features)
        self._between = np.zeros((count, count + points))
        self._diagonal, self._far = np.zeros(points), np.zeros((points - self._mesh,) * 2)
        if self._last < readout.count:
            root = np.sqrt(flow._variances)
            self._add(seen * root, features * root, 1.0)
            self._add(self._rows, readout.rows, -1.0)

    def _add(self, seen: FloatArray, rows: FloatArray, sign: float) -> None:
        self._between += sign * (seen @ np.concatenate([seen, rows]).T)
        self._diagonal += sign * np.sum(rows**2, axis=1)
        self._far += sign * (rows[self._mesh :] @ rows[self._mesh :].T)

    def given(self, stiff: int) -> tuple[FloatArray, FloatArray]:
        """Outputs, mean and packed covariance, and errors with `stiff` coordinates, not more than before.

        Raises
        ------
        NumericalError
            The covariance of the observations is singular.
        """
        flow, readout = self._flow, self._readout
        new = slice(stiff, self._last)
        self._add(self._rows[:, new], readout.rows[:, new], 1.0)
        self._last = stiff
        count = len(self._targets)
        left = self._targets - self._rows[:, :stiff] @ readout.numbers[:stiff]
        lower = _lower(self._between[:, :count] + flow.schedule.ridge * np.eye(count))
        solved = np.linalg.solve(lower, np.concatenate([self._between[:, count:], left], axis=1))
        points = len(readout.rows)
        to_points, weights = solved[:, :points], solved[:, points:]
        mean = readout.rows[:, :stiff] @ readout.numbers[:stiff] + to_points.T @ weights
        variance = np.maximum(self._diagonal - np.sum(to_points**2, axis=0), 0.0)
        to_mesh = to_points[:, self._mesh :]
        covariance = self._far - to_mesh.T @ to_mesh
        observed = flow.ensemble.problem.moving.observe
        outputs = np.concatenate(
            [mean[self._mesh :, observed], covariance[np.triu_indices(len(covariance))]]
        )
        return outputs, self._errors(mean, variance)

    def _errors(self, mean: FloatArray, variance: FloatArray) -> FloatArray:
        """Expected squared errors per target on training and test points; NaN without any."""
        flow, first = self._flow, 0
        found = np.full(2, np.nan)
        for part in range(2):
            last = first + int(flow._shape[part])
            if last > first:
                missed = mean[first:last] - self._goals[:, first:last].T
                found[part] = np.mean(missed**2) + np.mean(variance[first:last])
            first = last
        return found


def _lower(matrix: FloatArray) -> FloatArray:
    """Lower factor of a symmetric positive matrix."""
    try:
        return np.asarray(np.linalg.cholesky(matrix), dtype=np.float64)
    except np.linalg.LinAlgError as error:
        raise NumericalError(
            "covariance of a conditional fill is singular: got a kernel that is not positive; use a larger "
            "ridge"
        ) from error
