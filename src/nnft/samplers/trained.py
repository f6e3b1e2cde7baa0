"""Ensembles of networks that are trained: many members side by side, each named by its index.

A wave is a range of networks that is trained together. What a member does depends on its index, the seed and
the training alone, so that waves may be of any size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from nnft._kernels import (
    conditioning,
    training,
    training_advance,
    training_observe,
    training_residuals,
    training_steps,
)
from nnft._kernels.threads import MemberThreads
from nnft.errors import UsageError
from nnft.samplers.point_sets import NetworkPoints, PointSets, PointsOf
from nnft.samplers.training_problem import TrainingProblem, on_cache_lines
from nnft.streams import stream_key

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

ALGORITHMS = {
    "gd": training_advance.advance_descent,
    "sgd": training_advance.advance_stochastic,
    "gradient-flow": training_advance.advance_flow,
    "langevin": training_advance.advance_langevin,
    "underdamped": training_advance.advance_underdamped,
    "mala": training_advance.advance_hamiltonian,
    "hmc": training_advance.advance_hamiltonian,
}
ORDERS = {"cyclic": 0, "random": 1, "shuffled": 2}
FLOW_TRIALS = 64
FIRST_FLOW_STEP = 1e-3
SCALARS = ("train_error", "test_error", "energy")


@dataclass(frozen=True)
class Schedule:
    """How a member moves, in numbers; see the card's table [training].

    Attributes
    ----------
    algorithm : str
        One of `ALGORITHMS`.
    step : float
        Learning rate, or time step; of the first trial of the gradient flow.
    gradient_factor : float
        2 c of the loss c sum (f - y)^2 over all training points.
    mean_loss : bool
        Whether the loss of a batch is the mean over its points; else it is the sum.
    temperature, friction, jitter, target_acceptance, divergence, tolerance : float
    leapfrog_steps, burn_in, batch_size, batches : int
        `batches` are those of an epoch.
    order : str
        One of `ORDERS`.
    adapt : bool
    chains : int
    """

    algorithm: str
    step: float
    gradient_factor: float
    mean_loss: bool = False
    temperature: float = 0.0
    friction: float = 1.0
    jitter: float = 0.0
    target_acceptance: float = 0.8
    divergence: float = 1e6
    tolerance: float = 1e-6
    leapfrog_steps: int = 1
    burn_in: int = 0
    batch_size: int = 0
    batches: int = 1
    order: str = "cyclic"
    adapt: bool = False
    chains: int = 1


@dataclass(eq=False)
class Wave:
    """Members of networks first .. first + networks - 1 on their way.

    Attributes
    ----------
    first, networks : int
    step : int
        Steps done by all members.
    theta : ndarray of float64, shape (members, size)
    extra : ndarray of float64, shape (members, ...)
        Momenta, or residuals and moves of the points.
    control : ndarray of float64, shape (members, CONTROLS)
    status : ndarray of int64, shape (members,)
        0, or 1 + the step at which a member diverged.
    kernels : ndarray of float64, shape (members, P, P), or None
        Of the frozen features, while the readout moves in the variables of the points.
    present : tuple, optional
        A step and the weights at that step, where `theta` holds those at the start.
    sets : dict of int to PointSets
        Points of every network, where each has its own; in no file.
    """

    first: int
    networks: int
    theta: FloatArray
    extra: FloatArray
    control: FloatArray
    status: IntArray
    step: int = 0
    time: float = 0.0
    kernels: FloatArray | None = None
    present: tuple[int, FloatArray] | None = None
    sets: dict[int, PointSets] = field(default_factory=dict)

    @property
    def alive(self) -> npt.NDArray[np.bool_]:
        """Which networks have no member that diverged, shape (networks,)."""
        whole: npt.NDArray[np.bool_] = (self.status.reshape(self.networks, -1) == 0).all(axis=1)
        return whole


class TrainedEnsemble:
    """Trains networks of one problem by one schedule.

    Parameters
    ----------
    problem : TrainingProblem
    schedule : Schedule
    mesh : ndarray of float64, shape (E, d)
        Points at which the networks are looked at.
    test : tuple of ndarray, optional
        Inputs (T, d) and targets (T, D) of held-out points.
    seed : int
    threads : int
        Threads that share the members; no number depends on it.
    points_of : callable, optional
        From the number of a network to its points, as many as those of `problem` and `test`, where every
        network has its own.
    """

    def __init__(
        self,
        problem: TrainingProblem,
        schedule: Schedule,
        mesh: FloatArray,
        test: tuple[FloatArray, FloatArray] | None,
        seed: int,
        threads: int = 1,
        points_of: PointsOf | None = None,
    ) -> None:
        if schedule.algorithm not in ALGORITHMS:
            raise UsageError(
                f"unknown algorithm in training.algorithm: got {schedule.algorithm!r}; "
                f"use one of {', '.join(ALGORITHMS)}"
            )
        self.problem, self.schedule = problem, schedule
        empty = np.zeros((0, problem.inputs.shape[1])), np.zeros((0, problem.network.outputs))
        self.mesh, self.points_of = problem.point_set(mesh), points_of
        self.sets = PointSets(
            problem, NetworkPoints(problem.inputs, problem.targets, *(test or empty)), mesh
        )
        self.key = int(np.array([stream_key(seed)], dtype=np.uint64).view(np.int64)[0])
        readout = problem.moving.trainable == (problem.network.layers,)
        self.readout_only = readout
        self.dual = readout and self._on_residuals()
        self.numbers = self._numbers()
        self.joint_work = problem.work_size(self.sets.joint[0])
        self.work = max(
            problem.work_size(problem.header, kernels=self.dual),
            problem.work_size(self.mesh[0]),
            problem.work_size(self.sets.test[0], kernels=False),
        )
        self.chains = schedule.chains
        self.threads = MemberThreads(threads)

    def _on_residuals(self) -> bool:
        """Whether descent of the readout works on the points: fewer numbers, and no decay."""
        points, outputs = self.problem.targets.shape
        schedule = self.schedule
        cheap = (
            points < 2 * self.problem.fans[-1]
            if schedule.algorithm == "gd"
            else points < 4 * self.problem.fans[-1]
        )
        mobilities = self.problem.moving.weight_mobilities[-1]
        still = self.problem.moving.temperature == 0.0 and mobilities > 0.0 and outputs > 0
        return schedule.algorithm in ("gd", "sgd") and cheap and still

    def _numbers(self) -> FloatArray:
        s = self.schedule
        step = s.step
        if s.algorithm == "mala":
            step = float(np.sqrt(2.0 * s.step))
        elif s.algorithm == "gradient-flow" and step == 0.0:
            step = FIRST_FLOW_STEP
        return np.array(
            [
                step, s.gradient_factor, s.temperature, s.friction,
                0.0 if s.algorithm == "mala" else s.jitter, s.target_acceptance, s.divergence,
                s.tolerance, s.mean_loss, 0.0,
            ]
        )  # fmt: skip

    def _plan(self, first: int, last: int) -> IntArray:
        """What a kernel is told; the first member is filled in for each thread."""
        s = self.schedule
        leaps = 1 if s.algorithm == "mala" else s.leapfrog_steps
        batch = s.batch_size if s.algorithm == "sgd" else 0
        return np.array(
            [
                first, last, s.burn_in, leaps, s.adapt, batch, ORDERS[s.order], s.batches, self.key,
                s.chains, 0, self.readout_only, FLOW_TRIALS, self.work,
            ],
            dtype=np.int64,
        )  # fmt: skip

    def _share(
        self,
        wave: Wave,
        plan: IntArray,
        kernel: Callable[..., None],
        before: Callable[[PointSets], Sequence[Any]],
        arrays: Sequence[Any],
    ) -> None:
        """Let the threads work through the members: kernel(problem, .., plan, .., parts of the arrays).

        `before` gives what stands before the parts, from the points of a network; None is the plan.
        """

        def part(start: int, stop: int) -> None:
            for begin, end, sets in self._networks(wave, start, stop):
                own = plan.copy()
                own[training.MEMBER] = wave.first * self.chains + begin
                given = [own if argument is None else argument for argument in before(sets)]
                kernel(*given, *(array[begin:end] for array in arrays))

        self.threads.run(len(wave.theta), part)

    def _networks(self, wave: Wave, start: int, stop: int) -> Iterator[tuple[int, int, PointSets]]:
        """Yield members of a wave that share their points: all of them, or those of one network at a time."""
        if self.points_of is None or start == stop:
            yield start, stop, self.sets
            return
        while start < stop:
            place = start // self.chains
            end = min(stop, (place + 1) * self.chains)
            if place not in wave.sets:
                wave.sets[place] = self.sets_of(wave.first + place)
            yield start, end, wave.sets[place]
            start = end

    def sets_of(self, network: int) -> PointSets:
        """Return the points of a network."""
        if self.points_of is None:
            return self.sets
        return PointSets(self.problem, self.points_of(network), self.sets.mesh)

    def extra_size(self) -> int:
        """Return the numbers that a member keeps besides its weights."""
        if self.dual:
            points, outputs = self.problem.targets.shape
            return int(2 * points * outputs)
        momenta: int = self.problem.size if self.schedule.algorithm == "underdamped" else 0
        return momenta

    def _moves(self, wave: Wave) -> FloatArray:
        points, outputs = self.problem.targets.shape
        return wave.extra.reshape(len(wave.theta), 2 * outputs, points)

    def start(self, first: int, networks: int) -> Wave:
        """Return networks first .. first + networks - 1 at step 0."""
        members = networks * self.chains
        theta = on_cache_lines(np.zeros((members, self.problem.size)))
        extra = on_cache_lines(np.zeros((members, self.extra_size())))
        control = np.zeros((members, training_steps.CONTROLS))
        wave = Wave(first, networks, theta, extra, control, np.zeros(members, dtype=np.int64))
        plan = self._plan(0, 0)
        self._share(wave, plan, training.start, self._before, (theta, control))
        if self.dual:
            moves = self._moves(wave)
            self._share(wave, plan, training_residuals.start_moves, _problem_and_plan, (theta, moves))
        elif extra.shape[1]:
            self._share(wave, plan, training.start_momenta, self._before, (extra,))
        return wave

    def _before(self, sets: PointSets) -> tuple[Any, ...]:
        return sets.problem, None, self.numbers

    def _advance(self, wave: Wave, plan: IntArray, numbers: FloatArray) -> None:
        if self.dual:
            arrays = (self._kernels_of(wave), self._moves(wave), wave.control, wave.status)
            kernel: Callable[..., None] = training_residuals.advance_residuals
            self._share(wave, plan, kernel, lambda sets: (None, numbers), arrays)
            return
        arrays = (wave.theta, wave.extra, wave.control, wave.status)
        kernel = ALGORITHMS[self.schedule.algorithm]
        self._share(wave, plan, kernel, lambda sets: (sets.problem, None, numbers), arrays)

    def _kernels_of(self, wave: Wave) -> FloatArray:
        """Return K of the frozen features of every member; kept with the wave, in no file."""
        if wave.kernels is None:
            points = len(self.problem.inputs)
            wave.kernels = np.empty((len(wave.theta), points, points))
            arrays = (wave.theta, wave.kernels)
            plan, kernel = self._plan(0, 0), training_residuals.residual_kernels
            self._share(wave, plan, kernel, _problem_and_plan, arrays)
        return wave.kernels

    def advance(self, wave: Wave, step: int) -> None:
        """Advance a wave to a step (not for the gradient flow)."""
        if step > wave.step:
            self._advance(wave, self._plan(wave.step, step), self.numbers)
            wave.step = step

    def follow(self, wave: Wave, time: float) -> bool:
        """Follow the gradient flow towards a time by some trial steps; True once all members are there."""
        numbers = self.numbers.copy()
        numbers[-1] = time
        self._advance(wave, self._plan(0, 0), numbers)
        there = wave.control[:, training_steps.FLOW_TIME] >= time
        if bool((there | (wave.status != 0)).all()):
            wave.time = time
            return True
        return False

    def weights(self, wave: Wave) -> FloatArray:
        """Return the present weights of all members, shape (members, size); see `TrainingProblem.layers`."""
        if not self.dual:
            return wave.theta
        if wave.present is None or wave.present[0] != wave.step:
            out = on_cache_lines(wave.theta)
            plan, arrays = self._plan(wave.step, wave.step), (wave.theta, self._moves(wave), out)
            self._share(wave, plan, training_residuals.present_readouts, _problem_and_plan, arrays)
            wave.present = wave.step, out
        return wave.present[1]

    def observe(self, wave: Wave) -> tuple[FloatArray, FloatArray]:
        """Return outputs on the mesh (members, E) and scalars (members, 3 + 2 L).

        Scalars: mean squared error per target on training and test points, energy, sum of squares of the
        weights of every layer, virial of every layer.
        """
        members = len(wave.theta)
        outputs = np.empty((members, int(self.mesh[0][1])))
        scalars = np.empty((members, len(SCALARS) + 2 * self.problem.network.layers))
        arrays = (self.weights(wave), outputs, scalars)

        def before(sets: PointSets) -> tuple[Any, ...]:
            return sets.problem, (*self.mesh, *sets.test), None, self.numbers

        self._share(wave, self._plan(wave.step, wave.step), training_observe.observe, before, arrays)
        return outputs, scalars

    def kernels(self, wave: Wave) -> tuple[FloatArray, FloatArray]:
        """Return kernels of readout and tangent on the mesh (members, 2 Q) and their movement (members,
        2).
        """
        points = int(self.mesh[0][1])
        kernels = np.empty((len(wave.theta), points * (points + 1)))
        movement = np.empty((len(wave.theta), 2))
        arrays = (self.weights(wave), kernels, movement)

        def before(sets: PointSets) -> tuple[Any, ...]:
            return sets.problem, self.mesh, None, self.problem.readout

        self._share(wave, self._plan(wave.step, wave.step), training_observe.observe_kernels, before, arrays)
        return kernels, movement

    def readouts(self, wave: Wave, ridge: float) -> tuple[FloatArray, FloatArray]:
        """Return mean (members, E) and packed covariance (members, Q) of the outputs given the hidden
        layers.
        """
        points = int(self.mesh[0][1])
        mean = np.empty((len(wave.theta), points))
        covariance = np.empty((len(wave.theta), points * (points + 1) // 2))
        arrays = (self.weights(wave), mean, covariance)

        def before(sets: PointSets) -> tuple[Any, ...]:
            return sets.problem, (*sets.joint, sets.observed, ridge), None, self.problem.readout

        plan = self._plan(wave.step, wave.step)
        plan[training.WORK] = self.joint_work
        self._share(wave, plan, conditioning.condition_members, before, arrays)
        return mean, covariance


def _problem_and_plan(sets: PointSets) -> tuple[Any, ...]:
    return sets.problem, None
