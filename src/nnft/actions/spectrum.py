"""Eigenmodes of the two-point function, and how many of them an action can be built on.

The action needs G^-1. Smooth kernels have eigenvalues that fall exponentially; below a cut the higher
cumulants of a mode are rounding noise. The modes below the cut are integrated out: what remains is the
exact marginal law of the amplitudes of the modes that are kept, and on the mesh G^-1 becomes a
pseudo-inverse. The eigenvectors of the full sample are fixed coordinates: errors of couplings in modes are
those of the couplings, not of a basis that turns with the sample.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nnft.errors import NumericalError, UsageError
from nnft.estimators.replicated import Replicated

FloatArray = npt.NDArray[np.float64]

DEFAULT_CUTS = {4: 1e-7, 6: 1e-5}
"""Smallest eigenvalue kept, relative to the largest, for an action through order 4 or 6: there the cumulants
of the mode, which fall with powers 2 and 3 of the eigenvalue, stand about 100 times above rounding."""

LARGEST_ERROR = 0.05
"""Relative standard error of an eigenvalue from which on a mode is not kept by default: few networks feel it,
or it is rounding noise of single precision."""

SINGULAR = 1e-13
"""Relative eigenvalue below which a mode is none: the kernel is singular to rounding."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Eigenmodes of the two-point function on the chosen points.

    Attributes
    ----------
    eigenvalues : Replicated
        Values of shape (1 + B, P), descending; the replicates are those of v^T G v with v fixed.
    vectors : ndarray of float64, shape (P, P)
        Column k is mode k; its entry of largest size is positive.
    kept : int
        Modes that the action is built on.
    reason : str
        Why so many.
    """

    eigenvalues: Replicated
    vectors: FloatArray
    kept: int
    reason: str

    @property
    def condition(self) -> float:
        """Ratio of the largest eigenvalue to the smallest one kept."""
        values = self.eigenvalues.value
        return float(values[0] / values[self.kept - 1])

    @property
    def dropped_variance(self) -> float:
        """Share of the variance, summed over the points, in the modes below the cut."""
        values = np.maximum(self.eigenvalues.value, 0.0)
        return float(values[self.kept :].sum() / values.sum())


def kernel_spectrum(
    kernel: Replicated, order: int, modes: int | None = None, cut: float | None = None
) -> Spectrum:
    """Diagonalise the two-point function and choose the modes to keep.

    Parameters
    ----------
    kernel : Replicated
        Two-point function, values of shape (1 + B, P, P).
    order : int
        4 or 6, for the default cut.
    modes : int, optional
        Keep this many.
    cut : float, optional
        Keep the modes whose eigenvalue is above this share of the largest.

    Raises
    ------
    UsageError
        If both or impossible choices are given.
    NumericalError
        If the kernel vanishes, or has fewer non-singular modes than asked for.
    """
    size = kernel.value.shape[0]
    if modes is not None and cut is not None:
        raise UsageError("contradiction: got both a number of modes and a cut; give one of them")
    if modes is not None and not 1 <= modes <= size:
        raise UsageError(f"impossible number of modes: got {modes}; allowed: 1 to {size}, the points chosen")
    if cut is not None and not 0.0 < cut < 1.0:
        raise UsageError(f"impossible cut of the spectrum: got {cut!r}; allowed: above 0 and below 1")
    values, vectors = np.linalg.eigh(kernel.value)
    values, vectors = values[::-1], vectors[:, ::-1]
    largest = np.abs(vectors).argmax(axis=0)
    vectors = np.ascontiguousarray(vectors * np.sign(vectors[largest, np.arange(size)]))
    if not np.isfinite(values).all() or values[0] <= 0.0:
        raise NumericalError(
            f"singular kernel: got largest eigenvalue {values[0]:.3g}; the field vanishes at these points"
        )
    regular = int(np.count_nonzero(values > SINGULAR * values[0]))
    projected = np.stack([np.einsum("ak,ab,bk->k", vectors, row, vectors) for row in kernel.values])
    projected[0] = values
    eigenvalues = Replicated(projected, kernel.bin_counts, kernel.n_networks)
    if modes is None:
        kept, reason = _determined(eigenvalues, order, cut)
    elif modes > regular:
        raise NumericalError(
            f"singular kernel: got eigenvalue {values[modes - 1]:.3g} of mode {modes - 1} beside "
            f"{values[0]:.3g}; at most {regular} modes at these points"
        )
    else:
        kept, reason = modes, "as asked"
    return Spectrum(eigenvalues, vectors, kept, reason)


def _determined(eigenvalues: Replicated, order: int, cut: float | None) -> tuple[int, str]:
    """Return how many modes are kept by a cut, or by default, and why."""
    values = eigenvalues.value
    share = DEFAULT_CUTS[order] if cut is None else max(cut, SINGULAR)
    kept = int(np.count_nonzero(values > share * values[0]))
    reason = f"eigenvalues above {share:g} of the largest"
    if cut is not None:
        return kept, f"{reason}, as asked"
    noisy = np.flatnonzero(~(eigenvalues.stderr()[:kept] < LARGEST_ERROR * values[:kept]))
    if len(noisy):
        return max(1, int(noisy[0])), f"{reason} and known to {LARGEST_ERROR:.0%}"
    return kept, reason
