"""Relations that networks in equilibrium obey at any width, set beside estimates.

With energy E at temperature T the virial theorem gives ``<theta dE/dtheta> = T`` for every parameter. Where
the activation is positively homogeneous and there is no bias, ``W_l . dL/dW_l`` of the loss L is the same for
every layer, so that ``|W_l|^2 / sigma_l^2 - n_l`` has one mean for all layers of n_l weights. A proposal that
is reversible and keeps volumes has ``<exp(-dH / T)> = 1``, those that are rejected included (Neal, in
*Handbook of Markov Chain Monte Carlo* (2011), chapter 5); trajectories that gain very much energy add
nothing, and their reversals, which would make up for it, are too rare to be seen.
"""

from __future__ import annotations

import numpy as np

from nnft.analysis.comparison_table import Row, number_pull
from nnft.analysis.trained_run import HOMOGENEOUS, UNADJUSTED, TrainedRun
from nnft.estimators.observables import ObservableEstimator

STEP_BIAS = "up to the bias of the step"


def identities(trained: TrainedRun) -> tuple[Row, ...]:
    """Return the identities that hold for a run; none unless it samples a posterior.

    Parameters
    ----------
    trained : TrainedRun
    """
    observables = trained.equilibrium
    if not trained.samples_posterior or observables is None or trained.algorithm == "exact":
        return ()
    note = STEP_BIAS if trained.algorithm in UNADJUSTED else ""
    rows = [_number(observables, f"virial_{layer}", 1.0, note) for layer in trained.trainable]
    if trained.every_layer and trained.activation[0] in HOMOGENEOUS and not any(trained.bias_variances):
        rows += [_balance(trained, observables, layer, note) for layer in range(1, trained.layers)]
    name = "exponential_of_energy_error"
    if name in observables.names:
        acceptance = observables.result("acceptance")
        rate = f"acceptance {float(acceptance.mean[0]):.3f}; below 1 by the share of unstable trajectories"
        rows.append(_number(observables, name, 1.0, rate))
    return tuple(rows)


def _number(observables: ObservableEstimator, name: str, theory: float, note: str) -> Row:
    found = observables.result(name)
    value, stderr = float(found.mean[0]), float(found.stderr[0])
    return Row(name, value, stderr, (theory,), (number_pull(value, stderr, theory),), note=note)


def _balance(trained: TrainedRun, observables: ObservableEstimator, layer: int, note: str) -> Row:
    """Excess of the squared weights of one layer, less that of the next one."""
    counts = np.multiply(trained.sizes[:-1], trained.sizes[1:]).astype(np.float64)
    here, there = (observables.replicates(f"weight_scale_{k}") for k in (layer, layer + 1))
    values = counts[layer - 1] * (here.values - 1.0) - counts[layer] * (there.values - 1.0)
    found = type(here)(values, here.bin_counts, here.n_networks)
    value, stderr = float(found.value[0]), float(found.stderr()[0])
    name = f"excess_of_layer_{layer}_over_layer_{layer + 1}"
    return Row(name, value, stderr, (0.0,), (number_pull(value, stderr, 0.0),), note=note)
