"""Every reference entry on regression averaged over data: learning curves, flow, sphere, first correction."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnft.theory.averaged_predictor import averaged_predictor, prior_target
from nnft.theory.data_averages import Spectrum
from nnft.theory.dot_product_kernels import SphereNetwork
from nnft.theory.equivalent_kernel import FiniteMeasure, equivalent_kernel, equivalent_process
from nnft.theory.power_law_spectrum import PowerLaw
from nnft.theory.replica_correction import first_correction
from nnft.theory.sphere_spectrum import sphere_spectrum
from nnft.theory.wilsonian_ridge import ridge_flow

FILE = Path(__file__).resolve().parents[1] / "reference" / "ridge.json"
ENTRIES: dict[str, dict[str, Any]] = {
    entry["id"]: entry for entry in json.loads(FILE.read_text(encoding="utf-8"))["entries"]
}
SAFETY = 4.0  # times the stated relative precision of an entry
MEANING = {  # activation, weight variances of both layers, and the kernel that an entry means
    "erf": (("erf", (1.0, 1.0)), "nngp"),
    "erf_ntk": (("erf", (1.0, 1.0)), "tangent"),
    "relu": (("relu", (1.0, 2.0)), "nngp"),
    "relu_ntk": (("relu", (1.0, 2.0)), "tangent"),
}


def _names(prefix: str) -> list[str]:
    return [name for name in ENTRIES if name.startswith(prefix)]


def test_every_entry_is_used() -> None:
    prefixes = ("learning-curve-", "powerlaw-", "sphere-", "perturbative-ek")
    assert [len(_names(prefix)) for prefix in prefixes] == [8, 4, 6, 1]
    assert sum(len(_names(prefix)) for prefix in prefixes) == len(ENTRIES) == 19


def _spectrum(inputs: dict[str, Any]) -> Spectrum:
    noise = inputs["label_noise"]
    if "rule" not in inputs:
        levels = (inputs[name] for name in ("eigenvalues", "multiplicities", "target_power"))
        return Spectrum(*(np.array(level) for level in levels), noise)
    assert inputs["rule"] == "k^-1.5 (M=200), target power 1 on k=1, 0.49 on k=5, 0.25 on k=31"
    power = np.zeros(200)
    power[[0, 4, 30]] = 1.0, 0.49, 0.25
    return Spectrum(np.arange(1.0, 201.0) ** -1.5, np.ones(200), power, noise)


@pytest.mark.parametrize("name", _names("learning-curve-"))
def test_learning_curves(name: str) -> None:
    entry = ENTRIES[name]
    inputs, values, rel = entry["inputs"], entry["values"], SAFETY * entry["rel_tol"]
    spectrum = _spectrum(inputs)
    found = averaged_predictor(spectrum, inputs["P"], inputs["kappa"])
    pairs = {
        "kappa_eff": found.effective_ridge,
        "gamma": found.gamma,
        "bias": found.bias,
        "m2": found.square_error,
        "test_mse_clean": found.clean_error,
        "post_var": found.posterior_variance,
        "var_dataset": found.data_variance,
    }
    assert set(values) - {"learnability", "ek"} == set(pairs)
    for key, number in pairs.items():
        assert number == pytest.approx(values[key], rel=rel), key
    shown = len(values["learnability"])
    np.testing.assert_allclose(found.learnability[:shown], values["learnability"], rtol=rel)
    if "ek" not in values:  # without a ridge it learns everything
        assert inputs["kappa"] == 0.0
        return
    first = equivalent_kernel(spectrum, inputs["P"], inputs["kappa"])
    np.testing.assert_allclose(first.learnability[:shown], values["ek"]["learnability"], rtol=rel)
    assert first.bias == pytest.approx(values["ek"]["bias"], rel=rel)
    assert first.posterior_variance == pytest.approx(values["ek"]["post_var"], rel=rel)


@pytest.mark.parametrize("name", _names("powerlaw-"))
def test_power_laws_and_the_flow(name: str) -> None:
    entry = ENTRIES[name]
    inputs, values, rel = entry["inputs"], entry["values"], SAFETY * entry["rel_tol"]
    a, modes = (float(name.split("-")[1][1:]), int(name.split("-")[2][1:]))
    assert inputs["eigenvalues"].startswith(f"k^-{a}")
    law = PowerLaw(a, a)
    points, ridge = inputs["P"], inputs["kappa"]
    spectrum = law.spectrum(modes)
    found = averaged_predictor(spectrum, points, ridge)
    assert found.effective_ridge == pytest.approx(values["kappa_eff"], rel=rel)
    assert found.gamma == pytest.approx(values["gamma"], rel=rel)
    assert found.clean_error == pytest.approx(values["test_mse"], rel=rel)
    np.testing.assert_array_equal(prior_target(spectrum).target_power, spectrum.target_power)
    noisy = averaged_predictor(law.spectrum(modes, noise_variance=ridge), points, ridge)
    assert noisy.clean_error == pytest.approx(found.effective_ridge - ridge, rel=1e-12)
    crossover = law.crossover_ridge(points)
    assert crossover == pytest.approx(values["continuum_ridgeless_kappa_eff"], rel=rel)
    flow = ridge_flow(spectrum, points, ridge)
    assert flow.ridge == pytest.approx(values["rg_kappa"], rel=rel)
    assert flow.kept_modes == values["rg_kept_modes"]


@pytest.mark.parametrize("name", _names("sphere-"))
def test_spectra_on_the_sphere(name: str) -> None:
    entry = ENTRIES[name]
    inputs, values, rel = entry["inputs"], entry["values"], SAFETY * entry["rel_tol"]
    (activation, variances), kind = MEANING[inputs["kernel"]]
    network = SphereNetwork(activation, variances, (0.0, 0.0))
    kernel = network.nngp if kind == "nngp" else network.tangent
    degrees = inputs["degrees"]
    found = sphere_spectrum(kernel, inputs["d"], max(degrees))
    assert found.trace == pytest.approx(values["trace"], rel=rel)
    np.testing.assert_array_equal(found.multiplicities[degrees], values["degeneracies"])
    np.testing.assert_allclose(found.eigenvalues[degrees], values["eigenvalues"], rtol=rel, atol=0.0)


def test_first_correction_on_three_points() -> None:
    entry = ENTRIES["perturbative-ek"]
    inputs, values, rel = entry["inputs"], entry["values"], SAFETY * entry["rel_tol"]
    arrays = (np.array(inputs[key]) for key in ("measure_weights", "kernel", "target"))
    measure = FiniteMeasure(*arrays)
    points, ridge = inputs["P_mean"], inputs["kappa"]
    mean, covariance = equivalent_process(measure, points, ridge)
    np.testing.assert_allclose(mean, values["ek_mean"], rtol=rel)
    np.testing.assert_allclose(covariance.diagonal(), values["ek_variance"], rtol=rel)
    found = first_correction(measure, points, ridge)
    np.testing.assert_allclose(found.poisson, values["first_order_poisson"], rtol=rel)
    np.testing.assert_allclose(found.fixed_extra, values["fixed_P_extra"], rtol=rel)
    np.testing.assert_allclose(found.fixed, found.poisson + found.fixed_extra)
    exact = np.array(values["exact_poisson_average"])
    missed = np.abs(exact - mean - found.poisson)  # second order: a share of about 1/P times a few
    assert np.all(missed < 0.03 * np.abs(exact - mean))
