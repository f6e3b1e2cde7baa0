"""An extrapolation as text and as plain numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nnft.analysis.extrapolate import Extrapolation
from nnft.analysis.scan_table import aligned
from nnft.estimators.notation import number_with_error

SHOWN_COMPONENTS = 16


def extrapolation_record(result: Extrapolation) -> dict[str, Any]:
    """Return a result as plain numbers, ready for JSON; None where there is no number."""
    arrays = (
        "x", "y", "yerr", "unreliable", "indices", "coefficients", "coefficient_errors", "covariance",
        "chi_square", "p_value", "slope", "slope_error", "slope_chi_square",
    )  # fmt: skip
    texts = ("observable", "title", "against", "x_label", "y_label", "slope_variable", "dof")
    joint = vars(result.joint)
    return (
        {name: getattr(result, name) for name in texts}
        | {name: list(getattr(result, name)) for name in ("members", "labels", "powers", "notes")}
        | {name: _plain(getattr(result, name).tolist()) for name in arrays}
        | {"joint": {name: _plain(value) for name, value in joint.items()}}
    )


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def extrapolation_text(result: Extrapolation) -> str:
    """Return a result as the text that ``nnft extrapolate`` prints."""
    model = " + ".join(f"c{power} {_power(power)}".strip() for power in result.powers)
    lines = [
        f"{result.title}: {len(result.members)} members, {result.x_label} from {result.x[0]:.4g} "
        f"to {result.x[-1]:.4g}",
        f"model      y = {model},  x = {result.x_label}",
        f"slope      exponent s of y = A {_base(result)}^s, the slope of log y",
        *(f"note       {note}" for note in result.notes),
        "",
    ]
    header = ["component", *(f"c{power}" for power in result.powers)]
    rows = [[*header, "chi2/dof", "p", f"slope in {result.slope_variable}"]]
    for row in range(min(len(result.labels), SHOWN_COMPONENTS)):
        numbers = zip(result.coefficients[row], result.coefficient_errors[row], strict=True)
        rows.append(
            [
                result.labels[row],
                *(number_with_error(float(value), float(error)) for value, error in numbers),
                _ratio(result.chi_square[row], result.dof),
                _probability(result.p_value[row]),
                number_with_error(float(result.slope[row]), float(result.slope_error[row])),
            ]
        )
    lines += aligned(rows)
    if len(result.labels) > SHOWN_COMPONENTS:
        lines.append(f"... {len(result.labels) - SHOWN_COMPONENTS} more components: --json shows all")
    joint = result.joint
    together = f"{joint.components} of {joint.offered} components" if joint.offered > 1 else "1 component"
    lines += [
        "",
        f"jointly    chi2/dof {_ratio(joint.chi_square, joint.dof)}, p {_probability(joint.p_value)}, "
        f"{together}",
        "",
        *aligned(_points(result)),
    ]
    return "\n".join(lines)


def _points(result: Extrapolation) -> list[list[str]]:
    """The values of the first components, one row a member."""
    shown = range(min(len(result.labels), 4))
    rows = [["member", result.x_label, *(f"y({result.labels[row]})" for row in shown)]]
    for number, name in enumerate(result.members):
        cells = [
            number_with_error(
                float(result.y[row, number]),
                float(result.yerr[row, number]),
                bool(result.unreliable[row, number]),
            )
            for row in shown
        ]
        rows.append([name, f"{result.x[number]:.6g}", *cells])
    return rows


def _base(result: Extrapolation) -> str:
    return result.slope_variable if result.slope_variable == "n" else "x"


def _power(power: int) -> str:
    return {0: "", 1: "x"}.get(power, f"x^{power}")


def _ratio(chi_square: float, dof: int) -> str:
    return f"{chi_square:.2f}/{dof}" if np.isfinite(chi_square) else "-"


def _probability(value: float) -> str:
    return f"{value:.2g}" if np.isfinite(value) else "-"
