"""How the parameters of the networks of a flow are spread over the information."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nnft.estimators.observables import MatrixFlow

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FlowSpectrum:
    """Histogram of the information over the chosen parameters, mean over networks.

    Attributes
    ----------
    edges : ndarray of float64, shape (E,)
        Ten for a decade; a bin holds information from its lower edge to below its upper one.
    share, stderr : ndarray of float64, shape (E + 2,)
        Of the parameters of a network with no information at all, information below the first edge, in the
        bins, from the last edge on; standard error over networks.
    parameters : int
        Parameters of a network that are ordered by their information.
    """

    edges: FloatArray
    share: FloatArray
    stderr: FloatArray
    parameters: int

    @property
    def silent(self) -> tuple[float, float]:
        """Share of parameters without any information, and its error."""
        return float(self.share[0]), float(self.stderr[0])

    def used(self) -> slice:
        """Return the bins, out of the E - 1 between edges, from the first to the last that is not empty."""
        filled = np.flatnonzero(self.share[2:-1])
        return slice(int(filled[0]), int(filled[-1]) + 1) if len(filled) else slice(0, 0)


def read_spectrum(arrays: Mapping[str, npt.NDArray[Any]]) -> FlowSpectrum | None:
    """Return the spectrum that a file holds; None where it holds none, or of no network.

    Raises
    ------
    DataFileError
        If an array has the wrong shape.
    """
    if "spectrum/edge" not in arrays:
        return None
    found = MatrixFlow.from_arrays(arrays, "spectrum")
    mean, error = found.mean()[0], found.stderr()[0]
    parameters = mean.sum()
    if not parameters > 0.0:
        return None
    edges = np.asarray(arrays["spectrum/edge"], dtype=np.float64)
    return FlowSpectrum(edges, mean / parameters, error / parameters, round(float(parameters)))
