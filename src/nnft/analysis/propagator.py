"""The propagator of networks of cosines in momentum and in position space, with mass and normalisation.

In momentum space every network is known: neuron i stands at momentum b_i with the weight
``a_i^2 F^2 / (2 (b_i^2 + m^2))``, so that ``(2 pi)^d`` over the volume of a shell times the sum of the
weights of the neurons inside is the power of the field in this shell: the propagator of networks at
initialization.
In position space it is the two-point function at the distances of the input points.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nnft.analysis.run import Run
from nnft.analysis.scan_table import aligned
from nnft.errors import NumericalError, UsageError, shorten
from nnft.estimators.notation import number_with_error
from nnft.theory.cos_network import BallMomenta, CosNetwork, ball_volume
from nnft.theory.propagator_fit import (
    PropagatorFit,
    fit_position_propagator,
    fit_shell_propagator,
    shell_averages,
)

FloatArray = npt.NDArray[np.float64]

MOST_DISTANCES = 12
FEWEST_NETWORKS = 4
ROUNDING = 1e-9


def require_ball(run: Run) -> CosNetwork:
    """Return the law of networks whose propagator has a mass.

    Raises
    ------
    UsageError
        The run is one of other networks, or of normal momenta.
    """
    law, name = run.cosines, shorten(run.path.name, 60)
    if law is None:
        kind = shorten(str(run.card["network"].get("kind")), 20)
        raise UsageError(f"no momenta in {name}: got network.kind {kind}; give a cos-net or a free-scalar")
    if not isinstance(law.momenta, BallMomenta):
        raise UsageError(f"no mass in {name}: got normal momenta; give a free-scalar, or momenta in a ball")
    if run.deformation is not None:
        raise UsageError(f"no free propagator in {name}: got a deformation; sample without the table")
    return law


def shell_edges(law: CosNetwork, shells: int) -> FloatArray:
    """Return the edges of shells of equal thickness from 0 to the cutoff, shape (shells + 1,)."""
    return np.linspace(0.0, _ball(law).cutoff, shells + 1)


def shell_powers(
    momenta: FloatArray, squares: FloatArray, edges: FloatArray, mass_square: float, factor: float
) -> FloatArray:
    """Return the power of every network in every shell, shape (n, shells).

    Parameters
    ----------
    momenta : ndarray of float64, shape (n, N, d)
    squares : ndarray of float64, shape (n, N)
        Squares of the amplitudes, averaged over outputs.
    edges : ndarray of float64, shape (shells + 1,)
    mass_square, factor : float
        m^2 and F of the denominator and the factor of the networks.
    """
    networks, _, dimension = momenta.shape
    shells = len(edges) - 1
    lengths = np.sqrt(np.sum(momenta**2, axis=2))
    weights = 0.5 * factor**2 * squares / (lengths**2 + mass_square)
    place = np.clip(np.searchsorted(edges, lengths, side="right") - 1, 0, shells - 1)
    flat = (np.arange(networks)[:, None] * shells + place).ravel()
    total = np.bincount(flat, weights.ravel(), networks * shells).reshape(networks, shells)
    volumes = np.diff([ball_volume(dimension, edge) if edge > 0.0 else 0.0 for edge in edges])
    return np.asarray((2.0 * math.pi) ** dimension / volumes * total)


def momentum_record(law: CosNetwork, edges: FloatArray, powers: FloatArray) -> dict[str, Any]:
    """Return the propagator in momentum space beside the exact one, and its fit, ready for JSON.

    Parameters
    ----------
    law : CosNetwork
        At initialization.
    edges, powers
        See `shell_powers`. The networks are independent: the covariance of their mean is the jackknife's.

    Raises
    ------
    NumericalError
        Fewer networks than shells plus `FEWEST_NETWORKS`.
    """
    networks, shells = powers.shape
    if networks < shells + FEWEST_NETWORKS:
        raise NumericalError(
            f"too few networks for a covariance of {shells} shells: got {networks}; use at least "
            f"{shells + FEWEST_NETWORKS}, or fewer shells"
        )
    ball = _ball(law)
    covariance = np.cov(powers, rowvar=False).reshape(shells, shells) / networks
    exact = law.fourier_prefactor() * shell_averages(edges, ball.dimension, ball.mass**2)[0]
    value = powers.mean(axis=0)
    rows: list[dict[str, float | None]] = [
        {"from": float(edges[k]), "to": float(edges[k + 1]), **_beside(value[k], covariance[k, k], exact[k])}
        for k in range(shells)
    ]

    def fit() -> PropagatorFit:
        return fit_shell_propagator(edges, ball.dimension, value, covariance)

    return {"networks": networks, "rows": rows} | _judged(fit, value - exact, covariance, law, networks)


def position_record(run: Run, law: CosNetwork) -> dict[str, Any]:
    """Return the two-point function over distances beside the exact one, and its fit, ready for JSON.

    Pairs of points at one distance are averaged; of more than 12 distances some are taken, evenly spread.
    """
    if run.training is not None:
        return {"reason": "a trained ensemble is not invariant under translations"}
    found = run.replicates(2)
    rows, columns = run.connected(2).indices.T
    distances = np.linalg.norm(run.points[rows] - run.points[columns], axis=1)
    groups = _groups(distances)
    chosen = np.unique(np.linspace(0, len(groups) - 1, min(len(groups), MOST_DISTANCES)).round().astype(int))
    groups = [groups[k] for k in chosen]
    averaged = found.map(lambda row: np.array([np.mean(row[group]) for group in groups]))
    places = np.array([distances[group].mean() for group in groups])
    covariance, ball, value = averaged.covariance(), _ball(law), averaged.value
    if len(averaged.bin_counts) < 2 * len(groups):
        return {"reason": f"{len(averaged.bin_counts)} bins are too few for {len(groups)} distances"}
    exact = law.two_point(places)
    table: list[dict[str, float | None]] = [
        {"distance": float(places[k]), **_beside(value[k], covariance[k, k], exact[k])}
        for k in range(len(groups))
    ]

    def fit() -> PropagatorFit:
        return fit_position_propagator(places, value, covariance, ball.dimension, ball.cutoff)

    return {"rows": table} | _judged(fit, value - exact, covariance, law, len(averaged.bin_counts))


def _groups(distances: FloatArray) -> list[npt.NDArray[np.int64]]:
    """Places of equal distances, up to rounding, in ascending order."""
    order = np.argsort(distances, kind="stable")
    steps = np.diff(distances[order]) > ROUNDING * max(float(distances.max(initial=0.0)), 1e-300)
    return [np.sort(group) for group in np.split(order, np.flatnonzero(steps) + 1)]


def _ball(law: CosNetwork) -> BallMomenta:
    if not isinstance(law.momenta, BallMomenta):
        raise UsageError("momenta without a cutoff: got normal ones; give momenta in a ball")
    return law.momenta


def _beside(value: float, variance: float, exact: float) -> dict[str, float | None]:
    error = math.sqrt(max(float(variance), 0.0))
    pull = (float(value) - float(exact)) / error if error > 0.0 else None
    return {"value": float(value), "stderr": error, "exact": float(exact), "pull": pull}


def _judged(
    fit: Callable[[], PropagatorFit],
    difference: FloatArray,
    covariance: FloatArray,
    law: CosNetwork,
    samples: int,
) -> dict[str, Any]:
    """Chi-square against the exact propagator, and the fit beside mass and normalisation of the networks."""
    from scipy.special import fdtrc

    record: dict[str, Any] = {}
    count = len(difference)
    try:
        square = float(difference @ np.linalg.solve(covariance, difference))
    except np.linalg.LinAlgError:
        square = math.nan
    if math.isfinite(square) and square >= 0.0 and samples > count + 1:
        ratio = square * (samples - count) / (count * (samples - 1))
        p_value = float(fdtrc(count, samples - count, ratio))
        record |= {"chi_square": square, "components": count, "p_value": p_value}
    try:
        found: PropagatorFit = fit()
    except (NumericalError, UsageError) as error:
        return record | {"fit": None, "fit_reason": str(error)}
    return record | {"fit": _fit_record(found, (_ball(law).mass, law.fourier_prefactor()))}


def _fit_record(found: PropagatorFit, expected: Sequence[float]) -> dict[str, Any]:
    mass, normalisation = expected
    return {
        "mass": found.mass,
        "mass_stderr": found.mass_error,
        "mass_exact": mass,
        "mass_pull": (found.mass - mass) / found.mass_error,
        "normalisation": found.normalisation,
        "normalisation_stderr": found.normalisation_error,
        "normalisation_exact": normalisation,
        "normalisation_pull": (found.normalisation - normalisation) / found.normalisation_error,
        "covariance": found.covariance.tolist(),
        "chi_square": found.chi_square,
        "freedom": found.freedom,
        "p_value": None if math.isnan(found.p_value) else found.p_value,
    }


def propagator_text(record: dict[str, Any]) -> str:
    """Return the tables of a propagator."""
    lines = [
        f"{record['source']}: {record['kind']} in {record['dimension']} dimensions, "
        f"mass {record['mass']:.6g}, cutoff {record['cutoff']:.6g}, prefactor {record['prefactor']:.6g}",
    ]
    for name, title in (("momentum", "momentum space, shells of |p|"), ("position", "position space")):
        part = record[name]
        lines += ["", title if "rows" in part else f"{title}: none, {part['reason']}"]
        if "rows" in part:
            lines += _part_lines(part, record["trained"])
    legend = "value(error in the last digits); pull = (estimate - exact) / error; fit: Z / (p^2 + m^2)"
    if record["trained"]:
        legend += "; exact: of the networks before the training"
    return "\n".join([*lines, "", legend])


def _part_lines(part: dict[str, Any], trained: bool) -> list[str]:
    shells = "from" in part["rows"][0]
    table = [["|p|" if shells else "distance", "estimate", "exact", "pull"]]
    for row in part["rows"]:
        place = f"{row['from']:.4g} .. {row['to']:.4g}" if shells else f"{row['distance']:.6g}"
        pull = "-" if row["pull"] is None else f"{row['pull']:+.1f}"
        table.append(
            [place, number_with_error(row["value"], row["stderr"], False), f"{row['exact']:.6g}", pull]
        )
    lines = aligned(table)
    if "chi_square" in part and not trained:
        lines.append(
            f"chi-square against the exact propagator {part['chi_square']:.1f} for {part['components']}, "
            f"p = {part['p_value']:.2g}; with the correlations of the errors"
        )
    fit = part["fit"]
    if fit is None:
        return [*lines, f"no fit: {part['fit_reason']}"]
    for label, key in (("mass m", "mass"), ("normalisation Z", "normalisation")):
        shown = number_with_error(fit[key], fit[f"{key}_stderr"], False)
        lines.append(f"{label:16s} {shown}  exact {fit[f'{key}_exact']:.6g}  pull {fit[f'{key}_pull']:+.1f}")
    chance = "" if fit["p_value"] is None else f", p = {fit['p_value']:.2g}"
    return [*lines, f"{'fit':16s} chi-square {fit['chi_square']:.1f} for {fit['freedom']}{chance}"]
