"""The whole run of the card renormalization-sgd, network by network: networks per second, and PyTorch.

Network 2-10-10-2000-1, relu, data of its own; 200,000 single-sample steps of the readout, information on ten
inputs, then 25 cutoffs and both ends: training and test error on 200 points each, outputs on the mesh. One
core. The training of PyTorch is shortened and its time scaled; the flow is whole.
"""

from __future__ import annotations

from one_core import clock  # first: it limits the threads of the libraries below

# isort: split

from collections.abc import Callable

import numpy as np

from flow_peers import Flow, TorchFlow
from harness import Line, Options, compare, figure, interleave, rate, read_options, show, summarize
from nnft.pipeline.flow_setup import fisher_inputs, make_renormalization
from nnft.pipeline.network_data import data_of_network
from nnft.pipeline.train_setup import make_ensemble, resolved
from nnft.samplers.renormalized import Flowed, Renormalization
from nnft.samplers.trained import TrainedEnsemble
from nnft.spec import RunSpec, examples, plan_run
from nnft.spec.flow_resolution import FlowResolution
from training_peers import Readout, absent, torch

CARD, SCRIPT = "renormalization-sgd", "PyTorch loop"
CLOSE = 1e-9
"""Largest relative difference of the losses of both sides."""


class Ours:
    """Our side: sampler and flow of the card.

    Parameters
    ----------
    tangents : bool
        Whether tangent kernels on the mesh are followed as well, as the card does.
    """

    def __init__(self, tangents: bool) -> None:
        self.spec = RunSpec.from_text(examples.text(CARD))
        plan, flow = plan_run(self.spec), self.spec.flow_resolution
        if flow is None:
            raise SystemExit(f"the card {CARD} has no flow")
        self.training = resolved(plan)
        self.flow: FlowResolution = flow
        self.ensemble: TrainedEnsemble = make_ensemble(self.spec, plan, 1, self.training.step)
        chosen = type(flow)(**(vars(flow) | {"tangents": tangents}))
        self.renormalization: Renormalization = make_renormalization(
            self.spec, chosen, self.ensemble, flow.cutoffs
        )

    def run(self, networks: int, steps: int) -> Flowed:
        """Train networks from their start and follow them over the cutoffs."""
        wave = self.ensemble.start(0, networks)
        self.ensemble.advance(wave, steps)
        return self.renormalization.run(self.ensemble.weights(wave), 0)

    def problem(self) -> Flow:
        """Return what the peer is told of network 0: start, data, replacement."""
        weights = [matrix for matrix, _ in self.ensemble.problem.layers(self.ensemble.start(0, 1).theta[0])]
        data = data_of_network(self.spec, 0)
        return Flow(
            training=Readout(weights, data.train_inputs, data.train_targets, self.training.step),
            fisher=fisher_inputs(self.spec, self.flow),
            test=data.test_inputs,
            mesh=self.spec.mesh().points,
            test_targets=data.test_targets,
            replacement=self.renormalization.replacement(0)[-1][0],
            cutoffs=np.array(self.flow.cutoffs),
            noise_variance=self.flow.noise_variance,
        )


def check(peer: TorchFlow, ours: Flowed, steps: int) -> None:
    """Compare losses and outputs at every cutoff.

    Raises
    ------
    SystemExit
        They differ by more than rounding.
    """
    peer.train()
    errors, outputs = peer.follow()
    pairs = (("losses", errors, ours.errors[0, 0]), ("outputs", outputs, ours.outputs[0, 0]))
    for name, theirs, own in pairs:
        difference = float(np.abs(theirs - own).max() / np.abs(own).max())
        worst = float(np.abs(theirs / own - 1.0).max())
        if not (difference < CLOSE and worst < 1e3 * CLOSE):
            raise SystemExit(f"{name} of the peer differ by {difference:.1e}, {worst:.1e} ({steps} steps)")


def peer_parts(ours: Ours, options: Options, shortened: int) -> dict[str, Callable[[], float]]:
    """Return measurements of the two parts of the peer, in networks per second."""
    peer = TorchFlow(ours.problem(), shortened)
    check(peer, ours.run(1, shortened), shortened)
    share = shortened / ours.training.total_steps
    return {
        "training": rate(peer.train, share, options.seconds, clock),
        "cutoffs": rate(peer.follow, 1.0, options.seconds, clock),
    }


def joined(training: list[float], cutoffs: list[float]) -> list[float]:
    """Return networks per second of both parts, one after the other."""
    return [1.0 / (1.0 / a + 1.0 / b) for a, b in zip(training, cutoffs, strict=True)]


def main() -> None:
    """Print the rate, and one line for the peer."""
    options = read_options(__doc__)
    ours, card = Ours(tangents=False), Ours(tangents=True)
    steps, networks = options.size(ours.training.total_steps, 400), options.size(4, 2)
    shortened = options.size(2000, 100)
    sides = {
        "nnft": rate(lambda: ours.run(networks, steps), networks, options.seconds, clock),
        "card": rate(lambda: card.run(networks, steps), networks, options.seconds, clock),
    }
    if torch is not None:
        sides |= peer_parts(ours, options, shortened)
    samples = interleave(sides, options.rounds)
    question = "whole run of renormalization-sgd: training, information, 25 cutoffs"
    for name, text in (("nnft", question), ("card", f"{question}, tangent kernels")):
        rates = summarize(samples[name])
        line = Line(
            f"{text}: the rate itself", f"{figure(rates[1])} networks/s", "none", rates, None, note=absent(),
            smoke=options.smoke,
        )  # fmt: skip
        show(line, options)
    if torch is not None:
        pair = {"nnft": samples["nnft"], SCRIPT: joined(samples["training"], samples["cutoffs"])}
        note = f"peer: {shortened} steps of training, scaled; same losses"
        show(compare(question, pair, 3000.0, options, "networks/s", note=note), options)


if __name__ == "__main__":
    main()
