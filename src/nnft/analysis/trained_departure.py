"""How far networks of the widths of a run are expected to be from infinitely wide ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from nnft.analysis.trained_kernels import JointKernels
from nnft.analysis.trained_law import Cumulants, Law, Prediction
from nnft.analysis.trained_run import TrainedRun
from nnft.errors import NumericalError, UsageError
from nnft.estimators.observables import MatrixFlow
from nnft.theory.activations import activation
from nnft.theory.finite_width import (
    POINT_LIMIT,
    SHALLOW_POINT_LIMIT,
    FiniteWidthShift,
    finite_width_shift,
    packed_values,
)
from nnft.theory.gaussian_process import kernel_eigenvalues

FloatArray = npt.NDArray[np.float64]

CLOSED = ("linear", "relu", "leaky_relu", "sin", "cos", "exp", "quadratic")
"""Activations whose averages of up to four derivatives have closed forms."""

MOST_BY_QUADRATURE = 24
"""Points up to which such averages are computed by quadrature, for several hidden layers."""

FIRST = "infinite width and the first order in 1 / width"
MOST_CHANGE = 0.5
"""Relative change above which the expansion is said not to converge."""


def posterior_shift(joint: JointKernels) -> FiniteWidthShift | str:
    """Return the first-order change of the posterior; why there is none where it is out of reach.

    It is that at all joint points, without the test points where these are too many.

    Parameters
    ----------
    joint : JointKernels
    """
    trained = joint.trained
    if trained.cosines is not None:  # their features are not those of a Gaussian layer
        return "features of cosines are not those of a Gaussian layer"
    if len(trained.widths) > 1:
        most = POINT_LIMIT if trained.activation[0] in CLOSED else MOST_BY_QUADRATURE
    else:
        most = SHALLOW_POINT_LIMIT
    count = len(joint.points)
    if count > most:
        count = joint.train + joint.mesh
    if count > most:
        return f"{count} points; it is worked out for at most {most} of them"
    try:
        return finite_width_shift(
            activation(*trained.activation),
            [kernel[:count, :count] for kernel in joint.layers],
            trained.widths,
            trained.weight_variances,
            trained.train_targets,
            trained.ridge,
            frozen=trained.readout_only,
            observe=trained.observe,
            asked=slice(joint.train, joint.train + joint.mesh),
        )
    except (UsageError, NumericalError) as error:
        return str(error)


def with_shift(joint: JointKernels, process: Prediction, means: FloatArray) -> list[Prediction]:
    """Return the infinitely wide posterior with its expected departure, and the posterior at first order.

    Parameters
    ----------
    joint : JointKernels
    process : Prediction
        The Gaussian process.
    means : ndarray, shape (J,)
        Its mean of the output at all joint points.
    """
    found, law = posterior_shift(joint), process.final
    if isinstance(found, str) or law is None:
        values, _ = kernel_eigenvalues(joint.blocks(joint.prior)[0])
        learned = float(np.sum(values / (values + joint.trained.ridge)))
        words = f"{by_count(joint.trained, learned)}; no first order in 1 / width: {found}"
        return [replace(process, departure=words)]
    part = slice(joint.train, joint.train + joint.mesh)
    mean, covariance = found.mean[part], found.covariance[part, part]
    relative = _size(mean) / (_size(law.mean) or 1.0) + _size(covariance) / (_size(law.covariance) or 1.0)
    changes = _error_changes(joint, law, found, means)
    sizes = {name: max(abs(change), relative * law.numbers[name]) for name, change in changes.items()}
    first = Law(
        law.mean + mean,
        law.covariance + covariance,
        {name: law.numbers[name] + change for name, change in changes.items()},
        gaussian=False,
        higher=_higher(found),
        mean_departure=relative * np.abs(mean) + found.mean_error[part],
        covariance_departure=relative * np.abs(covariance) + found.covariance_error[part, part],
        number_departures={name: relative * size for name, size in sizes.items()},
    )
    law = replace(
        law,
        mean_departure=np.abs(mean),
        covariance_departure=np.abs(covariance),
        number_departures=sizes,
    )
    flow = tuple(None if state is None else _same(state, process.final, law) for state in process.flow)
    words = departure_words(joint.trained, law)
    if relative > MOST_CHANGE:
        words += f"; ! {relative:.0%} of the numbers: the expansion in 1 / width does not converge"
    return [
        replace(process, final=law, flow=flow, departure=words),
        Prediction("first order", FIRST, False, first, (), _first_words(joint.trained, first)),
    ]


def _first_words(trained: TrainedRun, first: Law) -> str:
    """Expected departure of the first order, and whether it is beyond its range."""
    words = departure_words(trained, first)
    negative = [name.replace("_", " ") for name, value in first.numbers.items() if value < 0.0]
    variance = np.diagonal(first.covariance)
    negative += ["variance"] if variance.min() < -1e-9 * np.abs(variance).max() else []
    return words + (f"; ! negative {' and '.join(negative)}: beyond its range" if negative else "")


def _same(state: Law, before: Law | None, after: Law) -> Law:
    return after if state is before else state


def _size(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _error_changes(
    joint: JointKernels, law: Law, found: FiniteWidthShift, means: FloatArray
) -> dict[str, float]:
    """Changes of the errors on training and test points, for one output."""
    trained = joint.trained
    if trained.train_targets.shape[1] > 1:
        return {}
    sets = {
        "train_error": (slice(joint.train), trained.train_targets[:, 0]),
        "test_error": (slice(joint.train + joint.mesh, None), trained.test_targets[: joint.test, 0]),
    }
    return {
        name: _change(found, means, part, targets)
        for name, (part, targets) in sets.items()
        if name in law.numbers and len(found.mean[part])
    }


def _change(found: FiniteWidthShift, means: FloatArray, part: slice, targets: FloatArray) -> float:
    """First-order change of the mean of (f - y)^2 over some points."""
    change = 2.0 * (means[part] - targets) * found.mean[part] + np.diagonal(found.covariance)[part]
    return float(change.mean())


def _higher(found: FiniteWidthShift) -> Cumulants:
    tensors = {3: found.third, 4: found.fourth}

    def values(order: int, indices: npt.NDArray[np.integer]) -> FloatArray | None:
        tensor = tensors.get(order)
        return None if tensor is None else packed_values(tensor, indices)

    return values


def departure_words(trained: TrainedRun, law: Law) -> str:
    """Return the largest expected departures of mean and covariance in words."""
    if law.mean_departure is None or law.covariance_departure is None:
        return ""
    widths = ", ".join(map(str, trained.widths))
    return (
        f"mean by up to {law.mean_departure.max():.2g}, G2 by up to {law.covariance_departure.max():.2g} "
        f"at widths {widths}"
    )


def by_count(trained: TrainedRun, learned: float) -> str:
    """Return the rough relative departure, learned modes over the widths, in words."""
    if not trained.widths:
        return ""
    relative = learned * sum(1.0 / width for width in trained.widths)
    widths = ", ".join(map(str, trained.widths))
    return f"of relative order {relative:.2g}: {learned:.2g} modes of the kernel learned, at widths {widths}"


def kernel_variance(trained: TrainedRun) -> float | None:
    """Return the relative variance over networks of the tangent kernel before training; None if unknown."""
    stored = trained.run.stored.training
    if "tangent/sums" not in stored:
        return None
    flow = MatrixFlow.from_arrays(stored, "tangent")
    points = len(trained.run.points)
    same = np.cumsum([0, *range(points, 1, -1)])
    mean, error = flow.mean()[0, same], flow.stderr()[0, same]
    variance = error**2 * float(flow.counts[0].sum())
    known = np.isfinite(variance) & (mean > 0.0)
    return float(np.mean(variance[known] / mean[known] ** 2)) if known.any() else None


def with_rough_departure(joint: JointKernels, prediction: Prediction, learned: Sequence[float]) -> Prediction:
    """Return a theory of networks on their way with the order of magnitude of what it leaves out.

    A kernel of relative variance v over networks changes a mean by about ``v (1 + p)`` of the targets,
    times the share of the standard deviation that is left, with p the number of modes learned so far; a
    kernel that moves by a share m adds m.

    Parameters
    ----------
    joint : JointKernels
    prediction : Prediction
    learned : sequence of float
        p at every snapshot, and at the end.
    """
    trained = joint.trained
    spread = kernel_variance(trained)
    if spread is None or not trained.widths:
        return replace(prediction, departure=by_count(trained, learned[-1]))
    moved = np.zeros(len(learned))
    observables = trained.run.observables
    if observables is not None and not trained.readout_only:
        path = observables.result("tangent_movement").mean
        moved = np.append(path, path[-1])
    prior = np.diagonal(joint.prior)[joint.train : joint.train + joint.mesh]
    scale = _size(trained.train_targets[:, trained.observe])
    states = [*prediction.flow, prediction.final]
    rough = [
        None if law is None else _rough(law, spread * (1.0 + p) + m, prior, scale if p > 0.0 else 0.0)
        for law, p, m in zip(states, learned, moved, strict=True)
    ]
    final = rough[-1]
    words = "" if final is None else "in order of magnitude, " + departure_words(trained, final)
    words += f"; tangent kernels differ by {np.sqrt(spread):.0%} between networks"
    if moved.any():
        words += f" and move by {moved[-1]:.0%}"
    return replace(prediction, final=final, flow=tuple(rough[:-1]), departure=words)


def _rough(law: Law, relative: float, prior: FloatArray, scale: float) -> Law:
    variance = np.maximum(np.diagonal(law.covariance), 0.0)
    left = np.sqrt(np.divide(variance, prior, out=np.zeros_like(variance), where=prior > 0.0))
    root = np.sqrt(variance)
    return replace(
        law,
        mean_departure=relative * scale * left,
        covariance_departure=relative * np.outer(root, root),
    )
