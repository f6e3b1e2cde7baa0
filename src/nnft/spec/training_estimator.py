"""How the outputs of trained networks are estimated: as they are, or with the readout averaged exactly."""

from __future__ import annotations

from dataclasses import dataclass

from nnft.spec.sectors import pair_count

ADJUSTED = ("mala", "hmc")
"""Samplers that accept or reject: their stationary law is the posterior, whatever their step."""

MOST_RECORDED = 16 * 2**20
"""Bytes of means and covariances of a network up to which they are recorded unasked."""

_EXACT = "the readout given the hidden layers is Gaussian: its average is exact (Rao-Blackwell)"
_PLAIN = "k-statistics of the trained outputs"


@dataclass(frozen=True)
class Chains:
    """What the choice rests on.

    Attributes
    ----------
    algorithm : str
    readout : bool
        Whether the last layer moves, and there is a hidden one: without, nothing is left to average over.
    draws : int
        Of all chains of a network.
    train_points, weights : int
        Training points, weights of a network.
    gradients : int
        Of all chains of a network.
    """

    algorithm: str
    readout: bool
    draws: int
    train_points: int
    weights: int
    gradients: int

    def cheap(self, points: int) -> bool:
        """Tell whether exact averages at so many points take less work than training, and little memory."""
        recorded = 8 * self.draws * (points + pair_count(points))
        joint = self.train_points + points
        solve = self.train_points**3 // 6 + self.train_points * joint * points
        extra = self.draws * (solve + joint * self.weights)
        training = 3 * self.gradients * self.train_points * self.weights
        return extra <= training and recorded <= MOST_RECORDED


def choose_estimator(asked: str, chains: Chains, points: int) -> tuple[str, str]:
    """Return the estimator and why.

    Given the hidden layers of a draw from the posterior, the readout is Gaussian, so that its average can be
    taken exactly. With a sampler that does not accept or reject, that would take away the bias of its step on
    the readout and leave the one on the hidden layers: unasked, its draws are shown as they are.

    Parameters
    ----------
    asked : str
        ``"auto"``, ``"direct"`` or ``"conditional"``.
    chains : Chains
    points : int
        Input points.
    """
    if asked == "conditional":
        return "trained-conditional", f"as asked; {_EXACT}"
    if asked == "direct":
        return "trained", f"as asked; {_PLAIN}"
    if chains.algorithm == "exact":
        return "trained-conditional", _EXACT
    if chains.algorithm not in ADJUSTED or not chains.readout:
        return "trained", f"{_PLAIN}, of every order"
    if chains.cheap(points):
        return "trained-conditional", _EXACT
    return "trained", f"{_PLAIN}; exact averages of the readout would cost more than the training itself"
