"""Readout training, one point a step: networks per second on one core, and against a PyTorch loop of them.

Network 2-10-10-2000-1, relu, unit variance of every weight, hidden layers frozen, 200 points, 1000 epochs in
cyclic order at the rate 1e-6. PyTorch runs a shortened training; its time is scaled to the whole.
"""

from __future__ import annotations

from one_core import clock  # first: it limits the threads of the libraries below

# isort: split

from collections.abc import Callable

import numpy as np

from harness import Line, compare, figure, interleave, rate, read_options, show, summarize
from nnft.samplers.trained import Schedule, TrainedEnsemble
from nnft.samplers.training_problem import Moving, TrainingProblem
from nnft.spec.network import NetworkSpec
from training_peers import Readout, absent, jax_features, torch_features, torch_script

POINTS, RATE = 200, 1e-6
WIDTHS = (10, 10, 2000)
SCRIPT, FEATURES, SCAN = "PyTorch loop", "PyTorch loop, features once", "JAX scan, features once"


def ensemble(points: int) -> TrainedEnsemble:
    """Return our side: standard parametrization, half the sum of squares."""
    random = np.random.default_rng(1)
    inputs = random.standard_normal((points, 2))
    targets = inputs @ np.array([[2.0], [3.0]])
    variances = (2.0, *(float(width) for width in WIDTHS))
    network = NetworkSpec(widths=WIDTHS, activation="relu", weight_variance=variances, bias_variance=0.0)
    last = len(WIDTHS) + 1
    still = [0.0] * len(WIDTHS)
    problem = TrainingProblem(network, inputs, targets, Moving((last,), [*still, 1.0], [0.0] * last))
    schedule = Schedule("sgd", RATE, 1.0, batch_size=1, batches=points, order="cyclic")
    return TrainedEnsemble(problem, schedule, inputs[:1], None, seed=7)


def readouts(ours: TrainedEnsemble, networks: int, steps: int) -> list[list[tuple[np.ndarray, np.ndarray]]]:
    """Train networks from their start; weights and biases of all layers of each."""
    wave = ours.start(0, networks)
    ours.advance(wave, steps)
    return [ours.problem.layers(theta) for theta in ours.weights(wave)]


def peers(ours: TrainedEnsemble, steps: int, whole: int) -> dict[str, tuple[Callable[[], np.ndarray], int]]:
    """Return the peers that are installed, each with the steps of one call; their answers are checked.

    Raises
    ------
    SystemExit
        If a peer ends at another readout than ours.
    """
    start = readouts(ours, 1, 0)[0]
    problem = Readout([weight for weight, _ in start], ours.problem.inputs, ours.problem.targets, RATE)
    makers = {SCRIPT: (torch_script, steps), FEATURES: (torch_features, steps), SCAN: (jax_features, whole)}
    found = {}
    for name, (make, length) in makers.items():
        work = make(problem, length)
        if work is None:
            continue
        wanted, moved = readouts(ours, 1, length)[0][-1][0], start[-1][0]
        difference = np.abs(work() - wanted).max() / np.abs(wanted - moved).max()
        if not difference < 1e-10:
            raise SystemExit(f"{name} ends elsewhere after {length} steps, by {difference:.1e}")
        found[name] = (work, length)
    return found


def main() -> None:
    """Print the rate, and one line for each peer."""
    options = read_options(__doc__)
    points, epochs = options.size(POINTS, 20), options.size(1000, 10)
    steps, shortened = points * epochs, options.size(2000, 100)
    ours = ensemble(points)
    found = peers(ours, shortened, steps)
    networks = options.size(4, 2)
    sides = {"nnft": rate(lambda: readouts(ours, networks, steps), networks, options.seconds, clock)}
    sides |= {name: rate(work, s / steps, options.seconds, clock) for name, (work, s) in found.items()}
    samples = interleave(sides, options.rounds)
    question = f"readout, {points} points, {epochs} epochs of single points"
    rates = summarize(samples["nnft"])
    line = Line(
        f"{question}: the rate itself", f"{figure(rates[1])} networks/s", "none", rates, 20.0, note=absent(),
        smoke=options.smoke,
    )  # fmt: skip
    show(line, options)
    goals = {SCRIPT: 3000.0, FEATURES: None, SCAN: None}
    for name, (_, length) in found.items():
        pair = {"nnft": samples["nnft"], name: samples[name]}
        note = f"peer: {length} steps, scaled" if length < steps else ""
        show(compare(question, pair, goals[name], options, "networks/s", note=note), options)


if __name__ == "__main__":
    main()
