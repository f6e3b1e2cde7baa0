"""Cluster decomposition: the limit of the cos-net, fields that decay, and meshes that are too small."""

from __future__ import annotations

import numpy as np
import pytest
from axiom_networks import REFERENCE, TOLERANCE, Array, ensemble_of, gaussian_fields, line, network_fields
from runs import DETECTABLE, LIMIT, SEED, estimate

from nnft.actions.axiom_report import AxiomCheck
from nnft.actions.axioms import axioms_of_fields
from nnft.actions.clustering import cluster_checks

ENTRY = REFERENCE["cosnet-cluster-limit"]
WIDTH, LIMIT_OF_KAPPA = ENTRY["inputs"]["N"], ENTRY["values"]["kappa4_limit"]


def checks(points: Array, *arguments: object, **options: object) -> dict[str, AxiomCheck]:
    run = estimate(points, *arguments, **options)  # type: ignore[arg-type]
    return {check.name: check for check in cluster_checks(ensemble_of(points, run), (2, 4), TOLERANCE)}


@pytest.mark.long
def test_cos_network_clusters_at_order_two_only() -> None:
    """kappa_4(x, x, y, y) -> sigma_a^4 / (2 N), 4/3 of its value at coincident points."""
    points = line(9, 4.0)
    found = checks(points, [WIDTH], "cos", SEED + 7500, 40_000, weight=[9.0, 1.0], bias=[25.0, 0.0])
    assert found["clustering 1|1"].verdict == "holds"
    assert found["clustering 1|3"].verdict == "holds"
    plateau = found["clustering 2|2"]
    assert plateau.verdict == "broken"
    error = plateau.details["correlator_error"]
    assert DETECTABLE * error < 0.3 * LIMIT_OF_KAPPA
    assert abs(plateau.details["correlator"] - LIMIT_OF_KAPPA) < LIMIT * error
    assert abs(plateau.effect - 4 / 3) < LIMIT * plateau.error  # type: ignore[operator]


def test_profile_follows_the_kernel() -> None:
    found = checks(line(9, 2.0), [WIDTH], "cos", SEED + 7501, 40_000, weight=[1.0, 1.0], bias=[25.0, 0.0])[
        "clustering 1|1"
    ]
    assert len(found.details["profile"]) == 8
    for shell in found.details["profile"]:
        exact = np.exp(-(shell["distance"] ** 2) / 2)
        assert abs(shell["R"] - exact) < LIMIT * shell["error"] + 1e-12


def test_a_gaussian_process_clusters() -> None:
    points = line(9, 6.0)
    kernel = np.exp(-np.abs(points - points.T))
    report = axioms_of_fields(points, gaussian_fields(kernel, 20_000, SEED + 7502))
    assert report.check("clustering 1|1", 2).verdict == "holds"
    four = report.check("clustering 2|2", 4)
    assert (four.verdict, four.reason) == (
        "not testable",
        "the correlator at coincident points is zero within its errors",
    )


def test_independent_neurons_with_local_features_cluster() -> None:
    """Every neuron sees one end of the line only: kappa_4 decays, though the neurons share nothing else."""
    rng = np.random.default_rng(SEED + 7503)
    points = line(9, 6.0)
    networks = 40_000
    number = rng.poisson(2.0, (networks, 13))  # a Poisson process has independent parts
    centres = np.arange(-6.0, 7.0)
    bumps = np.exp(-2.0 * (points[:, 0] - centres[:, None]) ** 2)
    weights = rng.standard_normal((networks, 13)) * np.sqrt(number)
    report = axioms_of_fields(points, (weights @ bumps)[:, None, :])
    for name, order in [("clustering 1|1", 2), ("clustering 2|2", 4), ("clustering 1|3", 4)]:
        assert report.check(name, order).verdict == "holds", report.check(name, order)


def test_a_mean_is_not_a_correlation() -> None:
    points = line(9, 4.0)
    fields = network_fields(points, 20_000, SEED + 7504, activation="cos") + 3.0
    report = axioms_of_fields(points, fields)
    assert report.check("Z2", 1).verdict == "broken"
    assert report.check("clustering 1|1", 2).verdict == "holds"


@pytest.mark.parametrize(
    ("half", "reason"),
    [(0.1, "hardly changes across the mesh"), (0.7, "still falls at the largest distance")],
)
def test_a_small_mesh_says_nothing(half: float, reason: str) -> None:
    found = checks(line(9, half), [50], "cos", SEED + 7505, 20_000, weight=[1.0, 1.0], bias=[25.0, 0.0])[
        "clustering 1|1"
    ]
    assert found.verdict == "not testable"
    assert reason in found.reason


def test_a_bias_of_the_output_never_decays() -> None:
    found = checks(line(9, 4.0), [50], "cos", SEED + 7506, 20_000, weight=[9.0, 1.0], bias=[25.0, 0.2])[
        "clustering 1|1"
    ]
    assert found.verdict == "broken"
    assert abs(found.effect - 0.2 / 0.7) < LIMIT * found.error  # type: ignore[operator]


def test_one_point_and_a_dead_field() -> None:
    found = checks(np.array([[1.0], [1.0]]), [5], "tanh", SEED + 7507, 4000)
    assert {check.verdict for check in found.values()} == {"not testable"}
    found = checks(np.array([[0.0], [1.0]]), [5], "tanh", SEED + 7508, 4000)
    assert {check.reason for check in found.values()} == {"the field lives on fewer than two points"}
