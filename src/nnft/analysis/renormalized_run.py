"""The flow of a run over cutoffs: correlators, errors and losses below each of them.

``nnft.open("flow.h5").renormalization`` is a `RenormalizedRun`.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from nnft.analysis.flow_quantity import FlowQuantity, FlowSums
from nnft.errors import NumericalError, UsageError, shorten
from nnft.estimators.correlators import CorrelatorEstimator
from nnft.estimators.flow import FlowEstimator
from nnft.estimators.observables import MatrixFlow, ObservableEstimator
from nnft.store.reader import StoredRun

if TYPE_CHECKING:
    from nnft.analysis.flow_couplings import FlowCouplings
    from nnft.analysis.flow_spectrum import FlowSpectrum
    from nnft.theory.cos_network import CosNetwork

FloatArray = npt.NDArray[np.float64]
GROUP = "renormalization/"


class FlowFile(Protocol):
    """The opened file that a flow is read from: `nnft.analysis.run.Run`."""

    stored: StoredRun

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def networks(self) -> int:
        """Networks that the results include."""

    @property
    def points(self) -> FloatArray:
        """Input points after scaling, shape (P, d)."""

    @property
    def card(self) -> dict[str, Any]:
        """The resolved card as nested dictionaries."""

    @property
    def plan(self) -> dict[str, Any]:
        """Methods chosen and why, sizes, memory."""

    @property
    def cosines(self) -> CosNetwork | None:
        """Law of networks of cosines at initialization; None for other networks."""


class RenormalizedRun:
    """The flow of trained networks over cutoffs of the information of their parameters.

    Networks are the same at every cutoff, and so are the bins of the jackknife: every quantity has a
    covariance along the flow.

    Parameters
    ----------
    run : Run
        Open; see `nnft.analysis.run.open_run`.

    Attributes
    ----------
    run : Run
    cutoffs : ndarray of float64, shape (C,)
        From 0, the trained networks, to infinity, where everything is replaced.

    Examples
    --------
    >>> flow = nnft.open("flow.h5").renormalization             # doctest: +SKIP
    >>> flow.table()["test_error"]                              # (C,)
    >>> flow.covariance("test_error")                           # (C, C), between the cutoffs
    >>> flow.quantity("connected_2").value                      # (C, pairs of mesh points)
    >>> flow.couplings([0, 1]).table("quartic").value           # (C, components)

    Raises
    ------
    UsageError
        If the run has no flow, or no network yet.
    """

    def __init__(self, run: FlowFile) -> None:
        name = shorten(run.path.name)
        if run.card.get("flow") is None:
            raise UsageError(f"no flow in {name}: got a run without [flow]; follow it with --cutoffs and -o")
        stored = run.stored.training
        self._arrays = {key.removeprefix(GROUP): stored[key] for key in stored if key.startswith(GROUP)}
        if "cutoff" not in self._arrays or not run.networks:
            raise UsageError(f"no networks yet in {name}: got a flow without any; go on with --resume")
        self.run = run
        self.cutoffs: FloatArray = np.asarray(self._arrays["cutoff"], dtype=np.float64)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The table [flow] of the card."""
        found: dict[str, Any] = self.run.card["flow"]
        return found

    @property
    def noise_variance(self) -> float:
        """kappa of the information: that of the table, or the ridge of the training."""
        return float(self.settings.get("noise_variance") or self.run.plan["training"]["ridge"])

    @cached_property
    def flow(self) -> FlowEstimator:
        """Correlators of the outputs at every cutoff."""
        return FlowEstimator.from_arrays(self._arrays)

    def at(self, position: int) -> CorrelatorEstimator:
        """Return the correlators at one cutoff, from 0."""
        return self.flow.at(position)

    @cached_property
    def observables(self) -> ObservableEstimator:
        """Share of sloppy parameters, training and test error at every cutoff."""
        return ObservableEstimator.from_arrays(self._arrays)

    @cached_property
    def tangent(self) -> MatrixFlow | None:
        """Tangent kernel on the mesh at every cutoff."""
        return MatrixFlow.from_arrays(self._arrays, "tangent") if "tangent/sums" in self._arrays else None

    @cached_property
    def sums(self) -> FlowSums:
        """Sums of all quantities."""
        matrices = {
            name: MatrixFlow.from_arrays(self._arrays, name)
            for name in ("tangent", "within")
            if f"{name}/sums" in self._arrays
        }
        return FlowSums(self.cutoffs, self.flow, self.observables, matrices)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all quantities that `quantity` and `covariance` know."""
        return self.sums.names

    def quantity(self, name: str, components: npt.ArrayLike | None = None) -> FlowQuantity:
        """Return one quantity at every cutoff.

        Parameters
        ----------
        name : str
            One of `names`: "sloppy_share", "train_error", "test_error"; "mean", "connected_2" (the covariance
            of the outputs) .. "connected_r", "excess_kurtosis"; "tangent" (kernel); "within" and "between"
            (networks, whose sum is connected_2) where there are several refills.
        components : array_like of int, shape (m, r), optional
            Mesh points of the wanted components, such as ``[[0, 1]]`` of a two-point function; all if not
            given.

        Returns
        -------
        FlowQuantity
            ``indices`` (m, r), ``value`` and ``stderr`` (C, m), ``covariance(component)`` and
            ``correlation(component)`` (C, C), ``replicated``.

        Raises
        ------
        UsageError
            There is no such quantity or component, or there are too many components.
        NumericalError
            Too few networks for an unbiased estimate.
        """
        return self.sums.quantity(name, components)

    def covariance(self, name: str = "test_error", component: npt.ArrayLike = ()) -> FloatArray:
        """Return the covariance of the errors of one quantity between the cutoffs, shape (C, C).

        Parameters
        ----------
        name : str
            One of `names`.
        component : sequence of int
            Mesh points, such as ``[0, 1]`` for a two-point function; none for a loss.
        """
        return self.quantity(name, np.asarray(component, dtype=np.int64)[None, :]).covariance()

    def table(self) -> npt.NDArray[Any]:
        """Return the flow as a structured array with a row for each cutoff.

        Returns
        -------
        ndarray, shape (C,)
            Fields ``cutoff``; ``sloppy_share``, ``train_error``, ``test_error``; ``mean``, ``variance`` of
            the output at all P mesh points, shape (C, P). Each but the first has another field with
            ``_stderr`` after its name. NaN where there is nothing.
        """
        points = np.arange(len(self.run.points))
        wanted: dict[str, tuple[str, npt.NDArray[Any] | None]] = {
            name: (name, None) for name in self.observables.names
        }
        wanted |= {"mean": ("mean", points[:, None]), "variance": ("connected_2", points[:, None] + [0, 0])}
        found: dict[str, FloatArray] = {"cutoff": self.cutoffs}
        for name, (quantity, components) in wanted.items():
            shape = (len(self.cutoffs),) if components is None else (len(self.cutoffs), len(points))
            try:
                numbers = self.quantity(quantity, components)
                parts = (numbers.value, numbers.stderr)
            except NumericalError:  # too few networks
                parts = (np.full(shape, np.nan), np.full(shape, np.nan))
            found |= {
                key: part.reshape(shape) for key, part in zip((name, f"{name}_stderr"), parts, strict=True)
            }
        rows = np.empty(len(self.cutoffs), dtype=[(n, np.float64, a.shape[1:]) for n, a in found.items()])
        for name, array in found.items():
            rows[name] = array
        return rows

    def couplings(self, points: npt.ArrayLike | None = None) -> FlowCouplings:
        """Return the couplings of the Edgeworth action of the outputs at every cutoff.

        Parameters
        ----------
        points : sequence of int, optional
            Mesh points of the action, at most 12; up to three, spread evenly, if not given.

        Returns
        -------
        FlowCouplings
            ``table(name)`` for "free", "quadratic", "quartic", "reduced_quartic"; ``reasons``: where there
            are none, and why.

        Raises
        ------
        NnftError
            As `nnft.analysis.flow_couplings.flow_couplings`.
        """
        from nnft.analysis.flow_couplings import CutoffSource, flow_couplings

        run = self.run
        sources = [CutoffSource(self.at(c), run.path, run.points, run.card) for c in range(len(self.cutoffs))]
        return flow_couplings(sources, self.cutoffs, points)

    @cached_property
    def spectrum(self) -> FlowSpectrum | None:
        """Histogram of the information over parameters and networks; None in files without."""
        from nnft.analysis.flow_spectrum import read_spectrum

        return read_spectrum(self._arrays)

    @cached_property
    def kept_outputs(self) -> FloatArray:
        """Outputs of the first networks at the first mesh points, shape (networks, C, points).

        First chain and first refill of each; without networks that diverged. Empty in files without.
        """
        kept = np.asarray(self._arrays.get("outputs", np.zeros((0, len(self.cutoffs), 0))), dtype=np.float64)
        return kept[~np.isnan(kept).any(axis=(1, 2))]

    @property
    def diverged(self) -> int:
        """Networks that diverged in training and are in no average."""
        return int(self.run.stored.training.get("diverged/networks", 0))

    @cached_property
    def kept_losses(self) -> FloatArray:
        """Training and test errors of the first networks at every cutoff, shape (networks, C, 2).

        NaN for a network that diverged; the test error is NaN without test points.
        """
        return np.asarray(self._arrays["losses"], dtype=np.float64)

    @cached_property
    def losses(self) -> FloatArray:
        """The same without the networks that diverged."""
        alive = ~np.isnan(self.kept_losses[:, :, 0]).any(axis=1)
        return self.kept_losses[alive]

    @property
    def basis(self) -> str:
        """What is ordered by its information."""
        return str(self.settings.get("basis", "diagonal"))

    @property
    def silent_share(self) -> tuple[float, float]:
        """Share of parameters without any information: mean over networks, and its standard error."""
        return _mean_and_error(self._arrays["silent"])

    @property
    def information_errors(self) -> dict[str, tuple[float, float]]:
        """Relative standard errors of the information over its inputs: their median and mean in a network.

        Each as mean over networks, and its standard error; NaN where they are not known.
        """
        found = self._arrays["uncertainty"]
        return {name: _mean_and_error(row) for name, row in zip(("median", "mean"), found, strict=True)}

    @property
    def has_test(self) -> bool:
        """Whether there are test points."""
        return bool(self.run.plan["training"]["test_points"])


def _mean_and_error(sums: FloatArray) -> tuple[float, float]:
    """Mean over networks and its standard error from sum, sum of squares and number."""
    total, squares, count = (float(number) for number in sums)
    if count < 1:
        return float("nan"), float("nan")
    mean = total / count
    variance = max(squares / count - mean**2, 0.0) * count / max(count - 1.0, 1.0)
    return mean, (variance / count) ** 0.5 if count > 1 else float("nan")
