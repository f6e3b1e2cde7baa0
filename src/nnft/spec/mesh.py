"""From the inputs table to the points themselves."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nnft.errors import CardError, DataFileError
from nnft.spec import generators
from nnft.spec.inputs import InputsSpec
from nnft.spec.point_files import ReadDataset, check_numbers, read_point_file
from nnft.spec.problems import line
from nnft.spec.regular_file import named


@dataclass(frozen=True, eq=False)
class Mesh:
    """The input points of a run, after scaling.

    Attributes
    ----------
    points : ndarray of float64, shape (P, d)
        C-contiguous and read-only.
    source : str
        Where they come from.
    sha256 : str
        Digest of shape and little-endian bytes.
    file_sha256 : str or None
        Digest of the file they come from.
    """

    points: NDArray[np.float64]
    source: str
    sha256: str
    file_sha256: str | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mesh) and self.sha256 == other.sha256

    def __hash__(self) -> int:
        return hash(self.sha256)


def make_mesh(points: ArrayLike, source: str, file_sha256: str | None = None) -> Mesh:
    """Freeze `points` (P, d) and compute their digest; -0.0 becomes 0.0."""
    frozen = np.ascontiguousarray(points, dtype=np.float64) + 0.0
    frozen.flags.writeable = False
    digest = hashlib.sha256(np.array(frozen.shape, dtype="<i8").tobytes())
    digest.update(frozen.astype("<f8", copy=False).tobytes())
    return Mesh(frozen, source, digest.hexdigest(), file_sha256)


def resolve_mesh(inputs: InputsSpec, folder: Path, read_dataset: ReadDataset | None = None) -> Mesh:
    """Read or make the input points and scale them.

    Parameters
    ----------
    inputs : InputsSpec
        The inputs table.
    folder : Path
        Folder that relative file names start from: that of the card.
    read_dataset : callable, optional
        Reader of HDF5 datasets; without one such inputs are refused.

    Raises
    ------
    CardError
        The points cannot be scaled as asked, or the file name has no known kind.
    DataFileError
        The file cannot be used.
    """
    file_digest = None
    if inputs.points is not None:
        points, source = np.array(inputs.points, dtype=np.float64), "points of the card"
    elif inputs.file is not None:
        file = read_point_file(inputs.file, "inputs.file", folder, read_dataset)
        points, file_digest = file.numbers, file.sha256
        source = inputs.file
        _check_file(inputs, points, file_digest)
    else:
        points, source = _generate(inputs), f"generator {inputs.generator}"
    return make_mesh(_scaled(points, inputs.scale, source), source, file_digest)


def _generate(inputs: InputsSpec) -> NDArray[np.float64]:
    count, dimension, seed = inputs.count or 0, inputs.dimension or 0, inputs.seed or 0
    if inputs.generator == "grid":
        low, high = (inputs.low, inputs.high) if inputs.low is not None else (-1.0, 1.0)
        return generators.grid(count, dimension, low, 1.0 if high is None else high)
    if inputs.generator == "gaussian":
        return generators.gaussian(count, dimension, seed)
    radius = math.sqrt(dimension) if inputs.radius is None else inputs.radius
    return generators.sphere(count, dimension, radius, seed)


def _check_file(inputs: InputsSpec, points: NDArray[np.float64], digest: str) -> None:
    file = named(Path(inputs.file or ""))
    if inputs.sha256 is not None and digest != inputs.sha256:
        advice = f"inputs.sha256 says {inputs.sha256[:12]}..."
        raise DataFileError(f"another file in inputs.file {file}: got sha256 {digest[:12]}...; {advice}")
    check_numbers(points, file)


def _scaled(points: NDArray[np.float64], scale: str, source: str) -> NDArray[np.float64]:
    if scale == "unit-norm":
        zero = ~points.any(axis=1)
        if zero.any():
            raise CardError(
                line(
                    "impossible scale",
                    "inputs.scale",
                    f"point {int(zero.argmax())} of {source} with norm 0",
                    "use none",
                )
            )
        return generators.unit_norm(points)
    if scale == "standardize":
        return _standardized(points, source)
    return points


def _standardized(points: NDArray[np.float64], source: str) -> NDArray[np.float64]:
    constant = np.ptp(points, axis=0) == 0.0
    if constant.any():
        got = f"coordinate {int(constant.argmax())} of {source} equal in all points"
        raise CardError(line("impossible scale", "inputs.scale", got, "use none or unit-norm"))
    result = np.empty_like(points)
    count = len(points)
    for column, values in enumerate(points.T):
        centred = values - math.fsum(values / count)
        _, exponent = math.frexp(float(np.abs(centred).max()))
        scaled = np.ldexp(centred, -exponent)
        result[:, column] = scaled / math.sqrt(math.fsum(scaled * scaled) / count)
    return result
