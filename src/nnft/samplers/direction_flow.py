"""Flows of trained networks along directions of the Fisher information: eigenbasis and Kronecker factors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nnft._kernels import directions, fisher_errors, renormalization
from nnft.samplers.fisher_directions import Directions, directions_of_factors, directions_of_rows
from nnft.samplers.point_sets import PointSet
from nnft.samplers.renormalized import Flowed, Renormalization
from nnft.samplers.trained import TrainedEnsemble
from nnft.samplers.training_problem import TrainingProblem, on_cache_lines, working_room

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Sets = tuple[PointSet, PointSet, PointSet, FloatArray]
"""Of a network: points of the information, joint set, mesh, targets of the joint set."""


@dataclass(frozen=True)
class Block:
    """Numbers of a network that share an eigenbasis.

    Attributes
    ----------
    places : ndarray of int64, shape (m, n)
        Where they are among the numbers of the network.
    roots : ndarray of float64, shape (n,)
        Number over coordinate.
    directions : Directions
    """

    places: IntArray
    roots: FloatArray
    directions: Directions

    def put(self, theta: FloatArray, other: FloatArray, cutoff: float, out: FloatArray) -> None:
        """Put numbers in their places: sloppy directions of `other`, stiff ones of `theta`."""
        found, sloppy = self.directions, self.directions.sloppy(cutoff)
        numbers, fill = theta[self.places], other[self.places]
        if sloppy == found.count:
            out[self.places] = fill
        elif sloppy:
            out[self.places] = fill + self.roots * found.kept((numbers - fill) / self.roots, cutoff)
        else:
            out[self.places] = numbers


class DirectionFlow(Renormalization):
    """Flow along directions instead of parameters; arguments and results as `Renormalization`.

    With the coordinates u = number / sqrt(rate) a network becomes, at every cutoff, u' + V V^T (u - u'): V
    the directions whose information is not below it, u' the replacement, drawn whole. So the sloppy
    directions have the projected law of the fill, also where its variances differ. Decompositions should run
    in one thread of BLAS, see `threadpoolctl`.

    Raises
    ------
    NumericalError
        By `run`, where a decomposition does not converge.
    """

    bases: tuple[str, ...] = ("eigenbasis", "layer-eigenbasis", "kronecker")
    decomposes = True

    def __init__(self, ensemble: TrainedEnsemble, *arguments: Any, **options: Any) -> None:
        super().__init__(ensemble, *arguments, **options)
        self._layers = _layers(ensemble.problem, self._fisher[0])
        self._readout = _layers(ensemble.problem, last_marked(ensemble.problem, self._fisher[0]))[0][1]
        self._readout = self._readout[:, : ensemble.problem.fans[-1]]
        self._marks_of = np.split(self._marks, np.cumsum(_strides(ensemble.problem))[:-1], axis=1)

    def run(self, theta: FloatArray, first: int) -> Flowed:
        """Return the flow of the members first, first + 1, ... whose weights are theta (members, size)."""
        found = self._room(len(theta))

        def part(start: int, stop: int) -> None:
            for begin, end, sets in self._networks(first, start, stop):
                for m in range(begin, end):
                    one = {name: array[m, ...] for name, array in vars(found).items() if array is not None}
                    self._follow(theta[m], first + m, Flowed(**one), sets)

        self.ensemble.threads.run(len(theta), part)
        return found

    @property
    def _width(self) -> int:
        """Numbers of an output."""
        return int(self._shape[2])

    def _room(self, members: int) -> Flowed:
        """Arrays for the flow of some members, NaN."""
        count, refills = len(self.cutoffs), self.schedule.refills
        shapes = [
            (refills, count, self._width), (refills, count, 2), (count,), (), (2,),
            (count if self._pairs else 0, self._pairs), (renormalization.SPECTRUM,), (refills, count),
        ]  # fmt: skip
        return Flowed(*(np.full((members, *shape), np.nan) for shape in shapes))

    def _follow(self, theta: FloatArray, member: int, out: Flowed, sets: Sets) -> None:
        """Fill the flow of one member; NaN is left where its derivatives are not finite."""
        work = working_room(self._work)
        blocks = self.blocks(theta, sets[0], work)
        if not blocks:
            return
        self._describe([block.directions for block in blocks], out)
        refills, anew = self.schedule.refills, self.schedule.anew
        other = np.zeros_like(theta)
        for r in range(refills):
            for c, cutoff in enumerate(self.cutoffs):
                if anew or c == 0:
                    group = r * len(self.cutoffs) + c if anew else r
                    self._replace(member, group, other)
                numbers = on_cache_lines(theta)
                for block in blocks:
                    block.put(theta, other, cutoff, numbers)
                kernel = out.tangents[c : c + 1] if r == 0 else out.tangents[:0]
                self._look(numbers, sets, work, out.outputs[r, c], out.errors[r, c], kernel)
                if out.squares is not None:
                    out.squares[r, c] = np.sum(numbers[self._readout] ** 2)

    def _replace(self, member: int, group: int, out: FloatArray) -> None:
        """Draw what replaces the chosen numbers, as `Renormalization` does."""
        renormalization.replacement(self._fisher[0], self._marks, self.ensemble.key, member, group, out)

    def _look(
        self,
        numbers: FloatArray,
        sets: Sets,
        work: FloatArray,
        outputs: FloatArray,
        errors: FloatArray,
        kernel: FloatArray,
    ) -> None:
        kernel = kernel[0] if len(kernel) else np.zeros(0)
        directions.look(
            self.ensemble.problem.arrays, sets, self._shape, numbers, work, outputs, errors, kernel
        )

    def _describe(self, parts: list[Directions], out: Flowed) -> None:
        """Fill shares and sampling errors."""
        count = sum(part.count for part in parts)
        for c, cutoff in enumerate(self.cutoffs):
            out.shares[c] = sum(part.sloppy(cutoff) for part in parts) / count
        out.zeros[...] = sum(part.zeros for part in parts) / count
        values = np.concatenate([part.values.ravel() for part in parts])
        out.spectra[:] = counted(values, count)
        known = [np.tile(part.relative, len(part.values)) for part in parts]
        if all(len(part) for part in known):
            values = np.concatenate(known)
            out.uncertainty[:] = np.median(values), np.mean(values)

    def thread_bytes(self) -> int:
        """Return the working memory of a thread: derivatives and their decomposition."""
        points, outputs = int(self._fisher[0][1]), self.ensemble.problem.network.outputs
        last, basis = self.ensemble.problem.network.layers, self.schedule.basis
        shapes = []
        for level, places in self._layers:
            rows, columns = places.shape
            if level + 1 == last and (basis != "eigenbasis" or len(self._layers) == 1):
                shapes.append((points, columns))
            elif basis == "kronecker":
                shapes += [(points, columns), (points * outputs, rows), (rows, columns)]
            else:
                shapes.append((points * outputs, rows * columns))
        if basis == "eigenbasis":
            shapes = [(shapes[0][0], sum(shape[1] for shape in shapes))]
        return sum(8 * (3 * a * b + 2 * min(a, b) * (a + b)) for a, b in shapes)

    def blocks(self, theta: FloatArray, fisher: PointSet, work: FloatArray) -> list[Block]:
        """Return the numbers of one network by eigenbases; none where its derivatives are not finite."""
        factors = self._factors(theta, fisher, work)
        if not all(np.isfinite(array).all() for pair in factors for array in pair):
            return []
        layers, last = self._layers, self.ensemble.problem.network.layers
        if self.schedule.basis == "eigenbasis" and len(layers) > 1:
            places = np.concatenate([places.ravel() for _, places in layers])[None, :]
            roots = np.concatenate([np.tile(self._roots(level), len(p)) for level, p in layers])
            rows = np.concatenate([_rows(*pair) for pair in factors], axis=1)
            return [Block(places, roots, directions_of_rows(rows, factors[0][0].shape[1]))]
        found = []
        for (level, places), (values, deltas) in zip(layers, factors, strict=True):
            points, roots = values.shape[1], self._roots(level)
            if level + 1 == last:  # every output has a row of numbers, whose derivatives are the features
                basis = directions_of_rows(np.ascontiguousarray(values.T), points, copies=len(places))
            elif self.schedule.basis == "kronecker":
                scaled = deltas.transpose(2, 0, 1).reshape(-1, deltas.shape[1]) / np.sqrt(points)
                basis = directions_of_factors(np.ascontiguousarray(values.T), scaled)
            else:
                basis = directions_of_rows(_rows(values, deltas), points)
                found.append(Block(places.reshape(1, -1), np.tile(roots, len(places)), basis))
                continue
            found.append(Block(places, roots, basis))
        return found

    def spectrum(self, theta: FloatArray, member: int = 0) -> FloatArray:
        """Return the positive information of all directions of one member."""
        fisher = next(self._networks(member, 0, 1))[2][0]
        blocks = self.blocks(theta, fisher, working_room(self._work))
        parts = [block.directions.values.ravel() for block in blocks]
        return np.concatenate([*parts, np.zeros(0)])

    def _factors(
        self, theta: FloatArray, fisher: PointSet, work: FloatArray
    ) -> list[tuple[FloatArray, FloatArray]]:
        """Values (columns, X), scaled, and deltas (D, rows, X) of the chosen layers: sum of squares of their
        products over points and outputs is the diagonal of the information.
        """
        header = fisher[0]
        flat = np.empty(fisher_errors.factors_size(header))
        fisher_errors.factors(self.ensemble.problem.arrays, fisher, theta, work, flat)
        points, outputs, at, found = int(header[1]), self.ensemble.problem.network.outputs, 0, []
        for level, places in self._layers:
            rows, columns = places.shape
            middle, end = at + columns * points, at + (columns + outputs * rows) * points
            scale = np.sqrt(self._marks_of[level][renormalization.METRIC, :columns])
            values = scale[:, None] * flat[at:middle].reshape(columns, points)
            found.append((values, flat[middle:end].reshape(outputs, rows, points)))
            at = end
        return found

    def _roots(self, level: int) -> FloatArray:
        """Number over coordinate of the columns of a layer."""
        fan_in, schedule = self.ensemble.problem.fans[level], self.schedule
        rates = np.full(fan_in, schedule.weight_rates[level])
        if self.ensemble.problem.biased[level]:
            rates = np.append(rates, schedule.bias_rates[level])
        return np.sqrt(rates)


def counted(values: FloatArray, count: int) -> FloatArray:
    """Histogram of the information of `count` directions, `values` of those above zero; see the kernels."""
    places = 1 + np.searchsorted(renormalization.EDGES, values, side="right")
    found = np.bincount(places, minlength=renormalization.SPECTRUM).astype(np.float64)
    found[0] += count - len(values)
    return found


def last_marked(problem: TrainingProblem, header: IntArray) -> IntArray:
    """Return a header in which the last layer alone is marked."""
    found = header.copy()
    for level in range(problem.network.layers):
        found[5 + 6 * level + 5] = int(level + 1 == problem.network.layers)
    return found


def _rows(values: FloatArray, deltas: FloatArray) -> FloatArray:
    """Derivatives (X D, rows columns), point after point, from their factors."""
    rows: FloatArray = np.einsum("oix,jx->xoij", deltas, values)
    return rows.reshape(values.shape[1] * len(deltas), -1)


def _strides(problem: TrainingProblem) -> list[int]:
    return [int(problem.header[5 + 6 * level + 3]) for level in range(problem.network.layers)]


def _layers(problem: TrainingProblem, header: IntArray) -> list[tuple[int, IntArray]]:
    """Chosen layers from 0 and the places (rows, columns) of their numbers."""
    found = []
    for level in range(problem.network.layers):
        rows, _, columns, stride, offset, chosen = header[5 + 6 * level : 11 + 6 * level]
        if chosen:
            found.append((level, offset + np.arange(rows)[:, None] * stride + np.arange(columns)))
    return found
