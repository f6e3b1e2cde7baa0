"""What a training demands of the other tables of a card."""

from __future__ import annotations

from nnft.spec.cosines import CosineNetwork
from nnft.spec.ensemble import EnsembleSpec, EstimateSpec
from nnft.spec.network_kinds import AnyNetwork
from nnft.spec.problems import mistake, shown
from nnft.spec.training import DESCENTS, TrainingSpec

HIGHEST_TRAINED_ORDER = 6


def check_training(training: TrainingSpec, network: AnyNetwork, ensemble: EnsembleSpec) -> None:
    """Refuse a training that does not fit the networks or how they are drawn.

    Raises
    ------
    PydanticCustomError
        One line for the first contradiction.
    """
    layers = network.layers
    trainable = training.trainable_layers(layers)
    if trainable[-1] > layers:
        advice = f"allowed: 1 to {layers}, the layers of network.widths and the output"
        raise mistake("no such layer", advice, str(trainable[-1]), f"trainable[{len(trainable) - 1}]")
    if training.algorithm == "given":
        _check_given(training, network)
    if isinstance(network, CosineNetwork):
        _check_cosines(training, network)
    if training.algorithm == "exact" and trainable != (layers,):
        raise mistake("contradiction", 'exact needs trainable = "readout"', shown(trainable), "trainable")
    if training.algorithm == "exact" and training.data.anew:
        advice = "exact draws readouts on one set of data: use another algorithm, or leave it out"
        raise mistake("contradiction", advice, "true", "data.anew")
    if training.observe >= network.outputs:
        advice = f"allowed: 0 to {network.outputs - 1}, the outputs of the network"
        raise mistake("contradiction", advice, str(training.observe), "observe")
    if ensemble.precision == "float32":
        advice = "training is done in float64: leave out ensemble.precision"
        raise mistake("contradiction", advice, "ensemble.precision float32")
    if ensemble.method == "collapsed" and training.algorithm != "exact":
        advice = "training needs the weights: leave out ensemble.method"
        raise mistake("contradiction", advice, "ensemble.method collapsed")
    if training.decays:
        for layer in trainable:
            if network.weight_variances[layer - 1] == 0.0:
                advice = f"weight decay T / variance needs network.weight_variance above 0 in layer {layer}"
                raise mistake("contradiction", advice, f"layer {layer} of variance 0", "trainable")


def _check_given(training: TrainingSpec, network: AnyNetwork) -> None:
    if isinstance(network, CosineNetwork):
        advice = 'given weights are those of network.kind "mlp"'
        raise mistake("contradiction", advice, f"'given' with {network.kind}", "algorithm")
    if training.data.anew:
        advice = "given networks are held against one set of data: leave it out"
        raise mistake("contradiction", advice, "true", "data.anew")


def _check_cosines(training: TrainingSpec, network: CosineNetwork) -> None:
    if training.trainable_layers(2) != (2,):
        advice = 'momenta and phases stay as they were drawn: give "readout"'
        raise mistake("contradiction", advice, shown(training.trainable), "trainable")
    if network.amplitude_law == "fixed":
        advice = "amplitudes that are trained have a Gaussian law: leave out network.amplitudes"
        raise mistake("contradiction", advice, "fixed amplitudes")


def check_estimate(estimate: EstimateSpec, training: TrainingSpec, layers: int) -> None:
    """Refuse estimates that a trained ensemble does not have.

    Raises
    ------
    PydanticCustomError
        One line for the first contradiction.
    """
    if estimate.correlators[-1] > HIGHEST_TRAINED_ORDER:
        advice = f"allowed: up to {HIGHEST_TRAINED_ORDER} with [training]"
        raise mistake("contradiction", advice, f"order {estimate.correlators[-1]}", "correlators")
    if estimate.estimator != "conditional":
        return
    if training.algorithm in (*DESCENTS, "given"):
        advice = f"the readout after {training.algorithm} has no known law: use direct"
        raise mistake("contradiction", advice, "'conditional'", "estimator")
    if layers not in training.trainable_layers(layers):
        advice = f"layer {layers}, the readout, is not in training.trainable: use direct"
        raise mistake("contradiction", advice, "'conditional'", "estimator")
