"""A result file as an analysis script sees it: correlators, moments, kernels, outputs."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nnft.errors import UsageError
from nnft.estimators.correlators import CorrelatorEstimator
from nnft.estimators.flow import FlowEstimator
from nnft.estimators.insertion import deformation_weights
from nnft.estimators.observables import ObservableEstimator
from nnft.estimators.replicated import Replicated
from nnft.estimators.results import Correlator, Estimate, LayerKernel
from nnft.estimators.reweighting import EffectiveSampleSize
from nnft.store.reader import StoredRun, read_run

if TYPE_CHECKING:
    from nnft.analysis.renormalized_run import RenormalizedRun
    from nnft.theory.cos_network import CosNetwork

FloatArray = npt.NDArray[np.float64]


def open_run(path: str | os.PathLike[str]) -> Run:
    """Open a result file for reading; also one that a run is still writing.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    Run
        The state at the last checkpoint. Close it, or use it as a context manager.

    Raises
    ------
    DataFileError
        If the file is missing, damaged, foreign or of a newer format.
    """
    return Run(read_run(path))


class Run:
    """Results of one run.

    Everything is computed from the binned sums in the file: unbiased cumulants, moments and their
    errors by the delete-one-bin jackknife.

    Parameters
    ----------
    stored : StoredRun
    """

    def __init__(self, stored: StoredRun) -> None:
        self.stored = stored

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; results that were taken from it stay."""
        self.stored.close()

    @property
    def path(self) -> Path:
        """The file."""
        return self.stored.path

    @property
    def networks(self) -> int:
        """Networks that the results include."""
        return self.stored.networks_done

    @property
    def complete(self) -> bool:
        """Whether all planned networks are done."""
        return self.stored.complete

    @cached_property
    def orders(self) -> tuple[int, ...]:
        """Orders of the connected correlators in the file."""
        return tuple(sorted({table.order for table in self.estimator.layout.tables.values()}))

    @cached_property
    def points(self) -> FloatArray:
        """Input points after scaling, shape (P, d)."""
        return self.stored.points

    @cached_property
    def card(self) -> dict[str, Any]:
        """The resolved card as nested dictionaries."""
        card = tomllib.loads(self.stored.config["resolved"])
        network = card["network"]
        if "width" in network:  # of cosines: seen as networks of one hidden layer, as their sampler does
            network["widths"] = [network["width"]]
        return card

    @cached_property
    def cosines(self) -> CosNetwork | None:
        """Law of networks of cosines at initialization; None for other networks."""
        if "width" not in self.card["network"]:
            return None
        from nnft.analysis.cosines import cosine_law

        return cosine_law(self.card["network"], self.points.shape[1])

    @cached_property
    def plan(self) -> dict[str, Any]:
        """Methods chosen and why, sizes, memory."""
        plan: dict[str, Any] = json.loads(self.stored.config["plan"])
        return plan

    @cached_property
    def deformation(self) -> dict[str, Any] | None:
        """The card's table of the insertion, resolved, or None: all averages are those with its weights."""
        found: dict[str, Any] | None = self.card.get("deformation")
        return found

    @cached_property
    def training(self) -> dict[str, Any] | None:
        """The card's table of the training, resolved, or None: all averages are those of trained networks."""
        found: dict[str, Any] | None = self.card.get("training")
        return found

    @property
    def effective_sample_size(self) -> EffectiveSampleSize | None:
        """How many networks of equal weight a deformed ensemble is worth; None without a deformation."""
        return self.estimator.effective_sample_size()

    def require_effective_sample_size(self) -> None:
        """Refuse a deformed ensemble whose averages rest on few networks; correlators do so as well.

        Raises
        ------
        NumericalError
            If the effective sample size is below 100.
        """
        size = self.effective_sample_size
        if size is not None and size.networks:
            size.require()

    @cached_property
    def estimator(self) -> CorrelatorEstimator:
        """The estimator behind all results, with its bins."""
        return CorrelatorEstimator.from_arrays({"layers": np.zeros(0)} | dict(self.stored.accumulators))

    @cached_property
    def flow(self) -> FlowEstimator | None:
        """Correlators at every snapshot of the training, or None: ``flow.at(s)`` has what `estimator` has."""
        stored = self.stored.training
        return FlowEstimator.from_arrays(stored) if "flow/count" in stored else None

    @property
    def renormalization(self) -> RenormalizedRun:
        """The flow over cutoffs (``nnft flow``): losses, outputs, correlators, couplings at each of them.

        Raises
        ------
        UsageError
            If the run has no flow.
        """
        from nnft.analysis.renormalized_run import RenormalizedRun

        return RenormalizedRun(self)

    @cached_property
    def observables(self) -> ObservableEstimator | None:
        """Numbers of the networks, such as losses, at every snapshot of the training, or None."""
        stored = self.stored.training
        return ObservableEstimator.from_arrays(stored) if "observables/count" in stored else None

    def connected(self, order: int, outputs: Sequence[int] | str | None = None) -> Correlator:
        """Return the connected correlator (joint cumulant) of `order` outputs.

        Parameters
        ----------
        order : int
            2, 4, 6 or 8, as far as the card asked for it; for trained networks, which have a mean, every
            order from 1 (the mean) on.
        outputs : sequence of int or str, optional
            Output label of each field, such as ``"0011"``; one and the same output if not given.

        Returns
        -------
        Correlator
            ``indices`` (m, order) points, ``value`` (m,), ``stderr`` (m,), ``bins``, ``dense()``.

        Raises
        ------
        UsageError
            If this correlator was not estimated.
        NumericalError
            If there are too few networks.
        """
        return self.estimator.result(order, outputs)

    def replicates(
        self,
        order: int,
        outputs: Sequence[int] | str | None = None,
        components: npt.NDArray[np.int32] | None = None,
    ) -> Replicated:
        """Return a connected correlator for all bins and without each of them; see `connected`.

        Any function of correlators evaluated on these rows has the jackknife's errors. `components`, shape
        (m, order), are the points of the wanted components; all of them if not given.
        """
        return self.estimator.replicates(order, outputs, components)

    def moment(self, order: int, outputs: Sequence[int] | str | None = None) -> Correlator:
        """Return the moment of `order` outputs; otherwise like `connected`."""
        return self.estimator.moment(order, outputs)

    def excess_kurtosis(self) -> Estimate:
        """Return kappa_4(aaaa) / G_2(aa)^2 for every point."""
        return self.estimator.excess_kurtosis()

    def within(self) -> Estimate:
        """Return E[C_ab]: the part of the two-point function of trained networks within one network.

        Raises
        ------
        UsageError
            If the output has no covariance given the network, as only a Gaussian posterior has.
        """
        return self.estimator.within()

    def between(self) -> Estimate:
        """Return Cov(m_a, m_b), the part between networks; see `within`."""
        return self.estimator.between()

    def kernel(self, layer: int) -> LayerKernel:
        """Return the two-point function of a layer's pre-activations and the four-point vertex.

        Parameters
        ----------
        layer : int
            Affine layer 2 .. L; layer 1 has the fixed kernel C_b + C_W x.x/d, see `first_kernel`.

        Raises
        ------
        UsageError
            If the layer has no statistics in this file.
        """
        if layer == 1:
            raise UsageError("layer without fluctuations in kernel: got 1; its kernel is first_kernel()")
        return self.estimator.layer_kernel(layer)

    def first_kernel(self) -> FloatArray:
        """Return the kernel of the first layer, shape (P, P); it does not fluctuate."""
        network = self.card["network"]
        if self.cosines is not None:
            raise UsageError("no kernel of affine layers: got networks of cosines; use nngp_kernel(2)")
        weight, bias = (_first(network[name]) for name in ("weight_variance", "bias_variance"))
        kernel: FloatArray = bias + weight / self.points.shape[1] * self.points @ self.points.T
        return kernel

    def nngp_kernel(self, layer: int) -> FloatArray | None:
        """Return the infinite-width kernel of a layer, shape (P, P), or None if the file has none."""
        theory = self.stored.theory
        if "nngp_kernel" not in theory:
            return None
        kernel: FloatArray = theory["nngp_kernel"][layer - 1]
        return kernel

    def fields(self, start: int = 0, stop: int | None = None) -> npt.NDArray[Any]:
        """Return stored outputs of networks start .. stop-1, shape (networks, D, P).

        Raises
        ------
        UsageError
            If the file keeps no outputs.
        DataFileError
            If a segment is missing or damaged.
        """
        if self.stored.fields is None:
            raise UsageError("no outputs in the file: got store.fields = 0; sample with store.fields above 0")
        return self.stored.read_fields(start, stop)

    def weights(self, start: int = 0, stop: int | None = None) -> FloatArray:
        """Return the weights of stored outputs of a deformed ensemble, shape (networks,).

        Averages of functions of `fields` are those of the deformed theory with these weights, and of the
        theory without the insertion without them. The largest weight is 1.

        Raises
        ------
        UsageError
            If the run has no deformation, or keeps no outputs.
        """
        if self.deformation is None:
            raise UsageError("no weights in the file: got no [deformation]; all networks weigh the same")
        options = {name: value for name, value in self.deformation.items() if name != "readouts"}
        return deformation_weights(self.fields(start, stop), **options)


def _first(value: float | list[float]) -> float:
    return value[0] if isinstance(value, list) else value
