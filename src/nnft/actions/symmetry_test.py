"""One joint test for every symmetry: differences that should vanish, with the errors of their replicates."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nnft.actions.axiom_report import BROKEN_P, VISIBLE_SIGMAS, AxiomCheck, not_testable
from nnft.estimators.joint_test import BINS_PER_COMPONENT, joint_test
from nnft.estimators.replicated import Replicated

FloatArray = npt.NDArray[np.float64]


def testable_number(bins: int) -> int:
    """Return how many differences the covariance from so many bins can judge together."""
    return max(1, bins // BINS_PER_COMPONENT)


def symmetry_check(
    name: str,
    order: int,
    compared: str,
    differences: Replicated,
    natural: FloatArray,
    size: float,
    **details: Any,
) -> AxiomCheck:
    """Judge differences that a symmetry makes zero.

    Components whose errors cannot be trusted, because few bins make their spread, are left out.

    Parameters
    ----------
    name, order, compared
        As in `AxiomCheck`.
    differences : Replicated
        Values of shape (1 + B, k), at most a fourth of the bins.
    natural : ndarray of float64, shape (k,)
        Product of the standard deviations of the fields in each component: 1e-12 of it is rounding.
    size : float
        The effect is given in units of this.
    **details
        Goes into the check.

    Raises
    ------
    NumericalError
        If there are fewer than 16 bins.
    """
    if not np.isfinite(differences.values).all():
        return not_testable(name, order, compared, "correlators are not finite", **details)
    deviations = differences.deviations()
    trusted = ~differences.estimate(np.zeros((len(natural), 0), dtype=np.int32)).unreliable
    details["heavy_tailed"] = int(np.count_nonzero(~trusted))
    if not trusted.any():
        return not_testable(name, order, compared, "few networks dominate every error; run more", **details)
    values, deviations = differences.value[trusted], deviations[trusted]
    result = joint_test(values, deviations, natural[trusted])
    errors = np.sqrt((deviations**2).sum(axis=1))
    worst = int(np.abs(values).argmax())
    exact = result.components == 0
    unit = size if size > 0.0 else 1.0
    blind = not exact and VISIBLE_SIGMAS * float(errors.min()) > unit
    broken = result.p_value < BROKEN_P
    remark = "errors too large to see a violation of 100 %" if blind and not broken else ""
    if exact and not broken:
        remark = "exact in every network"
    return AxiomCheck(
        name,
        order,
        compared,
        "broken" if broken else "not testable" if blind else "holds",
        remark,
        result.chi_square,
        f"T2({result.components})",
        result.p_value,
        float(abs(values[worst])) / unit,
        float(errors[worst]) / unit,
        "largest deviation / largest correlator compared",
        {"components": result.components, "offered": result.offered, "bins": result.bins, **details},
    )
