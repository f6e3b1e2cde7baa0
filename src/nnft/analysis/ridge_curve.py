"""Learning curves of kernel regression: effective ridge, flow, errors and variances at each P."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nnft.analysis.ridge_source import FloatArray, RidgeSource
from nnft.errors import UsageError
from nnft.theory.averaged_predictor import averaged_predictor
from nnft.theory.data_averages import Spectrum
from nnft.theory.equivalent_kernel import EquivalentKernel, equivalent_kernel
from nnft.theory.power_law_spectrum import ScalingLaw
from nnft.theory.replica_correction import gaussian_feature_correction
from nnft.theory.wilsonian_ridge import RidgeFlow, renormalised_regression, ridge_flow

IndexArray = npt.NDArray[np.intp]

LEADING = 10
MOST_POINTS = 1000
MOST_WORK = 10**8
MOST_ROWS = 400


@dataclass(frozen=True, eq=False)
class RidgePoint:
    """Everything at one number of training points.

    Arrays are over the `LEADING` levels of largest eigenvalue.

    Attributes
    ----------
    points : float
        P.
    effective_ridge, gamma, bias, square_error, clean_error, posterior_variance, data_variance : float
        See `nnft.theory.averaged_predictor.AveragedPredictor`.
    total_variance, gibbs_error : float
        Variance over data and posterior; error of one network of the posterior.
    learned_modes : float
        Sum of all learnabilities.
    learnability : ndarray
    ek_error, ek_posterior_variance : float
        Of the equivalent kernel.
    ek_learnability, ek_corrected : ndarray
        Without and with the first correction, for a fixed number of points and Gaussian features; the latter
        NaN without a ridge.
    flow_ridge, flow_noise, kept_modes : float
        At the stopping mode.
    flow_starts_at_cutoff : bool
        See `nnft.theory.wilsonian_ridge.RidgeFlow`.
    flow_error, flow_posterior_variance : float
        Equivalent kernel of the kept modes at the flow's ridge.
    flow_effective_ridge, flow_full_error : float
        Self-consistent theory of the kept modes.
    flow_learnability : ndarray
    law : ScalingLaw or None
        Of a power law.
    """

    points: float
    effective_ridge: float
    gamma: float
    bias: float
    square_error: float
    clean_error: float
    posterior_variance: float
    data_variance: float
    total_variance: float
    gibbs_error: float
    learned_modes: float
    learnability: FloatArray
    ek_error: float
    ek_posterior_variance: float
    ek_learnability: FloatArray
    ek_corrected: FloatArray
    flow_ridge: float
    flow_noise: float
    kept_modes: float
    flow_starts_at_cutoff: bool
    flow_error: float
    flow_posterior_variance: float
    flow_effective_ridge: float
    flow_full_error: float
    flow_learnability: FloatArray
    law: ScalingLaw | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers; None where a number is infinite."""
        record = {name: value for name, value in vars(self).items() if name != "law"}
        record["law"] = None if self.law is None else asdict(self.law)
        plain: dict[str, Any] = _plain(record)
        return plain


@dataclass(frozen=True, eq=False)
class RidgeResult:
    """A learning curve.

    Attributes
    ----------
    source : RidgeSource
    ridge, noise : float
        kappa, and the variance of the label noise.
    leading : ndarray of int, shape (up to 10,)
        Places of the levels of largest eigenvalue.
    curve : tuple of RidgePoint
        In order of P.
    flow : RidgeFlow
        At the largest P.
    notes : tuple of str
    """

    source: RidgeSource
    ridge: float
    noise: float
    leading: IndexArray
    curve: tuple[RidgePoint, ...]
    flow: RidgeFlow
    notes: tuple[str, ...]

    def flow_rows(self) -> list[dict[str, Any]]:
        """Return the flow at the largest P, level by level in the order in which they are integrated out.

        Of more than `MOST_ROWS` levels a selection, dense around the stop.
        """
        flow = self.flow
        ends = np.cumsum(flow.multiplicities)
        rows = []
        for place in _selection(len(flow.order), flow.stop)[::-1]:
            count = float(flow.multiplicities[place])
            rows.append(
                {
                    "level": self.source.level(int(flow.order[place])),
                    "first_mode": float(ends[place]) - count + 1.0,
                    "multiplicity": count,
                    "eigenvalue": float(flow.eigenvalues[place]),
                    "ridge_before": float(flow.ridges[place + 1]),
                    "ridge_after": float(flow.ridges[place]),
                    "noise_after": float(flow.noises[place]),
                    "resolved": float(flow.resolved[place]),
                    "integrated_out": bool(place >= flow.stop),
                }
            )
        return rows

    def to_dict(self, flow: bool = False) -> dict[str, Any]:
        """Return plain numbers, ready for JSON; with `flow` the flow at the largest P as well."""
        source, spectrum = self.source, self.source.spectrum
        record: dict[str, Any] = {
            "source": source.kind,
            "title": source.title,
            "target": source.target,
            "ridge": self.ridge,
            "noise": self.noise,
            "levels": len(spectrum.eigenvalues),
            "modes": float(spectrum.multiplicities.sum()),
            "trace": float(spectrum.multiplicities @ spectrum.eigenvalues) + source.remainder.variance,
            "target_power": float(spectrum.target_power.sum()) + source.remainder.power,
            "remainder": asdict(source.remainder),
            "leading_levels": {
                "level": [source.level(int(place)) for place in self.leading],
                "eigenvalue": spectrum.eigenvalues[self.leading],
                "multiplicity": spectrum.multiplicities[self.leading],
                "target_power": spectrum.target_power[self.leading],
            },
            "curve": [point.to_dict() for point in self.curve],
            "notes": list(self.notes),
        }
        if flow:
            record["flow"] = self.flow_rows()
        plain: dict[str, Any] = _plain(record)
        return plain


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _selection(count: int, stop: int) -> list[int]:
    """Places of levels: all, or those at distances from the stop that grow by a constant factor."""
    if count <= MOST_ROWS:
        return list(range(count))
    steps = np.unique(np.round(np.geomspace(1.0, count, MOST_ROWS // 2)).astype(int)) - 1
    places = np.unique(np.concatenate([stop + steps, stop - 1 - steps, [0, count - 1]]))
    return [int(place) for place in places if 0 <= place < count]


def ridge_curve(
    source: RidgeSource,
    points: Sequence[float] | None = None,
    ridge: float | None = None,
    noise: float = 0.0,
) -> RidgeResult:
    """Average regression over data sets, by all theories, at each number of points.

    Parameters
    ----------
    source : RidgeSource
    points : sequence of float, optional
        Numbers of training points > 0, up to 1000 of them; those of the source when left out.
    ridge : float, optional
        kappa >= 0; that of the source when left out.
    noise : float, optional
        Variance of the label noise, >= 0.

    Returns
    -------
    RidgeResult

    Raises
    ------
    UsageError
        Numbers out of range, or more work than is done.
    """
    numbers = sorted({float(count) for count in (source.points if points is None else points)})
    kappa = source.ridge if ridge is None else float(ridge)
    for name, value in (("ridge", kappa), ("noise", noise)):
        if not 0.0 <= value <= 1e100:
            raise UsageError(f"{name} out of range: got {value:g}; allowed: 0 to 1e100")
    if not numbers or not 0.0 < numbers[0] <= numbers[-1] <= 1e15:
        raise UsageError(
            f"numbers of points: got {shown_numbers(numbers)}; give numbers from above 0 to 1e15"
        )
    levels = len(source.spectrum.eigenvalues)
    if len(numbers) > MOST_POINTS or len(numbers) * levels > MOST_WORK:
        raise UsageError(
            f"too much work: got {len(numbers)} numbers of points and {levels} levels; "
            f"at most {MOST_POINTS} and a product of {MOST_WORK}"
        )
    spectrum = replace(source.spectrum, noise_variance=float(noise))
    leading = np.argsort(-spectrum.eigenvalues, kind="stable")[:LEADING]
    curve, flow = [], None
    for count in numbers:
        flow = ridge_flow(spectrum, count, kappa, source.remainder)
        curve.append(_point(source, spectrum, flow, kappa, leading))
    if flow is None:
        raise UsageError("numbers of points: got none; give at least one")
    notes = (*source.notes, *_notes(source, curve, kappa))
    return RidgeResult(source, kappa, float(noise), leading, tuple(curve), flow, notes)


def shown_numbers(numbers: Sequence[float]) -> str:
    """Return a few numbers as text."""
    return (
        ", ".join(f"{number:g}" for number in numbers[:3]) + (", ..." if len(numbers) > 3 else "") or "none"
    )


def _point(
    source: RidgeSource, spectrum: Spectrum, flow: RidgeFlow, ridge: float, leading: IndexArray
) -> RidgePoint:
    full = averaged_predictor(spectrum, flow.points, ridge, source.remainder)
    first = equivalent_kernel(spectrum, flow.points, ridge, source.remainder)
    end = renormalised_regression(spectrum, flow)
    return RidgePoint(
        points=flow.points,
        effective_ridge=full.effective_ridge,
        gamma=full.gamma,
        bias=full.bias,
        square_error=full.square_error,
        clean_error=full.clean_error,
        posterior_variance=full.posterior_variance,
        data_variance=full.data_variance,
        total_variance=full.total_variance,
        gibbs_error=full.gibbs_error,
        learned_modes=float(spectrum.multiplicities @ full.learnability),
        learnability=full.learnability[leading],
        ek_error=first.bias,
        ek_posterior_variance=first.posterior_variance,
        ek_learnability=first.learnability[leading],
        ek_corrected=_corrected(spectrum, first, flow.points, ridge + source.remainder.variance)[leading],
        flow_ridge=flow.ridge,
        flow_noise=flow.noise,
        kept_modes=flow.kept_modes,
        flow_starts_at_cutoff=flow.starts_at_cutoff,
        flow_error=end.equivalent_error,
        flow_posterior_variance=end.posterior_variance,
        flow_effective_ridge=end.effective_ridge,
        flow_full_error=end.clean_error,
        flow_learnability=end.learnability[leading],
        law=_law(source, flow.points, ridge, spectrum.noise_variance),
    )


def _corrected(spectrum: Spectrum, first: EquivalentKernel, points: float, ridge: float) -> FloatArray:
    if ridge == 0.0:
        return np.full(len(first.learnability), np.nan)
    return first.learnability + gaussian_feature_correction(spectrum, points, ridge).fixed


def _law(source: RidgeSource, points: float, ridge: float, noise: float) -> ScalingLaw | None:
    if source.law is None:
        return None
    try:
        return source.law.scaling_law(points, ridge, noise)
    except UsageError:  # exponents without a law
        return None


def _notes(source: RidgeSource, curve: Sequence[RidgePoint], ridge: float) -> list[str]:
    last, notes = curve[-1], []
    if source.law is not None and last.law is None:
        notes.append("no scaling law: it needs a > 1, b > 1, b not 2 a + 1")
    if source.remainder.variance > 0.0:
        spectrum = source.spectrum
        edge = last.points * float(spectrum.eigenvalues.min()) / last.effective_ridge
        if edge > 0.1:
            notes.append(
                f"the smallest level listed is learned in part at P = {last.points:g} (P lambda / kappa_e = "
                f"{edge:.2g}): list more degrees"
            )
    return notes
