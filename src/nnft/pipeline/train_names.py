"""What the numbers recorded of trained networks are called."""

from __future__ import annotations

from dataclasses import dataclass

from nnft.spec.plan import RunPlan

ADJUSTED = ("mala", "hmc")
SAMPLERS = ("langevin", "mala", "underdamped", "hmc")
TRACED_POINTS = 4


@dataclass(frozen=True)
class Names:
    """What the numbers of a network are called.

    Attributes
    ----------
    scalars : tuple of str
        Recorded at every draw and snapshot.
    moving : tuple of str
        Along the training.
    averaged : tuple of str
        Averaged over the draws of a network.
    traced : tuple of str
        In the traces of chains.
    """

    scalars: tuple[str, ...]
    moving: tuple[str, ...]
    averaged: tuple[str, ...]
    traced: tuple[str, ...]


def observable_names(plan: RunPlan) -> Names:
    """Return the names for a plan with a training."""
    training = plan.training
    layers = range(1, plan.layers + 1)
    scales = tuple(f"weight_scale_{layer}" for layer in layers)
    virials = tuple(f"virial_{layer}" for layer in layers)
    if training is not None and training.algorithm not in SAMPLERS:  # a virial is measured in temperatures
        virials = ()
    if training is not None and training.algorithm == "exact":
        return Names((), (), ("train_error",), ())
    errors = ("train_error", "test_error", "energy")
    scalars = (*errors, *scales, *virials)
    moving = (*scalars, "kernel_movement", "tangent_movement")
    averaged: tuple[str, ...] = scalars
    if training is not None and training.algorithm in ADJUSTED:
        averaged = (*scalars, "acceptance", "exponential_of_energy_error", "step_size")
    outputs = tuple(f"output_at_{point}" for point in range(min(plan.points, TRACED_POINTS)))
    return Names(scalars, moving, averaged, (*outputs, "train_error", "energy", scales[-1]))
