"""Langevin dynamics of whole networks: gradients per second with their noise, against JAX and PyTorch.

tanh, two hidden layers, 10 input dimensions, 100 points, all of them in every gradient, float64. All cores
and wall time; with ``--one-core`` one core and processor time, which other work on the machine disturbs less.
"""

from __future__ import annotations

import os
import sys
import time

if "--one-core" in sys.argv:
    sys.argv.remove("--one-core")
    from one_core import clock

    CORES = 1
else:
    clock = time.perf_counter
    CORES = len(os.sched_getaffinity(0))
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={CORES}"

# isort: split

from collections.abc import Callable
from functools import partial

import numpy as np

from harness import Line, Options, Samples, compare, figure, interleave, rate, read_options, show
from nnft._kernels.training_problem import decay_energy, gradient
from nnft.samplers.trained import Schedule, TrainedEnsemble
from nnft.samplers.training_problem import Moving, TrainingProblem, on_cache_lines
from nnft.spec.network import NetworkSpec
from processes import side_by_side
from training_peers import JaxLangevin, Langevin, Maker, absent, jax, langevin_peers

GOALS = {16: 3.0, 64: 3.0, 256: 1.5}
THREADS_GOAL = 1.85
POINTS, DIMENSION = 100, 10
STEP, TEMPERATURE = 1e-3, 0.1
SECONDS_A_GRADIENT = 40e-9
"""Of a peer on one core, for each weight; only for the steps of one call."""

Side = Callable[[], float]


def problem(width: int, temperature: float) -> Langevin:
    """Return what all sides solve."""
    inputs = np.random.default_rng(1).standard_normal((POINTS, DIMENSION))
    return Langevin(inputs, np.sin(inputs[:, 0]), width, STEP, temperature, TEMPERATURE)


def ensemble(task: Langevin, threads: int) -> TrainedEnsemble:
    """Return our side."""
    network = NetworkSpec(
        widths=(task.width, task.width), activation="tanh", weight_variance=1.0, bias_variance=0.0
    )
    mobilities = [1.0 / fan_in for _, fan_in in task.shapes]
    moving = Moving((1, 2, 3), mobilities, [0.0] * 3, task.decay_temperature)
    schedule = Schedule("langevin", task.step, 1.0, temperature=task.temperature)
    trained = TrainingProblem(network, task.inputs, task.targets[:, None], moving)
    return TrainedEnsemble(trained, schedule, task.inputs[:1], None, seed=7, threads=threads)


def flat(ours: TrainedEnsemble, theta: np.ndarray) -> np.ndarray:
    """Return the weights of one network as the peers keep them."""
    return np.concatenate([weight.ravel() for weight, _ in ours.problem.layers(theta)])


def check(width: int) -> None:
    """Compare energy and gradient, and fifty steps without noise, with JAX.

    Raises
    ------
    SystemExit
        If they differ.
    """
    if jax is None:
        return
    task = problem(width, 0.0)
    ours, theirs = ensemble(task, 1), JaxLangevin(task, "float64")
    arrays, wave = ours.problem.arrays, ours.start(0, 1)
    theta = on_cache_lines(wave.theta[0])
    slope, work = on_cache_lines(np.zeros_like(theta)), on_cache_lines(np.zeros(ours.work))
    energy = 0.5 * gradient(arrays, theta, work, slope) + decay_energy(arrays, theta)
    state = flat(ours, theta)
    pairs = {
        "energy": (energy, theirs.energy(state)),
        "gradient": (flat(ours, slope), theirs.gradient(state)),
    }
    step = jax.jit(theirs.step)
    for _ in range(50):
        state = step(state, 0.0)
    ours.advance(wave, 50)
    pairs["weights after 50 steps without noise"] = (flat(ours, wave.theta[0]), state)
    for name, (left, right) in pairs.items():
        difference = np.abs(np.asarray(left) - np.asarray(right)).max() / np.abs(np.asarray(right)).max()
        if not difference < 1e-11:
            raise SystemExit(f"{name} differs from JAX at width {width} by {difference:.1e}")


def our_side(task: Langevin, threads: int, options: Options) -> Side:
    """Return the measurement of our gradients per second."""
    ours = ensemble(task, threads)
    members = options.size(32 if task.width < 200 else 16, 4)
    steps = options.size(max(50, 25600 // task.width), 2)
    wave = ours.start(0, members)
    return rate(lambda: ours.advance(wave, wave.step + steps), members * steps, options.seconds, clock)


def at_best_size(task: Langevin, make: Maker, options: Options) -> Side:
    """Return the measurement of a peer with the number of networks at which it is fastest."""
    weights = task.edges[-1]
    found: dict[int, Side] = {}
    for count in (4,) if options.smoke else (16, 64, 256) if task.width < 200 else (4, 16):
        steps = options.size(max(3, int(0.1 / (SECONDS_A_GRADIENT * weights * count))), 2)
        found[count] = rate(make(count, steps), count * steps, options.seconds, clock)
    first = {count: max(side(), side()) for count, side in found.items()}
    return found[max(first, key=lambda count: first[count])]


def measure(width: int, options: Options) -> tuple[Samples, Samples]:
    """Measure ours and all peers in float64; the peers in float32 too."""
    task = problem(width, TEMPERATURE)
    sides = {"nnft": our_side(task, CORES, options)}
    for precision in ("float64", "float32"):
        for name, make in langevin_peers(task, precision, not options.smoke):
            sides[f"{name} {precision}"] = at_best_size(task, make, options)
    samples = interleave(sides, options.rounds)
    double = {name: values for name, values in samples.items() if not name.endswith("float32")}
    single = {name: values for name, values in samples.items() if name.endswith("float32")}
    return double, single


def show_threads(width: int, options: Options) -> None:
    """Print two threads against one, and what the same work does in two processes that share nothing."""
    task = problem(width, TEMPERATURE)
    with side_by_side(partial(our_side, task, 1, options)) as processes:
        sides = {name: our_side(task, n, options) for name, n in (("2 threads", 2), ("1 thread", 1))}
        samples = interleave(sides | {"processes": processes}, options.rounds)
    together = samples.pop("processes")
    median = {name: float(np.median(values)) for name, values in samples.items()}
    limit = float(np.median(together))
    times, share = limit / median["1 thread"], median["2 threads"] / limit
    note = (
        f"a process with one thread on each of {CORES} processors: {figure(limit)}, "
        f"{times:.3g} times one thread; threads reach {share:.3g} of it"
    )
    question = f"Langevin, n = {width}: 2 threads against 1"
    line = compare(question, samples, THREADS_GOAL, options, "gradients/s", ours="2 threads", note=note)
    show(line, options)


def main() -> None:
    """Print a line for each width, and each pair of thread counts."""
    options = read_options(__doc__)
    cores = "one core" if CORES == 1 else f"{CORES} cores"
    for width, goal in GOALS.items():
        n = options.size(width, 8)
        if not options.smoke:
            check(n)
        double, single = measure(n, options)
        question = f"Langevin, n = {n}, {POINTS} points, {cores}"
        if len(double) == 1:
            nothing = (float("nan"),) * 3
            ours = f"{figure(float(np.median(double['nnft'])))} gradients/s"
            show(Line(question, ours, "none", nothing, None, note=absent(), smoke=options.smoke), options)
            continue
        others = {k: figure(float(np.median(v))) for k, v in (double | single).items() if k != "nnft"}
        note = "; ".join([f"{k} {v}" for k, v in others.items()] + [absent()] * bool(absent()))
        show(compare(question, double, goal, options, "gradients/s", note=note), options)
    if CORES > 1:
        for width in GOALS:
            show_threads(options.size(width, 8), options)


if __name__ == "__main__":
    main()
