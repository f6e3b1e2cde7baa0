"""The Edgeworth density that belongs to an action."""

from __future__ import annotations

import numpy as np

from nnft.actions.action import Action
from nnft.actions.density import EdgeworthDensity
from nnft.actions.expansion import chain_product
from nnft.actions.symmetric import transform


def action_density(action: Action, order: int | None = None) -> EdgeworthDensity:
    """Return the Edgeworth density with the cumulants behind an action.

    Parameters
    ----------
    action : Action
    order : int, optional
        0: the Gaussian; 1: through 1/N; 2: through 1/N^2, for an action of order 6. The highest that is
        there if not given.

    Returns
    -------
    EdgeworthDensity
        Of the fields at ``action.points``; where modes were cut, of the amplitudes of the modes that are
        kept, ``phi @ action.spectrum.vectors[:, :kept]``.

    Raises
    ------
    UsageError
        If the order needs more than the action has.
    NumericalError
        If the covariance is not positive definite.
    """
    kept = action.spectrum.kept
    if kept == len(action.points):
        metric, change = action.kernel.value, None
    else:
        metric = np.diag(action.spectrum.eigenvalues.value[:kept])
        change = np.ascontiguousarray(action.spectrum.vectors[:, :kept])

    def lowered(name: str, fields: int) -> np.ndarray:
        packed = action.replicated(name).value
        return packed if change is None else transform(packed, fields, change)

    quartic = lowered("quartic_leading", 4)
    four = transform(-quartic, 4, metric)
    six = None
    if action.order == 6:
        # lambda_6 = -khat_6 + 10 khat_4 o_1 khat_4, and khat_4 = -lambda_4 at leading order
        six = transform(10.0 * chain_product(metric, quartic) - lowered("sextic", 6), 6, metric)
    return EdgeworthDensity(metric, four, six, order=order)
