"""From the table of the data to the arrays that networks are trained on."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nnft.errors import CardError, DataFileError
from nnft.spec.data import DataSpec
from nnft.spec.data_scaling import scaled_inputs, scaled_targets
from nnft.spec.fields import MOST_COORDINATES
from nnft.spec.point_files import PointFile, ReadDataset, check_numbers, read_point_file
from nnft.spec.problems import line, shown
from nnft.spec.regular_file import named
from nnft.spec.teachers import Stream, draw_inputs, draw_teacher, random_stream

FloatArray = NDArray[np.float64]

DIGESTED = 8
"""Networks whose data make the digest, where every network has its own."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """One set of data, the same for all networks, or that of one network.

    Attributes
    ----------
    train_inputs, train_targets : ndarray of float64, shapes (P, d) and (P, D)
        C-contiguous and read-only, as are the others.
    test_inputs, test_targets : ndarray of float64, shapes (P', d) and (P', D)
        P' may be 0.
    sha256 : str
        Digest of the little-endian bytes of the four arrays, in this order; of `network_sha256`, as text,
        where there are any.
    source : str
        Where they come from.
    network_sha256 : tuple of str
        Digests of the data of networks 0, 1, .. where every network has its own; the arrays are those of
        network 0 then.
    """

    train_inputs: FloatArray
    train_targets: FloatArray
    test_inputs: FloatArray
    test_targets: FloatArray
    sha256: str
    source: str = "data of the result file"
    network_sha256: tuple[str, ...] = ()

    @property
    def anew(self) -> bool:
        """Whether every network has data of its own."""
        return bool(self.network_sha256)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Training points P, test points P', dimension d, targets D."""
        points, dimension = self.train_inputs.shape
        return points, len(self.test_inputs), dimension, self.train_targets.shape[1]


def make_dataset(
    train_inputs: ArrayLike,
    train_targets: ArrayLike,
    test_inputs: ArrayLike,
    test_targets: ArrayLike,
    source: str = "data of the result file",
) -> Dataset:
    """Freeze the four arrays and compute their digest; -0.0 becomes 0.0.

    Raises
    ------
    DataFileError
        Shapes that do not belong together, no training point, or numbers that are not finite.
    """
    given = (train_inputs, train_targets, test_inputs, test_targets)
    arrays = [np.ascontiguousarray(array, dtype=np.float64) + 0.0 for array in given]
    x, y, test_x, test_y = arrays
    shapes = [array.shape for array in arrays]
    if (
        any(len(shape) != 2 for shape in shapes)
        or (len(x), len(test_x)) != (len(y), len(test_y))
        or (x.shape[1], y.shape[1]) != (test_x.shape[1], test_y.shape[1])
        or x.size * y.size == 0
    ):
        advice = "wanted (P, d), (P, D), (P', d), (P', D)"
        raise DataFileError(line("shapes of the data", "", " ".join(map(str, shapes)), advice, source))
    digest = hashlib.sha256()
    for array in arrays:
        if not np.isfinite(array).all():
            raise DataFileError(line("numbers not finite", "", "nan or inf", "give finite numbers", source))
        array.flags.writeable = False
        digest.update(array.astype("<f8", copy=False).tobytes())
    return Dataset(x, y, test_x, test_y, digest.hexdigest(), source)


def load_dataset(spec: DataSpec, folder: Path, read_dataset: ReadDataset | None = None) -> Dataset:
    """Read or make the data, hold test points out, scale, and add noise.

    Parameters
    ----------
    spec : DataSpec
        Table of the card.
    folder : Path
        Folder that relative file names start from.
    read_dataset : callable, optional
        Reader of HDF5 datasets; without one such files are refused.

    Raises
    ------
    CardError
        The columns or the scaling do not fit the data.
    DataFileError
        A file cannot be used; names the file, the row and the column.
    """
    if spec.file is not None:
        points = _split(spec, *_columns_of_file(spec, spec.file, folder, read_dataset))
        data = _finished(spec, *points, spec.file)
    else:
        drawn = TeacherData(spec)
        data = drawn.first() if spec.anew else drawn.of(0)
    if spec.sha256 is not None and not data.sha256.startswith(spec.sha256):
        advice = f"training.data.sha256 says {spec.sha256[:12]}"
        got = f"sha256 {data.sha256[:12]} from {shown(data.source)}"
        raise DataFileError(line("other data", "training.data", got, advice))
    return data


class TeacherData:
    """Data drawn from one teacher, for every network its own.

    Parameters
    ----------
    spec : DataSpec
        With a teacher.
    """

    def __init__(self, spec: DataSpec) -> None:
        self._spec, self._teacher = spec, draw_teacher(spec)

    def of(self, network: int) -> Dataset:
        """Return the data of a network; network 0 has those that all have where they are not drawn anew.

        Raises
        ------
        CardError
            The scaling does not fit the data, or a target is not finite.
        """
        spec, count = self._spec, self._spec.points or 0
        x = draw_inputs(spec, count, Stream.INPUTS, network)
        test_x = draw_inputs(spec, spec.held_out(count), Stream.TEST_INPUTS, network)
        source = f"teacher {spec.teacher}"
        return _finished(spec, x, self._teacher(x), test_x, self._teacher(test_x), source, network)

    def first(self) -> Dataset:
        """Return the data of network 0 with the digests of those of the first `DIGESTED` networks."""
        data = [self.of(network) for network in range(DIGESTED)]
        digests = tuple(one.sha256 for one in data)
        whole = hashlib.sha256("".join(digests).encode()).hexdigest()
        return replace(data[0], sha256=whole, network_sha256=digests)


def _finished(
    spec: DataSpec,
    x: FloatArray,
    y: FloatArray,
    test_x: FloatArray,
    test_y: FloatArray,
    source: str,
    network: int = 0,
) -> Dataset:
    """Scale, and add noise to the training targets."""
    x, test_x = scaled_inputs(spec, x, test_x, source)
    y, test_y = scaled_targets(spec, y, test_y, source)
    if spec.noise_variance > 0.0:
        noise = random_stream(spec.seed, Stream.NOISE, network).standard_normal(y.shape)
        y = y + math.sqrt(spec.noise_variance) * noise
    return make_dataset(x, y, test_x, test_y, source)


def _columns_of_file(
    spec: DataSpec, file: str, folder: Path, read_dataset: ReadDataset | None
) -> tuple[FloatArray, FloatArray]:
    """Inputs and targets of all rows."""
    table = read_point_file(file, "training.data.file", folder, read_dataset)
    _check_size(table.numbers, file)
    if isinstance(spec.targets, str):
        chosen: list[int] = []
        targets = _targets_of_file(spec.targets, len(table.numbers), folder, read_dataset)
    else:
        chosen = _column_numbers(spec.targets or (), table, "targets", file)
        targets = table.numbers[:, chosen]
    if spec.inputs is None:
        used = [column for column in range(table.numbers.shape[1]) if column not in chosen]
    else:
        used = _column_numbers(spec.inputs, table, "inputs", file)
    twice = [column + 1 for column, count in Counter(used + chosen).items() if count > 1]
    if twice or not used:
        got = f"column {twice[0]} twice" if twice else f"all {len(chosen)} columns as targets"
        advice = "give every column once, and at least one as input"
        raise CardError(line("columns of the data", "training.data.inputs and .targets", got, advice))
    inputs = table.numbers[:, used]
    if not spec.allow_constant:
        _refuse_constant(inputs, used, file)
    return inputs, targets


def _targets_of_file(file: str, rows: int, folder: Path, read_dataset: ReadDataset | None) -> FloatArray:
    """Targets of all rows, from a file of their own."""
    key = "training.data.targets"
    if "." not in file:
        advice = "give columns as a list, or the name of a .csv, .npy or .h5 file"
        raise CardError(line("no file name", key, shown(file), advice))
    targets = read_point_file(file, key, folder, read_dataset, vector=True).numbers
    _check_size(targets, file)
    if len(targets) != rows:
        got, advice = f"{len(targets)} rows in {shown(file)}", f"training.data.file has {rows}"
        raise DataFileError(line("another number of rows", key, got, advice))
    return targets


def _check_size(numbers: FloatArray, file: str) -> None:
    check_numbers(numbers, named(Path(file)))
    if numbers.size > MOST_COORDINATES:
        got = f"{numbers.size} in {shown(file)}"
        raise DataFileError(line("too many numbers", "training.data", got, f"at most {MOST_COORDINATES}"))


def _column_numbers(columns: Sequence[int | str], table: PointFile, key: str, file: str) -> list[int]:
    """Columns, from 0, of the numbers and names of a card."""
    found = []
    count = table.numbers.shape[1]
    for position, column in enumerate(columns):
        place = f"training.data.{key}[{position}]"
        if isinstance(column, int):
            if column > count:
                advice = f"allowed: 1 to {count}, counted from 1"
                raise CardError(line("no such column", place, str(column), advice))
            found.append(column - 1)
            continue
        if table.header.count(column) != 1:
            what = "column name given twice" if column in table.header else "no such column"
            names = ", ".join(table.header) or "none: the file has no header; give numbers"
            raise CardError(line(what, place, shown(column), f"names in the file: {names}"))
        if len(table.header) != count:
            got, advice = f"{len(table.header)} names", f"the rows have {count} columns: give numbers"
            raise DataFileError(line("ragged table", "header", got, advice, Path(file).name))
        found.append(table.header.index(column))
    return found


def _refuse_constant(inputs: FloatArray, used: Sequence[int], file: str) -> None:
    rows, dimension = inputs.shape
    if rows < 2 or dimension == 1:
        return
    constant = np.ptp(inputs, axis=0) == 0.0
    if constant.any():
        first = int(constant.argmax())
        advice = "leave it out of training.data.inputs or set training.data.allow_constant = true"
        got = f"{float(inputs[0, first])!r} in all {rows} rows"
        raise DataFileError(line("constant input", f"column {used[first] + 1}", got, advice, Path(file).name))


def _split(
    spec: DataSpec, inputs: FloatArray, targets: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Hold rows out at random; both parts keep the order of the file."""
    rows = len(inputs)
    count = spec.held_out(rows)
    if count >= rows:
        got, advice = f"{count} of {rows} rows held out", "leave at least one row to train on"
        raise CardError(line("no training point", "training.data.test", got, advice))
    test = np.zeros(rows, dtype=bool)
    if count:
        test[random_stream(spec.seed, Stream.SPLIT).permutation(rows)[:count]] = True
    return inputs[~test], targets[~test], inputs[test], targets[test]
