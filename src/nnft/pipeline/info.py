"""The text to paste into a bug report."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import h5py

import nnft
from nnft._kernels.library import build_record
from nnft.pipeline.machine import LIBRARIES, granted_threads, processor_name
from nnft.pipeline.machine import nnft_version as installed_version


def build_info() -> dict[str, str]:
    """Return versions, build, processor, threads, HDF5 and where the package was loaded from."""
    from importlib.metadata import version

    record = {"nnft": installed_version(), "python": sys.version.split()[0]}
    record |= {name: version(name) for name in LIBRARIES if name != "nnft"}
    record["hdf5"] = h5py.version.hdf5_version
    record |= {name: value for name, value in build_record().items() if name not in record}
    record["processor"] = processor_name()
    record["system"] = platform.platform()
    record["threads_granted"] = str(granted_threads())
    record["loaded_from"] = str(Path(nnft.__file__).parent)
    return record
