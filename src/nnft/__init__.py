"""nnft: neural-network field theory by Monte Carlo.

``nnft.sample(card, "run.h5")`` samples an ensemble of networks into a result file;
``nnft.open("run.h5")`` reads it. Reading needs NumPy and h5py only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nnft.analysis.run import Run
    from nnft.analysis.run import open_run as open
    from nnft.pipeline.sample import sample
    from nnft.pipeline.stop import StopFlag
    from nnft.spec.run import RunSpec

__all__ = ["Run", "RunSpec", "StopFlag", "open", "sample"]

_HOMES = {
    "Run": ("nnft.analysis.run", "Run"),
    "RunSpec": ("nnft.spec.run", "RunSpec"),
    "StopFlag": ("nnft.pipeline.stop", "StopFlag"),
    "open": ("nnft.analysis.run", "open_run"),
    "sample": ("nnft.pipeline.sample", "sample"),
}


def __getattr__(name: str) -> object:
    """Load a public name at its first use, so that reading a file does not import the samplers."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)
