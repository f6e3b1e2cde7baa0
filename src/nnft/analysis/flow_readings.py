"""Effective variance of the amplitudes of networks of cosines along a flow, and three readings of it.

The effective variance ``sigma_L^2 = tr Sigma_L + |mu_L|^2`` is the mean over networks of the sum of squares
of the amplitudes at a cutoff. If amplitudes and momenta were independent it would multiply the propagator;
the readings put this one factor into the field, into mass and momentum, or into the cutoff. They are
reparametrisations of each other: the pole stays at ``p^2 = -m^2``, the support at ``|p| < Lambda``. Howard,
Klinger, Maiti and Stapleton, SciPost Phys. Core 8, 027 (2025), arXiv:2405.17538, eq. 86-90.
"""

from __future__ import annotations

import math
from typing import Any

from nnft.analysis.renormalized_run import RenormalizedRun
from nnft.analysis.scan_table import aligned
from nnft.estimators.notation import number_with_error
from nnft.theory.cos_network import BallMomenta
from nnft.theory.effective_readout import effective_readings

NAME = "readout_square"


def flow_readings(flow: RenormalizedRun) -> dict[str, Any]:
    """Return the effective readout variance at every cutoff, ready for JSON.

    Parameters
    ----------
    flow : RenormalizedRun
        Of networks of cosines whose amplitudes are trained and replaced.

    Returns
    -------
    dict
        ``prior_variance``, and ``rows``, one for each cutoff: ``cutoff``, ``ratio`` to the variance of the
        prior, and for momenta in a ball the readings ``field_factor``, ``mass``, ``momentum_factor``,
        ``cutoff_radius``, each with ``value`` and ``stderr``. No rows where the flow does not know the
        squares.
    """
    card, law = flow.run.card["network"], flow.run.cosines
    if law is None or NAME not in flow.observables.names:
        return {"prior_variance": None, "rows": []}
    variance = float(card["amplitude_variance"])
    found = flow.observables.result(NAME)
    rows = []
    for position, cutoff in enumerate(flow.cutoffs):
        outputs = int(card["outputs"])
        ratio = float(found.mean[position]) / (variance * outputs)
        error = float(found.stderr[position]) / (variance * outputs)
        if not math.isfinite(ratio):
            return {"prior_variance": variance, "rows": []}
        row: dict[str, Any] = {"cutoff": float(cutoff) if math.isfinite(cutoff) else "inf"}
        row["ratio"] = _cell(ratio, error)
        if isinstance(law.momenta, BallMomenta) and ratio > 0.0:
            readings, relative = effective_readings(law, ratio), error / ratio
            powers = {
                "field_factor": (readings.field_factor, 0.5),
                "momentum_factor": (readings.momentum_factor, 0.5),
                "mass": (readings.mass, 0.5),
                "cutoff_radius": (readings.cutoff, 1.0 / law.momenta.dimension),
            }
            row |= {name: _cell(value, power * relative * value) for name, (value, power) in powers.items()}
        rows.append(row)
    return {"prior_variance": variance, "rows": rows}


def readings_cells(readings: dict[str, Any]) -> list[list[str]]:
    """Return the readings as cells: a header, then a row for each cutoff."""
    names = {
        "ratio": "sigma^2 ratio",
        "field_factor": "field factor",
        "mass": "mass",
        "cutoff_radius": "momentum cutoff",
    }
    shown = [name for name in names if any(name in row for row in readings["rows"])]
    table = [["cutoff", *(names[name] for name in shown)]]
    for row in readings["rows"]:
        cutoff = row["cutoff"] if isinstance(row["cutoff"], str) else f"{row['cutoff']:.4g}"
        table.append([cutoff, *(_text(row.get(name)) for name in shown)])
    return table


def readings_title(readings: dict[str, Any]) -> str:
    """Return what the first column of `readings_cells` is."""
    return (
        f"effective variance of the amplitudes over that of the prior, {readings['prior_variance']:.6g}: "
        "mean over networks of the sum of squares"
    )


def readings_note(readings: dict[str, Any]) -> str:
    """Return how the other columns are to be read; empty without readings."""
    if not any("mass" in row for row in readings["rows"]):
        return ""
    return (
        "three readings of one factor, each a reparametrisation of the others: of the field, of mass and "
        "momentum, or of the cutoff; the pole stays where it was"
    )


def readings_lines(readings: dict[str, Any]) -> list[str]:
    """Return the readings as lines of text, none without rows."""
    if not readings["rows"]:
        return []
    note = readings_note(readings)
    return ["", readings_title(readings), *aligned(readings_cells(readings)), *([note] if note else [])]


def _cell(value: float, error: float) -> dict[str, float | None]:
    return {"value": value, "stderr": error if math.isfinite(error) else None}


def _text(cell: dict[str, float | None] | None) -> str:
    if cell is None or cell["value"] is None:
        return "-"
    error = cell["stderr"]
    return number_with_error(cell["value"], math.nan if error is None else error, False)
