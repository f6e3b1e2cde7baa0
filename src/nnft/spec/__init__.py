"""Specification of a run: architecture, weight law, input points, ensemble, estimates."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nnft.spec.cosines import CosNetSpec, FreeScalarSpec
    from nnft.spec.data import DataSpec
    from nnft.spec.dataset import Dataset
    from nnft.spec.ensemble import EnsembleSpec, EstimateSpec, StoreSpec
    from nnft.spec.inputs import InputsSpec
    from nnft.spec.mesh import Mesh
    from nnft.spec.network import NetworkSpec
    from nnft.spec.plan import RunPlan, plan_run
    from nnft.spec.run import RunSpec
    from nnft.spec.training import TrainingSpec
    from nnft.spec.training_resolution import TrainingResolution

__all__ = [
    "CosNetSpec",
    "DataSpec",
    "Dataset",
    "EnsembleSpec",
    "EstimateSpec",
    "FreeScalarSpec",
    "InputsSpec",
    "Mesh",
    "NetworkSpec",
    "RunPlan",
    "RunSpec",
    "StoreSpec",
    "TrainingResolution",
    "TrainingSpec",
    "plan_run",
]

_HOMES = {
    "CosNetSpec": "cosines",
    "DataSpec": "data",
    "Dataset": "dataset",
    "EnsembleSpec": "ensemble",
    "EstimateSpec": "ensemble",
    "FreeScalarSpec": "cosines",
    "InputsSpec": "inputs",
    "Mesh": "mesh",
    "NetworkSpec": "network",
    "RunPlan": "plan",
    "RunSpec": "run",
    "StoreSpec": "ensemble",
    "TrainingResolution": "training_resolution",
    "TrainingSpec": "training",
    "plan_run": "plan",
}


def __getattr__(name: str) -> object:
    """Load a name at its first use, so that reading results does not import pydantic."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
