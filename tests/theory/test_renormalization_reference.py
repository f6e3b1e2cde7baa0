"""Every reference entry on Bayesian renormalization and networks of cosines against the closed forms."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import erf

from nnft.actions.expansion import expand
from nnft.actions.symmetric import components, dense
from nnft.theory.activations import Array, activation
from nnft.theory.cos_network import (
    BallMomenta,
    CosNetwork,
    NormalMomenta,
    free_momentum_propagator,
    free_propagator,
    free_scalar,
)
from nnft.theory.critical_scale import Verdict, critical_scale, isotonic_rise, rise
from nnft.theory.effective_readout import effective_readings, effective_variance_ratio
from nnft.theory.fisher import dense_fisher, fisher_diagonal, fisher_modes
from nnft.theory.nngp import nngp_kernel
from nnft.theory.one_hidden_layer import Readout, connected_correlator, mlp_moment
from nnft.theory.readout_flow import flow_covariances, readout_flow
from nnft.theory.readout_laws import posterior_law
from nnft.theory.readout_shells import Fill, Shells
from nnft.theory.restricted_kernel import (
    erf_information,
    one_dimensional_kernel,
    random_selection,
    restricted_process,
)

FILE = Path(__file__).resolve().parents[1] / "reference" / "renormalization.json"
ENTRIES: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))["entries"]
BY_NAME = {entry["id"]: entry for entry in ENTRIES}
SAFETY = 4.0  # times the stated relative precision of an entry
ROUNDING = 1e-12  # of a number that is 0, or of the last digit of a printed one
Values = dict[str, Any]


def features(given: Values, points: str) -> Array:
    weights = np.array(given["W"])
    x = np.array(given[points])
    return np.asarray(erf(x @ weights.T / np.sqrt(x.shape[1])) / np.sqrt(len(weights)))


def fisher_readout(given: Values) -> Values:
    phi = features(given, "X")
    return {
        "fisher": dense_fisher(phi, given["kappa"]),
        "diag": fisher_diagonal(phi, given["kappa"]).values,
        "eigenvalues": fisher_modes(phi, given["kappa"]).values,
    }


def fisher_two_layers(given: Values) -> Values:
    phi = features(given, "X")
    x, weights, a = (np.array(given[key]) for key in ("X", "W", "a"))
    width, dimension = weights.shape
    z = x @ weights.T / np.sqrt(dimension)
    slope = 2.0 / np.sqrt(np.pi) * np.exp(-(z**2)) * a / np.sqrt(width)
    hidden = np.einsum("pi,pj->pij", slope, x / np.sqrt(dimension)).reshape(len(x), -1)
    jacobian = np.concatenate([phi, hidden], axis=1)
    modes = fisher_modes(jacobian, given["kappa"])
    return {
        "diag": fisher_diagonal(jacobian, given["kappa"]).values,
        "eigenvalues_desc": modes.values[::-1][: len(x)],
        "trace": np.sum(modes.values),
        "rank": np.count_nonzero(modes.values),
    }


FLOW = BY_NAME["brg-flow-diag"]["inputs"]
FILLS = {"zero": Fill.zero(), "prior": Fill.prior(1.0), "wide": Fill.gaussian(100.0)}


def flow_by_weights(given: Values) -> Values:
    phi, evaluation, test = (features(given, key) for key in ("X", "X_eval", "X_test"))
    law = posterior_law(phi, np.array(given["y"]), given["sigma_a2"], given["kappa"])
    shells = Shells.of_weights(fisher_diagonal(phi, given["kappa"]).values)
    cutoffs = np.array([row["cutoff"] for row in BY_NAME["brg-flow-diag"]["values"]["rows"]])
    rows: list[Values] = [{"cutoff": cutoff} for cutoff in cutoffs]
    for name, fill in FILLS.items():
        flow = readout_flow(evaluation, law, shells, fill, cutoffs)
        loss = flow.loss(np.array(given["y_eval"]))
        for k, row in enumerate(rows):
            row["n_sloppy"] = flow.sloppy[k]
            row[name] = {
                "bias2": loss.bias[k],
                "var_kept": loss.kept[k],
                "var_resampled": loss.resampled[k],
                "expected_loss": loss.total[k],
            }
    means = readout_flow(test, law, shells, FILLS["prior"], cutoffs).means
    covariances = flow_covariances(test, law, shells, FILLS["prior"], cutoffs)
    for k, row in enumerate(rows):
        row["flow_mean_test"], row["flow_cov_test"] = means[k, :, 0], covariances[k]
    return {"rows": rows}


def flow_by_directions(_: Values) -> Values:
    given = FLOW
    phi, evaluation = features(given, "X"), features(given, "X_eval")
    modes = fisher_modes(phi, given["kappa"])
    law = posterior_law(phi, np.array(given["y"]), given["sigma_a2"], given["kappa"])
    cutoffs = np.append(0.0, modes.values * 1.000001)
    shells = Shells.of_modes(modes)
    flow = readout_flow(evaluation, law, shells, Fill.prior(given["sigma_a2"]), cutoffs)
    loss = flow.loss(np.array(given["y_eval"]))
    return {
        "fisher_eigenvalues": modes.values,
        "posterior_var": np.diagonal(shells.both(law.covariance)),
        "posterior_mean_abs": np.abs(shells.columns(law.mean.T)[0]),
        "rows": [
            {
                "n_sloppy": flow.sloppy[k],
                "bias2": loss.bias[k],
                "var_kept": loss.kept[k],
                "var_resampled": loss.resampled[k],
                "expected_loss": loss.total[k],
            }
            for k in range(len(cutoffs))
        ],
    }


def arcsine_kernel(x: Array) -> Array:
    return nngp_kernel(x, "erf", [1.0, 1.0], [0.0, 0.0])[-1]


def kept_at_random(given: Values) -> Values:
    x = np.concatenate([np.array(given["X"]), np.array(given["X_test"])])
    kernel, y = arcsine_kernel(x), np.array(given["y"])
    prior, zero = (
        random_selection(kernel, given["keep_fraction"], y, given["kappa"], ratio) for ratio in (1.0, 0.0)
    )
    return {"mean": prior.mean[:, 0], "cov_prior": prior.covariance, "cov_zero": zero.covariance}


def infinite_width(given: Values) -> Values:
    x, y = np.array(given["x"] + given["x_test"]), np.array(given["y"])
    kernel, rows = one_dimensional_kernel(erf, x, 0.0), []
    for expected in BY_NAME["brg-infinite-width-1d"]["values"]["rows"]:
        threshold = expected["w_threshold"]
        kept = one_dimensional_kernel(erf, x, threshold)
        prior, zero = (restricted_process(kernel, kept, y, given["kappa"], ratio) for ratio in (1.0, 0.0))
        rows.append(
            {
                "w_threshold": threshold,
                "N_kappa_times_cutoff": erf_information(np.array(threshold)),
                "sloppy_fraction": erf(threshold / np.sqrt(2.0)),
                "mean": prior.mean[:, 0],
                "var_prior": np.diagonal(prior.covariance),
                "var_zero": np.diagonal(zero.covariance),
            }
        )
    return {"rows": rows}


def cosines_in_a_ball(given: Values) -> Values:
    momenta = BallMomenta(given["d"], given["cutoff"], given["mass"])
    network = CosNetwork(momenta, 1, given["sigma_a2"])
    readings = effective_readings(network, given["sigma_eff2_over_sigma2"])
    return {
        "vol": momenta.volume,
        "two_point": network.two_point(np.array(given["r"])),
        "fourier_prefactor": network.fourier_prefactor(),
        "N_times_kappa4_coincident": network.coincident_fourth_cumulant(),
        "mass_ren": readings.mass,
        "cutoff_ren": readings.cutoff,
        "prefactor_ren": readings.prefactor,
    }


def edgeworth(given: Values) -> Values:
    kernel = arcsine_kernel(np.array(given["x"]))
    moment = mlp_moment(activation("erf"), np.array(given["x"]) @ np.array(given["x"]).T / 2.0)
    packed = np.array(
        [
            connected_correlator(Readout.gaussian(1, 1.0), moment, places)
            for places in components(2, 4).tolist()
        ]
    )
    quartic = expand(kernel, packed)[1].quartic
    assert quartic is not None
    coupling = dense(quartic, 2, 4)
    cumulant = dense(packed, 2, 4)
    places = {"1111": (0, 0, 0, 0), "1112": (0, 0, 0, 1), "1122": (0, 0, 1, 1), "2222": (1, 1, 1, 1)}
    found: Values = {"K": kernel}
    for name, place in places.items():
        found[f"N_kappa4_{name}"], found[f"N_g4_{name}"] = cumulant[place], coupling[place]
    return {key: value for key, value in found.items() if key in BY_NAME["edgeworth-two-points"]["values"]}


def effective_variance(given: Values) -> Values:
    kernel, width = arcsine_kernel(np.array(given["X"])), 1000
    ratio = effective_variance_ratio(kernel, np.array(given["y"]), given["kappa"], width)
    return {"N_times_sigma_eff2_minus_1": width * (ratio - 1.0)}


def scale(given: Values) -> Values:
    cutoffs, losses = np.array(given["cutoffs"]), np.array(given["mean_losses"])
    ends = given["loss_unrenormalised"], given["loss_fully_resampled"]
    found = [critical_scale(cutoffs, losses, *ends, delta) for delta in (0.05, 0.5)]
    assert {one.verdict for one in found} == {Verdict.FOUND}
    return {
        "isotonic_rise": isotonic_rise(rise(losses, *ends)),
        "Lambda_c_0p05": found[0].value,
        "Lambda_half": found[1].value,
    }


def cosines(given: Values) -> Values:
    x = np.array(given["X"])
    network = CosNetwork(NormalMomenta(2, given["sigma_b2"]), given["N"], given["sigma_a2"])
    pairs = [(0, 0), (0, 1), (2, 3)]
    return {"K": [network.connected(x[list(pair)]) for pair in pairs], "kappa4": network.connected(x)}


def cosines_of_six(given: Values) -> Values:
    network = CosNetwork(NormalMomenta(2, given["sigma_b2"]), given["N"], given["sigma_a2"])
    return {"kappa6": network.connected(np.array(given["X"]))}


def propagator(given: Values) -> Values:
    distance = np.array(given["r"], dtype=float)
    value = free_propagator(distance, given["d"], given["m"], given["Lambda"])
    network = free_scalar(given["d"], given["m"], given["Lambda"], 7)
    np.testing.assert_allclose(network.two_point(distance), value, rtol=1e-14)
    inside = free_momentum_propagator(np.array([0.3, given["Lambda"] + 1.0]), given["m"], given["Lambda"])
    assert network.fourier_prefactor() / (0.09 + given["m"] ** 2) == pytest.approx(inside[0], rel=1e-14)
    assert inside[1] == 0.0
    return {"G": value}


def scalar(given: Values) -> Values:
    x = np.array(given["X"])
    network = free_scalar(given["d"], given["m"], given["Lambda"], given["N"])
    return {
        "kappa4": network.connected(x),
        "K00": network.connected(x[[0, 0]]),
        "K01": network.connected(x[[0, 1]]),
    }


TASKS: dict[str, Callable[[Values], Values]] = {
    "fisher-lastlayer": fisher_readout,
    "brg-flow-diag": flow_by_weights,
    "brg-flow-eigenbasis": flow_by_directions,
    "brg-random-keep": kept_at_random,
    "brg-infinite-width-1d": infinite_width,
    "fisher-two-layer": fisher_two_layers,
    "cosnet-d": cosines_in_a_ball,
    "edgeworth-two-points": edgeworth,
    "sigma-eff-lastlayer": effective_variance,
    "brg-critical-scale": scale,
    "cosnet-kappa6": cosines_of_six,
    "free-propagator": propagator,
    "free-scalar-cosnet-kappa4": scalar,
    "cosnet": cosines,
}


def task(name: str) -> Callable[[Values], Values]:
    return next(found for start, found in TASKS.items() if name.startswith(start))


def compare(found: Any, expected: Any, precision: float, place: str) -> int:
    """Compare two nested values; the number of numbers compared."""
    if isinstance(expected, dict):
        assert set(found) == set(expected), place
        return sum(compare(found[key], value, precision, f"{place}/{key}") for key, value in expected.items())
    if isinstance(expected, list) and expected and isinstance(expected[0], dict):
        assert len(found) == len(expected), place
        pairs = enumerate(zip(found, expected, strict=True))
        return sum(compare(one, other, precision, f"{place}/{k}") for k, (one, other) in pairs)
    assert np.shape(found) == np.shape(expected), place
    np.testing.assert_allclose(found, expected, rtol=SAFETY * precision, atol=ROUNDING, err_msg=place)
    return int(np.size(expected))


@pytest.mark.parametrize("name", BY_NAME)
def test_entry(name: str) -> None:
    entry = BY_NAME[name]
    precision = max(entry.get("rel_tol", 0.0), entry.get("rel_precision", 0.0))
    assert compare(task(name)(entry["inputs"]), entry["values"], precision, name) > 0


def test_a_wrong_digit_is_seen() -> None:
    entry = BY_NAME["brg-flow-eigenbasis"]
    expected = json.loads(json.dumps(entry["values"]))
    expected["rows"][2]["bias2"] *= 1.0 + 1e-6
    with pytest.raises(AssertionError, match="rows/2/bias2"):
        compare(flow_by_directions({}), expected, entry["rel_tol"], "entry")
