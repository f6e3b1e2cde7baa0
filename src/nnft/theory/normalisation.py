"""What the words for a loss mean: its factor, the ridge it amounts to at a temperature, weight decay.

The energy is ``c sum_{mu, i} (f_i(x_mu) - y_{mu, i})^2 + 1/2 sum_p decay_p theta_p^2``; at temperature T
its Boltzmann law is the posterior with label noise of variance ``T / 2c`` and prior variances
``T / decay_p``. A mean over points at fixed temperature has a ridge that grows with their number.
"""

from __future__ import annotations

from nnft.errors import UsageError

LOSSES = ("half-sum", "sum", "half-mean", "mean")


def loss_factor(loss: str, points: int) -> float:
    """Factor c of a loss over `points` points: 1/2, 1, 1/(2 P), 1/P.

    Parameters
    ----------
    loss : str
        "half-sum", "sum", "half-mean" or "mean"; the sum over outputs is never averaged.
    points : int
        Points the loss runs over: the training points, or those of a batch.

    Raises
    ------
    UsageError
        For another word or no points.
    """
    if loss not in LOSSES:
        raise UsageError(f"word for a loss: got {loss!r}; allowed are {', '.join(LOSSES)}")
    if points < 1:
        raise UsageError(f"points of a loss: got {points}; give at least 1")
    factor = 0.5 if loss.startswith("half") else 1.0
    return factor / points if loss.endswith("mean") else factor


def ridge(loss: str, temperature: float, points: int) -> float:
    """Variance of the label noise, ``kappa = T / 2c``, that a loss has at a temperature."""
    return temperature / (2.0 * loss_factor(loss, points))


def temperature_of_ridge(loss: str, ridge_value: float, points: int) -> float:
    """Temperature ``T = 2 c kappa`` at which a loss has the given ridge."""
    return 2.0 * loss_factor(loss, points) * ridge_value


def weight_decay(temperature: float, prior_variance: float) -> float:
    """Coefficient of ``theta^2 / 2`` in the energy for which theta has its prior without data."""
    if not prior_variance > 0.0:
        raise UsageError(f"prior variance of a decaying parameter: got {prior_variance}; give a number > 0")
    return temperature / prior_variance
