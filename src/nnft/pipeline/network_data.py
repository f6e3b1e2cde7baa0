"""Data of single networks: the same for all, or drawn anew for each."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from nnft.errors import DataFileError, shorten
from nnft.samplers.point_sets import NetworkPoints, PointsOf
from nnft.spec.data import DataSpec
from nnft.spec.dataset import Dataset, TeacherData
from nnft.spec.run import RunSpec
from nnft.store.reader import StoredRun


@lru_cache(maxsize=4)
def _teacher(table: DataSpec) -> TeacherData:
    return TeacherData(table)


def data_of_network(spec: RunSpec, network: int) -> Dataset:
    """Return the data that a network is trained on.

    Parameters
    ----------
    spec : RunSpec
        With a training.
    network : int
        From 0.
    """
    data = spec.dataset()
    if spec.training is None or not data.anew:
        return data
    return _teacher(spec.training.data).of(network)


def network_points(spec: RunSpec) -> PointsOf | None:
    """Return what gives the points of every network; None where all have the same."""
    if not spec.dataset().anew:
        return None

    def points_of(network: int) -> NetworkPoints:
        data = data_of_network(spec, network)
        return NetworkPoints(data.train_inputs, data.train_targets, data.test_inputs, data.test_targets)

    return points_of


def stored_data(data: Dataset) -> dict[str, Any]:
    """Return what a file holds of the data, by path below ``/training``: the arrays, or digests of them."""
    if data.anew:
        return {"data/sha256": data.network_sha256}
    found: dict[str, Any] = {
        "data/train_inputs": data.train_inputs,
        "data/train_targets": data.train_targets,
    }
    if len(data.test_inputs):
        found |= {"data/test_inputs": data.test_inputs, "data/test_targets": data.test_targets}
    return found


def check_drawn(stored: StoredRun, spec: RunSpec) -> None:
    """Refuse data that were drawn again as others than those of a file.

    Raises
    ------
    DataFileError
        With both digests.
    """
    found, wanted = spec.dataset().sha256, str(stored.attributes.get("/training@data_sha256", ""))
    if spec.dataset().anew and found != wanted:
        raise DataFileError(
            f"other data than those of {shorten(stored.path.name)}: got digest {found[:12]} of the first "
            f"networks, the file has {wanted[:12]}: use the versions of nnft and NumPy that wrote it"
        )
