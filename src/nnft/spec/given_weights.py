"""Weights of networks from elsewhere: samples of them, or a Gaussian law, checked against the networks."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnft.errors import DataFileError
from nnft.spec.covariance_root import covariance_root
from nnft.spec.fields import EXACT_INTEGERS
from nnft.spec.inputs import LARGEST_COORDINATE
from nnft.spec.problems import line, shown

FloatArray = NDArray[np.float64]
Layer = tuple[int, int, float]
"""Fan-in, neurons and bias variance of an affine layer."""

MOST_CORRELATED = 4096
"""Weights with a covariance matrix: their root takes about a minute."""

LAW = ("mean", "covariance", "variance")


@dataclass(frozen=True, eq=False)
class GivenWeights:
    """Weights of networks 0, 1, ..; arrays have one row for each network, or a single one for all.

    Attributes
    ----------
    layers : tuple
        For every affine layer W (M or 1, n, fan-in) and b (M or 1, n or 0), or None where the law draws them.
    mean : ndarray of float64, shape (M or 1, n)
        Of the weights that are drawn, layer by layer: W row by row, then b; n = 0 for none.
    root : ndarray of float64, shape (M or 1, n, n) or (M or 1, 1, n)
        L of mean + L z, or standard deviations of independent weights.
    networks : int or None
        How many there are; None for a law, of which any number can be drawn.
    sha256 : str
        Digest of names, shapes and numbers, whatever kind of file they came from.
    source : str
    """

    layers: tuple[tuple[FloatArray, FloatArray] | None, ...]
    mean: FloatArray
    root: FloatArray
    networks: int | None
    sha256: str
    source: str

    @property
    def nbytes(self) -> int:
        """Memory of all arrays."""
        given = [array for layer in self.layers if layer is not None for array in layer]
        return sum(array.nbytes for array in (*given, self.mean, self.root))

    def describe(self) -> str:
        """Return what they are, in a few words."""
        drawn = [number for number, layer in enumerate(self.layers, start=1) if layer is None]
        what = f"{self.networks} networks" if self.networks is not None else "a law"
        if drawn:
            kind = "independent" if self.root.shape[1] == 1 else "correlated"
            layers = ", ".join(map(str, drawn[:8])) + (" .." if len(drawn) > 8 else "")
            what += f", {self.mean.shape[1]} {kind} Gaussian weights of layers {layers}"
        return f"{what}, {self.source[-60:]}, sha256 {self.sha256[:12]}"


def make_given(
    arrays: Mapping[str, NDArray[np.generic]], sizes: Sequence[Layer], source: str
) -> GivenWeights:
    """Return the weights that the arrays of a file are.

    Parameters
    ----------
    arrays : mapping
        W1 (n_1, d), b1 (n_1,), .. one for each affine layer, with a further axis in front where networks
        differ. Layers without arrays are drawn from ``mean`` (n,) and ``covariance`` (n, n) or
        ``variance`` (n,), these too with an axis of networks if they differ.
    sizes : sequence of (fan-in, neurons, bias variance)
        Of every affine layer.
    source : str
        Name of the file.

    Raises
    ------
    DataFileError
        One line for the first array that is missing, unknown, of a wrong shape, or with wrong numbers.
    """
    _check_names(arrays, sizes, source)
    numbers = {name: _real(array, f"{source}:{name}") for name, array in arrays.items()}
    counts: dict[str, int] = {}
    layers: list[tuple[FloatArray, FloatArray] | None] = []
    drawn = 0
    for number, (fan_in, rows, variance) in enumerate(sizes, start=1):
        if f"W{number}" not in numbers:
            layers.append(None)
            drawn += rows * (fan_in + (variance > 0.0))
            continue
        weights = _rows(numbers, f"W{number}", (rows, fan_in), counts, source)
        biases = np.zeros((1, 0))
        if variance > 0.0:
            biases = _rows(numbers, f"b{number}", (rows,), counts, source)
        layers.append((weights, biases))
    mean, root = _law(numbers, drawn, counts, source)
    _check_counts(counts, source)
    networks = next(iter(counts.values())) if counts else (None if drawn else 1)
    return GivenWeights(tuple(layers), mean, root, networks, _digest(numbers), source)


def _check_names(arrays: Mapping[str, object], sizes: Sequence[Layer], source: str) -> None:
    """Refuse arrays that no layer takes, and layers that have one of weights and biases only."""
    count = len(sizes)
    known = {f"{letter}{number}" for letter in "Wb" for number in range(1, count + 1)}
    for name in arrays:
        if name not in known and name not in LAW:
            allowed = f"allowed: W1 to W{count}, b1 to b{count}, {', '.join(LAW)}"
            raise DataFileError(line("unknown array", "", shown(name), allowed, source))
    drawn = 0
    for number, (_, _, variance) in enumerate(sizes, start=1):
        weights, biases = f"W{number}", f"b{number}"
        if biases in arrays and variance == 0.0:
            advice = f"set network.bias_variance above 0 in layer {number}, or leave the array out"
            raise DataFileError(line("biases of a layer without", "", biases, advice, source))
        if (weights in arrays) != (biases in arrays) and variance > 0.0:
            there, missing = (weights, biases) if weights in arrays else (biases, weights)
            advice = "give both; network.bias_variance 0 means no biases"
            raise DataFileError(line(f"missing array {missing}", "", f"only {there}", advice, source))
        drawn += weights not in arrays
    given = [name for name in LAW if name in arrays]
    if given and not drawn:
        advice = "leave it out, or the arrays of the layers that it is the law of"
        raise DataFileError(line("law of no layer", "", given[0], advice, source))
    if drawn and not given:
        missing = next(f"W{number}" for number in range(1, count + 1) if f"W{number}" not in arrays)
        advice = "give the weights of every layer, or mean and covariance of those left out"
        raise DataFileError(line(f"missing array {missing}", "", f"{len(arrays)} arrays", advice, source))
    if drawn and ("mean" not in given or len(given) != 2):
        advice = "give mean, and one of covariance and variance"
        raise DataFileError(line("incomplete law", "", ", ".join(given), advice, source))


def _real(array: NDArray[np.generic], name: str) -> FloatArray:
    """Convert to float64 without changing a value."""
    kind = array.dtype.kind
    if kind not in "biuf" or array.dtype.itemsize > 8:
        raise DataFileError(line("wrong dtype", "", shown(str(array.dtype)), "give real numbers", name))
    if array.size == 0:
        raise DataFileError(line("wrong shape", "", str(array.shape), "give at least one number", name))
    if kind in "iu" and max(int(array.max()), -int(array.min())) > EXACT_INTEGERS:
        raise DataFileError(line("integer too large", "", "one above", "allowed: up to 2^53", name))
    numbers = np.ascontiguousarray(array, dtype=np.float64) + 0.0
    bad = ~(np.abs(numbers) <= LARGEST_COORDINATE)
    if bad.any():
        place = [int(k) for k in np.unravel_index(int(bad.argmax()), bad.shape)]
        value = repr(float(numbers[tuple(place)]))
        what = "number out of range" if np.isfinite(numbers[tuple(place)]) else "number not finite"
        raise DataFileError(line(what, str(place), value, "allowed: up to 1e100", name))
    return numbers


def _rows(
    numbers: Mapping[str, FloatArray], name: str, shape: tuple[int, ...], counts: dict[str, int], source: str
) -> FloatArray:
    """Return an array with its axis of networks; notes how long that is where the file has it."""
    array = numbers[name]
    if array.shape == shape:
        return array[None]
    if array.shape[1:] != shape:
        one = str(shape)
        advice = f"allowed: {one}, or (M, {one[1:]} for M networks, as [network] and the data say"
        raise DataFileError(line("wrong shape", "", str(array.shape), advice, f"{source}:{name}"))
    counts[name] = len(array)
    return array


def _check_counts(counts: Mapping[str, int], source: str) -> None:
    first = next(iter(counts), None)
    for name, count in counts.items():
        if first is not None and count != counts[first]:
            got = f"{count} in {name}, {counts[first]} in {first}"
            raise DataFileError(line("different numbers of networks", "", got, "give as many of all", source))


def _law(
    numbers: Mapping[str, FloatArray], drawn: int, counts: dict[str, int], source: str
) -> tuple[FloatArray, FloatArray]:
    """Return mean and root of the weights that are drawn."""
    if not drawn:
        return np.zeros((1, 0)), np.zeros((1, 1, 0))
    mean = _rows(numbers, "mean", (drawn,), counts, source)
    if "variance" in numbers:
        variance = _rows(numbers, "variance", (drawn,), counts, source)
        if (variance < 0.0).any():
            got = repr(float(variance.min()))
            raise DataFileError(
                line("negative variance", "", got, "allowed: 0 and more", f"{source}:variance")
            )
        return mean, np.sqrt(variance)[:, None, :]
    if drawn > MOST_CORRELATED:
        advice = f"at most {MOST_CORRELATED}; give samples, or independent variances"
        raise DataFileError(
            line("too many correlated weights", "", str(drawn), advice, f"{source}:covariance")
        )
    matrices = _rows(numbers, "covariance", (drawn, drawn), counts, source)
    names = [f"{source}:covariance" + (f"[{m}]" if len(matrices) > 1 else "") for m in range(len(matrices))]
    return mean, np.stack([covariance_root(*pair) for pair in zip(matrices, names, strict=True)])


def _digest(numbers: Mapping[str, FloatArray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(numbers):
        digest.update(f"{name} {numbers[name].shape}\n".encode())
        digest.update(numbers[name].astype("<f8", copy=False).tobytes())
    return digest.hexdigest()
