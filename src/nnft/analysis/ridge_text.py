"""A learning curve of kernel regression as text."""

from __future__ import annotations

import math

from nnft.analysis.ridge_curve import RidgePoint, RidgeResult
from nnft.analysis.scan_table import aligned

FLOW_ROWS = 24
LEGEND = (
    "kappa_e: self-consistent; flow: its ridge where it stops; errors on clean labels; EK and full: "
    "equivalent kernel and self-consistent theory of the modes kept"
)


def ridge_text(result: RidgeResult, flow: bool = False) -> str:
    """Return a learning curve as the text that ``nnft ridge`` prints.

    Parameters
    ----------
    result : RidgeResult
    flow : bool
        Whether the flow at the largest P follows, mode by mode.
    """
    source, last = result.source, result.curve[-1]
    spectrum = source.spectrum
    modes = float(spectrum.multiplicities.sum())
    variance = float(spectrum.multiplicities @ spectrum.eigenvalues) + source.remainder.variance
    power = float(spectrum.target_power.sum()) + source.remainder.power
    lines = [
        source.title,
        f"kernel     {_count(modes)} modes in {len(spectrum.eigenvalues)} levels, "
        f"prior variance {_number(variance)}",
        f"target     {source.target}, total power {_number(power)}",
        f"ridge      kappa = {_number(result.ridge)}, label noise s^2 = {_number(result.noise)}",
        *(f"note       {note}" for note in result.notes),
        "",
        f"P = {last.points:.10g}",
        *aligned(_theories(result, last)),
        "",
        *_remarks(result, last),
        "",
        *aligned(_leading(result, last)),
    ]
    if len(result.curve) > 1:
        lines += ["", "learning curve", *aligned(_curve(result)), LEGEND]
    if flow:
        lines += ["", *_flow(result)]
    return "\n".join(lines)


def _theories(result: RidgeResult, point: RidgePoint) -> list[list[str]]:
    """Numbers of one P, a column for each theory."""
    noisy = point.ek_error + result.noise
    flow_noisy = point.flow_error + result.noise
    ek_ridge = result.ridge + result.source.remainder.variance
    rows: list[tuple[str, float, float, float]] = [
        ("ridge of the modes", point.effective_ridge, ek_ridge, point.flow_ridge),
        ("error, clean labels", point.clean_error, point.ek_error, point.flow_error),
        ("error, noisy labels", point.square_error, noisy, flow_noisy),
        (
            "(i) posterior variance",
            point.posterior_variance,
            point.ek_posterior_variance,
            point.flow_posterior_variance,
        ),
        ("(ii) variance over data", point.data_variance, 0.0, 0.0),
        (
            "(iii) their sum",
            point.total_variance,
            point.ek_posterior_variance,
            point.flow_posterior_variance,
        ),
        (
            "error of one network",
            point.gibbs_error,
            point.ek_error + point.ek_posterior_variance,
            point.flow_error + point.flow_posterior_variance,
        ),
    ]
    header = ["", "self-consistent", "equivalent kernel", "flow"]
    return [header, *([name, *map(_number, numbers)] for name, *numbers in rows)]


def _remarks(result: RidgeResult, point: RidgePoint) -> list[str]:
    """What the numbers of one P rest on."""
    stop = (
        f"all {_count(point.kept_modes)} modes kept"
        if result.flow.stop == len(result.flow.order)
        else f"stops at mode {_count(point.kept_modes + 1.0)}, {_count(point.kept_modes)} modes kept"
    )
    open_end = point.flow_starts_at_cutoff or result.flow.stop == len(result.flow.order)
    start = "" if open_end else "; cannot be started at the cutoff, read as a condition"
    lines = [
        f"learned    {point.learned_modes:.4g} modes (sum of learnabilities), gamma = {point.gamma:.4g}",
        f"flow       {stop}, label noise {_number(point.flow_noise)} there{start}",
        f"           self-consistent theory of the kept modes: "
        f"kappa_e = {_number(point.flow_effective_ridge)}, error {_number(point.flow_full_error)}",
    ]
    if result.ridge > 0.0:
        share = point.gibbs_error / result.ridge
        lines.append(f"validity   the equivalent kernel needs error / kappa far below 1: {share:.3g}")
    else:
        lines.append("validity   the equivalent kernel does not apply without a ridge")
    return lines + _law_lines(result, point)


def _law_lines(result: RidgeResult, point: RidgePoint) -> list[str]:
    law, power_law = point.law, result.source.law
    if law is None or power_law is None:
        return []
    free, large = power_law.learning_exponents()
    lower, cut = power_law.corrections(law, float(len(result.source.spectrum.eigenvalues)))
    return [
        f"power law  kappa_e = {_number(law.effective_ridge)}, error {_number(law.clean_error)}, "
        f"k_* = {law.learned_modes:.4g}; corrections of relative size {lower + cut:.2g}",
        f"           error ~ P^-{free:.4g} for kappa far below "
        f"{_number(power_law.crossover_ridge(point.points))}, P^-{large:.4g} far above",
    ]


def _leading(result: RidgeResult, point: RidgePoint) -> list[list[str]]:
    spectrum = result.source.spectrum
    word = "degree" if result.source.kind == "sphere" else "level"
    rows = [[word, "eigenvalue", "modes", "target", "learnability", "equivalent kernel", "corrected", "flow"]]
    for row, place in enumerate(result.leading):
        rows.append(
            [
                str(result.source.level(int(place))),
                _number(float(spectrum.eigenvalues[place])),
                _count(float(spectrum.multiplicities[place])),
                _number(float(spectrum.target_power[place])),
                f"{point.learnability[row]:.6f}",
                f"{point.ek_learnability[row]:.6f}",
                _share(float(point.ek_corrected[row])),
                f"{point.flow_learnability[row]:.6f}",
            ]
        )
    return rows


def _curve(result: RidgeResult) -> list[list[str]]:
    law = any(point.law is not None for point in result.curve)
    header = [
        "P",
        "kappa_e",
        "flow",
        "kept",
        "error",
        "(i)",
        "(ii)",
        "one network",
        "flow + EK",
        "flow + full",
    ]
    rows = [header + ["by power law"] * law]
    for point in result.curve:
        numbers = (
            point.clean_error, point.posterior_variance, point.data_variance, point.gibbs_error,
            point.flow_error, point.flow_full_error,
        )  # fmt: skip
        cells = [
            f"{point.points:.10g}",
            _number(point.effective_ridge),
            _number(point.flow_ridge),
            _count(point.kept_modes),
            *map(_number, numbers),
        ]
        if law:
            cells.append("-" if point.law is None else _number(point.law.clean_error))
        rows.append(cells)
    return rows


def _flow(result: RidgeResult) -> list[str]:
    """The flow from the smallest eigenvalue on; of many levels those around the stop and some others."""
    rows = result.flow_rows()
    stop = sum(row["integrated_out"] for row in rows)
    shown = rows
    if len(rows) > FLOW_ROWS:
        near = range(stop - 3, stop + 3)
        far = range(0, len(rows), max(1, 2 * len(rows) // FLOW_ROWS))
        places = sorted({0, len(rows) - 1, *(k for k in [*near, *far] if 0 <= k < len(rows))})
        shown = [rows[place] for place in places]
    table = [["level", "first mode", "modes", "eigenvalue", "ridge", "noise", "P lambda / ridge", ""]]
    for row in shown:
        table.append(
            [
                str(row["level"]),
                _count(row["first_mode"]),
                _count(row["multiplicity"]),
                _number(row["eigenvalue"]),
                _number(row["ridge_after"]),
                _number(row["noise_after"]),
                f"{row['resolved']:.3g}",
                "integrated out" if row["integrated_out"] else "kept",
            ]
        )
    levels = len(result.flow.order)
    title = f"flow at P = {result.flow.points:.10g}, from kappa = {_number(float(result.flow.ridges[-1]))} on"
    if len(shown) < levels:
        title += f": {len(shown)} of {levels} levels"
    return [title, *aligned(table), "ridge and noise: with this level and all smaller ones integrated out"]


def _share(value: float) -> str:
    return f"{value:.6f}" if abs(value) < 1e3 else "-"


def _number(value: float) -> str:
    return f"{value:.5g}" if math.isfinite(value) else "infinite"


def _count(value: float) -> str:
    return f"{value:.0f}" if value < 1e9 else f"{value:.4g}"
