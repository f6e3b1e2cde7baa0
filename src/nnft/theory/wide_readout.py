"""Readouts trained on top of an infinitely wide frozen network, with decay and noise or without."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from nnft.errors import UsageError
from nnft.theory.activations import Array
from nnft.theory.gaussian_process import half_square_loss
from nnft.theory.linearised import TrainedEnsemble
from nnft.theory.readout_training import LinearModel, WeightLaw, square_root_features


def readout_model(
    average: Array,
    targets: Array,
    *,
    weight_variance: float,
    bias_variance: float,
    weight_rate: float,
    bias_rate: float,
    rate: float = 1.0,
    temperature: float = 0.0,
) -> tuple[LinearModel, Array]:
    """Linear model whose outputs are those of an infinitely wide network with a trained readout.

    Frozen hidden layers enter through the average ``<sigma sigma>`` of the last one only. The model's
    laws (flow, descent, Langevin, posterior), with weight decay or without, are exact at infinite width.

    Parameters
    ----------
    average : ndarray, shape (P + E, P + E)
        ``<sigma sigma>`` of the last hidden layer, training points first; ``x.x / d`` without hidden layers.
    targets : ndarray, shape (P, D) or (P,)
        Targets.
    weight_variance, bias_variance : float
        C_W and C_b of the readout.
    weight_rate, bias_rate : float
        lambda_W > 0 and lambda_b of the readout; lambda_b > 0 exactly where C_b > 0.
    rate, temperature : float
        As in `LinearModel`; the decay follows from the prior and the temperature.

    Returns
    -------
    model : LinearModel
    evaluation : ndarray, shape (E, n)
        Features at the evaluation points.

    Raises
    ------
    UsageError
        If the readout is not trained or a bias is frozen.
    """
    if not weight_rate > 0.0 or (bias_rate > 0.0) != (bias_variance > 0.0):
        raise UsageError(
            f"rates of a readout: got weight {weight_rate} and bias {bias_rate} with bias variance "
            f"{bias_variance}; give a weight rate > 0, and a bias rate where there is a bias"
        )
    features = np.sqrt(weight_rate) * square_root_features(average)
    variances = np.full(features.shape[1], weight_variance / weight_rate)
    if bias_rate > 0.0:
        features = np.column_stack([features, np.full(len(features), np.sqrt(bias_rate))])
        variances = np.append(variances, bias_variance / bias_rate)
    points = np.shape(targets)[0]
    return LinearModel(features[:points], targets, variances, rate, temperature), features[points:]


def readout_ensemble(
    model: LinearModel, evaluation: Array, times: Sequence[float], laws: Iterable[WeightLaw]
) -> TrainedEnsemble:
    """Outputs of a linear model under laws of its weights, one for every time.

    For example ``readout_ensemble(model, evaluation, steps, (model.langevin(k, eta) for k in steps))``.
    """
    means, variances, results, covariances, losses = [], [], [], [], []
    for law in laws:
        mean, covariance = law.outputs(model.features)
        means.append(mean)
        variances.append(np.diagonal(covariance))
        losses.append(half_square_loss(mean, variances[-1], model.targets))
        mean, covariance = law.outputs(evaluation)
        results.append(mean)
        covariances.append(covariance)
    return TrainedEnsemble(
        np.asarray(times, dtype=np.float64),
        *(np.array(values) for values in (means, variances, results, covariances, losses)),
    )
