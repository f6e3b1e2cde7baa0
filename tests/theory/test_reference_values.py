"""Every entry of the reference file against the closed forms and solvers."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnft.theory import criticality, deep_linear_density, deep_relu, one_hidden_layer, orthogonal, vertex
from nnft.theory.activations import Activation, activation
from nnft.theory.cumulants import conditional_gaussian_cumulant, unbiased_cumulant
from nnft.theory.deep_linear import LinearMetric, single_input_moment
from nnft.theory.gaussian_averages import pair_average
from nnft.theory.nngp import first_layer_kernel, nngp_kernel, tangent_kernel
from nnft.theory.ntk_fluctuations import tangent_flow
from nnft.theory.product_averages import pair_indices
from nnft.theory.quadrature import gaussian_average
from nnft.theory.single_input import single_input_averages, single_input_flow

FILE = Path(__file__).resolve().parents[1] / "reference" / "initialization.json"
ENTRIES: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))["entries"]
SAFETY = 4.0  # times the stated relative precision of an entry
Values = dict[str, Any]


def _activation(entry: str | list[Any]) -> Activation:
    return activation(entry) if isinstance(entry, str) else activation(entry[0], tuple(entry[1:]))


def _rational(value: float) -> Fraction:
    """The decimal fraction that was meant by a float of the file."""
    return Fraction(value).limit_denominator(10**6)


def _repeat(value: float, layers: int) -> list[float]:
    return [value] * layers


def two_point(inputs: Values) -> Values:
    k11, k12, k22 = (np.array([k[name] for k in inputs["K"]]) for name in ("K11", "K12", "K22"))
    if inputs["activation"][0] == "monomial":
        power = inputs["activation"][1]
        kernels = [np.array([[a, b], [b, c]]) for a, b, c in zip(k11, k12, k22, strict=True)]
        return {
            "ss": [gaussian_average(lambda z: (z[0] * z[1]) ** power, k, 0.5) for k in kernels],
            "dd": [
                gaussian_average(lambda z: power**2 * (z[0] * z[1]) ** (power - 1), k, 0.5) for k in kernels
            ],
        }
    sigma = _activation(inputs["activation"])
    return {"ss": pair_average(sigma, k11, k12, k22), "dd": pair_average(sigma, k11, k12, k22, (1, 1))}


def one_point(inputs: Values) -> Values:
    mean = single_input_averages(_activation(inputs["activation"]), inputs["K"])
    names = {
        "ds2": "s2_slope",
        "ds4": "s4_slope",
        "dd2": "d2_slope",
        "d4s2": "s2_fourth",
        "d4d2": "d2_fourth",
    }
    keys = ["s2", "s4", "s6", "d2", "d4", "s2d2", "zsd", "sdd", "sddd2", *names]
    return {key: getattr(mean, names.get(key, key)) for key in keys}


def infinite_width(inputs: Values) -> Values:
    layers = inputs["L"]
    arguments = (
        np.array(inputs["X"]),
        inputs["activation"],
        _repeat(inputs["C_W"], layers),
        _repeat(inputs["C_b"], layers),
    )
    kernel = nngp_kernel(*arguments)[-1]
    tangent = tangent_kernel(*arguments, weight_rate=inputs["lambda_W"], bias_rate=inputs["lambda_b"])[-1]
    upper = np.triu_indices(2)
    return {"K": kernel[upper], "Theta": tangent[upper]}


def linear_moments(inputs: Values) -> Values:
    hidden, weight = inputs["hidden"], _rational(inputs["C_W"])
    norm = weight ** inputs["L"] * _rational(inputs["q0"])
    moments = [single_input_moment(norm, hidden, k) for k in range(5)]
    metric = LinearMetric(
        [[_rational(inputs["q0"])]], hidden, [weight] * inputs["L"], [Fraction(0)] * inputs["L"]
    )
    result = {f"G{2 * k}": moments[k] for k in range(1, 5)}
    result |= {f"Ez{2 * k}": metric.product_moment([0] * (2 * k)) for k in range(1, 4)}
    result["conn4_coeff"] = metric.connected_correlator([0] * 4, [0, 0, 1, 1])
    return result | {f"kappa{k}": deep_relu.output_cumulant(moments, k) for k in (4, 6)}


def linear_inputs(inputs: Values) -> Values:
    gram = [[_rational(q) for q in row] for row in inputs["Q0"]]
    hidden, labels = inputs["hidden"], inputs["labels"]
    layers = len(hidden) + 1
    metric = LinearMetric(gram, hidden, [Fraction(inputs["C_W"])] * layers, [Fraction(0)] * layers)
    pairs = list(zip(labels[::2], labels[1::2], strict=True))
    return {"E_prod_Ghat": metric.moment(pairs), "E_prod_z": metric.product_moment(labels)}


def _metric_list(inputs: Values, slopes: tuple[int | float, int | float]) -> list[Fraction]:
    layers = len(inputs["hidden"]) + 1
    plus, minus = (_rational(s) for s in slopes)
    return deep_relu.metric_moments(
        _rational(inputs["q0"]),
        inputs["hidden"],
        [_rational(inputs["C_W"])] * layers,
        [_rational(inputs["C_b"])] * layers,
        slopes=(plus, minus),
    )


def linear_bias(inputs: Values) -> Values:
    moments = _metric_list(inputs, (1, 1))
    layers = len(inputs["hidden"]) + 1
    bias = [_rational(inputs["C_b"])] * layers
    metric = LinearMetric(
        [[Fraction(inputs["q0"])]], inputs["hidden"], [Fraction(inputs["C_W"])] * layers, bias
    )
    assert [metric.moment([(0, 0)] * k) for k in (1, 2, 3)] == moments[1:]
    return {"E_Ghat": moments[1:]}


def relu_moments(inputs: Values) -> Values:
    moments = _metric_list(inputs, (inputs["a_plus"], inputs["a_minus"]))
    ratios = {f"ratio{k}": moments[k] / moments[1] ** k for k in (2, 3)}
    return {"E_Ghat": moments[1:], **ratios}


def dead_output(inputs: Values) -> Values:
    return {"p": deep_relu.dead_output_probability(inputs["hidden"])}


def linear_density(inputs: Values) -> Values:
    arguments = (inputs["z2"], inputs["n_out"], inputs["G"])
    density = deep_linear_density.output_density(*arguments, inputs["hidden"])
    if len(inputs["hidden"]) == 1:
        bessel = deep_linear_density.one_hidden_layer_density(*arguments, inputs["hidden"][0])
        assert bessel == pytest.approx(density, rel=4e-13, abs=0.0)
    return {"p": density}


def linear_transform(inputs: Values) -> Values:
    return {"cf": deep_linear_density.characteristic_function(inputs["p"], inputs["G"], inputs["hidden"])}


def haar_square(inputs: Values) -> Values:
    law = ([inputs["n"]] * 4, _rational(inputs["q0"]), Fraction(inputs["C_W"]))
    moments = {f"Ez{2 * k}": orthogonal.component_moment(*law, k) for k in (1, 2, 3)}
    moments["Ez1sq_z2sq"] = orthogonal.mixed_moment(*law)
    return moments | {"conn4_coeff": orthogonal.connected_coefficient(*law)}


def haar_rectangular(inputs: Values) -> Values:
    law = (inputs["dims"], _rational(inputs["q0"]), Fraction(inputs["C_W"]))
    return {
        "Eq": [orthogonal.norm_moment(*law, k) for k in (1, 2, 3)],
        "Ez": [orthogonal.component_moment(*law, k) for k in (1, 2, 3)],
    }


def second_layer(inputs: Values) -> Values:
    sigma, weight = _activation(inputs["activation"]), inputs["C_W"]
    points = np.array(inputs["X"])
    kernels = nngp_kernel(points, sigma.name, [weight] * 2, [inputs["C_b"]] * 2)
    packed = vertex.second_layer_vertex(sigma, kernels[0], weight)
    order = list(itertools.combinations_with_replacement(range(len(points)), 2))
    names = {
        f"{a}{b},{c}{d}": packed[i, j]
        for (i, (a, b)), (j, (c, d)) in itertools.product(enumerate(order), repeat=2)
    }
    keys = ["01,23", "02,13", "03,12"]
    connected = sum(names[key] for key in keys)
    return {"V2": {key: names[key] for key in keys}, "K2": kernels[1], "conn4_times_n1": connected}


def single_input(inputs: Values) -> Values:
    layers, widths = inputs["L"], inputs["widths"]
    first = inputs["C_b"] + inputs["C_W"] * inputs["x2"] / widths[0]
    variances = (_repeat(inputs["C_W"], layers), _repeat(inputs["C_b"], layers))
    flow = single_input_flow(_activation(inputs["activation"]), first, widths[1:], *variances)
    return {"K": flow.kernel, "V": flow.vertex, "G1": flow.correction, "U": flow.sextic}


def two_inputs(inputs: Values) -> Values:
    layers = inputs["L"]
    sigma = _activation(inputs["activation"])
    first = first_layer_kernel(np.array(inputs["X"]), inputs["C_W"], inputs["C_b"])
    variances = (_repeat(inputs["C_W"], layers), _repeat(inputs["C_b"], layers))
    last = vertex.layer_predictions(sigma, first, inputs["widths"][1:], *variances)[-1]
    names = ["11", "12", "22"]
    pairs = {p + q: last.vertex[i, j] for i, p in enumerate(names) for j, q in enumerate(names) if i <= j}
    upper = pair_indices(2)
    return {"K": last.kernel[upper], "V": pairs, "G1": last.correction[upper]}


def scale_invariant(inputs: Values) -> Values:
    rows = [criticality.scale_invariant_constants(tuple(s)) for s in inputs["slopes"]]
    return {"C_W": [row[0] for row in rows], "nu": [row[1] for row in rows]}


def vanishing_kernel(inputs: Values) -> Values:
    rows = [criticality.vanishing_fixed_point(activation(name)) for name in inputs["activations"]]
    return {
        "a1": [row.first for row in rows],
        "a2": [row.second for row in rows],
        "b1": [row.perpendicular for row in rows],
        "C_W": [row.weight_variance for row in rows],
        "p_perp": [row.exponent for row in rows],
        "nu": [row.vertex_slope for row in rows],
    }


def half_stable_gelu(inputs: Values) -> Values:
    point = criticality.half_stable_point(activation(inputs["activation"]), 2.0, 5.0)
    return {
        "K_star": point.kernel,
        "C_b": point.bias_variance,
        "C_W": point.weight_variance,
        "chi_par": point.parallel,
        "chi_perp": point.perpendicular,
        "half_dchi_par_dK": 0.5 * point.parallel_slope,
        "dchi_perp_dK": point.perpendicular_slope,
    }


def half_stable_silu(inputs: Values) -> Values:
    point = criticality.half_stable_point(activation(inputs["activation"]), 10.0, 20.0)
    return {"K_star": point.kernel, "C_b": point.bias_variance, "C_W": point.weight_variance}


def critical_flow(inputs: Values) -> Values:
    layers = inputs["L"]
    norm = inputs["x2_over_n0"]
    arguments = (
        _activation(inputs["activation"]),
        inputs["C_b"] + inputs["C_W"] * norm,
        [7] * (layers - 1),
        _repeat(inputs["C_W"], layers),
        _repeat(inputs["C_b"], layers),
    )
    flow = single_input_flow(*arguments)
    tangent = tangent_flow(*arguments, squared_norm=norm, weight_rate=1.0, bias_rate=1.0)
    rows = [1, 4, 9, 24]
    result = {name: [getattr(tangent[row], name) for row in rows] for name in ("Theta", *"ABDFPQ", "H1")}
    names = {"K": flow.kernel, "V": flow.vertex, "G1": flow.correction, "U": flow.sextic}
    return result | {key: value[rows] for key, value in names.items()}


def field_theory_net(inputs: Values, kind: str, keys: list[str]) -> Values:
    points = np.array(inputs["X"])
    readout = one_hidden_layer.Readout.gaussian(inputs["N"], inputs["sigma_Wout2"], inputs["sigma_bout2"])
    if kind == "gaussnet":
        moment = one_hidden_layer.gauss_net_moment(points, inputs["sigma_W2"], inputs["sigma_b2"])
    else:
        kernel = first_layer_kernel(points, inputs["sigma_W2"], inputs["sigma_b2"])
        moment = one_hidden_layer.mlp_moment(activation(kind.removesuffix("net")), kernel)

    def connected(*labels: int) -> float:
        return one_hidden_layer.connected_correlator(readout, moment, labels)

    result: Values = {"K": [connected(0, 0), connected(0, 1), connected(2, 3)]}
    labels = {"kappa4": (0, 1, 2, 3), "kappa4_0000": (0, 0, 0, 0)}
    return result | {key: connected(*labels[key]) for key in keys if key in labels}


def k_statistic(inputs: Values, odd_moments_vanish: bool) -> Values:
    samples = [[Fraction(x) for x in row] for row in inputs["data"]]
    return {"k": unbiased_cumulant(samples, inputs["index"], odd_moments_vanish)}


def mixture(inputs: Values) -> Values:
    weight = Fraction(inputs["p_a"])
    metrics = [[[Fraction(x) for x in row] for row in inputs[name]] for name in ("Ghat_a", "Ghat_b")]

    def cumulant(labels: tuple[int, ...]) -> Fraction:
        def moment(pairs: tuple[tuple[int, int], ...]) -> Fraction:
            first, second = (
                math.prod((metric[labels[a]][labels[b]] for a, b in pairs), start=Fraction(1))
                for metric in metrics
            )
            return weight * first + (1 - weight) * second

        return conditional_gaussian_cumulant(moment, len(labels), Fraction(1))

    return {
        "E_phi0phi1": cumulant((0, 1)),
        "kappa4_0011": cumulant((0, 0, 1, 1)),
        "kappa6_000011": cumulant((0, 0, 0, 0, 1, 1)),
    }


# beginning of the id -> calculation; the longest matching beginning counts
CALCULATIONS: dict[str, Callable[[Values], Values]] = {
    "gauss2-": two_point,
    "gauss1-": one_point,
    "nngp-": infinite_width,
    "linear-moments-": linear_moments,
    "linear-multi-": linear_inputs,
    "linear-bias-moments": linear_bias,
    "linear-density-": linear_density,
    "linear-cf-": linear_transform,
    "haar-square": haar_square,
    "haar-rect": haar_rectangular,
    "relu-moments": relu_moments,
    "relu-bias-moments": relu_moments,
    "leaky-moments": relu_moments,
    "relu-dead-prob": dead_output,
    "V2-exact-": second_layer,
    "single-input-": single_input,
    "two-input-": two_inputs,
    "nu-scale-invariant": scale_invariant,
    "kstar0-constants": vanishing_kernel,
    "half-stable-gelu": half_stable_gelu,
    "half-stable-silu-rounded": half_stable_silu,
    "tanh-critical-flow": critical_flow,
    "gaussnet": lambda inputs: field_theory_net(inputs, "gaussnet", ["kappa4"]),
    "relunet": lambda inputs: field_theory_net(inputs, "relunet", ["kappa4_0000"]),
    "erfnet": lambda inputs: field_theory_net(inputs, "erfnet", ["kappa4", "kappa4_0000"]),
    "kstat-": lambda inputs: k_statistic(inputs, odd_moments_vanish=False),
    "kstat-zero-odd-": lambda inputs: k_statistic(inputs, odd_moments_vanish=True),
    "rao-blackwell-mixture": mixture,
}


def calculation_of(name: str) -> Callable[[Values], Values]:
    beginnings = [b for b in CALCULATIONS if name.startswith(b)]
    if not beginnings:
        raise KeyError(name)
    return CALCULATIONS[max(beginnings, key=len)]


def compare(found: Any, expected: Any, tolerance: float, where: str) -> int:
    """Compare nested values; return the number of scalars compared."""
    if isinstance(expected, dict) and "exact" in expected:
        assert isinstance(found, Fraction), where
        assert found == Fraction(expected["exact"]), where
        return 1
    if isinstance(expected, dict):
        assert set(found) == set(expected), where
        return sum(compare(found[key], expected[key], tolerance, f"{where}.{key}") for key in expected)
    if isinstance(expected, list):
        assert len(found) == len(expected), where
        pairs = enumerate(zip(found, expected, strict=True))
        return sum(compare(f, e, tolerance, f"{where}[{i}]") for i, (f, e) in pairs)
    assert abs(float(found) - expected) <= tolerance * abs(expected), (where, float(found), expected)
    return 1


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["id"])
def test_reference_entry(entry: dict[str, Any]) -> None:
    found = calculation_of(entry["id"])(entry["inputs"])
    assert compare(found, entry["values"], SAFETY * entry["rel_precision"], entry["id"]) > 0


def test_no_entry_is_left_out() -> None:
    document = json.loads(FILE.read_text(encoding="utf-8"))
    assert len({entry["id"] for entry in ENTRIES}) == document["n_entries"] == 79
    used = {calculation_of(entry["id"]) for entry in ENTRIES}
    assert used == set(CALCULATIONS.values())


def test_a_wrong_value_is_seen() -> None:
    with pytest.raises(AssertionError):
        compare([1.0 + 1e-9], [1.0], 1e-12, "control")
    with pytest.raises(AssertionError):
        compare({"a": 1.0}, {"a": 1.0, "b": 1.0}, 1e-12, "control")
