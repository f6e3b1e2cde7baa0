"""The keys of a training in a digest and in a resolved card."""

from __future__ import annotations

from nnft.spec.dataset import Dataset
from nnft.spec.training import KEYS_OF_ALGORITHM, TrainingSpec
from nnft.spec.training_resolution import TrainingResolution

_NAMES = {"steps": "total_steps", "epochs": "total_steps", "time": "total_time"}


def training_values(trained: TrainingResolution, data: Dataset) -> dict[str, object]:
    """Return every value of a training that determines the numbers of a run, by dotted key.

    Two cards that say the same in different words, a ridge or the temperature that gives it, epochs or the
    steps that they have, have the same values.
    """
    points, test_points, dimension, targets = data.shape
    values: dict[str, object] = {
        "training.loss": trained.loss,
        "training.algorithm": trained.algorithm,
        "training.trainable": list(trained.trainable),
        "training.parametrization": trained.parametrization,
        "training.temperature": trained.temperature,
        "training.weight_decay": "prior" if trained.decay else "none",
        "training.observe": trained.observe,
        "training.data": (
            f"{points} points and {test_points} held out of dimension {dimension} with {targets} targets, "
            f"sha256 {data.sha256}"
        ),
    }
    if data.anew:  # a card without it keeps the digest that it always had
        values["training.data.anew"] = True
    for name in KEYS_OF_ALGORITHM[trained.algorithm] if trained.algorithm != "given" else ():
        value = getattr(trained, _NAMES.get(name, name))
        if name == "snapshots":
            value = list(trained.snapshots or trained.snapshot_times)
        key = "steps" if name == "epochs" else name
        values[f"training.{key}"] = "auto" if name == "step" and value == 0.0 else value
    return values


def training_table(training: TrainingSpec, data: Dataset) -> dict[str, object]:
    """Return the table of a resolved card, with the table of the data inside.

    Data from a file are named by the file and their digest, not written out.
    """
    digest = data.sha256 if training.data.file is not None else None
    return training.table() | {"data": training.data.model_copy(update={"sha256": digest}).table()}
