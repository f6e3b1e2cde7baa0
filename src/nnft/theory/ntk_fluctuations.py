"""Fluctuations of the neural tangent kernel at one input, leading order in 1/n.

With n the width below, and for different outputs i, j: A = n Cov(Theta_ii, Theta_jj),
B = n E[Theta_ij**2], D = n Cov(z_i**2, Theta_jj), F = n E[z_i z_j Theta_ij]; P and Q are the two
components of the differential of the tangent kernel contracted with z, and H1 is the correction to
its mean (Roberts, Yaida, Hanin, *Principles of Deep Learning Theory*, chapters 8, 9 and 11).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nnft.theory.activations import Activation
from nnft.theory.single_input import SingleInputAverages, single_input_averages, single_input_flow


@dataclass(frozen=True)
class TangentLayer:
    """Quantities of one layer; A, B, D, F, P, Q and H1 are normalised by the width below.

    Attributes
    ----------
    Theta : float
        Infinite-width tangent kernel.
    A, B, D, F, P, Q : float
        Fluctuations, exact at layer 2.
    H1 : float
        Correction to the mean tangent kernel.
    """

    Theta: float
    A: float = 0.0
    B: float = 0.0
    D: float = 0.0
    F: float = 0.0
    P: float = 0.0
    Q: float = 0.0
    H1: float = 0.0


@dataclass(frozen=True)
class _Step:
    """Numbers of the step from layer l to l + 1."""

    weight: float
    bias_rate: float
    weight_rate: float
    ratio: float
    vertex: float
    vertex_above: float
    correction: float
    correction_above: float


def tangent_flow(
    sigma: Activation,
    first_kernel: float,
    widths: Sequence[int],
    weight_variances: Sequence[float],
    bias_variances: Sequence[float],
    *,
    squared_norm: float,
    weight_rate: float,
    bias_rate: float,
) -> list[TangentLayer]:
    """Iterate the recursions over layers 1..L.

    Parameters
    ----------
    sigma : Activation
        The activation.
    first_kernel : float
        K of layer 1.
    widths : sequence of int
        Hidden widths n_1..n_{L-1}.
    weight_variances, bias_variances : sequence of float
        C_W and C_b of layers 1..L.
    squared_norm : float
        |x|**2 / d.
    weight_rate, bias_rate : float
        lambda_W and lambda_b of every layer.
    """
    flow = single_input_flow(sigma, first_kernel, widths, weight_variances, bias_variances)
    layers = [TangentLayer(bias_rate + weight_rate * squared_norm)]
    for index in range(len(widths)):
        step = _Step(
            weight_variances[index + 1],
            bias_rate,
            weight_rate,
            widths[index] / widths[index - 1] if index else 0.0,
            float(flow.vertex[index]),
            float(flow.vertex[index + 1]),
            float(flow.correction[index]),
            float(flow.correction[index + 1]),
        )
        layers.append(_advance(layers[-1], single_input_averages(sigma, float(flow.kernel[index])), step))
    return layers


def _advance(old: TangentLayer, mean: SingleInputAverages, step: _Step) -> TangentLayer:
    w2, r, theta = step.weight**2, step.ratio, old.Theta
    parallel, perpendicular = step.weight * mean.s2_slope, step.weight * mean.d2
    slope = step.weight * mean.d2_slope
    k = step.weight_rate / step.weight
    f_new = w2 * mean.s2d2 * theta + r * parallel**2 * old.F
    common = w2 * (mean.s2d2 - mean.s2 * mean.d2) * theta + r * (
        parallel * slope * theta * step.vertex + parallel * perpendicular * old.D
    )
    bend = w2 * mean.sddd2 * theta**2
    return TangentLayer(
        Theta=step.bias_rate + step.weight_rate * mean.s2 + perpendicular * theta,
        A=k**2 * step.vertex_above
        + 2.0 * k * common
        + w2 * (mean.d4 - mean.d2**2) * theta**2
        + r
        * (
            (slope * theta) ** 2 * step.vertex
            + 2.0 * slope * perpendicular * theta * old.D
            + perpendicular**2 * old.A
        ),
        B=w2 * mean.d4 * theta**2 + r * perpendicular**2 * old.B,
        D=k * step.vertex_above + common,
        F=f_new,
        P=bend + r * (w2 * mean.sdd * mean.d2 * old.B + parallel * perpendicular * old.P),
        Q=k * f_new + bend + r * (parallel * slope * theta * old.F + parallel * perpendicular * old.Q),
        H1=k * step.correction_above
        + r
        * (
            perpendicular * old.H1
            + theta * (slope * step.correction + 0.125 * step.weight * mean.d2_fourth * step.vertex)
            + slope * (old.D + 2.0 * old.F)
        ),
    )
