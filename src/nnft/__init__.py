"""nnft: neural-network field theory by Monte Carlo.

``nnft.sample(card, "run.h5")`` samples an ensemble of networks into a result file; ``nnft.open("run.h5")``
reads it, with NumPy and h5py only. ``nnft.action(run)`` gives its action with couplings, ``nnft.closure``,
``nnft.axioms`` and ``nnft.EdgeworthDensity`` test and use it; ``nnft.scan`` and ``nnft.extrapolate`` work on
families of runs. ``nnft.train(card, "trained.h5")`` trains the networks of a card instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nnft.actions.action import Action, action
    from nnft.actions.action_density import action_density
    from nnft.actions.axioms import axioms, axioms_of_fields
    from nnft.actions.closure import Closure, closure, closure_threshold
    from nnft.actions.density import EdgeworthDensity
    from nnft.analysis.extrapolate import extrapolate
    from nnft.analysis.run import Run
    from nnft.analysis.run import open_run as open
    from nnft.analysis.scan_index import ScanIndex, open_scan
    from nnft.pipeline.action_output import save_action
    from nnft.pipeline.sample import sample
    from nnft.pipeline.scan import scan
    from nnft.pipeline.stop import StopFlag
    from nnft.pipeline.train import train
    from nnft.spec.run import RunSpec
    from nnft.store.analysis_reader import read_analysis

    __version__: str

__all__ = [
    "Action",
    "Closure",
    "EdgeworthDensity",
    "Run",
    "RunSpec",
    "ScanIndex",
    "StopFlag",
    "__version__",
    "action",
    "action_density",
    "axioms",
    "axioms_of_fields",
    "closure",
    "closure_threshold",
    "extrapolate",
    "open",
    "open_scan",
    "read_analysis",
    "sample",
    "save_action",
    "scan",
    "train",
]

_HOMES = {
    "Action": ("nnft.actions.action", "Action"),
    "Closure": ("nnft.actions.closure", "Closure"),
    "EdgeworthDensity": ("nnft.actions.density", "EdgeworthDensity"),
    "Run": ("nnft.analysis.run", "Run"),
    "RunSpec": ("nnft.spec.run", "RunSpec"),
    "ScanIndex": ("nnft.analysis.scan_index", "ScanIndex"),
    "StopFlag": ("nnft.pipeline.stop", "StopFlag"),
    "action": ("nnft.actions.action", "action"),
    "action_density": ("nnft.actions.action_density", "action_density"),
    "axioms": ("nnft.actions.axioms", "axioms"),
    "axioms_of_fields": ("nnft.actions.axioms", "axioms_of_fields"),
    "closure": ("nnft.actions.closure", "closure"),
    "closure_threshold": ("nnft.actions.closure", "closure_threshold"),
    "extrapolate": ("nnft.analysis.extrapolate", "extrapolate"),
    "open": ("nnft.analysis.run", "open_run"),
    "open_scan": ("nnft.analysis.scan_index", "open_scan"),
    "read_analysis": ("nnft.store.analysis_reader", "read_analysis"),
    "sample": ("nnft.pipeline.sample", "sample"),
    "save_action": ("nnft.pipeline.action_output", "save_action"),
    "scan": ("nnft.pipeline.scan", "scan"),
    "train": ("nnft.pipeline.train", "train"),
}


def __getattr__(name: str) -> object:
    """Load a public name at its first use, so that reading a file does not import the samplers."""
    if name == "__version__":
        from importlib.metadata import version

        return version("nnft")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)
