"""Coarse-graining of trained networks in the order of the information that data hold of their parameters.

Bayesian renormalization (Berman, Klinger, Stapleton, Mach. Learn.: Sci. Technol. 4, 045011 (2023); of
networks: Howard, Klinger, Maiti, Stapleton, SciPost Phys. Core 8, 027 (2025), arXiv:2405.17538): parameters
whose Fisher information lies below a cutoff are sloppy, and are replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from nnft._kernels import renormalization, training
from nnft.errors import UsageError
from nnft.samplers.point_sets import NetworkPoints, PointSet
from nnft.samplers.trained import TrainedEnsemble
from nnft.samplers.training_problem import TrainingProblem, on_cache_lines, working_room

FloatArray = npt.NDArray[np.float64]
FILLS = ("prior", "zero", "gaussian", "conditional")
BASES = ("diagonal", "eigenbasis", "layer-eigenbasis", "kronecker")


@dataclass(frozen=True)
class FlowSchedule:
    """What is coarse-grained, and how.

    Attributes
    ----------
    cutoffs : tuple of float
        Increasing; a parameter is sloppy where its information is smaller. May start with 0 and end with
        infinity.
    layers : tuple of int
        Layers, out of 1..L, whose parameters are ordered by their information; the others stay.
    noise_variance : float
        Of the Gaussian likelihood.
    weight_rates, bias_rates : sequence of float
        One for each layer: squared scale of the coordinates in which information is measured, W = sqrt(rate)
        times the coordinate.
    fill : str
        One of `FILLS`.
    width : float
        Standard deviation of the fill "gaussian", in the same coordinates.
    refills : int
        Replacements of each network.
    anew : bool
        Whether every cutoff has replacements of its own; else flows are nested.
    basis : str
        One of `BASES`: what is ordered by its information, and replaced.
    ridge : float
        Noise variance of the posterior of a fill "conditional".
    """

    cutoffs: tuple[float, ...]
    layers: tuple[int, ...]
    noise_variance: float
    weight_rates: Sequence[float]
    bias_rates: Sequence[float]
    fill: str = "prior"
    width: float = 1.0
    refills: int = 1
    anew: bool = False
    basis: str = "diagonal"
    ridge: float = 0.0


@dataclass(frozen=True)
class Flowed:
    """What the flow of some members gives.

    Attributes
    ----------
    outputs : ndarray of float64, shape (members, refills, C, E)
        Of the observed output on the mesh; of a fill "conditional" their means and packed covariances, shape
        (members, 1, C, E + Q).
    errors : ndarray of float64, shape (members, refills, C, 2)
        Mean squared error per target on the training and the test points (NaN without any).
    shares : ndarray of float64, shape (members, C)
        Share of the chosen parameters that are sloppy.
    zeros : ndarray of float64, shape (members,)
        Share of the chosen parameters whose information is exactly zero.
    uncertainty : ndarray of float64, shape (members, 2)
        Median and mean over what is not exactly zero of the relative standard error of the information over
        its inputs, were they drawn independently; NaN for one input, and where it is not known.
    tangents : ndarray of float64, shape (members, C, Q)
        Tangent kernel on the mesh, packed pairs, of the first refill.
    spectra : ndarray of float64, shape (members, S)
        How many of the chosen parameters have which information; see `nnft._kernels.renormalization`.
    squares : ndarray of float64, shape (members, refills, C), or None
        Sums of squares of the readout weights, where they are known.
    """

    outputs: FloatArray
    errors: FloatArray
    shares: FloatArray
    zeros: FloatArray
    uncertainty: FloatArray
    tangents: FloatArray
    spectra: FloatArray
    squares: FloatArray | None = None


def joined(parts: Sequence[Flowed]) -> Flowed:
    """Return the flow of the members of all parts, in their order."""
    names = [field.name for field in fields(Flowed) if getattr(parts[0], field.name) is not None]
    return Flowed(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


class Renormalization:
    """Flow of the networks of an ensemble, parameter by parameter.

    Subclasses have other bases and fills.

    Parameters
    ----------
    ensemble : TrainedEnsemble
    schedule : FlowSchedule
    inputs : ndarray of float64, shape (X, d)
        Points of the Fisher information.
    mesh : ndarray of float64, shape (E, d)
    test : tuple of ndarray, optional
        Inputs (T, d) and targets (T, D).
    tangents : bool
        Whether tangent kernels are wanted.
    inputs_of : callable, optional
        From the number of a network to its points of the information, shape (X, d), where every network has
        its own; training and test points are then those of the ensemble.

    Raises
    ------
    UsageError
        A schedule that makes no sense.
    """

    bases: tuple[str, ...] = ("diagonal",)
    fills: tuple[str, ...] = ("prior", "zero", "gaussian")
    decomposes = False
    """Whether matrices are decomposed, by libraries whose bits depend on their threads."""

    def __init__(
        self,
        ensemble: TrainedEnsemble,
        schedule: FlowSchedule,
        inputs: FloatArray,
        mesh: FloatArray,
        test: tuple[FloatArray, FloatArray] | None = None,
        tangents: bool = True,
        inputs_of: Callable[[int], FloatArray] | None = None,
    ) -> None:
        problem = ensemble.problem
        _check(problem, schedule, inputs, self.bases, self.fills)
        self.ensemble, self.schedule, self._inputs_of = ensemble, schedule, inputs_of
        self.cutoffs = np.array(schedule.cutoffs, dtype=np.float64)
        further = test or (inputs[:0], problem.targets[:0])
        counts = (len(problem.inputs), len(further[0]), len(mesh))
        self._shape = np.array([*counts, schedule.refills, schedule.anew], dtype=np.int64)
        self._mesh_inputs, self._mesh = mesh, problem.point_set(mesh)
        self._sets = self._point_sets(inputs, NetworkPoints(problem.inputs, problem.targets, *further))
        self._fisher, self._joint = self._sets[:2]
        self._marks = _marks(problem, schedule, len(inputs))
        self._pairs = len(mesh) * (len(mesh) + 1) // 2 if tangents else 0
        sizes = [(self._fisher[0], False), (self._joint[0], False), (self._mesh[0], tangents)]
        self._work = max(problem.work_size(header, kernels=kernels) for header, kernels in sizes)

    def _point_sets(
        self, inputs: FloatArray, points: NetworkPoints
    ) -> tuple[PointSet, PointSet, PointSet, FloatArray]:
        """Return the sets of a network: of the information, joint, mesh; and the targets of the joint one."""
        problem, mesh = self.ensemble.problem, self._mesh_inputs
        fisher = marked(problem, self.schedule.layers, inputs)
        joint = problem.point_set(np.concatenate([points.inputs, points.test_inputs, mesh]))
        targets = [points.targets, points.test_targets, np.zeros((len(mesh), problem.network.outputs))]
        return fisher, joint, self._mesh, np.ascontiguousarray(np.concatenate(targets).T)

    def _networks(self, first: int, start: int, stop: int) -> Iterator[tuple[int, int, tuple[Any, ...]]]:
        """Yield members that share their points, out of first + start .. first + stop - 1, and the sets."""
        points_of, chains = self.ensemble.points_of, self.ensemble.chains
        if points_of is None or self._inputs_of is None or start == stop:
            yield start, stop, self._sets
            return
        while start < stop:
            network = (first + start) // chains
            end = min(stop, (network + 1) * chains - first)
            yield start, end, self._point_sets(self._inputs_of(network), points_of(network))
            start = end

    def run(self, theta: FloatArray, first: int) -> Flowed:
        """Return the flow of the members first, first + 1, ... whose weights are theta (members, size)."""
        members, count = len(theta), len(self.cutoffs)
        refills, points = self.schedule.refills, int(self._shape[2])
        outputs = np.empty((members, refills, count, points))
        numbers = np.empty((members, refills, count, 3))
        shares = np.empty((members, count + 3 + renormalization.SPECTRUM))
        tangents = np.empty((members, count if self._pairs else 0, self._pairs))
        flow = (self._marks, self.cutoffs, self._shape)

        def part(start: int, stop: int) -> None:
            for begin, end, sets in self._networks(first, start, stop):
                plan = np.zeros(training.WORK + 1, dtype=np.int64)
                plan[training.KEY], plan[training.MEMBER] = self.ensemble.key, first + begin
                plan[training.WORK] = self._work
                arrays = (theta, outputs, numbers, shares, tangents)
                given = (array[begin:end] for array in arrays)
                renormalization.renormalize(self.ensemble.problem.arrays, sets, plan, flow, *given)

        self.ensemble.threads.run(members, part)
        shares, spectra = shares[:, : count + 3], shares[:, count + 3 :]
        errors, squares = np.ascontiguousarray(numbers[..., :2]), np.ascontiguousarray(numbers[..., 2])
        known = shares[:, :count], shares[:, count], shares[:, count + 1 :]
        return Flowed(outputs, errors, *known, tangents, spectra, squares)

    def thread_bytes(self) -> int:
        """Return the working memory of a thread beyond that of a training."""
        return 0

    def spectrum(self, theta: FloatArray, member: int = 0) -> FloatArray:
        """Return the positive information of one member, of whatever is ordered by it, shape (n,)."""
        arrays = [array.ravel() for part in self.information(theta, member) for array in part]
        found = np.concatenate(arrays)
        return found[np.isfinite(found) & (found > 0.0)]

    def information(self, theta: FloatArray, member: int = 0) -> list[tuple[FloatArray, FloatArray]]:
        """Return the information of the parameters of one member as weights and biases of every layer.

        See `TrainingProblem.layers`; infinite for layers that are not chosen.
        """
        found = np.empty_like(theta)
        work = working_room(self._work)
        arrays = self.ensemble.problem.arrays
        fisher = next(self._networks(member, 0, 1))[2][0]
        renormalization.information(arrays, fisher, self._marks, theta, work, found)
        return self.ensemble.problem.layers(found)

    def replacement(self, member: int, group: int = 0) -> list[tuple[FloatArray, FloatArray]]:
        """Return what replaces the parameters of a member as weights and biases of every layer.

        `group` counts the replacements of a member: refills, each of one for all cutoffs or of one for each.
        Zero for layers that are not chosen.
        """
        drawn = on_cache_lines(np.zeros(self.ensemble.problem.size))
        header, key = self._fisher[0], self.ensemble.key
        renormalization.replacement(header, self._marks, key, member, group, drawn)
        return self.ensemble.problem.layers(drawn)


def _check(
    problem: TrainingProblem,
    schedule: FlowSchedule,
    inputs: FloatArray,
    bases: Sequence[str],
    fills: Sequence[str],
) -> None:
    cutoffs = np.array(schedule.cutoffs, dtype=np.float64)
    if not len(cutoffs) or np.isnan(cutoffs).any() or cutoffs[0] < 0.0 or (np.diff(cutoffs) <= 0.0).any():
        raise UsageError(f"impossible cutoffs: got {schedule.cutoffs}; give increasing numbers from 0 on")
    layers = range(1, problem.network.layers + 1)
    if not schedule.layers or any(layer not in layers for layer in schedule.layers):
        raise UsageError(f"no such layers: got {schedule.layers}; allowed: some of {list(layers)}")
    if schedule.fill not in fills or schedule.basis not in bases:
        raise UsageError(
            f"unknown fill or basis: got {schedule.fill!r}, {schedule.basis!r}; use one of "
            f"{', '.join(fills)}; {', '.join(bases)}"
        )
    if not (schedule.noise_variance > 0.0 and np.isfinite(schedule.noise_variance)):
        raise UsageError(f"impossible noise variance: got {schedule.noise_variance}; give one above 0")
    if schedule.refills < 1 or len(inputs) < 1:
        raise UsageError(
            f"nothing to do: got {schedule.refills} refills, {len(inputs)} Fisher inputs; give 1 or more"
        )


def marked(
    problem: TrainingProblem, layers: Sequence[int], inputs: FloatArray
) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Return a set of points, some layers marked in its header."""
    header, data = problem.point_set(inputs)
    for level in range(problem.network.layers):
        header[5 + 6 * level + 5] = int(level + 1 in layers)
    return header, data


def _marks(problem: TrainingProblem, schedule: FlowSchedule, points: int) -> FloatArray:
    """Return what the columns of the layers have in common; see `nnft._kernels.renormalization`."""
    network, blocks = problem.network, []
    for level, fan_in in enumerate(problem.fans):
        stride = int(problem.header[5 + 6 * level + 3])
        block = np.zeros((3, stride))
        if level + 1 in schedule.layers:
            weight = network.weight_variances[level] / fan_in
            for part, variance, rate in (
                (slice(0, fan_in), weight, schedule.weight_rates[level]),
                (
                    slice(fan_in, fan_in + problem.biased[level]),
                    network.bias_variances[level],
                    schedule.bias_rates[level],
                ),
            ):
                widths = {"prior": variance**0.5, "gaussian": schedule.width * rate**0.5}
                values = (rate / (schedule.noise_variance * points), 1.0, widths.get(schedule.fill, 0.0))
                block[:, part] = np.array(values)[:, None]
        blocks.append(block)
    return np.ascontiguousarray(np.concatenate(blocks, axis=1))
