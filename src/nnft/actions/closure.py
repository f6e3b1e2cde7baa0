"""Closure: do orders 2 and 4 predict the connected six-point function?

An action cut after the quartic term, lambda_6 = 0, predicts at leading order the tree of two quartic
vertices,

    kappa_6(abcdef) = sum over the 10 splits kappa_4(abc x) G^-1_xy kappa_4(y def),

as 0 = lambda_6 = -khat_6 + 10 khat_4 o_1 khat_4 (see `nnft.actions.expansion`). What is missing is of the
same order 1/N^2, so that the relative misfit of kappa_6 itself tends to a constant; it matters less and
less beside the quartic term. The *sextic share* measures that: the root mean square, over the Gaussian
field, of the term 1/6! (kappa_6 - prediction).H_6 beside that of the quartic term 1/4! kappa_4.H_4. It
falls like 1/N.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import factorial

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from nnft.actions.action import LARGEST_SEXTIC, kernel_replicates, packed_replicates
from nnft.actions.couplings import thread_count
from nnft.actions.expansion import chain_product
from nnft.actions.source import CumulantSource, chosen_points, refuse_trained, require_bins, require_orders
from nnft.actions.spectrum import Spectrum, kernel_spectrum
from nnft.actions.symmetric import components, multiplicities, transform
from nnft.errors import UsageError
from nnft.estimators.index_table import IndexArray
from nnft.estimators.joint_test import JointTest, joint_test
from nnft.estimators.replicated import Replicated
from nnft.estimators.results import Estimate

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Closure:
    """Measured and predicted connected six-point function of one ensemble.

    Attributes
    ----------
    points : ndarray of int32, shape (n,)
        Input points.
    spectrum : Spectrum
        Where modes are cut, both functions are those of the amplitudes of the modes that are kept.
    indices : ndarray of int32, shape (m, 6)
        Points, or modes, of each component.
    in_modes : bool
        Which of the two.
    measured, predicted, difference : Estimate
        kappa_6, its prediction, and measured - predicted with the error of the difference.
    test : JointTest
        Chi-square of the difference with its covariance.
    share : float
        Sextic share, corrected for the bias of a square by the jackknife; 0 where that is negative.
    share_error : float
        Its standard error.
    """

    points: IndexArray
    spectrum: Spectrum
    indices: IndexArray
    in_modes: bool
    measured: Estimate
    predicted: Estimate
    difference: Estimate
    test: JointTest
    share: float
    share_error: float


def closure(run: CumulantSource, points: npt.ArrayLike | None = None, threads: int | None = None) -> Closure:
    """Compare the connected six-point function with the prediction of orders 2 and 4.

    Parameters
    ----------
    run : Run
        An opened result file with order 6.
    points : sequence of int, optional
        Input points to work on; all if not given.
    threads : int, optional
        All that were granted if not given. The numbers do not depend on it.

    Raises
    ------
    UsageError
        If points are impossible or too many, or the networks are trained: the prediction holds for fields
        without odd cumulants.
    DataFileError
        If the run has no order 6.
    NumericalError
        If the kernel is singular, or there are too few networks or bins.
    """
    chosen = chosen_points(run, points)
    refuse_trained(run, "closure test")
    require_orders(run, (2, 4, 6), "a closure test")
    if len(chosen) > LARGEST_SEXTIC:
        raise UsageError(
            f"too many points for a closure test: got {len(chosen)}; allowed: up to {LARGEST_SEXTIC}"
        )
    kernel = kernel_replicates(run, chosen)
    require_bins(kernel, "a closure test")
    spectrum = kernel_spectrum(kernel, 6)
    whole = spectrum.kept == len(chosen)
    work = np.eye(len(chosen)) if whole else np.ascontiguousarray(spectrum.vectors[:, : spectrum.kept])
    four, six = packed_replicates(run, 4, chosen), packed_replicates(run, 6, chosen)

    def row(place: int) -> tuple[FloatArray, FloatArray, float]:
        return _one_sample(kernel.values[place], four.values[place], six.values[place], work)

    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(thread_count(threads)) as pool:
        rows = list(pool.map(row, range(len(six.values))))
    measured, predicted, shares = (np.stack([part[k] for part in rows]) for k in range(3))
    table = components(spectrum.kept, 6)
    indices = chosen[table] if whole else table

    def replicated(values: FloatArray) -> Replicated:
        return Replicated(values, six.bin_counts, six.n_networks)

    difference = replicated(measured - predicted)
    share, error = _square_root(replicated(shares[:, None]))
    return Closure(
        chosen,
        spectrum,
        indices,
        not whole,
        replicated(measured).estimate(indices),
        replicated(predicted).estimate(indices),
        difference.estimate(indices),
        joint_test(difference.value, difference.deviations()),
        share,
        error,
    )


def _one_sample(
    kernel: FloatArray, four: FloatArray, six: FloatArray, work: FloatArray
) -> tuple[FloatArray, FloatArray, float]:
    """Return measured and predicted function in the work coordinates, and the squared sextic share."""
    metric = work.T @ kernel @ work
    metric = 0.5 * (metric + metric.T)
    inner_four, inner_six = transform(four, 4, work), transform(six, 6, work)
    inverse = np.linalg.inv(metric)
    predicted = 10.0 * chain_product(0.5 * (inverse + inverse.T), inner_four)
    whiten = np.linalg.inv(np.linalg.cholesky(metric)).T
    sextic = _squared_norm(transform(inner_six - predicted, 6, whiten), len(metric), 6)
    quartic = _squared_norm(transform(inner_four, 4, whiten), len(metric), 4)
    return inner_six, predicted, sextic / quartic if quartic > 0.0 else np.nan


def _squared_norm(packed: FloatArray, size: int, order: int) -> float:
    """Return the mean square of T.H_r / r! over a standard Gaussian field: T.T / r!."""
    return float(multiplicities(size, order) @ packed**2) / factorial(order)


def _square_root(square: Replicated) -> tuple[float, float]:
    """Return the root of a squared norm without the bias of its noise, with its error."""
    estimate = square.estimate(np.zeros((1, 0), dtype=np.int32))
    shares = square.bin_counts / square.bin_counts.sum()
    corrected = float(shares @ estimate.bins[:, 0])
    root = float(np.sqrt(max(corrected, 0.0)))
    error = float(estimate.stderr[0])
    return root, error / (2.0 * root) if root**2 > error else float(np.sqrt(error))


@dataclass(frozen=True)
class ClosureThreshold:
    """From which width on an action may be cut after the quartic term.

    Attributes
    ----------
    tolerance : float
        Largest sextic share that counts as none.
    width : float or None
        Smallest of the widths from which on every share is below the tolerance; None if there is none.
    coefficients, errors : tuple of float
        Fit share = c_1 / width + c_2 / width^2, the second only with three widths or more.
    fitted_width : float or None
        Where the fit falls to the tolerance; None where it never does.
    chi_square : float
        Of the fit.
    freedom : int
        Its degrees of freedom.
    """

    tolerance: float
    width: float | None
    coefficients: tuple[float, ...]
    errors: tuple[float, ...]
    fitted_width: float | None
    chi_square: float
    freedom: int

    @property
    def p_value(self) -> float:
        """Probability of a larger chi-square of the fit; 1 without degrees of freedom."""
        from scipy.special import chdtrc

        return float(chdtrc(self.freedom, self.chi_square)) if self.freedom else 1.0


def closure_threshold(
    widths: Sequence[float], closures: Sequence[Closure], tolerance: float
) -> ClosureThreshold:
    """Say from which width on the sextic share stays below a tolerance.

    Parameters
    ----------
    widths : sequence of float
        Width of each ensemble, at least two different ones.
    closures : sequence of Closure
    tolerance : float
        Between 0 and 1.

    Raises
    ------
    UsageError
        If the tolerance or the widths are impossible.
    """
    check_tolerance(tolerance)
    different = len(set(widths))
    if different < 2:
        raise UsageError(f"too few widths for a threshold: got {different}; give two or more")
    order = np.argsort(widths, kind="stable")
    width = np.array([widths[k] for k in order])
    share = np.array([closures[k].share for k in order])
    error = np.maximum([closures[k].share_error for k in order], np.finfo(float).tiny)
    above = np.flatnonzero(~(share < tolerance))
    first = 0 if len(above) == 0 else int(above[-1]) + 1
    powers = np.array([1, 2] if different > 2 else [1])
    design = width[:, None] ** -powers.astype(np.float64) / error[:, None]
    fit, _, _, _ = np.linalg.lstsq(design, share / error, rcond=None)
    covariance = np.linalg.inv(design.T @ design)
    chi_square = float(np.sum((share / error - design @ fit) ** 2))
    return ClosureThreshold(
        tolerance,
        float(width[first]) if first < len(width) else None,
        tuple(map(float, fit)),
        tuple(map(float, np.sqrt(np.diagonal(covariance)))),
        _crossing(fit, tolerance),
        chi_square,
        len(width) - len(fit),
    )


def _crossing(coefficients: FloatArray, tolerance: float) -> float | None:
    """Return the largest width at which c_1 x + c_2 x^2, x = 1 / width, is the tolerance."""
    roots = np.roots([*coefficients[::-1], -tolerance])
    positive = [float(root.real) for root in roots if abs(root.imag) < 1e-12 * abs(root) and root.real > 0]
    return 1.0 / min(positive) if positive else None


def check_tolerance(tolerance: float) -> None:
    """Raise UsageError for a tolerance that is not between 0 and 1."""
    if not 0.0 < tolerance < 1.0:
        raise UsageError(
            f"impossible tolerance of a closure test: got {tolerance!r}; allowed: above 0 and below 1"
        )
