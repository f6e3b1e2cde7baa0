"""What training one network costs: random numbers, multiply-adds, and passes through its neurons."""

from __future__ import annotations

from nnft.spec.network_kinds import AnyNetwork
from nnft.spec.sectors import pair_count
from nnft.spec.training import SAMPLERS
from nnft.spec.training_resolution import TrainingResolution, affine_layers

NEURON_SECONDS = 4.5e-9
"""Of one neuron at one point, there and back: activation, slope, what is passed on."""

LAYER_SECONDS = 0.25e-6
"""Of one layer in one gradient, however small it is."""


RESIDUAL_SECONDS = 0.04e-6
"""Of one step on the residuals of the training points, besides its products."""


def training_cost(
    network: AnyNetwork, trained: TrainingResolution, points: int, dimension: int
) -> tuple[int, int, float]:
    """Return normals, multiply-adds and seconds in neurons of one network with all its chains, on one core.

    A gradient of a point takes three products with every weight, an output one. Where only the readout
    moves, hidden layers are computed once, and a step takes products with the readout or, where they are
    fewer, one with the residuals of all training points. Tangent kernels at the snapshots, and exact averages
    of the readout at the draws, come on top.

    Parameters
    ----------
    network : AnyNetwork
    trained : TrainingResolution
        Of an algorithm other than "exact".
    points, dimension : int
        Input points and their dimension.
    """
    layers = affine_layers(network, dimension)
    weights = sum(fan_in * width for fan_in, width, _ in layers)
    neurons = sum(network.widths)
    noise = trained.total_steps if trained.algorithm in SAMPLERS else 0
    normals = trained.parameters * (1 + noise * trained.chains)
    gradients, batch = trained.gradients_per_member, trained.batch_size
    moving, passed, each = 3 * weights, neurons, len(layers) * LAYER_SECONDS
    if trained.trainable == (len(layers),):
        fan_in, outputs, _ = layers[-1]
        moving, passed, each = 3 * min(fan_in, trained.train_points) * outputs, 0, LAYER_SECONDS
        if trained.algorithm in ("gd", "sgd") and not trained.decay and trained.train_points < fan_in:
            moving, each = trained.train_points * outputs, RESIDUAL_SECONDS
    looks = (trained.draws + trained.snapshot_count) * (points + trained.train_points)
    kernels = trained.snapshot_count * (pair_count(points) * neurons + 2 * points * weights)
    adds = gradients * batch * moving + looks * weights + kernels
    if trained.estimator == "trained-conditional":
        joint = trained.train_points + points
        adds += trained.draws * (trained.train_points**3 // 6 + trained.train_points * joint * points)
    passes = gradients * (batch * passed * NEURON_SECONDS + each)
    passes += looks * neurons * NEURON_SECONDS
    return normals, trained.chains * adds, trained.chains * passes
