"""Step-size bias of unadjusted dynamics: values at steps h/2 and h extrapolated to h = 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nnft.errors import UsageError

Array = npt.NDArray[np.float64]

BIAS_ORDER = {"langevin": 1, "underdamped": 2}
FALSE_ALARM = 0.01  # chance of calling a bias significant among all components when there is none


@dataclass(frozen=True)
class StepExtrapolation:
    """Values at vanishing step.

    Attributes
    ----------
    order : int
        Power of the step in the leading bias.
    value, error : ndarray, float64
        Extrapolated to step 0.
    bias, bias_error : ndarray, float64
        Bias that the values at the small step have.
    z : ndarray, float64
        Standard errors between the values at the two steps; not a number where neither has an error.
    """

    order: int
    value: Array
    error: Array
    bias: Array
    bias_error: Array
    z: Array


def extrapolate_step(
    small: tuple[npt.ArrayLike, npt.ArrayLike],
    large: tuple[npt.ArrayLike, npt.ArrayLike],
    *,
    algorithm: str,
    ratio: float = 2.0,
) -> StepExtrapolation:
    """Return values at step 0 from two independent runs that differ in the step alone.

    Parameters
    ----------
    small, large : tuple of two array_like of one shape, float64
        Values and their standard errors at step h / ratio and at step h.
    algorithm : str
        ``langevin``: bias linear in h (Euler-Maruyama); ``underdamped``: bias in h^2 (symmetric splitting).
    ratio : float
        Large step over small step, above 1.

    Returns
    -------
    StepExtrapolation
        With v_0 = v_small - (v_large - v_small) / (ratio^order - 1). The error grows: for ratio 2 and equal
        errors e to 2.2 e (order 1) or 1.4 e (order 2).

    Raises
    ------
    UsageError
        If the algorithm has no step-size bias, the ratio is not above 1, shapes differ or an error is
        negative.

    References
    ----------
    Talay and Tubaro, Stoch. Anal. Appl. 8 (1990) 483: expansion of the bias in the step. Leimkuhler and
    Matthews, Appl. Math. Res. Express 2013, 34: order 2 of splittings of underdamped dynamics.
    """
    if algorithm not in BIAS_ORDER:
        raise UsageError(
            f"no step-size bias to extrapolate in algorithm: got {algorithm}; "
            f"only {' and '.join(BIAS_ORDER)} have one"
        )
    if not 1 < ratio < np.inf:
        raise UsageError(f"wrong ratio of the steps: got {ratio}; give large step / small step, above 1")
    parts = [np.asarray(part, dtype=np.float64) for part in (*small, *large)]
    shapes = {part.shape for part in parts}
    if len(shapes) > 1:
        raise UsageError(f"values at the two steps differ in shape: got {sorted(shapes)}; give one shape")
    fine, fine_error, coarse, coarse_error = parts
    if (fine_error < 0).any() or (coarse_error < 0).any():
        raise UsageError("negative standard error in the values at two steps; give errors of 0 or more")
    order = BIAS_ORDER[algorithm]
    share = 1 / (ratio**order - 1)
    difference, spread = coarse - fine, np.hypot(fine_error, coarse_error)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = difference / spread
    return StepExtrapolation(
        order=order,
        value=fine - share * difference,
        error=np.hypot((1 + share) * fine_error, share * coarse_error),
        bias=share * difference,
        bias_error=share * spread,
        z=z,
    )


def significant_bias(result: StepExtrapolation) -> npt.NDArray[np.bool_]:
    """Return where the step-size bias is significant.

    Parameters
    ----------
    result : StepExtrapolation

    Returns
    -------
    ndarray, bool
        Of the shape of the values. Without any bias there is a chance of 1 % that one component or more is
        marked: the limit on \\|z\\| rises with the number of components. No mark is no proof: a bias below
        about `bias_error` times that limit cannot be seen.
    """
    return np.asarray(np.abs(result.z) > significance_limit(result.z.size))


def significance_limit(components: int) -> float:
    """Return the limit on the magnitude of z for a number of components looked at together.

    Parameters
    ----------
    components : int

    Returns
    -------
    float
        2.58 for one component, 3.9 for a hundred.
    """
    from scipy.special import ndtri

    return -float(ndtri(FALSE_ALARM / (2 * max(1, components))))
