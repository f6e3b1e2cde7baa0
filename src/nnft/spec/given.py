"""The file of given weights behind a specification: found, read once, held against its digest."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from nnft.errors import CardError, DataFileError
from nnft.spec.dataset import Dataset
from nnft.spec.ensemble import EnsembleSpec
from nnft.spec.given_weights import GivenWeights, make_given
from nnft.spec.network_kinds import AnyNetwork
from nnft.spec.npz_arrays import parse_npz
from nnft.spec.problems import line, shown
from nnft.spec.regular_file import open_regular, read_regular
from nnft.spec.training import TrainingSpec
from nnft.spec.training_resolution import affine_layers

MOST_GIVEN = 2**27
"""Numbers of a file of weights: one gigabyte."""

ReadArrays = Callable[[Path, str, int], Mapping[str, NDArray[np.generic]]]
"""Reads the data sets of a group of an HDF5 file: (path, group, most numbers) -> arrays by name."""

_KEY = "training.weights"
_FILE = re.compile(r"(?P<path>.+\.(?:h5|hdf5|hdf))(?::(?P<group>/.*))?", re.DOTALL | re.IGNORECASE)


@dataclass
class GivenSource:
    """How a specification comes by its weights.

    Attributes
    ----------
    read_arrays : callable, optional
        Reader of HDF5 files; without one they are refused.
    beside : Path, optional
        Folder in which the file is looked for as well, where its digest is known.
    weights : GivenWeights, optional
        Once they are read.
    """

    read_arrays: ReadArrays | None = None
    beside: Path | None = None
    weights: GivenWeights | None = None


class Specification(Protocol):
    """What is needed of `nnft.spec.run.RunSpec`."""

    _given: GivenSource
    _folder: Path

    @property
    def network(self) -> AnyNetwork:
        """Table [network]."""

    @property
    def ensemble(self) -> EnsembleSpec:
        """Table [ensemble]."""

    @property
    def training(self) -> TrainingSpec | None:
        """Table [training]."""

    def dataset(self) -> Dataset:
        """Return the data."""


Spec = TypeVar("Spec", bound=Specification)


def reading_weights(spec: Spec, read_arrays: ReadArrays, beside: Path | None = None) -> Spec:
    """Let a specification read weights from HDF5 files, and look for their file in a further folder.

    Returns the same specification.
    """
    spec._given.read_arrays, spec._given.beside = read_arrays, beside
    return spec


def given_weights(spec: Specification) -> GivenWeights:
    """Return the weights of a specification with ``algorithm = "given"``; read at the first call and kept.

    Raises
    ------
    CardError
        More networks than there are weights of, or no reader.
    DataFileError
        The file cannot be used, or is not the one that the card names the digest of.
    """
    training, source = spec.training, spec._given
    if training is None or training.weights is None:
        raise ValueError("specification without given weights")
    if source.weights is None:
        sizes = affine_layers(spec.network, spec.dataset().shape[2])
        name = _short(training.weights)
        found = make_given(_arrays(spec, training), sizes, name)
        wanted = training.weights_sha256
        if wanted is not None and not found.sha256.startswith(wanted):
            got, advice = f"sha256 {found.sha256[:12]}", f"training.weights_sha256 says {wanted[:12]}"
            raise DataFileError(line("other weights", _KEY, got, advice, name))
        source.weights = found
    count = source.weights.networks
    if count is not None and spec.ensemble.networks > count:
        advice = f"allowed: at most {count}, the networks in {source.weights.source}"
        raise CardError(line("too few weights", "ensemble.networks", str(spec.ensemble.networks), advice))
    return source.weights


def _short(file: str) -> str:
    """Name of the file without its folder; the group of an HDF5 file stays."""
    found = _FILE.fullmatch(file)
    if found is None:
        return Path(file).name
    return Path(found["path"]).name + (f":{found['group']}" if found["group"] else "")


def _arrays(spec: Specification, training: TrainingSpec) -> Mapping[str, NDArray[np.generic]]:
    file = str(training.weights)
    found = _FILE.fullmatch(file)
    path = _place(spec, Path(found["path"] if found else file), training)
    if found is None and path.suffix.lower() != ".npz":
        advice = "use .npz (numpy.savez), .h5 or name.h5:/group; pickles are never opened"
        raise DataFileError(line("unknown kind of file", _KEY, shown(file), advice))
    if found is None:
        data = read_regular(path, 8 * MOST_GIVEN + 2**20, DataFileError, "file of weights")
        return parse_npz(data, path.name, MOST_GIVEN)
    reader = spec._given.read_arrays
    if reader is None:
        raise CardError(line("no reader for HDF5", _KEY, shown(file), "give a .npz file here"))
    with open_regular(path, DataFileError, "file of weights"):
        return reader(path, found["group"] or "/", MOST_GIVEN)


def _place(spec: Specification, named: Path, training: TrainingSpec) -> Path:
    """Where the file is: as the card names it, or beside the run, if its digest can be held against it."""
    path, beside = spec._folder / named, spec._given.beside
    known = training.weights_sha256 is not None
    if known and beside is not None and not path.exists() and (beside / named.name).exists():
        return beside / named.name
    return path


def _sha256(spec: Specification, training: TrainingSpec) -> str:
    """Return the digest of the weights, that of a stored card without reading them."""
    known = training.weights_sha256 or ""
    if spec._given.weights is None and len(known) == 64:
        return known
    return given_weights(spec).sha256


def given_values(spec: Specification) -> dict[str, object]:
    """Return what given weights add to the values that determine the numbers of a run."""
    if spec.training is None or spec.training.weights is None:
        return {}
    return {_KEY: f"given weights, sha256 {_sha256(spec, spec.training)}"}


def given_table(spec: Specification) -> dict[str, object]:
    """Return the keys of a resolved card: the whole path of the file, so that it is found again, and its
    digest.
    """
    if spec.training is None or spec.training.weights is None:
        return {}
    whole = str(spec._folder.absolute() / spec.training.weights)
    return {"weights": whole, "weights_sha256": _sha256(spec, spec.training)}


def given_bytes(spec: Specification) -> int:
    """Return the memory of given weights, 0 without; refuses what `given_weights` refuses."""
    if spec.training is None or spec.training.weights is None:
        return 0
    return given_weights(spec).nbytes


def given_rows(spec: Specification) -> list[tuple[str, str]]:
    """Return the line of given weights in a plan."""
    if spec.training is None or spec.training.weights is None:
        return []
    return [("weights", given_weights(spec).describe())]


def given_notes(spec: Specification) -> list[str]:
    """Return what the user should know of given weights before a run starts."""
    if spec.training is None or spec.training.weights is None:
        return []
    found, networks = given_weights(spec), spec.ensemble.networks
    if found.networks is None or found.networks == networks:
        return []
    return [f"only the first {networks} of {found.networks} networks in {found.source} are taken"]
