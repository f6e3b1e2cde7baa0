"""Quantities of a flow over cutoffs: values, errors, and their covariance along the flow.

The networks at all cutoffs are the same, and so are most of their parameters: errors at different cutoffs are
strongly correlated. Estimates with every bin of networks left out in turn, the same bin at all cutoffs, give
the covariance (delete-m_j jackknife; Busing, Meijer, van der Leeden 1999, *Statistics and Computing* 9, 3).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from nnft.errors import UsageError, shorten
from nnft.estimators.flow import FlowEstimator
from nnft.estimators.index_table import IndexArray
from nnft.estimators.observables import MatrixFlow, ObservableEstimator
from nnft.estimators.replicated import Replicated
from nnft.estimators.results import Estimate

FloatArray = npt.NDArray[np.float64]

LARGEST = 5 * 10**7
"""Numbers that the replicates of a quantity along a flow may have."""


@dataclass(frozen=True, eq=False)
class FlowQuantity:
    """A quantity of several components at every cutoff.

    Attributes
    ----------
    name : str
    cutoffs : ndarray of float64, shape (C,)
        From 0, the trained networks, to infinity, where everything is replaced.
    indices : ndarray of int32, shape (m, r)
        Mesh points of each component; r = 0 for a number of the networks, such as a loss.
    replicated : Replicated
        Values of shape (1 + B, C, m): from all bins of networks, and without each of them.
    remarks : mapping of int to str
        Why there is no number (NaN) at a cutoff, by its position.
    """

    name: str
    cutoffs: FloatArray
    indices: IndexArray
    replicated: Replicated
    remarks: Mapping[int, str] = field(default_factory=dict)

    @property
    def value(self) -> FloatArray:
        """Estimates, shape (C, m)."""
        values: FloatArray = self.replicated.value
        return values

    @cached_property
    def _estimate(self) -> Estimate:
        empty = np.zeros((self.value.size, 0), dtype=np.int32)
        return self.replicated.estimate(empty)

    @property
    def stderr(self) -> FloatArray:
        """Standard errors by the jackknife, shape (C, m); NaN with fewer than two bins."""
        return self._estimate.stderr.reshape(self.value.shape)

    @property
    def unreliable(self) -> npt.NDArray[np.bool_]:
        """Whether an error rests on a few bins and cannot be trusted, shape (C, m)."""
        return self._estimate.unreliable.reshape(self.value.shape)

    def covariance(self, component: int = 0) -> FloatArray:
        """Return the covariance between the cutoffs of the estimates of one component, shape (C, C)."""
        return self._component(component).covariance()

    def correlation(self, component: int = 0) -> FloatArray:
        """Return the same as correlations, shape (C, C); NaN where an estimate has no error or none but 0."""
        covariance = self.covariance(component)
        error = np.sqrt(np.diagonal(covariance))
        scale = error[:, None] * error
        found: FloatArray = np.divide(
            covariance, scale, out=np.full_like(scale, np.nan), where=scale > 0.0
        )
        return found

    def place(self, points: Sequence[int]) -> int:
        """Return the number of the component with these mesh points, in any order.

        Raises
        ------
        UsageError
            There is no such component.
        """
        found = np.flatnonzero((self.indices == np.sort(np.asarray(points))).all(axis=1))
        if len(points) != self.indices.shape[1] or not len(found):
            raise UsageError(f"no such component of {self.name}: got points {shorten(list(points))}")
        return int(found[0])

    def _component(self, component: int) -> Replicated:
        count = self.value.shape[1]
        if not 0 <= component < count:
            raise UsageError(f"no such component of {self.name}: got {component}; allowed: 0 to {count - 1}")
        whole = self.replicated
        return Replicated(whole.values[:, :, component], whole.bin_counts, whole.n_networks)


def stacked(
    name: str,
    cutoffs: FloatArray,
    indices: IndexArray,
    found: Sequence[Replicated | None],
    remarks: Mapping[int, str] | None = None,
) -> FlowQuantity:
    """Return a quantity from its replicates at every cutoff, values of shape (1 + B, m); NaN for None."""
    known = next(one for one in found if one is not None)
    nothing = np.full_like(known.values, np.nan)
    values = np.stack([nothing if one is None else one.values for one in found], axis=1)
    whole = Replicated(values, known.bin_counts, known.n_networks)
    return FlowQuantity(name, cutoffs, indices, whole, dict(remarks or {}))


@dataclass(frozen=True, eq=False)
class FlowSums:
    """Binned sums of a flow, and every quantity that follows from them.

    Attributes
    ----------
    cutoffs : ndarray of float64, shape (C,)
    outputs : FlowEstimator
    numbers : ObservableEstimator
    matrices : mapping of str to MatrixFlow
        Packed pairs of mesh points: "tangent", and "within" where networks have several refills.
    """

    cutoffs: FloatArray
    outputs: FlowEstimator
    numbers: ObservableEstimator
    matrices: Mapping[str, MatrixFlow]

    @property
    def orders(self) -> tuple[int, ...]:
        """Orders of the connected correlators of the outputs; 1 is their mean."""
        return tuple(sorted({table.order for table in self.outputs.layout.tables.values()}))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of all quantities."""
        correlators = tuple("mean" if order == 1 else f"connected_{order}" for order in self.orders)
        split = ("within", "between") if "within" in self.matrices else ()
        kurtosis = ("excess_kurtosis",) if 4 in self.orders else ()
        tangent = ("tangent",) if "tangent" in self.matrices else ()
        return (*self.numbers.names, *correlators, *kurtosis, *tangent, *split)

    def components(self, name: str) -> IndexArray:
        """Return the mesh points of all components of a quantity, shape (m, r).

        Raises
        ------
        UsageError
            There is no such quantity.
        """
        if name not in self.names:
            raise UsageError(
                f"no such quantity of the flow: got {shorten(name)}; use one of {', '.join(self.names)}"
            )
        layout = self.outputs.layout
        if name in self.numbers.names:
            return np.zeros((1, 0), dtype=np.int32)
        if name == "excess_kurtosis":
            return np.arange(layout.n_points, dtype=np.int32)[:, None]
        if name == "mean" or name.startswith("connected_"):
            order = 1 if name == "mean" else int(name.rpartition("_")[2])
            return layout.tables[f"S{order}:{'0' * order}"].points
        return layout.pairs

    def quantity(self, name: str, components: npt.ArrayLike | None = None) -> FlowQuantity:
        """Return one quantity at every cutoff.

        Parameters
        ----------
        name : str
            One of `names`.
        components : array_like of int, shape (m, r), optional
            Mesh points of the wanted components; all if not given.

        Raises
        ------
        UsageError
            There is no such quantity or component, or there are too many components.
        NumericalError
            Too few networks for an unbiased estimate.
        """
        every = self.components(name)
        chosen = every if components is None else _checked(name, every, components)
        rows, count = len(self.outputs.counts) + 1, len(self.cutoffs)
        if rows * count * len(chosen) > LARGEST:
            raise UsageError(
                f"too many components of {name} along the flow: got {len(chosen)}; choose some, at most "
                f"{LARGEST // (rows * count)}"
            )
        if name in self.numbers.names:
            found = self.numbers.replicates(name)
            values = found.values[:, :, None]
            whole = Replicated(values, found.bin_counts, found.n_networks)
            return FlowQuantity(name, self.cutoffs, chosen, whole)
        if name in self.matrices:
            return self._matrix(name, chosen)
        if name == "between":
            return self._between(chosen)
        return stacked(name, self.cutoffs, chosen, self._correlators(name, chosen))

    def _correlators(self, name: str, chosen: IndexArray) -> list[Replicated]:
        at = [self.outputs.at(c) for c in range(len(self.cutoffs))]
        if name == "excess_kurtosis":
            return [_of_estimate(one.excess_kurtosis(), chosen[:, 0]) for one in at]
        return [one.replicates(chosen.shape[1], None, chosen) for one in at]

    def _matrix(self, name: str, chosen: IndexArray) -> FlowQuantity:
        found = self.matrices[name].replicates()
        rows = _places(self.outputs.layout.pairs, chosen)
        whole = Replicated(found.values[:, :, rows], found.bin_counts, found.n_networks)
        return FlowQuantity(name, self.cutoffs, chosen, whole)

    def _between(self, chosen: IndexArray) -> FlowQuantity:
        """Return what the covariance within networks leaves of the whole one, replicate by replicate."""
        whole = stacked("", self.cutoffs, chosen, self._correlators("connected_2", chosen)).replicated
        left = _combined(whole, self._matrix("within", chosen).replicated, np.subtract)
        return FlowQuantity("between", self.cutoffs, chosen, left)


def _checked(name: str, every: IndexArray, components: npt.ArrayLike) -> IndexArray:
    """Return wanted components with their points in order."""
    given = np.asarray(components)
    slots, highest = every.shape[1], int(every.max(initial=0))
    if given.ndim != 2 or given.shape[1] != slots or given.dtype.kind not in "iu" or not len(given):
        raise UsageError(
            f"unusable components of {name}: got {shorten(given.tolist())}; give {slots} mesh points of each"
        )
    wrong = given[(given < 0) | (given > highest)]
    if len(wrong):
        raise UsageError(f"no such point in a component of {name}: got {wrong[0]}; allowed: 0 to {highest}")
    return np.sort(given, axis=1).astype(np.int32)


def _places(pairs: IndexArray, chosen: IndexArray) -> npt.NDArray[np.intp]:
    known = {(int(a), int(b)): row for row, (a, b) in enumerate(pairs)}
    return np.array([known[int(a), int(b)] for a, b in chosen], dtype=np.intp)


def _combined(
    one: Replicated, other: Replicated, function: Callable[[FloatArray, FloatArray], FloatArray]
) -> Replicated:
    """Return a function of two estimates of the same bins; without errors where one of them has none."""
    if len(one.bin_counts) != len(other.bin_counts) or len(one.values) != len(other.values):
        values = function(one.values[:1], other.values[:1])
        return Replicated(values, np.zeros(0, dtype=np.int64), one.n_networks)
    return Replicated(function(one.values, other.values), one.bin_counts, one.n_networks)


def _of_estimate(found: Estimate, rows: IndexArray) -> Replicated:
    """Return some components of an estimate with replicates, from its pseudo-values."""
    value, counts = found.value[rows], found.bin_counts
    if len(counts) < 2:
        return Replicated(value[None], np.zeros(0, dtype=np.int64), found.n_networks)
    ratios = (counts.sum() / counts)[:, None]
    replicates = (ratios * value - found.bins[:, rows]) / (ratios - 1.0)
    return Replicated(np.concatenate([value[None], replicates]), counts, found.n_networks)
