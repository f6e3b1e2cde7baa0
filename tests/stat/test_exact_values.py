"""Exact values of random networks at initialization, every run with its own seed.

The expected values are in reference/initialization.json: exact rationals, or quadrature with mpmath.
All pulls of the module are independent, so that their sum of squares has a band.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from runs import ENTRIES, LIMIT, SEED, binomial_pull, check_band, component, engine, estimate, number, pull


@dataclass(frozen=True)
class Case:
    """One number to estimate: returns the pull for a seed."""

    name: str
    measure: Callable[[int], float]


CASES: list[Case] = []


def add(name: str, measure: Callable[[int], float]) -> None:
    """Add a case; its place decides its seed."""
    CASES.append(Case(name, measure))


# what to ask of an estimator for the k-th moment of the metric at one input, the k-th label twice
SECTORS = {1: (2, "00"), 2: (4, "0011"), 3: (6, "001122"), 4: (8, "00112233")}


def one_input(
    entry: dict[str, Any], activation: str, kind: str, method: str, order: int, seed: int, networks: int
) -> Any:
    """Estimator for the single-input entries."""
    given = entry["inputs"]
    parameters = [given["a_plus"], given["a_minus"]] if activation == "leaky_relu" else None
    labels = 4 if order == 8 else 3
    return estimate(
        [[math.sqrt(given["q0"])]], given["hidden"], activation, seed, networks,
        weight=given["C_W"], bias=given.get("C_b", 0.0), parameters=parameters, outputs=labels,
        orders=(order,), estimator=kind, method=method,
    )  # fmt: skip


def moment_case(
    key: str, activation: str, exact: float, order: int, pattern: str, how: tuple[str, str], *,
    sees: float, networks: int, connected: bool = False,
) -> Callable[[int], float]:  # fmt: skip
    """Pull of one moment or cumulant; drawn outputs and weights cost more and see less."""
    size = networks // 4 if how == EXPLICIT else networks
    blur = {COLLAPSED: 1.0, EXPLICIT: 2.0, DIRECT: 2.4, EXPLICIT_DIRECT: 2.4}[how]

    def measure(seed: int) -> float:
        estimator = one_input(ENTRIES[key], activation, *how, order, seed, size)
        found = estimator.result(order, pattern) if connected else estimator.moment(order, pattern)
        return pull(found, [0] * order, exact, blur * sees)

    return measure


COLLAPSED, EXPLICIT = ("conditional", "collapsed"), ("conditional", "explicit")
DIRECT, EXPLICIT_DIRECT = ("direct", "collapsed"), ("direct", "explicit")

for letter, networks in (("a", 500_000), ("b", 250_000), ("c", 150_000)):
    key = f"linear-moments-{letter}"
    values = ENTRIES[key]["values"]
    wild = 5.0 if letter == "a" else 1.0
    for k, how in ((1, COLLAPSED), (2, COLLAPSED), (1, EXPLICIT), (2, EXPLICIT_DIRECT)):
        order, pattern = SECTORS[k]
        exact = number(values[f"G{order}"])
        case = moment_case(key, "linear", exact, order, pattern, how, sees=0.2 * wild, networks=networks)
        add(f"{key} G{order} {how}", case)
    for order, how in ((2, DIRECT), (4, COLLAPSED), (4, DIRECT), (2, EXPLICIT_DIRECT)):
        exact = number(values[f"Ez{order}"])
        case = moment_case(key, "linear", exact, order, "0" * order, how, sees=0.25 * wild, networks=networks)
        add(f"{key} Ez{order} {how}", case)
    for name, pattern, how in (
        ("conn4_coeff", "0011", COLLAPSED), ("conn4_coeff", "0011", DIRECT), ("kappa4", "0000", COLLAPSED),
        ("kappa4", "0000", EXPLICIT), ("kappa4", "0000", DIRECT),
    ):  # fmt: skip
        if letter == "c" and how == DIRECT:
            continue  # seen from drawn outputs only with millions of networks
        case = moment_case(
            key, "linear", number(values[name]), 4, pattern, how, sees=0.4 * wild, networks=networks,
            connected=True,
        )
        add(f"{key} {name} {how}", case)
for letter, sees in (("b", 0.6), ("c", 0.3)):
    key = f"linear-moments-{letter}"
    values = ENTRIES[key]["values"]
    for name, pattern, how, factor in (
        ("G6", "001122", COLLAPSED, 1.0),
        ("Ez6", "000000", EXPLICIT, 2.0),
        ("kappa6", "000000", COLLAPSED, 2.0),
    ):  # fmt: skip
        case = moment_case(
            key, "linear", number(values[name]), 6, pattern, how, sees=factor * sees, networks=400_000,
            connected=name == "kappa6",
        )  # fmt: skip
        add(f"{key} {name}", case)
key = "linear-moments-c"
exact = number(ENTRIES[key]["values"]["G8"])
case = moment_case(key, "linear", exact, 8, "00112233", COLLAPSED, sees=0.8, networks=700_000)
add(f"{key} G8", case)

for key, activation, size in (
    ("linear-bias-moments", "linear", 300_000),
    ("relu-moments", "relu", 500_000),
    ("relu-bias-moments", "relu", 500_000),
    ("leaky-moments", "leaky_relu", 500_000),
):
    for k in (1, 2, 3):
        order, pattern = SECTORS[k]
        exact = number(ENTRIES[key]["values"]["E_Ghat"][k - 1])
        sees = {1: 0.08, 2: 0.5, 3: 3.0}[k]
        for how in (COLLAPSED, EXPLICIT) if k < 3 else (COLLAPSED,):
            case = moment_case(key, activation, exact, order, pattern, how, sees=sees, networks=size)
            add(f"{key} {k} {how}", case)
        if k < 3:
            case = moment_case(key, activation, exact, order, pattern, DIRECT, sees=2 * sees, networks=size)
            add(f"{key} {k} direct", case)


def several_inputs(key: str, how: tuple[str, str], name: str) -> Callable[[int], float]:
    """Deep linear network at two inputs with the given Gram matrix."""
    entry = ENTRIES[key]
    labels = entry["inputs"]["labels"]
    points = math.sqrt(2.0) * np.linalg.cholesky(np.array(entry["inputs"]["Q0"]))
    order = len(labels)
    pattern = SECTORS[order // 2][1] if name == "E_prod_Ghat" else "0" * order

    def measure(seed: int) -> float:
        estimator = estimate(
            points, entry["inputs"]["hidden"], "linear", seed, 200_000,
            outputs=3, orders=(order,), estimator=how[0], method=how[1],
        )  # fmt: skip
        return pull(estimator.moment(order, pattern), labels, number(entry["values"][name]), 0.8)

    return measure


for key in ("linear-multi-0101", "linear-multi-0011", "linear-multi-000111"):
    for name in ("E_prod_Ghat", "E_prod_z"):
        for how in (COLLAPSED, EXPLICIT) if "000111" in key else (COLLAPSED, EXPLICIT, DIRECT):
            add(f"{key} {name} {how}", several_inputs(key, how, name))


def dead_networks(method: str) -> Callable[[int], float]:
    """Share of relu networks that vanish exactly."""
    entry = ENTRIES["relu-dead-prob"]

    def measure(seed: int) -> float:
        networks = 50_000
        run = engine([[0.6, -0.8]], entry["inputs"]["hidden"], "relu", seed, 1, weight=2.0, method=method)
        last = run.ensemble.metrics(0, networks)[:, -1, 0]
        return binomial_pull(int(np.count_nonzero(last == 0.0)), networks, number(entry["values"]["p"]))

    return measure


add("relu-dead-prob collapsed", dead_networks("collapsed"))
add("relu-dead-prob explicit", dead_networks("explicit"))


def bounded_average(key: str) -> Callable[[int], float]:
    """Characteristic function or density of a deep linear output, averaged over metrics."""
    given, expected = ENTRIES[key]["inputs"], ENTRIES[key]["values"]

    def measure(seed: int) -> float:
        networks = 200_000
        run = engine([[math.sqrt(given["G"])]], given["hidden"], "linear", seed, 1)
        metric = run.ensemble.metrics(0, networks)[:, -1, 0]
        if "cf" in expected:
            values, exact = np.exp(-0.5 * given["p"] ** 2 * metric), expected["cf"]
        else:
            values = np.exp(-0.5 * given["z2"] / metric) / (2 * np.pi * metric) ** (given["n_out"] / 2)
            exact = expected["p"]
        error = values.std(ddof=1) / math.sqrt(networks)
        assert (LIMIT + 4.75) * error < 0.05 * exact
        return float((values.mean() - exact) / error)

    return measure


for key in ENTRIES:
    if key.startswith(("linear-cf", "linear-density")):
        add(key, bounded_average(key))


def second_layer(key: str, what: str, method: str) -> Callable[[int], float]:
    """One hidden layer at four inputs."""
    given, expected = ENTRIES[key]["inputs"], ENTRIES[key]["values"]
    width = 8

    def measure(seed: int) -> float:
        estimator = estimate(
            given["X"], [width], given["activation"], seed, 150_000, weight=given["C_W"],
            bias=given["C_b"], outputs=2, orders=(4,), method=method, layers=what != "conn4",
        )  # fmt: skip
        if what == "conn4":
            return pull(estimator.result(4), [0, 1, 2, 3], expected["conn4_times_n1"] / width, 0.2)
        kernel = estimator.layer_kernel(2)
        if what in expected["V2"]:
            pairs = [int(c) for c in what.replace(",", "")]
            row = component(kernel.vertex, pairs)
            value, error = kernel.four_point_vertex(width)
            assert value[row] == width * kernel.vertex.value[row]
            return float((value[row] - expected["V2"][what]) / error[row])
        a, b = (int(c) for c in what)
        return pull(kernel.metric, [a, b], expected["K2"][a][b], 0.3)

    return measure


for key in ("V2-exact-tanh", "V2-exact-gelu", "V2-exact-sin", "V2-exact-erf"):
    for what, method in (("conn4", "collapsed"), ("conn4", "explicit"), ("01,23", "collapsed")):
        add(f"{key} {what} {method}", second_layer(key, what, method))
    for what in ("02,13", "03,12", "00", "02", "13", "33"):
        add(f"{key} {what}", second_layer(key, what, "explicit" if what == "13" else "collapsed"))


def field_theory_net(key: str, name: str, how: tuple[str, str]) -> Callable[[int], float]:
    """Networks with one hidden layer and their own names for the variances."""
    given, expected = ENTRIES[key]["inputs"], ENTRIES[key]["values"]
    points = np.array(given["X"])
    labels = {"K0": [0, 0], "K1": [0, 1], "K2": [2, 3], "kappa4": [0, 1, 2, 3], "kappa4_0000": [0] * 4}[name]
    exact = expected["K"][int(name[1])] if name[0] == "K" else expected[name]
    bias_out = given["sigma_bout2"] if len(labels) == 2 else 0.0
    scale = 1.0
    if key == "gaussnet":  # exp(z) divided by exp of the variance of z
        variance = given["sigma_b2"] + given["sigma_W2"] * (points**2).sum(axis=1) / 2
        scale = math.exp(-variance[labels].sum())

    def measure(seed: int) -> float:
        estimator = estimate(
            points, [given["N"]], key.removesuffix("net").replace("gauss", "exp"), seed, 250_000,
            weight=[given["sigma_W2"], given["sigma_Wout2"]], bias=[given["sigma_b2"], given["sigma_bout2"]],
            orders=(4,), estimator=how[0], method=how[1],
        )  # fmt: skip
        return pull(estimator.result(len(labels)), labels, (exact - bias_out) / scale + bias_out, 0.5)

    return measure


for key in ("relunet", "erfnet", "gaussnet"):
    for name in ("K0", "K1", "K2"):
        add(f"{key} {name}", field_theory_net(key, name, COLLAPSED))
    add(f"{key} {name} direct", field_theory_net(key, name, EXPLICIT_DIRECT))
for key, name in (("relunet", "kappa4_0000"), ("erfnet", "kappa4_0000"), ("erfnet", "kappa4")):
    for how in (COLLAPSED, EXPLICIT):
        add(f"{key} {name} {how}", field_theory_net(key, name, how))


def first_random_layer(key: str, what: str) -> Callable[[int], float]:
    """Second layer of the single-input recursions, where they are exact."""
    given, expected = ENTRIES[key]["inputs"], ENTRIES[key]["values"]
    width = given["widths"][1]
    dimension = given["widths"][0]

    def measure(seed: int) -> float:
        estimator = estimate(
            [[math.sqrt(given["x2"] / dimension)] * dimension], [width], given["activation"], seed, 200_000,
            weight=given["C_W"], bias=given["C_b"], orders=(6,),
        )  # fmt: skip
        if what == "K":
            return pull(estimator.result(2), [0, 0], expected["K"][1], 0.05)
        if what == "V":
            return pull(estimator.result(4), [0] * 4, 3 * expected["V"][1] / width, 0.2)
        correlator = estimator.result(6)
        return float((correlator.value[0] - 15 * expected["U"][1] / width**2) / correlator.stderr[0])

    return measure


for key in ENTRIES:
    if key.startswith("single-input-"):
        for what in ("K", "V", "U"):
            add(f"{key} {what}", first_random_layer(key, what))


@pytest.fixture(scope="module")
def pulls() -> dict[str, float]:
    """Pulls found so far."""
    return {}


@pytest.mark.first(50)
@pytest.mark.parametrize("index", range(len(CASES)), ids=[case.name for case in CASES])
def test_exact_value(index: int, pulls: dict[str, float]) -> None:
    case = CASES[index]
    pulls[case.name] = case.measure(SEED + index)
    assert abs(pulls[case.name]) < LIMIT


@pytest.mark.long
def test_sum_of_squares_of_all_pulls(pulls: dict[str, float]) -> None:
    if len(pulls) < len(CASES):  # only some were selected: the others now
        for index, case in enumerate(CASES):
            if case.name not in pulls:
                pulls[case.name] = case.measure(SEED + index)
    assert len(pulls) == len(CASES)
    assert len(CASES) <= 200
    check_band(pulls.values())


def test_reference_entries_are_used() -> None:
    """Every entry about a finite network with Gaussian weights has a case."""
    families = ("linear-", "relu-", "leaky-", "V2-", "relunet", "erfnet", "gaussnet", "single-input-")
    wanted = {key for key in ENTRIES if key.startswith(families)}
    assert all(any(case.name.startswith(key) for case in CASES) for key in wanted)
    assert len(wanted) >= 30
