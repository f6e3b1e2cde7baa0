"""The weights of stored outputs: exp(-V) for a potential of the outputs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nnft.errors import UsageError

FloatArray = npt.NDArray[np.float64]


def deformation_energies(
    fields: npt.ArrayLike,
    *,
    phi2: npt.ArrayLike = 0.0,
    phi4: npt.ArrayLike = 0.0,
    phi6: npt.ArrayLike = 0.0,
    cell: float = 1.0,
    invariance: str = "each",
) -> FloatArray:
    """Return V of some networks' outputs.

    V = cell * sum over points a of phi2_a r / 2 + phi4_a r^2 / 4! + phi6_a r^3 / 6!, where r is
    phi_i(x_a)^2, the sum going over outputs i as well (``"each"``), or sum_i phi_i(x_a)^2 (``"total"``).

    Parameters
    ----------
    fields : array_like, shape (networks, D, P)
        Outputs, such as ``run.fields()``.
    phi2, phi4, phi6 : array_like
        Couplings: one number, or one for each point.
    cell : float
    invariance : {"each", "total"}

    Returns
    -------
    ndarray of float64, shape (networks,)

    Raises
    ------
    UsageError
        If the shapes do not fit or the invariance is unknown.
    """
    outputs = np.asarray(fields, dtype=np.float64)
    couplings = [np.asarray(values, dtype=np.float64) for values in (phi2, phi4, phi6)]
    points = outputs.shape[-1] if outputs.ndim else 0
    if outputs.ndim != 3 or any(values.shape not in ((), (points,)) for values in couplings):
        shapes = ", ".join(str(values.shape) for values in couplings)
        raise UsageError(
            f"wrong shapes in deformation_energies: got fields {outputs.shape}, couplings {shapes}; "
            "give fields (networks, D, P) and one coupling, or P"
        )
    if invariance not in ("each", "total"):
        raise UsageError(f"unknown word in invariance: got {invariance!r}; use each or total")
    squares = outputs**2
    if invariance == "total":
        squares = squares.sum(axis=1, keepdims=True)
    c1, c2, c3 = (values * cell / divisor for values, divisor in zip(couplings, (2, 24, 720), strict=True))
    energies: FloatArray = (squares * (c1 + squares * (c2 + squares * c3))).sum(axis=(1, 2))
    return energies


def deformation_weights(
    fields: npt.ArrayLike,
    *,
    phi2: npt.ArrayLike = 0.0,
    phi4: npt.ArrayLike = 0.0,
    phi6: npt.ArrayLike = 0.0,
    cell: float = 1.0,
    invariance: str = "each",
) -> FloatArray:
    """Return exp(-V) of some networks' outputs, divided by the largest of them.

    Averages over the deformed theory are ``np.average(observable, weights=...)``. Parameters and errors are
    those of `deformation_energies`.

    Returns
    -------
    ndarray of float64, shape (networks,)
        The largest one is 1.
    """
    energies = deformation_energies(fields, phi2=phi2, phi4=phi4, phi6=phi6, cell=cell, invariance=invariance)
    weights: FloatArray = np.exp(energies.min(initial=np.inf) - energies)
    return weights
