"""Which theories there are for a run of trained networks, and why not where there is none."""

from __future__ import annotations

from dataclasses import dataclass

from nnft.analysis.trained_dynamics import descent
from nnft.analysis.trained_kernels import JointKernels
from nnft.analysis.trained_law import Prediction
from nnft.analysis.trained_posterior import posterior_predictions
from nnft.analysis.trained_run import TrainedRun
from nnft.analysis.trained_stochastic import stochastic_descent
from nnft.errors import NumericalError, UsageError

GIVEN = "the weights come from a file (training.algorithm given): no law is known that they should have"


@dataclass(frozen=True, eq=False)
class Theories:
    """The theories of a run.

    Attributes
    ----------
    predictions : tuple of Prediction
        The best one first; empty if there is none.
    reason : str
        Why there is none; empty if there is one.
    """

    predictions: tuple[Prediction, ...]
    reason: str = ""


def theories(trained: TrainedRun) -> Theories:
    """Return all theories that apply to a run.

    Parameters
    ----------
    trained : TrainedRun
    """
    reason = GIVEN if trained.algorithm == "given" else missing(trained)
    if reason:
        return Theories((), reason)
    try:
        if trained.algorithm == "sgd":
            return Theories((stochastic_descent(trained),))
        joint = JointKernels(trained)
        if trained.samples_posterior:
            return Theories(tuple(posterior_predictions(joint)))
        return Theories((descent(joint),))
    except (UsageError, NumericalError) as error:
        return Theories((), str(error))


def missing(trained: TrainedRun) -> str:
    """Return why no theory applies; empty if one does."""
    if trained.data_anew:
        return (
            "data differ from network to network (training.data.anew), and theories are of one set of data; "
            "expected losses of a flow, nnft flow --theory, use the data of each"
        )
    if trained.samples_posterior:
        if trained.every_layer or trained.readout_only:
            return ""
        layers = ", ".join(map(str, trained.trainable))
        return (
            f"only layers {layers} of {trained.layers} are sampled, and the frozen ones give each network a "
            "law of its own; sample all layers or the readout alone"
        )
    if trained.decays and not trained.readout_only:
        return (
            "weight decay acts on hidden layers, so that both kernels change in time; without decay, or with "
            "a trained readout alone, there is one"
        )
    if trained.algorithm == "sgd" and trained.training["order"] == "shuffled":
        return (
            "batches of a shuffled epoch share no point, so that they are not independent and their moments "
            "do not close; order = random or cyclic has one"
        )
    return ""
