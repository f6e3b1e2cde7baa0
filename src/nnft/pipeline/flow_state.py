"""What is known of the flow of trained networks: sums at every cutoff over the networks that are done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from nnft._kernels.renormalization import EDGES, SPECTRUM
from nnft.estimators.flow import FlowEstimator
from nnft.estimators.layout import SumLayout
from nnft.estimators.observables import MatrixFlow, ObservableEstimator
from nnft.estimators.stored_layout import unusable
from nnft.pipeline.flow_setup import make_renormalization, quantile_cutoffs
from nnft.pipeline.sample_adder import Adder
from nnft.samplers.renormalized import Flowed, Renormalization
from nnft.samplers.trained import TrainedEnsemble
from nnft.spec.flow_resolution import FlowResolution
from nnft.spec.run import RunSpec

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

NAMES = ("sloppy_share", "train_error", "test_error", "readout_square")
MOST_LOSSES = 10_000
"""Networks whose losses at every cutoff are kept one by one."""

MOST_OUTPUTS, MOST_OUTPUT_POINTS, MOST_OUTPUT_BYTES = 1000, 4, 8 * 2**20
"""Networks and mesh points whose outputs at every cutoff are kept one by one, and the bytes of them."""

GROUP = "renormalization"


class FlowState:
    """Sums of a flow.

    Parameters
    ----------
    spec : RunSpec
        With a flow.
    flow : FlowResolution
    ensemble : TrainedEnsemble
    layout : SumLayout
        Of the kind "trained", or "trained-conditional" with the fill "conditional".
    bins, chains : int

    Attributes
    ----------
    cutoffs : tuple of float
        Empty until they are known: quantiles come from the first networks.
    flow : FlowEstimator
        Outputs at every cutoff; refills and chains of a network are its draws.
    observables : ObservableEstimator
        `NAMES` at every cutoff, averaged over refills and chains.
    tangent : MatrixFlow or None
    losses : list of ndarray of float64, shape (networks, C, 2)
        Training and test errors of the first networks; NaN for one that diverged.
    silent : ndarray of float64, shape (3,)
        Sums over networks of the share of parameters without any information, its square, and 1.
    spectrum : MatrixFlow
        Parameters of a network by their information, mean over chains.
    within : MatrixFlow or None
        Covariance of the outputs over the refills of a network; without a second refill there is none.
    outputs : list of ndarray of float64, shape (networks, C, points)
        Outputs of the first networks at the first mesh points: first chain, first refill.
    uncertainty : ndarray of float64, shape (2, 3)
        The same of the median and the mean relative error of the information, where they are known.
    """

    def __init__(
        self,
        spec: RunSpec,
        flow: FlowResolution,
        ensemble: TrainedEnsemble,
        layout: SumLayout,
        bins: int,
        chains: int,
    ) -> None:
        self._spec, self._resolved, self._ensemble = spec, flow, ensemble
        self._layout, self._bins, self.chains = layout, bins, chains
        self.cutoffs: tuple[float, ...] = ()
        self.losses: list[FloatArray] = []
        self.outputs: list[FloatArray] = []
        self.silent, self.uncertainty = np.zeros(3), np.zeros((2, 3))
        if flow.cutoffs:
            self.set_cutoffs(flow.cutoffs)
        else:
            make_renormalization(spec, flow, ensemble, (1.0,))  # refuses what does not fit

    def set_cutoffs(self, cutoffs: tuple[float, ...]) -> None:
        """Begin with these cutoffs, no network added yet."""
        count, resolved = len(cutoffs), self._resolved
        self.cutoffs = cutoffs
        self.renormalization: Renormalization = make_renormalization(
            self._spec, resolved, self._ensemble, cutoffs
        )
        self.flow = FlowEstimator(self._layout, self._bins, count, draws=resolved.refills * self.chains)
        self.observables = ObservableEstimator(NAMES, self._bins, count)
        pairs = self._layout.n_pairs
        self.tangent = MatrixFlow(self._bins, count, pairs) if resolved.tangents else None
        self.within = MatrixFlow(self._bins, count, pairs) if resolved.refills > 1 else None
        self.spectrum = MatrixFlow(self._bins, 1, SPECTRUM)

    def find_cutoffs(self, theta: FloatArray) -> None:
        """Take the quantiles from some networks, if cutoffs are not known."""
        if self.cutoffs:
            return
        probe = make_renormalization(self._spec, self._resolved, self._ensemble, (1.0,))
        with threadpool_limits(limits=1, user_api="blas"):
            cutoffs = quantile_cutoffs(probe, theta, self._resolved.quantiles)
        self.set_cutoffs(cutoffs)

    def follow(self, theta: FloatArray, first: int) -> Flowed:
        """Return the flow of some members, see `Renormalization.run`; linear algebra in one thread."""
        if not self.renormalization.decomposes:
            return self.renormalization.run(theta, first)
        with threadpool_limits(limits=1, user_api="blas"):
            return self.renormalization.run(theta, first)

    def member_bytes(self) -> int:
        """Return the memory that the flow of one member takes while its wave is not done."""
        return self._resolved.member_bytes(self._layout.n_points)

    def set_shifts(self, flowed: Flowed, members: IntArray) -> None:
        """Shift the outputs by their means over some members, before anything is added."""
        if len(members):
            points = self._layout.n_points
            self.flow.shifts[:] = flowed.outputs[members].mean(axis=(0, 1))[:, :points]

    def add(self, flowed: Flowed, first: int, networks: int, alive: npt.NDArray[np.bool_], size: int) -> None:
        """Add the networks first .. first + networks - 1 of a wave, in blocks of `size`."""
        refills = flowed.outputs.shape[1]
        flat = np.ascontiguousarray(np.moveaxis(flowed.outputs, 2, 0))
        flat = flat.reshape(len(self.cutoffs), -1, flowed.outputs.shape[3])
        adders = [
            Adder(self._layout, self.flow.shifts[c], {n: t[c] for n, t in self.flow.sums.items()}, self._bins)
            for c in range(len(self.cutoffs))
        ]
        for start in range(0, networks, size):
            chosen = np.arange(start, min(start + size, networks))
            chosen = chosen[alive[chosen]]
            place = (first + start) // size % self._bins
            members = (chosen[:, None] * self.chains + np.arange(self.chains)).ravel()
            rows = (members[:, None] * refills + np.arange(refills)).ravel()
            for c, adder in enumerate(adders):
                adder.add(flat[c], rows, place)
            self.flow.counts[place] += len(chosen)
            self._add_numbers(flowed, members, place)
        for adder in adders:
            adder.finish()
        self._keep_losses(flowed, networks, alive)
        self._keep_outputs(flowed, networks, alive)

    def _add_numbers(self, flowed: Flowed, members: IntArray, place: int) -> None:
        shares = flowed.shares[members]
        errors = flowed.errors[members].mean(axis=1)
        squares = np.full((len(members), len(self.cutoffs)), np.nan)
        if flowed.squares is not None:
            squares = flowed.squares[members].mean(axis=1)
        for c in range(len(self.cutoffs)):
            numbers = np.column_stack([shares[:, c], errors[:, c], squares[:, c]])
            self.observables.push(c, place, self._per_network(numbers))
            if self.tangent is not None:
                self.tangent.push(c, place, self._per_network(flowed.tangents[members, c]))
        if self.within is not None:
            scatter = refill_covariances(flowed.outputs[members], self._layout.pairs)
            for c in range(len(self.cutoffs)):
                self.within.push(c, place, self._per_network(scatter[:, c]))
        self.spectrum.push(0, place, self._per_network(flowed.spectra[members]))
        silent = self._per_network(flowed.zeros[members][:, None])[:, 0]
        self.silent += [silent.sum(), (silent**2).sum(), len(silent)]
        errors_known = self._per_network(flowed.uncertainty[members]).T
        for row, values in zip(self.uncertainty, errors_known, strict=True):
            known = values[~np.isnan(values)]
            row += [known.sum(), (known**2).sum(), len(known)]

    def _per_network(self, values: FloatArray) -> FloatArray:
        mean: FloatArray = values.reshape(-1, self.chains, values.shape[1]).mean(axis=1)
        return mean

    def _keep_losses(self, flowed: Flowed, networks: int, alive: npt.NDArray[np.bool_]) -> None:
        count = max(0, min(networks, MOST_LOSSES - sum(len(part) for part in self.losses)))
        errors = flowed.errors[: count * self.chains].mean(axis=1)
        kept = errors.reshape(count, self.chains, len(self.cutoffs), 2).mean(axis=1)
        kept[~alive[:count]] = np.nan
        if count:
            self.losses.append(kept)

    def _keep_outputs(self, flowed: Flowed, networks: int, alive: npt.NDArray[np.bool_]) -> None:
        points = min(self._layout.n_points, MOST_OUTPUT_POINTS)
        most = min(MOST_OUTPUTS, MOST_OUTPUT_BYTES // (8 * len(self.cutoffs) * points))
        count = max(0, min(networks, most - sum(len(part) for part in self.outputs)))
        kept = flowed.outputs[: count * self.chains : self.chains, 0, :, :points].copy()
        kept[~alive[:count]] = np.nan
        if count:
            self.outputs.append(kept)

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return everything that `restore` needs, by its path below the group of the flow."""
        if not self.cutoffs:
            return {}
        found: dict[str, npt.NDArray[Any]] = {"cutoff": np.array(self.cutoffs)}
        found |= {"silent": self.silent, "uncertainty": self.uncertainty}
        found |= self.flow.to_arrays() | self.observables.to_arrays()
        if self.tangent is not None:
            found |= self.tangent.to_arrays("tangent")
        if self.within is not None:
            found |= self.within.to_arrays("within")
        found |= {"spectrum/edge": EDGES} | self.spectrum.to_arrays("spectrum")
        for name, parts in (("losses", self.losses), ("outputs", self.outputs)):
            if parts:
                found[name] = np.concatenate(parts)
        return found

    def restore(self, arrays: Mapping[str, Any]) -> None:
        """Put the sums in the state that a file holds.

        Raises
        ------
        DataFileError
            If something is missing or does not fit.
        """
        if "cutoff" not in arrays and not self._resolved.cutoffs:
            return
        try:
            cutoffs = tuple(float(cutoff) for cutoff in arrays["cutoff"])
            if self._resolved.cutoffs and cutoffs != self._resolved.cutoffs:
                raise ValueError("cutoff of another card")
            self.set_cutoffs(cutoffs)
            flow = FlowEstimator.from_arrays(arrays)
            if flow.buffer.shape != self.flow.buffer.shape or flow.draws != self.flow.draws:
                raise ValueError("flow/sums of another shape")
            self.flow, self.silent = flow, np.array(arrays["silent"], dtype=np.float64)
            self.uncertainty = np.array(arrays["uncertainty"], dtype=np.float64)
            if self.silent.shape != (3,) or self.uncertainty.shape != (2, 3):
                raise ValueError("silent or uncertainty of another shape")
            self.observables = ObservableEstimator.from_arrays(arrays, NAMES)
            if self.tangent is not None:
                self.tangent = MatrixFlow.from_arrays(arrays, "tangent")
            if self.within is not None:
                self.within = MatrixFlow.from_arrays(arrays, "within")
            self.spectrum = MatrixFlow.from_arrays(arrays, "spectrum")
            self.losses = _kept(arrays, "losses", (len(cutoffs), 2))
            points = min(self._layout.n_points, MOST_OUTPUT_POINTS)
            self.outputs = _kept(arrays, "outputs", (len(cutoffs), points))
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise unusable(error) from error


def _kept(arrays: Mapping[str, Any], name: str, shape: tuple[int, int]) -> list[FloatArray]:
    """Return what a file keeps of single networks; nothing of none."""
    if name not in arrays:
        return []
    found = np.array(arrays[name], dtype=np.float64)
    if found.shape[1:] != shape:
        raise ValueError(f"{name} of another shape")
    return [found]


def refill_covariances(outputs: FloatArray, pairs: npt.NDArray[np.int32]) -> FloatArray:
    """Return the unbiased covariance of outputs over the refills of each member, at every cutoff.

    Parameters
    ----------
    outputs : ndarray of float64, shape (members, R, C, P)
        R >= 2.
    pairs : ndarray of int32, shape (Q, 2)
        Points of the packed pairs.

    Returns
    -------
    ndarray of float64, shape (members, C, Q)

    Notes
    -----
    Refills are added one after the other, so that bits do not depend on the members beside a member. They are
    counted from the first one: where all are the same there is no rounding.
    """
    refills = outputs.shape[1]
    mean, (first, second) = np.zeros_like(outputs[:, 0]), pairs.T
    for r in range(refills):
        mean += outputs[:, r] - outputs[:, 0]
    mean /= refills
    total = np.zeros((*mean.shape[:2], len(pairs)))
    for r in range(refills):
        apart = outputs[:, r] - outputs[:, 0] - mean
        total += apart[..., first] * apart[..., second]
    total /= refills - 1
    return total
