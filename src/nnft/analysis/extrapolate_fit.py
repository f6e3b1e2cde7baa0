"""Fits with correlated errors: powers of x by generalised least squares, and one power law.

Covariances come from the bins of the jackknife, so that they are themselves estimates: chi-squares are
judged by the law of Hotelling's T^2, and errors of coefficients are widened by the error of the weights
(Meier 1953, *Biometrics* 9, 59).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nnft.analysis.extrapolate_data import Sampled
from nnft.errors import NumericalError, UsageError
from nnft.estimators.joint_test import BINS_PER_COMPONENT, SMALLEST_EIGENVALUE, judged_components

FloatArray = npt.NDArray[np.float64]

SMALLEST_SINGULAR_VALUE = 1e-9
SIGNIFICANT = 3.0
MOST_STEPS = 60
CONVERGED = 1e-9


@dataclass(frozen=True, eq=False)
class PowerFit:
    """Fit of one component, y = sum_k c_k x^(p_k).

    Attributes
    ----------
    coefficients : ndarray of float64, shape (K,)
    covariance : ndarray of float64, shape (K, K)
    chi_square, p_value : float
    """

    coefficients: FloatArray
    covariance: FloatArray
    chi_square: float
    p_value: float


@dataclass(frozen=True)
class JointFit:
    """Chi-square of the fits of many components at once, with the covariance of the components.

    Attributes
    ----------
    chi_square : float
    dof : int
        Independent directions less the coefficients.
    p_value : float
        Probability of a larger chi-square if the model holds.
    components, offered : int
        Components fitted jointly, and those there are: the bins limit how many.
    """

    chi_square: float
    dof: int
    p_value: float
    components: int
    offered: int


def groups_of(members: Sequence[Sampled]) -> list[list[int]]:
    """Return the members in groups that share their random numbers bin by bin.

    Raises
    ------
    NumericalError
        If a group is too large for its bins.
    """
    found: dict[tuple[object, ...], list[int]] = {}
    for number, member in enumerate(members):
        found.setdefault((member.seed, *member.layout), []).append(number)
    for group in found.values():
        bins = members[group[0]].deviations.shape[1]
        if len(group) > 1 and len(group) > bins // BINS_PER_COMPONENT:
            raise NumericalError(
                f"too many members with one seed for their covariance: got {len(group)} with {bins} bins, "
                f"allowed {bins // BINS_PER_COMPONENT}; use more bins or other seeds"
            )
    return list(found.values())


def covariance_of(members: Sequence[Sampled], groups: list[list[int]], component: int) -> FloatArray:
    """Return the covariance of one component over the members, shape (N, N)."""
    matrix = np.zeros((len(members), len(members)))
    for group in groups:
        rows = np.stack([members[number].deviations[component] for number in group])
        matrix[np.ix_(group, group)] = rows @ rows.T
    return matrix


def whitening(covariance: FloatArray) -> FloatArray:
    """Return W with W C W^T = 1.

    Raises
    ------
    NumericalError
        If the covariance is singular.
    """
    spread = np.sqrt(np.diagonal(covariance))
    correlation = covariance / np.outer(spread, spread)
    smallest = float(np.linalg.eigvalsh(correlation)[0])
    if smallest < SMALLEST_EIGENVALUE:
        raise NumericalError(
            f"covariance of the members is singular: got smallest eigenvalue {smallest:.1e} of the "
            "correlation matrix; scan without ensemble.seed, or leave out members that say the same"
        )
    lower = np.linalg.cholesky(correlation)
    matrix: FloatArray = np.linalg.solve(lower, np.diag(1.0 / spread))
    return matrix


@dataclass(frozen=True)
class Support:
    """What covariances rest on.

    Attributes
    ----------
    bins : int
        Fewest bins of a member.
    groups, largest : int
        Groups of members that share random numbers, and members of the largest.
    """

    bins: int
    groups: int
    largest: int

    @classmethod
    def of(cls, members: Sequence[Sampled], groups: list[list[int]]) -> Support:
        """Describe members and their groups."""
        bins = min(member.deviations.shape[1] for member in members)
        return cls(bins, len(groups), max(len(group) for group in groups))


def fit_powers(
    x: FloatArray, y: FloatArray, white: FloatArray, powers: Sequence[int], support: Support
) -> PowerFit:
    """Fit powers of x by generalised least squares.

    Parameters
    ----------
    x, y : ndarray of float64, shape (N,)
    white : ndarray of float64, shape (N, N)
        From `whitening`.
    powers : sequence of int
    support : Support

    Raises
    ------
    UsageError
        If the abscissas do not determine the coefficients.
    """
    scale = float(np.abs(x).max()) or 1.0
    sizes = scale ** np.array(powers, dtype=np.float64)
    design = white @ ((x / scale)[:, None] ** np.array(powers))
    norms = np.linalg.norm(design, axis=0)
    if not np.all(norms > 0) or _nearly_singular(design / norms):
        raise UsageError(
            f"too few different abscissas for {len(powers)} powers: got {len(np.unique(x))}; "
            "scan more values or give fewer --powers"
        )
    q, r = np.linalg.qr(design)
    target = white @ y
    inverse = np.linalg.inv(r)
    coefficients = inverse @ (q.T @ target)
    residual = target - design @ coefficients
    chi_square = float(residual @ residual)
    widening = _widening(q, inverse, support)
    covariance = inverse @ inverse.T * np.outer(widening, widening)
    return PowerFit(
        coefficients / sizes,
        covariance / np.outer(sizes, sizes),
        chi_square,
        p_value(chi_square, len(x) - len(powers), support),
    )


def _nearly_singular(design: FloatArray) -> bool:
    values = np.linalg.svd(design, compute_uv=False)
    return bool(len(values) < design.shape[1] or values[-1] < SMALLEST_SINGULAR_VALUE * values[0])


def _widening(q: FloatArray, inverse: FloatArray, support: Support) -> FloatArray:
    """Return the factors by which errors of coefficients grow since the weights are estimates, shape (K,).

    Meier (1953) for independent members; with common random numbers the covariance is a Wishart matrix,
    Rao (1967), *Proc. 5th Berkeley Symp.* 1, 355.
    """
    members, count = q.shape
    freedom = support.bins - 1.0
    leverage = (q**2).sum(axis=1)
    weights = (inverse @ q.T) ** 2
    shares = weights / weights.sum(axis=1, keepdims=True)
    variance = 1.0 + 4.0 / freedom * shares @ (1.0 - leverage)
    if support.largest > 1:
        spare = (members - count) * (support.largest - 1) / (members - 1)
        common = (freedom - 1) / (freedom - 1 - spare) * freedom / (freedom - spare)
        variance = np.maximum(variance, common) if support.groups == 1 else variance * common
    factors: FloatArray = np.sqrt(variance)
    return factors


def fit_power_law(
    x: FloatArray, y: FloatArray, white: FloatArray, support: Support
) -> tuple[float, float, float]:
    """Fit y = A x^s by generalised least squares; return s, its error and chi-square.

    In the plane of log y and log x this is a straight line; values compatible with zero do no harm. Not a
    number where fewer than two values of one sign stand out of their errors, or some x is not positive.
    """
    nothing = (np.nan, np.nan, np.nan)
    if np.any(x <= 0):
        return nothing
    errors = _errors(white)
    clear = np.abs(y) > SIGNIFICANT * errors
    sign = 1.0 if y[clear].sum() >= 0 else -1.0
    clear &= sign * y > 0
    if len(np.unique(x[clear])) < 2:
        return nothing
    logs = np.log(x) - np.log(x).mean()
    weights = np.abs(y[clear]) / errors[clear]
    line = np.polyfit(logs[clear], np.log(np.abs(y[clear])), 1, w=np.minimum(weights, 1e6 * weights.min()))
    slope, size = float(line[0]), sign * float(np.exp(line[1]))
    found = _gauss_newton(logs, y, white, size, slope)
    if found is None:
        return nothing
    slope, design, chi_square = found
    q, r = np.linalg.qr(design)
    inverse = np.linalg.inv(r)
    error = float(np.sqrt((inverse[1] ** 2).sum()) * _widening(q, inverse, support)[1])
    return slope, error, chi_square


def _errors(white: FloatArray) -> FloatArray:
    """Return the standard errors from W, where C = W^-1 W^-T."""
    inverse = np.linalg.inv(white)
    errors: FloatArray = np.sqrt((inverse**2).sum(axis=1))
    return errors


def _gauss_newton(
    logs: FloatArray, y: FloatArray, white: FloatArray, size: float, slope: float
) -> tuple[float, FloatArray, float] | None:
    """Minimise the chi-square of y = A exp(s log x); return s, the whitened Jacobian and chi-square."""
    scale = abs(size)
    place = np.array([size / scale, slope])

    def residual(at: FloatArray) -> FloatArray:
        with np.errstate(over="ignore", invalid="ignore"):
            left: FloatArray = white @ (y - scale * at[0] * np.exp(at[1] * logs))
        return left

    now = residual(place)
    for _ in range(MOST_STEPS):
        curve = scale * np.exp(place[1] * logs)
        design = white @ np.stack([curve, place[0] * curve * logs], axis=1)
        if not np.isfinite(design).all() or _nearly_singular(design):
            return None
        step = np.linalg.lstsq(design, now, rcond=None)[0]
        length = 1.0
        while length > 1e-6 and not (residual(place + length * step) ** 2).sum() <= (now**2).sum():
            length /= 2
        if length <= 1e-6 or np.abs(step).max() < CONVERGED * max(1.0, float(np.abs(place).max())):
            return float(place[1]), design, float(now @ now)
        place = place + length * step
        now = residual(place)
    return None


def fit_jointly(
    x: FloatArray, members: Sequence[Sampled], groups: list[list[int]], powers: Sequence[int], good: list[int]
) -> JointFit:
    """Fit many components at once, with their covariance within and between members.

    Parameters
    ----------
    x : ndarray of float64, shape (N,)
    members : sequence of Sampled
    groups : list of list of int
        From `groups_of`.
    powers : sequence of int
    good : list of int
        Components that can be fitted; an evenly spread part is taken where the bins do not suffice.
    """
    support = Support.of(members, groups)
    picked = [good[row] for row in judged_components(len(good), support.bins // support.largest)]
    scale = float(np.abs(x).max()) or 1.0
    parts, targets = [], []
    for group in groups:
        deviations = np.concatenate([members[number].deviations[picked] for number in group])
        y = np.concatenate([members[number].value[picked] for number in group])
        rows = (x[group] / scale)[:, None] ** np.array(powers)
        design = np.concatenate([np.kron(np.eye(len(picked)), row[None, :]) for row in rows])
        spread = np.sqrt((deviations**2).sum(axis=1))
        scaled = deviations / spread[:, None]
        values, vectors = np.linalg.eigh(scaled @ scaled.T)
        real = values > SMALLEST_EIGENVALUE
        white = (vectors[:, real] / np.sqrt(values[real])).T / spread
        parts.append(white @ design)
        targets.append(white @ y)
    design, target = np.concatenate(parts), np.concatenate(targets)
    norms = np.linalg.norm(design, axis=0)
    solution, _, rank, _ = np.linalg.lstsq(design / np.where(norms > 0, norms, 1.0), target, rcond=1e-10)
    residual = target - design / np.where(norms > 0, norms, 1.0) @ solution
    chi_square, dof = float(residual @ residual), len(target) - int(rank)
    return JointFit(chi_square, dof, p_value(chi_square, dof, support), len(picked), len(good))


def p_value(chi_square: float, dof: int, support: Support) -> float:
    """Return the probability of a larger chi-square when covariances come from bins.

    Parameters
    ----------
    chi_square : float
    dof : int
        Degrees of freedom; the probability is not a number if there are none.
    support : Support

    Notes
    -----
    For one covariance of dimension d from B bins, T^2 (B - d) / (d (B - 1)) follows F(d, B - d). A sum over
    groups is compared with the scaled chi-square of equal mean and variance, d = dof / groups.
    """
    if dof < 1:
        return float("nan")
    from scipy.special import gammaincc

    first = max(1.0, dof / support.groups)
    second = max(support.bins - first, 5.0)
    factor = first * (support.bins - 1) / second
    mean = factor * second / (second - 2)
    variance = factor**2 * 2 * second**2 * (first + second - 2) / (first * (second - 2) ** 2 * (second - 4))
    mean, variance = mean * dof / first, variance * dof / first
    return float(gammaincc(mean**2 / variance, chi_square * mean / variance))
